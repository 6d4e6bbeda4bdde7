/*
 * A receiver is the near side of a session: where its messages go. A session
 * has at most one. It is attached with session_attach() and takes messages
 * with session_unsent() and session_take().
 */
#ifndef RECEIVER_H
#define RECEIVER_H

#include <stdint.h>

struct receiver;
struct session;

struct receiver_ops {
	/* There is something to take, if the receiver is ready for it. */
	void (*deliver)(struct receiver *receiver);
	/* Its deadline has passed. */
	void (*expire)(struct receiver *receiver);
	/* Another one takes its place, or its session is over: it is detached
	 * already and ends itself. */
	void (*release)(struct receiver *receiver);
};

struct receiver {
	const struct receiver_ops *ops;
	struct session *session; /* NULL: not attached */
	uint64_t deadline_ms;	 /* of expire() */
};

#endif
