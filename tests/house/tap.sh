# shellcheck shell=sh
# The Test Anything Protocol for the house tests. A test reads this file,
# reports with `result`, and ends with `finish`. Tests run in the top build
# directory with srcdir in the environment; by hand, from the source tree.

srcdir=${srcdir:-.}
tap_number=0

# result DESCRIPTION [COMPLAINTS]: a test has failed if there are complaints.
result() {
	tap_number=$((tap_number + 1))
	if [ -z "${2-}" ]; then
		echo "ok $tap_number - $1"
	else
		echo "not ok $tap_number - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

finish() {
	echo "1..$tap_number"
}
