#!/usr/bin/env bash
# Do what deploy/Containerfile says, without a container engine: its first stage in a minimal Debian below /tmp, its last one
# in an empty folder; then run what came out of it as its user, and its health check. Takes minutes; needs root and debootstrap.
#
#   try-containerfile.sh [SUITE]
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=${1:-bookworm}

die() {
    echo "try-containerfile: $*" >&2
    exit 1
}

skip() {
    echo "try-containerfile: skipped: $*"
    exit 0
}

[ "$(id -u)" = 0 ] || skip "needs root"
command -v debootstrap >/dev/null || skip "needs debootstrap"
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(LABEL)' 'Created-By: Packages' |
    awk '$3 == "Debian" && $2 !~ /-/ { print $1; exit }')
[ -n "$mirror" ] || skip "apt knows no Debian archive"

work=$(mktemp -d)
daemon=
clean_up() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    ! mountpoint -q "$work/build/proc" || umount "$work/build/proc"
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT

debootstrap --variant=minbase "$suite" "$work/build" "$mirror" >"$work/log" 2>&1 || die "$(tail -n 1 "$work/log")"
mount -t proc proc "$work/build/proc"
cp /etc/resolv.conf "$work/build/etc/"
apt-config dump Acquire >"$work/build/etc/apt/apt.conf.d/99machine" # proxies and the like

sed -e '/^ *#/d' -e '/^ *$/d' deploy/Containerfile | sed -e ':a' -e '/\\$/N; s/\\\n */ /; ta' >"$work/lines"
root=$work/build folder=/ user= health= entry=
arguments=()
while read -r instruction rest; do
    echo "  $instruction $rest"
    case $instruction in
    FROM) [ "$rest" != scratch ] || { root=$work/image && mkdir "$root"; } ;;
    ARG) arguments+=("${rest%%=*}=$([[ $rest == *=* ]] && echo "${rest#*=}" || true)") ;;
    WORKDIR)
        folder=$rest
        mkdir -p "$root$folder"
        ;;
    COPY)
        case $rest in
        "--from=build "*)
            rest=${rest#* }
            cp -a "$work/build${rest% *}." "$root/"
            ;;
        *)
            mkdir -p "$root$folder"
            tar -c --exclude-from=<(sed -e 's|^\*\*/||' -e 's|^[^*]|./&|' .containerignore) "./${rest% *}" | tar -x -C "$root$folder"
            ;;
        esac
        ;;
    RUN)
        chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "${arguments[@]}" \
            sh -ec "cd $folder; $rest" >"$work/log" 2>&1 </dev/null || die "$(tail -n 5 "$work/log")"
        ;;
    USER) user=$rest ;;
    HEALTHCHECK) health=$(tr -d '[],"' <<<"${rest##* CMD }") ;;
    ENTRYPOINT) entry=$(tr -d '[],"' <<<"$rest") ;;
    esac
done <"$work/lines"

# In a network of its own, where the default port is free.
cat >"$work/serve" <<'EOF'
ip link set lo up
chroot --userspec="$2" "$1" $3 --sentinel 127.0.0.1:1 &
daemon=$!
for ((i = 0; i < 100; i++)); do
    chroot --userspec="$2" "$1" $4 && { kill $daemon; wait $daemon; exit; }
    sleep 0.1
done 2>"$1.err"
cat "$1.err" >&2
exit 1
EOF
unshare -n bash "$work/serve" "$root" "$user" "$entry" "$health" 2>"$work/log" || die "the health check fails: $(tail -n 3 "$work/log")"
echo "try-containerfile: $(find "$root" -type f | wc -l) files, $(du -sm --apparent-size "$root" | cut -f1) MB; it serves, and its health check passes"
