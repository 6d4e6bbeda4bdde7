#include "config.h"

#include "upgrade.h"

#include <stdio.h>
#include <string.h>

#include "ps_channel.h"
#include "ps_limits.h"
#include "ps_policy.h"
#include "ps_request.h"
#include "ps_utf8.h"
#include "wsbridge/applications/application.h"
#include "wsbridge/channels/member.h"
#include "wsbridge/session/record.h"

/* What a virtual host offers; a list of all there are is far shorter. */
#define SERVICES_HEADER "Polysocket-Services"
#define SERVICES_MAX 128

enum param {
	PARAM_TOKEN,
	PARAM_PRESENCE,
	PARAM_SINCE,
	PARAM_FROM,
	PARAM__COUNT,
};

static const char *const param_names[PARAM__COUNT] = { "token", "presence",
	"since", "from" };

/* An upgrade as it is looked at. */
struct upgrade {
	struct bridge *bridge;
	const struct handshake *handshake;
	struct ps_style style;
	struct ps_slice remote_addr, agent;
	/* Of a channel. */
	struct ps_slice params[PARAM__COUNT]; /* decoded */
	struct member_terms terms;
	struct ps_writer presence;
	struct upgrade_result *result;
	/* Why not, where it is refused. */
	struct refusal refusal;
	const char *sentence;
};

static bool
refuse(struct upgrade *upgrade, enum ps_code code, const char *sentence)
{
	upgrade->refusal = (struct refusal){ .code = code };
	upgrade->sentence = sentence;
	return false;
}

/* For a bound that is passed, by its word. */
static bool
refuse_limit(struct upgrade *upgrade, enum ps_code code, const char *limit,
    const char *sentence)
{
	(void)refuse(upgrade, code, sentence);
	upgrade->refusal.limit = limit;
	return false;
}

static void
put_refusal(const struct upgrade *upgrade, struct ps_writer *w)
{
	const struct refusal *refusal = &upgrade->refusal;
	const struct ps_head_extra extra = {
		.retry_after_s = refusal->retry_after_s,
		.allow = refusal->code == PS_CODE_METHOD_NOT_ALLOWED ? "GET" :
								       NULL,
	};
	bool is_plain = extra.retry_after_s == 0 && extra.allow == NULL;
	char limit[64];

	upgrade->bridge->totals.refusals[refusal->code]++;
	snprintf(limit, sizeof(limit), "\"limit\":\"%s\"",
	    refusal->limit == NULL ? "" : refusal->limit);
	handshake_refuse(w, &upgrade->style, refusal->code, upgrade->sentence,
	    refusal->limit == NULL ? NULL : limit, is_plain ? NULL : &extra);
}

void
upgrade_refuse(struct bridge *bridge, struct ps_writer *w,
    const char *sentence)
{
	struct upgrade upgrade = { .bridge = bridge,
		.style.flags = PS_STYLE_SUCCESS };

	(void)refuse(&upgrade, PS_CODE_BAD_REQUEST, sentence);
	put_refusal(&upgrade, w);
}

/*
 * A virtual host can only switch off what the configuration offers. Workers
 * hear of it in POLYSOCKET_SERVICES; what is proxied has no such thing, so the
 * web server says it in a header. Whoever else does has less, and no more.
 */
static bool
has_service(const struct upgrade *upgrade, unsigned service)
{
	struct ps_slice header =
	    handshake_header(upgrade->handshake, SERVICES_HEADER);
	unsigned services = upgrade->bridge->config->services, here;
	char text[SERVICES_MAX + 1];

	if (header.len > 0) {
		if (header.len > SERVICES_MAX)
			return false;
		memcpy(text, header.data, header.len);
		text[header.len] = '\0';
		services &= ps_config_parse_services(text, &here) == PS_OK ?
		    here :
		    0;
	}
	return (services & service) != 0;
}

/* What is below the mount_prefix; empty: it is not. */
static struct ps_slice
find_path(const struct upgrade *upgrade)
{
	const char *prefix = upgrade->bridge->config->mount_prefix;
	struct ps_slice path = upgrade->handshake->path;
	size_t len = strlen(prefix);

	if (path.len <= len || memcmp(path.data, prefix, len) != 0 ||
	    path.data[len] != '/')
		return ps_slice(NULL, 0);
	return ps_slice(path.data + len + 1, path.len - len - 1);
}

/* <channel>/listen, as a worker would split it. */
static bool
find_channel(struct upgrade *upgrade, struct ps_slice path)
{
	struct ps_slice channel = ps_slice_cut(&path, '/');
	enum ps_code code;

	if (!ps_slice_is(path, "listen") ||
	    !has_service(upgrade, PS_SERVICE_CHANNELS))
		return refuse(upgrade, PS_CODE_NOT_FOUND, NULL);
	if (ps_request_decode(&channel, (char *)(uintptr_t)channel.data,
		false) != PS_OK)
		return refuse(upgrade, PS_CODE_BAD_REQUEST,
		    "the path is not percent-encoded UTF-8 without NUL");
	if (!ps_channel_check_name(channel, &code))
		return refuse_limit(upgrade, code,
		    channel.len > PS_CHANNEL_MAX ? "max_channel" : NULL, NULL);
	upgrade->terms.channel = channel;
	return true;
}

static bool
take_param(struct upgrade *upgrade, struct ps_slice field)
{
	struct ps_slice name = ps_slice_cut(&field, '=');
	size_t i;

	if (ps_request_decode(&name, (char *)(uintptr_t)name.data, true) !=
		PS_OK ||
	    ps_request_decode(&field, (char *)(uintptr_t)field.data, true) !=
		PS_OK)
		return refuse(upgrade, PS_CODE_BAD_REQUEST,
		    "the query is not percent-encoded UTF-8 without NUL");
	for (i = 0; i < PARAM__COUNT; i++) {
		if (!ps_slice_is(name, param_names[i]))
			continue;
		if (upgrade->params[i].data != NULL)
			return refuse(upgrade, PS_CODE_BAD_REQUEST,
			    "a parameter is there twice");
		upgrade->params[i] = field;
	}
	return true;
}

/* Who is listening, which is logged. */
static bool
take_agent(struct upgrade *upgrade)
{
	struct ps_slice agent = upgrade->params[PARAM_FROM];

	if (agent.len > PS_AGENT_MAX)
		return refuse_limit(upgrade, PS_CODE_BAD_PARAMETER,
		    "max_from", "from is longer than 128 bytes");
	if (!ps_utf8_is_plain(agent.data, agent.len))
		return refuse(upgrade, PS_CODE_BAD_PARAMETER,
		    "from has a control character");
	upgrade->agent = agent;
	return true;
}

static bool
read_query(struct upgrade *upgrade)
{
	struct ps_slice query = upgrade->handshake->query;

	while (query.len > 0) {
		if (!take_param(upgrade, ps_slice_cut(&query, '&')))
			return false;
	}
	return take_agent(upgrade);
}

/* The token is known: whoever refuses it from here on counts that. */
static bool
refuse_token(struct upgrade *upgrade, const struct ps_token *token,
    enum ps_code code)
{
	struct bridge *bridge = upgrade->bridge;
	struct quota *quota = quotas_get(&bridge->quotas, token->id);

	if (quota != NULL)
		quota_count_refused(&bridge->quotas, quota, bridge->unix_s());
	records_wake(bridge);
	return refuse(upgrade, code, NULL);
}

static bool
authorise(struct upgrade *upgrade)
{
	struct bridge *bridge = upgrade->bridge;
	struct ps_slice secret = upgrade->params[PARAM_TOKEN];
	const struct ps_token *token;

	if (secret.len == 0)
		secret = ps_request_bearer(
		    handshake_header(upgrade->handshake, "Authorization"));
	if (bridge->policy == NULL)
		return refuse(upgrade, PS_CODE_DATABASE_UNAVAILABLE, NULL);
	token = ps_policy_find(bridge->policy, secret, bridge->unix_s());
	if (token == NULL)
		return refuse(upgrade,
		    secret.len == 0 ? PS_CODE_TOKEN_REQUIRED :
				      PS_CODE_TOKEN_UNKNOWN,
		    NULL);
	if (!ps_token_allows_origin(token, upgrade->style.origin)) {
		upgrade->style.flags |= PS_STYLE_NO_CORS;
		return refuse_token(upgrade, token, PS_CODE_ORIGIN_REFUSED);
	}
	if (!ps_token_allows_channel(token, upgrade->terms.channel,
		PS_MAY_LISTEN))
		return refuse_token(upgrade, token, PS_CODE_CHANNEL_REFUSED);
	upgrade->terms.origin = upgrade->style.origin;
	upgrade->terms.agent = upgrade->agent;
	upgrade->terms.since = upgrade->params[PARAM_SINCE];
	upgrade->terms.rights = (struct ps_ipc_rights){
		.token_id = token->id,
		.revision = ps_policy_revision(bridge->policy),
		.limits = token->limits,
	};
	return true;
}

static bool
take_presence(struct upgrade *upgrade)
{
	struct ps_slice text = upgrade->params[PARAM_PRESENCE];
	int ret;

	if (text.len == 0)
		return true;
	ret = ps_channel_take_presence(&upgrade->presence, text);
	if (ret == PS_ERR_NOMEM)
		return refuse(upgrade, PS_CODE_BRIDGE_FULL, NULL);
	if (ret == PS_ERR_TOO_LARGE)
		return refuse_limit(upgrade, PS_CODE_BAD_PARAMETER,
		    "max_presence", "presence is larger than 4096 bytes");
	if (ret != PS_OK)
		return refuse(upgrade, PS_CODE_BAD_PARAMETER,
		    "presence is not a JSON object");
	upgrade->terms.presence =
	    ps_slice(upgrade->presence.data, upgrade->presence.len);
	return true;
}

/* Of a client that came through the web server that one's word, which comes
 * last: whatever stands in front of it a client may have written. */
static struct ps_slice
find_address(const struct handshake *handshake, struct ps_slice peer_addr)
{
	struct ps_slice list, last;

	if (peer_addr.len > 0)
		return peer_addr;
	list = handshake_last_header(handshake, "X-Forwarded-For");
	do {
		last = ps_slice_cut(&list, ',');
	} while (list.len > 0);
	while (last.len > 0 && *last.data == ' ') {
		last.data++;
		last.len--;
	}
	return last.len < PS_ADDRESS_MAX ? last : ps_slice(NULL, 0);
}

static bool
check_channel(struct upgrade *upgrade, struct ps_slice path)
{
	enum ps_code code;
	const char *sentence;

	upgrade->style.flags = PS_STYLE_SUCCESS;
	upgrade->terms.remote_addr = upgrade->remote_addr;
	if (!find_channel(upgrade, path))
		return false;
	if (!handshake_check(upgrade->handshake, &code, &sentence))
		return refuse(upgrade, code, sentence);
	if (upgrade->bridge->draining)
		return refuse(upgrade, PS_CODE_DRAINING, NULL);
	return read_query(upgrade) && authorise(upgrade) &&
	    take_presence(upgrade);
}

/* --- SockJS --- */

static bool
is_socket_id(struct ps_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '2' && c <= '7')))
			return false;
	}
	return s.len == PS_SOCKET_ID_LEN;
}

/* A WebSocket below what may be a socket id. */
static bool
is_sockjs(struct ps_slice path)
{
	static const char last[] = "/websocket";
	size_t len = sizeof(last) - 1;
	struct ps_slice rest = path;

	return is_socket_id(ps_slice_cut(&rest, '/')) && path.len > len &&
	    memcmp(path.data + path.len - len, last, len) == 0;
}

/* What stands for a server or a session may be anything without a dot. */
static bool
take_name(struct ps_slice name, size_t max)
{
	return ps_request_decode(&name, (char *)(uintptr_t)name.data, false) ==
	    PS_OK &&
	    name.len > 0 && name.len <= max &&
	    memchr(name.data, '.', name.len) == NULL;
}

/* <server>/<session>/websocket; the names mean nothing, since each WebSocket is
 * a session of its own. */
static bool
take_session(struct ps_slice path)
{
	return take_name(ps_slice_cut(&path, '/'), SIZE_MAX) &&
	    take_name(ps_slice_cut(&path, '/'), PS_SOCKJS_SESSION_MAX) &&
	    ps_slice_is(path, "websocket");
}

/* <socket_id>/websocket, or with server and session in between. */
static bool
find_socket(struct upgrade *upgrade, struct ps_slice path,
    struct application_terms *terms)
{
	struct ps_slice socket_id = ps_slice_cut(&path, '/');
	const struct ps_token *token;
	bool is_raw = ps_slice_is(path, "websocket");

	if (!has_service(upgrade, PS_SERVICE_APPLICATIONS) ||
	    (!is_raw && !take_session(path)))
		return refuse(upgrade, PS_CODE_NOT_FOUND, NULL);
	if (upgrade->bridge->policy == NULL)
		return refuse(upgrade, PS_CODE_DATABASE_UNAVAILABLE, NULL);
	terms->authorization = authorization_find(upgrade->bridge, socket_id);
	token = terms->authorization == NULL ?
	    NULL :
	    authorization_token(upgrade->bridge, terms->authorization);
	if (token == NULL || !token->sockjs_websocket)
		return refuse(upgrade, PS_CODE_NOT_FOUND, NULL);
	terms->transport = is_raw ? "websocket-raw" : "websocket";
	upgrade->result->style = is_raw ? &ws_raw : &ws_sockjs;
	return true;
}

static bool
check_handshake(struct upgrade *upgrade)
{
	static const struct {
		enum ps_code code;
		const char *sentence;
	} refusals[] = {
		[HANDSHAKE_NO_GET] = { PS_CODE_METHOD_NOT_ALLOWED, NULL },
		[HANDSHAKE_NO_HTTP_1_1] = { PS_CODE_BAD_REQUEST,
		    "the request is not of HTTP/1.1 with one Host" },
		[HANDSHAKE_NO_UPGRADE] = { PS_CODE_BAD_REQUEST,
		    "Can \"Upgrade\" only to \"WebSocket\"." },
		[HANDSHAKE_NO_CONNECTION] = { PS_CODE_BAD_REQUEST,
		    "\"Connection\" must be \"Upgrade\"." },
		[HANDSHAKE_NO_VERSION] = { PS_CODE_UPGRADE_REQUIRED,
		    "the version of the WebSocket protocol is not 13, 8 or 7" },
		[HANDSHAKE_NO_KEY] = { PS_CODE_BAD_REQUEST,
		    "Sec-WebSocket-Key is not 16 bytes in base64" },
	};
	enum handshake_fault fault =
	    handshake_find_fault(upgrade->handshake, true);

	return fault == HANDSHAKE_FINE ||
	    refuse(upgrade, refusals[fault].code, refusals[fault].sentence);
}

/* Drafts of the protocol have the page's origin in a header of their own. */
static struct ps_slice
find_origin(const struct handshake *handshake)
{
	struct ps_slice origin = handshake_header(handshake, "Origin");

	if (origin.len == 0)
		origin = handshake_header(handshake, "Sec-WebSocket-Origin");
	return ps_request_origin(origin,
	    handshake_header(handshake, "Referer"));
}

static bool
check_sockjs(struct upgrade *upgrade, struct ps_slice path,
    struct application_terms *terms)
{
	const struct ps_token *token;

	upgrade->style.flags = PS_STYLE_SOCKJS;
	upgrade->style.origin = find_origin(upgrade->handshake);
	if (!find_socket(upgrade, path, terms) || !check_handshake(upgrade))
		return false;
	if (upgrade->bridge->draining)
		return refuse(upgrade, PS_CODE_DRAINING, NULL);
	if (!read_query(upgrade))
		return false;
	token = authorization_token(upgrade->bridge, terms->authorization);
	if (!ps_token_allows_origin(token, upgrade->style.origin)) {
		upgrade->style.flags |= PS_STYLE_NO_CORS;
		return refuse_token(upgrade, token, PS_CODE_ORIGIN_REFUSED);
	}
	terms->origin = upgrade->style.origin;
	terms->agent = upgrade->agent;
	terms->remote_addr = upgrade->remote_addr;
	return true;
}

/* --- both --- */

static struct session *
create(struct upgrade *upgrade)
{
	struct ps_slice path = find_path(upgrade);
	struct application_terms terms = { 0 };

	if (is_sockjs(path))
		return check_sockjs(upgrade, path, &terms) ?
		    application_create(upgrade->bridge, &terms,
			&upgrade->refusal) :
		    NULL;
	upgrade->result->style = &ws_channel;
	return check_channel(upgrade, path) ?
	    member_create(upgrade->bridge, &upgrade->terms,
		&upgrade->refusal) :
	    NULL;
}

struct session *
upgrade_take(struct bridge *bridge, struct handshake *handshake,
    struct ps_slice peer_addr, struct ps_writer *w,
    struct upgrade_result *result_r)
{
	struct upgrade upgrade = {
		.bridge = bridge,
		.handshake = handshake,
		.result = result_r,
		.style.origin = ps_request_origin(
		    handshake_header(handshake, "Origin"),
		    handshake_header(handshake, "Referer")),
		.remote_addr = find_address(handshake, peer_addr),
	};
	struct session *session = create(&upgrade);
	bool bits;

	if (session == NULL) {
		put_refusal(&upgrade, w);
	} else {
		result_r->deflate = handshake_offers_deflate(handshake, &bits);
		handshake_accept(w, handshake, result_r->deflate, bits);
	}
	ps_writer_deinit(&upgrade.presence);
	return session;
}
