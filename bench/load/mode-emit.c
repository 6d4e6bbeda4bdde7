/*
 * Emits to a channel, at --path: an event of --bytes each, which has to be
 * queued for --delivered members.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "bench/lib/relay.h"
#include "load.h"

struct emitter {
	unsigned index;
	uint64_t n_sent;
	uint64_t began_ns;
	struct http http;
	struct answer answer;
};

static void
emit(struct emitter *emitter)
{
	char path[512], body[MAX_PAYLOAD + 2];
	int len = load.payload_len + 2;

	snprintf(path, sizeof(path), "%s%s", load.prefix, load.path);
	body[0] = body[len - 1] = '"';
	memcpy(body + 1, payload(emitter->index, emitter->n_sent++),
	       load.payload_len);
	emitter->answer.len = 0;
	emitter->began_ns = now_ns();
	http_post(&emitter->http, path, "application/json", body, len);
}

static void
on_body(struct http *http, const char *data, size_t len)
{
	struct emitter *emitter = http->owner;

	answer_add(&emitter->answer, data, len);
}

static void
on_end(struct http *http)
{
	struct emitter *emitter = http->owner;
	char delivered[32];

	snprintf(delivered, sizeof(delivered), "\"delivered\":%u}",
		 load.n_delivered);
	if (http->status != 200 ||
	    strstr(emitter->answer.text, delivered) == NULL)
		die("client %u: emit: %d %s", emitter->index, http->status,
		    emitter->answer.text);
	load_trip(emitter->began_ns);
	if (load.phase == FINISHING)
		load_finished();
	else
		emit(emitter);
}

static const struct http_handler handler = {
	.on_body = on_body,
	.on_end = on_end,
};

static void
start(void *client, unsigned index)
{
	struct emitter *emitter = client;

	emitter->index = index;
	emitter->http.handler = &handler;
	emitter->http.owner = emitter;
	load_started();
	emit(emitter);
}

const struct mode emit_mode = {
	.name = "emit",
	.client_size = sizeof(struct emitter),
	.start = start,
};
