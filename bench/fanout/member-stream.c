/*
 * Members with a stream over HTTP, read line by line: EventSource of a channel
 * and of nchan, frames a line of a channel, SockJS's XHR streaming. One that
 * the server ends is opened again.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/http.h"
#include "fanout.h"
#include "text.h"

struct stream {
	struct member member; /* first */
	struct http http;
	struct text rest;	/* a line as far as it came */
	char last_id[3 * MAX_ID]; /* of an event of EventSource */
};

static void
eventsource_line(struct stream *stream, const char *line, size_t len)
{
	if (len > 6 && memcmp(line, "data: ", 6) == 0) {
		if (fanout.kind == &eventsource_kind)
			member_frame(&stream->member, line + 6, len - 6);
		else
			member_event(&stream->member, line + 6, len - 6);
	} else if (len > 4 && memcmp(line, "id: ", 4) == 0) {
		if (len - 4 >= sizeof(stream->last_id))
			die("member %u: id %.*s", stream->member.index,
			    (int)len, line);
		memcpy(stream->last_id, line + 4, len - 4);
		stream->last_id[len - 4] = '\0';
	}
}

static void
frame_line(struct stream *stream, const char *line, size_t len)
{
	for (; len > 0 && *line == ' '; len--) /* the prelude */
		line++;
	if (len > 0)
		member_frame(&stream->member, line, len);
}

static void
line_take(struct stream *stream, const char *line, size_t len)
{
	if (fanout.kind == &sockjs_lines_kind)
		member_sockjs(&stream->member, line, len);
	else if (fanout.kind == &lines_kind)
		frame_line(stream, line, len);
	else
		eventsource_line(stream, line, len);
}

static void
on_body(struct http *http, const char *data, size_t len)
{
	struct stream *stream = http->owner;
	const char *end;

	while ((end = memchr(data, '\n', len)) != NULL) {
		if (stream->rest.len > 0) {
			text_add(&stream->rest, data, end - data);
			line_take(stream, stream->rest.data, stream->rest.len);
			text_empty(&stream->rest);
		} else {
			line_take(stream, data, end - data);
		}
		len -= end + 1 - data;
		data = end + 1;
	}
	if (len > 0)
		text_add(&stream->rest, data, len);
}

static void
open_eventsource(struct stream *stream)
{
	char own[256] = "Accept: text/event-stream\r\n";
	size_t len = strlen(own);

	if (*stream->last_id != '\0')
		snprintf(own + len, sizeof(own) - len, "Last-Event-ID: %s\r\n",
			 stream->last_id);
	http_get_with(&stream->http, member_path(&stream->member), own);
}

static void
open_lines(struct stream *stream)
{
	const struct member *member = &stream->member;
	char path[MAX_PATH + 4 * MAX_ID];
	int len = snprintf(path, sizeof(path), "%s?transport=xhr-streaming",
			   member_path(member));

	if (*member->key != '\0')
		snprintf(path + len, sizeof(path) - len, "&client=%s&key=%s",
			 member->client, member->key);
	http_get(&stream->http, path);
}

static void
open_sockjs(struct stream *stream)
{
	char path[MAX_PATH + MAX_ID];

	snprintf(path, sizeof(path), "%s/000/fanout%d-%u/xhr_streaming",
		 fanout.path, (int)getpid(), stream->member.index);
	http_post(&stream->http, path, "text/plain", "", 0);
}

static void
open_stream(struct stream *stream)
{
	if (fanout.kind == &sockjs_lines_kind)
		open_sockjs(stream);
	else if (fanout.kind == &lines_kind)
		open_lines(stream);
	else
		open_eventsource(stream);
}

static void
on_head(struct http *http)
{
	struct stream *stream = http->owner;

	if (http->status != 200)
		die("member %u: %d", stream->member.index, http->status);
	if (fanout.kind == &nchan_eventsource_kind &&
	    !stream->member.has_joined)
		member_joined(&stream->member, 1);
}

static void
on_end(struct http *http)
{
	struct stream *stream = http->owner;

	if (stream->rest.len > 0)
		die("member %u: a stream ends with %.*s",
		    stream->member.index, (int)stream->rest.len,
		    stream->rest.data);
	open_stream(stream);
}

static const struct http_handler handler = {
	.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
};

static void
open_member(struct member *member)
{
	struct stream *stream = (struct stream *)member;

	stream->http.handler = &handler;
	stream->http.owner = stream;
	open_stream(stream);
}

static void
leave(struct member *member)
{
	http_reset(&((struct stream *)member)->http);
}

#define KIND(variable, text, hears)                                            \
	const struct kind variable = {                                         \
		.name = text,                                                  \
		.hears_joins = hears,                                          \
		.size = sizeof(struct stream),                                 \
		.open = open_member,                                           \
		.leave = leave,                                                \
	}

KIND(eventsource_kind, "eventsource", true);
KIND(nchan_eventsource_kind, "nchan-eventsource", false);
KIND(lines_kind, "lines", true);
KIND(sockjs_lines_kind, "sockjs-lines", false);
