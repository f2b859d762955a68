// make demo: each line that it prints to be run is run, in its order, as it stands there; then it ends, and nothing is left behind.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { atEnd, findProgram, makeFolder, nap, patient, run, start, until } from "./support.mjs";

const top = fileURLToPath(new URL("../../", import.meta.url));
const binary = resolve(process.env.BELLWETHER ?? "build/bellwether");
const missing = ["redis-server", "redis-cli", "curl", "openssl"].filter((name) => !findProgram(name));

async function sh(command, options) {
  const { status, stdout, stderr } = await run(["bash", "-c", command], options);
  return { status, text: stdout, all: stdout + stderr };
}

// Whether nobody listens there.
const isFree = (port) => new Promise((resolve) => {
  const socket = connect({ port, host: "127.0.0.1" }, () => {
    socket.destroy();
    resolve(false);
  });
  socket.once("error", () => resolve(true));
});

for (const tls of [false, true]) {
  const name = tls ? "the demo over TLS" : "the demo";
  test(name, { skip: missing.length > 0 && `${missing} is missing`, timeout: patient(600000) }, async (t) => {
    const folder = makeFolder(t);
    const home = join(folder, "tmp");
    mkdirSync(home);
    const usual = [8380, 6379]; // of HTTP and of the forward
    const free = await Promise.all(usual.map(isFree));
    const demo = start(t, folder, "demo", [join(top, "deploy/demo.sh"), binary], { TMPDIR: home, TLS: tls ? "1" : "" });
    atEnd(t, () => demo.stop("SIGTERM")); // it stops its servers, however this ends
    const says = async (what, boundMs) => until(`the demo says ${what}`, boundMs, () => {
      assert.equal(demo.process.exitCode, null, demo.log());
      return what.exec(demo.log());
    });
    await says(/^Ctrl-C ends it all/m, 90000);
    assert.match(demo.log(), /^demo: starting /, "the first line comes before anything that takes time");
    const lines = [...demo.log().matchAll(/^ {2}(\S.*)$/gm)].map(([, line]) => line).filter((line) => !/^(Sentinels|Redis) {2}/.test(line));
    const [curl] = /^curl( --cacert \S+)?/.exec(lines[0]);
    const [base] = /https?:[^/]*\/\/[\d.:]+/.exec(lines[0]);
    const [, forward] = /^redis-cli -p (\d+) SET /m.exec(lines.join("\n"));
    for (const [index, port] of [Number(new URL(base).port), Number(forward)].entries()) {
      assert.ok(port === usual[index] || !free[index] || !(await isFree(usual[index])), `${port}, and ${usual[index]} is free`);
    }
    assert.equal(base.startsWith("https:"), tls);
    const masterNow = async () => (await sh(`${curl} -s '${base}/master?format=text'`)).text.trim();
    const [, port, pid] = /^ {2}Redis +(\d+) \(master, pid (\d+)\)/m.exec(demo.log());
    const before = `127.0.0.1:${port}`;

    const json = (check) => (line) => until(line, 20000, async () => { // a figure may take a moment to be known
      const { status, text, all } = await sh(line);
      assert.equal(status, 0, `${line}: ${all}`);
      return check(JSON.parse(text));
    });
    const loop = (pattern) => async (line) => {
      const { text, all } = await sh(line, { enough: (output) => pattern.test(output) });
      assert.match(text, pattern, `${line}: ${all}`);
    };
    let after;
    const steps = [ // what each of the lines does
      [/\/master\?pretty=1'$/, json(({ name: master, verified }) => master === "mymaster" && verified)],
      [/\/sentinels\?pretty=1'$/, json(({ sentinels }) => sentinels?.length === 3)],
      [/\/replicas\?pretty=1'$/, json(({ replicas }) => replicas?.length === 2)],
      [/^while .*\/master\?format=text'; done$/, loop(/^(127\.0\.0\.1:\d+\n){3}/m)],
      [/"SET","greeting"/, json(({ result }) => result === "OK")],
      [/\/redis\/get\/greeting$/, json(({ result }) => result === "hello")],
      [/^while .*"INCR"/, loop(/(\{"result":\d+\}\s*){3}/)],
      [/^redis-cli -p \d+ SET greeting "hello again"$/, async (line) => assert.equal((await sh(line)).text, "OK\n", line)],
      [/^https?:\S+\/$/, async (line) => assert.match((await sh(`${curl} -fsS -H 'Accept: text/html' ${line}`)).text, /<!doctype html>/i)],
      [/^kill -9 \d+$/, async (line) => {
        assert.equal(line, `kill -9 ${pid}`);
        assert.equal((await sh(line)).status, 0);
        await until("there is another master", 90000, async () => (after = await masterNow()).startsWith("127.0.0.1:") && after !== before);
        const forwarded = lines.find((other) => / SET greeting "/.test(other));
        await until("the forward leads to it", 20000, async () => (await sh(forwarded)).text === "OK\n");
        const [, back] = await says(/is gone; to bring it back: (.*)$/m, 20000);
        assert.ok(lines.includes(back), back);
      }],
      [/^redis-server \S+ --daemonize yes$/, async (line) => {
        const { status, all } = await sh(line);
        assert.equal(status, 0, all);
        await says(new RegExp(`the Redis node on port ${port} is back`), 20000);
        const [cli] = /^redis-cli.*(?= -p \d+ SENTINEL)/.exec(lines.find((other) => other.includes("SENTINEL FAILOVER")));
        await until("it is a replica", 60000, async () => (await sh(`${cli} -p ${port} ROLE`)).text.startsWith("slave\n"));
      }],
      [/ SENTINEL FAILOVER mymaster$/, async (line) => {
        let taken = false;
        await until("there is another master", 120000, async () => {
          const now = await masterNow();
          if (now.startsWith("127.0.0.1:") && now !== after) {
            return true;
          }
          taken = (await sh(line)).text === "OK\n" || taken; // refused while one is under way; on a busy machine one may come to nothing
          await nap(patient(500));
          return false;
        }).catch(async (error) => assert.fail(`${error.message}\n${(await sh(lines.at(-1))).text}\n${demo.log()}`));
        assert.ok(taken);
      }],
      [/\/failovers\?format=text'$/, async (line) => {
        let text;
        await until("both failovers are told", 40000, async () => ({ text } = await sh(line)).text.includes("switched manual"));
        assert.match(text, new RegExp(`switched crash ${before} -> `));
      }],
    ];
    assert.equal(lines.length, steps.length, lines.join("\n"));
    for (const [index, [pattern, work]] of steps.entries()) {
      assert.match(lines[index], pattern);
      await t.test(lines[index].replaceAll(home, ""), () => work(lines[index]));
    }

    const [, back] = /is back \(pid (\d+)\)/.exec(demo.log());
    const runs = () => existsSync(`/proc/${back}/exe`); // what ended and waits for its parent has none
    assert.ok(runs());
    await demo.stop("SIGINT");
    assert.equal(demo.process.exitCode, 0, demo.log());
    assert.deepEqual(readdirSync(home), [], "nothing is left behind");
    await until("the node that was brought back has ended", 5000, () => !runs());
  });
}
