// Whether HAProxy, by deploy/haproxy and by the base master-service, ever leads a client to a node that the daemon has not vouched
// for: at its start, while a name resolves late or comes back, while the daemon says 503 for all or is dead. The daemon, the name
// server and the nodes are this test's, so that it says what is answered and when; HAProxy is real.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { atEnd, findProgram, freePort, makeFolder, nap, patient, start, until } from "./support.mjs";

const top = fileURLToPath(new URL("../../", import.meta.url));
const haproxy = findProgram("haproxy", "/usr/sbin/haproxy");
const skip = !haproxy && "haproxy is missing";
const hosts = ["127.0.0.11", "127.0.0.12", "127.0.0.13"];
const names = ["redis-0.headless.redis.svc", "redis-1.headless.redis.svc", "redis-2.headless.redis.svc"];
const hasIpv6 = Object.values(networkInterfaces()).flat().some(({ address }) => address === "::1");
const listening = (server, port, host) => new Promise((done, failed) => server.once("error", failed).listen(port, host, () => done(server.address().port)));

/** A node is a server that says where it is and hangs up, at one port of each of these addresses: that port. */
async function serveNodes(t, addresses) {
  for (;;) {
    const port = await freePort();
    const servers = addresses.map((address) => net.createServer((socket) => socket.on("error", () => {}).end(address)));
    const taken = await Promise.allSettled(servers.map((server, i) => listening(server, port, addresses[i])));
    if (taken.every(({ status }) => status === "fulfilled")) {
      servers.forEach((server) => atEnd(t, () => server.close()));
      return port;
    }
    servers.forEach((server) => server.close());
  }
}

/** A name server for `records`, {name: IPv4}. `held` are names whose answers wait until they are taken out of it; `lost` ones get none. */
async function serveNames(t, records) {
  const zone = { records, held: new Set(), lost: new Set(), asked: [] };
  const server = createSocket("udp4");
  let over = false;
  atEnd(t, () => {
    over = true;
    server.close();
  });
  server.on("message", async (query, { port, address }) => {
    const end = query.indexOf(0, 12) + 5; // the question: a name, its type and class
    const labels = [];
    for (let at = 12; query[at] !== 0; at += query[at] + 1) {
      labels.push(query.toString("latin1", at + 1, at + 1 + query[at]));
    }
    const name = labels.join(".");
    zone.asked.push(name);
    while (zone.held.has(name) && !over) {
      await nap(10);
    }
    if (over || zone.lost.has(name)) {
      return;
    }
    const ip = zone.records[name];
    const isA = ip && query.readUInt16BE(end - 4) === 1;
    const head = Buffer.from([query[0], query[1], 0x81, ip ? 0x80 : 0x83, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...(isA ? ip.split(".").map(Number) : [])]);
    server.send(Buffer.concat([head, query.subarray(12, end), isA ? answer : Buffer.alloc(0)]), port, address);
  });
  zone.port = await new Promise((done) => server.bind(0, "127.0.0.1", () => done(server.address().port)));
  return zone;
}

/**
 * A daemon for which `master` is the master and all others are replicas, but for what is in `silent`: "NODE role" that gets no answer
 * yet. `answers` has all that were given, "NODE role status". It can die and come back.
 */
async function serveDaemon(t) {
  const daemon = { master: undefined, replicas: true, silent: new Set(), answers: [] };
  let waiting = [];
  const answer = ({ node, role, response }) => {
    const isMaster = node === daemon.master;
    const status = (role === "master" ? isMaster : daemon.replicas && !isMaster) ? 200 : 503;
    daemon.answers.push(`${node} ${role} ${status}`);
    response.writeHead(status, { "Content-Length": 0, Connection: "close" }).end();
  };
  const serve = () => http.createServer((request, response) => {
    const [, , node, role] = decodeURIComponent(request.url).split("/");
    const one = { node, role, response };
    if (daemon.silent.has(`${node} ${role}`)) {
      waiting.push(one);
    } else {
      answer(one);
    }
  });
  let server;
  daemon.speak = () => {
    daemon.silent.clear();
    waiting.splice(0).forEach(answer);
  };
  daemon.live = async () => {
    server = serve();
    await listening(server, daemon.port, "127.0.0.1");
  };
  daemon.die = () => new Promise((done) => {
    waiting = [];
    server.close(done);
    server.closeAllConnections();
  });
  /** All have been asked and answered at least once from now on. */
  daemon.round = async (what, role, nodes) => {
    const from = daemon.answers.length;
    await until(`${what}: all were asked`, 20000, () => nodes.every((node) => daemon.answers.slice(from).some((line) => line.startsWith(`${node} ${role} `))));
  };
  daemon.port = await freePort();
  atEnd(t, () => server?.listening && daemon.die());
  return daemon;
}

/** A client that connects all the time, one after the other: `seen` is where it came out in turn, or "nobody", without repetitions. */
function connectAlways(t, port) {
  const client = { seen: [], count: 0 };
  let over = false;
  const once = () => new Promise((done) => {
    let text = "";
    const socket = net.connect(port, "127.0.0.1");
    socket.setTimeout(5000, () => socket.destroy());
    socket.on("data", (data) => (text += data)).on("error", () => {}).on("close", () => done(text || "nobody"));
  });
  const run = async () => {
    while (!over) {
      const place = await once();
      client.count += 1;
      if (client.seen.at(-1) !== place) {
        client.seen.push(place);
      }
      await nap(2);
    }
  };
  const running = run();
  atEnd(t, () => {
    over = true;
    return running;
  });
  client.forget = () => (client.seen = []);
  client.reaches = (place, what = `clients reach ${place}`) => until(what, 20000, () => client.seen.at(-1) === place);
  /** It came and went some more times, and since it was told to forget reached no other place than these. */
  client.only = async (what, ...places) => {
    const from = client.count;
    await until(`${what}: more connections`, 20000, () => client.count > from + 30);
    assert.deepEqual(client.seen.filter((place) => place !== "nobody" && !places.includes(place)), [], what);
  };
  return client;
}

/** HAProxy, by one of the files, before those nodes: {begin, connects, write, read, ready}. What it says is checked for warnings at first. */
async function prepare(t, which, nodes, daemon, { resolver, address = "127.0.0.1" } = {}) {
  const folder = makeFolder(t);
  const file = join(folder, "haproxy.cfg");
  const text = readFileSync(join(top, `deploy/${which}/haproxy.cfg`), "utf8");
  writeFileSync(file, resolver ? text.replace("parse-resolv-conf", `nameserver cluster 127.0.0.1:${resolver}`) : text);
  const [write, read, health] = [await freePort(), await freePort(), await freePort()];
  const env = { DAEMON_PORT: daemon.port, REDIS_BIND: `${address}:${write}`, REDIS_READ_BIND: `127.0.0.1:${read}`, REPLICAS_BIND: `127.0.0.1:${read}`,
    HEALTH_BIND: `127.0.0.1:${health}`, ...Object.fromEntries(nodes.map((node, i) => [`REDIS_${i + 1}`, node])) };
  const { status, stdout, stderr } = spawnSync(haproxy, ["-c", "-f", file], { encoding: "utf8", env: { ...process.env, ...env } });
  assert.equal(status, 0, stdout + stderr);
  assert.doesNotMatch(stdout + stderr, /WARNING|ALERT/);
  const connects = (to = "127.0.0.1") => new Promise((done) => { // who is sent away at once had connected, too
    const socket = net.connect(write, to);
    socket.on("connect", () => done(true)).on("error", ({ code }) => done(code === "ECONNRESET"));
    socket.on("connect", () => socket.destroy());
  });
  const ready = async () => (await fetch(`http://127.0.0.1:${health}/ready`).catch(() => ({ status: 0 }))).status;
  let times = 0;
  const begin = async () => {
    const one = start(t, folder, `haproxy-${times += 1}`, [haproxy, "-db", "-f", file], env);
    await until("HAProxy listens", 20000, () => connects());
    return one;
  };
  return { begin, connects, write, read, ready };
}

async function makeWorld(t, which) {
  const named = which.startsWith("kubernetes");
  const port = await serveNodes(t, [...hosts, "127.0.0.14"]);
  const nodes = (named ? names : hosts).map((host) => `${host}:${port}`);
  const zone = named && await serveNames(t, Object.fromEntries(names.map((name, i) => [name, hosts[i]])));
  const daemon = await serveDaemon(t);
  return { nodes, zone, daemon, ...await prepare(t, which, nodes, daemon, { resolver: zone?.port }) };
}

for (const which of ["haproxy", "kubernetes/master-service"]) {
  test(`HAProxy by ${which}`, { skip, timeout: patient(300000) }, async (t) => {
    await t.test("starts while the daemon says 503 for all, and answers of some are late", async (t) => {
      const { nodes, daemon, begin, write, read } = await makeWorld(t, which);
      const [writer, reader] = [connectAlways(t, write), connectAlways(t, read)];
      daemon.replicas = false;
      daemon.silent.add(`${nodes[2]} master`).add(`${nodes[2]} replica`);
      await daemon.live();
      await begin();
      await daemon.round("the first two", "master", nodes.slice(0, 2));
      await daemon.round("the first two", "replica", nodes.slice(0, 2));
      await writer.only("the third was not asked yet");
      daemon.speak();
      await daemon.round("then the third", "master", nodes);
      await writer.only("none is the master");
      await reader.only("none is a replica");
      daemon.master = nodes[1];
      await writer.reaches(hosts[1]);
      await writer.only("one is the master", hosts[1]);
    });

    await t.test("starts before the daemon, which dies and comes back", async (t) => {
      const { nodes, daemon, begin, write, read } = await makeWorld(t, which);
      const [writer, reader] = [connectAlways(t, write), connectAlways(t, read)];
      const haproxy = await begin();
      await until("all checks failed", 20000, () => /vouched_replicas' has no server/.test(haproxy.log()) && /vouched_master' has no server/.test(haproxy.log()));
      await writer.only("no daemon was there");
      await reader.only("no daemon was there, for replicas");
      daemon.master = nodes[0];
      await daemon.live();
      await writer.reaches(hosts[0]);
      await until("reads reach replicas", 20000, () => reader.seen.includes(hosts[1]) && reader.seen.includes(hosts[2]));
      await daemon.die();
      await writer.reaches("nobody");
      await reader.reaches("nobody");
      await writer.only("there was one master", hosts[0]);
      writer.forget();
      daemon.master = undefined;
      daemon.silent.add(`${nodes[0]} master`); // the daemon is back, and takes its time about one of them
      await daemon.live();
      await daemon.round("the others", "master", nodes.slice(1));
      daemon.speak();
      await daemon.round("all", "master", nodes);
      await writer.only("the new daemon knows of no master");
      daemon.master = nodes[2];
      await writer.reaches(hosts[2]);
    });

    const failovers = which === "haproxy" ? 10 : 3;
    await t.test(`moves on in ${failovers} failovers within a check`, async (t) => {
      const checks = [];
      const { nodes, daemon, begin, write, read } = await makeWorld(t, which);
      const [writer, reader] = [connectAlways(t, write), connectAlways(t, read)];
      daemon.master = nodes[0];
      await daemon.live();
      await begin();
      await writer.reaches(hosts[0]);
      for (let i = 1; i <= failovers; i += 1) {
        const before = (i - 1) % 3;
        const after = i % 3;
        writer.forget();
        const from = daemon.answers.length;
        daemon.master = nodes[after];
        await writer.reaches(hosts[after], `failover ${i}: clients reach the new master`);
        checks.push(daemon.answers.slice(from).filter((line) => line.startsWith(`${nodes[after]} master`)).length);
        await writer.only(`failover ${i}`, hosts[before], hosts[after]);
        assert.ok(writer.seen.lastIndexOf(hosts[before]) < writer.seen.indexOf(hosts[after]), `failover ${i}: nobody goes back`);
      }
      // Who stands still answers what was asked meanwhile all at once, so one of them may have had more.
      assert.ok(checks.sort((a, b) => a - b)[failovers >> 1] <= 2 + patient(1), `checks of the new master: ${checks}`);
      await until("reads reach two nodes", 20000, () => new Set(reader.seen.slice(-20)).size >= 2);
      await reader.only("reads reach nodes", ...hosts);
    });

    await t.test("lets in nobody while two count as the master", async (t) => {
      const { nodes, daemon, begin, write } = await makeWorld(t, which);
      const writer = connectAlways(t, write);
      daemon.master = nodes[0];
      await daemon.live();
      await begin();
      await writer.reaches(hosts[0]);
      let seen;
      for (const [before, after] of [[0, 1], [1, 2], [2, 0]]) { // a client that stands still just then sees nothing of it
        daemon.silent.add(`${nodes[before]} master`); // its last answer was 200, and stands until the check is out of time
        daemon.master = nodes[after];
        await writer.reaches(hosts[after]);
        seen = writer.seen.slice(-3);
        if (isDeepStrictEqual(seen, [hosts[before], "nobody", hosts[after]])) {
          return;
        }
        daemon.speak();
      }
      assert.fail(`${seen}`);
    });
  });
}

test("HAProxy in a cluster whose names come and go", { skip, timeout: patient(300000) }, async (t) => {
  await t.test("starts while two of three names resolve late", async (t) => {
    const { nodes, zone, daemon, begin, write, read, ready } = await makeWorld(t, "kubernetes/master-service");
    const [writer, reader] = [connectAlways(t, write), connectAlways(t, read)];
    daemon.master = nodes[1];
    zone.held.add(names[1]).add(names[2]);
    await daemon.live();
    await begin();
    await until("the first name is asked for", 20000, () => zone.asked.includes(names[0]));
    await reader.reaches(hosts[0]); // its name is known and its replica vouched for
    assert.equal(await ready(), 503, "the master has no address");
    await writer.only("the master has no address");
    zone.held.clear();
    await writer.reaches(hosts[1]);
    await writer.only("the master has one", hosts[1]);
    await until("it is ready", 20000, async () => await ready() === 200);
    await reader.only("no master was read from", hosts[0], hosts[2]);
  });

  await t.test("a pod goes and comes back elsewhere, without and with another master", async (t) => {
    const { nodes, zone, daemon, begin, write, ready } = await makeWorld(t, "kubernetes/master-service");
    const writer = connectAlways(t, write);
    daemon.master = nodes[1];
    await daemon.live();
    const { log } = await begin();
    await writer.reaches(hosts[1]);
    // One lost answer, and one that says that the name is not there: nothing changes.
    zone.lost.add(names[1]);
    const lost = () => zone.asked.filter((name) => name === names[1]).length;
    const before = lost();
    await until("an answer is lost", 20000, () => lost() > before);
    zone.lost.clear();
    delete zone.records[names[1]];
    const missed = lost();
    await until("it is not there, once", 20000, () => lost() > missed);
    zone.records[names[1]] = hosts[1];
    await writer.only("the master stays", hosts[1]);
    assert.equal(writer.seen.at(-1), hosts[1]);
    assert.doesNotMatch(log(), /redis-1\S+ (was|is going) DOWN/);

    const since = (text, which) => log().slice(text).match(new RegExp(`redis_master/redis-${which}.*`, "g")) ?? [];
    const comes = (line, ip) => [`changed its IP from (none) to ${ip}`, `IP changed from '(none)' to '${ip}'`].some((words) => line.includes(words)); // 2.x, 3.x
    const from = log().length;
    daemon.master = undefined;
    delete zone.records[names[0]];
    delete zone.records[names[1]];
    await writer.reaches("nobody");
    await until("their servers are gone within seconds", 20000, () => [0, 1].every((which) => since(from, which).some((line) => /maintenance|MAINT/.test(line))));

    writer.forget();
    zone.records[names[1]] = "127.0.0.14";
    await until("its new address is known", 20000, () => since(from, 1).some((line) => comes(line, "127.0.0.14")));
    await daemon.round("after that", "master", nodes);
    await writer.only("there is no master");
    assert.equal(await ready(), 503);

    daemon.master = nodes[2];
    await writer.reaches(hosts[2]);
    writer.forget();
    zone.records[names[0]] = hosts[0];
    await until("its old address is known", 20000, () => since(from, 0).some((line) => comes(line, hosts[0])));
    await daemon.round("after that", "master", nodes);
    await writer.only("the master is another", hosts[2]);
    assert.deepEqual(writer.seen, [hosts[2]], "nobody was refused");
    assert.equal(await ready(), 200);
  });
});

test("HAProxy takes both families at [::]", { skip: skip || (!hasIpv6 && "there is no IPv6"), timeout: patient(60000) }, async (t) => {
  const { begin, connects } = await prepare(t, "haproxy", hosts.map((host) => `${host}:6379`), { port: await freePort() }, { address: "[::]" });
  await begin();
  assert.equal(await connects("::1"), true);
});
