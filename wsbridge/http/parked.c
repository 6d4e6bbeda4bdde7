#include "config.h"

#include "parked.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The scratch buffer is given back when one answer was larger. */
#define SCRATCH_KEEP (1024 * 1024)
/* What a client above max_held may do: see ps_code.c for the others. */
#define HELD_RETRY_AFTER_S 5
/* See waits_with_head(). As long may a client that left seem to be there; polls
 * wait for less than that where much is said. */
#define HEAD_DELAY_MS 500

struct parked {
	struct receiver receiver; /* first */
	struct garbage garbage;
	struct bridge *bridge;
	struct exchange *exchange; /* NULL once it is given up */
	const struct framing *framing;
	struct framing_context context;
	uint64_t hold_ms, hold_until_ms;
	uint64_t stream_bytes; /* written so far, without head and prelude */
	bool head_written, ending;
};

static void
destroy(struct garbage *garbage)
{
	free(PS_CONTAINER(garbage, struct parked, garbage));
}

/* The exchange goes its own way, or has gone; only the memory is left. */
static void
parked_free(struct parked *parked)
{
	parked->exchange = NULL;
	parked->bridge->n_held--;
	bridge_free_later(parked->bridge, &parked->garbage, destroy);
}

static struct ps_writer *
begin_output(struct parked *parked)
{
	struct ps_writer *out = &parked->bridge->scratch;
	const struct ps_head_extra extra = { .stream =
						 parked->framing->is_stream };

	ps_writer_reset(out);
	if (parked->head_written)
		return out;
	parked->head_written = true;
	ps_reply_head(out, &parked->exchange->style, 200,
	    parked->framing->content_type, &extra);
	if (parked->framing->open != NULL)
		parked->framing->open(out, &parked->context);
	return out;
}

/* What was written is with the web server. */
static void
confirm(struct parked *parked)
{
	struct session *session = parked->receiver.session;

	if (session == NULL)
		return;
	session_confirm(session); /* may end it, which releases us */
	if (parked->ending && parked->receiver.session != NULL)
		session_detach(session);
}

static void
on_written(void *owner)
{
	struct parked *parked = owner;
	struct session *session = parked->receiver.session;

	confirm(parked);
	if (parked->ending)
		parked_free(parked);
	else if (session != NULL && parked->receiver.session == session &&
	    session_has_unsent(session))
		parked->receiver.ops->deliver(&parked->receiver);
}

static void
on_gone(void *owner)
{
	struct parked *parked = owner;

	if (parked->receiver.session != NULL)
		session_lose(parked->receiver.session);
	parked_free(parked);
}

static const struct exchange_ops exchange_ops = { on_written, on_gone, true };

/*
 * Writes what is in the scratch buffer, as the end where it is. True when the
 * web server took all of it and there may be more.
 */
static bool
send_output(struct parked *parked, struct ps_writer *out)
{
	struct exchange *exchange = parked->exchange;
	bool sent;

	if (out->failed) {
		exchange_abort(exchange);
		on_gone(parked);
		return false;
	}
	if (!parked->framing->is_stream ||
	    parked->stream_bytes >= parked->bridge->config->stream_bytes)
		parked->ending = true;
	sent = parked->ending ? exchange_finish(exchange, out->data, out->len) :
				exchange_write(exchange, out->data, out->len);
	ps_writer_reset(out);
	ps_writer_trim(out, SCRATCH_KEEP);
	if (!sent)
		return false; /* on_written() or on_gone() will tell */
	confirm(parked);
	if (parked->ending)
		parked_free(parked);
	return !parked->ending && parked->receiver.session != NULL;
}

static void
put_messages(struct parked *parked, struct ps_writer *out)
{
	struct session *session = parked->receiver.session;
	const struct framing *framing = parked->framing;
	size_t begin = out->len;
	size_t limit = begin + parked->bridge->config->reply_bytes;
	const struct close_event *close;
	struct message *message;
	uint64_t first = session->first_seq + session->taken, last;
	uint32_t n = 0;

	framing->begin(out, &parked->context);
	while (out->len < limit &&
	    (message = session_unsent(session, n)) != NULL) {
		parked->context.seq = first + n;
		framing->message(out, &parked->context, message);
		n++;
	}
	close = session_unsent_close(session, n);
	if (n > 0 && framing->greet != NULL)
		close = NULL; /* it stands alone */
	if (close != NULL) {
		parked->context.seq = first + n;
		framing->close(out, &parked->context, close->code,
		    ps_slice(close->reason, close->reason_len),
		    close->was_clean);
		parked->ending = true;
	}
	last = session_take(session, n, close != NULL);
	framing->end(out, &parked->context,
	    n == 0 && close == NULL ? 0 : last);
	parked->stream_bytes += out->len - begin;
	if (session_wants_ack(session))
		parked->ending = true;
}

static void
parked_deliver(struct receiver *receiver)
{
	struct parked *parked = (struct parked *)receiver;
	struct ps_writer *out;

	/* One answer at a time; what comes meanwhile waits in the session. */
	if (parked->ending || exchange_is_writing(parked->exchange))
		return;
	receiver->deadline_ms = parked->bridge->now_ms() + parked->hold_ms;
	do {
		out = begin_output(parked);
		put_messages(parked, out);
	} while (send_output(parked, out) &&
	    session_has_unsent(receiver->session));
}

/* A unit of a heartbeat or of a greeting. */
static void
put_alone(struct parked *parked, struct ps_writer *out,
    void (*put)(struct ps_writer *w, struct framing_context *c))
{
	size_t begin = out->len;

	parked->framing->begin(out, &parked->context);
	put(out, &parked->context);
	parked->framing->end(out, &parked->context, 0);
	parked->stream_bytes += out->len - begin;
}

static void
show_head(struct parked *parked);

static void
parked_expire(struct receiver *receiver)
{
	struct parked *parked = (struct parked *)receiver;
	struct ps_writer *out;

	if (receiver->deadline_ms < parked->hold_until_ms) {
		receiver->deadline_ms = parked->hold_until_ms;
		show_head(parked);
		return;
	}
	receiver->deadline_ms = parked->bridge->now_ms() + parked->hold_ms;
	if (parked->ending || exchange_is_writing(parked->exchange))
		return;
	out = begin_output(parked);
	put_alone(parked, out, parked->framing->heartbeat);
	send_output(parked, out);
}

/* A poll gets an empty answer, a stream just ends. */
static void
parked_release(struct receiver *receiver)
{
	struct parked *parked = (struct parked *)receiver;
	struct ps_writer *out;

	if (parked->ending)
		return; /* the exchange is finishing, on_written() will come */
	out = begin_output(parked);
	if (!parked->framing->is_stream)
		put_alone(parked, out, parked->framing->heartbeat);
	parked->ending = true;
	send_output(parked, out);
}

static const struct receiver_ops receiver_ops = { parked_deliver,
	parked_expire, parked_release };

/* Above max_held: a poll is answered, so that its client comes again. */
static void
refuse_held(struct bridge *bridge, struct exchange *exchange,
    const struct framing *framing, struct framing_context *context)
{
	const struct ps_head_extra extra = { .retry_after_s =
						 HELD_RETRY_AFTER_S };
	struct ps_writer *out = &bridge->scratch;

	if (framing->is_stream) {
		exchange_reply_limit(exchange, PS_CODE_TOO_MANY_HELD,
		    "max_held");
		return;
	}
	ps_writer_reset(out);
	ps_reply_head(out, &exchange->style, 200, framing->content_type,
	    &extra);
	framing->begin(out, context);
	framing->heartbeat(out, context);
	framing->end(out, context, 0);
	exchange_finish(exchange, out->data, out->len);
}

/* Sends the head, or a web server would not tell us that the client left. */
static void
show_head(struct parked *parked)
{
	struct ps_writer *out;

	if (!parked->head_written) {
		out = begin_output(parked);
		if (out->failed) {
			exchange_abort(parked->exchange);
			on_gone(parked);
			return;
		}
		exchange_write(parked->exchange, out->data, out->len);
	}
	exchange_watch(parked->exchange);
}

/*
 * A head of its own, and watching whether the client leaves after it, are a
 * fifth of what a poll costs. So those that are answered soon do without,
 * unless what is written for a client that has left is forgotten at that.
 */
static bool
waits_with_head(const struct parked *parked)
{
	return !parked->framing->is_stream &&
	    parked->receiver.session->delivery != SESSION_FORGETS;
}

static void
park(struct parked *parked)
{
	uint64_t head_at_ms = parked->bridge->now_ms() + HEAD_DELAY_MS;

	if (!waits_with_head(parked)) {
		show_head(parked);
	} else if (head_at_ms < parked->hold_until_ms) {
		parked->receiver.deadline_ms = head_at_ms;
		session_update_deadline(parked->receiver.session);
	}
}

/* What the client says it has got cannot be, or is everything. */
static void
refuse_ack(const struct session *session, struct exchange *exchange, int ret)
{
	char expected[48];

	if (ret != PS_ERR_GAP) {
		exchange_reply_error(exchange,
		    session->recipient != NULL ? PS_CODE_KEY_UNKNOWN :
						 PS_CODE_SOCKET_UNKNOWN,
		    NULL);
		return;
	}
	snprintf(expected, sizeof(expected), "\"expected\":%" PRIu64,
	    session_acknowledged(session));
	exchange_reply_error(exchange, PS_CODE_GAP, expected);
}

bool
parked_may_hold(const struct bridge *bridge)
{
	return bridge->n_held < bridge->config->max_held;
}

static struct parked *
make_parked(struct bridge *bridge, struct exchange *exchange,
    const struct framing *framing, const struct ps_ipc_receive *m)
{
	struct parked *parked = calloc(1, sizeof(*parked));

	if (parked == NULL)
		return NULL;
	parked->receiver.ops = &receiver_ops;
	parked->hold_until_ms = bridge->now_ms() + m->hold_ms;
	parked->receiver.deadline_ms = parked->hold_until_ms;
	parked->bridge = bridge;
	parked->exchange = exchange;
	parked->framing = framing;
	parked->context.dialect = m->dialect;
	parked->context.callback = exchange->style.callback;
	parked->context.numbered = m->acknowledges;
	parked->hold_ms = m->hold_ms;
	return parked;
}

static void
attach(struct parked *parked, struct session *session,
    enum session_delivery delivery)
{
	parked->bridge->n_held++;
	parked->context.got = session_acknowledged(session);
	parked->context.key = ps_slice_str(session->id);
	parked->context.recipient = session->recipient;
	if (session->recipient != NULL)
		memcpy(parked->context.event, session->recipient->event,
		    sizeof(parked->context.event));
	exchange_set_owner(parked->exchange, &exchange_ops, parked);
	session_attach(session, &parked->receiver, delivery);
}

static enum session_delivery
find_delivery(const struct framing *framing, const struct ps_ipc_receive *m)
{
	if (framing->greet != NULL)
		return SESSION_BREAKS;
	return m->acknowledges || framing->tells_ids ? SESSION_KEEPS :
						       SESSION_FORGETS;
}

void
parked_create(struct session *session, struct exchange *exchange,
    const struct framing *framing, const struct ps_ipc_receive *m)
{
	struct bridge *bridge = session->bridge;
	struct parked *parked = make_parked(bridge, exchange, framing, m);
	bool replaces = session->receiver != NULL;
	int ret;

	if (parked == NULL) {
		exchange_reply_error(exchange, PS_CODE_TOO_MANY_HELD, NULL);
		return;
	}
	ret = session_acknowledge(session, m->acknowledges ? &m->ack : NULL);
	if (ret != PS_OK) {
		free(parked);
		refuse_ack(session, exchange, ret);
		return;
	}
	if (!parked_may_hold(bridge) && !session_has_unsent(session) &&
	    !replaces) {
		refuse_held(bridge, exchange, framing, &parked->context);
		free(parked);
		return;
	}
	attach(parked, session, find_delivery(framing, m));
	if (session_has_unsent(session))
		parked_deliver(&parked->receiver);
	if (!parked->ending && parked->exchange != NULL)
		park(parked);
}

void
parked_go_on(struct session *session, struct exchange *exchange,
    const struct framing *framing, uint64_t hold_ms)
{
	const struct ps_ipc_receive m = { .hold_ms = (uint32_t)hold_ms };

	parked_create(session, exchange, framing, &m);
}

void
parked_open(struct session *session, struct exchange *exchange,
    const struct framing *framing, uint64_t hold_ms)
{
	const struct ps_ipc_receive m = { .hold_ms = (uint32_t)hold_ms };
	struct bridge *bridge = session->bridge;
	struct parked *parked = make_parked(bridge, exchange, framing, &m);
	struct ps_writer *out;

	if (parked == NULL ||
	    (framing->is_stream && !parked_may_hold(bridge))) {
		free(parked);
		exchange_reply_limit(
		    exchange, PS_CODE_TOO_MANY_HELD, "max_held");
		session_end(session, "no room for its receiver");
		return;
	}
	attach(parked, session, find_delivery(framing, &m));
	out = begin_output(parked);
	put_alone(parked, out, framing->greet);
	if (send_output(parked, out) && session_has_unsent(session))
		parked_deliver(&parked->receiver);
	if (!parked->ending && parked->exchange != NULL)
		park(parked);
}

void
parked_reply_close(struct exchange *exchange, const struct framing *framing,
    uint16_t code, const char *reason)
{
	struct framing_context context = { .callback =
					       exchange->style.callback };
	const struct ps_head_extra extra = { .stream = framing->is_stream };
	struct ps_writer *out = &exchange->bridge->scratch;

	ps_writer_reset(out);
	ps_reply_head(
	    out, &exchange->style, 200, framing->content_type, &extra);
	if (framing->open != NULL)
		framing->open(out, &context);
	framing->begin(out, &context);
	framing->close(out, &context, code, ps_slice_str(reason), true);
	framing->end(out, &context, 0);
	if (out->failed)
		exchange_abort(exchange);
	else
		exchange_finish(exchange, out->data, out->len);
	ps_writer_reset(out);
}
