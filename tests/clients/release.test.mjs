// What is shipped: completion in the shells it is for; the versions; a release that is packed, built without git, installed and
// taken away again. The Debian package has a test of its own, `make test-deb`.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { findProgram, makeFolder, patient, run } from "./support.mjs";

const top = fileURLToPath(new URL("../../", import.meta.url));
const binary = resolve(process.env.BELLWETHER ?? "build/bellwether");

async function succeed(argv, options) {
  const { status, stdout, stderr } = await run(argv, options);
  assert.equal(status, 0, `${argv.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

const lines = (text) => text.split("\n").filter((line) => line !== "");

// ---- completion ----

// Every flag of --help.
const flags = async () => lines(await succeed([binary, "--help"])).map((line) => /^ {2}(--[a-z-]+)/.exec(line)?.[1]).filter(Boolean).sort();

// A folder with a shell's completion in it, and two files whose names it may complete.
async function completionOf(t, shell, name) {
  const folder = makeFolder(t);
  writeFileSync(join(folder, name), await succeed([binary, "--completion", shell]));
  writeFileSync(join(folder, "ca-one.pem"), "");
  writeFileSync(join(folder, "ca-two.pem"), "");
  return { folder, options: { cwd: folder, env: { HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder } } };
}

test("completion in bash", async (t) => {
  const { options } = await completionOf(t, "bash", "bellwether");
  const offered = async (...words) => lines(await succeed(["bash", "--norc", "-c", `
    . ./bellwether
    [ "$(complete -p bellwether)" = "complete -F _bellwether bellwether" ] || exit 1
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _bellwether
    printf '%s\\n' "\${COMPREPLY[@]}"`, "bash", "bellwether", ...words], options)).sort();
  assert.deepEqual(await offered("--"), await flags());
  assert.deepEqual(await offered("--tls-verify", "ca", "--log-f"), ["--log-format"]);
  assert.deepEqual(await offered("--adopt", ""), ["announced", "promoted"]);
  assert.deepEqual(await offered("--adopt", "="), ["announced", "promoted"], "a value behind an equals sign is a word of its own");
  assert.deepEqual(await offered("--adopt", "=", "pro"), ["promoted"]);
  assert.deepEqual(await offered("--verify", "o"), ["off", "on"]);
  assert.deepEqual(await offered("--tls-ca", "ca-"), ["ca-one.pem", "ca-two.pem"]);
  assert.deepEqual(await offered("--http-cert", "=", "ca-o"), ["ca-one.pem"]);
  assert.deepEqual(await offered("--master", ""), [], "what only the deployment knows");
  assert.deepEqual(await offered("--once", "--wa"), ["--wait"], "it takes no value");
});

// Keys are typed into an interactive shell, which is asked what its line has become. 77: there are no pseudo terminals.
const zshScript = `
zmodload zsh/zpty zsh/zselect
until_there() {
  local i
  for ((i = 0; i < 3000; i++)); do
    [[ ! -e $1 ]] || return 0
    zpty -r -t shell > /dev/null
    zselect -t 1
  done
  print -u2 "not there: $1"
  exit 1
}
zpty shell zsh -f -i || exit 77
zpty -w shell "fpath=($PWD \\$fpath); autoload -Uz compinit; compinit -u -D; print -r -- \\$_comps[bellwether] >function
  report() { print -r -- \\$BUFFER >line; mv line reported; BUFFER= }; zle -N report; bindkey '^X' report; bindkey '^I' complete-word
  unsetopt beep list_beep; : >ready"
until_there ready
print -r -- "$(<function)"
for typed; do
  rm -f reported
  zpty -w -n shell "$typed"$'\\t\\x18'
  until_there reported
  print -r -- "$(<reported)"
done
zpty -d shell`;

test("completion in zsh", { skip: !findProgram("zsh") && "zsh is missing" }, async (t) => {
  const { folder, options } = await completionOf(t, "zsh", "_bellwether");
  writeFileSync(join(folder, "script"), zshScript);
  const typed = {
    "bellwether --log-f": "bellwether --log-format",
    "bellwether --adopt p": "bellwether --adopt promoted",
    "bellwether --adopt=a": "bellwether --adopt=announced",
    "bellwether --verify of": "bellwether --verify off",
    "bellwether --tls-ca ca-o": "bellwether --tls-ca ca-one.pem",
    "bellwether --once --wai": "bellwether --once --wait",
    "bellwether --sentinel a:1 --sentinel-us": "bellwether --sentinel a:1 --sentinel-username",
    "bellwether --master ca-o": "bellwether --master ca-o",
  };
  const { status, stdout, stderr } = await run(["zsh", "-f", "script", ...Object.keys(typed)], options);
  if (status === 77) {
    t.diagnostic(`nothing is typed: ${stderr}`);
  } else {
    assert.equal(status, 0, stderr);
    assert.deepEqual(lines(stdout).map((line) => line.trimEnd().replace(/=$/, "")), ["_bellwether", ...Object.values(typed)]);
  }
  const words = await succeed(["zsh", "-f", "-c", "_arguments() { print -rl -- $@ }; compdef() { }; . ./_bellwether; _bellwether"], options);
  assert.deepEqual(lines(words).map((word) => /^\*?(--[a-z-]+)=?\[/.exec(word)[1]).sort(), await flags());
});

test("completion in fish", { skip: !findProgram("fish") && "fish is missing" }, async (t) => {
  const { options } = await completionOf(t, "fish", "bellwether.fish");
  const offered = async (line) => lines(await succeed(["fish", "--no-config", "-c", "source bellwether.fish; complete -C $argv[1]", line], options))
    .map((one) => one.split("\t")[0]).sort();
  assert.deepEqual(await offered("bellwether --"), await flags());
  assert.deepEqual(await offered("bellwether --adopt "), ["announced", "promoted"]);
  assert.deepEqual(await offered("bellwether --adopt=p"), ["--adopt=promoted"]);
  assert.deepEqual(await offered("bellwether --tls-ca ca-"), ["ca-one.pem", "ca-two.pem"]);
  assert.deepEqual(await offered("bellwether --master "), []);
  assert.ok((await offered("bellwether --once --wai")).includes("--wait"), "others that have it within may be offered, too");
});

test("what completion says of a flag is a sentence of --help, and all of it", async () => {
  const help = (await succeed([binary, "--help"])).replaceAll(/\s+/g, " ");
  const descriptions = {
    zsh: [/^ +'\*?--([a-z-]+)=?\[((?:[^\]\\]|\\.)*)\]/, /\\(.)|'\\''/g],
    fish: [/^complete -c bellwether -l ([a-z-]+) .*-d '(.*)'$/, /\\(.)/g],
  };
  for (const [shell, [line, escaped]] of Object.entries(descriptions)) {
    const told = lines(await succeed([binary, "--completion", shell])).map((one) => line.exec(one)).filter(Boolean);
    assert.deepEqual(told.map(([, name]) => `--${name}`).sort(), await flags());
    for (const [, name, text] of told) {
      const sentence = text.replaceAll(escaped, (_, one) => one ?? "'");
      const behind = help.split(sentence).slice(1).map((rest) => rest.slice(0, 3));
      assert.ok(behind.some((rest) => /^\.? ([A-Z(-]|$)|^\. /.test(rest)), `${shell}: --${name}: ${sentence}`);
    }
  }
});

// ---- versions ----

const checkVersion = join(top, "tests/support/check-version.sh");

test("the version is one", async (t) => {
  await succeed([checkVersion, top]);
  const folder = makeFolder(t);
  for (const file of ["Makefile", "openapi.yaml", "deploy"]) {
    cpSync(join(top, file), join(folder, file), { recursive: true });
  }
  for (const [file, from] of [["deploy/debian/changelog", /\(.*?-/], ["deploy/rpm/bellwether.spec", /^Version: .*$/m], ["openapi.yaml", /^ {2}version: .*$/m]]) {
    const text = readFileSync(join(folder, file), "utf8");
    assert.match(text, from);
    writeFileSync(join(folder, file), text.replace(from, (found) => found.replace(/\d+\.\d+\.\d+/, "9.9.9")));
    const { status, stderr } = await run([checkVersion, folder]);
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`^version: ${file}: .* is 9\\.9\\.9, the Makefile's is `, "m"));
    writeFileSync(join(folder, file), text);
  }
});

// ---- packages, as far as they can be looked at without being built ----

const read = (path) => readFileSync(join(top, path), "utf8");

test("packages name what the build needs, of the versions that it needs", () => {
  const script = read("deploy/build/deps.sh");
  const [, table] = /^readonly build_packages='\n(.*?)'$/ms.exec(script);
  const needed = [...table.matchAll(/^pc +([a-z]+)(?:>=(\S+))? +(\S+)$/gm)].map(([, library, floor, name]) => ({ library, floor, name }));
  assert.equal(needed.length, 5);
  assert.equal(needed.filter(({ floor }) => floor).length, 3);
  const [, wanted] = /^Build-Depends:\n((?: .*\n)+)/m.exec(read("deploy/debian/control"));
  const of = (text, line) => Object.fromEntries([...text.matchAll(line)].map(([, name, floor]) => [name, floor]));
  const debian = of(wanted, /^ (\S+?)(?: \(>= (\S+)\))?,$/gm);
  const rpm = of(read("deploy/rpm/bellwether.spec"), /^BuildRequires: +pkgconfig\(([a-z]+)\)(?: >= (\S+))?$/gm);
  const readme = of(read("README.md").replaceAll("\n", " ").toLowerCase(), /([a-z]+) ≥ ([0-9.]+[0-9])/g);
  for (const { library, floor, name } of needed) {
    assert.ok(name in debian && library in rpm, `${library} is in both`);
    assert.deepEqual([debian[name], rpm[library], readme[library]], [floor, floor, floor], `${library} in deploy/debian/control, the spec, README.md`);
  }
  for (const [, library, floor] of script.matchAll(/\b(microhttpd|hiredis)_floor=(\S+)/g)) {
    const name = library === "hiredis" ? library : `lib${library}`;
    assert.equal(readme[name], floor, `README.md: ${name}`);
    assert.ok([floor, undefined].includes(rpm[name]), `deploy/rpm/bellwether.spec: ${name}`);
  }
});

// The macro is Fedora's, of what it reads when the spec is parsed; here it gives that.
test("the RPM's user is made, from whatever folder the spec is parsed", { skip: !findProgram("rpmspec") && "rpmspec is missing" }, async (t) => {
  const folder = makeFolder(t);
  mkdirSync(join(folder, "SOURCES"));
  cpSync(join(top, "deploy/bellwether.sysusers"), join(folder, "SOURCES/bellwether.sysusers"));
  for (const cwd of [top, folder]) {
    const spec = await succeed(["rpmspec", "-P", "--define", `_topdir ${folder}`, "--define", "sysusers_create_compat() %(cat %1)",
      join(top, "deploy/rpm/bellwether.spec")], { cwd, env: { HOME: folder } });
    assert.equal(/^%pre\n([^%]*)/m.exec(spec)?.[1].trim(), read("deploy/bellwether.sysusers").trim(), cwd);
  }
});

test("what is in /etc/default is known to the daemon", async () => {
  const known = await flags();
  const named = [...read("deploy/bellwether.default").matchAll(/^#BELLWETHER_([A-Z_]+)=/gm)].map(([, name]) => `--${name.toLowerCase().replaceAll("_", "-")}`);
  assert.ok(named.length >= 5);
  assert.deepEqual(named.filter((name) => !known.includes(name)), []);
  assert.deepEqual(lines(read("deploy/bellwether.default")).filter((line) => !line.startsWith("#")), [], "nothing is set before somebody sets it");
});

test("the unit starts what is configured", async () => {
  const unit = read("deploy/bellwether.service");
  const of = (name) => [...unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value]) => value);
  assert.deepEqual([of("EnvironmentFile"), of("ExecStart"), of("Type")], [["-/etc/default/bellwether"], ["@PREFIX@/bin/bellwether"], ["notify"]]);
  assert.match(read("deploy/bellwether.sysusers"), /^u bellwether - ".*"\n$/);
  const [, condition] = /^\/bin\/sh -c '(.*)'$/.exec(of("ExecCondition")[0]);
  const may = async (env) => (await run(["sh", "-c", condition.replaceAll("$$", "$")], { env: { BELLWETHER_SENTINEL: "", BELLWETHER_CONFIG: "", ...env } }));
  const { status, stdout } = await may({});
  assert.deepEqual([status, stdout], [1, "not started: set BELLWETHER_SENTINEL in /etc/default/bellwether\n"]);
  assert.equal((await may({ BELLWETHER_SENTINEL: "a:1" })).status, 0);
  assert.equal((await may({ BELLWETHER_CONFIG: "/x" })).status, 0);
});

test("the unit is started again for ever, but for a bad option", () => {
  const sections = Object.fromEntries(read("deploy/bellwether.service").split(/^\[/m).slice(1).map((section) => [section.split("]")[0], lines(section)]));
  const has = (section, ...wanted) => wanted.forEach((line) => assert.ok(sections[section].includes(line), `[${section}] ${line}`));
  has("Unit", "Wants=network-online.target", "After=network-online.target", "StartLimitIntervalSec=0");
  has("Service", "Restart=on-failure", "RestartPreventExitStatus=2");
  assert.ok(Number(/^RestartSec=(\d+)$/m.exec(sections.Service.join("\n"))[1]) >= 1, "it does not take a processor");
});

const dropIns = () => [...read("deploy/man/bellwether.1.md").matchAll(/^```ini unit\n(\[Service\]\n.*?)```$/gms)].map(([, text]) => text);

test("the manual's drop-ins fit the unit", { skip: !findProgram("systemd-analyze") && "systemd-analyze is missing" }, async (t) => {
  const folder = makeFolder(t);
  const unit = read("deploy/bellwether.service").replace("@PREFIX@/bin/bellwether", binary);
  mkdirSync(join(folder, "bellwether.service.d"));
  assert.equal(dropIns().length, 2);
  for (const [i, text] of ["", ...dropIns()].entries()) {
    writeFileSync(join(folder, "bellwether.service"), unit);
    writeFileSync(join(folder, `bellwether.service.d/${i}.conf`), text);
    const said = await run(["systemd-analyze", "--man=no", "--recursive-errors=no", "verify", join(folder, "bellwether.service")]);
    assert.deepEqual([said.status, said.stdout + said.stderr], [0, ""], text);
  }
});

test("a drop-in of the manual gives ports below 1024, and says where a credential is", () => {
  const all = dropIns().join("\n");
  for (const name of ["AmbientCapabilities", "CapabilityBoundingSet"]) {
    assert.match(all, new RegExp(`^${name}=CAP_NET_BIND_SERVICE$`, "m"));
    assert.match(read("deploy/bellwether.service"), new RegExp(`^${name}=$`, "m"), "else the drop-in adds nothing");
  }
  const unit = read("deploy/bellwether.service");
  for (const [, line] of all.matchAll(/^((?:LoadCredential|Environment)=.*)$/gm)) {
    assert.ok(unit.includes(`#   ${line}\n`), line);
  }
  assert.ok(!/%d/.test(read("deploy/bellwether.default")), "no unit's specifier is known there");
});

// ---- the manual as HTML ----

const anchorsOf = (text) => [...text.matchAll(/ id="([^"]+)"/g)].map(([, anchor]) => anchor);

// Where `help` and runbook_url lead is in what was installed, too.
async function checkAnchors(share, pages) {
  const html = Object.fromEntries(pages.map((page) => [page, anchorsOf(readFileSync(join(share, `doc/bellwether/${page}.html`), "utf8"))]));
  for (const page of pages) {
    assert.deepEqual(html[page].filter((one, i) => html[page].indexOf(one) !== i), [], `${page}: twice`);
    const written = [...read(`deploy/man/${page}.md`).matchAll(/<a id="([^"]+)">/g)].map(([, anchor]) => anchor);
    assert.ok(page !== "bellwether-troubleshooting.7" || written.length > 100);
    assert.deepEqual(written.filter((one) => !html[page].includes(one)), [], page);
    assert.ok(!readFileSync(join(share, `man/man${page.at(-1)}/${page}`), "utf8").includes("[[id:"), "a terminal shows none");
  }
  const alerts = join(share, "doc/bellwether/examples/prometheus/alerts.yaml");
  const [, script] = /^# +sed '(s\|runbook_url: deploy\/man.*)' alerts\.yaml$/m.exec(readFileSync(alerts, "utf8"));
  const runbooks = [...(await succeed(["sed", script, alerts])).matchAll(/^ +runbook_url: (.*)$/gm)].map(([, url]) => url);
  assert.ok(runbooks.length > 10);
  for (const url of runbooks) {
    const [, page, anchor] = /^https:\/\/docs\.example\/([a-z.0-9-]+)\.html#(.*)$/.exec(url) ?? assert.fail(url);
    assert.ok(anchor.includes("{{") || html[page].includes(anchor), url);
  }
}

// ---- a release ----

// What of this process' environment is meant for a make that knows nothing of this one.
const kept = ["PATH", "HOME", "CC", "PKG_CONFIG_PATH", "CCACHE_DIR", "LANG", "TMPDIR"];
const inherited = Object.fromEntries(kept.filter((name) => name in process.env).map((name) => [name, process.env[name]]));
const identity = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@b", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@b" };
const make = (folder, args, env = {}, umask = "022") => succeed(["sh", "-c", 'umask "$1"; shift; exec env -i "$@"', "sh", umask,
  ...Object.entries({ ...inherited, ...env }).map(([name, value]) => `${name}=${value}`), "make", "-C", folder, ...args], { boundMs: 600000 });
const git = (folder, ...args) => succeed(["git", "-C", folder, ...args], { env: identity });

// A clone of these sources as they are, committed or not.
async function makeClone(folder) {
  const others = ["./build", "./.git", "./.release", "node_modules"].map((name) => `--exclude=${name}`);
  await succeed(["bash", "-c", 'set -o pipefail; tar -C "$1" "${@:3}" -cf - . | tar -C "$2" -xf -', "bash", top, folder, ...others]);
  await git(folder, "init", "-q");
  await git(folder, "add", "--all");
  await git(folder, "commit", "-q", "-m", "all");
}

// The libraries that were built here, for a tree elsewhere.
function lendLibraries(folder) {
  mkdirSync(join(folder, "build"));
  symlinkSync(join(top, "build/deps"), join(folder, "build/deps"));
}

async function commitOf(folder) {
  await make(folder, ["build/gen/version.h"]);
  return /BELLWETHER_COMMIT "(.*)"/.exec(readFileSync(join(folder, "build/gen/version.h"), "utf8"))[1];
}

// A folder of programs without one of them: itself, where it hasn't that.
function shadow(place, instead, without) {
  if (!existsSync(join(place, without))) {
    return place;
  }
  mkdirSync(instead);
  for (const name of readdirSync(place).filter((one) => one !== without)) {
    symlinkSync(join(place, name), join(instead, name));
  }
  return instead;
}

const filesBelow = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1)).sort();

test("a release", { skip: !findProgram("git") && "git is missing", timeout: patient(1800000) }, async (t) => {
  const folder = makeFolder(t);
  const clone = join(folder, "clone");
  mkdirSync(clone);
  await makeClone(clone);
  lendLibraries(clone);
  const version = /^VERSION := (.*)$/m.exec(readFileSync(join(clone, "Makefile"), "utf8"))[1];
  const tarball = `build/bellwether-${version}.tar.gz`;
  const packed = (tree) => readFileSync(join(tree, tarball));

  await t.test("is packed of what is committed, the same at any time", async () => {
    await make(clone, ["dist"]);
    const first = packed(clone);
    writeFileSync(join(clone, "README.md"), "changed\n");
    writeFileSync(join(clone, "not-added"), "");
    await make(clone, ["dist"], { TZ: "Asia/Tokyo", LC_ALL: "C.UTF-8" }, "077");
    assert.ok(packed(clone).equals(first), "the same bytes");
    await git(clone, "checkout", "-q", "README.md");
    rmSync(join(clone, "not-added"));

    const listed = lines(await succeed(["tar", "--numeric-owner", "--full-time", "--utc", "-tvf", join(clone, tarball)]));
    const seconds = new Date(1000 * Number(await git(clone, "log", "-1", "--format=%ct"))).toISOString().slice(0, 19).replace("T", " ");
    for (const line of listed) {
      assert.match(line, /^[dl-]rw(x|-)r-(x|-)r-(x|-) 0\/0 /);
      assert.ok(line.includes(` ${seconds} `), line);
    }
    const files = listed.map((line) => line.slice(line.indexOf("bellwether-")).replace(/ -> .*/, "")).filter((name) => !name.endsWith("/")).map((name) => name.slice(name.indexOf("/") + 1));
    assert.deepEqual(files.sort(), [".release", ...lines(await git(clone, "ls-files"))].sort());
    await make(clone, ["dist"], { SOURCE_DATE_EPOCH: "86400" });
    assert.match(await succeed(["tar", "--full-time", "--utc", "-tvf", join(clone, tarball)]), / 1970-01-02 00:00:00 /);
    await make(clone, ["dist"]);
  });

  await t.test("a clone's version tells its commit, and whether there is more", async () => {
    const head = (await git(clone, "rev-parse", "HEAD")).slice(0, 12);
    assert.equal(await commitOf(clone), head);
    writeFileSync(join(clone, "LICENSE"), "changed\n");
    assert.equal(await commitOf(clone), `${head}-dirty`);
    await git(clone, "checkout", "-q", "LICENSE");
    assert.equal(await commitOf(clone), head);
    await git(folder, "init", "-q");
    await git(folder, "commit", "-q", "--allow-empty", "-m", "another one's");
    renameSync(join(clone, ".git"), join(clone, "git"));
    assert.equal(await commitOf(clone), "unknown", "what is around it is somebody else's");
    renameSync(join(clone, "git"), join(clone, ".git"));
  });

  const tree = join(folder, `bellwether-${version}`);
  const env = { PATH: process.env.PATH.split(delimiter).map((place, i) => shadow(place, join(folder, `programs-${i}`), "git")).join(delimiter) };
  await t.test("builds without git", async () => {
    await succeed(["tar", "-C", folder, "-xf", join(clone, tarball)]);
    lendLibraries(tree);
    assert.notEqual((await run(["env", `PATH=${env.PATH}`, "git", "--version"])).status, 0, "there is no git");
    await make(tree, ["CFLAGS=-O0", "build/bellwether"], env);
    assert.equal(lines(await succeed([join(tree, "build/bellwether"), "--version"]))[0], `bellwether ${version} (release)`);
    await make(tree, ["dist"], env);
    assert.ok(packed(tree).equals(packed(clone)), "it packs itself");
  });

  await t.test("is installed, and taken away again", async () => {
    const root = join(folder, "root");
    const place = ["CFLAGS=-O0", `DESTDIR=${root}`, "PREFIX=/usr"];
    await make(tree, ["install", ...place], env);
    const pages = readdirSync(join(tree, "deploy/man")).filter((name) => name.endsWith(".md")).map((name) => name.slice(0, -3));
    const html = findProgram("mandoc") ? pages.map((page) => `usr/share/doc/bellwether/${page}.html`) : [];
    const examples = ["clients", "envoy", "grafana", "haproxy", "helm", "kubernetes", "nginx", "prometheus"]
      .flatMap((one) => filesBelow(join(tree, "deploy", one)).map((file) => join(one, file)));
    assert.deepEqual(filesBelow(root), ["usr/bin/bellwether", "usr/lib/systemd/system/bellwether.service",
      "usr/share/bash-completion/completions/bellwether", "usr/share/zsh/site-functions/_bellwether", "usr/share/fish/vendor_completions.d/bellwether.fish",
      ...pages.map((page) => `usr/share/man/man${page.at(-1)}/${page}`), ...html,
      ...examples.map((file) => `usr/share/doc/bellwether/examples/${file}`)].sort());
    for (const file of examples) {
      assert.ok(readFileSync(join(root, "usr/share/doc/bellwether/examples", file)).equals(readFileSync(join(tree, "deploy", file))), file);
    }
    assert.match(readFileSync(join(root, "usr/lib/systemd/system/bellwether.service"), "utf8"), /^ExecStart=\/usr\/bin\/bellwether$/m);
    assert.equal(lines(await succeed([join(root, "usr/bin/bellwether"), "--version"]))[0], `bellwether ${version} (release)`);
    assert.equal(readFileSync(join(root, "usr/share/fish/vendor_completions.d/bellwether.fish"), "utf8"), await succeed([join(tree, "build/bellwether"), "--completion", "fish"]));
    if (html.length > 0) {
      await checkAnchors(join(root, "usr/share"), pages);
    }
    writeFileSync(join(root, "usr/share/man/man1/another.1"), "");
    for (let i = 0; i < 2; i += 1) { // the second time there is nothing to do
      await make(tree, ["uninstall", ...place], env);
      assert.deepEqual(filesBelow(root), ["usr/share/man/man1/another.1"]);
      assert.ok(!existsSync(join(root, "usr/share/doc/bellwether")), "a folder of our own");
    }
  });
});
