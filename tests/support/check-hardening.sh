#!/usr/bin/env bash
# Whether what was linked is hardened as the Makefile and deploy/build/deps.sh mean it: check-hardening.sh BINARY LIBRARY...
# The libraries are those that were built here; one of the system's is the system's business.
set -euo pipefail
export LC_ALL=C
binary=$1
shift
failed=0

# What has to be (or with `!` must not be) in what a command says, and what it means when it is not so.
expect() {
    local wanted=$1 words=$2 found=yes
    shift 2
    "$@" 2>/dev/null | grep -E -- "${wanted#!}" >/dev/null || found=no
    if [[ $wanted == !* ]]; then
        [ $found = no ] || { echo "hardening: $words" >&2 && failed=1; }
    else
        [ $found = yes ] || { echo "hardening: $words" >&2 && failed=1; }
    fi
}

expect 'Type: +DYN' "$binary is not position independent" readelf -hW "$binary"
expect 'FLAGS_1.*\bPIE\b' "$binary is not a PIE" readelf -dW "$binary"
expect 'BIND_NOW|FLAGS_1.*\bNOW\b' "$binary binds lazily" readelf -dW "$binary"
expect 'GNU_RELRO' "$binary has no RELRO" readelf -lW "$binary"
expect 'GNU_STACK .* RW ' "$binary has no stack that is not executable" readelf -lW "$binary"
expect '!GNU_STACK .* RWE ' "$binary has an executable stack" readelf -lW "$binary"
expect '__stack_chk_fail' "$binary has no stack protector" readelf -sW "$binary"
expect '__[a-z]+_chk\b' "$binary is not fortified" readelf -sW "$binary"
for library; do
    [ -e "$library" ] || continue
    expect '__stack_chk_fail' "$library has no stack protector: make deps" readelf -sW "$library"
    expect '__(memcpy|memmove|memset|read|recv|snprintf|vsnprintf|sprintf|strcpy)_chk\b' \
        "$library is not fortified: make deps" readelf -sW "$library"
done
exit "$failed"
