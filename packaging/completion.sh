#!/bin/sh
# Writes bash's completion of `kiln`, from what its help lists: commands, their options, the first words that
# some take, and of options' values the files and folders.
#
#   packaging/completion.sh KILN >completion
set -eu
kiln=$1
commands=$("$kiln" help | awk '/^usage/ { on = 1 } on && /^  [a-z]/ { print $1 } /^A CONV/ { exit }')

cat <<'END'
# bash completion of kiln; made from its help
_kiln() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local verbs='' flags='' files='' dirs='' values=''
    COMPREPLY=()
    case ${COMP_WORDS[1]} in
END
for command in $commands; do
    [ "$command" != help ] || continue
    "$kiln" help "$command" | awk -v command="$command" '
        /^USAGE/ { part = "usage"; next }
        /^OPTIONS/ { part = "options"; next }
        /^[^ ]/ { part = "" }
        part == "usage" && !verbs && sub("^  kiln " command " ", "") {
            count = split($0, alternative, "[|]")
            for (i = 1; i <= count; i++) {
                split(alternative[i], word, " ")
                if (word[1] !~ /^[a-z]+$/) break
                verbs = verbs " " word[1]
            }
        }
        part == "options" && /^  -/ {
            flags = flags " " $1
            value = substr($0, length($1) + 3)
            if (value ~ /^ FILE/) files = files $1 "|"
            else if (value ~ /^ DIR/) dirs = dirs $1 "|"
            else if (value ~ /^ [^ ]/) values = values $1 "|"
        }
        END {
            printf "    %s) verbs=\"%s\" flags=\"%s\" files=\"|%s\" dirs=\"|%s\" values=\"|%s\" ;;\n",
                command, substr(verbs, 2), substr(flags, 2), files, dirs, values
        }'
done
echo "    esac"
echo "    local commands='$(echo $commands) --help --version'"
cat <<'END'
    if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ $before == help ]]; }; then
        COMPREPLY=($(compgen -W "$commands" -- "$word"))
    elif [[ $before == -* && $values == *"|$before|"* ]]; then
        return
    elif [[ $before == -* && $dirs == *"|$before|"* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
    elif [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
    elif ((COMP_CWORD == 2)) && [[ $verbs ]]; then
        COMPREPLY=($(compgen -W "$verbs" -- "$word"))
    elif [[ $verbs || $files == *"|$before|"* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _kiln kiln
END
