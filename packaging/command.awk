# One command's help, as a section within COMMANDS of kiln(1). What is the same on every page is left out:
# the exit statuses, and --help.
BEGIN { part = "NAME" }
/^EXIT STATUS$/ { exit }
/^(NAME|USAGE|EXAMPLES|OPTIONS)$/ {
    part = $0
    leave()
    if (part ~ /EXAMPLES|OPTIONS/) print ".PP\n.I " substr(part, 1, 1) tolower(substr(part, 2)) ":"
    next
}
part == "NAME" && /^  kiln/ {
    split($0, half, " - ")
    print ".SS " escape(trimmed(half[1])) "\n" prose(toupper(substr(half[2], 1, 1)) substr(half[2], 2)) "."
}
part == "USAGE" && /^  kiln/ { print ".PP\n.B " escape(trimmed($0)); next }
part == "USAGE" && /^ +[^ ]/ && mode == "" { print ".br\n.B " escape(trimmed($0)); next }
part == "USAGE" && $0 == "" { part = "ABOUT"; next }
part == "OPTIONS" && /^  --help / { next }
part != "NAME" { line($0) }
END { leave() }
