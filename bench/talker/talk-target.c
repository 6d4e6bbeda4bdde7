/*
 * The far end of the conversations of `talk`: a WebSocket server on 127.0.0.1
 * that sends numbered messages of its own accord and checks the numbers of
 * those it gets.
 *
 *   talk-target        prints the port it listens on, then serves
 *
 * What is said, as text, in both directions (numbers are decimal, times
 * CLOCK_MONOTONIC in ns, all on one machine):
 *
 *   client: h ID CONVERSATION INTERVAL_US BYTES LIFE    who I am, once a
 *              connection. A new CONVERSATION begins with number 1, another
 *              connection of the same goes on. Send a message of BYTES every
 *              INTERVAL_US, and close after LIFE messages, unless that is 0
 *           m NUMBER CREATED EPOCH ...        a message, after so many faults
 *           q                                 send no more; what have you got?
 *   target: m NUMBER CREATED EPOCH ARRIVED SLOWEST ...   of the client's first
 *              message with this EPOCH the arrival, of all with it the
 *              longest time under way
 *           a RECEIVED DOUBLED DISORDERED CREATED
 *
 * What is known of a client outlives its connection. While there is none
 * nothing is created.
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/lib/link.h"
#include "bench/lib/server.h"
#include "score.h"
#include "ws-frame.h"

enum {
	MAX_CLIENTS = 8000,
	MAX_IN = 64 * 1024, /* a head or a frame */
	MAX_OUT = 1024 * 1024,
	MAX_TEXT = 16 * 1024,
	EVENTS = 256,
	TURN_MS = 2,
	CLOSE_CODE = 3000
};

struct connection {
	int fd;
	enum { HANDSHAKE, OPEN, CLOSING } state;
	struct client *client; /* NULL: has not said who it is, or has gone on
				  to another connection */
	bool is_full;          /* waits for EPOLLOUT */
	size_t in_len, out_len, out_size;
	uint8_t *out; /* what the other side has not taken yet */
	uint8_t in[MAX_IN];
};

struct client {
	struct connection *connection; /* NULL: none */
	unsigned conversation;
	struct score score;
	uint64_t n_created;
	uint64_t interval_ns, due_ns;
	unsigned bytes, life;
	bool is_asked; /* creates no more */
	unsigned epoch;
	uint64_t arrived_ns, slowest_ns;
};

static struct client clients[MAX_CLIENTS];
static unsigned n_clients; /* one above the highest id there was */
static int epoll_fd;

static void
watch(struct connection *connection, int operation)
{
	struct epoll_event event = {
		.events = EPOLLIN | (connection->is_full ? EPOLLOUT : 0),
		.data.ptr = connection,
	};

	if (epoll_ctl(epoll_fd, operation, connection->fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void
connection_destroy(struct connection *connection)
{
	if (connection->client)
		connection->client->connection = NULL;
	close(connection->fd);
	free(connection->out);
	free(connection);
}

static void
out_add(struct connection *connection, const void *data, size_t len)
{
	if (connection->out_len + len > connection->out_size) {
		connection->out_size = 2 * (connection->out_len + len);
		connection->out =
		    realloc(connection->out, connection->out_size);
		if (connection->out == NULL)
			die("no memory for %zu bytes", connection->out_size);
	}
	memcpy(connection->out + connection->out_len, data, len);
	connection->out_len += len;
}

/* Returns false when the connection is over. */
static bool
out_flush(struct connection *connection)
{
	ssize_t n = send(connection->fd, connection->out, connection->out_len,
			 MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		return false;
	if (n > 0) {
		connection->out_len -= n;
		memmove(connection->out, connection->out + n,
			connection->out_len);
	}
	if ((connection->out_len > 0) != connection->is_full) {
		connection->is_full = !connection->is_full;
		watch(connection, EPOLL_CTL_MOD);
	}
	return true;
}

/* The connection's end, when this fails, is seen when it is read. */
static void
frame_send(struct connection *connection, enum ws_opcode opcode,
	   const void *data, size_t len)
{
	uint8_t header[WS_MAX_HEADER];

	out_add(connection, header, ws_header_write(header, true, opcode, len));
	out_add(connection, data, len);
	out_flush(connection);
}

static void
close_send(struct connection *connection, int code)
{
	uint8_t payload[2] = { code >> 8, code & 0xff };

	frame_send(connection, WS_CLOSE, payload, sizeof(payload));
	connection->state = CLOSING;
}

static void
hello(struct connection *connection, const char *text)
{
	unsigned id, conversation, interval_us, bytes, life;
	struct client *client;

	if (sscanf(text, "h %u %u %u %u %u", &id, &conversation, &interval_us,
		   &bytes, &life) != 5 ||
	    id >= MAX_CLIENTS || interval_us == 0 || bytes > MAX_TEXT)
		die("no hello: %s", text);
	client = &clients[id];
	if (client->connection)
		client->connection->client = NULL;
	if (conversation != client->conversation) {
		score_reset(&client->score);
		*client = (struct client){ .conversation = conversation };
	}
	client->connection = connection;
	client->interval_ns = interval_us * UINT64_C(1000);
	client->due_ns = now_ns() + client->interval_ns;
	client->bytes = bytes;
	client->life = life;
	connection->client = client;
	if (id >= n_clients)
		n_clients = id + 1;
}

static void
take(struct client *client, const char *text)
{
	unsigned long long number, created_ns;
	uint64_t now = now_ns();
	unsigned epoch;

	if (sscanf(text, "m %llu %llu %u", &number, &created_ns, &epoch) != 3)
		die("no message: %.80s", text);
	score_add(&client->score, number);
	if (epoch > client->epoch) {
		client->epoch = epoch;
		client->arrived_ns = now;
		client->slowest_ns = 0;
	}
	if (now - created_ns > client->slowest_ns)
		client->slowest_ns = now - created_ns;
}

static void
answer(struct client *client)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "a %llu %llu %llu %llu",
			   (unsigned long long)client->score.received,
			   (unsigned long long)client->score.doubled,
			   (unsigned long long)client->score.disordered,
			   (unsigned long long)client->n_created);

	client->is_asked = true;
	frame_send(client->connection, WS_TEXT, text, len);
}

static void
text_read(struct connection *connection, char *text)
{
	if (text[0] == 'h')
		hello(connection, text);
	else if (connection->client == NULL)
		return; /* the client is elsewhere by now */
	else if (text[0] == 'm')
		take(connection->client, text);
	else if (text[0] == 'q')
		answer(connection->client);
	else
		die("not understood: %.80s", text);
}

/* Returns false when the connection is over. */
static bool
frame_read(struct connection *connection, const struct ws_frame *frame,
	   uint8_t *payload)
{
	size_t len = frame->payload_len;

	ws_unmask(payload, payload, len, frame->mask);
	switch (frame->opcode) {
	case WS_TEXT:
		if (connection->state == OPEN) {
			char last = payload[len];

			payload[len] = '\0';
			text_read(connection, (char *)payload);
			payload[len] = last;
		}
		break;
	case WS_PING:
		frame_send(connection, WS_PONG, payload, len);
		break;
	case WS_CLOSE:
		if (connection->state == OPEN)
			frame_send(connection, WS_CLOSE, payload,
				   len < 2 ? 0 : 2);
		return false;
	case WS_PONG:
		break;
	case WS_CONTINUATION:
	case WS_BINARY:
		die("the clients send whole texts only");
	}
	return true;
}

static bool
handshake(struct connection *connection, size_t *pos_r)
{
	char *head = (char *)connection->in, out[512];
	char *end = memmem(head, connection->in_len, "\r\n\r\n", 4);
	bool is_open;

	*pos_r = 0;
	if (end == NULL)
		return true;
	end[3] = '\0';
	out_add(connection, out,
		ws_handshake_answer(head, out, sizeof(out), &is_open));
	*pos_r = end + 4 - head;
	connection->state = OPEN;
	return out_flush(connection) && is_open;
}

static bool
readable(struct connection *connection)
{
	uint8_t *in = connection->in;
	size_t pos = 0;
	struct ws_frame frame;
	int ret;
	/* room for the 0 behind a text */
	ssize_t n = recv(connection->fd, in + connection->in_len,
			 MAX_IN - 1 - connection->in_len, 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	connection->in_len += n;
	if (connection->state == HANDSHAKE && !handshake(connection, &pos))
		return false;
	while (connection->state != HANDSHAKE &&
	       (ret = ws_header_read(&frame, in + pos,
				     connection->in_len - pos)) != 0) {
		if (ret < 0 || frame.payload_len > MAX_TEXT)
			die("a frame that the clients do not send");
		if (connection->in_len - pos - frame.header_len <
		    frame.payload_len)
			break;
		pos += frame.header_len;
		if (!frame_read(connection, &frame, in + pos))
			return false;
		pos += frame.payload_len;
	}
	connection->in_len -= pos;
	memmove(in, in + pos, connection->in_len);
	return true;
}

static void
create(struct client *client, uint64_t now)
{
	static char text[MAX_TEXT + 256];
	int len = snprintf(text, sizeof(text), "m %llu %llu %u %llu %llu ",
			   (unsigned long long)++client->n_created,
			   (unsigned long long)now, client->epoch,
			   (unsigned long long)client->arrived_ns,
			   (unsigned long long)client->slowest_ns);

	if ((unsigned)len < client->bytes) {
		memset(text + len, 'x', client->bytes - len);
		len = client->bytes;
	}
	frame_send(client->connection, WS_TEXT, text, len);
	if (client->n_created == client->life)
		close_send(client->connection, CLOSE_CODE);
}

/*
 * One message at a time: a target that was stopped does not make up for it.
 * A client that reads nothing is sent nothing more, as by any server.
 */
static void
create_due(uint64_t now)
{
	unsigned i;

	for (i = 0; i < n_clients; i++) {
		struct client *client = &clients[i];

		if (client->connection == NULL || now < client->due_ns ||
		    client->connection->state != OPEN || client->is_asked ||
		    client->connection->out_len > MAX_OUT)
			continue;
		client->due_ns += client->interval_ns;
		if (client->due_ns < now)
			client->due_ns = now + client->interval_ns;
		create(client, now);
	}
}

static void
accept_all(int listener)
{
	int one = 1, fd;

	while ((fd = accept4(listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *connection = calloc(1, sizeof(*connection));

		if (connection == NULL)
			die("no memory for a connection");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		connection->fd = fd;
		watch(connection, EPOLL_CTL_ADD);
	}
}

static void
serve(int listener)
{
	struct epoll_event events[EVENTS];
	struct epoll_event event = { .events = EPOLLIN };
	int n, i;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
		die("epoll: %s", strerror(errno));
	while ((n = epoll_wait(epoll_fd, events, EVENTS, TURN_MS)) >= 0 ||
	       errno == EINTR) {
		for (i = 0; i < n; i++) {
			struct connection *connection = events[i].data.ptr;

			if (connection == NULL)
				accept_all(listener);
			else if (((events[i].events & EPOLLOUT) &&
				  !out_flush(connection)) ||
				 !readable(connection))
				connection_destroy(connection);
		}
		create_due(now_ns());
	}
	die("epoll_wait: %s", strerror(errno));
}

int
main(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	serve(server_listen(SOCK_NONBLOCK));
}
