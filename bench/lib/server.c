#include "config.h"

#include "server.h"

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

#include "link.h"

enum { EVENTS = 256 };

struct connection {
	size_t in_len;
	char *in; /* terminated */
};

static struct connection connections[SERVER_MAX_CONNECTIONS];
static int epoll_fd;

static void
connection_close(const struct server *server, int fd)
{
	if (server->closed != NULL)
		server->closed(fd);
	free(connections[fd].in);
	close(fd);
}

static void
connection_read(const struct server *server, int fd)
{
	struct connection *connection = &connections[fd];
	ssize_t n = read(fd, connection->in + connection->in_len,
			 server->in_size - connection->in_len);
	size_t taken = 1;

	if (n <= 0) {
		connection_close(server, fd);
		return;
	}
	connection->in_len += n;
	while (taken > 0 && connection->in_len > 0) {
		connection->in[connection->in_len] = '\0';
		taken = server->take(fd, connection->in, connection->in_len);
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
connection_accept(const struct server *server, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;

	if (fd < 0 || fd >= SERVER_MAX_CONNECTIONS)
		die("accept: %s", fd < 0 ? strerror(errno) : "too many");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("TCP_NODELAY: %s", strerror(errno));
	connections[fd] =
		(struct connection){ .in = malloc(server->in_size + 1) };
	if (connections[fd].in == NULL)
		die("no memory for a connection");
	if (server->opened != NULL)
		server->opened(fd);
	watch(fd);
}

int
server_listen(int flags)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
	    listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		die("listen: %s", strerror(errno));
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

void
server_run(const struct server *server)
{
	struct epoll_event events[EVENTS];
	int listener, n, i;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	link_loop_init(); /* for its descriptors */
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1: %s", strerror(errno));
	listener = server_listen(0);
	watch(listener);
	for (;;) {
		n = epoll_wait(epoll_fd, events, EVENTS, -1);
		for (i = 0; i < n; i++)
			if (events[i].data.fd == listener)
				connection_accept(server, listener);
			else
				connection_read(server, events[i].data.fd);
	}
}
