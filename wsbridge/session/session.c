#include "config.h"

#include "session_parts.h"

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
void
session_update_deadline(struct session *session)
{
	uint64_t at = deadline(session);

	if (at == UINT64_MAX || session->state == SESSION_CLOSED ||
	    (timer_is_set(&session->timer) && session->timer.at_ms <= at))
		return;
	timers_set(&session->bridge->timers, &session->timer, at);
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
	uint64_t at = session_now(session);

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
	session_update_deadline(session);
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
	session_update_deadline(session);
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

/* For the database and the log; 0: it was never open. */
static uint16_t
end_code(const struct session *session)
{
	if (session->close != NULL)
		return session->close->code;
	if (session->state == SESSION_CONNECTING)
		return 0;
	return session->expel_code != 0 ? session->expel_code : 1001;
}

/* The end as the database has it; what comes later takes its place. */
static void
record(struct session *session)
{
	const struct close_event *close = session->close;
	bool has_reason = close != NULL && close->reason_len > 0;

	record_end(session, end_code(session),
	    has_reason ? close->reason : session->cause);
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
	    session->name, why, end_code(session),
	    session_now(session) - session->created_ms,
	    session->traffic.messages_up, session->traffic.messages_down);
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
	session_release_receiver(session);
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
	session->idle_at_ms = session_now(session) +
	    session->bridge->config->first_receiver_grace;
	session_update_deadline(session);
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

uint64_t
session_linger(const struct session *session)
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
	session->end_at_ms = smaller(session->end_at_ms,
	    session_now(session) + session_linger(session));
	session_update_deadline(session);
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
	session->end_at_ms = session_now(session) + session_linger(session);
	session_update_deadline(session);
	session_deliver(session);
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
