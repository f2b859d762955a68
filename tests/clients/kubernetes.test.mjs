// What deploy/kubernetes and deploy/helm start: whether a cluster would take it, whether the daemon takes what it is given there,
// and whether probes and HAProxy say what they should of a real deployment on loopback.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { atEnd, blocks, findProgram, freePort, ifMissing, makeFolder, patient, redis, start, startCluster, until } from "./support.mjs";

const top = fileURLToPath(new URL("../../", import.meta.url));
const kubernetes = join(top, "deploy/kubernetes");
const chart = join(top, "deploy/helm/bellwether");
const { missing } = await import("yaml").then(() => import("ajv")).catch(ifMissing);
const libraries = !missing;
const skipAll = missing && `${missing} is missing`;
const { containersOf, eachPod, kustomize, parseYaml } = libraries ? await import("./kubernetes/kustomize.mjs") : {};
const { checkObject, checkType, hasSchemas } = await import("./kubernetes/schema.mjs");
const { checkPolicy } = libraries ? await import("./kubernetes/policy.mjs") : {};
const { checkReferences, checkTraffic } = libraries ? await import("./kubernetes/references.mjs") : {};
const { assertBalanced, assertSound, assertTaken, assertTakenWith, portsReached, secretsOf, variablesOf } = libraries ? await import("./kubernetes/sound.mjs") : {};
const { binary, daemonsOf, refusalOf, valuesOf } = libraries ? await import("./kubernetes/daemon.mjs") : {};
const { chartValues, lacking, readChart, renderChart } = libraries ? await import("./kubernetes/helm.mjs") : {};
const haproxy = findProgram("haproxy", "/usr/sbin/haproxy");

// The Secrets that a base says are there, with the keys that others' charts and operators give them.
const given = {
  bitnami: { redis: ["redis-password"] },
  "bitnami-tls": { redis: ["redis-password"], "redis-crt": ["ca.crt", "tls.crt", "tls.key"] },
  "bitnami-master": { redis: ["redis-password"] },
  "redis-ha": { "redis-ha": ["auth"] },
  "redis-ha-tls": { "redis-ha": ["auth"], "redis-ha-tls-secret": ["ca.crt", "redis.crt", "redis.key"] },
  ot: { "redis-secret": ["password"] },
  "ot-tls": { "redis-secret": ["password"], "redis-tls-cert": ["ca.crt", "tls.crt", "tls.key"] },
  spotahome: { "redis-auth": ["password"] },
};
const bases = readdirSync(kubernetes).filter((name) => existsSync(join(kubernetes, name, "kustomization.yaml")));
const folderOf = (base) => base === "master-readiness" ? join(top, "tests/clients/kubernetes/redis") : join(kubernetes, base);

test("the checks find what is wrong", { skip: skipAll || (!hasSchemas && "kubernetes-types is missing") }, () => {
  const broken = (change, found, check) => {
    const objects = kustomize(join(kubernetes, "central"));
    const of = (kind) => objects.find((one) => one.kind === kind);
    change({ of, pod: of("Deployment").spec.template.spec, container: of("Deployment").spec.template.spec.containers[0], objects });
    const errors = check(objects);
    assert.ok(errors.some((line) => found.test(line)), `${found} is among: ${errors.join("; ") || "nothing"}`);
  };
  const schema = (objects) => objects.flatMap(checkObject);
  for (const [change, found] of [
    [({ container }) => (container.readynessProbe = {}), /there is no field readynessProbe/],
    [({ container }) => (container.ports[0].containerPort = "8380"), /"8380" is no number/],
    [({ container }) => (container.env = [{ name: "A", value: true }]), /true is no string/],
    [({ container }) => delete container.name, /name is missing/],
    [({ container }) => (container.resources.limits.memory = "128 MB"), /is no Quantity/],
    [({ of }) => (of("Deployment").apiVersion = "apps/v2"), /there is no Deployment in apps\/v2/],
    [({ of }) => (of("Service").spec.selector.a = 1), /1 is no string/],
  ]) {
    broken(change, found, schema);
  }
  for (const [change, found] of [
    [({ pod }) => (pod.hostNetwork = true), /host's namespaces/],
    [({ pod }) => delete pod.securityContext.seccompProfile, /seccompProfile/],
    [({ pod }) => delete pod.securityContext.runAsNonRoot, /runAsNonRoot/],
    [({ pod }) => (pod.securityContext.runAsUser = 0), /runAsUser/],
    [({ pod }) => delete pod.automountServiceAccountToken, /automountServiceAccountToken/],
    [({ pod }) => pod.volumes.push({ name: "x", hostPath: { path: "/" } }), /volumes/],
    [({ container }) => delete container.securityContext.capabilities, /drop ALL/],
    [({ container }) => (container.securityContext.allowPrivilegeEscalation = true), /allowPrivilegeEscalation/],
    [({ container }) => (container.securityContext.privileged = true), /privileged/],
    [({ container }) => delete container.securityContext.readOnlyRootFilesystem, /readOnlyRootFilesystem/],
    [({ container }) => delete container.resources.limits, /limits lack memory/],
    [({ container }) => (container.image = "registry.example/bellwether:1"), /registry/],
    [({ container }) => (container.image = "bellwether"), /no version/],
    [({ objects }) => objects.push({ apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", metadata: { name: "x" } }), /no place here/],
  ]) {
    broken(change, found, checkPolicy);
  }
  for (const [change, found] of [
    [({ of }) => (of("Service").spec.selector["app.kubernetes.io/component"] = "x"), /Service.*0 workloads/],
    [({ of }) => (of("Service").spec.ports[0].targetPort = "htp"), /no port htp/],
    [({ of }) => (of("NetworkPolicy").spec.ingress[0].ports[0].port = "http"), /ports are numbers/],
    [({ of }) => (of("NetworkPolicy").spec.ingress[0].ports[0].port = 8382), /no port 8382/],
    [({ of }) => (of("PodDisruptionBudget").spec.selector.matchLabels = {}), /0 workloads/],
    [({ of }) => (of("Deployment").spec.selector.matchLabels.a = "b"), /its own pods/],
    [({ pod }) => (pod.topologySpreadConstraints[0].labelSelector.matchLabels.a = "b"), /topology spread/],
    [({ container }) => (container.livenessProbe.httpGet.port = "x"), /no port x/],
    [({ container }) => container.volumeMounts.push({ name: "x", mountPath: "/x" }), /no volume/],
    [({ pod }) => (pod.volumes[0].configMap.name = "bellwether"), /no ConfigMap/],
    [({ pod }) => delete pod.volumes[1].secret.optional, /nobody gives the Secret bellwether-auth/],
    [({ pod }) => pod.volumes.push({ name: "x", emptyDir: {} }), /nobody mounts x/],
    [({ container }) => (container.restartPolicy = "Always"), /restartPolicy is for init containers/],
  ]) {
    broken(change, found, checkReferences);
  }
  for (const [change, found] of [
    [({ of }) => of("NetworkPolicy").spec.egress[0].ports.pop(), /names can't be looked up/],
    [({ of }) => of("NetworkPolicy").spec.egress[1].ports.shift(), /nothing goes out to 26379/],
    [({ of }) => (of("NetworkPolicy").spec.policyTypes = ["Ingress"]), /policyTypes/],
    [({ of }) => delete of("NetworkPolicy").spec.ingress[0].from, /everybody is let in to 8380/],
    [({ of }) => of("NetworkPolicy").spec.ingress.pop(), /kubelet's probes/],
    [({ of }) => (of("PodDisruptionBudget").spec.maxUnavailable = 0), /not one pod/],
    [({ of }) => (of("Deployment").spec.replicas = 1), /single pod/],
    [({ of }) => (of("Deployment").spec.strategy.rollingUpdate.maxUnavailable = 1), /in an update/],
    [({ pod }) => pod.topologySpreadConstraints.pop(), /not spread/],
    [({ objects }) => objects.splice(objects.findIndex(({ kind }) => kind === "PodDisruptionBudget"), 1), /no disruption budget/],
  ]) {
    broken(change, found, (objects) => checkTraffic(objects, new Set([26379, 6379])));
  }
  assert.throws(() => parseYaml("a: on", "x"), /differ/);
  assert.throws(() => parseYaml("a: 0440", "x"), /differ/);
});

test("Kustomize", { skip: skipAll }, async (t) => {
  assert.deepEqual(bases.filter((base) => Object.keys(given).includes(base)), Object.keys(given).sort(), "each base that needs Secrets is there");
  const kubectl = /Kustomize Version: v([5-9]|\d\d)/.test(spawnSync("kubectl", ["version", "--client"], { encoding: "utf8" }).stdout ?? "");
  for (const base of bases) {
    await t.test(base, (t) => {
      const objects = kustomize(folderOf(base));
      assertSound(objects, given[base]);
      const daemons = assertTaken(t, objects, given[base]);
      assert.deepEqual(checkTraffic(objects, portsReached(objects, daemons)), []);
      assert.equal(assertBalanced(t, objects), base.endsWith("master") || base === "master-service" ? 1 : 0);
    });
    await t.test(`${base}, as kubectl sees it`, { skip: !kubectl && "there is no kubectl with Kustomize 5" }, () => {
      const { status, stdout, stderr } = spawnSync("kubectl", ["kustomize", folderOf(base)], { encoding: "utf8" });
      assert.equal(status, 0, stderr);
      const plain = (objects) => Object.fromEntries(objects.map((one) => [`${one.kind}/${one.metadata.name}`, one]).sort(([a], [b]) => a < b ? -1 : 1));
      const digests = (text) => JSON.parse(text.replace(/\b(bellwether|bellwether-sidecar|redis-master)-[0-9a-z]{10}"/g, '$1-digest"'));
      assert.deepEqual(digests(JSON.stringify(plain(parseYaml(stdout, base)))), digests(JSON.stringify(plain(kustomize(folderOf(base))))));
    });
  }
  await t.test("each file has its place", () => {
    for (const base of bases) {
      const named = readFileSync(join(kubernetes, base, "kustomization.yaml"), "utf8");
      for (const file of readdirSync(join(kubernetes, base)).filter((name) => !["kustomization.yaml", "values.yaml"].includes(name))) {
        assert.ok(new RegExp(`(- |path: )${file}$`, "m").test(named), `${base}/${file}`);
      }
    }
    assert.deepEqual(readdirSync(kubernetes).sort(), [...bases].sort());
  });
  await t.test("values for other charts say what the bases say", (t) => {
    const folder = makeFolder(t);
    const daemonOf = (base) => daemonsOf(kustomize(folderOf(base)), makeFolder(t), secretsOf(given[base], folder))[0];
    const valuesFor = (base) => parseYaml(readFileSync(join(kubernetes, base, "values.yaml"), "utf8"), base)[0];
    const passwords = ["redis-password-file", "sentinel-password-file"];
    const bitnami = valuesFor("bitnami");
    for (const daemon of [daemonOf("bitnami"), daemonOf("bitnami-master")]) {
      assert.deepEqual(valuesOf(daemon, "master"), [bitnami.sentinel.masterSet]);
      assert.equal(valuesOf(daemon, "sentinel").length, bitnami.replica.replicaCount);
      assert.deepEqual([bitnami.auth.enabled, bitnami.auth.sentinel], passwords.map((option) => valuesOf(daemon, option).length === 1));
    }
    const ha = valuesFor("redis-ha");
    const daemon = daemonOf("redis-ha");
    assert.deepEqual(valuesOf(daemon, "master"), [ha.redis.masterGroupName]);
    assert.equal(valuesOf(daemon, "sentinel").length, ha.replicas);
    assert.deepEqual([ha.auth, ha.sentinel.auth], passwords.map((option) => valuesOf(daemon, option).length === 1));
    assert.ok(valuesOf(daemon, "redis-password-file")[0].endsWith(`/${ha.authKey}`));
    for (const base of ["redis-ha", "redis-ha-tls"]) {
      const [{ container }] = daemonsOf(kustomize(folderOf(base)), makeFolder(t), secretsOf(given[base], folder));
      assert.deepEqual(container.env.find(({ name }) => name === "BELLWETHER_SENTINEL_PASSWORD").valueFrom,
        { secretKeyRef: { name: "redis-ha-sentinel", key: "sentinel-password", optional: true } }, `${base}: Sentinels may have a password`);
    }
  });
  await t.test("a sidecar comes after the gate, and leaves a Job to end", () => {
    eachPod(["sidecar", "sidecar-job", "sidecar-forward"].flatMap((base) => kustomize(join(kubernetes, base))), (pod) => {
      assert.deepEqual(pod.initContainers.map(({ name, restartPolicy }) => [name, restartPolicy]), [["wait-for-redis", undefined], ["bellwether", "Always"]]);
      assert.deepEqual(pod.containers.map(({ name }) => name), ["app"]);
    });
  });
  await t.test("a Secret is for every daemon, and may be missing", (t) => {
    const auth = { "redis-password": "secret\n", "sentinel-password": "secret\n" };
    const keys = { "bellwether-auth": auth, ...secretsOf({ "bellwether-tls": ["ca.crt"] }, makeFolder(t)) };
    const lines = "redis-password-file = /run/secrets/bellwether/auth/redis-password\nsentinel-password-file = /run/secrets/bellwether/auth/sentinel-password\n" +
      "redis-tls = on\ntls-ca = /run/secrets/bellwether/tls/ca.crt\n";
    for (const base of ["central", "sidecar", "sidecar-job", "sidecar-forward", "master-service", "master-forward"]) {
      const objects = kustomize(folderOf(base));
      objects.filter((one) => one.data).forEach(({ data }) => (data["bellwether.ini"] += lines));
      const daemons = daemonsOf(objects, makeFolder(t), keys);
      assert.deepEqual(daemons.map(refusalOf).filter(Boolean), [], base);
      daemons.forEach((daemon) => assert.equal(valuesOf(daemon, "redis-password-file").length, 1, daemon.at));
    }
    const [daemon] = daemonsOf(kustomize(folderOf("master-readiness")), makeFolder(t), keys);
    assert.deepEqual(daemon.env, { BELLWETHER_REDIS_PASSWORD: "secret\n", BELLWETHER_SENTINEL_PASSWORD: "secret\n" });
  });
  await t.test("every base can listen on IPv6, alone and beside IPv4", (t) => {
    for (const base of bases) {
      const alone = JSON.parse(JSON.stringify(kustomize(folderOf(base))).replaceAll("0.0.0.0:", "[::]:"));
      assertTaken(t, alone, given[base]).forEach((daemon) => assert.doesNotMatch(valuesOf(daemon, "listen").join(), /0\.0\.0\.0/, daemon.at));
      const both = kustomize(folderOf(base));
      both.filter(({ data }) => data).forEach(({ data }) => (data["bellwether.ini"] = data["bellwether.ini"].replace(/^(listen|forward) = 0\.0\.0\.0(.*)$/gm, "$&\n$1 = [::]$2")));
      assertTaken(t, both, given[base]);
    }
  });
  await t.test("what changes in a file is new pods, and no change of a Job", (t) => {
    const changed = (base) => {
      const folder = makeFolder(t);
      for (const name of ["sidecar", base]) { // on which sidecar-forward builds
        cpSync(join(kubernetes, name), join(folder, name), { recursive: true });
      }
      const file = join(folder, base, "bellwether.ini");
      writeFileSync(file, `${readFileSync(file, "utf8")}poll-interval = 500ms\n`);
      return kustomize(join(folder, base));
    };
    const of = (objects, kind) => objects.filter((one) => one.kind === kind);
    for (const base of ["sidecar", "sidecar-forward"]) {
      assert.deepEqual(of(changed(base), "Job"), []);
      assert.notDeepEqual(of(changed(base), "Deployment"), of(kustomize(folderOf(base)), "Deployment"), base);
    }
    assert.equal(of(changed("sidecar-job"), "Job").length, 1);
    assert.deepEqual(of(changed("sidecar-job"), "Job"), of(kustomize(folderOf("sidecar-job")), "Job"));
    assert.equal(readFileSync(join(kubernetes, "sidecar-job/bellwether.ini"), "utf8"), readFileSync(join(kubernetes, "sidecar/bellwether.ini"), "utf8"));
  });
  await t.test("a StatefulSet may have labels and ports of its own", (t) => {
    const folder = makeFolder(t);
    cpSync(join(kubernetes, "master-readiness"), join(folder, "master-readiness"), { recursive: true });
    const mine = join(top, "tests/clients/kubernetes/redis");
    const plain = readFileSync(join(mine, "redis.yaml"), "utf8").replaceAll("app.kubernetes.io/name: redis", "app: redis").replaceAll("- name: redis\n              containerPort:", "- containerPort:")
      .replaceAll("targetPort: redis", "targetPort: 6379");
    assert.doesNotMatch(plain, /kubernetes.io|name: redis\n +containerPort/);
    writeFileSync(join(folder, "redis.yaml"), plain);
    writeFileSync(join(folder, "kustomization.yaml"), "resources: [redis.yaml]\ncomponents: [master-readiness]\n");
    const objects = kustomize(folder);
    assertSound(objects);
    assert.deepEqual(objects.filter(({ kind }) => ["Service", "PodDisruptionBudget"].includes(kind)).map(({ metadata }) => metadata.name).sort(), ["redis-headless", "redis-master", "redis-master"]);
  });
  await t.test("a StatefulSet whose pods are ready by role can be rolled and found", () => {
    const objects = kustomize(folderOf("master-readiness"));
    const { spec } = objects.find((one) => one.kind === "StatefulSet");
    assert.equal(spec.podManagementPolicy, "Parallel");
    assert.deepEqual(spec.updateStrategy, { type: "OnDelete" });
    const service = (name) => objects.find((one) => one.kind === "Service" && one.metadata.name === name).spec;
    assert.equal(service(spec.serviceName).publishNotReadyAddresses, true);
    assert.equal(service("redis-master").publishNotReadyAddresses, undefined);
  });
});

test("Helm", { skip: skipAll || lacking || false }, async (t) => {
  const some = { sentinels: ["sentinel-0.sentinel:26379", "[fd00::1]:26379"] };
  const nodes = ["redis-0.redis-headless.redis.svc.cluster.local:6379", "redis-1.redis-headless.redis.svc.cluster.local:6379"];
  const cases = {
    "as it is": some,
    "with everything": { ...some, masters: ["mymaster"], config: { "poll-interval": "500ms", "allow-origin": ["https://a.example", "https://b.example"], "learn-sentinels": false,
      "max-waiters": 1000000, "shutdown-delay": "1s" }, redis: { username: "u", passwordSecret: { name: "redis" } }, sentinel: { passwordSecret: { name: "redis", key: "other" } },
    tls: { sentinel: true, redis: true, secret: "redis-crt", cert: "tls.crt", key: "tls.key", verify: "ca" }, imagePullSecrets: [{ name: "pull" }], podLabels: { a: "b" },
    podAnnotations: { c: "d" }, nodeSelector: { e: "f" }, tolerations: [{ key: "g", operator: "Exists" }], affinity: { nodeAffinity: {} }, priorityClassName: "high",
    https: { secret: "served" }, forwards: [{ name: "redis", port: 6379, tls: true }, { name: "replicas", port: 6380, to: "replica", master: "mymaster" }], commands: { tokenSecret: { name: "tokens" }, readOnlyTokenSecret: { name: "tokens", key: "other" } },
    service: { annotations: { h: "i" }, type: "NodePort" }, masterService: { enabled: true, nodes, service: { annotations: { j: "k" } } } },
    "with little": { ...some, topologySpread: false, disruptionBudget: { enabled: false }, networkPolicy: { enabled: false }, fullnameOverride: "b", replicas: 1,
      masterService: { enabled: true, nodes } },
    "with nobody let in": { ...some, networkPolicy: { clients: [], ports: [26380] } },
  };
  const secrets = { redis: ["redis-password", "other"], "redis-crt": ["ca.crt", "tls.crt", "tls.key"], served: ["tls.crt", "tls.key"], tokens: ["token", "other"] };
  for (const [name, values] of Object.entries(cases)) {
    await t.test(name, (t) => {
      const { objects, notes } = renderChart(chart, { values, release: "redis", namespace: "redis" });
      assertSound(objects, secrets);
      const daemons = assertTaken(t, objects, secrets);
      assert.deepEqual(valuesOf(daemons[0], "sentinel"), some.sentinels);
      assert.deepEqual(checkTraffic(objects, name === "with nobody let in" ? [26380] : portsReached(objects, daemons)), []);
      assert.equal(assertBalanced(t, objects), values.masterService?.enabled ? 1 : 0);
      assert.match(notes, new RegExp(`curl http://${values.fullnameOverride ?? "redis-bellwether"}:8380/master`));
    });
  }
  await t.test("values reach the daemon", (t) => {
    const { objects } = renderChart(chart, { values: cases["with everything"] });
    for (const daemon of assertTaken(t, objects, secrets)) {
      const expected = { "poll-interval": ["500ms"], "allow-origin": ["https://a.example", "https://b.example"], "learn-sentinels": ["off"], "max-waiters": ["1000000"], "shutdown-delay": ["1s"],
        master: ["mymaster"], "redis-username": ["u"], "sentinel-tls": ["on"], "redis-tls": ["on"], "tls-verify": ["ca"] };
      for (const [option, wanted] of Object.entries(expected)) {
        assert.deepEqual(valuesOf(daemon, option), wanted, `${daemon.at}: ${option}`);
      }
      assert.deepEqual(valuesOf(daemon, "redis-api"), daemon.at.includes("master") ? ["off"] : ["token"], "of the daemon beside HAProxy nobody asks for commands");
      assert.equal(valuesOf(daemon, "listen")[0], daemon.at.includes("master") ? "127.0.0.1:8380,scope=discovery" : "0.0.0.0:8380,scope=all,tls");
      assert.deepEqual(valuesOf(daemon, "forward"), daemon.at.includes("master") ? [] : ["0.0.0.0:6379,to=master,tls", "0.0.0.0:6380,to=replica,name=mymaster"]);
      assert.deepEqual(["token-file", "read-only-token-file", "http-cert", "http-key"].map((option) => valuesOf(daemon, option).length), Array(4).fill(daemon.at.includes("master") ? 0 : 1));
      for (const option of ["redis-password-file", "sentinel-password-file", "tls-ca", "tls-cert", "tls-key"]) {
        assert.equal(valuesOf(daemon, option).length, 1, `${daemon.at}: ${option}`);
      }
    }
  });
  await t.test("another configuration is another pod", () => {
    const sums = (values) => {
      const found = [];
      eachPod(renderChart(chart, { values }).objects, (pod, object) => found.push(object.spec.template.metadata.annotations["checksum/config"]));
      return found;
    };
    const before = sums(cases["with everything"]);
    const after = sums({ ...cases["with everything"], sentinels: ["other:26379"] });
    assert.equal(before.length, 2);
    before.forEach((sum, i) => assert.notEqual(sum, after[i]));
  });
  await t.test("the sidecar, in a chart of somebody else's", (t) => {
    const pod = `apiVersion: v1
kind: Pod
metadata: {name: app, labels: {app: app}}
spec:
  automountServiceAccountToken: false
  initContainers: {{- include "bellwether.sidecar" (dict "image" "bellwether:0.1.0" "sentinels" (list "sentinel-0:26379") "args" (list "--master=mymaster")) | nindent 4 }}
  containers: []
`;
    const other = pod.replace('"args"', '"user" nil "ipFamily" "dual" "args"');
    const { objects: app } = renderChart(chart, { values: { deploy: false }, more: { "app/templates/pod.yaml": pod } });
    assert.deepEqual(app.map(({ kind }) => kind), ["Pod"]);
    assertSound(app);
    const daemons = assertTaken(t, app);
    assert.deepEqual(daemons.map((daemon) => valuesOf(daemon, "master")), [["mymaster"], ["mymaster"]]);
    assert.deepEqual(app[0].spec.initContainers.map(({ restartPolicy, securityContext }) => [restartPolicy, securityContext.runAsUser]), [[undefined, 65532], ["Always", 65532]]);
    const { objects: [there] } = renderChart(chart, { values: { deploy: false }, more: { "app/templates/pod.yaml": other } });
    assert.deepEqual(there.spec.initContainers.map(({ securityContext }) => securityContext.runAsUser), [undefined, undefined]);
    assert.deepEqual(valuesOf(assertTaken(t, [there])[1], "listen"), ["127.0.0.1:8380,scope=discovery", "0.0.0.0:8381,scope=probe", "[::]:8381,scope=probe"]);
  });
  await t.test("its HAProxy is that of master-service", () => {
    const cfg = (objects) => objects.find((one) => one.data?.["haproxy.cfg"]).data["haproxy.cfg"].replace(/^ *#.*\n/gm, "").trim();
    const base = kustomize(join(kubernetes, "master-service"));
    const plain = cfg(base).replace(/\$\{(\w+)(?:-([^}]*))?\}/g, (_, name, otherwise) => variablesOf(base)[name] ?? otherwise).replaceAll('"', "");
    const { objects } = renderChart(chart, { values: { ...some, masterService: { enabled: true, nodes: Object.values(variablesOf(base)) } } });
    assert.equal(cfg(objects), plain);
  });
  await t.test("bad values are named", () => {
    for (const [values, found] of [
      [{}, /values\/sentinels: must NOT have fewer than 1 items/],
      [{ ...some, sentinels: ["redis://a:1"] }, /values\/sentinels\/0: must match pattern/],
      [{ ...some, replica: 2 }, /additional properties.*replica/],
      [{ ...some, tls: { verify: "no" } }, /values\/tls\/verify/],
      [{ ...some, config: { sentinel: "a" } }, /values\/config/],
      [{ ...some, masterService: { enabled: true } }, /values\/masterService\/nodes/],
      [{ ...some, service: { port: "http" } }, /values\/service\/port/],
      [{ ...some, forwards: [{ name: "redis", port: 8380 }] }, /values\/forwards\/0\/port/],
      [{ ...some, forwards: [{ name: "redis", port: 6379, to: "sentinel" }] }, /values\/forwards\/0\/to/],
      [{ ...some, networkPolicy: { ports: [] } }, /values\/networkPolicy\/ports/],
      [{ ...some, networkPolicy: { clients: [{}] } }, /values\/networkPolicy\/clients\/0/],
      [{ ...some, enabled: false }, /values\/enabled/],
      [{ ...some, ipFamily: "both" }, /values\/ipFamily/],
      [{ ...some, securityContext: { runAsUser: 0 } }, /values\/securityContext\/runAsUser/],
      [{ ...some, podLabels: { "app.kubernetes.io/name": "x" } }, /values\/podLabels/],
      [{ ...some, config: { "poll-interval": "1s\nlisten = 0.0.0.0:1" } }, /values\/config\/poll-interval/],
      [{ ...some, masterService: { enabled: true, nodes: [nodes[0], nodes[0]] } }, /values\/masterService\/nodes/],
    ]) {
      assert.throws(() => chartValues(chart, values), found, JSON.stringify(values));
    }
    assert.equal(chartValues(chart, { ...some, enabled: true }).enabled, true, "what `condition` names is passed on to the chart");
  });
  await t.test("an option that the chart writes itself is not for config", (t) => {
    const twice = { "redis-username": "u", "redis-password-file": "/x", "sentinel-password-file": "/x", "sentinel-tls": false, "redis-tls": true, "tls-verify": "off",
      "tls-ca": "/x", "tls-cert": "/x", "tls-key": "/x", "http-cert": "/x", "http-key": "/x", "redis-api": "off", "token-file": "/x", "read-only-token-file": "/x" };
    for (const [option, value] of Object.entries(twice)) {
      const values = { ...cases["with everything"], config: { [option]: value } };
      assert.throws(() => renderChart(chart, { values }), new RegExp(`^Error: .* config\\.${option}: the chart writes this option itself, out of its values beside config$`), option);
    }
    const { objects } = renderChart(chart, { values: { ...some, config: { "tls-verify": "ca", "redis-tls": true, "shutdown-delay": 0, listen: "127.0.0.1:8390,scope=discovery" } } });
    const [daemon] = assertTaken(t, objects);
    assert.deepEqual(["tls-verify", "redis-tls", "max-memory", "shutdown-delay"].map((option) => valuesOf(daemon, option)), [["ca"], ["on"], ["32MiB"], ["0"]]);
    assert.equal(valuesOf(daemon, "listen").length, 3, "listeners are added");
  });
  await t.test("its versions are the project's", () => {
    const [, version] = /^VERSION\s*[:?]?=\s*(\S+)/m.exec(readFileSync(join(top, "Makefile"), "utf8"));
    const { version: own, appVersion } = readChart(chart);
    assert.deepEqual([own, appVersion], [version, version]);
    for (const base of bases.filter((name) => name !== "master-readiness")) {
      eachPod(kustomize(folderOf(base)), (pod) => containersOf(pod).filter(({ image }) => image.startsWith("bellwether:")).forEach(({ image }) => assert.equal(image, `bellwether:${version}`)));
    }
  });
  await t.test("Helm itself", { skip: !findProgram("helm") && "helm is missing" }, () => {
    const { status, stdout, stderr } = spawnSync("helm", ["lint", "--strict", chart, "--set", "sentinels={sentinel-0:26379}"], { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  });
});

/** A selector's Services among them, and of each the pods' ports that are scraped: [{name, job, ports}]. */
function scraped(objects, { spec: { jobLabel, selector: { matchLabels, ...others }, endpoints: [{ targetPort, relabelings }] } }) {
  assert.deepEqual(others, {}, "a selector of labels");
  const has = (labels, wanted) => Object.entries(wanted).every(([key, value]) => labels?.[key] === value);
  return objects.filter(({ kind, metadata }) => kind === "Service" && has(metadata.labels, matchLabels)).map(({ metadata: { name, labels }, spec: { selector } }) => {
    const ports = [];
    eachPod(objects, (pod, { spec: { template } }) => has(template.metadata.labels, selector) &&
      ports.push(...containersOf(pod).flatMap((container) => container.ports ?? []).filter((port) => port.name === targetPort)));
    const job = relabelings.reduce((before, { sourceLabels: [source], regex, targetLabel, replacement, ...more }) => {
      assert.deepEqual([targetLabel, more], ["job", {}]);
      const [, label] = /^__meta_kubernetes_service_label_(\w+)$/.exec(source);
      const value = Object.entries(labels).find(([key]) => key.replace(/\W/g, "_") === label)?.[1] ?? "";
      const match = new RegExp(`^(?:${regex})$`).exec(value);
      return match ? replacement.replace("$1", match[1]) : before;
    }, labels[jobLabel]);
    return { name, job, ports: ports.map(({ containerPort }) => containerPort) };
  });
}

test("the monitor of Services has each daemon once", { skip: skipAll }, async (t) => {
  const [monitor] = parseYaml(readFileSync(join(top, "deploy/prometheus/servicemonitor.yaml"), "utf8"), "servicemonitor.yaml");
  for (const base of bases) {
    const objects = kustomize(folderOf(base));
    const central = objects.some(({ kind, metadata: { name } }) => kind === "Deployment" && name === "bellwether");
    assert.deepEqual(scraped(objects, monitor), central ? [{ name: "bellwether", job: "bellwether", ports: [8381] }] : [], base);
  }
  assert.equal(scraped([...kustomize(folderOf("master-forward")), ...kustomize(folderOf("master-service"))], monitor).length, 1, "beside one another");
  await t.test("of the chart", { skip: lacking || false }, () => {
    const values = { sentinels: ["a:1"], forwards: [{ name: "redis", port: 6379 }, { name: "replicas", port: 6380, to: "replica" }], masterService: { enabled: true, nodes: ["a:1"] } };
    const objects = ["redis", "cache"].flatMap((release) => renderChart(chart, { values, release, namespace: "shop" }).objects);
    assert.equal(objects.filter(({ kind }) => kind === "Service").length, 6, "all of them are there");
    assert.deepEqual(scraped(objects, monitor), ["redis", "cache"].map((release) => ({ name: `${release}-bellwether`, job: `bellwether/${release}`, ports: [8381] })));
  });
});

test("the monitor of pods has each daemon once", { skip: skipAll }, () => {
  const [{ spec: { selector, podMetricsEndpoints: [{ port, relabelings: [{ sourceLabels, regex, action }] }] } }] = parseYaml(readFileSync(join(top, "deploy/prometheus/podmonitor.yaml"), "utf8"), "podmonitor.yaml");
  assert.deepEqual([selector, sourceLabels, action], [{}, ["__meta_kubernetes_pod_container_name"], "keep"]);
  const charts = lacking ? {} : { "the chart": renderChart(chart, { values: { sentinels: ["a:1"], masterService: { enabled: true, nodes: ["a:1"] } } }).objects };
  for (const [name, objects] of Object.entries({ ...Object.fromEntries(bases.map((base) => [base, kustomize(folderOf(base))])), ...charts })) {
    eachPod(objects, (pod, { kind, metadata }) => {
      const found = containersOf(pod).filter((container) => container.name === regex).flatMap(({ ports }) => ports).filter((one) => one.name === port);
      assert.deepEqual(found.map(({ containerPort }) => containerPort), [8381], `${name}: ${kind}/${metadata.name}`);
    });
  }
});

test("what the manual shows", { skip: skipAll }, (t) => {
  const shown = blocks.filter(({ name }) => name.endsWith("bellwether-kubernetes.7.md"));
  const yaml = shown.filter(({ language }) => language === "yaml").map(({ text }) => ({ text, object: parseYaml(text, "manual")[0] }));
  const overlays = yaml.filter(({ object }) => object.resources).map(({ text, object }) => {
    const folder = makeFolder(t);
    object.resources.forEach((base) => cpSync(join(kubernetes, base), join(folder, base), { recursive: true }));
    writeFileSync(join(folder, "kustomization.yaml"), text);
    const objects = kustomize(folder);
    assertSound(objects, {}, /: runAsUser is no user$/);
    assertBalanced(t, objects);
    return objects;
  });
  const [renamed, bound, platform] = overlays;
  const podOf = (objects) => objects.find(({ kind }) => kind === "Deployment").spec.template.spec;
  assert.equal(podOf(renamed).containers[0].image, "example/bellwether:0.1.0-1");
  const binds = Object.entries(variablesOf(bound)).filter(([name]) => name.endsWith("_BIND"));
  assert.deepEqual(binds.map(([, place]) => place), ["[::]:6379", "[::]:6380", "[::]:8404"]);
  const cfg = bound.find(({ data }) => data?.["haproxy.cfg"]).data["haproxy.cfg"];
  binds.forEach(([name, place]) => assert.ok(cfg.includes(`bind "\${${name}-${place.slice(4)}}"`), `haproxy.cfg has ${name}`));
  assert.deepEqual(podOf(platform).securityContext, { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
  assert.deepEqual(platform.find(({ kind }) => kind === "NetworkPolicy").spec.egress[0].ports.map(({ port }) => port), [5353, 5353]);
  const ini = shown.filter(({ language }) => language === "ini").map(({ text }) => text);
  assert.equal(ini.length, 2);
  for (const text of ini) { // which names what central brings
    const objects = kustomize(join(kubernetes, "central"));
    objects.find(({ data }) => data).data["bellwether.ini"] = text.includes("listen") ? text : `${text}listen = 0.0.0.0:8380,scope=discovery\nlisten = 0.0.0.0:8381,scope=probe\n`;
    assertTakenWith(t, objects, { "bellwether-auth": { "redis-password": "a\n", "sentinel-password": "a\n" } });
  }
  const [values] = yaml.filter(({ object }) => object.sentinels);
  assert.equal(chartValues(chart, values.object).config["poll-interval"], "500ms");
  assert.equal(yaml.length, 4);
  const commands = shown.filter(({ language }) => language === "sh").map(({ text }) => text).join("");
  const paths = [...commands.matchAll(/(?:apply .*-k|install \S+) (\S+)/g)].map(([, path]) => path);
  assert.deepEqual(paths.map((path) => existsSync(join(top, path))), [true, true]);
});

/** Start a manifest's daemon on loopback beside a deployment: {of(port), stop}, where it listens for each of its ports. */
async function startManifest(t, folder, cluster, daemon, flags = []) {
  const places = {};
  const listen = [];
  for (const address of valuesOf(daemon, "listen")) {
    const [, port, scope] = /:(\d+)(.*)$/.exec(address);
    places[port] = await freePort();
    listen.push("--listen", `127.0.0.1:${places[port]}${scope}`);
  }
  for (const address of valuesOf(daemon, "forward")) {
    const [, port, words] = /:(\d+)(.*)$/.exec(address);
    places[port] = await freePort();
    listen.push("--forward", `127.0.0.1:${places[port]}${words}`);
  }
  const args = daemon.args.filter((arg) => !/^--(sentinel|listen|self)=/.test(arg));
  const sentinels = cluster.sentinels.flatMap(({ port }) => ["--sentinel", `127.0.0.1:${port}`]);
  const started = start(t, folder, `daemon-${daemon.at.replaceAll("/", "-")}-${Object.values(places)[0]}`, ["env", ...Object.entries(daemon.env).map(([name, value]) => `${name}=${value}`), binary, ...args, ...listen, ...sentinels, ...flags]);
  return { ...started, places, of: (port) => `http://127.0.0.1:${places[port]}` };
}

/** A name server for which every name is 127.0.0.1: its port. */
function serveNames(t) {
  const server = createSocket("udp4");
  atEnd(t, () => server.close());
  server.on("message", (query, { port, address }) => {
    const end = query.indexOf(0, 12) + 5; // the question: a name, its type and class
    const isA = query.readUInt16BE(end - 4) === 1;
    const head = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 1]);
    server.send(Buffer.concat([head, query.subarray(12, end), isA ? answer : Buffer.alloc(0)]), port, address);
  });
  return new Promise((done) => server.bind(0, "127.0.0.1", () => done(server.address().port)));
}

const statusOf = async (url, method = "GET") => (await fetch(url, { method }).catch(() => ({ status: 0 }))).status;

test("on loopback", { skip: skipAll || (!findProgram("redis-server") && "redis-server is missing"), timeout: patient(900000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const [node] = cluster.nodes;

  const forwards = [{ name: "redis", port: 6379 }, { name: "replicas", port: 6380, to: "replica" }];
  const charts = lacking ? {} : { "the chart": renderChart(chart, { values: { sentinels: ["a:1"], forwards, masterService: { enabled: true, nodes: ["a:1"] } } }).objects };
  const sets = { ...Object.fromEntries(["central", "sidecar", "sidecar-job", "sidecar-forward", "master-service", "master-forward"].map((base) => [base, kustomize(folderOf(base))])), ...charts };
  for (const [name, objects] of Object.entries(sets)) {
    await t.test(`probes of ${name}`, async (t) => {
      for (const daemon of daemonsOf(objects, makeFolder(t))) {
        if (daemon.args.includes("--once")) {
          const gate = start(t, folder, daemon.at.replaceAll("/", "-"), [binary, ...daemon.args, ...cluster.sentinels.flatMap(({ port }) => ["--sentinel", `127.0.0.1:${port}`])]);
          await until("the gate opens", 15000, () => gate.process.exitCode !== null);
          assert.equal(gate.process.exitCode, 0, gate.log());
          assert.match(gate.log(), new RegExp(`^127\\.0\\.0\\.1:${node.port}$`, "m"));
          continue;
        }
        const running = await startManifest(t, folder, cluster, daemon);
        const probes = ["startupProbe", "livenessProbe", "readinessProbe"].map((kind) => daemon.container[kind]).filter(Boolean);
        assert.ok(probes.length > 0);
        for (const { httpGet } of probes) {
          const { containerPort } = daemon.container.ports.find((port) => port.name === httpGet.port);
          await until(`${daemon.at}: ${httpGet.path}`, 15000, async () => await statusOf(running.of(containerPort) + httpGet.path) === 200);
          assert.equal(await statusOf(`${running.of(containerPort)}/master`), 404, "probes' listener gives nothing else away");
        }
        await until(`${daemon.at}: /master`, 15000, async () => (await fetch(`${running.of(8380)}/master?format=text`).then((one) => one.text(), () => "")) === `127.0.0.1:${node.port}\n`);
        await running.stop("SIGKILL"); // shutdown-delay is in the way of nobody here
      }
    });
  }

  await t.test("HAProxy before nodes with nothing beside them", {
    skip: !haproxy ? "haproxy is missing" : !readFileSync(join(top, "openapi.yaml"), "utf8").includes("  /nodes/") && "the daemon has no /nodes",
  }, async (t) => {
    const objects = sets["master-service"];
    const [daemon] = daemonsOf(objects, makeFolder(t));
    const running = await startManifest(t, folder, cluster, daemon, ["--map", "127.0.0.1=localhost"]); // nodes have names there
    const ports = { REDIS: await freePort(), REPLICAS: await freePort(), HEALTH: await freePort() };
    const env = { DAEMON_PORT: new URL(running.of(8380)).port };
    Object.entries(ports).forEach(([name, port]) => (env[`${name}_BIND`] = `127.0.0.1:${port}`));
    cluster.nodes.forEach(({ port }, i) => (env[`REDIS_${i + 1}`] = `localhost:${port}`));
    const file = join(folder, "haproxy.cfg");
    const text = objects.find((one) => one.data?.["haproxy.cfg"]).data["haproxy.cfg"];
    assert.match(text, /^ {2}parse-resolv-conf$/m);
    writeFileSync(file, text.replace("parse-resolv-conf", `nameserver cluster 127.0.0.1:${await serveNames(t)}`)
      .replaceAll(" resolvers cluster ", " resolvers cluster resolve-opts allow-dup-ip ")); // all nodes are at one address here
    start(t, folder, "haproxy", ["env", ...Object.entries(env).map(([name, value]) => `${name}=${value}`), haproxy, "-db", "-f", file]);
    const health = `http://127.0.0.1:${ports.HEALTH}`;
    await until("HAProxy is ready", 15000, async () => await statusOf(`${health}/ready`) === 200);
    assert.equal(await statusOf(`${health}/live`), 200);
    assert.equal(await statusOf(`${health}/stats`), 404);
    const roleOf = async (port) => /\r\n(master|slave)\r\n/.exec(await redis(port, "ROLE"))?.[1];
    await until("redis-master leads to the master", 10000, async () => await roleOf(ports.REDIS) === "master");
    await until("redis-replicas leads to a replica", 10000, async () => await roleOf(ports.REPLICAS) === "slave");
    await until("a failover is ordered", 60000, async () => (await redis(cluster.sentinels[0].port, `SENTINEL FAILOVER ${cluster.name}`)).startsWith("+OK"));
    const master = async () => (await fetch(`${running.of(8380)}/master?format=text`).then((one) => one.text(), () => "")).trim();
    await until("another node is the master", 90000, async () => /^localhost:\d+$/.test(await master()) && await master() !== `localhost:${node.port}`);
    await until("redis-master leads there", 10000, async () => new RegExp(`tcp_port:${(await master()).split(":")[1]}\\r`).test(await redis(ports.REDIS, "INFO server")) && await roleOf(ports.REDIS) === "master");
  });

  for (const base of ["sidecar-forward", "master-forward", ...Object.keys(charts)]) {
    await t.test(`forwards of ${base}`, async (t) => {
      const daemon = daemonsOf(sets[base], makeFolder(t)).find((one) => !one.args.includes("--once") && valuesOf(one, "forward").length > 0);
      const { places } = await startManifest(t, folder, cluster, daemon);
      const roleOf = async (port) => /\r\n(master|slave)\r\n/.exec(await redis(places[port], "ROLE"))?.[1];
      await until("one leads to the master", 15000, async () => await roleOf(6379) === "master");
      await until("one leads to a replica", 15000, async () => await roleOf(6380) === "slave");
      const placeNow = async () => /tcp_port:\d+/.exec(await redis(places[6379], "INFO server"))?.[0];
      const before = await until("it says where that is", 10000, placeNow);
      await until("a failover is ordered", 60000, async () => (await redis(cluster.sentinels[0].port, `SENTINEL FAILOVER ${cluster.name}`)).startsWith("+OK"));
      await until("it leads to another node", 90000, async () => {
        const now = await placeNow();
        return now !== undefined && now !== before;
      });
      await until("which is the master", 10000, async () => await roleOf(6379) === "master");
    });
  }

  await t.test("readiness by role follows a failover", async (t) => {
    const [daemon] = daemonsOf(kustomize(folderOf("master-readiness")), makeFolder(t));
    const { path } = daemon.container.readinessProbe.httpGet;
    const pods = [];
    for (const { port } of cluster.nodes) {
      pods.push(await startManifest(t, folder, cluster, daemon, ["--self", `127.0.0.1:${port}`]));
    }
    const ready = async () => {
      const statuses = await Promise.all(pods.map((pod) => statusOf(pod.of(8381) + path)));
      return statuses.filter((status) => status === 200).length === 1 ? statuses.indexOf(200) : -1;
    };
    const before = await until("one pod is ready", 20000, async () => (await ready()) + 1) - 1;
    await until("a failover is ordered", 60000, async () => (await redis(cluster.sentinels[0].port, `SENTINEL FAILOVER ${cluster.name}`)).startsWith("+OK"));
    const after = await until("another pod is ready", 90000, async () => {
      const now = await ready();
      return now >= 0 && now !== before && now + 1;
    }) - 1;
    assert.match(await redis(cluster.nodes[after].port, "ROLE"), /master/);
  });

  await t.test("a password out of a Secret", async (t) => {
    const base = "spotahome";
    const place = makeFolder(t);
    const [daemon] = daemonsOf(kustomize(folderOf(base)), place, secretsOf(given[base], place));
    for (const { port } of cluster.nodes) {
      assert.match(await redis(port, "CONFIG SET masterauth secret"), /^\+OK/);
    }
    for (const { port } of cluster.sentinels) {
      assert.match(await redis(port, `SENTINEL SET ${cluster.name} auth-pass secret`), /^\+OK/);
    }
    for (const { port } of cluster.nodes) {
      assert.match(await redis(port, "CONFIG SET requirepass secret"), /^\+OK/);
    }
    const bare = await startManifest(t, folder, cluster, daemonsOf(kustomize(folderOf("central")), makeFolder(t))[0]);
    await until("without it there is none", 15000, async () => /redis_auth/.test(await fetch(`${bare.of(8380)}/master`).then((one) => one.text(), () => "")));
    const running = await startManifest(t, folder, cluster, daemon);
    await until("with it there is a master", 15000, async () => await statusOf(`${running.of(8380)}/master`) === 200);
    const [beside] = daemonsOf(kustomize(folderOf("master-readiness")), makeFolder(t), { "bellwether-auth": { "redis-password": "secret" } });
    const pods = [];
    for (const { port } of cluster.nodes) {
      pods.push(await startManifest(t, folder, cluster, beside, ["--self", `127.0.0.1:${port}`]));
    }
    await until("with it one pod is ready by role", 20000, async () => {
      const statuses = await Promise.all(pods.map((pod) => statusOf(pod.of(8381) + beside.container.readinessProbe.httpGet.path)));
      return statuses.filter((status) => status === 200).length === 1;
    });
  });
});
