// What `kubectl kustomize FOLDER` gives, of the parts of Kustomize that deploy/kubernetes uses; any other part of it is an
// error here. Where kubectl is there, kubernetes.test.mjs compares the two.
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parseAllDocuments } from "yaml";

/** The documents of a YAML text. What YAML 1.1, which Kubernetes reads, and YAML 1.2 understand differently is an error. */
export function parseYaml(text, name) {
  const read = (version) => parseAllDocuments(text, { version }).filter((one) => one.contents !== null).map((one) => {
    if (one.errors.length > 0) {
      throw new Error(`${name}: ${one.errors[0].message}`);
    }
    return one.toJS();
  });
  const objects = read("1.2");
  if (!isDeepStrictEqual(objects, read("1.1"))) {
    throw new Error(`${name}: YAML 1.1 and 1.2 differ about it (on, off, yes, no, octal numbers): quote it`);
  }
  return objects;
}

const only = (object, known, name) => {
  for (const key of Object.keys(object)) {
    if (!known.includes(key)) {
      throw new Error(`${name}: ${key} is not known here`);
    }
  }
};

// By what Kubernetes tells the elements of a list apart when it merges.
const mergeKeys = { containers: "name", initContainers: "name", volumes: "name", env: "name", volumeMounts: "mountPath" };

function merge(base, patch, key) {
  if (Array.isArray(patch) && Array.isArray(base) && mergeKeys[key]) {
    const id = mergeKeys[key];
    const fresh = patch.filter((one) => !base.some((old) => old[id] === one[id]));
    return [...fresh, ...base.map((old) => merge(old, patch.find((one) => one[id] === old[id]) ?? {}))];
  }
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) {
    return patch;
  }
  const merged = base !== null && typeof base === "object" && !Array.isArray(base) ? { ...base } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) {
      delete merged[name];
    } else {
      merged[name] = merge(merged[name], value, name);
    }
  }
  return merged;
}

// One operation of RFC 6902.
function operate(object, { op, path, value }) {
  const names = path.split("/").slice(1).map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = names.pop();
  const place = names.reduce((at, name) => at?.[name], object);
  const there = place && (Array.isArray(place) ? last === "-" || Number(last) < place.length : op === "add" || last in place);
  if (!there || (last === "-" && op !== "add")) {
    throw new Error(`${op} ${path}: there is no such place`);
  }
  if (Array.isArray(place)) {
    place.splice(last === "-" ? place.length : Number(last), op === "add" ? 0 : 1, ...(op === "remove" ? [] : [value]));
  } else if (op === "remove") {
    delete place[last];
  } else {
    place[last] = value;
  }
}

function applyPatch(objects, patch, folder) {
  only(patch, ["target", "patch", "path"], folder);
  const [text, name] = patch.path ? [readFileSync(join(folder, patch.path), "utf8"), patch.path] : [patch.patch, `${folder}: patch`];
  for (const one of parseYaml(text, name)) {
    const target = patch.target ?? { kind: one.kind, name: one.metadata.name };
    only(target, ["kind", "name"], folder);
    const found = objects.filter((object) => object.kind === target.kind && object.metadata.name === target.name);
    if (found.length !== 1) {
      throw new Error(`${folder}: ${found.length} objects are the ${target.kind} ${target.name} of a patch`);
    }
    if (Array.isArray(one)) {
      one.forEach((operation) => operate(found[0], operation));
    } else {
      Object.assign(objects[objects.indexOf(found[0])], merge(found[0], one));
      Object.keys(one).filter((key) => one[key] === null).forEach((key) => delete found[0][key]);
    }
  }
}

/** Call `visit(podSpec, object)` for each workload of these objects. */
export function eachPod(objects, visit) {
  for (const object of objects) {
    const spec = object.kind === "Pod" ? object.spec : object.spec?.template?.spec;
    if (spec) {
      visit(spec, object);
    }
  }
}

export const containersOf = (pod) => [...(pod.initContainers ?? []), ...(pod.containers ?? [])];

function setImages(objects, images, folder) {
  for (const image of images) {
    only(image, ["name", "newName", "newTag"], folder);
  }
  eachPod(objects, (pod) => {
    for (const container of containersOf(pod)) {
      const [, name, tag] = /^(.*?)(?::([^:/]+))?$/.exec(container.image);
      const image = images.find((one) => one.name === name);
      if (image) {
        container.image = `${image.newName ?? name}:${image.newTag ?? tag}`;
      }
    }
  });
}

function build(folder, objects) {
  const [kustomization] = parseYaml(readFileSync(join(folder, "kustomization.yaml"), "utf8"), join(folder, "kustomization.yaml"));
  only(kustomization, ["apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "images", "patches"], folder);
  for (const resource of kustomization.resources ?? []) {
    const path = resolve(folder, resource);
    if (statSync(path).isDirectory()) {
      if (`${folder}/`.startsWith(`${path}/`)) {
        throw new Error(`${folder}: a base can't be the folder above`);
      }
      build(path, objects);
    } else if (dirname(path) !== resolve(folder)) {
      throw new Error(`${folder}: ${resource} is a file of another folder`);
    } else {
      objects.push(...parseYaml(readFileSync(path, "utf8"), path));
    }
  }
  for (const map of kustomization.configMapGenerator ?? []) {
    only(map, ["name", "behavior", "files", "options"], folder);
    only(map.options ?? {}, ["disableNameSuffixHash"], folder);
    const data = Object.fromEntries(map.files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
    const old = objects.find((one) => one.kind === "ConfigMap" && one.metadata.name === map.name);
    if (Boolean(old) !== Boolean(map.behavior)) {
      throw new Error(`${folder}: ConfigMap ${map.name}: ${old ? "there is one; say behavior" : "there is none to change"}`);
    }
    if (old) {
      old.data = map.behavior === "merge" ? { ...old.data, ...data } : data;
    } else {
      objects.push({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: map.name }, data, ...(map.options?.disableNameSuffixHash ? {} : { generated: true }) });
    }
  }
  for (const component of kustomization.components ?? []) {
    build(resolve(folder, component), objects);
  }
  for (const patch of kustomization.patches ?? []) {
    applyPatch(objects, patch, folder);
  }
  setImages(objects, kustomization.images ?? [], folder);
  if (kustomization.namespace) {
    objects.forEach((one) => (one.metadata.namespace = kustomization.namespace));
  }
}

/** The objects of a folder with a kustomization.yaml. A generated ConfigMap's name ends with a digest of its data. */
export function kustomize(folder) {
  const objects = [];
  build(resolve(folder), objects);
  for (const map of objects.filter((one) => one.generated)) {
    delete map.generated;
    const plain = map.metadata.name;
    map.metadata.name += `-${createHash("sha256").update(JSON.stringify(map.data)).digest("hex").slice(0, 10)}`;
    eachPod(objects, (pod) => {
      for (const volume of pod.volumes ?? []) {
        if (volume.configMap?.name === plain) {
          volume.configMap.name = map.metadata.name;
        }
      }
    });
  }
  return objects;
}
