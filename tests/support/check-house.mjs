// How the house stands: circles of files by the symbols of their objects, the arrows between rooms, sizes.
// Usage: check-house.mjs OBJECTS [--table]; OBJECTS: the folder with src's objects (build/obj/src). Exit 1: a rule is broken.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";

const LARGEST_CIRCLE = 3; // files
const MOST_IN_CIRCLES = 8; // per cent of the lines
// Whom a room may use, beside itself.
const ROOMS = {
  base: [],
  metrics: ["base"],
  topology: ["base"],
  redis: ["base", "metrics", "topology"],
  sentinel: ["base", "redis"],
  watcher: ["base", "metrics", "topology", "redis", "sentinel"],
  commands: ["base", "metrics", "topology", "redis"],
  forward: ["base", "metrics", "topology", "redis"],
  http: ["base", "metrics", "topology", "commands", "redis", "forward"],
  config: ["base", "metrics", "topology", "sentinel", "watcher", "commands", "redis", "forward", "http"],
  daemon: ["base", "metrics", "topology", "sentinel", "watcher", "commands", "redis", "forward", "http", "config"],
};

const under = (folder, end) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(end))
    .map((entry) => join(entry.path, entry.name));

const objects = process.argv[2];
const table = process.argv.includes("--table");
const lines = (path) => readFileSync(path, "utf8").split("\n").length - 1;
const room = (file) => (file.split("/").length > 2 ? file.split("/")[1] : "");

// ---- who uses whom ----

const files = new Map(); // "src/base/loop.c" -> {lines, defines, uses}
for (const object of under(objects, ".o")) {
  const source = join("src", relative(objects, object)).replace(/\.o$/, ".c");
  if (!existsSync(source)) continue; // an object of a file that has gone
  const file = { lines: lines(source), uses: new Set(), symbols: [] };
  for (const line of execFileSync("nm", ["-P", "-g", object], { encoding: "utf8" }).split("\n")) {
    const [name, kind] = line.split(" ");
    if (kind) file.symbols.push([name, kind]);
  }
  files.set(source, file);
}
const definer = new Map();
for (const [source, file] of files)
  for (const [name, kind] of file.symbols) if ("TDBRCVW".includes(kind)) definer.set(name, source);
for (const [source, file] of files)
  for (const [name, kind] of file.symbols) {
    const other = kind === "U" && definer.get(name);
    if (other && other !== source) file.uses.add(other);
  }

// ---- circles (Tarjan) ----

const circles = [];
const index = new Map(), low = new Map(), stack = [];
function visit(source) {
  index.set(source, index.size);
  low.set(source, index.get(source));
  stack.push(source);
  for (const other of files.get(source).uses) {
    if (!index.has(other)) {
      visit(other);
      low.set(source, Math.min(low.get(source), low.get(other)));
    } else if (stack.includes(other)) low.set(source, Math.min(low.get(source), index.get(other)));
  }
  if (low.get(source) === index.get(source)) {
    const circle = stack.splice(stack.indexOf(source));
    if (circle.length > 1) circles.push(circle.sort());
  }
}
for (const source of files.keys()) if (!index.has(source)) visit(source);
circles.sort((a, b) => b.length - a.length);

// ---- sizes ----

const sources = under("src", ".c"), lengths = [];
for (const source of sources) {
  let from = -1;
  readFileSync(source, "utf8").split("\n").forEach((line, at) => {
    if (line === "{") from = at;
    else if (line === "}" && from >= 0) {
      lengths.push([at - from - 1, source]);
      from = -1;
    }
  });
}
lengths.sort((a, b) => b[0] - a[0]);
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const all = sum([...files.values()].map((file) => file.lines));
const inCircles = sum(circles.flat().map((source) => files.get(source).lines));
const share = (100 * inCircles) / all;

// ---- what is said ----

let failed = false;
const complain = (words) => {
  console.error(`house: ${words}`);
  failed = true;
};
for (const circle of circles)
  if (circle.length > LARGEST_CIRCLE)
    complain(`${circle.length} files in a circle, at most ${LARGEST_CIRCLE} may be: ${circle.join(" ")}`);
if (share > MOST_IN_CIRCLES)
  complain(`${share.toFixed(1)} % of the lines are in circles of files, at most ${MOST_IN_CIRCLES} % may be`);
for (const [source, file] of files)
  for (const other of file.uses) {
    const from = room(source), to = room(other);
    if (from && from !== to && !(ROOMS[from] ?? []).includes(to))
      complain(`${source} uses ${other}: room ${from} may not use ${to || "what stands above the rooms"}`);
  }
const map = readFileSync("src/README.md", "utf8");
for (const [, named] of map.matchAll(/`([a-z_]+\/[a-z_/]*(?:\.[ch])?)`/g))
  if (!existsSync(join("src", named))) complain(`src/README.md names ${named}, which is not there`);
if (table || failed) {
  console.log(`files of src: ${sources.length}; lines: ${all} in .c, ${sum(under("src", ".h").map(lines))} in headers beside,`,
    `${sum(under("include", ".h").map(lines))} in include`);
  console.log(`functions: ${lengths.length}, mean ${(sum(lengths.map((l) => l[0])) / lengths.length).toFixed(1)} lines,`,
    `longest ${lengths[0][0]} (${lengths[0][1]})`);
  console.log(`lines in circles of files: ${share.toFixed(1)} %`);
  console.log(`circles: ${circles.map((c) => c.length).join(", ") || "none"}`);
  for (const circle of circles) console.log(`  ${circle.join(" ")}`);
}
process.exit(failed ? 1 : 0);
