// What deploy/prometheus and deploy/grafana watch with: that promtool takes it, that every metric, label and value in it is one that
// real daemons have, and that a real Prometheus evaluates all of it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { blocks, documents, findProgram, freePort, makeFolder, nap, patient, redis, start, startCluster, startDaemon, until } from "./support.mjs";

const top = fileURLToPath(new URL("../../", import.meta.url));
const { parse, parseAllDocuments } = createRequire(join(top, "tests/support/package.json"))("yaml");
const read = (path) => readFileSync(join(top, path), "utf8");
const here = (name) => join(top, "deploy/prometheus", name);
const rulesOf = (name) => parse(read(`deploy/prometheus/${name}`)).groups.flatMap((group) => group.rules);
const alerts = rulesOf("alerts.yaml");
const records = rulesOf("records.yaml");
const dashboard = JSON.parse(read("deploy/grafana/bellwether.json"));
const panels = dashboard.panels.filter(({ type }) => type !== "row");
const targets = panels.flatMap((panel) => panel.targets.map((target) => ({ ...target, panel: panel.title })));
const variables = dashboard.templating.list.map(({ name }) => name);
const promtool = findProgram("promtool");
const noPromtool = !promtool && "promtool is missing; deploy/build/deps.sh clients installs it";

/** Grafana's variables take a value that fits where each stands. */
const filled = (expr, values = {}) => expr.replace(/\$__rate_interval|\$__range/g, "10m").replace(/\$(\w+)/g, (all, name) => values[name] ?? (variables.includes(name) ? ".*" : all));
const everywhere = [...alerts.map(({ alert, expr }) => [alert, expr]), ...records.map(({ record, expr }) => [record, expr]),
  ...targets.map(({ panel, expr }) => [panel, filled(expr)]), ...dashboard.annotations.list.map(({ name, expr }) => [name, filled(expr)])];

function runPromtool(...args) {
  const { status, stdout, stderr } = spawnSync(promtool, args, { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
}

// ---- what an expression speaks of ----

const keywords = new Set(["by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "inf", "nan"]);

/** {selectors: [{metric, matchers: [{label, operator, value}]}], labels}: what it selects, and what labels it groups and joins by. */
function speaksOf(expr) {
  const tokens = expr.match(/"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[A-Za-z_:][\w:]*|[\d.][\w.]*|=~|!~|!=|[^\s]/g);
  const selectors = [];
  const labels = new Set();
  for (let i = 0; i < tokens.length; i += 1) {
    if (!/^[A-Za-z_:]/.test(tokens[i])) {
      continue;
    }
    if (/^(by|without|on|ignoring|group_left|group_right)$/.test(tokens[i])) {
      if (tokens[i + 1] === "(") {
        for (i += 2; tokens[i] !== ")"; i += 1) {
          tokens[i] !== "," && labels.add(tokens[i]);
        }
      }
    } else if (!keywords.has(tokens[i].toLowerCase()) && !/^(\(|by|without)$/.test(tokens[i + 1])) {
      const selector = { metric: tokens[i], matchers: [] };
      if (tokens[i + 1] === "{") {
        for (i += 2; tokens[i] !== "}"; i += tokens[i + 3] === "," ? 4 : 3) {
          selector.matchers.push({ label: tokens[i], operator: tokens[i + 1], value: JSON.parse(tokens[i + 2]) });
        }
      }
      selectors.push(selector);
    }
  }
  return { selectors, labels };
}

test("an expression is understood", () => {
  assert.deepEqual(speaksOf('sum by (le, job) (rate(a_bucket{x="1",y=~"b|c}"}[5m])) > 2 and on (z) max(b offset 1m) * -1e3'), {
    selectors: [{ metric: "a_bucket", matchers: [{ label: "x", operator: "=", value: "1" }, { label: "y", operator: "=~", value: "b|c}" }] }, { metric: "b", matchers: [] }],
    labels: new Set(["le", "job", "z"]),
  });
});

// ---- rules ----

test("alerts and records are rules, and tested", { skip: noPromtool }, () => {
  runPromtool("check", "rules", here("alerts.yaml"), here("records.yaml"));
  runPromtool("test", "rules", here("alerts_test.yaml"), here("records_test.yaml"));
});

test("each alert is raised by a test and is not by another", () => {
  const cases = parse(read("deploy/prometheus/alerts_test.yaml")).tests.flatMap(({ name, alert_rule_test: list }) => list.map((one) => ({ name, ...one })));
  for (const { alert } of alerts) {
    const own = cases.filter(({ alertname }) => alertname === alert);
    assert.ok(own.some(({ exp_alerts: raised }) => raised.length > 0), `${alert} is raised by no test`);
    assert.ok(own.some(({ exp_alerts: raised }) => raised.length === 0), `${alert} is silent in no test`);
    assert.ok(own.some(({ name, exp_alerts: raised }) => name === "all is well" && raised.length === 0), `${alert} is not looked at when all is well`);
  }
  const start = cases.filter(({ name, exp_alerts: raised }) => name === "started without any Sentinel" && raised.length > 0).map(({ alertname }) => alertname);
  assert.deepEqual(start.sort(), ["BellwetherNoMasterKnown", "BellwetherNoSentinelReachable", "BellwetherNotReady", "BellwetherSentinelUnreachable"]);
  const known = new Set(alerts.map(({ alert }) => alert));
  assert.equal(known.size, alerts.length, "no name twice");
  assert.deepEqual(cases.filter(({ alertname }) => !known.has(alertname)), [], "alerts that there are not");
});

test("each record is tested", () => {
  const tested = parse(read("deploy/prometheus/records_test.yaml")).tests.flatMap(({ promql_expr_test: list }) => list).filter(({ exp_samples: samples }) => samples.length > 0);
  for (const { record } of records) {
    assert.ok(tested.some(({ expr }) => speaksOf(expr).selectors.some(({ metric }) => metric === record)), record);
  }
});

test("each alert says what an engineer needs", () => {
  const reasons = [...read("include/bellwether/topology/state.h").matchAll(/^ *X\([A-Z_]+, "(\w+)"\)/gm)].map(([, reason]) => reason);
  const anchors = (path) => new Set([...read(path).matchAll(/<a id="([^"]+)">/g), ...read(path).matchAll(/^#+ (.*)$/gm)]
    .map(([, name]) => name.toLowerCase().replace(/[^a-z0-9 _-]/g, "").replaceAll(" ", "-")));
  for (const { alert, expr, labels, annotations } of alerts) {
    assert.match(labels.severity, /^(critical|warning|info)$/, alert);
    assert.deepEqual(Object.keys(annotations), ["summary", "description", "runbook_url"], alert);
    assert.ok(annotations.description.includes("{{ $labels.") || alert === "BellwetherAbsent", `${alert} names no label`);
    const [, path, anchor] = /^([\w./-]+)#(.*)$/.exec(annotations.runbook_url);
    const [, templated, otherwise] = /^\{\{ with .* \}\}(reason-)\{\{ .* \}\}\{\{ else \}\}([\w-]+)\{\{ end \}\}$/.exec(anchor) ?? [];
    const labelled = anchor.endsWith("{{ $labels.reason }}") && /reason=~"([^"]+)"/.exec(expr)[1].split("|").map((reason) => anchor.replace("{{ $labels.reason }}", reason));
    for (const one of templated ? [...reasons.filter((reason) => !/^(unknown|ok|unverified|down)$/.test(reason)).map((reason) => templated + reason), otherwise] : labelled || [anchor]) {
      assert.ok(existsSync(join(top, path)) && anchors(path).has(one), `${alert}: ${path}#${one} is not there`);
    }
  }
});

/** [operator, labels] of each part of an expression that groups or joins by labels. */
const groupings = (expr) => [...expr.matchAll(/(\w+) by \(([^)]*)\)|\b(on) \(([^)]*)\)/g)].map(([, operator, by, on, joined]) => [operator ?? on, (by ?? joined).split(/,\s*/)]);

test("two clusters, namespaces and jobs are never taken for one", () => {
  const scope = ["cluster", "namespace", "job"];
  const own = ["instance", "master", "sentinel", "phase", "which", ...scope]; // what is known by name within its scope only
  const found = everywhere.flatMap(([name, expr]) => groupings(expr).map(([operator, labels]) => ({ name, operator, labels })));
  assert.ok(found.length > 100, "they were found");
  for (const { name, operator, labels } of found) { // a sum may be one of all that was chosen; the largest and the count of all say nothing
    if (operator !== "sum" || labels.some((label) => own.includes(label))) {
      assert.deepEqual(scope.filter((label) => !labels.includes(label)), [], `${name}: ${operator} (${labels})`);
    }
  }
  const missing = (matchers, wanted) => wanted.filter((label) => !matchers.some((one) => one.label === label));
  for (const [name, expr] of [...targets.map(({ panel, expr: one }) => [panel, one]), ...dashboard.annotations.list.map(({ name: one, expr: two }) => [one, two])]) {
    for (const { metric, matchers } of speaksOf(filled(expr)).selectors) {
      assert.deepEqual(missing(matchers, [...scope, "instance"]), [], `${name}: ${metric}`);
    }
  }
  const asked = alerts.flatMap(({ alert, annotations }) => Object.values(annotations).flatMap((text) => [...text.matchAll(/printf "((?:[^"\\]|\\.)*)"/g)].map(([, query]) => [alert, query])).filter(([, query]) => query.includes("{")));
  assert.ok(asked.length >= 7, "they were found");
  for (const [alert, query] of asked) {
    const { selectors } = speaksOf(JSON.parse(`"${query}"`).replace(/%(\[\d\])?q/g, '"x"'));
    selectors.forEach(({ metric, matchers }) => assert.deepEqual(missing(matchers, scope), [], `${alert}: ${metric}`));
  }
});

test("a bound is found as Prometheus 2 and as Prometheus 3 stores it", () => {
  const bounds = everywhere.flatMap(([name, expr]) => speaksOf(expr).selectors.flatMap(({ matchers }) => matchers).filter(({ label, value }) => label === "le" && value !== "+Inf").map((matcher) => ({ name, ...matcher })));
  assert.ok(bounds.length > 0, "they were found");
  for (const { name, operator, value } of bounds) {
    const whole = /^\d+/.exec(value)[0];
    const taken = [whole, `${whole}.0`].filter((one) => operator === "=~" ? new RegExp(`^(?:${value})$`).test(one) : one === value);
    assert.ok(/\.\d*[1-9]/.test(value) || taken.length === 2, `${name}: le${operator}"${value}"`);
  }
});

test("the manual names each alert, and no other", () => {
  const named = new Set(documents.flatMap(({ text }) => text.match(/`Bellwether[A-Za-z]+`/g) ?? []).map((name) => name.slice(1, -1)));
  assert.deepEqual([...named].sort(), alerts.map(({ alert }) => alert).sort());
});

const manual = (language, word) => blocks.find(({ language: one, text }) => one === language && text.includes(word)).text;

test("the manual's configuration of Prometheus is one", { skip: noPromtool }, (t) => {
  const folder = makeFolder(t);
  writeFileSync(join(folder, "prometheus.yml"), manual("yaml", "scrape_configs"));
  ["alerts.yaml", "records.yaml"].forEach((name) => symlinkSync(here(name), join(folder, name)));
  runPromtool("check", "config", join(folder, "prometheus.yml"));
});

// ---- for Prometheus' operator ----

test("the manual's object of the rules", () => {
  const command = manual("sh", "PrometheusRule").replace("kubectl apply -f -", "cat");
  const { status, stdout, stderr } = spawnSync("sh", ["-c", command], { encoding: "utf8", cwd: top });
  assert.equal(status, 0, stderr);
  const { apiVersion, kind, metadata, spec } = parse(stdout);
  assert.deepEqual({ apiVersion, kind, metadata }, { apiVersion: "monitoring.coreos.com/v1", kind: "PrometheusRule", metadata: { name: "bellwether" } });
  assert.deepEqual(spec, parse(read("deploy/prometheus/alerts.yaml")));
});

test("monitors", () => {
  const known = {
    metadata: ["name", "labels"], spec: ["jobLabel", "namespaceSelector", "selector", "endpoints", "podMetricsEndpoints"],
    endpoint: ["port", "targetPort", "path", "interval", "scrapeTimeout", "relabelings", "scheme", "tlsConfig", "authorization"],
    tlsConfig: ["serverName", "ca", "cert", "keySecret"], authorization: ["type", "credentials"],
  };
  const only = (object, allowed) => assert.deepEqual(Object.keys(object ?? {}).filter((key) => !allowed.includes(key)), []);
  for (const [name, kind, list] of [["servicemonitor", "ServiceMonitor", "endpoints"], ["podmonitor", "PodMonitor", "podMetricsEndpoints"]]) {
    const text = read(`deploy/prometheus/${name}.yaml`);
    for (const [variant, more] of [[text, 0], [text.replace(/^( *)#(?=\S|  )/gm, "$1"), 3]]) { // as it is, and with TLS and a token
      const [document, ...others] = parseAllDocuments(variant);
      const monitor = document.toJS();
      assert.deepEqual([document.errors, others], [[], []]);
      assert.deepEqual([monitor.apiVersion, monitor.kind], ["monitoring.coreos.com/v1", kind]);
      only(monitor, ["apiVersion", "kind", "metadata", "spec"]);
      only(monitor.metadata, known.metadata);
      only(monitor.spec, known.spec);
      const [endpoint] = monitor.spec[list];
      only(endpoint, known.endpoint);
      only(endpoint.tlsConfig, known.tlsConfig);
      only(endpoint.authorization, known.authorization);
      assert.equal(endpoint.path, "/metrics");
      assert.equal(endpoint.port ?? endpoint.targetPort, "probe");
      assert.equal(["scheme", "tlsConfig", "authorization"].filter((key) => endpoint[key]).length, more);
    }
  }
});

// ---- the dashboard ----

test("the dashboard is what its generator gives", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(top, "deploy/build/dashboard.mjs")], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, read("deploy/grafana/bellwether.json"), "node deploy/build/dashboard.mjs >deploy/grafana/bellwether.json");
});

test("the dashboard is a whole one", () => {
  const ids = dashboard.panels.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length, "no id twice");
  const taken = new Map();
  for (const { title, gridPos: { x, y, w, h } } of dashboard.panels) {
    assert.ok(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= 24, `${title} is within the grid`);
    for (let cell = 0; cell < w * h; cell += 1) {
      const at = `${x + (cell % w)},${y + Math.floor(cell / w)}`;
      assert.ok(!taken.has(at), `${title} lies on ${taken.get(at)}`);
      taken.set(at, title);
    }
  }
  const rows = dashboard.panels.filter(({ type }) => type === "row").map(({ title }) => title);
  assert.deepEqual(rows, ["On call", "Sentinels and replicas", "HTTP", "Commands and their connections", "Forwards", "The daemons", "Certificates"]);
  for (const { title, description, type, targets: list, datasource, fieldConfig: { defaults } } of panels) {
    assert.ok(title && description.endsWith("."), `${title} is described`);
    assert.ok(["stat", "table", "timeseries", "state-timeline", "bargauge"].includes(type), type);
    assert.ok(list.length > 0 && new Set(list.map(({ refId }) => refId)).size === list.length, title);
    assert.ok([datasource, ...list.map((target) => target.datasource)].every(({ type: kind, uid }) => kind === "prometheus" && uid === "${datasource}"), title);
    assert.ok(defaults.unit && defaults.thresholds.steps[0].value === null, title);
    const limits = defaults.thresholds.steps.slice(1).map(({ value }) => value);
    assert.deepEqual(limits, [...limits].sort((a, b) => a - b), title);
  }
  for (const { expr, legendFormat, panel } of targets) { // what a legend names is kept by the expression
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
      assert.ok(speaksOf(filled(expr)).labels.has(label), `${panel}: {{${label}}}`);
    }
  }
});

test("the dashboard shows all that forwards count", () => {
  const shown = new Set(targets.flatMap(({ expr }) => speaksOf(filled(expr)).selectors.map(({ metric }) => metric)));
  const counted = [...read("deploy/man/bellwether-http.7.md").match(/^\| forwards \(with `--forward`\) \|.*$/m)[0].matchAll(/`(forward_\w+)/g)].map(([, name]) => `bellwether_${name}`);
  assert.ok(counted.length >= 5, "they were found");
  assert.deepEqual(counted.filter((name) => !shown.has(name)), []);
});

test("the dashboard's variables are there, and all are used", () => {
  const text = JSON.stringify([dashboard.panels, dashboard.annotations, dashboard.templating.list.map(({ query, datasource }) => [query, datasource])]);
  const used = new Set([...text.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name).filter((name) => !name.startsWith("__")));
  assert.deepEqual([...used].sort(), [...variables].sort());
  assert.deepEqual([...text.matchAll(/\$(__\w+)/g)].map(([, name]) => name).filter((name) => !["__rate_interval", "__range"].includes(name)), []);
});

test("the dashboard's expressions are PromQL", { skip: noPromtool }, (t) => {
  const file = join(makeFolder(t), "rules");
  const rules = everywhere.map(([, expr], index) => ({ record: `expression:${index}`, expr }));
  assert.ok(rules.length > 100, "they were found");
  writeFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  runPromtool("check", "rules", file);
});

test("the dashboard tells namespaces apart, and needs none", { skip: noPromtool }, (t) => {
  const of = (where, instance, more = "") => `{${where}job="bellwether",instance="${instance}",master="mymaster"${more}}`;
  const series = [];
  const daemon = (where, instance, up, address, since) => {
    const all = { master_up: up, master_verified: up, master_majority: up, master_last_switch_timestamp_seconds: since };
    Object.entries(all).forEach(([name, value]) => series.push({ series: `bellwether_${name}${of(where, instance)}`, values: `${value}x40` }));
    series.push({ series: `bellwether_master_info${of(where, instance, `,address="${address}"`)}`, values: "1x40" });
    series.push({ series: `bellwether_master_state${of(where, instance, `,state="${up ? "ok" : "down"}"`)}`, values: "1x40" });
    series.push({ series: `bellwether_master_reason${of(where, instance, `,reason="${up ? "disputed" : "redis_timeout"}"`)}`, values: "1x40" });
  };
  const bank = 'cluster="eu",namespace="bank",';
  const shop = 'cluster="eu",namespace="shop",';
  const far = 'cluster="us",namespace="shop",';
  daemon(bank, "10.0.0.7:8381", 1, "10.0.1.1:6379", 1000);
  daemon(bank, "10.0.0.8:8381", 1, "10.0.1.1:6379", 1001);
  daemon(shop, "10.0.0.9:8381", 0, "10.0.2.1:6379", 2000);
  daemon(far, "10.0.0.9:8381", 1, "10.0.3.1:6379", 3000); // another cluster has the same addresses
  daemon("", "10.0.0.9:8381", 1, "10.0.4.1:6379", 4000);
  const exprOf = (panel, refId = "A") => targets.find((one) => one.panel === panel && one.refId === refId).expr;
  const all = [bank, shop, far, ""];
  const chosenOf = { bank: { namespace: "(bank)" }, shop: { namespace: "(shop|none)" }, far: { cluster: "us" } };
  const wanted = [
    ["Is there a master", "A", "", [1, 0, 1, 1]],
    ["Who is the master, and since when", "A", [1, 2, 3, 4].map((i) => `,address="10.0.${i}.1:6379"`), [2, 1, 1, 1]],
    ["Who is the master, and since when", "B", [1, 2, 3, 4].map((i) => `,address="10.0.${i}.1:6379"`), [1001000, 2000000, 3000000, 4000000]],
    ["Who is the master, and since when", "C", [1, 2, 3, 4].map((i) => `,address="10.0.${i}.1:6379"`), [1, 0, 1, 1]],
    ["Why not, or why doubtful", "A", ["disputed", "redis_timeout", "disputed", "disputed"].map((reason) => `,reason="${reason}"`), [2, 1, 1, 1]],
    ["State", "A", "", [1, 5, 1, 1]],
  ];
  const cases = wanted.flatMap(([panel, refId, more, numbers]) => {
    const samples = all.map((where, i) => ({ labels: `{${where}job="bellwether",master="mymaster"${more[i] ?? ""}}`, value: numbers[i] }));
    const one = (values, picked) => ({ expr: filled(exprOf(panel, refId), values), eval_time: "5m", exp_samples: picked.map((i) => samples[i]) });
    return [one({}, [0, 1, 2, 3]), one(chosenOf.bank, [0]), one(chosenOf.shop, [1, 2]), one(chosenOf.far, [2])];
  });
  const file = join(makeFolder(t), "test");
  writeFileSync(file, JSON.stringify({ evaluation_interval: "15s", tests: [{ interval: "15s", input_series: series, promql_expr_test: cases }] }));
  runPromtool("test", "rules", file);
});

// ---- real daemons, and a real Prometheus ----

/** What /metrics has: a map of names to maps of labels to sets of values; a histogram under the names of its series, too. */
function readMetrics(known, text) {
  for (const [, name, labels = ""] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const metric = known.get(name) ?? new Map();
    known.set(name, metric);
    for (const [, label, value] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      metric.set(label, (metric.get(label) ?? new Set()).add(value));
    }
  }
  return known;
}

const given = new Set(["cluster", "namespace", "job", "instance"]); // by the scrape
const chosen = new Set(["master", "sentinel", "address"]); // not a fixed list

/** What an expression names and the daemons do not have. */
function lacking(expr, known) {
  const { selectors, labels } = speaksOf(expr);
  const complaints = [];
  const there = new Set(given);
  for (const { metric, matchers } of selectors.filter(({ metric: name }) => name !== "up")) {
    const has = known.get(metric);
    if (!has) {
      complaints.push(metric);
      continue;
    }
    [...has.keys()].forEach((label) => there.add(label));
    for (const { label, operator, value } of matchers.filter((matcher) => !given.has(matcher.label))) {
      if (!has.has(label)) {
        complaints.push(`${metric}{${label}}`);
      } else if (!chosen.has(label)) {
        complaints.push(...value.split("|").filter((one) => !has.get(label).has(one) && ![...has.get(label)].some((there) => operator === "=~" && new RegExp(`^(?:${one})$`).test(there))).map((one) => `${metric}{${label}="${one}"}`));
      }
    }
  }
  return [...complaints, ...[...labels].filter((label) => !there.has(label))];
}

test("what is lacking is found", () => {
  const known = readMetrics(new Map(), '# TYPE a gauge\na{x="1"} 2\na{x="2"} 2\nb 1\n');
  assert.deepEqual(lacking('sum by (x, job) (a{x=~"1|2"}) > 0', known), []);
  assert.deepEqual(lacking('sum by (y) (a{x=~"1|3",z="1"}) + b{x="1"} + c', known), ['a{x="3"}', "a{z}", "b{x}", "c", "y"]);
});

const noServer = !findProgram("redis-server") && "redis-server is missing";

test("real daemons", { skip: noServer, timeout: patient(600000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const openssl = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365", "-subj", "/CN=watching", "-keyout", join(folder, "key"), "-out", join(folder, "crt")];
  assert.equal(spawnSync("openssl", openssl).status, 0, "openssl makes a certificate");
  const daemon = await startDaemon(t, folder, cluster, "--redis-api", "loopback", "--forward", `127.0.0.1:${await freePort()}`, "--listen", `127.0.0.1:${await freePort()},tls`, "--http-cert", join(folder, "crt"), "--http-key", join(folder, "key"));
  const lost = { port: await freePort() }; // started without any Sentinel
  start(t, folder, "lost", [resolve(process.env.BELLWETHER ?? "build/bellwether"), "--listen", `127.0.0.1:${lost.port}`, "--sentinel", `127.0.0.1:${await freePort()}`, "--sentinel", `127.0.0.1:${await freePort()}`]);
  const metricsOf = async (port) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  await until("the lost daemon answers", 20000, () => metricsOf(lost.port).catch(() => false));
  for (const [path, options] of [["/redis", { method: "POST", body: '["SET","a","1"]' }], ["/redis/get/a", {}], ["/nowhere", {}], ["/replicas", {}]]) {
    await (await fetch(daemon.base + path, options)).text();
  }

  const prometheus = findProgram("prometheus");
  const web = `127.0.0.1:${await freePort()}`;
  const api = async (path) => (await fetch(`http://${web}/api/v1/${path}`)).json();
  const query = async (expr) => {
    const { status, error, data } = await api(`query?query=${encodeURIComponent(expr)}`);
    assert.equal(status, "success", `${expr}: ${error}`);
    return data.result;
  };
  const stateOf = async (alert, job) => (await query(`ALERTS{alertname="${alert}",job="${job}"}`)).map(({ metric }) => metric.alertstate)[0];
  if (prometheus) {
    writeFileSync(join(folder, "prometheus.yml"), JSON.stringify({
      global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
      rule_files: [here("alerts.yaml"), here("records.yaml")],
      scrape_configs: [["bellwether", daemon], ["lost-bellwether", lost]].map(([job, { port }]) => ({ job_name: job, static_configs: [{ targets: [`127.0.0.1:${port}`] }] })),
    }));
    const server = start(t, folder, "prometheus", [prometheus, `--config.file=${join(folder, "prometheus.yml")}`, `--storage.tsdb.path=${join(folder, "tsdb")}`, `--web.listen-address=${web}`]);
    await until("Prometheus has scraped both", 60000, async () => {
      assert.equal(server.process.exitCode, null, server.log());
      return (await query("bellwether_ready").catch(() => [])).length === 2;
    });
  }

  const failovers = async () => (await (await fetch(`${daemon.base}/failovers`)).json()).failovers ?? []; // it may say 503 for a moment
  await until("a failover has switched", 90000, async () => {
    const [last] = await failovers();
    if (!last || (last.ended && last.outcome !== "switched")) { // a Sentinel refuses while one is under way
      await redis(cluster.sentinels[0].port, `SENTINEL FAILOVER ${cluster.name}`);
      await nap(patient(300));
    }
    return last?.ended && last.outcome === "switched";
  });
  const known = new Map();
  await t.test("have each metric, label and value that is watched", async () => {
    let complaints;
    await until("the daemons have it all", 60000, async () => { // some figures take a while to be known
      readMetrics(readMetrics(known, await metricsOf(daemon.port)), await metricsOf(lost.port));
      complaints = everywhere.flatMap(([name, expr]) => lacking(expr, known).map((one) => `${name}: ${one}`));
      return complaints.length === 0;
    }).catch(() => assert.deepEqual(complaints, []));
  });

  await t.test("are watched by a real Prometheus", { skip: !prometheus && "prometheus is missing; deploy/build/deps.sh clients installs it" }, async (sub) => {
    await sub.test("rules are evaluated without an error", async () => {
      let rules = [];
      await until("each was evaluated", 60000, async () => {
        rules = (await api("rules")).data.groups.flatMap((group) => group.rules);
        return rules.length === alerts.length + records.length && rules.every(({ health }) => health !== "unknown");
      });
      assert.deepEqual(rules.filter(({ health }) => health !== "ok").map(({ name, lastError }) => `${name}: ${lastError}`), []);
    });
    await sub.test("the failover is told, the lost daemon is pending, and else there is nothing", async () => {
      await until("the failover is told", 60000, async () => (await stateOf("BellwetherFailover", "bellwether")) === "firing");
      await until("the lost daemon is", 90000, async () => (await stateOf("BellwetherNoMasterKnown", "lost-bellwether")) && (await stateOf("BellwetherNoSentinelReachable", "lost-bellwether")) && (await stateOf("BellwetherSentinelUnreachable", "lost-bellwether")));
      await until("nothing else is firing", 60000, async () => (await query('ALERTS{job="bellwether",alertstate="firing",severity!="info",alertname!="BellwetherFailoverFailed"}')).length === 0);
      const words = (await api("alerts")).data.alerts.flatMap(({ annotations }) => Object.values(annotations));
      assert.ok(words.length > 0);
      assert.deepEqual(words.filter((text) => /<error|no value|reason unknown/.test(text)), [], "what templates came to");
      assert.deepEqual(await query('ALERTS{alertname="BellwetherNoMasterKnown",job="bellwether"}'), []);
    });
    await sub.test("the dashboard shows something in each panel but those of what did not happen", async () => {
      const quiet = new Set(["Errors by reason", "Run again"]);
      const empty = async () => {
        const results = await Promise.all(targets.map(async ({ panel, refId, expr }) => [panel, refId, (await query(filled(expr))).length]));
        return [...new Set(results.filter(([, , length]) => length > 0).map(([panel]) => panel))];
      };
      let shown = [];
      await until("they do", 60000, async () => {
        shown = await empty();
        return panels.every(({ title }) => shown.includes(title) || quiet.has(title));
      }).catch(() => assert.deepEqual(panels.map(({ title }) => title).filter((title) => !shown.includes(title) && !quiet.has(title)), []));
      const { address } = await until("there is a master", 10000, async () => {
        const answer = await fetch(`${daemon.base}/master`);
        return answer.ok && answer.json();
      });
      const who = targets.find(({ panel, refId }) => panel === "Who is the master, and since when" && refId === "A");
      assert.deepEqual((await query(filled(who.expr))).map(({ metric, value }) => [metric.master, metric.address, value[1]]), [[cluster.name, address, "1"]]);
      const since = targets.find(({ panel, refId }) => panel === "Who is the master, and since when" && refId === "B");
      const [{ metric, value }] = await query(filled(since.expr));
      assert.ok(metric.address === address && Math.abs(value[1] - Date.now()) < patient(300000), "since when");
    });
  });
});
