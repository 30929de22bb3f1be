# Writes the manual page kiln(3), of the public header: each declaration with the comment above it.
# Variables: version, description (of the library, one line), example (a file).

# ---- declarations ----

# "enum kiln_status kiln_run(...)", in bold, hanging.
function prototype(s) {
    gsub(/[ \n]+/, " ", s)
    sub(/^KILN_API /, "", s)
    print ".HP 4\n.B \"" escape(quoted(s)) "\""
}

function quoted(s) {
    gsub(/"/, "\\(dq", s)
    return s
}

# The next comment or the next member of a body, cut off `rest`; `kind` says which. What stands between commas
# is a member in enums, what stands between semicolons in structs; a line's end ends what was said of it.
function take(    at, s) {
    sub(/^[ \n]+/, "", rest)
    if (substr(rest, 1, 2) == "/*") {
        kind = "comment"
        at = index(rest, "*/")
        s = substr(rest, 3, at - 3)
        rest = substr(rest, at + 2)
    } else {
        kind = "member"
        if (!match(rest, separator == ";" ? "[^;]*;" : "[^,/]+,?")) stop()
        s = substr(rest, 1, RLENGTH)
        rest = substr(rest, RLENGTH + 1)
        while (separator == ";" && match(rest, /^ [^\/\n;]*;/)) {
            s = s substr(rest, 1, RLENGTH)
            rest = substr(rest, RLENGTH + 1)
        }
        said = match(rest, /^ *\/\*/)
    }
    gsub(/[ \n]+/, " ", s)
    return trimmed(s)
}

# What is not understood must not be passed over.
function stop() {
    printf "kiln.h: not understood: %.80s\n", rest >"/dev/stderr"
    exit stopped = 1
}

# Members with what is said of each.
function body(    s, alone) {
    alone = 1
    while (rest ~ /[^ \n]/) {
        s = take()
        if (kind == "member") {
            sub(/[,;]$/, "", s)
            print ".TP\n.B \"" escape(quoted(s)) "\""
            if (!said) print "\\&"
            alone = !said
        } else {
            if (alone) print ".PP"
            print prose(s)
            alone = 1
        }
    }
}

function with_body(s,    open) {
    open = index(s, "{")
    separator = s ~ /^enum/ ? "," : ";"
    rest = substr(s, open + 1)
    sub(/\};.*$/, "", rest)
    print ".RS 4"
    body()
    print ".RE"
}

# ---- chunks: a comment, and the declarations right behind it ----

function chunk_end(    i, count, lines, braced) {
    if (!comment && !declared) return
    leave()
    for (i = 1; i <= declared; i++) {
        braced = declaration[i] ~ /\{/
        if (braced) print ".PP\n.B " trimmed(substr(declaration[i], 1, index(declaration[i], "{") - 1))
        else prototype(declaration[i])
    }
    if (comment) {
        if (declared) print ".RS 4"
        count = split(comment, lines, "\n")
        for (i = 1; i < count; i++) line(lines[i])
        leave()
        if (declared) print ".RE"
    }
    for (i = 1; i <= declared; i++) if (declaration[i] ~ /\{/) with_body(declaration[i])
    comment = ""
    declared = 0
}

function comment_line(s) {
    inside = !sub(/ *\*\/ *$/, "", s)
    sub(/^\/\* ?|^ \* ?/, "", s)
    comment = comment s "\n"
}

BEGIN {
    printf ".TH KILN 3 \"\" \"Kiln %s\" \"Library Functions\"\n", version
    print ".ad l\n.nh\n.SH NAME\nkiln \\- " description
    print ".SH SYNOPSIS\n.B #include <kiln.h>\n.PP\n.B cc app.c $(pkg\\-config \\-\\-cflags \\-\\-libs kiln)"
    print ".SH DESCRIPTION"
}

inside { comment_line($0); next }
reading { declaration[declared] = declaration[declared] "\n" $0; reading = $0 !~ ends; next }
/^#|^extern|^}$/ { next }
/^\/\* ---- / {
    chunk_end()
    gsub(/^\/\* -+ | -+ \*\/$/, "")
    section($0)
    next
}
/^\/\*/ { chunk_end(); comment_line($0); next }
/^$/ { chunk_end(); next }
{
    declaration[++declared] = $0
    ends = /\{/ ? "};" : ";$"
    reading = $0 !~ ends
}

END {
    if (stopped) exit 1
    chunk_end()
    section("Example")
    print ".nf"
    while ((getline s < example) > 0) print prose(s)
    print ".fi\n.SH SEE ALSO\n.BR kiln (1)"
}
