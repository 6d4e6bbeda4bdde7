#include "config.h"

#include "hearing.h"

#include <stdlib.h>

#include "acks.h"
#include "channel.h"
#include "emit.h"
#include "envelope.h"
#include "member_frames.h"
#include "ps_json.h"
#include "ps_log.h"

/* RFC 6455, 7.4.1. */
#define UNACCEPTABLE_DATA 1003
#define POLICY_VIOLATION 1008

/* Whoever sends so many bad messages in a minute is not trying to speak. */
#define BAD_MAX 20
#define BAD_MS (60 * 1000)

/* An emit of a member that waits for its answer. */
struct asking {
	struct emit_asker asker;
	LIST_ENTRY(asking) all; /* of the member */
	struct member *member;
	size_t bytes; /* of its payload */
};

static void
take_pong(struct member *member)
{
	uint64_t now = member->session->bridge->now_ms();

	if (member->pinged_ms == 0)
		return;
	member->session->recipient->latency_ms =
	    (uint32_t)(now - member->pinged_ms);
	member->pinged_ms = 0;
}

/* False when memory is out. */
static bool
answer(struct member *member, const char *type, struct ps_slice payload)
{
	struct message *message = envelope_create(type, payload);

	if (message == NULL)
		return false;
	channel_send_to(member, message);
	return true;
}

static bool
take_ack(struct member *member, struct ps_slice event_id)
{
	struct ps_writer json = { 0 };
	bool done;

	if (!acks_take(member->channel->bridge, member, event_id)) {
		member_send_error(member, "UNKNOWN_EVENT",
		    "Nobody waits for an ACK of this event");
		return true;
	}
	if (member->session == NULL)
		return true;
	ps_writer_str(&json, "{\"eventID\":");
	ps_json_string(&json, event_id);
	ps_writer_str(&json, "}");
	done = !json.failed &&
	    answer(member, "ACK-RECEIVED", ps_slice(json.data, json.len));
	ps_writer_deinit(&json);
	return done;
}

static void
count_update(struct member *member)
{
	const struct channel *channel = member->channel;

	if (channel_all_have(channel, member->updates_from)) {
		member->n_updates = 0;
		member->updates_from = channel->log.end - 1;
	}
	if (member->n_updates < UINT8_MAX)
		member->n_updates++;
}

/* To everyone, the member too. */
static bool
take_presence(struct member *member, struct ps_slice payload)
{
	char *presence = strndup(payload.data, payload.len);
	char *before = member->presence;
	struct message *message;

	if (presence == NULL)
		return false;
	member->presence = presence;
	message = member_frame_presence(member, "PRESENCE:UPDATED");
	if (message != NULL && channel_send(member->channel, message, NULL)) {
		free(before);
		count_update(member);
		return true;
	}
	member->presence = before;
	free(presence);
	return false;
}

static void
on_answer(struct emit_asker *asker, const struct emit_answer *answered)
{
	struct asking *asking = PS_CONTAINER(asker, struct asking, asker);
	struct member *member = asking->member;

	if (answered->refusal == NULL ||
	    answered->refusal->code == PS_CODE_ACK_TIMEOUT)
		session_count(member->session, PS_UP, 1, asking->bytes);
	LIST_REMOVE(asking, all);
	free(asking);
	if (!answer(member, "EMITTED", answered->json))
		session_expel(member->session, 1011, "out of memory");
}

/* A token loses its right while its members are there. */
static bool
may_emit(const struct member *member)
{
	const struct bridge *bridge = member->channel->bridge;
	const struct ps_token *token = bridge->policy == NULL ?
	    NULL :
	    ps_policy_find_id(bridge->policy,
		member->session->quota->token_id);

	return token != NULL &&
	    ps_token_allows_channel(token, member->channel->node.key,
		PS_MAY_EMIT);
}

static bool
refuse_emit(struct member *member, enum ps_code code)
{
	const struct ps_code_info *info = ps_code_info(code);
	struct ps_writer json = { 0 };
	bool done;

	ps_writer_str(&json, "{\"success\":false,\"error\":");
	ps_json_string(&json, ps_slice_str(info->sentence));
	ps_writer_printf(&json, ",\"code\":\"%s\"}", info->word);
	done = !json.failed &&
	    answer(member, "EMITTED", ps_slice(json.data, json.len));
	ps_writer_deinit(&json);
	return done;
}

static bool
run_emit(struct member *member, const struct client_frame *frame,
    struct ps_writer *events)
{
	struct ps_ipc_emit emit = { .channel = member->channel->node.key,
		.clients = frame->clients,
		.number = frame->number,
		.listed = frame->listed,
		.requires_ack = frame->requires_ack,
		.min_acks = frame->min_acks,
		.key = frame->key,
		.count = 1 };
	struct asking *asking;
	size_t begin = ps_ipc_event_begin(events, PS_EVENT_TEXT);

	ps_writer_bytes(events, frame->payload.data, frame->payload.len);
	ps_ipc_event_end(events, begin);
	if (events->failed || (asking = calloc(1, sizeof(*asking))) == NULL)
		return false;
	ps_reader_init(&emit.events, events->data, events->len);
	asking->asker.answer = on_answer;
	asking->member = member;
	asking->bytes = frame->payload.len;
	LIST_INSERT_HEAD(&member->asking, asking, all);
	emit_run(member->channel->bridge, &emit, member->session->quota,
	    &asking->asker);
	return true;
}

static bool
take_emit(struct member *member, const struct client_frame *frame)
{
	struct ps_writer events = { 0 };
	bool done;

	if (!may_emit(member))
		return refuse_emit(member, PS_CODE_CHANNEL_REFUSED);
	/* What the successor replays is written by now; see drain.c. */
	if (member->channel->bridge->draining)
		return refuse_emit(member, PS_CODE_DRAINING);
	done = run_emit(member, frame, &events);
	ps_writer_deinit(&events);
	return done;
}

static void
refuse_bad(struct member *member, const char *sentence)
{
	uint64_t now = member->session->bridge->now_ms();

	if (now - member->bad_since_ms >= BAD_MS) {
		member->bad_since_ms = now;
		member->n_bad = 0;
	}
	member_send_error(member, "BAD_MESSAGE", sentence);
	if (++member->n_bad >= BAD_MAX && member->session != NULL)
		session_expel(member->session, POLICY_VIOLATION,
		    "too many bad messages");
}

static bool
take_frame(struct member *member, const struct client_frame *frame)
{
	switch (frame->type) {
	case CLIENT_PONG:
		take_pong(member);
		return true;
	case CLIENT_ACK:
		return take_ack(member, frame->event_id);
	case CLIENT_PRESENCE:
		return take_presence(member, frame->payload);
	case CLIENT_EMIT:
		return take_emit(member, frame);
	case CLIENT_TYPE__COUNT:
		break;
	}
	return true;
}

static bool
take_text(struct member *member, struct ps_slice text)
{
	struct client_frame frame = { 0 };
	const char *sentence = NULL;
	bool done = true;

	switch (client_frame_parse(&frame, text, &sentence)) {
	case PS_OK:
		done = take_frame(member, &frame);
		break;
	case PS_ERR_UNKNOWN:
		member_send_error(member, "UNKNOWN_TYPE",
		    "This type of message is not known");
		break;
	case PS_ERR_NOMEM:
		done = false;
		break;
	default:
		refuse_bad(member, sentence);
		break;
	}
	client_frame_deinit(&frame);
	return done;
}

bool
hearing_take(struct member *member, struct message *message)
{
	member->heard_ms = member->session->bridge->now_ms();
	if (message->type == PS_EVENT_TEXT)
		return take_text(member, message_slice(message));
	session_expel(member->session, UNACCEPTABLE_DATA, "binary message");
	return true;
}

void
hearing_end(struct member *member)
{
	struct asking *asking;

	while ((asking = LIST_FIRST(&member->asking)) != NULL) {
		LIST_REMOVE(asking, all);
		emit_forget(&asking->asker);
		free(asking);
	}
}
