#!/usr/bin/env bash
# Print compile_commands.json: compile-commands.sh 'CC FLAGS' FILE...
set -eu
escape() { sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' <<<"$1"; }
command=$(escape "$1")
directory=$(escape "$PWD")
shift
separator='['
for file; do
    printf '%s\n{"directory": "%s", "file": "%s", "command": "%s -c %s"}' "$separator" "$directory" "$file" "$command" "$file"
    separator=','
done
[ "$separator" = , ] && printf '\n]\n' || printf '[]\n'
