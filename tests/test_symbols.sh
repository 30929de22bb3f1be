#!/bin/sh
# Whether a shared library and an archive export exactly the symbols listed, the library's all with the version
# that its soname ends in, and the header declares the same.
#
#   tests/test_symbols.sh LIBRARY ARCHIVE LIST HEADER
set -eu
soname=$(objdump -p "$1" | awk '$1 == "SONAME" { print $2 }')
version=@@KILN_${soname#libkiln.so.}
exported=$(nm -D --defined-only "$1" | awk '$2 != "A" { print $NF }' | sed "s/$version\$//" | sort)
archived=$(nm -g --defined-only "$2" | awk 'NF == 3 { print $NF }' | sort)
listed=$(sort "$3")
declared=$(tr '\n' ' ' <"$4" | grep -oE 'KILN_API [^;{]*\(' | grep -oE 'kiln_[a-z_]+\(' | tr -d '(' | sort)
status=0
[ "$exported" = "$listed" ] || { printf 'exported:\n%s\n\nlisted:\n%s\n' "$exported" "$listed" && status=1; }
[ "$archived" = "$listed" ] || { printf 'archived:\n%s\n\nlisted:\n%s\n' "$archived" "$listed" && status=1; }
[ "$declared" = "$listed" ] || { printf 'declared:\n%s\n\nlisted:\n%s\n' "$declared" "$listed" && status=1; }
exit $status
