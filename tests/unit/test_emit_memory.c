/* Emits without memory: sent, or refused. */
#include "config.h"

#include "emit_fixture.h"

/* Sent and kept, or neither. */
static void
check_failed_emit(bool is_kept)
{
	bool sent = first.n == 0 || first.refusal.code != PS_CODE_BRIDGE_FULL ||
	    first.status == 200;

	assert_true(first.n <= 1);
	assert_true(were_kept(sent && is_kept ? "room 1;" : ""));
	assert_int_equal(emit_count_ids(&bridge), sent);
	assert_int_equal(bridge.ack_waits.count, first.n == 0);
	assert_int_equal(bridge.totals.events, sent);
	if (!sent)
		assert_true(had_nothing(a) && had_nothing(b));
}

static void
without_memory_it_is_sent_or_refused(void **state)
{
	char clients[64];
	long succeed;
	int kind;

	(void)state;
	for (kind = 0; kind < 3; kind++) {
		for (succeed = 0; succeed < 1000; succeed++) {
			emit_setup(state);
			open_room(2);
			terms.key = ps_slice_str("k");
			terms.requires_ack = kind != 0;
			snprintf(clients, sizeof(clients), "%s,nobody",
			    a->client);
			if (kind == 2)
				list(clients);
			emit_failing(&first, "1", succeed);
			check_failed_emit(kind != 2);
			assert_int_equal(emit_teardown(state), 0);
			if (!allocation_failed)
				break;
		}
		assert_in_range(succeed, 5, 999);
	}
	emit_setup(state); /* for the emit_teardown */
}

static void
without_memory_the_answer_is_remembered_in_part(void **state)
{
	long succeed;

	(void)state;
	for (succeed = 0; succeed < 1000; succeed++) {
		emit_setup(state);
		open_room(1);
		terms.key = ps_slice_str("k");
		terms.requires_ack = true;
		emit(&first, "1");
		channel_settle();
		acknowledge(a, event_id(listener_got(a), 0));
		allocations_left = succeed;
		fixture_turn();
		allocations_left = -1;
		assert_true(was_told(&first, 200));
		terms.key = ps_slice_str("k");
		emit(&second, "2");
		assert_int_equal(second.n, 1);
		assert_true(says(&second, "\"delivered\":1"));
		assert_int_equal(bridge.totals.events, 1);
		assert_int_equal(emit_teardown(state), 0);
		if (!allocation_failed)
			break;
	}
	assert_in_range(succeed, 2, 999);
	emit_setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(without_memory_it_is_sent_or_refused,
		    emit_teardown),
		cmocka_unit_test_teardown(
		    without_memory_the_answer_is_remembered_in_part,
		    emit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
