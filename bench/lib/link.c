#include "config.h"

#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256 };

static int epoll_fd;
static int abandoned[LINK_ABANDONED];
static unsigned n_abandoned;

void
die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

void
link_loop_init(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1: %s", strerror(errno));
}

/* errno tells why. */
static void
fail(struct link *link, const char *what)
{
	if (link->on_failed == NULL)
		die("%s: %s", what, strerror(errno));
	link_close(link);
	link->on_failed(link);
}

void
link_connect(struct link *link, uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = link };
	int one = 1;

	/* on loopback a blocking connect() waits for no one but the kernel */
	link->in_len = 0;
	link->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		die("socket: %s", strerror(errno));
	if (connect(link->fd, (struct sockaddr *)&address, sizeof(address)) <
	    0) {
		fail(link, "connect");
		return;
	}
	if (ioctl(link->fd, FIONBIO, &one) < 0 ||
	    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, link->fd, &event) < 0)
		die("connect: %s", strerror(errno));
}

void
link_close(struct link *link)
{
	if (link->fd > 0)
		close(link->fd);
	link->fd = 0;
	link->in_len = 0;
}

void
link_reset(struct link *link)
{
	struct linger at_once = { .l_onoff = 1 };

	if (link->fd > 0 && setsockopt(link->fd, SOL_SOCKET, SO_LINGER,
				       &at_once, sizeof(at_once)) < 0)
		die("SO_LINGER: %s", strerror(errno));
	link_close(link);
}

void
link_abandon(struct link *link)
{
	int *place = &abandoned[n_abandoned % LINK_ABANDONED];

	if (link->fd == 0)
		return;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_DEL, link->fd, NULL) < 0)
		die("epoll_ctl: %s", strerror(errno));
	if (n_abandoned++ >= LINK_ABANDONED)
		close(*place);
	*place = link->fd;
	link->fd = 0;
	link->in_len = 0;
}

void
link_write(struct link *link, const void *data, size_t len)
{
	ssize_t n = send(link->fd, data, len, MSG_NOSIGNAL);

	if (n >= 0 && n != (ssize_t)len)
		errno = ENOBUFS;
	if (n != (ssize_t)len)
		fail(link, "send");
}

void
link_consume(struct link *link, size_t len)
{
	link->in_len -= len;
	memmove(link->in, link->in + len, link->in_len);
}

static void
link_read(struct link *link)
{
	ssize_t n = recv(link->fd, link->in + link->in_len,
			 sizeof(link->in) - link->in_len, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		fail(link, "recv");
		return;
	}
	if (n == 0) {
		link_close(link);
		link->on_end(link);
		return;
	}
	link->in_len += n;
	link->on_data(link);
	if (link->in_len == sizeof(link->in))
		die("an element of more than %d bytes", LINK_IN_SIZE);
}

void
link_loop_turn(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll_fd, events, EVENTS, timeout_ms), i;

	if (n < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	for (i = 0; i < n; i++) {
		struct link *link = events[i].data.ptr;

		/* an earlier event of this turn may have closed it */
		if (link->fd > 0)
			link_read(link);
	}
}
