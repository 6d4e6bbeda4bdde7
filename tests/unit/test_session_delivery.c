/*
 * What a session promises its client: nothing lost, nothing doubled, in order,
 * in both directions, when the client says what it has got and numbers what it
 * sends. What two of these do to each other is in test_session_interleavings.c,
 * and any order of all in test_session_model.c.
 */
#include "config.h"

#include "fixture.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
