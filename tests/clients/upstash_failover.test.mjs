// @upstash/redis in all its ways of writing and reading, without pause, while connections to the master are cut, through a
// crash of the master, and through a planned failover: what comes to the caller, what ran, and whether anything ran twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { atEnd, findProgram, ifMissing, makeFolder, nap, patient, redis as tell, startCluster, startDaemon, until } from "./support.mjs";

const { Redis, missing } = await import("@upstash/redis").catch(ifMissing);
const lacking = [missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);

const plainly = { enableAutoPipelining: false };

// One INCR and one RPUSH of `id`: [promise of the INCR, promise of the RPUSH]; in a transaction they are one.
const ways = {
  "as it comes": [{}, (r, keys, id) => [r.incr(keys.counter), r.rpush(keys.list, id)]],
  "one request a command": [plainly, (r, keys, id) => {
    const first = r.incr(keys.counter);
    return [first, first.catch(() => {}).then(() => r.rpush(keys.list, id))];
  }],
  "a pipeline": [{}, (r, keys, id) => {
    const all = r.pipeline().incr(keys.counter).rpush(keys.list, id).exec({ keepErrors: true });
    return [0, 1].map((i) => all.then((list) => list[i].error && Promise.reject(new Error(list[i].error))));
  }],
  "a transaction": [{ responseEncoding: false }, (r, keys, id) => {
    const all = r.multi().incr(keys.counter).rpush(keys.list, id).exec();
    return [all, all];
  }],
};

/** Writers and readers on a daemon until `stop`; what became of each command is in their lists. */
function startLoad(daemon, run) {
  const load = { ended: false, writers: [], readers: [] };
  const connect = (more) => new Redis({ url: `${daemon.base}/redis`, token: "any", enableTelemetry: false, ...more });
  const timed = async (person, work) => {
    const began = performance.now();
    const result = await work();
    person.rounds += 1;
    person.longest = Math.max(person.longest, performance.now() - began);
    return result;
  };
  const write = async (writer, client, ask) => {
    for (let i = 0; !load.ended; i += 1) {
      const outcomes = await timed(writer, () => Promise.allSettled(ask(client, writer.keys, i)));
      outcomes.forEach(({ reason }, which) => {
        if (!reason) {
          writer.done[which].push(i);
        } else if (/\bUNKNOWN /.test(reason.message)) {
          writer.unknown[which].push(i);
        } else {
          writer.errors.push(reason.message);
        }
      });
    }
  };
  const read = async (reader, client, key) => {
    while (!load.ended) {
      try {
        reader.values.push(Number(await timed(reader, () => client.get(key))));
      } catch (error) {
        reader.errors.push(error.message);
      }
    }
  };
  const going = Object.entries(ways).map(([way, [options, ask]]) => {
    const keys = { counter: `${run}:counter:${way}`, list: `${run}:list:${way}` };
    const writer = { name: `${run}: ${way}`, keys, done: [[], []], unknown: [[], []], errors: [], rounds: 0, longest: 0 };
    load.writers.push(writer);
    return write(writer, connect(options), ask);
  });
  for (const options of [{}, plainly]) {
    const reader = { values: [], errors: [], rounds: 0, longest: 0 };
    load.readers.push(reader);
    going.push(read(reader, connect(options), `${run}:counter:as it comes`));
  }
  load.progress = () => Math.min(...load.writers.map(({ done }) => done[1].length), ...load.readers.map(({ values }) => values.length));
  load.stop = () => {
    load.ended = true;
    return Promise.all(going);
  };
  return load;
}

// What is in Redis of what a writer wrote, against what it was told: how many were acknowledged and lost (with `whole` there
// may be none), how many unknown ones did run.
async function settle(client, { name, keys, done, unknown }, whole) {
  const [count, list] = [Number((await client.get(keys.counter)) ?? 0), (await client.lrange(keys.list, 0, -1)).map(Number)];
  const told = `${count} counted, ${done[0].length} acknowledged, ${unknown[0].length} unknown`;
  assert.ok(count <= done[0].length + unknown[0].length, `${name}: an INCR ran twice: ${told}`);
  assert.ok(list.every((id, i) => i === 0 || id > list[i - 1]), `${name}: each id once and in order`);
  const may = new Set([...done[1], ...unknown[1]]);
  assert.ok(list.every((id) => may.has(id)), `${name}: nothing ran that was refused`);
  const there = new Set(list);
  const lost = done[1].filter((id) => !there.has(id)).length;
  if (whole) {
    assert.ok(count >= done[0].length, `${name}: ${told}`);
    assert.equal(lost, 0, `${name}: acknowledged and lost`);
  }
  if (name.endsWith("transaction")) {
    assert.equal(count, list.length, `${name}: both or none`);
  }
  return { lost, secret: list.filter((id) => unknown[1].includes(id)).length };
}

// Requests of which the connection broke: the SDK would run them again.
function countDropped(t) {
  const real = globalThis.fetch;
  const dropped = [];
  globalThis.fetch = (...asked) => real(...asked).catch((error) => {
    dropped.push(`${asked[0]}: ${error.cause ?? error}`);
    throw error;
  });
  atEnd(t, () => (globalThis.fetch = real));
  return dropped;
}

test("@upstash/redis through failovers", { skip: lacking.length > 0 && `${lacking.join(" and ")} is missing`, timeout: patient(480000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const flags = ["--redis-api", "loopback", "--command-timeout", `${patient(60000)}ms`];
  const daemons = {
    announced: await startDaemon(t, folder, cluster, ...flags),
    promoted: await startDaemon(t, folder, cluster, ...flags, "--adopt", "promoted"),
  };
  const dropped = countDropped(t);
  const masterOf = async (daemon) => {
    const answer = await fetch(`${daemon.base}/master`);
    return answer.ok ? (await answer.json()).port : undefined;
  };

  // The load on each daemon while `fail` does its worst. `whole`: nothing acknowledged may be lost by it. Gives how many
  // commands were told as unknown.
  const passThrough = async (t, kind, whole, fail) => {
    const loads = Object.entries(daemons).map(([adopt, daemon]) => ({ adopt, daemon, ...startLoad(daemon, `${kind}, ${adopt}`) }));
    const goOn = async (what) => {
      const marks = loads.map((load) => load.progress() + 20);
      await until(what, 80000, () => loads.every((load, i) => load.progress() >= marks[i]));
    };
    try {
      await goOn("all write and read");
      await fail(loads);
      await goOn("all write and read again");
    } finally {
      await Promise.all(loads.map((load) => load.stop()));
    }
    const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
    let unknown = 0;
    for (const { adopt, daemon, writers, readers } of loads) {
      const client = new Redis({ url: `${daemon.base}/redis`, token: "any", enableTelemetry: false });
      const settled = [];
      for (const writer of writers) {
        assert.deepEqual(writer.errors, [], `${writer.name}: no error but UNKNOWN`);
        settled.push(await settle(client, writer, whole));
      }
      for (const { values, errors } of readers) {
        assert.deepEqual(errors, [], `${kind}, ${adopt}: reads are never refused`);
        assert.ok(!whole || values.every((value, i) => i === 0 || value >= values[i - 1]), "what was read once is not gone later");
      }
      const unknownHere = sum(writers.flatMap((writer) => writer.unknown.map((ids) => ids.length)));
      const longest = (people) => Math.round(Math.max(...people.map((one) => one.longest)));
      t.diagnostic(
        `--adopt ${adopt}: ${sum(writers.flatMap(({ done }) => done.map((ids) => ids.length)))} writes acknowledged, ` +
          `${unknownHere} unknown, of which ${sum(settled.map(({ secret }) => secret))} of the RPUSH had run, ` +
          `${sum(settled.map(({ lost }) => lost))} lost; longest wait of a write ${longest(writers)} ms, of a read ${longest(readers)} ms`,
      );
      unknown += unknownHere;
    }
    assert.deepEqual(dropped, [], "no connection was dropped");
    return unknown;
  };

  const inFlight = async (daemon) => Number(/^bellwether_pool_inflight (\d+)$/m.exec(await (await fetch(`${daemon.base}/metrics`)).text())[1]);
  const switched = async (before) => {
    for (const [adopt, daemon] of Object.entries(daemons)) {
      await until(`${adopt}: there is a new master`, 90000, async () => ![before, undefined].includes(await masterOf(daemon)));
    }
  };

  // What the master has run by then and not yet answered has run without anybody knowing.
  await t.test("connections are cut", async (t) => {
    const master = await until("there is a master", 10000, () => masterOf(daemons.announced));
    const unknown = await passThrough(t, "cut", true, async (loads) => {
      const people = loads.flatMap(({ writers, readers }) => [...writers, ...readers]);
      const hit = () => loads.some(({ writers }) => writers.some(({ unknown: ids }) => ids.flat().length > 0));
      for (let i = 0; i < 30 || (i < 300 && !hit()); i += 1) {
        await tell(master, "CLIENT KILL TYPE normal");
        await nap(100);
        // What is lost three times running is not sent again: all that was under way has come to an end.
        const marks = people.map(({ rounds }) => rounds);
        await until("each has gone on", 20000, () => people.every(({ rounds }, one) => rounds > marks[one]));
      }
    });
    assert.ok(unknown > 0, "some were in flight");
  });

  // Frozen first, so that it dies with commands of everybody's before it.
  await t.test("the master is killed", async (t) => {
    const master = await until("there is a master", 10000, () => masterOf(daemons.announced));
    const unknown = await passThrough(t, "crash", false, async () => {
      const node = cluster.nodes.find(({ port }) => port === master);
      node.process.kill("SIGSTOP");
      for (const daemon of Object.values(daemons)) {
        // Of all six, or of those that were sent before the daemon held commands back.
        await until("commands are in flight", 20000, async () => (await inFlight(daemon)) >= ((await masterOf(daemon)) ? 6 : 1));
      }
      await node.stop("SIGKILL");
      await switched(master);
    });
    assert.ok(unknown > 0, "what was in flight is told as unknown");
  });

  await t.test("a planned failover", async (t) => {
    const master = await until("there is a master", 10000, () => masterOf(daemons.announced));
    await passThrough(t, "planned", true, async () => {
      await until("the Sentinel accepts", 60000, async () => (await tell(cluster.sentinels[0].port, "SENTINEL FAILOVER mymaster")).startsWith("+OK"));
      await switched(master);
    });
  });
});
