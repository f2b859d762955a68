#!/usr/bin/env bash
# Whether README.md and the manual speak of what there is, and of all of it: check-documents.sh BELLWETHER MAN_PAGE
#
# MAN_PAGE is bellwether(1) as it was made. README.md stays short; every link leads somewhere; every file, route, query
# parameter, option, variable and metric that is named exists; every route is in both tables of them, every metric in its
# table, and every option in MAN_PAGE; every problem and reason that the code has is in the tables of what to do, with all its
# parts; the pages beside MAN_PAGE have all that they are made of.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."
readonly lines_of_readme=300
readonly manual=deploy/man/bellwether-http.7.md
readonly troubles=deploy/man/bellwether-troubleshooting.7.md
documents=(README.md deploy/*.md deploy/man/*.md)
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

# ---- versions ----

version=$(sed -nE 's/^VERSION := //p' Makefile)
[ "$(sed -nE 's/^## ([^ ]+).*/\1/p' deploy/CHANGELOG.md | head -n 1)" = "$version" ] ||
    complain "deploy/CHANGELOG.md does not begin with version $version"

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
sed -E -e 's#\{(arguments|channels|patterns)\}#.+#' -e 's|\{[a-z:]+\}|[^/]+|g' -e 's|.*|^&$|' "$folder/routes" >"$folder/patterns"
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
    done < <(sed -E -e 's|^(/masters/\{name\})?(/replica)?(/redis.*)$|\3|' -e 's|\{name\}|NAME|' -e 's|\{check\}|CHECK|' -e 's|\{host:port\}|HOST:PORT|' \
        -e 's|\{command\}/\{arguments\}|COMMAND/ARGUMENT…|' -e 's|\{channels\}|CHANNEL…|' -e 's|\{patterns\}|PATTERN…|' "$folder/routes" | sort -u)
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

# ---- what to do about each problem and reason ----

# The words of a list of a header: list NAME FILE.
list() {
    sed -nE "/^#define $1\(X\)/,/[^\\\\]\$/p" "$2" | sed -nE 's/^ +X\([A-Z_]+, "([a-z_]+)"\).*/\1/p'
}
# The words that stand in C files behind what a pattern matches: literals PATTERN FILE...
literals() {
    local pattern=$1
    shift
    cat "$@" | tr -s '\n ' '  ' | grep -oE "($pattern) ?\"[a-z_0-9]+\"" | sed -E 's/.*"([a-z_0-9]+)"$/\1/'
}
values=include/bellwether/metrics/metric_list.h
sed -nE 's/^ +X\([A-Z_]+, "[A-Z]+", "([a-z-]+)".*/\1/p' src/http/server/problem.h >"$folder/slugs"
{
    list REASONS include/bellwether/topology/state.h
    list METRIC_SENTINEL_ERRORS $values | grep -vx other
    literals '\{|return|\?|:' src/http/routes/self.c
    literals '\?|:|show_why_not\(out,' src/watcher/self_node.c | grep -vxE 'yes|no'
    literals 'return' src/watcher/fence_driver.c
    literals '\?|:|return|=|heard,' src/topology/failover_log_feed.c src/topology/failover_log_story.c
} >"$folder/reasons"
literals 'why_not\([a-z]+,' src/watcher/snapshot_builder.c >"$folder/whys"
list METRIC_REJECTIONS $values >"$folder/rejections"
list METRIC_RETRIES $values >"$folder/retries"
list METRIC_FORWARD_ENDS $values >"$folder/ends"
for words in slugs reasons whys rejections retries ends; do
    [ "$(wc -l <"$folder/$words")" -ge 7 ] || complain "the $words in the code were not understood"
done
sort -u "$folder/slugs" <(sed 's/^/reason-/' "$folder/reasons") <(sed 's/^/why_not-/' "$folder/whys") \
    <(sed 's/^/rejected-/' "$folder/rejections") <(sed 's/^/retry-/' "$folder/retries") <(sed 's/^/closed-/' "$folder/ends") >"$folder/given"
# A row has its anchor, the same word as code, and all parts that its table has.
awk -F '|' '
    /^\|/ && !/<a id=/ && !/^\|-/ { parts = NF }
    /<a id=/ {
        anchor = word = $2
        sub(/^ <a id="/, "", anchor); sub(/".*/, "", anchor)
        gsub(/^[^`]*`|`.*$/, "", word)
        full = NF == parts && NF >= 6 && (anchor == word || anchor ~ "^[a-z_]+-" word "$")
        for (i = 2; i < NF; i++) { full = full && $i ~ /[^ ]/ }
        print anchor, full ? "full" : "wanting"
    }' $troubles | sort >"$folder/rows"
while IFS= read -r row; do
    complain "$troubles: the row ${row% *} lacks a part, or its anchor is another word's"
done < <(grep ' wanting$' "$folder/rows")
while read -r slug status; do
    grep -qF "\`$slug\` | $status |" $troubles || complain "$troubles: $slug is $status"
done < <(sed -nE 's/^ +X\([A-Z_]+, "[A-Z]+", "([a-z-]+)", ([0-9]+).*/\1 \2/p' src/http/server/problem.h)
while IFS= read -r given; do
    complain "$troubles has no row $given, which the code can give"
done < <(comm -23 "$folder/given" <(cut -d " " -f 1 "$folder/rows" | sort -u))
while IFS= read -r row; do
    complain "$troubles has a row $row, which the code never gives, or has it twice"
done < <({ cut -d ' ' -f 1 "$folder/rows" | sort -u | comm -13 "$folder/given" - && cut -d ' ' -f 1 "$folder/rows" | uniq -d; })

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
