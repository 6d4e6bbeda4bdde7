/*
 * Publishers: a POST of a JSON string (polysocket) or of the bare text
 * (nchan), one after the other on one connection; or a WebSocket whose text
 * messages the server passes on to all others.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "bench/lib/http.h"
#include "fanout.h"

static struct http http;
static struct link websocket;
static bool is_open; /* the WebSocket */

static void
on_body(struct http *answer, const char *data, size_t len)
{
	if (answer->status >= 300 && answer->status != 503)
		die("publishing: %d %.*s", answer->status, (int)len, data);
}

static void
on_end(struct http *answer)
{
	if (answer->status == 503)
		publisher_refused();
	else if (answer->status >= 300)
		die("publishing: %d", answer->status);
	publisher_free();
}

static const struct http_handler handler = {
	.on_body = on_body,
	.on_end = on_end,
};

static void
post_open(void)
{
	http.handler = &handler;
	publisher_free();
}

static void
post_json(const char *text, size_t len)
{
	char body[MAX_TEXT + 2];

	body[0] = body[len + 1] = '"';
	memcpy(body + 1, text, len);
	http_post(&http, fanout.publish_path, "application/json", body,
		  len + 2);
}

static void
post_text(const char *text, size_t len)
{
	http_post(&http, fanout.publish_path, "text/plain", text, len);
}

static void
on_data(struct link *link)
{
	char *end = memmem(link->in, link->in_len, "\r\n\r\n", 4);

	if (is_open || (end && strncmp((char *)link->in, "HTTP/1.1 101 ", 13)))
		die("publishing: received %.*s", (int)link->in_len, link->in);
	if (end == NULL)
		return;
	link_consume(link, end + 4 - (char *)link->in);
	is_open = true;
	publisher_free();
}

static void
on_link_end(struct link *link)
{
	(void)link;
	die("publishing: the server ended the connection");
}

static void
ws_open(void)
{
	char handshake[MAX_PATH + 256];

	websocket.on_data = on_data;
	websocket.on_end = on_link_end;
	link_connect(&websocket, fanout.port);
	link_write(&websocket, handshake,
		   snprintf(handshake, sizeof(handshake),
			    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
			    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
			    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
			    "Sec-WebSocket-Version: 13\r\n\r\n",
			    fanout.publish_path));
}

static void
ws_publish(const char *text, size_t len)
{
	uint8_t frame[MAX_TEXT + 8] = { 0x81 };
	size_t pos = 2;

	frame[1] = 0x80 | (len < 126 ? len : 126);
	if (len >= 126) {
		frame[pos++] = len >> 8;
		frame[pos++] = len & 0xff;
	}
	pos += 4; /* a masking key of zero */
	memcpy(frame + pos, text, len);
	link_write(&websocket, frame, pos + len);
	publisher_free();
}

const struct publisher json_publisher = { "json", post_open, post_json };
const struct publisher post_publisher = { "post", post_open, post_text };
const struct publisher ws_publisher = { "ws", ws_open, ws_publish };
