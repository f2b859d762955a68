// The status page in a real browser: Chromium, at desktop and phone width, in light and dark, through a failover and
// a restart of the daemon. Screenshots go to $PAGE_SHOTS where that is set.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { atEnd, findProgram, ifMissing, makeFolder, patient, startCluster, startDaemon, until } from "./support.mjs";

const shots = process.env.PAGE_SHOTS;
const chromium = findProgram("chromium", "chromium-browser", "google-chrome");
const playwright = await import("playwright-core").catch(ifMissing);
const lacking = [!chromium && "chromium", playwright.missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);

const looks = ["desktop", "phone"].flatMap((size) => ["light", "dark"].map((scheme) => ({ size, scheme })));
const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } };

// Where the contrast of text is below 4.5 (3 where it is large): what stands on what.
function findPoorContrast() {
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = numbers(color).map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((numbers(color)[3] ?? 1) > 0) {
        return color;
      }
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (walker.currentNode.textContent.trim() && !["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName) && node.checkVisibility()) {
      const style = getComputedStyle(node);
      const [one, other] = [luminance(style.color), luminance(ground(node))].sort((a, b) => b - a);
      const ratio = (one + 0.05) / (other + 0.05);
      if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) {
        poor.push(`${ratio.toFixed(2)} ${node.tagName}.${node.className}: ${walker.currentNode.textContent.trim().slice(0, 40)}`);
      }
    }
  }
  return poor;
}

async function openPage(browser, base, { size, scheme }, prepare = async () => {}) {
  const context = await browser.newContext({ viewport: sizes[size], colorScheme: scheme, reducedMotion: scheme === "dark" ? "reduce" : "no-preference" });
  const page = await context.newPage();
  const complaints = [];
  const elsewhere = [];
  page.on("console", (message) => message.type() !== "log" && complaints.push(`${message.type()}: ${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => complaints.push(`thrown: ${error.message}`));
  page.on("request", (request) => /^(data:|blob:)/.test(request.url()) || request.url().startsWith(`${base}/`) || elsewhere.push(request.url()));
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  await prepare(page);
  const answer = await page.goto(`${base}/`);
  await page.evaluate(() => (window.loadedOnce = true));
  return { page, context, answer, complaints, elsewhere, look: `${size}-${scheme}` };
}

// Whatever is shown from now on, in window.seen.
function watchStates() {
  const look = () => {
    const card = document.querySelector(".card.master");
    window.seen.push({
      verdict: document.querySelector("#verdict").textContent, address: card.querySelector(".address").textContent,
      summary: card.querySelector("summary").textContent, named: [...card.querySelectorAll("td:nth-child(2):not(.number)")].map((cell) => cell.textContent),
    });
  };
  window.seen = [];
  new MutationObserver(look).observe(document.querySelector("#main"), { subtree: true, childList: true, characterData: true });
  look();
}

const textOf = (page, selector) => page.evaluate((wanted) => document.querySelector(wanted)?.textContent ?? "", selector);
const shoot = async (view, name) => shots && view.page.screenshot({ path: join(shots, `${name}-${view.look}.png`), fullPage: true });

test("the status page", { skip: lacking.length ? `not installed: ${lacking.join(", ")}` : false, timeout: patient(480000) }, async (t) => {
  if (shots) {
    mkdirSync(shots, { recursive: true });
  }
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const daemon = await startDaemon(t, folder, cluster);
  const browser = await playwright.chromium.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  atEnd(t, () => browser.close());
  const at = (node) => `127.0.0.1:${node.port}`;
  const views = [];
  let polling;
  let master;

  await t.test("opens live, in every look, and loads nothing from elsewhere", async () => {
    for (const look of looks) {
      views.push(await openPage(browser, daemon.base, look));
    }
    for (const view of views) {
      assert.equal(view.answer.status(), 200);
      assert.match(view.answer.headers()["content-security-policy"], /^default-src 'none'; script-src 'sha256-/);
      await until(`${view.look} is live`, 20000, async () => (await textOf(view.page, "#link")) === "live");
      await until(`${view.look} names the master`, 20000, async () => (await textOf(view.page, ".address")) === at(cluster.nodes[0])
        && (await textOf(view.page, "#verdict")) === `mymaster is at ${at(cluster.nodes[0])}.`);
      await until(`${view.look} lists Sentinels and replicas`, 20000, async () => (await view.page.locator("tbody tr").count()) >= 5);
      await shoot(view, "calm");
    }
  });

  await t.test("without a stream it asks", async () => {
    polling = await openPage(browser, daemon.base, looks[0], (page) => page.route("**/events", (route) => route.fulfill({ status: 503, body: "" })));
    polling.look = "polling";
    await until("it says that it asks", 20000, async () => (await textOf(polling.page, "#link")).startsWith("asking every"));
  });

  await t.test("watches a failover without being loaded again", async () => {
    await views[0].page.evaluate(watchStates);
    await cluster.nodes[0].stop("SIGKILL");
    await until("the page says that there is no master", 20000, async () => (await textOf(views[0].page, "#verdict")).includes("has no master now"));
    await shoot(views[0], "down");
    // On a busy machine the Sentinels may move it more than once, so each page is compared with the daemon's word.
    const now = async () => (await (await fetch(`${daemon.base}/master?format=text`)).text()).trim();
    const story = (page) => page.evaluate((from) => [...document.querySelectorAll(".failover")].map((entry) => ({
      move: entry.querySelector(".move").textContent, outcome: entry.querySelector(".badge").textContent,
      text: entry.querySelector(".story").textContent, shapes: entry.querySelectorAll(".scale rect").length,
    })).find((entry) => entry.outcome === "switched" && entry.move.startsWith(`${from} \u2192 127.0.0.1:`)), at(cluster.nodes[0]));
    for (const view of [...views, polling]) {
      await until(`${view.look} names the new master`, 90000, async () => {
        const shown = await textOf(view.page, ".address");
        return shown !== at(cluster.nodes[0]) && shown === (await now()) && (await textOf(view.page, "#verdict")) === `mymaster is at ${shown}.`;
      });
      const entry = await until(`${view.look} tells the story`, 30000, () => story(view.page));
      assert.ok(entry.shapes >= 4, "the bar has phases");
      assert.match(entry.text, /crash.* no master for /);
      assert.equal(await view.page.evaluate(() => window.loadedOnce), true, "not loaded again");
    }
    master = await now();
    for (const view of views) {
      await until(`${view.look} tells the Sentinel's event`, 10000, async () => /\+switch-master/.test(await textOf(view.page, "#events")));
      await shoot(view, "switched");
    }
  });

  await t.test("what it said meanwhile was of one state at every moment", async () => {
    const seen = await views[0].page.evaluate(() => window.seen);
    assert.ok(seen.some((one) => one.address !== seen[0].address));
    for (const one of seen) {
      const text = JSON.stringify(one);
      assert.ok(one.verdict === `mymaster is at ${one.address}.` || one.verdict.startsWith("mymaster has no master now: "), text);
      assert.ok(one.named.filter((address) => address === one.address).length >= Number(/^\d+/.exec(one.summary)[0]), text);
    }
  });

  await t.test("can be read: nothing sticks out, contrast, headings, motion", async () => {
    for (const view of views) {
      const wide = await view.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${view.look} sticks out by ${wide} px`);
      assert.deepEqual(await view.page.evaluate(findPoorContrast), [], view.look);
      const levels = await view.page.evaluate(() => [...document.querySelectorAll("h1,h2,h3,h4")].map((heading) => Number(heading.tagName[1])));
      assert.equal(levels.filter((level) => level === 1).length, 1);
      assert.ok(levels.every((level, i) => i === 0 || level <= levels[i - 1] + 1), `no level is skipped: ${levels}`);
      const moving = await view.page.evaluate(() => getComputedStyle(document.querySelector("#link"), "::before").animationName);
      assert.equal(moving === "none", view.look.endsWith("dark"), "moves unless that is not wanted");
    }
  });

  await t.test("nothing was complained of", async () => {
    for (const view of views) {
      // The browser says of each 503 that there was one, as of a watcher that stood still for a moment.
      assert.deepEqual(view.complaints.filter((one) => !/ status of 503 .*\/failovers\?limit=20$/.test(one)), [], view.look);
      assert.deepEqual(view.elsewhere, [], view.look);
      assert.deepEqual(await view.page.evaluate(() => window.violations), [], view.look);
    }
  });

  await t.test("pauses", async () => {
    const { page } = views[0];
    await page.click("#pause");
    assert.equal(await page.getAttribute("#pause", "aria-pressed"), "true");
    const before = await textOf(page, "#events");
    await cluster.nodes[0].start();
    await until("something was said meanwhile", 30000, async () => /\d+ new/.test(await textOf(page, "#pause")));
    assert.equal(await textOf(page, "#events"), before);
    await page.click("#pause");
    assert.equal(await page.getAttribute("#pause", "aria-pressed"), "false");
    assert.notEqual(await textOf(page, "#events"), before);
  });

  await t.test("says when the daemon is gone, and comes back by itself", async () => {
    const { page } = views[0];
    await daemon.stop();
    await until("the page says so", 20000, async () => (await textOf(page, "#alarm")).startsWith("The daemon can't be reached."));
    assert.equal(await textOf(page, "#link"), "no connection");
    await shoot(views[0], "gone");
    await daemon.restart();
    await until("it is live again", 30000, async () => (await textOf(page, "#link")) === "live");
    await until("all is well", 30000, async () => (await textOf(page, "#verdict")) === `mymaster is at ${master}.`);
    assert.equal(await page.isVisible("#alarm"), false);
    assert.equal(await page.evaluate(() => window.loadedOnce), true);
  });

  await t.test("shows what /status says without JavaScript", async () => {
    const context = await browser.newContext({ javaScriptEnabled: false, viewport: sizes.phone });
    const page = await context.newPage();
    // but for the time that the daemon is up, and ages
    const plain = (words) => words.trim().replace(/\d+(\.\d+)? m?s\b/g, "N").replace(/lag \d+/g, "lag N");
    let text;
    let status;
    await until("both are of one state", 30000, async () => { // the daemon has begun a moment ago, and learns
      await page.goto(`${daemon.base}/`);
      text = await page.locator("pre").innerText();
      status = await (await fetch(`${daemon.base}/status?format=text`)).text();
      const lines = text.split("\n");
      const names = lines.filter((line) => /^[ !] sentinel /.test(line));
      return plain(text) === plain(status) && new RegExp(`^ok(, \\w+)?: mymaster is ${master}, `).test(text) && names.length === 3
        && names.every((line) => line.includes(` says ${master} `)) && lines.some((line) => /^[ !] replica /.test(line));
    }).catch((error) => assert.equal(plain(text), plain(status), error.message) ?? assert.fail(`${error.message}\n${text}`));
    for (const selector of ["#verdict", "#link", "#masters-section", "#failovers", "#feed"]) {
      assert.equal(await page.isVisible(selector), false, `${selector} is the script's`);
    }
    assert.equal(await page.locator("meta[http-equiv=refresh]").count(), 1);
    const box = await page.locator("pre").boundingBox();
    assert.ok(box.width <= sizes.phone.width, "long lines are wrapped");
    await shoot({ page, look: "phone" }, "plain");
    await context.close();
  });
});
