/*
 * The frames of a channel (the types and members of doc/http-api.md): those
 * that the server sends are built here, those of a client are read.
 *
 * What is the same for all recipients is built once; what is a recipient's own
 * (clientID, latency) the framing puts in at `split` of the message.
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include "wsbridge/base/message.h"

/* {"type":TYPE,"payload":PAYLOAD,...}: both are JSON already, the type without
 * its quotes. NULL when memory is out. None of these is counted by quotas. */
struct message *envelope_create(const char *type, struct ps_slice payload);
/* The DATA of an event, which is counted. */
struct message *envelope_data(struct ps_slice payload, const char *event_id,
    bool requires_ack, bool replayed);
/* The event id at the end of a DATA; empty for any other frame. */
struct ps_slice envelope_event_id(const struct message *message);

/*
 * `prefix` ("client_" or "evt_") and eight random characters, from a
 * cryptographic source; `id_r` has room for PS_CLIENT_ID_LEN + 1. False where
 * there are none. That nobody has it yet is the caller's to see.
 */
PS_MUST_CHECK bool envelope_make_id(char *id_r, const char *prefix);

enum client_type {
	CLIENT_PONG,
	CLIENT_ACK,
	CLIENT_PRESENCE,
	CLIENT_EMIT,
	CLIENT_TYPE__COUNT,
};

/* What a client says; slices are borrowed from `text`, which is owned. */
struct client_frame {
	enum client_type type;
	struct ps_slice event_id; /* of ACK */
	struct ps_slice payload;  /* of PRESENCE and EMIT, compact */
	/* Of EMIT. */
	struct ps_slice key;	  /* `id`; or empty */
	enum ps_ipc_clients clients;
	uint32_t number, min_acks;
	struct ps_slice listed; /* comma list */
	bool requires_ack;
	struct ps_writer text;
};

/*
 * PS_OK; PS_ERR_MALFORMED with a sentence for BAD_MESSAGE; PS_ERR_UNKNOWN for
 * UNKNOWN_TYPE; PS_ERR_NOMEM. Deinit it in any case.
 */
PS_MUST_CHECK int client_frame_parse(struct client_frame *frame,
    struct ps_slice text, const char **sentence_r);
void client_frame_deinit(struct client_frame *frame);

#endif
