#!/bin/sh
# Includes point one way: fcgi-app -> common <- wsbridge, and inside wsbridge
# each room (folder) knows those that it stands on: services know sessions,
# sessions know the two sides only as struct peer_ops and struct receiver_ops.

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

# The rooms of wsbridge, and what each may know besides itself and common; the
# files in wsbridge itself are the daemon, which may know all of them.
rooms='
base:
framing: base channels/envelope.h session/recipient.h
session: base bridge.h channels/envelope.h store
store: base channels/history.h
http: base bridge.h framing session
websocket: base bridge.h listener.h outbox/outbox.h session
relay: base bridge.h enforce.h framing http session websocket
channels: base bridge.h enforce.h framing http session store websocket
applications: base bridge.h enforce.h framing http outbox session store websocket
outbox: applications base bridge.h session store
'
# Of all services that there are: the handshake is for one of them, the context
# of libwebsockets has a protocol for each use, and an answer of the relay may
# have to say that a socket is a channel's.
exceptions='
wsbridge/websocket/upgrade.c:wsbridge/applications/application.h
wsbridge/websocket/upgrade.c:wsbridge/channels/member.h
wsbridge/websocket/websocket.c:wsbridge/relay/upstream.h
wsbridge/relay/relay.c:wsbridge/channels/member.h
'
result "a room of wsbridge knows only the rooms it stands on" "$(
	printf '%s\n' "$all" | awk -F: -v rooms="$rooms" -v known="$exceptions" '
		BEGIN {
			n = split(rooms, line, "\n")
			for (i = 1; i <= n; i++) {
				m = split(line[i], word, /:? +|:$/)
				for (k = 2; k <= m; k++)
					may[word[1], word[k]] = 1
			}
		}
		$1 !~ "^wsbridge/[a-z]+/" || $2 !~ "^wsbridge/" { next }
		index(known, "\n" $1 ":" $2 "\n") { next }
		{
			split($1, from, "/")
			header = substr($2, length("wsbridge/") + 1)
			room = header
			sub("/.*", "", room)
			if (room != from[2] && !((from[2], room) in may) &&
			    !((from[2], header) in may))
				print $1 " includes " $2
		}')"
result "every room of wsbridge has its line above" "$(
	for folder in wsbridge/*/; do
		room=$(basename "$folder")
		printf '%s' "$rooms" | grep -q "^$room:" || echo "$room"
	done)"
result "a header of another room is named with its room" "$(
	printf '%s\n' "$all" | while IFS=: read -r file header; do
		case $file:$header in
		wsbridge/*:wsbridge/*) [ -e "$header" ] ||
			echo "$file includes $header" ;;
		wsbridge/*:*.h) [ -e "${file%/*}/$header" ] ||
			[ -e "common/$header" ] ||
			[ -z "$(find wsbridge -name "${header##*/}")" ] ||
			echo "$file includes $header" ;;
		esac
	done)"
forbid "a framing does no input or output" \
	'wsbridge/framing/.*' "$loop|$websockets|unistd\.h|sys/socket\.h"
forbid "only WebSockets need libwebsockets" \
	'wsbridge/.*' "$websockets" 'wsbridge/(websocket/(deflate|downstream|websocket)|relay/upstream(_[a-z]+)?)\.[ch]'
forbid "only callbacks and URLs need libcurl" \
	'.*' 'curl/.*' 'wsbridge/outbox/callback(_loop|_state)?\.[ch]|common/ps_url\.c'

forbid "only the modules of the database know SQLite" \
	'.*' 'sqlite3\.h' 'common/ps_(db|schema)\.c|common/ps_sql\.h'
forbid "the statements are for the modules of the database alone" \
	'.*' 'ps_sql\.h' 'common/ps_(sql|db|db_[a-z]+)\.c'
result "the bridge's loop never waits for the database" "$(
	grep -rnE --include='*.c' '\<ps_(db|schema)_[a-z_]+\(' wsbridge |
		grep -v '^wsbridge/\(main\|store/[a-z_]*\|[a-z]*/[a-z]*_rows*\)\.c:')"

finish
