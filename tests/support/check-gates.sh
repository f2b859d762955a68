#!/usr/bin/env bash
# Who may include whom, and what nobody may call. Prints every violation, one line each.
set -euo pipefail
cd "$(dirname "$0")/../.."
shopt -s nullglob
failed=0

complain() {
    echo "gate: $*" >&2
    failed=1
}

# A library's header and the files (extended regular expression) that may include it.
library_gate() {
    local header=$1 allowed=$2 hit
    while IFS= read -r hit; do
        [[ ${hit%%:*} =~ ^($allowed)$ ]] || complain "${hit%%:*} includes $header; only $allowed may"
    done < <(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($header)[>\"]" src include --include='*.[ch]' || true)
}

library_gate 'microhttpd\.h' '(src|include/bellwether)/http/.*'
library_gate 'gnutls/.*' 'src/http/server/(server_tls|tls_session|forward_tls|listener|versions)\.[ch]'
library_gate '(hiredis/)?(async|hiredis_ssl)\.h' 'nothing'
library_gate 'openssl/.*' '(src|include/bellwether)/base/.*|src/redis/(redis_tls|tls_ciphers|tls_link|tls_load|tls_peer|tls_words|json_text)\.[ch]|src/http/server/(access|versions)\.c|src/daemon/probe\.c'
library_gate 'uv\.h' 'src/base/loop/.*'
library_gate 'jansson\.h' '(src|include/bellwether)/http/.*|src/daemon/(main|once)\.c'
library_gate 'ini\.h' 'src/config/.*'
library_gate 'criterion/.*' 'tests/.*'
library_gate 'systemd/.*' 'nothing'

# Rooms: what a file of a room may include of the project, beside its own room.
room_gate() {
    local room=$1 allowed=$2 hit file header
    while IFS= read -r hit; do
        file=${hit%%:*}
        header=${hit#*\"}
        header=${header%%\"*}
        [[ ${header#bellwether/} =~ ^($room/|$allowed) || $header != */* || $header == ../* ]] ||
            complain "$file includes $header; room $room may not"
        [[ $header == bellwether/* || $header == $room/* || $header != */* ]] ||
            complain "$file includes $header, which is its room's own"
    done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "src/$room" "include/bellwether/$room" \
        --include='*.[ch]' 2>/dev/null || true)
}

room_gate base '-'
room_gate metrics 'base/'
room_gate topology 'base/'
room_gate redis '(base|metrics|topology)/'
room_gate sentinel '(base|redis)/'
room_gate watcher '(base|metrics|topology|redis|sentinel)/'
room_gate commands '(base|metrics|topology|redis)/'
room_gate forward '(base|metrics|topology|redis)/'
room_gate http '(base|metrics|topology|commands|redis|forward)/'

# Folders of room http: routes may include all, server and render nothing of the others.
folder_gate() {
    local folder=$1 forbidden=$2 hit
    while IFS= read -r hit; do
        hit=${hit%\"*}
        complain "${hit%%:*} includes ${hit#*\"}, which is above it"
    done < <(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*\"([./]*|http/)($forbidden)/" "src/http/$folder" \
        --include='*.[ch]' || true)
}

folder_gate render 'server|routes'
folder_gate server 'render|routes'
for folder in src/*/ include/bellwether/*/; do
    case $(basename "$folder") in
    base | metrics | topology | redis | sentinel | watcher | commands | forward | http | config | daemon) ;;
    *) complain "$folder is a room that no gate knows" ;;
    esac
done

# Functions with a better replacement; comments are stripped first.
forbidden='atoi|atol|atoll|atof|strcpy|strcat|stpcpy|sprintf|vsprintf|gets|strtok|alloca|tmpnam|mktemp|rand|srand'
forbidden+='|gmtime|localtime|ctime|asctime|gethostbyname|gethostbyaddr|inet_addr|inet_ntoa|system|popen|usleep|redisCommand|redisConnect'
while IFS= read -r file; do
    while IFS= read -r line; do
        complain "$file calls a forbidden function: $(sed 's/^[[:space:]]*//' <<<"$line")"
    done < <(gcc -fpreprocessed -dD -E -P -x c "$file" 2>/dev/null | sed 's/"\([^"\\]\|\\.\)*"/""/g' |
        grep -E "(^|[^A-Za-z0-9_.>])($forbidden)[[:space:]]*\(" || true)
done < <(find src -name '*.[ch]')

# The dialect, where the formatter can't hold it. A line is longer than 100 characters only where a string has to be.
dialect_gate() {
    local words=$1 pattern=$2 line
    while IFS= read -r line; do
        complain "$words: $line"
    done < <(grep -rnE "$pattern" src include tests --include='*.[ch]' || true)
}

export LC_ALL=C.UTF-8
dialect_gate 'write !p' '[=]= NULL'
dialect_gate 'write sizeof(x)' '\<sizeof [^(]'
dialect_gate 'write /* ---- part ---- */' '/\* -(--?|-{4,}) '
dialect_gate 'longer than 100 characters' '^[^"]{101,}$'
while IFS= read -r file; do
    guard=${file#include/bellwether/}
    guard=${guard#src/}
    guard=BELLWETHER_$(tr -c 'A-Za-z0-9\n' _ <<<"$guard" | tr a-z A-Z)
    grep -q "^#ifndef $guard\$" "$file" || ! grep -q '^#ifndef .*_H$' "$file" || complain "$file is guarded by $guard"
done < <(find src include tests -name '*.h')

# One guess finds a file: no name is twice in src.
while IFS= read -r name; do
    complain "src has more than one $name"
done < <(find src -name '*.[ch]' -printf '%f\n' | sort | uniq -d)

exit "$failed"
