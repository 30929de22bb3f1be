# From include/kiln.h, without its comments, a C program that prints what a compiled program has taken over
# from it: each struct with its size, each member's place and size, each enumerator's value. Every struct and
# enum of the header is covered, since none is named here.

function member(name) {
    printf "    MEMBER(struct %s, %s);\n", struct, name
}

# One declaration, such as "int64_t ic, id", "char text[8]" or "void (*progress)(void *user, int i)".
function declaration(text,    names, count, i) {
    if (match(text, /\(\*[a-z_]+\)/)) return member(substr(text, RSTART + 2, RLENGTH - 3))
    gsub(/\[[^]]*\]/, "", text)
    count = split(text, names, ",")
    for (i = 1; i <= count; i++) if (match(names[i], /[a-z_0-9]+ *$/)) {
        sub(/ *$/, "", names[i])
        match(names[i], /[a-z_0-9]+$/)
        member(substr(names[i], RSTART))
    }
}

function body_struct(text,    list, count, i) {
    printf "    STRUCT(struct %s);\n", struct
    count = split(text, list, ";")
    for (i = 1; i < count; i++) declaration(list[i])
}

function body_enum(text,    list, count, i) {
    count = split(text, list, ",")
    for (i = 1; i <= count; i++) if (match(list[i], /KILN_[A-Z0-9_]+/))
        printf "    VALUE(%s);\n", substr(list[i], RSTART, RLENGTH)
}

BEGIN {
    print "#include <kiln.h>\n#include <stdio.h>"
    print "#define STRUCT(type) printf(\"%s: %zu bytes\\n\", #type, sizeof(type))"
    print "#define MEMBER(type, name) \\"
    print "    printf(\"  %s at %zu, %zu bytes\\n\", #name, offsetof(type, name), sizeof(((type *)0)->name))"
    print "#define VALUE(name) printf(\"%s = %d\\n\", #name, (int)name)"
    print "int main(void)\n{"
}

{
    gsub(/[ \n\t]+/, " ")
    while (match($0, /(struct kiln_[a-z_]+|enum( kiln_[a-z_]+)?) \{/)) {
        head = substr($0, RSTART, RLENGTH)
        $0 = substr($0, RSTART + RLENGTH)
        text = substr($0, 1, index($0, "}") - 1)
        $0 = substr($0, index($0, "}"))
        split(head, word, " ")
        struct = word[2]
        if (word[1] == "struct") body_struct(text)
        else body_enum(text)
    }
}

END { print "    return 0;\n}" }
