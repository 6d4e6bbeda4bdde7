/*
 * The floor of a fan-out: a WebSocket server that writes what one connection
 * says to all others, one write() each, and does nothing else. Its members'
 * connections block, so that a slow reader makes it wait and nothing is
 * queued. It prints its port, and ends with the process that started it or by
 * a signal.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/lib/link.h"
#include "ws-frame.h"

enum { MAX_CONNECTIONS = 20000, EVENTS = 256, IN_SIZE = 8192 };

struct connection {
	bool is_open;
	size_t in_len;
	uint8_t *in;
};

static struct connection connections[MAX_CONNECTIONS]; /* by descriptor */
static int fds[MAX_CONNECTIONS], n_fds;
static int epoll_fd;

static void
write_all(int fd, const uint8_t *data, size_t len)
{
	ssize_t n = 0;

	while (len > 0 && (n = write(fd, data, len)) >= 0) {
		data += n;
		len -= n;
	}
	if (n < 0 && errno != EPIPE && errno != ECONNRESET)
		die("write: %s", strerror(errno));
}

static void
broadcast(int from, const uint8_t *text, size_t len)
{
	uint8_t frame[IN_SIZE + WS_MAX_HEADER];
	size_t header = ws_header_write(frame, true, WS_TEXT, len);
	int i;

	memcpy(frame + header, text, len);
	for (i = 0; i < n_fds; i++)
		if (fds[i] != from)
			write_all(fds[i], frame, header + len);
}

static size_t
handshake_take(int fd, struct connection *connection)
{
	char answer[512], *end;
	size_t len;

	end = memmem(connection->in, connection->in_len, "\r\n\r\n", 4);
	if (end == NULL)
		return 0;
	end[2] = '\0';
	len = ws_handshake_answer((char *)connection->in, answer,
				  sizeof(answer), &connection->is_open);
	write_all(fd, (uint8_t *)answer, len);
	return end + 4 - (char *)connection->in;
}

static size_t
frame_take(int fd, struct connection *connection)
{
	struct ws_frame frame;
	uint8_t *text;

	switch (ws_header_read(&frame, connection->in, connection->in_len)) {
	case 0:
		return 0;
	case 1:
		break;
	default:
		die("a client broke the protocol");
	}
	if (connection->in_len - frame.header_len < frame.payload_len)
		return 0;
	text = connection->in + frame.header_len;
	ws_unmask(text, text, frame.payload_len, frame.mask);
	if (frame.opcode == WS_TEXT)
		broadcast(fd, text, frame.payload_len);
	return frame.header_len + frame.payload_len;
}

static void
connection_close(int fd)
{
	int i;

	for (i = 0; fds[i] != fd;)
		i++;
	fds[i] = fds[--n_fds];
	free(connections[fd].in);
	close(fd);
}

static void
connection_read(int fd)
{
	struct connection *connection = &connections[fd];
	ssize_t n = read(fd, connection->in + connection->in_len,
			 IN_SIZE - 1 - connection->in_len);
	size_t taken = 1;

	if (n <= 0) {
		connection_close(fd);
		return;
	}
	connection->in_len += n;
	while (taken > 0 && connection->in_len > 0) {
		taken = connection->is_open ? frame_take(fd, connection)
					    : handshake_take(fd, connection);
		connection->in_len -= taken;
		memmove(connection->in, connection->in + taken,
			connection->in_len);
	}
}

static void
watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void
connection_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;

	if (fd < 0 || fd >= MAX_CONNECTIONS)
		die("accept: %s", fd < 0 ? strerror(errno) : "too many");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("TCP_NODELAY: %s", strerror(errno));
	connections[fd] = (struct connection){ .in = malloc(IN_SIZE) };
	if (connections[fd].in == NULL)
		die("no memory for a connection");
	fds[n_fds++] = fd;
	watch(fd);
}

static int
listen_on_loopback(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
	    listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		die("listen: %s", strerror(errno));
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

int
main(void)
{
	struct epoll_event events[EVENTS];
	int listener, n, i;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	link_loop_init(); /* for its descriptors */
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1: %s", strerror(errno));
	listener = listen_on_loopback();
	watch(listener);
	for (;;) {
		n = epoll_wait(epoll_fd, events, EVENTS, -1);
		for (i = 0; i < n; i++)
			if (events[i].data.fd == listener)
				connection_accept(listener);
			else
				connection_read(events[i].data.fd);
	}
}
