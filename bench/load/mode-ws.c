/*
 * Trips over a plain WebSocket to the echo target, without web server and
 * relay: the floor of what a trip costs; and over one of SockJS, where a text
 * is in the frame ["..."] and its echo in a["..."].
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/link.h"
#include "load.h"

struct websocket {
	struct link link; /* first: the link's callbacks find us by it */
	unsigned index;
	bool is_sockjs;
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

/* What stands around a message on its way up, or down. */
static size_t
text_write(char *out, const struct websocket *websocket, bool is_up)
{
	const char *text = payload(websocket->index, websocket->n_sent - 1);
	const char *before = !websocket->is_sockjs ? ""
	    : is_up				   ? "[\""
						   : "a[\"";

	return snprintf(out, MAX_PAYLOAD + 8, "%s%s%s", before, text,
			websocket->is_sockjs ? "\"]" : "");
}

static void
send_message(struct websocket *websocket)
{
	uint8_t frame[MAX_PAYLOAD + 16];
	char text[MAX_PAYLOAD + 8];
	size_t len, header_len;

	websocket->n_sent++;
	len = text_write(text, websocket, true);
	header_len = header_write(frame, len, true);
	memcpy(frame + header_len, text, len);
	websocket->sent_ns = now_ns();
	link_write(&websocket->link, frame, header_len + len);
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

/* A frame of one letter: the greeting, or a heartbeat. */
static bool
letter_read(struct websocket *websocket, char letter)
{
	const uint8_t frame[] = { 0x81, 1, letter };
	struct link *link = &websocket->link;

	if (link->in_len < sizeof(frame) ||
	    memcmp(link->in, frame, sizeof(frame)) != 0)
		return false;
	link_consume(link, sizeof(frame));
	return true;
}

static bool
message_read(struct websocket *websocket)
{
	struct link *link = &websocket->link;
	char expected[MAX_PAYLOAD + 8];
	uint8_t header[8];
	size_t len = text_write(expected, websocket, false);
	size_t header_len = header_write(header, len, false);

	if (link->in_len < header_len + len)
		return false;
	if (memcmp(link->in, header, header_len) != 0 ||
	    memcmp(link->in + header_len, expected, len) != 0)
		die("client %u: expected %s, got %.*s", websocket->index,
		    expected, (int)link->in_len, link->in);
	link_consume(link, header_len + len);
	load_trip(websocket->sent_ns);
	return true;
}

/* False: there is nothing to say yet. */
static bool
may_send(struct websocket *websocket)
{
	if (!websocket->is_open && !handshake_read(websocket))
		return false;
	if (!websocket->is_sockjs)
		return websocket->n_sent == 0 || message_read(websocket);
	while (letter_read(websocket, 'h'))
		;
	return websocket->n_sent == 0 ? letter_read(websocket, 'o')
				      : message_read(websocket);
}

static void
on_data(struct link *link)
{
	struct websocket *websocket = (struct websocket *)link;

	if (!may_send(websocket))
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
start_at(struct websocket *websocket, unsigned index, const char *path)
{
	char handshake[1024];

	websocket->index = index;
	websocket->link.on_data = on_data;
	websocket->link.on_end = on_end;
	link_connect(&websocket->link, load.port);
	link_write(&websocket->link, handshake,
		   snprintf(handshake, sizeof(handshake),
			    "GET %s HTTP/1.1\r\n"
			    "Host: 127.0.0.1\r\n"
			    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
			    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
			    "Sec-WebSocket-Version: 13\r\n\r\n",
			    path));
}

static void
start(void *client, unsigned index)
{
	start_at(client, index, "/");
}

static void
sockjs_start(void *client, unsigned index)
{
	struct websocket *websocket = client;
	char path[512];

	snprintf(path, sizeof(path), "%s%s/000/bench%d-%u/websocket",
		 load.prefix, load.path, (int)getpid(), index);
	websocket->is_sockjs = true;
	start_at(websocket, index, path);
}

const struct mode ws_mode = {
	.name = "ws",
	.client_size = sizeof(struct websocket),
	.start = start,
};

const struct mode sockjs_ws_mode = {
	.name = "sockjs-ws",
	.client_size = sizeof(struct websocket),
	.start = sockjs_start,
};
