#!/usr/bin/env bash
# Whether run.sh ends what hangs, with all that it started, says so and fails; and whether it can be ended itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath --relative-to=. "$(mktemp -d)")
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "check-run: $*" >&2
    exit 1
}

# A suite that never ends, with a child that hears no SIGTERM.
cat >"$folder/test-unit" <<'EOF'
#!/usr/bin/env bash
(trap '' TERM && exec sleep 1000) &
echo "$$ $!" >"$(dirname "$0")/started"
wait
EOF
chmod +x "$folder/test-unit"

are_gone() {
    local one i
    for one in $(cat "$folder/started"); do
        for ((i = 0; i < 100; i++)); do
            readlink "/proc/$one/exe" >/dev/null || continue 2 # nor a zombie that nobody took note of
            sleep 0.1
        done
        return 1
    done
}

for mode in unit integration fuzz; do
    case $mode in
    unit) arguments=(unit "$folder" 1) ;;
    integration) arguments=(integration "$folder" 1 "$folder/test-unit") ;;
    fuzz) arguments=(fuzz "$folder" 1 "$folder/test-unit") ;;
    esac
    rm -f "$folder/started"
    if TEST_SECONDS=1 tests/support/run.sh "${arguments[@]}" >"$folder/output" 2>&1; then
        fail "$mode: what hung has passed"
    fi
    grep -q "not done within 1 s" "$folder/output" || fail "$mode: it did not say that it hung: $(cat "$folder/output")"
    are_gone || fail "$mode: what hung is still there"

    rm -f "$folder/started"
    tests/support/run.sh "${arguments[@]}" >"$folder/output" 2>&1 &
    runner=$!
    for ((i = 0; i < 100; i++)); do
        [ ! -s "$folder/started" ] || break
        sleep 0.1
    done
    kill "$runner"
    if wait "$runner"; then
        fail "$mode: what was ended has passed"
    fi
    are_gone || fail "$mode: what it had started is still there"
done
