#include "config.h"

#include "callback_loop.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ps_log.h"
#include "wsbridge/base/watch.h"
#include "wsbridge/bridge.h"

struct callback_socket {
	struct watch watch;
	LIST_ENTRY(callback_socket) entry;
	struct callback_loop *loop;
	struct garbage garbage;
	bool is_connection; /* we opened it, and hear of its end */
	bool wanted;        /* libcurl waits for something */
};

static unsigned
bucket(curl_socket_t fd)
{
	return (unsigned)fd % CALLBACK_LOOP_BUCKETS;
}

static struct callback_socket *
find(struct callback_loop *loop, curl_socket_t fd)
{
	struct callback_socket *s;

	LIST_FOREACH(s, &loop->sockets[bucket(fd)], entry)
	{
		if (s->watch.fd == fd)
			return s;
	}
	return NULL;
}

static void
free_socket(struct garbage *garbage)
{
	free(PS_CONTAINER(garbage, struct callback_socket, garbage));
}

static void
unwatch(struct callback_socket *s)
{
	int ret = watches_set(&s->loop->bridge->watches, &s->watch, 0);

	assert(ret == PS_OK);
}

static void
forget(struct callback_socket *s)
{
	unwatch(s);
	LIST_REMOVE(s, entry);
	bridge_free_later(s->loop->bridge, &s->garbage, free_socket);
}

/* libcurl does what is to be done for `fd`, or because of the time. */
static void
take_turn(struct callback_loop *loop, curl_socket_t fd, int events)
{
	int running;

	if (loop->multi == NULL)
		return;
	curl_multi_socket_action(loop->multi, fd, events, &running);
	loop->progress(loop);
}

static void
on_ready(struct watch *watch, uint32_t events)
{
	struct callback_socket *s =
	    PS_CONTAINER(watch, struct callback_socket, watch);
	int mask = 0;

	/* Its server closes an idle connection; libcurl sees it before it
	 * uses the connection again. */
	if (!s->wanted) {
		unwatch(s);
		return;
	}
	if ((events & EPOLLIN) != 0)
		mask |= CURL_CSELECT_IN;
	if ((events & EPOLLOUT) != 0)
		mask |= CURL_CSELECT_OUT;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		mask |= CURL_CSELECT_ERR;
	take_turn(s->loop, watch->fd, mask);
}

static struct callback_socket *
add(struct callback_loop *loop, curl_socket_t fd)
{
	struct callback_socket *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->loop = loop;
	s->watch.fd = fd;
	s->watch.ready = on_ready;
	LIST_INSERT_HEAD(&loop->sockets[bucket(fd)], s, entry);
	return s;
}

/* CURLMOPT_SOCKETFUNCTION: what libcurl wants to know of. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *known)
{
	struct callback_loop *loop = data;
	struct callback_socket *s = known != NULL ? known : find(loop, fd);
	uint32_t events = what == CURL_POLL_IN  ? EPOLLIN :
			  what == CURL_POLL_OUT ? EPOLLOUT :
						  EPOLLIN | EPOLLOUT;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s == NULL)
			return 0;
		s->wanted = false;
		/* We do not hear when it closes one of its own. */
		if (!s->is_connection)
			forget(s);
		return 0;
	}
	if (s == NULL)
		s = add(loop, fd);
	/* A request that nothing wakes up ends by its timeout. */
	if (s == NULL ||
	    watches_set(&loop->bridge->watches, &s->watch, events) != PS_OK) {
		ps_warning("callback: cannot watch a socket");
		return 0;
	}
	s->wanted = true;
	if (known == NULL)
		curl_multi_assign(loop->multi, fd, s);
	return 0;
}

curl_socket_t
callback_loop_socket(
    struct callback_loop *loop, const struct curl_sockaddr *address)
{
	struct callback_socket *s;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
	    address->protocol);

	if (fd < 0)
		return CURL_SOCKET_BAD;
	if ((s = add(loop, fd)) == NULL) {
		close(fd);
		return CURL_SOCKET_BAD;
	}
	s->is_connection = true;
	return fd;
}

int
callback_loop_close_socket(void *data, curl_socket_t fd)
{
	struct callback_loop *loop = data;
	struct callback_socket *s = find(loop, fd);

	if (s != NULL)
		forget(s);
	return close(fd);
}

static void
on_soon(uv_idle_t *soon)
{
	struct callback_loop *loop =
	    PS_CONTAINER(soon, struct callback_loop, soon);

	uv_idle_stop(soon);
	take_turn(loop, CURL_SOCKET_TIMEOUT, 0);
}

void
callback_loop_soon(struct callback_loop *loop)
{
	uv_idle_start(&loop->soon, on_soon);
}

static void
on_timer(struct timer *timer)
{
	take_turn(PS_CONTAINER(timer, struct callback_loop, timer),
	    CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_TIMERFUNCTION: when libcurl wants its next turn; -1: never. */
static int
on_timeout(CURLM *multi, long after_ms, void *data)
{
	struct callback_loop *loop = data;
	struct bridge *bridge = loop->bridge;

	(void)multi;
	if (after_ms > 0)
		timers_set(&bridge->timers, &loop->timer,
		    bridge->now_ms() + (uint64_t)after_ms);
	else
		timers_cancel(&bridge->timers, &loop->timer);
	if (after_ms == 0)
		callback_loop_soon(loop);
	return 0;
}

void
callback_loop_init(struct callback_loop *loop, struct bridge *bridge,
    void (*progress)(struct callback_loop *loop))
{
	loop->bridge = bridge;
	loop->progress = progress;
	loop->timer.fire = on_timer;
	uv_idle_init(bridge->loop, &loop->soon);
}

void
callback_loop_deinit(struct callback_loop *loop, uv_close_cb closed)
{
	uv_close((uv_handle_t *)&loop->soon, closed);
}

bool
callback_loop_open(struct callback_loop *loop)
{
	CURLM *multi = curl_multi_init();

	if (multi == NULL)
		return false;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, loop);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, loop);
	loop->multi = multi;
	return true;
}

void
callback_loop_close(struct callback_loop *loop)
{
	if (loop->multi == NULL)
		return;
	curl_multi_cleanup(loop->multi);
	loop->multi = NULL;
	uv_idle_stop(&loop->soon);
	timers_cancel(&loop->bridge->timers, &loop->timer);
}
