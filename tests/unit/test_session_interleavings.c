/*
 * What happens to a session in the middle of something else, or in the very
 * millisecond: one by one, where test_session_model.c tries any of them.
 */
#include "config.h"

#include "fixture.h"

#define HOUR_MS (3600u * 1000)

static struct session *session; /* of the test */
static const char *limit;

static void
say(const char *text)
{
	fixture_from_peer(session, text);
}

static void
fill_queue(void)
{
	static const char *const texts[] = { "1", "2", "3", "4" };
	size_t i;

	assert_int_equal(ROWS(texts), QUEUE_MESSAGES);
	for (i = 0; i < QUEUE_MESSAGES; i++)
		say(texts[i]);
	assert_int_equal(peer.n_pause, 1);
}

static void
peer_closes(void)
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
assert_takes(struct fake_receiver *r, const char *expected)
{
	fixture_take(session, r);
	assert_got(r, expected);
}

/* --- what happens in callbacks --- */

static void
say_meanwhile(struct fake_receiver *r)
{
	(void)r;
	say("meanwhile");
}

static void
close_meanwhile(struct fake_receiver *r)
{
	(void)r;
	peer_closes();
}

static void
expel_meanwhile(struct fake_receiver *r)
{
	(void)r;
	session_expel(session, 1008, "test");
}

/* A poll: it is over with the first answer. */
static void
answer_poll(struct fake_receiver *r)
{
	fixture_take(session, r);
	session_confirm(session);
	session_detach(session);
}

/* One whose client proves to be gone when it is written to. */
static void
lose_poll(struct fake_receiver *r)
{
	fixture_take(session, r);
	session_detach(session);
}

/* A poll that ends with nothing. */
static void
end_poll(struct fake_receiver *r)
{
	(void)r;
	session_confirm(session);
	session_detach(session);
}

static void
say_from_resume(void)
{
	peer.on_resume = NULL;
	say("resumed");
}

static void
close_from_resume(void)
{
	peer_closes();
}

/* --- a message while a receiver is released or replaced --- */

static void
a_message_while_a_receiver_is_replaced_is_the_next(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	assert_takes(&receiver, "t:1;");
	receiver.on_release = say_meanwhile;
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 1),
	    PS_OK);
	assert_int_equal(receiver.n_deliver, 0);
	assert_int_equal(session_acknowledged(session), 1);
	assert_takes(&other_receiver, "t:meanwhile;");
}

static void
a_message_while_one_is_replaced_comes_behind_a_replay(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	say("2");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	assert_takes(&receiver, "t:1;t:2;");
	session_confirm(session);
	receiver.on_release = say_meanwhile;
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 1),
	    PS_OK);
	assert_takes(&other_receiver, "t:2;t:meanwhile;");
}

/* What counts as got is what was taken before. */
static void
a_message_while_one_is_replaced_needs_no_ack(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	assert_takes(&receiver, "t:1;");
	receiver.on_release = say_meanwhile;
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	assert_int_equal(session->queue.count, 1);
	assert_takes(&other_receiver, "t:meanwhile;");
}

static void
a_close_while_a_receiver_is_replaced_is_told(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	receiver.on_release = close_meanwhile;
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_takes(&other_receiver, "close;");
}

static void
a_session_that_ends_releases_into_nothing(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	receiver.on_release = end_poll;
	session_end(session, "test");
	assert_int_equal(receiver.n_release, 1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

/* --- a receiver that is lost --- */

static void
a_message_that_is_lost_in_deliver_comes_again(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	receiver.on_deliver = lose_poll;
	say("1");
	assert_null(session->receiver);
	say("2");
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	assert_takes(&other_receiver, "t:1;t:2;");
	session_confirm(session);
	assert_int_equal(session->queue.count, 0);
}

static void
a_close_event_that_is_lost_in_deliver_comes_again(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	receiver.on_deliver = lose_poll;
	peer_closes();
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	assert_takes(&other_receiver, "close;");
}

static void
two_lost_receivers_cost_nothing(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	say("2");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	session_take(session, 1, false);
	session_confirm(session);
	session_take(session, 1, false);
	session_detach(session);
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 0),
	    PS_OK);
	session_take(session, 1, false); /* and is lost with it */
	session_detach(session);
	assert_int_equal(fixture_attach_keeping(session, &receiver), PS_OK);
	assert_int_equal(session_acknowledged(session), 0);
	assert_takes(&receiver, "t:1;t:2;");
}

/* --- a target that closes while messages are sent again --- */

static void
a_target_that_closes_in_the_middle_of_a_replay_comes_last(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	say("2");
	say("3");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	assert_takes(&receiver, "t:1;t:2;t:3;");
	session_confirm(session);
	session_detach(session);
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 1),
	    PS_OK);
	session_take(session, 1, false); /* 2, and 3 is still to come */
	peer_closes();
	assert_int_equal(other_receiver.n_deliver, 1);
	assert_takes(&other_receiver, "t:3;close;");
	session_confirm(session);
	assert_int_equal(fixture_attach_ack(session, &receiver, 2), PS_OK);
	assert_takes(&receiver, "t:3;close;");
	assert_int_equal(fixture_attach_ack(session, &receiver, 4),
	    PS_ERR_CLOSED);
}

static void
a_late_ack_in_the_middle_of_a_replay_moves_nothing_back(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	say("2");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	assert_takes(&receiver, "t:1;t:2;");
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 1),
	    PS_OK);
	assert_takes(&other_receiver, "t:2;");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0),
	    PS_ERR_GAP);
	assert_int_equal(other_receiver.n_release, 0);
	say("3");
	assert_takes(&other_receiver, "t:3;");
}

/* --- the same millisecond --- */

static void
a_message_before_the_hold_expires_is_the_answer(void **state)
{
	(void)state;
	session = fixture_open();
	receiver.on_deliver = answer_poll;
	receiver.on_expire = end_poll;
	assert_true(fixture_attach(session, &receiver, 1000));
	fixture_advance(999);
	say("in time");
	fixture_advance(1);
	assert_int_equal(receiver.n_expire, 0);
	assert_got(&receiver, "t:in time;");
	assert_null(session->receiver);
}

static void
a_message_right_after_the_hold_expired_is_for_the_next(void **state)
{
	(void)state;
	session = fixture_open();
	receiver.on_deliver = answer_poll;
	receiver.on_expire = end_poll;
	assert_true(fixture_attach(session, &receiver, 1000));
	fixture_advance(1000);
	say("too late");
	assert_int_equal(receiver.n_deliver, 0);
	assert_true(fixture_attach(session, &other_receiver, 1000));
	assert_takes(&other_receiver, "t:too late;");
}

/* The heartbeat is on its way, and the message behind it. */
static void
a_message_while_the_hold_expires_is_delivered_once(void **state)
{
	(void)state;
	session = fixture_open();
	receiver.on_deliver = answer_poll;
	receiver.on_expire = say_meanwhile;
	assert_true(fixture_attach(session, &receiver, 1000));
	fixture_advance(1000);
	assert_got(&receiver, "t:meanwhile;");
	assert_int_equal(session->queue.count, 0);
	assert_null(session->receiver);
	fixture_advance(GRACE_MS - 1);
	assert_int_equal(session->state, SESSION_OPEN);
}

static void
a_receiver_has_its_own_time_and_not_that_of_another(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, 1000));
	fixture_advance(999);
	assert_true(fixture_attach(session, &other_receiver, 1000));
	fixture_advance(1);
	assert_int_equal(receiver.n_expire, 0);
	fixture_advance(998);
	assert_int_equal(other_receiver.n_expire, 0);
	fixture_advance(1);
	assert_int_equal(other_receiver.n_expire, 1);
}

static void
a_receiver_before_the_grace_ends_keeps_the_session(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	session_detach(session);
	fixture_advance(GRACE_MS - 1);
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 0),
	    PS_OK);
	fixture_advance(1);
	assert_int_equal(session->state, SESSION_OPEN);
	assert_takes(&other_receiver, "t:1;");
}

static void
a_receiver_after_the_grace_ended_finds_no_session(void **state)
{
	char id[PS_SESSION_ID_MAX + 1];

	(void)state;
	session = fixture_open();
	snprintf(id, sizeof(id), "%s", session->id);
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	session_detach(session);
	fixture_advance(GRACE_MS);
	assert_null(session_find(&bridge, ps_slice_str(id)));
	assert_int_equal(peer.abandon_code, 1001);
}

static void
a_slow_client_that_takes_all_in_time_is_not_slow(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fill_queue();
	fixture_advance(STALL_MS - 1);
	assert_takes(&receiver, "t:1;t:2;t:3;t:4;");
	session_confirm(session);
	fixture_advance(1);
	assert_int_equal(peer.n_close, 0);
	peer.n_pause = 0;
	fill_queue(); /* and the patience is new */
	fixture_advance(STALL_MS - 1);
	assert_int_equal(peer.n_close, 0);
	fixture_advance(1);
	assert_int_equal(peer.close_code, 1008);
}

/* --- closing while something waits --- */

static void
a_client_that_closes_while_parked_gets_all_that_was_said(void **state)
{
	(void)state;
	session = fixture_open();
	say("1");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	session_close(session, 1000, ps_slice(NULL, 0));
	say("2");
	assert_takes(&receiver, "t:1;t:2;");
	session_confirm(session);
	peer_closes();
	assert_takes(&receiver, "close;");
	session_detach(session); /* the close event did not get through */
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 1),
	    PS_OK);
	assert_takes(&other_receiver, "t:2;close;");
}

static void
closing_while_the_target_is_held_back_lets_it_finish(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fill_queue();
	session_close(session, 1000, ps_slice(NULL, 0));
	assert_int_equal(peer.n_resume, 1);
	assert_int_equal(peer.n_close, 1);
	say("beyond the queue");
	fixture_advance(STALL_MS); /* nobody is slow any more */
	assert_int_equal(peer.n_close, 1);
	peer_closes();
	assert_takes(&receiver, "t:1;t:2;t:3;t:4;close;");
	assert_int_equal(peer.n_pause, 1);
}

/* --- a target that speaks as soon as it may --- */

static void
what_resuming_brings_is_delivered_within_confirm(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fill_queue();
	peer.on_resume = say_from_resume;
	assert_takes(&receiver, "t:1;t:2;t:3;t:4;");
	receiver.greedy = true;
	session_confirm(session);
	assert_got(&receiver, "t:resumed;");
	assert_int_equal(session->queue.count, 0);
	assert_int_equal(peer.n_pause, 1);
	assert_int_equal(session->first_seq, QUEUE_MESSAGES + 2);
}

static void
what_resuming_brings_is_for_the_receiver_that_comes(void **state)
{
	(void)state;
	session = fixture_open();
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	fill_queue();
	assert_takes(&receiver, "t:1;t:2;t:3;t:4;");
	session_confirm(session);
	peer.on_resume = say_from_resume;
	assert_int_equal(fixture_attach_ack(session, &other_receiver, 3),
	    PS_OK);
	assert_int_equal(other_receiver.n_deliver, 0); /* it looks by itself */
	assert_takes(&other_receiver, "t:4;t:resumed;");
}

static void
what_resuming_brings_while_closing_is_delivered(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fill_queue();
	session_take(session, 1, false);
	session_confirm(session); /* three are left: still held back */
	peer.on_resume = say_from_resume;
	session_close(session, 1000, ps_slice(NULL, 0));
	assert_takes(&receiver, "t:2;t:3;t:4;t:resumed;");
	assert_int_equal(peer.n_close, 1);
}

static void
a_target_that_closes_when_it_is_resumed_is_not_closed(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fill_queue();
	peer.on_resume = close_from_resume;
	session_close(session, 4000, ps_slice(NULL, 0));
	assert_int_equal(peer.n_close, 0);
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_takes(&receiver, "t:1;t:2;t:3;t:4;close;");
	session_confirm(session);
	assert_int_equal(session->state, SESSION_CLOSED);
	assert_int_equal(peer.n_abandon, 0);
}

/* A client gets an end, and no hole. */
static void
what_resuming_brings_is_never_behind_a_hole(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fill_queue();
	session_take(session, 1, false);
	session_confirm(session); /* three are left: still held back */
	fixture_quota()->limits.value[PS_LIMIT_BYTES_PER_DAY] =
	    QUEUE_MESSAGES + strlen("resumed");
	peer.on_resume = say_from_resume;
	say("too much");
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_int_equal(peer.n_resume, 1);
	assert_takes(&receiver, "t:2;t:3;t:4;");
	session_confirm(session);
	say("more");
	assert_false(session_has_unsent(session));
}

/* --- the bridge's own decision in the middle --- */

static void
a_session_expelled_in_deliver_has_all_and_the_reason(void **state)
{
	(void)state;
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	receiver.on_deliver = expel_meanwhile;
	say("1");
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_int_equal(peer.close_code, 1008);
	say("2");
	assert_int_equal(peer.n_close, 1);
	session_peer_closed(session, 1005, ps_slice(NULL, 0), true);
	assert_int_equal(session_unsent_close(session, 2)->code, 1008);
	assert_takes(&receiver, "t:1;t:2;close;");
}

static void
a_session_that_ends_in_deliver_leaves_nothing_behind(void **state)
{
	(void)state;
	session = fixture_open();
	peer_closes();
	receiver.greedy = true;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	receiver.receiver.ops->deliver(&receiver.receiver);
	assert_int_equal(session->state, SESSION_CLOSED);
	assert_int_equal(receiver.n_release, 1);
	session_detach(session);
	session_confirm(session);
	assert_int_equal(receiver.n_release, 1);
	fixture_turn();
	assert_int_equal(bridge.timers.count, 0);
}

/* --- a send in the middle of the end --- */

static void
a_send_repeated_across_a_close_is_not_sent_again(void **state)
{
	(void)state;
	session = fixture_open();
	assert_int_equal(fixture_send_from(session, 1, "t:a;", false, &limit),
	    PS_OK);
	session_close(session, 1000, ps_slice(NULL, 0));
	assert_int_equal(fixture_send_from(session, 1, "t:a;", false, &limit),
	    PS_ERR_CLOSED);
	assert_int_equal(peer.n_sent, 1);
}

static void
a_part_of_a_message_is_never_sent_when_its_session_closes(void **state)
{
	(void)state;
	session = fixture_open();
	assert_int_equal(fixture_send_from(session, 1, "t:a;t:b;", true,
			     &limit),
	    PS_OK);
	session_close(session, 1000, ps_slice(NULL, 0));
	assert_int_equal(fixture_send_from(session, 3, "t:c;", false, &limit),
	    PS_ERR_CLOSED);
	peer_closes();
	assert_slice(written(&peer.sent), "t:a;");
}

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_message_while_a_receiver_is_replaced_is_the_next),
		fresh(a_message_while_one_is_replaced_comes_behind_a_replay),
		fresh(a_message_while_one_is_replaced_needs_no_ack),
		fresh(a_close_while_a_receiver_is_replaced_is_told),
		fresh(a_session_that_ends_releases_into_nothing),
		fresh(a_message_that_is_lost_in_deliver_comes_again),
		fresh(a_close_event_that_is_lost_in_deliver_comes_again),
		fresh(two_lost_receivers_cost_nothing),
		fresh(
		    a_target_that_closes_in_the_middle_of_a_replay_comes_last),
		fresh(a_late_ack_in_the_middle_of_a_replay_moves_nothing_back),
		fresh(a_message_before_the_hold_expires_is_the_answer),
		fresh(a_message_right_after_the_hold_expired_is_for_the_next),
		fresh(a_message_while_the_hold_expires_is_delivered_once),
		fresh(a_receiver_has_its_own_time_and_not_that_of_another),
		fresh(a_receiver_before_the_grace_ends_keeps_the_session),
		fresh(a_receiver_after_the_grace_ended_finds_no_session),
		fresh(a_slow_client_that_takes_all_in_time_is_not_slow),
		fresh(a_client_that_closes_while_parked_gets_all_that_was_said),
		fresh(closing_while_the_target_is_held_back_lets_it_finish),
		fresh(what_resuming_brings_is_delivered_within_confirm),
		fresh(what_resuming_brings_is_for_the_receiver_that_comes),
		fresh(what_resuming_brings_while_closing_is_delivered),
		fresh(a_target_that_closes_when_it_is_resumed_is_not_closed),
		fresh(what_resuming_brings_is_never_behind_a_hole),
		fresh(a_session_expelled_in_deliver_has_all_and_the_reason),
		fresh(a_session_that_ends_in_deliver_leaves_nothing_behind),
		fresh(a_send_repeated_across_a_close_is_not_sent_again),
		fresh(
		    a_part_of_a_message_is_never_sent_when_its_session_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
