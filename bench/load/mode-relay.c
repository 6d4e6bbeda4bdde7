/*
 * Trips through the relay by long poll and by XHR streaming (see exchange.h),
 * and `send` alone, to a path of the target that answers nothing.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "exchange.h"
#include "bench/lib/relay.h"

static void
create(struct exchange *exchange)
{
	relay_create(&exchange->out, "/", exchange->index);
}

static void
created(struct exchange *exchange)
{
	relay_session(exchange->session, sizeof(exchange->session),
		      exchange->index, exchange->out.status, exchange->text);
}

static void
receive(struct exchange *exchange)
{
	if (exchange->is_stream)
		relay_stream(&exchange->in, exchange->session);
	else
		relay_poll(&exchange->in, exchange->session);
}

static void
send_message(struct exchange *exchange, const char *data)
{
	relay_send(&exchange->out, exchange->session, data);
}

static void
close_session(struct exchange *exchange)
{
	relay_close(&exchange->out, exchange->session);
}

static void
line(struct exchange *exchange, const char *line)
{
	static const char message[] = "{\"type\":\"string\",\"data\":\"";
	const char *event = line + strspn(line, " ");

	if (*event == '\0')
		return; /* a stream's prelude */
	if (strncmp(event, "{\"ok\":true,\"events\":[", 21) != 0)
		die("client %u: received %.200s", exchange->index, line);
	for (event += 21; *event != ']'; event += *event == ',') {
		if (strncmp(event, "{\"type\":\"heartbeat\"}", 20) == 0) {
			event += 20;
			continue;
		}
		if (strncmp(event, message, sizeof(message) - 1) != 0)
			die("client %u: received %.200s", exchange->index,
			    line);
		event = exchange_message(exchange, event + sizeof(message) - 1);
		event += *event == '}';
	}
}

static const struct dialect dialect = {
	.create = create,
	.created = created,
	.receive = receive,
	.send = send_message,
	.close = close_session,
	.sent_status = 201,
	.line = line,
};

static void
poll_start(void *client, unsigned index)
{
	exchange_start(client, &dialect, index, false);
}

static void
stream_start(void *client, unsigned index)
{
	exchange_start(client, &dialect, index, true);
}

const struct mode poll_mode = {
	.name = "poll",
	.client_size = sizeof(struct exchange),
	.start = poll_start,
	.tick = exchange_tick,
};

const struct mode stream_mode = {
	.name = "stream",
	.client_size = sizeof(struct exchange),
	.start = stream_start,
	.tick = exchange_tick,
};

struct sender {
	unsigned index;
	enum { CREATING, SENDING, CLOSING } state;
	uint64_t n_sent;
	uint64_t sent_ns;
	struct http http;
	char session[80];
	struct answer answer;
};

static void
sender_body(struct http *http, const char *data, size_t len)
{
	struct sender *sender = http->owner;

	answer_add(&sender->answer, data, len);
}

static void
sender_end(struct http *http)
{
	struct sender *sender = http->owner;

	switch (sender->state) {
	case CREATING:
		relay_session(sender->session, sizeof(sender->session),
			      sender->index, http->status, sender->answer.text);
		sender->answer.len = 0;
		sender->state = SENDING;
		load_started();
		break;
	case SENDING:
		if (http->status != 201 || sender->answer.len > 0)
			die("client %u: send: %d %s", sender->index,
			    http->status, sender->answer.text);
		load_trip(sender->sent_ns);
		break;
	case CLOSING:
		if (http->status != 200)
			die("client %u: close: %d %s", sender->index,
			    http->status, sender->answer.text);
		load_finished();
		return;
	}
	if (load.phase == FINISHING) {
		sender->state = CLOSING;
		relay_close(http, sender->session);
		return;
	}
	sender->sent_ns = now_ns();
	relay_send(http, sender->session,
		   payload(sender->index, sender->n_sent++));
}

static const struct http_handler sender_handler = {
	.on_body = sender_body,
	.on_end = sender_end,
};

static void
sender_start(void *client, unsigned index)
{
	struct sender *sender = client;

	sender->index = index;
	sender->http.handler = &sender_handler;
	sender->http.owner = sender;
	relay_create(&sender->http, "/discard", index);
}

const struct mode send_mode = {
	.name = "send",
	.client_size = sizeof(struct sender),
	.start = sender_start,
};
