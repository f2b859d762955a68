#!/usr/bin/env bash
# The way with the Debian package: from a clone to a served /master, and back.
#
#   walk-deb.sh          clone HEAD; make deb; install it in a minimal Debian of this machine's release; start what its unit
#                        starts, by hand, as the unit's user; ask for /master; then remove and purge it
#   walk-deb.sh --anew   the same, and `make deb` builds the libraries, too, as on a machine that never built any
#
# Needs root, debootstrap and Redis; without the first two it says so and is done. What it says is looked at, too: by lintian,
# systemd-analyze, rpmbuild and rpmlint where they are. The minimal Debian is kept in build/debian-RELEASE.tar.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C
readonly top=$PWD

skip() {
    echo "walk-deb: skipped: $*"
    exit 0
}

fail() {
    echo "walk-deb: $*" >&2
    exit 1
}

step() {
    echo "  WALK    $SECONDS s: $*"
}

[ "$(id -u)" = 0 ] || skip "it needs root, for a chroot"
[ -e .git ] || skip "this is no clone"
for program in debootstrap dpkg-query redis-server redis-cli curl node; do
    command -v "$program" >/dev/null || skip "$program is missing"
done
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
    awk '$3 == "Debian" && $2 !~ /-/ { print $1; exit }')
[ "$release" ] && [ "$mirror" ] || skip "apt knows no Debian release"

folder=$(mktemp -d /tmp/bellwether-walk-XXXXXX)
root=$folder/root
started=()
finish() {
    local one
    for one in "${started[@]}"; do
        kill -KILL "$one" 2>/dev/null || true
        wait "$one" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Wait until a command succeeds, for so many seconds.
until_true() {
    local bound=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $bound ] || return 1
        sleep 0.1
    done
}

inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
}

# A command in the chroot, with its output kept; shown when it fails.
quietly() {
    inside "$@" >"$folder/log" 2>&1 </dev/null || {
        tail -n 15 "$folder/log" >&2
        fail "$*: failed"
    }
}

# ---- a package, and what others say of it ----

step "a clone"
git clone -q "$top" "$folder/clone"
if [ "${1:-}" != --anew ]; then
    mkdir "$folder/clone/build"
    cp -a build/deps "$folder/clone/build/deps"
fi
step "make deb"
env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -C "$folder/clone" deb >"$folder/log" 2>&1 || {
    tail -n 15 "$folder/log" >&2
    fail "make deb failed"
}
deb=$(find "$folder/clone/build/deb" -name 'bellwether_*.deb')
[ -s "$deb" ] || fail "make deb made no package"
version=$(dpkg-deb -f "$deb" Version)

if command -v lintian >/dev/null; then
    step "lintian"
    lintian --allow-root --fail-on error,warning "$folder"/clone/build/deb/*.changes || fail "lintian complains"
else
    echo "walk-deb: lintian is missing: not asked"
fi

# What the manual calls deploy/haproxy and so on, as it is, and each place that a problem's `help` names.
dpkg-deb --fsys-tarfile "$deb" | tar -C "$folder" -xf - ./usr/share/doc/bellwether
for one in clients envoy grafana haproxy helm kubernetes nginx prometheus; do
    diff -r "$folder/clone/deploy/$one" "$folder/usr/share/doc/bellwether/examples/$one" >&2 || fail "the package lacks what is in deploy/$one"
done
grep -q 'id="reason-redis_unreachable"' "$folder/usr/share/doc/bellwether/bellwether-troubleshooting.7.html" ||
    fail "the package's manual has no reason-redis_unreachable"

# ---- a minimal Debian ----

base=build/debian-$release.tar
if [ ! -s "$base" ]; then
    step "debootstrap $release"
    debootstrap --variant=minbase "$release" "$folder/base" "$mirror" >"$folder/log" 2>&1 || {
        tail -n 3 "$folder/log" >&2
        fail "debootstrap failed"
    }
    mkdir -p build
    tar -C "$folder/base" -cf "$base.new" .
    mv "$base.new" "$base"
    rm -rf "$folder/base"
fi
mkdir "$root"
tar -C "$root" -xf "$base"
cp /etc/resolv.conf "$root/etc/resolv.conf"
apt-config dump Acquire >"$root/etc/apt/apt.conf.d/90acquire" # proxies and the like

# ---- installed ----

step "apt install"
cp "$deb" "$root/root/bellwether.deb"
quietly apt-get -qq update
quietly apt-get -qq install --no-install-recommends /root/bellwether.deb
inside dpkg-query -W -f '${Status}' bellwether | grep -qx 'install ok installed' || fail "it is not installed"
inside bellwether --version | grep -qx "bellwether ${version%-*} (release)" || fail "it is no release: $(inside bellwether --version)"
uid=$(inside id -u bellwether) || fail "there is no user bellwether"
gid=$(inside id -g bellwether)
unit=$(inside dpkg-query -L bellwether | grep '/bellwether\.service$') || fail "there is no unit"
inside dpkg-query -W -f '${Conffiles}' bellwether | grep -q '^ /etc/default/bellwether ' || fail "/etc/default/bellwether is no conffile"
[ -L "$root/etc/systemd/system/multi-user.target.wants/bellwether.service" ] || fail "the unit is not enabled"

# The files of the RPM are the same, but for where Debian has its units and zsh's completions and what is said of the package.
if command -v rpmbuild >/dev/null; then
    step "rpmbuild"
    mkdir -p "$folder/rpm/SOURCES"
    cp "$folder"/clone/build/bellwether-*.tar.gz "$folder/clone/deploy/bellwether.sysusers" "$folder/rpm/SOURCES/"
    define=(--define "_topdir $folder/rpm" --define "_tmppath $folder/rpm" --define "deps $folder/clone/build/deps"
        --define '_unitdir /usr/lib/systemd/system' --define '_sysusersdir /usr/lib/sysusers.d' --define '_docdir /usr/share/doc'
        --define 'debug_package %nil')
    # The user is made by a script of Fedora's, of what it reads when the spec is parsed; here it is that, with its words as comments.
    rpm --eval "%{defined sysusers_create_compat}" | grep -qx 1 || define+=(--define 'sysusers_create_compat() %(sed "s/^/# /" %1)')
    for macro in systemd_post systemd_preun systemd_postun_with_restart; do # of Fedora's systemd
        rpm --eval "%{defined $macro}" | grep -qx 1 || define+=(--define "$macro() true")
    done
    rpmbuild -bb --nodeps "${define[@]}" "$folder/clone/deploy/rpm/bellwether.spec" >"$folder/log" 2>&1 </dev/null || {
        tail -n 15 "$folder/log" >&2
        fail "rpmbuild failed"
    }
    rpm=$(find "$folder/rpm/RPMS" -name 'bellwether-*.rpm')
    rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$rpm" | sed -n 's/^[^d][^ ]* //p' | grep -vE '^/usr/(lib/\.build-id|share/licenses)/' | sed 's/\.gz$//' | sort >"$folder/of-rpm"
    dpkg-deb --fsys-tarfile "$deb" | tar -tf - | sed -n 's|^\./\(.*[^/]\)$|/\1|p' | grep -vE '/(changelog[^/]*|copyright|lintian/overrides/bellwether)$' |
        sed -e 's/\.gz$//' -e 's|^/lib/|/usr/lib/|' -e 's|/vendor-completions/|/site-functions/|' | sort >"$folder/of-deb"
    diff "$folder/of-deb" "$folder/of-rpm" >&2 || fail "the RPM has other files than the Debian package"
    rpm -qp --scripts "$rpm" | grep -A 3 '^preinstall' | grep -q bellwether || fail "the RPM makes no user"
    rpm -qp --configfiles "$rpm" | grep -qx /etc/default/bellwether || fail "/etc/default/bellwether is no config file of the RPM"
    ! command -v rpmlint >/dev/null || rpmlint "$folder/clone/deploy/rpm/bellwether.spec" >"$folder/log" 2>&1 || {
        grep ': E: ' "$folder/log" >&2 || true
        fail "rpmlint complains"
    }
else
    echo "walk-deb: rpmbuild is missing: not asked"
fi
if command -v systemd-analyze >/dev/null; then
    step "systemd-analyze"
    said=$(systemd-analyze --root="$root" --man=no --recursive-errors=no verify "$unit" 2>&1) || fail "verify: $said"
    [ -z "$said" ] || fail "systemd-analyze verify: $said"
    systemd-analyze security --offline=true --threshold=17 "$root$unit" >"$folder/log" 2>&1 || {
        grep -v '✓' "$folder/log" >&2 || true
        fail "systemd-analyze security: more exposed than 1.7"
    }
else
    echo "walk-deb: systemd-analyze is missing: not asked"
fi

# ---- started, as the unit says ----

# unit_run NAME: run in its shell's place what the unit says behind NAME=, with the environment that it reads.
unit_run() {
    local line variables=()
    line=$(sed -n "s/^$1=//p" "$root$unit" | sed 's/\$\$/$/g')
    [ "$line" ] || fail "the unit has no $1="
    mapfile -t variables < <(grep -E '^[A-Z_]+=' "$root/etc/default/bellwether" || true)
    exec chroot --userspec="$uid:$gid" --groups="$gid" "$root" /usr/bin/env -i PATH=/usr/bin:/bin "${variables[@]}" \
        /bin/sh -c "exec $line"
}

grep -qx 'EnvironmentFile=-/etc/default/bellwether' "$root$unit" || fail "the unit reads another environment"
step "not configured"
status=0
said=$(unit_run ExecCondition 2>&1) || status=$?
[ $status = 1 ] && [[ $said == "not started: set BELLWETHER_SENTINEL in /etc/default/bellwether" ]] ||
    fail "without configuration the condition of the start gives $status: $said"
status=0
said=$(unit_run ExecStart 2>&1) || status=$?
[ $status = 2 ] && [ "$(wc -l <<<"$said")" = 1 ] && [[ $said == *--sentinel* ]] ||
    fail "without configuration the daemon gives $status: $said"

step "a Redis and a Sentinel"
read -r redis_port sentinel_port port < <(node tests/support/ports.mjs 3)
mkdir "$folder/redis"
printf '%s\n' "port $redis_port" "bind 127.0.0.1" "dir $folder/redis" 'save ""' >"$folder/redis/redis.conf"
printf '%s\n' "port $sentinel_port" "bind 127.0.0.1" "dir $folder/redis" "sentinel monitor mymaster 127.0.0.1 $redis_port 1" \
    >"$folder/redis/sentinel.conf"
redis-server "$folder/redis/redis.conf" >"$folder/redis/redis.log" 2>&1 &
started+=($!)
redis-server "$folder/redis/sentinel.conf" --sentinel >"$folder/redis/sentinel.log" 2>&1 &
started+=($!)
until_true 30 redis-cli -p "$redis_port" ping || fail "Redis does not start"
until_true 30 redis-cli -p "$sentinel_port" ping || fail "the Sentinel does not start"

step "configured and started"
printf '%s\n' "BELLWETHER_SENTINEL=127.0.0.1:$sentinel_port" "BELLWETHER_LISTEN=127.0.0.1:$port" >>"$root/etc/default/bellwether"
(unit_run ExecCondition) || fail "it is configured, and the condition of the start says no"
unit_run ExecStart >"$folder/daemon.log" 2>&1 &
daemon=$!
started+=("$daemon")
until_true 30 curl -fsS "http://127.0.0.1:$port/master" || {
    cat "$folder/daemon.log" >&2
    fail "there is no /master"
}
[ "$(curl -sS "http://127.0.0.1:$port/master?format=text")" = "127.0.0.1:$redis_port" ] || fail "/master names another one"
[ "$(stat -c %u "/proc/$daemon")" = "$uid" ] || [ "$(awk '/^Uid:/ { print $2 }' "/proc/$daemon/status")" = "$uid" ] ||
    fail "it does not run as the user bellwether"
step "/master is served"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
[ $status = 0 ] || fail "it ends with $status at SIGTERM"

# ---- upgraded, removed, purged ----

step "upgraded: what was configured stays"
quietly dpkg -i /root/bellwether.deb
grep -q "^BELLWETHER_SENTINEL=127.0.0.1:$sentinel_port\$" "$root/etc/default/bellwether" || fail "the configuration is gone"
step "removed"
quietly apt-get -qq remove bellwether
[ ! -e "$root/usr/bin/bellwether" ] && [ ! -e "$root$unit" ] || fail "it is still there"
[ -e "$root/etc/default/bellwether" ] || fail "the configuration went without a purge"
step "purged"
quietly apt-get -qq purge bellwether
rm "$root/root/bellwether.deb"
left=$(find "$root" -xdev -name '*bellwether*')
[ -z "$left" ] || fail "left behind: $left"
! grep -q '^Package: bellwether$' "$root/var/lib/dpkg/status" || fail "dpkg still knows it"
step "done"
