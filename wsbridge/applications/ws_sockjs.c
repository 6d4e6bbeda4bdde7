/*
 * What is said over the WebSockets of SockJS: frames as those of its other
 * transports, or each message as a text of its own. Messages of such sessions
 * are literals, see ps_json_literal.h.
 */
#include "config.h"

#include "application.h"
#include "ps_json_literal.h"
#include "wsbridge/framing/sockjs.h"
#include "wsbridge/websocket/frames.h"
#include "wsbridge/websocket/ws_style.h"

/* --- frames of SockJS --- */

/* One frame for all that waits, as far as the limit goes. */
static uint32_t
sockjs_put(struct ws_output *output, const struct session *session,
    size_t limit)
{
	struct message *message = session_unsent(session, 0);
	size_t begin = output->out->len;
	struct ws_text text;
	struct ps_writer *w;
	uint32_t n = 0;

	if (message == NULL)
		return 0;
	if (session_unsent(session, 1) == NULL &&
	    ws_text_repeat(output, WS_SOCKJS, message))
		return 1;
	w = ws_text_begin(output, &text, message->len + 3);
	ps_writer_str(w, SOCKJS_MESSAGES);
	do {
		if (n > 0)
			ps_writer_str(w, ",");
		ps_writer_bytes(w, message_data(message), message->len);
		message = session_unsent(session, ++n);
	} while (message != NULL && w->len < limit);
	ps_writer_str(w, SOCKJS_MESSAGES_END);
	ws_text_end(output, &text);
	if (n == 1)
		ws_text_share(output, WS_SOCKJS, session_unsent(session, 0),
		    begin);
	return n;
}

static int
say(struct session *session, struct ps_slice literal)
{
	const char *limit;

	return session_message_from_client(session, PS_EVENT_TEXT, literal,
	    &limit);
}

static int
say_string(struct session *session, struct ps_slice string)
{
	struct ps_writer literal = { 0 };
	int ret = ps_json_literal(&literal, string);

	if (ret == PS_OK && literal.failed)
		ret = PS_ERR_NOMEM;
	if (ret == PS_OK)
		ret = say(session, ps_slice(literal.data, literal.len));
	ps_writer_deinit(&literal);
	return ret;
}

/* The strings of one text. */
struct strings {
	struct session *session;
	size_t count;
};

/* No more than a request may have. */
static int
say_next(void *arg, struct ps_slice string)
{
	struct strings *strings = arg;

	return ++strings->count > PS_IPC_EVENTS_MAX ?
	    PS_ERR_TOO_LARGE :
	    say_string(strings->session, string);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* An array of strings, or one of them without it; nothing at all is nothing. */
static int
sockjs_take(struct session *session, struct ps_slice text)
{
	struct strings strings = { .session = session };
	int ret;

	for (; text.len > 0 && is_space(text.data[0]); text.len--)
		text.data++;
	while (text.len > 0 && is_space(text.data[text.len - 1]))
		text.len--;
	if (text.len == 0)
		return PS_OK;
	if (text.data[0] == '"')
		return say_string(session, text);
	ret = ps_json_strings(text, say_next, &strings);
	return ret == PS_ERR_UNKNOWN ? PS_ERR_MALFORMED : ret;
}

/* As of a request with the same, and one message of any size fits. */
static size_t
sockjs_largest(const struct session *session)
{
	uint64_t body = session->bridge->config->max_body;
	uint64_t message = session_max_message(session, NULL) + 4;

	return body > message ? body : message;
}

static void
sockjs_greet(struct ps_writer *out)
{
	frame_write(out, FRAME_TEXT, ps_slice_str(SOCKJS_OPEN));
}

static void
sockjs_heartbeat(struct ps_writer *out)
{
	frame_write(out, FRAME_TEXT, ps_slice_str(SOCKJS_HEARTBEAT));
}

static void
sockjs_close(struct ps_writer *out, uint16_t code, struct ps_slice reason)
{
	struct ps_writer text = { 0 };

	framing_sockjs_close(&text, code, reason);
	frame_write(out, FRAME_TEXT, ps_slice(text.data, text.len));
	out->failed = out->failed || text.failed;
	ps_writer_deinit(&text);
}

/* --- raw --- */

static uint32_t
raw_put(struct ws_output *output, const struct session *session, size_t limit)
{
	struct message *message;
	struct ws_text text;
	size_t begin;
	uint32_t n = 0;

	while (output->out->len < limit && !output->out->failed &&
	    (message = session_unsent(session, n)) != NULL) {
		n++;
		if (ws_text_repeat(output, WS_RAW, message))
			continue;
		begin = output->out->len;
		ps_json_literal_decode(
		    ws_text_begin(output, &text, message->len - 2),
		    message_slice(message));
		ws_text_end(output, &text);
		ws_text_share(output, WS_RAW, message, begin);
	}
	return n;
}

static int
raw_take(struct session *session, struct ps_slice text)
{
	struct ps_writer literal = { 0 };
	int ret = PS_ERR_NOMEM;

	ps_json_literal_text(&literal, text);
	if (!literal.failed)
		ret = say(session, ps_slice(literal.data, literal.len));
	ps_writer_deinit(&literal);
	return ret;
}

static size_t
raw_largest(const struct session *session)
{
	return session_max_message(session, NULL);
}

static void
raw_heartbeat(struct ps_writer *out)
{
	frame_write(out, FRAME_PING, ps_slice(NULL, 0));
}

const struct ws_style ws_sockjs = {
	.put = sockjs_put,
	.take = sockjs_take,
	.largest = sockjs_largest,
	.greet = sockjs_greet,
	.heartbeat = sockjs_heartbeat,
	.close = sockjs_close,
	.wait = application_wait,
	.unwait = application_unwait,
};

const struct ws_style ws_raw = {
	.put = raw_put,
	.take = raw_take,
	.largest = raw_largest,
	.heartbeat = raw_heartbeat,
	.wait = application_wait,
	.unwait = application_unwait,
};
