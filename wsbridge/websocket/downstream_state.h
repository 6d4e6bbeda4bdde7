/*
 * A client's WebSocket as the files of downstream.h see it: downstream.c has
 * its life and what is written, downstream_open.c the request it begins with,
 * downstream_read.c what the client says.
 */
#ifndef DOWNSTREAM_STATE_H
#define DOWNSTREAM_STATE_H

#include "assembly.h"
#include "downstream.h"
#include "frames.h"
#include "websocket.h"
#include "ws_style.h"
#include "wsbridge/outbox/outbox.h"
#include "wsbridge/session/receiver.h"

/* A client that does not answer our close frame in time is cut off, and one
 * that does not even read so far. */
#define CLOSE_TIMEOUT_MS 3000

enum phase {
	PHASE_HANDSHAKE, /* the request is not all there */
	PHASE_OPEN,
	PHASE_CLOSING, /* our close frame is written: wait for the client's */
	PHASE_ENDING,  /* nothing it says matters any more */
};

struct downstream {
	struct receiver receiver; /* first */
	struct garbage garbage;
	struct bridge *bridge;
	struct websocket *websocket;
	const struct ws_style *style; /* from PHASE_OPEN on */
	struct lws *wsi; /* NULL: it is gone */
	TAILQ_ENTRY(downstream) pending; /* in PHASE_HANDSHAKE */
	enum phase phase;
	bool is_proxied, deflate;
	bool taken;	    /* by lws, not confirmed to the session yet */
	bool client_closed; /* its close frame came */
	bool failed;	    /* it broke a rule: it is not listened to */
	bool killed;	    /* the timer ends it, whatever else happens */
	bool waiting;	    /* until what it has said is kept */
	bool lost;	    /* that cannot be */
	uint16_t close_code; /* where there is no close event */
	struct timer timer; /* of handshake, of closing */
	struct frame_reader reader;
	struct assembly assembly; /* during the handshake its buffer is that */
	struct ps_writer pong; /* frame that could not be written yet */
	struct turn turn;      /* of being read from */
	uint64_t share_since_ms; /* and how much it was since then */
	size_t share_used;
	size_t unkept; /* said since the last wait */
	struct commit_wait wait;
};

/* downstream.c */
void downstream_set_timer(struct downstream *downstream, uint64_t in_ms);
void downstream_leave_handshake(struct downstream *downstream,
    enum phase phase);
/* libwebsockets keeps what the kernel did not take. */
bool downstream_is_writing(const struct downstream *downstream);
/* Whether it is read from has changed; the second where it may be now. */
void downstream_update_reading(struct downstream *downstream);
void downstream_resume_reading(struct downstream *downstream);
void downstream_write(struct downstream *downstream,
    const struct ps_writer *w);
/* Nothing more is to be said: that it is the end is told by a FIN. */
void downstream_end_writing(struct downstream *downstream);
/* The next one, when nothing else is said until then. */
void downstream_set_heartbeat(struct downstream *downstream);
/* Of its receiver_ops. */
void downstream_deliver(struct receiver *receiver);

/* downstream_open.c: what there is of the request. */
void downstream_read_request(struct downstream *downstream,
    unsigned char *data, size_t len);

/* downstream_read.c: what there is of frames. */
void downstream_read_frames(struct downstream *downstream,
    unsigned char *data, size_t len);
/* What was said is kept, or cannot be: then the session closes. */
void downstream_on_kept(struct commit_wait *wait, bool ok);
void downstream_stop_waiting(struct downstream *downstream);

#endif
