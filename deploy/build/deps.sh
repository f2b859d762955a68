#!/usr/bin/env bash
# What the build and the tests need and the machine may lack.
#
#   deploy/build/deps.sh probe   check what `make` needs; write build/deps.mk, or say in one line what is missing
#   deploy/build/deps.sh build   install or build that, then write build/deps.mk
#   deploy/build/deps.sh test    what `make test` and `make check` need besides
#   deploy/build/deps.sh demo    what `make demo` needs besides
#   deploy/build/deps.sh bench   what `make bench` needs besides
#   deploy/build/deps.sh valgrind what `make valgrind` needs besides
#   deploy/build/deps.sh clients the programs of others that tests try the daemon with; a test without its own is skipped
#
# Debian packages come from apt as it is configured. hiredis is always built here (static, with
# NDEBUG), libmicrohttpd where the system's is older than the floor, both from the source
# packages of a newer suite at the mirror that apt already uses, in a private apt state below
# build/: nothing under /etc is touched. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly microhttpd_floor=1.0.10 hiredis_floor=1.2.0
readonly prefix=$PWD/build/deps work=$PWD/build/deps/work
hardening= # of the libraries as of our own files: they read what strangers send. Asked for once gcc is there
readonly suites="forky sid trixie" # tried in this order until one has the floor

# LIBRARY_PATH misleads hiredis' own Makefile, and CFLAGS of the caller are for the project's files.
unset LIBRARY_PATH CPATH C_INCLUDE_PATH CFLAGS LDFLAGS MAKEFLAGS MFLAGS MAKELEVEL
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export LC_ALL=C

# One entry a line: how to see that it is there, and the package that brings it.
readonly build_packages='
cmd gcc                build-essential
cmd pkg-config         pkg-config
cmd git                git
pc  jansson>=2.13      libjansson-dev
pc  libuv>=1.44        libuv1-dev
pc  openssl>=3.0       libssl-dev
pc  inih               libinih-dev
pc  gnutls             libgnutls28-dev
'
readonly source_packages='
cmd dpkg-source        dpkg-dev
cmd make               build-essential
cmd patch              patch
cmd xz                 xz-utils
'
readonly demo_packages='
cmd redis-server       redis-server
cmd redis-cli          redis-tools
cmd curl               curl
cmd openssl            openssl
'
readonly test_packages=$demo_packages'
cmd redis-sentinel     redis-sentinel
pc  criterion>=2.4     libcriterion-dev
pc  libcurl            libcurl4-openssl-dev
cmd node               nodejs
cmd npm                npm
cmd clang              clang
cmd clang-format       clang-format
cmd clang-tidy         clang-tidy
cmd cppcheck           cppcheck
cmd mandoc             mandoc
cmd ip                 iproute2
cmd setarch            util-linux
rt  fuzzer             libclang-rt-dev
'
readonly valgrind_packages='
cmd valgrind           valgrind
'
readonly bench_packages=$demo_packages'
cmd wrk                wrk
cmd nginx              nginx-light
cmd webdis             webdis
'
# Without them `bench` leaves their columns out.
readonly bench_peer_packages='
py  redis              python3-redis
cmd node               nodejs
cmd npm                npm
'
# Each by itself: what can't be had costs its own test only.
readonly client_packages='
cmd haproxy            haproxy
cmd promtool           prometheus
cmd chromium           chromium
cmd jq                 jq
py  redis              python3-redis
'

die() {
    echo "deps: $*" >&2
    exit 1
}

have() {
    case $1 in
    cmd) command -v "$2" >/dev/null 2>&1 || [ -x "/usr/sbin/$2" ] ;;
    pc) pkg-config --exists "${2/>=/ >= }" 2>/dev/null ;;
    py) python3 -c "import $2" 2>/dev/null || /usr/bin/python3 -c "import $2" 2>/dev/null ;;
    rt) [ -n "$(find "$(clang -print-resource-dir 2>/dev/null || echo /nonexistent)" \
        -name 'libclang_rt.fuzzer*' -print -quit 2>/dev/null)" ] ;;
    esac
}

# The packages of a table whose probe fails.
missing_packages() {
    local kind what package
    while read -r kind what package; do
        [ -z "$kind" ] || have "$kind" "$what" || printf '%s ' "$package"
    done <<<"$1"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Install what a table says is missing. Packages that bring a server would start it: a policy-rc.d
# that forbids that stands for as long as the installation lasts, unless the machine has its own.
install_packages() {
    local wanted policy=/usr/sbin/policy-rc.d status=0 options=(-y -qq --no-install-recommends
        -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
    wanted=$(missing_packages "$1")
    [ -n "$wanted" ] || return 0
    command -v apt-get >/dev/null 2>&1 ||
        die "missing: $wanted(Debian's names) and there is no apt-get here; install them, libraries elsewhere through PKG_CONFIG_PATH"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1 ||
        die "missing: $wanted and neither root nor sudo to install them"
    echo "deps: installing $wanted" >&2
    mkdir -p build/deps
    if [ ! -e $policy ]; then
        # shellcheck disable=SC2064
        trap "$([ "$(id -u)" = 0 ] || echo sudo) rm -f $policy" EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    # shellcheck disable=SC2086
    {
        as_root env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install $wanted ||
            { as_root apt-get -qq update &&
                as_root env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install $wanted; }
    } >build/deps/apt.log 2>&1 </dev/null || status=$?
    if [ "$(trap -p EXIT)" ]; then
        as_root rm -f $policy
        trap - EXIT
    fi
    wanted=$(missing_packages "$1")
    [ $status = 0 ] && [ -z "$wanted" ] ||
        die "could not install ${wanted:-everything} (build/deps/apt.log: $(grep -m1 '^E:' build/deps/apt.log || tail -n1 build/deps/apt.log)); install by hand, libraries elsewhere through PKG_CONFIG_PATH"
}

# apt with a state of its own, so that a newer suite's sources never show up in the system's apt.
private_apt() {
    local command=$1
    shift
    "$command" -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any -o APT::Get::List-Cleanup=false "$@"
}

# The mirror from which apt takes the release itself, not its security updates or third parties.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
        awk '$3 == "Debian" && $2 !~ /-/ { print $1; exit }'
}

# Fetch and unpack the source package $1 of at least version $2 and below the next major one into
# $work/$1. Signatures are checked with the distribution's own keyring; what can't be checked isn't used.
fetch_source() {
    local package=$1 floor=$2 ceiling mirror keyring suite version dsc
    ceiling=$((${floor%%.*} + 1))
    command -v apt-get >/dev/null 2>&1 ||
        die "missing: $package >= $floor; there is no apt-get here; build it and name its pkgconfig folder in PKG_CONFIG_PATH"
    mirror=$(debian_mirror)
    if [ -z "$mirror" ] && grep -qx 'ID=debian' /etc/os-release; then # apt has no lists yet
        as_root apt-get -qq update >>"$work/apt.log" 2>&1 </dev/null || true
        mirror=$(debian_mirror)
    fi
    [ -n "$mirror" ] ||
        die "missing: $package >= $floor; apt knows no Debian archive; build it and name its pkgconfig folder in PKG_CONFIG_PATH"
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp} ''; do
        [ ! -e "$keyring" ] || break
    done
    for suite in $suites; do
        mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
        # Always: what was written for a suite whose update failed must not stand for this one.
        echo "deb-src ${keyring:+[signed-by=$keyring] }$mirror $suite main" >"$work/apt/sources.list"
        if [ ! -e "$work/apt/$suite.done" ]; then
            private_apt apt-get -qq update >>"$work/apt.log" 2>&1 </dev/null || continue
            touch "$work/apt/$suite.done"
        fi
        version=$(private_apt apt-cache showsrc "$package" 2>>"$work/apt.log" | awk '/^Version:/ { print $2 }' | sort -V | tail -n 1) || version=
        dpkg --compare-versions "${version:-0}" ge "$floor" && dpkg --compare-versions "$version" lt "$ceiling" || continue
        (cd "$work" && private_apt apt-get -qq --download-only source "$package=$version") >>"$work/apt.log" 2>&1 </dev/null || continue
        dsc=$(find "$work" -maxdepth 1 -name "${package}_*.dsc" -print -quit)
        rm -rf "${work:?}/$package"
        dpkg-source --no-check -x "$dsc" "$work/$package" >>"$work/apt.log" 2>&1 || continue
        return 0
    done
    die "missing: $package >= $floor, and no suite of $suites at apt's mirror gave it ($(grep -m1 -E '^(E|Err):' "$work/apt.log" || echo "see $work/apt.log")); build it and name its pkgconfig folder in PKG_CONFIG_PATH"
}

# Run a script with `set -e`, its output in build/deps/NAME.log.
logged() {
    local log=$prefix/$1.log
    env work="$work" prefix="$prefix" hardening="$hardening" bash -euc "$2" >"$log" 2>&1 </dev/null ||
        die "$1 does not build: $(grep -m1 -E 'error:|\*\*\*' "$log" || tail -n1 "$log") ($log)"
    rm -f "$log"
}

build_hiredis() {
    fetch_source hiredis $hiredis_floor
    echo "deps: building hiredis" >&2
    logged hiredis '
        cd "$work/hiredis"
        make -j"$(nproc)" PREFIX="$prefix" OPTIMIZATION=-O2 DEBUG_FLAGS=-g \
            CFLAGS="-fPIC -DNDEBUG $hardening" libhiredis.a hiredis.pc
        install -d "$prefix/include/hiredis" "$prefix/lib/pkgconfig"
        install -m 644 ./{hiredis,read,sds,alloc}.h "$prefix/include/hiredis/"
        install -m 644 libhiredis.a "$prefix/lib/"
        install -m 644 hiredis.pc "$prefix/lib/pkgconfig/"
    '
    echo "$hardening" >"$prefix/hiredis.flags"
}

# Without what the daemon never uses: cookies cost time in every request.
build_microhttpd() {
    fetch_source libmicrohttpd $microhttpd_floor
    echo "deps: building libmicrohttpd" >&2
    logged libmicrohttpd '
        cd "$work/libmicrohttpd"
        # A Debian patch makes a Makefile.am newer than what was generated from it; no automake is needed for it.
        find . -name aclocal.m4 -exec touch {} +
        find . \( -name configure -o -name "*.h.in" -o -name Makefile.in \) -exec touch {} +
        ./configure --prefix="$prefix" --libdir="$prefix/lib" --disable-shared --enable-static --with-pic \
            --enable-https=yes --enable-epoll=yes --disable-doc --disable-examples --disable-tools --disable-curl \
            --disable-nls --disable-asserts --disable-dauth --disable-bauth --disable-cookie \
            --disable-postprocessor CFLAGS="-O2 -g -fPIC -DNDEBUG $hardening"
        make -j"$(nproc)"
        make install
        sed -i -e "s|^Requires.private:|Requires:|" "$prefix/lib/pkgconfig/libmicrohttpd.pc"
        rm -f "$prefix"/lib/*.la
    '
    echo "$hardening" >"$prefix/libmicrohttpd.flags"
}

readonly libraries="libmicrohttpd gnutls hiredis jansson libuv openssl inih"

# Whether a library is not one that was built here with other flags than those of today.
is_current() {
    [ "$(pkg-config --variable=pcfiledir "$1")" != "$prefix/lib/pkgconfig" ] ||
        [ "$(cat "$prefix/$1.flags" 2>/dev/null)" = "$hardening" ]
}

has_microhttpd() {
    pkg-config --exists "libmicrohttpd >= $microhttpd_floor" 2>/dev/null && is_current libmicrohttpd
}
has_hiredis() { pkg-config --exists "hiredis >= $hiredis_floor" 2>/dev/null; }

# Where hiredis comes from: ours, or a folder that the caller named in PKG_CONFIG_PATH. A distribution's own has asserts on.
own_hiredis() {
    has_hiredis && is_current hiredis || return 1
    case $(pkg-config --variable=pcfiledir hiredis) in
    /usr/lib/* | /usr/share/*) return 1 ;;
    esac
}

write_makefile() {
    local libs
    # shellcheck disable=SC2086
    libs=$(pkg-config --libs $libraries)
    # shellcheck disable=SC2086
    {
        echo "# Written by deploy/build/deps.sh."
        echo "DEPS_CFLAGS := $(pkg-config --cflags $libraries | sed 's|-I/|-isystem /|g')"
        echo "DEPS_LIBS := $libs"
    } >build/deps.mk.new
    if cmp -s build/deps.mk.new build/deps.mk; then
        rm build/deps.mk.new
        touch build/deps.mk
    else
        mv build/deps.mk.new build/deps.mk
    fi
}

lock() {
    mkdir -p build/deps
    exec 9>build/deps/.lock
    flock 9
}

case ${1:-} in
probe)
    lacking=$(missing_packages "$build_packages")
    hardening=$(deploy/build/hardening.sh gcc)
    own_hiredis 2>/dev/null || lacking+="hiredis>=$hiredis_floor "
    has_microhttpd 2>/dev/null || lacking+="libmicrohttpd>=$microhttpd_floor "
    [ -z "$lacking" ] || die "missing, or built with other flags: ${lacking% }; run 'make deps', or name their pkgconfig folders in PKG_CONFIG_PATH"
    mkdir -p build
    write_makefile
    ;;
build)
    lock
    install_packages "$build_packages"
    hardening=$(deploy/build/hardening.sh gcc)
    if ! own_hiredis || ! has_microhttpd; then
        install_packages "$source_packages"
        rm -rf "$work"
        mkdir -p "$work"
        if ! own_hiredis; then build_hiredis; fi
        if ! has_microhttpd; then build_microhttpd; fi
        rm -rf "$work"
    fi
    write_makefile
    ;;
test)
    lock
    install_packages "$test_packages"
    if ! cmp -s tests/support/package-lock.json tests/support/node_modules/.installed-lock.json; then
        echo "deps: npm ci" >&2
        (cd tests/support && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error &&
            cp package-lock.json node_modules/.installed-lock.json) >build/deps/npm.log 2>&1 </dev/null ||
            die "npm ci in tests/support failed: $(tail -n1 build/deps/npm.log) (build/deps/npm.log)"
    fi
    ;;
demo)
    lock
    install_packages "$demo_packages"
    ;;
valgrind)
    lock
    install_packages "$valgrind_packages"
    ;;
bench)
    lock
    install_packages "$bench_packages"
    while read -r line; do
        tried=build/deps/tried-${line##* }
        [ -z "$(missing_packages "$line")" ] || [ -e "$tried" ] || (install_packages "$line") || touch "$tried"
    done <<<"$bench_peer_packages"
    if ! cmp -s tests/bench/package-lock.json tests/bench/node_modules/.installed-lock.json &&
        [ ! -e build/deps/tried-bench-npm ]; then
        echo "deps: npm ci in tests/bench" >&2
        (cd tests/bench && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error &&
            cp package-lock.json node_modules/.installed-lock.json) >build/deps/npm.log 2>&1 </dev/null || {
            echo "deps: bench will go without npm's packages: $(tail -n1 build/deps/npm.log) (build/deps/npm.log)" >&2
            touch build/deps/tried-bench-npm
        }
    fi
    ;;
clients)
    lock
    while read -r line; do
        tried=build/deps/tried-${line##* } # once, not in every run; distclean forgets it
        [ -z "$(missing_packages "$line")" ] || [ -e "$tried" ] || (install_packages "$line") || {
            echo "deps: its tests will be skipped: ${line##* }" >&2
            touch "$tried"
        }
    done <<<"$client_packages"
    if ! cmp -s tests/clients/package-lock.json tests/clients/node_modules/.installed-lock.json &&
        [ ! -e build/deps/tried-clients-npm ]; then
        echo "deps: npm ci in tests/clients" >&2
        (cd tests/clients && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error &&
            cp package-lock.json node_modules/.installed-lock.json) >build/deps/npm.log 2>&1 </dev/null || {
            echo "deps: tests of npm's packages will be skipped: $(tail -n1 build/deps/npm.log) (build/deps/npm.log)" >&2
            touch build/deps/tried-clients-npm
        }
    fi
    ;;
*)
    die "usage: deploy/build/deps.sh probe|build|test|demo|bench|valgrind|clients"
    ;;
esac
