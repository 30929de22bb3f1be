#!/bin/sh
# Writes the manual page kiln(1), of what the program's help says and of the README's table of the environment.
#
#   packaging/kiln.1.sh KILN README VERSION >kiln.1
set -eu
kiln=$1 readme=$2 version=$3
here=$(dirname "$0")
filled() { awk -f "$here/roff.awk" -f /dev/fd/3 3<<'END'
{ line($0) } END { leave() }
END
}
commands() { "$kiln" help | awk '/^usage/ { on = 1 } on && /^  [a-z]/ && $1 != "help" { print $1 } /^A CONV/ { exit }'; }

echo ".TH KILN 1 \"\" \"Kiln $version\" \"User Commands\""
printf '.ad l\n.nh\n.SH NAME\n'
"$kiln" help | sed -n '1s/^Kiln compiles\(.*\)\.$/kiln \\- compile\1/p'
printf '.SH SYNOPSIS\n.B kiln\n.I COMMAND\n.RI [ ARGUMENT\n.RI ...]\n.SH DESCRIPTION\n'
"$kiln" help | sed -n '/^A CONV/,/^$/p' | filled
printf '.SH COMMANDS\n'
for command in $(commands); do
    "$kiln" help "$command" | awk -f "$here/roff.awk" -f "$here/command.awk"
done
printf '.SS kiln help\nPrint the list of commands; with the name of one, more about it.\n'
printf '.SS kiln \\-\\-version\nPrint which Kiln this is.\n'
echo '.SH EXIT STATUS'
"$kiln" help cpu | sed '1,/^EXIT STATUS/d' | filled
echo '.SH ENVIRONMENT'
sed -n '/^## Environment/,/^## [^E]/s/^| \(`.*`\) | \(.*\) | \(.*\) |$/\1|\2|\3/p' "$readme" |
    awk -F '|' -f "$here/roff.awk" -f /dev/fd/3 3<<'END'
{ print ".TP\n" prose($1) "\n" prose($2) ". Default: " prose($3) "." }
END
echo '.PP'
"$kiln" help | sed -n '/^KILN_DEBUG=/,$p' | filled
printf '.SH SEE ALSO\n.BR kiln (3)\n'
