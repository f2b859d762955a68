#!/usr/bin/env bash
# Try the README's two commands on a machine where nothing is installed: a minimal root of a Debian suite, made by
# debootstrap from the mirror that apt uses, with a clone of what is committed. Needs root.
#
#   fresh-machine.sh SUITE FOLDER [demo|test]...     e.g. fresh-machine.sh trixie build/fresh/trixie demo test
#
# It shares the network of this machine: packages come through it, tests stay on loopback.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly suite=$1 root=$2
shift 2
[ $# -gt 0 ] || set -- demo test

[ "$(id -u)" = 0 ] || {
    echo "fresh-machine: SKIPPED, only root may chroot"
    exit 0
}
command -v debootstrap >/dev/null || {
    echo "fresh-machine: SKIPPED, debootstrap is missing (apt-get install debootstrap)"
    exit 0
}
if [ ! -e "$root/etc/os-release" ]; then
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(RELEASE)' 'Created-By: Packages' |
        awk '$2 == "Debian" && $3 !~ /-/ { print $1; exit }')
    echo "fresh-machine: debootstrap $suite"
    mkdir -p "$root"
    debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || {
        tail -n 3 "$root.log" >&2
        exit 1
    }
fi
rm -rf "$root/root/bellwether"
git clone -q . "$root/root/bellwether"
git -C "$root/root/bellwether" remote remove origin
# How this machine reaches its mirrors, and what it forgives them.
apt-config dump Acquire >"$root/etc/apt/apt.conf.d/90acquire"
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"

[ -e "$root/etc/hosts" ] || echo "127.0.0.1 localhost" >"$root/etc/hosts" # an installer writes it, or an engine
cas=
if [ -r "${NODE_EXTRA_CA_CERTS:-}" ]; then
    cas=NODE_EXTRA_CA_CERTS=/etc/extra-cas.crt
    cp -L "$NODE_EXTRA_CA_CERTS" "$root/etc/extra-cas.crt"
fi

# A namespace of its own for mounts: they go with it, whatever ends this.
inside() {
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child bash -euc '
        mount -t proc proc "$1/proc"
        mount --rbind /sys "$1/sys"
        mount -t tmpfs -o mode=755 dev "$1/dev"
        for device in null zero full random urandom tty; do
            touch "$1/dev/$device"
            mount --bind "/dev/$device" "$1/dev/$device"
        done
        mkdir "$1/dev/shm" "$1/dev/pts"
        mount -t tmpfs -o mode=1777 shm "$1/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
        ln -s pts/ptmx "$1/dev/ptmx"
        ln -s /proc/self/fd "$1/dev/fd"
        exec chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            LANG=C.UTF-8 $3 bash -euc "cd /root/bellwether; $2"' inside "$root" "$1" "$cas"
}

# What a newcomer has: apt, and nothing of ours. `make` is what the README asks for.
inside 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install make >/dev/null'
for what in "$@"; do
    echo "fresh-machine: $what on $suite"
    case $what in
    demo)
        # Until /master is served, then Ctrl-C's signal; a demo that ends badly fails.
        # shellcheck disable=SC2016
        inside 'began=$SECONDS
            make demo >demo.out 2>&1 & demo=$!
            url=
            until [ -n "$url" ] && curl -fsS --max-time 2 "$url/master"; do
                kill -0 $demo 2>/dev/null && [ $((SECONDS - began)) -lt 900 ] || { cat demo.out; exit 1; }
                sleep 1
                url=$(grep -om1 "http://127.0.0.1:[0-9]*" demo.out || true)
            done
            echo "fresh-machine: /master after $((SECONDS - began)) s"
            kill -TERM $demo
            wait $demo || { status=$?; [ $status = 143 ] || { cat demo.out; exit $status; }; }'
        ;;
    test) inside 'make test' ;;
    *) inside "$what" ;;
    esac
done
