#include "config.h"

#include "fixture.h"

#include "wsbridge/drain.h"

#define HOUR_MS (3600u * 1000)

/* --- the table of states --- */

static void
every_state_has_a_name(void **state)
{
	static const char *const names[] = { "connecting", "open", "closing",
		"closed" };
	unsigned i;

	(void)state;
	assert_int_equal(ROWS(names), SESSION__COUNT);
	for (i = 0; i < SESSION__COUNT; i++)
		assert_string_equal(session_state_name(i), names[i]);
}

static void
closed_is_final_and_nothing_goes_back(void **state)
{
	unsigned from, to;

	(void)state;
	for (from = 0; from < SESSION__COUNT; from++) {
		for (to = 0; to <= from; to++)
			assert_row(from, !session_state_may_follow(from, to));
		assert_row(from, session_state_may_follow(from,
				     SESSION_CLOSED) ==
			(from != SESSION_CLOSED));
	}
	assert_true(session_state_may_follow(SESSION_CONNECTING, SESSION_OPEN));
	assert_true(session_state_may_follow(SESSION_OPEN, SESSION_CLOSING));
}

/* --- opening --- */

static void
a_new_session_has_an_id_and_is_found_by_it(void **state)
{
	struct session *a = fixture_connecting(), *b = fixture_connecting();
	char text[PS_SESSION_ID_MAX + 1];

	(void)state;
	assert_int_equal(a->state, SESSION_CONNECTING);
	assert_int_equal(strncmp(a->id, bridge.tag, strlen(bridge.tag)), 0);
	assert_int_equal(strlen(a->id), strlen(bridge.tag) + 1 + 22);
	assert_string_not_equal(a->id, b->id);
	assert_ptr_equal(session_find(&bridge, ps_slice_str(a->id)), a);
	assert_ptr_equal(session_find(&bridge, ps_slice_str(b->id)), b);
	strcpy(text, a->id);
	text[strlen(text) - 1] ^= 1;
	assert_null(session_find(&bridge, ps_slice_str(text)));
	assert_null(session_find(&bridge,
	    ps_slice(a->id, strlen(a->id) - 1)));
	assert_null(session_find(&bridge, ps_slice(NULL, 0)));
	session_end(a, "test");
	assert_null(session_find(&bridge, ps_slice_str(a->id)));
}

static void
the_opener_hears_once_that_it_is_open(void **state)
{
	struct session *session = fixture_connecting();

	(void)state;
	session_opened(session, ps_slice_str("chat"));
	assert_int_equal(session->state, SESSION_OPEN);
	assert_int_equal(opener.n_opened, 1);
	assert_string_equal(opener.protocol, "chat");
	session_opened(session, ps_slice_str("again"));
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	assert_int_equal(opener.n_opened, 1);
	assert_int_equal(opener.n_failed, 0);
}

static void
the_opener_hears_why_it_failed(void **state)
{
	struct session *session = fixture_connecting();

	(void)state;
	session_open_failed(session, PS_CODE_HANDSHAKE_REJECTED, 404);
	assert_int_equal(opener.n_failed, 1);
	assert_int_equal(opener.code, PS_CODE_HANDSHAKE_REJECTED);
	assert_int_equal(opener.http_status, 404);
	assert_int_equal(session->state, SESSION_CLOSED);
	assert_true(TAILQ_EMPTY(&bridge.sessions));
	fixture_turn();
	fixture_advance(HOUR_MS);
	assert_int_equal(opener.n_failed, 1);
}

static void
a_target_that_does_not_answer_times_out(void **state)
{
	(void)state;
	fixture_connecting();
	fixture_advance(CONNECT_TIMEOUT_MS - 1);
	assert_int_equal(opener.n_failed, 0);
	fixture_advance(1);
	assert_int_equal(opener.n_failed, 1);
	assert_int_equal(opener.code, PS_CODE_CONNECT_TIMEOUT);
	assert_int_equal(peer.n_abandon, 1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
an_open_session_has_no_connect_timeout(void **state)
{
	struct session *session = fixture_connecting();

	(void)state;
	fixture_advance(CONNECT_TIMEOUT_MS - 1);
	session_opened(session, ps_slice(NULL, 0));
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_advance(CONNECT_TIMEOUT_MS);
	assert_int_equal(session->state, SESSION_OPEN);
}

static void
expelling_what_is_connecting_fails_it(void **state)
{
	(void)state;
	session_expel(fixture_connecting(), 1008, "test");
	assert_int_equal(opener.n_failed, 1);
	assert_int_equal(peer.n_abandon, 1);
	assert_int_equal(peer.n_close, 0);
}

static struct session *
create_from(const char *address, struct refusal *refusal_r)
{
	return session_create(&bridge, ps_slice_str(address), fixture_quota(),
	    refusal_r);
}

static void
the_bridge_has_so_many_sessions_and_no_more(void **state)
{
	struct refusal refusal;
	size_t i;

	(void)state;
	fixture_set("max_sessions=3");
	for (i = 0; i < 3; i++)
		fixture_connecting();
	assert_null(create_from("192.0.2.1", &refusal));
	assert_int_equal(refusal.code, PS_CODE_BRIDGE_FULL);
	session_end(TAILQ_FIRST(&bridge.sessions), "test");
	fixture_connecting();
}

static void
a_session_counts_for_its_address_until_it_ends(void **state)
{
	struct session *session;
	struct refusal refusal;

	(void)state;
	fixture_set("max_sessions_per_address=1");
	session = fixture_open();
	assert_null(create_from("192.0.2.1", &refusal));
	assert_int_equal(refusal.code, PS_CODE_CONNECTION_LIMIT);
	assert_non_null(create_from("192.0.2.2", &refusal));
	session_end(session, "test");
	fixture_set("max_creates_per_second=1");
	assert_null(create_from("192.0.2.1", &refusal));
	assert_int_equal(refusal.code, PS_CODE_RATE_LIMIT);
	fixture_advance(1000);
	fixture_connecting();
}

/* --- graces --- */

static void
a_session_waits_for_its_first_receiver(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_advance(FIRST_GRACE_MS - 1);
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
	assert_int_equal(peer.n_abandon, 1);
	assert_int_equal(peer.abandon_code, 1001);
}

static void
a_session_waits_less_for_the_next_receiver(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_advance(HOUR_MS - 1);
	session_detach(session);
	fixture_advance(GRACE_MS - 1);
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	session_detach(session);
	fixture_advance(GRACE_MS - 1);
	assert_int_equal(bridge.sessions_by_id.count, 1);
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_receiver_is_told_when_its_time_is_over(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	receiver.hold_ms = 700;
	assert_true(fixture_attach(session, &receiver, 300));
	fixture_advance(299);
	assert_int_equal(receiver.n_expire, 0);
	fixture_advance(1);
	assert_int_equal(receiver.n_expire, 1);
	fixture_advance(699);
	assert_int_equal(receiver.n_expire, 1);
	fixture_advance(1);
	assert_int_equal(receiver.n_expire, 2);
	receiver.receiver.deadline_ms = bridge.now_ms() + 5;
	session_update_deadline(session);
	fixture_advance(5);
	assert_int_equal(receiver.n_expire, 3);
}

/* --- messages to the client --- */

static void
messages_wait_in_order_for_a_receiver(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	assert_true(session_has_unsent(session));
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	assert_int_equal(receiver.n_deliver, 0); /* it looks by itself */
	fixture_take(session, &receiver);
	assert_false(session_has_unsent(session));
	fixture_from_peer(session, "three");
	assert_int_equal(receiver.n_deliver, 1);
	fixture_take(session, &receiver);
	assert_slice(written(&receiver.got), "t:one;t:two;t:three;");
	session_confirm(session);
	assert_int_equal(session->queue.count, 0);
	assert_int_equal(session->traffic.messages_down, 3);
	assert_int_equal(session->traffic.bytes_down, 11);
}

static void
messages_are_numbered_for_ever(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_from_peer(session, "1");
	fixture_from_peer(session, "2");
	assert_int_equal(session_take(session, 1, false), 1);
	assert_int_equal(session_take(session, 1, false), 2);
	session_confirm(session);
	fixture_from_peer(session, "3");
	assert_int_equal(session_take(session, 1, false), 3);
	session_detach(session); /* not confirmed: 3 comes again */
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	assert_int_equal(session_take(session, 1, false), 3);
}

static void
what_was_taken_and_lost_comes_again(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	session_take(session, 1, false);
	session_confirm(session); /* "one" is with the client */
	fixture_take(session, &receiver);
	assert_slice(written(&receiver.got), "t:two;");
	session_detach(session);
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	fixture_take(session, &other_receiver);
	assert_slice(written(&other_receiver.got), "t:two;");
}

static void
a_close_event_taken_and_lost_comes_again(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	session_peer_closed(session, 1000, ps_slice_str("bye"), true);
	fixture_take(session, &receiver);
	session_detach(session);
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	fixture_take(session, &other_receiver);
	assert_slice(written(&other_receiver.got), "close;");
	assert_int_equal(session->state, SESSION_CLOSING);
	session_confirm(session);
	assert_int_equal(session->state, SESSION_CLOSED);
	assert_int_equal(other_receiver.n_release, 1);
}

static void
a_second_receiver_replaces_the_first(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_from_peer(session, "one");
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	assert_int_equal(receiver.n_release, 1);
	assert_null(receiver.receiver.session);
	assert_ptr_equal(session->receiver, &other_receiver.receiver);
	fixture_take(session, &other_receiver); /* nobody had taken it */
	assert_slice(written(&other_receiver.got), "t:one;");
}

static void
what_a_replaced_receiver_had_taken_is_not_doubled(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	session_take(session, 1, false);
	assert_true(fixture_attach(session, &other_receiver, HOUR_MS));
	fixture_take(session, &other_receiver);
	assert_slice(written(&other_receiver.got), "t:two;");
	assert_int_equal(session->first_seq, 2);
}

static void
nobody_replaces_a_receiver_that_had_the_close_event(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	fixture_take(session, &receiver);
	assert_false(fixture_attach(session, &other_receiver, HOUR_MS));
	assert_int_equal(session->state, SESSION_CLOSED);
	assert_int_equal(other_receiver.n_release, 0);
	assert_int_equal(receiver.n_release, 1);
}

/* --- closing --- */

static void
the_close_event_comes_after_all_messages(void **state)
{
	struct session *session = fixture_open();
	const struct close_event *event;

	(void)state;
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	session_peer_closed(session, 4321, ps_slice_str("why"), true);
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_null(session_unsent_close(session, 0));
	assert_null(session_unsent_close(session, 1));
	event = session_unsent_close(session, 2);
	assert_non_null(event);
	assert_int_equal(event->code, 4321);
	assert_true(event->was_clean);
	assert_slice(ps_slice(event->reason, event->reason_len), "why");
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_take(session, &receiver);
	assert_slice(written(&receiver.got), "t:one;t:two;close;");
	session_confirm(session);
	assert_int_equal(bridge.sessions_by_id.count, 0);
	assert_int_equal(peer.n_abandon, 0); /* it is gone by itself */
}

static void
a_reason_is_cut_to_what_a_close_frame_holds(void **state)
{
	struct session *session = fixture_open();
	char reason[PS_CLOSE_REASON_MAX + 1];

	(void)state;
	memset(reason, 'r', sizeof(reason));
	session_peer_closed(session, 1000, ps_slice(reason, sizeof(reason)),
	    true);
	assert_int_equal(session->close->reason_len, PS_CLOSE_REASON_MAX);
}

static void
a_close_event_waits_so_long_and_no_longer(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	session_peer_closed(session, 1006, ps_slice(NULL, 0), false);
	fixture_advance(LINGER_MS - 1);
	assert_int_equal(session->state, SESSION_CLOSING);
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_client_that_closes_hears_when_the_target_has(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	receiver.greedy = true;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	session_close(session, 4000, ps_slice_str("enough"));
	session_close(session, 4001, ps_slice_str("again"));
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 4000);
	assert_string_equal(peer.close_reason, "enough");
	fixture_from_peer(session, "last"); /* still delivered */
	session_peer_closed(session, 4000, ps_slice_str("enough"), true);
	assert_slice(written(&receiver.got), "t:last;close;");
	assert_int_equal(receiver.n_release, 1);
	assert_int_equal(session->state, SESSION_CLOSED);
}

static void
a_closing_session_keeps_no_more_than_its_queue(void **state)
{
	struct session *session = fixture_open();
	unsigned i;

	(void)state;
	session_close(session, 1000, ps_slice(NULL, 0));
	for (i = 0; i < 3 * QUEUE_MESSAGES; i++)
		fixture_from_peer(session, "x");
	assert_int_equal(session->queue.count, QUEUE_MESSAGES);
	assert_int_equal(peer.n_pause, 0);
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_take(session, &receiver);
	assert_slice(written(&receiver.got), "t:x;t:x;t:x;t:x;close;");
}

static void
what_a_client_gets_has_an_end_but_no_hole(void **state)
{
	struct session *session = fixture_open();
	unsigned i;

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	session_close(session, 1000, ps_slice(NULL, 0));
	for (i = 0; i < QUEUE_MESSAGES; i++)
		fixture_from_peer(session, "x");
	fixture_from_peer(session, "dropped");
	fixture_take(session, &receiver);
	session_confirm(session); /* there is room again */
	fixture_from_peer(session, "behind the hole");
	assert_false(session_has_unsent(session));
	assert_slice(written(&receiver.got), "t:x;t:x;t:x;t:x;");
}

static void
nothing_is_sent_to_a_target_that_is_closing(void **state)
{
	struct session *session = fixture_open();
	struct ps_ipc_send send = { .count = 0 };
	const char *limit;

	(void)state;
	session_close(session, 1000, ps_slice(NULL, 0));
	assert_int_equal(session_from_client(session, &send, &limit),
	    PS_ERR_CLOSED);
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	assert_int_equal(session_from_client(session, &send, &limit),
	    PS_ERR_CLOSED);
}

static void
an_ended_session_tells_both_sides_once(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_from_peer(session, "never fetched");
	session_end(session, "test");
	session_end(session, "again");
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	assert_int_equal(peer.n_abandon, 1);
	assert_int_equal(receiver.n_release, 1);
	fixture_turn();
	fixture_advance(HOUR_MS);
	assert_int_equal(receiver.n_expire, 0);
}

/* --- back-pressure --- */

static void
a_full_queue_pauses_the_target(void **state)
{
	struct session *session = fixture_open();
	unsigned i;

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	for (i = 1; i <= QUEUE_MESSAGES + 2; i++) {
		fixture_from_peer(session, "x");
		assert_row(i, peer.n_pause == (i >= QUEUE_MESSAGES ? 1 : 0));
	}
	assert_int_equal(session->queue.count, QUEUE_MESSAGES + 2);
	for (i = QUEUE_MESSAGES + 1; i >= QUEUE_MESSAGES / 2; i--) {
		session_take(session, 1, false);
		session_confirm(session);
		assert_row(i, peer.n_resume ==
			(i <= QUEUE_MESSAGES / 2 ? 1 : 0));
	}
	assert_int_equal(peer.n_pause, 1);
}

static void
many_bytes_pause_the_target_too(void **state)
{
	static const char half[] = "twenty bytes of text";
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(strlen(half) * 2, QUEUE_BYTES);
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_from_peer(session, half);
	fixture_from_peer(session, half + 1);
	assert_int_equal(peer.n_pause, 0); /* one byte is free */
	fixture_from_peer(session, "x");
	assert_int_equal(peer.n_pause, 1);
	session_take(session, 1, false);
	session_confirm(session); /* twenty are left */
	assert_int_equal(peer.n_resume, 1);
}

static void
a_client_that_takes_at_once_pauses_nobody(void **state)
{
	struct session *session = fixture_open();
	unsigned i;

	(void)state;
	receiver.greedy = true;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	for (i = 0; i < 100; i++)
		fixture_from_peer(session, "x");
	assert_int_equal(receiver.n_deliver, 100);
	assert_int_equal(peer.n_pause, 0);
}

static void
a_slow_client_is_closed_with_1008(void **state)
{
	struct session *session = fixture_open();
	unsigned i;

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	for (i = 0; i < QUEUE_MESSAGES; i++)
		fixture_from_peer(session, "x");
	fixture_advance(STALL_MS - 1);
	assert_int_equal(peer.n_close, 0);
	fixture_advance(1);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 1008);
	assert_string_equal(peer.close_reason, "slow client");
	assert_int_equal(peer.n_resume, 1); /* for the answer */
	session_peer_closed(session, 1008, ps_slice_str("slow client"), true);
	fixture_take(session, &receiver);
	assert_slice(written(&receiver.got), "t:x;t:x;t:x;t:x;close;");
}

static void
a_drained_queue_ends_the_stall(void **state)
{
	struct session *session = fixture_open();
	unsigned i;

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS * 10));
	for (i = 0; i < QUEUE_MESSAGES; i++)
		fixture_from_peer(session, "x");
	fixture_advance(STALL_MS - 1);
	session_take(session, 2, false);
	session_confirm(session);
	fixture_advance(HOUR_MS);
	assert_int_equal(peer.n_close, 0);
	assert_int_equal(session->state, SESSION_OPEN);
}

/* --- messages from the client --- */

static const char *limit; /* that send_events() ran into */

static int
send_events(struct session *session, const char *events, bool more)
{
	return fixture_send(session, events, more, &limit);
}

static void
messages_reach_the_target_in_order(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_events(session, "t:one;b:two;t:;", false),
	    PS_OK);
	assert_int_equal(send_events(session, "", false), PS_OK);
	assert_int_equal(send_events(session, "t:three;", false), PS_OK);
	assert_slice(written(&peer.sent), "t:one;b:two;t:;t:three;");
	assert_int_equal(session->traffic.messages_up, 4);
	assert_int_equal(session->traffic.bytes_up, 11);
}

static void
nothing_is_sent_before_it_is_open(void **state)
{
	struct session *session = fixture_connecting();

	(void)state;
	assert_int_equal(send_events(session, "t:x;", false), PS_ERR_CLOSED);
	assert_int_equal(peer.n_sent, 0);
}

static void
parts_are_joined_to_one_message(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_events(session, "t:a;t:b;", true), PS_OK);
	assert_slice(written(&peer.sent), "t:a;");
	assert_int_equal(send_events(session, "t:c;", true), PS_OK);
	assert_int_equal(send_events(session, "", false), PS_OK);
	assert_slice(written(&peer.sent), "t:a;");
	assert_int_equal(send_events(session, "t:d;t:e;", false), PS_OK);
	assert_slice(written(&peer.sent), "t:a;t:bcd;t:e;");
	assert_null(session->partial);
}

static void
parts_of_two_types_are_refused(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_events(session, "b:a;", true), PS_OK);
	assert_int_equal(send_events(session, "t:b;b:c;", false),
	    PS_ERR_MALFORMED);
	assert_int_equal(peer.n_sent, 0);
	assert_int_equal(send_events(session, "b:b;t:c;", false), PS_OK);
	assert_slice(written(&peer.sent), "b:ab;t:c;");
}

static void
a_message_has_a_largest_size_even_in_parts(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_events(session, "t:twenty bytes of text;",
			     false),
	    PS_OK);
	assert_int_equal(send_events(session, "t:twenty-one bytes here;",
			     false),
	    PS_ERR_TOO_LARGE);
	assert_int_equal(send_events(session, "t:nineteen bytes of t;", true),
	    PS_OK);
	assert_int_equal(send_events(session, "t:12;", true),
	    PS_ERR_TOO_LARGE);
	assert_int_equal(send_events(session, "t:1;", false), PS_OK);
	assert_slice(written(&peer.sent),
	    "t:twenty bytes of text;t:nineteen bytes of t1;");
}

static void
a_request_is_sent_whole_or_not_at_all(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_events(session,
			     "t:fine;t:fine;t:this one is too large;", false),
	    PS_ERR_TOO_LARGE);
	peer.room_count = 2;
	assert_int_equal(send_events(session, "t:a;t:b;t:c;", false),
	    PS_ERR_FULL);
	peer.room_count = 3;
	peer.room_bytes = 2;
	assert_int_equal(send_events(session, "t:a;t:b;t:c;", false),
	    PS_ERR_FULL);
	assert_int_equal(peer.n_sent, 0);
	assert_int_equal(session->traffic.messages_up, 0);
	peer.room_bytes = 3;
	assert_int_equal(send_events(session, "t:a;t:b;t:c;", false), PS_OK);
	assert_int_equal(peer.n_sent, 3);
}

static void
a_refused_part_leaves_the_earlier_ones(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	assert_int_equal(send_events(session, "t:first;", true), PS_OK);
	peer.room_count = 0;
	assert_int_equal(send_events(session, "t:-second;", false),
	    PS_ERR_FULL);
	assert_int_equal(send_events(session, "t:-second;", true), PS_OK);
	peer.room_count = 1;
	assert_int_equal(send_events(session, "t:-third;", false), PS_OK);
	assert_slice(written(&peer.sent), "t:first-second-third;");
}

/* --- draining --- */

static unsigned n_drained;

/* Without a successor, nor time for what lives. */
static void
drain_at_once(void (*done)(struct bridge *bridge))
{
	fixture_set("drain_timeout=0s");
	drain_start(&bridge, done);
}

static void
count_drained(struct bridge *of)
{
	assert_ptr_equal(of, &bridge);
	n_drained++;
}

static void
draining_without_sessions_is_done_in_a_turn(void **state)
{
	(void)state;
	n_drained = 0;
	drain_start(&bridge, count_drained);
	fixture_turn();
	assert_int_equal(n_drained, 1);
	drain_start(&bridge, count_drained);
	fixture_turn();
	assert_int_equal(n_drained, 1);
}

static void
sessions_are_served_on_until_they_end_while_draining(void **state)
{
	struct session *session = fixture_open(), *second = fixture_open();

	(void)state;
	n_drained = 0;
	fixture_connecting();
	drain_start(&bridge, count_drained);
	assert_int_equal(opener.n_failed, 0);
	assert_int_equal(peer.n_close, 0);
	receiver.greedy = true;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_from_peer(session, "down");
	assert_slice(written(&receiver.got), "t:down;");
	assert_int_equal(send_events(session, "t:up;", false), PS_OK);
	assert_slice(written(&peer.sent), "t:up;");
	session_end(session, "its end");
	session_end(second, "its end");
	assert_int_equal(n_drained, 0);
	fixture_advance(bridge.config->connect_timeout);
	assert_int_equal(opener.n_failed, 1);
	assert_int_equal(n_drained, 1);
}

static void
sessions_are_closed_when_the_drain_timeout_is_over(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	n_drained = 0;
	fixture_set("drain_timeout=1h");
	assert_true(fixture_attach(session, &receiver, 2 * HOUR_MS));
	drain_start(&bridge, count_drained);
	fixture_advance(HOUR_MS - 1);
	assert_int_equal(peer.n_close, 0);
	fixture_advance(1);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 1001);
	assert_int_equal(n_drained, 0);
}

static void
a_drain_in_a_hurry_closes_them_at_once(void **state)
{
	(void)state;
	n_drained = 0;
	fixture_open();
	drain_start(&bridge, count_drained);
	assert_int_equal(peer.n_close, 0);
	drain_close(&bridge);
	assert_int_equal(peer.n_close, 1);
	drain_close(&bridge);
	assert_int_equal(peer.n_close, 1);
}

static void
draining_closes_every_session_with_1001(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	n_drained = 0;
	receiver.greedy = true;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	fixture_connecting(); /* another one, which fails at once */
	drain_at_once(count_drained);
	assert_int_equal(opener.n_failed, 1);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 1001);
	assert_int_equal(n_drained, 0);
	session_peer_closed(session, 1001, ps_slice(NULL, 0), true);
	assert_slice(written(&receiver.got), "close;");
	fixture_turn();
	assert_int_equal(n_drained, 1);
}

static void
draining_waits_less_for_a_close_event_to_be_fetched(void **state)
{
	struct session *before = fixture_open(), *meanwhile = fixture_open();

	(void)state;
	n_drained = 0;
	session_peer_closed(before, 1000, ps_slice(NULL, 0), true);
	drain_at_once(count_drained);
	session_peer_closed(meanwhile, 1001, ps_slice(NULL, 0), true);
	fixture_advance(GRACE_MS - 1);
	assert_int_equal(n_drained, 0);
	fixture_advance(1);
	assert_int_equal(n_drained, 1);
}

static void
draining_takes_no_longer_than_it_may(void **state)
{
	(void)state;
	n_drained = 0;
	fixture_set("close_timeout=7s");
	fixture_open();
	drain_at_once(count_drained);
	fixture_advance(6999);
	assert_int_equal(n_drained, 0);
	fixture_advance(1);
	assert_true(n_drained > 0);
	assert_int_equal(peer.n_abandon, 1);
}

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_has_a_name),
		cmocka_unit_test(closed_is_final_and_nothing_goes_back),
		fresh(a_new_session_has_an_id_and_is_found_by_it),
		fresh(the_opener_hears_once_that_it_is_open),
		fresh(the_opener_hears_why_it_failed),
		fresh(a_target_that_does_not_answer_times_out),
		fresh(an_open_session_has_no_connect_timeout),
		fresh(expelling_what_is_connecting_fails_it),
		fresh(the_bridge_has_so_many_sessions_and_no_more),
		fresh(a_session_counts_for_its_address_until_it_ends),
		fresh(a_session_waits_for_its_first_receiver),
		fresh(a_session_waits_less_for_the_next_receiver),
		fresh(a_receiver_is_told_when_its_time_is_over),
		fresh(messages_wait_in_order_for_a_receiver),
		fresh(messages_are_numbered_for_ever),
		fresh(what_was_taken_and_lost_comes_again),
		fresh(a_close_event_taken_and_lost_comes_again),
		fresh(a_second_receiver_replaces_the_first),
		fresh(what_a_replaced_receiver_had_taken_is_not_doubled),
		fresh(nobody_replaces_a_receiver_that_had_the_close_event),
		fresh(the_close_event_comes_after_all_messages),
		fresh(a_reason_is_cut_to_what_a_close_frame_holds),
		fresh(a_close_event_waits_so_long_and_no_longer),
		fresh(a_client_that_closes_hears_when_the_target_has),
		fresh(a_closing_session_keeps_no_more_than_its_queue),
		fresh(what_a_client_gets_has_an_end_but_no_hole),
		fresh(nothing_is_sent_to_a_target_that_is_closing),
		fresh(an_ended_session_tells_both_sides_once),
		fresh(a_full_queue_pauses_the_target),
		fresh(many_bytes_pause_the_target_too),
		fresh(a_client_that_takes_at_once_pauses_nobody),
		fresh(a_slow_client_is_closed_with_1008),
		fresh(a_drained_queue_ends_the_stall),
		fresh(messages_reach_the_target_in_order),
		fresh(nothing_is_sent_before_it_is_open),
		fresh(parts_are_joined_to_one_message),
		fresh(parts_of_two_types_are_refused),
		fresh(a_message_has_a_largest_size_even_in_parts),
		fresh(a_request_is_sent_whole_or_not_at_all),
		fresh(a_refused_part_leaves_the_earlier_ones),
		fresh(draining_without_sessions_is_done_in_a_turn),
		fresh(sessions_are_served_on_until_they_end_while_draining),
		fresh(sessions_are_closed_when_the_drain_timeout_is_over),
		fresh(a_drain_in_a_hurry_closes_them_at_once),
		fresh(draining_closes_every_session_with_1001),
		fresh(draining_waits_less_for_a_close_event_to_be_fetched),
		fresh(draining_takes_no_longer_than_it_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
