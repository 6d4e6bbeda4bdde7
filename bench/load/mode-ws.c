/*
 * Trips over a plain WebSocket to the echo target, without web server and
 * relay: the floor of what a trip costs.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "bench/lib/link.h"
#include "load.h"

struct websocket {
	struct link link; /* first: the link's callbacks find us by it */
	unsigned index;
	bool is_open;
	uint64_t n_sent;
	uint64_t sent_ns;
};

/* The masking key is zero: the mask costs the target the same. */
static size_t
header_write(uint8_t *out, size_t len, bool is_masked)
{
	size_t pos = 0;

	out[pos++] = 0x81;
	out[pos++] = (is_masked ? 0x80 : 0) | (len < 126 ? len : 126);
	if (len >= 126) {
		out[pos++] = len >> 8;
		out[pos++] = len & 0xff;
	}
	if (is_masked)
		memset(out + pos, 0, 4);
	return pos + (is_masked ? 4 : 0);
}

static void
send_message(struct websocket *websocket)
{
	uint8_t frame[MAX_PAYLOAD + 8];
	size_t len = header_write(frame, load.payload_len, true);

	memcpy(frame + len, payload(websocket->index, websocket->n_sent++),
	       load.payload_len);
	websocket->sent_ns = now_ns();
	link_write(&websocket->link, frame, len + load.payload_len);
}

static bool
handshake_read(struct websocket *websocket)
{
	struct link *link = &websocket->link;
	char *head = (char *)link->in;
	char *end = memmem(head, link->in_len, "\r\n\r\n", 4);

	if (end == NULL)
		return false;
	if (strncmp(head, "HTTP/1.1 101 ", 13) != 0)
		die("client %u: handshake: %.60s", websocket->index, head);
	link_consume(link, end + 4 - head);
	websocket->is_open = true;
	load_started();
	return true;
}

static bool
message_read(struct websocket *websocket)
{
	struct link *link = &websocket->link;
	uint8_t header[8];
	size_t header_len = header_write(header, load.payload_len, false);
	const char *expected = payload(websocket->index, websocket->n_sent - 1);

	if (link->in_len < header_len + load.payload_len)
		return false;
	if (memcmp(link->in, header, header_len) != 0 ||
	    memcmp(link->in + header_len, expected, load.payload_len) != 0)
		die("client %u: expected %s, got %.*s", websocket->index,
		    expected, (int)link->in_len, link->in);
	link_consume(link, header_len + load.payload_len);
	load_trip(websocket->sent_ns);
	return true;
}

static void
on_data(struct link *link)
{
	struct websocket *websocket = (struct websocket *)link;

	if (!(websocket->is_open ? message_read(websocket)
				 : handshake_read(websocket)))
		return;
	if (link->in_len > 0)
		die("client %u: bytes behind a message", websocket->index);
	if (load.phase == FINISHING) {
		link_close(link);
		load_finished();
	} else {
		send_message(websocket);
	}
}

static void
on_end(struct link *link)
{
	(void)link;
	die("the target closed a connection");
}

static void
start(void *client, unsigned index)
{
	static const char handshake[] =
	    "GET / HTTP/1.1\r\n"
	    "Host: 127.0.0.1\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n";
	struct websocket *websocket = client;

	websocket->index = index;
	websocket->link.on_data = on_data;
	websocket->link.on_end = on_end;
	link_connect(&websocket->link, load.port);
	link_write(&websocket->link, handshake, sizeof(handshake) - 1);
}

const struct mode ws_mode = {
	.name = "ws",
	.client_size = sizeof(struct websocket),
	.start = start,
};
