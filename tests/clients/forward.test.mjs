// Redis clients of many languages, unchanged, through --forward and four failovers of one deployment: a planned one, a
// crash, a master that freezes, and a crash after which there is no master for long. The programs in forward/ write, listen
// and pop all the while, none is started again, and what each was told is compared with what Redis has afterwards. A client
// that is not installed costs its own test only; one that is and does not work fails.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { atEnd, findProgram, freePort, has, makeFolder, patient, redis as tell, run, startCluster, startDaemon, until } from "./support.mjs";

const home = fileURLToPath(new URL("forward/", import.meta.url));
const without = (fine, what) => (fine ? undefined : `${what} is missing`);
// Whether `code` finds a library: where there is none it exits with 44 and says nothing. What is there and broken is not
// skipped, so its test fails.
const finds = (program, option, code) => {
  const { status, stdout, stderr } = findProgram(program) ? spawnSync(program, [option, code]) : { status: 44 };
  return status !== 44 || stdout?.length > 0 || stderr?.length > 0;
};
const python = ["python3", "/usr/bin/python3"].find((one) =>
  finds(one, "-c", "import importlib.util, sys; sys.exit(0 if importlib.util.find_spec('redis') else 44)"));
const phpExtension = () => without(finds("php", "-r", "exit(extension_loaded('redis') ? 0 : 44);"), "php-cli or php-redis");
const rubyFinds = (name) => finds("ruby", "-e", `begin; require "${name}"; rescue LoadError => e; exit 44 if e.path == "${name}"; raise; end`);
const sources = "/usr/share/gocode";
const pkgConfigPath = [resolve("build/deps/lib/pkgconfig"), process.env.PKG_CONFIG_PATH].filter(Boolean).join(":");

// What the programs of forward/ do. `add`: SADD and INCR; `pipe`: a pipeline; `swap`: WATCH, MULTI and EXEC; `push`: RPUSH.
const all = ["add", "pipe", "swap", "push", "news", "pop"];

// What runs each file, and what is missing for that. `together`: one process does it all, else one each of these.
// `resends`: it runs again what was under way, so what was not acknowledged may be there twice.
const clients = {
  "redis-py": { argv: [python, "redis-py.py"], together: true, lacks: () => without(python, "python3-redis") },
  "ioredis": { argv: [process.execPath, "ioredis.mjs"], together: true, resends: true, lacks: () => without(existsSync(join(home, "../node_modules/ioredis")), "the package ioredis") },
  "node-redis": { argv: [process.execPath, "node-redis.mjs"], together: true, lacks: () => without(existsSync(join(home, "../node_modules/redis")), "the package redis") },
  "go-redis": {
    argv: ["go-redis"], together: true,
    lacks: () => without(findProgram("go") && existsSync(join(sources, "src/gopkg.in/redis.v5")), "go or golang-gopkg-redis.v5-dev"),
    build: (folder) => run(["go", "build", "-o", join(folder, "go-redis"), join(home, "go-redis.go")],
      { env: { GO111MODULE: "off", GOPATH: sources, GOFLAGS: "", GOCACHE: resolve("build/clients/go") }, boundMs: 240000 }),
  },
  "redis-rb": { argv: ["ruby", "redis-rb.rb"], together: true, resends: true, lacks: () => without(rubyFinds("redis"), "ruby or ruby-redis") },
  "phpredis": { argv: ["php", "phpredis.php"], lacks: phpExtension },
  "predis": { argv: ["php", "predis.php"], lacks: () => without(finds("php", "-r", "exit(stream_resolve_include_path('Predis/Autoloader.php') ? 0 : 44);"), "php-cli or php-predis") },
  "Redis.pm": { argv: ["perl", "redis-pm.pl"], lacks: () => without(finds("perl", "-e", "eval { require Redis } or exit($@ =~ /^Can't locate Redis.pm / ? 44 : 1)"), "libredis-perl") },
  "hiredis": {
    argv: ["hiredis"],
    lacks: () => without(findProgram("gcc") && finds("sh", "-c", `PKG_CONFIG_PATH='${pkgConfigPath}' pkg-config --exists 'hiredis >= 1.0' || exit 44`), "gcc, pkg-config or hiredis"),
    build: (folder) => run(["sh", "-c", `gcc -o "$1" "$2" $(pkg-config --cflags --libs hiredis)`, "sh", join(folder, "hiredis"), join(home, "hiredis.c")],
      { env: { PKG_CONFIG_PATH: pkgConfigPath } }),
  },
  "redis-cli": { argv: ["bash", "redis-cli.bash"], does: ["add", "push", "pop"], keeps: true, lacks: () => without(findProgram("redis-cli"), "redis-cli") },
  "Sidekiq": { does: ["push", "pop"], resends: true, lacks: () => without(findProgram("sidekiq") && rubyFinds("sidekiq"), "ruby-sidekiq") },
  "PHP sessions": { does: ["session"], lacks: phpExtension },
};
const lacking = Object.fromEntries(Object.entries(clients).map(([name, { lacks }]) => [name, lacks()]));

/** The command lines of a client's processes. */
function processesOf(name, folder, port) {
  const { argv, together } = clients[name];
  const key = name.replace(/\W/g, "");
  switch (name) {
    case "Sidekiq":
      return [["ruby", join(home, "sidekiq.rb")], ["sidekiq", "-c", "2", "-t", "1", "-r", join(home, "sidekiq.rb")]]
        .map((argv) => ["env", `REDIS_URL=redis://127.0.0.1:${port}/0`, ...argv]);
    case "PHP sessions":
      return [["php", join(home, "session.php"), port, key]];
    default: {
      const command = argv.length === 1 ? [join(folder, argv[0])] : [argv[0], join(home, argv[1])];
      const modes = name === "redis-cli" ? ["write", "pop"] : ["write", "news", "pop"];
      return (together ? [modes.join(",")] : modes).map((mode) => [...command, mode, port, key]);
    }
  }
}

/** Start a client, if it is `built`; what it says is counted in what this gives. */
function launch(t, name, built, folder, port) {
  const client = { name, key: name.replace(/\W/g, ""), does: clients[name].does ?? all, failed: [], acked: [], popped: new Set(), twice: [], lost: new Set(), times: {}, stderr: "" };
  for (const kind of client.does) {
    client.times[kind] = [];
  }
  if (built.status !== 0) {
    return Object.assign(client, { ended: "it can't be built", stderr: built.stderr });
  }
  const hear = (line) => {
    if (!line.startsWith("{")) { // Sidekiq's log
      client.stderr = `${client.stderr}${line}\n`.slice(-4000);
      return;
    }
    const at = Date.now();
    const { did, n, news, popped, failed } = JSON.parse(line);
    if (failed !== undefined) {
      client.failed.push({ at, failed });
      return;
    }
    const kind = did ?? (news === undefined ? "pop" : "news");
    client.times[kind].push(at);
    if (did) {
      client.acked.push({ did, n, at });
    } else if (kind === "pop") {
      if (client.popped.has(popped)) {
        client.twice.push(popped);
      }
      client.popped.add(popped);
    }
  };
  for (const argv of processesOf(name, folder, port)) {
    // Sentinels that get no time would see failures of their own.
    const child = spawn("nice", ["-n", "5", ...argv], { stdio: ["ignore", "pipe", "pipe"] });
    const ended = new Promise((done) => child.once("close", done).once("error", done));
    child.once("exit", (status, signal) => (client.ended ??= `${argv.join(" ")} ended: ${signal ?? status}`));
    child.once("error", (error) => (client.ended ??= String(error)));
    createInterface({ input: child.stdout }).on("line", hear);
    child.stderr.setEncoding("utf8").on("data", (data) => (client.stderr = (client.stderr + data).slice(-4000)));
    atEnd(t, () => {
      child.kill("SIGKILL");
      return ended;
    });
  }
  return client;
}

const lines = async (port, ...command) => (await run(["redis-cli", "-p", String(port), ...command])).stdout.split("\n").slice(0, -1);

/** What Redis has of a client's: {count, at, log, has(ack)}. */
async function look(port, { key }) {
  const script = "local all = redis.call('LRANGE', KEYS[2], 0, -1); table.insert(all, 1, redis.call('GET', KEYS[1])); return all";
  const [at, ...log] = await lines(port, "EVAL", script, "2", `${key}:at`, `${key}:log`);
  const [count] = await lines(port, "GET", `${key}:count`);
  const [members, logged] = [new Set(await lines(port, "SMEMBERS", `${key}:set`)), new Set(log)];
  const has = {
    add: (n) => members.has(String(n)),
    pipe: (n) => [0, 1, 2, 3, 4].every((i) => members.has(`${n}.${i}`)),
    swap: (n) => logged.has(String(n)),
  };
  return { count: Number(count), at, log, has: ({ did, n }) => has[did]?.(n) ?? true };
}

const increases = (list) => list.every((n, i) => i === 0 || Number(n) > Number(list[i - 1]));
const longestGap = (times) => times.slice(1).reduce((most, at, i) => Math.max(most, at - times[i]), 0);

test("clients through --forward", { skip: without(findProgram("redis-server"), "redis-server"), timeout: patient(900000) }, async (t) => {
  const folder = makeFolder(t);
  const here = Object.keys(clients).filter((name) => !lacking[name]);
  const builds = await Promise.all(here.map(async (name) => [name, (await clients[name].build?.(folder)) ?? { status: 0 }]));
  const cluster = await startCluster(t, folder, { size: 4, watchers: 3 }); // each failover finds replicas that are ready
  const port = String(await freePort());
  const daemon = await startDaemon(t, folder, cluster, "--forward", `127.0.0.1:${port}`);
  const master = async () => {
    const answer = await fetch(`${daemon.base}/master`);
    return answer.ok ? (await answer.json()).port : undefined;
  };
  const going = builds.map(([name, built]) => launch(t, name, built, folder, port));

  // Who does not go on is found by its own test, by `late`.
  const goesOn = async (boundMs, more) => {
    const marks = going.map(({ times }) => Object.fromEntries(Object.entries(times).map(([kind, list]) => [kind, list.length])));
    const late = (client, i) => client.does.filter((kind) => client.times[kind].length < marks[i][kind] + more);
    await until("all go on", boundMs, () => going.every((client, i) => client.ended || late(client, i).length === 0)).catch(() => {});
    going.forEach((client, i) => (client.late = late(client, i)));
  };
  const each = async (t2, work) => {
    for (const [name, lack] of Object.entries(lacking)) {
      await t2.test(name, { skip: lack }, () => {
        const client = going.find((one) => one.name === name);
        assert.equal(client.ended, undefined, client.stderr);
        assert.deepEqual(client.late, [], `all goes on: ${client.stderr}${JSON.stringify(client.failed.slice(-5))}`);
        return work(client);
      });
    }
  };

  const passThrough = (what, whole, fail) => t.test(what, async (t2) => {
    const before = await until("there is a master", 10000, master);
    for (const sentinel of cluster.sentinels) { // else they would turn replicas back to the master before
      await until("the Sentinels have done with what was", 40000, async () => {
        const row = await tell(sentinel.port, `SENTINEL MASTER ${cluster.name}`);
        return has(row, "port", before) && has(row, "flags", "master");
      });
    }
    await until("a replica is ready", 40000, async () => (await tell(before, "INFO replication")).includes("state=online"));
    const began = Date.now();
    await fail(cluster.nodes.find((node) => node.port === before));
    const now = await until("there is a new master", 90000, async () => {
      const named = await master();
      return named !== before && named;
    });
    const switched = Date.now();
    await goesOn(60000, 3);
    const end = Date.now();
    await until("what was pushed is popped", 20000, () => going.every(({ ended, acked, popped }) =>
      ended || acked.every(({ did, n, at }) => did !== "push" || at < switched || at > end || popped.has(String(n))))).catch(() => {});
    const stalls = going.map((client) => {
      const times = client.acked.map(({ at }) => at).filter((at) => at > began - 1000 && at <= end);
      return `${client.name} ${longestGap(times)}`;
    });
    t2.diagnostic(`longest stall of writers, ms: ${stalls.join(", ")}`);
    await each(t2, async (client) => {
      const { resends, keeps } = clients[client.name];
      const acked = [...client.acked];
      const found = await look(now, client);
      const lost = acked.filter((one) => !client.lost.has(one) && !found.has(one));
      lost.forEach((one) => client.lost.add(one));
      const gone = acked.filter((one) => one.did === "push" && one.at <= end && !client.popped.has(String(one.n)) && !client.lost.has(one));
      gone.forEach((one) => client.lost.add(one));
      t2.diagnostic(`${client.name}: ${acked.length} acknowledged, ${lost.length} lost, ${gone.length} pushed and never popped; ${client.failed.length} failed`);
      assert.deepEqual(lost.filter(({ at }) => whole || at >= switched), [], "acknowledged and lost");
      assert.ok(!client.does.includes("swap") || found.at === found.log.at(-1), "a transaction is done whole");
      assert.deepEqual(gone.filter(({ at }) => at >= switched), [], "pushed and never popped");
      assert.ok(resends || increases(found.log), "each transaction once and in order");
      if (whole) {
        assert.ok(gone.length <= 2, "popped, and the answer was under way, at most one of each that pops");
        assert.ok(!client.does.includes("add") || found.count >= acked.filter(({ did }) => did === "add").length, "each INCR counts");
        assert.deepEqual(resends ? [] : client.twice, [], "what was popped is gone");
        assert.ok(increases(acked.filter(({ did }) => did === "session").map(({ n }) => n)), "a session goes on where it was");
      }
      if (keeps && whole) {
        const kept = new Set([...(await lines(now, "LRANGE", `${client.key}:queue`, "0", "-1")), ...(await lines(now, "LRANGE", `${client.key}:done`, "0", "-1"))]);
        assert.deepEqual(acked.filter(({ did, n }) => did === "push" && !kept.has(String(n))), [], "moved from list to list and lost");
      }
    });
  });

  await t.test("all of them work", async (t2) => {
    await goesOn(60000, 10);
    await each(t2, () => {});
  });
  await t.test("redis-benchmark, and redis-cli --pipe", { skip: without(findProgram("redis-benchmark"), "redis-benchmark") }, async () => {
    const ran = await run(["redis-benchmark", "-p", port, "-q", "-n", "2000", "-c", "20", "-P", "16", "-t", "ping,set,get,incr,lpush,lpop,mset"], { boundMs: 120000 });
    assert.equal(ran.status, 0, ran.stdout + ran.stderr);
    assert.equal(ran.stderr, "");
    const input = Array.from({ length: 10000 }, (_, i) => `SET pipe:${i % 50} ${i}\r\n`).join("");
    const piped = await run(["redis-cli", "-p", port, "--pipe"], { input });
    assert.match(piped.stdout, /errors: 0, replies: 10000/, piped.stderr);
  });
  await passThrough("a planned failover", true, () =>
    until("the Sentinel accepts", 60000, async () => (await tell(cluster.sentinels[0].port, `SENTINEL FAILOVER ${cluster.name}`)).startsWith("+OK")));
  await passThrough("the master is killed", false, (node) => node.stop("SIGKILL"));
  await passThrough("the master freezes", false, (node) => node.process.kill("SIGSTOP"));
  await passThrough("there is none for so long that clients are told", false, async (node) => {
    const [, ...others] = cluster.sentinels;
    await Promise.all(others.map((sentinel) => sentinel.stop("SIGKILL")));
    await node.stop("SIGKILL");
    await until("clients are told", 60000, async () => (await run(["redis-cli", "-p", port, "PING"])).stdout.startsWith("NOMASTER "));
    await Promise.all(others.map((sentinel) => sentinel.start()));
  });
});
