#include "config.h"

#include "request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "handoff.h"
#include "limit.h"
#include "ps_clock.h"
#include "ps_request.h"
#include "ps_utf8.h"

/* Buffers larger than this are given back after the request. */
#define BUFFER_KEEP (256 * 1024)

int
request_init(struct request *request, int listen_fd,
    const struct ps_config *config, struct rights *rights,
    struct handoff *handoff)
{
	*request = (struct request){ .config = config,
		.rights = rights,
		.handoff = handoff,
		.reading_fd = -1 };
	pthread_mutex_init(&request->reading_mutex, NULL);
	if (FCGX_InitRequest(&request->fcgx, listen_fd,
		FCGI_FAIL_ACCEPT_ON_INTR) != 0)
		return PS_ERR_IO;
	request->params = params_create();
	return request->params == NULL ? PS_ERR_NOMEM : PS_OK;
}

void
request_deinit(struct request *request)
{
	FCGX_Finish_r(&request->fcgx);
	params_destroy(request->params);
	ps_writer_deinit(&request->uri);
	ps_writer_deinit(&request->body);
	ps_writer_deinit(&request->out);
	pthread_mutex_destroy(&request->reading_mutex);
}

struct ps_slice
request_env(const struct request *request, const char *name)
{
	return ps_slice_str(FCGX_GetParam(name, request->fcgx.envp));
}

static void
finish(struct request *request)
{
	if (request->out.failed || request->out.len > INT32_MAX)
		FCGX_SetExitStatus(1, request->fcgx.out);
	else
		FCGX_PutStr(request->out.data, (int)request->out.len,
		    request->fcgx.out);
	FCGX_Finish_r(&request->fcgx);
	ps_writer_reset(&request->out);
}

void
request_refuse(struct request *request, enum ps_code code,
    const char *sentence, const char *members)
{
	ps_reply_error(&request->out, &request->style, code, sentence,
	    members);
	finish(request);
}

void
request_refuse_limit(struct request *request, enum ps_code code,
    const char *sentence, const char *limit)
{
	char members[64];

	snprintf(members, sizeof(members), "\"limit\":\"%s\"", limit);
	request_refuse(request, code, sentence, members);
}

void
request_refuse_method(struct request *request, const char *allow)
{
	const struct ps_head_extra extra = { .allow = allow };

	ps_reply_error_with(&request->out, &request->style,
	    PS_CODE_METHOD_NOT_ALLOWED, NULL, NULL, &extra);
	finish(request);
}

void
request_answer_json(struct request *request, struct ps_slice json)
{
	ps_reply_json(&request->out, &request->style, 200, json, NULL);
	finish(request);
}

void
request_answer_text(struct request *request, int status, const char *type,
    const char *text, const struct ps_head_extra *extra)
{
	ps_reply_text(&request->out, &request->style, status, type,
	    ps_slice_str(text), extra);
	finish(request);
}

void
request_answer_head(struct request *request, const char *type)
{
	ps_reply_head(&request->out, &request->style, 200, type, NULL);
	finish(request);
}

/* Headers that a page may send along, compared without regard to case. */
static const char *const allowed_headers[] = { "Content-Type",
	"Authorization", "X-Requested-With", "Last-Event-ID", "Cache-Control",
	"Accept", "Idempotency-Key" };

/* Those of the requested headers that are on the list, as they were spelled. */
static void
echo_headers(struct ps_writer *w, struct ps_slice asked)
{
	const char *end = asked.data + asked.len, *p = asked.data;
	bool any = false;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t len = (size_t)((comma == NULL ? end : comma) - p);
		const char *next = p + len + 1;

		for (; len > 0 && *p == ' '; p++, len--)
			;
		for (; len > 0 && p[len - 1] == ' '; len--)
			;
		for (size_t i = 0; i < sizeof(allowed_headers) /
				 sizeof(allowed_headers[0]);
		     i++) {
			if (strlen(allowed_headers[i]) != len ||
			    strncasecmp(allowed_headers[i], p, len) != 0)
				continue;
			ps_writer_str(w, any ? ", " :
					       "Access-Control-Allow-"
					       "Headers: ");
			ps_writer_bytes(w, p, len);
			any = true;
		}
		p = next;
	}
	if (any)
		ps_writer_str(w, "\r\n");
}

void
request_answer_preflight(struct request *request, const char *methods)
{
	struct ps_writer *w = &request->out;

	ps_writer_printf(w,
	    "Status: 204 No Content\r\n"
	    "Access-Control-Allow-Methods: %s\r\n"
	    "Access-Control-Max-Age: 7200\r\n",
	    methods);
	ps_reply_cors(w, &request->style);
	echo_headers(w,
	    request_env(request, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"));
	ps_writer_str(w, "X-Content-Type-Options: nosniff\r\n\r\n");
	finish(request);
}

static enum method
parse_method(struct ps_slice text)
{
	static const struct {
		const char *name;
		enum method method;
	} methods[] = { { "GET", METHOD_GET }, { "POST", METHOD_POST },
		{ "HEAD", METHOD_HEAD }, { "OPTIONS", METHOD_OPTIONS },
		{ "DELETE", METHOD_DELETE } };
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (ps_slice_is(text, methods[i].name))
			return methods[i].method;
	}
	return METHOD_OTHER;
}

/*
 * Splits the path below the mount prefix and decodes each segment by itself,
 * so that an escaped slash stays inside its segment. PS_ERR_TOO_LARGE stands
 * for a path that no route can have.
 */
static int
split_path(struct request *request)
{
	const char *prefix = request->config->mount_prefix;
	size_t prefix_len = strlen(prefix);
	char *path = request->uri.data;
	char *end = path + strcspn(path, "?#");

	request->query = *end == '?' ? end + 1 : NULL;
	if (strncmp(path, prefix, prefix_len) != 0 ||
	    path[prefix_len] != '/')
		return PS_ERR_TOO_LARGE;
	path += prefix_len;
	while (path < end) {
		char *slash = memchr(path + 1, '/', (size_t)(end - path) - 1);
		struct ps_slice segment;

		if (slash == NULL)
			slash = end;
		if (request->n_segments == PS_SEGMENTS_MAX)
			return PS_ERR_TOO_LARGE;
		segment = ps_slice(path + 1, (size_t)(slash - path) - 1);
		if (ps_request_decode(&segment, path + 1, false) != PS_OK)
			return PS_ERR_MALFORMED;
		request->segments[request->n_segments++] = segment;
		path = slash;
	}
	return PS_OK;
}

bool
request_begin(struct request *request)
{
	struct ps_slice uri = request_env(request, "REQUEST_URI");
	int ret;

	params_reset(request->params);
	ps_writer_reset(&request->uri);
	ps_writer_reset(&request->body);
	ps_writer_trim(&request->body, BUFFER_KEEP);
	request->n_segments = 0;
	request->style = (struct ps_style){ 0 };
	request->method = parse_method(request_env(request, "REQUEST_METHOD"));
	if (request->method == METHOD_HEAD)
		request->style.flags |= PS_STYLE_HEAD;
	request->style.origin =
	    ps_request_origin(request_env(request, "HTTP_ORIGIN"),
		request_env(request, "HTTP_REFERER"));
	ps_writer_bytes(&request->uri, uri.data, uri.len);
	ps_writer_u8(&request->uri, '\0');
	if (request->uri.failed) {
		request_refuse(request, PS_CODE_BRIDGE_FULL, NULL, NULL);
		return false;
	}
	ret = split_path(request);
	if (ret == PS_OK)
		return true;
	request_refuse(request,
	    ret == PS_ERR_MALFORMED ? PS_CODE_BAD_REQUEST : PS_CODE_NOT_FOUND,
	    ret == PS_ERR_MALFORMED ?
		"the path is not percent-encoded UTF-8 without NUL" :
		NULL,
	    NULL);
	return false;
}

/*
 * Reads to the end of FCGI_STDIN even when there is no body: bytes left in
 * the connection would reset it when the bridge closes it.
 */
static enum ps_err
read_all(struct request *request)
{
	struct ps_slice length = request_env(request, "CONTENT_LENGTH");
	size_t max = request->config->max_body, want;
	size_t expected = 0;
	char *p;
	int got;


	for (size_t i = 0; i < length.len; i++) {
		if (length.data[i] < '0' || length.data[i] > '9')
			return PS_ERR_MALFORMED;
		expected = expected * 10 + (size_t)(length.data[i] - '0');
		if (expected > max)
			return PS_ERR_TOO_LARGE;
	}
	want = length.len > 0 ? expected + 1 : 16 * 1024;
	do {
		if ((p = ps_writer_reserve(&request->body, want)) == NULL)
			return PS_ERR_NOMEM;
		got = FCGX_GetStr(p, (int)want, request->fcgx.in);
		if (got < 0)
			return PS_ERR_MALFORMED;
		request->body.len += (size_t)got;
		if (request->body.len > max)
			return PS_ERR_TOO_LARGE;
	} while ((size_t)got == want);
	if (FCGX_GetError(request->fcgx.in) != 0 ||
	    (length.len > 0 && request->body.len != expected))
		return PS_ERR_MALFORMED;
	return PS_OK;
}

static void
set_reading(struct request *request, int fd)
{
	pthread_mutex_lock(&request->reading_mutex);
	request->reading_fd = fd;
	request->reading_since_ms = ps_clock_ms();
	pthread_mutex_unlock(&request->reading_mutex);
}

void
request_limit_reading(struct request *request, uint64_t now_ms)
{
	pthread_mutex_lock(&request->reading_mutex);
	/* It may have begun after the caller looked at the clock. */
	if (request->reading_fd >= 0 &&
	    now_ms > request->reading_since_ms + REQUEST_READ_MS) {
		shutdown(request->reading_fd, SHUT_RD);
		request->reading_fd = -1;
	}
	pthread_mutex_unlock(&request->reading_mutex);
}

static enum ps_err
read_body(struct request *request)
{
	enum ps_err ret;

	set_reading(request, handoff_descriptor(&request->fcgx));
	ret = read_all(request);
	set_reading(request, -1);
	return ret;
}

enum body_type
request_body_type(const struct request *request)
{
	static const struct {
		const char *name;
		enum body_type type;
	} types[] = { { "application/json", BODY_JSON },
		{ "text/plain", BODY_JSON },
		{ "application/x-www-form-urlencoded", BODY_FORM },
		{ "application/x-ndjson", BODY_LINES } };
	struct ps_slice type = request_env(request, "CONTENT_TYPE");
	size_t i, len = 0;

	while (len < type.len && type.data[len] != ';' &&
	    type.data[len] != ' ')
		len++;
	if (len == 0)
		return BODY_JSON;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i].name) == len &&
		    strncasecmp(types[i].name, type.data, len) == 0)
			return types[i].type;
	}
	return BODY_UNKNOWN;
}

/* True for PS_OK; answers what else params_parse_*() may return. */
static bool
was_parsed(struct request *request, int ret, const char *malformed,
    const char *too_large, const char *limit)
{
	if (ret == PS_ERR_TOO_LARGE)
		request_refuse_limit(request, PS_CODE_BAD_REQUEST, too_large,
		    limit);
	else if (ret != PS_OK)
		request_refuse(request, PS_CODE_BAD_REQUEST, malformed, NULL);
	return ret == PS_OK;
}

bool
request_parse_form(struct request *request)
{
	struct ps_writer *body = &request->body;

	return was_parsed(request,
	    params_parse_form(request->params, body->data, body->len, true),
	    "the form is malformed", "the form has too many parameters",
	    LIMIT_PARAMETERS);
}

static int
parse_json(struct request *request, const char *aside)
{
	const struct ps_writer *body = &request->body;

	return aside == NULL ?
	    params_parse_json(request->params, body->data, body->len) :
	    params_parse_json_but(request->params, body->data, body->len,
		aside);
}

bool
request_parse_body(struct request *request, const char *aside)
{
	struct ps_writer *body = &request->body;

	if (request->method != METHOD_POST || body->len == 0)
		return true;
	switch (request_body_type(request)) {
	case BODY_FORM:
		return request_parse_form(request);
	case BODY_JSON:
		return was_parsed(request, parse_json(request, aside),
		    "the body is not a JSON object with unique names and "
		    "valid UTF-8",
		    "the body is nested too deeply", LIMIT_DEPTH);
	case BODY_LINES:
	case BODY_UNKNOWN:
		break;
	}
	request_refuse(request, PS_CODE_BAD_REQUEST,
	    "the body is neither application/json, text/plain with JSON nor "
	    "application/x-www-form-urlencoded",
	    NULL);
	return false;
}

bool
request_read_query(struct request *request)
{
	char *query = request->query;

	return query == NULL ||
	    was_parsed(request,
		params_parse_form(request->params, query, strcspn(query, "#"),
		    false),
		"the query is malformed", "the query has too many parameters",
		LIMIT_PARAMETERS);
}

bool
request_read_body(struct request *request)
{
	switch (read_body(request)) {
	case PS_OK:
		return true;
	case PS_ERR_TOO_LARGE:
		request_refuse_limit(request, PS_CODE_BODY_TOO_LARGE, NULL,
		    "max_body");
		return false;
	default:
		request_refuse(request, PS_CODE_BAD_REQUEST,
		    "the body does not have the length it announced", NULL);
		return false;
	}
}

bool
request_refused_params(struct request *request)
{
	if (request->params->bad[0] == '\0')
		return false;
	request_refuse(request, request->params->bad_code,
	    request->params->bad, NULL);
	return true;
}

void
request_refuse_missing(struct request *request, const char *const *names,
    size_t count)
{
	struct ps_writer sentence = { 0 }, members = { 0 };
	size_t i;

	for (i = 0; i < count; i++) {
		ps_writer_printf(&sentence, "%s%s",
		    i == 0 ? "missing parameter: " : ", ", names[i]);
		ps_writer_printf(&members, "%s\"%s\"",
		    i == 0 ? "\"missing\":[" : ",", names[i]);
	}
	ps_writer_u8(&sentence, '\0');
	ps_writer_bytes(&members, "]", 2);
	request_refuse(request, PS_CODE_MISSING_PARAMETER,
	    sentence.failed ? NULL : sentence.data,
	    members.failed ? NULL : members.data);
	ps_writer_deinit(&sentence);
	ps_writer_deinit(&members);
}

bool
request_refused_missing(struct request *request, const char *const *names,
    size_t count)
{
	const char *missing[REQUEST_REQUIRED_MAX];
	size_t i, n = 0;

	assert(count <= REQUEST_REQUIRED_MAX);
	for (i = 0; i < count; i++) {
		if (!params_has(request->params, names[i]))
			missing[n++] = names[i];
	}
	if (n > 0)
		request_refuse_missing(request, missing, n);
	return n > 0;
}

bool
request_refused_agent(struct request *request, struct ps_slice *agent_r)
{
	params_text(request->params, "from", agent_r);
	if (agent_r->len > PS_AGENT_MAX) {
		request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
		    "from is longer than 128 bytes", LIMIT_FROM);
		return true;
	}
	if (ps_utf8_is_plain(agent_r->data, agent_r->len))
		return false;
	request_refuse(request, PS_CODE_BAD_PARAMETER,
	    "from has a control character", NULL);
	return true;
}

uint32_t
request_hold_ms(struct request *request, const char *name)
{
	const struct ps_config *config = request->config;
	int64_t hold;

	if (!params_number(request->params, name, &hold))
		return (uint32_t)config->hold_default;
	if (hold < (int64_t)config->hold_min)
		return (uint32_t)config->hold_min;
	if (hold > (int64_t)config->hold_max)
		return (uint32_t)config->hold_max;
	return (uint32_t)hold;
}

struct ps_ipc_request
request_ipc(const struct request *request)
{
	return (struct ps_ipc_request){ (uint16_t)request->fcgx.requestId,
		request->style };
}

bool
request_was_taken(struct request *request)
{
	struct handoff *handoff = request->handoff;

	return !handoff->frame.failed &&
	    handoff_send(handoff, &request->fcgx, false) == PS_OK;
}

/* `gone` is for a session whose bridge is no more. */
static void
refuse_unless_taken(struct request *request, int ret, enum ps_code gone)
{
	if (ret == PS_ERR_CLOSED)
		request_refuse(request, gone, NULL, NULL);
	else if (ret != PS_OK)
		request_refuse(request, PS_CODE_BRIDGE_UNAVAILABLE, NULL,
		    NULL);
}

void
request_hand_over(struct request *request)
{
	struct handoff *handoff = request->handoff;

	refuse_unless_taken(request,
	    handoff->frame.failed ?
		PS_ERR_NOMEM :
		handoff_send(handoff, &request->fcgx, true),
	    PS_CODE_BRIDGE_UNAVAILABLE);
}

void
request_hand_over_to_owner(struct request *request, struct ps_slice socket,
    enum ps_code gone)
{
	struct handoff *handoff = request->handoff;

	refuse_unless_taken(request,
	    handoff->frame.failed ?
		PS_ERR_NOMEM :
		handoff_send_to_owner(handoff, &request->fcgx, socket),
	    gone);
}

void
request_hand_over_to_member(struct request *request, struct ps_slice key)
{
	struct handoff *handoff = request->handoff;
	int ret = PS_ERR_NOMEM;

	if (!handoff->frame.failed)
		ret = handoff_send_to_member(handoff, &request->fcgx, key);
	if (ret == PS_ERR_CLOSED)
		request_hand_over(request);
	else
		refuse_unless_taken(request, ret, PS_CODE_BRIDGE_UNAVAILABLE);
}
