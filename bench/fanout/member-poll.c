/*
 * Members that poll, again when they have the answer: a channel's, with an
 * acknowledgement, nchan's, which tells by two header fields what comes next,
 * and SockJS's.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/http.h"
#include "fanout.h"
#include "text.h"

struct poller {
	struct member member; /* first */
	struct http http;
	struct text body;
	unsigned long long seq;	    /* of the last frame */
	char modified[64], etag[64]; /* of nchan's last answer */
};

static void
poll_channel(struct poller *poller)
{
	const struct member *member = &poller->member;
	char path[MAX_PATH + 4 * MAX_ID];
	int len = snprintf(path, sizeof(path), "%s?transport=xhr",
			   member_path(member));

	if (*member->key != '\0')
		snprintf(path + len, sizeof(path) - len,
			 "&client=%s&key=%s&ack=%llu", member->client,
			 member->key, poller->seq);
	http_get(&poller->http, path);
}

static void
poll_nchan(struct poller *poller)
{
	char own[256] = "";

	if (*poller->etag != '\0')
		snprintf(own, sizeof(own),
			 "If-Modified-Since: %s\r\nIf-None-Match: %s\r\n",
			 poller->modified, poller->etag);
	http_get_with(&poller->http, member_path(&poller->member), own);
}

static void
poll_sockjs(struct poller *poller)
{
	char path[MAX_PATH + MAX_ID];

	snprintf(path, sizeof(path), "%s/000/fanout%d-%u/xhr", fanout.path,
		 (int)getpid(), poller->member.index);
	http_post(&poller->http, path, "text/plain", "", 0);
}

static void
poll_again(struct poller *poller)
{
	if (fanout.kind == &nchan_poll_kind)
		poll_nchan(poller);
	else if (fanout.kind == &sockjs_poll_kind)
		poll_sockjs(poller);
	else
		poll_channel(poller);
}

/* {"success":true,"events":[FRAME,FRAME],"seq":N} */
static void
answer_take(struct poller *poller)
{
	static const char begin[] = "{\"success\":true,\"events\":[";
	static const char type[] = "{\"type\":\"";
	char *frame = poller->body.data + sizeof(begin) - 1, *next, *end, *seq;

	text_add(&poller->body, "", 1);
	end = poller->body.data + poller->body.len - 1;
	seq = memrchr(poller->body.data, ']', poller->body.len);
	if (strncmp(poller->body.data, begin, sizeof(begin) - 1) != 0 ||
	    seq == NULL)
		die("member %u: received %.200s", poller->member.index,
		    poller->body.data);
	if (strncmp(seq, "],\"seq\":", 8) == 0)
		poller->seq = strtoull(seq + 8, NULL, 10);
	for (; frame < seq; frame = next) {
		next = memmem(frame + 1, end - frame - 1, type,
			      sizeof(type) - 1);
		if (next == NULL)
			next = end;
		member_frame(&poller->member, frame, next - frame);
	}
}

/* The value of a field of the answer's head. */
static void
field_copy(char *out, size_t size, const struct http *http, const char *name)
{
	const char *field = strcasestr((const char *)http->link.in, name);
	size_t len;

	field = field ? field + strlen(name) : "";
	len = strcspn(field, "\r");
	if (len == 0 || len >= size)
		die("no %s", name);
	memcpy(out, field, len);
	out[len] = '\0';
}

static void
on_head(struct http *http)
{
	struct poller *poller = http->owner;

	if (http->status != 200)
		die("member %u: %d", poller->member.index, http->status);
	if (fanout.kind != &nchan_poll_kind)
		return;
	field_copy(poller->modified, sizeof(poller->modified), http,
		   "\r\nLast-Modified: ");
	field_copy(poller->etag, sizeof(poller->etag), http, "\r\nEtag: ");
}

static void
on_body(struct http *http, const char *data, size_t len)
{
	struct poller *poller = http->owner;

	text_add(&poller->body, data, len);
}

static void
on_end(struct http *http)
{
	struct poller *poller = http->owner;

	if (fanout.kind == &nchan_poll_kind)
		member_event(&poller->member, poller->body.data,
			     poller->body.len);
	else if (fanout.kind == &sockjs_poll_kind)
		member_sockjs(&poller->member, poller->body.data,
			      poller->body.len - (poller->body.len > 0));
	else
		answer_take(poller);
	text_empty(&poller->body);
	poll_again(poller);
}

static const struct http_handler handler = {
	.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
};

static void
open_member(struct member *member)
{
	struct poller *poller = (struct poller *)member;

	poller->http.handler = &handler;
	poller->http.owner = poller;
	if (fanout.kind == &nchan_poll_kind) {
		/* What it misses until it is there, nchan has kept. */
		poll_nchan(poller);
		member_joined(member, 1);
	} else {
		poll_again(poller);
	}
}

static void
leave(struct member *member)
{
	http_reset(&((struct poller *)member)->http);
}

const struct kind poll_kind = {
	.name = "poll",
	.hears_joins = true,
	.size = sizeof(struct poller),
	.open = open_member,
	.leave = leave,
};

const struct kind nchan_poll_kind = {
	.name = "nchan-poll",
	.size = sizeof(struct poller),
	.open = open_member,
	.leave = leave,
};

const struct kind sockjs_poll_kind = {
	.name = "sockjs-poll",
	.size = sizeof(struct poller),
	.open = open_member,
	.leave = leave,
};
