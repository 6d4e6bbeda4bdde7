#include "config.h"

#include "wsbridge/framing/channel.h"
#include "wsbridge/session/session.h"
#include "wsbridge/websocket/ws_style.h"

/* Each frame of a channel is a message, which names the member it is for. */
static uint32_t
put(struct ws_output *output, const struct session *session, size_t limit)
{
	struct message *message;
	struct ws_text text;
	uint32_t n = 0;

	while (output->out->len < limit && !output->out->failed &&
	    (message = session_unsent(session, n)) != NULL) {
		framing_channel_text(
		    ws_text_begin(output, &text,
			message->len + FRAMING_CHANNEL_OWN_MAX / 2),
		    message, session->recipient);
		ws_text_end(output, &text);
		n++;
	}
	return n;
}

static int
take(struct session *session, struct ps_slice text)
{
	const char *limit;

	return session_message_from_client(session, PS_EVENT_TEXT, text,
	    &limit);
}

static size_t
largest(const struct session *session)
{
	return session_max_message(session, NULL);
}

const struct ws_style ws_channel = {
	.put = put,
	.take = take,
	.largest = largest,
};
