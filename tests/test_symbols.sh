#!/bin/sh
# Whether a shared library and an archive export exactly the symbols listed, and the header declares the same.
#
#   tests/test_symbols.sh LIBRARY ARCHIVE LIST HEADER
set -eu
exported=$(nm -D --defined-only "$1" | awk '{ print $NF }' | sort)
archived=$(nm -g --defined-only "$2" | awk 'NF == 3 { print $NF }' | sort)
listed=$(sort "$3")
declared=$(tr '\n' ' ' <"$4" | grep -oE 'KILN_API [^;{]*\(' | grep -oE 'kiln_[a-z_]+\(' | tr -d '(' | sort)
status=0
[ "$exported" = "$listed" ] || { printf 'exported:\n%s\n\nlisted:\n%s\n' "$exported" "$listed" && status=1; }
[ "$archived" = "$listed" ] || { printf 'archived:\n%s\n\nlisted:\n%s\n' "$archived" "$listed" && status=1; }
[ "$declared" = "$listed" ] || { printf 'declared:\n%s\n\nlisted:\n%s\n' "$declared" "$listed" && status=1; }
exit $status
