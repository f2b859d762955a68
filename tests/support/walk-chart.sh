#!/usr/bin/env bash
# The way with the Helm chart: from its values to a served /master. The demo's Sentinels stand for a cluster's; the chart is
# rendered for them, and the daemon is started with the arguments and the configuration file that its Deployment gives it.
#
#   walk-chart.sh [PATH-OF-BELLWETHER]
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly bellwether=${1:-build/bellwether}
lacking=$(node tests/clients/kubernetes/unpack.mjs --lacking 2>/dev/null) || {
    echo "walk-chart: skipped: ${lacking:-the packages of npm are missing}"
    exit 0
}
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
    echo "walk-chart: $1" >&2
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

deploy/demo.sh "$bellwether" >"$folder/demo" 2>&1 &
pids+=($!)
wait_for "$folder/demo" sed -nE 's/^  Sentinels   ([0-9]+).*/\1/p' "$folder/demo"
sentinel=127.0.0.1:$found
wait_for "$folder/demo" sed -nE 's/^  Redis       ([0-9]+) .*/\1/p' "$folder/demo"
master=127.0.0.1:$found

printf 'sentinels: ["%s"]\n' "$sentinel" >"$folder/values.yaml"
node tests/clients/kubernetes/unpack.mjs deploy/helm/bellwether "$folder" >"$folder/args" 2>"$folder/chart" ||
    fail "the chart is not rendered" "$folder/chart"
mapfile -t args <"$folder/args"
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"$bellwether" "${args[@]}" --listen "127.0.0.1:$port,scope=discovery" >"$folder/daemon" 2>&1 &
pids+=($!)
wait_for "$folder/daemon" curl -fsS --max-time 2 "http://127.0.0.1:$port/master?format=text"
[ "$found" = "$master" ] || fail "/master says $found, and the master is $master" "$folder/daemon"
echo "walk-chart: /master is served after $SECONDS s"
