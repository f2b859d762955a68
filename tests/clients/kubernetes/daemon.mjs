// The daemon as a manifest starts it: its arguments, its variables, and the files that volumes bring, in a folder of the test.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { containersOf, eachPod } from "./kustomize.mjs";

export const binary = resolve(process.env.BELLWETHER ?? "build/bellwether");

/** A certificate of its own, for the files of a Secret: {crt, key}. */
export function makeCertificate(folder) {
  const key = join(folder, "made.key");
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=manifest", "-keyout", key];
  const { status, stdout, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  if (status !== 0) {
    throw new Error(stderr);
  }
  return { crt: stdout.slice(stdout.indexOf("-----BEGIN")), key };
}

/**
 * Every container of these objects whose image is the daemon's: [{at, container, args, env}], with its volumes' files below
 * `folder`, where `args` and the files themselves say so. `secrets` are the Secrets that are there: {name: {key: text}}.
 */
export function daemonsOf(objects, folder, secrets = {}) {
  const found = [];
  eachPod(objects, (pod, object) => {
    for (const container of containersOf(pod).filter(({ image }) => /(^|\/)bellwether:/.test(image))) {
      const at = `${object.kind}/${object.metadata.name}/${container.name}`;
      const root = join(folder, at.replaceAll("/", "-"));
      const mounts = container.volumeMounts ?? [];
      const place = (text) => mounts.reduce((now, { mountPath }) => now.replaceAll(mountPath, join(root, mountPath)), text);
      for (const { name, mountPath } of mounts) {
        const volume = pod.volumes.find((one) => one.name === name);
        const files = volume.configMap ? objects.find((one) => one.kind === "ConfigMap" && one.metadata.name === volume.configMap.name).data
          : secrets[volume.secret?.secretName] ?? {};
        for (const [key, text] of Object.entries(files)) {
          const path = join(root, mountPath, key);
          mkdirSync(dirname(path), { recursive: true });
          writeFileSync(path, volume.configMap ? place(text) : text, { mode: 0o600 });
        }
      }
      const textOf = ({ value, valueFrom }) => value ?? secrets[valueFrom.secretKeyRef.name]?.[valueFrom.secretKeyRef.key];
      const env = Object.fromEntries((container.env ?? []).map((one) => [one.name, textOf(one)]).filter(([, text]) => text !== undefined).map(([name, text]) => [name, place(text)]));
      found.push({ at, container, args: (container.args ?? []).map(place), env });
    }
  });
  return found;
}

const run = ({ args, env }, ...more) => spawnSync(binary, [...args, ...more], { encoding: "utf8", env: { PATH: process.env.PATH, ...env } });

/** "" where the daemon takes all that, else what it says. */
export function refusalOf(daemon) {
  const { status, stdout, stderr } = run(daemon, "--check-config");
  return status === 0 ? "" : `${daemon.at}: ${stdout}${stderr}`;
}

/** The values of an option, as the daemon sees them. */
export function valuesOf(daemon, option) {
  const { stdout } = run(daemon, "--print-config");
  return [...stdout.matchAll(/^([a-z-]+) = (.*?) {2};/gm)].filter(([, name]) => name === option).map(([, , value]) => value);
}
