/*
 * Sessions that do nothing, for measuring what they weigh. Three steps, each
 * announced on standard output; a line on standard input asks for the next:
 *
 *   sessions N   N sessions are open, nobody receives
 *   polls N      a poll was sent for each; whether they are held by now only
 *                the bridge knows, as Apache forwards no head without a body
 *   (end)        all are closed
 */
#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "load.h"
#include "bench/lib/relay.h"

enum { MAX_AT_ONCE = 64 };

struct holder {
	unsigned index;
	struct http in;
	struct http out; /* for create and close only */
	char session[80];
	struct answer answer;
};

static struct holder *holders;
static enum { CREATING, IDLE, POLLING, HOLDING, CLOSING } step;
static unsigned n_begun; /* clients that began this step */
static unsigned n_ended; /* and whose answer came */

static void
out_body(struct http *http, const char *data, size_t len)
{
	struct holder *holder = http->owner;

	answer_add(&holder->answer, data, len);
}

static void
out_end(struct http *http)
{
	struct holder *holder = http->owner;

	http_close(http);
	n_ended++;
	if (step == CREATING) {
		relay_session(holder->session, sizeof(holder->session),
			      holder->index, http->status, holder->answer.text);
		load_started();
		return;
	}
	if (http->status != 200)
		die("client %u: close: %d", holder->index, http->status);
	load_finished();
}

static void
in_head(struct http *http)
{
	struct holder *holder = http->owner;

	if (http->status != 200 && step != CLOSING)
		die("client %u: poll: %d", holder->index, http->status);
}

static void
in_body(struct http *http, const char *data, size_t len)
{
	struct holder *holder = http->owner;

	if (step != CLOSING && memmem(data, len, "heartbeat", 9) == NULL)
		die("client %u: poll: %.*s", holder->index, (int)len, data);
}

static void
in_end(struct http *http)
{
	struct holder *holder = http->owner;

	if (step != CLOSING)
		relay_poll(http, holder->session);
}

static const struct http_handler in_handler = {
	.on_head = in_head,
	.on_body = in_body,
	.on_end = in_end,
};

static const struct http_handler out_handler = {
	.on_body = out_body,
	.on_end = out_end,
};

static void
start(void *client, unsigned index)
{
	struct holder *holder = client;

	if (index == 0)
		holders = holder;
	holder->index = index;
	holder->in.handler = &in_handler;
	holder->in.owner = holder;
	holder->out.handler = &out_handler;
	holder->out.owner = holder;
	relay_create(&holder->out, "/", index);
}

static bool
next_is_asked_for(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;

	if (poll(&input, 1, 0) <= 0)
		return false;
	if (read(STDIN_FILENO, &c, 1) != 1)
		load.phase = FINISHING;
	return true;
}

static void
begin_step(int next)
{
	step = next;
	n_begun = n_ended = 0;
}

/* Has a few more clients poll, so many a turn that no queue overflows. */
static void
poll_some(void)
{
	unsigned i;

	for (i = 0; i < MAX_AT_ONCE && n_begun < load.n_clients; i++) {
		struct holder *holder = &holders[n_begun++];

		relay_poll(&holder->in, holder->session);
	}
}

static void
close_some(void)
{
	while (n_begun < load.n_clients && n_begun - n_ended < MAX_AT_ONCE) {
		struct holder *holder = &holders[n_begun++];

		relay_close(&holder->out, holder->session);
	}
}

static void
announce(const char *what)
{
	printf("%s %u\n", what, load.n_clients);
	fflush(stdout);
}

static void
tick(void)
{
	if (load.phase == FINISHING && step != CLOSING)
		begin_step(CLOSING);
	switch (step) {
	case CREATING:
		if (n_ended < load.n_clients)
			break;
		step = IDLE;
		announce("sessions");
		break;
	case IDLE:
		if (next_is_asked_for())
			begin_step(POLLING);
		break;
	case POLLING:
		poll_some();
		if (n_begun < load.n_clients)
			break;
		step = HOLDING;
		announce("polls");
		break;
	case HOLDING:
		if (next_is_asked_for())
			load.phase = FINISHING;
		break;
	case CLOSING:
		close_some();
		break;
	}
}

const struct mode hold_mode = {
	.name = "hold",
	.client_size = sizeof(struct holder),
	.start = start,
	.tick = tick,
	.is_idle = true,
};
