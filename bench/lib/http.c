#include "config.h"

#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint16_t server_port;
static char fields[256]; /* of every request */

void
http_init(uint16_t port, const char *origin)
{
	int len =
	    snprintf(fields, sizeof(fields), "Host: 127.0.0.1:%d\r\n%s%s%s",
		     port, origin ? "Origin: " : "", origin ? origin : "",
		     origin ? "\r\n" : "");

	if (len >= (int)sizeof(fields))
		die("origin too long");
	server_port = port;
}

static void
answer_end(struct http *http)
{
	http->state = HTTP_HEAD;
	http->is_busy = false;
	if (http->is_last)
		link_close(&http->link);
	http->handler->on_end(http);
}

static void
field_read(struct http *http, const char *line)
{
	if (strncasecmp(line, "Content-Length:", 15) == 0) {
		http->left = strtoull(line + 15, NULL, 10);
		http->state = HTTP_LENGTH;
	} else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0) {
		http->state = HTTP_CHUNK_SIZE;
	} else if (strncasecmp(line, "Connection: close", 17) == 0) {
		http->is_last = true;
	}
}

/* Returns the bytes taken, 0 when the head is incomplete. */
static size_t
head_read(struct http *http)
{
	char *head = (char *)http->link.in;
	char *end = memmem(head, http->link.in_len, "\r\n\r\n", 4), *line;

	if (end == NULL)
		return 0;
	end[2] = '\0';
	http->status = 0;
	http->is_last = strncmp(head, "HTTP/1.1 ", 9) != 0;
	sscanf(head, "HTTP/1.%*d %d", &http->status);
	if (http->status < 200)
		die("not an answer: %.60s", head);
	http->state = HTTP_UNTIL_END;
	for (line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n"))
		field_read(http, line += 2);
	if (http->status == 204 || http->status == 304) {
		http->state = HTTP_LENGTH;
		http->left = 0;
	}
	if (http->state == HTTP_UNTIL_END)
		http->is_last = true;
	if (http->handler->on_head)
		http->handler->on_head(http);
	return end + 4 - head;
}

static size_t
chunk_size_read(struct http *http)
{
	char *line = (char *)http->link.in, *stop;
	char *end = memmem(line, http->link.in_len, "\r\n", 2);

	if (end == NULL)
		return 0;
	http->left = strtoull(line, &stop, 16);
	if (stop == line)
		die("not a chunk's size: %.20s", line);
	http->state = http->left > 0 ? HTTP_CHUNK : HTTP_TRAILER;
	return end + 2 - line;
}

static size_t
body_read(struct http *http, uint64_t limit)
{
	size_t len = http->link.in_len;

	if (len > limit)
		len = limit;
	if (len > 0)
		http->handler->on_body(http, (char *)http->link.in, len);
	return len;
}

static size_t
chunk_read(struct http *http)
{
	size_t len;

	if (http->left == 0) { /* the line end behind the chunk's data */
		if (http->link.in_len < 2)
			return 0;
		http->state = HTTP_CHUNK_SIZE;
		return 2;
	}
	len = body_read(http, http->left);
	http->left -= len;
	return len;
}

/* No server sends trailers to a client that did not ask for them. */
static size_t
trailer_read(struct http *http)
{
	if (http->link.in_len < 2)
		return 0;
	if (memcmp(http->link.in, "\r\n", 2) != 0)
		die("a chunked answer with a trailer");
	return 2;
}

/* Reads one element. Returns the bytes taken, 0 when there are too few. */
static size_t
element_read(struct http *http, bool *is_end_r)
{
	size_t len = 0;

	switch (http->state) {
	case HTTP_HEAD:
		len = head_read(http);
		*is_end_r = http->state == HTTP_LENGTH && http->left == 0;
		break;
	case HTTP_LENGTH:
		len = body_read(http, http->left);
		http->left -= len;
		*is_end_r = http->left == 0;
		break;
	case HTTP_UNTIL_END:
		len = body_read(http, SIZE_MAX);
		break;
	case HTTP_CHUNK_SIZE:
		len = chunk_size_read(http);
		break;
	case HTTP_CHUNK:
		len = chunk_read(http);
		break;
	case HTTP_TRAILER:
		len = trailer_read(http);
		*is_end_r = len > 0;
		break;
	}
	return len;
}

static void
on_data(struct link *link)
{
	struct http *http = (struct http *)link;
	bool is_end = false;
	size_t len;

	while (link->in_len > 0) {
		if (!http->is_busy)
			die("bytes behind an answer: %.60s", (char *)link->in);
		len = element_read(http, &is_end);
		if (len == 0)
			return;
		link_consume(link, len);
		if (is_end) {
			is_end = false;
			answer_end(http);
		}
	}
}

/* A connection that was not in use is just made anew. */
static void
on_failed(struct link *link)
{
	struct http *http = (struct http *)link;
	bool was_busy = http->is_busy;

	http->is_busy = false;
	if (was_busy)
		http->handler->on_failed(http);
}

static void
on_end(struct link *link);

static void
request_send(struct http *http, const char *request, size_t len)
{
	http->is_reused = http->link.fd != 0;
	if (!http->is_reused) {
		http->link.on_data = on_data;
		http->link.on_end = on_end;
		http->link.on_failed =
		    http->handler->on_failed ? on_failed : NULL;
		link_connect(&http->link, server_port);
		if (http->link.fd == 0)
			return; /* the handler knows */
	}
	http->state = HTTP_HEAD;
	link_write(&http->link, request, len);
}

static void
on_end(struct link *link)
{
	struct http *http = (struct http *)link;

	if (http->is_busy && http->state == HTTP_UNTIL_END)
		answer_end(http);
	else if (http->is_busy && http->handler->on_failed != NULL)
		on_failed(link);
	else if (http->is_busy && http->is_reused &&
		 http->state == HTTP_HEAD && link->in_len == 0)
		request_send(http, http->request, http->request_len);
	else if (http->is_busy)
		die("the server closed the connection instead of answering");
}

/* For a connection that turns out to be closed; see on_end(). */
static void
request_keep(struct http *http, const char *request, size_t len)
{
	if (len > http->request_size) {
		http->request = realloc(http->request, len);
		if (http->request == NULL)
			die("no memory for a request");
		http->request_size = len;
	}
	memcpy(http->request, request, len);
	http->request_len = len;
}

static void
request_write(struct http *http, const char *request, size_t len)
{
	if (http->is_busy)
		die("a second request before the answer to the first");
	if (http->handler->on_failed == NULL)
		request_keep(http, request, len);
	http->is_busy = true;
	request_send(http, request, len);
}

void
http_get(struct http *http, const char *path)
{
	http_get_with(http, path, "");
}

void
http_get_with(struct http *http, const char *path, const char *own)
{
	char request[512];
	int len = snprintf(request, sizeof(request),
			   "GET %s HTTP/1.1\r\n%s%s\r\n", path, fields, own);

	if (len >= (int)sizeof(request))
		die("path too long");
	request_write(http, request, len);
}

void
http_post(struct http *http, const char *path, const char *type,
	  const char *body, size_t body_len)
{
	static char request[LINK_IN_SIZE];
	int len = snprintf(request, sizeof(request),
			   "POST %s HTTP/1.1\r\n%s"
			   "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
			   path, fields, type, body_len);

	if (len >= (int)sizeof(request) || body_len > sizeof(request) - len)
		die("request too long");
	memcpy(request + len, body, body_len);
	request_write(http, request, len + body_len);
}

void
http_close(struct http *http)
{
	link_close(&http->link);
	http->is_busy = false;
}

void
http_reset(struct http *http)
{
	link_reset(&http->link);
	http->is_busy = false;
}

void
http_abandon(struct http *http)
{
	link_abandon(&http->link);
	http->is_busy = false;
}
