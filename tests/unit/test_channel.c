/*
 * The members of a channel: who hears what, in which order, and who leaves. No
 * loop runs: the clock is the test's.
 */
#include "config.h"

#include "channel_fixture.h"

#include "wsbridge/channels/envelope.h"
#include "wsbridge/enforce.h"

static void
first_member_is_connected_alone(void **state)
{
	(void)state;
	listener_create(a, "room", NULL);
	listener_attach(a);
	assert_string_equal(listener_got(a), "CONNECTED {\"members\":[]};");
}

static void
others_hear_of_a_newcomer_who_hears_of_them(void **state)
{
	(void)state;
	listener_join(a, "room");
	listener_join(b, "room");
	assert_string_equal(listener_got(a),
	    "PRESENCE:JOINED {\"clientID\":\"#1\",\"presence\":{}};");
	listener_create(c, "room", NULL);
	listener_attach(c);
	assert_string_equal(listener_got(c),
	    "CONNECTED {\"members\":[{\"clientID\":\"#0\",\"presence\":{}},"
	    "{\"clientID\":\"#1\",\"presence\":{}}]};");
}

static void
channels_do_not_hear_of_each_other(void **state)
{
	(void)state;
	listener_join(a, "room");
	listener_join(b, "hall");
	channel_emit("hall", 1);
	channel_settle();
	assert_string_equal(listener_got(a), "");
	assert_string_equal(listener_got(b), "DATA 1;");
}

static void
an_event_goes_to_all_in_one_order(void **state)
{
	(void)state;
	listeners_open_two();
	channel_emit("room", 1);
	channel_emit("room", 2);
	assert_string_equal(listener_got(a), "");
	channel_settle();
	assert_string_equal(listener_got(a), "DATA 1;DATA 2;");
	assert_string_equal(listener_got(b), "DATA 1;DATA 2;");
}

static void
what_waits_goes_out_together(void **state)
{
	(void)state;
	listeners_open_two();
	a->receiver.n_deliver = 0;
	channel_emit("room", 1);
	channel_emit("room", 2);
	channel_emit("room", 3);
	channel_settle();
	assert_int_equal(a->receiver.n_deliver, 1);
}

static void
one_event_for_one_member_comes_in_its_place(void **state)
{
	(void)state;
	listeners_open_two();
	channel_emit("room", 1);
	channel_send_to(listener_member(a),
	    envelope_create("ERROR", ps_slice_str("{}")));
	assert_string_equal(listener_got(a), "DATA 1;ERROR {};");
	channel_emit("room", 2);
	channel_settle();
	assert_string_equal(listener_got(a), "DATA 2;");
	assert_string_equal(listener_got(b), "DATA 1;DATA 2;");
}

static void
one_may_be_left_out(void **state)
{
	struct channel *room;

	(void)state;
	listeners_open_two();
	room = channel_find(&bridge, ps_slice_str("room"));
	assert_true(channel_send(room,
	    envelope_create("ERROR", ps_slice_str("{}")),
	    listener_member(a)));
	channel_settle();
	assert_string_equal(listener_got(a), "");
	assert_string_equal(listener_got(b), "ERROR {};");
}

/* How a member leaves, and what it hears at last. */
static void
close_by_client(void)
{
	session_close(b->session, 1000, ps_slice(NULL, 0));
}

static void
close_by_administrator(void)
{
	enforce_close(&bridge, b->session->name);
}

static void
lose_receiver(void)
{
	session_detach(b->session);
	fixture_advance(GRACE_MS);
}

static void
end_at_once(void)
{
	session_end(b->session, "test");
}

static void
use_up_the_day(void)
{
	struct quota *quota = quotas_get(&bridge.quotas, 1);

	quota->limits.value[PS_LIMIT_MESSAGES_PER_DAY] = quota->messages;
	channel_send_to(listener_member(b),
	    envelope_data(ps_slice_str("1"), "evt_00000001", false, false));
	quota->limits.value[PS_LIMIT_MESSAGES_PER_DAY] = PS_NO_LIMIT;
}

static void
be_silent(void)
{
	fixture_advance(25000);
	assert_int_equal(listener_say(a, "{\"type\":\"PONG\"}"), PS_OK);
	fixture_advance(25000);
	assert_int_equal(listener_say(a, "{\"type\":\"PONG\"}"), PS_OK);
	fixture_advance(10000);
}

static void
send_bytes(void)
{
	const char *limit;

	assert_int_equal(fixture_send(b->session, "b:x;", false, &limit),
	    PS_OK);
}

static void
talk_nonsense(void)
{
	for (int i = 0; i < 20; i++)
		assert_int_equal(listener_say(b, "nonsense"), PS_OK);
}

static void
everyone_who_goes_is_missed_once(void **state)
{
	static const struct {
		void (*go)(void);
		int code; /* of the close event; 0: none */
	} ways[] = {
		{ close_by_client, 1000 },
		{ close_by_administrator, 1008 },
		{ lose_receiver, 0 },
		{ end_at_once, 0 },
		{ use_up_the_day, 1008 },
		{ be_silent, 1008 },
		{ send_bytes, 1003 },
		{ talk_nonsense, 1008 },
	};
	const char *got;
	size_t i;

	(void)state;
	listener_join(a, "room");
	for (i = 0; i < ROWS(ways); i++) {
		listener_join(b, "room");
		listener_got(a);
		ways[i].go();
		channel_settle();
		got = strstr(listener_got(a), "PRESENCE:LEFT");
		assert_row(i, got != NULL);
		assert_row(i,
		    strcmp(got, "PRESENCE:LEFT {\"clientID\":\"#1\"};") == 0);
		assert_row(i,
		    channel_find(&bridge, ps_slice_str("room"))->n_members ==
			1);
		got = listener_got(b);
		assert_row(i,
		    (strstr(got, "close;") != NULL) == (ways[i].code != 0));
	}
}

static void
the_last_one_takes_the_channel_along(void **state)
{
	(void)state;
	listeners_open_two();
	session_end(a->session, "test");
	session_end(b->session, "test");
	assert_null(channel_find(&bridge, ps_slice_str("room")));
	assert_int_equal(bridge.members_by_client.count, 0);
	assert_true(TAILQ_EMPTY(&bridge.channels));
}

static void
presence_is_shown_to_all_and_to_newcomers(void **state)
{
	(void)state;
	listeners_open_two();
	assert_int_equal(listener_say(a,
			     "{\"type\":\"presence\",\"payload\":{\"n\": 1}}"),
	    PS_OK);
	channel_settle();
	assert_string_equal(listener_got(a),
	    "PRESENCE:UPDATED {\"clientID\":\"#0\",\"presence\":{\"n\":1}};");
	assert_string_equal(listener_got(b),
	    "PRESENCE:UPDATED {\"clientID\":\"#0\",\"presence\":{\"n\":1}};");
	assert_int_equal(listener_say(a,
			     "{\"type\":\"PRESENCE\",\"payload\":{}}"),
	    PS_OK);
	listener_create(c, "room", NULL);
	listener_attach(c);
	assert_string_equal(listener_got(c),
	    "CONNECTED {\"members\":[{\"clientID\":\"#0\",\"presence\":{}},"
	    "{\"clientID\":\"#1\",\"presence\":{}}]};");
}

static void
a_ping_tells_how_long_an_answer_takes(void **state)
{
	(void)state;
	listener_join(a, "room");
	assert_int_equal(a->session->recipient->latency_ms, 0);
	fixture_advance(25000);
	assert_string_equal(listener_got(a), "PING {};");
	fixture_advance(70);
	assert_int_equal(listener_say(a, "{\"type\":\"pong\"}"), PS_OK);
	assert_int_equal(a->session->recipient->latency_ms, 70);
	/* Another one says nothing of any PING. */
	fixture_advance(100);
	assert_int_equal(listener_say(a, "{\"type\":\"PONG\"}"), PS_OK);
	assert_int_equal(a->session->recipient->latency_ms, 70);
}

static void
silence_is_asked_about_and_ends(void **state)
{
	(void)state;
	listener_join(a, "room");
	fixture_advance(25000);
	assert_string_equal(listener_got(a), "PING {};");
	fixture_advance(25000);
	assert_string_equal(listener_got(a), "PING {};");
	fixture_advance(10000);
	assert_string_equal(listener_got(a),
	    "ERROR {\"message\":\"Client did not respond to PING event\","
	    "\"code\":\"PING_TIMEOUT\"};close;");
}

static void
a_client_that_is_heard_of_is_not_silent(void **state)
{
	int i;

	(void)state;
	listener_join(a, "room");
	for (i = 0; i < 10; i++) {
		fixture_advance(25000);
		assert_string_equal(listener_got(a), "PING {};");
		member_heard(a->session);
	}
}

static void
what_is_not_understood_is_told(void **state)
{
	static const struct {
		const char *said, *code;
	} rows[] = {
		{ "nonsense", "BAD_MESSAGE" },
		{ "{}", "BAD_MESSAGE" },
		{ "{\"type\":\"PRESENCE\",\"payload\":[]}", "BAD_MESSAGE" },
		{ "{\"type\":\"ACK\"}", "BAD_MESSAGE" },
		{ "{\"type\":\"DANCE\"}", "UNKNOWN_TYPE" },
		{ "{\"type\":\"ACK\",\"payload\":{\"eventID\":\"evt_x\"}}",
		    "UNKNOWN_EVENT" },
	};
	const char *got;
	size_t i;

	(void)state;
	listener_join(a, "room");
	for (i = 0; i < ROWS(rows); i++) {
		assert_int_equal(listener_say(a, rows[i].said), PS_OK);
		got = listener_got(a);
		assert_row(i, strncmp(got, "ERROR {\"message\":\"", 18) == 0);
		assert_row(i, strstr(got, rows[i].code) != NULL);
		assert_row(i, strstr(got, "close;") == NULL);
	}
}

static void
an_ack_is_acknowledged(void **state)
{
	(void)state;
	listener_join(a, "room");
	assert_int_equal(
	    listener_say(a,
		"{\"type\":\"ACK\",\"payload\":{\"eventID\":\"evt_awaited_\"}}"),
	    PS_OK);
	assert_string_equal(listener_got(a),
	    "ACK-RECEIVED {\"eventID\":\"evt_awaited_\"};");
}

static void
bad_messages_are_counted_for_a_minute(void **state)
{
	int i;

	(void)state;
	listener_join(a, "room");
	for (i = 0; i < 19; i++)
		assert_int_equal(listener_say(a, "{}"), PS_OK);
	fixture_advance(60000 - 1);
	assert_int_equal(listener_say(a, "{\"type\":\"DANCE\"}"), PS_OK);
	fixture_advance(1);
	for (i = 0; i < 19; i++)
		assert_int_equal(listener_say(a, "{}"), PS_OK);
	assert_int_equal(a->session->state, SESSION_OPEN);
	assert_int_equal(listener_say(a, "{}"), PS_OK);
	assert_int_equal(a->session->state, SESSION_CLOSED);
}

static void
a_member_that_takes_nothing_is_closed_and_others_go_on(void **state)
{
	unsigned i;

	(void)state;
	listeners_open_two();
	b->receiver.greedy = false;
	for (i = 1; i < 8; i++) {
		channel_emit("room", i);
		channel_settle();
	}
	assert_int_equal(b->session->state, SESSION_OPEN);
	channel_emit("room", 8);
	channel_settle();
	assert_int_equal(b->session->state, SESSION_CLOSING);
	assert_int_equal(b->session->close->code, 1013);
	fixture_take(b->session, &b->receiver);
	assert_string_equal(listener_got(b),
	    "DATA 1;DATA 2;DATA 3;DATA 4;DATA 5;DATA 6;DATA 7;DATA 8;"
	    "ERROR {\"message\":\"More events wait for the client than may "
	    "wait\",\"code\":\"SLOW_CLIENT\"};close;");
	assert_string_equal(listener_got(a),
	    "DATA 1;DATA 2;DATA 3;DATA 4;DATA 5;DATA 6;DATA 7;DATA 8;"
	    "PRESENCE:LEFT {\"clientID\":\"#1\"};");
}

static void
what_is_kept_until_it_is_acknowledged_is_not_slow(void **state)
{
	uint64_t ack;
	unsigned i;

	(void)state;
	listener_create(a, "room", NULL);
	a->receiver.greedy = true;
	assert_int_equal(fixture_attach_keeping(a->session, &a->receiver),
	    PS_OK);
	a->receiver.receiver.ops->deliver(&a->receiver.receiver);
	for (i = 1; i <= 8; i++)
		channel_emit("room", i);
	channel_settle();
	assert_int_equal(a->session->queue.count, 9);
	assert_int_equal(a->session->state, SESSION_OPEN);
	ack = 9;
	assert_int_equal(session_acknowledge(a->session, &ack), PS_OK);
	assert_string_equal(a->session->recipient->event, "evt_00000008");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, channel_setup, channel_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_member_is_connected_alone),
		TEST(others_hear_of_a_newcomer_who_hears_of_them),
		TEST(channels_do_not_hear_of_each_other),
		TEST(an_event_goes_to_all_in_one_order),
		TEST(what_waits_goes_out_together),
		TEST(one_event_for_one_member_comes_in_its_place),
		TEST(one_may_be_left_out),
		TEST(everyone_who_goes_is_missed_once),
		TEST(the_last_one_takes_the_channel_along),
		TEST(presence_is_shown_to_all_and_to_newcomers),
		TEST(a_ping_tells_how_long_an_answer_takes),
		TEST(silence_is_asked_about_and_ends),
		TEST(a_client_that_is_heard_of_is_not_silent),
		TEST(what_is_not_understood_is_told),
		TEST(an_ack_is_acknowledged),
		TEST(bad_messages_are_counted_for_a_minute),
		TEST(a_member_that_takes_nothing_is_closed_and_others_go_on),
		TEST(what_is_kept_until_it_is_acknowledged_is_not_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
