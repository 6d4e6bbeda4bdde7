/*
 * A worker thread's connections to the bridges of its node, over which it
 * hands requests with their FastCGI connection. Everything the project knows
 * about the inside of libfcgi's FCGX_Request is in handoff.c.
 *
 * One bridge takes new sessions; others may be there that drain, each of which
 * still serves its own. A connection is made when it is first needed, and
 * again when a bridge was restarted, so both programs come up in any order.
 */
#ifndef HANDOFF_H
#define HANDOFF_H

#include <fcgiapp.h>

#include "ps_bytes.h"
#include "ps_config.h"
#include "ps_limits.h"

/* Rarely are there more than two; the one unused for longest makes room. */
#define HANDOFF_LINKS 4

struct link {
	int fd; /* -1: not connected */
	char tag[PS_TAG_MAX + 1];
	bool draining; /* it serves the sessions of its tag only */
	uint64_t used; /* the higher, the later; 0: never, or not connected */
};

struct handoff {
	const struct ps_config *config; /* borrowed */
	struct link links[HANDOFF_LINKS];
	uint64_t n_uses;
	struct ps_writer frame; /* for the caller to build frames in */
};

void handoff_init(struct handoff *handoff, const struct ps_config *config);
void handoff_deinit(struct handoff *handoff);

/*
 * Sends `handoff->frame` with the connection of `fcgx`, whose body must have
 * been read to its end, to the node's bridge. After PS_OK the request is the
 * bridge's and `fcgx` is as new. After a failure it is still the caller's to
 * answer.
 *
 * Waits at most HANDOFF_TIMEOUT_S at a time for a bridge that does not read.
 * One who `waits` also waits for a bridge that is being restarted, until
 * HANDOFF_TIMEOUT_S after it was first missed by any thread.
 */
PS_MUST_CHECK int handoff_send(struct handoff *handoff, FCGX_Request *fcgx,
    bool waits);

/*
 * The same to the bridge that owns the session of `socket`, and be it to
 * drain. PS_ERR_CLOSED when it lives no longer, and with it the session.
 */
PS_MUST_CHECK int handoff_send_to_owner(struct handoff *handoff,
    FCGX_Request *fcgx, struct ps_slice socket);

/*
 * The same to the bridge that has the member of a channel with that key, which
 * none has that drains: PS_ERR_CLOSED then, too.
 */
PS_MUST_CHECK int handoff_send_to_member(struct handoff *handoff,
    FCGX_Request *fcgx, struct ps_slice key);

#define HANDOFF_TIMEOUT_S 2

/*
 * The descriptor of the request's connection, for whoever wants to end the
 * reading of its body from another thread.
 */
int handoff_descriptor(const FCGX_Request *fcgx);

#endif
