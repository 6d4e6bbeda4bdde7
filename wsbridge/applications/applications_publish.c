/* What applications say to their clients, and who is there to hear it. */
#include "config.h"

#include "applications.h"

#include <inttypes.h>
#include <stdio.h>

#include "application.h"
#include "authorization.h"
#include "ps_clock.h"
#include "ps_policy.h"
#include "wsbridge/http/exchange.h"
#include "wsbridge/session/session.h"

/*
 * The authorization that a request is for, if whoever asks may: the socket id
 * is the right to, unless the application wants to be named as well, and a page
 * has to be of an origin that it may be used from. NULL, having answered.
 */
static struct authorization *
find(struct exchange *exchange, struct ps_slice socket_id, int64_t token_id)
{
	struct bridge *bridge = exchange->bridge;
	struct authorization *authorization =
	    authorization_find(bridge, socket_id);
	struct ps_slice origin = exchange->style.origin;
	const struct ps_token *token;

	if (bridge->draining) {
		exchange_reply_error(exchange, PS_CODE_DRAINING, NULL);
		return NULL;
	}
	if (authorization == NULL) {
		exchange_reply_error(exchange, PS_CODE_AUTHORIZATION_UNKNOWN,
		    NULL);
		return NULL;
	}
	token = authorization_token(bridge, authorization);
	if (origin.len > 0 && !ps_token_allows_origin(token, origin)) {
		exchange->style.flags |= PS_STYLE_NO_CORS;
		exchange_reply_error(exchange, PS_CODE_ORIGIN_REFUSED, NULL);
		return NULL;
	}
	if (token->publish_auth && token_id != token->id) {
		exchange_reply_error(exchange, PS_CODE_PUBLISH_REFUSED, NULL);
		return NULL;
	}
	return authorization;
}

/* NULL, having answered, when it has no such session. */
static struct application *
find_session(struct exchange *exchange,
    const struct authorization *authorization, struct ps_slice name)
{
	struct session *session = session_find_name(exchange->bridge, name);
	struct application *application =
	    session == NULL ? NULL : application_of(session);

	if (application != NULL &&
	    application->connection.authorization == authorization)
		return application;
	exchange_reply_error(exchange, PS_CODE_SESSION_UNKNOWN, NULL);
	return NULL;
}

static void
reply_published(struct exchange *exchange, uint32_t n_sessions, bool queued)
{
	char json[80];
	int len = snprintf(json, sizeof(json),
	    "{\"ok\":true,\"sessions\":%" PRIu32 ",\"queued\":%s}", n_sessions,
	    queued ? "true" : "false");

	exchange_reply_json(exchange, 200, ps_slice(json, (size_t)len));
}

/* NULL, having answered. */
static struct message *
make_message(struct exchange *exchange, const struct ps_token *token,
    struct ps_slice literal)
{
	struct message *message = NULL;
	uint64_t max = token->limits.value[PS_LIMIT_MESSAGE_BYTES];

	/* Its quotes are none of it. */
	if (literal.len - 2 > max) {
		exchange_reply_limit(exchange, PS_CODE_MESSAGE_TOO_LARGE,
		    ps_token_limit_name(PS_LIMIT_MESSAGE_BYTES));
		return NULL;
	}
	message = message_create(PS_EVENT_TEXT, literal);
	if (message == NULL)
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
	return message;
}

static void
publish(struct exchange *exchange, struct authorization *authorization,
    struct application *application, const struct ps_ipc_publish *m)
{
	struct message *message = make_message(exchange,
	    authorization_token(exchange->bridge, authorization), m->message);
	bool queued = false;
	uint32_t n_sessions;

	if (message == NULL)
		return;
	if (application == NULL)
		n_sessions = authorization_publish(authorization, message,
		    m->store, &queued);
	else
		n_sessions =
		    connection_publish(&application->connection, message);
	reply_published(exchange, n_sessions, queued);
}

static void
serve(struct exchange *exchange, const struct ps_ipc_publish *m)
{
	struct authorization *authorization =
	    find(exchange, m->socket_id, m->token_id);
	struct application *application = NULL;

	if (authorization == NULL ||
	    (m->session.len > 0 &&
		(application = find_session(exchange, authorization,
		     m->session)) == NULL))
		return;
	if (m->closes) {
		application_close(application, m->code, m->reason);
		reply_published(exchange, 1, false);
	} else {
		publish(exchange, authorization, application, m);
	}
}

int
applications_on_publish(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_publish m;
	struct exchange *exchange;

	if (ps_ipc_decode_publish(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange != NULL)
		serve(exchange, &m);
	return PS_OK;
}

static void
put_connection(struct ps_writer *json, const struct connection *connection)
{
	char text[PS_CLOCK_STAMP_BYTES];

	ps_clock_stamp_s(text, connection->connected_at_s);
	ps_writer_printf(json,
	    "{\"session\":\"%s\",\"transport\":\"%s\",\"connected_at\":\"%s\"}",
	    connection->session->name, connection->transport, text);
}

static void
list(struct exchange *exchange, const struct authorization *authorization)
{
	const struct connection *connection;
	struct ps_writer json = { 0 };
	const char *separator = "";

	ps_writer_str(&json, "{\"ok\":true,\"sessions\":[");
	TAILQ_FOREACH(connection, &authorization->connections, entry) {
		ps_writer_str(&json, separator);
		put_connection(&json, connection);
		separator = ",";
	}
	ps_writer_str(&json, "]}");
	exchange_reply_built(exchange, &json);
}

int
applications_on_connections(struct bridge *bridge, struct ps_reader *r,
    int fd)
{
	struct ps_ipc_connections m;
	struct exchange *exchange;
	struct authorization *authorization;

	if (ps_ipc_decode_connections(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange == NULL)
		return PS_OK;
	authorization = find(exchange, m.socket_id, m.token_id);
	if (authorization != NULL)
		list(exchange, authorization);
	return PS_OK;
}
