# redis-cli with RESP3, as somebody sits before it: one for all commands. Arguments: MODE PORT NAME.
mode=$1 port=$2 name=$3
coproc cli { exec redis-cli -3 -p "$port" 2>&1; }
trap 'kill "$cli_PID"' EXIT

ask() {
    echo "$1" >&"${cli[1]}" && read -r reply <&"${cli[0]}" || exit
    [[ $reply =~ ^[0-9]+$ ]] && return
    echo "{\"failed\":\"$reply\"}"
    sleep 0.02
    return 1
}

for ((n = 0; ; n++)); do
    case $mode$((n % 2)) in
    write0) ask "SADD $name:set $n" && ask "INCR $name:count" && echo "{\"did\":\"add\",\"n\":$n}" ;;
    write1) ask "RPUSH $name:queue $n" && echo "{\"did\":\"push\",\"n\":$n}" ;;
    pop*) ask "BLMOVE $name:queue $name:done LEFT RIGHT 0" && echo "{\"popped\":\"$reply\"}" && continue ;;
    esac
    sleep 0.02
done
