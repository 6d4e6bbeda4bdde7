/*
 * The relay's framings: a JSON object with a list of events, alone (poll), in
 * a JSONP call, as a line of a stream, or as an event of an EventSource
 * (HTML standard, 9.2.5).
 */
#include "config.h"

#include "framing.h"

#include <inttypes.h>

#include "parts.h"
#include "ps_base64.h"
#include "ps_json.h"

static const struct {
	const char *begin, *text;
} words[] = {
	[PS_DIALECT_POLYSOCKET] = { "{\"ok\":true,\"events\":[",
	    "{\"type\":\"string\",\"data\":" },
	[PS_DIALECT_POLYSOCKETD] = { "{\"ok\":true,\"messages\":[",
	    "{\"type\":\"text\",\"data\":" },
};

static void
json_begin(struct ps_writer *w, struct framing_context *c)
{
	c->first = true;
	ps_writer_str(w, words[c->dialect].begin);
}

static void
jsonp_begin(struct ps_writer *w, struct framing_context *c)
{
	framing_begin_call(w, c);
	json_begin(w, c);
}

static void
eventsource_begin(struct ps_writer *w, struct framing_context *c)
{
	ps_writer_str(w, "data: ");
	json_begin(w, c);
}

static void
write_message(struct ps_writer *w, struct framing_context *c,
    const struct message *message)
{
	struct ps_slice data = message_slice(message);

	framing_separate(w, c);
	if (message->type == PS_EVENT_TEXT) {
		ps_writer_str(w, words[c->dialect].text);
		ps_json_string(w, data);
		ps_writer_str(w, "}");
	} else {
		ps_writer_str(w, "{\"type\":\"binary\",\"data\":\"");
		ps_base64_encode(w, data.data, data.len);
		ps_writer_str(w, "\"}");
	}
}

static void
write_heartbeat(struct ps_writer *w, struct framing_context *c)
{
	framing_separate(w, c);
	ps_writer_str(w, "{\"type\":\"heartbeat\"}");
}

static void
write_close(struct ps_writer *w, struct framing_context *c, uint16_t code,
    struct ps_slice reason, bool was_clean)
{
	framing_separate(w, c);
	ps_writer_printf(w, "{\"type\":\"close\",\"code\":%u,\"reason\":",
	    code);
	ps_json_string(w, reason);
	ps_writer_str(w,
	    was_clean ? ",\"wasClean\":true}" : ",\"wasClean\":false}");
}

static void
line_end(struct ps_writer *w, const struct framing_context *c, uint64_t last)
{
	framing_end_list(w, c, last);
	ps_writer_str(w, "\n");
}

static void
eventsource_end(struct ps_writer *w, const struct framing_context *c,
    uint64_t last)
{
	line_end(w, c, last);
	if (last > 0)
		ps_writer_printf(w, "id: %" PRIu64 "\n", last);
	ps_writer_str(w, "\n");
}

/* An id at once: a client that is cut off before its first message would come
 * again without one, as if it acknowledged what was on its way. */
static void
eventsource_open(struct ps_writer *w, const struct framing_context *c)
{
	ps_writer_printf(w, "id: %" PRIu64 "\nretry: %d\n\n", c->got,
	    FRAMING_RETRY_MS);
}

// clang-format off
static const struct framing framings[] = {
	[PS_IPC_FRAMING_JSON] = { "json", PS_TYPE_JSON, false, false,
	    NULL, json_begin, write_message, write_heartbeat, write_close, framing_end_list, NULL },
	[PS_IPC_FRAMING_JSONP] = { "jsonp", PS_TYPE_JSONP, false, false,
	    NULL, jsonp_begin, write_message, write_heartbeat, write_close, framing_end_call, NULL },
	[PS_IPC_FRAMING_LINES] = { "xhr-streaming", PS_TYPE_TEXT, true, false,
	    framing_open_lines, json_begin, write_message, write_heartbeat, write_close, line_end, NULL },
	[PS_IPC_FRAMING_EVENTSOURCE] = { "eventsource", PS_TYPE_EVENTSOURCE, true, true,
	    eventsource_open, eventsource_begin, write_message, write_heartbeat, write_close, eventsource_end, NULL },
};
// clang-format on
_Static_assert(sizeof(framings) / sizeof(framings[0]) ==
	PS_IPC_FRAMING__COUNT,
    "every framing needs a row");

const struct framing *
framing_relay(enum ps_ipc_framing framing)
{
	return &framings[framing];
}
