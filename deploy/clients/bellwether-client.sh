#!/usr/bin/env bash
# Who is the master? Asked of bellwether with bash and curl.
#
#     bellwether-client.sh [ask|wait|follow [URL [NAME]]]
#
# `ask` prints the address once, `wait` follows it with long polls, `follow` with the stream of events.
set -u
readonly mode=${1-ask} base=${2:-http://127.0.0.1:8380} name=${3:-mymaster}
current='' last_id='' retry_after=0
if [[ $# -gt 3 || ! $mode =~ ^(ask|wait|follow)$ ]]; then
    echo "usage: bellwether-client.sh [ask|wait|follow [URL [NAME]]]" >&2
    exit 2
fi

# A proxy would cut what waits. 45 s of silence end a request: over the 30 of a wait, and the 15 at which a silent
# stream sends a comment.
get() {
    curl -sS --noproxy '*' --connect-timeout 2 --speed-limit 1 --speed-time 45 "$@"
}

# Here your Redis client would connect anew. Empty: there is no master now.
tell() {
    [ -z "$1" ] || [ "$1" = "$current" ] || printf '%s\n' "$1"
    [ -z "$1" ] || [ "$mode" != ask ] || exit 0
    current=$1
}

# Each answer comes when something about the master has changed, or the daemon was started again.
wait_for_changes() {
    local query='' last answer index instance
    while answer=$(get -i "$base/masters/$name?format=text$query"); do
        # What has no index is a limit, or a name that nobody knows yet.
        [[ $answer =~ [Xx]-[Bb]ellwether-[Ii]ndex:\ ([0-9]+) ]] || break
        index=${BASH_REMATCH[1]}
        [[ $answer =~ [Xx]-[Bb]ellwether-[Ii]nstance:\ ([0-9a-f]+) ]] && instance=${BASH_REMATCH[1]}
        case $answer in
        HTTP/*' 200 '*) tell "${answer##*$'\n'}" ;;
        *) tell '' ;;
        esac
        last=$query query="&wait=30s&index=$index&instance=$instance"
        [ "$query" != "$last" ] || sleep "0.$RANDOM" # nothing new, as when the daemon is about to stop: do not spin
    done
    [[ $answer =~ [Rr]etry-[Aa]fter:\ ([0-9]+) ]] && retry_after=${BASH_REMATCH[1]}
    echo "again soon: ${answer##*$'\n'}" >&2
}

# A stream that broke off goes on behind the last event that was seen. The members of a master stand in their order.
follow_events() {
    local line event=''
    while IFS= read -r line; do
        case $line in
        'id: '*) last_id=${line#id: } ;;
        'event: '*) event=${line#event: } ;;
        'data: '*)
            if [ "$event" != master ]; then
                continue
            elif [[ $line =~ \"state\":\"(ok|unverified)\" && $line =~ \"address\":\"([^\"]+)\" ]]; then
                tell "${BASH_REMATCH[1]}"
            else
                tell ''
            fi
            ;;
        esac
    done < <(get --no-buffer --fail --header "Last-Event-ID: $last_id" "$base/events?master=$name")
    wait $! || retry_after=1
    echo "again soon: the stream ended" >&2
}

# Again and again, with jitter: all clients lose a daemon at the same moment.
for ((failures = 1; ; failures = SECONDS - began > 5 ? 1 : failures < 5 ? failures + 1 : 5)); do
    began=$SECONDS
    if [ "$mode" = follow ]; then follow_events; else wait_for_changes; fi
    sleep "$((retry_after + failures * RANDOM / 32768)).$RANDOM"
    retry_after=0
done
