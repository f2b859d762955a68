// The packages that people build on Upstash's REST interface, all in use at once while the master is killed, and while
// another takes over as planned; each with a daemon that allows what it needs and no more.
import assert from "node:assert/strict";
import { test } from "node:test";
import { packages } from "./packages.mjs";
import { atEnd, findProgram, ifMissing, makeFolder, patient, redis as tell, startCluster, startDaemon, until } from "./support.mjs";

const { Redis, missing } = await import("@upstash/redis").catch(ifMissing);
const lacking = [missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);

for (const one of packages) {
  one.parts = await one.load().catch(ifMissing).catch((fault) => ({ fault }));
}
const usable = packages.filter(({ parts }) => !parts.missing && !parts.fault);

const configOf = (daemon) => ({ url: `${daemon.base}/redis`, token: "any", enableTelemetry: false });
const rulesOf = (words) => ["default", ...words].join(" ");

const masterOf = async ({ base }) => (await (await fetch(`${base}/master?format=json`)).json()).port;
const number = (text, name) => Number(new RegExp(`^${name}[: ](\\d+)\\r?$`, "m").exec(text)?.[1]);

/** Until the replicas have all that the master has acknowledged by now. */
async function replicated(cluster, master) {
  const wanted = number(await tell(master, "INFO replication"), "master_repl_offset");
  for (const { port } of cluster.nodes.filter(({ port }) => port !== master)) {
    await until(`the replica on ${port} has it`, 20000, async () => {
      const info = await tell(port, "INFO replication");
      return !info || number(info, "slave_repl_offset") >= wanted; // no answer: it is dead
    });
  }
}

// Requests of which the connection broke: the SDK would run them again.
function countDropped(t) {
  const real = globalThis.fetch;
  const dropped = [];
  globalThis.fetch = (...asked) => real(...asked).catch((error) => {
    if (`${asked[0]}`.includes("/redis")) {
      dropped.push(`${asked[0]}: ${error.cause ?? error}`);
    }
    throw error;
  });
  atEnd(t, () => (globalThis.fetch = real));
  return dropped;
}

test("packages on /redis through failovers", { skip: lacking.length > 0 && `${lacking.join(" and ")} is missing`, timeout: patient(480000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const flags = ["--redis-api", "loopback", "--command-timeout", `${patient(60000)}ms`];
  const daemons = new Map();
  for (const rules of new Set(usable.map((one) => rulesOf(one.rules)))) {
    daemons.set(rules, await startDaemon(t, folder, cluster, ...flags, "--commands", rules));
  }
  const [first] = daemons.values();
  const dropped = countDropped(t);
  const every = setInterval;
  t.mock.method(globalThis, "setInterval", (...asked) => every(...asked).unref()); // @upstash/realtime never clears its own
  const complaints = t.mock.method(console, "error", () => {}).mock; // where some of them write their errors

  for (const { name, parts } of packages.filter((one) => !usable.includes(one))) {
    await t.test(name, { skip: parts.missing && `${parts.missing} is missing` }, () => assert.fail(parts.fault));
  }

  await t.test("each word of its rules is needed", async (t) => {
    for (const { name, rules, parts, denied } of usable.filter((one) => one.rules.length > 0)) {
      for (const word of rules) {
        await t.test(`${name}: ${word}`, async (t) => {
          const without = rulesOf(rules.filter((other) => other !== word));
          const daemon = daemons.get(without) ?? await startDaemon(t, folder, cluster, ...flags, "--commands", without);
          const says = new RegExp(`NOPERM this daemon does not run '${word.slice(1).split("|")[0]}' for you`);
          await assert.rejects(async () => denied[word](parts, new Redis(configOf(daemon))), (error) => says.test(error.message) || assert.fail(error));
        });
      }
    }
  });

  // As those of @upstash/ratelimit from 2.1 on, which is why an older one is pinned here.
  await t.test("scripts marked for Upstash's own servers are refused by others", async () => {
    const daemon = daemons.get(rulesOf(["+eval"])) ?? await startDaemon(t, folder, cluster, ...flags, "--commands", rulesOf(["+eval"]));
    const script = "#!lua flags=allow-key-locking\nreturn 1";
    await assert.rejects(new Redis(configOf(daemon)).eval(script, [], []), /ERR .*allow-key-locking/);
  });

  const inFlight = async () => {
    const texts = await Promise.all([...daemons.values()].map(async ({ base }) => (await fetch(`${base}/metrics`)).text()));
    return texts.reduce((sum, text) => sum + number(text, "bellwether_pool_inflight"), 0);
  };

  /** All of them while `fail` makes another node the master; with `whole` nothing that was acknowledged may be lost. */
  const passThrough = async (t, kind, whole, fail) => {
    const master = await until("there is a master", 10000, () => masterOf(first));
    const running = [];
    for (const { name, rules, parts, start } of usable) {
      const config = configOf(daemons.get(rulesOf(rules)));
      const connect = (more) => new Redis({ ...config, ...more });
      running.push({ name, ...await start(parts, { connect, config, run: `${kind}:${name.replace(/[^\w]+/g, "-")}`, patience: patient(1) }) });
    }
    const all = running.flatMap(({ name, uses }) => uses.map((use, i) => ({ name: `${name} ${i}`, use })));
    atEnd(t, () => all.forEach(({ use }) => void use.stop())); // where the test ends early
    const goOn = (what) => {
      const begin = all.map(({ use }) => use.done.length);
      return until(what, 80000, () => all.every(({ use }, i) => use.done.length >= begin[i] + 5));
    };

    await goOn("all are in use");
    const calm = performance.now();
    await replicated(cluster, master);
    await fail(master);
    for (const daemon of daemons.values()) {
      await until("there is a new master", 90000, async () => ![master, undefined].includes(await masterOf(daemon)));
    }
    const over = performance.now();
    await goOn("all go on");
    await Promise.all(all.map(({ use }) => use.stop()));

    const before = ({ at }) => at < calm;
    const sure = (entry) => whole || before(entry) || entry.began >= over; // what a crash can't have undone
    for (const { name, uses, check } of running) {
      await t.test(name, async () => {
        for (const { error } of uses.flatMap(({ errors }) => errors.filter((entry) => sure(entry) || !(entry.error instanceof assert.AssertionError)))) {
          throw error;
        }
        await check({ whole, sure, before });
      });
    }
    for (const { arguments: words } of complaints.calls) {
      assert.match(words.map(String).join(" "), /\bUNKNOWN |^\(node:\d+\) /); // Node 18 warns of its own abort signals
    }
    complaints.resetCalls();
    assert.deepEqual(dropped, [], "no connection was dropped");
    const told = all.map(({ use }) => [use.done.length, use.unknown.length]);
    const [done, unknown] = [0, 1].map((i) => told.reduce((sum, one) => sum + one[i], 0));
    t.diagnostic(`${done} uses of ${running.length} packages, ${unknown} unknown; ${Math.round(over - calm)} ms to the new master`);
    return unknown;
  };

  await t.test("the master is killed", async (t) => {
    const unknown = await passThrough(t, "crash", false, async (master) => {
      const node = cluster.nodes.find(({ port }) => port === master);
      node.process.kill("SIGSTOP"); // so that it dies with commands before it
      await until("commands are in flight", 20000, async () => (await inFlight()) >= 3);
      await node.stop("SIGKILL");
    });
    assert.ok(unknown > 0, "what was in flight is told as unknown");
  });

  await t.test("a planned failover", async (t) => {
    await passThrough(t, "planned", true, () =>
      until("the Sentinel accepts", 60000, async () => (await tell(cluster.sentinels[0].port, "SENTINEL FAILOVER mymaster")).startsWith("+OK")));
  });
});
