/*
 * Descriptors of taken-over requests, watched in an epoll set of their own
 * that the loop watches as one. A long poll comes and goes with every message,
 * and this way it costs two system calls and no handle, where a uv_poll_t
 * costs five and has to outlive the request by a turn.
 *
 * The owner of a watch removes it before closing the descriptor, and frees it
 * no sooner than the end of the turn: see bridge_free_later().
 */
#ifndef WATCH_H
#define WATCH_H

#include <sys/epoll.h>
#include <uv.h>

#include "ps_err.h"

struct watch {
	int fd;
	uint32_t events; /* EPOLLIN, ...; 0: not watched */
	void (*ready)(struct watch *watch, uint32_t events);
};

struct watches {
	int epoll_fd;
	uv_poll_t poll;
};

PS_MUST_CHECK int watches_init(struct watches *watches, uv_loop_t *loop);
/* Starts to close the handle; the loop must run once more. */
void watches_close(struct watches *watches);
/* Watches for exactly these events; 0 ends it. */
PS_MUST_CHECK int watches_set(struct watches *watches, struct watch *watch,
    uint32_t events);

#endif
