/* What the client says: all events of a request, or none of them. */
#include "config.h"

#include "session_parts.h"

#include "ps_log.h"

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
	uint64_t max =
	    session_max_message(session, limit_r) + session_quotes(session);
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
	size_t bytes = batch->bytes - (more ? last->len : 0) -
	    count * session_quotes(session);
	struct message *message;

	if (count > 0 &&
	    (*limit_r = session->peer_ops->find_excess(session->peer, count,
		 bytes)) != NULL)
		return PS_ERR_FULL;
	/* What is said to a channel is counted where it is an emit. */
	if (count > 0 && session->recipient == NULL &&
	    !session_take_quota(session, PS_UP, count, bytes, limit_r))
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
	if (data.len >
	    session_max_message(session, limit_r) + session_quotes(session))
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
