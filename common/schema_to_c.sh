#!/bin/sh
# Writes C with the text of schema.sql ($1) and of the upgrades that follow,
# whose names begin with the version they lead to.

bytes() {
	echo "static const char $1[] = {"
	# A line that begins with a dot is for the sqlite3 program.
	sed '/^\./d' "$2" | od -An -v -tx1 | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1, /g'
	echo "0x00 };"
}

echo '#include "config.h"'
echo '#include "ps_schema_sql.h"'
bytes ps_schema_sql "$1" | sed '1s/static //'
shift
for file; do
	version=$(basename "$file" | sed 's/^0*\([0-9]*\)-.*/\1/')
	bytes "step_$version" "$file"
	steps="$steps{ $version, step_$version }, "
done
echo "const struct ps_schema_step ps_schema_steps[] = { $steps};"
echo "const size_t ps_schema_steps_count ="
echo "    sizeof(ps_schema_steps) / sizeof(ps_schema_steps[0]);"
