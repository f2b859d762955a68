#!/usr/bin/env bash
# What the build and the tests need and the machine may lack.
#
#   deploy/build/deps.sh probe   check what `make` needs; write build/deps.mk, or say in one line what is missing
#   deploy/build/deps.sh build   install or build that, then write build/deps.mk
#   deploy/build/deps.sh test    what `make test` and `make check` need besides
#   deploy/build/deps.sh demo    what `make demo` needs besides
#   deploy/build/deps.sh bench   what `make bench` needs besides
#   deploy/build/deps.sh valgrind what `make valgrind` needs besides
#   deploy/build/deps.sh deb     what `make deb` needs besides
#   deploy/build/deps.sh arm64   what `make arm64` needs: a cross compiler, and a root of that machine's libraries in build/arm64
#   deploy/build/deps.sh static  what `make STATIC=1` needs besides: a static GnuTLS, into build/static
#   deploy/build/deps.sh sdks    what `make test-sdks` needs besides
#   deploy/build/deps.sh clients the programs of others that tests try the daemon with; a test without its own is skipped
#
# Debian packages come from apt as it is configured. hiredis is always built here (static, with
# NDEBUG), libmicrohttpd where the system's is older than the floor, both from the source
# packages of a newer suite at the mirror that apt already uses, in a private apt state below
# build/: nothing under /etc is touched. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly microhttpd_floor=1.0.10 hiredis_floor=1.2.0 gnutls_floor=3.7.0
# Where it goes, and for which machine: this one, unless it is named.
output=$PWD/build host='' cc=gcc ar=ar pkg_config=pkg-config
case ${1:-} in
arm64)
    output=$PWD/build/arm64 host=aarch64-linux-gnu
    cc="$host-gcc --sysroot=$output/sysroot" ar=$host-ar
    ;;
static)
    cc=${CC:-gcc} static_libuv=libuv # Debian has another name for it
    output=$PWD/build/static pkg_config='pkg-config --static'
    export PKG_CONFIG_PATH=$PWD/build/deps/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
    ;;
esac
readonly output host cc ar pkg_config prefix=$output/deps work=$output/deps/work
hardening= # of the libraries as of our own files: they read what strangers send. Asked for once gcc is there
# Newer suites of the same distribution, tried in this order until one has the floor.
readonly debian_suites="forky sid trixie" ubuntu_suites="resolute devel"

# LIBRARY_PATH misleads hiredis' own Makefile, and CFLAGS of the caller are for the project's files.
unset LIBRARY_PATH CPATH C_INCLUDE_PATH CFLAGS LDFLAGS MAKEFLAGS MFLAGS MAKELEVEL
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
if [ -n "$host" ]; then
    export PKG_CONFIG_LIBDIR=$output/sysroot/usr/lib/$host/pkgconfig PKG_CONFIG_PATH=$prefix/lib/pkgconfig
fi
export LC_ALL=C

# One entry a line: how to see that it is there, and the package that brings it.
readonly build_packages='
cmd gcc                build-essential
cmd pkg-config         pkg-config
pc  jansson>=2.13      libjansson-dev
pc  libuv>=1.40        libuv1-dev
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
readonly static_packages='
cmd automake           automake
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
readonly arm64_packages='
cmd aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
cmd qemu-aarch64-static   qemu-user-static
'
readonly arm64_libraries="libc6-dev libjansson-dev libuv1-dev libssl-dev libinih-dev libgnutls28-dev"
readonly valgrind_packages='
cmd valgrind           valgrind
'
readonly deb_packages='
cmd dpkg-buildpackage  dpkg-dev
cmd dh                 debhelper
cmd mandoc             mandoc
'
readonly bench_packages=$demo_packages'
cmd wrk                wrk
cmd nginx              nginx-light
so  ngx_stream_module.so libnginx-mod-stream
cmd haproxy            haproxy
cmd webdis             webdis
'
# Without them `bench` leaves their columns out.
readonly bench_peer_packages='
py  redis              python3-redis
cmd node               nodejs
cmd npm                npm
'
readonly sdk_packages='
py  pytest             python3-pytest
py  pytest_asyncio     python3-pytest-asyncio
py  httpx              python3-httpx
py  dotenv             python3-dotenv
'
# Each by itself: what can't be had costs its own test only.
readonly client_packages='
cmd haproxy            haproxy
so  ngx_stream_js_module.so libnginx-mod-stream-js
cmd promtool           prometheus
cmd go                 golang-go
src github.com/Masterminds/sprig golang-github-masterminds-sprig-dev
src sigs.k8s.io/yaml   golang-k8s-sigs-yaml-dev
cmd chromium           chromium
cmd jq                 jq
cmd zsh                zsh
cmd rpmspec            rpm
cmd fish               fish
py  redis              python3-redis
cmd php                php-cli
cmd ruby               ruby
php redis              php-redis
php Predis/Autoloader.php php-predis
rb  redis              ruby-redis
cmd sidekiq            ruby-sidekiq
pl  Redis              libredis-perl
src gopkg.in/redis.v5  golang-gopkg-redis.v5-dev
'

die() {
    echo "deps: $*" >&2
    exit 1
}

have() {
    case $1 in
    cmd) command -v "$2" >/dev/null 2>&1 || [ -x "/usr/sbin/$2" ] ;;
    pc) pkg-config --exists "${2/>=/ >= }" 2>/dev/null ;;
    so) [ -e "/usr/lib/nginx/modules/$2" ] ;;
    py) python3 -c "import $2" 2>/dev/null || /usr/bin/python3 -c "import $2" 2>/dev/null ;;
    rt) [ -n "$(find "$(clang -print-resource-dir 2>/dev/null || echo /nonexistent)" \
        -name 'libclang_rt.fuzzer*' -print -quit 2>/dev/null)" ] ;;
    php) php -r "exit(extension_loaded('$2') || (@include '$2') ? 0 : 1);" >/dev/null 2>&1 ;;
    rb) ruby -r"$2" -e '' 2>/dev/null ;;
    pl) perl -M"$2" -e '' 2>/dev/null ;;
    src) [ -e "/usr/share/gocode/src/$2" ] ;;
    esac
}

# The packages of a table whose probe fails.
missing_packages() {
    local kind what package
    while read -r kind what package; do
        [ -z "$kind" ] || have "$kind" "$what" || printf '%s ' "$package"
    done <<<"$1"
}

# Run a command whose words go into LOG, and say every 15 s that it goes on: alive WHAT LOG COMMAND...
alive() {
    local what=$1 log=$2 began=$SECONDS status=0 ticker
    shift 2
    {
        trap 'kill $!; exit' TERM # a sleep that is left would keep the caller's pipe open
        while sleep 15 & wait $!; do
            echo "deps: $what, since $((SECONDS - began)) s: $(tail -n 1 "$log" 2>/dev/null | cut -c 1-100)" >&2
        done
    } &
    ticker=$!
    "$@" >>"$log" 2>&1 </dev/null || status=$?
    kill "$ticker"
    wait "$ticker" 2>/dev/null || true
    return $status
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    local options=(-y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
    as_root env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install "$@" ||
        { as_root apt-get -qq update &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install "$@"; }
}

# `npm ci` in a folder of tests, once for what its lock file says, and once more where that fails; what npm takes for the
# cause goes to stderr.
npm_install() {
    local folder=$1 log=build/deps/npm.log
    ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json" || return 0
    echo "deps: npm ci in $folder" >&2
    for _ in 1 2; do
        : >"$log"
        alive "npm ci" "$log" npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error &&
            cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json" && return 0
    done
    echo "deps: npm ci in $folder failed: $(grep -E '^npm (ERR!|error)' "$log" |
        sed -E -e 's/^npm (ERR!|error) *//' -e '/^(code|errno|syscall|A complete log|    )/d' -e '/^$/d' |
        grep -m 1 . || tail -n 1 "$log")" >&2
    return 1
}

# Install what a table says is missing. Packages that bring a server would start it: a policy-rc.d
# that forbids that stands for as long as the installation lasts, unless the machine has its own.
install_packages() {
    local wanted policy=/usr/sbin/policy-rc.d status=0
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
    : >build/deps/apt.log
    # shellcheck disable=SC2086
    alive "installing" build/deps/apt.log apt_install $wanted || status=$?
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
        -o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any -o APT::Get::List-Cleanup=false -o Acquire::Retries=3 "$@"
}

# The mirror from which apt takes the release itself, not its security updates or third parties; and whose it is.
find_archive() {
    apt-get indextargets --format '$(REPO_URI) $(LABEL) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
        awk '($2 == "Debian" || $2 == "Ubuntu") && $3 !~ /-/ { print $1, $2; exit }'
}

download_source() (
    cd "$work" && private_apt apt-get -qq --download-only source "$1"
)

# Fetch and unpack the source package $1 of at least version $2 and below the next major one into
# $work/$1, from one of the suites $3 or of those above. Signatures are checked with the distribution's own keyring; what can't be checked isn't used.
fetch_source() {
    local package=$1 floor=$2 ceiling mirror label keyring suite suites components=main version newest='' why dsc
    ceiling=$((${floor%%.*} + 1))
    echo "deps: fetching the source of $package >= $floor" >&2
    command -v apt-get >/dev/null 2>&1 ||
        die "missing: $package >= $floor; there is no apt-get here; build it and name its pkgconfig folder in PKG_CONFIG_PATH"
    read -r mirror label <<<"$(find_archive)"
    if [ -z "$mirror" ]; then # apt has no lists yet
        alive "asking apt for its lists" "$work/apt.log" as_root apt-get -qq update || true
        read -r mirror label <<<"$(find_archive)"
    fi
    case $label in
    Debian) suites=$debian_suites ;;
    Ubuntu) suites=$ubuntu_suites components="main universe" ;;
    *) die "missing: $package >= $floor; apt knows no archive of Debian or Ubuntu; build it and name its pkgconfig folder in PKG_CONFIG_PATH" ;;
    esac
    for keyring in "/usr/share/keyrings/${label,,}-archive-keyring."{gpg,pgp} ''; do
        [ ! -e "$keyring" ] || break
    done
    for suite in ${3:-$suites}; do
        mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
        # Always: what was written for a suite whose update failed must not stand for this one.
        echo "deb-src ${keyring:+[signed-by=$keyring] }$mirror $suite $components" >"$work/apt/sources.list"
        if [ ! -e "$work/apt/$suite.done" ]; then
            alive "reading the list of $suite" "$work/apt.log" private_apt apt-get -qq update || continue
            touch "$work/apt/$suite.done"
        fi
        version=$(private_apt apt-cache showsrc "$package" 2>>"$work/apt.log" | awk '/^Version:/ { print $2 }' | sort -V | tail -n 1) || version=
        newest=${version:-$newest}
        dpkg --compare-versions "${version:-0}" ge "$floor" && dpkg --compare-versions "$version" lt "$ceiling" || continue
        alive "fetching the source of $package" "$work/apt.log" download_source "$package=$version" || continue
        dsc=$(find "$work" -maxdepth 1 -name "${package}_*.dsc" -print -quit)
        rm -rf "${work:?}/$package"
        dpkg-source --no-check -x "$dsc" "$work/$package" >>"$work/apt.log" 2>&1 || continue
        return 0
    done
    # Of what would have done, something else is the cause.
    if [ -z "$newest" ] || { dpkg --compare-versions "$newest" ge "$floor" && dpkg --compare-versions "$newest" lt "$ceiling"; }; then
        why=$(grep -m1 -E '^(E|Err):' "$work/apt.log") || why="see $work/apt.log"
    else
        why="the newest there is $newest"
    fi
    die "missing: $package >= $floor, and no suite of $suites at apt's mirror has it ($why); build it and name its pkgconfig folder in PKG_CONFIG_PATH"
}

# The libraries of another machine of the same release, unpacked and not installed: this machine's packages stay as they
# are. $1 is Debian's name for it, the others are packages.
fetch_sysroot() {
    local architecture=$1 keyring link options
    shift
    options=(-o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o "Dir::State::status=$work/apt/status")
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp} ''; do
        [ ! -e "$keyring" ] || break
    done
    mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$output/sysroot/usr/lib"
    : >"$work/apt/status"
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)' 'Created-By: Packages' |
        awk -v keyring="${keyring:+signed-by=$keyring }" -v architecture="$architecture" \
            '$4 ~ /^Debian/ && !seen[$0]++ { print "deb [" keyring "arch=" architecture "]", $1, $2, $3 }' >"$work/apt/sources.list"
    [ -s "$work/apt/sources.list" ] || die "apt knows no Debian archive, which has the libraries of $architecture"
    echo "deps: fetching libraries of $architecture" >&2
    { private_apt apt-get "${options[@]}" -qq update &&
        private_apt apt-get "${options[@]}" -qq -y --no-install-recommends --download-only install "$@"; } \
        >"$work/../apt-$architecture.log" 2>&1 </dev/null ||
        die "cannot fetch the libraries of $architecture: $(grep -m1 '^E:' "$work/../apt-$architecture.log" || tail -n1 "$work/../apt-$architecture.log")"
    ln -sfn usr/lib "$output/sysroot/lib"
    for package in "$work"/apt/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$output/sysroot"
    done
    while IFS= read -r link; do # what is absolute would lead out of it
        ln -sfn "$output/sysroot$(readlink "$link")" "$link"
    done < <(find "$output/sysroot" -type l -lname '/*')
}

# Run a script with `set -e`, its output in build/deps/NAME.log.
logged() {
    local log=$prefix/$1.log
    : >"$log"
    alive "building $1" "$log" env work="$work" prefix="$prefix" hardening="$hardening" host="$host" cc="$cc" ar="$ar" bash -euc "$2" ||
        die "$1 does not build: $(grep -m1 -E 'error:|\*\*\*' "$log" || tail -n1 "$log") ($log)"
    rm -f "$log"
}

build_hiredis() {
    fetch_source hiredis $hiredis_floor
    echo "deps: building hiredis" >&2
    logged hiredis '
        cd "$work/hiredis"
        make -j"$(nproc)" CC="$cc" AR="$ar" PREFIX="$prefix" OPTIMIZATION=-O2 DEBUG_FLAGS=-g \
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
        ./configure ${host:+--host="$host"} CC="$cc" --prefix="$prefix" --libdir="$prefix/lib" --disable-shared --enable-static --with-pic \
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

# Debian's own libgnutls.a asks for p11-kit, which can't be linked statically.
build_gnutls() {
    fetch_source gnutls28 $gnutls_floor "$(apt-get indextargets --format '$(CODENAME) $(LABEL)' 'Created-By: Packages' |
        awk '$2 == "Debian" && $1 !~ /-/ { print $1; exit }')"
    echo "deps: building gnutls; that takes minutes" >&2
    logged gnutls '
        cd "$work/gnutls28"
        # Debian patches of it want one Makefile.in made anew, and nothing else.
        aclocal $(sed -n "s/--install//; s/^ACLOCAL_AMFLAGS = //p" Makefile.am)
        automake gl/Makefile
        find . -name aclocal.m4 -exec touch {} +
        find . \( -name configure -o -name "*.h.in" -o -name Makefile.in \) -exec touch {} +
        ./configure --prefix="$prefix" --libdir="$prefix/lib" --disable-shared --enable-static --with-pic \
            --without-p11-kit --without-idn --with-included-unistring --with-included-libtasn1 --without-zlib \
            --without-brotli --without-zstd --without-tpm --without-tpm2 --disable-doc --disable-tools --disable-cxx \
            --disable-tests --disable-guile --disable-nls --disable-libdane CFLAGS="-O2 -g -fPIC -DNDEBUG $hardening"
        make -j"$(nproc)" -C gl
        make -j"$(nproc)" -C lib
        make -C lib install
        # It has a copy of inih, whose name would be there twice.
        objcopy --redefine-sym ini_parse_file=gnutls_ini_parse_file "$prefix/lib/libgnutls.a"
        rm -f "$prefix"/lib/*.la
    '
    echo "$hardening" >"$prefix/gnutls.flags"
}

# Whether a program that calls the function $1 can be linked with the libraries $2 and nothing that is loaded; else $errors.
links_statically() {
    # shellcheck disable=SC2046,SC2086
    errors=$(echo "char $1(void); int main(void) { return $1(); }" | $cc -static-pie -fPIE -fno-builtin -x c -o "$output/links" - -x none \
        $($pkg_config --libs $2) 2>&1) && rm -f "$output/links"
}

require_static() {
    local errors
    links_statically "$1" "$2" ||
        die "no static binary can be had here: $(grep -m1 -oE '(cannot find|undefined reference).*' <<<"$errors" || head -n1 <<<"$errors")"
}

has_static_gnutls() {
    local errors
    links_statically gnutls_global_init gnutls && is_current gnutls
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

build_libraries() {
    if own_hiredis && has_microhttpd; then
        return
    fi
    install_packages "$source_packages"
    rm -rf "$work"
    mkdir -p "$work"
    if ! own_hiredis; then build_hiredis; fi
    if ! has_microhttpd; then build_microhttpd; fi
    rm -rf "$work"
}

write_makefile() {
    local libs relative='' all=$libraries
    [ "$pkg_config" = pkg-config ] || all=${all/libuv/$static_libuv}
    [ -z "$host" ] || relative='s#(-L|-isystem )/usr/#\1=/usr/#g' # to the other machine's root
    # shellcheck disable=SC2086
    libs=$($pkg_config --libs $all)
    [ "$pkg_config" = pkg-config ] || require_static MHD_get_version "$all"
    # shellcheck disable=SC2086
    {
        echo "# Written by deploy/build/deps.sh."
        echo "DEPS_CFLAGS := $(pkg-config --cflags $all | sed 's|-I/|-isystem /|g')"
        echo "DEPS_LIBS := $libs"
    } | sed -E "$relative" >"$output/deps.mk.new"
    if cmp -s "$output/deps.mk.new" "$output/deps.mk"; then
        rm "$output/deps.mk.new"
        touch "$output/deps.mk"
    else
        mv "$output/deps.mk.new" "$output/deps.mk"
    fi
}

lock() {
    mkdir -p build/deps "$prefix"
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
    build_libraries
    write_makefile
    ;;
arm64)
    lock
    install_packages "$arm64_packages$source_packages"
    if [ "$(cat "$output/sysroot/.packages" 2>/dev/null)" != "$arm64_libraries" ]; then
        rm -rf "$output/sysroot" "$work"
        fetch_sysroot arm64 $arm64_libraries
        echo "$arm64_libraries" >"$output/sysroot/.packages"
    fi
    # shellcheck disable=SC2086
    hardening=$(deploy/build/hardening.sh $cc)
    build_libraries
    write_makefile
    ;;
static)
    lock
    install_packages "$build_packages"
    hardening=$(deploy/build/hardening.sh gcc)
    ! pkg-config --exists libuv-static || static_libuv=libuv-static
    for library in "uv_version $static_libuv" "json_null jansson" "SSL_new openssl" "ini_parse_file inih" "nettle_version_major hogweed"; do
        require_static ${library% *} ${library#* }
    done
    if ! has_static_gnutls; then
        install_packages "$source_packages$static_packages"
        rm -rf "$work"
        mkdir -p "$work"
        build_gnutls
        rm -rf "$work"
    fi
    build_libraries
    write_makefile
    ;;
test)
    lock
    install_packages "$test_packages"
    npm_install tests/support || exit 1
    ;;
demo)
    lock
    install_packages "$demo_packages"
    ;;
valgrind)
    lock
    install_packages "$valgrind_packages"
    ;;
deb)
    lock
    install_packages "$deb_packages"
    ;;
bench)
    lock
    install_packages "$bench_packages"
    while read -r line; do
        tried=build/deps/tried-${line##* }
        [ -z "$(missing_packages "$line")" ] || [ -e "$tried" ] || (install_packages "$line") || touch "$tried"
    done <<<"$bench_peer_packages"
    [ -e build/deps/tried-bench-npm ] || npm_install tests/bench || {
        echo "deps: bench will go without npm's packages" >&2
        touch build/deps/tried-bench-npm
    }
    ;;
sdks) # each suite says what it lacks
    lock
    (install_packages "$sdk_packages") || true
    npm_install tests/clients/sdks || true
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
    [ -e build/deps/tried-clients-npm ] || npm_install tests/clients || {
        echo "deps: tests of npm's packages will be skipped" >&2
        touch build/deps/tried-clients-npm
    }
    ;;
*)
    die "usage: deploy/build/deps.sh probe|build|test|demo|bench|valgrind|deb|arm64|static|sdks|clients"
    ;;
esac
