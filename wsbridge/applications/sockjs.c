#include "config.h"

#include "sockjs.h"

#include <stdlib.h>

#include "application.h"
#include "wsbridge/framing/sockjs.h"
#include "wsbridge/http/parked.h"
#include "wsbridge/session/session.h"

/* The name of a session in URLs, for as long as it is there. */
struct url {
	struct table_node node; /* first */
	struct session *session;
	char key[]; /* socket id and SockJS's own, with a slash between */
};

#define KEY_MAX (PS_SOCKET_ID_LEN + 1 + PS_SOCKJS_SESSION_MAX)

static struct ps_slice
make_key(char *key, struct ps_slice socket_id, struct ps_slice session)
{
	memcpy(key, socket_id.data, socket_id.len);
	key[socket_id.len] = '/';
	memcpy(key + socket_id.len + 1, session.data, session.len);
	return ps_slice(key, socket_id.len + 1 + session.len);
}

static struct session *
find(struct bridge *bridge, struct ps_slice socket_id, struct ps_slice session)
{
	char key[KEY_MAX];
	struct url *url = (struct url *)table_find(&bridge->sockjs_sessions,
	    make_key(key, socket_id, session));

	return url == NULL ? NULL : url->session;
}

/* False when memory is out. */
static bool
set_url(struct session *session, struct ps_slice socket_id,
    struct ps_slice name)
{
	struct url *url =
	    malloc(sizeof(*url) + socket_id.len + 1 + name.len);

	if (url == NULL)
		return false;
	url->session = session;
	url->node.key = make_key(url->key, socket_id, name);
	table_add(&session->bridge->sockjs_sessions, &url->node);
	session->url = &url->node;
	return true;
}

static const char *
transport_of(enum ps_sockjs_framing framing)
{
	switch (framing) {
	case PS_SOCKJS_XHR:
		return "xhr";
	case PS_SOCKJS_XHR_STREAMING:
		return "xhr_streaming";
	case PS_SOCKJS_EVENTSOURCE:
		return "eventsource";
	case PS_SOCKJS_HTMLFILE:
		return "htmlfile";
	case PS_SOCKJS_JSONP:
		return "jsonp";
	case PS_SOCKJS_FRAMING__COUNT:
		break;
	}
	return NULL;
}

/* The first receiver makes the session. */
static void
open_session(struct exchange *exchange, struct authorization *authorization,
    const struct ps_ipc_sockjs_receive *m)
{
	struct bridge *bridge = exchange->bridge;
	const struct framing *framing = framing_sockjs(m->framing);
	const struct application_terms terms = { authorization,
		exchange->style.origin, m->agent, m->remote_addr,
		transport_of(m->framing) };
	struct refusal refusal;
	struct session *session;

	if (framing->is_stream && !parked_may_hold(bridge)) {
		exchange_reply_limit(exchange, PS_CODE_TOO_MANY_HELD,
		    "max_held");
		return;
	}
	session = application_create(bridge, &terms, &refusal);
	if (session == NULL) {
		exchange_reply_refusal(exchange, &refusal);
	} else if (session->state == SESSION_CLOSED ||
	    !set_url(session, m->socket_id, m->session)) {
		session_end(session, "out of memory");
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
	} else {
		parked_open(session, exchange, framing,
		    bridge->config->heartbeat_interval);
	}
}

static void
receive(struct exchange *exchange, const struct ps_ipc_sockjs_receive *m)
{
	struct bridge *bridge = exchange->bridge;
	const struct framing *framing = framing_sockjs(m->framing);
	struct session *session = find(bridge, m->socket_id, m->session);
	struct authorization *authorization =
	    authorization_find(bridge, m->socket_id);
	const struct ps_token *token;

	/* What is closed is told why, be it that it is authorized no more. */
	if (session != NULL && application_of(session) != NULL) {
		connection_close_if_due(&application_of(session)->connection);
		session = find(bridge, m->socket_id, m->session);
	}
	if (session == NULL || session->state == SESSION_OPEN) {
		if ((token = sockjs_admit(exchange, authorization)) == NULL)
			return;
		if (token->sockjs_cookie)
			exchange->style.flags |= PS_STYLE_COOKIE;
	}
	if (session == NULL)
		open_session(exchange, authorization, m);
	/* One that is open; where it closes the one before gives way. */
	else if (session->receiver != NULL && session->state == SESSION_OPEN)
		parked_reply_close(exchange, framing, 2010,
		    "Another connection still open");
	else
		parked_go_on(session, exchange, framing,
		    bridge->config->heartbeat_interval);
}

int
sockjs_on_receive(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_sockjs_receive m;
	struct exchange *exchange;

	if (ps_ipc_decode_sockjs_receive(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange != NULL)
		receive(exchange, &m);
	return PS_OK;
}

/* A send whose messages are not committed yet. */
struct sending {
	struct garbage garbage; /* first */
	struct exchange *exchange;
	struct commit_wait wait;
	bool jsonp;
};

/* Konqueror needed a body where a form was sent. */
static void
reply_sent(struct exchange *exchange, bool jsonp)
{
	exchange_reply_text(exchange, jsonp ? 200 : 204, PS_TYPE_SOCKJS_TEXT,
	    ps_slice_str(jsonp ? "ok" : ""), NULL);
}

static void
destroy_sending(struct garbage *garbage)
{
	free(garbage);
}

static void
on_committed(struct commit_wait *wait, bool ok)
{
	struct sending *sending = PS_CONTAINER(wait, struct sending, wait);
	struct exchange *exchange = sending->exchange;

	if (ok)
		reply_sent(exchange, sending->jsonp);
	else
		exchange_reply_error(exchange, PS_CODE_DATABASE_UNAVAILABLE,
		    NULL);
	bridge_free_later(exchange->bridge, &sending->garbage,
	    destroy_sending);
}

static void
on_gone(void *owner)
{
	struct sending *sending = owner;

	application_unwait(&sending->wait);
	bridge_free_later(sending->exchange->bridge, &sending->garbage,
	    destroy_sending);
}

static const struct exchange_ops sending_ops = { NULL, on_gone, false };

/*
 * A client of SockJS gives its connection up at anything but success, so all
 * that would not be better at another time is a session that is not there.
 */
static void
refuse_send(struct exchange *exchange, int ret, const char *limit)
{
	switch (ret) {
	case PS_ERR_FULL:
		exchange_reply_limit(exchange, PS_CODE_OUTBOX_FULL, limit);
		return;
	case PS_ERR_TOO_LARGE:
		exchange_reply_limit(exchange, PS_CODE_MESSAGE_TOO_LARGE,
		    limit);
		return;
	case PS_ERR_NOMEM:
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
		return;
	default:
		exchange_reply_error(exchange, PS_CODE_NOT_FOUND, NULL);
	}
}

/* Takes the messages; the answer comes when they are committed. */
static void
take_messages(struct exchange *exchange, struct session *session,
    const struct ps_ipc_sockjs_send *m)
{
	struct ps_ipc_send send = { .count = m->count, .events = m->events };
	struct sending *sending = calloc(1, sizeof(*sending));
	const char *limit = NULL;
	int ret = sending == NULL ? PS_ERR_NOMEM :
				    session_from_client(session, &send, &limit);

	if (ret != PS_OK) {
		free(sending);
		refuse_send(exchange, ret, limit);
		return;
	}
	sending->exchange = exchange;
	sending->jsonp = m->jsonp;
	sending->wait.done = on_committed;
	exchange_set_owner(exchange, &sending_ops, sending);
	application_wait(session, &sending->wait);
}

int
sockjs_on_send(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_sockjs_send m;
	const struct ps_token *token;
	struct exchange *exchange;
	struct session *session;

	if (ps_ipc_decode_sockjs_send(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange == NULL)
		return PS_OK;
	token = sockjs_admit(exchange,
	    authorization_find(bridge, m.socket_id));
	if (token == NULL)
		return PS_OK;
	if (token->sockjs_cookie)
		exchange->style.flags |= PS_STYLE_COOKIE;
	session = find(bridge, m.socket_id, m.session);
	if (session == NULL || session->state != SESSION_OPEN)
		exchange_reply_error(exchange, PS_CODE_NOT_FOUND, NULL);
	else
		take_messages(exchange, session, &m);
	return PS_OK;
}
