#include "config.h"

#include "connection.h"

#include "authorization.h"
#include "wsbridge/session/session.h"

/* RFC 6455, 7.4.1, and its registry. */
#define TRY_AGAIN_LATER 1013

void
connection_forget(struct connection *connection)
{
	if (!connection->is_undelivered)
		return;
	connection->is_undelivered = false;
	TAILQ_REMOVE(&connection->authorization->undelivered, connection,
	    undelivered);
}

/* Its client has not taken what it was given. */
static bool
is_slow(const struct session *session)
{
	return session->paused && session_unsent(session, 0) != NULL;
}

void
connection_deliver(struct connection *connection)
{
	struct session *session = connection->session;

	connection_forget(connection);
	session_deliver(session);
	if (is_slow(session))
		session_expel(session, TRY_AGAIN_LATER, "slow client");
}

void
connection_close_if_due(struct connection *connection)
{
	const struct authorization *authorization = connection->authorization;

	if (authorization != NULL && authorization->close_code != 0)
		session_expel(connection->session, authorization->close_code,
		    authorization->close_reason);
}

/* As much waits as may. */
static bool
is_full(const struct session *session)
{
	const struct message_queue *queue = &session->queue;

	return queue->count >= session->bridge->config->queue_messages ||
	    (queue->count > 0 &&
		queue->bytes >= session_queue_bytes(session, NULL));
}

/* What it was not offered yet does not make a client slow. */
static bool
has_room(struct connection *connection)
{
	if (is_full(connection->session))
		connection_deliver(connection);
	return connection->session->state == SESSION_OPEN;
}

bool
connection_publish(struct connection *connection, struct message *message)
{
	struct authorization *authorization = connection->authorization;

	if (!has_room(connection)) {
		message_unref(message);
		return false;
	}
	if (!session_queue(connection->session, message))
		return false;
	if (!connection->is_undelivered) {
		connection->is_undelivered = true;
		TAILQ_INSERT_TAIL(&authorization->undelivered, connection,
		    undelivered);
		if (!timer_is_set(&authorization->pause))
			fanout_note(&authorization->bridge->fanout,
			    &authorization->job);
	}
	return true;
}
