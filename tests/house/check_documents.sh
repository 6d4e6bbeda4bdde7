#!/bin/sh
# The messages between the programs, the metrics and the limits of tokens are
# documented.

. "${srcdir:-.}/tests/house/tap.sh"
cd "$srcdir" || exit 1

# Lines "number NAME".
types=$(sed -n '/^enum ps_ipc_type/,/^}/p' common/ps_ipc.h |
	sed -nE 's/^[[:space:]]*PS_IPC_([A-Z0-9_]+) = ([0-9]+),.*/\2 \1/p')
result "the types of messages are found" "$(
	printf '%s\n' "$types" | grep -qx '1 HELLO' || echo "no HELLO")"
result "every type of message is in doc/ipc.md with its number" "$(
	printf '%s\n' "$types" | while read -r number name; do
		grep -q "^| $number | $name |" doc/ipc.md ||
			echo "$number $name"
	done)"
version=$(sed -n 's/^#define PS_IPC_VERSION //p' common/ps_ipc.h)
result "doc/ipc.md has the version of the messages" "$(
	grep -qF "\`PS_IPC_VERSION\` is $version." doc/ipc.md || echo "$version")"

metrics=$(sed -n '/^static const struct metric metrics/,/^};/p' \
	wsbridge/metrics.c | sed -nE 's/^[[:space:]]*\{ "([a-z_]+)", .*/\1/p')
result "the metrics are found" "$(
	printf '%s\n' "$metrics" | grep -qx sessions || echo "no sessions")"
result "every metric is in doc/http-api.md" "$(
	for name in $metrics; do
		grep -qE "^\| [^|]*\`$name\`" doc/http-api.md || echo "$name"
	done)"
result "doc/operations.md names no metric that does not exist" "$(
	grep -oE 'polysocket_[a-z]+(_[a-z]+)*\>' doc/operations.md |
		sed 's/^polysocket_//' | sort -u | while read -r name; do
		printf '%s\n' "$metrics" | grep -qx "$name" || echo "$name"
	done)"

# Columns are explained where an administrator looks for them, and clients.
result "every limit of a token is in both documents" "$(
	sed -nE 's/^\t(max_[a-z_]+) INTEGER.*/\1/p' schema/schema.sql |
		while read -r name; do
		for document in doc/operations.md doc/http-api.md; do
			grep -q "\`$name\`" $document || echo "$name: $document"
		done
	done)"

# anchors FILE: the headings as links name them.
anchors() {
	sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' |
		sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

# Lines "document target", of the links within the project.
links=$(for document in *.md doc/*.md examples/*.md bench/*.md; do
	grep -oE '\]\([^)]+\)' "$document" | sed 's/^](//; s/)$//' |
		grep -v '^https\?:' | sed "s,^,$document ,"
done)
result "the links are found" "$(
	printf '%s\n' "$links" | grep -qx 'README.md doc/applications.md' ||
		echo "none to doc/applications.md")"
result "every link in the documents leads somewhere" "$(
	printf '%s\n' "$links" | while read -r document target; do
		file=${target%%#*}
		file=${file:+$(dirname "$document")/$file}
		file=${file:-$document}
		if ! [ -e "$file" ]; then
			echo "$document: $target"
		elif [ "${target#*#}" != "$target" ]; then
			anchors "$file" | grep -qxF -- "${target#*#}" ||
				echo "$document: $target"
		fi
	done)"

result "every function that engineers are told of is there" "$(
	grep -ohE '`[a-z_]+\(\)`' HACKING.md doc/architecture.md doc/ipc.md |
		tr -d '`()' | sort -u | while read -r name; do
		grep -rqw --include='*.[ch]' -- "$name" common fcgi-app \
			wsbridge schema || echo "$name"
	done)"

# What was measured is told in short there; whoever measures anew changes both.
figures=$(sed -n '/^## How fast/,/^## Read on/p' README.md | grep '^|.*[0-9] |' |
	grep -oE '[0-9]+,[0-9]{3}')
result "the figures of README are found" "$(
	[ "$(printf '%s\n' "$figures" | wc -l)" -gt 10 ] || echo "$figures")"
result "every figure of README is in a file of bench/" "$(
	for figure in $figures; do
		grep -qwF "$figure" bench/*.md || echo "$figure"
	done)"

finish
