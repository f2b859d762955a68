// Whether an object is what the API server would take: the fields that its kind has, of the types that they have. The source
// is the npm package kubernetes-types: an interface of TypeScript for each definition of Kubernetes' OpenAPI.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
let root;
try {
  root = dirname(require.resolve("kubernetes-types/package.json"));
} catch {} // its test is skipped

export const hasSchemas = Boolean(root);
const modules = new Map();

// A type as it is written: name, "literal", Array<…>, {members}, with | between several.
function parseType(tokens) {
  const one = () => {
    const token = tokens.shift();
    if (token === "Array") {
      tokens.shift();
      const of = parseType(tokens);
      tokens.shift();
      return { list: of };
    }
    if (token === "{") {
      return parseMembers(tokens);
    }
    return token.startsWith('"') ? { literal: token.slice(1, -1) } : { name: token };
  };
  const types = [one()];
  while (tokens[0] === "|") {
    tokens.shift();
    types.push(one());
  }
  return types.length === 1 ? types[0] : { any: types };
}

function parseMembers(tokens) {
  const type = { fields: {} };
  while (tokens[0] !== "}") {
    if (tokens[0] === "readonly") {
      tokens.shift();
    }
    if (tokens[0] === "[") { // [name: string]: T
      tokens.splice(0, 6);
      type.map = parseType(tokens);
    } else {
      const name = tokens.shift().replaceAll('"', "");
      const optional = tokens[0] === "?";
      tokens.splice(0, optional ? 2 : 1);
      type.fields[name] = { optional, type: parseType(tokens) };
    }
    tokens.shift(); // ;
  }
  tokens.shift();
  return type;
}

function load(path) {
  if (modules.has(path)) {
    return modules.get(path);
  }
  const module = { types: {}, from: {} };
  modules.set(path, module);
  const text = readFileSync(path, "utf8").replace(/\/\*.*?\*\//gs, "");
  for (const [, names, file] of text.matchAll(/^import \{ (.*?) \} from "(.*?)";$/gm)) {
    for (const name of names.split(", ")) {
      const [theirs, ours = theirs] = name.split(" as ");
      module.from[ours] = { name: theirs, path: `${join(dirname(path), file)}.d.ts` };
    }
  }
  for (const [, name, members] of text.matchAll(/^export interface (\w+) (\{.*?^\})/gms)) {
    module.types[name] = parseMembers(members.match(/"[^"]*"|[$\w]+|[^\s]/g).slice(1));
  }
  for (const [, name, type] of text.matchAll(/^export type (\w+) = (.*?);$/gms)) {
    module.types[name] = parseType(type.match(/"[^"]*"|[$\w]+|[^\s]/g));
  }
  return module;
}

const formats = {
  Quantity: /^\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?$/,
};

function check(value, type, path, at, errors) {
  const wrong = (what) => errors.push(`${at}: ${what}`);
  if (type.any) {
    const tries = type.any.map((one) => {
      const found = [];
      check(value, one, path, at, found);
      return found;
    });
    if (!tries.some((found) => found.length === 0)) {
      errors.push(...tries[0]);
    }
  } else if (type.literal !== undefined) {
    if (value !== type.literal) {
      wrong(`${JSON.stringify(value)} is not "${type.literal}"`);
    }
  } else if (type.list) {
    if (!Array.isArray(value)) {
      return wrong("is no list");
    }
    value.forEach((one, i) => check(one, type.list, path, `${at}[${i}]`, errors));
  } else if (type.name) {
    const module = load(path);
    if (module.types[type.name]) {
      if (formats[type.name] && !formats[type.name].test(value)) {
        wrong(`${JSON.stringify(value)} is no ${type.name}`);
      }
      check(type.name === "Quantity" ? String(value) : value, module.types[type.name], path, at, errors); // a number counts as its text
    } else if (module.from[type.name]) {
      const { name, path: file } = module.from[type.name];
      check(value, { name }, file, at, errors);
    } else if (!["any", "object"].includes(type.name) && typeof value !== type.name) {
      wrong(`${JSON.stringify(value)} is no ${type.name}`);
    }
  } else if (value === null || typeof value !== "object" || Array.isArray(value)) {
    wrong("is no object");
  } else {
    for (const [name, inner] of Object.entries(value)) {
      const known = Object.hasOwn(type.fields, name) ? type.fields[name].type : type.map;
      if (known) {
        check(inner, known, path, `${at}.${name}`, errors);
      } else {
        wrong(`there is no field ${name}`);
      }
    }
    for (const [name, { optional }] of Object.entries(type.fields)) {
      if (!optional && value[name] === undefined) {
        wrong(`${name} is missing`);
      }
    }
  }
}

/** What is wrong with a value of a type, such as `core/v1`, `Container`: a list of lines. */
export function checkType(value, group, name, at) {
  const errors = [];
  check(value, { name }, join(root, `${group}.d.ts`), at, errors);
  return errors;
}

/** What is wrong with an object that has an apiVersion and a kind. */
export function checkObject(object) {
  const at = `${object.kind}/${object.metadata?.name}`;
  const [version, group = "core"] = String(object.apiVersion).split("/").reverse();
  const folder = group.split(".")[0];
  const path = join(root, folder, `${version}.d.ts`);
  if (!existsSync(path) || !load(path).types[object.kind] || !object.kind) {
    return [`${at}: there is no ${object.kind} in ${object.apiVersion}`];
  }
  const errors = checkType(object, `${folder}/${version}`, object.kind, at);
  for (const needed of ["apiVersion", "metadata"]) {
    if (!object[needed]) {
      errors.push(`${at}: ${needed} is missing`);
    }
  }
  if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(object.metadata?.name)) {
    errors.push(`${at}: the name is none`);
  }
  return errors;
}
