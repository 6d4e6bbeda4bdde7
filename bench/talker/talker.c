#include "config.h"

#include "talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

enum {
	SEND_BYTES = 12 * 1024, /* with its head in LINK_IN_SIZE */
	SEND_ITEMS = 200,       /* max_events is 256 */
	ITEM_BYTES = 100,       /* of a short message, with what is around */
	PATIENCE_S = 5,         /* heartbeats come every 2 s */
	ASK_AGAIN_S = 2,
	MIXED_STREAM_S = 3,
	MIXED_ONE_IN = 16
};

static const struct http_handler in_handler, out_handler;

/* Failures. */

static void
failed(struct talker *talker, struct back_off *back_off)
{
	const struct tongue *tongue = talker->tongue;

	talk.n_retries++;
	if (back_off->ms == 0)
		back_off->ms = tongue->back_off_ms;
	back_off->until_ns =
	    now_ns() +
	    (back_off->ms / 2 + talk_random(back_off->ms)) * NS_PER_MS;
	if ((back_off->ms *= 2) > tongue->max_back_off_ms)
		back_off->ms = tongue->max_back_off_ms;
	if (!tongue->is_resumed)
		talker->is_over = true;
}

/* An answer that is neither what was asked for nor the end of everything. */
static void
refused(struct talker *talker, struct http *http, const struct text *text)
{
	bool is_in = http == &talker->in;

	switch (http->status) {
	case 403:
		if (talker->state == OPENING)
			die("client %u: opening: %s", talker->index,
			    text->len > 0 ? text->data : "403");
		if (is_in)
			talk.n_refused++;
		talker->is_over = is_in || talker->state == CLOSING;
		/*
		 * A session that closes takes no sends, and has something to
		 * say yet. One that is gone may be received from all the same
		 * while the web server keeps the end of a stream to itself.
		 */
		if (!is_in && !talker->is_shut)
			http_close(&talker->in);
		talker->is_shut = true;
		return;
	case 408:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		break;
	default:
		if (talker->tongue->is_resumed)
			die("client %u: %s: %d %s", talker->index,
			    is_in ? "receive" : "send", http->status,
			    text->data ? text->data : "");
	}
	failed(talker, is_in ? &talker->in_back_off : &talker->out_back_off);
}

/* Conversation and session. */

static void
session_reset(struct talker *talker)
{
	http_close(&talker->in);
	http_close(&talker->out);
	text_clear(&talker->in_text);
	text_clear(&talker->out_text);
	talker->is_over = talker->is_heard = talker->is_shut = false;
	talker->step = 0;
	talker->n_taken = talker->ack = 0;
	talker->asked_ns = 0;
}

static void
conversation_begin(struct talker *talker, uint64_t now)
{
	session_reset(talker);
	score_reset(&talker->down);
	talker->first = talker->n_queued = talker->n_in_flight = 0;
	talker->n_created = 0;
	talker->recovery = (struct recovery){ 0 };
	talker->is_asking = talker->is_closed = false;
	talker->conversation++;
	talker->state = OPENING;
	talk_manner(talker);
	/* all over the interval */
	talker->due_ns =
	    now + talk_random(talker->interval_ns / 1000) * UINT64_C(1000);
}

static void
conversation_end(struct talker *talker)
{
	session_reset(talker);
	talker->state = talk_ended(talker) ? RESTING : ENDED;
}

/* The target said so many and then that it closes; what it got is its own. */
static void
count_closed(struct talker *talker)
{
	talk.n_closed++;
	talk.down.created += talker->target_life;
	talk.down.received += talker->down.received;
	talk.down.doubled += talker->down.doubled;
	talk.down.disordered += talker->down.disordered;
}

static void
vanish(struct talker *talker)
{
	talk.n_vanished++;
	if (talk_random(2) == 0) {
		http_abandon(&talker->in);
		http_abandon(&talker->out);
	}
	conversation_end(talker);
}

/*
 * The session is over. What was on its way then is not sent again: whether the
 * server took it nobody knows.
 */
static void
session_over(struct talker *talker)
{
	bool is_end =
	    talk.is_ending || talker->state == CLOSING || talker->is_closed;

	if (talker->is_closed)
		count_closed(talker);
	queue_drop(talker, talker->n_in_flight);
	while (talker->n_queued > 0 && queue_item(talker, 0)->kind != 'm')
		queue_drop(talker, 1);
	if (talker->out_back_off.until_ns < talker->in_back_off.until_ns)
		talker->out_back_off = talker->in_back_off;
	else
		talker->in_back_off = talker->out_back_off;
	session_reset(talker);
	talker->state = OPENING;
	if (is_end)
		conversation_end(talker);
}

void
talker_opened(struct talker *talker, bool is_new)
{
	talk.n_opened += is_new;
	if (!talker->has_opened) {
		talker->has_opened = true;
		talk.n_open++;
	}
	talker->state = talker->is_asking ? ASKING : TALKING;
	queue_hello(talker);
	talker->out_back_off.ms = 0;
}

/* The target's count, and ours. */
static void
settle(struct talker *talker, const char *text)
{
	unsigned long long received, doubled, disordered, created;

	if (sscanf(text, "a %llu %llu %llu %llu", &received, &doubled,
		   &disordered, &created) != 4)
		die("client %u: no count: %.80s", talker->index, text);
	if (talker->state != ASKING)
		return; /* answered twice, asked twice */
	talk.up.created += talker->n_created;
	talk.up.received += received;
	talk.up.doubled += doubled;
	talk.up.disordered += disordered;
	talk.down.created += created;
	talk.down.received += talker->down.received;
	talk.down.doubled += talker->down.doubled;
	talk.down.disordered += talker->down.disordered;
	talk.n_settled++;
	talker->state = CLOSING;
}

void
talker_message(struct talker *talker, const char *text)
{
	unsigned long long number, created_ns, arrived_ns, slowest_ns;
	struct recovery *recovery = &talker->recovery;
	uint64_t now = now_ns();
	unsigned epoch;

	if (text[0] == 'a') {
		settle(talker, text);
		return;
	}
	if (sscanf(text, "m %llu %llu %u %llu %llu", &number, &created_ns,
		   &epoch, &arrived_ns, &slowest_ns) != 5)
		die("client %u: not understood: %.80s", talker->index, text);
	score_add(&talker->down, number);
	histogram_add(&talk.latency, (now - created_ns) / 1000);
	if (talk.epoch == 0)
		return;
	if (recovery->down_ns == 0 && created_ns >= talk.told_ns)
		recovery->down_ns = now;
	if (recovery->up_ns == 0 && epoch == talk.epoch)
		recovery->up_ns = arrived_ns;
	if (recovery->slowest_ns < now - created_ns)
		recovery->slowest_ns = now - created_ns;
	if (epoch == talk.epoch && recovery->slowest_ns < slowest_ns)
		recovery->slowest_ns = slowest_ns;
}

/* Receiving. */

static void
lines_read(struct talker *talker)
{
	struct text *text = &talker->in_text;
	char *line = text->data, *end;

	while ((end = strchr(line, talker->tongue->line_end)) != NULL) {
		*end = '\0';
		talker->has_lines = true;
		talker->tongue->line(talker, line);
		line = end + 1;
	}
	text->len -= line - text->data;
	memmove(text->data, line, text->len + 1);
}

static void
in_head(struct http *http)
{
	struct talker *talker = http->owner;

	talker->in_seen_ns = now_ns();
}

static void
in_body(struct http *http, const char *data, size_t len)
{
	struct talker *talker = http->owner;

	talker->in_seen_ns = now_ns();
	text_add(&talker->in_text, data, len);
	if (http->status == 200)
		lines_read(talker);
}

static void
in_end(struct http *http)
{
	struct talker *talker = http->owner;

	if (http->status != 200) {
		refused(talker, http, &talker->in_text);
		text_clear(&talker->in_text);
		return;
	}
	if (talker->in_text.len > 0) {
		text_add(&talker->in_text, &talker->tongue->line_end, 1);
		lines_read(talker);
	}
	if (talker->has_lines) {
		talker->in_back_off.ms = 0;
		talker->in_back_off.until_ns =
		    now_ns() + talker->pause_ms * NS_PER_MS;
	} else {
		failed(talker, &talker->in_back_off);
	}
	talker_turn(talker, now_ns());
}

static void
in_failed(struct http *http)
{
	struct talker *talker = http->owner;

	text_clear(&talker->in_text);
	failed(talker, &talker->in_back_off);
}

static const struct http_handler in_handler = {
	.on_head = in_head,
	.on_body = in_body,
	.on_end = in_end,
	.on_failed = in_failed,
};

/* Sending, and what opens and closes. */

static void
out_body(struct http *http, const char *data, size_t len)
{
	struct talker *talker = http->owner;

	text_add(&talker->out_text, data, len);
}

static void
opening_end(struct talker *talker)
{
	if (talker->out.status == 200 && talker->tongue->opened(talker))
		talker->step++;
	else if (talker->out.status == 200)
		failed(talker, &talker->out_back_off);
	else
		refused(talker, &talker->out, &talker->out_text);
}

static void
out_end(struct http *http)
{
	struct talker *talker = http->owner;

	if (talker->state == CLOSING && http->status == 200) {
		conversation_end(talker);
		return;
	}
	if (talker->state == OPENING) {
		opening_end(talker);
	} else if (http->status == talker->tongue->sent_status) {
		talker->n_taken += talker->n_in_flight;
		queue_drop(talker, talker->n_in_flight);
		talker->out_back_off.ms = 0;
	} else {
		refused(talker, http, &talker->out_text);
	}
	text_clear(&talker->out_text);
	talker_turn(talker, now_ns());
}

static void
out_failed(struct http *http)
{
	struct talker *talker = http->owner;

	text_clear(&talker->out_text);
	failed(talker, &talker->out_back_off);
}

static const struct http_handler out_handler = {
	.on_body = out_body,
	.on_end = out_end,
	.on_failed = out_failed,
};

static void
send_some(struct talker *talker, uint64_t now)
{
	unsigned n = SEND_BYTES / (talker->bytes + ITEM_BYTES);

	n = n == 0 ? 1 : n > SEND_ITEMS ? SEND_ITEMS : n;
	talker->n_in_flight = n < talker->n_queued ? n : talker->n_queued;
	talker->out_began_ns = now;
	talker->tongue->send(talker, talker->n_in_flight);
}

static void
change_transport(struct talker *talker)
{
	talk.n_switches++;
	talker->transport = talk_random(talker->tongue->n_transports);
}

static void
receive(struct talker *talker, uint64_t now)
{
	if (talk.is_mixed && talk_random(MIXED_ONE_IN) == 0)
		change_transport(talker);
	text_clear(&talker->in_text);
	talker->has_lines = false;
	talker->in_began_ns = talker->in_seen_ns = now;
	talker->tongue->receive(talker);
}

/* Turns. */

/* Gives up on what is not answered, as a client does; `cut` is how. */
static void
give_up(struct talker *talker, struct http *http, void (*cut)(struct http *))
{
	bool is_in = http == &talker->in;

	cut(http);
	text_clear(is_in ? &talker->in_text : &talker->out_text);
	failed(talker, is_in ? &talker->in_back_off : &talker->out_back_off);
}

void
talker_cut(struct talker *talker, void (*cut)(struct http *http))
{
	if (talker->in.is_busy)
		give_up(talker, &talker->in, cut);
	else
		cut(&talker->in);
	if (talker->out.is_busy)
		give_up(talker, &talker->out, cut);
	else
		cut(&talker->out);
}

static void
watch_time(struct talker *talker, uint64_t now)
{
	if (talker->in.is_busy &&
	    now - talker->in_seen_ns > PATIENCE_S * NS_PER_S) {
		talk.n_timeouts++;
		give_up(talker, &talker->in, http_close);
	}
	if (talker->out.is_busy &&
	    now - talker->out_began_ns > PATIENCE_S * NS_PER_S) {
		talk.n_timeouts++;
		give_up(talker, &talker->out, http_close);
	}
	/* a stream is left for another transport; a poll ends by itself */
	if (talk.is_mixed && talker->in.is_busy &&
	    now - talker->in_began_ns > MIXED_STREAM_S * NS_PER_S) {
		http_close(&talker->in);
		change_transport(talker);
	}
}

static void
create_due(struct talker *talker, uint64_t now)
{
	for (; now >= talker->due_ns; talker->due_ns += talker->interval_ns)
		queue_add(talker, 'm', now);
}

/* Asks for the target's count when all that was said is taken. */
static void
ask(struct talker *talker, uint64_t now)
{
	bool is_due = talker->asked_ns == 0 ||
		      (!talker->tongue->is_resumed &&
		       now - talker->asked_ns > ASK_AGAIN_S * NS_PER_S);

	if (talker->n_queued > 0 || !is_due)
		return;
	queue_add(talker, 'q', now);
	talker->asked_ns = now;
}

static void
out_turn(struct talker *talker, uint64_t now)
{
	const struct tongue *tongue = talker->tongue;

	if (talker->out.is_busy || now < talker->out_back_off.until_ns)
		return;
	talker->out_began_ns = now;
	if (talker->state == CLOSING && tongue->close)
		tongue->close(talker);
	else if (talker->state == CLOSING)
		conversation_end(talker);
	else if (talker->state == OPENING && tongue->open && !talker->is_heard)
		tongue->open(talker);
	else if (talker->state != OPENING && talker->n_queued > 0 &&
		 !talker->is_shut)
		send_some(talker, now);
}

static void
in_turn(struct talker *talker, uint64_t now)
{
	bool may_receive = talker->state == TALKING ||
			   talker->state == ASKING ||
			   (talker->state == OPENING &&
			    (talker->is_heard || talker->tongue->open == NULL));

	if (may_receive && !talker->in.is_busy &&
	    now >= talker->in_back_off.until_ns)
		receive(talker, now);
}

void
talker_turn(struct talker *talker, uint64_t now)
{
	if (talker->is_over)
		session_over(talker);
	if (talker->state == RESTING && talk.is_finishing)
		conversation_end(talker);
	if (talker->state == RESTING && now >= talker->due_ns)
		conversation_begin(talker, now);
	if (talker->state == RESTING || talker->state == ENDED)
		return;
	watch_time(talker, now);
	if (talker->state == TALKING && now >= talker->end_ns &&
	    talker->vanishes) {
		vanish(talker);
		return;
	}
	if ((talk.is_finishing && !talk.is_ending) || now >= talker->end_ns)
		talker->is_asking = true;
	if (talker->state == TALKING && !talker->is_asking && !talker->is_shut)
		create_due(talker, now);
	if (talker->state == TALKING && talker->is_asking)
		talker->state = ASKING;
	if (talker->state == ASKING)
		ask(talker, now);
	out_turn(talker, now);
	in_turn(talker, now);
}

void
talker_start(struct talker *talker, unsigned index)
{
	talker->tongue = talk.tongue;
	talker->index = index;
	talker->transport = index % talk.tongue->n_transports;
	/* not one that the target knows from an earlier run */
	talker->conversation = now_ns() / NS_PER_MS;
	talker->in.handler = &in_handler;
	talker->in.owner = talker;
	talker->out.handler = &out_handler;
	talker->out.owner = talker;
	conversation_begin(talker, now_ns());
}

/* What could not be settled: what it said and nobody vouches for is lost. */
void
talker_count(const struct talker *talker)
{
	talk.up.created += talker->n_created;
	talk.down.created += talker->down.highest;
	talk.down.received += talker->down.received;
	talk.down.doubled += talker->down.doubled;
	talk.down.disordered += talker->down.disordered;
}

void
talker_free(struct talker *talker)
{
	http_close(&talker->in);
	http_close(&talker->out);
	free(talker->in_text.data);
	free(talker->out_text.data);
	score_reset(&talker->down);
}
