// A chart's objects, without a cluster: values are checked and merged as Helm does it, and helm.go renders. It is built from
// Debian's Go packages once, into build/.
import Ajv from "ajv";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../support.mjs";
import { parseYaml } from "./kustomize.mjs";

const source = fileURLToPath(new URL("helm.go", import.meta.url));
const sources = "/usr/share/gocode";
const engine = resolve("build/clients/helm-engine");

/** What is missing to render, or "". */
export const lacking = !findProgram("go") ? "go is missing"
  : !existsSync(join(sources, "src/github.com/Masterminds/sprig")) ? "golang-github-masterminds-sprig-dev is missing"
    : !existsSync(join(sources, "src/sigs.k8s.io/yaml")) ? "golang-k8s-sigs-yaml-dev is missing" : "";

function call(program, args, options) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 26, ...options });
  if (error || status !== 0) {
    throw new Error(error?.message ?? stderr.trim());
  }
  return stdout;
}

function buildEngine() {
  if (!existsSync(engine) || statSync(engine).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(resolve("build/clients"), { recursive: true });
    call("go", ["build", "-o", engine, source], { env: { ...process.env, GO111MODULE: "off", GOPATH: sources, GOFLAGS: "", GOCACHE: resolve("build/clients/go"), LC_ALL: "C" } });
  }
}

function mergeValues(base, more) {
  const plain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!plain(base) || !plain(more)) {
    return more;
  }
  const merged = { ...base };
  for (const [key, value] of Object.entries(more)) {
    if (value === null) {
      delete merged[key];
    } else {
      merged[key] = mergeValues(merged[key], value);
    }
  }
  return merged;
}

const charts = new Map();

function chartRules(chart) {
  if (!charts.has(chart)) {
    charts.set(chart, { own: parseYaml(readFileSync(join(chart, "values.yaml"), "utf8"), "values.yaml")[0],
      validate: new Ajv({ allErrors: true, strictTypes: false }).compile(JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8"))) });
  }
  return charts.get(chart);
}

/** The chart's own values with others over them; an error where the chart's schema refuses them. */
export function chartValues(chart, values = {}) {
  const { own, validate } = chartRules(chart);
  const merged = mergeValues(own, values);
  if (!validate(merged)) {
    throw new Error(validate.errors.map(({ instancePath, message, params }) => `values${instancePath}: ${message} ${JSON.stringify(params)}`).join("\n"));
  }
  return merged;
}

export const readChart = (chart) => parseYaml(readFileSync(join(chart, "Chart.yaml"), "utf8"), "Chart.yaml")[0];

/** {objects, notes} of a chart as a release; `more` are further templates: {name: text}, as those of a chart that depends on it. */
export function renderChart(chart, { values = {}, release = "bellwether", namespace = "default", more = {} } = {}) {
  buildEngine();
  const meta = readChart(chart);
  const folder = join(chart, "templates");
  const templates = Object.fromEntries(readdirSync(folder).map((name) => [`${meta.name}/templates/${name}`, readFileSync(join(folder, name), "utf8")]));
  const upper = (object) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key[0].toUpperCase() + key.slice(1), value]));
  const input = { values: chartValues(chart, values), chart: upper(meta), templates: { ...templates, ...more },
    release: { Name: release, Namespace: namespace, Service: "Helm", IsInstall: true, IsUpgrade: false, Revision: 1 } };
  const rendered = JSON.parse(call(engine, [], { input: JSON.stringify(input) }));
  const names = Object.keys(rendered).sort();
  const objects = names.filter((name) => /\.yaml$/.test(name)).flatMap((name) => parseYaml(rendered[name], basename(name)));
  return { objects, notes: rendered[`${meta.name}/templates/NOTES.txt`] };
}
