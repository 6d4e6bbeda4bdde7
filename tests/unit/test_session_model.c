/*
 * Any order of events, against a model of what a session promises: what the
 * peer says reaches a client that acknowledges once and in order, over whatever
 * receivers; one that does not acknowledge loses what the web server had, and
 * has nothing twice; one of SockJS has nothing behind what it lost, and hears of
 * the close as often as it asks; what a client sends reaches the peer once and in
 * order.
 *
 * The model changes first, then the session, whose callbacks may take further
 * steps in their turn.
 *
 * The seed is printed; POLYSOCKET_SEED=N runs it again. POLYSOCKET_STEPS=N does
 * another number of steps.
 */
#include "config.h"

#include "session_model.h"

#include <inttypes.h>
#include <signal.h>
#include <time.h>

/* With so many, each kind of event has to happen. */
#define N_STEPS 1000000
/* How deep steps are taken from callbacks. */
#define MAX_DEPTH 3

/* The next allocation of the session fails; see tests/local.mk. */
static bool memory_is_out;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool
fails(void)
{
	bool is_out = memory_is_out;

	memory_is_out = false;
	return is_out;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

/* --- steps: the peer --- */

/* Whether a message of the peer is passed, if there is room for it. */
static bool
is_passed(size_t len)
{
	const struct message_queue *queue = &model.session->queue;

	if (model.state != SESSION_OPEN && model_is_full())
		model.deaf = true;
	if (model.deaf) {
		note(FELL_ON_DEAF_EARS, model.said);
		return false;
	}
	if (model.no_messages || (model.no_bytes && len > 0)) {
		note(SAID_OVER_QUOTA, model.said + 1);
		model_expel(1008);
		model.deaf = true;
		return false;
	}
	model.n_down++;
	memory_is_out = queue->count == queue->capacity && once_in(16);
	if (memory_is_out) {
		note(SAID_OUT_OF_MEMORY, model.said + 1);
		model_expel(1011);
		model.deaf = true;
	}
	return !memory_is_out;
}

static void
say(void)
{
	static const char text[] = "as long as any message may be";
	size_t len = once_in(4) ? below(sizeof(text)) : below(4);
	struct message *message;

	if (!model.has_peer || model_queued() > N_KNOWN / 2)
		return;
	if (model.no_bytes && once_in(2))
		len = 0; /* which needs none */
	message = message_create(once_in(4) ? PS_EVENT_BINARY : PS_EVENT_TEXT,
	    ps_slice(text, len));
	check(message != NULL);
	if (model.paused)
		note(SAID_WHILE_PAUSED, model.said + 1);
	if (!is_passed(message->len)) {
		session_from_peer(model.session, message_ref(message));
		check(message->refs == 1);
		message_unref(message);
		return;
	}
	model_remember(message);
	note(SAID, model.said);
	model.delivers = model.receiver != NULL;
	session_from_peer(model.session, message);
	check(!model.delivers);
	if (!model.over)
		model_weigh();
}

static void
step_say(void)
{
	uint64_t count = once_in(32) ? 2 * bridge.config->queue_messages : 1;

	if (model.state == SESSION_CONNECTING)
		return;
	/* A peer that is held back has at most something on its way. */
	for (; count > 0 && !model.over; count--) {
		if (!model.paused || once_in(8))
			say();
	}
}

static void
step_open(void)
{
	if (model.state != SESSION_CONNECTING || !once_in(2))
		return;
	if (once_in(64)) {
		model.n_failures++;
		model_end(ENDED_NOT_OPENED);
		session_open_failed(model.session, PS_CODE_CONNECT_REFUSED, 0);
		return;
	}
	note(OPENED, 0);
	model.state = SESSION_OPEN;
	model.end_at_ms = UINT64_MAX;
	model.idle_at_ms = bridge.now_ms() + FIRST_GRACE_MS;
	session_opened(model.session, ps_slice(NULL, 0));
}

static void
close_by_peer(void)
{
	static const uint16_t codes[] = { 1000, 1006, 4000 };
	uint16_t code = codes[below(ROWS(codes))];

	note(model.written > model.gone ? PEER_CLOSED_WITH_KEPT : PEER_CLOSED,
	    code);
	model_lose_peer();
	model.state = SESSION_CLOSING;
	model.stall_at_ms = UINT64_MAX;
	model.end_at_ms = bridge.now_ms() + model_linger_ms();
	model.close = model.said + 1;
	model.close_code = model.expel_code != 0 ? model.expel_code : code;
	model.delivers = model.receiver != NULL;
	session_peer_closed(model.session, code, ps_slice_str("why"),
	    code != 1006);
	check(!model.delivers);
}

static void
step_peer_closes(void)
{
	if (model.state == SESSION_CONNECTING || !model.has_peer ||
	    !once_in(model.state == SESSION_OPEN ? 64 : 2))
		return;
	if (!once_in(16)) {
		close_by_peer();
		return;
	}
	memory_is_out = true;
	model_lose_peer();
	model_end(ENDED_OUT_OF_MEMORY);
	session_peer_closed(model.session, 1000, ps_slice(NULL, 0), true);
}

/* --- steps: the receiver --- */

/* That they are the right ones is checked with the client: `wire`. */
static void
take(uint64_t count, bool with_close)
{
	const struct close_event *close;
	uint64_t i;

	if (model.n_wire > N_KNOWN)
		model_arrive(model_readable());
	for (i = 1; i <= count; i++) {
		struct message *message =
		    session_unsent(model.session, (uint32_t)i - 1);

		check(message != NULL);
		check(message == model.known[(model.taken + i) % N_KNOWN]);
		if (model.hears)
			model.wire[model.n_wire++] = model.taken + i;
	}
	close = session_unsent_close(model.session, (uint32_t)count);
	check((close != NULL) ==
	    (model.close != 0 && model.taken + count + 1 == model.close));
	model.taken += count;
	if (count > 0)
		note(TOOK, model.taken);
	if (with_close) {
		check(close != NULL && close->code == model.close_code);
		model.taken++;
		if (model.hears)
			model.wire[model.n_wire++] = model.taken;
		note(TOOK_CLOSE, model.taken);
	}
	check(session_take(model.session, (uint32_t)count, with_close) ==
	    model.taken);
}

static uint64_t
untaken(void)
{
	return model.said - smaller(model.taken, model.said);
}

static void
take_all(void)
{
	take(untaken(), model.close != 0 && model.taken < model.close);
}

static void
step_take(void)
{
	uint64_t count;

	if (model.receiver == NULL)
		return;
	count = below(untaken() + 1);
	take(count, count == untaken() && model.close != 0 &&
		    model.taken < model.close && once_in(2));
}

static void
step_arrive(void)
{
	model_arrive((size_t)below(model_readable() + 1));
}

static void
step_confirm(void)
{
	uint64_t got, i;

	if (model.receiver == NULL)
		return;
	model.n_sure = model.n_wire;
	if (model.keeps) {
		note(CONFIRMED_AND_KEPT, model.taken);
		model.written = model.taken;
	} else {
		note(CONFIRMED_AND_DROPPED, model.taken);
		for (i = model.gone + 1; i <= model.taken; i++)
			model.missable[i % N_KNOWN] = true;
		/* The close event is told as often as somebody asks. */
		got = model.breaks ? smaller(model.taken, model.said) :
				     model.taken;
		model_drop_to(got);
	}
	session_confirm(model.session);
}

/* A receiver of SockJS ends with an answer that was confirmed, or is lost. */
static void
end_fragile(void)
{
	if (model.taken > model.gone || once_in(4)) {
		note(model.taken > model.gone ? BROKEN_WITH_TAKEN : BROKEN,
		    model.taken);
		model_release(model_readable());
		model_break();
		session_lose(model.session);
	} else {
		note(DONE, model.taken);
		model_release(model_readable());
		session_detach(model.session);
	}
}

static void
step_lose(void)
{
	if (model.receiver == NULL)
		return;
	if (model.breaks) {
		end_fragile();
		return;
	}
	note(model.taken > model.written ? LOST_WITH_TAKEN : LOST,
	    model.taken);
	model_release(model_readable());
	session_detach(model.session);
}

/* A poll is over when it has brought something. */
static void
answer_poll(void)
{
	take_all();
	step_confirm();
	step_lose();
}

static void step_anything(void);

static void
on_deliver(struct fake_receiver *r)
{
	check(!model.over && r == model.receiver);
	check(model.delivers && model.taken < model_last());
	model.delivers = false;
	note(DELIVERED, model.taken + 1);
	if (run.depth == MAX_DEPTH)
		return;
	run.depth++;
	switch (below(8)) {
	case 0:
		answer_poll();
		break;
	case 1:
		take_all();
		step_confirm();
		break;
	case 2:
		take_all();
		step_lose();
		break;
	case 3:
		step_take();
		break;
	case 4:
		step_anything();
		break;
	}
	run.depth--;
}

static void
on_expire(struct fake_receiver *r)
{
	check(!model.over && r == model.receiver);
	check(r->receiver.deadline_ms == bridge.now_ms() + r->hold_ms);
	note(EXPIRED, model.taken);
	run.depth++;
	if (once_in(2)) {
		/* An empty answer, but for what comes just now. */
		if (once_in(4))
			step_say();
		if (model.receiver == r)
			step_confirm();
		if (model.receiver == r)
			step_lose();
	} else if (once_in(4)) {
		step_anything();
	}
	run.depth--;
}

/* What an old receiver had counts as got when the next one does not say. */
static void
on_release(struct fake_receiver *r)
{
	check(r == model.leaving);
	check(r->receiver.session == NULL);
	model.leaving = NULL;
	if (model.over)
		return;
	run.depth++;
	if (run.depth <= MAX_DEPTH && once_in(4)) {
		note(SAID_IN_RELEASE, model.said);
		step_say();
	} else if (once_in(32) && model.has_peer) {
		close_by_peer();
	}
	run.depth--;
	model_drop_to(model.gone_next);
}

static void
on_resume(void)
{
	check(peer.n_resume == model.n_resumes);
	if (run.depth == MAX_DEPTH)
		return;
	run.depth++;
	if (once_in(2)) {
		note(SAID_FROM_RESUME, model.said);
		step_say();
	} else if (once_in(32)) {
		note(CLOSED_FROM_RESUME, model.said);
		close_by_peer();
	}
	run.depth--;
}

/* --- steps: the client comes --- */

struct arrival {
	bool has_ack, keeps, breaks, hears;
	uint64_t ack;
};

static struct arrival
arrival(void)
{
	struct arrival a = { .has_ack = true, .keeps = true, .hears = true };

	switch (model.client) {
	case FAITHFUL:
		a.ack = model.seen;
		/* As an EventSource begins. */
		a.has_ack = model.has_polled || once_in(2);
		if (!model.has_polled || !once_in(8))
			break;
		/* A request that was late, or is nonsense. */
		a.hears = false;
		a.ack = once_in(2) ? below(model.seen + 1) :
				     model_last() + 1 + below(3);
		break;
	case PLAIN:
		a.has_ack = a.keeps = false;
		break;
	case FRAGILE:
		a.has_ack = a.keeps = false;
		a.breaks = true;
		break;
	case CLIENT__COUNT:
	case WILD:
		a.hears = false;
		a.has_ack = !once_in(3);
		a.keeps = a.has_ack || once_in(2);
		a.ack = below(model_last() + 3);
		if (once_in(2) && a.ack < model.gone)
			a.ack = model.gone;
		break;
	}
	if (!a.has_ack)
		a.ack = model.breaks ? smaller(model.taken, model.said) :
				       model.taken;
	return a;
}

/* The session's answer that is to be expected; then it is the old receiver's
 * turn to be released, or all is done already. */
static int
expect_acknowledge(const struct arrival *a)
{
	uint64_t i;

	if (a->ack < model.gone || a->ack > model_last()) {
		note(a->ack < model.gone ? ACK_TOO_OLD : ACK_OF_THE_FUTURE,
		    a->ack);
		return PS_ERR_GAP;
	}
	if (a->ack < model.written)
		note(REPLAYED, a->ack + 1);
	if (model.client == PLAIN || model.client == FRAGILE) {
		for (i = model.gone + 1; i <= model.taken; i++)
			model.missable[i % N_KNOWN] = true;
	}
	model.gone_next = a->ack;
	model.leaving = model.receiver;
	if (model.receiver != NULL) {
		note(REPLACED, a->ack);
		/* Who says what it has seen looks at nothing older then. */
		model_detach(model.client == FAITHFUL && a->hears ? 0 :
							       model.n_wire);
	}
	if (model.close != 0 && a->ack == model.close) {
		struct fake_receiver *leaving = model.leaving;

		model_drop_to(a->ack);
		model.leaving = leaving;
		return PS_ERR_CLOSED;
	}
	if (model.leaving == NULL)
		model_drop_to(a->ack);
	return PS_OK;
}

static int
acknowledge(const struct arrival *a, struct fake_receiver *r)
{
	if (r == NULL)
		return session_acknowledge(model.session,
		    a->has_ack ? &a->ack : NULL);
	if (a->has_ack)
		return fixture_attach_ack(model.session, r, a->ack);
	if (a->keeps)
		return fixture_attach_keeping(model.session, r);
	if (a->breaks)
		return fixture_attach_breaking(model.session, r);
	return fixture_attach(model.session, r, UINT32_MAX) ? PS_OK :
							      PS_ERR_CLOSED;
}

static void
note_arrival(const struct arrival *a)
{
	if (!a->hears && model.client == FAITHFUL)
		note(ATTACHED_LATE, a->ack);
	else if (a->has_ack)
		note(ATTACHED_WITH_ACK, a->ack);
	else if (a->keeps)
		note(ATTACHED_KEEPING, a->ack);
	else if (a->breaks)
		note(ATTACHED_BREAKING, a->ack);
	else
		note(ATTACHED_WITHOUT_ACK, a->ack);
}

static void
step_attach(void)
{
	struct fake_receiver *r =
	    &run.receivers[model.receiver == run.receivers];
	struct arrival a;
	int expected;

	if (model.state == SESSION_CONNECTING)
		return;
	a = arrival();
	if (model.receiver == NULL && once_in(16)) {
		note(ACK_ABOVE_CEILING, a.ack);
		expected = expect_acknowledge(&a);
		check(acknowledge(&a, NULL) == expected);
		return;
	}
	expected = expect_acknowledge(&a);
	check(acknowledge(&a, r) == expected);
	check(model.leaving == NULL);
	if (expected != PS_OK)
		return;
	note_arrival(&a);
	model.receiver = r;
	model.keeps = a.keeps;
	model.breaks = a.breaks;
	model.hears = a.hears;
	model.has_polled = true;
	r->hold_ms = 1 + below(2 * GRACE_MS);
	r->receiver.deadline_ms = bridge.now_ms() + r->hold_ms;
	session_update_deadline(model.session);
	if (model.taken < model_last() && once_in(2))
		take_all();
}

/* --- steps: the client sends --- */

/* What the peer should get of one request. */
struct request {
	struct ps_writer events, expected;
	uint64_t count, bytes; /* of whole messages */
	struct part part;
	bool needs_memory; /* and gets none */
	int ret;
};

static void
put_event(struct request *q, bool is_known, uint64_t number, bool goes_on)
{
	struct part *part = &q->part;
	char type = once_in(4) ? 'b' : 't', text[64];
	size_t len;

	if (part->type != 0 && !once_in(32))
		type = part->type;
	snprintf(text, sizeof(text), "%" PRIu64 "%s", number,
	    once_in(32) ? " is a long message" : ",");
	ps_writer_printf(&q->events, "%c:%s;", type, text);
	if (is_known || q->ret != PS_OK)
		return;
	len = strlen(part->text) + strlen(text);
	if (part->type != 0 && part->type != type) {
		q->ret = PS_ERR_MALFORMED;
	} else if (len > MAX_MESSAGE) {
		q->ret = PS_ERR_TOO_LARGE;
	} else if (q->needs_memory) {
		q->ret = PS_ERR_NOMEM;
	} else if (goes_on) {
		part->type = type;
		strcat(part->text, text);
	} else {
		ps_writer_printf(&q->expected, "%c:%s%s;", type, part->text,
		    text);
		q->count++;
		q->bytes += len;
		*part = (struct part){ 0 };
	}
}

/* The peer's and the token's word on what is well-formed. */
static void
limit_request(struct request *q)
{
	peer.room_count = once_in(16) ? below(3) : SIZE_MAX;
	peer.room_bytes = once_in(16) ? below(16) : SIZE_MAX;
	peer.fail_send = once_in(200);
	if (q->ret != PS_OK || q->count == 0)
		return;
	if (q->count > peer.room_count || q->bytes > peer.room_bytes) {
		q->ret = PS_ERR_FULL;
	} else if (model.no_messages || (model.no_bytes && q->bytes > 0)) {
		q->ret = PS_ERR_QUOTA;
		model_expel(1008);
	} else if (peer.fail_send) {
		q->ret = PS_ERR_NOMEM;
		model.n_sent += q->count; /* counted, if not sent */
		model_expel(1011);
	}
}

static enum event
sent_as(const struct request *q, uint64_t known, uint64_t count, bool more)
{
	switch (q->ret) {
	case PS_ERR_CLOSED:
		return SEND_REFUSED_AS_CLOSED;
	case PS_ERR_GAP:
		return SEND_LEFT_A_GAP;
	case PS_ERR_MALFORMED:
		return SEND_OF_BAD_TYPE;
	case PS_ERR_TOO_LARGE:
		return SEND_TOO_LARGE;
	case PS_ERR_FULL:
		return SEND_TO_FULL_PEER;
	case PS_ERR_QUOTA:
		return SEND_OVER_QUOTA;
	case PS_ERR_NOMEM:
		return q->needs_memory ? SEND_OUT_OF_MEMORY :
					 SEND_FAILED_BY_PEER;
	}
	if (count == 0)
		return SENT_NOTHING;
	if (known == count)
		return SENT_AGAIN;
	if (known > 0)
		return SENT_OVERLAPPING;
	return more ? SENT_MORE : SENT;
}

static uint64_t
first_of_request(void)
{
	if (once_in(8))
		return once_in(8) ? UINT64_MAX - below(3) :
				    model.next + 1 + below(3);
	return model.next - below(smaller(model.next, 4));
}

static void
step_send(void)
{
	bool numbered = !once_in(4), more = once_in(3);
	uint64_t first = numbered ? first_of_request() : model.next;
	uint64_t count = below(4), known = 0, i;
	struct request q = { .part = model.part,
		.needs_memory = once_in(64) };
	struct message *partial = model.session->partial;
	unsigned refs = partial == NULL ? 0 : message_ref(partial)->refs;
	const char *limit;

	if (model.state != SESSION_OPEN)
		q.ret = PS_ERR_CLOSED;
	else if (first > model.next)
		q.ret = PS_ERR_GAP;
	else
		known = smaller(model.next - first, count);
	for (i = 0; i < count; i++)
		put_event(&q, i < known, first + i, more && i == count - 1);
	ps_writer_u8(&q.events, 0);
	limit_request(&q);
	memory_is_out = q.needs_memory && q.ret == PS_ERR_NOMEM;
	note(sent_as(&q, known, count, more), first);
	check(fixture_send_from(model.session, numbered ? first : 0,
		  q.events.data, more, &limit) == q.ret);
	if (q.ret == PS_OK) {
		model.next += count - known;
		model.n_sent += q.count;
		model.part = q.part;
		check(peer.sent.len == q.expected.len);
		check(peer.sent.len == 0 ||
		    memcmp(peer.sent.data, q.expected.data,
			peer.sent.len) == 0);
	} else {
		check(peer.sent.len == 0);
	}
	check(partial == NULL ||
	    partial->refs == refs - (partial != model.session->partial));
	message_unref(partial);
	ps_writer_reset(&peer.sent);
	ps_writer_deinit(&q.events);
	ps_writer_deinit(&q.expected);
}

/* --- steps: ends --- */

static void
step_close(void)
{
	uint16_t code = once_in(2) ? 1000 : 4000;

	if (model.state == SESSION_CONNECTING || !once_in(32))
		return;
	if (model.state == SESSION_OPEN) {
		note(CLIENT_CLOSED, code);
		model_begin_closing();
	} else {
		note(CLIENT_CLOSED_AGAIN, code);
	}
	session_close(model.session, code, ps_slice_str("enough"));
}

static void
step_expel(void)
{
	if (!once_in(64))
		return;
	model_expel(1008);
	session_expel(model.session, 1008, "test");
}

static void
count_drained(struct bridge *of)
{
	(void)of; /* all sessions of it are over, which is checked anyway */
}

static void
step_drain(void)
{
	if (!once_in(128))
		return;
	note(DRAINED, 0);
	bridge.draining = bridge.ending = true;
	bridge.on_drained = count_drained;
	model_expel(1001);
	if (model.close != 0)
		model.end_at_ms = smaller(model.end_at_ms,
		    bridge.now_ms() + model_linger_ms());
	session_drain(model.session);
}

static void
step_end(void)
{
	if (!once_in(256))
		return;
	model_end(ENDED_BY_FORCE);
	session_end(model.session, "test");
}

static void
step_use_up_quota(void)
{
	struct quota *quota = fixture_quota();

	if (!once_in(model.paused ? 8 : 64))
		return;
	if (once_in(2)) {
		model.no_messages = true;
		quota->limits.value[PS_LIMIT_MESSAGES_PER_DAY] = 0;
	} else {
		model.no_bytes = true;
		quota->bytes = 0;
		quota->limits.value[PS_LIMIT_BYTES_PER_DAY] = 0;
	}
}

/* --- steps: time --- */

static uint64_t
next_deadline(void)
{
	uint64_t at = smaller(model.end_at_ms, model.stall_at_ms);

	if (model.receiver != NULL)
		return smaller(at, model.receiver->receiver.deadline_ms);
	return model.state == SESSION_OPEN ? smaller(at, model.idle_at_ms) :
					     at;
}

static uint64_t
time_to_wait(void)
{
	uint64_t now = bridge.now_ms(), at = next_deadline();

	if (at == UINT64_MAX || at == now || !once_in(4)) {
		note(WAITED, 0);
		return below(300);
	}
	switch (below(3)) {
	case 0:
		note(WAITED_JUST_NOT, at - now);
		return at - now - 1;
	case 1:
		note(WAITED_TO_THE_MS, at - now);
		return at - now;
	}
	note(WAITED_TOO_LONG, at - now);
	return at - now + below(5000);
}

static void
step_wait(void)
{
	uint64_t ms = time_to_wait(), at = bridge.now_ms() + ms;

	if (at >= model.end_at_ms) {
		if (model.state == SESSION_CONNECTING)
			model.n_failures++;
		model_end(model.state == SESSION_CONNECTING ? ENDED_NOT_OPENED :
							ENDED_LINGERED);
	} else if (at >= model.stall_at_ms) {
		note(SLOW_CLIENT, ms);
		model_expel(1008);
	} else if (model.state == SESSION_OPEN && model.receiver == NULL &&
	    at >= model.idle_at_ms) {
		model_end(ENDED_WITHOUT_RECEIVER);
	}
	fixture_advance(ms);
	if (model.receiver != NULL)
		check(model.receiver->receiver.deadline_ms > at);
}

/* --- all together --- */

static void (*const steps[])(void) = { step_say, step_say, step_say, step_take,
	step_take, step_arrive, step_arrive, step_confirm, step_confirm,
	step_lose, step_attach, step_attach, step_send, step_send, step_close,
	step_open, step_peer_closes, step_expel, step_drain, step_end,
	step_use_up_quota };

/* From a callback, too, where neither time passes nor a session is freed. */
static void
step_anything(void)
{
	if (!model.over)
		steps[below(ROWS(steps))]();
}

static void
begin_session(void)
{
	static const uint64_t counts[] = { 1, 2, 3, 4, 8 };
	static const uint64_t bytes[] = { 1, 10, 40, 1000 };
	static const uint64_t stalls_ms[] = { 1000, 3000, STALL_MS };
	struct quota *quota = fixture_quota();
	size_t i;

	for (i = 0; i < N_KNOWN; i++)
		check(model.known[i] == NULL);
	memset(&model, 0, sizeof(model));
	bridge.draining = bridge.ending = false;
	bridge.config->queue_messages = counts[below(ROWS(counts))];
	bridge.config->queue_bytes = bytes[below(ROWS(bytes))];
	bridge.config->stall_timeout = stalls_ms[below(ROWS(stalls_ms))];
	quota->limits.value[PS_LIMIT_MESSAGES_PER_DAY] = PS_NO_LIMIT;
	quota->limits.value[PS_LIMIT_BYTES_PER_DAY] = PS_NO_LIMIT;
	ps_writer_reset(&peer.sent);
	peer = (struct fake_peer){ .sent = peer.sent };
	set_callbacks(on_deliver, on_expire, on_release, on_resume);
	opener = (struct fake_opener){ 0 };
	model.client = (enum client)below(CLIENT__COUNT);
	model.next = 1;
	model.has_peer = true;
	model.idle_at_ms = model.stall_at_ms = UINT64_MAX;
	model.end_at_ms = bridge.now_ms() + CONNECT_TIMEOUT_MS;
	note(CREATED, model.client);
	model.session = fixture_connecting();
}

/* It is freed, and holds nothing any more. */
static void
forget_session(void)
{
	size_t i;

	fixture_turn();
	check(bridge.sessions_by_id.count == 0);
	check(bridge.timers.count == 0);
	for (i = 0; i < N_KNOWN; i++) {
		check(model.known[i] == NULL || model.known[i]->refs == 1);
		message_unref(model.known[i]);
		model.known[i] = NULL;
	}
}

static void
check_sides(void)
{
	check(model.leaving == NULL && !memory_is_out);
	check(peer.n_pause == model.n_pauses);
	check(peer.n_resume == model.n_resumes);
	check(peer.n_close == model.n_closes);
	check(peer.n_abandon == model.n_abandons);
	check(opener.n_failed == model.n_failures);
	check(opener.n_opened + opener.n_failed <= 1);
	check(bridge.sessions_by_id.count == !model.over);
}

static void
check_queue(const struct session *session)
{
	uint64_t count = model_queued(), bytes = model_queued_bytes();

	check(session_acknowledged(session) == model.gone);
	check(session->queue.count == count);
	check(session->queue.bytes == bytes);
	if (count > 0) {
		check(message_queue_at(&session->queue, 0) ==
		    model.known[(model.gone + 1) % N_KNOWN]);
		check(message_queue_at(&session->queue,
			  (uint32_t)count - 1) ==
		    model.known[model.said % N_KNOWN]);
	}
	check(session_has_unsent(session) == (model.taken < model_last()));
	check(session_wants_ack(session) ==
	    (model.keeps && model.taken > model.gone && count > 0 &&
		model.taken >= model.said && !model_is_roomy()));
	/* What a client that acknowledges has not seen is there. */
	check(model.client != FAITHFUL || model.gone <= model.seen);
	/* Nobody may fill a full queue. */
	if (model.state == SESSION_OPEN)
		check(model.paused ? !model_is_roomy() : !model_is_full());
}

static void
check_session(void)
{
	const struct session *session = model.session;

	check(session->state == model.state);
	check(session->receiver ==
	    (model.receiver == NULL ? NULL : &model.receiver->receiver));
	check((session->peer_ops != NULL) == model.has_peer);
	check((session->close != NULL) == (model.close != 0));
	check(session->next_up == model.next);
	check(session->traffic.messages_down == model.n_down);
	check(session->traffic.messages_up == model.n_sent);
	check(session->deaf == model.deaf);
	check(session->stall_at_ms == model.stall_at_ms);
	check(session->end_at_ms == model.end_at_ms);
	check_queue(session);
}

static void
one_step(void)
{
	enum session_state before = model.state;

	if (once_in(16))
		step_wait();
	else if (model.state == SESSION_CONNECTING && once_in(2))
		step_open();
	else
		step_anything();
	check_sides();
	if (!model.over) /* or it may be freed already */
		check_session();
	check(model.state == before ||
	    session_state_may_follow(before, model.state));
}

static uint64_t
from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void
print_counts(void)
{
	size_t i;

	printf("# %" PRIu64 " steps", run.step - 1);
	for (i = 0; i < EVENT__COUNT; i++)
		printf("%s%s %" PRIu64, i % 4 == 0 ? "\n#   " : ", ",
		    event_name(i), run.counts[i]);
	printf("\n");
}

/* An assertion of the session: the process ends, but not without a word. */
static void
on_abort(int number)
{
	(void)number;
	print_trail();
}

static void
the_promise_holds_in_any_order_of_events(void **state)
{
	uint64_t n_steps = from_environment("POLYSOCKET_STEPS", N_STEPS);
	size_t i;

	(void)state;
	memset(&run, 0, sizeof(run));
	run.seed = from_environment("POLYSOCKET_SEED",
	    (uint64_t)time(NULL) << 16 | (uint64_t)getpid());
	run.random = (run.seed + 1) * 0x9e3779b97f4a7c15ull | 1;
	printf("# seed %" PRIu64 "\n", run.seed);
	fflush(stdout);
	signal(SIGABRT, on_abort);
	fixture_set("max_creates_per_second=0");
	begin_session();
	for (run.step = 1; run.step <= n_steps; run.step++) {
		one_step();
		if (!model.over)
			continue;
		forget_session();
		begin_session();
	}
	model_end(ENDED_BY_FORCE);
	session_end(model.session, "test over");
	forget_session();
	print_counts();
	for (i = 0; i < EVENT__COUNT && n_steps >= N_STEPS; i++) {
		if (run.counts[i] == 0)
			fail_msg("never: %s", event_name(i));
	}
	run.has_passed = true;
}

/* Whatever stopped it, a crash too: what led to that. */
static int
teardown(void **state)
{
	signal(SIGABRT, SIG_DFL);
	memory_is_out = false;
	if (!run.has_passed)
		print_trail();
	set_callbacks(NULL, NULL, NULL, NULL);
	return fixture_teardown(state);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    the_promise_holds_in_any_order_of_events, fixture_setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
