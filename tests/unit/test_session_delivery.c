/*
 * What a session promises its client: nothing lost, nothing doubled, in order,
 * in both directions, when the client says what it has got and numbers what it
 * sends. Interleavings one by one first, then any of them, against a model.
 *
 * The model test prints its seed; SEED=N runs it again, STEPS=N for longer.
 */
#include "config.h"

#include "fixture.h"

#include <inttypes.h>
#include <time.h>

#define HOUR_MS (3600u * 1000)

static void
from_peer(struct session *session, unsigned count)
{
	static const char *const texts[] = { "1", "2", "3", "4", "5", "6" };
	uint64_t last = session_acknowledged(session) + session->queue.count;

	for (; count > 0; count--)
		fixture_from_peer(session, texts[last++]);
}

static void
peer_closed(struct session *session)
{
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
}

static void
assert_got(struct fake_receiver *r, const char *expected)
{
	assert_slice(written(&r->got), expected);
	ps_writer_reset(&r->got);
}

static void
take(struct session *session, struct fake_receiver *r, const char *expected)
{
	fixture_take(session, r);
	assert_got(r, expected);
}

/* --- to the client: what is kept --- */

static void
what_a_client_acknowledges_is_kept_until_then(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 3);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	take(session, &receiver, "t:1;t:2;t:3;");
	session_confirm(session);
	assert_int_equal(session->queue.count, 3);
	session_detach(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 2), PS_OK);
	assert_int_equal(session->queue.count, 1);
	take(session, &receiver, "t:3;");
	session_confirm(session);
	session_detach(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 3), PS_OK);
	assert_int_equal(session->queue.count, 0);
	assert_false(session_has_unsent(session));
}

static void
what_is_confirmed_without_acknowledgement_is_gone(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 2);
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	take(session, &receiver, "t:1;t:2;");
	session_confirm(session);
	assert_int_equal(session->queue.count, 0);
	session_detach(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 1), PS_ERR_GAP);
	assert_int_equal(session_acknowledged(session), 2);
}

static void
the_same_ack_twice_sends_the_same_twice(void **state)
{
	struct session *session = fixture_open();
	int i;

	(void)state;
	from_peer(session, 2);
	for (i = 0; i < 3; i++) {
		assert_int_equal(fixture_attach_ack(session, &receiver, 1),
		    PS_OK);
		take(session, &receiver, "t:2;");
		session_confirm(session);
	}
}

static void
a_kept_message_keeps_its_number(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 3);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	assert_int_equal(session_take(session, 3, false), 3);
	session_confirm(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 1), PS_OK);
	assert_int_equal(session_take(session, 1, false), 2);
	assert_int_equal(session_take(session, 1, false), 3);
}

static void
what_a_lost_receiver_had_written_counts_as_sent(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 2);
	assert_int_equal(fixture_attach_keeping(session, &receiver), PS_OK);
	session_take(session, 1, false);
	session_confirm(session);
	session_take(session, 1, false); /* lost before it was written */
	session_detach(session);
	assert_int_equal(fixture_attach_keeping(session, &other_receiver),
	    PS_OK);
	take(session, &other_receiver, "t:2;");
}

static void
what_a_lost_receiver_had_written_comes_again_with_ack(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 3);
	assert_int_equal(fixture_attach_keeping(session, &receiver), PS_OK);
	session_take(session, 2, false);
	session_confirm(session);
	session_take(session, 1, false);
	session_detach(session);
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 1),
	    PS_OK);
	take(session, &other_receiver, "t:2;t:3;");
}

/* It may have arrived in part before the web server had all of it. */
static void
what_was_never_written_may_be_acknowledged(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 3);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	session_take(session, 3, false);
	session_detach(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 2), PS_OK);
	take(session, &receiver, "t:3;");
}

static void
a_replaced_receiver_doubles_nothing_above_ack(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 3);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	take(session, &receiver, "t:1;t:2;t:3;"); /* and is being written */
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 2),
	    PS_OK);
	assert_int_equal(receiver.n_release, 1);
	assert_null(receiver.receiver.session);
	take(session, &other_receiver, "t:3;");
	from_peer(session, 1);
	take(session, &other_receiver, "t:4;");
}

static void
a_message_between_two_receivers_comes_after_what_is_kept(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 1);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	take(session, &receiver, "t:1;");
	session_confirm(session);
	session_detach(session);
	from_peer(session, 1);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	take(session, &receiver, "t:1;t:2;");
}

static void
a_receiver_without_ack_goes_on_behind_what_was_sent(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 2);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	session_take(session, 1, false);
	session_confirm(session);
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	assert_int_equal(session_acknowledged(session), 1);
	take(session, &other_receiver, "t:2;");
}

/* --- to the client: which numbers may come --- */

static void
an_ack_below_the_last_one_changes_nothing(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 3);
	assert_int_equal(fixture_attach_ack(session, &receiver, 2), PS_OK);
	take(session, &receiver, "t:3;");
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 1),
	    PS_ERR_GAP);
	assert_int_equal(session_acknowledged(session), 2);
	assert_ptr_equal(session->receiver, &receiver.receiver);
	assert_int_equal(receiver.n_release, 0);
	assert_false(session_has_unsent(session));
	session_confirm(session);
	from_peer(session, 1);
	take(session, &receiver, "t:4;");
}

static void
an_ack_above_the_last_number_changes_nothing(void **state)
{
	static const uint64_t acks[] = { 3, 4, UINT64_MAX };
	struct session *session = fixture_open();
	size_t i;

	(void)state;
	from_peer(session, 2);
	for (i = 0; i < ROWS(acks); i++)
		assert_row(i, fixture_attach_ack(session, &receiver, acks[i]) ==
			PS_ERR_GAP);
	assert_null(session->receiver);
	assert_int_equal(session->queue.count, 2);
	peer_closed(session); /* now 3 is the close event */
	assert_int_equal(fixture_attach_ack(session, &receiver, 4), PS_ERR_GAP);
	assert_int_equal(fixture_attach_ack(session, &receiver, UINT64_MAX),
	    PS_ERR_GAP);
	assert_int_equal(session->state, SESSION_CLOSING);
}

/* --- to the client: the close event --- */

static void
the_close_event_has_the_last_number(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 2);
	peer_closed(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	assert_int_equal(session_take(session, 1, false), 1);
	assert_int_equal(session_take(session, 1, true), 3);
	assert_int_equal(fixture_attach_ack(session, &receiver, 2), PS_OK);
	assert_int_equal(session_take(session, 0, true), 3);
}

static void
a_kept_close_event_comes_again_until_it_is_acknowledged(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 1);
	peer_closed(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	take(session, &receiver, "t:1;close;");
	session_confirm(session);
	assert_int_equal(session->state, SESSION_CLOSING);
	session_detach(session);
	assert_false(session_has_unsent(session));
	assert_int_equal(fixture_attach_ack(session, &receiver, 1), PS_OK);
	take(session, &receiver, "close;");
	session_confirm(session);
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 2),
	    PS_ERR_CLOSED);
	assert_int_equal(session->state, SESSION_CLOSED);
	assert_int_equal(receiver.n_release, 1);
	assert_null(other_receiver.receiver.session);
}

static void
a_kept_close_event_is_over_for_a_receiver_without_ack(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	peer_closed(session);
	assert_int_equal(fixture_attach_keeping(session, &receiver), PS_OK);
	take(session, &receiver, "close;");
	session_confirm(session);
	session_detach(session);
	assert_false(fixture_attach(session, &other_receiver, HOUR_MS));
	assert_int_equal(session->state, SESSION_CLOSED);
}

static void
a_kept_close_event_waits_no_longer_than_others(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	peer_closed(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	take(session, &receiver, "close;");
	session_confirm(session);
	fixture_advance(LINGER_MS - 1);
	assert_int_equal(session->state, SESSION_CLOSING);
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_close_event_whose_receiver_was_lost_comes_again(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	peer_closed(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	take(session, &receiver, "close;");
	session_detach(session);
	assert_int_equal(fixture_attach_keeping(session, &receiver), PS_OK);
	take(session, &receiver, "close;");
}

static void
a_target_that_closes_meanwhile_comes_behind_what_is_kept(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	from_peer(session, 2);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	take(session, &receiver, "t:1;t:2;");
	session_confirm(session);
	peer_closed(session);
	assert_int_equal(receiver.n_deliver, 1);
	take(session, &receiver, "close;");
	session_detach(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 1), PS_OK);
	take(session, &receiver, "t:2;close;");
}

/* --- to the client: bounds --- */

static void
what_is_kept_holds_the_target_back(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	from_peer(session, QUEUE_MESSAGES);
	take(session, &receiver, "t:1;t:2;t:3;t:4;");
	session_confirm(session);
	assert_int_equal(peer.n_pause, 1);
	assert_int_equal(peer.n_resume, 0);
	assert_int_equal(fixture_attach_ack(session, &receiver, 1), PS_OK);
	assert_int_equal(peer.n_resume, 0);
	assert_int_equal(fixture_attach_ack(session, &receiver, 2), PS_OK);
	assert_int_equal(peer.n_resume, 1);
}

static void
a_client_that_never_acknowledges_is_slow(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	from_peer(session, QUEUE_MESSAGES);
	take(session, &receiver, "t:1;t:2;t:3;t:4;");
	session_confirm(session);
	fixture_advance(STALL_MS - 1);
	assert_int_equal(peer.n_close, 0);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	fixture_advance(1);
	assert_int_equal(peer.close_code, 1008);
}

static void
an_acknowledgement_is_wanted_when_half_the_queue_is_kept(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	assert_false(session_wants_ack(session));
	from_peer(session, QUEUE_MESSAGES / 2);
	take(session, &receiver, "t:1;t:2;");
	session_confirm(session);
	assert_false(session_wants_ack(session));
	from_peer(session, 2);
	session_take(session, 1, false);
	assert_false(session_wants_ack(session)); /* there is more to send */
	session_take(session, 1, false);
	assert_true(session_wants_ack(session));
	session_confirm(session);
	assert_true(session_wants_ack(session));
	assert_int_equal(fixture_attach_ack(session, &receiver, 4), PS_OK);
	assert_false(session_wants_ack(session));
}

static void
many_kept_bytes_want_an_acknowledgement_too(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	fixture_from_peer(session, "twenty-one bytes here");
	session_take(session, 1, false);
	assert_true(session_wants_ack(session));
}

static void
a_client_that_does_not_acknowledge_is_not_asked(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	from_peer(session, QUEUE_MESSAGES);
	session_take(session, QUEUE_MESSAGES, false);
	assert_false(session_wants_ack(session));
}

/* --- from the client --- */

static const char *limit;

static int
send_from(struct session *session, uint64_t first, const char *events)
{
	return fixture_send_from(session, first, events, false, &limit);
}

static void
assert_sent(const char *expected)
{
	assert_slice(written(&peer.sent), expected);
	ps_writer_reset(&peer.sent);
}

static void
a_repeated_send_is_sent_once(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_from(session, 1, "t:a;b:b;"), PS_OK);
	assert_int_equal(send_from(session, 1, "t:a;b:b;"), PS_OK);
	assert_sent("t:a;b:b;");
	assert_int_equal(send_from(session, 3, "t:c;"), PS_OK);
	assert_int_equal(send_from(session, 1, "t:a;b:b;"), PS_OK);
	assert_int_equal(send_from(session, 3, "t:c;"), PS_OK);
	assert_sent("t:c;");
	assert_int_equal(session->traffic.messages_up, 3);
}

static void
what_overlaps_is_sent_as_far_as_it_is_new(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_from(session, 1, "t:a;t:b;"), PS_OK);
	assert_int_equal(send_from(session, 2, "t:b;t:c;t:d;"), PS_OK);
	assert_sent("t:a;t:b;t:c;t:d;");
	assert_int_equal(session->next_up, 5);
}

static void
a_gap_is_refused_and_nothing_is_sent(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_from(session, 2, "t:b;"), PS_ERR_GAP);
	assert_int_equal(send_from(session, UINT64_MAX, "t:x;"), PS_ERR_GAP);
	assert_int_equal(send_from(session, 2, ""), PS_ERR_GAP);
	assert_int_equal(session->next_up, 1);
	assert_int_equal(send_from(session, 1, "t:a;"), PS_OK);
	assert_int_equal(send_from(session, 3, "t:c;"), PS_ERR_GAP);
	assert_int_equal(send_from(session, 2, "t:b;"), PS_OK);
	assert_sent("t:a;t:b;");
}

static void
sends_without_numbers_count_too(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_from(session, 0, "t:a;t:b;"), PS_OK);
	assert_int_equal(send_from(session, 2, "t:b;t:c;"), PS_OK);
	assert_int_equal(send_from(session, 0, ""), PS_OK);
	assert_int_equal(send_from(session, 4, ""), PS_OK);
	assert_int_equal(session->next_up, 4);
	assert_sent("t:a;t:b;t:c;");
}

static void
parts_of_a_message_have_numbers(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(fixture_send_from(session, 1, "t:a;t:b;", true,
			     &limit),
	    PS_OK);
	assert_int_equal(fixture_send_from(session, 1, "t:a;t:b;", true,
			     &limit),
	    PS_OK);
	assert_sent("t:a;");
	assert_int_equal(fixture_send_from(session, 2, "t:b;t:c;", true,
			     &limit),
	    PS_OK);
	assert_int_equal(session->next_up, 4);
	assert_sent("");
	assert_int_equal(send_from(session, 4, "t:d;"), PS_OK);
	assert_int_equal(send_from(session, 4, "t:d;"), PS_OK);
	assert_sent("t:bcd;");
}

static void
a_refused_send_takes_no_number(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	peer.room_count = 1;
	assert_int_equal(send_from(session, 1, "t:a;t:b;"), PS_ERR_FULL);
	assert_int_equal(send_from(session, 1, "t:a;"), PS_OK);
	assert_int_equal(send_from(session, 2, "t:this one is too large;"),
	    PS_ERR_TOO_LARGE);
	assert_int_equal(fixture_send_from(session, 2, "t:b;", true, &limit),
	    PS_OK);
	assert_int_equal(send_from(session, 3, "b:c;"), PS_ERR_MALFORMED);
	assert_int_equal(session->next_up, 3);
	assert_sent("t:a;");
}

/* What was taken needs no room, and no leave of any limit. */
static void
a_repeated_send_is_taken_when_there_is_no_room(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_from(session, 1, "t:a;t:b;"), PS_OK);
	peer.room_count = 1;
	assert_int_equal(send_from(session, 1, "t:a;t:b;t:c;"), PS_OK);
	peer.room_count = 0;
	assert_int_equal(send_from(session, 1, "t:a;t:b;t:c;"), PS_OK);
	assert_sent("t:a;t:b;t:c;");
}

static void
a_send_that_broke_off_cannot_be_repeated(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	peer.fail_send = true;
	assert_int_equal(send_from(session, 1, "t:a;t:b;"), PS_ERR_NOMEM);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 1011);
	assert_int_equal(send_from(session, 1, "t:a;t:b;"), PS_ERR_CLOSED);
}

/* --- any interleaving, against a model --- */

/*
 * Everything by its number. To the client: `acked` is dropped, up to `written`
 * it is with the web server, up to `taken` a receiver has it, `last` is the
 * last message, and `close` the number of the close event, or 0. A truthful
 * client has seen all up to `seen`, and says so; it hears the receiver, unless
 * that came with an old number, late, when the client had gone on. Others say
 * any number or none. From the client: `next` is the number of the next event,
 * and `partial` the text of a message that goes on.
 */
static struct {
	struct session *session;
	uint64_t acked, written, taken, last, close;
	bool attached, keeps, closing, deaf, over;
	bool truthful, hears;
	uint64_t seen;
	uint64_t next;
	char partial[64];
	uint64_t random, seed, step;
	uint64_t n_ends, n_seen;
	struct fake_receiver receivers[2], *receiver;
} model;

#define check(condition) \
	do { \
		if (!(condition)) \
			fail_msg("%s, line %d, SEED=%" PRIu64 \
				 ", step %" PRIu64, \
			    #condition, __LINE__, model.seed, model.step); \
	} while (0)

/* xorshift64* */
static uint64_t
below(uint64_t bound)
{
	model.random ^= model.random >> 12;
	model.random ^= model.random << 25;
	model.random ^= model.random >> 27;
	return (model.random * 0x2545f4914f6cdd1dull >> 33) % bound;
}

static void
begin_session(void)
{
	fixture_advance(100);
	ps_writer_reset(&peer.sent);
	peer.room_count = SIZE_MAX;
	peer.n_pause = peer.n_resume = 0;
	model.session = fixture_open();
	model.acked = model.written = model.taken = model.last = 0;
	model.close = model.seen = 0;
	model.attached = model.keeps = model.closing = model.deaf = false;
	model.over = false;
	model.truthful = below(2) == 0;
	model.next = 1;
	model.partial[0] = '\0';
}

static void
step_message(void)
{
	char text[32];

	/* A target that is held back has at most something on its way. */
	if (model.close != 0 ||
	    (peer.n_pause > peer.n_resume && below(4) != 0))
		return;
	model.deaf = model.deaf ||
	    (model.closing && model.last - model.acked >= QUEUE_MESSAGES);
	snprintf(text, sizeof(text), "%" PRIu64, model.last + 1);
	fixture_from_peer(model.session, text);
	if (!model.deaf)
		model.last++;
}

static void
step_take(void)
{
	uint64_t left = model.last - model.taken, count, i;
	bool with_close;
	char text[32];

	if (!model.attached || (model.close != 0 && model.taken == model.close))
		return;
	count = below(left + 1);
	with_close = model.close != 0 && count == left && below(2) == 0;
	for (i = 0; i < count; i++) {
		struct message *message =
		    session_unsent(model.session, (uint32_t)i);

		check(message != NULL);
		snprintf(text, sizeof(text), "%" PRIu64, model.taken + 1 + i);
		check(ps_slice_is(message_slice(message), text));
	}
	check((session_unsent_close(model.session, (uint32_t)count) != NULL) ==
	    (model.close != 0 && count == left));
	model.taken += count + with_close;
	check(session_take(model.session, (uint32_t)count, with_close) ==
	    model.taken);
}

/*
 * A part of what was taken arrives. That it begins behind what the client has
 * seen was checked where it was taken, and where the receiver came.
 */
static void
step_arrive(void)
{
	uint64_t count;

	if (!model.attached || !model.hears)
		return;
	check(model.seen <= model.taken);
	count = below(model.taken - model.seen + 1);
	model.seen += count;
	model.n_seen += count;
}

static void
step_confirm(void)
{
	if (!model.attached)
		return;
	session_confirm(model.session);
	model.written = model.taken;
	if (!model.keeps)
		model.acked = model.taken;
	model.over = model.close != 0 && model.acked == model.close;
}

static void
step_lose(void)
{
	if (!model.attached)
		return;
	session_detach(model.session);
	model.attached = false;
	model.taken = model.written;
}

/* One the client may send, or may not. */
static uint64_t
some_ack(void)
{
	uint64_t last = model.close != 0 ? model.close : model.last;

	if (model.truthful && below(8) != 0)
		return model.seen;
	if (model.truthful) /* of an old request, or nonsense */
		return below(2) == 0 ? below(model.acked + 1) :
				       last + 1 + below(3);
	return below(last + 3);
}

static void
step_attach(void)
{
	uint64_t last = model.close != 0 ? model.close : model.last;
	bool with_ack = model.truthful || below(3) != 0;
	uint64_t ack = with_ack ? some_ack() : model.taken;
	int expected = PS_OK, ret;
	bool keeps = with_ack || below(2) == 0;

	if (ack < model.acked || ack > last)
		expected = PS_ERR_GAP;
	else if (model.close != 0 && ack == model.close)
		expected = PS_ERR_CLOSED;
	model.receiver = &model.receivers[model.receiver == model.receivers];
	if (with_ack)
		ret = fixture_attach_ack(model.session, model.receiver, ack);
	else if (keeps)
		ret = fixture_attach_keeping(model.session, model.receiver);
	else
		ret = fixture_attach(model.session, model.receiver, HOUR_MS) ?
		    PS_OK :
		    PS_ERR_CLOSED;
	check(ret == expected);
	if (ret == PS_ERR_GAP) {
		model.receiver =
		    &model.receivers[model.receiver == model.receivers];
		return;
	}
	model.acked = model.written = model.taken = ack;
	model.over = ret == PS_ERR_CLOSED;
	model.attached = !model.over;
	model.keeps = keeps;
	model.hears = model.truthful && ack == model.seen;
}

static void
step_close(void)
{
	if (below(20) != 0 || model.close != 0)
		return;
	if (!model.closing && below(2) == 0) {
		session_close(model.session, 1000, ps_slice(NULL, 0));
		model.closing = true;
		return;
	}
	peer_closed(model.session);
	model.closing = true;
	model.close = model.last + 1;
}

/* Appends what the peer should get of one event; false: it is too large. */
static bool
expect_event(struct ps_writer *expected, char *partial, size_t size,
    uint64_t number, bool goes_on)
{
	char text[64];
	size_t len = (size_t)snprintf(text, sizeof(text), "%.20s%" PRIu64 ",",
	    partial, number);

	if (len > MAX_MESSAGE)
		return false;
	partial[0] = '\0';
	if (goes_on)
		snprintf(partial, size, "%s", text);
	else
		ps_writer_printf(expected, "t:%s;", text);
	return true;
}

static void
step_send(void)
{
	uint64_t back = below(4), first, count = below(4), known, i;
	bool numbered = below(4) != 0, more = below(3) == 0;
	struct ps_writer events = { 0 }, expected = { 0 };
	char partial[sizeof(model.partial)];
	int ret = PS_OK;

	first = below(6) == 0 ? model.next + 1 + below(3) :
	    model.next > back ? model.next - back :
				1;
	if (!numbered)
		first = model.next;
	known = model.next - first < count ? model.next - first : count;
	snprintf(partial, sizeof(partial), "%s", model.partial);
	for (i = 0; i < count; i++)
		ps_writer_printf(&events, "t:%" PRIu64 ",;", first + i);
	ps_writer_u8(&events, 0);
	if (model.closing)
		ret = PS_ERR_CLOSED;
	else if (first > model.next)
		ret = PS_ERR_GAP;
	for (i = known; i < count && ret == PS_OK; i++) {
		if (!expect_event(&expected, partial, sizeof(partial),
			first + i, more && i == count - 1))
			ret = PS_ERR_TOO_LARGE;
	}
	peer.room_count = below(8) == 0 ? 0 : SIZE_MAX;
	if (ret == PS_OK && peer.room_count == 0 && expected.len > 0)
		ret = PS_ERR_FULL;
	check(fixture_send_from(model.session, numbered ? first : 0,
		  events.data, more, &limit) == ret);
	if (ret != PS_OK)
		ps_writer_reset(&expected);
	else if (known < count)
		snprintf(model.partial, sizeof(model.partial), "%s", partial);
	if (ret == PS_OK)
		model.next += count - known;
	check(expected.len == peer.sent.len &&
	    (expected.len == 0 ||
		memcmp(expected.data, peer.sent.data, expected.len) == 0));
	ps_writer_reset(&peer.sent);
	ps_writer_deinit(&events);
	ps_writer_deinit(&expected);
}

static void
check_session(void)
{
	const struct session *session = model.session;
	uint64_t last = model.close != 0 ? model.close : model.last;
	uint64_t kept = model.last - model.acked;

	if (model.over) {
		check(session->state == SESSION_CLOSED);
		return;
	}
	/* What a truthful client has not seen is there. */
	check(!model.truthful || model.acked <= model.seen);
	check(session->state ==
	    (model.closing ? SESSION_CLOSING : SESSION_OPEN));
	check(session_acknowledged(session) == model.acked);
	check(session->queue.count == kept);
	check(session_has_unsent(session) == (model.taken < last));
	check(session->next_up == model.next);
	check((session->receiver != NULL) == model.attached);
	if (!model.closing && kept >= QUEUE_MESSAGES)
		check(peer.n_pause == peer.n_resume + 1);
	if (!model.closing && kept <= QUEUE_MESSAGES / 2)
		check(peer.n_pause == peer.n_resume);
	if (session_wants_ack(session))
		check(model.keeps && kept > QUEUE_MESSAGES / 2);
	else if (model.keeps && model.taken == model.last)
		check(kept <= QUEUE_MESSAGES / 2);
}

static uint64_t
from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void
the_promise_holds_in_any_order_of_events(void **state)
{
	static void (*const steps[])(void) = { step_message, step_message,
		step_take, step_take, step_arrive, step_arrive, step_confirm,
		step_confirm, step_lose, step_attach, step_close, step_send };
	uint64_t n_steps = from_environment("STEPS", 1000000);

	(void)state;
	memset(&model, 0, sizeof(model));
	model.seed = from_environment("SEED",
	    (uint64_t)time(NULL) << 16 | (uint64_t)getpid());
	model.random = model.seed * 2 + 1; /* must not be 0 */
	model.receiver = model.receivers;
	printf("# SEED=%" PRIu64 "\n", model.seed);
	fixture_set("queue_bytes=1MiB");
	begin_session();
	for (model.step = 0; model.step < n_steps; model.step++) {
		steps[below(ROWS(steps))]();
		check_session();
		if (!model.over)
			continue;
		/* It has all that there was. */
		check(!model.truthful || model.seen == model.close);
		model.n_ends++;
		begin_session();
	}
	assert_true(n_steps < 100000 ||
	    (model.n_ends > 100 && model.n_seen > 1000));
}

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(what_a_client_acknowledges_is_kept_until_then),
		fresh(what_is_confirmed_without_acknowledgement_is_gone),
		fresh(the_same_ack_twice_sends_the_same_twice),
		fresh(a_kept_message_keeps_its_number),
		fresh(what_a_lost_receiver_had_written_counts_as_sent),
		fresh(what_a_lost_receiver_had_written_comes_again_with_ack),
		fresh(what_was_never_written_may_be_acknowledged),
		fresh(a_replaced_receiver_doubles_nothing_above_ack),
		fresh(a_message_between_two_receivers_comes_after_what_is_kept),
		fresh(a_receiver_without_ack_goes_on_behind_what_was_sent),
		fresh(an_ack_below_the_last_one_changes_nothing),
		fresh(an_ack_above_the_last_number_changes_nothing),
		fresh(the_close_event_has_the_last_number),
		fresh(a_kept_close_event_comes_again_until_it_is_acknowledged),
		fresh(a_kept_close_event_is_over_for_a_receiver_without_ack),
		fresh(a_kept_close_event_waits_no_longer_than_others),
		fresh(a_close_event_whose_receiver_was_lost_comes_again),
		fresh(a_target_that_closes_meanwhile_comes_behind_what_is_kept),
		fresh(what_is_kept_holds_the_target_back),
		fresh(a_client_that_never_acknowledges_is_slow),
		fresh(an_acknowledgement_is_wanted_when_half_the_queue_is_kept),
		fresh(many_kept_bytes_want_an_acknowledgement_too),
		fresh(a_client_that_does_not_acknowledge_is_not_asked),
		fresh(a_repeated_send_is_sent_once),
		fresh(what_overlaps_is_sent_as_far_as_it_is_new),
		fresh(a_gap_is_refused_and_nothing_is_sent),
		fresh(sends_without_numbers_count_too),
		fresh(parts_of_a_message_have_numbers),
		fresh(a_refused_send_takes_no_number),
		fresh(a_repeated_send_is_taken_when_there_is_no_room),
		fresh(a_send_that_broke_off_cannot_be_repeated),
		fresh(the_promise_holds_in_any_order_of_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
