/*
 * The floor of a fan-out: a WebSocket server that writes what one connection
 * says to all others, one write() each, and does nothing else. Its members'
 * connections block, so that a slow reader makes it wait and nothing is
 * queued. It prints its port, and ends with the process that started it or by
 * a signal.
 */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/link.h"
#include "bench/lib/server.h"
#include "ws-frame.h"

enum { IN_SIZE = 8192 };

static bool is_open[SERVER_MAX_CONNECTIONS]; /* the handshake is over */
static int fds[SERVER_MAX_CONNECTIONS], n_fds;

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
handshake_take(int fd, char *in, size_t len)
{
	char answer[512], *end = memmem(in, len, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	end[2] = '\0';
	len = ws_handshake_answer(in, answer, sizeof(answer), &is_open[fd]);
	write_all(fd, (uint8_t *)answer, len);
	return end + 4 - in;
}

static size_t
frame_take(int fd, uint8_t *in, size_t len)
{
	struct ws_frame frame;
	uint8_t *text;

	switch (ws_header_read(&frame, in, len)) {
	case 0:
		return 0;
	case 1:
		break;
	default:
		die("a client broke the protocol");
	}
	if (len - frame.header_len < frame.payload_len)
		return 0;
	text = in + frame.header_len;
	ws_unmask(text, text, frame.payload_len, frame.mask);
	if (frame.opcode == WS_TEXT)
		broadcast(fd, text, frame.payload_len);
	return frame.header_len + frame.payload_len;
}

static size_t
connection_take(int fd, char *in, size_t len)
{
	return is_open[fd] ? frame_take(fd, (uint8_t *)in, len) :
			     handshake_take(fd, in, len);
}

static void
connection_opened(int fd)
{
	is_open[fd] = false;
	fds[n_fds++] = fd;
}

static void
connection_closed(int fd)
{
	int i;

	for (i = 0; fds[i] != fd;)
		i++;
	fds[i] = fds[--n_fds];
}

int
main(void)
{
	static const struct server server = {
		.in_size = IN_SIZE - 1,
		.take = connection_take,
		.opened = connection_opened,
		.closed = connection_closed,
	};

	server_run(&server);
}
