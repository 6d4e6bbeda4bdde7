/*
 * A worker thread's connection to the bridge, over which it hands requests
 * with their FastCGI connection. Everything the project knows about the
 * inside of libfcgi's FCGX_Request is in handoff.c.
 *
 * The connection is made when it is first needed and again when the bridge was
 * restarted, so both programs come up in any order.
 */
#ifndef HANDOFF_H
#define HANDOFF_H

#include <fcgiapp.h>

#include "ps_bytes.h"
#include "ps_config.h"

struct handoff {
	const struct ps_config *config; /* borrowed */
	int fd;				/* -1: not connected */
	struct ps_writer frame;		/* for the caller to build frames in */
};

void handoff_init(struct handoff *handoff, const struct ps_config *config);
void handoff_deinit(struct handoff *handoff);

/*
 * Sends `handoff->frame` with the connection of `fcgx`, whose body must have
 * been read to its end. After PS_OK the request is the bridge's and `fcgx` is
 * as new. After a failure it is still the caller's to answer. Waits at most
 * HANDOFF_TIMEOUT_S at a time for a bridge that does not read.
 */
PS_MUST_CHECK int handoff_send(struct handoff *handoff, FCGX_Request *fcgx);

#define HANDOFF_TIMEOUT_S 2

/*
 * The descriptor of the request's connection, for whoever wants to end the
 * reading of its body from another thread.
 */
int handoff_descriptor(const FCGX_Request *fcgx);

#endif
