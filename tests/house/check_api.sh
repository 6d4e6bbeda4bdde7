#!/bin/sh
# doc/openapi.yaml has every route and every code, doc/asyncapi.yaml every
# frame. That both are what they say they are, and their examples valid, is
# for tests/node/check_api.cjs, which scripts/check runs.

. "${srcdir:-.}/tests/house/tap.sh"
cd "$srcdir" || exit 1

openapi=doc/openapi.yaml
asyncapi=doc/asyncapi.yaml

# differ TITLE ONE OTHER: lines that are in one of two lists only.
differ() {
	result "$1" "$(
		{
			printf '%s\n' "$2" | sort -u
			printf '%s\n' "$3" | sort -u
		} | sort | uniq -u
	)"
}

# Lines "METHOD path"; a segment that varies is *.
routes=$(sed -n '/^static const struct route routes/,/^};/p' \
	fcgi-app/routes.c | sed -nE \
	's/^[[:space:]]*\{ "([^"]+)", (METHOD_|)([A-Z]+),.*/\3 \1/p')
rows=$(sed -n '/^static const struct route routes/,/^};/p' \
	fcgi-app/routes.c | grep -c '^[[:space:]]*{ "')
result "the table of routes is understood" "$(
	[ "$rows" -gt 0 ] &&
		[ "$(printf '%s\n' "$routes" | grep -cE '^(BOTH|REMOVABLE|GET|POST) ')" \
			-eq "$rows" ] || echo "$rows rows, but: $routes")"
# Those of SockJS: pages below a socket id, and transports below a session.
places() {
	sed -n "/^static const struct sockjs_place $1\\[/,/^};/p" \
		fcgi-app/sockjs.c | sed -nE \
		"s/^[[:space:]]*\\{ \"([^\"]*)\", SOCKJS_[A-Z]+, METHOD_([A-Z]+).*/\\2 $2\\1/p" |
		sed 's,/$,,'
}
result "the tables of SockJS are understood" "$(
	places transports "" | grep -qx 'POST xhr' || echo "no xhr")"
differ "$openapi has the routes of fcgi-app/routes.c and sockjs.c" \
	"$(printf '%s\n' "$routes" |
		sed -E -e 's/^BOTH (.*)/GET \1\nPOST \1/' \
			-e 's/^REMOVABLE (.*)/POST \1\nDELETE \1/'
		places pages '\/\*\/'
		places transports '\/\*\/\*\/\*\/'
		echo 'GET /*/iframe*.html')" \
	"$(sed -nE -e 's/^  (\/[^:]*):$/\1/p' \
		-e 's/^    (get|post|delete):.*/\1/p' $openapi |
		awk '/^\// { path = $0; gsub(/\{[a-z]+\}/, "*", path); next }
			{ print toupper($0), path }')"

# Lines "status code".
differ "$openapi has the codes of common/ps_code.c, by status" \
	"$(sed -nE \
		's/^[[:space:]]*\[PS_CODE_[A-Z0-9_]+\] = \{ "([a-z0-9_]+)", ([0-9]+),.*/\2 \1/p' \
		common/ps_code.c)" \
	"$(sed -nE 's/^    Code([0-9]+): \{enum: \[(.*)\]\}$/\1, \2/p' $openapi |
		awk -F', ' '{ for (i = 2; i <= NF; i++) print $1, $i }')"

names=$(sed -nE 's/^      name: "?([A-Z:-]+)"?$/\1/p' $asyncapi)
result "the messages of $asyncapi are found" "$(
	printf '%s\n' "$names" | grep -qx CONNECTED || echo "no CONNECTED")"
result "each of them has its name as its type" "$(
	for name in $names; do
		grep -qE "const: \"?$name\"?\}" $asyncapi ||
			grep -A6 "name: $name\$" $asyncapi | grep -q pattern ||
			echo "$name"
	done)"
result "each of them is in doc/http-api.md" "$(
	for name in $names; do
		grep -qF "\`$name\`" doc/http-api.md || echo "$name"
	done)"
result "doc/http-api.md has the codes of ERROR" "$(
	sed -nE 's/^      enum: \[(BAD_MESSAGE.*)\]$/\1/p' $asyncapi |
		tr -d ' ' | tr , '\n' | while read -r code; do
		grep -qF "\`$code\`" doc/http-api.md || echo "$code"
	done)"

finish
