/*
 * What is said over a client's WebSocket, by the service that it is of: how
 * messages for the client are written, and what it means what the client says.
 */
#ifndef WS_STYLE_H
#define WS_STYLE_H

#include "ps_bytes.h"
#include "ws_text.h"

struct commit_wait;
struct session;

struct ws_style {
	/* Appends frames of what waits for the client until these are `limit`
	 * bytes, with the last one; returns the number of messages in them. */
	uint32_t (*put)(struct ws_output *output,
	    const struct session *session, size_t limit);
	/* A text of the client. As session_message_from_client(), or
	 * PS_ERR_MALFORMED. It has at most so many bytes. */
	int (*take)(struct session *session, struct ps_slice text);
	size_t (*largest)(const struct session *session);

	/* The rest may be NULL: there is none. Frames at the beginning, in
	 * silence, and in front of a close frame. */
	void (*greet)(struct ps_writer *out);
	void (*heartbeat)(struct ps_writer *out);
	void (*close)(struct ps_writer *out, uint16_t code,
	    struct ps_slice reason);
	/* Until what the client has said is kept, see application_wait(). */
	void (*wait)(struct session *session, struct commit_wait *wait);
	void (*unwait)(struct commit_wait *wait);
};

extern const struct ws_style ws_channel; /* of a member */
extern const struct ws_style ws_sockjs; /* frames of SockJS */
extern const struct ws_style ws_raw; /* each message as it is */

#endif
