#!/usr/bin/env bash
# Put the status page together: embed-page.sh FOLDER OUT makes OUT.head and OUT.tail, between which the text of /status
# goes, and OUT.policy, the Content-Security-Policy that names the hashes of its style and script.
set -euo pipefail
readonly folder=$1 out=$2

# The contents of <style> and <script>, as they will stand in the page: a hash covers every byte of them.
css=$(<"$folder/page.css")
js=$(cat "$folder/words.js" "$folder/page.js")
html=$(<"$folder/page.html")

# `sha256-` and the digest in base64.
hash_of() {
    local hex
    hex=$(printf %s "$1" | sha256sum)
    printf 'sha256-%s' "$(printf '%b' "$(sed 's/../\\x&/g' <<<"${hex%% *}")" | base64 -w0)"
}

for marker in @CSS@ @TEXT@ @JS@; do
    [[ $html == *"$marker"* ]] || {
        echo "embed-page: $folder/page.html lacks $marker" >&2
        exit 1
    }
done
if [[ ${css,,} == *'</style'* || ${js,,} == *'</script'* || $js == *'<!--'* ]]; then
    echo "embed-page: the style or the script would end early" >&2
    exit 1
fi

before=${html%%@TEXT@*}
after=${html#*@TEXT@}
printf '%s%s%s' "${before%%@CSS@*}" "$css" "${before#*@CSS@}" >"$out.head"
printf '%s%s%s\n' "${after%%@JS@*}" "$js" "${after#*@JS@}" >"$out.tail"
printf "default-src 'none'; script-src '%s'; style-src '%s'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'" \
    "$(hash_of "$js")" "$(hash_of "$css")" >"$out.policy"
