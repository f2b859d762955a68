#!/usr/bin/env bash
# Every option that --help names is explained in README.md: check-options.sh BELLWETHER README
set -euo pipefail
failed=0
[ -e "$2" ] || {
    echo "options: there is no $2" >&2
    exit 1
}
options=$("$1" --help | grep -oE -- '(^|[^a-z-])--[a-z][a-z0-9-]*' | grep -oE -- '--[a-z0-9-]+' | sort -u)
[ -n "$options" ] || {
    echo "options: $1 --help names none" >&2
    exit 1
}
for option in $options; do
    grep -qE -- "(^|[^a-z-])(--|\`)${option#--}([^a-z0-9-]|\$)" "$2" || {
        echo "options: $option is not in $2" >&2
        failed=1
    }
done
exit "$failed"
