#!/usr/bin/env bash
# Pack a release: dist.sh VERSION TARBALL
#
# Of a clone what HEAD has, of an unpacked release what that has; the same bytes wherever it is done. Beside those files it
# holds .release: the second of the commit (or SOURCE_DATE_EPOCH), which all of them get, and their list.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."
readonly name=bellwether-$1 tarball=$2

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/$name"
if [ -s .release ]; then
    moment=$(head -n 1 .release)
    tail -n +2 .release | tar -cf - -T - | tar -xf - -C "$folder/$name"
elif [ -e .git ]; then
    moment=$(git log -1 --format=%ct)
    git archive HEAD | tar -xf - -C "$folder/$name"
    [ -z "$(git status --porcelain)" ] || echo "dist: HEAD is packed, without what is not committed" >&2
else
    echo "dist: this is neither a clone nor an unpacked release" >&2
    exit 1
fi
moment=${SOURCE_DATE_EPOCH:-$moment}
[[ $moment =~ ^[0-9]+$ ]] || {
    echo "dist: SOURCE_DATE_EPOCH is no count of seconds: $moment" >&2
    exit 1
}
files=$(cd "$folder/$name" && find . -type f -o -type l | sed 's|^\./||' | sort)
printf '%s\n' "$moment" "$files" >"$folder/$name/.release"

mkdir -p "$(dirname "$tarball")"
tar --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$moment" \
    -C "$folder" -cf - "$name" | gzip -n9 >"$tarball.new"
mv "$tarball.new" "$tarball"
echo "  DIST    $tarball"
