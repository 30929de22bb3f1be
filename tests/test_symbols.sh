#!/bin/sh
# Whether a shared library exports exactly the symbols listed, and its header declares the same.
#
#   tests/test_symbols.sh LIBRARY LIST HEADER
set -eu
exported=$(nm -D --defined-only "$1" | awk '{ print $NF }' | sort)
listed=$(sort "$2")
declared=$(tr '\n' ' ' <"$3" | grep -oE 'KILN_API [^;{]*\(' | grep -oE 'kiln_[a-z_]+\(' | tr -d '(' | sort)
status=0
[ "$exported" = "$listed" ] || { printf 'exported:\n%s\n\nlisted:\n%s\n' "$exported" "$listed" && status=1; }
[ "$declared" = "$listed" ] || { printf 'declared:\n%s\n\nlisted:\n%s\n' "$declared" "$listed" && status=1; }
exit $status
