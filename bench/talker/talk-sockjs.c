/*
 * SockJS, mounted at /talk, by XHR polling and XHR streaming. A session begins
 * with the first receive, which answers `o`, and ends with the first request
 * that fails, as in sockjs-client: what was on its way then is lost, and the
 * application opens another.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "talk.h"

static void
post(struct talker *talker, struct http *http, const char *route,
     const char *body, size_t len)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/talk/000/%s/%s", load.prefix,
		 talker->session, route);
	http_post(http, path, "text/plain", body, len);
}

static void
receive(struct talker *talker)
{
	if (talker->state == OPENING)
		snprintf(talker->session, sizeof(talker->session),
			 "talk%d-%u-%u", (int)getpid(), talker->index,
			 ++talker->n_sessions);
	post(talker, &talker->in,
	     talker->transport == 0 ? "xhr" : "xhr_streaming", "", 0);
}

static void
send_items(struct talker *talker, unsigned n)
{
	static struct text body;
	unsigned i;

	body.len = 0;
	for (i = 0; i < n; i++) {
		text_print(&body, i > 0 ? "\",\"" : "[\"");
		queue_put(talker, &body, i);
	}
	text_print(&body, "\"]");
	post(talker, &talker->out, "xhr_send", body.data, body.len);
}

static void
line(struct talker *talker, char *line)
{
	char *text;

	switch (*line) {
	case 'o':
		talker_opened(talker, true);
		break;
	case 'h': /* a heartbeat, or a stream's prelude */
	case '\0':
		break;
	case 'c':
		talker->is_over = true;
		break;
	case 'a':
		for (text = strchr(line, '"'); text; text = strchr(text, '"')) {
			talker_message(talker, ++text);
			text = strchr(text, '"');
			if (text == NULL)
				die("client %u: received %.200s", talker->index,
				    line);
			text++;
		}
		break;
	default:
		die("client %u: received %.200s", talker->index, line);
	}
}

const struct tongue sockjs_tongue = {
	.name = "sockjs",
	.n_transports = 2,
	.sent_status = 204,
	.back_off_ms = 10,
	.max_back_off_ms = 200,
	.receive = receive,
	.send = send_items,
	.line = line,
	.line_end = '\n',
};
