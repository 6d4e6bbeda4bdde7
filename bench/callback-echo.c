/*
 * An application for callbacks that does next to nothing: it answers a POST
 * of {"message":TEXT,...} with {"message":TEXT}, one of anything else with an
 * empty reply, and verifies no signature. With --count it keeps the messages
 * to itself, but looks at their numbers: each client's, as the load generator
 * makes them, must come from 0 on, once more in each run, without one that is
 * missing, doubled or out of order, or the program ends with an error. A GET
 * tells how many came.
 *
 * It prints its port on 127.0.0.1, and ends with the process that started it
 * or by a signal.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/lib/link.h"

enum {
	MAX_CONNECTIONS = 20000,
	MAX_CLIENTS = 100000,
	EVENTS = 256,
	IN_SIZE = 16 * 1024
};

struct connection {
	size_t in_len;
	char *in; /* terminated */
};

static struct connection connections[MAX_CONNECTIONS]; /* by descriptor */
static int epoll_fd;
static bool counts;
static unsigned long long next_number[MAX_CLIENTS], n_messages;

static void
answer(int fd, const char *status, const char *body, size_t len)
{
	char out[IN_SIZE + 256];
	int head = snprintf(out, sizeof(out) - len,
	    "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    status, len);

	memcpy(out + head, body, len);
	/* A reply fits into an empty socket buffer. */
	if (write(fd, out, (size_t)head + len) != (ssize_t)(head + len) &&
	    errno != EPIPE && errno != ECONNRESET)
		die("write: %s", strerror(errno));
}

/* Behind the string literal that begins at `text`; NULL if none does. */
static const char *
string_end(const char *text, const char *end)
{
	if (text == end || *text != '"')
		return NULL;
	for (text++; text < end && *text != '"'; text++)
		text += *text == '\\' && text + 1 < end;
	return text < end ? text + 1 : NULL;
}

static void
count(const char *message)
{
	unsigned client;
	unsigned long long number;

	n_messages++;
	if (sscanf(message, "\"%u.%llu.", &client, &number) != 2 ||
	    client >= MAX_CLIENTS)
		die("not a message of the load generator: %.60s", message);
	if (number != 0 && number != next_number[client])
		die("client %u: message %llu instead of %llu", client, number,
		    next_number[client]);
	next_number[client] = number + 1;
}

static void
take_post(int fd, const char *body, size_t len)
{
	static const char before[] = "{\"message\":";
	const char *message = body + sizeof(before) - 1, *end = NULL;
	char reply[IN_SIZE];

	if (len >= sizeof(before) &&
	    memcmp(body, before, sizeof(before) - 1) == 0)
		end = string_end(message, body + len);
	if (end == NULL || counts) {
		if (end != NULL)
			count(message);
		answer(fd, "200 OK", "", 0);
		return;
	}
	len = (size_t)(end - body);
	memcpy(reply, body, len);
	reply[len] = '}';
	answer(fd, "200 OK", reply, len + 1);
}

/* One request, if it is there; its length or 0. */
static size_t
request_take(int fd, struct connection *connection)
{
	char text[32], *in = connection->in, *end, *field;
	size_t head, len = 0;

	in[connection->in_len] = '\0';
	if ((end = strstr(in, "\r\n\r\n")) == NULL)
		return 0;
	head = (size_t)(end - in) + 4;
	field = strcasestr(in, "\r\nContent-Length:");
	if (field != NULL && field < end)
		len = strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
	if (len > IN_SIZE - 1 - head)
		die("a request of more than %d bytes", IN_SIZE);
	if (connection->in_len < head + len)
		return 0;
	if (strncmp(in, "GET ", 4) == 0)
		answer(fd, "200 OK", text, (size_t)snprintf(text, sizeof(text),
		    "%llu\n", n_messages));
	else
		take_post(fd, in + head, len);
	return head + len;
}

static void
connection_read(int fd)
{
	struct connection *connection = &connections[fd];
	ssize_t n = read(fd, connection->in + connection->in_len,
	    IN_SIZE - 1 - connection->in_len);
	size_t taken;

	if (n <= 0) {
		free(connection->in);
		close(fd);
		return;
	}
	connection->in_len += (size_t)n;
	while (connection->in_len > 0 &&
	    (taken = request_take(fd, connection)) > 0) {
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
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int listener, n, i;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--count") != 0))
		die("usage: callback-echo [--count]");
	counts = argc == 2;
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
