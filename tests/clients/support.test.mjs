// What the other tests here lean on when things go wrong.
import assert from "node:assert/strict";
import { test } from "node:test";
import { atEnd, patient, until } from "./support.mjs";

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
