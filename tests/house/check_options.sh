#!/bin/sh
# The table of options in common/ps_options.c, the sample configuration and the
# manual say the same. `make update-options` mends the latter two.

. "${srcdir:-.}/tests/house/tap.sh"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

wsbridge/wsbridge --print-config >"$work/table" 2>"$work/errors" ||
	echo "wsbridge --print-config failed" >>"$work/errors"
result "wsbridge prints its options" "$(cat "$work/errors"
	grep -q '^#[a-z_]* =' "$work/table" || echo "no option in it")"

result "the sample file is what wsbridge prints" \
	"$(diff "$work/table" conf/polysocket.conf)"

# A hyphen is written as \- there, but not in the paths that make fills in.
awk -v sample="$work/table" -f "$srcdir/doc/options.awk" \
	doc/polysocket.conf.5 | sed 's/\\-/-/g' >"$work/expected"
sed 's/\\-/-/g' doc/polysocket.conf.5 >"$work/manual"
result "the manual has every option as wsbridge prints it" \
	"$(diff "$work/expected" "$work/manual")"

# That the above compared something, by counting another way.
in_table=$(grep -cE '^[[:space:]]+\{ "[a-z_]+", PS_OPTION_' \
	"$srcdir/common/ps_options.c")
in_manual=$(sed -n '/options begin/,/options end/p' doc/polysocket.conf.5 |
	grep -c '^\.TP')
result "the manual has as many options as the table" \
	"$([ "$in_table" -gt 0 ] && [ "$in_table" -eq "$in_manual" ] ||
		echo "table $in_table, manual $in_manual")"

# Whoever takes the # away from a line of the sample must not be told it is
# wrong. A configuration is not good without its database.
sed 's/^#\([a-z_]* =\)/\1/' conf/polysocket.conf >"$work/defaults.conf"
sqlite3 "$work/database" <"$srcdir/schema/schema.sql" >/dev/null
result "the sample with nothing commented out is a good configuration" \
	"$(wsbridge/wsbridge --check --config "$work/defaults.conf" \
		--set "database=$work/database" >"$work/errors" 2>&1 ||
		{ echo refused; cat "$work/errors"; })"

finish
