/* Emits with an id, which come twice. */
#include "config.h"

#include "emit_fixture.h"

static void
the_same_id_is_answered_as_before(void **state)
{
	(void)state;
	open_room(1);
	terms.key = ps_slice_str("k");
	emit(&first, "1|2");
	terms.key = ps_slice_str("k");
	emit(&second, "3");
	assert_true(was_told(&first, 200) && was_told(&second, 200));
	assert_string_equal(first.json, second.json);
	channel_settle();
	assert_int_equal(count_data(a), 2);
	assert_true(were_kept("room 1;room 2;"));
	terms.key = ps_slice_str("k");
	terms.channel = ps_slice_str("hall");
	emit(&second, "1");
	assert_string_not_equal(first.json, second.json);
	assert_int_equal(emit_count_ids(&bridge), 2);
}

/* "a" + "b" and "ab" + "" are not the same, nor are any of these. */
static void
ids_and_channels_are_told_apart(void **state)
{
	static const struct {
		const char *channel, *key;
	} rows[] = { { "a", "bc" }, { "ab", "c" }, { "a", "b" },
		{ "A", "b" }, { "a", "B" }, { "a", "b " } };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		terms.channel = ps_slice_str(rows[i].channel);
		terms.key = ps_slice_str(rows[i].key);
		emit(&first, "1");
		assert_row(i, emit_count_ids(&bridge) == i + 1);
	}
}

static void
an_id_is_forgotten_after_five_minutes(void **state)
{
	(void)state;
	open_room(1);
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	fixture_advance(EMIT_ID_MS - 1);
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_string_equal(first.json, second.json);
	terms.key = ps_slice_str("other");
	emit(&second, "1");
	assert_int_equal(emit_count_ids(&bridge), 2);
	fixture_advance(1);
	assert_int_equal(emit_count_ids(&bridge), 1);
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_string_not_equal(first.json, second.json);
	fixture_advance(EMIT_ID_MS);
	assert_int_equal(emit_count_ids(&bridge), 0);
}

static void
one_that_waits_is_answered_with_the_first(void **state)
{
	char id[PS_EVENT_ID_LEN + 1];

	(void)state;
	open_room(1);
	terms.requires_ack = true;
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_int_equal(second.n, 0);
	emit_forget(&first.asker);
	channel_settle();
	strcpy(id, event_id(listener_got(a), 0));
	emit_forget(&second.asker); /* nobody is left, but it has an id */
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	acknowledge(a, id);
	channel_settle();
	assert_int_equal(first.n, 0);
	assert_true(was_told(&second, 200));
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	assert_true(was_told(&first, 200));
	assert_string_equal(first.json, second.json);
	assert_int_equal(bridge.totals.events, 1);
}

static void
so_many_may_wait_for_one(void **state)
{
	static struct asked many[257];
	struct ps_ipc_emit again = { .channel = ps_slice_str("room"),
		.key = ps_slice_str("k") };
	size_t i;

	(void)state;
	open_room(1);
	assert_false(emit_may_wait(&bridge, &again));
	for (i = 0; i < ROWS(many); i++) {
		terms.requires_ack = true;
		terms.key = ps_slice_str("k");
		emit(&many[i], "1");
		assert_row(i, emit_may_wait(&bridge, &again));
		assert_row(i, many[i].n == (i == 256));
	}
	assert_true(was_refused(&many[256], PS_CODE_TOO_MANY_HELD));
	emit_forget(&many[0].asker);
	terms.key = ps_slice_str("k");
	emit(&many[0], "1");
	fixture_advance(5000);
	for (i = 0; i < 256; i++)
		assert_row(i, was_refused(&many[i], PS_CODE_ACK_TIMEOUT));
	assert_false(emit_may_wait(&bridge, &again));
}

static void
a_timeout_is_told_again_as_it_was(void **state)
{
	(void)state;
	open_room(1);
	terms.requires_ack = true;
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	fixture_advance(5000);
	assert_true(was_refused(&first, PS_CODE_ACK_TIMEOUT));
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_true(was_refused(&second, PS_CODE_ACK_TIMEOUT));
	assert_string_equal(first.json, second.json);
}

/* With patience for longer than ids are remembered. */
static void
an_id_may_be_forgotten_while_it_waits(void **state)
{
	(void)state;
	fixture_set("ack_timeout=10m");
	fixture_set("ping_timeout=10h");
	open_room(1);
	terms.requires_ack = true;
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	channel_settle();
	fixture_advance(EMIT_ID_MS);
	assert_int_equal(emit_count_ids(&bridge), 0);
	assert_int_equal(first.n, 0);
	acknowledge(a, event_id(listener_got(a), 0));
	channel_settle();
	assert_true(was_told(&first, 200));
}

static void
what_was_refused_may_be_tried_again(void **state)
{
	(void)state;
	terms.key = ps_slice_str("k");
	terms.clients = PS_IPC_CLIENTS_NUMBER;
	terms.number = 1;
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_NOT_ENOUGH_CLIENTS));
	assert_int_equal(emit_count_ids(&bridge), 0);
	open_room(1);
	terms.key = ps_slice_str("k");
	terms.clients = PS_IPC_CLIENTS_NUMBER;
	terms.number = 1;
	emit(&first, "1");
	assert_true(was_told(&first, 200));
}

static void
no_id_is_forgotten_for_another(void **state)
{
	(void)state;
	fixture_set("max_emit_ids=1");
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	terms.key = ps_slice_str("other");
	emit(&second, "2");
	assert_true(was_refused(&second, PS_CODE_BRIDGE_FULL));
	assert_string_equal(second.refusal.limit, "max_emit_ids");
	assert_true(were_kept("room 1;"));
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_string_equal(first.json, second.json);
	emit(&second, "3"); /* without one */
	assert_true(was_told(&second, 200));
	fixture_advance(EMIT_ID_MS);
	terms.key = ps_slice_str("other");
	emit(&second, "2");
	assert_true(was_told(&second, 200));
}

#define TEST(name)                                                            \
	cmocka_unit_test_setup_teardown(name, emit_setup, emit_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_id_is_answered_as_before),
		TEST(ids_and_channels_are_told_apart),
		TEST(an_id_is_forgotten_after_five_minutes),
		TEST(one_that_waits_is_answered_with_the_first),
		TEST(so_many_may_wait_for_one),
		TEST(a_timeout_is_told_again_as_it_was),
		TEST(an_id_may_be_forgotten_while_it_waits),
		TEST(what_was_refused_may_be_tried_again),
		TEST(no_id_is_forgotten_for_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
