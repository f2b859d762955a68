// What @upstash/redis sends beside commands: sync tokens, by which it reads what it wrote, and URLs that end with a slash or a query.
import assert from "node:assert/strict";
import { test } from "node:test";
import { findProgram, ifMissing, makeFolder, patient, startCluster, startDaemon, until } from "./support.mjs";

const { Redis, missing } = await import("@upstash/redis").catch(ifMissing);
const lacking = [missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);
const skip = lacking.length > 0 && `missing: ${lacking.join(", ")}`;

const connect = (url, more = {}) => new Redis({ url, token: "any", enableTelemetry: false, ...more });

// Calls `work`, and returns the headers and answers of the requests that it made.
async function watch(work) {
  const real = globalThis.fetch;
  const seen = [];
  globalThis.fetch = async (url, init) => {
    const answer = await real(url, init);
    seen.push({ url, sent: init.headers["upstash-sync-token"], token: answer.headers.get("upstash-sync-token"), node: answer.headers.get("x-bellwether-master") });
    return answer;
  };
  try {
    await work();
  } finally {
    globalThis.fetch = real;
  }
  return seen;
}

test("sync tokens of @upstash/redis", { skip, timeout: patient(120000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const { base } = await startDaemon(t, folder, cluster, "--redis-api", "loopback", "--workers", "2");
  const master = await until("there is a master", 10000, async () => (await (await fetch(`${base}/master`)).json()).address);
  await until("both replicas are healthy", 30000, async () => {
    const { replicas } = await (await fetch(`${base}/replicas`)).json();
    return replicas?.length === 2 && replicas.every(({ healthy }) => healthy);
  });

  await t.test("each write changes the token, reads keep it", async () => {
    for (const more of [{}, { enableAutoPipelining: false }]) {
      const redis = connect(`${base}/redis`, more);
      assert.equal(redis.readYourWritesSyncToken, "");
      assert.equal(await redis.get("none"), null);
      assert.equal(redis.readYourWritesSyncToken, "");
      const tokens = [];
      for (const write of [() => redis.set("k", 1), () => redis.incr("k"), () => redis.pipeline().incr("k").exec(), () => redis.multi().incr("k").exec()]) {
        await write();
        tokens.push(redis.readYourWritesSyncToken);
        await redis.get("k");
        assert.equal(redis.readYourWritesSyncToken, tokens.at(-1));
      }
      assert.equal(new Set(tokens).size, 4, tokens.join(" "));
      assert.ok(tokens.every((token) => /^w[0-9a-f]{16}$/.test(token)), tokens.join(" "));
    }
  });

  await t.test("a client of replicas that is handed the token reads from the master", async () => {
    const writer = connect(`${base}/redis`);
    const reader = connect(`${base}/replica/redis`, { enableAutoPipelining: false });
    for (let i = 0; i < 20; i += 1) {
      await writer.set("counted", i);
      reader.readYourWritesSyncToken = writer.readYourWritesSyncToken;
      const [{ sent, node, token }] = await watch(async () => assert.equal(await reader.get("counted"), i));
      assert.equal(node, master);
      assert.equal(sent, writer.readYourWritesSyncToken);
      assert.equal(token, sent);
    }
    const others = await watch(() => connect(`${base}/replica/redis`).get("counted"));
    assert.notEqual(others[0].node, master);
    assert.equal(others[0].token, null);
  });
});

test("URLs that @upstash/redis is given", { skip, timeout: patient(120000) }, async (t) => {
  const folder = makeFolder(t);
  const { base } = await startDaemon(t, folder, await startCluster(t, folder, { size: 1 }), "--redis-api", "loopback");

  for (const end of ["", "/", "//", "?retry=always", "/?retry=always", "?retry=always&_token=any", "?"]) {
    await t.test(`/redis${end}`, async () => {
      const redis = connect(`${base}/redis${end}`);
      const plain = connect(`${base}/redis${end}`, { enableAutoPipelining: false });

      assert.equal(await redis.set("k", "v"), "OK");
      assert.equal(await plain.get("k"), "v");
      assert.deepEqual(await redis.pipeline().get("k").strlen("k").exec(), ["v", 1]);
      assert.deepEqual(await redis.multi().get("k").strlen("k").exec(), ["v", 1]);
    });
  }
  await t.test("what is wrong with a query is said", async () => {
    await assert.rejects(connect(`${base}/redis?retry=never`).get("k"), /BADREQUEST the query parameter retry is "never"; it takes always/);
  });
});
