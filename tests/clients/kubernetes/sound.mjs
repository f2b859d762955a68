// What must hold of objects, whatever made them: a cluster takes them, and daemon and HAProxy take what they are given there.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, makeFolder } from "../support.mjs";
import { daemonsOf, makeCertificate, refusalOf, valuesOf } from "./daemon.mjs";
import { eachPod } from "./kustomize.mjs";
import { checkPolicy } from "./policy.mjs";
import { checkReferences } from "./references.mjs";
import { checkObject, hasSchemas } from "./schema.mjs";

const haproxy = findProgram("haproxy", "/usr/sbin/haproxy");

/** Secrets with something in each key: {name: {key: text}}. */
export function secretsOf(keys, folder) {
  const made = makeCertificate(folder);
  const certificate = { crt: made.crt, key: readFileSync(made.key, "utf8") };
  return Object.fromEntries(Object.entries(keys).map(([name, list]) => [name, Object.fromEntries(list.map((key) => [key, certificate[key.split(".")[1]] ?? "secret\n"]))]));
}

/** Everything that must hold of objects, but for what their daemons say, and for what the policy may say. */
export function assertSound(objects, keys = {}, allowed = /^$/) {
  if (hasSchemas) {
    assert.deepEqual(objects.flatMap(checkObject), []);
  }
  assert.deepEqual(checkPolicy(objects).filter((line) => !allowed.test(line)), []);
  assert.deepEqual(checkReferences(objects, keys), []);
}

/** The daemons among them take what they are given; they are returned. */
export const assertTaken = (t, objects, keys = {}) => assertTakenWith(t, objects, secretsOf(keys, makeFolder(t)));

export function assertTakenWith(t, objects, secrets) {
  const daemons = daemonsOf(objects, makeFolder(t), secrets);
  assert.ok(daemons.length > 0, "there is a daemon");
  for (const daemon of daemons) {
    assert.equal(refusalOf(daemon), "");
    for (const name of Object.keys(daemon.env)) { // which it does not know it does not see
      assert.notEqual(valuesOf(daemon, name.replace(/^BELLWETHER_/, "").toLowerCase().replaceAll("_", "-")).length, 0, `${daemon.at}: ${name} is an option`);
    }
    const ports = (daemon.container.ports ?? []).map((port) => port.containerPort);
    const listened = [...valuesOf(daemon, "listen"), ...valuesOf(daemon, "forward")].map((address) => /^(?:0\.0\.0\.0|\[::\]):(\d+)/.exec(address)).filter(Boolean).map(([, port]) => Number(port));
    assert.deepEqual(daemon.args.includes("--once") ? [] : [...new Set(listened)].sort(), ports.sort(), `${daemon.at}: its ports are its listeners`);
  }
  return daemons;
}

/** Where they and HAProxy connect to: Redis has the port of its Sentinel less 20000 in all of these, with TLS as without. */
export function portsReached(objects, daemons) {
  const portOf = (address) => Number(/:(\d+)$/.exec(address)[1]);
  const sentinels = daemons.flatMap((daemon) => valuesOf(daemon, "sentinel")).map(portOf);
  const nodes = Object.entries(variablesOf(objects)).filter(([name]) => /^REDIS_\d$/.test(name)).map(([, address]) => portOf(address));
  return new Set([...sentinels, ...sentinels.map((port) => port - 20000), ...nodes]);
}

/** Whether HAProxy takes each haproxy.cfg among them, with the variables of its container. */
export function assertBalanced(t, objects) {
  const maps = objects.filter((one) => one.data?.["haproxy.cfg"]);
  if (maps.length > 0 && !haproxy) {
    t.diagnostic("SKIPPED: HAProxy is missing, which would say whether it takes haproxy.cfg");
  }
  for (const { data } of haproxy ? maps : []) {
    const file = join(makeFolder(t), "haproxy.cfg");
    writeFileSync(file, data["haproxy.cfg"]);
    const { status, stdout, stderr } = spawnSync(haproxy, ["-c", "-f", file], { encoding: "utf8", env: { ...process.env, ...variablesOf(objects) } });
    assert.equal(status, 0, stdout + stderr);
    assert.doesNotMatch(stdout + stderr, /WARNING/);
  }
  return maps.length;
}

export function variablesOf(objects) {
  const found = {};
  eachPod(objects, (pod) => pod.containers.filter(({ name }) => name === "haproxy").forEach(({ env }) => env?.forEach(({ name, value }) => (found[name] = value))));
  return found;
}
