/*
 * The framings of channels: frames, which are JSON objects already, in a list
 * (poll), in a JSONP call, as lines of a stream, or as events of an EventSource
 * (HTML standard, 9.2.5), whose ids are KEY/SEQ/EVENT: what a client has to say
 * to go on as the same member or, where that has ended meanwhile, as a new one
 * that asks for what came after EVENT.
 */
#include "config.h"

#include "channel.h"

#include <inttypes.h>

#include "parts.h"
#include "ps_json.h"
#include "wsbridge/channels/envelope.h"

static size_t
put_own(char *own, const struct recipient *recipient)
{
	char digits[10], *digit = digits + sizeof(digits);
	uint32_t latency = recipient->latency_ms;
	char *p = own;

	/* Not by printf(), which was a fiftieth of a delivery. */
	p = stpcpy(p, ",\"clientID\":\"");
	p = stpcpy(p, recipient->client);
	p = stpcpy(p, "\",\"latency\":");
	do
		*--digit = (char)('0' + latency % 10);
	while ((latency /= 10) > 0);
	p = mempcpy(p, digit, (size_t)(digits + sizeof(digits) - digit));
	return (size_t)(p - own);
}

void
framing_channel_text(struct ps_writer *w, const struct message *message,
    const struct recipient *recipient)
{
	struct ps_slice text = message_slice(message);
	char own[FRAMING_CHANNEL_OWN_MAX];

	ps_writer_bytes(w, text.data, message->split);
	if (message->split > 0)
		ps_writer_bytes(w, own, put_own(own, recipient));
	ps_writer_bytes(w, text.data + message->split,
	    text.len - message->split);
}

/* What a WebSocket's close frame says, for those that have none. */
static void
put_close(struct ps_writer *w, const struct framing_context *c, uint16_t code,
    struct ps_slice reason)
{
	char own[FRAMING_CHANNEL_OWN_MAX];

	ps_writer_printf(w,
	    "{\"type\":\"CLOSE\",\"payload\":{\"code\":%u,\"reason\":", code);
	ps_json_string(w, reason);
	ps_writer_str(w, "}");
	ps_writer_bytes(w, own, put_own(own, c->recipient));
	ps_writer_str(w, "}");
}

static void
nothing_begin(struct ps_writer *w, struct framing_context *c)
{
	(void)w;
	(void)c;
}

static void
nothing_end(struct ps_writer *w, const struct framing_context *c,
    uint64_t last)
{
	(void)w;
	(void)c;
	(void)last;
}

static void
json_begin(struct ps_writer *w, struct framing_context *c)
{
	c->first = true;
	ps_writer_str(w, "{\"success\":true,\"events\":[");
}

static void
json_message(struct ps_writer *w, struct framing_context *c,
    const struct message *message)
{
	framing_separate(w, c);
	framing_channel_text(w, message, c->recipient);
}

/* An answer without events says enough. */
static void
json_heartbeat(struct ps_writer *w, struct framing_context *c)
{
	(void)w;
	(void)c;
}

static void
json_close(struct ps_writer *w, struct framing_context *c, uint16_t code,
    struct ps_slice reason, bool was_clean)
{
	(void)was_clean;
	framing_separate(w, c);
	put_close(w, c, code, reason);
}

static void
jsonp_begin(struct ps_writer *w, struct framing_context *c)
{
	framing_begin_call(w, c);
	json_begin(w, c);
}

static void
jsonp_message(struct ps_writer *w, struct framing_context *c,
    const struct message *message)
{
	struct ps_slice text = message_slice(message);
	char own[FRAMING_CHANNEL_OWN_MAX];

	framing_separate(w, c);
	ps_json_for_script(w, ps_slice(text.data, message->split));
	if (message->split > 0)
		ps_writer_bytes(w, own, put_own(own, c->recipient));
	ps_json_for_script(w,
	    ps_slice(text.data + message->split,
		text.len - message->split));
}

static void
line_message(struct ps_writer *w, struct framing_context *c,
    const struct message *message)
{
	framing_channel_text(w, message, c->recipient);
	ps_writer_str(w, "\n");
}

static void
line_heartbeat(struct ps_writer *w, struct framing_context *c)
{
	(void)c;
	ps_writer_str(w, "\n");
}

static void
line_close(struct ps_writer *w, struct framing_context *c, uint16_t code,
    struct ps_slice reason, bool was_clean)
{
	(void)was_clean;
	put_close(w, c, code, reason);
	ps_writer_str(w, "\n");
}

/* No id: one that comes again has said which it had, and keeps it. */
static void
eventsource_open(struct ps_writer *w, const struct framing_context *c)
{
	(void)c;
	ps_writer_printf(w, "retry: %d\n\n", FRAMING_RETRY_MS);
}

static void
put_id(struct ps_writer *w, const struct framing_context *c)
{
	ps_writer_str(w, "\nid: ");
	ps_writer_bytes(w, c->key.data, c->key.len);
	ps_writer_printf(w, "/%" PRIu64 "/%s\n\n", c->seq, c->event);
}

static void
eventsource_message(struct ps_writer *w, struct framing_context *c,
    const struct message *message)
{
	struct ps_slice event = envelope_event_id(message);

	if (event.len == PS_EVENT_ID_LEN)
		memcpy(c->event, event.data, event.len);
	ps_writer_str(w, "data: ");
	framing_channel_text(w, message, c->recipient);
	put_id(w, c);
}

static void
eventsource_heartbeat(struct ps_writer *w, struct framing_context *c)
{
	(void)c;
	ps_writer_str(w, ":\n\n");
}

static void
eventsource_close(struct ps_writer *w, struct framing_context *c,
    uint16_t code, struct ps_slice reason, bool was_clean)
{
	(void)was_clean;
	ps_writer_str(w, "data: ");
	put_close(w, c, code, reason);
	put_id(w, c);
}

// clang-format off
static const struct framing framings[] = {
	[PS_IPC_FRAMING_JSON] = { "channel-json", PS_TYPE_JSON, false, false,
	    NULL, json_begin, json_message, json_heartbeat, json_close, framing_end_list, NULL },
	[PS_IPC_FRAMING_JSONP] = { "channel-jsonp", PS_TYPE_JSONP, false, false,
	    NULL, jsonp_begin, jsonp_message, json_heartbeat, json_close, framing_end_call, NULL },
	[PS_IPC_FRAMING_LINES] = { "channel-lines", PS_TYPE_TEXT, true, false,
	    framing_open_lines, nothing_begin, line_message, line_heartbeat, line_close, nothing_end, NULL },
	[PS_IPC_FRAMING_EVENTSOURCE] = { "channel-eventsource", PS_TYPE_EVENTSOURCE, true, true,
	    eventsource_open, nothing_begin, eventsource_message, eventsource_heartbeat, eventsource_close, nothing_end, NULL },
};
// clang-format on
_Static_assert(sizeof(framings) / sizeof(framings[0]) ==
	PS_IPC_FRAMING__COUNT,
    "every framing needs a row");

const struct framing *
framing_channel(enum ps_ipc_framing framing)
{
	return &framings[framing];
}
