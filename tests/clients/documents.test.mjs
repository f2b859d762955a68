// What README.md and the manual show, run as it stands there; the examples of commands are in commands.test.mjs. A block says
// behind its fence what language it is in, and an example on the command line when it is true: of a calm deployment (no word),
// in an `outage`, in the failover after a `crash`, of a `switch` while it comes, with a `history` behind it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { blocks, findProgram, freePort, ifMissing, makeFolder, patient, redis, run, shown, startCluster, startDaemon, until } from "./support.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const binary = resolve(process.env.BELLWETHER ?? "build/bellwether");
const of = (language, when = "") => blocks.filter((block) => block.language === language && block.when === when);
const { EventSource, missing } = await import("eventsource").catch(ifMissing);
const { parseYaml, missing: noYaml } = await import("yaml").then(() => import("./kubernetes/kustomize.mjs")).catch(ifMissing);
const { checkType, hasSchemas } = await import("./kubernetes/schema.mjs");

// What an example shows, with other times, addresses and figures. "…" stands for what was left out: lines, or part of one.
function pattern(output) {
  const variable = [
    ["^ *…\\n", "(?:.*\\n)*?"], [" ?…", ".*"],
    ["\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z", "\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z"],
    ["HTTP/1.1 \\d+", null], ['"status": \\d+', null],
    ["\\b[0-9a-f]{16}\\b", "[0-9a-f]{16}"],
    ["\\d+(?:\\.\\d+)? m?s\\b", "\\d+(?:\\.\\d+)? m?s"],
    ["\\d+(?:\\.\\d+)*", "\\d+(?:\\.\\d+)*"],
  ];
  const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  let made = "";
  let last = 0;
  for (const match of output.matchAll(new RegExp(variable.map(([from]) => `(${from})`).join("|"), "gm"))) {
    const [, to] = variable[match.slice(1).findIndex((group) => group !== undefined)];
    made += literal(output.slice(last, match.index)) + (to ?? literal(match[0]));
    last = match.index + match[0].length;
  }
  return new RegExp(`^${made}${literal(output.slice(last))}$`);
}

test("the pattern of an example", () => {
  assert.match('HTTP/1.1 503 x\nA: 1\n\n{"a":7,"b":2} 1.2 s\n', pattern('HTTP/1.1 503 x\n…\n\n{"a":12, …} 30 ms\n'));
  assert.doesNotMatch("HTTP/1.1 200 x\n", pattern("HTTP/1.1 503 x\n"));
  assert.doesNotMatch("a down\n", pattern("a up\n"));
  assert.doesNotMatch("a\nb\n", pattern("a\n"));
});

test("each block is tried by some test", () => {
  const known = ["console", "console outage", "console crash", "console switch", "console history", "console commands", "python commands",
    "js commands", "js events", "yaml", "ini", "ini unit", "haproxy", "text", "sh"];
  const found = new Set(blocks.map(({ language, when }) => `${language} ${when}`.trim()));
  assert.deepEqual([...found].sort(), known.sort());
});

// A deployment, and how examples are tried on it: {cluster, daemon, master, folder, ours, tryOut, tryAll}.
async function deploy(t) {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const forward = await freePort();
  const daemon = await startDaemon(t, folder, cluster, "--redis-api", "loopback", "--forward", `127.0.0.1:${forward}`);
  const [master] = cluster.nodes;
  mkdirSync(join(folder, "bin"));
  symlinkSync(binary, join(folder, "bin/bellwether"));
  symlinkSync(join(here, "node_modules"), join(folder, "node_modules"));
  const env = { PATH: `${join(folder, "bin")}:${process.env.PATH}` };
  const ours = (text) => text.replaceAll("127.0.0.1:8380", `127.0.0.1:${daemon.port}`)
    .replace(/(redis-cli -p )6379\b/g, `$1${forward}`)
    .replace(/(--sentinel 127\.0\.0\.1:)\d+/g, `$1${cluster.sentinels[0].port}`)
    .replace(/(unless=127\.0\.0\.1:)\d+/g, `$1${master.port}`);

  // What it shows comes in the end: a figure may take a moment to be known, a phase of a failover passes.
  const tryOut = async ({ command, output }, boundMs) => {
    const lacking = [...command.matchAll(/(?:^|\| )([a-z]+) /g)].map(([, name]) => name).filter((name) => name !== "bellwether" && !findProgram(name));
    if (lacking.length > 0) {
      t.diagnostic(`not tried, as ${lacking} is missing: ${command}`);
      return;
    }
    const wanted = pattern(output);
    const enough = (stdout) => output.endsWith("…\n") && wanted.test(stdout.replaceAll("\r", "")); // a stream
    let last = "";
    await until(command, boundMs, async () => {
      last = (await run(["sh", "-c", ours(command)], { cwd: folder, env, enough })).stdout.replaceAll("\r", "");
      return wanted.test(last);
    }).catch(() => assert.match(last, wanted, command));
  };
  const tryAll = async (when, boundMs) => {
    const examples = of("console", when).flatMap(({ text }) => shown(text));
    assert.ok(examples.length > 0, `there are some of ${when}`);
    for (const example of examples) {
      await tryOut(example, boundMs);
    }
  };
  return { cluster, daemon, master, folder, ours, tryOut, tryAll };
}

// Examples of a failover while it comes, and with that one and another behind it.
async function tryFailovers({ cluster, daemon, master, tryOut, tryAll }) {
  const waiting = of("console", "switch").flatMap(({ text }) => shown(text)).map((example) => tryOut(example, 60000));
  assert.ok(waiting.length > 0);
  const crash = tryAll("crash", 30000);
  await master.stop("SIGKILL");
  await Promise.all([...waiting, crash]);
  await until("the first failover has ended", 60000, async () => (await (await fetch(`${daemon.base}/failovers`)).json()).failovers?.[0]?.ended);
  await master.start();
  await until("a Sentinel takes the order", 60000, async () => (await redis(cluster.sentinels[0].port, `SENTINEL FAILOVER ${cluster.name}`)).startsWith("+OK"));
  await tryAll("history", 30000);
}

test("examples on the command line", { skip: !findProgram("redis-server") && "redis-server is missing", timeout: patient(900000) }, async (t) => {
  let deployment = await deploy(t);
  await t.test("of a calm deployment", () => deployment.tryAll("", 30000));

  await t.test("EventSource", { skip: missing && `${missing} is missing` }, async () => {
    const { folder, ours, master } = deployment;
    const [{ text }] = of("js", "events");
    const frame = 'import { EventSource } from "eventsource";\nfunction use({ address }) {\n  console.log(address);\n  process.exit(0);\n}\n';
    writeFileSync(join(folder, "events.mjs"), frame + ours(text));
    assert.equal((await run([process.execPath, "events.mjs"], { cwd: folder })).stdout, `127.0.0.1:${master.port}\n`);
  });

  await t.test("of a switch while it comes, and with a history behind it", async () => {
    for (let left = 2; ; left -= 1) {
      const error = await tryFailovers(deployment).catch((one) => one);
      if (!error) {
        return;
      }
      if (left === 0) {
        throw error;
      }
      t.diagnostic(`again, as a machine that stands still may miss a phase: ${error.message}`);
      deployment = await deploy(t);
    }
  });

  await t.test("in an outage", async () => {
    const { cluster, daemon, tryAll } = deployment;
    for (const { port } of cluster.sentinels) { // until that is over, they do nothing
      assert.match(await redis(port, `SENTINEL SET ${cluster.name} down-after-milliseconds 600000`), /^\+OK/);
    }
    const port = await until("there is a master", 10000, async () => (await (await fetch(`${daemon.base}/master`)).json()).port);
    await cluster.nodes.find((node) => node.port === port).stop("SIGKILL");
    await tryAll("outage", 30000);
  });
});

test("the versions that the manual says were tried are those that are", () => {
  const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  const page = (name) => readFileSync(join(here, "../../deploy/man", name), "utf8").replace(/\s+/g, " ");
  const forward = page("bellwether-forward.7.md");
  for (const [name, version] of [["ioredis", dependencies.ioredis], ["node-redis", dependencies.redis]]) {
    assert.match(forward, new RegExp(`\\b${name} ${version.split(".", 2).join("\\.")}\\b`), `${name} ${version}`);
  }
  const named = [...page("bellwether-http.7.md").matchAll(/`([\w@/-]+)`(?: up to)? (\d+\.\d+\.\d+)/g)].map(([, ...pair]) => pair);
  const tried = Object.keys(dependencies).filter((name) => named.some(([other]) => other === name));
  assert.ok(tried.length > 5, String(tried));
  for (const name of tried) { // others of it are what it says of those that do not run
    assert.ok(named.some(([other, version]) => other === name && version === dependencies[name]), `${name} ${dependencies[name]}`);
  }
});

// The daemon says ok to options, without a network.
function checkConfig(t, args, env = {}, cwd = makeFolder(t)) {
  const { status, stdout, stderr } = spawnSync(binary, [...args, "--check-config"], { encoding: "utf8", cwd, env: { ...process.env, ...env } });
  assert.equal(status, 0, `${args.join(" ")}: ${stdout}${stderr}`);
}

// A certificate of its own and its key.
function makeCertificate(folder) {
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=document", "-keyout", "key", "-out", "crt"];
  const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8", cwd: folder });
  assert.equal(status, 0, stderr);
  return { crt: readFileSync(join(folder, "crt")), key: readFileSync(join(folder, "key")) };
}

test("configurations", async (t) => {
  await t.test("pods", { skip: noYaml && `${noYaml} is missing` }, () => {
    const pods = of("yaml").map(({ text }) => parseYaml(text, "a pod")[0]).filter((pod) => pod.initContainers);
    assert.ok(pods.length > 0);
    for (const pod of pods) {
      assert.deepEqual(hasSchemas ? checkType({ containers: [], ...pod }, "core/v1", "PodSpec", "pod") : [], []);
      for (const { args, env, ports } of pod.initContainers) {
        checkConfig(t, args, Object.fromEntries(env.map(({ name, value }) => [name, value])));
        (ports ?? []).forEach((port) => assert.ok(args.some((arg) => arg.startsWith(`0.0.0.0:${port.containerPort},`))));
      }
    }
  });

  await t.test("a file", () => {
    const folder = makeFolder(t);
    const pem = makeCertificate(folder);
    const files = of("ini");
    assert.ok(files.length > 0, "there is one");
    for (const { text } of files) {
      const place = (path) => join(folder, path.replaceAll("/", "-"));
      const paths = /\/(?:etc|run\/secrets)\/bellwether\/[\w./-]*\w/g;
      for (const [path] of text.matchAll(paths)) {
        writeFileSync(place(path), pem[path.split(".")[1]] ?? "secret\n", { mode: 0o600 });
      }
      writeFileSync(join(folder, "conf"), text.replace(paths, place));
      checkConfig(t, ["--config", join(folder, "conf")], {}, folder);
    }
  });

  await t.test("commands and variables", () => {
    const text = of("sh").map((block) => block.text).join("").replace(/ #.*$/gm, "");
    const calls = [...text.matchAll(/(?<![\w/])(?:build\/)?bellwether( --[^&)"\n]*)/g)];
    assert.ok(calls.length >= 3, "they were found");
    for (const [, args] of calls) {
      checkConfig(t, args.trim().split(/ +/));
    }
    const variables = [...text.matchAll(/^(BELLWETHER_\w+)=(.*)$/gm)];
    assert.ok(variables.length > 0, "they were found");
    for (const [, name, value] of variables) {
      checkConfig(t, [], { [name]: value });
    }
  });

  await t.test("the default of --commands", () => {
    const rules = of("text").map((block) => block.text.trim()).filter((text) => text.startsWith("+@all"));
    assert.equal(rules.length, 1);
    assert.ok(spawnSync(binary, ["--help"], { encoding: "utf8" }).stdout.replace(/\s+/g, " ").includes(`(default ${rules[0]})`));
  });

  await t.test("HAProxy", { skip: !findProgram("haproxy", "/usr/sbin/haproxy") && "haproxy is missing" }, () => {
    const folder = makeFolder(t);
    const configs = of("haproxy");
    assert.ok(configs.length > 0, "there is one");
    for (const { text } of configs) {
      writeFileSync(join(folder, "haproxy"), `${text}\n`);
      const { status, stdout, stderr } = spawnSync(findProgram("haproxy", "/usr/sbin/haproxy"), ["-c", "-f", join(folder, "haproxy")], { encoding: "utf8" });
      assert.equal(status, 0, stdout + stderr);
    }
  });
});
