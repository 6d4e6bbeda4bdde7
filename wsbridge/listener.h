/*
 * A listening socket whose connections are handed to somebody else, some of
 * them a turn of the loop.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include "bridge.h"

struct listener {
	struct watch watch;
	struct timer retry;
	struct bridge *bridge;
	const char *name; /* for logs; borrowed for as long as it is open */
	/* Takes over a descriptor that does not block. */
	void (*accepted)(struct listener *listener, int fd);
};

/* Takes over `fd`, in any case; `bridge`, `name` and `accepted` are set. */
PS_MUST_CHECK int listener_open(struct listener *listener, int fd);
/* Harmless when it is not open and all zero. */
void listener_close(struct listener *listener);

#endif
