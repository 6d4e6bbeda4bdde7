/* Emits that wait until they are acknowledged. */
#include "config.h"

#include "emit_fixture.h"

#include "wsbridge/channels/acks.h"

static void
all_have_to_acknowledge(void **state)
{
	char id[PS_EVENT_ID_LEN + 1];

	(void)state;
	open_room(3);
	terms.requires_ack = true;
	emit(&first, "1");
	assert_int_equal(first.n, 0);
	channel_settle();
	strcpy(id, event_id(listener_got(a), 0));
	fixture_advance(10);
	acknowledge(a, id);
	acknowledge(a, id); /* again */
	fixture_advance(20);
	acknowledge(c, id);
	fixture_advance(30);
	assert_int_equal(first.n, 0);
	acknowledge(b, id);
	channel_settle();
	assert_true(was_told(&first, 200));
	assert_true(says(&first, "\"delivered\":3,\"acked\":[\"client_"));
	assert_true(says(&first, "\"],\"pending\":[],\"left\":[],"
				 "\"ack_ms\":{\"p50\":30,\"max\":60}}"));
	assert_int_equal(bridge.ack_waits.count, 0);
}

static void
the_event_says_that_it_wants_an_ack_and_the_ack_is_received(void **state)
{
	char id[PS_EVENT_ID_LEN + 1], text[128];

	(void)state;
	open_room(2);
	list(a->client);
	terms.requires_ack = true;
	emit(&first, "1");
	channel_settle();
	strcpy(id, event_id(listener_got(a), 0));
	snprintf(text, sizeof(text),
	    "DATA 1,\"requires_ack\":true,\"eventID\":\"%s\";", id);
	assert_string_equal(a->got.data, text);
	assert_true(had_nothing(b));
	acknowledge(b, id); /* it was not asked */
	assert_non_null(strstr(listener_got(b), "UNKNOWN_EVENT"));
	acknowledge(a, "evt_12345678");
	assert_non_null(strstr(listener_got(a), "UNKNOWN_EVENT"));
	snprintf(text, sizeof(text), "ACK-RECEIVED {\"eventID\":\"%s\"};",
	    id);
	acknowledge(a, id);
	assert_string_equal(listener_got(a), text);
	channel_settle();
	assert_true(was_told(&first, 200));
	acknowledge(a, id); /* nobody waits any more */
	assert_non_null(strstr(listener_got(a), "UNKNOWN_EVENT"));
}

static void
time_is_over_at_last(void **state)
{
	char part[64];

	(void)state;
	open_room(2);
	terms.requires_ack = true;
	emit(&first, "1");
	channel_settle();
	acknowledge(b, event_id(listener_got(a), 0));
	fixture_advance(4999);
	assert_int_equal(first.n, 0);
	fixture_advance(1);
	assert_true(was_refused(&first, PS_CODE_ACK_TIMEOUT));
	assert_true(says(&first, "\"delivered\":2"));
	snprintf(part, sizeof(part), "\"acked\":[\"%s\"]", b->client);
	assert_true(says(&first, part));
	snprintf(part, sizeof(part), "\"pending\":[\"%s\"]", a->client);
	assert_true(says(&first, part));
	fixture_advance(60000);
	assert_int_equal(first.n, 1);
}

static void
some_are_enough_where_that_is_said(void **state)
{
	char id[PS_EVENT_ID_LEN + 1];

	(void)state;
	open_room(3);
	terms.requires_ack = true;
	terms.min_acks = 2;
	emit(&first, "1");
	channel_settle();
	strcpy(id, event_id(listener_got(a), 0));
	acknowledge(a, id);
	channel_settle();
	assert_int_equal(first.n, 0);
	acknowledge(b, id);
	channel_settle();
	assert_true(was_told(&first, 200));
	assert_true(says(&first, "\"pending\":[\"client_"));
}

static void
one_who_leaves_is_not_waited_for(void **state)
{
	char part[64];

	(void)state;
	open_room(3);
	terms.requires_ack = true;
	emit(&first, "1");
	channel_settle();
	acknowledge(a, event_id(listener_got(a), 0));
	leave(b);
	assert_int_equal(first.n, 0);
	leave(a); /* which has acknowledged */
	assert_int_equal(first.n, 0);
	leave(c);
	assert_true(was_told(&first, 200));
	snprintf(part, sizeof(part), "\"acked\":[\"%s\"]", a->client);
	assert_true(says(&first, part));
	assert_true(says(&first, "\"pending\":[]"));
	snprintf(part, sizeof(part), "\"left\":[\"%s\",\"%s\"]", b->client,
	    c->client);
	assert_true(says(&first, part));
	assert_int_equal(bridge.channels_by_name.count, 0);
}

static void
whoever_asked_may_go(void **state)
{
	(void)state;
	open_room(1);
	terms.requires_ack = true;
	emit(&first, "1");
	assert_int_equal(bridge.ack_waits.count, 1);
	emit_forget(&first.asker);
	emit_forget(&first.asker);
	assert_int_equal(bridge.ack_waits.count, 0);
	fixture_advance(10000);
	assert_int_equal(first.n, 0);
}

static void
no_more_wait_than_may_be_held(void **state)
{
	(void)state;
	fixture_set("max_held=1");
	open_room(1);
	terms.requires_ack = true;
	emit(&first, "1");
	ps_writer_reset(&kept);
	terms.requires_ack = true;
	emit(&second, "2");
	assert_true(was_refused(&second, PS_CODE_TOO_MANY_HELD));
	assert_true(were_kept(""));
	fixture_advance(5000);
	assert_true(was_refused(&first, PS_CODE_ACK_TIMEOUT));
	terms.requires_ack = true;
	emit(&second, "2");
	assert_int_equal(second.n, 0);
}

static void
ignore_acks(struct ack_wait *wait, void *owner)
{
	(void)wait;
	(void)owner;
}

static void
so_many_members_are_waited_for_at_a_time(void **state)
{
	struct member **many = calloc(ACK_ENTRIES_MAX, sizeof(*many));
	struct ack_wait *wait;
	size_t i;

	(void)state;
	assert_non_null(many);
	open_room(1);
	for (i = 0; i < ACK_ENTRIES_MAX; i++)
		many[i] = listener_member(a);
	wait = ack_wait_create(many[0]->channel, "evt_00000000", many,
	    ACK_ENTRIES_MAX, 0, ignore_acks, NULL);
	free(many);
	assert_non_null(wait);
	terms.requires_ack = true;
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_TOO_MANY_HELD));
	assert_true(were_kept(""));
	assert_true(had_nothing(a));
	ack_wait_destroy(wait);
	terms.requires_ack = true;
	emit(&first, "1");
	assert_int_equal(first.n, 0);
}

#define TEST(name)                                                            \
	cmocka_unit_test_setup_teardown(name, emit_setup, emit_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_have_to_acknowledge),
		TEST(
		    the_event_says_that_it_wants_an_ack_and_the_ack_is_received),
		TEST(time_is_over_at_last),
		TEST(some_are_enough_where_that_is_said),
		TEST(one_who_leaves_is_not_waited_for),
		TEST(whoever_asked_may_go),
		TEST(no_more_wait_than_may_be_held),
		TEST(so_many_members_are_waited_for_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
