// Packages that people build on Upstash's REST interface: how each is used while a master fails, and what of its own
// promise has to hold afterwards. `rules` are the words of --commands that it needs behind `default`.
import assert from "node:assert/strict";
import { randomUUID, webcrypto } from "node:crypto";
import { nap, until } from "./support.mjs";

globalThis.crypto ??= webcrypto; // Node 18 has it only here

/** `ask(i)` again and again, one after another, until `stop`; what became of each is in the lists, with its times. */
function repeat(ask, pace = 5) {
  const use = { done: [], unknown: [], errors: [] };
  let ended = false;
  const going = (async () => {
    for (let i = 0; !ended; i += 1) {
      const entry = { i, began: performance.now() };
      try {
        entry.value = await ask(i);
        use.done.push(entry);
      } catch (error) {
        entry.error = error;
        (/\bUNKNOWN /.test(error.message) ? use.unknown : use.errors).push(entry);
      }
      entry.at = performance.now();
      await nap(pace);
    }
  })();
  use.stop = () => {
    ended = true;
    return going;
  };
  return use;
}

const numbers = (entries) => entries.map(({ i }) => i);

/** What is there against what was told: all that is sure, nothing that was never asked for, nothing twice. */
function whatWasTold(there, { done, unknown }, sure, what) {
  const set = new Set(there);
  assert.equal(set.size, there.length, `${what}: none twice`);
  assert.deepEqual(numbers(done.filter(sure)).filter((i) => !set.has(i)), [], `${what}: none is lost`);
  const may = new Set([...numbers(done), ...numbers(unknown)]);
  assert.deepEqual(there.filter((i) => !may.has(i)), [], `${what}: none ran that was refused`);
}

/** A count against what was told. */
function countWasTold(count, { done, unknown }, sure, what) {
  const least = done.filter(sure).length;
  assert.ok(count >= least && count <= done.length + unknown.length,
    `${what}: ${count}, of ${done.length} acknowledged (${least} of them for sure) and ${unknown.length} unknown`);
}

/** For what even a crash can't undo, since it was replicated before: an assertion about what was written in between may fail. */
function always(truth, what) {
  if (!truth) {
    throw new Error(what);
  }
}

const forLong = "10000 d"; // windows are counted from 1970: no test lives to see this one end

export const packages = [
  {
    name: "@upstash/lock",
    rules: ["+eval"], // release() and extend() are scripts
    load: async () => ({ ...await import("@upstash/lock") }),
    denied: { "+eval": ({ Lock }, redis) => new Lock({ id: "denied", redis }).release() },
    async start({ Lock }, { connect, run }) {
      const redis = connect();
      const lock = (id, lease) => new Lock({ id: `${run}:${id}`, redis, lease, retry: { attempts: 1, delay: 1 } });
      const holder = lock("held", 600_000);
      assert.equal(await holder.acquire({ uuid: "holder" }), true);
      const turns = [];
      const taking = async (name, i) => {
        const mine = lock("turns", 1500);
        const turn = { began: performance.now() };
        if (await mine.acquire({ uuid: `${name}:${i}` })) {
          turn.at = performance.now();
          turns.push(turn);
          await nap(3);
          turn.end = Math.min(performance.now(), turn.began + 1500); // as long as it may believe that it has it
          await mine.release();
        }
      };
      const uses = [
        repeat(async () => always(!(await lock("held", 600_000).acquire({ uuid: randomUUID() })), "it is held by another")),
        repeat((i) => taking("a", i)),
        repeat((i) => taking("b", i)),
      ];
      return { uses, async check({ sure }) {
        const held = turns.filter((turn) => turn.end && sure(turn)).sort((a, b) => a.at - b.at);
        assert.ok(held.length > 0, "there were turns");
        held.forEach((turn, i) => assert.ok(i === 0 || turn.at >= held[i - 1].end, "one at a time"));
        assert.equal(await holder.getStatus(), "ACQUIRED");
        assert.equal(await holder.extend(5000), true);
        assert.equal(await holder.release(), true);
        assert.equal(await holder.getStatus(), "FREE");
        const next = lock("held", 1000);
        assert.equal(await next.acquire({ uuid: "next" }), true, "who waits gets it");
        assert.equal(await holder.release(), false, "and keeps it");
      } };
    },
  },
  {
    // 2.1 and later mark their scripts with a flag that only Upstash's servers know; see the test of that.
    name: "@upstash/ratelimit",
    rules: ["+eval", "+evalsha"], // EVALSHA, and EVAL where the server does not have the script yet
    load: () => import("@upstash/ratelimit"),
    denied: Object.fromEntries(["+eval", "+evalsha"].map((word) => [word, ({ Ratelimit }, redis) =>
      new Ratelimit({ redis, prefix: `denied:${word}`, timeout: 0, limiter: Ratelimit.tokenBucket(1, forLong, 1) }).limit("somebody")])),
    async start({ Ratelimit }, { connect, run }) {
      const redis = connect();
      const limiters = {
        fixed: (most) => Ratelimit.fixedWindow(most, forLong),
        sliding: (most) => Ratelimit.slidingWindow(most, forLong),
        bucket: (most) => Ratelimit.tokenBucket(1, forLong, most),
      };
      // Without its timeout, after which everybody may pass, and without its memory of who may not.
      const make = (kind, most) => new Ratelimit({
        redis, prefix: `${run}:${kind}:${most}`, timeout: 0, ephemeralCache: false, limiter: limiters[kind](most),
      });
      const plenty = 1_000_000;
      const counted = [];
      const uses = [];
      for (const kind of Object.keys(limiters)) {
        const spent = make(kind, 3);
        const used = [];
        for (let i = 0; i < 4; i += 1) {
          used.push((await spent.limit("spent")).success);
        }
        assert.deepEqual(used, [true, true, true, false], kind);
        uses.push(repeat(async () => always(!(await spent.limit("spent")).success, `${kind}: nothing is left`)));
        const limit = make(kind, plenty);
        const use = repeat(async () => always((await limit.limit("somebody")).success, `${kind}: there is plenty`));
        uses.push(use);
        counted.push({ kind, limit, use });
      }
      return { uses, async check({ sure }) {
        for (const { kind, limit, use } of counted) {
          const { remaining } = await limit.getRemaining("somebody");
          countWasTold(plenty - remaining, use, sure, kind);
        }
      } };
    },
  },
  {
    name: "@upstash/core-analytics",
    rules: ["+eval"], // whatever reads what was counted
    load: () => import("@upstash/core-analytics"),
    denied: { "+eval": ({ Analytics }, redis) => new Analytics({ redis, window: "1d" }).aggregateBucket("denied", "identifier") },
    async start({ Analytics }, { connect, run }) {
      const analytics = new Analytics({ redis: connect(), prefix: run, window: "1d" });
      const time = Date.now();
      const people = ["ann", "bob"].map((identifier) => ({
        identifier, use: repeat((i) => analytics.ingest("events", { time, identifier, success: i % 2 === 0 })),
      }));
      return { uses: people.map(({ use }) => use), async check({ sure }) {
        const { identifier: counts } = await analytics.aggregateBucket("events", "identifier", time);
        const allowed = await analytics.getAllowedBlocked("events", 2, time);
        assert.deepEqual(Object.keys(counts).sort(), ["ann", "bob"]);
        for (const { identifier, use } of people) {
          countWasTold(counts[identifier], use, sure, identifier);
          const { success, blocked } = allowed[identifier];
          assert.equal(success + blocked, counts[identifier], `${identifier}: each is one or the other`);
        }
      } };
    },
  },
  {
    name: "@upstash/queue", // receiveMessage(ms), which blocks, is refused: XREADGROUP with BLOCK
    rules: [],
    load: () => import("@upstash/queue"),
    async start({ Queue }, { connect, run, patience }) {
      const redis = connect();
      // Each with an object of its own, as one has without servers: it counts what it has received and not verified.
      const queue = () => new Queue({ redis, queueName: run, autoVerify: false, visibilityTimeout: 1000 * patience });
      const deliveries = [];
      const receive = async () => {
        const mine = queue();
        const delivery = { began: performance.now() };
        const message = await mine.receiveMessage();
        if (message) {
          delivery.n = message.body.n;
          deliveries.push(delivery);
          if ((await mine.verifyMessage(message.streamId)) === "VERIFIED") {
            delivery.at = performance.now();
          }
        }
        return message;
      };
      const sending = repeat(async (n) => {
        if (!(await queue().sendMessage({ n }))) {
          throw new Error("UNKNOWN to the caller: the error is written to console.error"); // where the test looks at it
        }
      }, 10);
      const uses = [sending, repeat(receive), repeat(receive)];
      return { uses, async check({ sure }) {
        await until("all is received and verified", 40000, async () =>
          !(await receive()) && (await redis.xpending(`UpstashMQ:${run}`, "Messages", "-", "+", 1)).length === 0);
        const there = Object.values(await redis.xrange(`UpstashMQ:${run}`, "-", "+")).map(({ messageBody }) => messageBody.n);
        whatWasTold(there, sending, sure, "messages");
        whatWasTold([...new Set(deliveries.map(({ n }) => n))], sending, sure, "deliveries");
        const verified = new Map(deliveries.filter((one) => one.at && sure(one)).map((one) => [one.n, one.at]));
        assert.deepEqual(deliveries.filter(({ n, began }) => began > verified.get(n)), [], "what was verified is not delivered again");
      } };
    },
  },
  {
    name: "@upstash/realtime",
    rules: ["+subscribe"], // an event stream for each subscriber; XADD, XRANGE and PUBLISH are in the default
    load: async () => ({ ...await import("@upstash/realtime"), z: await import("zod") }),
    denied: { "+subscribe": ({ Realtime }, redis) => new Promise((_, failed) => {
      const subscriber = redis.subscribe("denied");
      subscriber.on("error", failed);
      subscriber.on("subscribe", () => failed(new Error("it is subscribed")));
    }) },
    async start({ Realtime, z }, { connect, run }) {
      const realtime = new Realtime({ redis: connect(), schema: { news: { item: z.object({ n: z.number() }) } } });
      const channel = realtime.channel(run);
      const events = ["news.item"];
      const live = [];
      const unsubscribe = await channel.subscribe({ events, onData: ({ data, cursor }) => live.push({ n: data.n, cursor }) });
      const emitting = repeat((n) => channel.emit("news.item", { n }));
      const readHistory = async () => {
        const read = [];
        for (let page; page?.length !== 0;) {
          page = await channel.history({ start: read.length > 0 ? `(${read.at(-1).cursor}` : "-" });
          read.push(...page.map(({ data, id }) => ({ n: data.n, cursor: id })));
        }
        return read;
      };
      return { uses: [emitting], async check({ sure, before }) {
        const there = await readHistory();
        whatWasTold(there.map(({ n }) => n), emitting, sure, "history");
        // Live there may be a gap, while the subscription is being renewed.
        const seen = new Set(live.map(({ n }) => n));
        assert.equal(seen.size, live.length, "none is delivered twice");
        assert.ok(live.every(({ n }, i) => i === 0 || n > live[i - 1].n), "in order");
        assert.deepEqual(numbers(emitting.done.filter(before)).filter((n) => !seen.has(n)), [], "delivered before the failover");
        await until("a message is delivered live again", 30000, async () => {
          await channel.emit("news.item", { n: -1 });
          return live.some(({ n }) => n === -1);
        });
        await unsubscribe();
        // Who comes back with the last that it has seen gets all that it has not.
        const last = there.find(({ n }) => n === emitting.done.findLast(before).i);
        const missed = [];
        const leave = await channel.subscribe({ events, after: last.cursor, onData: ({ data }) => missed.push(data.n) });
        await leave();
        assert.deepEqual(missed.filter((n) => n >= 0), there.slice(there.indexOf(last) + 1).map(({ n }) => n));
      } };
    },
  },
  {
    name: "@upstash/query",
    rules: [],
    load: () => import("@upstash/query"),
    async start({ Query }, { connect, run }) {
      const people = new Query({ redis: connect({ automaticDeserialization: false }) }).createCollection(run);
      const byCity = people.createIndex({ name: "by_city", terms: ["city"] });
      const cities = ["Lima", "Oslo", "Rome"];
      const city = (i) => cities[i % cities.length];
      const writing = repeat(async (i) => {
        await people.set(`p${i}`, { n: i, city: city(i) });
        await people.update(`p${i}`, { n: i, city: city(i + 1) }).catch((error) =>
          (/TODO: document didn't exist/.test(error.message) ? assert.fail(error.message) : Promise.reject(error)));
        if (i % 4 === 0) {
          await people.delete(`p${i}`);
        }
      });
      const reading = repeat((i) => byCity.match({ city: city(i) }), 50);
      const ids = (documents) => documents.map(({ id }) => id).sort();
      return { uses: [writing, reading], async check({ sure, whole }) {
        const all = await people.list();
        const there = new Map(all.map(({ id, data }) => [id, data.city]));
        for (const { i } of writing.done.filter(sure)) {
          assert.equal(there.get(`p${i}`), i % 4 === 0 ? undefined : city(i + 1), `p${i}`);
        }
        // What was read of the dead master can't be undone on the new one: there the index of one document may be out.
        const unsure = new Set([...writing.done, ...writing.unknown, ...writing.errors].filter((entry) => !whole && !sure(entry)).map(({ i }) => `p${i}`));
        for (const exact of [whole, true]) {
          for (const one of cities) {
            const [found, wanted] = [await byCity.match({ city: one }), all.filter(({ data }) => data.city === one)]
              .map((documents) => ids(documents).filter((id) => exact || !unsure.has(id)));
            assert.deepEqual(found, wanted, `${one}: the index knows exactly these`);
          }
          if (!exact) {
            await byCity.reIndex();
          }
        }
      } };
    },
  },
  {
    name: "unstorage",
    rules: [],
    load: async () => ({ ...await import("unstorage"), upstash: (await import("unstorage/drivers/upstash")).default }),
    async start({ createStorage, upstash }, { config, run }) {
      const storage = createStorage({ driver: upstash({ ...config, base: run, scanCount: 20 }) });
      await storage.setItem("kept:text", "grüße");
      await storage.setItem("kept:number", 42, { ttl: 3600 });
      const writing = repeat(async (i) => {
        await storage.setItem(`items:${i}`, { i });
        assert.deepEqual(await storage.getItem(`items:${i}`), { i }, "what was written is read");
        if (i % 4 === 0) {
          await storage.removeItem(`items:${i}`);
          assert.equal(await storage.hasItem(`items:${i}`), false);
        }
      });
      const listing = repeat(async () => {
        const keys = await storage.getKeys("kept").catch((error) => (/\bSCANLOST /.test(error.message) ? ["", "it says so"] : Promise.reject(error)));
        always(new Set(keys).size === 2, `all keys, or it says that it can't: ${keys}`);
      }, 50);
      return { uses: [writing, listing], async check({ sure }) {
        const keys = await storage.getKeys("items");
        const there = new Set(keys);
        for (const { i } of writing.done.filter(sure)) {
          assert.equal(there.has(`items:${i}`), i % 4 !== 0, `items:${i}`);
        }
        for (const { key, value } of await storage.getItems(keys)) {
          assert.equal(key, `items:${value.i}`);
        }
        assert.deepEqual([await storage.getItem("kept:text"), await storage.getItem("kept:number")], ["grüße", 42]);
        await storage.clear();
        assert.deepEqual(await storage.getKeys(), []);
      } };
    },
  },
  {
    name: "@langchain/community",
    rules: [],
    load: async () => ({
      ...await import("@langchain/core/messages"), ...await import("@langchain/community/stores/message/upstash_redis"),
      ...await import("@langchain/community/caches/upstash_redis"), ...await import("@langchain/community/storage/upstash_redis"),
    }),
    async start({ HumanMessage, UpstashRedisChatMessageHistory, UpstashRedisCache, UpstashRedisStore }, { connect, run }) {
      const client = connect();
      const history = new UpstashRedisChatMessageHistory({ client, sessionId: `${run}:chat` });
      const cache = new UpstashRedisCache({ client });
      const store = new UpstashRedisStore({ client, namespace: run });
      const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];
      const chatting = repeat((i) => history.addMessage(new HumanMessage(`message ${i}`)));
      const caching = repeat(async (i) => {
        await cache.update(`${run}: ${i}?`, "model", [{ text: `answer ${i}` }, { text: "another" }]);
        assert.deepEqual((await cache.lookup(`${run}: ${i}?`, "model"))?.map(({ text }) => text), [`answer ${i}`, "another"]);
      });
      const storing = repeat(async (i) => {
        await store.mset([[`one:${i}`, encoder.encode(`value ${i}`)], [`other:${i}`, encoder.encode("x")]]);
        await store.mdelete([`other:${i}`]);
      });
      return { uses: [chatting, caching, storing], async check({ sure }) {
        const said = (await history.getMessages()).map(({ content }) => Number(content.split(" ")[1]));
        whatWasTold(said, chatting, sure, "messages");
        assert.deepEqual(said, [...said].sort((a, b) => a - b), "in order");
        for (const { i } of caching.done.filter(sure)) {
          assert.equal((await cache.lookup(`${run}: ${i}?`, "model"))?.[0].text, `answer ${i}`);
        }
        const keys = [];
        for await (const key of store.yieldKeys("one:")) {
          keys.push(key);
        }
        whatWasTold(keys.map((key) => Number(key.split(":")[1])), storing, sure, "values");
        const values = (await store.mget(keys)).map((bytes) => decoder.decode(bytes));
        assert.deepEqual(values, keys.map((key) => `value ${key.split(":")[1]}`));
        assert.equal(await history.clear(), undefined);
        assert.deepEqual(await history.getMessages(), []);
      } };
    },
  },
  {
    name: "@graphql-mesh/cache-upstash-redis",
    rules: [],
    load: () => import("@graphql-mesh/cache-upstash-redis"),
    async start({ default: UpstashRedisCache }, { config, connect, run }) {
      const cache = new UpstashRedisCache(config);
      const redis = connect();
      const valueOf = (i) => ({ i, list: [null, "ü"] });
      const caching = repeat(async (i) => {
        await cache.set(`${run}:${i}`, valueOf(i), i % 2 === 0 ? { ttl: 3600 } : undefined);
        assert.deepEqual(await cache.get(`${run}:${i}`), valueOf(i));
        if (i % 4 === 0) {
          assert.equal(await cache.delete(`${run}:${i}`), true);
        }
      });
      return { uses: [caching], async check({ sure }) {
        const keys = new Set(await cache.getKeysByPrefix(`${run}:`));
        for (const { i } of caching.done.filter(sure)) {
          const there = i % 4 !== 0;
          assert.equal(keys.has(`${run}:${i}`), there, `${i}`);
          assert.deepEqual(await cache.get(`${run}:${i}`), there ? valueOf(i) : null);
          const seconds = await redis.ttl(`${run}:${i}`);
          assert.ok(i % 2 ? seconds === -1 : there ? seconds > 1800 && seconds <= 3600 : seconds === -2, `${i} lives for ${seconds} s`);
        }
        assert.equal(await cache.delete(`${run}:none`), false);
      } };
    },
  },
  {
    name: "@auth/upstash-redis-adapter",
    rules: [],
    load: () => import("@auth/upstash-redis-adapter"),
    async start({ UpstashRedisAdapter }, { connect, run }) {
      const adapter = UpstashRedisAdapter(connect(), { baseKeyPrefix: `${run}:` });
      const [expires, later] = [1, 2].map((days) => new Date(Date.now() + days * 86_400_000));
      const accountOf = (i) => ({ provider: "example", providerAccountId: `${i}` });
      const tokenOf = (i) => ({ identifier: `${i}@example.com`, token: "token" });
      // What becomes of somebody in the end, and what has to be there of it.
      const ends = [
        async (all) => {
          await adapter.deleteSession(all.session.sessionToken);
          return { ...all, session: null };
        },
        async (all) => ({ ...all, user: await adapter.updateUser({ id: all.user.id, name: "another" }) }),
        async (all, i) => {
          await adapter.unlinkAccount(accountOf(i));
          return { ...all, linked: false };
        },
        async (all) => ({ ...all, session: await adapter.updateSession({ sessionToken: all.session.sessionToken, expires: later }) }),
        async ({ user }) => {
          await adapter.deleteUser(user.id);
          return { user: null, linked: false, session: null };
        },
      ];
      const signing = repeat(async (i) => {
        const user = await adapter.createUser({ email: `${i}@example.com`, name: `user ${i}`, emailVerified: expires });
        await adapter.linkAccount({ ...accountOf(i), userId: user.id, type: "oauth" });
        const session = await adapter.createSession({ sessionToken: `session ${i}`, userId: user.id, expires });
        await adapter.createVerificationToken({ ...tokenOf(i), expires });
        assert.ok(await adapter.useVerificationToken(tokenOf(i)));
        assert.equal(await adapter.useVerificationToken(tokenOf(i)), null, "a token is used once");
        return ends[i % ends.length]({ user, linked: true, session }, i);
      });
      return { uses: [signing], async check({ sure }) {
        for (const { i, value: { user, linked, session } } of signing.done.filter(sure)) {
          assert.deepEqual(await adapter.getUserByEmail(`${i}@example.com`), user);
          assert.deepEqual(await adapter.getUserByAccount(accountOf(i)), linked ? user : null);
          assert.deepEqual(await adapter.getSessionAndUser(`session ${i}`), session && { session, user });
          assert.equal(await adapter.useVerificationToken(tokenOf(i)), null, "nor after that");
        }
      } };
    },
  },
  {
    name: "hono-rate-limiter",
    rules: ["+evalsha", "+script|load"], // never EVAL: it loads its scripts, and again where they are gone
    load: () => import("hono-rate-limiter"),
    denied: Object.fromEntries(["+evalsha", "+script|load"].map((word) => [word, async ({ RedisStore }, redis) => {
      const store = new RedisStore({ client: redis });
      store.init({ windowMs: 1000 });
      await store.increment("denied");
    }])),
    async start({ RedisStore }, { connect, run }) {
      const redis = connect();
      let unknown = 0; // it asks again whatever the error was, so one hit may count twice
      const counting = (call) => (...asked) => redis[call](...asked).catch((error) => {
        unknown += /\bUNKNOWN /.test(error.message);
        throw error;
      });
      const client = { scriptLoad: counting("scriptLoad"), evalsha: counting("evalsha"), decr: counting("decr"), del: counting("del") };
      const make = () => {
        const store = new RedisStore({ client, prefix: `${run}:` });
        store.init({ windowMs: 3_600_000 });
        return store;
      };
      const store = make();
      let last = 0;
      const hitting = repeat(async () => {
        const { totalHits } = await store.increment("somebody");
        const before = last;
        last = totalHits;
        assert.ok(totalHits > before, `the count goes on: ${totalHits} after ${before}`);
      });
      return { uses: [hitting], async check({ sure }) {
        const after = make(); // get() does not load its script again
        const { totalHits, resetTime } = await after.get("somebody");
        const { done, errors } = hitting;
        countWasTold(totalHits, { done, unknown: [...errors, ...Array(unknown)] }, sure, "hits");
        assert.ok(resetTime > Date.now() + 1_800_000, "the window has not begun again");
        await after.decrement("somebody");
        assert.equal((await after.get("somebody")).totalHits, totalHits - 1);
        await after.resetKey("somebody");
        assert.equal((await after.increment("somebody")).totalHits, 1);
      } };
    },
  },
];
