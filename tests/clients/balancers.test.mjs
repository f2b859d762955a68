// deploy/envoy/envoy.yaml without Envoy: whether it is what Envoy takes, as far as a schema of the parts that are used can tell,
// and whether its checks, sent to the daemon as Envoy would send them, find the master and the replicas.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { test } from "node:test";
import { findProgram, makeFolder, patient, startCluster, startDaemon, until } from "./support.mjs";

const support = createRequire(new URL("../support/package.json", import.meta.url));
const file = new URL("../../deploy/envoy/envoy.yaml", import.meta.url);
let parse;
let Ajv;
try {
  ({ parse } = support("yaml"));
  ({ default: Ajv } = support("ajv/dist/2020.js"));
} catch {} // make test-deps

const text = { type: "string", minLength: 1 };
const duration = { type: "string", pattern: "^\\d+(\\.\\d+)?s$" };
const list = (items) => ({ type: "array", minItems: 1, items });
// Of these members and no others: all are needed but those whose name ends with "?".
const object = (members) => ({
  type: "object",
  additionalProperties: false,
  required: Object.keys(members).filter((name) => !name.endsWith("?")),
  properties: Object.fromEntries(Object.entries(members).map(([name, schema]) => [name.replace("?", ""), schema])),
});
const typed = (name, type, members) => object({
  name: { const: name },
  typed_config: object({ "@type": { const: `type.googleapis.com/${type}` }, ...members }),
});
const address = object({ socket_address: object({ address: text, port_value: { type: "integer", minimum: 1, maximum: 65535 } }) });
const noPanic = object({ healthy_panic_threshold: object({ value: { const: 0 } }) });
const node = object({
  name: text,
  type: { const: "STATIC" },
  connect_timeout: duration,
  common_lb_config: noPanic,
  close_connections_on_host_health_failure: { const: true },
  health_checks: { ...list(object({
    timeout: duration,
    interval: duration,
    no_traffic_interval: duration,
    unhealthy_threshold: { const: 1 },
    healthy_threshold: { const: 1 },
    http_health_check: object({ host: text, path: { type: "string", pattern: "^/" } }),
  })), maxItems: 1 },
  load_assignment: object({
    cluster_name: text,
    endpoints: list(object({ lb_endpoints: list(object({ endpoint: object({ address, health_check_config: object({ address }) }) })) })),
  }),
});
const aggregate = object({
  name: text,
  connect_timeout: duration,
  lb_policy: { const: "CLUSTER_PROVIDED" },
  common_lb_config: noPanic,
  cluster_type: typed("envoy.clusters.aggregate", "envoy.extensions.clusters.aggregate.v3.ClusterConfig", { clusters: list(text) }),
});
const proxy = typed("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
  { stat_prefix: text, cluster: text, "idle_timeout?": duration });
const schema = object({
  static_resources: object({
    listeners: list(object({ name: text, address, filter_chains: list(object({ filters: list(proxy) })) })),
    clusters: list({ anyOf: [node, aggregate] }),
  }),
});

// What it says: [{name, address, check: {host, path, at}}] of nodes, and who is behind each listener, in order.
function understand(config) {
  const { listeners, clusters } = config.static_resources;
  const at = ({ socket_address: { address: host, port_value: port } }) => `${host}:${port}`;
  const nodes = new Map(clusters.filter((one) => one.load_assignment).map((one) => {
    const [{ endpoint }] = one.load_assignment.endpoints[0].lb_endpoints;
    assert.equal(one.load_assignment.cluster_name, one.name);
    return [one.name, { address: at(endpoint.address), check: { ...one.health_checks[0].http_health_check, at: at(endpoint.health_check_config.address) } }];
  }));
  const behind = Object.fromEntries(listeners.map((listener) => {
    const { cluster } = listener.filter_chains[0].filters[0].typed_config;
    const names = clusters.find((one) => one.name === cluster).cluster_type.typed_config.clusters;
    return [listener.name, names.map((name) => nodes.get(name) ?? assert.fail(`there is no cluster ${name}`))];
  }));
  assert.equal(new Set(clusters.map((one) => one.name)).size, clusters.length, "no name is there twice");
  return { nodes, behind };
}

test("envoy.yaml", { skip: !Ajv && "ajv and yaml of tests/support are missing", timeout: patient(180000) }, async (t) => {
  const source = readFileSync(file, "utf8");
  const config = parse(source);

  await t.test("its shape", () => {
    const valid = new Ajv({ allErrors: true, strict: false }).compile(schema);
    assert.ok(valid(config), JSON.stringify(valid.errors, null, 1));
    const { nodes, behind } = understand(config);
    for (const [name, { address: own, check }] of nodes) {
      assert.equal(check.path, `/nodes/${own}/${name.split("_")[0]}`, name);
      assert.equal(check.at, "127.0.0.1:8380");
    }
    assert.deepEqual(behind.redis, [1, 2, 3].map((i) => nodes.get(`master_${i}`)));
    assert.deepEqual(behind.redis_read, ["replica", "master"].flatMap((role) => [1, 2, 3].map((i) => nodes.get(`${role}_${i}`))));
  });

  await t.test("its checks", { skip: !findProgram("redis-server") && "redis-server is missing" }, async () => {
    const folder = makeFolder(t);
    const cluster = await startCluster(t, folder);
    const daemon = await startDaemon(t, folder, cluster);
    const ours = cluster.nodes.reduce((now, { port }, i) => now.replaceAll(`10.0.0.1${i + 1}:6379`, `127.0.0.1:${port}`)
      .replaceAll(`{address: 10.0.0.1${i + 1}, port_value: 6379}`, `{address: 127.0.0.1, port_value: ${port}}`), source)
      .replaceAll("port_value: 8380", `port_value: ${daemon.port}`);
    const { behind } = understand(parse(ours));
    const ask = ({ check: { host, path, at } }) => new Promise((done, failed) => {
      const [, port] = at.split(":");
      http.get({ host: "127.0.0.1", port, path, headers: { Host: host } }, (answer) => {
        answer.resume();
        done(answer.statusCode);
      }).on("error", failed);
    });
    // The first of them that is healthy, as the aggregate would have it.
    const chosen = async (name) => {
      const all = await Promise.all(behind[name].map(ask));
      assert.ok(all.every((status) => status === 200 || status === 503), `${name}: ${all}`);
      return behind[name][all.indexOf(200)]?.address;
    };
    const leadsTo = (name, what) => until(`${name} leads to ${what}`, 40000, async () => (await chosen(name)) === what);
    const addresses = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`);
    await leadsTo("redis", addresses[0]);
    await leadsTo("redis_read", addresses[1]);
    await cluster.nodes[1].stop("SIGKILL");
    await leadsTo("redis_read", addresses[2]);
    await cluster.nodes[2].stop("SIGKILL");
    await leadsTo("redis_read", addresses[0]);
    await leadsTo("redis", addresses[0]);
  });
});
