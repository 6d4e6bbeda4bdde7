#!/bin/sh
# Includes point one way: fcgi-app -> common <- wsbridge, and inside wsbridge
# intake -> services -> session -> receivers and framings, while the far side's
# peers know sessions and sessions know them only as struct peer_ops.

. "${srcdir:-.}/tests/house/tap.sh"
cd "$srcdir" || exit 1

# Lines "file:header" for every include in the files below the given folders.
includes() {
	find "$@" -name '*.[ch]' -exec awk '
		/^[ \t]*#[ \t]*include[ \t]*["<]/ {
			split($0, part, /["<>]/)
			print FILENAME ":" part[2]
		}' {} +
}

# forbid DESCRIPTION FILES HEADERS [EXCEPT]: no file that matches the first
# regular expression, but for those that match the third, may include what
# matches the second. All match from the start to the end of a name; a header is
# matched with and without its folders.
forbid() {
	result "$1" "$(printf '%s\n' "$all" | awk -F: -v files="^($2)$" \
		-v headers="^(.*/)?($3)$" -v except="^(${4-})$" '
		$1 ~ files && $1 !~ except && $2 ~ headers {
			print $1 " includes " $2
		}')"
}

# Headers of folder $1, as a regular expression.
headers_of() {
	(cd "$1" && find . -name '*.h') | sed 's,.*/,,; s,\.,\\.,g' |
		sort -u | paste -sd '|'
}

all=$(includes common fcgi-app wsbridge)
fastcgi='fcgiapp\.h|fcgi_stdio\.h|fcgios\.h|fcgimisc\.h|fastcgi\.h'
websockets='libwebsockets\.h|libwebsockets/.*'
loop='uv\.h|uv/.*'

result "there are includes to check" "$([ -n "$all" ] || echo none found)"

# A name that both programs have would make the tests below blind.
result "only common has names that start with ps_" \
	"$(find fcgi-app wsbridge -name 'ps_*.[ch]'
	find common -name '*.[ch]' ! -name 'ps_*')"

forbid "common knows neither program" \
	'common/.*' "$(headers_of fcgi-app)|$(headers_of wsbridge)"
forbid "common knows neither FastCGI nor libwebsockets nor libuv" \
	'common/.*' "$fastcgi|$websockets|$loop"
forbid "fcgi-app knows neither libwebsockets nor libuv" \
	'fcgi-app/.*' "$websockets|$loop"
forbid "wsbridge does not know libfcgi" 'wsbridge/.*' 'fcgi(app|_stdio|os|misc)\.h'

# Quoted includes are looked for beside the file first, so a header of the
# other program can only be meant where the own folder has none of that name.
result "neither program includes the other" "$(
	printf '%s\n' "$all" | while IFS=: read -r file header; do
		case $file:$header in
		fcgi-app/*:*wsbridge/* | wsbridge/*:*fcgi-app/*)
			echo "$file includes $header"
			continue
			;;
		fcgi-app/*) own=fcgi-app other=wsbridge ;;
		wsbridge/*) own=wsbridge other=fcgi-app ;;
		*) continue ;;
		esac
		if [ -e "$other/$header" ] && [ ! -e "$own/$header" ] &&
			[ ! -e "${file%/*}/$header" ]; then
			echo "$file includes $header"
		fi
	done)"

result "only handoff.c knows the inside of libfcgi's request" \
	"$(grep -nE '(->|\.)(ipcFd|keepConnection)\>' fcgi-app/*.[ch] |
		grep -v '^fcgi-app/handoff\.c:')"

forbid "a framing does no input or output and knows no session" \
	'wsbridge/framing/.*' "$loop|$websockets|unistd\.h|sys/socket\.h|\
bridge\.h|session\.h|parked\.h|websocket\.h|upstream\.h|intake\.h"
forbid "a session knows its peers and receivers only by their operations" \
	'wsbridge/session\.[ch]' 'upstream\.h|application\.h|channel\.h|\
parked\.h|websocket\.h|downstream\.h|intake\.h|relay\.h'
# A framing is named after the service that it is of, and none of it.
every=$all
all=$(printf '%s\n' "$all" | grep -v ':framing/')
forbid "the near side does not know the far side" \
	'wsbridge/(parked|downstream(_[a-z]+)?)\.[ch]' \
	'upstream\.h|application\.h|channel\.h|peer\.h|intake\.h|relay\.h'
all=$every
forbid "the far side does not know the near side" \
	'wsbridge/(upstream|application|callback|callback_loop|channel|target|resolver)\.[ch]' \
	'parked\.h|downstream\.h|framing\.h|intake\.h|relay\.h'
forbid "what all of the bridge stands on knows nothing of it" \
	'wsbridge/(address|assembly|deflate|frames|handshake|message|peer|receiver|resolver|socket_info|table|target|timers|watch|webhook)\.[ch]' \
	'bridge\.h|session\.h|exchange\.h|intake\.h|relay\.h|upstream\.h'
forbid "only WebSockets need libwebsockets" \
	'wsbridge/.*' "$websockets" 'wsbridge/(deflate|downstream|upstream|websocket)\.[ch]'
forbid "only callbacks and URLs need libcurl" \
	'.*' 'curl/.*' 'wsbridge/callback(_loop)?\.[ch]|common/ps_url\.c'

forbid "only the modules of the database know SQLite" \
	'.*' 'sqlite3\.h' 'common/ps_(db|schema)\.c|common/ps_sql\.h'
forbid "the statements are for the modules of the database alone" \
	'.*' 'ps_sql\.h' 'common/ps_(sql|db|db_[a-z]+)\.c'
result "the bridge's loop never waits for the database" "$(
	grep -nE '\<ps_(db|schema)_[a-z_]+\(' wsbridge/*.c |
		grep -v '^wsbridge/\(main\|reading\|store\(_[a-z]*\)\?\|[a-z]*_rows*\)\.c:')"

finish
