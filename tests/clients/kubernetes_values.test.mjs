// Values of deploy/helm/bellwether: whether what makes no sense is refused by its name, and the rest is served.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { findProgram, freePort, ifMissing, makeFolder, start, until } from "./support.mjs";

const chart = fileURLToPath(new URL("../../deploy/helm/bellwether", import.meta.url));
const { missing } = await import("yaml").then(() => import("ajv")).catch(ifMissing);
const libraries = !missing;
const { containersOf, eachPod, parseYaml } = libraries ? await import("./kubernetes/kustomize.mjs") : {};
const { assertBalanced, assertSound, assertTaken } = libraries ? await import("./kubernetes/sound.mjs") : {};
const { binary } = libraries ? await import("./kubernetes/daemon.mjs") : {};
const { lacking, renderChart } = libraries ? await import("./kubernetes/helm.mjs") : {};
const haproxy = findProgram("haproxy", "/usr/sbin/haproxy");
const some = { sentinels: ["sentinel-0.sentinel:26379", "[fd00::1]:26379"] };
const nodes = ["redis-0.redis-headless.redis.svc.cluster.local:6379", "redis-1.redis-headless.redis.svc.cluster.local:6379"];
const statusOf = async (url) => (await fetch(url).catch(() => ({ status: 0 }))).status;

test("values of the chart", { skip: (missing && `${missing} is missing`) || lacking || false }, async (t) => {
  await t.test("what makes no sense beside others is named", () => {
    const forwards = (...list) => ({ ...some, forwards: list.map((one, i) => ({ name: `f${i}`, port: 6379 + i, ...one })) });
    for (const [values, found, release] of [
      [forwards({ name: "a" }, { name: "a" }), "forwards[1].name: a is the name of another one"],
      [forwards({ port: 7000 }, { port: 7000 }), "forwards[1].port: 7000 is the port of another one"],
      [{ ...forwards({}), service: { port: 6379 } }, "forwards[0].port: 6379 is service.port"],
      [forwards({}, { tls: true }), "forwards[1].tls: https.secret has no certificate for it"],
      [{ ...forwards({ master: "b" }), masters: ["a"] }, "forwards[0].master: b is not among masters"],
      [{ ...forwards({}), masters: ["a", "b"] }, "forwards[0].master: there are 2 masters, one of which it takes"],
      [{ ...some, config: { listen: ["127.0.0.1:8390", "[::1]:8381,scope=probe"] } }, "config.listen: port 8381 is listened on already"],
      [{ ...some, config: { forward: "127.0.0.1:8380" } }, "config.forward: port 8380 is listened on already"],
      [{ ...some, tls: { redis: true, secret: "s", cert: "tls.crt" } }, "tls.key: tls.cert has a key, too"],
      [{ ...some, tls: { redis: true, secret: "s", key: "tls.key" } }, "tls.cert: tls.key has a certificate, too"],
      [{ ...some, tls: { redis: true, cert: "tls.crt", key: "tls.key" } }, "tls.secret: tls.cert is a key in it"],
      [{ ...some, commands: { tokenSecret: { name: "s" }, readOnlyTokenSecret: { name: "s" } } }, "commands.readOnlyTokenSecret: it is commands.tokenSecret"],
      [some, 'fullnameOverride: "1-bellwether", out of the release\'s name, can\'t be the name of a Service', "1"],
      [{ ...some, fullnameOverride: "on" }, 'fullnameOverride: "on", out of the release\'s name, can\'t be the name of a Service'],
    ]) {
      assert.throws(() => renderChart(chart, { values, release }), (error) => error.message.endsWith(`: ${found}`) || assert.fail(`${error.message} has: ${found}`), JSON.stringify(values));
    }
  });
  await t.test("any value that is not refused by its name is sound", (t) => {
    const nonsense = [null, "", "no such thing:*\n", -1, 1e9, [], [""], [null], {}, { "no such": "thing" }, true];
    const base = { ...some, forwards: [{ name: "redis", port: 6379 }], masterService: { enabled: true, nodes } };
    const paths = (value, at) => value !== null && typeof value === "object" && !Array.isArray(value) ? [...(at.length ? [at] : []), ...Object.entries(value).flatMap(([key, one]) => paths(one, [...at, key]))] : [at];
    const all = paths(parseYaml(readFileSync(join(chart, "values.yaml"), "utf8"), "values.yaml")[0], []).filter((path) => path.join() !== "deploy");
    assert.ok(all.length > 70, `${all.length} values`);
    const seen = new Set();
    const wrong = [];
    for (const path of all) {
      for (const value of nonsense) {
        const values = structuredClone(base);
        path.slice(0, -1).reduce((now, key) => (now[key] ??= {}), values)[path.at(-1)] = value;
        const what = `${path.join(".")}: ${JSON.stringify(value)}`;
        let objects;
        try {
          ({ objects } = renderChart(chart, { values }));
        } catch (error) {
          const named = new RegExp(`(^values|: )[^\n]*\\b${path.at(-1)}\\b`, "m").test(error.message);
          if (!named || /nil pointer|wrong type|YAML|executing "(?!.*error calling fail)/.test(error.message)) {
            wrong.push(`${what}: ${error.message}`);
          }
          continue;
        }
        const text = JSON.stringify(objects);
        if (!seen.has(text)) { // much of it is the same
          seen.add(text);
          try {
            assertSound(objects, {}, /: (runAsUser is no user|resources\.\w+ lack .*)$/);
            assertTaken(t, objects);
            assertBalanced(t, objects);
          } catch (error) {
            wrong.push(`${what}: ${error.message}`);
          }
        }
      }
    }
    assert.deepEqual(wrong, []);
  });
  await t.test("whom pods run as, and where names are looked up, may be the platform's", (t) => {
    const values = { ...some, securityContext: { runAsUser: null, runAsGroup: null, fsGroup: null }, networkPolicy: { dnsPort: 5353 }, masterService: { enabled: true, nodes } };
    const { objects } = renderChart(chart, { values });
    assertSound(objects, {}, /: runAsUser is no user$/);
    assertTaken(t, objects);
    eachPod(objects, (pod) => {
      assert.deepEqual(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      containersOf(pod).forEach(({ name, securityContext }) => assert.equal(securityContext.runAsUser, undefined, name));
    });
    objects.filter(({ kind }) => kind === "NetworkPolicy").forEach(({ spec }) => assert.deepEqual(spec.egress[0].ports.map(({ port }) => port), [5353, 5353]));
    const { objects: own } = renderChart(chart, { values: { ...some, securityContext: { runAsUser: 1000650000, fsGroup: 1000650000 } } });
    eachPod(own, ({ securityContext: { runAsUser, runAsGroup, fsGroup } }) => assert.deepEqual([runAsUser, runAsGroup, fsGroup], [1000650000, 65532, 1000650000]));
  });
  const hasIpv6 = await new Promise((done) => {
    const server = net.createServer().on("error", () => done(false)).listen(0, "::1", () => server.close(() => done(true)));
  });
  for (const [ipFamily, hosts] of Object.entries({ IPv4: ["127.0.0.1"], IPv6: ["[::1]"], dual: ["127.0.0.1", "[::1]"] })) {
    await t.test(`${ipFamily}`, { skip: !hasIpv6 && "there is no IPv6 here" }, async (t) => {
      const { objects } = renderChart(chart, { values: { ...some, ipFamily, forwards: [{ name: "redis", port: 6379 }], masterService: { enabled: true, nodes } } });
      assertSound(objects);
      assert.equal(assertBalanced(t, objects), 1);
      objects.filter(({ kind }) => kind === "Service").forEach(({ spec }) => assert.equal(spec.ipFamilyPolicy, ipFamily === "dual" ? "PreferDualStack" : undefined));
      const alive = (what, port, path) => Promise.all(hosts.map((host) => until(`${what} at ${host}`, 15000, async () => await statusOf(`http://${host}:${port}${path}`) === 200)));
      for (const daemon of assertTaken(t, objects)) {
        const file = daemon.args[daemon.args.indexOf("--config") + 1];
        const ports = { 8380: await freePort(), 8381: await freePort(), 6379: await freePort() };
        writeFileSync(file, readFileSync(file, "utf8").replace(/^(listen|forward)( = .*:)(8380|8381|6379)\b/gm, (_, option, between, port) => option + between + ports[port]).replace(/^sentinel = .*$/gm, "sentinel = 127.0.0.1:1"));
        const { stop } = start(t, makeFolder(t), "daemon", [binary, ...daemon.args]);
        await alive(daemon.at, ports[8381], "/livez");
        if (daemon.at.startsWith("Deployment/bellwether/")) {
          await alive(daemon.at, ports[8380], "/version");
          await Promise.all(hosts.map((host) => new Promise((done, failed) => net.connect(ports[6379], host.replace(/[[\]]/g, ""), done).on("error", failed).unref())));
        }
        await stop("SIGKILL");
      }
      if (haproxy) {
        const file = join(makeFolder(t), "haproxy.cfg");
        const ports = { 8404: await freePort(), 6379: await freePort(), 6380: await freePort() };
        writeFileSync(file, objects.find((one) => one.data?.["haproxy.cfg"]).data["haproxy.cfg"].replace(/^( *bind .*:)(\d+)/gm, (_, before, port) => before + ports[port]));
        start(t, makeFolder(t), "haproxy", [haproxy, "-db", "-f", file]);
        await alive("HAProxy", ports[8404], "/live");
      }
    });
  }
});
