#include "config.h"

#include "relay.h"

#include <stdlib.h>

#include "authorise.h"
#include "handoff.h"
#include "limit.h"
#include "ps_base64.h"
#include "ps_channel.h"
#include "ps_json.h"
#include "ps_limits.h"
#include "ps_url.h"

/* The socket id: the path's second segment, or a parameter. */
static bool
take_socket(struct request *request, const struct route *route,
    struct ps_slice *socket_r)
{
	static const char *const name = "socket";

	if (route->dialect == PS_DIALECT_POLYSOCKETD) {
		*socket_r = request->segments[1];
	} else {
		if (request_refused_missing(request, &name, 1))
			return false;
		params_text(request->params, name, socket_r);
	}
	if (ps_name_is_reserved(*socket_r)) {
		request_refuse(request, PS_CODE_NAME_RESERVED, NULL, NULL);
		return false;
	}
	if (socket_r->len > PS_SESSION_ID_MAX) {
		request_refuse(request, PS_CODE_SOCKET_UNKNOWN, NULL, NULL);
		return false;
	}
	return true;
}

static void
hand_over(struct request *request, struct ps_slice socket)
{
	request_hand_over_to_owner(request, socket, PS_CODE_SOCKET_UNKNOWN);
}

/* HEAD of a socket's route tells whether the socket is known. */
static void
check_socket(struct request *request, struct ps_slice socket)
{
	const struct ps_ipc_check message = { .request = request_ipc(request),
					      .socket = socket };

	ps_ipc_encode_check(&request->handoff->frame, &message);
	hand_over(request, socket);
}

static bool
is_token_char(char c)
{
	/* RFC 9110, section 5.6.2 */
	return c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static bool
list_has(const struct ps_writer *list, struct ps_slice name)
{
	const char *p = list->data, *end = list->data + list->len, *comma;

	for (; p != NULL && p < end; p = comma + 2) {
		comma = memchr(p, ',', (size_t)(end - p));
		if (comma == NULL)
			comma = end;
		if (name.len == (size_t)(comma - p) &&
		    memcmp(name.data, p, name.len) == 0)
			return true;
	}
	return false;
}

/*
 * Appends one subprotocol name to a comma list. PS_ERR_MALFORMED when it is
 * none, or is there already (RFC 6455, section 4.1); PS_ERR_TOO_LARGE.
 */
static int
add_protocol(struct ps_writer *list, struct ps_slice name)
{
	size_t i;

	while (name.len > 0 && name.data[0] == ' ')
		name = ps_slice(name.data + 1, name.len - 1);
	while (name.len > 0 && name.data[name.len - 1] == ' ')
		name.len--;
	for (i = 0; i < name.len; i++) {
		if (!is_token_char(name.data[i]))
			return PS_ERR_MALFORMED;
	}
	if (name.len == 0 || list_has(list, name))
		return PS_ERR_MALFORMED;
	if (list->len + 2 + name.len > PS_PROTOCOLS_MAX)
		return PS_ERR_TOO_LARGE;
	if (list->len > 0)
		ps_writer_str(list, ", ");
	ps_writer_bytes(list, name.data, name.len);
	return PS_OK;
}

static int
add_protocol_list(struct ps_writer *list, struct ps_slice text)
{
	const char *end, *p, *comma;
	int ret;

	if (text.len == 0)
		return PS_OK;
	end = text.data + text.len;
	for (p = text.data;; p = comma + 1) {
		comma = memchr(p, ',', (size_t)(end - p));
		if (comma == NULL)
			return add_protocol(list,
			    ps_slice(p, (size_t)(end - p)));
		ret = add_protocol(list, ps_slice(p, (size_t)(comma - p)));
		if (ret != PS_OK)
			return ret;
	}
}

/* Reads `protocols`, an array or a comma list, into `list`. */
static int
take_protocols(struct request *request, struct ps_writer *list)
{
	json_object *array = params_array(request->params, "protocols"), *item;
	struct ps_slice text;
	int ret = PS_OK;
	size_t i;

	if (array == NULL) {
		params_text(request->params, "protocols", &text);
		return add_protocol_list(list, text);
	}
	for (i = 0; ret == PS_OK && i < json_object_array_length(array); i++) {
		item = json_object_array_get_idx(array, i);
		if (!json_object_is_type(item, json_type_string))
			return PS_ERR_MALFORMED;
		ret = add_protocol(list,
		    ps_slice(json_object_get_string(item),
			(size_t)json_object_get_string_len(item)));
	}
	return ret;
}

/* Where the client goes on: the configured name, or the one it came by. */
static struct ps_slice
public_host(const struct request *request)
{
	struct ps_slice host = ps_slice_str(request->config->public_host);
	size_t i;

	if (host.len > 0)
		return host;
	host = request_env(request, "HTTP_HOST");
	if (host.len > PS_PUBLIC_HOST_MAX)
		return ps_slice(NULL, 0);
	for (i = 0; i < host.len; i++) {
		if (host.data[i] <= 0x20 || strchr("\"\\<>", host.data[i]))
			return ps_slice(NULL, 0);
	}
	return host;
}

/* The origin for the target: a page's own word counts only without a header. */
static bool
take_origin(struct request *request, struct ps_slice *origin_r)
{
	struct ps_slice text;

	*origin_r = request->style.origin;
	if (request_env(request, "HTTP_ORIGIN").len > 0 ||
	    !params_text(request->params, "origin", &text) || text.len == 0)
		return true;
	*origin_r = ps_origin_from_header(text);
	return origin_r->len == text.len;
}

static bool
refused_protocols(struct request *request, struct ps_writer *protocols)
{
	int ret = take_protocols(request, protocols);

	if (ret == PS_ERR_TOO_LARGE)
		request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
		    "protocols is longer than 1024 bytes", LIMIT_PROTOCOLS);
	else if (ret != PS_OK)
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "protocols is not a list of subprotocol names", NULL);
	return ret != PS_OK;
}

static bool
refused_create(struct request *request, const struct route *route,
    struct ps_ipc_create *m, struct ps_writer *protocols)
{
	static const char *const required[] = { "target", "from" };
	size_t count = route->dialect == PS_DIALECT_POLYSOCKETD ? 2 : 1;

	if (request_refused_missing(request, required, count))
		return true;
	if (request_refused_agent(request, &m->agent))
		return true;
	if (!take_origin(request, &m->origin)) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "origin is not an origin such as https://example.com",
		    NULL);
		return true;
	}
	if (refused_protocols(request, protocols))
		return true;
	m->protocols = ps_slice(protocols->data, protocols->len);
	return request_refused_params(request);
}

static bool
refused_target(struct request *request, struct ps_target *target)
{
	struct ps_slice url;
	const char *problem;

	params_text(request->params, "target", &url);
	if (request_refused_params(request))
		return true;
	if (url.len >= PS_TARGET_MAX) {
		request_refuse_limit(request, PS_CODE_TARGET_INVALID,
		    "target is too long", LIMIT_TARGET);
		return true;
	}
	if ((problem = ps_target_parse(target, url)) == NULL)
		return false;
	request_refuse(request, PS_CODE_TARGET_INVALID, problem, NULL);
	return true;
}

/* What the token says to it; fills in what the bridge needs of the token. */
static bool
refused_rights(struct request *request, const struct ps_target *target,
    struct ps_ipc_create *m)
{
	struct authority authority;
	const struct ps_token *token;
	bool refused = true;

	if (!authorise_token(request, &authority))
		return true;
	token = authority.token;
	if (!authorise_origin(request, token, m->origin)) {
		authorise_refuse(request, token, PS_CODE_ORIGIN_REFUSED);
	} else if (!ps_token_allows_target(token, target)) {
		authorise_refuse(request, token, PS_CODE_TARGET_REFUSED);
	} else {
		m->rights = authority_rights(&authority);
		refused = false;
	}
	authority_release(&authority);
	return refused;
}

void
relay_create(struct request *request, const struct route *route)
{
	struct ps_ipc_create m = { 0 };
	struct ps_writer protocols = { 0 };
	struct ps_target target;

	if (route->dialect == PS_DIALECT_POLYSOCKETD)
		request->style.flags |= PS_STYLE_REFUSAL;
	if (refused_create(request, route, &m, &protocols) ||
	    refused_target(request, &target) ||
	    refused_rights(request, &target, &m))
		goto out;
	if (request->method == METHOD_HEAD) {
		request_answer_head(request, PS_TYPE_JSON);
		goto out;
	}
	m.request = request_ipc(request);
	m.tls = target.tls;
	m.port = target.port;
	m.host = ps_slice_str(target.host);
	m.path = ps_slice_str(target.path);
	m.remote_addr = request_env(request, "REMOTE_ADDR");
	m.public_host = public_host(request);
	ps_ipc_encode_create(&request->handoff->frame, &m);
	request_hand_over(request);
out:
	ps_writer_deinit(&protocols);
}

struct event_word {
	const char *word;
	enum ps_event_type type;
	enum ps_dialect dialect;
};

static bool
event_type(struct ps_slice word, enum ps_dialect dialect,
    enum ps_event_type *type_r)
{
	static const struct event_word words[] = {
		{ "string", PS_EVENT_TEXT, PS_DIALECT_POLYSOCKET },
		{ "text", PS_EVENT_TEXT, PS_DIALECT_POLYSOCKET },
		{ "binary", PS_EVENT_BINARY, PS_DIALECT_POLYSOCKET },
		{ "t", PS_EVENT_TEXT, PS_DIALECT_POLYSOCKETD },
		{ "text", PS_EVENT_TEXT, PS_DIALECT_POLYSOCKETD },
		{ "b", PS_EVENT_BINARY, PS_DIALECT_POLYSOCKETD },
		{ "binary", PS_EVENT_BINARY, PS_DIALECT_POLYSOCKETD },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].dialect == dialect &&
		    ps_slice_is(word, words[i].word)) {
			*type_r = words[i].type;
			return true;
		}
	}
	return false;
}

/* Appends one event to the frame; false when it has answered. */
static bool
add_event(struct request *request, enum ps_dialect dialect,
    struct ps_slice word, struct ps_slice data)
{
	struct ps_writer *frame = &request->handoff->frame;
	enum ps_event_type type;
	size_t begin;

	if (!event_type(word, dialect, &type)) {
		request_refuse(request, PS_CODE_UNKNOWN_TYPE, NULL, NULL);
		return false;
	}
	begin = ps_ipc_event_begin(frame, type);
	if (type == PS_EVENT_TEXT) {
		ps_writer_bytes(frame, data.data, data.len);
	} else if (ps_base64_decode(frame, data) == PS_ERR_MALFORMED) {
		request_refuse(request, PS_CODE_BAD_BASE64, NULL, NULL);
		return false;
	}
	ps_ipc_event_end(frame, begin);
	if (frame->len - begin > request->config->max_message) {
		request_refuse_limit(request, PS_CODE_MESSAGE_TOO_LARGE, NULL,
		    "max_message");
		return false;
	}
	return true;
}

static bool
member_text(json_object *object, const char *name, struct ps_slice *text_r)
{
	json_object *value = NULL;

	if (!json_object_object_get_ex(object, name, &value) ||
	    !json_object_is_type(value, json_type_string))
		return false;
	*text_r = ps_slice(json_object_get_string(value),
	    (size_t)json_object_get_string_len(value));
	return true;
}

static bool
add_json_event(struct request *request, json_object *event)
{
	struct ps_slice type, data;

	if (!json_object_is_type(event, json_type_object) ||
	    !member_text(event, "type", &type)) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "an event is not an object with a type", NULL);
		return false;
	}
	if (!member_text(event, "data", &data)) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "the data of an event is missing or not a string", NULL);
		return false;
	}
	return add_event(request, PS_DIALECT_POLYSOCKET, type, data);
}

/* The number of the first event, where the client gives them numbers. */
static bool
take_number(struct request *request, uint64_t *first_r)
{
	int64_t number;

	if (!params_number(request->params, "n", &number))
		return true;
	if (number >= 1) {
		*first_r = (uint64_t)number;
		return true;
	}
	request_refuse(request, PS_CODE_BAD_PARAMETER,
	    "n is the number of the first event, 1 or more", NULL);
	return false;
}

void
relay_send_events(struct request *request, const struct route *route)
{
	struct ps_ipc_send m = { .request = request_ipc(request) };
	static const char *const required[] = { "socket", "events" };
	json_object *events;
	size_t i, count;

	if (request_refused_missing(request, required, 2) ||
	    !take_socket(request, route, &m.socket))
		return;
	m.more = params_flag(request->params, "more");
	events = params_array(request->params, "events");
	if (!take_number(request, &m.first) ||
	    request_refused_params(request))
		return;
	if (events == NULL) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "events is not an array", NULL);
		return;
	}
	count = json_object_array_length(events);
	if (count > request->config->max_events) {
		request_refuse_limit(request, PS_CODE_TOO_MANY_EVENTS, NULL,
		    "max_events");
		return;
	}
	ps_ipc_send_begin(&request->handoff->frame, &m);
	for (i = 0; i < count; i++) {
		if (!add_json_event(request,
			json_object_array_get_idx(events, i)))
			return;
	}
	ps_ipc_events_end(&request->handoff->frame, (uint16_t)count);
	hand_over(request, m.socket);
}

void
relay_send_data(struct request *request, const struct route *route)
{
	struct ps_ipc_send m = { .request = request_ipc(request) };
	const char *missing[2];
	struct ps_slice type, data;
	size_t n = 0;

	if (!take_socket(request, route, &m.socket))
		return;
	if (request->method == METHOD_HEAD) {
		check_socket(request, m.socket);
		return;
	}
	if (!params_text(request->params, "d", &data))
		missing[n++] = "d"; /* it may be empty, but not missing */
	if (!params_text(request->params, "t", &type))
		missing[n++] = "t";
	m.more = params_flag(request->params, "more");
	if (!take_number(request, &m.first) ||
	    request_refused_params(request))
		return;
	if (n > 0) {
		request_refuse_missing(request, missing, n);
		return;
	}
	ps_ipc_send_begin(&request->handoff->frame, &m);
	if (!add_event(request, route->dialect, type, data))
		return;
	ps_ipc_events_end(&request->handoff->frame, 1);
	hand_over(request, m.socket);
}

/*
 * The number of the last message that the client has got: the parameter `ack`,
 * or rather what a browser's EventSource sends when it comes again (HTML
 * standard, 9.2.4), since its URL stays the same. False, having answered, when
 * it is none.
 */
static bool
take_ack(struct request *request, struct ps_ipc_receive *m)
{
	struct ps_slice id = request_env(request, "HTTP_LAST_EVENT_ID");
	int64_t ack;

	m->acknowledges = params_number(request->params, "ack", &ack);
	if (m->framing == PS_IPC_FRAMING_EVENTSOURCE && id.len > 0) {
		m->acknowledges = true;
		if (!params_parse_number(id, &ack))
			ack = -1;
	}
	if (m->acknowledges && ack < 0) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "ack or Last-Event-ID is not the number of a message",
		    NULL);
		return false;
	}
	m->ack = (uint64_t)ack;
	return true;
}

/* A JSONP poll needs its callback, under either name, besides its socket. */
static bool
refused_receive(struct request *request, const struct route *route)
{
	bool first = route->dialect == PS_DIALECT_POLYSOCKET;
	const char *missing[REQUEST_REQUIRED_MAX];
	size_t n = 0;

	if (route->jsonp != ROUTE_JSONP_REQUIRED ||
	    request->style.callback.len > 0 ||
	    request->params->bad[0] != '\0')
		return false;
	if (first && !params_has(request->params, "socket"))
		missing[n++] = "socket";
	missing[n++] = first ? "callback" : "cb";
	request_refuse_missing(request, missing, n);
	return true;
}

void
relay_receive(struct request *request, const struct route *route)
{
	struct ps_ipc_receive m = { .request = request_ipc(request),
		.dialect = route->dialect,
		.framing = route->framing };

	if (refused_receive(request, route) ||
	    !take_socket(request, route, &m.socket))
		return;
	m.hold_ms = request_hold_ms(request,
	    route->dialect == PS_DIALECT_POLYSOCKET ? "timeout" : "ttl");
	if (!take_ack(request, &m) || request_refused_params(request))
		return;
	if (request->method == METHOD_HEAD) {
		check_socket(request, m.socket);
		return;
	}
	ps_ipc_encode_receive(&request->handoff->frame, &m);
	hand_over(request, m.socket);
}

void
relay_close(struct request *request, const struct route *route)
{
	struct ps_ipc_close m = { .request = request_ipc(request) };
	int64_t code;

	if (!take_socket(request, route, &m.socket))
		return;
	if (!params_number(request->params, "code", &code))
		code = 1000;
	params_text(request->params, "reason", &m.reason);
	if (request_refused_params(request))
		return;
	if (code != 1000 && (code < 3000 || code > 4999)) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "code is neither 1000 nor between 3000 and 4999", NULL);
		return;
	}
	if (m.reason.len > PS_CLOSE_REASON_MAX) {
		request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
		    "reason is longer than 123 bytes", LIMIT_REASON);
		return;
	}
	if (request->method == METHOD_HEAD) {
		check_socket(request, m.socket);
		return;
	}
	m.code = (uint16_t)code;
	ps_ipc_encode_close(&request->handoff->frame, &m);
	hand_over(request, m.socket);
}
