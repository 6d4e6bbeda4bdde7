/*
 * Publishers: POSTs of a JSON string (a channel of polysocket), of it as the
 * message of an object (an application) or of the bare text (nchan), on as many
 * connections as events may be under way; or one WebSocket whose
 * text messages the server passes on to all others.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "bench/lib/http.h"
#include "fanout.h"

struct poster {
	struct http http;
	const char *type;
	size_t len;
	char body[MAX_TEXT + 16];
};

static struct poster posters[MAX_WINDOW];
static struct link websocket;
static bool is_open; /* the WebSocket */

static void
post(struct poster *poster)
{
	http_post(&poster->http, fanout.publish_path, poster->type,
		  poster->body, poster->len);
}

static void
on_body(struct http *http, const char *data, size_t len)
{
	if (http->status >= 300 && http->status != 503)
		die("publishing: %d %.*s", http->status, (int)len, data);
}

static void
on_end(struct http *http)
{
	if (http->status == 503) {
		publisher_refused();
		post(http->owner);
	} else if (http->status >= 300) {
		die("publishing: %d", http->status);
	} else {
		publisher_free();
	}
}

static const struct http_handler handler = {
	.on_body = on_body,
	.on_end = on_end,
};

static void
post_open(void)
{
	for (int i = 0; i < MAX_WINDOW; i++) {
		posters[i].http.handler = &handler;
		posters[i].http.owner = &posters[i];
	}
	publisher_free();
}

static struct poster *
find_free(void)
{
	int i = 0;

	while (i < MAX_WINDOW && posters[i].http.is_busy)
		i++;
	return i < MAX_WINDOW ? &posters[i] : NULL;
}

/* The text with what stands before and behind it. */
static bool
publish(const char *type, const char *before, const char *text, size_t len,
	const char *behind)
{
	struct poster *poster = find_free();

	if (poster == NULL)
		return false;
	poster->type = type;
	poster->len = snprintf(poster->body, sizeof(poster->body), "%s%.*s%s",
			       before, (int)len, text, behind);
	post(poster);
	return true;
}

static bool
publish_json(const char *text, size_t len)
{
	return publish("application/json", "\"", text, len, "\"");
}

static bool
publish_message(const char *text, size_t len)
{
	return publish("application/json", "{\"message\":\"", text, len,
		       "\"}");
}

static bool
publish_text(const char *text, size_t len)
{
	return publish("text/plain", "", text, len, "");
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

static bool
ws_publish(const char *text, size_t len)
{
	uint8_t frame[MAX_TEXT + 8] = { 0x81 };
	size_t pos = 2;

	if (!is_open)
		return false;
	frame[1] = 0x80 | (len < 126 ? len : 126);
	if (len >= 126) {
		frame[pos++] = len >> 8;
		frame[pos++] = len & 0xff;
	}
	pos += 4; /* a masking key of zero */
	memcpy(frame + pos, text, len);
	link_write(&websocket, frame, pos + len);
	return true;
}

const struct publisher json_publisher = { "json", post_open, publish_json };
const struct publisher message_publisher = { "message", post_open,
					     publish_message };
const struct publisher post_publisher = { "post", post_open, publish_text };
const struct publisher ws_publisher = { "ws", ws_open, ws_publish };
