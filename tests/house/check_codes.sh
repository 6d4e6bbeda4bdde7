#!/bin/sh
# Every error code that a client may get is documented, with its status.

. "${srcdir:-.}/tests/house/tap.sh"
cd "$srcdir" || exit 1

document=doc/http-api.md

# Lines "word status" of the table of codes.
codes=$(sed -nE \
	's/^[[:space:]]*\[PS_CODE_[A-Z0-9_]+\] = \{ "([a-z0-9_]+)", ([0-9]+),.*/\1 \2/p' \
	common/ps_code.c)
rows=$(grep -c '^[[:space:]]*\[PS_CODE_' common/ps_code.c)
result "the table of codes is understood" "$(
	[ "$(printf '%s\n' "$codes" | grep -c .)" -eq "$rows" ] ||
		echo "$rows rows, but these were read: $codes")"

result "every code is in $document, with its status" "$(
	printf '%s\n' "$codes" | while read -r word status; do
		grep -F "\`$word\`" "$document" 2>&1 | grep -qw "$status" ||
			echo "$word ($status)"
	done)"

# The other way round: a row of a table in the document that starts with a
# code and a status must be one of ours.
result "$document names no code that does not exist" "$(
	sed -nE 's/^\| *`([a-z0-9_]+)` *\| *([0-9]{3}) *\|.*/\1 \2/p' \
		"$document" 2>&1 | while read -r word status; do
		printf '%s\n' "$codes" | grep -qxF "$word $status" ||
			echo "$word ($status)"
	done)"

finish
