#!/usr/bin/env bash
# Whether whatever has a version has the Makefile's: check-version.sh [TREE]
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
failed=0

version=$(sed -n 's/^VERSION := //p' Makefile)
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || {
    echo "version: the Makefile's is no version: $version" >&2
    exit 1
}

# expect FILE WHAT VERSION: that it is the one.
expect() {
    [ "$3" = "$version" ] || {
        echo "version: $1: $2 is ${3:-missing}, the Makefile's is $version" >&2
        failed=1
    }
}

expect deploy/debian/changelog "the newest entry" "$(sed -nE '1s/^bellwether \((.*)-[0-9]+\) .*/\1/p' deploy/debian/changelog)"
spec=deploy/rpm/bellwether.spec
expect $spec Version "$(sed -nE 's/^Version: +//p' $spec)"
expect $spec "the newest entry" "$(sed -nE '/^%changelog/{n;s/.* - (.*)-[0-9]+$/\1/p}' $spec)"
expect openapi.yaml info.version "$(sed -nE '/^info:/,/^[a-z]/s/^  version: //p' openapi.yaml)"
expect openapi.yaml "the example of /version" "$(sed -nE 's/^ +example: \{version: ([^,]+), commit: .*/\1/p' openapi.yaml)"
chart=deploy/helm/bellwether/Chart.yaml
if [ -e $chart ]; then
    for key in version appVersion; do
        expect $chart $key "$(sed -nE "s/^$key: *\"?([^\" ]+)\"?.*/\1/p" $chart)"
    done
fi
exit $failed
