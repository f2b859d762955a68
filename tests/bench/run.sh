#!/usr/bin/env bash
# run.sh FOLDER: the benchmarks against FOLDER/bellwether, as tables on standard output.
#
#   make bench                     all of it, an hour, of which `commands` takes fifteen minutes, `forward` ten, and
#                                  `switch` and `forward-failover` nine each
#   make bench BENCH=http          a part: http, start, kill, stop, idle, waiters, masters, commands,
#                                  switch, forward, forward-failover, tls, of which tls-kill and tls-commands are
#                                  parts; several parted by commas
#   make bench BENCH_SECONDS=1     seconds of one run of wrk or redis-benchmark (3)
#   make bench BENCH_ROUNDS=3      paired runs (5)
#   make bench BENCH_ROWS=1000     of `forward` only the rows that have this in name and connections, as in
#                                  "GET -P 32, 50"; or "memory"
#   make bench BENCH_TIMES=5       starts and failovers (20; switch, forward-failover: 10 of each kind)
#   make bench BENCH_IDLE=10       seconds of the idle measurements (60)
#   make bench BENCH_MASTERS=100   masters of the part of that name (1000)
#
# A figure over its budget is printed and fails nothing; a part that can't be measured at all does. What paired runs
# say of a budget is met, MISSED, or even, where the machine's noise is more than the difference: more rounds help.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1

for tool in wrk webdis haproxy redis-server redis-sentinel redis-benchmark; do
    command -v $tool >/dev/null || {
        echo "bench: $tool is missing; 'deploy/build/deps.sh bench' installs it" >&2
        exit 1
    }
done

export BELLWETHER=$PWD/$folder/bellwether
echo "$("$BELLWETHER" --version | head -n 1); $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors, load $(cut -d ' ' -f 1 /proc/loadavg); Linux $(uname -r)"
exec "$folder/bench/bench" "$folder"
