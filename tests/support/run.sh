#!/usr/bin/env bash
# Run what the Makefile built:
#
#   run.sh unit FOLDER JOBS           the unit and sim tests of a build folder
#   run.sh integration FOLDER JOBS BINARY
#                                     the integration tests against the daemon of a build folder, then every
#                                     HTTP exchange that they recorded against openapi.yaml
#   run.sh clients FOLDER             the tests with clients of others, against the daemon of a build folder
#   run.sh valgrind FOLDER JOBS BINARY
#                                     memcheck over the unit tests of what speaks to Redis, and over the daemon while
#                                     the integration tests of commands in a failover drive it
#   run.sh fuzz FOLDER SECONDS TARGET...      FUZZ_SEED: not another one each time
#
# valgrind takes other patterns of tests than its own from MEMCHECK_UNIT and MEMCHECK_INTEGRATION.
# Arguments for Criterion can be given in TEST_FLAGS, e.g. TEST_FLAGS='--filter=failover/*'. What hangs is ended after a
# time that no machine needs, or after TEST_SECONDS.
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=$1 folder=$2
shift 2

# Sanitizers report into files: Criterion ignores what a test's process finds at its exit (leaks), and
# what a daemon writes goes into the log of the test that started it.
reports=$PWD/$folder/sanitizer
if [ "$mode" != fuzz ]; then
    rm -rf "$reports"
    mkdir -p "$reports"
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:log_path=$reports/report
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$reports/report
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:log_path=$reports/report:suppressions=$PWD/tests/support/tsan/suppressions
fi

# Whether all that this report complains of are leaks that Criterion itself allocated. (A suppression of the leak
# sanitizer would not do: it looks at whole stacks, and every test is called by Criterion.)
criterions_own() {
    awk 'BEGIN { RS = "" }
        /^=+\n==[0-9]+==ERROR: LeakSanitizer: detected memory leaks$/ { next }
        /^(Direct|Indirect) leak of [^\n]*\n *#0 [^\n]*\n *#1 [^\n]*\/libcriterion\.so/ { own++; next }
        /^SUMMARY: AddressSanitizer: [0-9]+ byte\(s\) leaked in [^\n]*$/ { next }
        { others++ }
        END { exit !(own && !others) }' "$1"
}

# Print the reports; fail when there are any.
no_reports() {
    local report found=0
    for report in "$reports"/*; do
        [ -s "$report" ] || continue
        [ "$mode" != unit ] || ! criterions_own "$report" || continue
        cat "$report"
        found=1
    done
    return $found
}

# The thread sanitizer of older compilers can't live with many bits of address space randomisation.
wrapper=()
if [[ $folder == *tsan* ]] && [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)" -gt 28 ] &&
    setarch "$(uname -m)" -R true 2>/dev/null; then
    wrapper=(setarch "$(uname -m)" -R)
fi

# Run a command in a process group of its own, for so many seconds at most. Whatever ended it, what is left of the group
# goes with it.
bounded() {
    local seconds=${TEST_SECONDS:-$1} began=$SECONDS status=0 group
    shift
    # Before it is started, as a signal may come right behind that.
    trap 'group=${!:-}; [ -z "$group" ] || { kill "$group"; wait "$group" || true; kill -KILL -- "-$group" 2>/dev/null; }; exit 1' INT TERM
    timeout --kill-after=10 "$seconds" "$@" </dev/null &
    group=$!
    wait "$group" || status=$?
    trap - INT TERM
    kill -KILL -- "-$group" 2>/dev/null || true
    [ "$status" = 0 ] || [ $((SECONDS - began)) -lt "$seconds" ] ||
        echo "run.sh: $mode: not done within $seconds s, so it was ended: $*"
    return "$status"
}

case $mode in
unit)
    status=0
    echo "  TEST    $folder/test-unit"
    ASAN_OPTIONS=$ASAN_OPTIONS:exitcode=0 # the reports decide: see criterions_own()
    # shellcheck disable=SC2086
    bounded 1800 "${wrapper[@]}" "$folder/test-unit" --jobs="$1" ${TEST_FLAGS:-} || status=$?
    no_reports || status=1
    exit "$status"
    ;;
integration)
    echo "  TEST    $2 with $folder/bellwether"
    export BELLWETHER=$PWD/$folder/bellwether EXCHANGES=$PWD/$folder/exchanges.jsonl
    : >"$EXCHANGES"
    [[ $folder != *san* ]] || export TEST_PATIENCE=${TEST_PATIENCE:-3}
    # Criterion's summary is to be the last line, so it is held back while the exchanges are validated.
    summary=$folder/integration-summary status=0
    : >"$summary"
    exec 3> >(
        while IFS= read -r line || [ -n "$line" ]; do
            if [[ $line == *Synthesis:* ]]; then
                printf '%s\n' "$line" >"$summary"
            else
                printf '%s\n' "$line"
            fi
        done
    )
    filter=$!
    # shellcheck disable=SC2086
    bounded 3600 "${wrapper[@]}" "$2" --jobs="$1" ${TEST_FLAGS:-} >&3 2>&1 || status=$?
    exec 3>&-
    wait "$filter"
    no_reports || status=1
    node tests/support/validate.mjs openapi.yaml "$EXCHANGES" || status=1
    [ -s "$EXCHANGES" ] || [ -n "${TEST_FLAGS:-}" ] || {
        echo "run.sh: no test recorded an HTTP exchange"
        status=1
    }
    cat "$summary"
    exit "$status"
    ;;
valgrind)
    status=0
    # Only what is found goes into the reports, without what threads that still look up a name hold; a forked child goes
    # on being looked at. Each test is a process of its own.
    memcheck=(valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect
        --errors-for-leak-kinds=definite,indirect "--suppressions=$PWD/tests/support/valgrind.supp" --num-callers=24 --child-silent-after-fork=no
        "--log-file=$reports/memcheck.%p")
    # Left out are two that measure parts of a second.
    unit='@(pool_scan|redis*|commands|http_commands*|policy|settle)/*'
    unit="@(pool/!(a_silent_peer_makes*|refused_while_resting*)|$unit)"
    echo "  MEMCHECK $folder/test-unit"
    bounded 1200 "${memcheck[@]}" --trace-children=yes "$folder/test-unit" --jobs="$1" \
        --filter="${MEMCHECK_UNIT:-$unit}" || status=$?
    echo "  MEMCHECK $folder/bellwether"
    export BELLWETHER=$PWD/$folder/memcheck TEST_PATIENCE=${TEST_PATIENCE:-5} EXCHANGES=$PWD/$folder/exchanges.jsonl
    printf '#!/bin/sh\nexec %s "$@"\n' "${memcheck[*]@Q} ${PWD@Q}/$folder/bellwether" >"$BELLWETHER"
    chmod +x "$BELLWETHER"
    bounded 1200 "$2" --jobs="$1" --filter="${MEMCHECK_INTEGRATION:-integration_commands_failover/@(manual|kill_nine)}" ||
        status=$?
    no_reports || status=1
    exit "$status"
    ;;
clients)
    status=0
    echo "  TEST    tests/clients with $folder/bellwether"
    export BELLWETHER=$PWD/$folder/bellwether
    [[ $folder != *san* ]] || export TEST_PATIENCE=${TEST_PATIENCE:-3}
    bounded 3600 node --test --test-concurrency=1 --test-reporter=spec tests/clients/*.test.mjs || status=$?
    no_reports || status=1
    exit "$status"
    ;;
fuzz)
    seconds=$1
    shift
    fuzz_one() {
        local target=$1 name corpora
        name=$(basename "$target")
        mkdir -p "$folder/corpus/$name"
        corpora=("$folder/corpus/$name")
        [ ! -d "tests/fuzz/corpus/$name" ] || corpora+=("tests/fuzz/corpus/$name")
        if bounded $((2 * seconds + 300)) "$target" -max_total_time="$seconds" -seed="${FUZZ_SEED:-0}" -max_len=4096 -timeout=10 \
            -rss_limit_mb=1024 -verbosity=0 -artifact_prefix="$folder/$name-" "${corpora[@]}" \
            >"$folder/$name.log" 2>&1; then
            echo "  FUZZ    $name: nothing in $seconds s"
        else
            cat "$folder/$name.log"
            echo "fuzz: $name failed; the input is below $folder/$name-"
            touch "$folder/$name.failed"
            return 1
        fi
    }
    # Again as the last words: of a long output the end is what is kept.
    say_findings() {
        local failed
        for failed in "$folder"/*.failed; do
            [ -e "$failed" ] || continue
            echo "fuzz: $(basename "$failed" .failed):"
            grep -aE '^at -?[0-9]+ ms: |ERROR: |runtime error: |^    #[0-9]|^SUMMARY: |^Base64: ' "${failed%.failed}.log" |
                cut -c 1-1000 | head -n 30
        done
    }
    rm -f "$folder"/*.failed
    failed=0 running=0
    # shellcheck disable=SC2046
    trap 'kill $(jobs -p); wait || true; exit 1' INT TERM
    for target; do
        if [ "$running" -ge "$(nproc)" ]; then
            wait -n || failed=1
            running=$((running - 1))
        fi
        fuzz_one "$target" &
        running=$((running + 1))
    done
    while [ "$running" -gt 0 ]; do
        wait -n || failed=1
        running=$((running - 1))
    done
    say_findings
    exit "$failed"
    ;;
*)
    echo "run.sh: unknown mode $mode" >&2
    exit 2
    ;;
esac
