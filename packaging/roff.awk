# What both manual pages are written with: lines of plain text in, roff out. Text at the margin is filled; a
# line indented by two is an item ("  word  what it is", with deeper lines going on), or else shown as it is.

function escape(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    return s
}

# One line of text; what stands in backticks is bold.
function prose(s) {
    s = escape(s)
    while (match(s, /`[^`]+`/))
        s = substr(s, 1, RSTART - 1) "\\fB" substr(s, RSTART + 1, RLENGTH - 2) "\\fP" substr(s, RSTART + RLENGTH)
    return s ~ /^[.']/ ? "\\&" s : s
}

# Leaves what was begun: the next line begins a paragraph.
function leave() {
    if (mode == "shown") print ".fi\n.RE"
    mode = ""
}

function enter(to) {
    if (mode == to && to != "item") return
    leave()
    mode = to
    print to == "shown" ? ".PP\n.RS 4\n.nf" : to == "item" ? ".TP" : ".PP"
}

function line(s,    tag) {
    if (s == "") {
        if (mode != "shown") leave()
        else print ""
    } else if (match(s, /^  [^ ]+( [^ ]+)*  +/) && RLENGTH < 34) {
        tag = substr(s, 1, RLENGTH)
        s = substr(s, RLENGTH + 1)
        enter("item")
        print ".B " prose(trimmed(tag)) "\n" prose(s)
    } else if (mode == "item" && s ~ /^    /) {
        print prose(trimmed(s))
    } else if (s ~ /^ /) {
        enter("shown")
        print prose(substr(s, 3))
    } else {
        enter("filled")
        print prose(s)
    }
}

function trimmed(s) {
    gsub(/^ +| +$/, "", s)
    return s
}

function section(name) {
    leave()
    print ".SH " toupper(name)
}
