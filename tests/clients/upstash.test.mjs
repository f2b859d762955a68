// /redis with the @upstash/redis package from npm: values there and back in each of its encodings and modes, and what
// it makes of each of our errors.
import assert from "node:assert/strict";
import net from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { atEnd, findProgram, ifMissing, makeFolder, patient, startCluster, startDaemon, until } from "./support.mjs";

const { Redis, missing } = await import("@upstash/redis").catch(ifMissing);
const lacking = [missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);
const skip = lacking.length > 0 && `${lacking.join(" and ")} is missing`;

const connect = ({ base }, more = {}) => new Redis({ url: `${base}/redis`, token: "any", enableTelemetry: false, ...more });
const plainly = { enableAutoPipelining: false };

// Its ways to talk: by default commands called in one turn of the loop go as one pipeline, and strings come in base64.
const modes = {
  "as it comes": {},
  "one request a command": plainly,
  "without base64": { responseEncoding: false },
  "one request a command, without base64": { ...plainly, responseEncoding: false },
};

// All requests to `fetch` until `restore` is called.
function countRequests() {
  const real = globalThis.fetch;
  const requests = [];
  globalThis.fetch = (url, init) => {
    requests.push(url);
    return real(url, init);
  };
  return { requests, restore: () => (globalThis.fetch = real) };
}

const text = 'grüße 🐏 "quoted" \\ \u0000\u0001\u001f \u2028\u2029 \r\n\t \ufffd \u{10ffff}';
const large = "0123456789abcdef".repeat(50_000) + "ü";

// What is asked, and what comes back. `k` makes a key of this run's own.
const values = [
  ["text", async (r, k) => [await r.set(k("a"), text), await r.get(k("a"))], ["OK", text]],
  ["nothing", async (r, k) => [await r.set(k("a"), ""), await r.get(k("a")), await r.strlen(k("a"))], ["OK", "", 0]],
  ["no key", (r, k) => r.get(k("none")), null],
  ["a large value", async (r, k) => [await r.set(k("a"), large), await r.get(k("a"))], ["OK", large]],
  ["the word OK", async (r, k) => [await r.set(k("a"), "OK"), await r.get(k("a")), await r.mget(k("a"), k("none"))], ["OK", "OK", ["OK", null]]],
  ["text that looks like base64", async (r, k) => [await r.set(k("a"), "T0s="), await r.get(k("a"))], ["OK", "T0s="]],
  ["numbers", async (r, k) => [await r.set(k("a"), 42), await r.get(k("a")), await r.incr(k("a")), await r.incrbyfloat(k("a"), -0.5)], ["OK", 42, 43, 42.5]],
  ["numbers of all sizes", async (r, k) => {
    const numbers = [0, -1, 0.1, 1e21, 5e-324, 1.7976931348623157e308, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
    await r.rpush(k("a"), ...numbers);
    return (await r.lrange(k("a"), 0, -1)).map((number, i) => Number(number) === numbers[i]);
  }, Array(8).fill(true)],
  ["64 bits in a string", async (r, k) => [await r.set(k("a"), "9223372036854775807"), await r.get(k("a"))], ["OK", "9223372036854775807"]],
  ["text like numbers", async (r, k) => [await r.rpush(k("a"), "007", "1e400", "-0", " 1", "0x10"), await r.lrange(k("a"), 0, -1)], [5, ["007", "1e400", "-0", " 1", "0x10"]]],
  ["an integer out of range", async (r, k) => {
    await r.set(k("a"), "9223372036854775807");
    return r.incr(k("a")).catch((error) => /ERR increment or decrement would overflow/.test(error.message));
  }, true],
  ["booleans", async (r, k) => [await r.set(k("a"), true), await r.get(k("a")), await r.set(k("b"), false), await r.get(k("b"))], ["OK", true, "OK", false]],
  ["an object", async (r, k) => {
    const object = { name: "ümlaut", list: [1, "two", null, { deep: [[]] }], none: null };
    await r.set(k("a"), object);
    return assert.deepEqual(await r.get(k("a")), object);
  }, undefined],
  ["null", async (r, k) => [await r.set(k("a"), null), await r.get(k("a"))], ["OK", null]],
  ["options of SET", async (r, k) => [
    await r.set(k("a"), "one", { nx: true, ex: 100 }), await r.set(k("a"), "two", { nx: true }),
    await r.set(k("a"), "two", { get: true, keepTtl: true }), (await r.ttl(k("a"))) > 50,
  ], ["OK", null, "one", true]],
  ["keys", async (r, k) => [
    await r.mset({ [k("a")]: 1, [k("b")]: "x" }), await r.exists(k("a"), k("b"), k("c")), await r.expire(k("a"), 100),
    await r.persist(k("a")), await r.type(k("a")), await r.rename(k("a"), k("c")), await r.del(k("b"), k("c")),
  ], ["OK", 2, 1, 1, "string", "OK", 2]],
  ["parts of strings", async (r, k) => [
    await r.append(k("a"), "Hello"), await r.setrange(k("a"), 5, " W"), await r.getrange(k("a"), 1, 5), await r.setbit(k("a"), 0, 1),
    await r.bitcount(k("a"), 0, 0), await r.exec(["BITFIELD", k("b"), "INCRBY", "u8", 0, 200, "OVERFLOW", "FAIL", "INCRBY", "u8", 0, 200]),
  ], [5, 7, "ello ", 0, 3, [200, null]]],
  ["a hash", async (r, k) => [
    await r.hset(k("a"), { n: 1, s: "grün", o: { p: [true] }, e: "" }), await r.hgetall(k("a")), await r.hget(k("a"), "s"),
    await r.hmget(k("a"), "n", "none"), await r.hincrby(k("a"), "n", 41), await r.hexists(k("a"), "none"), await r.hdel(k("a"), "e"),
    (await r.hkeys(k("a"))).sort(), await r.hvals(k("a")), await r.hlen(k("a")), await r.hgetall(k("none")),
  ], [4, { n: 1, s: "grün", o: { p: [true] }, e: "" }, "grün", { n: 1, none: null }, 42, 0, 1, ["n", "o", "s"], [42, "grün", { p: [true] }], 3, null]],
  ["a list", async (r, k) => [
    await r.rpush(k("a"), "b", { c: 1 }), await r.lpush(k("a"), "a"), await r.lrange(k("a"), 0, -1), await r.lindex(k("a"), 5),
    await r.lpos(k("a"), "b"), await r.lpop(k("a")), await r.rpop(k("a"), 5), await r.lpop(k("a")), await r.lrange(k("a"), 0, -1),
  ], [2, 3, ["a", "b", { c: 1 }], null, 1, "a", [{ c: 1 }, "b"], null, []]],
  ["a set", async (r, k) => [
    await r.sadd(k("a"), "x", 2, "ÿ"), (await r.smembers(k("a"))).map(String).sort(), await r.sismember(k("a"), 2),
    await r.smismember(k("a"), ["x", "y"]), await r.sadd(k("b"), "x"), await r.sdiffstore(k("c"), k("a"), k("b")), await r.spop(k("b")), await r.scard(k("c")),
  ], [3, ["2", "x", "ÿ"], 1, [1, 0], 1, 2, "x", 2]],
  ["a sorted set", async (r, k) => [
    await r.zadd(k("a"), { score: 1.5, member: "one" }, { score: -2, member: "two" }, { score: Number.MAX_SAFE_INTEGER, member: { t: 3 } }),
    await r.zrange(k("a"), 0, -1), await r.zrange(k("a"), 0, 1, { withScores: true }), await r.zrange(k("a"), 2, 0, { byScore: true, rev: true }),
    await r.zscore(k("a"), "one"), await r.zscore(k("a"), "none"), await r.zmscore(k("a"), ["two", "none"]), await r.zrank(k("a"), "one"),
    await r.zincrby(k("a"), 0.25, "one"), await r.zadd(k("a"), { gt: true, ch: true }, { score: 5, member: "one" }), await r.zpopmin(k("a")), await r.zcard(k("a")),
  ], [3, ["two", "one", { t: 3 }], ["two", -2, "one", 1.5], ["one"], 1.5, null, [-2, null], 1, 1.75, 1, ["two", -2], 2]],
  ["infinite scores", async (r, k) => [
    await r.zadd(k("a"), { score: "+inf", member: "top" }, { score: "-inf", member: "bottom" }), await r.zrange(k("a"), 0, -1, { withScores: true }),
  ], [2, ["bottom", "-inf", "top", "inf"]]],
  ["a stream", async (r, k) => [
    await r.xadd(k("a"), "1-1", { field: "a", other: 2 }), await r.xadd(k("a"), "1-2", { field: "b" }), await r.xrange(k("a"), "-", "+"), await r.xlen(k("a")),
  ], ["1-1", "1-2", { "1-1": { field: "a", other: 2 }, "1-2": { field: "b" } }, 2]],
  ["places", async (r, k) => [
    await r.geoadd(k("a"), { longitude: 13.361389, latitude: 38.115556, member: "Palermo" }),
    (await r.geopos(k("a"), "Palermo")).map((place) => Math.round(place.lng)), await r.exec(["GEOPOS", k("a"), "none"]),
  ], [1, [13], [null]]],
  ["reading a stream", async (r, k) => [
    await r.xadd(k("a"), "1-1", { field: "a" }), (await r.xread(k("a"), "0")).length, await r.xgroup(k("a"), { type: "CREATE", group: "g", id: "0" }),
    (await r.xreadgroup("g", "c", k("a"), ">")).length, await r.xread(k("none"), "0"),
  ], ["1-1", 1, "OK", 1, null]],
  ["numbers of all sizes, and half a character, beside others' calls", async (r, k) => {
    const numbers = [0, 1.5, 0.1 + 0.2, 1e20, 1e21, 1e-7, 5e-324, 2 ** 63, -(2 ** 64), Number.MAX_VALUE];
    await Promise.all(numbers.map((number, i) => r.set(k(`n${i}`), number)));
    const [half, ...read] = await Promise.all([r.set(k("half"), "a\ud83d"), ...numbers.map((number, i) => r.get(k(`n${i}`)))]);
    assert.deepEqual(read.map(Number), numbers);
    return [half, await r.get(k("half"))];
  }, ["OK", "a\ufffd"]],
  ["counting", async (r, k) => [await r.pfadd(k("a"), "a", "b", "c"), await r.pfcount(k("a"))], [1, 3]],
  ["scanning", async (r, k) => {
    await r.mset(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [k(`scan:${i}`), i])));
    const seen = new Set();
    let cursor = "0";
    do {
      const [next, keys] = await r.scan(cursor, { match: k("scan:*"), count: 50 });
      keys.forEach((key) => seen.add(key));
      cursor = next;
    } while (cursor !== "0");
    return seen.size;
  }, 300],
  ["scanning a hash, a set, a sorted set", async (r, k) => {
    await Promise.all([r.hset(k("h"), { f: "v", g: 2 }), r.sadd(k("s"), "m"), r.zadd(k("z"), { score: 3, member: "m" })]);
    return Promise.all([r.hscan(k("h"), 0), r.sscan(k("s"), 0), r.zscan(k("z"), 0)]);
  }, [["0", ["f", "v", "g", 2]], ["0", ["m"]], ["0", ["m", 3]]]],
  ["a long list", async (r, k) => {
    const members = Array.from({ length: 20_000 }, (_, i) => `member ${i}`);
    await r.rpush(k("a"), ...members);
    return assert.deepEqual(await r.lrange(k("a"), 0, -1), members);
  }, undefined],
  ["PING, ECHO, TIME, PUBLISH", async (r) => [await r.ping(), await r.echo("hé"), (await r.time()).length, await r.publish("nobody", { a: 1 })], ["PONG", "hé", 2, 0]],
  ["keys with everything in them", async (r, k) => [await r.set(k("a/b?c=d&e%20#\n🐏"), 1), await r.get(k("a/b?c=d&e%20#\n🐏"))], ["OK", 1]],
  ["a pipeline", (r, k) => r.pipeline().set(k("a"), 1).incr(k("a")).get(k("a")).get(k("none")).hset(k("h"), { x: "ü" }).hgetall(k("h")).lrange(k("l"), 0, -1).exec(),
    ["OK", 2, 2, null, 1, { x: "ü" }, []]],
  ["a pipeline of a thousand", async (r, k) => {
    const pipeline = r.pipeline();
    for (let i = 0; i < 1000; i += 1) {
      pipeline.incr(k("a"));
    }
    return assert.deepEqual(await pipeline.exec(), Array.from({ length: 1000 }, (_, i) => i + 1));
  }, undefined],
  ["a transaction", (r, k) => r.multi().set(k("a"), { v: 1 }).get(k("a")).incr(k("n")).get(k("none")).mget(k("a"), k("none")).exec(),
    ["OK", { v: 1 }, 1, null, [{ v: 1 }, null]]],
  ["many at once", async (r, k) => {
    const got = await Promise.all(Array.from({ length: 200 }, (_, i) => (i % 2 ? r.incr(k("n")) : r.set(k(`s${i}`), i))));
    return [got.filter((one) => one === "OK").length, got.filter((one) => one !== "OK").sort((a, b) => a - b).at(-1), await r.get(k("n"))];
  }, [100, 100, 100]],
];

test("values of @upstash/redis", { skip, timeout: patient(240000) }, async (t) => {
  const folder = makeFolder(t);
  const daemon = await startDaemon(t, folder, await startCluster(t, folder, { size: 1 }), "--redis-api", "loopback");

  for (const [mode, options] of Object.entries(modes)) {
    await t.test(mode, async (t) => {
      const redis = connect(daemon, options);
      for (const [i, [what, ask, wanted]] of values.entries()) {
        await t.test(what, async () => {
          const k = (name) => `${mode}:${i}:${name}`;
          assert.deepEqual(await ask(redis, k), wanted);
        });
      }
    });
  }

  await t.test("without its deserialization", async () => {
    for (const responseEncoding of [undefined, false]) {
      const redis = connect(daemon, { automaticDeserialization: false, responseEncoding });
      assert.deepEqual(
        [await redis.set("raw", 42), await redis.get("raw"), await redis.set("raw", { a: [1] }), await redis.get("raw"), await redis.incr("raw:n")],
        ["OK", "42", "OK", '{"a":[1]}', responseEncoding === undefined ? 1 : 2],
      );
      assert.deepEqual(await redis.mget("raw:n", "none", "raw"), [responseEncoding === undefined ? "1" : "2", null, '{"a":[1]}']);
    }
  });

  await t.test("bytes that are no text read the same in both encodings", async () => {
    const bytes = Buffer.alloc(20000);
    for (let i = 0, seed = 12345; i < bytes.length; i += 1) {
      seed = (seed * 1103515245 + 12345) % 2147483648; // parts of sequences of every kind, among ASCII
      bytes[i] = [seed >> 16, 0x80 + ((seed >> 16) & 0x3f), 0xe0 + ((seed >> 16) & 0x1f), 0x20 + ((seed >> 16) & 0x3f)][(seed >> 24) & 3];
    }
    const put = await fetch(`${daemon.base}/redis/set/bytes`, { method: "POST", body: bytes });
    assert.equal((await put.json()).result, "OK");
    const read = (responseEncoding) => connect(daemon, { automaticDeserialization: false, responseEncoding }).get("bytes");
    const [encoded, plain] = [await read(undefined), await read(false)];
    assert.equal(encoded, new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
    assert.equal(plain, encoded);
  });

  await t.test("commands called together are one request", async () => {
    const redis = connect(daemon);
    const { requests, restore } = countRequests();
    await Promise.all([redis.set("p1", 1), redis.incr("p2"), redis.sadd("p3", "x")]);
    restore();
    assert.deepEqual(requests, [`${daemon.base}/redis/pipeline`]);
  });
});

// Refusals of the server and of the daemon: what is asked, and our word. `command` is what the SDK puts behind it.
const refusals = [
  ["a wrong type", (r) => r.lpush("text", 1), "WRONGTYPE Operation against a key holding the wrong kind of value", ["lpush", "text", 1]],
  ["an unknown command", (r) => r.json.get("text", "$"), /^ERR unknown command 'JSON\.GET'/],
  ["too few arguments", (r) => r.hset("hash", {}), "ERR wrong number of arguments for 'hset' command", ["hset", "hash"]],
  ["an argument that is undefined", (r) => r.set("text"), "BADREQUEST argument 2: null; it takes strings, numbers and booleans", ["set", "text", null]],
  ["a dangerous command", (r) => r.flushall(), "NOPERM this daemon does not run 'flushall' for you: -@dangerous", ["flushall"]],
  ["a script", (r) => r.eval("return 1", [], []), "NOPERM this daemon does not run 'eval' for you: -@scripting", ["eval", "return 1", 0]],
  ["a script by its digest", (r) => r.createScript("return 1").exec([], []), /^NOPERM this daemon does not run 'evalsha' for you: -@scripting/],
  ["what blocks", (r) => r.exec(["BLPOP", "list", "1"]), /^NOPERM this daemon does not run 'blpop' for you: never: it blocks/],
  ["what would block", (r) => r.exec(["XREAD", "BLOCK", "0", "STREAMS", "stream", "$"]), /^NOPERM this daemon does not run 'xread' for you: never with BLOCK/],
  ["Sentinels' own channel", (r) => r.publish("__sentinel__:hello", "x"), /^NOPERM this daemon does not run 'publish' for you: never to channels of __sentinel__/],
  ["what changes the connection", (r) => r.exec(["SELECT", "1"]), /^NOPERM this daemon does not run 'select' for you: never: it changes/],
  ["the empty command", (r) => r.exec([]), /^BADREQUEST .*, command was: \[\]$/],
];

const refuses = (asked, message) => assert.rejects(asked, { name: "UpstashError", message });

test("errors of @upstash/redis", { skip, timeout: patient(120000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder, { size: 1 });
  const timeout = patient(2500); // longer than a machine stands still, shorter than a Sentinel waits
  const daemon = await startDaemon(t, folder, cluster, "--redis-api", "loopback", "--command-timeout", `${timeout}ms`);
  const redis = connect(daemon);
  const plain = connect(daemon, plainly);
  await redis.set("text", "a");

  await t.test("one request a command: our words, then the command", async (t) => {
    for (const [what, ask, word, command] of refusals) {
      await t.test(what, () => refuses(ask(plain), command ? `${word}, command was: ${JSON.stringify(command)}` : word));
    }
  });

  await t.test("in a pipeline of its own making", async () => {
    const wrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";
    await refuses(redis.lpush("text", 1), `Command failed: ${wrongType}`);
    const all = await Promise.allSettled([redis.incr("fine"), redis.lpush("text", 1), redis.eval("return 1", [], []), redis.incr("fine")]);
    assert.deepEqual(all.map(({ value, reason }) => value ?? reason.message), [
      1, `Command failed: ${wrongType}`, "Command failed: NOPERM this daemon does not run 'eval' for you: -@scripting", 2,
    ], "one does not spoil the others");
  });

  await t.test("in a pipeline: the first is thrown, or all are told", async () => {
    const pipeline = () => redis.pipeline().incr("pipe").lpush("text", 1).flushall().incr("pipe");
    await refuses(pipeline().exec(), "Command 2 [ lpush ] failed: WRONGTYPE Operation against a key holding the wrong kind of value");
    assert.deepEqual(await pipeline().exec({ keepErrors: true }), [
      { error: undefined, result: 3 },
      { error: "WRONGTYPE Operation against a key holding the wrong kind of value", result: undefined },
      { error: "NOPERM this daemon does not run 'flushall' for you: -@dangerous", result: undefined },
      { error: undefined, result: 4 },
    ]);
  });

  await t.test("in a transaction: what fails as it runs, what is discarded, what is denied", async () => {
    await refuses(redis.multi().incr("multi").lpush("text", 1).exec(), "Command 2 [ lpush ] failed: WRONGTYPE Operation against a key holding the wrong kind of value");
    assert.equal(await redis.get("multi"), 1, "as in Redis, the others ran");
    await refuses(redis.multi().incr("multi").hset("hash", {}).exec(), /^EXECABORT .*wrong number of arguments.*, command was: \[\[/);
    await refuses(
      redis.multi().incr("multi").flushall().exec(),
      `NOPERM command 2: this daemon does not run 'flushall' for you: -@dangerous, command was: ${JSON.stringify([["incr", "multi"], ["flushall"]])}`,
    );
    assert.equal(await redis.get("multi"), 1, "nothing of these ran");
  });

  await t.test("a subscription ends with our refusal", async () => {
    const subscriber = plain.subscribe("channel");
    const error = await new Promise((done) => subscriber.on("error", done));
    assert.match(error.message, /^NOPERM this daemon does not run 'subscribe' for you: -@pubsub; the option commands takes \+subscribe/);
  });

  await t.test("a body over max-body", async () => {
    await refuses(plain.set("large", "x".repeat(10 * 2 ** 20)), /^TOOBIG .*max-body/);
  });

  await t.test("another path, another master", async () => {
    const at = (path) => new Redis({ url: daemon.base + path, token: "any", enableTelemetry: false, ...plainly });
    assert.equal(await at("/masters/mymaster/redis").get("text"), "a");
    await refuses(at("/masters/none/redis").get("text"), /^NOMASTER no master of the name none is watched/);
    assert.equal(await at("/redis/").get("text"), "a", "the SDK drops a slash at the end");
    await refuses(at("/replica/redis").get("text"), /^NOTSENT there is no healthy replica/);
  });

  await t.test("a master that does not answer: UNKNOWN", async (t) => {
    cluster.nodes[0].process.kill("SIGSTOP");
    const go = () => cluster.nodes[0].process.kill("SIGCONT");
    t.after(go);
    const all = await Promise.allSettled([plain.incr("stopped"), redis.incr("stopped"), redis.multi().incr("stopped").exec()]);
    go();
    const unknown = `UNKNOWN 127.0.0.1:${cluster.nodes[0].port} did not answer within ${timeout} ms; it may have run`;
    assert.deepEqual(all.map(({ reason }) => reason.message), [
      `${unknown}, command was: ["incr","stopped"]`, `Command failed: ${unknown}`, `${unknown}, command was: [["incr","stopped"]]`,
    ]);
    const value = await until("it answers again", 20000, () => redis.get("stopped").catch(() => undefined));
    assert.equal(value, 3, "it had run, and once each");
  });

  await t.test("no master: NOMASTER", async () => {
    await cluster.nodes[0].stop("SIGKILL");
    await until("the daemon has noticed", 20000, async () => (await fetch(`${daemon.base}/master`)).status === 503);
    const { requests, restore } = countRequests();
    const all = await Promise.allSettled([plain.incr("stopped"), redis.incr("stopped"), redis.pipeline().get("text").exec()]);
    restore();
    for (const [i, before] of ["", "Command failed: ", "Command 1 [ get ] failed: "].entries()) {
      assert.match(all[i].reason.message, new RegExp(`^${before.replaceAll(/[[\]]/g, "\\$&")}NOMASTER no master within ${timeout} ms: `));
    }
    assert.equal(requests.length, 3, "an answer is final: the SDK repeats nothing");
    await cluster.nodes[0].start();
    await until("it comes back by itself", 20000, () => redis.set("text", "again").catch(() => undefined));
  });
});

test("tokens and rules with @upstash/redis", { skip, timeout: patient(120000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder, { size: 1 });
  const [all, some] = [join(folder, "token"), join(folder, "read-only-token")];
  writeFileSync(all, "full-one\nfull-two\n");
  writeFileSync(some, "reader\n");
  const daemon = await startDaemon(
    t, folder, cluster, "--redis-api", "token", "--token-file", all, "--read-only-token-file", some, "--commands", "+@all -@dangerous",
  );
  const as = (token, more) => connect(daemon, { token, ...more });

  await t.test("either token", async () => {
    assert.equal(await as("full-one").set("who", "me"), "OK");
    assert.equal(await as("full-two").get("who"), "me");
  });

  await t.test("a wrong one", async () => {
    for (const more of [{}, plainly]) {
      await refuses(as("full-thre", more).get("who"), /^NOAUTH .*, command was: /);
    }
    await refuses(as("full-thre").multi().get("who").exec(), /^NOAUTH /);
  });

  await t.test("the read-only one", async () => {
    const reader = as("reader");
    assert.deepEqual([await reader.get("who"), await reader.ping(), await reader.mget("who", "none")], ["me", "PONG", ["me", null]]);
    await refuses(reader.set("who", "you"), "Command failed: NOPERM this daemon does not run 'set' for you: the token is read-only");
    await refuses(reader.multi().get("who").set("who", "you").exec(), /^NOPERM command 2: .* the token is read-only/);
    assert.equal(await reader.get("who"), "me");
  });

  await t.test("scripts where the rules allow them", async () => {
    const redis = as("full-one", plainly);
    assert.equal(await redis.eval("return {KEYS[1], ARGV[1], 3}", ["key"], ["ä"]).then(JSON.stringify), JSON.stringify(["key", "ä", 3]));
    const script = redis.createScript("return redis.call('incrby', KEYS[1], ARGV[1])");
    assert.deepEqual([await script.exec(["counter"], [5]), await script.exec(["counter"], [5])], [5, 10], "EVALSHA, EVAL after NOSCRIPT, and EVALSHA");
    await refuses(redis.eval("return redis.error_reply('OWN words')", [], []), /^OWN words, command was: /);
  });
});

// What a connection that is dropped would do: the reason for never dropping one.
test("a request over a dropped connection is repeated by @upstash/redis", { skip, timeout: patient(30000) }, async (t) => {
  let requests = 0;
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      requests += 1;
      socket.destroy();
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  atEnd(t, () => server.close());
  const base = `http://127.0.0.1:${server.address().port}`;
  for (const [retry, times] of [[{ retries: 3, backoff: () => 1 }, 4], [false, 2]]) {
    requests = 0;
    await assert.rejects(connect({ base }, { retry, ...plainly }).incr("counter"), { name: "TypeError" });
    assert.equal(requests, times);
  }
});
