/*
 * The history of channels through a real store and its thread, and the route
 * that asks for it. Nothing sleeps: the loop runs until what is waited for has
 * happened. The clocks of the thread can be moved on; see tests/local.mk.
 */
#include "config.h"

#include "database.h"
#include "fixture.h"

#include <stdatomic.h>

#include "loop.h"
#include "ps_clock.h"
#include "ps_log.h"
#include "wsbridge/channels/channels.h"
#include "wsbridge/channels/history.h"
#include "wsbridge/store/store.h"

/* As in store.c. */
#define LOCK_PATIENCE_MS 10000
#define PRUNE_PERIOD_MS 60000
#define A_WHILE_MS (3 * STORE_PERIOD_MS)

uint64_t __real_ps_clock_ms(void);
uint64_t __wrap_ps_clock_ms(void);
int64_t __real_ps_clock_unix_ms(void);
int64_t __wrap_ps_clock_unix_ms(void);

static atomic_uint_least64_t ahead_ms; /* of both clocks */

uint64_t
__wrap_ps_clock_ms(void)
{
	return __real_ps_clock_ms() + ahead_ms;
}

int64_t
__wrap_ps_clock_unix_ms(void)
{
	return __real_ps_clock_unix_ms() + (int64_t)ahead_ms;
}

/* What the store tells is of no interest here. */
static void
on_policy(void *owner, struct ps_policy *policy)
{
	(void)owner;
	ps_policy_unref(policy);
}

static void
on_close_request(void *owner, const char *id)
{
	(void)owner;
	(void)id;
}

static void
on_replaced(void *owner)
{
	(void)owner;
}

static void
on_elsewhere(void *owner, const struct store_use *uses, size_t count)
{
	(void)owner;
	(void)uses;
	(void)count;
}

static void
on_usage(void *owner, const struct ps_usage *usage)
{
	(void)owner;
	(void)usage;
}

static void
on_create(void *owner, int64_t token_id, int64_t second_s, uint64_t count)
{
	(void)owner;
	(void)token_id;
	(void)second_s;
	(void)count;
}

static void
on_sessions(void *owner, int64_t token_id, uint64_t n_sessions)
{
	(void)owner;
	(void)token_id;
	(void)n_sessions;
}

static const struct store_ops ops = {
	.policy = on_policy,
	.close_request = on_close_request,
	.replaced = on_replaced,
	.elsewhere = on_elsewhere,
};
static const struct store_memory memory = {
	.usage = on_usage,
	.create = on_create,
	.elsewhere = on_sessions,
	.creates_s = 60,
};

static uv_timer_t ticks;
static struct ps_writer told; /* each result in brackets */
static unsigned n_told;
static struct history_request *request;
static struct ps_event_cursor cursor;
static struct ps_writer frame;

static void
start(void)
{
	bridge.store = store_start(bridge.loop, bridge.config, bridge.tag,
	    &ops, &memory, NULL);
	assert_non_null(bridge.store);
}

static void
stop(void)
{
	store_stop(bridge.store);
	bridge.store = NULL;
}

static int
setup(void **state)
{
	if (database_setup(state) != 0 || fixture_setup_loop(state) != 0)
		return -1;
	free(bridge.config->database);
	bridge.config->database = strdup(database_path);
	loop_start_ticks(bridge.loop, &ticks);
	ahead_ms = 0;
	n_told = 0;
	request = NULL;
	return 0;
}

static int
teardown(void **state)
{
	stop();
	loop_stop_ticks(&ticks);
	ps_writer_deinit(&told);
	ps_writer_deinit(&frame);
	if (fixture_teardown(state) != 0)
		return -1;
	return database_teardown(state);
}

#define run_until(condition) loop_run_until(bridge.loop, condition)

static void
set_option(const char *assignment)
{
	fixture_set(assignment);
	if (bridge.store != NULL)
		store_configure(bridge.store, bridge.config);
}

static void
put(const char *channel, const char *id)
{
	history_put(&bridge, ps_slice_str(channel), id, ps_slice_str("{}"));
}

/* "e1" and so on. */
static void
put_many(const char *channel, const char *name, int from, int to)
{
	char id[PS_EVENT_ID_LEN + 1];

	for (; from <= to; from++) {
		snprintf(id, sizeof(id), "%s%d", name, from);
		put(channel, id);
	}
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

static bool
all_is_written(void)
{
	return store_status(bridge.store).waiting == 0;
}

static int64_t
count(const char *where)
{
	return admin_number("SELECT count(*) FROM channel_events WHERE %s",
	    where);
}

/* --- order --- */

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
		ps_writer_printf(&frame, "[e%d]", 10 * i);
	assert_bytes(written(&told), frame.data, frame.len);
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

/* --- what is kept --- */

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

/* --- cancelling --- */

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

/* --- failures --- */

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

/* --- the route --- */

static void
request_history(const char *since, uint32_t limit, struct ps_style style)
{
	const struct ps_ipc_history m = { { REQUEST_ID, style },
		ps_slice_str("news"), ps_slice_str(since), limit };
	struct ps_reader body;
	uint8_t type;

	ps_writer_reset(&frame);
	ps_ipc_encode_history(&frame, &m);
	assert_true(ps_ipc_split(frame.data, frame.len, &type, &body) > 0);
	assert_int_equal(channels_on_history(&bridge, &body,
			     web_server_open(&web)),
	    PS_OK);
}

static const char *
answer(void)
{
	run_until(LIST_EMPTY(&bridge.exchanges));
	web_server_read_all(&web);
	ps_writer_u8(&web.out, '\0');
	return web.out.data;
}

static const char *
body_of(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void
the_answer_has_all_of_each_event(void **state)
{
	char expected[256];

	(void)state;
	start();
	history_put(&bridge, ps_slice_str("news"), "evt_AAAAAAAA",
	    ps_slice_str("{\"b\":1.0,\"a\":\"\xe2\x80\xa8</\"}"));
	run_until(all_is_written());
	admin_run("UPDATE channel_events SET sent_at = strftime('%%Y-%%m-%%d "
		  "%%H:%%M', 'now') || ':07.045'");
	snprintf(expected, sizeof(expected),
	    "{\"history\":[{\"eventID\":\"evt_AAAAAAAA\",\"payload\":"
	    "{\"b\":1.0,\"a\":\"\xe2\x80\xa8</\"},\"time\":\"%s\"}]}",
	    admin_text("SELECT replace(sent_at, ' ', 'T') || 'Z' FROM "
		       "channel_events"));
	request_history("", 100, (struct ps_style){ 0 });
	assert_int_equal(bridge.n_held, 1);
	assert_string_equal(body_of(answer()), expected);
	assert_int_equal(bridge.n_held, 0);
	request_history("", 100,
	    (struct ps_style){ .callback = ps_slice_str("f") });
	assert_non_null(strstr(answer(),
	    "/**/f({\"history\":[{\"eventID\":\"evt_AAAAAAAA\",\"payload\":"
	    "{\"b\":1.0,\"a\":\"\\u2028<\\/\"},"));
	request_history("", 100,
	    (struct ps_style){ .flags = PS_STYLE_HEAD });
	assert_string_equal(body_of(answer()), "");
}

static void
the_answer_tells_of_gaps_and_more(void **state)
{
	(void)state;
	start();
	request_history("", 100, (struct ps_style){ 0 });
	assert_string_equal(body_of(answer()), "{\"history\":[]}");
	request_history("e0", 100, (struct ps_style){ 0 });
	assert_string_equal(body_of(answer()),
	    "{\"history\":[],\"gap\":true}");
	put_many("news", "e", 1, 3);
	request_history("e1", 1, (struct ps_style){ 0 });
	assert_non_null(strstr(answer(), "\"e2\""));
	assert_non_null(strstr(web.out.data, "}],\"more\":true}"));
}

static void
the_answer_to_one_that_fails_is_503(void **state)
{
	(void)state;
	start();
	assert_int_equal(rename(database_path, database_beside("kept")), 0);
	run_until(store_status(bridge.store).failing);
	request_history("", 100,
	    (struct ps_style){ .flags = PS_STYLE_SUCCESS });
	assert_non_null(strstr(answer(), "Status: 503 "));
	assert_non_null(strstr(web.out.data, "{\"success\":false,"));
	assert_non_null(strstr(web.out.data, "\"database_unavailable\""));
	assert_int_equal(rename(database_beside("kept"), database_path), 0);
}

static void
one_that_goes_away_is_forgotten(void **state)
{
	(void)state;
	start();
	admin_lock();
	put("news", "e1");
	request_history("", 100, (struct ps_style){ 0 });
	assert_int_equal(bridge.n_held, 1);
	web_server_close(&web);
	run_until(LIST_EMPTY(&bridge.exchanges));
	assert_int_equal(bridge.n_held, 0);
	admin_unlock();
	run_until(all_is_written());
}

static void
max_held_bounds_those_that_wait(void **state)
{
	(void)state;
	start();
	fixture_set("max_held=1");
	bridge.n_held = 1;
	request_history("", 100, (struct ps_style){ 0 });
	assert_non_null(strstr(answer(), "\"max_held\""));
	bridge.n_held = 0;
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
		fresh(the_answer_has_all_of_each_event),
		fresh(the_answer_tells_of_gaps_and_more),
		fresh(the_answer_to_one_that_fails_is_503),
		fresh(one_that_goes_away_is_forgotten),
		fresh(max_held_bounds_those_that_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
