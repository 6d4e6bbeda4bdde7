#include "config.h"

#include "exchange.h"

#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

static struct exchange *waiting;

static void
finish(struct exchange *exchange)
{
	exchange->is_closing = true;
	if (exchange->dialect->close)
		exchange->dialect->close(exchange);
	else
		load_finished();
}

static bool
is_due(const struct exchange *exchange)
{
	return load.rate == 0 || load.phase == FINISHING ||
	       now_ns() >= exchange->due_ns;
}

static void
wait_for_turn(struct exchange *exchange)
{
	if (exchange->is_waiting)
		return;
	exchange->is_waiting = true;
	exchange->next_waiting = waiting;
	waiting = exchange;
}

/* When the trip begins, or should have: see exchange.h. */
static uint64_t
trip_begin(struct exchange *exchange, bool waited)
{
	uint64_t now = now_ns(), due = exchange->due_ns;

	if (load.rate == 0)
		return now;
	exchange->due_ns += NS_PER_S * load.n_clients / load.rate;
	return waited ? now : due;
}

/* Starts the next trip when the one before is over in both connections. */
static void
go_on(struct exchange *exchange, bool waited)
{
	if (!exchange->is_open || exchange->is_closing ||
	    exchange->out.is_busy || !exchange->in.is_busy ||
	    exchange->n_received < exchange->n_sent)
		return;
	if (load.phase == FINISHING) {
		finish(exchange);
		return;
	}
	if (!is_due(exchange)) {
		wait_for_turn(exchange);
		return;
	}
	exchange->sent_ns = trip_begin(exchange, waited);
	exchange->dialect->send(exchange,
				payload(exchange->index, exchange->n_sent++));
}

static void
advance(struct exchange *exchange)
{
	go_on(exchange, false);
}

void
exchange_opened(struct exchange *exchange)
{
	if (exchange->is_open)
		die("client %u: opened twice", exchange->index);
	exchange->is_open = true;
	if (load.rate > 0)
		exchange->due_ns =
		    now_ns() + NS_PER_S * exchange->index / load.rate;
	load_started();
}

void
exchange_tick(void)
{
	struct exchange *exchange = waiting, *next;

	waiting = NULL;
	for (; exchange != NULL; exchange = next) {
		next = exchange->next_waiting;
		exchange->is_waiting = false;
		if (is_due(exchange))
			go_on(exchange, true);
		else
			wait_for_turn(exchange);
	}
}

const char *
exchange_message(struct exchange *exchange, const char *data)
{
	const char *expected = payload(exchange->index, exchange->n_received);
	size_t len = load.payload_len;

	if (exchange->n_received == exchange->n_sent ||
	    strncmp(data, expected, len) != 0 || data[len] != '"')
		die("client %u: expected message %llu of %llu sent, got: %.80s",
		    exchange->index, (unsigned long long)exchange->n_received,
		    (unsigned long long)exchange->n_sent, data);
	exchange->n_received++;
	load_trip(exchange->sent_ns);
	return data + len + 1;
}

static void
text_append(struct exchange *exchange, const char *data, size_t len)
{
	if (len >= sizeof(exchange->text) - exchange->text_len)
		die("client %u: answer too long: %.80s", exchange->index,
		    exchange->text);
	memcpy(exchange->text + exchange->text_len, data, len);
	exchange->text_len += len;
	exchange->text[exchange->text_len] = '\0';
}

static void
lines_read(struct exchange *exchange)
{
	char *line = exchange->text, *end;

	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		exchange->dialect->line(exchange, line);
		line = end + 1;
	}
	exchange->text_len -= line - exchange->text;
	memmove(exchange->text, line, exchange->text_len + 1);
}

static void
in_body(struct http *http, const char *data, size_t len)
{
	struct exchange *exchange = http->owner;

	if (exchange->is_closing)
		return;
	if (http->status != 200)
		die("client %u: receive: %d %.*s", exchange->index,
		    http->status, (int)len, data);
	text_append(exchange, data, len);
	lines_read(exchange);
	if (exchange->is_stream)
		advance(exchange);
}

static void
in_end(struct http *http)
{
	struct exchange *exchange = http->owner;

	if (exchange->is_closing)
		return;
	if (http->status != 200)
		die("client %u: receive: %d", exchange->index, http->status);
	if (exchange->text_len > 0 && exchange->is_stream)
		die("client %u: a stream ended in a line", exchange->index);
	if (exchange->text_len > 0)
		text_append(exchange, "\n", 1);
	lines_read(exchange);
	exchange->dialect->receive(exchange);
	advance(exchange);
}

static void
out_body(struct http *http, const char *data, size_t len)
{
	text_append(http->owner, data, len);
}

static void
out_end(struct http *http)
{
	struct exchange *exchange = http->owner;

	if (!exchange->is_open) {
		exchange->dialect->created(exchange);
		exchange->text_len = 0;
		exchange_opened(exchange);
		exchange->dialect->receive(exchange);
	} else if (exchange->is_closing) {
		if (http->status != 200)
			die("client %u: close: %d %s", exchange->index,
			    http->status, exchange->text);
		load_finished();
		return;
	} else if (http->status != exchange->dialect->sent_status) {
		die("client %u: send: %d %s", exchange->index, http->status,
		    exchange->text);
	}
	advance(exchange);
}

static const struct http_handler in_handler = {
	.on_body = in_body,
	.on_end = in_end,
};

static const struct http_handler out_handler = {
	.on_body = out_body,
	.on_end = out_end,
};

void
exchange_start(struct exchange *exchange, const struct dialect *dialect,
	       unsigned index, bool is_stream)
{
	exchange->dialect = dialect;
	exchange->index = index;
	exchange->is_stream = is_stream;
	exchange->in.handler = &in_handler;
	exchange->in.owner = exchange;
	exchange->out.handler = &out_handler;
	exchange->out.owner = exchange;
	if (dialect->create)
		dialect->create(exchange);
	else
		dialect->receive(exchange);
}
