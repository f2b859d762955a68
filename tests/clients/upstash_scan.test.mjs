// @upstash/redis scanning over replicas that take turns and several workers, in all its ways of sending, and through a failover:
// whole, or told that the scan is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { findProgram, ifMissing, makeFolder, redis as tell, startCluster, startDaemon, until } from "./support.mjs";

const { Redis, missing } = await import("@upstash/redis").catch(ifMissing);
const lacking = [missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);

const size = 3000;
const kinds = {
  scan: (r, cursor) => r.scan(cursor, { match: "k*", count: 100 }),
  sscan: (r, cursor) => r.sscan("set", cursor, { count: 100 }),
  hscan: (r, cursor) => r.hscan("hash", cursor, { count: 100 }),
  zscan: (r, cursor) => r.zscan("sorted", cursor, { count: 100 }),
};

/** What a scan finds. @param afterwards is awaited after each call. */
async function collect(client, kind, afterwards = () => {}) {
  const found = new Set();
  let cursor = "0";
  do {
    const [next, elements] = await kinds[kind](client, cursor);
    assert.match(next, /^\d+$/);
    assert.ok(Number.isSafeInteger(Number(next)), next);
    elements.filter((_, i) => i % 2 === 0 || !/[hz]scan/.test(kind)).forEach((element) => found.add(String(element)));
    cursor = Math.random() < 0.5 ? next : Number(next); // as careless callers have it
    await afterwards(found);
  } while (String(cursor) !== "0");
  return found;
}

test("@upstash/redis scans", { skip: lacking.length > 0 && `missing: ${lacking.join(", ")}` }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const daemon = await startDaemon(t, folder, cluster, "--redis-api", "loopback", "--workers", "2");
  const connect = (path, more) => new Redis({ url: `${daemon.base}${path}`, token: "any", enableTelemetry: false, ...more });
  const master = connect("/redis");
  const numbers = Array.from({ length: size }, (_, i) => i);

  await master.mset(Object.fromEntries(numbers.map((i) => [`k${i}`, i])));
  await master.sadd("set", ...numbers);
  await master.hset("hash", Object.fromEntries(numbers.map((i) => [`f${i}`, i])));
  await master.zadd("sorted", ...numbers.map((i) => ({ score: i, member: `m${i}` })));
  await until("the replicas have it all", 30000, async () => {
    const { replicas } = await (await fetch(`${daemon.base}/replicas`)).json();
    const told = await Promise.all(cluster.nodes.map(({ port }) => tell(port, "ZCARD sorted")));
    return replicas?.length === 2 && replicas.every(({ healthy }) => healthy) && told.every((text) => text === `:${size}\r\n`);
  });

  const ways = { "as it comes": {}, "one request a command": { enableAutoPipelining: false }, "without base64": { responseEncoding: false } };
  for (const [way, more] of Object.entries(ways)) {
    await t.test(`on replicas, ${way}, eight at a time`, async () => {
      const clients = [connect("/replica/redis", more), connect("/replica/redis", more)];
      const found = await Promise.all(clients.flatMap((client) => Object.keys(kinds).map((kind) => collect(client, kind))));
      assert.deepEqual(found.map((elements) => elements.size), Array(8).fill(size));
    });
  }

  await t.test("a failover in the middle", async () => {
    const masterNow = async () => {
      const answer = await fetch(`${daemon.base}/master?format=text`);
      return answer.ok && answer.text();
    };
    const before = await until("there is a master", 10000, masterNow);
    const switched = async () => ![before, false].includes(await masterNow());
    let asked = false;
    const fail = async (found) => {
      if (!asked && found.size > 300) {
        asked = true;
        await until("a Sentinel begins", 40000, async () => (await tell(cluster.sentinels[0].port, "SENTINEL FAILOVER mymaster")).startsWith("+OK"));
        await until("there is a new master", 90000, switched);
      }
    };
    await assert.rejects(collect(master, "scan", fail), /\bSCANLOST /);
    assert.equal((await collect(master, "scan")).size, size);
  });
});
