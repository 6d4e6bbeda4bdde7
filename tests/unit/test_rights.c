/* A worker's rights with a real database; see also loop.h. */
#include "config.h"

#include "database.h"

#include <pthread.h>

#include "fcgi-app/rights.h"
#include "loop.h"
#include "ps_log.h"
#include "ps_schema.h"

#define NOW_S 1591012800

static uv_loop_t loop;
static uv_timer_t ticks;
static struct ps_config *config;
static struct rights *rights;

static int
setup_folder(void **state)
{
	if (database_setup_folder(state) != 0 || uv_loop_init(&loop) != 0 ||
	    (config = ps_config_create()) == NULL)
		return -1;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_ERROR);
	free(config->database);
	config->database = strdup(database_path);
	loop_start_ticks(&loop, &ticks);
	return 0;
}

static int
setup(void **state)
{
	char error[PS_DB_ERROR_MAX];

	if (setup_folder(state) != 0 ||
	    ps_schema_prepare(database_path, error) != PS_OK)
		return -1;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'one')");
	rights = rights_start(config);
	return rights == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	rights_stop(rights);
	ps_config_destroy(config);
	loop_stop_ticks(&ticks);
	uv_run(&loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&loop) != 0)
		return -1;
	return database_teardown(state);
}

/* The id of the token that is found now; -1: no policy was read yet. */
static int64_t
find(const char *secret)
{
	struct ps_policy *policy = rights_take(rights);
	const struct ps_token *token;
	int64_t id = -1;

	if (policy != NULL) {
		token = ps_policy_find(policy, ps_slice_str(secret), NOW_S);
		id = token == NULL ? 0 : token->id;
	}
	ps_policy_unref(policy);
	return id;
}

#define run_until(condition) loop_run_until(&loop, condition)

static void
run_a_while(void)
{
	loop_run_for(&loop, 3 * RIGHTS_PERIOD_MS);
}

static void
the_policy_is_there_at_once(void **state)
{
	(void)state;
	assert_int_equal(find("one"), 1);
	assert_int_equal(find("two"), 0);
	assert_true(rights_are_current(rights));
}

static void
a_change_is_seen(void **state)
{
	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (2, 'b', "
		  "'two')");
	run_until(find("two") == 2);
	admin_run("UPDATE tokens SET enabled = 0 WHERE id = 1");
	run_until(find("one") == 0);
	admin_run("DELETE FROM tokens WHERE id = 2");
	run_until(find("two") == 0);
}

static void
what_is_no_change_of_the_policy_makes_no_new_one(void **state)
{
	struct ps_policy *before = rights_take(rights), *after;

	(void)state;
	admin_run("CREATE TABLE mine (a)");
	run_a_while();
	after = rights_take(rights);
	assert_ptr_equal(before, after);
	ps_policy_unref(before);
	ps_policy_unref(after);
}

static void
the_last_policy_stays_while_the_file_is_away(void **state)
{
	(void)state;
	assert_int_equal(rename(database_path, database_beside("away")), 0);
	run_until(!rights_are_current(rights));
	run_a_while();
	assert_int_equal(find("one"), 1);
	assert_int_equal(rename(database_beside("away"), database_path), 0);
	run_until(rights_are_current(rights));
	admin_run("UPDATE tokens SET enabled = 0 WHERE id = 1");
	run_until(find("one") == 0);
}

static void
garbage_changes_no_rights(void **state)
{
	FILE *out = fopen(database_beside("garbage"), "w");
	int i;

	(void)state;
	assert_non_null(out);
	for (i = 0; i < 1000; i++)
		fputs("no database\n", out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(rename(database_beside("garbage"), database_path),
	    0);
	run_until(!rights_are_current(rights));
	assert_int_equal(find("one"), 1);
}

/* Whatever its revision is. */
static void
another_database_is_read(void **state)
{
	char error[PS_DB_ERROR_MAX];

	(void)state;
	assert_int_equal(ps_schema_prepare(database_beside("new"), error),
	    PS_OK);
	assert_int_equal(rename(database_beside("new"), database_path), 0);
	run_until(find("one") == 0);
	run_until(rights_are_current(rights));
}

static void
without_a_database_nothing_is_allowed_until_there_is_one(void **state)
{
	char error[PS_DB_ERROR_MAX];

	(void)state;
	rights = rights_start(config);
	assert_non_null(rights);
	assert_int_equal(find("one"), -1);
	assert_false(rights_are_current(rights));
	assert_int_equal(access(database_path, F_OK), -1); /* none is made */
	assert_int_equal(ps_schema_prepare(database_path, error), PS_OK);
	run_until(find("one") == 0);
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'one')");
	run_until(find("one") == 1);
}

static void *
take_many(void *arg)
{
	unsigned long found = 0;
	int i;

	(void)arg;
	for (i = 0; i < 20000; i++)
		found += find("one") == 1;
	return (void *)found;
}

static void
every_thread_may_ask(void **state)
{
	pthread_t threads[4];
	void *found;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many,
				     NULL),
		    0);
	for (i = 0; i < 10; i++)
		admin_run("INSERT INTO tokens (name, secret) VALUES ('n%d', "
			  "'s%d')",
		    (int)i, (int)i);
	for (i = 0; i < ROWS(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &found), 0);
		assert_int_equal((unsigned long)found, 20000);
	}
	run_until(find("s9") > 0);
}

#define with_database(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		with_database(the_policy_is_there_at_once),
		with_database(a_change_is_seen),
		with_database(what_is_no_change_of_the_policy_makes_no_new_one),
		with_database(the_last_policy_stays_while_the_file_is_away),
		with_database(garbage_changes_no_rights),
		with_database(another_database_is_read),
		cmocka_unit_test_setup_teardown(
		    without_a_database_nothing_is_allowed_until_there_is_one,
		    setup_folder, teardown),
		with_database(every_thread_may_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
