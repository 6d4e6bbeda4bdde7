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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256 };

static int epoll_fd;

void
die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("loadgen: ", stderr);
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
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1: %s", strerror(errno));
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
	link->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (link->fd < 0 ||
	    connect(link->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect to port %d: %s", port, strerror(errno));
	link->in_len = 0;
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
}

void
link_write(struct link *link, const void *data, size_t len)
{
	ssize_t n = send(link->fd, data, len, MSG_NOSIGNAL);

	if (n != (ssize_t)len)
		die("send: %s", n < 0 ? strerror(errno) : "buffer full");
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
	if (n < 0)
		die("recv: %s", strerror(errno));
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
