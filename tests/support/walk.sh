#!/usr/bin/env bash
# The ways on which a stranger comes to a served /master, walked with what is in deploy/. The demo's Sentinels stand for
# those of a deployment.
#
#   walk.sh BELLWETHER WAY...
#
#   chart      the Helm chart is rendered for them; the daemon gets the arguments and the file of its Deployment
#   image      the root of deploy/Containerfile, made without an engine, serves it as the image's user would
#   haproxy    deploy/haproxy/haproxy.cfg leads to the master, with one daemon for all nodes
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly bellwether=$1
shift
folder=$(mktemp -d)
pids=()

finish() {
    local pid
    trap - EXIT
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

fail() {
    echo "walk: $1" >&2
    tail -n 15 "$2" >&2
    exit 1
}

# wait_for LOG COMMAND…: until it gives something; what it gave is in $found.
wait_for() {
    local log=$1 tries
    shift
    for ((tries = 0; tries < 600; tries++)); do
        ! found=$("$@" 2>/dev/null) || [ -z "$found" ] || return 0
        sleep 0.1
    done
    fail "in vain for a minute: $*" "$log"
}

# An address is what $found has to be.
expect() {
    [ "$found" = "$1" ] || fail "$2 says $found, and the master is $1" "$3"
}

start_demo() {
    [ -z "${sentinel:-}" ] || return 0
    deploy/demo.sh "$bellwether" >"$folder/demo" 2>&1 &
    pids+=($!)
    wait_for "$folder/demo" sed -nE 's/^  Sentinels   ([0-9]+).*/\1/p' "$folder/demo"
    sentinel=127.0.0.1:$found
    wait_for "$folder/demo" sed -nE 's/^  Redis       ([0-9]+) .*/\1/p' "$folder/demo"
    master=127.0.0.1:$found
}

walk_chart() {
    local lacking args port
    lacking=$(node tests/clients/kubernetes/unpack.mjs --lacking 2>/dev/null) || {
        echo "walk: chart skipped: ${lacking:-the packages of npm are missing}"
        return 1
    }
    start_demo
    printf 'sentinels: ["%s"]\n' "$sentinel" >"$folder/values.yaml"
    node tests/clients/kubernetes/unpack.mjs deploy/helm/bellwether "$folder" >"$folder/args" 2>"$folder/chart" ||
        fail "the chart is not rendered" "$folder/chart"
    mapfile -t args <"$folder/args"
    port=$(node tests/support/ports.mjs 1)
    "$bellwether" "${args[@]}" --listen "127.0.0.1:$port,scope=discovery" >"$folder/daemon" 2>&1 &
    pids+=($!)
    wait_for "$folder/daemon" curl -fsS --max-time 2 "http://127.0.0.1:$port/master?format=text"
    expect "$master" /master "$folder/daemon"
}

walk_image() {
    local port
    [ "$(id -u)" = 0 ] || {
        echo "walk: image skipped: only root may chroot"
        return 1
    }
    start_demo
    deploy/build/image-root.sh "$folder/root" "$bellwether" >"$folder/image" 2>&1 ||
        fail "no root of an image was made" "$folder/image"
    chmod 755 "$folder"
    port=$(node tests/support/ports.mjs 1)
    chroot --userspec=65532:65532 "$folder/root" /usr/bin/bellwether --sentinel "$sentinel" \
        --listen "127.0.0.1:$port" >"$folder/image" 2>&1 &
    pids+=($!)
    wait_for "$folder/image" curl -fsS --max-time 2 "http://127.0.0.1:$port/master?format=text"
    expect "$master" /master "$folder/image"
    chroot --userspec=65532:65532 "$folder/root" /usr/bin/bellwether --probe "http://127.0.0.1:$port/livez" ||
        fail "the image's health check fails" "$folder/image"
}

walk_haproxy() {
    local haproxy port redis nodes
    haproxy=$(PATH=$PATH:/usr/sbin command -v haproxy) || {
        echo "walk: haproxy skipped: it is not installed"
        return 1
    }
    start_demo
    read -r port redis replica < <(node tests/support/ports.mjs 3)
    "$bellwether" --sentinel "$sentinel" --listen "127.0.0.1:$port" >"$folder/central" 2>&1 &
    pids+=($!)
    wait_for "$folder/central" curl -fsS --max-time 2 "http://127.0.0.1:$port/master?format=text"
    expect "$master" /master "$folder/central"
    mapfile -t nodes < <(sed -nE 's/^  Redis       (.*)/\1/p' "$folder/demo" | grep -oE '[0-9]{2,}')
    env DAEMON_PORT="$port" REDIS_BIND="127.0.0.1:$redis" REDIS_READ_BIND="127.0.0.1:$replica" \
        REDIS_1="127.0.0.1:${nodes[0]}" REDIS_2="127.0.0.1:${nodes[1]}" REDIS_3="127.0.0.1:${nodes[2]}" \
        "$haproxy" -f deploy/haproxy/haproxy.cfg >"$folder/haproxy" 2>&1 &
    pids+=($!)
    # shellcheck disable=SC2016 # awk's
    wait_for "$folder/haproxy" bash -c 'redis-cli -p "$0" INFO server | tr -d "\r" | awk -F: '\''$1 == "tcp_port" { print $2 }'\''' "$redis"
    found=127.0.0.1:$found
    expect "$master" "HAProxy at 127.0.0.1:$redis" "$folder/haproxy"
}

for way in "$@"; do
    began=$SECONDS
    if "walk_$way"; then
        echo "walk: $way: /master is served after $((SECONDS - began)) s"
    fi
done
