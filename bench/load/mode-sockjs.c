/*
 * Trips through a SockJS echo service by XHR polling and by XHR streaming
 * (see exchange.h), mounted at /echo. The session begins with the first
 * receive, which answers `o`; messages come as a["..."].
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exchange.h"

static void
post(struct http *http, const struct exchange *exchange, const char *transport,
     const char *body, int len)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/echo/000/%s/%s", load.prefix,
		 exchange->session, transport);
	http_post(http, path, "text/plain", body, len);
}

static void
receive(struct exchange *exchange)
{
	post(&exchange->in, exchange,
	     exchange->is_stream ? "xhr_streaming" : "xhr", "", 0);
}

static void
send_message(struct exchange *exchange, const char *data)
{
	char body[MAX_PAYLOAD + 16];

	post(&exchange->out, exchange, "xhr_send", body,
	     snprintf(body, sizeof(body), "[\"%s\"]", data));
}

static void
line(struct exchange *exchange, const char *line)
{
	const char *text = line;

	switch (*line) {
	case 'o':
		exchange_opened(exchange);
		break;
	case 'h': /* a heartbeat, or the 2,048 of a stream's prelude */
		break;
	case 'a':
		for (text++;
		     *text == (text == line + 1 ? '[' : ',') && text[1] == '"';)
			text = exchange_message(exchange, text + 2);
		if (strcmp(text, "]") != 0)
			die("client %u: received %.200s", exchange->index,
			    line);
		break;
	default:
		die("client %u: received %.200s", exchange->index, line);
	}
}

static const struct dialect dialect = {
	.receive = receive,
	.send = send_message,
	.sent_status = 204,
	.line = line,
};

static void
start(struct exchange *exchange, unsigned index, bool is_stream)
{
	snprintf(exchange->session, sizeof(exchange->session), "bench%d-%u",
		 (int)getpid(), index);
	exchange_start(exchange, &dialect, index, is_stream);
}

static void
poll_start(void *client, unsigned index)
{
	start(client, index, false);
}

static void
stream_start(void *client, unsigned index)
{
	start(client, index, true);
}

const struct mode sockjs_poll_mode = {
	.name = "sockjs-poll",
	.client_size = sizeof(struct exchange),
	.start = poll_start,
};

const struct mode sockjs_stream_mode = {
	.name = "sockjs-stream",
	.client_size = sizeof(struct exchange),
	.start = stream_start,
};
