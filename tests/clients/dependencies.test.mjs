// deploy/build/deps.sh where nothing is there: which archive and suite it takes the libraries' sources from, on Debian and on Ubuntu,
// and what it says where it can't have them. apt, npm and the libraries are stand-ins.
import assert from "node:assert/strict";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { findProgram, makeFolder, run } from "./support.mjs";

const top = fileURLToPath(new URL("../../", import.meta.url));

const programs = {
  "apt-get": `
    case " $* " in
    *" indextargets "*) printf '%b' "$ARCHIVE" ;;
    *" source "*) touch hiredis_1.dsc ;;
    *" update "*)
      for word; do case $word in Dir::Etc::sourcelist=*) cat "\${word#*=}" >>"$ASKED" ;; esac; done
      [ -z "\${CAUSE:-}" ] || { echo "W: not of interest"; echo "E: $CAUSE"; exit 100; } >&2
      ;;
    esac`,
  "apt-cache": `
    for word; do case $word in Dir::Etc::sourcelist=*) list=\${word#*=} ;; esac; done
    ! grep -q " $SUITE " "$list" || echo "Version: $VERSION"`,
  // A library that takes a while to be built: until it was said twice since it began that it is.
  "dpkg-source": `
    mkdir -p "$4"
    cd "$4"
    touch hiredis.h read.h sds.h alloc.h
    printf '%s\\n' 'libhiredis.a:' '	@echo CC hiredis; n=$$(wc -l <"$$RESTS"); until [ $$(wc -l <"$$RESTS") -gt $$((n + 2)) ]; do /bin/sleep 0.1; done; touch libhiredis.a' 'hiredis.pc:' \\
      '	@printf "%s\\n" "Name: hiredis" "Description: none" "Version: 1.2.0" "Libs: -lhiredis" >hiredis.pc' >Makefile`,
  npm: 'printf "%b" "$NPM" >&2; exit 1',
  sleep: 'echo >>"$RESTS"; exec /bin/sleep 0.1',
  sudo: 'exec "$@"',
  patch: "exit 1",
  xz: "exit 1",
};

/** A tree with deps.sh and a machine around it: {folder, deps(what, env), asked()}. */
function makeMachine(t) {
  const folder = makeFolder(t);
  const place = (name) => join(folder, name);
  for (const [name, script] of Object.entries(programs)) {
    mkdirSync(place("programs"), { recursive: true });
    writeFileSync(place(`programs/${name}`), `#!/bin/bash\n${script}\n`);
    chmodSync(place(`programs/${name}`), 0o755);
  }
  writeFileSync(place("rests"), ""); // a line for each
  mkdirSync(place("libraries"));
  for (const [name, version] of Object.entries({ libmicrohttpd: "1.0.10", jansson: "2.14", libuv: "1.44", openssl: "3.0", inih: "55", gnutls: "3.7" })) {
    writeFileSync(place(`libraries/${name}.pc`), `Name: ${name}\nDescription: none\nVersion: ${version}\nLibs: -l${name}\n`);
  }
  cpSync(join(top, "deploy/build"), place("tree/deploy/build"), { recursive: true });
  return {
    folder: place("tree"),
    deps: (what, env) => run([place("tree/deploy/build/deps.sh"), what], { env: {
      PATH: `${place("programs")}:${process.env.PATH}`, PKG_CONFIG_PATH: place("libraries"), ASKED: place("asked"), RESTS: place("rests"), SUITE: "none", VERSION: "0", ...env } }),
    asked: () => existsSync(place("asked")) ? readFileSync(place("asked"), "utf8").replace(/\[.*?\] /g, "").trim().split("\n") : [],
  };
}

const ubuntu = "http://mirror.example/ubuntu Ubuntu noble-security\\nhttp://other.example/ppa LP-PPA-x noble\\nhttp://mirror.example/ubuntu Ubuntu noble\\n";
const debian = "http://mirror.example/security Debian-Security bookworm\\nhttp://mirror.example/debian Debian bookworm\\n";
const lacking = ["pkg-config", "gcc", "make", "dpkg", "flock"].filter((name) => !findProgram(name));

test("libraries from source packages", { skip: lacking.length > 0 && `missing: ${lacking}` }, async (t) => {
  await t.test("Ubuntu's own newer suite has them", async (t) => {
    const machine = makeMachine(t);
    const { status, stderr } = await machine.deps("build", { ARCHIVE: ubuntu, SUITE: "resolute", VERSION: "1.2.0-6" });
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^deps: fetching the source of hiredis >= 1\.2\.0\n/, "it says at once what takes long");
    assert.deepEqual(machine.asked(), ["deb-src http://mirror.example/ubuntu resolute main universe"]);
    assert.ok(existsSync(join(machine.folder, "build/deps/lib/libhiredis.a")));
    assert.match(readFileSync(join(machine.folder, "build/deps.mk"), "utf8"), /^DEPS_LIBS := .*-lhiredis/m);
    assert.match(stderr, /^deps: building hiredis, since \d+ s: CC hiredis$/m, "it says that it is alive");
    const again = await machine.deps("build", { ARCHIVE: "" });
    assert.deepEqual([again.status, again.stderr], [0, ""], "there is nothing left to do");
  });
  await t.test("the next suite, where one is too old", async (t) => {
    const machine = makeMachine(t);
    const { status, stderr } = await machine.deps("build", { ARCHIVE: debian, SUITE: "trixie", VERSION: "1.2.0-1" });
    assert.equal(status, 0, stderr);
    assert.deepEqual(machine.asked(), ["forky", "sid", "trixie"].map((suite) => `deb-src http://mirror.example/debian ${suite} main`));
  });
  for (const [name, env, says] of [
    ["no suite has the floor", { ARCHIVE: ubuntu, SUITE: "devel", VERSION: "1.1.0-1" },
      "missing: hiredis >= 1.2.0, and no suite of resolute devel at apt's mirror has it (the newest there is 1.1.0-1)"],
    ["only what may be incompatible", { ARCHIVE: ubuntu, SUITE: "devel", VERSION: "2.0.0-1" }, "(the newest there is 2.0.0-1)"],
    ["the mirror can't be reached", { ARCHIVE: ubuntu, CAUSE: "Could not resolve 'mirror.example'" }, "(E: Could not resolve 'mirror.example')"],
    ["neither Debian nor Ubuntu", { ARCHIVE: "http://mirror.example/mint LinuxMint virginia\\n" }, "missing: hiredis >= 1.2.0; apt knows no archive of Debian or Ubuntu"],
  ]) {
    await t.test(name, async (t) => {
      const { status, stderr } = await makeMachine(t).deps("build", env);
      const last = stderr.trim().split("\n").at(-1);
      assert.equal(status, 1, stderr);
      assert.ok(last.startsWith("deps: ") && last.includes(says), last);
      assert.ok(last.endsWith("build it and name its pkgconfig folder in PKG_CONFIG_PATH"), last);
    });
  }
});

test("what npm died of", { skip: !findProgram("flock") && "flock is missing" }, async (t) => {
  for (const [name, output, says] of [
    ["npm 9", "npm WARN old\\nnpm ERR! code E404\\nnpm ERR! 404 Not Found - a\\nnpm ERR! A complete log of this run can be found in: /x.log\\n", "404 Not Found - a"],
    ["npm 10", "npm error code ENOTFOUND\\nnpm error errno ENOTFOUND\\nnpm error network request failed\\nnpm error A complete log of this run: /x.log\\n", "network request failed"],
    ["something else", "Segmentation fault\\n", "Segmentation fault"],
  ]) {
    await t.test(name, async (t) => {
      const { folder, deps } = makeMachine(t);
      mkdirSync(join(folder, "tests/clients"), { recursive: true });
      writeFileSync(join(folder, "tests/clients/package-lock.json"), "{}");
      mkdirSync(join(folder, "build/deps"), { recursive: true });
      const table = /^readonly client_packages='\n(.*?)'$/ms.exec(readFileSync(join(folder, "deploy/build/deps.sh"), "utf8"))[1];
      for (const line of table.trim().split("\n")) { // they were tried
        writeFileSync(join(folder, "build/deps", `tried-${line.split(/ +/).at(-1)}`), "");
      }
      const { status, stderr } = await deps("clients", { NPM: output });
      assert.equal(status, 0, "what can't be had costs its own tests");
      assert.deepEqual(stderr.trim().split("\n").filter((line) => !line.includes(", since ")),
        ["deps: npm ci in tests/clients", `deps: npm ci in tests/clients failed: ${says}`, "deps: tests of npm's packages will be skipped"]);
    });
  }
});
