/*
 * Sessions that are opened and closed at once, as fast as the clients can or
 * --rate of them per second. A trip is a session; its time is the create's.
 */
#include "config.h"

#include "load.h"
#include "bench/lib/relay.h"

struct creator {
	unsigned index;
	uint64_t n_created;
	uint64_t began_ns;
	bool is_closing;
	struct creator *next_waiting;
	struct http http;
	char session[80];
	struct answer answer;
};

static struct creator *waiting; /* for their turn, with --rate */
static uint64_t first_ns;
static uint64_t n_begun;

static bool
next_is_due(void)
{
	return load.rate == 0 ||
	       n_begun < (now_ns() - first_ns) / 1e9 * load.rate;
}

static void
create(struct creator *creator)
{
	n_begun++;
	creator->is_closing = false;
	creator->answer.len = 0;
	creator->began_ns = now_ns();
	relay_create(&creator->http, "/",
		     creator->index + load.n_clients * creator->n_created++);
}

static void
advance(struct creator *creator)
{
	if (load.phase == FINISHING) {
		load_finished();
	} else if (next_is_due()) {
		create(creator);
	} else {
		creator->next_waiting = waiting;
		waiting = creator;
	}
}

static void
on_body(struct http *http, const char *data, size_t len)
{
	struct creator *creator = http->owner;

	answer_add(&creator->answer, data, len);
}

static void
on_end(struct http *http)
{
	struct creator *creator = http->owner;

	if (creator->is_closing) {
		if (http->status != 200)
			die("client %u: close: %d %s", creator->index,
			    http->status, creator->answer.text);
		advance(creator);
		return;
	}
	load_trip(creator->began_ns);
	relay_session(creator->session, sizeof(creator->session),
		      creator->index, http->status, creator->answer.text);
	creator->is_closing = true;
	creator->answer.len = 0;
	relay_close(http, creator->session);
}

static const struct http_handler handler = {
	.on_body = on_body,
	.on_end = on_end,
};

static void
start(void *client, unsigned index)
{
	struct creator *creator = client;

	if (index == 0)
		first_ns = now_ns();
	creator->index = index;
	creator->http.handler = &handler;
	creator->http.owner = creator;
	load_started();
	advance(creator);
}

static void
tick(void)
{
	while (waiting && (load.phase == FINISHING || next_is_due())) {
		struct creator *creator = waiting;

		waiting = creator->next_waiting;
		advance(creator);
	}
}

const struct mode create_mode = {
	.name = "create",
	.client_size = sizeof(struct creator),
	.start = start,
	.tick = tick,
};
