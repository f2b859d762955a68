#!/usr/bin/env bash
# A deployment to play with: a Redis master, two replicas, three Sentinels and bellwether, all on
# loopback, all in a temporary folder. Ctrl-C ends it and leaves nothing behind.
#
#   deploy/demo.sh [PATH-OF-BELLWETHER [PID-OF-MAKE]]
#
# With TLS=1 in the environment all of them speak TLS, and bellwether is asked over HTTPS, with certificates made for the
# occasion.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

readonly bellwether=${1:-build/bellwether}
readonly seconds_to_start=40
folder=''
pids=()
used_ports=' '

# Only what this script started, and only while it still is this script's child; and a node that was brought back from
# its folder here.
is_ours() {
    grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$1/status" ||
        { [ -n "$folder" ] && [[ $(readlink "/proc/$1/cwd") == "$folder"/* ]]; } 2>/dev/null
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
    local status=$? pid tries
    trap - EXIT
    trap '' INT TERM HUP
    for pid in "$folder"/redis-*/pid; do
        [ ! -s "$pid" ] || pids+=("$(cat "$pid")")
    done
    for pid in "${pids[@]}"; do
        ! is_ours "$pid" || kill -TERM "$pid" 2>/dev/null
    done
    for ((tries = 0; tries < 30; tries++)); do
        for pid in "${pids[@]}"; do
            ! is_ours "$pid" || {
                sleep 0.1
                continue 2
            }
        done
        break
    done
    for pid in "${pids[@]}"; do
        ! is_ours "$pid" || kill -KILL "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    [ -z "$folder" ] || rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 0' INT TERM HUP

# fail WHAT [LOG]: say it, show the log's end, and go.
fail() {
    echo "demo: $1" >&2
    if [ -n "${2:-}" ] && [ -s "$2" ]; then
        echo "demo: the end of its log:" >&2
        tail -n 15 "$2" >&2
    fi
    exit 1
}

for command in redis-server redis-cli curl ${TLS:+openssl}; do
    command -v $command >/dev/null || fail "$command is missing; 'make deps' installs it"
done
[ -x "$bellwether" ] || fail "$bellwether is missing; 'make' builds it"

is_busy() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Set `port` to one that nobody listens on, below the range from which the kernel gives them out.
free_port() {
    for ((port = 16379 + RANDOM % 12000; ; port++)); do
        [[ $used_ports != *" $port "* ]] && ! is_busy "$port" && break
    done
    used_ports+="$port "
}

# Set `port` to the usual one where nobody listens there, else to any.
usual_port() {
    port=$1
    ! is_busy "$port" || free_port
}

# start NAME COMMAND...: in the background, its output in a log of that name; sets `pid`.
start() {
    local name=$1
    shift
    "$@" >"$folder/$name.log" 2>&1 </dev/null &
    pid=$!
    pids+=("$pid")
    disown "$pid" # a node that is killed on purpose is no news for bash to print
}

# until_true WHAT PID LOG COMMAND...: fail when it takes too long or the process has died.
until_true() {
    local what=$1 process=$2 log=$3 deadline=$((SECONDS + seconds_to_start))
    shift 3
    until "$@" >/dev/null 2>&1; do
        is_ours "$process" || fail "$what ended unexpectedly" "$log"
        [ $SECONDS -lt $deadline ] || fail "$what was not ready within $seconds_to_start s" "$log"
        sleep 0.1
    done
}

# An authority of the demo's own, and of it a certificate for this host: ca.crt, server.crt, server.key.
make_certificates() (
    set -e
    cd "$folder"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 30 \
        -subj '/CN=bellwether demo' -addext keyUsage=critical,keyCertSign,cRLSign
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr \
        -subj '/CN=localhost'
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out server.crt \
        -extfile <(printf '%s\n' authorityKeyIdentifier=keyid subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1)
) >"$folder/openssl.log" 2>&1

echo "demo: starting a Redis master, two replicas, three Sentinels and bellwether"
folder=$(mktemp -d "${TMPDIR:-/tmp}/bellwether-demo.XXXXXX") || fail "no temporary folder"
free_port
master_port=$port
node_ports=("$master_port")
node_pids=()
free_port && node_ports+=("$port")
free_port && node_ports+=("$port")
sentinel_ports=()
for _ in 1 2 3; do
    free_port && sentinel_ports+=("$port")
done

cli=(redis-cli)
tls_options=()
if [ -n "${TLS:-}" ]; then
    make_certificates || fail "no certificates could be made" "$folder/openssl.log"
    cli=(redis-cli --tls --cacert "$folder/ca.crt")
    tls_options=(--sentinel-tls on --redis-tls on --tls-ca "$folder/ca.crt" --http-cert "$folder/server.crt"
        --http-key "$folder/server.key")
fi

# What a server listens on.
port_conf() {
    if [ -z "${TLS:-}" ]; then
        echo "port $1"
    else
        printf '%s\n' 'port 0' "tls-port $1" 'tls-replication yes' "tls-cert-file $folder/server.crt" \
            "tls-key-file $folder/server.key" "tls-ca-cert-file $folder/ca.crt" 'tls-auth-clients no'
    fi
}

for port in "${node_ports[@]}"; do
    mkdir "$folder/redis-$port"
    printf '%s\n' "$(port_conf "$port")" 'bind 127.0.0.1' "dir $folder/redis-$port" 'save ""' 'appendonly no' \
        "pidfile $folder/redis-$port/pid" 'repl-diskless-sync-delay 0' >"$folder/redis-$port/redis.conf"
    [ "$port" = "$master_port" ] || echo "replicaof 127.0.0.1 $master_port" >>"$folder/redis-$port/redis.conf"
    start "redis-$port" redis-server "$folder/redis-$port/redis.conf"
    node_pids+=("$pid")
    until_true "redis-server on port $port" "$pid" "$folder/redis-$port.log" "${cli[@]}" -p "$port" PING
done

for port in "${sentinel_ports[@]}"; do
    mkdir "$folder/sentinel-$port"
    printf '%s\n' "$(port_conf "$port")" 'bind 127.0.0.1' "dir $folder/sentinel-$port" \
        "sentinel monitor mymaster 127.0.0.1 $master_port 2" 'sentinel down-after-milliseconds mymaster 2000' \
        'sentinel failover-timeout mymaster 10000' >"$folder/sentinel-$port/sentinel.conf"
    start "sentinel-$port" redis-server "$folder/sentinel-$port/sentinel.conf" --sentinel
    sentinel_pid=$pid
    until_true "the Sentinel on port $port" "$sentinel_pid" "$folder/sentinel-$port.log" "${cli[@]}" -p "$port" PING
done

# A failover needs Sentinels that know each other and the replicas.
sentinel_knows_all() {
    local row
    row=$("${cli[@]}" -p "$1" SENTINEL MASTER mymaster) &&
        grep -A1 -x num-slaves <<<"$row" | grep -qx 2 && grep -A1 -x num-other-sentinels <<<"$row" | grep -qx 2
}
for port in "${sentinel_ports[@]}"; do
    until_true "the Sentinel on port $port" "$sentinel_pid" "$folder/sentinel-$port.log" sentinel_knows_all "$port"
done

usual_port 8380
http_port=$port
usual_port 6379
forward_port=$port
sentinel_options=()
for port in "${sentinel_ports[@]}"; do
    sentinel_options+=(--sentinel "127.0.0.1:$port")
done
base=http://127.0.0.1:$http_port
curl=curl
listen=127.0.0.1:$http_port
if [ -n "${TLS:-}" ]; then
    base=https://127.0.0.1:$http_port
    curl="curl --cacert $folder/ca.crt"
    listen+=,tls
fi
start bellwether "$bellwether" "${sentinel_options[@]}" --listen "$listen" "${tls_options[@]}" --redis-api loopback \
    --forward "127.0.0.1:$forward_port"
bellwether_pid=$pid
until_true bellwether "$bellwether_pid" "$folder/bellwether.log" $curl -fsS --max-time 2 "$base/readyz"

# How a node is brought back: in the background, so that this script ends it, too.
bring_back() {
    echo "redis-server $folder/redis-${node_ports[$1]}/redis.conf --daemonize yes"
}

cat <<TEXT

bellwether (pid $bellwether_pid) watches three Sentinels, a Redis master and two replicas.
  Sentinels   ${sentinel_ports[*]}
  Redis       ${node_ports[0]} (master, pid ${node_pids[0]}), ${node_ports[1]} (pid ${node_pids[1]}), ${node_ports[2]} (pid ${node_pids[2]})

In a second terminal, ask:

  $curl '$base/master?pretty=1'
  $curl '$base/sentinels?pretty=1'
  $curl '$base/replicas?pretty=1'
  while sleep 0.2; do $curl -s '$base/master?format=text'; done

run commands, and watch them go on through a failover:

  $curl $base/redis -d '["SET","greeting","hello"]'
  $curl $base/redis/get/greeting
  while sleep 0.1; do $curl -s $base/redis -d '["INCR","n"]'; done

or let whatever speaks Redis connect to the forward, which leads to the master, before a failover and after it${TLS:+ (in plain here, and in TLS from there on)}:

  redis-cli -p $forward_port SET greeting "hello again"

or open the page, which shows all of it as it happens${TLS:+ (the browser does not know who issued its certificate, and warns)}:

  $base/

Kill the master, and see the new one within some three seconds:

  kill -9 ${node_pids[0]}

bring that node back, as a replica of the new one:

  $(bring_back 0)

and see a planned failover, and what became of both:

  ${cli[*]} -p ${sentinel_ports[0]} SENTINEL FAILOVER mymaster
  $curl '$base/failovers?format=text'

Ctrl-C ends it all. What bellwether logs from here on:

TEXT

tail -n 0 -f "$folder/bellwether.log" &
pids+=("$!")
disown "$!"

# An interrupt that only make got it passes on to nobody, and waits: see it by its handler being gone.
make_pid=${2:-}
make_is_interrupted() {
    local caught
    [ -n "$make_pid" ] || return 1
    caught=$(awk '/^SigCgt:/ { print $2 }' "/proc/$make_pid/status" 2>/dev/null)
    [ -z "$caught" ] || ! ((0x$caught & 2))
}
! make_is_interrupted || make_pid='' # it never caught interrupts, so that says nothing

# Nodes and Sentinels may die, that is what they are here for; bellwether may not.
while is_ours "$bellwether_pid"; do
    ! make_is_interrupted || exit 0
    for i in "${!node_ports[@]}"; do
        if [ -z "${node_pids[i]}" ]; then
            pid=$(cat "$folder/redis-${node_ports[i]}/pid" 2>/dev/null)
            ! is_ours "${pid:-none}" || {
                echo "demo: the Redis node on port ${node_ports[i]} is back (pid $pid)"
                node_pids[i]=$pid
            }
        elif ! is_ours "${node_pids[i]}"; then
            echo "demo: the Redis node on port ${node_ports[i]} (pid ${node_pids[i]}) is gone; to bring it back: $(bring_back "$i")"
            node_pids[i]=''
        fi
    done
    sleep 0.3
done
fail "bellwether ended unexpectedly" "$folder/bellwether.log"
