#!/usr/bin/env bash
# Build the Debian package of a release: deb.sh VERSION TARBALL FOLDER
#
# The release is unpacked beside its orig.tar.gz, deploy/debian becomes its debian/, and dpkg-buildpackage does the rest.
# Nothing is fetched: the static libraries are those that `make deps` has built here.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly version=$1 tarball=$2 folder=$3
readonly tree=$folder/bellwether-$version

rm -rf "$folder"
mkdir -p "$folder"
cp "$tarball" "$folder/bellwether_$version.orig.tar.gz"
tar -xf "$tarball" -C "$folder"
cp -r "$tree/deploy/debian" "$tree/debian"
deps=$PWD/build/deps
echo "  DEB     $folder (log: $folder/build.log)"
# What the make that called this was told is not meant for the package's.
(cd "$tree" && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CFLAGS -u LDFLAGS -u CC -u PREFIX -u DESTDIR BELLWETHER_DEPS="$deps" \
    dpkg-buildpackage --no-sign) >"$folder/build.log" 2>&1 </dev/null || {
    grep -m1 -E 'error:|\*\*\*|unmet' "$folder/build.log" >&2 || tail -n 3 "$folder/build.log" >&2
    echo "deb: dpkg-buildpackage failed; all that it said is in $folder/build.log" >&2
    exit 1
}
rm -rf "$tree"
ls "$folder"/*.deb
