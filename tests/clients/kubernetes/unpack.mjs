// What the first daemon of a chart gets: node unpack.mjs CHART FOLDER writes its files below FOLDER, where values.yaml is, and
// prints its arguments, one a line. `unpack.mjs --lacking` fails where the chart can't be rendered, and says what is missing.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { daemonsOf } from "./daemon.mjs";
import { lacking, renderChart } from "./helm.mjs";
import { parseYaml } from "./kustomize.mjs";

const [, , chart, folder] = process.argv;
if (chart === "--lacking") {
  console.log(lacking);
  process.exit(lacking ? 1 : 0);
}
const [values] = parseYaml(readFileSync(join(folder, "values.yaml"), "utf8"), "values.yaml");
const [{ args }] = daemonsOf(renderChart(chart, { values }).objects, resolve(folder));
console.log(args.join("\n"));
