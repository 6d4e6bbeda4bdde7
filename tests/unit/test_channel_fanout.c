/*
 * What is on its way to the members of a channel: how much that may be, who
 * waits meanwhile, what a turn of the loop does of it, and that a drain loses
 * nothing.
 */
#include "config.h"

#include "channel_fixture.h"

#include "wsbridge/channels/envelope.h"
#include "wsbridge/drain.h"

static void
a_log_that_is_full_is_busy(void **state)
{
	struct channel *room;
	unsigned i;

	(void)state;
	listeners_open_two();
	room = channel_find(&bridge, ps_slice_str("room"));
	for (i = 1; i < 8; i++)
		channel_emit("room", i);
	assert_false(channel_is_busy(room));
	channel_emit("room", 8);
	assert_true(channel_is_busy(room));
	fixture_set("queue_messages=100");
	assert_false(channel_is_busy(room));
	fixture_set("queue_bytes=100B");
	assert_true(channel_is_busy(room));
	fixture_set("queue_bytes=4KiB");
	channel_settle();
	assert_false(channel_is_busy(room));
}

static void
newcomers_wait_in_line_before_a_channel_with_much_to_do(void **state)
{
	unsigned i;

	(void)state;
	listener_join(a, "room");
	for (i = 1; i <= 4; i++)
		channel_emit("room", i);
	listener_create(b, "room", NULL);
	listener_attach(b);
	listener_create(c, "room", NULL);
	listener_attach(c);
	/* Said too early, it is heard when CONNECTED was. */
	assert_int_equal(listener_say(b, "{\"type\":\"DANCE\"}"), PS_OK);
	assert_string_equal(listener_got(b), "");
	channel_settle();
	assert_string_equal(listener_got(a),
	    "DATA 1;DATA 2;DATA 3;DATA 4;"
	    "PRESENCE:JOINED {\"clientID\":\"#1\",\"presence\":{}};"
	    "PRESENCE:JOINED {\"clientID\":\"#2\",\"presence\":{}};");
	assert_string_equal(listener_got(b),
	    "CONNECTED {\"members\":[{\"clientID\":\"#0\",\"presence\":{}}]};"
	    "ERROR {\"message\":\"This type of message is not known\","
	    "\"code\":\"UNKNOWN_TYPE\"};"
	    "PRESENCE:JOINED {\"clientID\":\"#2\",\"presence\":{}};");
	assert_string_equal(listener_got(c),
	    "CONNECTED {\"members\":[{\"clientID\":\"#0\",\"presence\":{}},"
	    "{\"clientID\":\"#1\",\"presence\":{}}]};");
}

static void
what_is_said_in_line_is_bounded(void **state)
{
	char text[1000] = "";
	unsigned i;

	(void)state;
	listener_join(a, "room");
	for (i = 1; i <= 4; i++)
		channel_emit("room", i);
	listener_create(b, "room", NULL);
	memset(text, ' ', sizeof(text) - 1);
	for (i = 0; i < 4; i++)
		assert_int_equal(listener_say(b, text), PS_OK);
	assert_int_equal(listener_say(b, text), PS_ERR_FULL);
	listener_create(c, "room", NULL);
	for (i = 0; i < 16; i++)
		assert_int_equal(listener_say(c, " "), PS_OK);
	assert_int_equal(listener_say(c, " "), PS_ERR_FULL);
	channel_settle();
}

static void
one_who_leaves_the_line_was_never_there(void **state)
{
	unsigned i;

	(void)state;
	listener_join(a, "room");
	for (i = 1; i <= 4; i++)
		channel_emit("room", i);
	listener_create(b, "room", NULL);
	listener_attach(b);
	for (i = 0; i < 16; i++)
		assert_int_equal(listener_say(b, "{\"type\":\"DANCE\"}"),
		    PS_OK);
	assert_int_equal(listener_say(b, "{\"type\":\"DANCE\"}"), PS_ERR_FULL);
	session_close(b->session, 1000, ps_slice(NULL, 0));
	channel_settle();
	assert_string_equal(listener_got(a), "DATA 1;DATA 2;DATA 3;DATA 4;");
	assert_string_equal(listener_got(b), "close;");
}

/* Events that each of some listeners has got since. */
static unsigned
count_served(unsigned first, unsigned count)
{
	unsigned i, n = 0;

	for (i = first; i < first + count; i++)
		n += listener_got(&listeners[i])[0] != '\0';
	return n;
}

static void
a_turn_serves_a_slice_of_each_channel(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 56; i++)
		listener_join(&listeners[i], i < 54 ? "large" : "small");
	count_served(0, 56);
	channel_emit("large", 1);
	channel_emit("small", 2);
	assert_true(fanout_serve(&bridge.fanout) <= FANOUT_TURN);
	assert_int_equal(count_served(54, 2), 2);
	/* The large one had a slice before it, and what was left after it. */
	assert_int_equal(count_served(0, 54), FANOUT_TURN - 2);
	fanout_serve(&bridge.fanout);
	assert_int_equal(count_served(0, 54), 54 - (FANOUT_TURN - 2));
	assert_int_equal(fanout_serve(&bridge.fanout), 0);
}

/* One that comes while the one before is handed out waits for a pause. */
static void
what_comes_faster_than_it_is_handed_out_goes_out_together(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 60; i++)
		listener_join(&listeners[i], "room");
	count_served(0, 60);
	channel_emit("room", 1);
	fanout_serve(&bridge.fanout);
	assert_int_equal(count_served(0, 60), FANOUT_TURN);
	channel_emit("room", 2);
	fixture_advance(20); /* as if that had taken so long */
	/* A slice more than those who were without the first. */
	assert_int_equal(count_served(0, 60), 2 * FANOUT_SLICE);
	channel_emit("room", 3);
	fixture_advance(39);
	channel_settle();
	assert_int_equal(count_served(0, 60), 0);
	fixture_advance(1);
	channel_settle();
	assert_int_equal(count_served(0, 60), 60);
	channel_emit("room", 4);
	channel_settle();
	assert_int_equal(count_served(0, 60), 60);
}

static void
events_for_many_by_name_are_served_in_slices_too(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 60; i++)
		listener_join(&listeners[i], "room");
	count_served(0, 60);
	for (i = 0; i < 60; i++)
		channel_send_to(listener_member(&listeners[i]),
		    envelope_create("ERROR", ps_slice_str("{}")));
	assert_int_equal(count_served(0, 60), FANOUT_SLICE);
	session_end(listeners[59].session, "test");
	fanout_serve(&bridge.fanout);
	assert_int_equal(count_served(0, 60), FANOUT_TURN);
	fanout_serve(&bridge.fanout);
	for (i = FANOUT_SLICE + FANOUT_TURN; i < 59; i++)
		assert_row(i,
		    strncmp(listener_got(&listeners[i]), "ERROR {};", 9) ==
			0);
}

static void
events_by_name_do_not_pause_for_a_round_of_long_ago(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 60; i++)
		listener_join(&listeners[i], "room");
	count_served(0, 60);
	fixture_advance(1000);
	for (i = 0; i < 60; i++)
		channel_send_to(listener_member(&listeners[i]),
		    envelope_create("ERROR", ps_slice_str("{}")));
	assert_int_equal(count_served(0, 60), FANOUT_SLICE);
	fanout_serve(&bridge.fanout);
	assert_int_equal(count_served(0, 60), FANOUT_TURN);
	fanout_serve(&bridge.fanout);
	assert_int_equal(count_served(0, 60), 60 - FANOUT_SLICE - FANOUT_TURN);
}

static void
one_who_speaks_faster_than_all_can_listen_is_held_back(void **state)
{
	int i;

	(void)state;
	listeners_open_two();
	for (i = 0; i < 16; i++)
		assert_int_equal(
		    listener_say(a, "{\"type\":\"PRESENCE\",\"payload\":{}}"),
		    PS_OK);
	assert_int_equal(listener_say(a, "{\"type\":\"PONG\"}"), PS_ERR_FULL);
	assert_int_equal(listener_say(b, "{\"type\":\"PONG\"}"), PS_OK);
	channel_settle();
	assert_int_equal(listener_say(a, "{\"type\":\"PONG\"}"), PS_OK);
}

static void
done(struct bridge *of)
{
	(void)of;
}

static void
a_drain_closes_all_and_lets_nobody_in(void **state)
{
	struct member_terms terms = { .channel = ps_slice_str("room") };
	struct refusal refusal;
	unsigned i;

	(void)state;
	for (i = 0; i < 40; i++)
		listener_join(&listeners[i], "room");
	for (i = 0; i < 40; i++)
		listeners[i].receiver.greedy = false;
	count_served(0, 40);
	drain_start(&bridge, done);
	assert_int_equal(fanout_serve(&bridge.fanout), FANOUT_TURN);
	assert_int_equal(channel_find(&bridge, ps_slice_str("room"))
			     ->n_members,
	    40 - (FANOUT_TURN - 1)); /* the outbox has looked, too */
	channel_settle();
	for (i = 0; i < 40; i++) {
		assert_row(i, listeners[i].session->close->code == 1001);
		fixture_take(listeners[i].session, &listeners[i].receiver);
		/* Nobody is left to hear who has left. */
		assert_row(i,
		    strcmp(listener_got(&listeners[i]), "close;") == 0);
	}
	assert_null(member_create(&bridge, &terms, &refusal));
	assert_int_equal(refusal.code, PS_CODE_DRAINING);
}

static void
a_drain_loses_nothing_that_was_emitted(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 40; i++)
		listener_join(&listeners[i], "room");
	/* Now it is the last that the channel serves, and drained first. */
	channel_send_to(listener_member(a),
	    envelope_create("ERROR", ps_slice_str("{}")));
	count_served(0, 40);
	channel_emit("room", 1);
	drain_start(&bridge, done);
	channel_settle();
	for (i = 0; i < 40; i++)
		assert_row(i,
		    strcmp(listener_got(&listeners[i]), "DATA 1;close;") == 0);
}

static void
a_drain_loses_nothing_for_one_who_has_not_read_who_is_there(void **state)
{
	(void)state;
	listener_join(a, "room");
	assert_int_equal(listener_say(a,
	    "{\"type\":\"PRESENCE\",\"payload\":{\"n\":1}}"), PS_OK);
	fixture_set("queue_bytes=20B");
	listener_create(b, "room", NULL);
	channel_settle();
	assert_true(listener_member(b)->is_behind);
	fixture_set("queue_bytes=4KiB");
	channel_emit("room", 1);
	drain_start(&bridge, done);
	channel_settle();
	listener_attach(b);
	assert_string_equal(listener_got(b),
	    "CONNECTED {\"members\":[{\"clientID\":\"#0\","
	    "\"presence\":{\"n\":1}}]};DATA 1;close;");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, channel_setup, channel_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_log_that_is_full_is_busy),
		TEST(newcomers_wait_in_line_before_a_channel_with_much_to_do),
		TEST(what_is_said_in_line_is_bounded),
		TEST(one_who_leaves_the_line_was_never_there),
		TEST(a_turn_serves_a_slice_of_each_channel),
		TEST(what_comes_faster_than_it_is_handed_out_goes_out_together),
		TEST(events_for_many_by_name_are_served_in_slices_too),
		TEST(events_by_name_do_not_pause_for_a_round_of_long_ago),
		TEST(one_who_speaks_faster_than_all_can_listen_is_held_back),
		TEST(a_drain_closes_all_and_lets_nobody_in),
		TEST(a_drain_loses_nothing_that_was_emitted),
		TEST(a_drain_loses_nothing_for_one_who_has_not_read_who_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
