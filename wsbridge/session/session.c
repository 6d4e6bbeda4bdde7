#include "config.h"

#include "session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/rand.h>

#include "ps_base64.h"
#include "ps_log.h"
#include "record.h"

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

static void
enter_state(struct session *session, enum session_state state)
{
	assert(session_state_may_follow(session->state, state));
	ps_debug("session %s: %s -> %s", session->name,
	    session_state_name(session->state), session_state_name(state));
	session->state = state;
}

static uint64_t
now(const struct session *session)
{
	return session->bridge->now_ms();
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
deadline(const struct session *session)
{
	uint64_t at =
	    smaller(session->end_at_ms, session->stall_at_ms);

	if (session->receiver != NULL)
		return smaller(at, session->receiver->deadline_ms);
	return session->state == SESSION_OPEN ?
	    smaller(at, session->idle_at_ms) :
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

/* Its client does not read. */
static void
stall(struct session *session)
{
	if (session->peer_ops != NULL && session->peer_ops->stalled != NULL)
		session->peer_ops->stalled(session->peer);
	else
		session_expel(session, 1008, "slow client");
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
		stall(session);
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

/* Counts a session for its address; false, having counted, when it may not. */
static bool
admit(struct bridge *bridge, struct ps_slice remote_addr, struct quota *quota,
    struct address **address_r, struct refusal *refusal_r)
{
	*refusal_r = (struct refusal){ .code = PS_CODE_BRIDGE_FULL,
		.limit = "max_sessions" };
	if (bridge->sessions_by_id.count >= bridge->config->max_sessions) {
		quota_count_refused(&bridge->quotas, quota, bridge->unix_s());
		return false;
	}
	if (!quota_may_create(&bridge->quotas, quota, bridge->unix_s(),
		refusal_r))
		return false;
	*address_r = addresses_acquire(&bridge->addresses, bridge->config,
	    remote_addr, bridge->now_ms(), refusal_r);
	if (*address_r == NULL)
		quota_count_refused(&bridge->quotas, quota, bridge->unix_s());
	return *address_r != NULL;
}

struct session *
session_create(struct bridge *bridge, struct ps_slice remote_addr,
    struct quota *quota, struct refusal *refusal_r)
{
	struct session *session = NULL;
	struct address *address;

	if (!admit(bridge, remote_addr, quota, &address, refusal_r))
		return NULL;
	session = calloc(1, sizeof(*session));
	if (session == NULL)
		goto fail;
	session->bridge = bridge;
	if (!make_id(session))
		goto fail;
	snprintf(session->name, sizeof(session->name), "%s-%" PRIu64,
	    bridge->tag, ++bridge->n_sessions_ever);
	session->address = address;
	session->quota = quota;
	quota_enter(&bridge->quotas, quota, session, bridge->unix_s());
	session->created_ms = bridge->now_ms();
	session->first_seq = session->next_up = 1;
	session->timer.fire = on_timer;
	session->idle_at_ms = session->stall_at_ms = UINT64_MAX;
	session->end_at_ms =
	    session->created_ms + bridge->config->connect_timeout;
	session->node.key = ps_slice_str(session->id);
	table_add(&bridge->sessions_by_id, &session->node);
	session->name_node.key = ps_slice_str(session->name);
	table_add(&bridge->sessions_by_name, &session->name_node);
	TAILQ_INSERT_TAIL(&bridge->sessions, session, all);
	set_timer(session);
	return session;

fail:
	*refusal_r = (struct refusal){ .code = PS_CODE_BRIDGE_FULL };
	addresses_release(&bridge->addresses, address);
	free(session);
	return NULL;
}

struct session *
session_find(struct bridge *bridge, struct ps_slice id)
{
	return (struct session *)table_find(&bridge->sessions_by_id, id);
}

struct session *
session_find_name(struct bridge *bridge, struct ps_slice name)
{
	struct table_node *node = table_find(&bridge->sessions_by_name, name);

	return node == NULL ? NULL :
			      PS_CONTAINER(node, struct session, name_node);
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
	struct session *session = PS_CONTAINER(garbage, struct session,
	    garbage);

	message_queue_deinit(&session->queue);
	message_unref(session->partial);
	free(session->close);
	free(session->recipient);
	free(session->url);
	free(session->row);
	free(session);
}

/* It is neither connecting nor open any more, and counts no longer. */
static void
leave(struct session *session, const char *cause)
{
	if (session->cause != NULL)
		return;
	session->cause = cause;
	quota_leave(session->quota, session);
}

/* The end as the database has it; what comes later takes its place. */
static void
record(struct session *session)
{
	const struct close_event *close = session->close;
	bool has_reason = close != NULL && close->reason_len > 0;
	uint16_t code = 1001;

	if (close != NULL)
		code = close->code;
	else if (session->state == SESSION_CONNECTING)
		code = 0;
	else if (session->expel_code != 0)
		code = session->expel_code;
	record_end(session, code, has_reason ? close->reason : session->cause);
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

void
session_end(struct session *session, const char *why)
{
	struct bridge *bridge = session->bridge;

	if (session->state == SESSION_CLOSED)
		return;
	ps_info("session %s: closed (%s, code %u, age %" PRIu64
		" ms, up %" PRIu64 ", down %" PRIu64 ")",
	    session->name, why,
	    session->close == NULL ? 0 : session->close->code,
	    now(session) - session->created_ms, session->traffic.messages_up,
	    session->traffic.messages_down);
	leave(session, why);
	record(session);
	quota_release(session->quota);
	enter_state(session, SESSION_CLOSED);
	ps_traffic_sum(&bridge->totals.ended, &session->traffic);
	timers_cancel(&bridge->timers, &session->timer);
	table_remove(&bridge->sessions_by_id, &session->node);
	table_remove(&bridge->sessions_by_name, &session->name_node);
	if (session->url != NULL)
		table_remove(&bridge->sockjs_sessions, session->url);
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

	if (session->state != SESSION_CONNECTING)
		return;
	ps_info("session %s: open", session->name);
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
	const struct message_queue *queue = &session->queue;

	return queue->count >= session->bridge->config->queue_messages ||
	    (queue->count > 0 &&
		queue->bytes >= session_queue_bytes(session, NULL));
}

/* Half empty, so that pausing and resuming do not alternate. */
static bool
queue_is_roomy(const struct session *session)
{
	const struct ps_config *config = session->bridge->config;

	return session->queue.count <= config->queue_messages / 2 &&
	    session->queue.bytes <= session_queue_bytes(session, NULL) / 2;
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
session_count(struct session *session, enum ps_direction direction,
    uint64_t messages, uint64_t bytes)
{
	ps_traffic_add(&session->traffic, direction, messages, bytes);
	record_traffic(session);
}

/*
 * Counts messages for session and token. False when the token's day is used
 * up: then none of them is to be passed, the session is closed, and nothing
 * that comes behind them is passed either.
 */
static bool
take_quota(struct session *session, enum ps_direction direction,
    uint64_t messages, uint64_t bytes, const char **limit_r)
{
	struct bridge *bridge = session->bridge;
	const char *limit = quota_take(&bridge->quotas, session->quota,
	    direction, messages, bytes, bridge->unix_s());

	if (limit_r != NULL)
		*limit_r = limit;
	if (limit != NULL) {
		/* At once, since expelling may let the peer speak again. */
		if (direction == PS_DOWN)
			session->deaf = true;
		session_expel(session, 1008,
		    ps_code_info(PS_CODE_DAILY_LIMIT)->word);
		return false;
	}
	session_count(session, direction, messages, bytes);
	return true;
}

/* Bytes of each message that are not the client's: what is around the JSON
 * strings of applications. */
static size_t
quotes(const struct session *session)
{
	return session->kind == PS_SESSION_APPLICATION ? 2 : 0;
}

bool
session_queue(struct session *session, struct message *message)
{
	/* The peer is not held back any more, so the queue has to bound it;
	 * and what its client gets must have an end, but no hole. */
	session->deaf = session->deaf ||
	    (session->state != SESSION_OPEN && queue_is_full(session));
	if (session->deaf || session->state == SESSION_CLOSED ||
	    (!message->is_free &&
		!take_quota(session, PS_DOWN, 1,
		    message->len - quotes(session), NULL))) {
		message_unref(message);
		return false;
	}
	ps_debug("session %s: message down (%zu bytes)", session->name,
	    message->len);
	if (!message_queue_push(&session->queue, message)) {
		message_unref(message);
		session->deaf = true;
		session_expel(session, 1011, "out of memory");
		return false;
	}
	return true;
}

void
session_deliver(struct session *session)
{
	deliver(session);
	if (session->state != SESSION_CLOSED)
		update_pressure(session);
}

void
session_from_peer(struct session *session, struct message *message)
{
	if (session_queue(session, message))
		session_deliver(session);
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

/* Before the bridge ends, as long as a client may be between two polls. */
static uint64_t
linger(const struct session *session)
{
	const struct ps_config *config = session->bridge->config;

	if (session->delivery == SESSION_BREAKS)
		return config->receiver_grace;
	return session->bridge->ending ?
	    smaller(config->receiver_grace, config->close_linger) :
	    config->close_linger;
}

void
session_drain(struct session *session)
{
	session_expel(session, 1001, "server shutting down");
	if (session->close == NULL || session->state == SESSION_CLOSED)
		return;
	session->end_at_ms =
	    smaller(session->end_at_ms, now(session) + linger(session));
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
	leave(session, "closed by target");
	if (session->expel_code != 0) {
		code = session->expel_code;
		reason = ps_slice_str(session->cause);
	}
	if (reason.len > PS_CLOSE_REASON_MAX)
		reason.len = PS_CLOSE_REASON_MAX;
	if (!set_close_event(session, code, reason, was_clean)) {
		session_end(session, "out of memory");
		return;
	}
	if (session->state != SESSION_CLOSING)
		enter_state(session, SESSION_CLOSING);
	record(session);
	session->end_at_ms = now(session) + linger(session);
	set_timer(session);
	deliver(session);
}

void
session_close(struct session *session, uint16_t code, struct ps_slice reason)
{
	if (session->state != SESSION_OPEN || session->peer_ops == NULL)
		return;
	leave(session, "closed by client");
	enter_state(session, SESSION_CLOSING);
	session->stall_at_ms = UINT64_MAX;
	/* What the target still has to say must not keep it from closing. */
	if (session->paused)
		session->peer_ops->resume(session->peer);
	session->paused = false;
	if (session->peer_ops != NULL) /* or it closed at that by itself */
		session->peer_ops->close(session->peer, code, reason);
}

/* What a create that waits is told. */
static enum ps_code
expelled_code(const struct session *session)
{
	if (session->bridge->draining)
		return PS_CODE_DRAINING;
	return session->quota->expelled != NULL ? PS_CODE_TOKEN_UNKNOWN :
						  PS_CODE_SOCKET_UNKNOWN;
}

void
session_expel(struct session *session, uint16_t code, const char *reason)
{
	if (session->state == SESSION_CONNECTING) {
		leave(session, reason);
		session_open_failed(session, expelled_code(session), 0);
		return;
	}
	if (session->state != SESSION_OPEN)
		return;
	leave(session, reason);
	session->expel_code = code;
	record(session);
	session_close(session, code, ps_slice_str(reason));
}

/* The lower of a token's limit and one of the node; `*limit_r` names it. */
static uint64_t
tighter(const struct session *session, enum ps_token_limit limit,
    uint64_t node, const char *node_name, const char **limit_r)
{
	uint64_t token = session->quota->limits.value[limit];

	if (limit_r != NULL)
		*limit_r = token < node ? ps_token_limit_name(limit) :
					  node_name;
	return smaller(token, node);
}

uint64_t
session_max_message(const struct session *session, const char **limit_r)
{
	return tighter(session, PS_LIMIT_MESSAGE_BYTES,
	    session->bridge->config->max_message, "max_message", limit_r);
}

uint64_t
session_queue_bytes(const struct session *session, const char **limit_r)
{
	return tighter(session, PS_LIMIT_QUEUE_BYTES,
	    session->bridge->config->queue_bytes, "queue_bytes", limit_r);
}

/*
 * Makes the messages of one request: the first is joined to what an earlier
 * request left, the last is left over itself when `more`; the first `n_known`
 * are passed over. Nothing in the session changes. PS_OK with all references in
 * `batch`.
 */
static int
make_messages(const struct session *session, struct ps_ipc_send *send,
    uint16_t n_known, struct message_queue *batch, const char **limit_r)
{
	const struct message *partial = session->partial;
	uint64_t max = session_max_message(session, limit_r) + quotes(session);
	struct message *message;
	enum ps_event_type type;
	struct ps_slice data;
	uint16_t i;

	for (i = 0; i < send->count; i++) {
		type = ps_ipc_next_event(&send->events, &data);
		if (i < n_known)
			continue;
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
send_batch(struct session *session, struct message_queue *batch, bool more,
    const char **limit_r)
{
	uint32_t count = batch->count - (more ? 1 : 0);
	struct message *last = message_queue_at(batch, count);
	size_t bytes =
	    batch->bytes - (more ? last->len : 0) - count * quotes(session);
	struct message *message;

	if (count > 0 &&
	    (*limit_r = session->peer_ops->find_excess(session->peer, count,
		 bytes)) != NULL)
		return PS_ERR_FULL;
	/* What is said to a channel is counted where it is an emit. */
	if (count > 0 && session->recipient == NULL &&
	    !take_quota(session, PS_UP, count, bytes, limit_r))
		return PS_ERR_QUOTA;
	/* From here on it is done, or the session is: a part of a request
	 * would be doubled when the client repeats it. */
	message_unref(session->partial);
	session->partial = more ? message_ref(last) : NULL;
	/* What one message does may end the peer. */
	for (; count > 0 && session->peer_ops != NULL; count--) {
		message = message_ref(message_queue_at(batch, 0));
		message_queue_pop(batch);
		if (!session->peer_ops->send(session->peer, message)) {
			message_unref(message);
			session_expel(session, 1011, "out of memory");
			return PS_ERR_NOMEM;
		}
	}
	return PS_OK;
}

int
session_from_client(struct session *session, struct ps_ipc_send *send,
    const char **limit_r)
{
	struct message_queue batch = { 0 };
	uint16_t n_known = 0; /* events taken before */
	int ret;

	*limit_r = NULL;
	if (session->state != SESSION_OPEN || session->peer_ops == NULL)
		return PS_ERR_CLOSED;
	ps_debug("session %s: %u messages up", session->name, send->count);
	if (send->first > session->next_up)
		return PS_ERR_GAP;
	if (send->first != 0)
		n_known = (uint16_t)smaller(session->next_up - send->first,
		    send->count);
	if (n_known == send->count)
		return PS_OK;
	ret = make_messages(session, send, n_known, &batch, limit_r);
	if (ret == PS_OK)
		ret = send_batch(session, &batch, send->more, limit_r);
	if (ret == PS_OK)
		session->next_up += (uint64_t)(send->count - n_known);
	message_queue_deinit(&batch);
	return ret;
}

int
session_message_from_client(struct session *session, enum ps_event_type type,
    struct ps_slice data, const char **limit_r)
{
	struct message_queue batch = { 0 };
	struct message *message;
	int ret;

	*limit_r = NULL;
	if (session->state != SESSION_OPEN || session->peer_ops == NULL)
		return PS_ERR_CLOSED;
	if (data.len > session_max_message(session, limit_r) + quotes(session))
		return PS_ERR_TOO_LARGE;
	message = message_create(type, data);
	if (message == NULL || !message_queue_push(&batch, message)) {
		message_unref(message);
		return PS_ERR_NOMEM;
	}
	ps_debug("session %s: message up (%zu bytes)", session->name,
	    data.len);
	ret = send_batch(session, &batch, false, limit_r);
	message_queue_deinit(&batch);
	return ret;
}

uint64_t
session_acknowledged(const struct session *session)
{
	return session->first_seq - 1;
}

/* The client has got `count` messages, and the close event where `all`; what
 * a receiver has taken beyond that is waiting again. */
static int
drop(struct session *session, uint64_t count, bool all)
{
	session->taken = session->written = 0;
	session->close_taken = session->close_written = false;
	for (; count > 0; count--) {
		if (session->recipient != NULL)
			recipient_has_got(session->recipient,
			    message_queue_at(&session->queue, 0));
		message_queue_pop(&session->queue);
		session->first_seq++;
	}
	if (all) {
		session_end(session, "close event fetched");
		return PS_ERR_CLOSED;
	}
	update_pressure(session);
	return PS_OK;
}

int
session_acknowledge(struct session *session, const uint64_t *ack)
{
	uint64_t before = session_acknowledged(session);
	uint64_t count = session->taken;
	bool all = session->close_taken && session->delivery != SESSION_BREAKS;

	if (ack != NULL) {
		count = session->queue.count;
		all = session->close != NULL && *ack == before + count + 1;
		if (*ack < before || (*ack > before + count && !all))
			return PS_ERR_GAP;
		count = all ? count : *ack - before;
	}
	release_receiver(session);
	return drop(session, count, all);
}

void
session_attach(struct session *session, struct receiver *receiver,
    enum session_delivery delivery)
{
	assert(session->receiver == NULL && session->taken == 0);
	session->receiver = receiver;
	session->delivery = delivery;
	receiver->session = session;
	session->idle_at_ms = UINT64_MAX;
	set_timer(session);
}

void
session_detach(struct session *session)
{
	if (session->receiver == NULL)
		return;
	session->receiver->session = NULL;
	session->receiver = NULL;
	session->taken = session->written;
	session->close_taken = session->close_written;
	session->idle_at_ms =
	    now(session) + session->bridge->config->receiver_grace;
	if (session->delivery == SESSION_BREAKS && session->close != NULL &&
	    !session->bridge->ending)
		session->end_at_ms = now(session) + linger(session);
	set_timer(session);
}

void
session_lose(struct session *session)
{
	session_detach(session);
	if (session->delivery != SESSION_BREAKS)
		return;
	/* What it had taken may have arrived or not, so that what waits cannot
	 * follow it. */
	session->deaf = true;
	session_expel(session, 1002, "Connection interrupted");
	(void)drop(session, session->queue.count, false);
}

bool
session_wants_ack(const struct session *session)
{
	return session->delivery == SESSION_KEEPS && session->taken > 0 &&
	    session->taken == session->queue.count && !queue_is_roomy(session);
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
	return session->first_seq + session->taken - 1 + session->close_taken;
}

void
session_confirm(struct session *session)
{
	if (session->delivery == SESSION_KEEPS) {
		session->written = session->taken;
		session->close_written = session->close_taken;
		return;
	}
	(void)drop(session, session->taken,
	    session->close_taken && session->delivery != SESSION_BREAKS);
}
