/*
 * Members with a WebSocket: text messages that are the frames of a channel or
 * of SockJS, or just the events, as they are with SockJS's raw WebSocket, too.
 * No extension is offered, so nothing is compressed.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/link.h"
#include "fanout.h"

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, MAX_LEN = 64 * 1024 * 1024 };

struct websocket {
	struct member member; /* first */
	bool is_open;
	struct link link;
	/* A message that is larger than the link's buffer, as far as it came. */
	char *large;
	size_t large_len, large_size;
};

static struct websocket *
of_link(struct link *link)
{
	return (struct websocket *)((char *)link -
				    offsetof(struct websocket, link));
}

/* The masking key is zero: the mask costs the server the same. */
static void
frame_write(struct websocket *websocket, int opcode, const char *text,
	    size_t len)
{
	uint8_t frame[6 + 125] = { 0x80 | opcode, 0x80 | len };

	if (len > 125)
		die("a frame of %zu bytes", len);
	memcpy(frame + 6, text, len);
	link_write(&websocket->link, frame, 6 + len);
}

static void
pong(struct member *member)
{
	static const char text[] = "{\"type\":\"PONG\"}";

	frame_write((struct websocket *)member, TEXT, text, sizeof(text) - 1);
}

static void
message_take(struct websocket *websocket, const char *text, size_t len)
{
	struct member *member = &websocket->member;

	if (fanout.kind == &ws_kind)
		member_frame(member, text, len);
	else if (fanout.kind == &sockjs_frames_kind)
		member_sockjs(member, text, len);
	else
		member_event(member, text, len);
}

static void
frame_take(struct websocket *websocket, uint8_t opcode, const char *data,
	   size_t len)
{
	switch (opcode) {
	case 0x80 | TEXT:
		message_take(websocket, data, len);
		break;
	case 0x80 | PING:
		frame_write(websocket, PONG, data, len);
		break;
	case 0x80 | CLOSE:
		die("member %u: closed: %d %.*s", websocket->member.index,
		    len < 2 ? 0 : (uint8_t)data[0] << 8 | (uint8_t)data[1],
		    len < 2 ? 0 : (int)len - 2, data + 2);
	default:
		die("member %u: a frame that begins with %02x",
		    websocket->member.index, opcode);
	}
}

/* Length of a server's header, 0 when it is not all there. */
static size_t
header_read(const uint8_t *data, size_t left, uint64_t *len_r)
{
	size_t n = left < 2 ? 2 : data[1] < 126 ? 2 : data[1] == 126 ? 4 : 10;
	size_t i;

	if (left < n)
		return 0;
	*len_r = n == 2 ? data[1] : 0;
	for (i = 2; i < n; i++)
		*len_r = *len_r << 8 | data[i];
	return n;
}

/* What came of a large message; returns the bytes taken. */
static size_t
large_add(struct websocket *websocket, const uint8_t *data, size_t len)
{
	if (len > websocket->large_size - websocket->large_len)
		len = websocket->large_size - websocket->large_len;
	memcpy(websocket->large + websocket->large_len, data, len);
	websocket->large_len += len;
	if (websocket->large_len == websocket->large_size) {
		message_take(websocket, websocket->large,
			     websocket->large_len);
		free(websocket->large);
		websocket->large = NULL;
	}
	return len;
}

static size_t
large_begin(struct websocket *websocket, const uint8_t *data, size_t left,
	    size_t header_len, uint64_t len)
{
	if (data[0] != (0x80 | TEXT) || len > MAX_LEN)
		die("member %u: a frame of %llu bytes",
		    websocket->member.index, (unsigned long long)len);
	websocket->large = malloc(len);
	if (websocket->large == NULL)
		die("no memory for a message");
	websocket->large_len = 0;
	websocket->large_size = len;
	return header_len +
	    large_add(websocket, data + header_len, left - header_len);
}

/* Takes one frame, or a part of a large one; 0 when bytes are missing. */
static size_t
frame_read(struct websocket *websocket, const uint8_t *data, size_t left)
{
	size_t header_len;
	uint64_t len;

	if (websocket->large != NULL)
		return large_add(websocket, data, left);
	header_len = header_read(data, left, &len);
	if (header_len == 0)
		return 0;
	if (len > LINK_IN_SIZE / 2)
		return large_begin(websocket, data, left, header_len, len);
	if (left - header_len < len)
		return 0;
	frame_take(websocket, data[0], (const char *)data + header_len, len);
	return header_len + len;
}

/* Returns the bytes of the answer to the handshake, 0 if it is not there. */
static size_t
handshake_read(struct websocket *websocket)
{
	char *head = (char *)websocket->link.in;
	char *end = memmem(head, websocket->link.in_len, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	if (strncmp(head, "HTTP/1.1 101 ", 13) != 0)
		die("member %u: handshake: %.200s", websocket->member.index,
		    head);
	websocket->is_open = true;
	if (fanout.kind != &ws_kind && fanout.kind != &sockjs_frames_kind)
		member_joined(&websocket->member, 1);
	return end + 4 - head;
}

static void
on_data(struct link *link)
{
	struct websocket *websocket = of_link(link);
	size_t taken = 0, n;

	if (!websocket->is_open && (taken = handshake_read(websocket)) == 0)
		return;
	while (taken < link->in_len) {
		n = frame_read(websocket, link->in + taken,
			       link->in_len - taken);
		if (n == 0)
			break;
		taken += n;
	}
	link_consume(link, taken);
}

static void
on_end(struct link *link)
{
	die("member %u: the server ended the connection",
	    of_link(link)->member.index);
}

static void
open_member(struct member *member)
{
	struct websocket *websocket = (struct websocket *)member;
	char handshake[MAX_PATH + 256], below[MAX_ID] = "";

	if (fanout.kind == &sockjs_ws_kind)
		snprintf(below, sizeof(below), "/websocket");
	else if (fanout.kind == &sockjs_frames_kind)
		snprintf(below, sizeof(below), "/000/fanout%d-%u/websocket",
			 (int)getpid(), member->index);
	member->pong = pong;
	websocket->link.on_data = on_data;
	websocket->link.on_end = on_end;
	link_connect(&websocket->link, fanout.ws_port);
	link_write(&websocket->link, handshake,
		   snprintf(handshake, sizeof(handshake),
			    "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
			    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
			    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
			    "Sec-WebSocket-Version: 13\r\n\r\n",
			    member_path(member), below));
}

static void
leave(struct member *member)
{
	link_reset(&((struct websocket *)member)->link);
}

const struct kind ws_kind = {
	.name = "ws",
	.hears_joins = true,
	.size = sizeof(struct websocket),
	.open = open_member,
	.leave = leave,
};

const struct kind sockjs_ws_kind = {
	.name = "sockjs-ws",
	.size = sizeof(struct websocket),
	.open = open_member,
	.leave = leave,
};

const struct kind sockjs_frames_kind = {
	.name = "sockjs-frames",
	.size = sizeof(struct websocket),
	.open = open_member,
	.leave = leave,
};

const struct kind raw_ws_kind = {
	.name = "raw-ws",
	.size = sizeof(struct websocket),
	.open = open_member,
	.leave = leave,
};
