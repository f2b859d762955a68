// What the tests here share: a Redis deployment with Sentinels and the daemon, on loopback, in a folder of their own.
// `t` is the context of a node:test; what is started is stopped when that test ends.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/ports.mjs";

export { freePort };

const patience = Number(process.env.TEST_PATIENCE ?? 1);
export const patient = (ms) => ms * patience;
export const nap = (ms) => new Promise((done) => setTimeout(done, ms));

/** The path of a program, or undefined. */
export function findProgram(...names) {
  for (const name of names) {
    const found = spawnSync("sh", ["-c", 'command -v "$1"', "sh", name], { encoding: "utf8" }).stdout.trim();
    if (found) {
      return found;
    }
  }
  return undefined;
}

/** For `import(PACKAGE).catch(ifMissing)`: {missing} where it is not installed. What is there and does not load is a fault. */
export function ifMissing(error) {
  const [, name, importer = "/node_modules/"] = /^Cannot find package '([^/'][^']*)' imported from (.*)$/.exec(error.message) ?? [];
  if (error.code !== "ERR_MODULE_NOT_FOUND" || importer.includes("/node_modules/")) {
    throw error;
  }
  return { missing: `the package ${name}` };
}

const endings = new Map();
let lateExit;

/** Do something when a test ends; what came last goes first, so servers are stopped before their folder is removed. */
export function atEnd(t, work) {
  clearTimeout(lateExit);
  if (!endings.has(t)) {
    endings.set(t, []);
    t.after(async () => {
      const errors = [];
      for (const one of endings.get(t).reverse()) {
        await Promise.resolve().then(one).catch((error) => errors.push(error));
      }
      endings.delete(t);
      if (endings.size === 0) { // node waits for ever for what a test left open
        lateExit = setTimeout(() => {
          console.error(`still open after the tests: ${process.getActiveResourcesInfo().join(", ")}`);
          process.exit(1);
        }, patient(120000)).unref();
      }
      if (errors.length > 0) {
        throw errors[0];
      }
    });
  }
  endings.get(t).push(work);
}

const failures = new Set(); // what was started and ended by itself, and not well: the end of its log

/** Wait until `condition` gives something true, and give that. A condition that never ends is not waited for. */
export async function until(what, boundMs, condition) {
  const end = performance.now() + patient(boundMs);
  const late = () => new Error([`not within ${boundMs} ms: ${what}`, ...failures].join("\n"));
  const look = async () => {
    for (;;) {
      const value = await condition();
      if (value) {
        return value;
      }
      if (performance.now() > end) {
        throw late();
      }
      await nap(30);
    }
  };
  let timer;
  const hung = new Promise((_, failed) => (timer = setTimeout(() => failed(late()), patient(2 * boundMs + 1000))));
  try {
    return await Promise.race([look(), hung]);
  } finally {
    clearTimeout(timer);
  }
}

/** One inline command to a Redis or a Sentinel; its answer as it came, "" when there is none. */
export function redis(port, command) {
  return new Promise((done) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(`${command}\r\n`));
    let text = "";
    const end = () => {
      socket.destroy();
      done(text);
    };
    socket.setTimeout(2000, end);
    socket.on("error", end);
    socket.on("close", end);
    socket.on("data", (data) => {
      text += data;
      if (text.endsWith("\r\n")) {
        socket.setTimeout(40, end); // a list may go on
      }
    });
  });
}

/** Start a program that ends with the test, its output in the log of that name: {process, stop, log}. */
export function start(t, folder, name, argv, env = {}) {
  const log = openSync(join(folder, `${name}.log`), "a");
  const process = spawn(argv[0], argv.slice(1), { stdio: ["ignore", log, log], env: { ...globalThis.process.env, ...env } });
  const ended = new Promise((done) => process.once("exit", done).once("error", done)); // an error: it could not be started
  const text = () => readFileSync(join(folder, `${name}.log`), "utf8");
  let failure;
  let stopped = false;
  process.once("exit", (code, signal) => (code || (signal && !stopped)) && failures.add(failure = `${name} ended with ${code ?? signal}: ${text().trimEnd().split("\n").slice(-3).join("\n")}`));
  const stop = async (signal = "SIGTERM") => {
    stopped = true;
    failures.delete(failure);
    if (process.pid && process.exitCode === null && process.signalCode === null) {
      process.kill(signal);
      const late = setTimeout(() => process.kill("SIGKILL"), patient(20000));
      await ended;
      clearTimeout(late);
    }
  };
  atEnd(t, () => stop("SIGKILL"));
  return { process, stop, log: text };
}

export function makeFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), "bellwether-client-"));
  atEnd(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Whether the answer of a Sentinel has this field. */
export const has = (row, field, value) => new RegExp(`\\r\\n${field}\\r\\n\\$\\d+\\r\\n${value}\\r\\n`).test(row);

/** `size` nodes and as many Sentinels or `watchers`: {name, nodes, sentinels} of {port, start, stop}; node 0 is the master. */
export async function startCluster(t, folder, { name = "mymaster", size = 3, watchers = size } = {}) {
  const nodes = [];
  const sentinels = [];
  const serve = async (kind, port, lines, ...flags) => {
    const home = join(folder, `${kind}-${port}`);
    mkdirSync(home);
    writeFileSync(join(home, "conf"), [`port ${port}`, "bind 127.0.0.1", `dir ${home}`, ...lines, ""].join("\n"));
    const server = { port };
    server.start = async () => {
      Object.assign(server, start(t, folder, `${kind}-${port}`, ["redis-server", join(home, "conf"), ...flags]));
      await until(`${kind} on ${port} answers`, 20000, async () => (await redis(port, "PING")).startsWith("+PONG"));
      if (kind === "sentinel") { // one that the machine let stand still for two seconds keeps out of all for 30 more
        assert.match(await redis(port, "SENTINEL DEBUG TILT-PERIOD 1000"), /^\+OK/);
      }
    };
    await server.start();
    return server;
  };
  for (let i = 0; i < size; i += 1) {
    const lines = ['save ""', "appendonly no", "repl-diskless-sync-delay 0"];
    nodes.push(await serve("node", await freePort(), i ? [...lines, `replicaof 127.0.0.1 ${nodes[0].port}`] : lines));
  }
  for (let i = 0; i < watchers; i += 1) {
    sentinels.push(await serve("sentinel", await freePort(), [
      `sentinel monitor ${name} 127.0.0.1 ${nodes[0].port} ${Math.min(watchers, 2)}`,
      `sentinel down-after-milliseconds ${name} ${3000 * patience}`, // a machine that stands still for a second or two is no failover
      `sentinel failover-timeout ${name} 6000`,
    ], "--sentinel"));
  }
  for (const { port } of sentinels) {
    await until(`the Sentinel on ${port} knows all`, 40000, async () => {
      const row = await redis(port, `SENTINEL MASTER ${name}`);
      return has(row, "num-slaves", size - 1) && has(row, "num-other-sentinels", watchers - 1);
    });
  }
  return { name, nodes, sentinels };
}

/** The daemon: {base, port, stop, log, restart}. */
export async function startDaemon(t, folder, cluster, ...flags) {
  const binary = resolve(process.env.BELLWETHER ?? "build/bellwether");
  if (!existsSync(binary)) {
    throw new Error(`${binary} is missing`);
  }
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const argv = [binary, "--listen", `127.0.0.1:${port}`, ...cluster.sentinels.flatMap((one) => ["--sentinel", `127.0.0.1:${one.port}`]), ...flags];
  const daemon = { base, port };
  daemon.restart = async () => {
    Object.assign(daemon, start(t, folder, "bellwether", argv));
    let said;
    const names = async () => {
      const answer = await fetch(`${base}/master`).catch((error) => ({ text: () => `${error}: ${error.cause}` }));
      said = await answer.text();
      return answer.ok;
    };
    await until("the daemon names a master", 60000, names).catch((error) => {
      throw new Error(`${error.message}\n${said}\n${daemon.log()}`);
    });
  };
  await daemon.restart();
  return daemon;
}

/** Run a program to its end, or until `enough` is true of what it has written: {status, stdout, stderr}. */
export function run(argv, { cwd, input, env = {}, enough = () => false, boundMs = 60000 } = {}) {
  return new Promise((done, failed) => {
    const child = spawn(argv[0], argv.slice(1), { cwd, env: { ...process.env, ...env }, detached: true });
    const output = { stdout: "", stderr: "" };
    const end = () => {
      try {
        process.kill(-child.pid, "SIGKILL"); // the shell and what it runs
      } catch {} // they have ended
    };
    for (const stream of ["stdout", "stderr"]) {
      child[stream].setEncoding("utf8");
      child[stream].on("data", (data) => {
        output[stream] += data;
        if (enough(output.stdout)) {
          end();
        }
      });
    }
    const late = setTimeout(end, patient(boundMs));
    child.on("error", failed);
    child.on("close", (status) => {
      clearTimeout(late);
      done({ status, ...output });
    });
    child.stdin.on("error", () => {}); // it has not read all
    child.stdin.end(input);
  });
}

const top = fileURLToPath(new URL("../../", import.meta.url));

/** What is written for people: [{name, text}] of README.md and the manual. */
export const documents = ["README.md", ...readdirSync(join(top, "deploy/man")).filter((name) => name.endsWith(".md")).map((name) => `deploy/man/${name}`)]
  .map((name) => ({ name, text: readFileSync(join(top, name), "utf8") }));

/** Their fenced blocks: [{name, language, when, text}]; `when` is the second word behind the fence, or "". */
export const blocks = documents.flatMap(({ name, text }) => [...text.matchAll(/^```(\w*) ?(\w*)\n(.*?)^```$/gms)]
  .map(([, language, when, inner]) => ({ name, language, when, text: inner })));

/** The commands of a block and what is shown below each: [{command, output}]. */
export const shown = (text) => text.split(/^\$ /m).slice(1).map((part) => {
  const [command, ...output] = part.split("\n");
  return { command, output: output.join("\n") };
});
