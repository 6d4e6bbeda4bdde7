#include "config.h"

#include "listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ps_log.h"

#define ACCEPT_BATCH 16
#define RETRY_MS 100

static void
unwatch(struct listener *listener)
{
	int ret = watches_set(&listener->bridge->watches, &listener->watch, 0);

	assert(ret == PS_OK);
}

static void
on_retry(struct timer *timer)
{
	struct listener *listener = PS_CONTAINER(timer, struct listener, retry);

	if (watches_set(&listener->bridge->watches, &listener->watch,
		EPOLLIN) != PS_OK)
		timers_set(&listener->bridge->timers, timer,
		    listener->bridge->now_ms() + RETRY_MS);
}

/* Such as EMFILE: what waits would wake the loop again and again. */
static void
pause_accepting(struct listener *listener)
{
	ps_error("listener: cannot accept at %s (%s)", listener->name,
	    strerror(errno));
	unwatch(listener);
	timers_set(&listener->bridge->timers, &listener->retry,
	    listener->bridge->now_ms() + RETRY_MS);
}

static void
on_ready(struct watch *watch, uint32_t events)
{
	struct listener *listener = PS_CONTAINER(watch, struct listener, watch);
	int fd, i;

	(void)events;
	for (i = 0; i < ACCEPT_BATCH; i++) {
		fd = accept4(watch->fd, NULL, NULL,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			listener->accepted(listener, fd);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR &&
		    errno != ECONNABORTED)
			pause_accepting(listener);
		return;
	}
}

int
listener_open(struct listener *listener, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	listener->watch = (struct watch){ .fd = fd, .ready = on_ready };
	listener->retry.fire = on_retry;
	if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	    watches_set(&listener->bridge->watches, &listener->watch,
		EPOLLIN) == PS_OK)
		return PS_OK;
	ps_error("listener: cannot listen at %s (%s)", listener->name,
	    strerror(errno));
	close(fd);
	*listener = (struct listener){ 0 };
	return PS_ERR_IO;
}

void
listener_close(struct listener *listener)
{
	if (listener->bridge == NULL || listener->watch.ready == NULL)
		return;
	timers_cancel(&listener->bridge->timers, &listener->retry);
	unwatch(listener);
	close(listener->watch.fd);
	*listener = (struct listener){ 0 };
}
