// What the status page's script makes of what it is told: the page comes from the daemon, the answers that its script asks
// for and the events from a server of the test's own.
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { atEnd, findProgram, freePort, ifMissing, makeFolder, nap, patient, startCluster, startDaemon, until } from "./support.mjs";

const chromium = findProgram("chromium", "chromium-browser", "google-chrome");
const playwright = await import("playwright-core").catch(ifMissing);
const lacking = [!chromium && "chromium", playwright.missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);

/* ---- states ---- */

const SINCE = "2026-11-22T12:00:00.123Z";
const place = (address) => ({ host: address.split(":")[0], port: Number(address.split(":")[1]), address });

const sentinel = (n, says, more = {}) => ({
  address: `10.0.2.${n}:26379`, reachable: true, says, config_epoch: 3, agrees: true, ckquorum: null, tilt: false,
  master_flags: ["master"], error: null, foreign: false, age_ms: Math.floor(Math.random() * 1000), ...more,
});

const replica = (n, more = {}) => ({
  ...place(`10.0.1.${n}:6379`), healthy: true, link_up: true, link_down_ms: 0, lag_bytes: 100, lag_age_ms: 10, priority: 100,
  promotable: true, why_not: [], ...more,
});

function master(name, more = {}) {
  const { address } = { address: "10.0.0.12:6379", ...more };
  return {
    name, state: "ok", reason: null, detail: null, ...(address ? place(address) : {}), address, verified: true, majority: true, stale: false,
    config_epoch: 3, index: 7, since: address ? SINCE : null, previous: null, known: 3, reachable: 3, agreeing: 3,
    sentinels: [1, 2, 3].map((n) => sentinel(n, address)), replicas: [replica(1), replica(2)], ...more,
  };
}

const down = (name, more = {}) => master(name, {
  state: "down", reason: "redis_unreachable", detail: "10.0.0.12:6379 refused twice", verified: false, majority: false, agreeing: 1, ...more,
});

const body = ({ name, state, reason, address, verified, majority, config_epoch, index, since, previous }) =>
  ({ name, state, reason, address, verified, majority, stale: false, config_epoch, index, since, previous });

/* A server like the daemon that says what the test wants: {base, masters, asked, send, hold, stop, start}. */
async function startFake(t, page, policy) {
  const fake = { masters: [master("mymaster")], failovers: [], extra: {}, instance: "0000000000000001", asked: [], hold: null };
  const streams = new Set();
  const view = () => ({ default: fake.masters[0]?.name ?? null, masters: fake.masters });
  const answers = {
    "/status": () => ({ reason: null, watcher: { stalled: false, silent_ms: 10 }, ...view(), ...fake.extra }),
    "/masters": () => ({ default: view().default, masters: fake.masters.map(body), ...fake.extra }),
    "/failovers": () => ({ failovers: fake.failovers }),
  };
  const find = (path) => {
    const [, name, what] = /^\/masters\/([^/]+)\/(sentinels|replicas)$/.exec(path) ?? [];
    const one = fake.masters.find((each) => each.name === decodeURIComponent(name ?? ""));
    return one && (what === "replicas" ? { name, index: one.index, replicas: one.replicas }
      : { name, known: one.known, reachable: one.reachable, agreeing: one.agreeing, majority: one.majority, sentinels: one.sentinels });
  };
  const server = http.createServer(async (request, response) => {
    const path = request.url.split("?")[0];
    fake.asked.push(path);
    if (path === "/") {
      response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy });
      response.end(page);
      return;
    }
    if (path === "/events") {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write(`retry: 300\nid: ${fake.instance}-1\n\n`);
      streams.add(response);
      response.on("close", () => streams.delete(response));
      fake.masters.forEach((one) => fake.send("master", body(one), response));
      return;
    }
    await fake.hold;
    const answer = answers[path]?.() ?? find(path);
    response.writeHead(answer ? 200 : 404, { "Content-Type": "application/json", "X-Bellwether-Instance": fake.instance });
    response.end(JSON.stringify(answer ?? {}));
  });
  fake.send = (kind, data, only) => {
    for (const stream of only ? [only] : streams) {
      stream.write(`id: ${fake.instance}-2\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
    }
  };
  fake.start = (port) => new Promise((done) => server.listen(port, "127.0.0.1", done));
  fake.stop = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  fake.port = await freePort(); // it comes back there, so no outgoing connection may take it meanwhile
  await fake.start(fake.port);
  fake.base = `http://127.0.0.1:${fake.port}`;
  atEnd(t, fake.stop);
  return fake;
}

const textOf = (page, selector) => page.evaluate((wanted) => document.querySelector(wanted)?.textContent ?? "", selector);

test("the status page's states", { skip: lacking.length ? `not installed: ${lacking.join(", ")}` : false, timeout: patient(300000) }, async (t) => {
  const folder = makeFolder(t);
  const daemon = await startDaemon(t, folder, await startCluster(t, folder, { size: 1 }));
  const served = await fetch(`${daemon.base}/`, { headers: { Accept: "text/html" } });
  const policy = served.headers.get("content-security-policy");
  const html = await served.text();
  const browser = await playwright.chromium.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  atEnd(t, () => browser.close());

  /* A page on a fake of its own. @param state what the fake says. */
  async function open(test, state = {}) {
    const fake = Object.assign(await startFake(test, html, policy), state);
    const context = await browser.newContext({ timezoneId: "Asia/Tokyo", locale: "en-GB" });
    const page = await context.newPage();
    const thrown = [];
    page.on("pageerror", (error) => thrown.push(error.message));
    atEnd(test, async () => {
      await context.close();
      assert.deepEqual(thrown, []);
    });
    await page.goto(`${fake.base}/`);
    return { fake, page };
  }
  const painted = (page) => until("it is live", 20000, async () => (await textOf(page, "#link")) === "live" && !(await textOf(page, "#verdict")).startsWith("Asking"));
  const cardsOf = (page) => page.evaluate(() => [...document.querySelectorAll(".card.master")].map((card) => ({
    name: card.querySelector("h3").firstChild.data, state: card.querySelector(".badge").textContent, mood: card.dataset.mood,
    address: card.querySelector(".address").textContent, gone: card.querySelector(".address").classList.contains("gone"),
    why: card.querySelector(".why")?.textContent ?? "", open: card.querySelector("details").open,
    summary: card.querySelector("summary").textContent, tables: card.querySelector(".tables").textContent,
    facts: [...card.querySelectorAll("dd")].map((fact) => fact.textContent), isDefault: card.querySelector(".tag") !== null,
  })));

  await t.test("before the first answer it says that it asks", async (tt) => {
    let answer;
    const { fake, page } = await open(tt, { hold: new Promise((done) => (answer = done)) });
    assert.equal(await textOf(page, "#link"), "connecting\u2026");
    assert.equal(await page.isVisible("#verdict"), true);
    assert.equal(await textOf(page, "#verdict"), "Asking the daemon\u2026");
    assert.equal(await page.isVisible("pre"), false, "what stands there for browsers without JavaScript");
    fake.hold = null;
    answer();
    await painted(page);
    assert.equal(await textOf(page, "#verdict"), "mymaster is at 10.0.0.12:6379.");
  });

  await t.test("shows the present state", async (tt) => {
    const { page } = await open(tt, { masters: [master("mymaster", {
      previous: place("10.0.0.11:6379"), agreeing: 2,
      sentinels: [sentinel(1, "10.0.0.12:6379"), sentinel(2, "10.0.0.12:6379"), sentinel(3, "10.0.0.11:6379", { agrees: false, config_epoch: 2 })],
      replicas: [replica(1), replica(2, { healthy: false, lag_bytes: null })],
    })] });
    await painted(page);
    assert.equal(await textOf(page, "#verdict"), "mymaster is at 10.0.0.12:6379.");
    assert.equal(await page.getAttribute("#verdict", "data-mood"), "good");
    const [card] = await cardsOf(page);
    assert.equal(card.address, "10.0.0.12:6379");
    assert.match(card.facts[0], /^2026-11-22 12:00:00 UTC (just now|.+ ago)$/);
    assert.deepEqual(card.facts.slice(1), ["10.0.0.11:6379", "says master", "3"]);
    assert.equal(await page.getAttribute("dd time", "datetime"), SINCE);
    assert.equal(card.summary, "2 of 3 Sentinels agree \u00b7 1 disagrees \u00b7 1 of 2 replicas healthy");
    assert.equal(await textOf(page, "strong.bad"), "\u2260 10.0.0.11:6379");
    assert.match(card.tables, /100 B.*unknown/);
    assert.equal(await page.isVisible("text=None since this daemon started."), true);
  });

  await t.test("says what is out of service and why, the worst first", async (tt) => {
    const { page } = await open(tt, { masters: [master("a"), down("b"),
      master("c", { state: "unknown", reason: "unknown_name", address: null, majority: false, replicas: [] })] });
    await painted(page);
    assert.equal(await textOf(page, "#verdict"), "2 of 3 masters are out of service: b (down), c (unknown).");
    assert.equal(await page.getAttribute("#verdict", "data-mood"), "bad");
    const [b, c, a] = await cardsOf(page);
    assert.deepEqual([b.name, c.name, a.name], ["b", "c", "a"]);
    assert.equal(b.why, "redis unreachable: 10.0.0.12:6379 refused twice");
    assert.deepEqual([b.address, b.gone, c.address, c.gone], ["10.0.0.12:6379", true, "\u2014", true]);
    assert.match(c.tables, /Not known\.$/, "never resolved: it may have replicas");
    assert.deepEqual([a.isDefault, b.isDefault], [true, false]);
  });

  await t.test("a master's forwards, and clients that wait", async (tt) => {
    const forward = (more) => ({
      listen: "127.0.0.1:6379", to: "master", master: "mymaster", known: true, tls: false, auth: false, connections: { master: 12, replica: 0 }, waiting: 0, accepted: 15,
      bytes_in: 1536, bytes_out: 20, closed: { client: 3, switch: 0 }, ...more,
    });
    const { fake, page } = await open(tt, { masters: [master("mymaster"), master("other")], extra: { forwards: [forward({}),
      forward({ listen: "unix:/run/r.sock", to: "replica", tls: true, auth: true, connections: { master: 1, replica: 2 }, closed: { client: 0, switch: 0 } })] } });
    const cells = (of = '[data-name="mymaster"] .forwards') => page.locator(`${of} tbody tr`).evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
    await until("its forwards are shown", 20000, async () => (await cells()).length === 4);
    assert.deepEqual(await cells(), [["127.0.0.1:6379", "12", "1.5 kB", "20 B"], ["closed: client 3"],
      ["unix:/run/r.sock", "3", "1.5 kB", "20 B"], ["to replicas; TLS; logs in"]]);
    assert.equal(await page.locator('[data-name="other"] .forwards').count(), 0);
    assert.doesNotMatch(await page.textContent('[data-name="mymaster"] summary'), /wait/);
    fake.extra = { forwards: [forward({ waiting: 2, connections: { master: 0, replica: 0 } })] };
    fake.send("master", body(fake.masters[0]));
    await until("that they wait is said", 20000, async () => (await page.textContent('[data-name="mymaster"] summary')).endsWith("2 clients wait"));
    assert.deepEqual((await cells())[1], ["2 clients wait for a node; closed: client 3"]);
    assert.equal(await page.isVisible("#forwards-section"), false);
    fake.extra = { forwards: [forward({}), forward({ listen: "127.0.0.1:6380", to: "replica", master: "<b>typo", known: false, waiting: 1, closed: {} }),
      forward({ listen: "127.0.0.1:6381", master: null, closed: {} }), forward({ listen: "127.0.0.1:6382", master: "later", closed: {} })] };
    fake.send("master", body(fake.masters[0]));
    await until("those that lead to no master are shown", 20000, () => page.isVisible("#forwards-section"));
    assert.deepEqual(await cells("#forwards"), [["127.0.0.1:6380", "12", "1.5 kB", "20 B"], ["of <b>typo, which no Sentinel knows; to replicas; 1 client waits for a node"],
      ["127.0.0.1:6381", "12", "1.5 kB", "20 B"], ["127.0.0.1:6382", "12", "1.5 kB", "20 B"], ["of later"]]);
    assert.deepEqual(await page.locator("#forwards tbody tr").evaluateAll((all) => all.map((row) => row.dataset.mood ?? null)), ["warn", "warn", null, null, null]);
    fake.extra = { forwards: [forward({})] };
    fake.send("master", body(fake.masters[0]));
    await until("they are known now", 20000, async () => !(await page.isVisible("#forwards-section")));
    assert.equal((await cells()).length, 2);
  });

  await t.test("no master is known", async (tt) => {
    const { page } = await open(tt, { masters: [], extra: { detail: "none of 2 Sentinels can be reached" } });
    await painted(page);
    assert.equal(await textOf(page, "#verdict"), "No master is known: none of 2 Sentinels can be reached.");
    assert.equal(await page.isVisible("#masters-section"), false);
  });

  await t.test("whatever has a name is text", async (tt) => {
    const evil = "<script>alert(1)</script>\"'&\ufffd";
    const { fake, page } = await open(tt, { masters: [down(evil, {
      detail: "</p><img src=x onerror=alert(2)>", address: "<u>:6379",
      sentinels: [sentinel(1, "<u>:6379", { error: { code: "<b>", text: "</td>\"" } }), sentinel(2, "<u>:6379", { master_flags: ["master", "<i>"] })],
    })], failovers: [{ name: "<m>", from: "<b>:1", to: null, kind: "<i>", leader: "<u>", reason: "<s>", outcome: "\"><b>", began: SINCE, ended: SINCE,
      config_epoch: 4, phases: [{ phase: "\"/><b>", at: SINCE, ms: 0 }], unavailable_ms: null }] });
    await painted(page);
    await until("the failover is there", 20000, () => page.locator(".failover").count());
    fake.send("sentinel", { at: SINCE, master: "<b>", sentinel: "<i>", event: "<u>", detail: "<img src=x>" });
    await until("the event is there", 20000, () => page.locator("#events li").count());
    const [card] = await cardsOf(page);
    assert.equal(card.name, evil);
    assert.equal(card.address, "<u>:6379");
    assert.equal(card.why, "redis unreachable: </p><img src=x onerror=alert(2)>");
    assert.match(card.tables, /<b>: <\/td>"/);
    assert.match(card.tables, /sees the master as <i>/);
    assert.match(await textOf(page, ".move"), /^<b>:1 /);
    assert.match(await textOf(page, "#events"), /<u><i> \u2014 <img src=x>/);
    assert.equal(await page.evaluate(() => document.querySelectorAll("main :is(script, img, b, i, u, s)").length), 0);
  });

  await t.test("after a switch, verdict and rows are of one state at every moment", async (tt) => {
    const { fake, page } = await open(tt);
    await painted(page);
    await page.evaluate(() => {
      window.seen = [];
      const look = () => window.seen.push({
        verdict: document.querySelector("#verdict").textContent, address: document.querySelector(".address").textContent,
        summary: document.querySelector("summary").textContent, named: [...document.querySelectorAll("td:nth-child(2):not(.number)")].map((cell) => cell.textContent),
      });
      new MutationObserver(look).observe(document.querySelector("main"), { subtree: true, childList: true, characterData: true });
      look();
    });
    let answer;
    fake.hold = new Promise((done) => (answer = done)); // the event is quicker than any answer
    fake.masters = [master("mymaster", { address: "10.0.0.13:6379", index: 9, config_epoch: 4, previous: place("10.0.0.12:6379") })];
    fake.send("master", body(fake.masters[0]));
    await until("the feed tells it", 20000, async () => (await textOf(page, "#events")).includes("10.0.0.12:6379 \u2192 10.0.0.13:6379"));
    await nap(300);
    assert.equal(await textOf(page, "#verdict"), "mymaster is at 10.0.0.12:6379.", "nothing is shown by halves");
    fake.hold = null;
    answer();
    await until("the page shows it", 20000, async () => (await textOf(page, "#verdict")) === "mymaster is at 10.0.0.13:6379.");
    const seen = await page.evaluate(() => window.seen);
    assert.ok(seen.length >= 2);
    for (const one of seen) {
      assert.equal(one.verdict, `mymaster is at ${one.address}.`);
      assert.equal(one.summary, "3 of 3 Sentinels agree \u00b7 2 replicas");
      assert.deepEqual(one.named, [one.address, one.address, one.address]);
    }
  });

  await t.test("an answer that an event has overtaken is not shown", async (tt) => {
    const { fake, page } = await open(tt);
    await painted(page);
    const next = master("mymaster", { address: "10.0.0.13:6379", index: 9 });
    const asks = () => fake.asked.filter((path) => path === "/status").length;
    const before = asks();
    fake.send("master", body(next)); // the answers are of index 7 still
    await until("it asks again and again", 10000, () => asks() >= before + 6); // by itself it asks every 5 s
    assert.equal(await textOf(page, "#verdict"), "mymaster is at 10.0.0.12:6379.");
    fake.masters = [next];
    await until("it shows that", 10000, async () => (await textOf(page, "#verdict")) === "mymaster is at 10.0.0.13:6379.");
    assert.equal(await page.locator("#events li").count(), 1, "told once");
  });

  await t.test("of 20 masters the one in trouble comes first and is open", async (tt) => {
    const names = Array.from({ length: 20 }, (_, i) => `m${String(i).padStart(2, "0")}`);
    const { fake, page } = await open(tt, { masters: names.map((name) => (name === "m13" ? down(name) : master(name))) });
    await painted(page);
    assert.equal(await textOf(page, "#verdict"), "1 of 20 masters is out of service: m13 (down).");
    let cards = await cardsOf(page);
    assert.deepEqual(cards.map((card) => card.name), ["m13", ...names.filter((name) => name !== "m13")]);
    assert.deepEqual(cards.filter((card) => card.open).map((card) => card.name), ["m13"]);
    assert.equal(cards[0].summary, "1 of 3 Sentinels agree: no majority \u00b7 2 replicas");
    assert.ok(cards.slice(1).every((card) => card.summary === "3 of 3 Sentinels agree \u00b7 2 replicas"), "closed ones have their figures too");
    // what the reader closed stays closed; who else falls ill comes up and opens
    await page.click(".card.master summary");
    fake.masters = names.map((name) => (name === "m13" ? down(name) : name === "m17" ? master(name, { reason: "disputed", index: 9 }) : master(name)));
    fake.send("master", body(fake.masters[17]));
    await until("the other one came up", 20000, async () => (await cardsOf(page))[1].name === "m17");
    cards = await cardsOf(page);
    assert.deepEqual(cards.filter((card) => card.open).map((card) => card.name), ["m17"]);
    // what has healed goes back to its place, open for who reads there
    fake.masters = names.map((name) => master(name, { index: 11 }));
    fake.masters.forEach((one) => fake.send("master", body(one)));
    await until("all is well", 20000, async () => (await textOf(page, "#verdict")) === "All 20 masters are in service.");
    cards = await cardsOf(page);
    assert.deepEqual(cards.map((card) => card.name), names);
    assert.deepEqual(cards.filter((card) => card.open).map((card) => card.name), ["m17"]);
  });

  await t.test("where there are very many, only what is open is asked for", async (tt) => {
    const names = Array.from({ length: 60 }, (_, i) => `m${String(i).padStart(2, "0")}`);
    const { fake, page } = await open(tt, { masters: names.map((name) => (name === "m55" ? down(name) : master(name))) });
    await painted(page);
    const [first, second] = await cardsOf(page);
    assert.equal(first.name, "m55");
    assert.equal(first.open, true);
    assert.equal(first.summary, "1 of 3 Sentinels agree: no majority \u00b7 2 replicas");
    assert.match(first.why, /^redis unreachable: it can't be connected to$/);
    assert.deepEqual([second.name, second.open], ["m00", false]);
    await page.click(".card.master:nth-child(2) summary");
    await until("the other one's tables are there", 20000, async () => (await cardsOf(page))[1].tables.includes("10.0.2.3:26379"));
    assert.equal(fake.asked.includes("/status"), false);
    assert.deepEqual([...new Set(fake.asked.filter((path) => path.endsWith("/sentinels")))], ["/masters/m55/sentinels", "/masters/m00/sentinels"]);
  });

  await t.test("times are in UTC and say so; local ones are in the tooltip", async (tt) => {
    const { fake, page } = await open(tt, { failovers: [{ name: "mymaster", from: "10.0.0.1:1", to: "10.0.0.2:2", kind: "crash", leader: null, reason: null,
      outcome: "switched", began: SINCE, ended: SINCE, config_epoch: 4, phases: [{ phase: "finished", at: SINCE, ms: 0 }], unavailable_ms: 0 }] });
    await painted(page);
    fake.send("sentinel", { at: SINCE, master: "mymaster", sentinel: "10.0.2.1:26379", event: "+sdown", detail: "" });
    await until("the event is there", 20000, () => page.locator("#events li").count());
    await until("the failover is there", 20000, () => page.locator(".failover").count());
    const times = await page.evaluate(() => [...document.querySelectorAll("time")].map((time) => [time.textContent, time.title]));
    assert.deepEqual(times.map(([text]) => text), ["2026-11-22 12:00:00 UTC", "2026-11-22 12:00:00 UTC", "12:00:00.123 UTC"]);
    for (const [, title] of times) {
      assert.match(title, /22 Nov 2026.*21:00:00 (GMT\+9|JST)/);
    }
    assert.match(await page.getAttribute(".phases li", "title"), /^12:00:00\.123 UTC \(.*21:00:00/);
    await fake.stop();
    await until("it says that the daemon is gone", 20000, async () => /^The daemon can't be reached\. What is shown is from \d\d:\d\d:\d\d\.\d{3} UTC\.$/.test(await textOf(page, "#alarm")));
    assert.match(await page.getAttribute("#alarm time", "title"), /GMT\+9|JST/);
  });

  await t.test("says when the daemon or its watcher is gone, and comes back", async (tt) => {
    const { fake, page } = await open(tt);
    await painted(page);
    fake.extra = { reason: "watcher_stalled", watcher: { stalled: true, silent_ms: 7000 } };
    fake.send("sentinel", { at: SINCE, master: "mymaster", sentinel: "", event: "+tilt", detail: "" });
    await until("the watcher's silence is said", 20000, async () => (await textOf(page, "#alarm")) === "The thread that watches gave no sign of life for 7.00 s; what it said may be old.");
    assert.equal(await page.evaluate(() => document.querySelector("#main").hasAttribute("data-old")), true);
    fake.extra = {};
    await fake.stop();
    await until("no connection", 20000, async () => (await textOf(page, "#link")) === "no connection");
    // a new process counts anew
    fake.instance = "0000000000000002";
    fake.masters = [master("mymaster", { address: "10.0.0.14:6379", index: 1 })];
    await fake.start(fake.port);
    await until("it is live again", 20000, async () => (await textOf(page, "#link")) === "live");
    assert.equal(await textOf(page, "#verdict"), "mymaster is at 10.0.0.14:6379.");
    assert.equal(await page.isVisible("#alarm"), false);
  });

  await t.test("the events are a list in a log for who hears the page", async (tt) => {
    const { fake, page } = await open(tt);
    await painted(page);
    for (const event of ["+sdown", "+odown"]) {
      fake.send("sentinel", { at: SINCE, master: "mymaster", sentinel: "10.0.2.1:26379", event, detail: "" });
    }
    await until("both are there", 20000, async () => (await page.locator("#events li").count()) === 2);
    const { nodes } = await (await page.context().newCDPSession(page)).send("Accessibility.getFullAXTree");
    const byId = new Map(nodes.map((node) => [node.nodeId, node]));
    const within = (node) => node.childIds.flatMap((id) => (byId.get(id)?.ignored ? within(byId.get(id)) : [byId.get(id)])).filter(Boolean);
    const log = nodes.find((node) => node.role?.value === "log");
    assert.equal(log.name.value, "Events");
    assert.deepEqual(within(log).map((node) => node.role.value), ["list"]);
    assert.deepEqual(within(within(log)[0]).map((node) => node.role.value), ["listitem", "listitem"]);
    assert.equal(await page.getAttribute("ol#events", "role"), null);
  });

  await t.test("failovers are to scale", async (tt) => {
    const at = (ms) => new Date(Date.parse("2026-11-22T12:00:00.000Z") + ms).toISOString();
    const phases = [["suspected", 0], ["sdown", 1000], ["published", 2000], ["finished", 3000]].map(([phase, ms]) => ({ phase, at: at(ms), ms }));
    const { page } = await open(tt, { failovers: [
      { name: "m", from: null, to: null, config_epoch: null, leader: null, kind: "unknown", outcome: "running", reason: null, began: new Date(Date.now() - 90500).toISOString(),
        ended: null, phases: [], unavailable_ms: null },
      { name: "<m>", from: "10.0.0.1:1", to: "10.0.0.2:2", config_epoch: 4, leader: "10.0.0.9:26379", kind: "crash", outcome: "switched", reason: null,
        began: at(0), ended: at(3000), phases, unavailable_ms: 3000 },
    ] });
    await painted(page);
    await until("both are there", 20000, async () => (await page.locator(".failover").count()) === 2);
    const [running, ended] = await page.evaluate(() => [...document.querySelectorAll(".failover")].map((entry) => ({
      head: entry.querySelector("h3").textContent, story: entry.querySelector(".story").textContent, ends: entry.querySelector(".ends").textContent,
      phases: entry.querySelectorAll(".phases li").length,
      shapes: Object.fromEntries([...entry.querySelectorAll(".scale rect")].map((rect) => [rect.getAttribute("class"), `${rect.getAttribute("x")} ${rect.getAttribute("width")}`])),
    })));
    // from a second before the first phase, when the old master last said so, to the end: four seconds
    assert.deepEqual(ended.shapes, { track: "0 1000", "p-suspected": "250.00 250.00", "p-sdown": "500.00 250.00", "p-published": "750.00 250.00", gap: "0.00 750.00" });
    assert.equal(ended.ends, "last good answer4.00 s");
    assert.equal(ended.head, "<m> 10.0.0.1:1 \u2192 10.0.0.2:2");
    assert.equal(ended.story, "2026-11-22 12:00:00 UTC \u00b7 crash \u00b7 led by 10.0.0.9:26379 \u00b7 epoch 4 \u00b7 no master for 3.00 s");
    assert.equal(ended.phases, 4);
    assert.equal(running.head, "m ? \u2192 \u2026");
    assert.match(running.ends, /^01 min [3-5]\d s so far$/);
    assert.deepEqual(Object.keys(running.shapes), ["track"]);
  });
});
