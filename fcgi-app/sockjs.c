#include "config.h"

#include "sockjs.h"

#include <time.h>

#include "handoff.h"
#include "limit.h"
#include "ps_json_literal.h"

/* Segments of a path of a session: its server, its id and the transport. */
#define SESSION_SEGMENTS 3

// clang-format off
static const struct sockjs_place pages[] = {
	{ "", SOCKJS_PAGE, METHOD_GET, .page = PS_SOCKJS_GREETING },
	{ "info", SOCKJS_PAGE, METHOD_GET, .page = PS_SOCKJS_INFO },
	{ "websocket", SOCKJS_PAGE, METHOD_GET, .page = PS_SOCKJS_NO_UPGRADE },
};

static const struct sockjs_place iframe =
	{ NULL, SOCKJS_PAGE, METHOD_GET, .page = PS_SOCKJS_IFRAME };

static const struct sockjs_place transports[] = {
	{ "xhr", SOCKJS_RECEIVE, METHOD_POST, .framing = PS_SOCKJS_XHR },
	{ "xhr_streaming", SOCKJS_RECEIVE, METHOD_POST, .framing = PS_SOCKJS_XHR_STREAMING },
	{ "xhr_send", SOCKJS_SEND, METHOD_POST, .jsonp = false },
	{ "eventsource", SOCKJS_RECEIVE, METHOD_GET, .framing = PS_SOCKJS_EVENTSOURCE },
	{ "htmlfile", SOCKJS_RECEIVE, METHOD_GET, .framing = PS_SOCKJS_HTMLFILE },
	{ "jsonp", SOCKJS_RECEIVE, METHOD_GET, .framing = PS_SOCKJS_JSONP },
	{ "jsonp_send", SOCKJS_SEND, METHOD_POST, .jsonp = true },
	{ "websocket", SOCKJS_PAGE, METHOD_GET, .page = PS_SOCKJS_NO_UPGRADE },
};
// clang-format on

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct sockjs_place *
find_name(const struct sockjs_place *places, size_t count,
    struct ps_slice name)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (ps_slice_is(name, places[i].name))
			return &places[i];
	}
	return NULL;
}

/* Letters, digits and `others`; there is no NUL in what clients send here. */
static bool
has_only(struct ps_slice text, const char *others)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z') && strchr(others, c) == NULL)
			return false;
	}
	return true;
}

/* Clients put their version into it: iframe-1.6.1.html. */
static bool
is_iframe(struct ps_slice name)
{
	static const char begin[] = "iframe", end[] = ".html";
	size_t b = sizeof(begin) - 1, e = sizeof(end) - 1;

	return name.len >= b + e && memcmp(name.data, begin, b) == 0 &&
	    memcmp(name.data + name.len - e, end, e) == 0 &&
	    (name.len == b + e || name.data[b] == '-') &&
	    has_only(name, "-._");
}

static bool
is_part(struct ps_slice part, size_t max)
{
	return part.len > 0 && part.len <= max &&
	    memchr(part.data, '.', part.len) == NULL;
}

const struct sockjs_place *
sockjs_find(const struct ps_slice *segments, size_t count)
{
	if (count == 0)
		return &pages[0];
	if (count == 1 && is_iframe(segments[0]))
		return &iframe;
	if (count == 1)
		return find_name(pages, COUNT(pages), segments[0]);
	/* The server is for load balancers in front of us. */
	if (count != SESSION_SEGMENTS || !is_part(segments[0], SIZE_MAX) ||
	    !is_part(segments[1], PS_SOCKJS_SESSION_MAX))
		return NULL;
	return find_name(transports, COUNT(transports), segments[2]);
}

static bool
is_socket_id(struct ps_slice text)
{
	size_t i;

	if (text.len != PS_SOCKET_ID_LEN)
		return false;
	for (i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '2' && c <= '7'))
			return false;
	}
	return true;
}

/* cookie-octet of RFC 6265, section 4.1.1. */
static bool
is_cookie_octet(unsigned char c)
{
	return c > 0x20 && c < 0x7f && strchr("\",;\\", c) == NULL;
}

/* The value of JSESSIONID; empty where there is none that we may repeat. */
static struct ps_slice
find_cookie(struct ps_slice cookies)
{
	const struct ps_slice none = { NULL, 0 };
	struct ps_slice value;
	size_t i;

	while (cookies.len > 0) {
		value = ps_slice_cut(&cookies, ';');
		while (value.len > 0 && *value.data == ' ')
			value = ps_slice(value.data + 1, value.len - 1);
		if (!ps_slice_is(ps_slice_cut(&value, '='), "JSESSIONID"))
			continue;
		for (i = 0; i < value.len; i++) {
			if (!is_cookie_octet((unsigned char)value.data[i]))
				return none;
		}
		return value.len > PS_COOKIE_MAX ? none : value;
	}
	return none;
}

/* What a browser asks to be allowed, if it is a list of names of headers (RFC
 * 9110, section 5.6.2). */
static struct ps_slice
find_allow_headers(struct ps_slice asked)
{
	if (asked.len > PS_ALLOW_HEADERS_MAX ||
	    !has_only(asked, "!#$%&'*+-.^_`|~, "))
		return ps_slice(NULL, 0);
	return asked;
}

static void
take_style(struct request *request)
{
	struct ps_style *style = &request->style;

	style->flags |= PS_STYLE_SOCKJS;
	style->cookie = find_cookie(request_env(request, "HTTP_COOKIE"));
	style->allow_headers = find_allow_headers(
	    request_env(request, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"));
}

/*
 * Whoever may ask hears so, for a year; whether it may use the application is
 * said when it does. So the origin is repeated, be it one or not.
 */
static void
answer_preflight(struct request *request, const struct sockjs_place *place)
{
	const struct ps_head_extra extra = { .cached_from_s = time(NULL),
		.methods = place->method == METHOD_GET ? "OPTIONS, GET" :
							 "OPTIONS, POST" };
	struct ps_slice origin = request_env(request, "HTTP_ORIGIN");
	size_t i;

	for (i = 0; i < origin.len && origin.len <= PS_ORIGIN_MAX; i++) {
		if (origin.data[i] <= ' ' || origin.data[i] == 0x7f)
			break;
	}
	if (i > 0 && i == origin.len)
		request->style.origin = origin;
	request_answer_text(request, 204, NULL, "", &extra);
}

static void
refuse(struct request *request, const char *text)
{
	request_answer_text(request, 500, PS_TYPE_SOCKJS_TEXT, text, NULL);
}

static void
hand_over_page(struct request *request, const struct sockjs_place *place)
{
	struct ps_ipc_sockjs_page m = { .request = request_ipc(request),
		.socket_id = request->segments[0],
		.page = place->page };

	m.etag = request_env(request, "HTTP_IF_NONE_MATCH");
	if (m.etag.len > PS_COOKIE_MAX)
		m.etag.len = 0; /* it gets the page */
	ps_ipc_encode_sockjs_page(&request->handoff->frame, &m);
	request_hand_over(request);
}

/* Of a script in a page, or a script; false when it has answered. */
static bool
take_callback(struct request *request)
{
	struct ps_slice name;

	if ((!params_text(request->params, "c", &name) &&
		!params_text(request->params, "callback", &name)) ||
	    name.len == 0) {
		if (!request_refused_params(request))
			refuse(request, "\"callback\" parameter required");
		return false;
	}
	if (name.len > PS_SOCKJS_CALLBACK_MAX || !has_only(name, "-_.")) {
		refuse(request, "invalid \"callback\" parameter");
		return false;
	}
	request->style.callback = name;
	return !request_refused_params(request);
}

static const char *
type_of(enum ps_sockjs_framing framing)
{
	switch (framing) {
	case PS_SOCKJS_XHR:
	case PS_SOCKJS_XHR_STREAMING:
	case PS_SOCKJS_JSONP:
		return PS_TYPE_SOCKJS_SCRIPT;
	case PS_SOCKJS_EVENTSOURCE:
		return PS_TYPE_SOCKJS_EVENTSOURCE;
	case PS_SOCKJS_HTMLFILE:
		return PS_TYPE_SOCKJS_HTML;
	case PS_SOCKJS_FRAMING__COUNT:
		break;
	}
	return NULL;
}

static void
hand_over_receive(struct request *request, const struct sockjs_place *place)
{
	struct ps_ipc_sockjs_receive m = { .socket_id = request->segments[0],
		.session = request->segments[2],
		.framing = place->framing };

	if ((place->framing == PS_SOCKJS_HTMLFILE ||
		place->framing == PS_SOCKJS_JSONP) &&
	    !take_callback(request))
		return;
	if (request_refused_agent(request, &m.agent) ||
	    request_refused_params(request))
		return;
	if (request->method == METHOD_HEAD) {
		request_answer_head(request, type_of(place->framing));
		return;
	}
	m.request = request_ipc(request);
	m.remote_addr = request_env(request, "REMOTE_ADDR");
	ps_ipc_encode_sockjs_receive(&request->handoff->frame, &m);
	request_hand_over(request);
}

struct messages {
	struct ps_writer *frame;
	uint64_t max; /* bytes of one, without its quotes */
	uint16_t count;
};

/* PS_ERR_TOO_LARGE for one that is; PS_ERR_FULL for one too many. */
static int
add_message(void *arg, struct ps_slice string)
{
	struct messages *messages = arg;
	struct ps_writer *frame = messages->frame;
	size_t begin;
	int ret;

	/* A client sends all that it has at once and cannot divide it. */
	if (messages->count == PS_IPC_EVENTS_MAX)
		return PS_ERR_FULL;
	messages->count++;
	begin = ps_ipc_event_begin(frame, PS_EVENT_TEXT);
	ret = ps_json_literal(frame, string);
	ps_ipc_event_end(frame, begin);
	if (ret == PS_OK && !frame->failed &&
	    frame->len - begin > messages->max + 2)
		return PS_ERR_TOO_LARGE;
	return ret;
}

/* What was sent: JSON, in a form where it is one. False: answered. */
static bool
take_payload(struct request *request, const struct sockjs_place *place,
    struct ps_slice *text_r)
{
	*text_r = ps_slice(request->body.data, request->body.len);
	if (!place->jsonp || request_body_type(request) != BODY_FORM)
		return true;
	if (!request_parse_form(request))
		return false;
	params_text(request->params, "d", text_r);
	return !request_refused_params(request);
}

static void
refuse_payload(struct request *request, struct ps_slice text, int ret)
{
	switch (ret) {
	case PS_ERR_TOO_LARGE:
		request_refuse_limit(request, PS_CODE_MESSAGE_TOO_LARGE, NULL,
		    "max_message");
		return;
	case PS_ERR_FULL:
		request_refuse_limit(request, PS_CODE_TOO_MANY_EVENTS, NULL,
		    LIMIT_SOCKJS_MESSAGES);
		return;
	case PS_ERR_MALFORMED:
		refuse(request, text.len == 0 ? "Payload expected." :
						"Broken JSON encoding.");
		return;
	default:
		refuse(request, "Payload expected.");
	}
}

static void
hand_over_send(struct request *request, const struct sockjs_place *place)
{
	const struct ps_ipc_sockjs_send m = { .request = request_ipc(request),
		.socket_id = request->segments[0],
		.session = request->segments[2],
		.jsonp = place->jsonp };
	struct ps_writer *frame = &request->handoff->frame;
	struct messages messages = { frame, request->config->max_message, 0 };
	struct ps_slice text;
	int ret;

	if (!take_payload(request, place, &text))
		return;
	ps_ipc_sockjs_send_begin(frame, &m);
	ret = ps_json_strings(text, add_message, &messages);
	if (ret != PS_OK) {
		refuse_payload(request, text, ret);
		return;
	}
	ps_ipc_events_end(frame, messages.count);
	request_hand_over(request);
}

static void
serve(struct request *request, const struct sockjs_place *place)
{
	switch (place->action) {
	case SOCKJS_PAGE:
		hand_over_page(request, place);
		return;
	case SOCKJS_RECEIVE:
		hand_over_receive(request, place);
		return;
	case SOCKJS_SEND:
		hand_over_send(request, place);
		return;
	}
}

bool
sockjs_route(struct request *request)
{
	const struct sockjs_place *place;

	if (request->n_segments == 0 || !is_socket_id(request->segments[0]))
		return false;
	take_style(request);
	place = sockjs_find(request->segments + 1, request->n_segments - 1);
	if (place == NULL)
		request_refuse(request, PS_CODE_NOT_FOUND, NULL, NULL);
	else if (request->method == METHOD_OPTIONS)
		answer_preflight(request, place);
	else if (request->method != place->method &&
	    !(request->method == METHOD_HEAD && place->method == METHOD_GET))
		request_refuse_method(request,
		    place->method == METHOD_GET ? "GET, HEAD, OPTIONS" :
						  "POST, OPTIONS");
	else if (request_read_query(request) && request_read_body(request))
		serve(request, place);
	return true;
}
