#!/bin/sh
# Whether the structs and enums of the header are laid out as listed, in C and in C++. The list is that of
# 64-bit machines, which agree. With KILN_UPDATE_GOLDEN=1 it is written anew: see docs/abi.md first.
#
#   tests/test_layout.sh LIST INCLUDE CC CXX
set -eu
list=$1 include=$2 cc=$3 cxx=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tr '\n' ' ' <"$include/kiln.h" | sed 's!/\*[^*]*\*\{1,\}\([^/*][^*]*\*\{1,\}\)*/! !g' |
    awk -f "$(dirname "$0")/layout.awk" >"$folder/layout.c"

"$cc" -std=c11 -Wall -Wextra -Werror -I "$include" -o "$folder/c" "$folder/layout.c"
"$cxx" -x c++ -std=c++11 -Wall -Wextra -Werror -I "$include" -o "$folder/cxx" "$folder/layout.c"
"$folder/c" >"$folder/c.txt"
"$folder/cxx" >"$folder/cxx.txt"
[ -z "${KILN_UPDATE_GOLDEN-}" ] || cp "$folder/c.txt" "$list"
diff -u "$list" "$folder/c.txt"
diff -u "$list" "$folder/cxx.txt"
