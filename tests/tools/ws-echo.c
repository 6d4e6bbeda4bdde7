/*
 * A small, fast WebSocket echo server (RFC 6455) on 127.0.0.1, the target of
 * the tests, the demo and the benchmark.
 *
 *   ws-echo [--port N]      prints the port it listens on, then serves
 *
 * It echoes text and binary messages frame by frame, answers pings and closes,
 * takes the first subprotocol offered and offers no extension. The path of a
 * connection may ask for something else:
 *
 *   /discard   it is read and checked, but nothing comes back
 *   /flood     numbered messages as fast as they are taken, FLOOD_MESSAGES of
 *              them, and then it echoes
 *   /ignore    after the handshake nothing is read any more
 *
 * It has to cost little, because it stands beside what is measured: one
 * process, one epoll loop, and one recv() and one send() for all frames that
 * arrived together. A server's frame header is the client's without its
 * masking key, so the answer is built in place, always behind the read
 * position. Only an incomplete frame is kept between two wake-ups.
 *
 * Bounds: MAX_CONNECTIONS, MAX_HEAD for a handshake, MAX_MESSAGE for a
 * message, and a connection whose answers cannot be written is not read.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ws-frame.h"

enum {
	MAX_CONNECTIONS = 16000,
	MAX_HEAD = 8 * 1024,
	MAX_MESSAGE = 16 * 1024 * 1024,
	MAX_CONTROL = 125, /* RFC 6455, 5.5 */
	CLOSE_SIZE = 4,    /* a close frame that carries a code */
	SCRATCH = 256 * 1024,
	EVENTS = 256,
	ACCEPTS_PER_WAKE_UP = 64,
	FLOOD_MESSAGES = 2048,
	FLOOD_MESSAGE = 16384, /* bytes on the wire */
	FLOOD_AT_ONCE = 4,
	SMALL_BUFFER = 16 * 1024 /* of the kernel, so that it is full soon */
};

enum state { HANDSHAKE, OPEN, CLOSING };

enum behaviour { ECHO_ALL, DISCARD, FLOOD, IGNORE };

/* Where a text stands between two frames: bytes still due, and their range. */
struct utf8 {
	uint8_t due;
	uint8_t low;
	uint8_t high;
};

struct connection {
	int fd;
	enum state state;
	enum behaviour behaviour;
	unsigned n_flooded; /* messages */
	enum ws_opcode message; /* being received; WS_CONTINUATION: none is */
	size_t message_len;
	struct utf8 utf8;
	uint8_t *in; /* an incomplete frame or head, else NULL */
	size_t in_len;
	size_t in_size;
	uint8_t *out; /* what send() did not take, else NULL */
	size_t out_pos;
	size_t out_len;
};

static uint8_t scratch[SCRATCH];
static int epoll_fd;
static int n_connections;

static void
watch(struct connection *connection, uint32_t events, int operation)
{
	struct epoll_event event = { .events = events, .data.ptr = connection };

	if (epoll_ctl(epoll_fd, operation, connection->fd, &event) < 0) {
		perror("ws-echo: epoll_ctl");
		exit(1);
	}
}

static void
connection_destroy(struct connection *connection)
{
	close(connection->fd);
	free(connection->in);
	free(connection->out);
	free(connection);
	n_connections--;
}

/* Checks the next part of a text; the state carries over to the part after. */
static bool
utf8_check(struct utf8 *utf8, const uint8_t *data, size_t len)
{
	size_t i = 0;
	uint64_t eight;

	while (i < len) {
		uint8_t byte = data[i];

		if (utf8->due > 0) {
			if (byte < utf8->low || byte > utf8->high)
				return false;
			utf8->due--;
			utf8->low = 0x80;
			utf8->high = 0xbf;
			i++;
			continue;
		}
		if (len - i >= sizeof(eight)) {
			memcpy(&eight, data + i, sizeof(eight));
			if ((eight & UINT64_C(0x8080808080808080)) == 0) {
				i += sizeof(eight);
				continue;
			}
		}
		i++;
		if (byte < 0x80)
			continue;
		if (byte < 0xc2 || byte > 0xf4)
			return false;
		utf8->due = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
		/* no overlong form, no surrogate, nothing above U+10FFFF */
		utf8->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
		utf8->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
	}
	return true;
}

/* Checks a data frame's place in its message. Returns 0 or a close code. */
static int
message_admit(struct connection *connection, const struct ws_frame *frame)
{
	if (frame->opcode > WS_BINARY ||
	    (frame->opcode == WS_CONTINUATION) !=
		(connection->message != WS_CONTINUATION))
		return 1002;
	if (frame->payload_len > MAX_MESSAGE - connection->message_len)
		return 1009;
	return 0;
}

static bool
close_code_is_valid(unsigned code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
		code != 1006) ||
	       (code >= 3000 && code <= 4999);
}

/* The code to answer a close frame with; 0: none, as the client gave none. */
static int
close_answer(const uint8_t *payload, size_t len)
{
	struct utf8 utf8 = { 0 };
	unsigned code;

	if (len == 0)
		return 0;
	if (len == 1)
		return 1002;
	code = payload[0] << 8 | payload[1];
	if (!close_code_is_valid(code))
		return 1002;
	if (!utf8_check(&utf8, payload + 2, len - 2) || utf8.due > 0)
		return 1007;
	return code;
}

static size_t
close_write(struct connection *connection, uint8_t *out, int code)
{
	size_t len = ws_header_write(out, true, WS_CLOSE, code ? 2 : 0);

	if (code != 0) {
		out[len++] = code >> 8;
		out[len++] = code & 0xff;
	}
	connection->state = CLOSING;
	return len;
}

/*
 * Answers one complete frame whose unmasked payload is written to `out`
 * behind its header. Returns the answer's length.
 */
static size_t
frame_answer(struct connection *connection, const struct ws_frame *frame,
	     uint8_t *out, const uint8_t *masked)
{
	size_t len = frame->payload_len;
	enum ws_opcode opcode =
	    frame->opcode == WS_PING ? WS_PONG : frame->opcode;
	size_t header_len = ws_header_write(out, frame->is_final, opcode, len);
	uint8_t *payload = out + header_len;

	ws_unmask(payload, masked, len, frame->mask);
	if (frame->opcode == WS_PING)
		return header_len + len;
	if (frame->opcode == WS_PONG)
		return 0;
	if (frame->opcode == WS_CLOSE)
		return close_write(connection, out, close_answer(payload, len));

	if (frame->opcode != WS_CONTINUATION) {
		connection->message = frame->opcode;
		connection->utf8 = (struct utf8){ 0 };
	}
	connection->message_len += len;
	if (connection->message == WS_TEXT &&
	    (!utf8_check(&connection->utf8, payload, len) ||
	     (frame->is_final && connection->utf8.due > 0)))
		return close_write(connection, out, 1007);
	if (frame->is_final) {
		connection->message = WS_CONTINUATION;
		connection->message_len = 0;
	}
	return connection->behaviour == DISCARD ? 0 : header_len + len;
}

/*
 * Answers all complete frames of a buffer inside that buffer. Returns the
 * length of the answers, which start where the buffer does; `pos_r` is the
 * place of the first byte not consumed.
 */
static size_t
frames_answer(struct connection *connection, uint8_t *buf, size_t len,
	      size_t *pos_r)
{
	size_t pos = 0, out = 0;
	struct ws_frame frame;
	int ret;

	while (connection->state == OPEN &&
	       (ret = ws_header_read(&frame, buf + pos, len - pos)) != 0) {
		if (ret > 0 && frame.opcode > WS_PONG)
			ret = -1002;
		else if (ret > 0 && frame.opcode < WS_CLOSE)
			ret = -message_admit(connection, &frame);
		if (ret < 0) {
			/* behind the 4 bytes or more that every frame
			 * before saved, or in the room kept for it */
			out += close_write(connection, buf + out, -ret);
			break;
		}
		if (len - pos - frame.header_len < frame.payload_len)
			break;
		out += frame_answer(connection, &frame, buf + out,
				    buf + pos + frame.header_len);
		pos += frame.header_len + frame.payload_len;
	}
	*pos_r = connection->state == CLOSING ? len : pos;
	return out;
}

static enum behaviour
behaviour_find(const char *head)
{
	static const struct {
		const char *start;
		enum behaviour behaviour;
	} paths[] = { { "GET /discard ", DISCARD },
		      { "GET /flood ", FLOOD },
		      { "GET /ignore ", IGNORE } };
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (strncmp(head, paths[i].start, strlen(paths[i].start)) == 0)
			return paths[i].behaviour;
	return ECHO_ALL;
}

static bool
floods(const struct connection *connection)
{
	return connection->behaviour == FLOOD && connection->state == OPEN &&
	       connection->n_flooded < FLOOD_MESSAGES;
}

/* What to wait for when nothing waits to be sent. */
static uint32_t
events_wanted(const struct connection *connection)
{
	if (connection->behaviour == IGNORE)
		return EPOLLRDHUP;
	return floods(connection) ? EPOLLIN | EPOLLOUT : EPOLLIN;
}

static void
behaviour_begin(struct connection *connection, enum behaviour behaviour)
{
	int size = SMALL_BUFFER;

	connection->behaviour = behaviour;
	if (behaviour != FLOOD && behaviour != IGNORE)
		return;
	setsockopt(connection->fd, SOL_SOCKET,
		   behaviour == FLOOD ? SO_SNDBUF : SO_RCVBUF, &size,
		   sizeof(size));
	watch(connection, events_wanted(connection), EPOLL_CTL_MOD);
}

/* Returns false when the connection is over. */
static bool
out_flush(struct connection *connection)
{
	ssize_t n =
	    send(connection->fd, connection->out + connection->out_pos,
		 connection->out_len - connection->out_pos, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN;
	connection->out_pos += n;
	if (connection->out_pos < connection->out_len)
		return true;
	free(connection->out);
	connection->out = NULL;
	watch(connection, events_wanted(connection), EPOLL_CTL_MOD);
	return connection->state != CLOSING ||
	       shutdown(connection->fd, SHUT_WR) == 0;
}

/* Sends now or keeps what is not taken, and reads no more until it is. */
static bool
out_send(struct connection *connection, const uint8_t *data, size_t len)
{
	ssize_t n =
	    len == 0 ? 0 : send(connection->fd, data, len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		return false;
	if (n < 0)
		n = 0;
	if ((size_t)n == len)
		return connection->state != CLOSING ||
		       shutdown(connection->fd, SHUT_WR) == 0;
	connection->out_pos = 0;
	connection->out_len = len - n;
	connection->out = malloc(connection->out_len);
	if (connection->out == NULL)
		return false;
	memcpy(connection->out, data + n, connection->out_len);
	watch(connection, EPOLLOUT, EPOLL_CTL_MOD);
	return true;
}

/* Sends the next messages of a flood. */
static bool
flood(struct connection *connection)
{
	static uint8_t messages[FLOOD_AT_ONCE * FLOOD_MESSAGE];
	size_t len = 0;
	int i;

	for (i = 0; i < FLOOD_AT_ONCE && floods(connection); i++) {
		/* the header of a length like this has 4 bytes */
		size_t text_len = FLOOD_MESSAGE - 4;
		char *text;
		int n;

		len += ws_header_write(messages + len, true, WS_TEXT, text_len);
		text = (char *)messages + len;
		n = snprintf(text, text_len, "%u ", connection->n_flooded++);
		memset(text + n, 'x', text_len - n);
		len += text_len;
	}
	if (!floods(connection))
		watch(connection, events_wanted(connection), EPOLL_CTL_MOD);
	return out_send(connection, messages, len);
}

/* Keeps buf[pos..len) for the next wake-up, with room for more. */
static bool
in_keep(struct connection *connection, uint8_t *buf, size_t pos, size_t len)
{
	size_t rest = len - pos;

	if (rest == 0) {
		free(connection->in);
		connection->in = NULL;
		connection->in_len = 0;
		return true;
	}
	if (connection->in == NULL || rest == connection->in_size) {
		size_t size =
		    connection->in == NULL && rest < 2048 ? 4096 : rest * 2;
		uint8_t *in = malloc(size + CLOSE_SIZE);

		if (in == NULL)
			return false;
		memcpy(in, buf + pos, rest);
		free(connection->in);
		connection->in = in;
		connection->in_size = size;
	} else {
		memmove(connection->in, buf + pos, rest);
	}
	connection->in_len = rest;
	return true;
}

/* Returns how far the head reaches, 0 when it is incomplete. */
static size_t
head_length(uint8_t *buf, size_t len)
{
	uint8_t *end = memmem(buf, len, "\r\n\r\n", 4);

	return end == NULL ? 0 : (size_t)(end - buf) + 4;
}

static bool
handshake(struct connection *connection, uint8_t *buf, size_t len,
	  size_t *pos_r)
{
	size_t head_len = head_length(buf, len < MAX_HEAD ? len : MAX_HEAD);
	char answer[512];
	size_t answer_len;
	bool is_open;

	*pos_r = head_len;
	if (head_len == 0)
		return len < MAX_HEAD;
	buf[head_len - 1] = '\0'; /* its last line feed; the CRLF stays */
	answer_len =
	    ws_handshake_answer((char *)buf, answer, sizeof(answer), &is_open);
	connection->state = is_open ? OPEN : CLOSING;
	if (is_open)
		behaviour_begin(connection, behaviour_find((char *)buf));
	return out_send(connection, (uint8_t *)answer, answer_len) &&
	       connection->out == NULL;
}

/* Returns false when the connection is over. */
static bool
readable(struct connection *connection)
{
	uint8_t *buf = connection->in ? connection->in : scratch;
	size_t size = connection->in ? connection->in_size : sizeof(scratch);
	size_t len = connection->in_len, pos = 0, consumed, out;
	ssize_t n = recv(connection->fd, buf + len, size - len, 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	if (connection->state == CLOSING)
		return true; /* until the client's end of file */
	len += n;
	if (connection->state == HANDSHAKE &&
	    !handshake(connection, buf, len, &pos))
		return false;
	if (connection->state != HANDSHAKE && connection->out == NULL) {
		out =
		    frames_answer(connection, buf + pos, len - pos, &consumed);
		if (out > 0 && !out_send(connection, buf + pos, out))
			return false;
		pos += consumed;
	}
	return in_keep(connection, buf, pos, len);
}

/* Returns false when the connection is over. */
static bool
handle(struct connection *connection, uint32_t events)
{
	if (connection->out != NULL)
		return out_flush(connection);
	if (connection->behaviour == IGNORE)
		return false; /* all it waits for is the other end's end */
	if (events & EPOLLIN || !floods(connection))
		return readable(connection);
	return flood(connection);
}

static void
accept_all(int listener)
{
	int one = 1, i, fd;

	for (i = 0; i < ACCEPTS_PER_WAKE_UP; i++) {
		struct connection *connection;

		fd =
		    accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (n_connections == MAX_CONNECTIONS ||
		    (connection = calloc(1, sizeof(*connection))) == NULL) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		connection->fd = fd;
		n_connections++;
		watch(connection, EPOLLIN, EPOLL_CTL_ADD);
	}
}

static void
serve(int listener)
{
	struct epoll_event events[EVENTS];
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	int n, i;

	if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) {
		perror("ws-echo: epoll");
		exit(1);
	}
	while ((n = epoll_wait(epoll_fd, events, EVENTS, -1)) >= 0 ||
	       errno == EINTR)
		for (i = 0; i < n; i++) {
			struct connection *connection = events[i].data.ptr;

			if (connection == NULL)
				accept_all(listener);
			else if (!handle(connection, events[i].events))
				connection_destroy(connection);
		}
	perror("ws-echo: epoll_wait");
	exit(1);
}

static int
listen_on(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, len) < 0 ||
	    listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
		perror("ws-echo: listen");
		exit(1);
	}
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

/* A connection is a descriptor: take as many as the system lets us. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	char nothing[] = "";
	char *end = nothing;
	long port = 0;
	int c;

	while ((c = getopt_long(argc, argv, "p:", options, NULL)) == 'p')
		port = strtol(optarg, &end, 10);
	if (c != -1 || optind != argc || *end != '\0' || port < 0 ||
	    port > 65535) {
		fprintf(stderr, "usage: ws-echo [--port N]\n");
		return 2;
	}
	raise_descriptor_limit();
	serve(listen_on(port));
}
