/*
 * A framing turns messages into the bytes of one dialect and transport. It
 * does no I/O and knows no session, so golden files test it.
 *
 * One unit is: begin, then any number of message or one heartbeat, at most one
 * close as the last, then end. A poll's reply is one unit; a stream is what
 * open writes and then one unit after another. Where there is a greeting, units
 * are SockJS's frames: that of a new session is the greeting alone, and a close
 * stands alone too.
 */
#ifndef FRAMING_H
#define FRAMING_H

#include "ps_bytes.h"
#include "ps_ipc.h"
#include "wsbridge/base/message.h"
#include "wsbridge/session/recipient.h"

struct framing_context {
	enum ps_dialect dialect;
	struct ps_slice callback; /* of JSONP */
	bool numbered;		  /* the client acknowledges: tell `seq` */
	uint64_t got; /* number of the last message it had when it came */
	/* Of a channel's member; NULL: it is the relay's. */
	const struct recipient *recipient;
	struct ps_slice key; /* of the session */
	uint64_t seq; /* of the message or close to be written */
	char event[PS_EVENT_ID_LEN + 1]; /* last one written, or had before */
	/* begin sets these: nothing was written in this unit yet, and where
	 * what it wraps begins. */
	bool first;
	size_t begin;
};

struct framing {
	const char *name;
	const char *content_type;
	bool is_stream;
	bool tells_ids; /* so that its client can acknowledge, without `seq` */
	/* NULL where there is nothing to write. */
	void (*open)(struct ps_writer *w, const struct framing_context *c);
	void (*begin)(struct ps_writer *w, struct framing_context *c);
	void (*message)(struct ps_writer *w, struct framing_context *c,
	    const struct message *message);
	void (*heartbeat)(struct ps_writer *w, struct framing_context *c);
	void (*close)(struct ps_writer *w, struct framing_context *c,
	    uint16_t code, struct ps_slice reason, bool was_clean);
	/* `last` is the number of the last message or close in the unit, or
	 * 0 when there is none. */
	void (*end)(struct ps_writer *w, const struct framing_context *c,
	    uint64_t last);
	/* NULL: there is none, and a unit may be messages and a close. */
	void (*greet)(struct ps_writer *w, struct framing_context *c);
};

/* The framings of the relay, by enum ps_ipc_framing. */
const struct framing *framing_relay(enum ps_ipc_framing framing);

#endif
