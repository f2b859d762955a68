#!/bin/sh
# Print a C file that holds a file's bytes: embed.sh NAME FILE HEADER. A FILE that isn't there gives an empty array.
set -eu
[ -e "$2" ] || set -- "$1" /dev/null "$3"
printf '/* Written by deploy/build/embed.sh. */\n#include "%s"\n\nconst char %s[] = {\n' "$3" "$1"
od -An -v -tx1 "$2" | sed -e "s/ \([0-9a-f][0-9a-f]\)/'\\\\x\1', /g"
# The zero at the end is not counted: the array can be read as a string too.
printf "'\\\\0'};\nconst size_t %s_size = sizeof %s - 1;\n" "$1" "$1"
