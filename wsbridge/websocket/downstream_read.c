/*
 * What a client says over its WebSocket.
 */
#include "config.h"

#include "downstream_state.h"
#include "wsbridge/session/session.h"

/* Of what a client has said so much may be on its way to where it is kept; then
 * it is not read from until that is done. A message counts for some bytes more
 * than it has. */
#define UNKEPT_BYTES (64 * 1024)
#define UNKEPT_MESSAGE_BYTES 256

/*
 * The client broke a rule (RFC 6455, 7.1.7): it is told which, behind what was
 * on its way already, and not listened to any more.
 */
static void
fail(struct downstream *downstream, uint16_t code, const char *reason)
{
	struct session *session = downstream->receiver.session;

	downstream->failed = true;
	downstream->close_code = code;
	if (session != NULL)
		session_expel(session, code, reason);
	if (downstream->phase == PHASE_OPEN)
		downstream_set_timer(downstream, CLOSE_TIMEOUT_MS);
	else
		downstream_end_writing(downstream);
}

void
downstream_on_kept(struct commit_wait *wait, bool ok)
{
	struct downstream *downstream =
	    PS_CONTAINER(wait, struct downstream, wait);

	downstream->waiting = false;
	downstream->unkept = 0;
	downstream->lost = !ok;
	if (downstream->wsi == NULL || downstream->phase != PHASE_OPEN)
		return;
	downstream_resume_reading(downstream);
	if (downstream->receiver.session != NULL)
		downstream_deliver(&downstream->receiver);
}

void
downstream_stop_waiting(struct downstream *downstream)
{
	if (downstream->waiting)
		downstream->style->unwait(&downstream->wait);
	downstream->waiting = false;
}

/* For all that was said so far. */
static void
start_waiting(struct downstream *downstream, struct session *session)
{
	downstream_stop_waiting(downstream);
	downstream->waiting = true;
	downstream->style->wait(session, &downstream->wait);
}

static void
count_unkept(struct downstream *downstream, uint64_t messages, size_t bytes)
{
	struct session *session = downstream->receiver.session;

	if (downstream->style->wait == NULL || session == NULL)
		return;
	downstream->unkept += bytes + messages * UNKEPT_MESSAGE_BYTES;
	if (downstream->unkept >= UNKEPT_BYTES && !downstream->waiting) {
		start_waiting(downstream, session);
		downstream_update_reading(downstream);
	}
}

static void
on_message(struct downstream *downstream, struct ps_slice text)
{
	struct session *session = downstream->receiver.session;
	uint64_t before = session->traffic.messages_up;

	switch (downstream->style->take(session, text)) {
	case PS_OK:
		count_unkept(downstream,
		    session->traffic.messages_up - before, text.len);
		break;
	case PS_ERR_MALFORMED:
		fail(downstream, 1007, "Broken JSON encoding.");
		break;
	case PS_ERR_TOO_LARGE:
		fail(downstream, 1009, "message too large");
		break;
	case PS_ERR_FULL:
		fail(downstream, 1013, "too many messages");
		break;
	case PS_ERR_NOMEM:
		fail(downstream, 1011, "out of memory");
		break;
	default: /* taken, or closing already */
		break;
	}
}

static void
on_data(struct downstream *downstream, const struct frame_piece *piece)
{
	const struct assembly_part part = { .data = piece->data,
		.left = piece->left,
		.last = piece->last,
		.compressed = piece->compressed,
		.text = true };
	struct deflate *codec = &downstream->websocket->tools.deflate;
	struct session *session = downstream->receiver.session;
	struct ps_slice message;
	const char *reason;
	int ret;

	if (piece->opcode == FRAME_BINARY) {
		fail(downstream, 1003, "binary message");
		return;
	}
	if (session == NULL)
		return;
	ret = assembly_add(&downstream->assembly, codec, &part,
	    downstream->style->largest(session), &message, &reason);
	if (ret == ASSEMBLY_COMPLETE) {
		on_message(downstream, message);
		assembly_release(&downstream->assembly, codec);
	} else if (ret > 0) {
		fail(downstream, (uint16_t)ret, reason);
	}
}

/*
 * Answered at once; behind what the client does not read only the last of
 * several is (RFC 6455, 5.5.3), so that they do not pile up.
 */
static void
on_ping(struct downstream *downstream, struct ps_slice payload)
{
	struct ps_writer *pong = &downstream->pong;

	ps_writer_reset(pong);
	frame_write(pong, FRAME_PONG, payload);
	if (downstream_is_writing(downstream))
		return;
	downstream_write(downstream, pong);
	ps_writer_reset(pong);
	ps_writer_trim(pong, 0);
}

static void
on_close(struct downstream *downstream, struct ps_slice payload)
{
	struct session *session = downstream->receiver.session;
	struct ps_slice reason;
	const char *rule;
	uint16_t code;

	if (downstream->phase == PHASE_CLOSING) {
		downstream->client_closed = true;
		downstream_end_writing(downstream);
		return;
	}
	if (frame_parse_close(payload, &code, &reason, &rule) != PS_OK) {
		fail(downstream, code, rule);
		return;
	}
	downstream->client_closed = true;
	downstream->close_code = code;
	downstream_set_timer(downstream, CLOSE_TIMEOUT_MS);
	if (session == NULL)
		return;
	if (downstream->style->wait != NULL)
		start_waiting(downstream, session);
	session_close(session, code, reason);
}

static void
on_piece(struct downstream *downstream, const struct frame_piece *piece)
{
	switch (piece->opcode) {
	case FRAME_CONTINUATION:
	case FRAME_PONG:
		break;
	case FRAME_TEXT:
	case FRAME_BINARY:
		if (downstream->phase == PHASE_OPEN)
			on_data(downstream, piece);
		break;
	case FRAME_PING:
		if (downstream->phase == PHASE_OPEN)
			on_ping(downstream, piece->data);
		break;
	case FRAME_CLOSE:
		on_close(downstream, piece->data);
		break;
	}
}

/* Nothing that follows a close frame matters (5.5.1). */
static bool
is_listening(const struct downstream *downstream)
{
	return downstream->wsi != NULL && !downstream->killed &&
	    !downstream->client_closed && !downstream->failed &&
	    (downstream->phase == PHASE_OPEN ||
		downstream->phase == PHASE_CLOSING);
}

void
downstream_read_frames(struct downstream *downstream, unsigned char *data,
    size_t len)
{
	struct frame_piece piece;
	const char *rule;
	int ret = 1;

	while (is_listening(downstream) &&
	    (ret = frame_read(&downstream->reader, &data, &len, &piece,
		 &rule)) > 0)
		on_piece(downstream, &piece);
	if (ret < 0)
		fail(downstream, 1002, rule);
}
