#!/usr/bin/env node
// Who is the master? Asked of bellwether with nothing but Node's own modules.
//
//     bellwether-client.mjs [ask|wait|follow [URL [NAME]]]
//
// `ask` prints the address once, `wait` follows it with long polls, `follow` with the stream of events.
import http from "node:http";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

const silence = 45000; // ms: over the 30 s of a wait, and the 15 s at which a silent stream sends a comment

// 200, or 503 while there is no master; all else (a limit, a name that nobody knows yet) is an error.
async function get(url, headers = {}) {
  const answer = await new Promise((done, failed) => {
    const request = (url.startsWith("https:") ? https : http).get(url, { headers, timeout: silence, agent: false }, done);
    request.on("timeout", () => request.destroy(new Error(`silent for ${silence} ms`))).on("error", failed);
  });
  if (answer.statusCode !== 200 && !(answer.statusCode === 503 && answer.headers["x-bellwether-index"])) {
    answer.destroy();
    throw Object.assign(new Error(`status ${answer.statusCode}`), { retryAfter: Number(answer.headers["retry-after"] ?? 0) });
  }
  return answer.setEncoding("utf8");
}

// Each answer comes when something about the master has changed, or the daemon was started again.
async function* wait(base, name) {
  for (let query = "", last; ; ) {
    const answer = await get(`${base}/masters/${name}${query}`);
    let text = "";
    for await (const chunk of answer) text += chunk;
    yield answer.statusCode === 200 ? JSON.parse(text).address : undefined;
    last = query;
    query = `?wait=30s&index=${answer.headers["x-bellwether-index"]}&instance=${answer.headers["x-bellwether-instance"]}`;
    if (query === last) await sleep(1000 * Math.random()); // nothing new, as when the daemon is about to stop: do not spin
  }
}

// A stream that broke off goes on behind the last event that was seen.
async function* follow(base, name, seen) {
  let text = "";
  for await (const chunk of await get(`${base}/events?master=${name}`, seen)) {
    const events = (text + chunk).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const of = Object.fromEntries([...event.matchAll(/^(\w+): (.*)$/gm)].map(([, field, value]) => [field, value]));
      if (of.id) seen["Last-Event-ID"] = of.id;
      if (of.event !== "master") continue;
      const { state, address } = JSON.parse(of.data);
      yield state === "ok" || state === "unverified" ? address : undefined;
    }
  }
  throw new Error("the stream ended");
}

// Again and again, with jitter: all clients lose a daemon at the same moment.
async function* forever(attempt, base, name) {
  for (let failures = 0, seen = {}, began; ; ) {
    began = performance.now();
    try {
      yield* attempt(base, name, seen);
    } catch (error) {
      console.error(`again soon: ${error.message}`);
      failures = performance.now() - began > 5000 ? 0 : Math.min(failures + 1, 5);
      await sleep(1000 * (error.retryAfter ?? 0) + 50 + 200 * 2 ** failures * Math.random());
    }
  }
}

const [mode = "ask", base = "http://127.0.0.1:8380", name = "mymaster"] = process.argv.slice(2);
if (!["ask", "wait", "follow"].includes(mode) || process.argv.length > 5) {
  console.error("usage: bellwether-client.mjs [ask|wait|follow [URL [NAME]]]");
  process.exit(2);
}
let current;
for await (const address of forever(mode === "follow" ? follow : wait, base, name)) { // undefined: there is no master now
  if (address && address !== current) console.log(address); // here your Redis client would connect anew
  current = address;
  if (address && mode === "ask") break;
}
