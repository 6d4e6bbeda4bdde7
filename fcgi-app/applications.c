#include "config.h"

#include "applications.h"

#include "authorise.h"
#include "handoff.h"
#include "limit.h"
#include "ps_channel.h"
#include "ps_json_literal.h"
#include "ps_json_parts.h"
#include "ps_limits.h"
#include "ps_url.h"
#include "ps_utf8.h"

/* Of an authorization that does not say how long it is to last. */
#define TTL_DEFAULT_S 86400

/* The client of the path. False when it has answered. */
static bool
take_client(struct request *request, struct ps_slice *client_r)
{
	struct ps_slice client = request->segments[2];

	if (client.len > PS_CLIENT_MAX) {
		request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
		    "the client is longer than 128 bytes", LIMIT_CLIENT);
		return false;
	}
	if (!ps_utf8_is_plain(client.data, client.len)) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "the client has a control character", NULL);
		return false;
	}
	*client_r = client;
	return true;
}

/* False when it has answered. */
static bool
take_ttl(struct request *request, uint64_t *ttl_s_r)
{
	int64_t ttl_s;

	if (!params_number(request->params, "ttl", &ttl_s))
		ttl_s = TTL_DEFAULT_S;
	if (ttl_s < 0) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "ttl is negative", NULL);
		return false;
	}
	*ttl_s_r = ttl_s > PS_TTL_MAX_S ? PS_TTL_MAX_S : (uint64_t)ttl_s;
	return true;
}

/* False when it has answered. */
static bool
take_callback_url(struct request *request, struct ps_slice *url_r,
    struct ps_target *target)
{
	static const char *const required[] = { "callback" };
	const char *fault;

	if (request_refused_missing(request, required, 1))
		return false;
	if (!params_text(request->params, "callback", url_r)) {
		(void)request_refused_params(request);
		return false;
	}
	if (url_r->len > PS_CALLBACK_URL_MAX) {
		request_refuse_limit(request, PS_CODE_CALLBACK_URL_INVALID,
		    "the callback is longer than 2048 bytes",
		    LIMIT_CALLBACK_URL);
		return false;
	}
	fault = ps_callback_parse(target, *url_r);
	if (fault != NULL)
		request_refuse(request, PS_CODE_CALLBACK_URL_INVALID, fault,
		    NULL);
	return fault == NULL;
}

/* One who does not also take JSON gets the bare id. */
static bool
wants_text(const struct request *request)
{
	struct ps_slice accept = request_env(request, "HTTP_ACCEPT");

	return accept.len > 0 &&
	    strcasestr(accept.data, "text/plain") != NULL &&
	    strcasestr(accept.data, "application/json") == NULL;
}

static void
authorize(struct request *request, struct ps_slice client)
{
	struct ps_ipc_authorize m = { .client = client,
		.plain = wants_text(request) };
	struct authority authority;
	struct ps_target target;

	m.events = params_flag(request->params, "events");
	if (!take_callback_url(request, &m.callback, &target) ||
	    !take_ttl(request, &m.ttl_s) || request_refused_params(request) ||
	    !authorise_application(request, request->segments[1], &authority))
		return;
	m.request = request_ipc(request);
	m.rights = authority_rights(&authority);
	if (!ps_token_allows_callback(authority.token, &target)) {
		authorise_refuse(request, authority.token,
		    PS_CODE_CALLBACK_REFUSED);
	} else {
		ps_ipc_encode_authorize(&request->handoff->frame, &m);
		request_hand_over(request);
	}
	authority_release(&authority);
}

static void
withdraw(struct request *request, struct ps_slice client)
{
	struct ps_ipc_withdraw m = { .client = client };
	struct authority authority;

	if (!authorise_application(request, request->segments[1], &authority))
		return;
	m.request = request_ipc(request);
	m.token_id = authority.token->id;
	ps_ipc_encode_withdraw(&request->handoff->frame, &m);
	request_hand_over(request);
	authority_release(&authority);
}

void
applications_authorize(struct request *request, const struct route *route)
{
	struct ps_slice client;

	(void)route;
	if (!take_client(request, &client))
		return;
	if (request->method == METHOD_DELETE)
		withdraw(request, client);
	else
		authorize(request, client);
}

/* Of anything else nobody ever got to know. */
static bool
is_socket_id(struct ps_slice text)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		if (!(text.data[i] >= 'a' && text.data[i] <= 'z') &&
		    !(text.data[i] >= '2' && text.data[i] <= '7'))
			return false;
	}
	return text.len == PS_SOCKET_ID_LEN;
}

/* Appends the message as a literal; false when it has answered. */
static bool
take_message(struct request *request, struct ps_writer *message)
{
	static const char *const missing[] = { "message" };
	struct ps_slice aside = request->params->aside, text;
	int ret = PS_OK;

	if (ps_json_is_string(aside))
		ret = ps_json_literal(message, aside);
	else if (aside.len > 0)
		ps_json_literal_text(message, aside);
	else if (params_text(request->params, "message", &text))
		ps_json_literal_text(message, text);
	else {
		request_refuse_missing(request, missing, 1);
		return false;
	}
	if (ret != PS_OK || message->failed) {
		request_refuse(request, PS_CODE_BRIDGE_FULL, NULL, NULL);
		return false;
	}
	/* Its quotes are none of it. */
	if (message->len - 2 <= request->config->max_message)
		return true;
	request_refuse_limit(request, PS_CODE_MESSAGE_TOO_LARGE, NULL,
	    "max_message");
	return false;
}

static bool
refused_close(struct request *request, const char *sentence)
{
	request_refuse(request, PS_CODE_BAD_PARAMETER, sentence, NULL);
	return false;
}

/* {"code":...,"reason":...}, either of which may be left out; borrowed from
 * the parameters. False when it has answered. */
static bool
take_close(struct request *request, struct ps_ipc_publish *m)
{
	json_object *close = params_object(request->params, "close"), *value;
	int64_t code = 1000;

	if (close == NULL)
		return refused_close(request, "close is not an object");
	if (m->session.len == 0)
		return refused_close(request,
		    "close is for one session, whose name is in the path");
	if (request->params->aside.len > 0 ||
	    params_has(request->params, "message"))
		return refused_close(request,
		    "there is a message as well as close");
	if (json_object_object_get_ex(close, "code", &value)) {
		code = json_object_is_type(value, json_type_int) ?
		    json_object_get_int64(value) :
		    0;
		if (code != 1000 && (code < 3000 || code > 4999))
			return refused_close(request,
			    "code is neither 1000 nor between 3000 and 4999");
	}
	if (json_object_object_get_ex(close, "reason", &value)) {
		if (!json_object_is_type(value, json_type_string))
			return refused_close(request,
			    "reason is not a string");
		m->reason = ps_slice(json_object_get_string(value),
		    (size_t)json_object_get_string_len(value));
	}
	m->code = (uint16_t)code;
	m->closes = true;
	if (m->reason.len <= PS_CLOSE_REASON_MAX)
		return true;
	request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
	    "reason is longer than 123 bytes", LIMIT_REASON);
	return false;
}

static void
publish(struct request *request)
{
	struct ps_ipc_publish m = { .socket_id = request->segments[1] };
	struct ps_writer message = { 0 };

	if (request->n_segments == 3)
		m.session = request->segments[2];
	/* One that is too long for a name is nobody's. */
	if (m.session.len > PS_SESSION_ID_MAX)
		m.session.len = PS_SESSION_ID_MAX;
	m.store = !params_has(request->params, "store") ||
	    params_flag(request->params, "store");
	if (params_has(request->params, "close") ?
		    !take_close(request, &m) :
		    !take_message(request, &message))
		goto out;
	if (request_refused_params(request) ||
	    !authorise_sender(request, &m.token_id))
		goto out;
	m.request = request_ipc(request);
	m.message = ps_slice(message.data, message.len);
	ps_ipc_encode_publish(&request->handoff->frame, &m);
	request_hand_over(request);
out:
	ps_writer_deinit(&message);
}

static void
list(struct request *request)
{
	struct ps_ipc_connections m = { .socket_id = request->segments[1] };

	if (!authorise_sender(request, &m.token_id))
		return;
	m.request = request_ipc(request);
	ps_ipc_encode_connections(&request->handoff->frame, &m);
	request_hand_over(request);
}

void
applications_publish(struct request *request, const struct route *route)
{
	(void)route;
	if (ps_name_is_reserved(request->segments[1]))
		request_refuse(request, PS_CODE_NAME_RESERVED, NULL, NULL);
	else if (!is_socket_id(request->segments[1]))
		request_refuse(request, PS_CODE_AUTHORIZATION_UNKNOWN, NULL,
		    NULL);
	else if (request->method == METHOD_POST)
		publish(request);
	else
		list(request);
}
