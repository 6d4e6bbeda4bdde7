/* The history of channels through a real store and its thread. */
#include "config.h"

#include "history_fixture.h"

/* As in store.c. */
#define LOCK_PATIENCE_MS 10000
#define PRUNE_PERIOD_MS 60000
#define A_WHILE_MS (3 * STORE_PERIOD_MS)

static struct ps_writer told; /* each result in brackets */
static struct ps_writer answers; /* that are expected */
static unsigned n_told;
static struct history_request *request;
static struct ps_event_cursor cursor;

static int
setup(void **state)
{
	n_told = 0;
	request = NULL;
	return history_setup(state);
}

static int
teardown(void **state)
{
	int ret = history_teardown(state); /* which tells who still waits */

	ps_writer_deinit(&told);
	ps_writer_deinit(&answers);
	return ret;
}

static void
set_option(const char *assignment)
{
	fixture_set(assignment);
	if (bridge.store != NULL)
		store_configure(bridge.store, bridge.config);
}

static void
on_read(void *owner, const struct history_result *result)
{
	size_t i;

	assert_ptr_equal(owner, &told);
	n_told++;
	ps_writer_str(&told, "[");
	for (i = 0; i < result->count; i++)
		ps_writer_printf(&told, "%s%s", i == 0 ? "" : " ",
		    result->events[i].id);
	ps_writer_printf(&told, "%s%s%s]", result->gap ? " gap" : "",
	    result->more ? " more" : "", result->failed ? " failed" : "");
	cursor = result->cursor;
}

static void
ask(const char *since, uint32_t limit)
{
	request = history_read(&bridge, ps_slice_str("news"),
	    ps_slice_str(since), limit, on_read, &told);
	assert_non_null(request);
}

static bool
told_is(const char *expected)
{
	if (!ps_slice_is(written(&told), expected))
		print_message("# %.*s\n", (int)told.len, told.data);
	return writer_had(&told, expected);
}

/* Asks, and waits for the answer. */
static bool
read_is(const char *since, uint32_t limit, const char *expected)
{
	unsigned before = n_told;

	ask(since, limit);
	assert_int_equal(n_told, before); /* never from within */
	run_until(n_told == before + 1);
	return told_is(expected);
}

static int64_t
count(const char *where)
{
	return admin_number("SELECT count(*) FROM channel_events WHERE %s",
	    where);
}

static void
a_result_has_what_was_put_before_and_nothing_else(void **state)
{
	(void)state;
	start();
	ask("", 100);
	put("news", "e1");
	put("other", "o1");
	put("news", "e2");
	ask("", 100);
	put("news", "e3");
	ask("e1", 100);
	put("news", "e4");
	ask("e3", 100);
	run_until(n_told == 4);
	assert_true(told_is("[][e1 e2][e2 e3][e4]"));
	assert_true(read_is("", 2, "[e3 e4]"));
	assert_true(read_is("e0", 100, "[e1 e2 e3 e4 gap]"));
	assert_true(read_is("evt_longer_than_any", 1, "[e1 gap more]"));
}

static void
what_follows_ends_where_the_first_one_did(void **state)
{
	(void)state;
	start();
	put_many("news", "e", 1, 5);
	assert_true(read_is("e1", 2, "[e2 e3 more]"));
	put("news", "e6");
	history_read_on(&bridge, ps_slice_str("news"), &cursor, 100, on_read,
	    &told);
	run_until(n_told == 2);
	assert_true(told_is("[e4 e5]"));
}

static void
many_are_read_while_many_are_written(void **state)
{
	int i;

	(void)state;
	set_option("history_events=10000");
	start();
	for (i = 1; i <= 400; i++) {
		put_many("news", "e", 10 * i - 9, 10 * i);
		ask("", 1);
	}
	run_until(n_told == 400);
	run_until(all_is_written());
	for (i = 1; i <= 400; i++)
		ps_writer_printf(&answers, "[e%d]", 10 * i);
	assert_bytes(written(&told), answers.data, answers.len);
	assert_int_equal(count("channel = 'news'"), 4000);
}

static void
large_results_are_several(void **state)
{
	size_t size = HISTORY_BYTES / 2;
	char *text = malloc(size);
	char id[PS_EVENT_ID_LEN + 1];
	int i;

	(void)state;
	memset(text, 'x', size);
	start();
	for (i = 1; i <= 5; i++) {
		snprintf(id, sizeof(id), "e%d", i);
		history_put(&bridge, ps_slice_str("news"), id,
		    ps_slice(text, size));
	}
	free(text);
	assert_true(read_is("", 100, "[e1 e2 more]"));
	assert_true(read_is("e2", 100, "[e3 e4 more]"));
	assert_true(read_is("e4", 100, "[e5]"));
	/* More than the mail holds at once. */
	for (i = 0; i < 50; i++)
		ask("", 2);
	run_until(n_told == 53);
}

static void
the_last_events_of_a_channel_are_kept(void **state)
{
	(void)state;
	set_option("history_events=10");
	start();
	put_many("news", "e", 1, 5);
	put_many("other", "o", 1, 5);
	assert_true(read_is("e3", 100, "[e4 e5]"));
	put_many("news", "e", 6, 12);
	assert_true(read_is("e2", 100,
	    "[e3 e4 e5 e6 e7 e8 e9 e10 e11 e12 gap]"));
	assert_int_equal(count("channel = 'news'"), 10);
	/* So many at once that most are never written. */
	put_many("news", "f", 1, 5000);
	assert_true(store_status(bridge.store).waiting <= 10 + 10);
	assert_true(read_is("e12", 2, "[f4991 f4992 gap more]"));
	assert_true(read_is("f4999", 100, "[f5000]"));
	run_until(count("channel = 'news'") == 10);
	assert_int_equal(count("channel = 'other'"), 5);
	assert_int_equal(store_status(bridge.store).lost, 0);
}

static void
old_events_are_not_kept(void **state)
{
	(void)state;
	set_option("history_age=1h");
	start();
	put_many("news", "e", 1, 3);
	put("other", "o1");
	run_until(all_is_written());
	ahead_ms += 3600 * 1000;
	put("news", "e4"); /* with it, two of the old ones go */
	assert_true(read_is("e3", 100, "[e4 gap]"));
	run_until(count("true") == 1); /* and the others by the minute */
	ahead_ms += 3600 * 1000; /* nothing is sent any more */
	run_until(count("true") == 0);
	assert_true(read_is("e4", 100, "[ gap]"));
}

static void
what_is_kept_can_be_changed(void **state)
{
	(void)state;
	start();
	put_many("news", "e", 1, 5);
	assert_true(read_is("", 100, "[e1 e2 e3 e4 e5]"));
	set_option("history_events=2");
	assert_true(read_is("", 100, "[e4 e5]"));
	put("news", "e6");
	run_until(count("true") == 2);
	set_option("history_events=0");
	assert_false(history_is_kept(&bridge));
	put("news", "e7");
	ask("", 100);
	ask("e6", 100);
	assert_int_equal(n_told, 2);
	fixture_advance(0);
	assert_true(told_is("[][ gap]"));
	ahead_ms += PRUNE_PERIOD_MS;
	run_until(count("true") == 0);
	set_option("history_events=2");
	put("news", "e8");
	assert_true(read_is("e6", 100, "[e8 gap]"));
	set_option("history_age=0s");
	assert_false(history_is_kept(&bridge));
	ahead_ms += PRUNE_PERIOD_MS;
	run_until(count("true") == 0);
}

static void
without_a_store_nothing_is_kept(void **state)
{
	(void)state;
	assert_false(history_is_kept(&bridge));
	put("news", "e1");
	ask("", 100);
	history_cancel(request);
	ask("e1", 100);
	assert_int_equal(n_told, 0);
	fixture_advance(0);
	assert_true(told_is("[ gap]"));
	history_cancel(NULL);
}

static void
it_is_there_after_a_restart(void **state)
{
	(void)state;
	start();
	put_many("news", "e", 1, 3);
	stop();
	start();
	put("news", "e4");
	assert_true(read_is("e1", 100, "[e2 e3 e4]"));
}

static void
on_read_and_cancel(void *owner, const struct history_result *result)
{
	on_read(owner, result);
	history_cancel(request);
}

static void
who_cancels_is_not_told(void **state)
{
	int i;

	(void)state;
	start();
	put("news", "e1");
	ask("", 100);
	history_cancel(request);
	for (i = 0; i < 100; i++) {
		ask("", 100);
		/* In any of its stages. */
		if (i % 3 == 0)
			uv_sleep(0);
		history_cancel(request);
	}
	ask("", 100);
	run_until(n_told == 1);
	assert_true(told_is("[e1]"));
	request = history_read(&bridge, ps_slice_str("news"),
	    ps_slice_str(""), 1, on_read_and_cancel, &told);
	run_until(n_told == 2);
	loop_run_for(bridge.loop, A_WHILE_MS);
	assert_int_equal(n_told, 2);
}

static void
read_again(void *owner, const struct history_result *result)
{
	on_read(owner, result);
	if (!result->failed)
		history_read(&bridge, ps_slice_str("news"), ps_slice_str(""),
		    1, read_again, owner);
}

static void
a_stop_answers_all_that_was_asked(void **state)
{
	(void)state;
	start();
	put_many("news", "e", 1, 3);
	ask("", 1);
	ask("e1", 100);
	stop();
	assert_true(told_is("[e3][e2 e3]"));
	start();
	history_read(&bridge, ps_slice_str("news"), ps_slice_str("e2"), 1,
	    read_again, &told);
	stop();
	assert_true(told_is("[e3][ failed]"));
}

static void
a_lock_is_waited_for_but_not_for_ever(void **state)
{
	(void)state;
	start();
	put("news", "e1");
	run_until(all_is_written());
	admin_lock();
	assert_true(read_is("", 1, "[e1]")); /* nothing is to be written */
	put("news", "e2");
	ask("", 1);
	loop_run_for(bridge.loop, A_WHILE_MS);
	assert_int_equal(n_told, 1);
	ahead_ms += LOCK_PATIENCE_MS;
	run_until(n_told == 2);
	assert_true(told_is("[ failed]"));
	ask("", 1); /* at once, as far as the lock lets it */
	run_until(n_told == 3);
	assert_true(told_is("[ failed]"));
	admin_unlock();
	run_until(!store_status(bridge.store).failing);
	assert_true(read_is("", 100, "[e1 e2]"));
	assert_int_equal(store_status(bridge.store).lost, 0);
}

static void
what_was_asked_under_a_lock_is_answered_afterwards(void **state)
{
	(void)state;
	start();
	admin_lock();
	put("news", "e1");
	ask("", 100);
	put("news", "e2");
	loop_run_for(bridge.loop, A_WHILE_MS);
	assert_int_equal(n_told, 0);
	admin_unlock();
	run_until(n_told == 1);
	assert_true(told_is("[e1]"));
}

static void
without_its_file_reads_fail(void **state)
{
	(void)state;
	start();
	put("news", "e1");
	run_until(all_is_written());
	assert_int_equal(rename(database_path, database_beside("kept")), 0);
	put("news", "e2");
	assert_true(read_is("", 100, "[ failed]"));
	assert_true(read_is("", 100, "[ failed]"));
	assert_int_equal(rename(database_beside("kept"), database_path), 0);
	run_until(all_is_written());
	assert_true(read_is("", 100, "[e1 e2]"));
}

static void
what_was_lost_meanwhile_is_a_gap(void **state)
{
	(void)state;
	set_option("max_unwritten=3");
	start();
	put("news", "e1");
	run_until(all_is_written());
	assert_int_equal(rename(database_path, database_beside("kept")), 0);
	run_until(store_status(bridge.store).failing);
	put_many("news", "e", 2, 6);
	assert_int_equal(store_status(bridge.store).lost, 2);
	assert_int_equal(rename(database_beside("kept"), database_path), 0);
	run_until(all_is_written());
	assert_true(read_is("e1", 100, "[e4 e5 e6 gap]"));
	assert_true(read_is("e4", 100, "[e5 e6]"));
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_result_has_what_was_put_before_and_nothing_else),
		fresh(what_follows_ends_where_the_first_one_did),
		fresh(many_are_read_while_many_are_written),
		fresh(large_results_are_several),
		fresh(the_last_events_of_a_channel_are_kept),
		fresh(old_events_are_not_kept),
		fresh(what_is_kept_can_be_changed),
		fresh(without_a_store_nothing_is_kept),
		fresh(it_is_there_after_a_restart),
		fresh(who_cancels_is_not_told),
		fresh(a_stop_answers_all_that_was_asked),
		fresh(a_lock_is_waited_for_but_not_for_ever),
		fresh(what_was_asked_under_a_lock_is_answered_afterwards),
		fresh(without_its_file_reads_fail),
		fresh(what_was_lost_meanwhile_is_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
