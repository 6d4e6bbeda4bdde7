#include "config.h"

#include "sockjs.h"

#include "parts.h"
#include "ps_json_literal.h"
#include "ps_reply.h"

#define PRELUDE_BYTES 2048
/* So that browsers that wait for the kind of a page show it at once. */
#define PAGE_BYTES 1024

void
framing_sockjs_close(struct ps_writer *w, uint16_t code,
    struct ps_slice reason)
{
	ps_writer_printf(w, "c[%u,", code);
	ps_json_literal_text(w, reason);
	ps_writer_str(w, "]");
}

/* What stands in place of a byte; NULL: itself. */
typedef const char *escape_fn(char c);

/* In a string of a script, where `</script>` must not be said. */
static const char *
for_script(char c)
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '<':
		return "\\u003c";
	default:
		return NULL;
	}
}

/* A line of an EventSource; the client takes it for a URI's encoding. */
static const char *
for_event(char c)
{
	switch (c) {
	case '\0':
		return "%00";
	case '\n':
		return "%0A";
	case '\r':
		return "%0D";
	case '%':
		return "%25";
	default:
		return NULL;
	}
}

/* From the end on, so that no byte is moved twice. */
static void
escape_from(struct ps_writer *w, size_t begin, escape_fn *escape)
{
	size_t i, len, extra = 0, to;
	const char *escaped;

	for (i = begin; i < w->len; i++) {
		if ((escaped = escape(w->data[i])) != NULL)
			extra += strlen(escaped) - 1;
	}
	if (extra == 0 || ps_writer_reserve(w, extra) == NULL)
		return;
	i = w->len;
	to = w->len += extra;
	while (to > i) {
		escaped = escape(w->data[--i]);
		len = escaped == NULL ? 1 : strlen(escaped);
		to -= len;
		if (escaped == NULL)
			w->data[to] = w->data[i];
		else
			memcpy(w->data + to, escaped, len);
	}
}

/* In front of a frame, and behind it. */
static void
begin_frame(struct ps_writer *w, struct framing_context *c, const char *text)
{
	ps_writer_str(w, text);
	c->first = true;
	c->begin = w->len;
}

static void
end_frame(struct ps_writer *w, const struct framing_context *c,
    escape_fn *escape, const char *text)
{
	if (!c->first)
		ps_writer_str(w, SOCKJS_MESSAGES_END);
	if (escape != NULL && !w->failed)
		escape_from(w, c->begin, escape);
	ps_writer_str(w, text);
}

static void
put_open(struct ps_writer *w, struct framing_context *c)
{
	(void)c;
	ps_writer_str(w, SOCKJS_OPEN);
}

static void
put_message(struct ps_writer *w, struct framing_context *c,
    const struct message *message)
{
	struct ps_slice literal = message_slice(message);

	ps_writer_str(w, c->first ? SOCKJS_MESSAGES : ",");
	c->first = false;
	ps_writer_bytes(w, literal.data, literal.len);
}

static void
put_heartbeat(struct ps_writer *w, struct framing_context *c)
{
	(void)c;
	ps_writer_str(w, SOCKJS_HEARTBEAT);
}

static void
put_close(struct ps_writer *w, struct framing_context *c, uint16_t code,
    struct ps_slice reason, bool was_clean)
{
	(void)c;
	(void)was_clean;
	framing_sockjs_close(w, code, reason);
}

static void
xhr_begin(struct ps_writer *w, struct framing_context *c)
{
	begin_frame(w, c, "");
}

static void
xhr_end(struct ps_writer *w, const struct framing_context *c, uint64_t last)
{
	(void)last;
	end_frame(w, c, NULL, "\n");
}

static void
streaming_open(struct ps_writer *w, const struct framing_context *c)
{
	framing_open_prelude(w, 'h', PRELUDE_BYTES);
	ps_writer_str(w, "\n");
	(void)c;
}

static void
eventsource_open(struct ps_writer *w, const struct framing_context *c)
{
	(void)c;
	ps_writer_str(w, "\r\n");
}

static void
eventsource_begin(struct ps_writer *w, struct framing_context *c)
{
	begin_frame(w, c, "data: ");
}

static void
eventsource_end(struct ps_writer *w, const struct framing_context *c,
    uint64_t last)
{
	(void)last;
	end_frame(w, c, for_event, "\r\n\r\n");
}

static void
htmlfile_open(struct ps_writer *w, const struct framing_context *c)
{
	size_t begin = w->len;

	ps_writer_str(w,
	    "<!doctype html>\n"
	    "<html><head>\n"
	    "  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
	    "  <meta http-equiv=\"Content-Type\""
	    " content=\"text/html; charset=UTF-8\" />\n"
	    "</head><body><h2>Don't panic!</h2>\n"
	    "  <script>\n"
	    "    document.domain = document.domain;\n"
	    "    var c = parent.");
	ps_writer_bytes(w, c->callback.data, c->callback.len);
	ps_writer_str(w,
	    ";\n"
	    "    c.start();\n"
	    "    function p(d) {c.message(d);};\n"
	    "    window.onload = function() {c.stop();};\n"
	    "  </script>\n");
	if (w->len - begin < PAGE_BYTES)
		framing_open_prelude(w, ' ', PAGE_BYTES - (w->len - begin));
	ps_writer_str(w, "\r\n\r\n");
}

static void
htmlfile_begin(struct ps_writer *w, struct framing_context *c)
{
	begin_frame(w, c, "<script>\np(\"");
}

static void
htmlfile_end(struct ps_writer *w, const struct framing_context *c,
    uint64_t last)
{
	(void)last;
	end_frame(w, c, for_script, "\");\n</script>\r\n");
}

static void
jsonp_begin(struct ps_writer *w, struct framing_context *c)
{
	framing_begin_call(w, c);
	begin_frame(w, c, "\"");
}

static void
jsonp_end(struct ps_writer *w, const struct framing_context *c, uint64_t last)
{
	(void)last;
	end_frame(w, c, for_script, "\");\r\n");
}

// clang-format off
static const struct framing framings[] = {
	[PS_SOCKJS_XHR] = { "xhr", PS_TYPE_SOCKJS_SCRIPT, false, false,
	    NULL, xhr_begin, put_message, put_heartbeat, put_close, xhr_end, put_open },
	[PS_SOCKJS_XHR_STREAMING] = { "xhr_streaming", PS_TYPE_SOCKJS_SCRIPT, true, false,
	    streaming_open, xhr_begin, put_message, put_heartbeat, put_close, xhr_end, put_open },
	[PS_SOCKJS_EVENTSOURCE] = { "eventsource", PS_TYPE_SOCKJS_EVENTSOURCE, true, false,
	    eventsource_open, eventsource_begin, put_message, put_heartbeat, put_close, eventsource_end, put_open },
	[PS_SOCKJS_HTMLFILE] = { "htmlfile", PS_TYPE_SOCKJS_HTML, true, false,
	    htmlfile_open, htmlfile_begin, put_message, put_heartbeat, put_close, htmlfile_end, put_open },
	[PS_SOCKJS_JSONP] = { "jsonp", PS_TYPE_SOCKJS_SCRIPT, false, false,
	    NULL, jsonp_begin, put_message, put_heartbeat, put_close, jsonp_end, put_open },
};
// clang-format on
_Static_assert(sizeof(framings) / sizeof(framings[0]) ==
	PS_SOCKJS_FRAMING__COUNT,
    "every framing needs a row");

const struct framing *
framing_sockjs(enum ps_sockjs_framing framing)
{
	return &framings[framing];
}
