#!/bin/sh
# shellcheck disable=SC2016,SC2086,SC2317 # numbers are not quoted; self-tests are quoted, run by eval
# The rules of docs/architecture.md that can be read off the files: lengths, the order of includes, no
# notes to self, no binaries. Prints a line per fault and exits with 1 if there is any.
#
#   tests/test_structure.sh [ROOT]
#
# Every rule is first tried on a made-up tree that breaks it, so that a rule that stopped working fails.
set -eu

function_lines=70
file_lines=500
file_bytes=262144

# The stages, in the order the data flows. A file includes headers of its own line and of those above;
# a name stands for its .h, its .c and for files named after it: panel for panel_run.c. A new file gets
# its place here.
core='
status text
debug
conv benchdnn
probe cpu
interp explain_at
wisdom
image
buffer symbol
gdb
load
perf jitdump
cache disk
pool
args
door
run
context
job
public kiln
many tune
aot
'
generator='
geometry machine
emit vector taps curve
post toom
plan algo
panel
winograd
direct pointwise depthwise lanewise planes
planner
explain
codegen
flatten
generator
'

# ---- rules: each prints its faults for the tree it stands in ----

sources() { find src bench tests examples -name '*.[ch]' 2>/dev/null | sort; }

# The formatter puts the braces of a function, and of nothing else, alone in the first column.
rule_functions() {
    for file in $(sources); do
        awk -v most=$function_lines '
            /^\{$/ { begin = FNR - 1 }
            /^\}$/ && begin && FNR - begin + 1 > most {
                printf "%s:%d: a function of %d lines, at most %d\n", FILENAME, begin, FNR - begin + 1, most }
            /^\}$/ { begin = 0 }' "$file"
    done
}

rule_files() {
    for file in $(sources); do
        lines=$(wc -l <"$file")
        [ "$lines" -le $file_lines ] || echo "$file: $lines lines, at most $file_lines"
    done
}

# Reads "file header" pairs; `stages` is the order, `folder` where its files are.
check_order() {
    stages=$1 folder=$2 awk '
        BEGIN {
            folder = ENVIRON["folder"]
            count = split(ENVIRON["stages"], line, "\n")
            for (i = 1; i <= count; i++) {
                names = split(line[i], name, " ")
                for (j = 1; j <= names; j++) rank[name[j]] = i
            }
        }
        function place(file) {
            sub(".*/", "", file)
            sub("[.][ch]$", "", file)
            while (!(file in rank) && sub("_[^_]*$", "", file)) continue
            return file in rank ? rank[file] : 0
        }
        $2 == "kiln.h" { next }
        !place($1) { print $1 ": has no place in the order of stages"; next }
        !place($2) { print $1 ": includes " $2 ", which is not of " folder; next }
        place($2) > place($1) { print $1 ": includes " $2 ", a later stage" }'
}

# "file header" for each #include "header" of the files named.
includes() {
    [ $# = 0 ] || awk -F '"' '/^#include "/ { print FILENAME, $2 }' "$@"
}

rule_includes() {
    # shellcheck disable=SC2046 # no file name of ours has blanks
    {
        includes $(ls src/*.[ch] 2>/dev/null) | check_order "$core" "core"
        includes $(ls src/generator/*.[ch] 2>/dev/null) | check_order "$core$generator" "core or the generator"
        includes $(ls src/cli/*.[ch] bench/*.[ch] examples/*.c 2>/dev/null) | while read -r file header; do
            case $header in kiln.h | peer.h) continue ;; esac
            [ -f "${file%/*}/$header" ] || echo "$file: includes $header; only kiln.h is public"
        done
        grep -n '^#include <llvm' $(sources) | grep -v '^src/generator/' | sed 's/$/: only the generator knows LLVM/'
    } || true
}

rule_notes() {
    grep -nrE "\\b(TO""DO|FIX""ME|XX""X)\\b" src include bench tests examples docs ./*.md 2>/dev/null || true
}

# Everything that is ours: what git tracks, or where that cannot be asked all but build folders.
files() {
    git ls-files --cached 2>/dev/null || find . -type f ! -path './build/*' ! -path './.git/*'
}

# Text only, and small; the exceptions are tensors of examples, inputs of fuzzers and pictures. Prints binaries and empty files.
rule_binaries() {
    files | grep -v -e '[.]npy$' -e '^\(./\)*docs/[a-z_]*[.]png$' -e '^\(./\)*tests/fuzz/corpus' | while read -r file; do
        [ -f "$file" ] || continue
        ! grep -LI '' "$file" | grep -q . || echo "$file: not text, or empty"
        [ "$(wc -c <"$file")" -le $file_bytes ] || echo "$file: more than $file_bytes bytes"
    done
}

# The C example of the README is examples/readme.c, which is built and run.
rule_readme() {
    shown=$(awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md)
    [ "$shown" = "$(cat examples/readme.c)" ] || echo "README.md: its C example is not examples/readme.c"
}

# Every file of ours that a document names in backticks is there.
rule_documents() {
    for document in ./*.md docs/*.md; do
        [ ! -f "$document" ] || grep -oE '`(src|include|tests|bench|examples|docs|[.]ci)/[A-Za-z0-9_./-]*`' "$document" |
            tr -d '`' | sort -u | while read -r path; do
            case $path in *NAME*) continue ;; esac # stands for many
            [ -e "$path" ] || echo "$document: names $path, which is not there"
        done
    done
}

# Every example is told of in docs/examples.md.
rule_examples() {
    for example in examples/*; do
        case $example in */CMakeLists.txt) continue ;; esac
        grep -qF "\`$example\`" docs/examples.md || echo "docs/examples.md: does not tell of $example"
    done
}

rules='functions files includes notes binaries readme documents examples'

# ---- the rules, tried on trees that break them ----

# A file of $2 lines of the text $3 in it, after a first line $1.
lines() {
    echo "$1"
    i=0
    while [ $i -lt "$2" ]; do
        echo "$3"
        i=$((i + 1))
    done
}

make_good() {
    mkdir -p src/generator src/cli examples docs
    echo 'int x;' >examples/readme.c
    echo 'In `examples/readme.c`.' >docs/examples.md
    printf '```c\nint x;\n```\nIn `src/conv.c`.\n' >README.md
    { lines 'static int f(void)' 1 '{' && lines '    f();' $((function_lines - 4)) '    f();' && echo '}'; } >src/conv.c
    { echo '#include "status.h"' && echo '#include "kiln.h"'; } >src/image.c
    { echo '#include "plan.h"' && echo '#include <llvm-c/Core.h>'; } >src/generator/panel_run.c
    echo '#include "kiln.h"' >src/cli/main.c
}

# Runs every rule in a fresh good tree after `breaking` it, and wants exactly the rule named to speak.
expect() {
    rule=$1 breaking=$2
    tree=$(mktemp -d)
    said=$(cd "$tree" && make_good && eval "$breaking" && for r in $rules; do [ -z "$(rule_"$r")" ] || echo "$r"; done)
    rm -rf "$tree"
    [ "$said" = "$rule" ] && return
    echo "self-test: after '$breaking' the rules that spoke are '$said', not '$rule'"
}

self_test() {
    expect '' ':'
    expect functions 'sed -i "s/^}$/    f();\n}/" src/conv.c'
    expect files 'lines x $file_lines x >src/load.c'
    expect includes 'echo "#include \"cache.h\"" >>src/image.c'
    expect includes 'echo "#include \"plan.h\"" >>src/image.c'
    expect includes 'echo "#include \"codegen.h\"" >>src/generator/panel_run.c'
    expect includes 'echo "#include \"image.h\"" >>src/cli/main.c'
    expect includes 'echo "#include \"image.h\"" >>src/stranger.c'
    expect includes 'echo "#include <llvm-c/Core.h>" >>src/image.c'
    expect notes 'echo "/* TO""DO */" >>src/image.c'
    expect binaries 'printf "\000\001" >src/cli/a.out'
    expect binaries ': >src/empty.c'
    expect binaries 'lines x $file_bytes "" >notes.txt'
    expect readme 'echo "int y;" >>examples/readme.c'
    expect examples 'echo "int y;" >examples/stranger.c'
    expect documents 'echo "In \`src/cnov.c\`." >>README.md'
}

cd "${1-$(dirname "$0")/..}"
faults=$(
    self_test
    for rule in $rules; do rule_"$rule"; done
)
[ -z "$faults" ] && exit 0
printf '%s\n' "$faults"
exit 1
