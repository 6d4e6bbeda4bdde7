/*
 * Requests that the front answers as fast as it can: what no service behind
 * it can exceed. GET, or POST with a body of --post-bytes.
 */
#include "config.h"

#include <string.h>

#include "bench/lib/http.h"
#include "load.h"

struct requester {
	unsigned index;
	uint64_t began_ns;
	struct http http;
	size_t answer_len;
};

static void
request(struct requester *requester)
{
	static const char zeros[MAX_PAYLOAD];

	requester->answer_len = 0;
	requester->began_ns = now_ns();
	if (load.post_len > 0)
		http_post(&requester->http, "/ceiling", "application/json",
			  zeros, load.post_len);
	else
		http_get(&requester->http, "/ceiling");
}

static void
on_body(struct http *http, const char *data, size_t len)
{
	struct requester *requester = http->owner;

	if (len > 3 - requester->answer_len ||
	    memcmp(data, &"ok\n"[requester->answer_len], len) != 0)
		die("client %u: received %.*s", requester->index, (int)len,
		    data);
	requester->answer_len += len;
}

static void
on_end(struct http *http)
{
	struct requester *requester = http->owner;

	if (http->status != 200 || requester->answer_len != 3)
		die("client %u: answer %d", requester->index, http->status);
	load_trip(requester->began_ns);
	if (load.phase == FINISHING)
		load_finished();
	else
		request(requester);
}

static const struct http_handler handler = {
	.on_body = on_body,
	.on_end = on_end,
};

static void
start(void *client, unsigned index)
{
	struct requester *requester = client;

	requester->index = index;
	requester->http.handler = &handler;
	requester->http.owner = requester;
	request(requester);
	load_started();
}

const struct mode ceiling_mode = {
	.name = "ceiling",
	.client_size = sizeof(struct requester),
	.start = start,
};
