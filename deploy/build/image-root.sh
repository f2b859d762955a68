#!/usr/bin/env bash
# Make the root of an image: the daemon, stripped, the libraries that it loads, CA certificates, and nothing else.
#
#   deploy/build/image-root.sh FOLDER [BINARY]      e.g. deploy/build/image-root.sh build/image-root
#
# FOLDER is made anew. For another machine's binary: STRIP its strip, SYSROOT where its libraries are, and QEMU the program
# that runs it here. CA_BUNDLE names the certificates in PEM, where they are not where distributions have them.
set -euo pipefail
umask 022
folder=${1:?usage: image-root.sh FOLDER [BINARY]} binary=${2:-build/bellwether} sysroot=${SYSROOT:-}

die() {
    echo "image-root: $*" >&2
    exit 1
}

[ -x "$binary" ] || die "there is no $binary; run make"
# What is there is only removed where it is a root that was made here, or nothing.
[ ! -e "$folder" ] || [ -x "$folder/usr/bin/bellwether" ] || rmdir "$folder" 2>/dev/null ||
    die "$folder is there, and no root that was made here"
for bundle in "${CA_BUNDLE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    [ ! -s "$bundle" ] || break
done
[ -s "$bundle" ] || die "no CA certificates here; install ca-certificates, or name a file in CA_BUNDLE"

rm -rf "$folder"
install -D -m 755 "$binary" "$folder/usr/bin/bellwether"
"${STRIP:-strip}" "$folder/usr/bin/bellwether"

# Whoever is started this way does not run, but tells what it would load. A static binary has no loader that does.
loader=$(LC_ALL=C readelf -l "$binary" | sed -nE 's/.*program interpreter: (.*)\]$/\1/p')
libraries=()
if [ -n "$loader" ]; then
    if [ -n "${QEMU:-}" ]; then
        loaded=$("$QEMU" -L "$sysroot" -E LD_TRACE_LOADED_OBJECTS=1 "$binary")
    else
        loaded=$(LD_TRACE_LOADED_OBJECTS=1 "$binary")
    fi
    ! grep -q 'not found' <<<"$loaded" || die "$binary lacks libraries: $(grep 'not found' <<<"$loaded")"
    mapfile -t libraries < <(awk '$2 == "=>" && $3 ~ "^/" { print $3 }' <<<"$loaded")
    # All into libc's folder: each loader looks into that without being told.
    home=$(dirname "$(printf '%s\n' "${libraries[@]}" | grep '/libc\.so')")
    install -D -m 755 "$sysroot$loader" "$folder$loader"
    install -d "$folder$home"
    for library in "${libraries[@]}"; do
        install -m 644 "$sysroot$library" "$folder$home/"
    done
fi

# Where OpenSSL looks for what the system trusts.
directory=
for file in "$binary" "${libraries[@]}"; do
    [[ $file == "$binary" || $file == */libcrypto.* ]] || continue
    [ "$file" = "$binary" ] || file=$folder$home/$(basename "$file")
    directory=$(LC_ALL=C grep -aoE 'OPENSSLDIR: "[^"]+"' "$file" | cut -d'"' -f2) || true
    [ -z "$directory" ] || break
done
[ -n "$directory" ] || die "cannot tell where OpenSSL looks for CA certificates"
install -D -m 644 "$bundle" "$folder$directory/cert.pem"

[ -z "${SOURCE_DATE_EPOCH:-}" ] || find "$folder" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
echo "$folder: $(du -sk --apparent-size "$folder" | cut -f1) KiB, of which the daemon takes $(($(stat -c %s "$folder/usr/bin/bellwether") / 1024))"
