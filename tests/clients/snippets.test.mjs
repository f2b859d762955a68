// deploy/clients as they stand there, each in its language, all at once: through two failovers, one that they watch and one
// while the daemon is away, and with a daemon that answers badly before it answers well. A language that is not here costs its
// own test only. Go and Java are large, so nothing installs them for this.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import https from "node:https";
import net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { atEnd, findProgram, makeFolder, patient, redis, run, startCluster, startDaemon, until } from "./support.mjs";

const home = fileURLToPath(new URL("../../deploy/clients/", import.meta.url));
const says = (program, ...args) => spawnSync(program, args, { encoding: "utf8" });
const unless = (fine, what) => (fine ? undefined : `${what} is missing`);

// What runs each file, and what is missing for that.
const languages = {
  "bellwether-client.py": { runs: ["python3"] },
  "bellwether-client.mjs": { runs: [process.execPath] },
  "bellwether-client.sh": { runs: ["bash"], lacks: () => unless(findProgram("curl"), "curl") },
  "bellwether-client.pl": { runs: ["perl"], lacks: () => unless(says("perl", "-MHTTP::Tiny", "-MJSON::PP", "-e1").status === 0, "Perl's JSON::PP") },
  "bellwether-client.rb": { runs: ["ruby"] },
  "bellwether-client.php": { runs: ["php"] },
  "bellwether-client.go": {
    runs: ["go"], builds: (folder, file) => ["go", "build", "-o", join(folder, "go-client"), file], built: (folder) => [join(folder, "go-client")],
  },
  "BellwetherClient.java": {
    runs: ["java"], lacks: () => unless(says("java", "--list-modules").stdout?.includes("jdk.compiler"), "Java's compiler"),
    builds: (folder, file) => ["javac", "-d", folder, file], built: (folder) => ["java", "-XX:TieredStopAtLevel=1", "-cp", folder, "BellwetherClient"],
  },
};

test("each is tried, is short, and leads nowhere but to its arguments", () => {
  assert.deepEqual(readdirSync(home).sort(), Object.keys(languages).sort());
  for (const name of Object.keys(languages)) {
    const text = readFileSync(join(home, name), "utf8");
    assert.ok(text.split("\n").length <= (/\.(go|java)$/.test(name) ? 130 : 95), `${name} is short`);
    assert.deepEqual(text.match(/https?:\/\/[\w.:]+/g), ["http://127.0.0.1:8380"], name);
  }
});

const lacking = Object.fromEntries(Object.entries(languages).map(([name, { runs, lacks }]) =>
  [name, unless(findProgram(runs[0]), runs[0]) ?? lacks?.()]));

// The programs of this machine's languages: [{name, argv}].
async function prepare(folder) {
  const programs = [];
  for (const [name, { runs, builds, built }] of Object.entries(languages)) {
    if (lacking[name]) {
      continue;
    }
    if (builds) {
      const { status, stderr } = await run(builds(folder, join(home, name)), { boundMs: 240000 });
      assert.equal(status, 0, stderr);
    }
    programs.push({ name, argv: built?.(folder) ?? [...runs, join(home, name)] });
  }
  return programs;
}

function launch(t, argv, mode, base, name, env = {}) {
  const options = { stdio: ["ignore", "pipe", "pipe"], detached: true, env: { ...process.env, ...env } };
  const child = spawn(argv[0], [...argv.slice(1), mode, base, name], options);
  const client = { mode, name, out: "", err: "" };
  for (const [of, stream] of [["out", child.stdout], ["err", child.stderr]]) {
    stream.setEncoding("utf8").on("data", (data) => (client[of] += data));
  }
  const ended = new Promise((done) => child.once("close", (status) => done((client.status = status))));
  atEnd(t, () => {
    try {
      process.kill(-child.pid, "SIGKILL"); // with the curl of a shell
    } catch {} // it has ended
    return ended;
  });
  return client;
}

// A test for each language, skipped aloud where it is not here.
async function each(t, work) {
  for (const [name, lack] of Object.entries(lacking)) {
    await t.test(name, { skip: lack }, () => work(name));
  }
}

async function tryBadArguments(t, programs) {
  const bad = [["fallow"], [""], ["--help"], ["ask", "http://127.0.0.1:1", "mymaster", "more"]];
  const answers = new Map();
  for (const { name, argv } of programs) {
    answers.set(name, await Promise.all(bad.map((args) => run([...argv, ...args]))));
  }
  await each(t, (name) => {
    const [, usage] = /^\W*(.*\[ask\|wait\|follow .*)$/m.exec(readFileSync(join(home, name), "utf8")); // as its first lines say it
    answers.get(name).forEach((answer, i) => assert.deepEqual(answer, { status: 2, stdout: "", stderr: `usage: ${usage}\n` }, bad[i].join(" ")));
  });
}

async function tryFailovers(t, folder, programs) {
  const cluster = await startCluster(t, folder);
  const daemon = await startDaemon(t, folder, cluster);
  const began = programs.map(({ name, argv }) =>
    ({ name, clients: ["ask", "wait", "follow"].map((mode) => launch(t, argv, mode, daemon.base, cluster.name)) }));
  const all = began.flatMap(({ clients }) => clients);
  const following = all.filter(({ mode }) => mode !== "ask");

  // What each is to have said; who is late is found by its own test below.
  const masters = [];
  const hears = async (port, whom) => {
    masters.push(`127.0.0.1:${port}\n`);
    await until("each names the master", 60000, () => whom.every(({ out }) => out.endsWith(masters.at(-1)))).catch(() => {});
  };
  const sentinel = (command) => redis(cluster.sentinels[0].port, `SENTINEL ${command} ${cluster.name}`);
  const at = async () => Number((await sentinel("GET-MASTER-ADDR-BY-NAME")).match(/\r\n(\d+)\r\n$/)?.[1]);
  const failOver = async (from) => {
    await until("the Sentinel is up to date", 60000, async () => (await at()) === from);
    await until("it takes the order", 60000, async () => (await sentinel("FAILOVER")).startsWith("+OK"));
    return until("there is another master", 90000, async () => {
      const now = await at();
      return now !== from && now;
    });
  };
  await hears(cluster.nodes[0].port, all);
  const second = await failOver(cluster.nodes[0].port);
  await hears(second, following);
  await daemon.stop();
  const third = await failOver(second);
  await daemon.restart();
  await hears(third, following);

  await each(t, (name) => {
    for (const { mode, out, err, status } of began.find((one) => one.name === name).clients) {
      assert.equal(out, mode === "ask" ? masters[0] : masters.join(""), `${mode}: ${err}`);
      assert.equal(status, mode === "ask" ? 0 : undefined, `${mode}: ${err}`);
    }
  });
}

async function tryBadAnswers(t, programs) {
  const master = '{"name":"x","state":"ok","reason":null,"host":"10.0.0.1","port":6379,"address":"10.0.0.1:6379"}';
  const answer = (status, headers, body) => `HTTP/1.1 ${status} Words\r\n${headers.map((one) => `${one}\r\n`).join("")}Connection: close\r\n\r\n${body}`;
  const ofPoll = ["X-Bellwether-Index: 5", "X-Bellwether-Instance: 0123456789abcdef"];
  const chunk = (text) => `${text.length.toString(16)}\r\n${text}\r\n`;
  const answers = [
    () => "SSH-2.0-OpenSSH\r\n",
    () => answer(404, ["Content-Length: 2"], "{}"),
    (streams) => (streams ? answer(200, ["Content-Type: text/event-stream"], `id: a-1\nevent: master\ndata: ${master.slice(0, 60)}`)
      : answer(200, [...ofPoll, "Content-Length: 500"], master.slice(0, 60))), // cut short
    () => answer(503, ["Retry-After: 1", "Content-Length: 2"], "{}"),
    (streams, text) => (streams ? answer(200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"], chunk(`id: a-2\nevent: master\ndata: ${master}\n\n`))
      : text ? answer(200, [...ofPoll, "Content-Length: 14"], "10.0.0.1:6379\n") : answer(200, [...ofPoll, `Content-Length: ${master.length}`], master)),
  ];
  const asked = {};
  const server = net.createServer((socket) => socket.on("error", () => {}).once("data", (data) => {
    const [, name] = /(?:masters\/|master=)([\w.-]+)/.exec(data);
    const streams = data.includes("/events");
    asked[name] ??= [];
    asked[name].push(Date.now());
    const made = answers[asked[name].length - 1]?.(streams, data.includes("format=text"));
    if (made) { // else silence
      socket.write(made);
    }
    if (made && !(streams && asked[name].length === answers.length)) {
      socket.end();
    }
  }));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  atEnd(t, () => server.close());
  const base = `http://127.0.0.1:${server.address().port}`;
  const clients = programs.flatMap(({ name, argv }) => ["wait", "follow"].map((mode) => launch(t, argv, mode, base, `${name}-${mode}`)));
  await until("each names the master", 60000, () => clients.every(({ out }) => out !== "")).catch(() => {});

  await each(t, (language) => {
    for (const { mode, name, out, err } of clients.filter(({ name }) => name.startsWith(language))) {
      assert.equal(out, "10.0.0.1:6379\n", `${mode}: ${err}`);
      assert.ok(asked[name].length >= answers.length, `${mode} went on asking`);
      assert.ok(asked[name][4] - asked[name][3] >= 990, `${mode} heeds Retry-After`);
    }
  });
}

// How each is told whose certificates to trust, where it is not SSL_CERT_FILE. Java wants them in a store of its own.
const trusting = {
  "bellwether-client.mjs": ({ crt }) => ({ NODE_EXTRA_CA_CERTS: crt }),
  "bellwether-client.sh": ({ crt }) => ({ CURL_CA_BUNDLE: crt }),
  "BellwetherClient.java": ({ store }) => ({ JDK_JAVA_OPTIONS: `-Djavax.net.ssl.trustStore=${store} -Djavax.net.ssl.trustStorePassword=secret` }),
};
const lackingTls = {
  "bellwether-client.pl": () => unless(says("perl", "-MIO::Socket::SSL", "-e1").status === 0, "Perl's IO::Socket::SSL"),
  "bellwether-client.php": () => unless(says("php", "-m").stdout.includes("openssl"), "PHP's openssl"),
};

async function tryHttps(t, folder, programs) {
  const files = { key: join(folder, "tls.key"), crt: join(folder, "tls.crt"), store: join(folder, "tls.store") };
  const made = await run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", files.key, "-out", files.crt]);
  assert.equal(made.status, 0, made.stderr);
  if (!lacking["BellwetherClient.java"]) {
    const stored = await run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", files.crt, "-keystore", files.store, "-storepass", "secret"]);
    assert.equal(stored.status, 0, stored.stdout + stored.stderr);
  }
  const asked = new Set();
  const server = https.createServer({ key: readFileSync(files.key), cert: readFileSync(files.crt) }, (request, response) => {
    asked.add(/masters\/([\w.-]+)/.exec(request.url)?.[1]);
    response.setHeader("X-Bellwether-Index", "5").setHeader("X-Bellwether-Instance", "0123456789abcdef");
    response.end(request.url.includes("format=text") ? "10.0.0.1:6379\n" : '{"name":"x","state":"ok","address":"10.0.0.1:6379"}');
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  atEnd(t, () => server.close());
  const base = `https://localhost:${server.address().port}`;
  const clients = programs.filter(({ name }) => !lackingTls[name]?.()).map(({ name, argv }) => ({
    language: name,
    trusts: launch(t, argv, "ask", base, `${name}-trusts`, trusting[name]?.(files) ?? { SSL_CERT_FILE: files.crt }),
    doubts: launch(t, argv, "ask", base, `${name}-doubts`),
  }));
  await until("each has its answer", 60000, () => clients.every(({ trusts, doubts }) => trusts.status !== undefined && doubts.err.includes("again soon"))).catch(() => {});

  for (const { name } of programs) {
    await t.test(name, { skip: lackingTls[name]?.() }, () => {
      const { trusts, doubts } = clients.find(({ language }) => language === name);
      assert.deepEqual([trusts.status, trusts.out], [0, "10.0.0.1:6379\n"], trusts.err);
      assert.match(doubts.err, /again soon/);
      assert.equal(doubts.out, "", "nobody is believed whose issuer is unknown");
      assert.ok(!asked.has(`${name}-doubts`), "nothing is sent there");
    });
  }
}

test("the programs", { timeout: patient(900000) }, async (t) => {
  const folder = makeFolder(t);
  const programs = await prepare(folder);
  await t.test("arguments that none takes", (t2) => tryBadArguments(t2, programs));
  await t.test("HTTPS", { skip: !findProgram("openssl") && "openssl is missing" }, (t2) => tryHttps(t2, folder, programs));
  await t.test("through failovers and a restart", { skip: !findProgram("redis-server") && "redis-server is missing" }, (t2) => tryFailovers(t2, folder, programs));
  await t.test("bad answers before a good one", (t2) => tryBadAnswers(t2, programs));
});
