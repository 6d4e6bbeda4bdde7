#include "config.h"

#include "session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/rand.h>

#include "ps_base64.h"
#include "ps_log.h"

#define TO(state) (1u << SESSION_##state)

static const struct {
	const char *name;
	unsigned next; /* bit set of states that may follow */
} states[] = {
	[SESSION_CONNECTING] = { "connecting",
	    TO(OPEN) | TO(CLOSING) | TO(CLOSED) },
	[SESSION_OPEN] = { "open", TO(CLOSING) | TO(CLOSED) },
	[SESSION_CLOSING] = { "closing", TO(CLOSED) },
	[SESSION_CLOSED] = { "closed", 0 },
};
_Static_assert(sizeof(states) / sizeof(states[0]) == SESSION__COUNT,
    "every session state needs a row");

const char *
session_state_name(enum session_state state)
{
	return states[state].name;
}

bool
session_state_may_follow(enum session_state from, enum session_state to)
{
	return (states[from].next & 1u << to) != 0;
}

void
session_name(const struct session *session, char *out)
{
	snprintf(out, SESSION_NAME_MAX, "%s-%" PRIu64, session->bridge->tag,
	    session->number);
}

static void
enter_state(struct session *session, enum session_state state)
{
	char name[SESSION_NAME_MAX];

	assert(session_state_may_follow(session->state, state));
	if (ps_log_is_debug()) {
		session_name(session, name);
		ps_debug("session %s: %s -> %s", name,
		    session_state_name(session->state),
		    session_state_name(state));
	}
	session->state = state;
}

static uint64_t
now(const struct session *session)
{
	return session->bridge->now_ms();
}

static uint64_t
earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
deadline(const struct session *session)
{
	uint64_t at =
	    earliest(session->end_at_ms, session->stall_at_ms);

	if (session->receiver != NULL)
		return earliest(at, session->receiver->deadline_ms);
	return session->state == SESSION_OPEN ?
	    earliest(at, session->idle_at_ms) :
	    at;
}

/*
 * A deadline that moves away leaves the timer where it is: it fires early,
 * finds nothing to do and is set anew. So a session that polls fifty times a
 * second sets its timer every few seconds.
 */
static void
set_timer(struct session *session)
{
	uint64_t at = deadline(session);

	if (at == UINT64_MAX || session->state == SESSION_CLOSED ||
	    (timer_is_set(&session->timer) && session->timer.at_ms <= at))
		return;
	timers_set(&session->bridge->timers, &session->timer, at);
}

void
session_update_deadline(struct session *session)
{
	set_timer(session);
}

static void
on_timer(struct timer *timer)
{
	struct session *session = PS_CONTAINER(timer, struct session, timer);
	uint64_t at = now(session);

	if (at >= session->end_at_ms) {
		if (session->state == SESSION_CONNECTING)
			session_open_failed(session, PS_CODE_CONNECT_TIMEOUT,
			    0);
		else
			session_end(session, "close event not fetched");
		return;
	}
	if (at >= session->stall_at_ms) {
		session->stall_at_ms = UINT64_MAX;
		session_close(session, 1008, ps_slice_str("slow client"));
	} else if (session->state == SESSION_OPEN &&
	    session->receiver == NULL && at >= session->idle_at_ms) {
		session_end(session, "no receiver");
		return;
	}
	if (session->receiver != NULL &&
	    at >= session->receiver->deadline_ms)
		session->receiver->ops->expire(session->receiver);
	set_timer(session);
}

static bool
make_id(struct session *session)
{
	unsigned char random[16];
	char text[23];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	ps_base64_id(text, random);
	snprintf(session->id, sizeof(session->id), "%s.%s",
	    session->bridge->tag, text);
	return true;
}

struct session *
session_create(struct bridge *bridge, struct ps_slice remote_addr,
    enum ps_code *refusal_r)
{
	struct session *session = NULL;
	struct address *address;

	*refusal_r = PS_CODE_BRIDGE_FULL;
	if (bridge->sessions_by_id.count >= bridge->config->max_sessions)
		return NULL;
	address = addresses_acquire(&bridge->addresses, bridge->config,
	    remote_addr, bridge->now_ms(), refusal_r);
	if (address == NULL)
		return NULL;
	session = calloc(1, sizeof(*session));
	if (session == NULL)
		goto fail;
	session->bridge = bridge;
	if (!make_id(session))
		goto fail;
	session->number = ++bridge->n_sessions_ever;
	session->address = address;
	session->created_ms = bridge->now_ms();
	session->first_seq = 1;
	session->timer.fire = on_timer;
	session->idle_at_ms = session->stall_at_ms = UINT64_MAX;
	session->end_at_ms =
	    session->created_ms + bridge->config->connect_timeout;
	session->node.key = ps_slice_str(session->id);
	table_add(&bridge->sessions_by_id, &session->node);
	TAILQ_INSERT_TAIL(&bridge->sessions, session, all);
	set_timer(session);
	return session;

fail:
	*refusal_r = PS_CODE_BRIDGE_FULL;
	addresses_release(&bridge->addresses, address);
	free(session);
	return NULL;
}

struct session *
session_find(struct bridge *bridge, struct ps_slice id)
{
	return (struct session *)table_find(&bridge->sessions_by_id, id);
}

void
session_set_opener(struct session *session, const struct opener_ops *ops,
    void *opener)
{
	session->opener_ops = ops;
	session->opener = opener;
}

void
session_set_peer(struct session *session, const struct peer_ops *ops,
    void *peer)
{
	session->peer_ops = ops;
	session->peer = peer;
}

static void
destroy(struct garbage *garbage)
{
	struct session *session = PS_CONTAINER(garbage, struct session, garbage);

	message_queue_deinit(&session->queue);
	message_unref(session->partial);
	free(session->close);
	free(session);
}

static void
release_receiver(struct session *session)
{
	struct receiver *receiver = session->receiver;

	if (receiver == NULL)
		return;
	session->receiver = NULL;
	receiver->session = NULL;
	receiver->ops->release(receiver);
}

static void
abandon_peer(struct session *session, uint16_t code)
{
	const struct peer_ops *ops = session->peer_ops;

	session->peer_ops = NULL;
	if (ops != NULL)
		ops->abandon(session->peer, code);
}

static void
add_to_totals(const struct session *session)
{
	struct ps_traffic *ended = &session->bridge->totals.ended;

	ended->messages_up += session->messages_up;
	ended->messages_down += session->messages_down;
	ended->bytes_up += session->bytes_up;
	ended->bytes_down += session->bytes_down;
}

void
session_end(struct session *session, const char *why)
{
	struct bridge *bridge = session->bridge;
	char name[SESSION_NAME_MAX];

	if (session->state == SESSION_CLOSED)
		return;
	session_name(session, name);
	ps_info("session %s: closed (%s, code %u, age %" PRIu64
		" ms, up %" PRIu64 ", down %" PRIu64 ")",
	    name, why, session->close == NULL ? 0 : session->close->code,
	    now(session) - session->created_ms, session->messages_up,
	    session->messages_down);
	enter_state(session, SESSION_CLOSED);
	add_to_totals(session);
	timers_cancel(&bridge->timers, &session->timer);
	table_remove(&bridge->sessions_by_id, &session->node);
	TAILQ_REMOVE(&bridge->sessions, session, all);
	addresses_release(&bridge->addresses, session->address);
	session->opener_ops = NULL;
	abandon_peer(session, 1001);
	release_receiver(session);
	bridge_free_later(bridge, &session->garbage, destroy);
	bridge_check_drained(bridge);
}

void
session_opened(struct session *session, struct ps_slice protocol)
{
	const struct opener_ops *ops = session->opener_ops;
	char name[SESSION_NAME_MAX];

	if (session->state != SESSION_CONNECTING)
		return;
	session_name(session, name);
	ps_info("session %s: open", name);
	enter_state(session, SESSION_OPEN);
	session->end_at_ms = UINT64_MAX;
	session->idle_at_ms =
	    now(session) + session->bridge->config->first_receiver_grace;
	set_timer(session);
	session->opener_ops = NULL;
	if (ops != NULL)
		ops->opened(session->opener, protocol);
}

void
session_open_failed(struct session *session, enum ps_code code,
    int http_status)
{
	const struct opener_ops *ops = session->opener_ops;

	session->opener_ops = NULL;
	session_end(session, ps_code_info(code)->word);
	if (ops != NULL)
		ops->failed(session->opener, code, http_status);
}

static void
deliver(struct session *session)
{
	if (session->receiver != NULL && session_has_unsent(session))
		session->receiver->ops->deliver(session->receiver);
}

static bool
queue_is_full(const struct session *session)
{
	const struct ps_config *config = session->bridge->config;

	return session->queue.count >= config->queue_messages ||
	    session->queue.bytes >= config->queue_bytes;
}

/* Half empty, so that pausing and resuming do not alternate. */
static bool
queue_is_roomy(const struct session *session)
{
	const struct ps_config *config = session->bridge->config;

	return session->queue.count <= config->queue_messages / 2 &&
	    session->queue.bytes <= config->queue_bytes / 2;
}

/* The peer holds back: nothing is dropped, and patience ends some day. */
static void
update_pressure(struct session *session)
{
	if (session->peer_ops == NULL || session->state != SESSION_OPEN)
		return;
	if (!session->paused && queue_is_full(session)) {
		session->paused = true;
		session->stall_at_ms =
		    now(session) + session->bridge->config->stall_timeout;
		session->peer_ops->pause(session->peer);
		set_timer(session);
	} else if (session->paused && queue_is_roomy(session)) {
		session->paused = false;
		session->stall_at_ms = UINT64_MAX;
		session->peer_ops->resume(session->peer);
	}
}

void
session_from_peer(struct session *session, struct message *message)
{
	char name[SESSION_NAME_MAX];

	/* The peer is not held back any more, so the queue has to bound it;
	 * and what its client gets must have an end, but no hole. */
	session->deaf = session->deaf ||
	    (session->state != SESSION_OPEN && queue_is_full(session));
	if (session->deaf) {
		message_unref(message);
		return;
	}
	session->messages_down++;
	session->bytes_down += message->len;
	if (ps_log_is_debug()) {
		session_name(session, name);
		ps_debug("session %s: message down (%zu bytes)", name,
		    message->len);
	}
	if (!message_queue_push(&session->queue, message)) {
		message_unref(message);
		session_close(session, 1011, ps_slice_str("out of memory"));
		return;
	}
	deliver(session);
	if (session->state != SESSION_CLOSED)
		update_pressure(session);
}

static bool
set_close_event(struct session *session, uint16_t code, struct ps_slice reason,
    bool was_clean)
{
	struct close_event *event = calloc(1, sizeof(*event));

	if (event == NULL)
		return false;
	event->code = code;
	event->was_clean = was_clean;
	event->reason_len = (uint8_t)reason.len;
	if (reason.len > 0)
		memcpy(event->reason, reason.data, reason.len);
	session->close = event;
	return true;
}

/* While draining, as long as a client may be between two polls. */
static uint64_t
linger(const struct session *session)
{
	const struct ps_config *config = session->bridge->config;

	return session->bridge->draining ?
	    earliest(config->receiver_grace, config->close_linger) :
	    config->close_linger;
}

void
session_drain(struct session *session)
{
	session_close(session, 1001, ps_slice_str("server shutting down"));
	if (session->close == NULL || session->state == SESSION_CLOSED)
		return;
	session->end_at_ms =
	    earliest(session->end_at_ms, now(session) + linger(session));
	set_timer(session);
}

void
session_peer_closed(struct session *session, uint16_t code,
    struct ps_slice reason, bool was_clean)
{
	if (session->state == SESSION_CLOSED)
		return;
	session->peer_ops = NULL;
	session->stall_at_ms = UINT64_MAX;
	if (reason.len > PS_CLOSE_REASON_MAX)
		reason.len = PS_CLOSE_REASON_MAX;
	if (!set_close_event(session, code, reason, was_clean)) {
		session_end(session, "out of memory");
		return;
	}
	if (session->state != SESSION_CLOSING)
		enter_state(session, SESSION_CLOSING);
	session->end_at_ms = now(session) + linger(session);
	set_timer(session);
	deliver(session);
}

void
session_close(struct session *session, uint16_t code, struct ps_slice reason)
{
	if (session->state == SESSION_CONNECTING) {
		session_open_failed(session, PS_CODE_DRAINING, 0);
		return;
	}
	if (session->state != SESSION_OPEN || session->peer_ops == NULL)
		return;
	enter_state(session, SESSION_CLOSING);
	session->stall_at_ms = UINT64_MAX;
	/* What the target still has to say must not keep it from closing. */
	if (session->paused)
		session->peer_ops->resume(session->peer);
	session->paused = false;
	session->peer_ops->close(session->peer, code, reason);
}

/*
 * Makes the messages of one request: the first is joined to what an earlier
 * request left, the last is left over itself when `more`. Nothing in the
 * session changes. PS_OK with all references in `batch`.
 */
static int
make_messages(const struct session *session, struct ps_ipc_send *send,
    struct message_queue *batch)
{
	const struct message *partial = session->partial;
	size_t max = session->bridge->config->max_message;
	struct message *message;
	enum ps_event_type type;
	struct ps_slice data;
	uint16_t i;

	for (i = 0; i < send->count; i++) {
		type = ps_ipc_next_event(&send->events, &data);
		if (partial != NULL && partial->type != type)
			return PS_ERR_MALFORMED;
		if (data.len > max ||
		    (partial != NULL && partial->len > max - data.len))
			return PS_ERR_TOO_LARGE;
		message = message_join(partial, type, data);
		partial = NULL;
		if (message == NULL)
			return PS_ERR_NOMEM;
		if (!message_queue_push(batch, message)) {
			message_unref(message);
			return PS_ERR_NOMEM;
		}
	}
	return PS_OK;
}

static int
send_batch(struct session *session, struct message_queue *batch, bool more)
{
	uint32_t count = batch->count - (more ? 1 : 0);
	struct message *last = message_queue_at(batch, count);
	size_t bytes = batch->bytes - (more ? last->len : 0);
	struct message *message;

	if (count > 0 &&
	    !session->peer_ops->has_room(session->peer, count, bytes))
		return PS_ERR_FULL;
	message_unref(session->partial);
	session->partial = more ? message_ref(last) : NULL;
	for (; count > 0; count--) {
		message = message_ref(message_queue_at(batch, 0));
		session->messages_up++;
		session->bytes_up += message->len;
		message_queue_pop(batch);
		if (!session->peer_ops->send(session->peer, message)) {
			message_unref(message);
			return PS_ERR_NOMEM;
		}
	}
	return PS_OK;
}

int
session_from_client(struct session *session, struct ps_ipc_send *send)
{
	struct message_queue batch = { 0 };
	char name[SESSION_NAME_MAX];
	int ret;

	if (session->state != SESSION_OPEN || session->peer_ops == NULL)
		return PS_ERR_CLOSED;
	if (ps_log_is_debug()) {
		session_name(session, name);
		ps_debug("session %s: %u messages up", name, send->count);
	}
	if (send->count == 0)
		return PS_OK;
	ret = make_messages(session, send, &batch);
	if (ret == PS_OK)
		ret = send_batch(session, &batch, send->more);
	message_queue_deinit(&batch);
	return ret;
}

bool
session_attach(struct session *session, struct receiver *receiver)
{
	/* What the old receiver took counts as handed over: it is on its way,
	 * and giving it to the new one as well would double it. */
	if (session->taken > 0 || session->close_taken) {
		session_confirm(session);
		if (session->state == SESSION_CLOSED)
			return false;
	}
	release_receiver(session);
	session->receiver = receiver;
	receiver->session = session;
	session->idle_at_ms = UINT64_MAX;
	set_timer(session);
	return true;
}

void
session_detach(struct session *session)
{
	if (session->receiver == NULL)
		return;
	session->receiver->session = NULL;
	session->receiver = NULL;
	session->taken = 0;
	session->close_taken = false;
	session->idle_at_ms =
	    now(session) + session->bridge->config->receiver_grace;
	set_timer(session);
}

struct message *
session_unsent(const struct session *session, uint32_t index)
{
	return message_queue_at(&session->queue, session->taken + index);
}

const struct close_event *
session_unsent_close(const struct session *session, uint32_t index)
{
	if (session->close_taken || session_unsent(session, index) != NULL)
		return NULL;
	return session->close;
}

bool
session_has_unsent(const struct session *session)
{
	return session_unsent(session, 0) != NULL ||
	    session_unsent_close(session, 0) != NULL;
}

uint64_t
session_take(struct session *session, uint32_t count, bool with_close)
{
	session->taken += count;
	session->close_taken = session->close_taken || with_close;
	return session->first_seq + session->taken - 1;
}

void
session_confirm(struct session *session)
{
	for (; session->taken > 0; session->taken--) {
		message_queue_pop(&session->queue);
		session->first_seq++;
	}
	if (session->close_taken) {
		session_end(session, "close event fetched");
		return;
	}
	update_pressure(session);
}
