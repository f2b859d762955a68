// What the other tests here lean on when things go wrong.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { first, span } from "../support/ports.mjs";
import { atEnd, freePort, ifMissing, makeFolder, patient, start, until } from "./support.mjs";

// A test's context of which the end is called by hand.
function fakeTest() {
  const hooks = [];
  return { after: (hook) => hooks.push(hook), end: async () => { for (const hook of hooks) await hook(); } };
}

test("at the end what came last goes first, whatever fails", async () => {
  const t = fakeTest();
  const done = [];
  atEnd(t, () => done.push("folder"));
  atEnd(t, async () => { throw new Error("would not stop"); });
  atEnd(t, () => done.push("server"));
  await assert.rejects(t.end(), /would not stop/);
  assert.deepEqual(done, ["server", "folder"]);
});

test("a condition that never ends is not waited for", { timeout: patient(20000) }, async () => {
  await assert.rejects(until("never", 50, () => new Promise(() => {})), /not within 50 ms: never/);
  await assert.rejects(until("no", 50, () => false), /not within 50 ms: no/);
  assert.equal(await until("yes", 50, () => 7), 7);
});

test("what ended in between is told by who waits for it", async (t) => {
  const folder = makeFolder(t);
  const { process: it, stop } = start(t, folder, "server", ["sh", "-c", "echo first; echo a place that is taken; exit 2"]);
  await until("it has ended", 5000, () => it.exitCode !== null);
  await assert.rejects(until("it answers", 50, () => false), /^Error: not within 50 ms: it answers\nserver ended with 2: first\na place that is taken$/);
  await stop();
  await assert.rejects(until("it answers", 50, () => false), /^Error: not within 50 ms: it answers$/);
});

test("no port is given to which fetch() does not connect", async () => {
  const refused = 10080; // the only one between 7000 and the ephemeral ones
  await assert.rejects(fetch(`http://127.0.0.1:${refused}`), ({ cause }) => /bad port/.test(cause?.message));
  assert.ok(refused < first || refused >= first + span, `${refused} is not among ${span} from ${first} on`);
});

test("no port is given twice, and none that is taken or ephemeral", async (t) => {
  const ports = [];
  while (ports.length < 1000) {
    ports.push(await freePort());
  }
  assert.equal(new Set(ports).size, ports.length);
  const lowest = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s/)[0]);
  assert.ok(ports.every((port) => port < lowest), `below ${lowest}`);
  const [given] = ports.slice(-1);
  const taken = net.createServer();
  await new Promise((done) => taken.listen(given + 1, "127.0.0.1", done).once("error", done)); // or somebody else has it
  atEnd(t, () => taken.close());
  assert.notEqual(await freePort(), given + 1);
});

test("of packages that can't be loaded only what is not installed is missing", async (t) => {
  assert.deepEqual(await import("not-installed/part").catch(ifMissing), { missing: "the package not-installed" });
  const folder = makeFolder(t);
  const broken = {
    "lacks-its-own": 'import "not-installed";',
    "lacks-a-file": 'import "./none.mjs";',
    "has-a-fault": "throw new Error('not-installed');",
    "is-empty": undefined,
  };
  for (const [name, source] of Object.entries(broken)) {
    const home = join(folder, "node_modules", name);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, "package.json"), '{"type": "module", "main": "main.mjs"}');
    if (source) {
      writeFileSync(join(home, "main.mjs"), source);
    }
    writeFileSync(join(folder, `${name}.mjs`), `import "${name}";`);
    await assert.rejects(import(join(folder, `${name}.mjs`)).catch(ifMissing), undefined, name);
  }
});
