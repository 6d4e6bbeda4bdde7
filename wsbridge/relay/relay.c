#include "config.h"

#include "relay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/rand.h>

#include "ps_json.h"
#include "ps_log.h"
#include "upstream.h"
#include "wsbridge/channels/member.h"
#include "wsbridge/enforce.h"
#include "wsbridge/framing/channel.h"
#include "wsbridge/http/exchange.h"
#include "wsbridge/http/parked.h"
#include "wsbridge/session/record.h"
#include "wsbridge/session/session.h"

/* A create that waits for the target; the session's opener. */
struct opening {
	struct garbage garbage; /* first */
	struct session *session;
	struct exchange *exchange;
	char *public_host;
};

static void
destroy(struct garbage *garbage)
{
	struct opening *opening = (struct opening *)garbage;

	free(opening->public_host);
	free(opening);
}

static void
opening_end(struct opening *opening)
{
	bridge_free_later(opening->session->bridge, &opening->garbage,
	    destroy);
}

/*
 * With wildcard DNS every session gets a name of its own in front of the host,
 * which takes it past a browser's limit of connections to one host.
 */
static void
put_hosts(struct ps_writer *json, const struct opening *opening)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	struct ps_slice relay = ps_slice_str(opening->public_host);
	struct ps_writer fqdn = { 0 };
	unsigned char random[6] = { 0 };
	size_t i;

	if (opening->session->bridge->config->wildcard_dns &&
	    RAND_bytes(random, sizeof(random)) == 1) {
		for (i = 0; i < sizeof(random); i++)
			ps_writer_u8(&fqdn, (uint8_t)letters[random[i] % 32]);
		ps_writer_u8(&fqdn, '.');
	}
	ps_writer_bytes(&fqdn, relay.data, relay.len);
	ps_writer_str(json, ",\"relay\":");
	ps_json_string(json, relay);
	ps_writer_str(json, ",\"fqdn\":");
	ps_json_string(json, ps_slice(fqdn.data, fqdn.len));
	ps_writer_str(json, ",\"polysocketd\":");
	ps_json_string(json, ps_slice(fqdn.data, fqdn.len));
	ps_writer_deinit(&fqdn);
}

static void
on_opened(void *opener, struct ps_slice protocol)
{
	struct opening *opening = opener;
	struct ps_writer json = { 0 };

	ps_writer_printf(&json, "{\"ok\":true,\"socket\":\"%s\"",
	    opening->session->id);
	put_hosts(&json, opening);
	if (protocol.len > 0) {
		ps_writer_str(&json, ",\"protocol\":");
		ps_json_string(&json, protocol);
	}
	ps_writer_str(&json, "}");
	if (json.failed)
		exchange_abort(opening->exchange);
	else
		exchange_reply_json(opening->exchange, 200,
		    ps_slice(json.data, json.len));
	ps_writer_deinit(&json);
	opening_end(opening);
}

static void
on_failed(void *opener, enum ps_code code, int http_status)
{
	struct opening *opening = opener;
	char member[32];

	snprintf(member, sizeof(member), "\"status\":%d", http_status);
	exchange_reply_error(opening->exchange, code,
	    http_status > 0 ? member : NULL);
	opening_end(opening);
}

static const struct opener_ops opener_ops = { on_opened, on_failed };

static void
on_gone(void *owner)
{
	struct opening *opening = owner;

	session_end(opening->session, "client gone while connecting");
	opening_end(opening);
}

static const struct exchange_ops exchange_ops = { NULL, on_gone, false };

static struct opening *
opening_create(struct session *session, struct exchange *exchange,
    struct ps_slice public_host)
{
	struct opening *opening = calloc(1, sizeof(*opening));

	if (opening == NULL)
		return NULL;
	opening->session = session;
	opening->exchange = exchange;
	opening->public_host = strndup(
	    public_host.data == NULL ? "" : public_host.data, public_host.len);
	if (opening->public_host == NULL) {
		free(opening);
		return NULL;
	}
	return opening;
}

/* The target as people see it: without its query, which may hold a secret. */
static void
put_subject(struct ps_writer *out, const struct ps_ipc_create *m)
{
	const char *query = memchr(m->path.data, '?', m->path.len);
	bool is_ipv6 = memchr(m->host.data, ':', m->host.len) != NULL;

	ps_writer_reset(out);
	ps_writer_printf(out, is_ipv6 ? "%s://[%.*s]" : "%s://%.*s",
	    m->tls ? "wss" : "ws", (int)m->host.len, m->host.data);
	if (m->port != (m->tls ? 443 : 80))
		ps_writer_printf(out, ":%u", m->port);
	ps_writer_bytes(out, m->path.data,
	    query == NULL ? m->path.len : (size_t)(query - m->path.data));
}

static void
announce(struct session *session, const struct ps_ipc_create *m)
{
	struct ps_writer *out = &session->bridge->scratch;
	struct record_subject subject = { PS_SESSION_RELAY, { 0 }, m->origin,
		m->remote_addr, m->agent };

	ps_info("session %s: connecting to %s://%.*s:%u for %.*s (%.*s)",
	    session->name, m->tls ? "wss" : "ws", (int)m->host.len,
	    m->host.data, m->port, (int)m->remote_addr.len,
	    m->remote_addr.data, (int)m->agent.len, m->agent.data);
	put_subject(out, m);
	if (out->failed)
		return;
	subject.subject = ps_slice(out->data, out->len);
	record_begin(session, &subject);
}

static void
create(struct bridge *bridge, struct exchange *exchange,
    const struct ps_ipc_create *m)
{
	struct refusal refusal = { .code = PS_CODE_DRAINING };
	struct session *session = NULL;
	struct opening *opening;
	struct quota *quota;

	if (!bridge->draining &&
	    (quota = enforce_create(bridge, &m->rights, &refusal)) != NULL)
		session = session_create(bridge, m->remote_addr, quota,
		    &refusal);
	records_wake(bridge);
	if (session == NULL) {
		exchange_reply_refusal(exchange, &refusal);
		return;
	}
	announce(session, m);
	opening = opening_create(session, exchange, m->public_host);
	if (opening == NULL) {
		session_end(session, "out of memory");
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
		return;
	}
	session_set_opener(session, &opener_ops, opening);
	exchange_set_owner(exchange, &exchange_ops, opening);
	exchange_watch(exchange);
	upstream_connect(session, m);
}

int
relay_on_create(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_create m;
	struct exchange *exchange;

	if (ps_ipc_decode_create(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange != NULL)
		create(bridge, exchange, &m);
	return PS_OK;
}

static void
reply_sent(struct exchange *exchange, const struct session *session)
{
	static const struct ps_slice nothing = { NULL, 0 };
	struct ps_slice ok = ps_slice_str("{\"ok\":true}");

	if (session->recipient != NULL)
		exchange_reply_json(exchange, 200,
		    ps_slice_str("{\"success\":true}"));
	else
		exchange_reply_json(exchange, 201,
		    exchange->style.callback.len > 0 ? ok : nothing);
}

static void
reply_send(struct exchange *exchange, const struct session *session, int ret,
    const char *limit)
{
	char expected[48];

	switch (ret) {
	case PS_OK:
		reply_sent(exchange, session);
		return;
	case PS_ERR_GAP:
		snprintf(expected, sizeof(expected), "\"expected\":%" PRIu64,
		    session->next_up);
		exchange_reply_error(exchange, PS_CODE_GAP, expected);
		return;
	case PS_ERR_FULL:
		exchange_reply_limit(exchange, PS_CODE_SLOW_TARGET, limit);
		return;
	case PS_ERR_TOO_LARGE:
		exchange_reply_limit(exchange, PS_CODE_MESSAGE_TOO_LARGE,
		    limit);
		return;
	case PS_ERR_QUOTA:
		exchange_reply_refusal(exchange,
		    &(struct refusal){ PS_CODE_DAILY_LIMIT, limit,
			quota_day_left_s(exchange->bridge->unix_s()) });
		return;
	case PS_ERR_MALFORMED:
		exchange_reply_error(exchange, PS_CODE_UNKNOWN_TYPE, NULL);
		return;
	case PS_ERR_NOMEM:
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
		return;
	default:
		exchange_reply_error(exchange,
		    session->recipient != NULL ? PS_CODE_KEY_UNKNOWN :
						 PS_CODE_SOCKET_UNKNOWN,
		    NULL);
	}
}

/* Nobody reaches a channel's member or an application's session by what is the
 * relay's, nor a member by a key that is another one's, nor the relay's by what
 * is a member's. */
static bool
is_meant(const struct session *session, const struct ps_ipc_member *who)
{
	if (session->state == SESSION_CONNECTING)
		return false;
	return who->client.len == 0 ? session->kind == PS_SESSION_RELAY :
				      member_is(session, who);
}

/*
 * The exchange for `fd` and the session it is for, of the relay or of that
 * member; NULL, having answered, when there is no such session, or no memory.
 */
static struct session *
take(struct bridge *bridge, int fd, const struct ps_ipc_request *request,
    struct ps_slice socket, const struct ps_ipc_member *who,
    struct exchange **exchange_r)
{
	struct exchange *exchange = exchange_create(bridge, fd, request);
	struct session *session = session_find(bridge, socket);

	*exchange_r = exchange;
	if (exchange == NULL)
		return NULL;
	if (session != NULL && is_meant(session, who))
		return session;
	exchange_reply_error(exchange,
	    who->client.len > 0 ? PS_CODE_KEY_UNKNOWN : PS_CODE_SOCKET_UNKNOWN,
	    NULL);
	return NULL;
}

int
relay_on_send(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_send m;
	struct exchange *exchange;
	struct session *session;
	const char *limit;
	int ret;

	if (ps_ipc_decode_send(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	session = take(bridge, fd, &m.request, m.socket, &m.member,
	    &exchange);
	if (session == NULL)
		return PS_OK;
	ret = session_from_client(session, &m, &limit);
	reply_send(exchange, session, ret, limit);
	return PS_OK;
}

int
relay_on_receive(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_receive m;
	struct exchange *exchange;
	struct session *session;

	if (ps_ipc_decode_receive(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	session = take(bridge, fd, &m.request, m.socket, &m.member,
	    &exchange);
	if (session == NULL)
		return PS_OK;
	member_heard(session);
	parked_create(session, exchange,
	    m.member.client.len > 0 ? framing_channel(m.framing) :
			       framing_relay(m.framing),
	    &m);
	return PS_OK;
}

int
relay_on_close(struct bridge *bridge, struct ps_reader *r, int fd)
{
	static const char json[] = "{\"ok\":true}";
	static const struct ps_ipc_member nobody;
	struct ps_ipc_close m;
	struct exchange *exchange;
	struct session *session;

	if (ps_ipc_decode_close(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	session = take(bridge, fd, &m.request, m.socket, &nobody, &exchange);
	if (session == NULL)
		return PS_OK;
	exchange_reply_json(exchange, 200, ps_slice(json, sizeof(json) - 1));
	session_close(session, m.code, m.reason);
	return PS_OK;
}

int
relay_on_check(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_check m;
	struct exchange *exchange;

	if (ps_ipc_decode_check(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	if (take(bridge, fd, &m.request, m.socket, &m.member, &exchange) !=
	    NULL)
		exchange_reply_json(exchange, 200, ps_slice("{}", 2));
	return PS_OK;
}
