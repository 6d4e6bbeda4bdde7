/* The outbox: what is called back when, and what becomes of what fails. */
#include "config.h"

#include "outbox_fixture.h"

#include "wsbridge/outbox/circuit.h"
#include "wsbridge/outbox/lane.h"

static struct outbox_status
status(void)
{
	struct outbox_status now;

	outbox_status(&bridge, &now);
	return now;
}

/* A callback that is committed and, where it may, under way. */
static void
say_now(const char *session, uint64_t number, const char *url)
{
	assert_true(say_to(session, number, url, "{}"));
	store_settle();
}

static void
answer_now(const char *session, uint64_t number, int code)
{
	answer(find_call(session, number), code, "");
	store_settle();
}

/* Time passes, and what is to be read is read. */
static void
pass(uint64_t ms)
{
	fixture_advance(ms);
	store_settle();
}

static void
a_session_is_called_back_in_its_order_one_at_a_time(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i <= 30; i++)
		say_now("a-1", i, "http://app");
	for (i = 1; i <= 30; i++) {
		assert_int_equal(n_active_calls, 1);
		answer(find_call("a-1", i), i % 2 == 0 ? 200 : 204, "");
		/* Not even the commit of its delete is waited for. */
		if (i == 1)
			assert_int_equal(n_active_calls, 1);
		store_settle();
	}
	assert_int_equal(n_fake_calls, 30);
	assert_int_equal(n_fake_rows, 0);
}

static void
sessions_are_called_back_side_by_side(void **state)
{
	(void)state;
	say_now("a-1", 1, "http://app");
	say_now("a-2", 1, "http://app");
	say_now("a-3", 1, "http://app");
	assert_int_equal(n_active_calls, 3);
	answer_now("a-2", 1, 500);
	answer_now("a-1", 1, 204);
	say_now("a-1", 2, "http://app");
	assert_non_null(find_call("a-1", 2));
}

static void
each_status_of_success_is_one(void **state)
{
	static const int others[] = { 100, 199, 300, 304, 404, 600 };
	size_t i;
	int code;

	(void)state;
	for (code = 200; code < 300; code++) {
		say_now("a-1", (uint64_t)code, "http://app");
		answer_now("a-1", (uint64_t)code, code);
		assert_int_equal(n_fake_rows, 0);
	}
	fixture_set("callback_retry=0s");
	for (i = 0; i < ROWS(others); i++) {
		say_now("a-2", i + 1, "http://app");
		answer_now("a-2", i + 1, others[i]);
		assert_row(i, find_row("a-2", i + 1)->is_dead);
	}
}

static void
what_fails_is_tried_again_after_twice_the_time(void **state)
{
	static const unsigned waits_s[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	char error[16];
	size_t i;

	(void)state;
	fixture_set("callback_retry=1d");
	say_now("a-1", 1, "http://app");
	say_now("a-1", 2, "http://app");
	for (i = 0; i < ROWS(waits_s); i++) {
		answer_now("a-1", 1, 400 + (int)i);
		assert_row(i, find_row("a-1", 1)->attempts == i + 1);
		snprintf(error, sizeof(error), "HTTP %d", 400 + (int)i);
		assert_string_equal(find_row("a-1", 1)->error, error);
		pass(waits_s[i] * 1000 - 1);
		assert_row(i, n_active_calls == 0);
		pass(1);
		assert_row(i, find_call("a-1", 1) != NULL);
	}
	answer_now("a-1", 1, 204);
	assert_non_null(find_call("a-1", 2));
	/* It begins anew. */
	answer_now("a-1", 2, 500);
	pass(1000);
	assert_non_null(find_call("a-1", 2));
}

static void
the_first_wait_is_callback_backoff(void **state)
{
	(void)state;
	fixture_set("callback_backoff=10ms");
	say_now("a-1", 1, "http://app");
	answer_now("a-1", 1, 500);
	pass(9);
	assert_int_equal(n_active_calls, 0);
	pass(1);
	assert_int_equal(n_active_calls, 1);
	answer_now("a-1", 1, 500);
	pass(19);
	assert_int_equal(n_active_calls, 0);
	pass(1);
	assert_int_equal(n_active_calls, 1);
}

static void
what_failed_for_callback_retry_is_dead(void **state)
{
	(void)state;
	fixture_set("callback_retry=3s");
	say_now("a-1", 1, "http://app");
	say_now("a-1", 2, "http://app");
	answer_now("a-1", 1, 500);
	pass(1000);
	answer_now("a-1", 1, 500);
	pass(1999);
	say_now("a-1", 3, "http://app");
	pass(1);
	answer_now("a-1", 1, 404);
	assert_true(find_row("a-1", 1)->is_dead);
	assert_int_equal(find_row("a-1", 1)->attempts, 3);
	assert_string_equal(find_row("a-1", 1)->error, "HTTP 404");
	assert_int_equal(status().dead, 1);
	/* What comes behind it has an attempt of its own, at least. */
	answer_now("a-1", 2, 500);
	assert_true(find_row("a-1", 2)->is_dead);
	assert_int_equal(find_row("a-1", 2)->attempts, 1);
	/* And this one is younger. */
	answer_now("a-1", 3, 500);
	assert_false(find_row("a-1", 3)->is_dead);
	pass(1000);
	answer_now("a-1", 3, 204);
	assert_int_equal(n_fake_rows, 2);
	assert_int_equal(status().lanes, 0);
}

static void
without_callback_retry_there_is_one_attempt(void **state)
{
	(void)state;
	fixture_set("callback_retry=0s");
	say_now("a-1", 1, "http://app");
	answer_now("a-1", 1, 500);
	assert_true(find_row("a-1", 1)->is_dead);
}

static int64_t (*time_of_day)(void);
static int64_t set_by_s;

static int64_t
time_that_was_set(void)
{
	return time_of_day() + set_by_s;
}

/* Whoever sets the clock of the machine, by a day: a row is tried for as long
 * as ever at least. */
static void
a_clock_that_is_set_makes_nothing_too_old(void **state)
{
	(void)state;
	fixture_set("callback_retry=3s");
	time_of_day = bridge.unix_s;
	bridge.unix_s = time_that_was_set;
	set_by_s = 0;
	say_now("a-1", 1, "http://app");
	say_now("a-2", 1, "http://other");
	answer_now("a-1", 1, 500);
	set_by_s = 86400;
	answer_now("a-2", 1, 500);
	pass(1000);
	answer_now("a-1", 1, 500);
	answer_now("a-2", 1, 500);
	assert_int_equal(status().dead, 0);
	set_by_s = -86400;
	pass(2000);
	answer_now("a-1", 1, 500);
	answer_now("a-2", 1, 500);
	assert_int_equal(status().dead, 0);
	set_by_s = 0;
	pass(4000);
	answer_now("a-1", 1, 500);
	answer_now("a-2", 1, 500);
	assert_int_equal(status().dead, 2);
}

static void
a_restart_gives_what_it_finds_the_whole_time_again(void **state)
{
	(void)state;
	fixture_set("callback_retry=3s");
	say_now("a-1", 1, "http://app");
	answer_now("a-1", 1, 500);
	pass(10000);
	outbox_restart();
	store_settle();
	answer_now("a-1", 1, 500);
	assert_false(find_row("a-1", 1)->is_dead);
	pass(3000);
	answer_now("a-1", 1, 500);
	assert_true(find_row("a-1", 1)->is_dead);
}

static void
bury(const char *session, uint64_t number)
{
	fixture_set("callback_retry=0s");
	say_now(session, number, "http://app");
	answer_now(session, number, 500);
	assert_true(find_row(session, number)->is_dead);
	fixture_set("callback_retry=1h");
}

static void
what_is_revived_is_called_back_once_more(void **state)
{
	(void)state;
	bury("a-1", 1);
	assert_int_equal(status().lanes, 0);
	revive_row(find_row("a-1", 1));
	assert_int_equal(status().waiting, 1);
	store_settle();
	assert_string_equal(find_call("a-1", 1)->id, "msg_a-1_1");
	answer_now("a-1", 1, 204);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(status().lanes, 0);
}

static void
what_is_revived_comes_in_front_of_what_waits(void **state)
{
	unsigned i;

	(void)state;
	bury("a-1", 1);
	bury("a-1", 2);
	for (i = 3; i <= 20; i++)
		say_now("a-1", i, "http://app");
	/* Behind the one that is under way. */
	revive_row(find_row("a-1", 1));
	store_settle();
	assert_non_null(find_call("a-1", 3));
	answer_now("a-1", 3, 204);
	answer_now("a-1", 1, 204);
	/* In the line, resting, and being read. */
	answer_now("a-1", 4, 500);
	revive_row(find_row("a-1", 2));
	store_settle();
	answer_now("a-1", 2, 204);
	for (i = 4; i <= 20; i++)
		answer_now("a-1", i, 204);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(status().waiting, 0);
	assert_int_equal(status().lanes, 0);
}

static void
what_is_revived_while_rows_are_read_is_read_too(void **state)
{
	unsigned i;

	(void)state;
	bury("a-1", 1);
	for (i = 2; i <= 20; i++)
		say_now("a-1", i, "http://app");
	for (i = 2; i <= LANE_ROWS + 1; i++)
		answer(find_call("a-1", i), 204, "");
	assert_int_equal(n_active_calls, 0);
	assert_true(store_has_job());
	store_end(PS_OK); /* the deletes: it wants to read now */
	assert_true(store_has_job());
	revive_row(find_row("a-1", 1));
	store_settle();
	answer_now("a-1", 1, 204);
	for (i = LANE_ROWS + 2; i <= 20; i++)
		answer_now("a-1", i, 204);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(status().lanes, 0);
}

static void
what_a_session_waited_for_is_dead_where_the_application_says_410(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i <= 20; i++)
		say_now("a-1", i, "http://app");
	say_now("a-2", 1, "http://app");
	answer_now("a-1", 1, 410);
	assert_int_equal(n_fake_rows, 21);
	for (i = 1; i <= 20; i++) {
		assert_true(find_row("a-1", i)->is_dead);
		assert_string_equal(find_row("a-1", i)->error, "410 Gone");
	}
	assert_int_equal(status().dead, 20);
	assert_int_equal(status().waiting, 1);
	answer_now("a-2", 1, 204);
	assert_int_equal(status().lanes, 0);
}

static void
what_could_not_be_given_up_is_given_up_again(void **state)
{
	(void)state;
	say_now("a-1", 1, "http://app");
	say_now("a-1", 2, "http://app");
	answer(find_call("a-1", 1), 410, "");
	store_end(PS_ERR_IO);
	pass(1000);
	assert_true(find_row("a-1", 2)->is_dead);
	assert_int_equal(n_active_calls, 0);
	assert_int_equal(status().lanes, 0);
}

/* So many sessions say something to that host. */
static void
crowd(const char *name, unsigned n, const char *url)
{
	char session[16];
	unsigned i;

	for (i = 1; i <= n; i++) {
		snprintf(session, sizeof(session), "%s-%u", name, i);
		assert_true(say_to(session, 1, url, "{}"));
	}
	store_settle();
}

static void
a_host_has_so_many_callbacks_at_once(void **state)
{
	(void)state;
	fixture_set("callback_connections=3");
	crowd("a", 2, "http://app/x");
	assert_int_equal(n_active_calls, 2);
	crowd("b", 2, "http://app:80/y");
	assert_int_equal(n_active_calls, 3);
	crowd("c", 2, "http://app:81/");
	assert_int_equal(n_active_calls, 5);
	answer_all(204);
	assert_int_equal(most_active_calls, 5);
	assert_int_equal(n_fake_calls, 6);
}

static void
all_hosts_together_have_so_many(void **state)
{
	char name[8], url[32];
	unsigned i;

	(void)state;
	for (i = 0; i < 17; i++) {
		snprintf(name, sizeof(name), "%c", 'a' + i);
		snprintf(url, sizeof(url), "http://app%u", i);
		crowd(name, 16, url);
	}
	assert_int_equal(n_active_calls, CALLBACKS_MAX);
	answer_all(204);
	assert_int_equal(most_active_calls, CALLBACKS_MAX);
	assert_int_equal(n_fake_calls, 17 * 16);
	assert_int_equal(n_fake_rows, 0);
}

static void
hosts_and_lanes_take_turns(void **state)
{
	unsigned i;

	(void)state;
	fixture_set("callback_connections=1");
	for (i = 1; i <= 3; i++) {
		say_now("a-1", i, "http://app");
		say_now("a-2", i, "http://app");
	}
	crowd("b", 1, "http://other");
	assert_int_equal(n_active_calls, 2);
	answer_now("b-1", 1, 204);
	for (i = 1; i <= 3; i++) {
		answer_now("a-1", i, 204);
		answer_now("a-2", i, 204);
	}
}

/* Not as many as may be are called in one turn. */
static void
a_host_that_is_busy_leaves_others_their_turn(void **state)
{
	char session[16];
	unsigned i;

	(void)state;
	fixture_set("callback_connections=256");
	for (i = 1; i <= CALLBACKS_MAX; i++) {
		snprintf(session, sizeof(session), "a-%u", i);
		assert_true(say_to(session, 1, "http://app", "{}"));
	}
	assert_true(say_to("b-1", 1, "http://other", "{}"));
	while (n_fake_rows <= CALLBACKS_MAX)
		store_end(PS_OK);
	assert_non_null(find_call("b-1", 1));
	assert_true(n_active_calls < CALLBACKS_MAX);
	answer_all(204);
}

static void
a_host_that_does_not_answer_is_tried_now_and_then(void **state)
{
	static const unsigned waits_s[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
	size_t i, n_calls;

	(void)state;
	crowd("a", 40, "http://dead");
	assert_int_equal(n_active_calls, 16);
	for (i = 0; i < 16; i++)
		answer(&fake_calls[i], i % 4 == 3 ? 503 : 0, "");
	assert_int_equal(status().hosts_down, 1);
	answer_all(0); /* those that came before the fifth failure */
	assert_int_equal(n_active_calls, 0);
	/* Nobody else's bodies are in memory. */
	assert_int_equal(status().bytes, 0);
	for (i = 0; i < ROWS(waits_s); i++) {
		pass(waits_s[i] * 1000 - 1);
		assert_row(i, n_active_calls == 0);
		n_calls = n_fake_calls;
		pass(1);
		assert_row(i, n_active_calls == 1);
		answer(&fake_calls[n_calls], 0, "");
		store_settle();
		assert_row(i, n_fake_calls == n_calls + 1);
	}
	/* It answers, if only with an error: all the others have their turn. */
	n_calls = n_fake_calls;
	pass(60000);
	answer(&fake_calls[n_calls], 500, "");
	store_settle();
	assert_int_equal(status().hosts_down, 0);
	assert_int_equal(n_active_calls, 16);
	answer_all(204);
	pass(60000);
	answer_all(204);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(status().hosts, 0);
}

static void
it_takes_five_failures_in_a_row(void **state)
{
	unsigned i;

	(void)state;
	crowd("a", 10, "http://app");
	for (i = 0; i < 4; i++)
		answer(&fake_calls[i], 0, "");
	assert_int_equal(status().hosts_down, 0);
	answer(&fake_calls[4], 404, "");
	for (i = 5; i < 9; i++)
		answer(&fake_calls[i], 502 + (int)i % 3, "");
	assert_int_equal(status().hosts_down, 0);
	answer(&fake_calls[9], 0, "");
	assert_int_equal(status().hosts_down, 1);
}

static void
a_host_that_is_dead_is_nothing_to_others(void **state)
{
	char session[16];
	unsigned i;

	(void)state;
	crowd("a", 100, "http://dead");
	answer_all(0);
	crowd("b", 16, "http://well");
	assert_int_equal(n_active_calls, 16);
	for (i = 1; i <= 16; i++) {
		snprintf(session, sizeof(session), "b-%u", i);
		answer_now(session, 1, 204);
	}
	assert_int_equal(status().waiting, 100);
	assert_int_equal(status().bytes, 0);
	/* One that hangs has its callbacks under way, and no more. */
	crowd("c", 100, "http://hangs");
	crowd("d", 16, "http://well");
	assert_int_equal(n_active_calls, 32);
	for (i = 1; i <= 16; i++)
		assert_non_null(find_call("d-1", 1));
}

static void
what_waits_for_a_host_that_is_down_is_dead_in_the_end(void **state)
{
	unsigned i;

	(void)state;
	fixture_set("callback_retry=1h");
	crowd("a", 30, "http://dead");
	answer_all(0);
	for (i = 2; i <= 20; i++)
		say_now("a-30", i, "http://dead");
	/* One is tried a minute, and all have been waiting for an hour. */
	for (i = 0; i < 62; i++) {
		pass(60000);
		if (n_active_calls > 0)
			answer_all(0);
	}
	assert_int_equal(status().waiting, 0);
	assert_int_equal(status().lanes, 0);
	assert_int_equal(status().dead, 49);
	for (i = 0; i < n_fake_rows; i++) {
		assert_true(fake_rows[i].is_dead);
		assert_string_equal(fake_rows[i].error, "connection refused");
	}
	assert_int_equal(n_fake_rows, 49);
}

static void
what_is_young_waits_on_for_a_host_that_is_down(void **state)
{
	unsigned i;

	(void)state;
	fixture_set("callback_retry=1h");
	crowd("a", 17, "http://dead");
	answer_all(0);
	for (i = 0; i < 59; i++) {
		pass(60000);
		answer_all(0);
	}
	say_now("a-17", 2, "http://dead");
	for (i = 0; i < 3; i++) {
		pass(60000);
		answer_all(0);
	}
	assert_true(find_row("a-17", 1)->is_dead);
	assert_false(find_row("a-17", 2)->is_dead);
	assert_int_equal(status().waiting, 1);
	for (i = 0; i < 60; i++) {
		pass(60000);
		answer_all(0);
	}
	assert_true(find_row("a-17", 2)->is_dead);
	assert_int_equal(status().lanes, 0);
}

static void
what_the_token_does_not_allow_is_an_attempt_that_failed(void **state)
{
	(void)state;
	allow_callbacks(TOKEN, "http://else");
	say_now("a-1", 1, "http://app/cb?secret");
	assert_int_equal(n_fake_calls, 0);
	assert_string_equal(find_row("a-1", 1)->error,
	    "the token does not cover the callback");
	allow_callbacks(TOKEN + 1, "http://app");
	pass(1000);
	assert_string_equal(find_row("a-1", 1)->error, "the token is gone");
	allow_callbacks_until(TOKEN, "http://app", bridge.unix_s());
	pass(2000);
	assert_string_equal(find_row("a-1", 1)->error,
	    "the token is disabled or expired");
	assert_int_equal(find_row("a-1", 1)->attempts, 3);
	assert_int_equal(status().hosts_down, 0);
	allow_callbacks(TOKEN, "http://app");
	pass(4000);
	answer_now("a-1", 1, 204);
	assert_int_equal(n_fake_rows, 0);
}

static void
what_is_no_url_is_an_attempt_that_failed(void **state)
{
	(void)state;
	fixture_set("callback_retry=0s");
	say_now("a-1", 1, "ws://app/");
	assert_true(find_row("a-1", 1)->is_dead);
	assert_int_equal(status().lanes, 0);
	assert_int_equal(status().hosts, 0);
}

static void
without_memory_for_a_callback_it_is_tried_again(void **state)
{
	(void)state;
	calls_fail = true;
	say_now("a-1", 1, "http://app");
	assert_int_equal(n_fake_calls, 0);
	assert_int_equal(find_row("a-1", 1)->attempts, 0);
	calls_fail = false;
	pass(999);
	assert_int_equal(n_fake_calls, 0);
	pass(1);
	answer_now("a-1", 1, 204);
	assert_int_equal(n_fake_rows, 0);
}

/* What large rows wait for is read one by one. */
static void
large_bodies_are_read_one_at_a_time(void **state)
{
	const size_t len = 2 * LANE_BYTES;
	char *body = malloc(len + 1);
	unsigned i;

	(void)state;
	assert_non_null(body);
	memset(body, 'x', len);
	body[len] = '\0';
	for (i = 1; i <= 10; i++)
		assert_true(say("a-1", i, body));
	store_settle();
	for (i = 1; i <= 10; i++) {
		assert_int_equal(status().bytes, len);
		assert_int_equal(find_call("a-1", i)->len, len);
		answer_now("a-1", i, 204);
	}
	assert_int_equal(n_fake_rows, 0);
	free(body);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, outbox_setup, outbox_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_session_is_called_back_in_its_order_one_at_a_time),
		TEST(sessions_are_called_back_side_by_side),
		TEST(each_status_of_success_is_one),
		TEST(what_fails_is_tried_again_after_twice_the_time),
		TEST(the_first_wait_is_callback_backoff),
		TEST(what_failed_for_callback_retry_is_dead),
		TEST(without_callback_retry_there_is_one_attempt),
		TEST(a_clock_that_is_set_makes_nothing_too_old),
		TEST(a_restart_gives_what_it_finds_the_whole_time_again),
		TEST(what_is_revived_is_called_back_once_more),
		TEST(what_is_revived_comes_in_front_of_what_waits),
		TEST(what_is_revived_while_rows_are_read_is_read_too),
		TEST(
		    what_a_session_waited_for_is_dead_where_the_application_says_410),
		TEST(what_could_not_be_given_up_is_given_up_again),
		TEST(a_host_has_so_many_callbacks_at_once),
		TEST(all_hosts_together_have_so_many),
		TEST(hosts_and_lanes_take_turns),
		TEST(a_host_that_is_busy_leaves_others_their_turn),
		TEST(a_host_that_does_not_answer_is_tried_now_and_then),
		TEST(it_takes_five_failures_in_a_row),
		TEST(a_host_that_is_dead_is_nothing_to_others),
		TEST(what_waits_for_a_host_that_is_down_is_dead_in_the_end),
		TEST(what_is_young_waits_on_for_a_host_that_is_down),
		TEST(what_the_token_does_not_allow_is_an_attempt_that_failed),
		TEST(what_is_no_url_is_an_attempt_that_failed),
		TEST(without_memory_for_a_callback_it_is_tried_again),
		TEST(large_bodies_are_read_one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
