/*
 * What applications need of the store: jobs that are done at once, and what the
 * administrator changes of authorizations and the outbox. With a real database,
 * a real loop and the real thread, as test_store.c.
 */
#include "config.h"

#include "database.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "loop.h"
#include "ps_clock.h"
#include "ps_log.h"
#include "ps_place.h"
#include "wsbridge/store/store_thread.h"

#define TAG "abcdef"
#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
/* As in store_thread.c. */
#define LOCK_PATIENCE_MS 10000
#define A_WHILE_MS (3 * STORE_PERIOD_MS)
#define MANY 3000

uint64_t __real_ps_clock_ms(void);
uint64_t __wrap_ps_clock_ms(void);

static atomic_uint_least64_t ahead_ms, stopped_ms;

uint64_t
__wrap_ps_clock_ms(void)
{
	return stopped_ms != 0 ? stopped_ms : __real_ps_clock_ms() + ahead_ms;
}

static uv_loop_t loop;
static uv_timer_t ticks;
static struct ps_config *config;
static struct store *store;
static struct ps_writer told;
static unsigned n_done, n_failed;

static void
on_policy(void *owner, struct ps_policy *policy)
{
	assert_ptr_equal(owner, &loop);
	ps_policy_unref(policy);
}

static void
on_close_request(void *owner, const char *id)
{
	(void)owner;
	fail_msg("%s", id);
}

static void
on_replaced(void *owner)
{
	assert_ptr_equal(owner, &loop);
	ps_writer_printf(&told, "replaced ");
}

static void
on_elsewhere(void *owner, const struct store_use *uses, size_t count)
{
	(void)owner;
	(void)uses;
	(void)count;
}

static void
on_authorization(void *owner, const struct ps_authorization_row *row)
{
	assert_ptr_equal(owner, &loop);
	ps_writer_printf(&told, "%.1s %s %s %d ", row->socket_id, row->client,
	    row->callback, row->events);
}

static void
on_changed(void *owner, const char *socket_id)
{
	assert_ptr_equal(owner, &loop);
	ps_writer_printf(&told, "changed %.1s ", socket_id);
}

static void
on_lane(void *owner, const struct ps_outbox_lane *lane)
{
	assert_ptr_equal(owner, &loop);
	ps_writer_printf(&told, "lane %s %s %d-%d %d ", lane->session,
	    lane->client, (int)lane->first_number, (int)lane->last_number,
	    (int)lane->count);
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
	.authorization = on_changed,
	.revived = on_lane,
};

static const struct store_memory memory = {
	.usage = on_usage,
	.create = on_create,
	.elsewhere = on_sessions,
	.authorization = on_authorization,
	.lane = on_lane,
};

static int
setup(void **state)
{
	if (database_setup(state) != 0 || uv_loop_init(&loop) != 0 ||
	    (config = ps_config_create()) == NULL)
		return -1;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_ERROR);
	free(config->database);
	config->database = strdup(database_path);
	loop_start_ticks(&loop, &ticks);
	ahead_ms = stopped_ms = 0;
	store = NULL;
	n_done = n_failed = 0;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'one', "
		  "'1'), (2, 'two', '2')");
	return 0;
}

static void
start(void)
{
	store = store_start(&loop, config, TAG, &ops, &memory, &loop);
	assert_non_null(store);
}

static void
stop(void)
{
	store_stop(store);
	store = NULL;
}

static int
teardown(void **state)
{
	stop();
	loop_stop_ticks(&ticks);
	uv_run(&loop, UV_RUN_DEFAULT);
	ps_config_destroy(config);
	ps_writer_deinit(&told);
	if (uv_loop_close(&loop) != 0)
		return -1;
	return database_teardown(state);
}

#define run_until(condition) loop_run_until(&loop, condition)

static bool
was_told(const char *text)
{
	return told.len > 0 && /* before that there is no buffer */
	    memmem(told.data, told.len, text, strlen(text)) != NULL;
}

/* --- jobs --- */

/* Puts a row, and does what `ret` says after that. */
struct put {
	struct store_job job;
	uint64_t number;
	int ret;
	atomic_uint n_runs;
};

static struct put rows[MANY];

static int
put_row(struct store_job *job, struct ps_db *db)
{
	struct put *put = (struct put *)job;
	const struct ps_outbox_row row = { .session = "a-1",
		.number = put->number, .token_id = 1, .client = "me",
		.callback = "http://x/", .body = ps_slice_str("{}"),
		.accepted_at_ms = 1 };
	int ret = ps_db_put_outbox(db, &row);

	put->n_runs++;
	return ret == PS_OK ? put->ret : ret;
}

static void
on_done(struct store_job *job, int ret)
{
	struct put *put = (struct put *)job;

	n_done++;
	n_failed += ret != PS_OK;
	if (ret != PS_OK || n_done < 10)
		ps_writer_printf(&told, "%d:%d ", (int)put->number, ret);
}

static struct put *
put_with(uint64_t number, int ret)
{
	struct put *put = &rows[number - 1];

	*put = (struct put){ { .run = put_row, .done = on_done }, number, ret,
		0 };
	assert_true(store_do(store, &put->job));
	return put;
}

static struct put *
put(uint64_t number)
{
	return put_with(number, PS_OK);
}

static int64_t
count(void)
{
	return admin_number("SELECT count(*) FROM outbox");
}

/* While the clock stands still nothing else is due. */
static void
a_job_is_done_at_once_and_told_when_it_is_committed(void **state)
{
	const struct ps_usage usage = { .token_id = 1 };

	(void)state;
	start();
	put(1);
	run_until(n_done == 1);
	stopped_ms = __wrap_ps_clock_ms();
	store_add_usage(store, &usage);
	put(2);
	run_until(n_done == 2);
	assert_int_equal(count(), 2);
	loop_run_for(&loop, A_WHILE_MS);
	assert_int_equal(store_status(store).waiting, 1);
	stopped_ms = 0;
	run_until(store_status(store).waiting == 0);
	assert_true(writer_had(&told, "1:0 2:0 "));
}

static void
many_are_done_in_few_transactions_and_told_in_their_order(void **state)
{
	int i;

	(void)state;
	start();
	admin_lock();
	for (i = 1; i <= MANY; i++)
		put((uint64_t)i);
	admin_unlock();
	run_until(n_done == MANY);
	assert_true(writer_had(&told,
	    "1:0 2:0 3:0 4:0 5:0 6:0 7:0 8:0 9:0 "));
	assert_int_equal(count(), MANY);
	assert_true(admin_number("SELECT commits FROM bridges") < MANY / 100);
}

static void
one_may_want_what_was_put_before_to_be_written(void **state)
{
	const struct ps_usage usage = { .token_id = 1 };

	(void)state;
	start();
	put(1);
	run_until(n_done == 1);
	stopped_ms = __wrap_ps_clock_ms();
	store_add_usage(store, &usage);
	rows[1] = (struct put){ { .run = put_row, .done = on_done,
				    .after_records = true },
		2, PS_OK, 0 };
	assert_true(store_do(store, &rows[1].job));
	run_until(n_done == 2);
	assert_int_equal(store_status(store).waiting, 0);
	assert_int_equal(n_failed, 0);
}

static int
only_read(struct store_job *job, struct ps_db *db)
{
	uint64_t n_rows;

	(void)job;
	return ps_db_count_outbox(db, 1, &n_rows);
}

static void
one_that_only_reads_is_no_transaction_that_counts(void **state)
{
	struct store_job job = { .run = only_read, .done = on_done };
	int64_t before;

	(void)state;
	start();
	put(1);
	run_until(n_done == 1);
	before = admin_number("SELECT commits FROM bridges");
	rows[1] = (struct put){ job, 2, 0, 0 };
	assert_true(store_do(store, &rows[1].job));
	run_until(n_done == 2);
	assert_int_equal(admin_number("SELECT commits FROM bridges"), before);
	put(3);
	run_until(n_done == 3);
	assert_true(admin_number("SELECT commits FROM bridges") > before);
	assert_true(writer_had(&told, "1:0 2:0 3:0 "));
}

static void
one_that_is_at_fault_harms_no_other(void **state)
{
	(void)state;
	start();
	admin_lock();
	put(1);
	put_with(2, PS_ERR_NOMEM);
	put(3);
	put_with(4, PS_ERR_MALFORMED);
	put(5);
	admin_unlock();
	run_until(n_done == 5);
	assert_true(writer_had(&told, "1:0 2:-1 3:0 4:-2 5:0 "));
	assert_string_equal(admin_text("SELECT group_concat(number) FROM "
				       "(SELECT * FROM outbox ORDER BY "
				       "number)"),
	    "1,3,5");
	/* And what the schema refuses. */
	put(1);
	run_until(n_done == 6);
	assert_true(writer_had(&told, "1:-2 "));
}

static atomic_bool may_go_on;

static int
put_and_wait(struct store_job *job, struct ps_db *db)
{
	int ret = put_row(job, db);

	while (!may_go_on)
		usleep(1000);
	return ret;
}

static void
amend_number(struct store_job *job)
{
	((struct put *)job)->number += 10;
}

static void
one_that_waits_may_be_given_more_to_do(void **state)
{
	struct put *first = &rows[0], *second;

	(void)state;
	start();
	may_go_on = false;
	*first = (struct put){ { .run = put_and_wait, .done = on_done }, 1,
		PS_OK, 0 };
	assert_true(store_do(store, &first->job));
	run_until(first->n_runs == 1);
	assert_false(store_amend(store, &first->job, amend_number));
	second = put(2);
	assert_true(store_amend(store, &second->job, amend_number));
	assert_true(store_amend(store, &second->job, amend_number));
	may_go_on = true;
	run_until(n_done == 2);
	assert_false(store_amend(store, &second->job, amend_number));
	assert_string_equal(admin_text("SELECT group_concat(number) "
				       "FROM outbox"),
	    "1,22");
	assert_int_equal(n_failed, 0);
}

static void
an_administrator_who_holds_the_lock_is_waited_for(void **state)
{
	(void)state;
	start();
	put(1);
	run_until(n_done == 1);
	admin_lock();
	put(2);
	run_until(rows[0].n_runs == 1);
	loop_run_for(&loop, A_WHILE_MS);
	/* It could not even begin. */
	assert_int_equal(rows[1].n_runs, 0);
	ahead_ms += STORE_JOB_PATIENCE_MS;
	loop_run_for(&loop, A_WHILE_MS);
	assert_int_equal(n_done, 1);
	admin_unlock();
	run_until(n_done == 2);
	assert_int_equal(n_failed, 0);
	assert_int_equal(count(), 2);
}

/* The clock runs fast meanwhile. */
static bool
fails_by_and_by(unsigned n)
{
	ahead_ms += LOCK_PATIENCE_MS / 100;
	return n_failed == n;
}

static void
but_not_for_ever(void **state)
{
	(void)state;
	start();
	admin_lock();
	put(1);
	put(2);
	run_until(fails_by_and_by(2));
	assert_true(writer_had(&told, "1:-6 2:-6 "));
	admin_unlock();
	put(3);
	run_until(n_done == 3);
	assert_int_equal(n_failed, 2);
	assert_int_equal(count(), 1);
}

static void
one_that_cannot_be_written_is_tried_for_some_time(void **state)
{
	(void)state;
	start();
	put(1);
	run_until(n_done == 1);
	assert_int_equal(rename(database_path, database_beside("away")), 0);
	run_until(store_status(store).failing);
	put(2);
	loop_run_for(&loop, A_WHILE_MS);
	assert_int_equal(n_done, 1);
	run_until(fails_by_and_by(1));
	put(3);
	assert_int_equal(rename(database_beside("away"), database_path), 0);
	run_until(n_done == 3);
	assert_true(writer_had(&told, "1:0 2:-6 3:0 "));
	assert_int_equal(count(), 2);
}

static int
fail_once(struct store_job *job, struct ps_db *db)
{
	struct put *put = (struct put *)job;
	int ret = put_row(job, db);

	return put->n_runs == 1 ? PS_ERR_IO : ret;
}

static void
after_a_failure_all_are_done_again(void **state)
{
	(void)state;
	start();
	admin_lock();
	put(1);
	put(2)->job.run = fail_once;
	put(3);
	admin_unlock();
	run_until(n_done == 3);
	assert_true(writer_had(&told, "1:0 2:0 3:0 "));
	assert_true(rows[1].n_runs >= 2);
	assert_int_equal(count(), 3);
}

/* Lends itself again, once it is done. */
static void
on_done_again(struct store_job *job, int ret)
{
	n_failed += ret != PS_OK;
	if (store_do(store, job))
		n_done++;
}

static void
at_the_end_all_are_done_or_told(void **state)
{
	(void)state;
	start();
	put(1);
	put(2);
	rows[1].job.done = on_done_again;
	stop();
	assert_int_equal(count(), 2);
	assert_int_equal(n_failed, 0);
	/* Where they cannot be: a successor holds the lock. */
	start();
	put(3);
	run_until(n_done >= 2);
	assert_int_equal(rename(database_path, database_beside("away")), 0);
	run_until(store_status(store).failing);
	put(4);
	stop();
	assert_int_equal(n_failed, 1);
	assert_int_equal(rename(database_beside("away"), database_path), 0);
	assert_int_equal(count(), 3);
	assert_false(store_do(NULL, &rows[4].job));
	assert_false(store_amend(NULL, &rows[4].job, amend_number));
}

/* Until the thread is told to stop, so that all others wait behind it. */
static int
put_at_the_end(struct store_job *job, struct ps_db *db)
{
	struct ps_thread *thread = &store->thread;
	bool stopping = false;

	while (!stopping) {
		sched_yield();
		pthread_mutex_lock(&thread->mutex);
		stopping = thread->stopping;
		pthread_mutex_unlock(&thread->mutex);
	}
	return put_row(job, db);
}

static void
however_many_they_are(void **state)
{
	uint64_t i;

	(void)state;
	start();
	rows[0] = (struct put){ { .run = put_at_the_end, .done = on_done }, 1,
		PS_OK, 0 };
	assert_true(store_do(store, &rows[0].job));
	for (i = 2; i <= MANY; i++)
		put(i);
	ahead_ms += STORE_PERIOD_MS;
	store_stop(store);
	store = NULL;
	assert_int_equal(n_done, MANY);
	assert_int_equal(n_failed, 0);
	assert_int_equal(count(), MANY);
}

static void
they_are_done_on_disk_where_that_is_wanted(void **state)
{
	char text[PS_CONFIG_ERROR_MAX];

	(void)state;
	assert_int_equal(ps_config_set(config, "outbox_sync=yes", text),
	    PS_OK);
	start();
	put(1);
	run_until(n_done == 1);
	assert_int_equal(count(), 1);
}

/* --- what the administrator changes --- */

static void
authorize(const char *socket_id, const char *client)
{
	admin_run("INSERT INTO authorizations (socket_id, token_id, client, "
		  "callback) VALUES ('%s', 1, '%s', 'http://x/')",
	    socket_id, client);
}

static void
accept_call(const char *session, int number)
{
	admin_run("INSERT INTO outbox (session, number, token_id, client, "
		  "callback, body, accepted_at) VALUES ('%s', %d, 1, 'me', "
		  "'http://x/', '{}', '2030-01-01 00:00:00.000')",
	    session, number);
}

static void
a_start_tells_authorizations_and_then_lanes(void **state)
{
	(void)state;
	authorize(ID_B, "you");
	authorize(ID_A, "me");
	accept_call("agone5-1", 2);
	accept_call("agone5-1", 4);
	start();
	assert_true(writer_had(&told, "a me http://x/ 0 b you http://x/ 0 "
				      "lane agone5-1 me 2-4 2 "));
	/* What it was told is no news. */
	loop_run_for(&loop, A_WHILE_MS);
	assert_int_equal(told.len, 0);
}

static void
a_change_of_an_authorization_is_told(void **state)
{
	(void)state;
	authorize(ID_A, "me");
	start();
	ps_writer_reset(&told);
	admin_run("UPDATE authorizations SET events = 1");
	run_until(told.len > 0);
	assert_true(writer_had(&told, "changed a "));
	authorize(ID_B, "you");
	run_until(told.len > 0);
	assert_true(writer_had(&told, "changed b "));
	admin_run("DELETE FROM authorizations WHERE client = 'me'");
	run_until(told.len > 0);
	assert_true(writer_had(&told, "changed a "));
	admin_run("DELETE FROM tokens WHERE id = 1");
	run_until(told.len > 0);
	assert_true(writer_had(&told, "changed b "));
}

static void
many_changes_are_told_in_several_turns(void **state)
{
	unsigned n_lines = 0;
	size_t i;

	(void)state;
	admin_run("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 "
		  "FROM n WHERE i < 299) INSERT INTO authorizations "
		  "(socket_id, token_id, client, callback) SELECT "
		  "substr('aaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1, 29) || "
		  "char(97 + i / 256, 97 + i / 16 %% 16, 97 + i %% 16), 1, i, "
		  "'http://x/' FROM n");
	start();
	ps_writer_reset(&told);
	admin_run("DELETE FROM authorizations");
	run_until(told.len == 300 * strlen("changed a "));
	for (i = 0; i + 10 <= told.len; i += 10)
		n_lines += memcmp(told.data + i, "changed a ", 10) == 0;
	assert_int_equal(n_lines, 300);
}

static void
what_is_revived_is_told_as_a_lane(void **state)
{
	(void)state;
	accept_call("a-1", 1);
	accept_call("a-1", 2);
	admin_run("UPDATE outbox SET attempts = 1, last_error = 'no', "
		  "state = 'dead'");
	start();
	assert_int_equal(told.len, 0);
	admin_run("UPDATE outbox SET state = 'ready' WHERE number = 2");
	run_until(told.len > 0);
	assert_true(writer_had(&told, "lane a-1 me 2-2 1 "));
	admin_run("UPDATE outbox SET state = 'ready'");
	run_until(told.len > 0);
	assert_true(writer_had(&told, "lane a-1 me 1-2 2 "));
}

static void
another_file_is_told_like_a_start(void **state)
{
	(void)state;
	authorize(ID_A, "me");
	accept_call("agone5-1", 3);
	admin_run("VACUUM INTO '%s'", database_beside("copy"));
	admin_run("DELETE FROM authorizations; DELETE FROM outbox");
	start();
	assert_int_equal(told.len, 0);
	assert_int_equal(rename(database_beside("copy"), database_path), 0);
	run_until(was_told("lane "));
	assert_true(writer_had(&told, "replaced changed a "
				      "lane agone5-1 me 3-3 1 "));
}

static void
what_a_dead_predecessor_has_left_is_told(void **state)
{
	char path[PS_SOCKET_PATH_MAX];
	int fd;

	(void)state;
	free(config->bridge_socket);
	config->bridge_socket = strdup(database_beside("own"));
	ps_place_path(path, config->bridge_socket, ps_slice_str("aolder"));
	fd = ps_socket_listen(path, 0600);
	assert_true(fd >= 0);
	authorize(ID_A, "me");
	admin_run("UPDATE authorizations SET events = 1; "
		  "INSERT INTO bridges VALUES ('aolder', 'a', 1, '%s', '1', "
		  "'2020-01-01', 0); "
		  "INSERT INTO sessions (id, kind, token_id, node, subject, "
		  "origin, remote_addr, agent, opened_at) VALUES ('aolder-1', "
		  "'application', 1, 'a', 'me', '', '', '', '2020-01-01')",
	    config->bridge_socket);
	start();
	assert_true(writer_had(&told, "a me http://x/ 1 "));
	loop_run_for(&loop, A_WHILE_MS);
	assert_int_equal(told.len, 0);
	close(fd);
	ahead_ms += PRUNE_PERIOD_MS;
	run_until(was_told("lane aolder-1 me "));
	assert_int_equal(count(), 1);
}

static void
nobody_has_to_hear_of_applications(void **state)
{
	static const struct store_ops deaf = {
		.policy = on_policy,
		.close_request = on_close_request,
		.replaced = on_replaced,
		.elsewhere = on_elsewhere,
	};
	static const struct store_memory forgetful = {
		.usage = on_usage,
		.create = on_create,
		.elsewhere = on_sessions,
	};

	(void)state;
	authorize(ID_A, "me");
	accept_call("a-1", 1);
	store = store_start(&loop, config, TAG, &deaf, &forgetful, &loop);
	assert_non_null(store);
	admin_run("UPDATE authorizations SET events = 1; "
		  "DELETE FROM authorizations; "
		  "UPDATE outbox SET state = 'ready'");
	loop_run_for(&loop, A_WHILE_MS);
	assert_int_equal(told.len, 0);
}

static void
what_is_dead_and_old_is_pruned(void **state)
{
	(void)state;
	accept_call("a-1", 1);
	admin_run("INSERT INTO outbox (session, number, token_id, client, "
		  "callback, body, accepted_at) VALUES ('a-1', 2, 1, 'me', '', "
		  "'', '2020-01-01 00:00:00.000'), ('a-1', 3, 1, 'me', '', "
		  "'', '2020-01-01 00:00:00.000')");
	admin_run("UPDATE outbox SET attempts = 1, last_error = 'no', "
		  "state = 'dead' WHERE number < 3");
	start();
	run_until(count() == 2);
	assert_string_equal(admin_text("SELECT group_concat(number) FROM "
				       "(SELECT * FROM outbox ORDER BY "
				       "number)"),
	    "1,3");
	/* Notes that were read, and are old. */
	admin_run("INSERT INTO application_changes (kind, name, changed_at) "
		  "VALUES ('lane', 'a-9', '2020-01-01 00:00:00')");
	loop_run_for(&loop, A_WHILE_MS);
	ahead_ms += PRUNE_PERIOD_MS;
	run_until(admin_number("SELECT count(*) FROM application_changes") ==
	    0);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fresh(a_job_is_done_at_once_and_told_when_it_is_committed),
		fresh(
		    many_are_done_in_few_transactions_and_told_in_their_order),
		fresh(one_may_want_what_was_put_before_to_be_written),
		fresh(one_that_only_reads_is_no_transaction_that_counts),
		fresh(one_that_is_at_fault_harms_no_other),
		fresh(one_that_waits_may_be_given_more_to_do),
		fresh(an_administrator_who_holds_the_lock_is_waited_for),
		fresh(but_not_for_ever),
		fresh(one_that_cannot_be_written_is_tried_for_some_time),
		fresh(after_a_failure_all_are_done_again),
		fresh(at_the_end_all_are_done_or_told),
		fresh(however_many_they_are),
		fresh(they_are_done_on_disk_where_that_is_wanted),
		fresh(a_start_tells_authorizations_and_then_lanes),
		fresh(a_change_of_an_authorization_is_told),
		fresh(many_changes_are_told_in_several_turns),
		fresh(what_is_revived_is_told_as_a_lane),
		fresh(another_file_is_told_like_a_start),
		fresh(what_a_dead_predecessor_has_left_is_told),
		fresh(nobody_has_to_hear_of_applications),
		fresh(what_is_dead_and_old_is_pruned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
