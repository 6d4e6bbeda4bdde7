/*
 * A WebSocket to a target as the files of upstream.h see it: upstream.c has its
 * life and what is written, upstream_open.c how it comes to be open,
 * upstream_read.c what the target says. For these files alone.
 */
#ifndef UPSTREAM_STATE_H
#define UPSTREAM_STATE_H

#include "upstream.h"
#include "wsbridge/websocket/assembly.h"

enum phase {
	PHASE_RESOLVING,
	PHASE_CONNECTING, /* TCP, TLS and handshake */
	PHASE_OPEN,
	PHASE_CLOSING, /* our close frame is to be sent, or was */
};

struct upstream {
	struct garbage garbage; /* first */
	struct bridge *bridge;
	struct session *session; /* NULL: it has ended or was told the end */
	struct lws *wsi;	 /* NULL: none */
	enum phase phase;
	bool attempting;       /* inside lws_client_connect_via_info() */
	struct target *target; /* NULL once open */
	struct message_queue queue;
	struct deflate_terms terms;
	struct deflate *inflate; /* only where the target keeps a context */
	struct assembly assembly; /* of a message that comes */
	bool rx_compressed;	  /* and it is a compressed one */
	struct timer timer; /* of an attempt to connect, or of closing */
	uint16_t close_code; /* ours, or the target's; 0: none came */
	uint8_t close_len;
	bool peer_closed; /* the target sent a close frame first */
	bool close_sent;
	bool killed; /* the timer ends it, whatever else happens */
	bool paused; /* by the session */
	struct turn turn;	/* of being read from */
	uint64_t share_since_ms; /* and how much it was since then */
	size_t share_used;
	uint64_t received_bytes; /* when our close frame was sent */
	char close_reason[PS_CLOSE_REASON_MAX];
};

/* upstream.c */
void upstream_set_timer(struct upstream *upstream, uint64_t in_ms);
/* By a timer of ours: LWS_TO_KILL_ASYNC waits for the next of theirs. */
void upstream_kill_later(struct upstream *upstream);
/* When neither the session nor libwebsockets refers to it any more. */
void upstream_free_when_alone(struct upstream *upstream);
void upstream_start_close(struct upstream *upstream, uint16_t code,
    struct ps_slice reason);
void upstream_report_close(struct upstream *upstream, uint16_t code,
    struct ps_slice reason, bool was_clean);

/* upstream_open.c: begins with the target's name. */
void upstream_resolve(struct upstream *upstream);
/*
 * Tries one address after the other, until one takes the connection. None may
 * use up the time of those that follow.
 */
void upstream_connect_next(struct upstream *upstream);
/*
 * The word for why an attempt failed. libwebsockets tells by text only, so
 * what is known for sure comes first: how far it got.
 */
void upstream_on_connection_error(struct upstream *upstream, struct lws *wsi,
    const char *text);
/* The target's 101: what it chose of what was offered. */
int upstream_on_answer(struct upstream *upstream, struct lws *wsi);
void upstream_on_established(struct upstream *upstream, struct lws *wsi);

/* upstream_read.c */
int upstream_on_receive(struct upstream *upstream, struct lws *wsi,
    const char *data, size_t len);

#endif
