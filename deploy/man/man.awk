# A page of this folder, Markdown, as man(7) roff:
#
#   awk -f deploy/man/man.awk -v version=0.1.0 -v date=2026-11-22 -v options=FILE [-v anchors=yes] PAGE.md
#
# Markdown, because a forge, a browser and a terminal show it as it is; awk, because every build has one. It knows what
# the pages use: headings, paragraphs, lists of one level, fenced code, tables, `code`, **bold**, *italic*, links. A table
# becomes a list whose tags are all columns but the last; one of four columns or more that all have a head is a list of the
# first column, with a line for each of the others, behind its head. `<!-- options -->` stands for the file `options`.
# roff has no anchors: with `anchors` each, of headings as well, is written as [[id:NAME]], for what makes HTML of it.

function prose(s) {
    gsub(/\\/, "\\e", s)
    gsub(/\^/, "\\(ha", s)
    gsub(/~/, "\\(ti", s)
    return s
}

function code(s) {
    s = prose(s)
    gsub(/-/, "\\-", s)
    gsub(/'/, "\\(aq", s)
    gsub(/`/, "\\(ga", s)
    return s
}

function mark(name) {
    return anchors == "" ? "" : "[[id:" code(name) "]]"
}

# The anchor that a forge gives a heading.
function slug(head) {
    head = tolower(head)
    gsub(/[^a-z0-9 _-]/, "", head)
    gsub(/ /, "-", head)
    return head
}

function inline(s,    out, token, label) {
    out = ""
    while (match(s, /`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*|\[[^]]+\]\([^)]*\)|<a id="[^"]*"><\/a>/)) {
        out = out prose(substr(s, 1, RSTART - 1))
        token = substr(s, RSTART, RLENGTH)
        s = substr(s, RSTART + RLENGTH)
        if (token ~ /^`/) {
            out = out "\\fB" code(substr(token, 2, length(token) - 2)) "\\fR"
        } else if (token ~ /^\*\*/) {
            out = out "\\fB" code(substr(token, 3, length(token) - 4)) "\\fR"
        } else if (token ~ /^\*/) {
            out = out "\\fI" code(substr(token, 2, length(token) - 2)) "\\fR"
        } else if (token ~ /^\[/) {
            label = token
            sub(/^\[/, "", label)
            sub(/\]\(.*$/, "", label)
            if (label ~ /^[a-z-]+\([1-8]\)$/) { # another page
                out = out "\\fB" code(substr(label, 1, length(label) - 3)) "\\fR" substr(label, length(label) - 2)
            } else {
                out = out inline(label)
            }
        } else {
            sub(/^<a id="/, "", token)
            sub(/".*$/, "", token)
            out = out mark(token)
        }
    }
    return out prose(s)
}

function text(s) {
    print (s ~ /^[.']/ ? "\\&" : "") s
}

# Whatever comes next begins a paragraph; after a heading it does by itself.
function begin() {
    if (!after_heading) {
        print ".PP"
    }
    after_heading = 0
    in_item = 0
}

function headed_row(cells, n,    i) {
    if (is_table == 1) {
        for (i = 1; i <= n; i++) {
            heads[i] = unfont(inline(cells[i]))
        }
        return
    }
    print ".TP"
    text(inline(cells[1]))
    for (i = 2; i <= n; i++) {
        if (i > 2) {
            print ".br"
        }
        print "\\fI" heads[i] "\\fR: " inline(cells[i])
    }
    after_heading = 0
}

function table_row(s,    cells, n, i, tag) {
    gsub(/^\| *| *\|$/, "", s)
    n = split(s, cells, / *\| */)
    if (is_table == 1) {
        has_heads = n > 3 && cells[n] != ""
    }
    if (has_heads) {
        headed_row(cells, n)
        return
    }
    tag = ""
    for (i = 1; i < n; i++) {
        if (cells[i] != "") {
            tag = tag (tag == "" ? "" : "  ") inline(cells[i])
        }
    }
    if (is_table == 1) { # the header: of two columns each speaks for itself
        if (n > 2 && cells[n] != "") {
            tag = tag "  " inline(cells[n])
        }
        if (n > 2) {
            begin()
            print "\\fI" unfont(tag) "\\fR"
        }
    } else {
        print ".TP"
        text(tag)
        text(cells[n] == "" ? "\\&" : inline(cells[n]))
    }
    after_heading = 0
}

function unfont(s) {
    gsub(/\\f[BIR]/, "", s)
    return s
}

function line(s,    row, head) {
    if (s ~ /^```/) {
        if (is_code) {
            print ".EE\n.nh\n.RE" # hyphens are back after .EE
        } else {
            begin()
            print ".RS 4\n.EX"
        }
        is_code = !is_code
        in_paragraph = 0
    } else if (is_code) { # as it is: no line that is empty, none that begins with a blank
        print (s == "" ? "\\ " : "\\&") code(s)
    } else if (s ~ /^\|/) {
        is_table++
        if (is_table != 2) { # not the line of dashes
            table_row(s)
        }
    } else if (s ~ /^# /) {
        head = substr(s, 3)
        section = substr(head, length(head) - 1, 1)
        printf ".TH %s %s %s \"bellwether %s\" \"%s\"\n", code(toupper(substr(head, 1, length(head) - 3))), section, date, version, \
            (section == 1 ? "User Commands" : "Bellwether")
        print ".nh\n.ad l"
    } else if (s ~ /^##/) {
        head = s
        sub(/^#+ /, "", head)
        print s ~ /^###/ ? ".SS " mark(slug(head)) prose(head) : ".SH " mark(slug(head)) toupper(prose(head))
        in_name = s == "## Name"
        after_heading = 1
        in_paragraph = in_item = 0
    } else if (s == "<!-- options -->") {
        while ((getline row <options) > 0) {
            print row
        }
        after_heading = 0
    } else if (s == "") {
        in_paragraph = 0
        is_table = 0
    } else if (s ~ /^- / || s ~ /^[0-9]+\. /) {
        print ".IP " (s ~ /^-/ ? "\\(bu 2" : substr(s, 1, index(s, " ") - 1) " 4")
        after_heading = 0
        in_paragraph = 1
        text(inline(substr(s, index(s, " ") + 1)))
    } else {
        if (!in_paragraph) {
            begin()
        }
        in_paragraph = 1
        sub(/^ +/, "", s)
        if (in_name) {
            sub(/ - /, " \\- ", s)
            print s
        } else {
            text(inline(s))
        }
    }
}

NR == 1 {
    print ".\\\" Made from " FILENAME " by man.awk."
}

{
    line($0)
}
