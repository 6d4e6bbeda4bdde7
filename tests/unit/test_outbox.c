/* The outbox: what is accepted, and when; what it is bounded by; its end. */
#include "config.h"

#include "outbox_fixture.h"

#include "wsbridge/outbox/lane.h"

static struct outbox_status
status(void)
{
	struct outbox_status now;

	outbox_status(&bridge, &now);
	return now;
}

/* Somebody who waits, and the order in which they are told. */
static struct waiter {
	struct commit_wait wait; /* first */
	unsigned n_told, place;
	bool ok;
} waiters[4];
static unsigned n_told;

static void
on_committed(struct commit_wait *wait, bool ok)
{
	struct waiter *waiter = (struct waiter *)wait;

	waiter->n_told++;
	waiter->place = ++n_told;
	waiter->ok = ok;
}

static void
wait_for(size_t i, const char *session)
{
	waiters[i].wait.done = on_committed;
	outbox_wait(&bridge, ps_slice_str(session), &waiters[i].wait);
}

static int
setup(void **state)
{
	memset(waiters, 0, sizeof(waiters));
	n_told = 0;
	return outbox_setup(state);
}

static void
what_is_committed_is_called_back_and_then_deleted(void **state)
{
	struct fake_call *call;

	(void)state;
	assert_true(say("a-1", 1, "{}"));
	assert_true(store_has_job());
	assert_int_equal(n_fake_calls, 0);
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 1);
	call = find_call("a-1", 1);
	assert_non_null(call);
	assert_string_equal(call->url, "http://app/cb");
	assert_string_equal(call->body, "{}");
	assert_string_equal(call->key, "key");
	answer(call, 204, "");
	assert_int_equal(status().waiting, 0);
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(status().lanes, 0);
	assert_int_equal(status().hosts, 0);
	assert_int_equal(status().accepted, 1);
	assert_int_equal(status().delivered, 1);
}

static void
what_comes_while_a_batch_is_under_way_is_in_the_next(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	say("a-1", 2, "{}");
	say("a-2", 1, "{}");
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 1);
	assert_true(store_has_job());
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 3);
	assert_false(store_has_job());
}

static void
what_comes_before_a_batch_is_begun_goes_with_it(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	store_end(PS_OK);
	store_rests = true;
	say("a-1", 2, "{}");
	assert_false(bridge.outbox->under_way->job.after_records);
	say("a-1", 3, "{}");
	assert_false(bridge.outbox->under_way->job.after_records);
	say("a-2", 1, "{}");
	assert_true(bridge.outbox->under_way->job.after_records);
	answer(find_call("a-1", 1), 204, "");
	fixture_turn();
	wait_for(0, "a-1");
	wait_for(1, "a-2");
	store_rests = false;
	say("a-2", 2, "{}");
	store_end(PS_OK);
	assert_int_equal(n_told, 2);
	assert_int_equal(n_fake_rows, 3);
	assert_null(find_row("a-1", 1));
	assert_non_null(find_row("a-1", 3));
	assert_non_null(find_row("a-2", 1));
	assert_true(store_has_job());
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 4);
}

static void
what_went_with_a_batch_is_refused_with_what_came_before_it(void **state)
{
	(void)state;
	store_rests = true;
	say("a-1", 1, "{}");
	say("a-1", 2, "{}");
	say("a-2", 1, "{}");
	wait_for(0, "a-1");
	wait_for(1, "a-2");
	strcpy(refused_session, "a-1");
	store_end(PS_OK);
	*refused_session = '\0';
	assert_false(waiters[0].ok);
	assert_true(waiters[1].ok);
	assert_int_equal(n_fake_rows, 1);
	assert_null(lane_find(bridge.outbox, ps_slice_str("a-1")));
	say("a-2", 2, "{}");
	say("a-3", 1, "{}");
	store_end(PS_ERR_IO);
	assert_int_equal(n_fake_rows, 1);
	assert_int_equal(status().waiting, 1);
}

static void
whoever_waits_is_told_once_all_before_is_committed(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	wait_for(0, "a-1");
	say("a-1", 2, "{}");
	wait_for(1, "a-1");
	wait_for(2, "a-1");
	assert_int_equal(n_told, 0);
	store_end(PS_OK);
	assert_int_equal(n_told, 1);
	assert_int_equal(waiters[0].n_told, 1);
	store_end(PS_OK);
	assert_int_equal(n_told, 3);
	assert_int_equal(waiters[1].place, 2);
	assert_int_equal(waiters[2].place, 3);
	assert_true(waiters[0].ok && waiters[1].ok && waiters[2].ok);
}

static void
whoever_waits_for_nothing_is_told_at_once(void **state)
{
	(void)state;
	wait_for(0, "a-1");
	assert_true(waiters[0].ok);
	say("a-1", 1, "{}");
	store_end(PS_OK);
	wait_for(1, "a-1");
	assert_true(waiters[1].ok);
}

static void
whoever_does_not_wait_any_more_is_not_told(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	wait_for(0, "a-1");
	wait_for(1, "a-1");
	outbox_unwait(&waiters[0].wait);
	outbox_unwait(&waiters[0].wait);
	store_end(PS_OK);
	assert_int_equal(waiters[0].n_told, 0);
	assert_int_equal(waiters[1].n_told, 1);
	outbox_unwait(&waiters[1].wait);
}

static void
what_could_not_be_committed_is_never_called_back(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	wait_for(0, "a-1");
	say("a-2", 1, "{}");
	store_end(PS_OK); /* of the first */
	answer(find_call("a-1", 1), 204, "");
	say("a-1", 2, "{}");
	wait_for(1, "a-1");
	store_end(PS_ERR_IO); /* of a-2 */
	assert_true(waiters[0].ok);
	assert_int_equal(waiters[1].n_told, 0);
	store_end(PS_ERR_IO); /* of a-1 */
	assert_int_equal(waiters[1].n_told, 1);
	assert_false(waiters[1].ok);
	fixture_advance(1000);
	store_settle();
	assert_int_equal(n_fake_calls, 1);
	assert_int_equal(status().waiting, 0);
	assert_int_equal(status().bytes, 0);
	assert_int_equal(n_fake_rows, 0);
}

static void
what_comes_behind_a_failure_fails_too(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	say("a-1", 2, "{}");
	wait_for(0, "a-1");
	say("a-2", 1, "{}");
	wait_for(1, "a-2");
	store_end(PS_ERR_IO);
	assert_int_equal(waiters[0].n_told, 1);
	assert_false(waiters[0].ok);
	/* It was in no batch that failed. */
	store_end(PS_OK);
	assert_true(waiters[1].ok);
	assert_int_equal(n_fake_rows, 1);
	assert_non_null(find_row("a-2", 1));
}

static void
what_the_schema_refuses_is_the_fault_of_its_session_alone(void **state)
{
	(void)state;
	strcpy(refused_session, "a-1");
	refused_number = 1;
	say("a-0", 1, "{}");
	say("a-1", 1, "{}");
	wait_for(0, "a-1");
	say("a-1", 2, "{}"); /* which would be there without the first */
	say("a-2", 1, "{}");
	wait_for(1, "a-2");
	store_settle();
	assert_int_equal(waiters[0].n_told, 1);
	assert_false(waiters[0].ok);
	assert_true(waiters[1].ok);
	assert_int_equal(n_fake_rows, 2);
	assert_null(find_row("a-1", 1));
	assert_null(find_row("a-1", 2));
	assert_null(find_call("a-1", 1));
}

static void
a_job_that_was_rolled_back_is_done_again(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	store_roll_back();
	store_roll_back();
	assert_int_equal(n_fake_rows, 0);
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 1);
	answer(find_call("a-1", 1), 204, "");
	store_roll_back();
	store_settle();
	assert_int_equal(n_fake_rows, 0);
}

static void
the_end_of_a_session_is_put_again_after_a_failure(void **state)
{
	struct outbox_entry entry = { .session = ps_slice_str("a-1"),
		.number = 2,
		.token_id = TOKEN,
		.client = ps_slice_str("client"),
		.callback = ps_slice_str("http://app/cb"),
		.body = ps_slice_str("{}"),
		.is_last = true };

	(void)state;
	say("a-1", 1, "{}");
	assert_true(outbox_put(&bridge, &entry));
	store_end(PS_ERR_IO);
	fixture_advance(999);
	assert_false(store_has_job());
	fixture_advance(1);
	store_end(PS_ERR_IO);
	fixture_advance(1000);
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 1);
	assert_non_null(find_call("a-1", 2));
	/* Not so where it would be refused for ever. */
	strcpy(refused_session, "a-2");
	entry.session = ps_slice_str("a-2");
	assert_true(outbox_put(&bridge, &entry));
	store_settle();
	fixture_advance(1000);
	assert_false(store_has_job());
	assert_null(find_row("a-2", 2));
}

/* A batch that failed: its deletes are in the next one, by itself. */
static void
what_was_delivered_is_deleted_in_the_end(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	store_end(PS_OK);
	answer(find_call("a-1", 1), 204, "");
	store_end(PS_ERR_IO);
	assert_int_equal(n_fake_rows, 1);
	assert_int_equal(status().lanes, 1);
	fixture_advance(999);
	assert_false(store_has_job());
	fixture_advance(1);
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(status().lanes, 0);
}

static void
a_lane_does_not_outrun_a_database_that_fails(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i <= 3 * LANE_ROWS; i++)
		say("a-1", i, "{}");
	store_settle();
	answer(find_call("a-1", 1), 204, "");
	store_end(PS_ERR_IO);
	for (i = 2; i <= LANE_ROWS; i++)
		answer(find_call("a-1", i), 204, "");
	assert_int_equal(n_active_calls, 0);
	fixture_advance(1000);
	store_settle();
	assert_int_equal(n_fake_rows, 2 * LANE_ROWS);
	assert_non_null(find_call("a-1", LANE_ROWS + 1));
}

static const char *
find_excess(size_t count, size_t bytes)
{
	return outbox_find_excess(&bridge, TOKEN, count, bytes);
}

static void
an_application_has_so_many_that_wait(void **state)
{
	unsigned i;

	(void)state;
	fixture_set("outbox_messages=20");
	for (i = 1; i <= 10; i++)
		say("a-1", i, "{}");
	store_settle();
	assert_true(status().bytes < 20); /* not all are in memory */
	say("a-2", 1, "{}");
	assert_null(find_excess(9, 0));
	assert_string_equal(find_excess(10, 0), "outbox_messages");
	assert_null(outbox_find_excess(&bridge, TOKEN + 1, 20, 0));
	assert_non_null(outbox_find_excess(&bridge, TOKEN + 1, 21, 0));
	answer(find_call("a-1", 1), 204, "");
	assert_null(find_excess(10, 0));
	outbox_restart(); /* a-2 was not committed */
	assert_null(find_excess(10, 0));
	assert_string_equal(find_excess(11, 0), "outbox_messages");
}

static void
what_is_not_committed_has_so_many_bytes(void **state)
{
	const size_t len = OUTBOX_BYTES / 128;
	char *body = malloc(len + 1);
	unsigned i;

	(void)state;
	assert_non_null(body);
	memset(body, 'x', len);
	body[len] = '\0';
	assert_null(find_excess(1, OUTBOX_BYTES + 1)); /* of one by itself */
	for (i = 1; i < 128; i++)
		say("a-1", i, body);
	assert_int_equal(status().bytes, 127 * len);
	assert_null(find_excess(1, len));
	assert_string_equal(find_excess(1, len + 1), "outbox_messages");
	store_settle();
	assert_null(find_excess(1, OUTBOX_BYTES));
	assert_true(status().bytes <= LANE_BYTES || status().bytes == len);
	free(body);
}

static void
a_lane_keeps_few_rows_in_memory(void **state)
{
	unsigned i;

	(void)state;
	fixture_set("callback_connections=1");
	say("a-0", 1, "{}");
	for (i = 1; i <= LANE_ROWS + 1; i++)
		say("a-1", i, "{}");
	store_settle();
	assert_int_equal(status().waiting, LANE_ROWS + 2);
	assert_int_equal(status().bytes, (LANE_ROWS + 1) * 2);
	answer_all(204);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(status().delivered, LANE_ROWS + 2);
}

static void
all_lanes_together_keep_so_many_bytes(void **state)
{
	enum { LANES = 200 };
	const size_t len = 100 * 1024;
	char *body = malloc(len + 1), name[16];
	unsigned i;

	(void)state;
	assert_non_null(body);
	memset(body, 'x', len);
	body[len] = '\0';
	for (i = 0; i < LANES; i++) {
		snprintf(name, sizeof(name), "a-%u", i);
		say(name, 1, body);
		store_settle();
	}
	assert_true(status().bytes <= OUTBOX_BYTES);
	assert_true(status().bytes > OUTBOX_BYTES - len);
	assert_int_equal(status().waiting, LANES);
	answer_all(204);
	assert_int_equal(status().delivered, LANES);
	assert_int_equal(status().bytes, 0);
	assert_int_equal(n_fake_rows, 0);
	free(body);
}

static void
what_a_bridge_left_is_called_back_by_the_next(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i <= 20; i++)
		say("a-1", i, "{}");
	say("a-2", 1, "{}");
	store_settle();
	answer(find_call("a-1", 1), 204, "");
	/* Killed: it was delivered, but not deleted. */
	outbox_restart();
	assert_int_equal(status().waiting, 21);
	store_settle();
	assert_non_null(find_call("a-1", 1));
	assert_non_null(find_call("a-2", 1));
	answer_all(204);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(n_fake_calls, 21);
	assert_int_equal(status().lanes, 0);
}

static void
what_somebody_deletes_by_hand_is_not_waited_for(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i <= 20; i++)
		say("a-1", i, "{}");
	store_settle();
	n_fake_rows = LANE_ROWS + 1;
	answer_all(204);
	assert_int_equal(n_fake_calls, LANE_ROWS + 1);
	assert_int_equal(status().waiting, 0);
	assert_int_equal(status().lanes, 0);
}

static void
without_outbox_all_is_in_memory(void **state)
{
	unsigned i;

	(void)state;
	fixture_set("outbox=no");
	for (i = 1; i <= 20; i++)
		say("a-1", i, "{}");
	assert_false(store_has_job());
	wait_for(0, "a-1");
	assert_true(waiters[0].ok);
	answer(find_call("a-1", 1), 500, "");
	fixture_advance(1000);
	answer(find_call("a-1", 1), 204, "");
	answer_all(204);
	assert_int_equal(n_fake_calls, 21);
	assert_int_equal(status().delivered, 20);
	assert_int_equal(status().lanes, 0);
	assert_int_equal(status().bytes, 0);
	assert_false(store_has_job());
}

static void
without_outbox_what_fails_for_too_long_is_lost(void **state)
{
	(void)state;
	fixture_set("outbox=no");
	fixture_set("callback_retry=1s");
	say("a-1", 1, "{}");
	say("a-1", 2, "{}");
	answer(find_call("a-1", 1), 500, "");
	fixture_advance(1000);
	answer(find_call("a-1", 1), 500, "");
	answer(find_call("a-1", 2), 410, "");
	assert_int_equal(status().waiting, 0);
	assert_int_equal(status().dead, 2);
	assert_int_equal(status().lanes, 0);
}

static unsigned n_settled;

static void
on_settled(void *owner)
{
	assert_ptr_equal(owner, &n_settled);
	n_settled++;
}

static void
settle(void)
{
	n_settled = 0;
	outbox_settle(&bridge, on_settled, &n_settled);
	assert_int_equal(n_settled, 0);
	fixture_turn();
}

static void
an_outbox_with_nothing_to_do_settles_at_once(void **state)
{
	(void)state;
	settle();
	assert_int_equal(n_settled, 1);
	fixture_advance(OUTBOX_FLIGHT_MS + OUTBOX_WRITE_MS);
	assert_int_equal(n_settled, 1);
}

static void
it_settles_when_what_is_under_way_is_over_and_written(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	say("a-1", 2, "{}");
	store_settle();
	settle();
	answer(find_call("a-1", 1), 204, "");
	assert_int_equal(n_settled, 0);
	assert_int_equal(n_active_calls, 0); /* no other is started */
	store_end(PS_OK);
	assert_int_equal(n_settled, 1);
	assert_int_equal(n_fake_rows, 1);
	/* It is the successor's from now on. */
	fixture_advance(60000);
	assert_int_equal(n_fake_calls, 1);
	assert_false(store_has_job());
}

static void
what_is_under_way_for_too_long_is_broken_off(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	say("a-2", 1, "{}");
	store_settle();
	settle();
	answer(find_call("a-2", 1), 204, "");
	store_end(PS_OK);
	fixture_advance(OUTBOX_FLIGHT_MS - 1);
	assert_int_equal(n_active_calls, 1);
	assert_int_equal(n_settled, 0);
	fixture_advance(1);
	assert_int_equal(n_active_calls, 0);
	assert_int_equal(n_settled, 1);
	assert_int_equal(n_fake_rows, 1);
}

static void
it_does_not_settle_before_what_was_said_is_written(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	settle();
	say("a-1", 2, "{}");
	store_end(PS_OK);
	assert_int_equal(n_settled, 0);
	store_end(PS_OK);
	assert_int_equal(n_settled, 1);
	assert_int_equal(n_fake_rows, 2);
	assert_int_equal(n_fake_calls, 0);
}

static void
a_database_that_is_stuck_does_not_keep_a_successor_out(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	store_settle();
	settle();
	fixture_advance(OUTBOX_FLIGHT_MS - 1);
	answer(find_call("a-1", 1), 204, "");
	fixture_advance(1);
	fixture_advance(OUTBOX_WRITE_MS - 1);
	assert_int_equal(n_settled, 0);
	fixture_advance(1);
	assert_int_equal(n_settled, 1);
	store_settle();
	assert_int_equal(n_settled, 1);
}

static void
what_is_written_after_that_is_noted_for_the_successor(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	settle();
	store_roll_back();
	assert_int_equal(n_notes, 0);
	say("a-2", 1, "{}");
	fixture_advance(OUTBOX_FLIGHT_MS);
	fixture_advance(OUTBOX_WRITE_MS);
	assert_int_equal(n_settled, 1);
	store_end(PS_OK);
	assert_int_equal(n_notes, 1);
	store_end(PS_OK);
	assert_int_equal(n_notes, 2);
	assert_int_equal(n_fake_rows, 2);
}

static void
nobody_is_told_who_does_not_want_it_any_more(void **state)
{
	(void)state;
	say("a-1", 1, "{}");
	settle();
	outbox_unsettle(&bridge);
	store_settle();
	fixture_advance(OUTBOX_FLIGHT_MS + OUTBOX_WRITE_MS);
	assert_int_equal(n_settled, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, outbox_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_is_committed_is_called_back_and_then_deleted),
		TEST(what_comes_while_a_batch_is_under_way_is_in_the_next),
		TEST(what_comes_before_a_batch_is_begun_goes_with_it),
		TEST(
		    what_went_with_a_batch_is_refused_with_what_came_before_it),
		TEST(whoever_waits_is_told_once_all_before_is_committed),
		TEST(whoever_waits_for_nothing_is_told_at_once),
		TEST(whoever_does_not_wait_any_more_is_not_told),
		TEST(what_could_not_be_committed_is_never_called_back),
		TEST(what_comes_behind_a_failure_fails_too),
		TEST(what_the_schema_refuses_is_the_fault_of_its_session_alone),
		TEST(a_job_that_was_rolled_back_is_done_again),
		TEST(the_end_of_a_session_is_put_again_after_a_failure),
		TEST(what_was_delivered_is_deleted_in_the_end),
		TEST(a_lane_does_not_outrun_a_database_that_fails),
		TEST(an_application_has_so_many_that_wait),
		TEST(what_is_not_committed_has_so_many_bytes),
		TEST(a_lane_keeps_few_rows_in_memory),
		TEST(all_lanes_together_keep_so_many_bytes),
		TEST(what_a_bridge_left_is_called_back_by_the_next),
		TEST(what_somebody_deletes_by_hand_is_not_waited_for),
		TEST(without_outbox_all_is_in_memory),
		TEST(without_outbox_what_fails_for_too_long_is_lost),
		TEST(an_outbox_with_nothing_to_do_settles_at_once),
		TEST(it_settles_when_what_is_under_way_is_over_and_written),
		TEST(what_is_under_way_for_too_long_is_broken_off),
		TEST(it_does_not_settle_before_what_was_said_is_written),
		TEST(a_database_that_is_stuck_does_not_keep_a_successor_out),
		TEST(what_is_written_after_that_is_noted_for_the_successor),
		TEST(nobody_is_told_who_does_not_want_it_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
