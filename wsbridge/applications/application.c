#include "config.h"

#include "application.h"

#include <stdlib.h>

#include "ps_json.h"
#include "ps_log.h"
#include "wsbridge/enforce.h"
#include "wsbridge/session/record.h"

#define OUT_OF_MEMORY 1011
#define TRY_AGAIN_LATER 1013

static const struct peer_ops peer_ops;

struct application *
application_of(const struct session *session)
{
	return session->peer_ops == &peer_ops ? session->peer : NULL;
}

/* The end of every body: whom it is about. */
static void
put_subject(const struct application *application, struct ps_writer *json)
{
	ps_writer_printf(json,
	    ",\"session\":\"%s\",\"client\":", application->session->name);
	ps_json_string(json, ps_slice_str(application->client));
}

/* Puts what is in the scratch buffer, of which a part may have failed. */
static bool
put(struct application *application, bool is_last)
{
	struct bridge *bridge = application->bridge;
	struct ps_writer *json = &bridge->scratch;
	const struct authorization *authorization =
	    application->connection.authorization;
	const struct outbox_entry entry = {
		.session = ps_slice_str(application->session->name),
		.number = application->n_rows + 1,
		.token_id = application->token_id,
		.client = ps_slice_str(application->client),
		.callback = ps_slice_str(authorization->callback),
		.body = ps_slice(json->data, json->len),
		.is_last = is_last,
	};

	if (json->failed || !outbox_put(bridge, &entry))
		return false;
	application->n_rows++;
	return true;
}

static bool
put_connected(struct application *application)
{
	struct ps_writer *json = &application->bridge->scratch;

	ps_writer_reset(json);
	ps_writer_str(json, "{\"event\":\"connected\"");
	put_subject(application, json);
	ps_writer_str(json, "}");
	return put(application, false);
}

static void
put_disconnected(struct application *application, uint16_t code,
    struct ps_slice reason)
{
	struct ps_writer *json = &application->bridge->scratch;

	ps_writer_reset(json);
	ps_writer_str(json, "{\"event\":\"disconnected\"");
	put_subject(application, json);
	ps_writer_printf(json, ",\"code\":%u,\"reason\":", code);
	ps_json_string(json, reason);
	ps_writer_str(json, "}");
	if (!put(application, true))
		ps_error("application: session %s: its end is not told (out "
			 "of memory)",
		    application->session->name);
}

static void
destroy(struct garbage *garbage)
{
	free(garbage);
}

/* Once; the session may be on its way to its end. */
static void
leave(struct application *application, uint16_t code, struct ps_slice reason)
{
	struct bridge *bridge = application->bridge;

	if (application->events &&
	    application->connection.authorization->events)
		put_disconnected(application, code, reason);
	else
		record_tell_end(application->session, false);
	authorization_remove_session(&application->connection);
	application->session = NULL;
	outbox_session_over(bridge);
	bridge_free_later(bridge, &application->garbage, destroy);
}

static const char *
on_find_excess(void *peer, size_t count, size_t bytes)
{
	const struct application *application = peer;
	const struct session *session = application->session;
	const char *limit;
	uint64_t max = session_queue_bytes(session, &limit);
	size_t n_waiting, waiting;

	outbox_count(application->bridge, ps_slice_str(session->name),
	    &n_waiting, &waiting);
	if (waiting > 0 && waiting + bytes > max)
		return limit;
	return outbox_find_excess(application->bridge, application->token_id,
	    count, bytes);
}

static bool
on_send(void *peer, struct message *message)
{
	struct application *application = peer;
	struct ps_slice literal = message_slice(message);
	struct ps_writer *json = &application->bridge->scratch;

	ps_writer_reset(json);
	ps_writer_str(json, "{\"message\":");
	ps_writer_bytes(json, literal.data, literal.len);
	put_subject(application, json);
	ps_writer_str(json, "}");
	if (!put(application, false))
		return false;
	message_unref(message);
	return true;
}

static void
on_count_queued(void *peer, size_t *count_r, size_t *bytes_r)
{
	const struct application *application = peer;

	outbox_count(application->bridge,
	    ps_slice_str(application->session->name), count_r, bytes_r);
}

/* What is published does not wait: who does not take it is expelled. */
static void
on_pause(void *peer)
{
	(void)peer;
}

static void
on_stalled(void *peer)
{
	const struct application *application = peer;

	session_expel(application->session, TRY_AGAIN_LATER, "slow client");
}

static void
on_close(void *peer, uint16_t code, struct ps_slice reason)
{
	struct application *application = peer;
	struct session *session = application->session;

	leave(application, code, reason);
	session_peer_closed(session, code, reason, true);
}

void
application_close(struct application *application, uint16_t code,
    struct ps_slice reason)
{
	on_close(application, code, reason);
}

static void
on_abandon(void *peer, uint16_t code)
{
	struct application *application = peer;

	leave(application, code, ps_slice_str(application->session->cause));
}

static const struct peer_ops peer_ops = { on_find_excess, on_send,
	on_count_queued, on_pause, on_pause, on_stalled, on_close, on_abandon };

/* For the token as it is now: whoever connects has only a socket id. */
static struct session *
make_session(struct bridge *bridge, const struct application_terms *terms,
    struct refusal *refusal_r)
{
	const struct ps_token *token =
	    authorization_token(bridge, terms->authorization);
	struct ps_ipc_rights rights;
	struct quota *quota;

	*refusal_r = (struct refusal){ .code = PS_CODE_DRAINING };
	if (bridge->draining)
		return NULL;
	*refusal_r = (struct refusal){ .code = PS_CODE_TOKEN_UNKNOWN };
	if (token == NULL)
		return NULL;
	*refusal_r = (struct refusal){ .code = PS_CODE_OUTBOX_FULL };
	if (terms->authorization->events &&
	    (refusal_r->limit = outbox_find_excess(bridge, token->id, 1, 0)) !=
		NULL)
		return NULL;
	rights = (struct ps_ipc_rights){ token->id,
		ps_policy_revision(bridge->policy), token->limits };
	if ((quota = enforce_create(bridge, &rights, refusal_r)) == NULL)
		return NULL;
	return session_create(bridge, terms->remote_addr, quota, refusal_r);
}

static struct application *
make_application(struct session *session, const struct application_terms *terms)
{
	const struct authorization *authorization = terms->authorization;
	size_t size = strlen(authorization->client) + 1;
	struct application *application =
	    calloc(1, sizeof(*application) + size);

	if (application == NULL)
		return NULL;
	memcpy(application->client, authorization->client, size);
	application->bridge = session->bridge;
	application->session = session;
	session->kind = PS_SESSION_APPLICATION;
	application->token_id = authorization->token_id;
	application->connection.session = session;
	application->connection.transport = terms->transport;
	application->connection.connected_at_s = session->bridge->unix_s();
	session_set_peer(session, &peer_ops, application);
	return application;
}

static void
announce(struct session *session, const struct application_terms *terms)
{
	const struct authorization *authorization = terms->authorization;
	const struct record_subject subject = { PS_SESSION_APPLICATION,
		ps_slice_str(authorization->client), terms->origin,
		terms->remote_addr, terms->agent };

	ps_info("session %s: %s of %.4s... by %s for %.*s (%.*s)",
	    session->name, authorization->client, authorization->socket_id,
	    terms->transport, (int)terms->remote_addr.len,
	    terms->remote_addr.data, (int)terms->agent.len, terms->agent.data);
	record_begin(session, &subject);
}

struct session *
application_create(struct bridge *bridge, const struct application_terms *terms,
    struct refusal *refusal_r)
{
	struct session *session = make_session(bridge, terms, refusal_r);
	struct application *application;

	records_wake(bridge);
	if (session == NULL)
		return NULL;
	application = make_application(session, terms);
	if (application == NULL) {
		*refusal_r = (struct refusal){ .code = PS_CODE_BRIDGE_FULL };
		session_end(session, "out of memory");
		return NULL;
	}
	announce(session, terms);
	session_opened(session, ps_slice(NULL, 0));
	authorization_add_session(terms->authorization,
	    &application->connection);
	/* What was kept for it may have used up the day of its token. */
	if (application->session == NULL || !terms->authorization->events)
		return session;
	application->events = put_connected(application);
	record_tell_end(session, application->events && bridge->config->outbox);
	if (!application->events)
		session_expel(session, OUT_OF_MEMORY, "out of memory");
	return session;
}

void
application_wait(struct session *session, struct commit_wait *wait)
{
	outbox_wait(session->bridge, ps_slice_str(session->name), wait);
}

void
application_unwait(struct commit_wait *wait)
{
	outbox_unwait(wait);
}
