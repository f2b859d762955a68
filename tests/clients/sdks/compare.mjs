// Upstash's own SDKs: the files of their tests, each run against the daemon and against a plain proxy before the same Redis.
// A file of which fewer tests pass with the daemon, three times over, is a fault, and so is a suite of which none passes.
//
//   make test-sdks SDK_JS=PATH SDK_PY=PATH   checkouts of upstash/redis-js and upstash/redis-py, or of one of them
//   SDK_COMMANDS='default +@scripting'       the daemon's --commands (+@all); what these refuse counts as not passed
//   SDK_FILES=commands/zset                  only files that have this in their path
//   SDK_JOBS=1                               files at a time, each with a Redis of its own (2)
//
// The checkouts are left as they are: what runs is a copy.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { atEnd, findProgram, makeFolder, redis as tell, run, startCluster, startDaemon } from "../support.mjs";

const { SDK_COMMANDS: rules = "+@all", SDK_FILES: wanted = "", SDK_JOBS: jobs = "2" } = process.env;
const home = fileURLToPath(new URL(".", import.meta.url));
const rounds = 3; // of a file that does worse: some of the tests measure times
const token = "0123456789abcdef0123456789abcdef";

class Unfit extends Error {} // what is missing or wrong of what was given

const stop = (text) => {
  throw new Unfit(text);
};

const firstThat = async (names, ...args) => {
  for (const name of names) {
    if (name && (await run([name, ...args]).catch(() => ({}))).status === 0) {
      return name;
    }
  }
  return undefined;
};

const suites = {
  SDK_JS: {
    repository: "upstash/redis-js",
    files: { under: "packages/redis/pkg", name: /\.test\.ts$/ },
    lacks: "Bun, a package of npm's; 'deploy/build/deps.sh sdks' installs it",
    findProgram() {
      const packed = join(home, "node_modules/@oven");
      return firstThat([...(existsSync(packed) ? readdirSync(packed).map((name) => join(packed, name, "bin/bun")) : []), findProgram("bun")], "--version");
    },
    prepare: (copy) => symlinkSync(join(home, "node_modules"), join(copy, "node_modules")),
    command: (bun, file, report) => [bun, "test", `./${file}`, "--timeout", "20000", "--reporter=junit", `--reporter-outfile=${report}`],
  },
  SDK_PY: {
    repository: "upstash/redis-py",
    files: { under: "tests", name: /^test_.*\.py$/ },
    lacks: "python3-pytest, python3-pytest-asyncio, python3-httpx or python3-dotenv; 'deploy/build/deps.sh sdks' installs them",
    findProgram: () => firstThat([findProgram("python3"), "/usr/bin/python3"], "-c", "import pytest, pytest_asyncio, httpx, dotenv"),
    prepare() {},
    command: (python, file, report) => [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", `--junitxml=${report}`, file],
  },
};

/** The suites whose checkouts are given: [{name, program, folder, files}]. */
async function prepare(folder) {
  const ready = [];
  for (const [name, suite] of Object.entries(suites).filter(([variable]) => process.env[variable])) {
    const checkout = resolve(process.env[name]);
    const { under, name: pattern } = suite.files;
    if (!existsSync(join(checkout, under))) {
      stop(`${name}: ${checkout} is no checkout of ${suite.repository}: it has no ${under}`);
    }
    const program = await suite.findProgram() ?? stop(`${name}: missing: ${suite.lacks}`);
    const copy = join(folder, name);
    cpSync(checkout, copy, { recursive: true, filter: (source) => source === checkout || ![".git", "node_modules"].includes(basename(source)) });
    suite.prepare(copy);
    const files = readdirSync(join(copy, under), { recursive: true }).map((file) => join(under, file)).sort()
      .filter((file) => pattern.test(basename(file)) && file.includes(wanted));
    if (files.length === 0) {
      stop(`${name}: no file of its tests has ${wanted} in its path`);
    }
    ready.push({ ...suite, name, program, folder: copy, files });
  }
  return ready.length > 0 ? ready : stop("give SDK_JS=PATH, a checkout of upstash/redis-js, or SDK_PY=PATH, one of upstash/redis-py, or both");
}

/** A Redis with its Sentinel, and both before it: {port, plain, ours}, the last two URLs. */
async function startLane(t, folder) {
  mkdirSync(folder);
  const { startPlainProxy } = await import("./plain_proxy.mjs").catch((error) => stop(`the plain proxy does not start: ${error.message}`));
  const cluster = await startCluster(t, folder, { size: 1 });
  const [{ port }] = cluster.nodes;
  const secret = join(folder, "token");
  writeFileSync(secret, token, { mode: 0o600 });
  const daemon = await startDaemon(t, folder, cluster, "--redis-api", "token", "--token-file", secret, "--commands", rules);
  const proxy = await startPlainProxy(port, token);
  atEnd(t, proxy.close);
  return { folder, port, plain: proxy.url, ours: `${daemon.base}/redis` };
}

/** The tests that passed, of a report in JUnit's form. */
const passed = (report) => [...report.matchAll(/<testcase\b([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)]
  .filter(([, , inner = ""]) => !/<(failure|error|skipped)\b/.test(inner))
  .map(([, attributes]) => ["classname", "name"].map((name) => new RegExp(`\\s${name}="([^"]*)"`).exec(attributes)?.[1]).join(" "));

/** Run a file once: {passes, output}. */
async function runFile(lane, suite, file, url) {
  for (const command of ["FLUSHALL", "SCRIPT FLUSH", "FUNCTION FLUSH"]) {
    await tell(lane.port, command);
  }
  const report = join(lane.folder, "report.xml");
  rmSync(report, { force: true });
  const { stdout, stderr } = await run(suite.command(suite.program, file, report), {
    cwd: suite.folder,
    env: { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token, PYTHONDONTWRITEBYTECODE: "1" },
    boundMs: 120000,
  });
  return { passes: existsSync(report) ? passed(readFileSync(report, "utf8")) : [], output: stdout + stderr };
}

/** A file with both: {file, plain, ours, lost}; `lost` is what passes with the plain proxy only. */
async function compare(lane, suite, file) {
  let result;
  for (let round = 0; round < rounds && !(result?.ours >= result?.plain); round += 1) {
    const [plain, ours] = [await runFile(lane, suite, file, lane.plain), await runFile(lane, suite, file, lane.ours)];
    const lost = plain.passes.filter((name) => !ours.passes.includes(name));
    result = { file, plain: plain.passes.length, ours: ours.passes.length, lost, output: ours.output };
  }
  return result;
}

async function main(t) {
  if (!/^[1-9]\d?$/.test(jobs)) {
    stop(`SDK_JOBS is '${jobs}' and takes 1 to 99`);
  }
  const folder = makeFolder(t);
  const ready = await prepare(folder);
  const lanes = await Promise.all(Array.from({ length: Number(jobs) }, (_, i) => startLane(t, join(folder, `lane-${i}`))));
  let failed = false;
  for (const suite of ready) {
    console.log(`\n${suite.name}: ${suite.repository}, --commands '${rules}': tests that pass\n plain  ours`);
    const left = [...suite.files];
    const results = [];
    await Promise.all(lanes.map(async (lane) => {
      for (let file; (file = left.shift());) {
        const result = await compare(lane, suite, file);
        results.push(result);
        console.log(`${String(result.plain).padStart(6)}${String(result.ours).padStart(6)}  ${file}${result.ours < result.plain ? "  FEWER" : ""}`);
      }
    }));
    const sum = (what) => results.reduce((total, result) => total + result[what], 0);
    const worse = results.filter(({ plain, ours }) => ours < plain);
    for (const { file, lost } of results.filter(({ lost }) => lost.length > 0)) {
      console.log(`${file}: with the plain proxy only: ${lost.join("; ")}`);
    }
    worse.forEach(({ file, output }) => console.log(`\n---- ${file} ----\n${output.slice(-4000)}`));
    console.log(`${suite.name}: ${results.length} files, ${sum("ours")} tests pass, ${sum("plain")} with the plain proxy; files with fewer: ${worse.length}`);
    if (sum("plain") === 0) {
      console.log(`${suite.name}: none passes, so nothing was tried:\n${results[0].output.slice(-2000)}`);
    }
    failed ||= worse.length > 0 || sum("plain") === 0;
  }
  return failed ? 1 : 0;
}

let end = () => {};
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => void end().finally(() => process.exit(1)));
}
try {
  process.exitCode = await main({ after: (work) => (end = work) });
} catch (error) {
  if (!(error instanceof Unfit)) {
    throw error;
  }
  console.error(`test-sdks: ${error.message}`);
  process.exitCode = 2;
} finally {
  await end();
}
