/* The members of a channel and what is on its way to them. */
#include "config.h"

#include "channel_fixture.h"

static struct listener *const a = &listeners[0];
static struct listener *const b = &listeners[1];
static struct listener *const c = &listeners[2];

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
	listener_open(a, "room");
	listener_open(b, "room");
	assert_string_equal(listener_got(a),
	    "PRESENCE:JOINED {\"clientID\":\"#1\",\"presence\":{}};");
	listener_create(c, "room", NULL);
	listener_attach(c);
	assert_string_equal(listener_got(c),
	    "CONNECTED {\"members\":[{\"clientID\":\"#0\",\"presence\":{}},"
	    "{\"clientID\":\"#1\",\"presence\":{}}]};");
}

static void
an_event_goes_to_all_in_one_order(void **state)
{
	(void)state;
	listener_open(a, "room");
	listener_open(b, "room");
	listener_got(a);
	channel_emit("room", 1);
	channel_emit("room", 2);
	channel_settle();
	assert_string_equal(listener_got(a), "DATA 1;DATA 2;");
	assert_string_equal(listener_got(b), "DATA 1;DATA 2;");
}

static void
one_who_goes_is_missed_once(void **state)
{
	(void)state;
	listener_open(a, "room");
	listener_open(b, "room");
	listener_got(a);
	session_close(b->session, 1000, ps_slice(NULL, 0));
	channel_settle();
	assert_string_equal(listener_got(a),
	    "PRESENCE:LEFT {\"clientID\":\"#1\"};");
	assert_string_equal(listener_got(b), "close;");
}

static void
silence_is_asked_about_and_ends(void **state)
{
	(void)state;
	listener_open(a, "room");
	fixture_advance(25000);
	assert_string_equal(listener_got(a), "PING {};");
	fixture_advance(25000);
	assert_string_equal(listener_got(a), "PING {};");
	fixture_advance(10000);
	assert_string_equal(listener_got(a),
	    "ERROR {\"message\":\"Client did not respond to PING event\","
	    "\"code\":\"PING_TIMEOUT\"};close;");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, channel_setup, channel_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_member_is_connected_alone),
		TEST(others_hear_of_a_newcomer_who_hears_of_them),
		TEST(an_event_goes_to_all_in_one_order),
		TEST(one_who_goes_is_missed_once),
		TEST(silence_is_asked_about_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
