#!/usr/bin/env bash
# Whether deploy/Containerfile is what it is meant to be: check-containerfile.sh BELLWETHER
#
# No engine is needed: instructions are known and come in two stages, the last one from scratch and filled by what
# `make image-root` makes, as a user by number; nothing is fetched or taken from a named registry; what is copied is there
# and not ignored; the health check asks by flags that the binary takes, where it listens by default.
set -euo pipefail
cd "$(dirname "$0")/../.."
file=${CONTAINERFILE:-deploy/Containerfile} binary=$1
failed=0

complain() {
    echo "containerfile: $*" >&2
    failed=1
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# One instruction a line: comments go, continued lines are joined.
sed -e '/^ *#/d' -e '/^ *$/d' "$file" | sed -e ':a' -e '/\\$/N; s/\\\n */ /; ta' >"$folder/lines"
words=$(awk '{ print $1 }' "$folder/lines" | sort -u)
for word in $words; do
    case $word in
    ARG | FROM | RUN | WORKDIR | COPY | LABEL | USER | EXPOSE | HEALTHCHECK | ENTRYPOINT) ;;
    ADD) complain "ADD fetches and unpacks; COPY does not" ;;
    *) complain "$word is no instruction that is known here" ;;
    esac
done

of() { # INSTRUCTION [FILE]: its arguments
    sed -nE "s/^$1 +//p" "${2:-$folder/lines}"
}

# ---- stages ----

[ "$(of FROM | wc -l)" = 2 ] || complain "there are two stages, one to build and one to ship"
[ "$(of FROM | tail -n 1)" = scratch ] || complain "the last stage is from scratch"
awk '/^FROM / { n++ } n == 2' "$folder/lines" >"$folder/last"
! grep -q '^RUN ' "$folder/last" || complain "there is nothing in the last stage that RUN could run"
of RUN | grep -q 'make image-root' || complain "the first stage runs make image-root"
[ "$(of COPY "$folder/last")" = '--from=build /src/build/image-root/ /' ] ||
    complain "the last stage is what make image-root has made"
while read -r image; do
    image=${image%% AS *}
    [[ $image == scratch || $image == '${BASE}' ]] || complain "FROM $image: it is named by ARG BASE"
done < <(of FROM)
base=$(of ARG | sed -n 's/^BASE=//p')
[[ $base == *:* && $base != *:latest ]] || complain "BASE=$base has no version"
[[ ${base%%:*} != */* ]] || complain "BASE=$base names a registry or somebody's account"
! grep -nE 'https?://[a-z]|curl|wget' <(grep -v '127\.0\.0\.1' "$folder/lines" | sed 's|https?://\[||') ||
    complain "something is fetched from a named place"

# ---- arguments ----

of ARG | sed 's/=.*//' | sort -u >"$folder/arguments"
while read -r name; do
    grep -qx "$name" "$folder/arguments" || complain "\${$name} is no ARG"
done < <(grep -oE '\$\{[A-Z]+\}' "$folder/lines" | tr -d '${}' | sort -u)
while read -r name; do
    grep -qF "\${$name}" "$folder/lines" || complain "ARG $name is used by nobody"
done <"$folder/arguments"

# ---- what is copied ----

[ "$(readlink .dockerignore)" = .containerignore ] || complain ".dockerignore is a link to .containerignore"
while read -r source _; do
    [ -e "$source" ] || complain "COPY $source: it is not there"
    ! grep -qxF "${source%%/*}" .containerignore || complain "COPY $source: .containerignore leaves it out"
done < <(of COPY | grep -v '^--from')
for needed in Makefile src include deploy openapi.yaml; do
    ! grep -qxF "$needed" .containerignore || complain ".containerignore leaves out $needed, which make needs"
done
sed 's|^[^*]|/&|' .containerignore >"$folder/ignored"
[ ! -e .git ] || [ -z "$(git ls-files -c -i -X "$folder/ignored")" ] ||
    complain ".containerignore leaves out what git has: the image's version would say -dirty"
grep -qx build .containerignore || complain ".containerignore has to leave out build: what it was built on is another machine"

# ---- how it runs ----

[ "$(of USER "$folder/last")" = 65532:65532 ] || complain "USER is not 65532:65532, whom the manifests name, too"
of ENTRYPOINT "$folder/last" | grep -qx '\["/usr/bin/bellwether"\]' || complain "ENTRYPOINT is the daemon, without a shell"
for label in title description licenses version revision; do
    of LABEL "$folder/last" | grep -q "org\.opencontainers\.image\.$label=" || complain "the label $label is missing"
done
port=$("$binary" --print-config --sentinel x:1 | sed -nE 's/^listen = 127\.0\.0\.1:([0-9]+).*/\1/p')
[ "$(of EXPOSE "$folder/last")" = "$port" ] || complain "EXPOSE is not $port, where the daemon listens"
health=$(of HEALTHCHECK "$folder/last" | sed 's/.* CMD //')
mapfile -t command < <(node -e 'for (const word of JSON.parse(process.argv[1])) console.log(word)' "$health")
[ "${command[0]}" = /usr/bin/bellwether ] || complain "HEALTHCHECK runs ${command[0]}, which is not there"
[[ $health == *":$port/livez\""* ]] || complain "HEALTHCHECK does not ask /livez where the daemon listens: what else there is fails with Redis"
for flag in interval timeout start-period; do
    of HEALTHCHECK "$folder/last" | grep -qE -- "--$flag=[0-9]+s " || complain "HEALTHCHECK has no --$flag in seconds"
done
status=0
"$binary" "${command[@]:1}" --probe-timeout 1s >/dev/null 2>&1 || status=$?
[ "$status" -le 1 ] || complain "HEALTHCHECK's flags are refused: exit $status"

exit "$failed"
