/*
 * What a request to emit sends, and to whom. Payloads that are JSON pass as
 * they were sent, but for the space between their parts.
 */
#include "config.h"

#include "channels.h"

#include "authorise.h"
#include "handoff.h"
#include "limit.h"
#include "ps_json.h"
#include "ps_limits.h"
#include "ps_utf8.h"

static struct ps_slice
trim(struct ps_slice text)
{
	while (text.len > 0 && text.data[0] == ' ')
		text = ps_slice(text.data + 1, text.len - 1);
	while (text.len > 0 && text.data[text.len - 1] == ' ')
		text.len--;
	return text;
}

/* Takes the text up to a separator off `rest`; false at its end. */
static bool
take_part(struct ps_slice *rest, char separator, struct ps_slice *part_r)
{
	const char *end;

	if (rest->data == NULL)
		return false;
	end = memchr(rest->data, separator, rest->len);
	*part_r = ps_slice(
	    rest->data, end == NULL ? rest->len : (size_t)(end - rest->data));
	*rest = end == NULL ? ps_slice(NULL, 0)
			    : ps_slice(end + 1, rest->len - part_r->len - 1);
	return true;
}

static bool
refused_clients(struct request *request)
{
	request_refuse(
	    request, PS_CODE_BAD_PARAMETER,
	    "clients is neither a number from 1 on nor a list of client ids",
	    NULL);
	return false;
}

/* One number, which no id begins like. */
static bool
take_clients_number(struct request *request, struct ps_slice text,
		    struct ps_ipc_emit *m)
{
	int64_t number;

	if (!params_parse_number(text, &number) || number < 1)
		return refused_clients(request);
	if (number > PS_CLIENTS_NUMBER_MAX) {
		request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
				     "clients is a number above 1000000",
				     LIMIT_CLIENTS_NUMBER);
		return false;
	}
	m->clients = PS_IPC_CLIENTS_NUMBER;
	m->number = (uint32_t)number;
	return true;
}

static bool
take_clients_listed(struct request *request, struct ps_slice text,
		    struct ps_ipc_emit *m, struct ps_writer *listed)
{
	struct ps_slice client;
	size_t count = 0;

	while (take_part(&text, ',', &client)) {
		client = trim(client);
		if (client.len == 0)
			return refused_clients(request);
		if (count++ > 0)
			ps_writer_str(listed, ",");
		ps_writer_bytes(listed, client.data, client.len);
	}
	if (count > PS_CLIENTS_MAX || listed->len > PS_CLIENTS_TEXT_MAX) {
		request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
				     "clients has more than 1024 ids",
				     LIMIT_CLIENTS);
		return false;
	}
	m->clients = PS_IPC_CLIENTS_LISTED;
	m->listed = ps_slice(listed->data, listed->len);
	return true;
}

/* To whom it goes. False when it has answered. */
static bool
take_clients(struct request *request, struct ps_ipc_emit *m,
	     struct ps_writer *listed)
{
	struct ps_slice text;

	if (!params_text(request->params, "clients", &text))
		return true;
	text = trim(text);
	if (text.len == 0)
		return refused_clients(request);
	if (strchr("+-0123456789", text.data[0]) != NULL)
		return take_clients_number(request, text, m);
	return take_clients_listed(request, text, m, listed);
}

static bool
take_acks(struct request *request, struct ps_ipc_emit *m)
{
	int64_t min;

	m->requires_ack = params_flag(request->params, "require-ack");
	if (params_number(request->params, "min-acks", &min)) {
		if (min < 1 || min > PS_CLIENTS_NUMBER_MAX) {
			request_refuse(
			    request, PS_CODE_BAD_PARAMETER,
			    "min-acks is not a number from 1 to 1000000", NULL);
			return false;
		}
		m->requires_ack = true;
		m->min_acks = (uint32_t)min;
	}
	if (!m->batch || !m->requires_ack)
		return true;
	request_refuse(request, PS_CODE_BAD_PARAMETER,
		       "a batch cannot wait for acknowledgements", NULL);
	return false;
}

/* What makes it idempotent. */
static bool
take_id(struct request *request, struct ps_ipc_emit *m)
{
	bool is_given = params_text(request->params, "id", &m->key);

	if (!is_given)
		m->key = request_env(request, "HTTP_IDEMPOTENCY_KEY");
	if ((m->key.len == 0 && is_given) ||
	    !ps_utf8_is_valid(m->key.data, m->key.len) ||
	    !ps_utf8_is_plain(m->key.data, m->key.len)) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
			       "id is empty or has a control character", NULL);
		return false;
	}
	if (ps_utf8_count(m->key.data, m->key.len) <= PS_EMIT_ID_CHARACTERS)
		return true;
	request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
			     "id is longer than 64 characters", LIMIT_EMIT_ID);
	return false;
}

static bool
is_control(const struct request *request, struct ps_slice name)
{
	static const char *const names[] = { "clients",  "require-ack",
					     "min-acks", "token",
					     "id",       "cb",
					     "status" };
	/* The last two say how the answer looks, if anything does. */
	size_t count = request->style.callback.len > 0 ? 7 : 5, i;

	for (i = 0; i < count; i++) {
		if (ps_slice_is(name, names[i]))
			return true;
	}
	return false;
}

/* The first or, from its end, the last parameter of the same name. */
static const struct param *
find_same(const struct params *params, const struct param *param, bool last)
{
	const struct param *p, *found = param;

	for (p = params->items; p < params->items + params->count; p++) {
		if (p->in_body == param->in_body &&
		    p->name.len == param->name.len &&
		    memcmp(p->name.data, param->name.data, p->name.len) == 0) {
			found = p;
			if (!last)
				break;
		}
	}
	return found;
}

/*
 * Appends an object of the parameters that control nothing, as strings: each
 * name where it is first, with the value that it has last.
 */
static void
put_params(const struct request *request, struct ps_writer *w)
{
	const struct params *params = request->params;
	const struct param *p, *end = params->items + params->count;
	bool in_body = request->method == METHOD_POST;
	const char *separator = "{";

	for (p = params->items; p < end; p++) {
		if (p->in_body != in_body || is_control(request, p->name) ||
		    find_same(params, p, false) != p)
			continue;
		ps_writer_str(w, separator);
		ps_json_string(w, p->name);
		ps_writer_str(w, ":");
		ps_json_string(w, find_same(params, p, true)->value);
		separator = ",";
	}
	ps_writer_str(w, *separator == '{' ? "{}" : "}");
}

/* False, having answered, when it may not be as large as it is. */
static bool
check_size(struct request *request, const struct ps_ipc_emit *m, size_t len)
{
	const char *limit = NULL;

	if (len > request->config->max_message)
		limit = "max_message";
	else if (len > m->rights.limits.value[PS_LIMIT_MESSAGE_BYTES])
		limit = ps_token_limit_name(PS_LIMIT_MESSAGE_BYTES);
	if (limit != NULL)
		request_refuse_limit(request, PS_CODE_MESSAGE_TOO_LARGE, NULL,
				     limit);
	return limit == NULL;
}

/* Appends the parameters as the one event. False when it has answered. */
static bool
add_params(struct request *request, struct ps_ipc_emit *m)
{
	struct ps_writer *frame = &request->handoff->frame;
	size_t begin = ps_ipc_event_begin(frame, PS_EVENT_TEXT), len;

	put_params(request, frame);
	ps_ipc_event_end(frame, begin);
	m->count = 1;
	len = frame->failed ? 0 : frame->len - begin;
	if (len > 2 || frame->failed)
		return check_size(request, m, len);
	request_refuse(request, PS_CODE_NO_PAYLOAD, NULL, NULL);
	return false;
}

/* Whether compact JSON says nothing, which an event of a batch may. */
static bool
is_nothing(struct ps_slice json, bool in_batch)
{
	return ps_slice_is(json, "null") ||
	       (!in_batch &&
		(ps_slice_is(json, "{}") || ps_slice_is(json, "[]")));
}

/* Appends one event that is JSON. False when it has answered. */
static bool
add_json(struct request *request, struct ps_ipc_emit *m, struct ps_slice text)
{
	struct ps_writer *frame = &request->handoff->frame;
	size_t begin = ps_ipc_event_begin(frame, PS_EVENT_TEXT), n_names;
	int ret = ps_json_check(text, &n_names);
	struct ps_slice json;

	if (ret == PS_ERR_TOO_LARGE) {
		request_refuse_limit(request, PS_CODE_BAD_REQUEST,
				     "the payload is nested too deeply",
				     LIMIT_DEPTH);
		return false;
	}
	if (ret != PS_OK) {
		request_refuse(request, PS_CODE_BAD_REQUEST,
			       m->batch ? "a line of the body is not valid JSON"
					: "the body is not valid JSON",
			       NULL);
		return false;
	}
	ps_json_compact(frame, text);
	ps_ipc_event_end(frame, begin);
	m->count++;
	if (frame->failed)
		return true; /* told when it is handed over */
	json = ps_slice(frame->data + begin, frame->len - begin);
	if (!is_nothing(json, m->batch))
		return check_size(request, m, json.len);
	request_refuse(request, PS_CODE_NO_PAYLOAD, NULL, NULL);
	return false;
}

static bool
is_blank(struct ps_slice line)
{
	size_t i;

	for (i = 0; i < line.len; i++) {
		if (strchr(" \t\r\n", line.data[i]) == NULL ||
		    line.data[i] == '\0')
			return false;
	}
	return true;
}

static bool
add_lines(struct request *request, struct ps_ipc_emit *m, struct ps_slice rest)
{
	struct ps_slice line;

	while (take_part(&rest, '\n', &line)) {
		if (is_blank(line))
			continue;
		if (m->count == request->config->max_events) {
			request_refuse_limit(request, PS_CODE_TOO_MANY_EVENTS,
					     NULL, "max_events");
			return false;
		}
		if (!add_json(request, m, line))
			return false;
	}
	if (m->count > 0)
		return true;
	request_refuse(request, PS_CODE_NO_PAYLOAD, NULL, NULL);
	return false;
}

static bool
add_events(struct request *request, struct ps_ipc_emit *m, enum body_type type)
{
	struct ps_slice body = ps_slice(request->body.data, request->body.len);

	if (type == BODY_LINES)
		return add_lines(request, m, body);
	if (type == BODY_FORM)
		return add_params(request, m);
	if (!is_blank(body))
		return add_json(request, m, body);
	request_refuse(request, PS_CODE_NO_PAYLOAD, NULL, NULL);
	return false;
}

/* What its body is, if it has one; false when it has answered. */
static bool
take_body_type(struct request *request, enum body_type *type_r)
{
	*type_r = BODY_FORM; /* as the query is */
	if (request->method != METHOD_POST)
		return true;
	*type_r = request_body_type(request);
	if (*type_r == BODY_FORM)
		return request->body.len == 0 || request_parse_form(request);
	if (*type_r != BODY_UNKNOWN || request->body.len == 0)
		return true;
	request_refuse(
	    request, PS_CODE_BAD_REQUEST,
	    "the body is neither application/json, text/plain with JSON, "
	    "application/x-ndjson nor application/x-www-form-urlencoded",
	    NULL);
	return false;
}

void
channels_emit(struct request *request, const struct route *route)
{
	struct ps_ipc_emit m = { .request = request_ipc(request),
				 .channel = request->segments[0] };
	struct ps_writer listed = { 0 };
	enum body_type type;

	(void)route;
	if (!take_body_type(request, &type))
		return;
	m.batch = type == BODY_LINES;
	if (!take_clients(request, &m, &listed) || !take_acks(request, &m) ||
	    !take_id(request, &m) || request_refused_params(request) ||
	    !authorise_channel(request, PS_MAY_EMIT, &m.rights))
		goto out;
	ps_ipc_emit_begin(&request->handoff->frame, &m);
	if (!add_events(request, &m, type))
		goto out;
	ps_ipc_events_end(&request->handoff->frame, m.count);
	if (request->method == METHOD_HEAD)
		request_answer_head(request, PS_TYPE_JSON);
	else
		request_hand_over(request);
out:
	ps_writer_deinit(&listed);
}
