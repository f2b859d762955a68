// Writes deploy/grafana/bellwether.json: node deploy/build/dashboard.mjs >deploy/grafana/bellwether.json
//
// What a panel asks for is written here, once; ids, places and the rest of the format are worked out. A test looks that what is
// committed is what this gives, and that each metric and label is one that the daemon has.

// What a scrape says of where a daemon is. One that says nothing has no such label, which is as good as an empty one: ".*" takes it.
const scope = "cluster, namespace, job";
const chosen = (names) => names.map((name) => `${name}=~"$${name}"`).join(",");
const daemon = chosen(["cluster", "namespace", "job", "instance"]);
const ofMaster = `${daemon},master=~"$master"`;
const with_ = (labels, more) => (more ? `${labels},${more}` : labels);
/** A metric of the chosen daemons, and of the chosen masters. */
const d = (name, more) => `bellwether_${name}{${with_(daemon, more)}}`;
const m = (name, more) => `bellwether_${name}{${with_(ofMaster, more)}}`;
const ours = `and on (${scope}, instance) ${d("build_info")}`;
const p = (name) => `process_${name}{${daemon}} ${ours}`;
const rate = (selector) => `rate(${selector}[$__rate_interval])`;
const quantile = (q, by, selector) => `histogram_quantile(${q}, sum by (${by}) (${rate(selector)}))`;
const datasource = { type: "prometheus", uid: "${datasource}" };

// ---- what panels look like ----

const green = "green", orange = "orange", red = "red", blue = "blue";
/** Colours from a value on; the first holds below all others. */
const steps = (first, ...others) => ({ mode: "absolute", steps: [{ color: first, value: null }, ...others.map(([value, color]) => ({ color, value }))] });
const values = (table) => [{ type: "value", options: Object.fromEntries(table.map(([value, text, color], index) => [value, { text, color, index }])) }];
const yesNo = values([[0, "no", red], [1, "yes", green]]);
const states = [["ok", green], ["unverified", orange], ["failing_over", orange], ["conflict", red], ["down", red], ["unknown", "text"]];

const target = ([expr, legendFormat = ""], index, instant) => ({
  refId: String.fromCharCode(65 + index), datasource, expr, legendFormat,
  ...(instant ? { instant: true, range: false, format: instant === "table" ? "table" : "time_series" } : { instant: false, range: true }),
});

/** A panel: `queries` is a list of [expression, legend]. */
function panel(type, title, description, queries, { w, h = 7, unit = "short", thresholds = steps(green), mappings = [], options = {}, custom, overrides = [], instant, transformations, links, max, min, decimals }) {
  const defaults = { unit, thresholds, mappings, color: { mode: type === "timeseries" ? "palette-classic" : "thresholds" } };
  Object.entries({ custom, links, max, min, decimals }).forEach(([key, value]) => value !== undefined && (defaults[key] = value));
  return {
    w, h,
    model: {
      type, title, description, datasource,
      targets: queries.map((query, index) => target(query, index, instant)),
      fieldConfig: { defaults, overrides },
      options,
      ...(transformations && { transformations }),
    },
  };
}

const graph = (title, description, queries, more = {}) => panel("timeseries", title, description, queries, {
  w: 8, min: 0,
  custom: { drawStyle: more.bars ? "bars" : "line", lineWidth: 1, fillOpacity: more.bars ? 70 : 10, showPoints: "never", spanNulls: false, stacking: { mode: more.bars || more.stacked ? "normal" : "none", group: "A" }, thresholdsStyle: { mode: more.thresholds ? "line" : "off" } },
  options: { legend: { displayMode: "list", placement: "bottom", showLegend: true }, tooltip: { mode: "multi", sort: "desc" } },
  ...more,
});

const stat = (title, description, queries, more = {}) => panel("stat", title, description, queries, {
  w: 4, h: 6, instant: true,
  options: { colorMode: "background", graphMode: "none", justifyMode: "auto", orientation: "auto", textMode: "value_and_name", reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false } },
  ...more,
});

/** `columns`: what fields are called in the order in which they are shown; others are hidden. */
function table(title, description, queries, columns, more = {}) {
  const names = Object.keys(columns);
  return panel("table", title, description, queries, {
    w: 8, instant: "table", custom: { align: "auto", filterable: true }, options: { showHeader: true, cellHeight: "sm", footer: { show: false } },
    transformations: [
      ...(queries.length > 1 ? [{ id: "merge", options: {} }] : []),
      { id: "filterFieldsByName", options: { include: { names } } },
      { id: "organize", options: { renameByName: columns, indexByName: Object.fromEntries(names.map((name, index) => [name, index])) } },
    ],
    ...more,
  });
}
const column = (name, ...properties) => ({ matcher: { id: "byName", options: name }, properties: properties.map(([id, value]) => ({ id, value })) });
const coloured = [["custom.cellOptions", { type: "color-background" }]];

const timeline = (title, description, queries, more = {}) => panel("state-timeline", title, description, queries, {
  w: 12, custom: { lineWidth: 0, fillOpacity: 80 },
  options: { mergeValues: true, showValue: "auto", alignValue: "center", rowHeight: 0.9, legend: { displayMode: "list", placement: "bottom", showLegend: false }, tooltip: { mode: "single", sort: "none" } },
  ...more,
});

// ---- the rows ----

const inScope = `${scope}, instance, master`;
const named = (metric) => `max by (${scope}, master, address) (${m("master_info")} * on (${inScope}) group_left () max by (${inScope}) (${m(metric)}))`;
/** How legends tell apart; what a scrape may leave out stands last. */
const where = "{{job}} {{namespace}} {{cluster}}";
const which = `{{master}} ${where}`;
const places = { cluster: "Cluster", namespace: "Namespace", job: "Job" };
const stateNumber = `max by (${scope}, master) (${states.map(([state], index) => `${m("master_state", `state="${state}"`)} * ${index + 1}`).join(" or ")})`;

const rows = [
  ["On call", [
    stat("Is there a master", "Whether at least one of the chosen daemons has the master in service: what /master would answer.",
      [[`max by (${scope}, master) (${m("master_up")})`, which]], { mappings: values([[0, "NONE", red], [1, "yes", green]]), thresholds: steps(red, [1, green]) }),
    table("Who is the master, and since when", "The address that daemons name, or named last, how many of them do, when they saw it become the master (empty: it was already when they started), and whether the node itself says so. Two rows of one master: daemons disagree.",
      [[`count by (${scope}, master, address) (${m("master_info")})`], [`${named("master_last_switch_timestamp_seconds")} * 1000`], [named("master_verified")]],
      { ...places, master: "Master", address: "Address", "Value #A": "Daemons", "Value #B": "Since", "Value #C": "Says master" },
      { w: 12, h: 6, overrides: [column("Since", ["unit", "dateTimeAsIso"]), column("Says master", ["mappings", yesNo], ...coloured)] }),
    table("Why not, or why doubtful", "The reason that /master gives, by how many daemons. README.md has a row on each. Empty: nothing is wrong.",
      [[`count by (${scope}, master, reason) (${m("master_reason")} or bellwether_master_reason{${daemon},master=""})`]], { ...places, master: "Master", reason: "Reason", Value: "Daemons" }, { h: 6 }),
    timeline("State", "The worst state that a chosen daemon has the master in.", [[stateNumber, which]],
      { mappings: values(states.map(([state, color], index) => [index + 1, state, color])), thresholds: steps("text", [1, green], [2, orange], [4, red]) }),
    graph("Who disagrees", "Sentinels that are reached and do not name the master; Sentinels of other deployments; daemons without a majority behind their answer. All are 0 when all is well.",
      [[`max by (${scope}, master) (${m("sentinels_reachable")} - ${m("sentinels_agreeing")})`, `Sentinels that disagree: ${which}`], [`max by (${scope}, master) (${m("foreign_sentinels")})`, `foreign Sentinels: ${which}`],
        [`count by (${scope}, master) (${m("master_majority")} == 0)`, `daemons without a majority: ${which}`]], { w: 12, thresholds: steps(green, [1, red]), decimals: 0 }),
    stat("Last failover", "When the newest failover began, whatever became of it. Empty: none since the daemons started.",
      [[`max by (${scope}, master) (${m("last_failover_timestamp_seconds")}) * 1000`, which]], { unit: "dateTimeFromNow", h: 8, thresholds: steps(blue) }),
    panel("bargauge", "Its phases", "When each phase of the newest failover came, in seconds from its first sign. /failovers has the former ones.",
      [[`sort(max by (${scope}, master, phase) (${m("last_failover_phase_seconds")}))`, `{{phase}} ${which}`]],
      { w: 10, h: 8, unit: "s", min: 0, instant: true, thresholds: steps(green, [5, orange], [20, red]), options: { displayMode: "basic", orientation: "horizontal", showUnfilled: true, valueMode: "color", reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false } } }),
    table("Failovers in this time", "How failovers ended, and how long there was no master, in the chosen time.",
      [[`max by (${scope}, master, outcome, kind) (round(increase(${m("failovers_total")}[$__range]))) > 0`]], { ...places, master: "Master", outcome: "Outcome", kind: "Kind", Value: "Failovers" }, { w: 6, h: 8, decimals: 0 }),
    stat("Without a master", "Seconds without a master in the chosen time, as the daemon that saw most of them counted.",
      [[`max by (${scope}, master) (increase(${m("unavailable_seconds_sum")}[$__range]))`, which]], { unit: "s", h: 8, thresholds: steps(green, [10, orange], [60, red]) }),
    graph("Writes held back", "Requests with writes that a failover's fence held back, and requests with commands that wait now: for a master, a connection or the end of a fence.",
      [[`sum by (${scope}) (${rate(d("fence_holds_total"))})`, `held a second: ${where}`], [`sum by (${scope}) (${d("pool_waiting")})`, `waiting now: ${where}`]], { w: 12 }),
    graph("What became of commands", "not_sent: 503, they have not run; unknown: 504, nobody knows.",
      [[`sum by (outcome) (${rate(d("commands_total"))})`, "{{outcome}}"]], { w: 12, unit: "ops", overrides: [column("unknown", ["color", { mode: "fixed", fixedColor: red }]), column("not_sent", ["color", { mode: "fixed", fixedColor: orange }])] }),
  ]],
  ["Sentinels and replicas", [
    timeline("Connections to Sentinels", "Whether every chosen daemon has a connection to the Sentinel.", [[`min by (${scope}, sentinel) (${d("sentinel_connected")})`, `{{sentinel}} ${where}`]], { mappings: yesNo, thresholds: steps(red, [1, green]) }),
    graph("Known, reached, agreeing", "The fewest that a chosen daemon counts.",
      [[`min by (${scope}, master) (${m("sentinels_known")})`, `known: ${which}`], [`min by (${scope}, master) (${m("sentinels_reachable")})`, `reached: ${which}`], [`min by (${scope}, master) (${m("sentinels_agreeing")})`, `agreeing: ${which}`]], { w: 12, decimals: 0 }),
    stat("A failover would have a quorum", "What Sentinels answer to SENTINEL CKQUORUM.", [[`min by (${scope}, master) (${m("sentinel_ckquorum_ok")})`, which]], { mappings: yesNo, thresholds: steps(red, [1, green]), h: 7 }),
    stat("Sentinels in TILT", "They take part in no failover: their clock leapt, or they were paused.", [[`count(max by (${scope}, sentinel) (${d("sentinel_tilt")}) == 1) or vector(0)`, "in TILT"]], { thresholds: steps(green, [1, red]), h: 7, decimals: 0 }),
    graph("Events", "What Sentinels tell, a minute; each Sentinel's are counted.", [[`sum by (event) (increase(${d("sentinel_events_total")}[$__rate_interval])) > 0`, "{{event}}"]], { bars: true }),
    graph("Errors by reason", "Lost and failed connections to Sentinels, and answers that could not be used.", [[`sum by (${scope}, sentinel, reason) (${rate(d("sentinel_errors_total"))}) > 0`, `{{reason}}: {{sentinel}} ${where}`], [`sum by (${scope}, sentinel) (${rate(d("sentinel_reconnects_total"))}) > 0`, `reconnected: {{sentinel}} ${where}`]], { unit: "ops" }),
    graph("Replicas", "The fewest healthy and promotable ones, and the most unhealthy ones, that a chosen daemon counts.",
      [...["healthy", "promotable"].map((status) => [`min by (${scope}, master) (${m("replicas", `status="${status}"`)})`, `${status}: ${which}`]), [`max by (${scope}, master) (${m("replicas", 'status="unhealthy"')})`, `unhealthy: ${which}`]], { decimals: 0 }),
    graph("Largest lag of a replica", "How much of what the master has a healthy replica lacks. A failover would lose that.", [[`max by (${scope}, master) (${m("replica_lag_bytes_max")})`, which]], { unit: "bytes", thresholds: steps(green, [16777216, red]) }),
    graph("The question for the role", "How long nodes take to say their role.", [[quantile(0.5, `${scope}, master, le`, m("verify_duration_seconds_bucket")), `median: ${which}`], [quantile(0.99, `${scope}, master, le`, m("verify_duration_seconds_bucket")), `99 %: ${which}`]], { unit: "s", thresholds: steps(green, [0.5, red]) }),
  ]],
  ["HTTP", [
    graph("Requests by code", "503 is also what /master says while there is no master.", [[`sum by (code) (${rate(d("http_requests_total"))})`, "{{code}}"]], { unit: "reqps", stacked: true }),
    graph("Requests by route", "By the pattern of the route.", [[`sum by (route) (${rate(d("http_requests_total"))})`, "{{route}}"]], { unit: "reqps", stacked: true }),
    graph("Time of a request, 99 %", "Without what a request was asked to wait for a change.", [[quantile(0.99, "route, le", d("http_request_duration_seconds_bucket")), "{{route}}"]], { unit: "s" }),
    graph("Refused because of a limit", "reason names the limit; protocol, handshake, request_timeout and slow_reader are the caller's own doing.", [[`sum by (reason) (${rate(d("http_rejected_total"))})`, "{{reason}}"]], { unit: "reqps", thresholds: steps(green, [0.1, red]) }),
    graph("Under way and waiting", "Requests under way, among them long polls and event streams.", [[`sum(${d("http_inflight")})`, "under way"], [`sum by (kind) (${d("http_waiters")})`, "{{kind}}"], [`sum(increase(${d("streams_cut_total")}[$__rate_interval]))`, "streams cut"]]),
    graph("Memory of requests", "What bodies, commands, replies and answers take. --max-memory bounds it.", [[`sum by (${scope}, instance) (${d("memory_bytes")})`, `{{instance}} ${where}`]], { unit: "bytes" }),
  ]],
  ["Commands and their connections", [
    graph("Connections", "To masters and replicas, by what they do.", [[`sum by (state) (${d("pool_connections")})`, "{{state}}"]], { stacked: true }),
    graph("Waiting and under way", "Requests that wait to be sent, and commands without an answer yet.", [[`sum(${d("pool_waiting")})`, "waiting"], [`sum(${d("pool_inflight")})`, "under way"]]),
    graph("Time of a command", "From a request's arrival to the outcome of all its commands, waiting included.", [["median", 0.5], ["99 %", 0.99]].map(([name, q]) => [quantile(q, "le", d("command_duration_seconds_bucket")), name]), { unit: "s" }),
    graph("Run again", "Commands that were run again, by why.", [[`sum by (reason) (${rate(d("command_retries_total"))}) > 0`, "{{reason}}"]], { unit: "ops" }),
    graph("How long writes were held back", "99 % of the requests with writes that a fence held back were let go within this time.", [[quantile(0.99, `${scope}, le`, d("fence_seconds_bucket")), where]], { unit: "s", thresholds: steps(green, [3, red]) }),
    graph("Refused by policy", "Commands that --commands, or a read-only token, did not let run.", [[`sum by (${scope}) (${rate(d("policy_refusals_total"))})`, where]], { unit: "ops" }),
  ]],
  ["Forwards", [
    graph("Clients", "Joined to a master or a replica, and those that wait for a node.", [[`sum by (to) (${d("forward_connections")})`, "to a {{to}}"], [`sum(${d("forward_waiting")})`, "waiting"]], { w: 6, overrides: [column("waiting", ["color", { mode: "fixed", fixedColor: red }])] }),
    graph("Passed on", "Bytes to Redis (in) and to clients (out).", [[`sum by (direction) (${rate(d("forward_bytes_total"))})`, "{{direction}}"]], { w: 6, unit: "Bps" }),
    graph("Closed", "Connections that have ended, by why: client and server by themselves; switch, promotion and unhealthy, to come back at another node; limit, no_node, auth, tls and memory were refused.", [[`sum by (reason) (${rate(d("forward_closed_total"))})`, "{{reason}}"]], { w: 6, unit: "ops" }),
    graph("TLS handshakes", "Of clients of forwards with TLS, under way now. Many for long: clients that connect and say nothing, or a flood of them; of too many the oldest goes, reason tls.", [[`sum by (${scope}, instance) (${d("forward_handshakes")})`, `{{instance}} ${where}`]], { w: 6, decimals: 0 }),
  ]],
  ["The daemons", [
    table("Daemons", "Version, whether /readyz says 200, when it started, whether its files of passwords, tokens and certificates could be read. An address leads to the daemon's own page, where your browser gets there (and it speaks plain HTTP).",
      [[`max by (${scope}, instance, version) (${d("build_info")})`], [`max by (${scope}, instance) (${d("ready")})`], [`max by (${scope}, instance) (${p("start_time_seconds")}) * 1000`], [`max by (${scope}, instance) (${d("reload_success")})`], [`max by (${scope}, instance) (${d("reload_timestamp_seconds")}) * 1000`]],
      { ...places, instance: "Daemon", version: "Version", "Value #B": "Ready", "Value #C": "Started", "Value #D": "Files read", "Value #E": "Taken in" },
      { w: 24, overrides: [column("Daemon", ["links", [{ title: "its page", url: "http://${__value.raw}/", targetBlank: true }]]), column("Ready", ["mappings", yesNo], ...coloured), column("Files read", ["mappings", yesNo], ...coloured), column("Started", ["unit", "dateTimeFromNow"]), column("Taken in", ["unit", "dateTimeFromNow"])] }),
    graph("CPU", "Of one core.", [[`rate(process_cpu_seconds_total{${daemon}}[$__rate_interval]) ${ours}`, `{{instance}} ${where}`]], { unit: "percentunit" }),
    graph("Resident memory", "Of the whole process.", [[p("resident_memory_bytes"), `{{instance}} ${where}`]], { unit: "bytes" }),
    graph("File descriptors", "How many of those that may be open are.", [[`process_open_fds{${daemon}} / process_max_fds{${daemon}} ${ours}`, `{{instance}} ${where}`]], { unit: "percentunit", max: 1, thresholds: steps(green, [0.8, red]) }),
  ]],
  ["Certificates", [
    stat("Ends in", "sentinel, redis: what the daemons show to them; sentinel-server, redis-server: what they showed last; http: the daemons' own; http-client-ca: who issues callers' ones. Empty: no TLS.",
      [[`min by (${scope}, which) (${d("certificate_expiry_timestamp_seconds")}) - time()`, `{{which}} ${where}`]], { w: 12, h: 6, unit: "s", decimals: 0, thresholds: steps(red, [2 * 86400, orange], [14 * 86400, green]) }),
    graph("Over time", "A renewal is a step up.", [[`min by (${scope}, which) (${d("certificate_expiry_timestamp_seconds")}) - time()`, `{{which}} ${where}`]], { w: 12, h: 6, unit: "s", min: undefined, thresholds: steps(red, [2 * 86400, orange], [14 * 86400, green]) }),
  ]],
];

// ---- the dashboard ----

function place() {
  const panels = [];
  let y = 0;
  for (const [title, content] of rows) {
    panels.push({ id: panels.length + 1, type: "row", title, collapsed: false, panels: [], gridPos: { x: 0, y, w: 24, h: 1 } });
    let x = 0;
    let height = 0;
    y += 1;
    for (const { w, h, model } of content) {
      if (x + w > 24) {
        [x, y, height] = [0, y + height, 0];
      }
      panels.push({ id: panels.length + 1, ...model, gridPos: { x, y, w, h } });
      x += w;
      height = Math.max(height, h);
    }
    y += height;
  }
  return panels;
}

const variable = (name, label, query) => ({
  name, label, type: "query", datasource, definition: query, query: { query, refId: name }, refresh: 2, sort: 1,
  multi: true, includeAll: true, allValue: ".*", current: { selected: true, text: ["All"], value: ["$__all"] }, hide: 0, options: [], regex: "", skipUrlSync: false,
});
const annotation = (name, iconColor, expr, titleFormat, textFormat, more) => ({ name, iconColor, enable: true, hide: false, datasource, expr, titleFormat, textFormat, tagKeys: "", step: "", ...more });

console.log(JSON.stringify({
  uid: "bellwether",
  title: "Bellwether: Redis Sentinel masters",
  description: "Who is the master of each Redis Sentinel deployment, what failovers did, and how the daemons are.",
  tags: ["redis", "sentinel", "bellwether"],
  schemaVersion: 38, version: 1, editable: true, graphTooltip: 1, refresh: "30s", timezone: "", fiscalYearStartMonth: 0, liveNow: false,
  time: { from: "now-3h", to: "now" }, timepicker: {}, links: [],
  templating: {
    list: [
      { name: "datasource", label: "Prometheus", type: "datasource", query: "prometheus", current: {}, hide: 0, includeAll: false, multi: false, options: [], refresh: 1, regex: "", skipUrlSync: false },
      variable("cluster", "Cluster", "label_values(bellwether_build_info, cluster)"),
      variable("namespace", "Namespace", `label_values(bellwether_build_info{${chosen(["cluster"])}}, namespace)`),
      variable("job", "Job", `label_values(bellwether_build_info{${chosen(["cluster", "namespace"])}}, job)`),
      variable("instance", "Daemon", `label_values(bellwether_build_info{${chosen(["cluster", "namespace", "job"])}}, instance)`),
      variable("master", "Master", `label_values(bellwether_master_up{${chosen(["cluster", "namespace", "job"])}}, master)`),
    ],
  },
  annotations: {
    list: [
      annotation("Failovers", blue, `max by (${scope}, master) (${m("master_last_switch_timestamp_seconds")}) * 1000`, "{{master}} has another master", `as daemons of ${where} saw it`, { useValueForTime: true }),
      annotation("Failovers that came to nothing", red, `max by (${scope}, master, outcome) (increase(${m("failovers_total", 'outcome=~"aborted|not_started"')}[1m])) > 0`, "{{master}}: {{outcome}}", `as daemons of ${where} saw it`, { step: "60s" }),
      annotation("Restarts of a master in place", orange, `max by (${scope}, master) (increase(${m("master_restarts_total")}[1m])) > 0`, "{{master}} restarted", `as daemons of ${where} saw it`, { step: "60s" }),
    ],
  },
  panels: place(),
}, null, 1));
