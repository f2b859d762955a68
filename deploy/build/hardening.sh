#!/usr/bin/env bash
# Print the hardening flags that a compiler takes, for our own files and for the libraries that `make deps` builds.
#
#   deploy/build/hardening.sh CC...     e.g. deploy/build/hardening.sh gcc; deploy/build/hardening.sh ccache clang
set -euo pipefail

compiles() {
    printf '#include <stdlib.h>\nint main(void) { return abs(0); }\n' |
        "${compiler[@]}" -O2 -Werror "$@" -x c -c -o /dev/null - >/dev/null 2>&1
}

compiler=("${@:-gcc}")
flags=(-fstack-protector-strong -fstack-clash-protection)
case $(uname -m) in
x86_64 | i?86) flags+=(-fcf-protection) ;;
esac
# Some compilers define it already, and glibc before 2.34 warns of the 3.
fortify=(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
compiles "${fortify[@]}" || fortify=(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)

taken=()
if compiles "${flags[@]}"; then
    taken=("${flags[@]}")
else
    for flag in "${flags[@]}"; do
        ! compiles "$flag" || taken+=("$flag")
    done
fi
echo "${taken[@]}" "${fortify[@]}"
