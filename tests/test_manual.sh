#!/bin/bash
# Whether the manual pages are sound and leave nothing out, and what bash's completion completes.
#
#   tests/test_manual.sh KILN PACKAGING SYMBOLS      PACKAGING: the folder where they were built
set -uo pipefail
kiln=$1 built=$2 symbols=$3
faults=0
fault() { echo "$*" && faults=1; }

for page in kiln.1 kiln.3; do
    said=$(groff -man -ww -z -Tutf8 "$built/$page" 2>&1) || fault "$page is refused"
    [ -z "$said" ] || fault "$page: $said"
    groff -man -Tascii -P-cbou -rLL=78n "$built/$page" >"$built/$page.txt"
done
# Words of the page, whatever lines they stand on.
words() { tr -s ' \n' '  ' <"$built/$1.txt"; }
one=$(words kiln.1) three=$(words kiln.3)

for command in $("$kiln" help | awk '/^usage/ { on = 1 } on && /^  [a-z]/ { print $1 } /^A CONV/ { exit }'); do
    [[ $one == *" kiln $command "* ]] || fault "kiln.1 lacks $command"
    for option in $("$kiln" help "$command" | awk '/^OPTIONS/ { on = 1 } on && /^  -/ && $1 != "--help" { print $1 }'); do
        [[ $one == *" $option "* ]] || fault "kiln.1 lacks $option of $command"
    done
done
for variable in KILN_ISA KILN_THREADS KILN_CACHE_DIR KILN_WISDOM KILN_DEBUG; do
    [[ $one == *" $variable"* ]] || fault "kiln.1 lacks $variable"
done
while read -r name; do
    [[ $three == *" $name("* || $three == *"*$name("* ]] || fault "kiln.3 lacks $name"
    [ -f "$built/man3/$name.3" ] || fault "there is no page for $name"
done <"$symbols"
for part in 'KILN_STATUS_INVALID the caller' 'struct kiln_plan **plan, struct kiln_error *error);' 'int code_budget unrolled FMAs' 'KILN_POST_MAX = 8'; do
    [[ $three == *"$part"* ]] || fault "kiln.3 lacks '$part'"
done

for rest in KILN_API '*/' '/*' ' };'; do
    [[ ${three%%EXAMPLE*} != *"$rest"* ]] || fault "kiln.3 has '$rest' in it"
done

# shellcheck source=/dev/null
source "$built/completion/kiln"
# "words typed => what they may become", the last word being completed.
while IFS= read -r try; do
    read -ra COMP_WORDS <<<"${try%% =>*}"
    [[ ${try%% =>*} != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _kiln
    [ "${COMPREPLY[*]}" = "${try##*=> }" ] || fault "$try: here is '${COMPREPLY[*]}'"
done <<'END'
kiln com => compile
kiln c => compile check cache cpu
kiln help w => wisdom
kiln cache  => list verify prune clear path
kiln wisdom m => merge
kiln explain --s => --src --scale --schedule
kiln bench --peers o => 
kiln check -f /etc/os-rel => /etc/os-release
kiln dump --out /et => /etc
END
exit $faults
