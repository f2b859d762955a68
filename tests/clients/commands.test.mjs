// /redis without a library for it: what README.md and the manual show of it, run as it stands there, and what fetch and Python's standard
// library make of values and errors.
import assert from "node:assert/strict";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { blocks, documents, findProgram, ifMissing, makeFolder, patient, run, shown, startCluster, startDaemon, until } from "./support.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const { missing } = await import("@upstash/redis").catch(ifMissing);
const curl = findProgram("curl");
const python = findProgram("python3");
const skip = !findProgram("redis-server") && "redis-server is missing";

const section = /^## Commands\n(.*?)^## /ms.exec(documents.find(({ name }) => name.endsWith("bellwether-http.7.md")).text)[1];
const examples = blocks.filter(({ when }) => when === "commands");

test("examples of commands", { skip, timeout: patient(180000) }, async (t) => {
  const folder = makeFolder(t);
  const daemon = await startDaemon(t, folder, await startCluster(t, folder, { size: 2 }), "--redis-api", "loopback");
  const here8380 = (text) => text.replaceAll("127.0.0.1:8380", `127.0.0.1:${daemon.port}`);
  writeFileSync(join(folder, "page.html"), "<p>page\n");
  symlinkSync(join(here, "node_modules"), join(folder, "node_modules"));

  await t.test("curl", { skip: !curl && "curl is missing" }, async () => {
    const all = examples.filter(({ language }) => language === "console").flatMap(({ text }) => shown(text));
    assert.ok(all.length >= 8, "they were found");
    for (const { command, output } of all) {
      const ask = async () => (await run(["sh", "-c", here8380(command)], { cwd: folder })).stdout;
      if (command.includes("/replica/")) { // it gets there a little later
        await until(`${command} gives ${output}`, 20000, async () => (await ask()) === output);
      } else {
        assert.equal(await ask(), output, command);
      }
    }
    assert.equal((await (await fetch(`${daemon.base}/redis/get/page`)).json()).result, "<p>page\n", "a body is an argument");
  });

  await t.test("Python", { skip: !python && "python3 is missing" }, async () => {
    const { text } = examples.find(({ language }) => language === "python");
    assert.deepEqual(await run([python, "-"], { cwd: folder, input: here8380(text) }), { status: 0, stdout: "Ada\n", stderr: "" });

    const more = `
import base64, urllib.error
for value in (2**63 - 1, -2**63, "ü\\u2028\\u0000🐏", "", 1.5, True):
    redis("SET", "value", value)
    assert redis("GET", "value") == (value if type(value) is str else json.dumps(value)), value
redis("SET", "n", 2**63 - 2)
assert redis("INCR", "n") == 2**63 - 1
assert redis("GET", "none") is None
redis("RPUSH", "l", "a", 2)
assert redis("LRANGE", "l", 0, -1) == ["a", "2"]
try:
    redis("LPUSH", "value", 1)
except urllib.error.HTTPError as error:
    print(error.code, json.load(error)["error"])
`;
    const wrongType = "400 WRONGTYPE Operation against a key holding the wrong kind of value\n";
    const { stdout, stderr } = await run([python, "-"], { cwd: folder, input: here8380(text) + more, env: { PYTHONUTF8: "1" } });
    assert.deepEqual({ stdout, stderr }, { stdout: `Ada\n${wrongType}`, stderr: "" });
  });

  await t.test("Node with @upstash/redis", { skip: missing && `${missing} is missing` }, async () => {
    const { text } = examples.find(({ language }) => language === "js");
    writeFileSync(join(folder, "example.mjs"), here8380(text));
    const { stdout, stderr } = await run([process.execPath, "example.mjs"], { cwd: folder });
    assert.deepEqual({ stdout, stderr }, { stdout: "{ name: 'Ada' }\n", stderr: "" });
  });
});

test("fetch", { skip, timeout: patient(120000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder, { size: 1 });
  const daemon = await startDaemon(t, folder, cluster, "--redis-api", "loopback");
  const ask = async (path, body, headers = {}) => {
    const answer = await fetch(daemon.base + path, body === undefined ? {} : { method: "POST", body, headers });
    assert.equal(answer.headers.get("content-type"), "application/json");
    return { status: answer.status, text: await answer.text(), ranAt: answer.headers.get("x-bellwether-master") };
  };

  await t.test("64 bits are exact in the JSON", async () => {
    await ask("/redis", '["SET","n",9223372036854775806]');
    assert.equal((await ask("/redis", '["INCR","n"]')).text, '{"result":9223372036854775807}\n');
    assert.equal((await ask("/redis", '["DECRBY","m",9223372036854775807]')).text, '{"result":-9223372036854775807}\n');
    assert.equal((await ask("/redis/pipeline", '[["GET","n"],["GET","m"]]')).text, '[{"result":"9223372036854775807"},{"result":"-9223372036854775807"}]\n');
  });

  await t.test("every byte there and back", async () => {
    const bytes = Buffer.from(Array.from({ length: 1024 }, (_, i) => (i * 7 + (i >> 8)) % 256));
    for (const type of ["application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data", "application/json"]) {
      assert.equal((await ask("/redis/set/bytes", bytes, { "content-type": type })).text, '{"result":"OK"}\n', type);
      const { text } = await ask("/redis", '["GET","bytes"]', { "Upstash-Encoding": "base64" });
      assert.deepEqual(Buffer.from(JSON.parse(text).result, "base64"), bytes, type);
    }
    const key = encodeURIComponent("a/b?c&d=%\r\n ü");
    assert.equal((await ask(`/redis/set/${key}/%00%ff?EX=100&nx`, "")).status, 200);
    assert.equal((await ask(`/redis/strlen/${key}`)).text, '{"result":2}\n');
  });

  await t.test("which node ran it", async () => {
    assert.equal((await ask("/redis/get/none")).ranAt, `127.0.0.1:${cluster.nodes[0].port}`);
  });
});

// The manual's table of what an answer says: {status: {words, outcome}}.
const promised = Object.fromEntries([...section.matchAll(/^\| (\d{3}) \|([^|]*)\|([^|]*)\|[^|]*\|$/gm)].map(([, status, words, outcome]) => [
  status, { words: [...words.matchAll(/`([A-Z]+)`/g)].map(([, word]) => word), outcome: /`(\w+)`/.exec(outcome)?.[1], own: words.includes("Redis' own") },
]));

test("the table of errors", { skip, timeout: patient(120000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder, { size: 1 });
  writeFileSync(join(folder, "token"), "secret\n");
  const daemon = await startDaemon(
    t, folder, cluster, "--redis-api", "token", "--token-file", join(folder, "token"), "--max-body", "4KiB", "--max-reply", "8KiB",
    "--command-timeout", `${patient(2500)}ms`, // longer than a machine stands still, shorter than a Sentinel waits
  );
  const told = new Set();
  const ask = async (status, body, { path = "/redis", token = "secret" } = {}) => {
    const answer = await fetch(daemon.base + path, { method: "POST", body, headers: { authorization: `Bearer ${token}` } });
    const json = await answer.json();
    const row = promised[status];
    told.add(String(status));
    assert.equal(answer.status, status, JSON.stringify(json));
    if (status === 200) {
      assert.deepEqual(Object.keys(json), ["result"]);
      return json;
    }
    assert.ok(row.words.some((word) => json.error.startsWith(`${word} `)) || row.own, `${status}: ${json.error}`);
    assert.equal(json.outcome, row.outcome, `${status}: ${json.error}`);
    assert.equal(Object.keys(json)[0], "error", "for those who show nothing else");
    assert.equal(json.status, status);
    assert.equal(status === 401, answer.headers.get("www-authenticate")?.startsWith("Bearer") ?? false);
    assert.equal(status === 503, answer.headers.has("retry-after"));
    return json;
  };

  await ask(200, '["SET","text","a"]');
  await ask(400, "[");
  assert.match((await ask(400, '["LPUSH","text","a"]')).error, /^WRONGTYPE /);
  assert.match((await ask(400, '["NOSUCH"]')).error, /^ERR unknown command 'NOSUCH'/);
  await ask(401, '["GET","text"]', { token: "wrong" });
  await ask(403, '["FLUSHALL"]');
  await ask(404, '["GET","text"]', { path: "/masters/none/redis" });
  await ask(409, '["SCAN","5242881"]'); // a cursor of a server that nobody knows
  await ask(413, JSON.stringify(["SET", "text", "x".repeat(5000)]));
  for (let i = 0; i < 10; i += 1) {
    await ask(200, JSON.stringify(["APPEND", "large", "x".repeat(1000)]));
  }
  await ask(502, '["GET","large"]');
  assert.equal((await ask(200, '["STRLEN","large"]')).result, 10000, "and it goes on");
  cluster.nodes[0].process.kill("SIGSTOP");
  await ask(504, '["INCR","n"]');
  cluster.nodes[0].process.kill("SIGCONT");
  await until("it answers again", 20000, async () => (await (await fetch(`${daemon.base}/redis/get/n`, { headers: { authorization: "Bearer secret" } })).json()).result === "1");
  await cluster.nodes[0].stop("SIGKILL");
  await until("the daemon has noticed", 20000, async () => (await fetch(`${daemon.base}/master`)).status === 503);
  await ask(503, '["INCR","n"]');
  assert.deepEqual([...told].sort(), Object.keys(promised).sort(), "every row was seen");
});
