/*
 * The input is what a client of a channel sends. What is taken of it goes into
 * frames for all others, into the database and into answers: it is valid, of
 * the size it may have, and reads the same when it is read again.
 */
#include "config.h"

#include "fuzz.h"

#include "ps_json.h"
#include "ps_limits.h"
#include "ps_utf8.h"
#include "wsbridge/channels/envelope.h"

static void
check_payload(struct ps_slice payload)
{
	static struct ps_writer again;
	struct message *message;
	size_t n_names;

	require(ps_json_check(payload, &n_names) == PS_OK);
	ps_writer_reset(&again);
	ps_json_compact(&again, payload);
	require(again.len == payload.len);
	require(memcmp(again.data, payload.data, payload.len) == 0);
	message = envelope_data(payload, "evt_abcdefgh", true, false);
	require(message != NULL);
	require(ps_slice_is(envelope_event_id(message), "evt_abcdefgh"));
	message_unref(message);
}

static void
check_list(struct ps_slice list)
{
	size_t n_ids = 1, len = 0, i;

	require(list.len <= PS_CLIENTS_TEXT_MAX);
	require(ps_utf8_is_valid(list.data, list.len));
	for (i = 0; i < list.len; i++) {
		require(list.data[i] != ',' || len > 0);
		len = list.data[i] == ',' ? 0 : len + 1;
		n_ids += list.data[i] == ',';
	}
	require(len > 0 && n_ids <= PS_CLIENTS_MAX);
}

static void
check_emit(const struct client_frame *frame)
{
	check_payload(frame->payload);
	require(!ps_slice_is(frame->payload, "null"));
	require(frame->key.len <= PS_EMIT_ID_MAX);
	require(frame->min_acks == 0 || frame->requires_ack);
	switch (frame->clients) {
	case PS_IPC_CLIENTS_ALL:
		require(frame->number == 0 && frame->listed.len == 0);
		break;
	case PS_IPC_CLIENTS_NUMBER:
		require(frame->number >= 1);
		require(frame->number <= PS_CLIENTS_NUMBER_MAX);
		break;
	case PS_IPC_CLIENTS_LISTED:
		check_list(frame->listed);
		break;
	case PS_IPC_CLIENTS__COUNT:
		require(false);
	}
}

static void
check(const struct client_frame *frame)
{
	switch (frame->type) {
	case CLIENT_PONG:
		break;
	case CLIENT_ACK:
		require(ps_utf8_is_valid(frame->event_id.data,
		    frame->event_id.len));
		break;
	case CLIENT_PRESENCE:
		check_payload(frame->payload);
		require(frame->payload.data[0] == '{');
		require(frame->payload.len <= PS_PRESENCE_MAX);
		break;
	case CLIENT_EMIT:
		check_emit(frame);
		break;
	case CLIENT_TYPE__COUNT:
		require(false);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct client_frame frame;
	const char *sentence;
	int ret = client_frame_parse(&frame,
	    ps_slice((const char *)data, len), &sentence);

	if (ret == PS_OK)
		check(&frame);
	else
		require(ret == PS_ERR_MALFORMED || ret == PS_ERR_UNKNOWN);
	require(ret != PS_ERR_MALFORMED || sentence != NULL);
	require(frame.text.capacity == 0 || !frame.text.failed);
	client_frame_deinit(&frame);
	return 0;
}
