/*
 * Trips through a SockJS echo service by XHR polling and by XHR streaming
 * (see exchange.h), mounted at --path. The session begins with the first
 * receive, which answers `o`; messages come as a["..."].
 *
 * And messages that only have to be taken: with sockjs-send a trip is an
 * `xhr_send` and its 204, and nothing comes back to the session's stream. A
 * 503 is asked again.
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

	snprintf(path, sizeof(path), "%s%s/000/%s/%s", load.prefix, load.path,
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
session_name(struct exchange *exchange, unsigned index)
{
	snprintf(exchange->session, sizeof(exchange->session), "bench%d-%u",
		 (int)getpid(), index);
}

static void
start(struct exchange *exchange, unsigned index, bool is_stream)
{
	session_name(exchange, index);
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

static void
send_next(struct exchange *exchange)
{
	exchange->sent_ns = now_ns();
	send_message(exchange, payload(exchange->index, exchange->n_sent));
}

static void
sender_in_body(struct http *http, const char *data, size_t len)
{
	struct exchange *exchange = http->owner;

	if (http->status != 200 || memchr(data, 'a', len) != NULL ||
	    memchr(data, 'c', len) != NULL)
		die("client %u: received %d %.*s", exchange->index,
		    http->status, (int)len, data);
	if (!exchange->is_open && memchr(data, 'o', len) != NULL) {
		exchange->is_open = true;
		load_started();
		send_next(exchange);
	}
}

static void
sender_in_end(struct http *http)
{
	receive(http->owner);
}

static void
sender_out_end(struct http *http)
{
	struct exchange *exchange = http->owner;

	if (http->status == 503) {
		send_message(exchange,
			     payload(exchange->index, exchange->n_sent));
		return;
	}
	if (http->status != 204)
		die("client %u: send: %d", exchange->index, http->status);
	exchange->n_sent++;
	load_trip(exchange->sent_ns);
	if (load.phase == FINISHING)
		load_finished();
	else
		send_next(exchange);
}

static void
sender_out_body(struct http *http, const char *data, size_t len)
{
	struct exchange *exchange = http->owner;

	if (http->status != 503)
		die("client %u: send: %d %.*s", exchange->index, http->status,
		    (int)len, data);
}

static const struct http_handler sender_in = {
	.on_body = sender_in_body,
	.on_end = sender_in_end,
};

static const struct http_handler sender_out = {
	.on_body = sender_out_body,
	.on_end = sender_out_end,
};

static void
send_start(void *client, unsigned index)
{
	struct exchange *exchange = client;

	session_name(exchange, index);
	exchange->index = index;
	exchange->is_stream = true;
	exchange->in.handler = &sender_in;
	exchange->in.owner = exchange;
	exchange->out.handler = &sender_out;
	exchange->out.owner = exchange;
	receive(exchange);
}

const struct mode sockjs_send_mode = {
	.name = "sockjs-send",
	.client_size = sizeof(struct exchange),
	.start = send_start,
};
