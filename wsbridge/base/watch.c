#include "config.h"

#include "watch.h"

#include <unistd.h>

/* Bounds one wake-up; what is left makes the set readable again. */
#define BATCH 128

static void
on_ready(uv_poll_t *poll, int status, int events)
{
	struct watches *watches = poll->data;
	struct epoll_event batch[BATCH];
	int i, n;

	(void)events;
	if (status < 0)
		return;
	n = epoll_wait(watches->epoll_fd, batch, BATCH, 0);
	for (i = 0; i < n; i++) {
		struct watch *watch = batch[i].data.ptr;

		/* An earlier one of this batch may have ended this one. */
		if (watch->events != 0)
			watch->ready(watch, batch[i].events);
	}
}

int
watches_init(struct watches *watches, uv_loop_t *loop)
{
	watches->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (watches->epoll_fd < 0)
		return PS_ERR_IO;
	if (uv_poll_init(loop, &watches->poll, watches->epoll_fd) != 0) {
		close(watches->epoll_fd);
		return PS_ERR_IO;
	}
	watches->poll.data = watches;
	uv_poll_start(&watches->poll, UV_READABLE, on_ready);
	return PS_OK;
}

static void
on_closed(uv_handle_t *handle)
{
	struct watches *watches = handle->data;

	close(watches->epoll_fd);
}

void
watches_close(struct watches *watches)
{
	uv_close((uv_handle_t *)&watches->poll, on_closed);
}

int
watches_set(struct watches *watches, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	int op = watch->events == 0 ? EPOLL_CTL_ADD :
	    events == 0		    ? EPOLL_CTL_DEL :
				      EPOLL_CTL_MOD;

	if (watch->events == events)
		return PS_OK;
	if (epoll_ctl(watches->epoll_fd, op, watch->fd, &event) < 0 &&
	    events != 0)
		return PS_ERR_IO;
	watch->events = events;
	return PS_OK;
}
