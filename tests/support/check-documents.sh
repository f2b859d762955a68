#!/usr/bin/env bash
# Whether README.md and the manual speak of what there is, and of all of it: check-documents.sh BELLWETHER MAN_PAGE
#
# MAN_PAGE is bellwether(1) as it was made. README.md stays short; every link leads somewhere; every file, route, query
# parameter, option, variable and metric that is named exists; every route is in both tables of them, every metric in its
# table, and every option in MAN_PAGE; the pages beside that have all that they are made of.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly lines_of_readme=300
readonly manual=deploy/man/bellwether-http.7.md
documents=(README.md deploy/man/*.md)
failed=0

complain() {
    echo "documents: $*" >&2
    failed=1
}

# one_of WORD FILE: whether a line of the file is the word.
one_of() {
    grep -qxF -- "$1" "$2"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

[ "$(wc -l <README.md)" -lt $lines_of_readme ] || complain "README.md has $lines_of_readme lines or more; move something to deploy/man"

# ---- links ----

# The anchors of a document: those that are written, and those that a forge gives headings.
anchors() {
    grep -oE '<a id="[^"]+">' "$1" | cut -d'"' -f2 || true
    awk '/^```/ { code = !code } !code && /^##* / { sub(/^#+ /, ""); print tolower($0) }' "$1" |
        sed -e 's/[^a-z0-9 _-]//g' -e 's/ /-/g'
}
for document in "${documents[@]}"; do
    while IFS= read -r link; do
        target=$document
        [ "${link%%#*}" = '' ] || target=$(dirname "$document")/${link%%#*}
        if [ ! -e "$target" ]; then
            complain "$document links to $link, which does not exist"
        elif [[ $link == *#* ]]; then
            anchors "$target" >"$folder/anchors"
            one_of "${link#*#}" "$folder/anchors" || complain "$document links to $link, and $target has no such heading"
        fi
    done < <(grep -oE '\]\([^)]+\)' "$document" | sed -e 's/^](//' -e 's/)$//' | grep -v '^https\?://' | sort -u)
done

# ---- files and targets ----

# What is written as code in the prose, one a line; and the same of what is fenced.
spans() {
    awk '/^```/ { code = !code; next } !code' "$1" | grep -oE '`[^`]+`' | tr -d '`' || true
}
fenced() {
    awk '/^```/ { code = !code; next } code' "$1"
}
for document in "${documents[@]}"; do
    while IFS= read -r file; do
        [ -e "$file" ] || complain "$document names the file $file, which does not exist"
    done < <(spans "$document" | grep -E '^((deploy|include|src|tests)/[^ ]+|[A-Za-z]+\.(md|yaml))$' | sort -u)
    while IFS= read -r target; do
        grep -qE "^$target:" Makefile || complain "$document names 'make $target', which the Makefile has not"
    done < <({ spans "$document" && fenced "$document"; } | sed -nE 's/^make ([a-z0-9-]+).*/\1/p' | sort -u)
done

# ---- routes and their parameters ----

sed -nE 's|^  (/[^ ]*):$|\1|p' openapi.yaml >"$folder/routes"
sed -E -e 's|\{arguments\}|.+|' -e 's|\{[a-z]+\}|[^/]+|g' -e 's|.*|^&$|' "$folder/routes" >"$folder/patterns"
sed -nE 's/^ +name: (.+)$/\1/p' openapi.yaml | sort -u >"$folder/parameters"
[ -s "$folder/routes" ] && [ -s "$folder/parameters" ] || complain "openapi.yaml was not understood"

for document in "${documents[@]}"; do
    { spans "$document" | grep -oE '(^|^[A-Z]+ )/[^ ]*' | sed 's/^[A-Z]* //' | grep -vE '^/(dev|etc|proc|run|usr)(/|$)' || true
        grep -oE "http://127\.0\.0\.1:8380/[^ '\"]*" "$document" | sed 's|^http://[^/]*||' || true
        grep -oE 'path: /[a-z]+' "$document" | sed 's/^path: //' || true
    } | sort -u >"$folder/named"
    while IFS= read -r route; do
        path=${route%%\?*}
        [ "$path" = / ] || path=${path%…}
        grep -qE -f "$folder/patterns" <<<"$path" || complain "$document names the route $path, which openapi.yaml has not"
    done <"$folder/named"
    while IFS= read -r parameter; do # in capitals: an argument of a command
        one_of "$parameter" "$folder/parameters" || complain "$document names the parameter $parameter, which openapi.yaml has not"
    done < <({ cat "$folder/named" && spans "$document"; } | grep -oE '[?&][a-z_]+' | tr -d '?&' | sort -u)
done

# /redis is the same below each of its prefixes, and is written once.
for document in README.md $manual; do
    spans "$document" | sort -u >"$folder/named"
    while IFS= read -r route; do
        one_of "$route" "$folder/named" || complain "$document does not name the route $route"
    done < <(sed -E -e 's|^(/masters/\{name\})?(/replica)?(/redis.*)$|\3|' -e 's|\{name\}|NAME|' -e 's|\{check\}|CHECK|' \
        -e 's|\{command\}/\{arguments\}|COMMAND/ARGUMENT…|' "$folder/routes" | sort -u)
done

# ---- options and variables ----

"$1" --help >"$folder/help"
grep -oE -- '(^|[^a-z-])--[a-z][a-z0-9-]*' "$folder/help" | grep -oE -- '--[a-z0-9-]+' | sort -u >"$folder/options"
[ -s "$folder/options" ] || complain "$1 --help names no option"
sed 's/\\-/-/g' "$2" | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u >"$folder/named"
while IFS= read -r option; do
    one_of "$option" "$folder/named" || complain "$2 does not name $option"
done <"$folder/options"
for document in "${documents[@]}"; do
    while IFS= read -r option; do
        one_of "$option" "$folder/options" || complain "$document names $option, which --help has not"
    done < <(grep -vE '^\$ curl ' "$document" | grep -oE -- '(^|[^a-z-])--[a-z][a-z0-9-]*' | grep -oE -- '--[a-z0-9-]+' | sort -u)
    while IFS= read -r variable; do
        option=${variable#BELLWETHER_}
        option=${option,,}
        one_of "--${option//_/-}" "$folder/options" || grep -qw "$variable" "$folder/help" ||
            complain "$document names $variable, which --help has not"
    done < <(grep -oE 'BELLWETHER_[A-Z_]+' "$document" | sort -u)
done

# ---- the manual as it was made ----

# Whatever a page writes as code is on the page that a terminal shows, blanks apart.
for document in deploy/man/*.md; do
    page=$(dirname "$2")/$(basename "$document" .md)
    mandoc -T utf8 -O width=1000 "$page" | LC_ALL=C.UTF-8 sed -e 's/.\x08//g' | tr -s ' \t\n' '   ' >"$folder/page"
    while IFS= read -r line; do
        grep -qF -- "$line" "$folder/page" || complain "$page lacks what $document has: $line"
    done < <({ spans "$document" && fenced "$document"; } | tr -s ' \t' '  ' | sed -e 's/^ //' -e 's/ $//' -e '/^$/d')
done

# ---- metrics ----

sed -nE 's/^ *X\([A-Z_]+, "(bellwether_[a-z_]+)".*/\1/p' include/bellwether/metrics/metric_list.h | sort -u >"$folder/metrics"
[ -s "$folder/metrics" ] || complain "include/bellwether/metrics/metric_list.h was not understood"
spans "$manual" | sed -E 's/\{.*//' | sort -u >"$folder/named"
while IFS= read -r metric; do
    one_of "${metric#bellwether_}" "$folder/named" || complain "$manual does not name $metric"
done <"$folder/metrics"
for document in "${documents[@]}"; do
    while IFS= read -r metric; do
        one_of "$metric" "$folder/metrics" || one_of "${metric%_sum}" "$folder/metrics" ||
            complain "$document names the metric $metric, which there is not"
    done < <(grep -oE '\bbellwether_[a-z_]+[a-z]' "$document" | sort -u)
done

exit "$failed"
