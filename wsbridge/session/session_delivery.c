/* What is for the client: the queue, and the receiver that takes from it. */
#include "config.h"

#include "session_parts.h"

#include <assert.h>

#include "ps_log.h"

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
		session->stall_at_ms = session_now(session) +
		    session->bridge->config->stall_timeout;
		session->peer_ops->pause(session->peer);
		session_update_deadline(session);
	} else if (session->paused && queue_is_roomy(session)) {
		session->paused = false;
		session->stall_at_ms = UINT64_MAX;
		session->peer_ops->resume(session->peer);
	}
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
		!session_take_quota(session, PS_DOWN, 1,
		    message->len - session_quotes(session), NULL))) {
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
	if (session->receiver != NULL && session_has_unsent(session))
		session->receiver->ops->deliver(session->receiver);
	if (session->state != SESSION_CLOSED)
		update_pressure(session);
}

void
session_from_peer(struct session *session, struct message *message)
{
	if (session_queue(session, message))
		session_deliver(session);
}

void
session_release_receiver(struct session *session)
{
	struct receiver *receiver = session->receiver;

	if (receiver == NULL)
		return;
	session->receiver = NULL;
	receiver->session = NULL;
	receiver->ops->release(receiver);
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
	session_release_receiver(session);
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
	session_update_deadline(session);
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
	    session_now(session) + session->bridge->config->receiver_grace;
	if (session->delivery == SESSION_BREAKS && session->close != NULL &&
	    !session->bridge->ending)
		session->end_at_ms =
		    session_now(session) + session_linger(session);
	session_update_deadline(session);
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
