#include "config.h"

#include "channels.h"

#include <string.h>

#include "authorise.h"
#include "handoff.h"
#include "limit.h"
#include "ps_channel.h"
#include "ps_json.h"
#include "ps_limits.h"

/* Events of the history that are sent to one who does not say how many. */
#define HISTORY_DEFAULT 100

/* What a client knows of itself as a member. */
struct identity {
	struct ps_ipc_member member;
	struct ps_slice key;
};

/* False when it has answered. */
static bool
take_identity(struct request *request, struct identity *identity_r)
{
	static const char *const required[] = { "client", "key" };

	if (request_refused_missing(request, required, 2))
		return false;
	identity_r->member.channel = request->segments[0];
	params_text(request->params, "client", &identity_r->member.client);
	params_text(request->params, "key", &identity_r->key);
	if (request_refused_params(request))
		return false;
	if (identity_r->member.client.len <= PS_CLIENT_ID_LEN &&
	    identity_r->key.len <= PS_SESSION_ID_MAX)
		return true;
	request_refuse(request, PS_CODE_KEY_UNKNOWN, NULL, NULL);
	return false;
}

static void
hand_over(struct request *request, const struct identity *identity)
{
	request_hand_over_to_owner(request, identity->key, PS_CODE_KEY_UNKNOWN);
}

/* An event id that can be none is one that is not kept. */
static struct ps_slice
since(struct ps_slice text)
{
	return text.len > PS_EVENT_ID_LEN ? ps_slice_str("evt_") : text;
}

/* How a client without WebSocket wants to listen; false: it does not say. */
static bool
take_framing(struct request *request, enum ps_ipc_framing *framing_r)
{
	static const struct {
		const char *transport;
		enum ps_ipc_framing framing;
	} transports[] = { { "eventsource", PS_IPC_FRAMING_EVENTSOURCE },
			   { "xhr-streaming", PS_IPC_FRAMING_LINES },
			   { "xhr", PS_IPC_FRAMING_JSON } };
	bool jsonp = request->style.callback.len > 0;
	struct ps_slice text;
	size_t i;

	if (params_text(request->params, "transport", &text)) {
		for (i = 0; i < 3; i++) {
			if (!ps_slice_is(text, transports[i].transport))
				continue;
			*framing_r = transports[i].framing;
			if (jsonp && *framing_r == PS_IPC_FRAMING_JSON)
				*framing_r = PS_IPC_FRAMING_JSONP;
			return true;
		}
		return false;
	}
	*framing_r = jsonp ? PS_IPC_FRAMING_JSONP : PS_IPC_FRAMING_EVENTSOURCE;
	text = request_env(request, "HTTP_ACCEPT");
	return jsonp ||
	       (text.len > 0 && strcasestr(text.data, "text/event-stream"));
}

/*
 * What a browser's EventSource sends when it comes back: KEY/SEQ/EVENTID, of
 * the last message that it got and of the last event that it saw. Anything
 * else is the id of an event.
 */
static void
take_last_event_id(struct ps_slice text, struct ps_ipc_listen *m)
{
	const char *end = text.data + text.len;
	const char *seq = memchr(text.data, '/', text.len), *event;
	int64_t ack;

	event =
	    seq == NULL ? NULL : memchr(seq + 1, '/', (size_t)(end - seq) - 1);
	if (event == NULL || seq == text.data ||
	    seq - text.data > PS_SESSION_ID_MAX ||
	    !params_parse_number(ps_slice(seq + 1, (size_t)(event - seq) - 1),
				 &ack) ||
	    ack < 0) {
		m->since = since(text);
		return;
	}
	m->key = ps_slice(text.data, (size_t)(seq - text.data));
	m->ack = (uint64_t)ack;
	if (event + 1 < end)
		m->since =
		    since(ps_slice(event + 1, (size_t)(end - event) - 1));
}

/* Into `presence`; false when it has answered. */
static bool
take_presence(struct request *request, struct ps_writer *presence)
{
	struct ps_slice text;
	int ret;

	if (!params_text(request->params, "presence", &text) || text.len == 0)
		return true;
	ret = ps_channel_take_presence(presence, text);
	if (ret == PS_ERR_MALFORMED)
		request_refuse(request, PS_CODE_BAD_PARAMETER,
			       "presence is not a JSON object", NULL);
	else if (ret == PS_ERR_TOO_LARGE)
		request_refuse_limit(request, PS_CODE_BAD_PARAMETER,
				     "presence is larger than 4096 bytes",
				     LIMIT_PRESENCE);
	else if (ret != PS_OK)
		request_refuse(request, PS_CODE_BRIDGE_FULL, NULL, NULL);
	return ret == PS_OK;
}

static const char *
type_of(enum ps_ipc_framing framing)
{
	switch (framing) {
	case PS_IPC_FRAMING_JSON:
		return PS_TYPE_JSON;
	case PS_IPC_FRAMING_JSONP:
		return PS_TYPE_JSONP;
	case PS_IPC_FRAMING_LINES:
		return PS_TYPE_TEXT;
	case PS_IPC_FRAMING_EVENTSOURCE:
		return PS_TYPE_EVENTSOURCE;
	case PS_IPC_FRAMING__COUNT:
		break;
	}
	return NULL;
}

static void
join(struct request *request, enum ps_ipc_framing framing)
{
	struct ps_ipc_listen m = { .channel = request->segments[0],
				   .framing = framing };
	struct ps_slice id = request_env(request, "HTTP_LAST_EVENT_ID");
	struct ps_writer presence = { 0 };

	m.hold_ms = request_hold_ms(request, "hold");
	params_text(request->params, "since", &m.since);
	m.since = since(m.since);
	if (framing == PS_IPC_FRAMING_EVENTSOURCE && id.len > 0)
		take_last_event_id(id, &m);
	if (request_refused_agent(request, &m.agent) ||
	    request_refused_params(request) ||
	    !take_presence(request, &presence) ||
	    !authorise_channel(request, PS_MAY_LISTEN, &m.rights))
		goto out;
	if (request->method == METHOD_HEAD) {
		request_answer_head(request, type_of(framing));
		goto out;
	}
	m.request = request_ipc(request);
	m.origin = request->style.origin;
	m.remote_addr = request_env(request, "REMOTE_ADDR");
	m.presence = ps_slice(presence.data, presence.len);
	ps_ipc_encode_listen(&request->handoff->frame, &m);
	request_hand_over_to_member(request, m.key);
out:
	ps_writer_deinit(&presence);
}

/* One who listens already. */
static void
go_on(struct request *request, enum ps_ipc_framing framing)
{
	struct ps_ipc_receive m = { .request = request_ipc(request),
				    .dialect = PS_DIALECT_CHANNEL,
				    .framing = framing };
	struct identity identity;
	int64_t ack;

	m.hold_ms = request_hold_ms(request, "hold");
	m.acknowledges = params_number(request->params, "ack", &ack);
	if (!take_identity(request, &identity))
		return;
	if (ack < 0) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
			       "ack is not the number of a message", NULL);
		return;
	}
	if (request->method == METHOD_HEAD) {
		const struct ps_ipc_check check = { m.request, identity.key,
						    identity.member };

		ps_ipc_encode_check(&request->handoff->frame, &check);
		hand_over(request, &identity);
		return;
	}
	m.ack = (uint64_t)ack;
	m.socket = identity.key;
	m.member = identity.member;
	ps_ipc_encode_receive(&request->handoff->frame, &m);
	hand_over(request, &identity);
}

/* The body as one frame of a client: a JSON object. False: answered. */
static bool
add_frame(struct request *request)
{
	struct ps_writer *out = &request->handoff->frame;
	struct ps_slice text = ps_slice(request->body.data, request->body.len);
	size_t begin = ps_ipc_event_begin(out, PS_EVENT_TEXT), n_names;
	int ret = ps_json_check(text, &n_names);

	if (ret == PS_OK)
		ps_json_compact(out, text);
	ps_ipc_event_end(out, begin);
	if (ret == PS_ERR_TOO_LARGE) {
		request_refuse_limit(request, PS_CODE_BAD_REQUEST,
				     "the body is nested too deeply",
				     LIMIT_DEPTH);
		return false;
	}
	if (ret != PS_OK || (!out->failed && out->data[begin] != '{')) {
		request_refuse(request, PS_CODE_BAD_REQUEST,
			       "the body is not a JSON object", NULL);
		return false;
	}
	if (out->len - begin <= request->config->max_message)
		return true;
	request_refuse_limit(request, PS_CODE_MESSAGE_TOO_LARGE, NULL,
			     "max_message");
	return false;
}

static void
say(struct request *request)
{
	struct ps_ipc_send m = { .request = request_ipc(request) };
	struct identity identity;

	if (!take_identity(request, &identity))
		return;
	m.socket = identity.key;
	m.member = identity.member;
	ps_ipc_send_begin(&request->handoff->frame, &m);
	if (!add_frame(request))
		return;
	ps_ipc_events_end(&request->handoff->frame, 1);
	hand_over(request, &identity);
}

void
channels_listen(struct request *request, const struct route *route)
{
	enum ps_ipc_framing framing;

	(void)route;
	if (request->method == METHOD_POST) {
		say(request);
		return;
	}
	if (!take_framing(request, &framing)) {
		if (!request_refused_params(request))
			request_refuse(request, PS_CODE_UPGRADE_REQUIRED, NULL,
				       NULL);
		return;
	}
	/* A stream is no script. */
	if (framing != PS_IPC_FRAMING_JSONP)
		request->style.callback = ps_slice(NULL, 0);
	if (params_has(request->params, "client") ||
	    params_has(request->params, "key"))
		go_on(request, framing);
	else
		join(request, framing);
}

void
channels_history(struct request *request, const struct route *route)
{
	struct ps_ipc_history m = { .channel = request->segments[0] };
	int64_t limit, max = (int64_t)request->config->history_events;
	struct ps_ipc_rights rights;

	(void)route;
	if (!params_number(request->params, "limit", &limit))
		limit = HISTORY_DEFAULT;
	params_text(request->params, "since", &m.since);
	if (request_refused_params(request) ||
	    !authorise_channel(request, PS_MAY_LISTEN, &rights))
		return;
	if (request->method == METHOD_HEAD) {
		request_answer_head(request, PS_TYPE_JSON);
		return;
	}
	if (limit > max)
		limit = max;
	m.request = request_ipc(request);
	m.since = since(m.since);
	m.limit = limit < 1 ? 1 : (uint32_t)limit;
	ps_ipc_encode_history(&request->handoff->frame, &m);
	request_hand_over(request);
}

void
channels_members(struct request *request, const struct route *route)
{
	struct ps_ipc_members m = { .channel = request->segments[0] };
	struct ps_ipc_rights rights;

	(void)route;
	if (!authorise_channel(request, PS_MAY_LISTEN, &rights))
		return;
	if (request->method == METHOD_HEAD) {
		request_answer_head(request, PS_TYPE_JSON);
		return;
	}
	m.request = request_ipc(request);
	ps_ipc_encode_members(&request->handoff->frame, &m);
	request_hand_over(request);
}
