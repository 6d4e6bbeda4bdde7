/*
 * A peer is the far side of a session: where its messages come from and where
 * those of its client go. The session calls these; the peer calls
 * session_opened(), session_open_failed(), session_from_peer() and
 * session_peer_closed().
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsbridge/base/message.h"

struct peer_ops {
	/* NULL, or the name of the limit that `count` more messages of `bytes`
	 * in all would exceed. */
	const char *(*find_excess)(void *peer, size_t count, size_t bytes);
	/* Queues a message that there is room for; takes over a reference.
	 * False, taking none, when memory is out. */
	bool (*send)(void *peer, struct message *message);
	/* What is queued for the far side. */
	void (*count_queued)(void *peer, size_t *count_r, size_t *bytes_r);
	/* Hold back messages for the session, and let them come again: the
	 * peer may call the session from within `resume`. */
	void (*pause)(void *peer);
	void (*resume)(void *peer);
	/* It has been held back for stall_timeout: it closes the session, or
	 * NULL, and that is closed with 1008. */
	void (*stalled)(void *peer);
	/* After what is queued: closes. session_peer_closed() will follow. */
	void (*close)(void *peer, uint16_t code, struct ps_slice reason);
	/* The session ends: no more calls to it, whatever is queued. */
	void (*abandon)(void *peer, uint16_t code);
};

#endif
