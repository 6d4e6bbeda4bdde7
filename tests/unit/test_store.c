/*
 * The store with a real database, a real loop and its real thread. Nothing
 * sleeps: the loop runs until what is waited for has happened. Both clocks can
 * be moved on, since the linker puts the functions below in front of them; see
 * tests/local.mk.
 */
#include "config.h"

#include "database.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "loop.h"
#include "ps_clock.h"
#include "ps_log.h"
#include "ps_place.h"
#include "ps_schema.h"
#include "wsbridge/store/store.h"

#define TAG "abcdef"
/* As in store.c. */
#define LOCK_PATIENCE_MS 10000
#define PRUNE_PERIOD_MS 60000
#define REQUESTS_BATCH 128
/* Many cycles of the store, in which something must not happen. */
#define A_WHILE_MS (3 * STORE_PERIOD_MS)

uint64_t __real_ps_clock_ms(void);
uint64_t __wrap_ps_clock_ms(void);
time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);

static atomic_uint_least64_t ahead_ms; /* of both clocks */

uint64_t
__wrap_ps_clock_ms(void)
{
	return __real_ps_clock_ms() + ahead_ms;
}

time_t
__wrap_time(time_t *t)
{
	assert_null(t);
	return __real_time(NULL) + (time_t)(ahead_ms / 1000);
}

static uv_loop_t loop;
static uv_timer_t ticks;
static struct ps_config *config;
static struct store *store;
static char error[PS_DB_ERROR_MAX];

/* What the store has told. */
static struct ps_policy *policy;
static unsigned n_policies, n_looks, n_replaced, n_requests, n_ended;
static struct ps_writer requests, memory_told, elsewhere;
static unsigned n_elsewhere;

static void
on_policy(void *owner, struct ps_policy *next)
{
	assert_ptr_equal(owner, &loop);
	assert_int_equal(n_ended, 0);
	if (next == NULL) {
		n_looks++;
		return;
	}
	n_policies++;
	ps_policy_unref(policy);
	policy = next;
}

static void
on_close_request(void *owner, const char *id)
{
	assert_ptr_equal(owner, &loop);
	assert_int_equal(n_ended, 0);
	n_requests++;
	ps_writer_printf(&requests, "%s ", id);
}

static void
on_replaced(void *owner)
{
	assert_ptr_equal(owner, &loop);
	assert_int_equal(n_ended, 0);
	n_replaced++;
}

static void
on_elsewhere(void *owner, const struct store_use *uses, size_t count)
{
	size_t i;

	assert_ptr_equal(owner, &loop);
	n_elsewhere++;
	ps_writer_reset(&elsewhere);
	for (i = 0; i < count; i++)
		ps_writer_printf(&elsewhere, "%d %s %d ",
		    (int)uses[i].usage.token_id,
		    uses[i].kind == STORE_USE_USAGE ? "used" : "has",
		    uses[i].kind == STORE_USE_USAGE ?
			(int)uses[i].usage.traffic.bytes_up :
			(int)uses[i].n_sessions);
}

static const struct store_ops ops = {
	.policy = on_policy,
	.close_request = on_close_request,
	.replaced = on_replaced,
	.elsewhere = on_elsewhere,
};

static void
on_usage(void *owner, const struct ps_usage *usage)
{
	assert_ptr_equal(owner, &loop);
	ps_writer_printf(&memory_told, "%d used %d ", (int)usage->token_id,
	    (int)usage->traffic.bytes_up);
}

static void
on_create(void *owner, int64_t token_id, int64_t second_s, uint64_t count)
{
	assert_ptr_equal(owner, &loop);
	assert_true(time(NULL) - second_s <= 60);
	ps_writer_printf(&memory_told, "%d began %d ", (int)token_id,
	    (int)count);
}

static void
on_sessions(void *owner, int64_t token_id, uint64_t n_sessions)
{
	assert_ptr_equal(owner, &loop);
	ps_writer_printf(&memory_told, "%d has %d ", (int)token_id,
	    (int)n_sessions);
}

static const struct store_memory memory = {
	.usage = on_usage,
	.create = on_create,
	.elsewhere = on_sessions,
	.creates_s = 60,
};

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
	ahead_ms = 0;
	store = NULL;
	policy = NULL;
	n_policies = n_looks = n_replaced = n_requests = n_ended = 0;
	n_elsewhere = 0;
	return 0;
}

static int
setup(void **state)
{
	if (setup_folder(state) != 0)
		return -1;
	return ps_schema_prepare(database_path, error);
}

static void
start(void)
{
	store = store_start(&loop, config, TAG, &ops, &memory, &loop);
	assert_non_null(store);
	n_ended = 0;
}

/* Nothing is told after this. */
static void
stop(void)
{
	store_stop(store);
	store = NULL;
	n_ended++;
}

static int
teardown(void **state)
{
	stop();
	loop_stop_ticks(&ticks);
	uv_run(&loop, UV_RUN_DEFAULT);
	ps_policy_unref(policy);
	ps_config_destroy(config);
	ps_writer_deinit(&requests);
	ps_writer_deinit(&memory_told);
	ps_writer_deinit(&elsewhere);
	if (uv_loop_close(&loop) != 0) /* a handle is left */
		return -1;
	return database_teardown(state);
}

#define run_until(condition) loop_run_until(&loop, condition)

static void
run_a_while(void)
{
	loop_run_for(&loop, A_WHILE_MS);
}

static void
set_option(const char *assignment)
{
	char text[PS_CONFIG_ERROR_MAX];

	assert_int_equal(ps_config_set(config, assignment, text), PS_OK);
	if (store != NULL)
		store_configure(store, config);
}

/* --- records --- */

static struct ps_session_row
session_row(const char *id)
{
	return (struct ps_session_row){ .kind = PS_SESSION_RELAY,
		.token_id = 1, .id = id, .node = "a", .subject = "ws://t",
		.origin = "", .remote_addr = "192.0.2.1", .agent = "",
		.opened_at_s = time(NULL) };
}

/* Always a record of its own. */
static void
put_row(const struct ps_session_row *row)
{
	struct backlog_ticket ticket = { 0 };

	store_put_session(store, row, &ticket);
}

static void
put(const char *id)
{
	struct ps_session_row row = session_row(id);

	put_row(&row);
}

/* Sessions "NAME-0" and so on. */
static void
put_many(const char *name, int count)
{
	char id[32];
	int i;

	for (i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "%s-%d", name, i);
		put(id);
	}
}

static int64_t
count(const char *where)
{
	return admin_number("SELECT count(*) FROM sessions WHERE %s", where);
}

static bool
all_is_written(void)
{
	return store_status(store).waiting == 0;
}

/* --- start --- */

static void
a_start_tells_what_the_database_knows(void **state)
{
	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a'), (2, 'b', 'b');"
		  "INSERT INTO token_usage (token_id, day, bytes_up) VALUES "
		  "(1, date('now'), 7), (2, date('now', '-1 day'), 8);"
		  "INSERT INTO sessions (id, kind, token_id, node, subject, "
		  "origin, remote_addr, agent, opened_at, closed_at) VALUES "
		  "('a-1', 'relay', 2, 'a', '', '', '', '', datetime('now', "
		  "'-1 hour'), NULL), "
		  "('a-2', 'relay', 2, 'a', '', '', '', '', datetime('now'), "
		  "datetime('now')), "
		  "('b-1', 'relay', 1, 'b', '', '', '', '', datetime('now', "
		  "'-1 hour'), NULL)");
	start();
	/* Before anything else happens. */
	assert_int_equal(n_policies, 1);
	assert_non_null(ps_policy_find_id(policy, 2));
	assert_true(writer_had(&memory_told, "1 used 7 2 began 1 "));
	assert_int_equal(count("id = 'a-1' AND close_reason = 'bridge "
			       "restarted' AND close_code = 1006 AND "
			       "closed_at >= datetime('now', '-1 minute')"),
	    1);
	assert_int_equal(count("id = 'b-1' AND closed_at IS NULL"), 1);
	assert_int_equal(count("id = 'a-2' AND close_reason IS NULL"), 1);
	run_a_while();
	assert_int_equal(n_policies, 1);
	assert_int_equal(n_requests + n_looks + n_replaced, 0);
}

static void
without_a_good_database_there_is_no_store(void **state)
{
	FILE *out;

	(void)state;
	assert_null(store_start(&loop, config, TAG, &ops, &memory, &loop));
	out = fopen(database_path, "w");
	fputs("This is no database, but long enough to be one of some kind.",
	    out);
	fclose(out);
	assert_null(store_start(&loop, config, TAG, &ops, &memory, &loop));
	unlink(database_path);
	assert_int_equal(ps_schema_prepare(database_path, error), PS_OK);
	admin_run("PRAGMA user_version = %d", PS_DB_VERSION + 1);
	assert_null(store_start(&loop, config, TAG, &ops, &memory, &loop));
	assert_int_equal(n_policies, 0);
}

static void
a_node_has_one_bridge(void **state)
{
	int fd;

	(void)state;
	free(config->bridge_socket);
	config->bridge_socket = strdup(database_beside("own"));
	admin_run("INSERT INTO bridges VALUES ('aother', 'a', 1, '%s', '1', "
		  "'2020-01-01', 0)",
	    database_beside("other"));
	fd = ps_place_lock(database_beside("other"));
	assert_true(fd >= 0);
	assert_null(store_start(&loop, config, TAG, &ops, &memory, &loop));
	assert_int_equal(admin_number("SELECT count(*) FROM bridges"), 1);
	close(fd);
	start(); /* whoever it was, it is gone */
	assert_string_equal(admin_text("SELECT group_concat(tag) FROM "
				       "bridges WHERE node = 'a'"),
	    TAG);
}

/* Listens as the bridge that drains does. */
static int
live(const char *tag)
{
	char path[PS_SOCKET_PATH_MAX];
	int fd;

	ps_place_path(path, database_beside("own"), ps_slice_str(tag));
	fd = ps_socket_listen(path, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void
a_predecessor_that_drains_keeps_its_rows_until_it_dies(void **state)
{
	int fd;

	(void)state;
	free(config->bridge_socket);
	config->bridge_socket = strdup(database_beside("own"));
	admin_run("INSERT INTO bridges VALUES ('aolder', 'a', 1, '%s', '1', "
		  "'2020-01-01', 0)",
	    config->bridge_socket);
	admin_run("INSERT INTO sessions (id, kind, token_id, node, subject, "
		  "origin, remote_addr, agent, opened_at) VALUES "
		  "('aolder-1', 'relay', 1, 'a', '', '', '', '', '2020-01-01')");
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a'); INSERT INTO token_usage (token_id, day, bytes_up) "
		  "VALUES (1, date('now'), 33)");
	fd = live("aolder");
	start();
	assert_true(writer_had(&memory_told, "1 used 33 1 has 1 "));
	run_until(n_elsewhere > 0);
	assert_true(writer_had(&elsewhere, "1 has 1 1 used 33 "));
	assert_int_equal(count("closed_at IS NULL"), 1);
	close(fd);
	n_elsewhere = 0;
	ahead_ms += PRUNE_PERIOD_MS;
	run_until(count("closed_at IS NULL") == 0);
	run_until(n_elsewhere > 0);
	assert_int_equal(elsewhere.len, 0);
	assert_string_equal(admin_text("SELECT group_concat(tag) FROM "
				       "bridges WHERE node = 'a'"),
	    TAG);
}

static void
a_successor_is_noticed_when_it_comes(void **state)
{
	int fd;

	(void)state;
	free(config->bridge_socket);
	config->bridge_socket = strdup(database_beside("own"));
	start();
	/* Twice, so that it has looked around in between. */
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a')");
	run_until(n_policies == 2);
	admin_run("INSERT INTO token_usage (token_id, day, bytes_up) "
		  "VALUES (1, date('now'), 33)");
	admin_run("UPDATE tokens SET max_sockets = 2");
	run_until(n_policies == 3);
	assert_int_equal(n_elsewhere, 0);
	fd = live("anewer");
	admin_run("INSERT INTO bridges VALUES ('anewer', 'a', 1, '%s', '1', "
		  "'2020-01-01', 0)",
	    config->bridge_socket);
	run_until(n_elsewhere > 0);
	assert_true(writer_had(&elsewhere, "1 used 33 "));
	close(fd);
}

static void
a_bridge_with_a_successor_takes_its_row_along(void **state)
{
	int fd;

	(void)state;
	free(config->bridge_socket);
	config->bridge_socket = strdup(database_beside("own"));
	start();
	admin_run("INSERT INTO bridges VALUES ('anewer', 'a', 1, '%s', '1', "
		  "'2020-01-01', 0)",
	    config->bridge_socket);
	fd = live("anewer");
	stop();
	close(fd);
	assert_string_equal(admin_text("SELECT group_concat(tag) FROM "
				       "bridges"),
	    "anewer");
}

static void
bridges_of_other_nodes_are_none_of_its_business(void **state)
{
	int fd;

	(void)state;
	admin_run("INSERT INTO bridges VALUES ('bother', 'b', 1, '%s', '1', "
		  "'2020-01-01', 0)",
	    database_beside("other"));
	fd = ps_place_lock(database_beside("other"));
	assert_true(fd >= 0);
	start();
	close(fd);
	assert_int_equal(admin_number("SELECT count(*) FROM bridges"), 2);
	assert_int_equal(admin_number("SELECT pid FROM bridges WHERE tag = "
				      "'" TAG "'"),
	    getpid());
}

static void
no_store_forgets(void **state)
{
	struct ps_session_row row = session_row("a-1");
	struct ps_usage usage = { .token_id = 1 };
	struct backlog_ticket ticket = { 0 };

	(void)state;
	store_put_session(NULL, &row, &ticket);
	store_add_usage(NULL, &usage);
	assert_int_equal(store_status(NULL).waiting, 0);
	assert_false(store_status(NULL).failing);
	store_stop(NULL);
}

/* --- writing --- */

static void
records_are_written_in_their_order(void **state)
{
	struct ps_session_row row;
	int i;

	(void)state;
	start();
	row = session_row("a-1");
	for (i = 1; i <= 100; i++) {
		row.traffic.messages_up = (uint64_t)i;
		put_row(&row);
	}
	row.closed_at_s = row.opened_at_s;
	row.close_code = 1000;
	row.close_reason = "bye";
	put_row(&row);
	run_until(all_is_written());
	assert_int_equal(store_status(store).written, 101);
	assert_int_equal(count("messages_up = 100 AND close_reason = 'bye'"),
	    1);
	assert_int_equal(store_status(store).lost, 0);
	assert_int_equal(store_status(store).failures, 0);
}

static void
what_is_put_is_copied(void **state)
{
	char id[8] = "a-1", subject[8] = "ws://t";
	struct ps_session_row row;

	(void)state;
	start();
	row = session_row(id);
	row.subject = subject;
	put_row(&row);
	memset(id, 'x', sizeof(id));
	memset(subject, 'x', sizeof(subject));
	run_until(all_is_written());
	assert_int_equal(count("id = 'a-1' AND subject = 'ws://t'"), 1);
}

static void
usage_is_written_within_a_second(void **state)
{
	struct ps_usage usage = { .token_id = 1, .day = 18414,
		.creates = 1, .traffic = { 1, 2, 3, 4 } };
	uint64_t begin_ms;

	(void)state;
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')");
	start();
	begin_ms = loop_clock_ms();
	store_add_usage(store, &usage);
	store_add_usage(store, &usage);
	run_until(all_is_written());
	/* By itself it takes one cycle; the machine may be slow. */
	assert_true(loop_clock_ms() - begin_ms < 5000);
	assert_string_equal(admin_text("SELECT day || ' ' || creates || ' ' "
				       "|| bytes_down FROM token_usage"),
	    "2020-06-01 2 8");
}

static void
a_stop_writes_what_came_last(void **state)
{
	(void)state;
	start();
	put_many("a", 2500);
	stop();
	assert_int_equal(count("true"), 2500);
}

static void
many_records_are_written_in_several_transactions(void **state)
{
	(void)state;
	start();
	put_many("a", 2500);
	run_until(store_status(store).written >= 1000);
	run_until(all_is_written());
	assert_int_equal(store_status(store).written, 2500);
	assert_int_equal(count("true"), 2500);
}

static void
put_more(uv_idle_t *idle)
{
	(void)idle;
	if (store_status(store).waiting < 3000)
		put_many("a", 100);
}

/* Something waits at any time, and keeps the thread from nothing else. */
static void
a_busy_loop_stops_nothing(void **state)
{
	uv_idle_t idle;

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret, expires_at) VALUES "
		  "(1, 'a', 'a', datetime('now', '+1000 seconds'))");
	start();
	uv_idle_init(&loop, &idle);
	uv_idle_start(&idle, put_more);
	run_until(store_status(store).written > 1000);
	ahead_ms += 1000 * 1000;
	run_until(n_looks == 1);
	admin_run("UPDATE tokens SET enabled = 0");
	run_until(n_policies == 2);
	uv_close((uv_handle_t *)&idle, NULL);
	run_until(all_is_written());
}

/* --- what the administrator does --- */

static void
a_change_of_the_policy_is_told(void **state)
{
	(void)state;
	start();
	assert_null(ps_policy_find_id(policy, 1));
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')");
	run_until(n_policies == 2);
	assert_non_null(ps_policy_find_id(policy, 1));
	admin_run("UPDATE tokens SET enabled = 0");
	run_until(n_policies == 3);
	assert_false(ps_policy_find_id(policy, 1)->enabled);
	admin_run("DELETE FROM tokens");
	run_until(n_policies == 4);
	assert_null(ps_policy_find_id(policy, 1));
}

static void
other_changes_are_none_of_the_policy(void **state)
{
	(void)state;
	start();
	put("a-1");
	run_until(all_is_written());
	admin_run("UPDATE sessions SET agent = 'x'; CREATE TABLE mine (a)");
	run_a_while();
	assert_int_equal(n_policies, 1);
}

/* However many changes there are until the loop turns again. */
static void
the_last_policy_is_told(void **state)
{
	int i;

	(void)state;
	start();
	for (i = 1; i <= 5; i++) {
		uint64_t written = store_status(store).written;

		admin_run("INSERT INTO tokens (id, name, secret) VALUES "
			  "(%d, 'n%d', 's%d')",
		    i, i, i);
		/* A cycle passes, in which the loop does not turn. */
		put("a-1");
		while (store_status(store).written == written)
			uv_sleep(1);
	}
	assert_int_equal(n_policies, 1);
	run_until(n_policies == 2);
	assert_non_null(ps_policy_find_id(policy, 5));
	run_a_while();
	assert_int_equal(n_policies, 2);
}

static void
close_requests_are_told_by_name(void **state)
{
	(void)state;
	start();
	put_many("a", 3);
	run_until(all_is_written());
	admin_run("UPDATE sessions SET close_requested = 1 WHERE id <> "
		  "'a-1'");
	run_until(n_requests == 2);
	assert_true(writer_had(&requests, "a-0 a-2 "));
	run_a_while();
	assert_int_equal(n_requests, 2);
}

static void
a_request_for_a_session_that_is_not_written_yet_is_found(void **state)
{
	(void)state;
	start();
	admin_run("CREATE TRIGGER at_once AFTER INSERT ON sessions BEGIN "
		  "UPDATE sessions SET close_requested = 1 WHERE id = NEW.id; "
		  "END");
	put("a-1");
	run_until(all_is_written());
	/* It was our own transaction, and the next one's is another's. */
	admin_run("CREATE TABLE mine (a)");
	run_until(n_requests == 1);
}

static unsigned most_at_once, before_turn;

static void
on_prepare(uv_prepare_t *prepare)
{
	(void)prepare;
	if (n_requests - before_turn > most_at_once)
		most_at_once = n_requests - before_turn;
	before_turn = n_requests;
}

static void
many_close_requests_are_told_in_several_turns(void **state)
{
	uv_prepare_t prepare;

	(void)state;
	start();
	put_many("a", 1000);
	run_until(all_is_written());
	most_at_once = before_turn = 0;
	uv_prepare_init(&loop, &prepare);
	uv_prepare_start(&prepare, on_prepare);
	admin_run("UPDATE sessions SET close_requested = 1");
	run_until(n_requests == 1000);
	uv_close((uv_handle_t *)&prepare, NULL);
	run_a_while();
	assert_int_equal(n_requests, 1000);
	assert_int_equal(most_at_once, REQUESTS_BATCH);
}

static void
the_policy_is_looked_at_again_when_a_token_expires(void **state)
{
	int64_t now_s = time(NULL);

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret, expires_at) VALUES "
		  "(1, 'a', 'a', datetime(%lld, 'unixepoch')), "
		  "(2, 'b', 'b', datetime(%lld, 'unixepoch'))",
	    (long long)now_s + 1000, (long long)now_s + 2000);
	start();
	run_a_while();
	assert_int_equal(n_looks, 0);
	ahead_ms += 1000 * 1000;
	run_until(n_looks == 1);
	run_a_while();
	assert_int_equal(n_looks, 1);
	ahead_ms += 1000 * 1000;
	run_until(n_looks == 2);
	assert_int_equal(n_policies, 1);
	admin_run("UPDATE tokens SET expires_at = datetime(%lld, "
		  "'unixepoch')",
	    (long long)now_s + 2500);
	run_until(n_policies == 2);
	ahead_ms += 500 * 1000;
	run_until(n_looks == 3);
}

/* --- a database that cannot be written --- */

static void
an_administrator_who_holds_the_lock_is_waited_for(void **state)
{
	(void)state;
	start();
	admin_lock();
	put("a-1");
	run_a_while();
	assert_int_equal(store_status(store).waiting, 1);
	assert_false(store_status(store).failing);
	admin_unlock();
	run_until(all_is_written());
	assert_int_equal(count("id = 'a-1'"), 1);
	assert_int_equal(store_status(store).failures, 0);
}

/* The clock runs fast meanwhile. */
static bool
complains_by_and_by(void)
{
	ahead_ms += LOCK_PATIENCE_MS / 100;
	return store_status(store).failing;
}

static void
but_not_without_complaint(void **state)
{
	(void)state;
	start();
	admin_lock();
	put("a-1");
	run_until(complains_by_and_by());
	assert_true(store_status(store).failures > 0);
	put("a-2");
	admin_unlock();
	run_until(all_is_written());
	run_until(!store_status(store).failing);
	assert_int_equal(count("true"), 2);
	assert_int_equal(n_replaced, 0);
}

/* Whatever they have changed counts once it is committed. */
static void
what_was_done_under_the_lock_is_seen_afterwards(void **state)
{
	uint64_t begin_ms;

	(void)state;
	start();
	put("a-1");
	run_until(all_is_written());
	admin_lock();
	put("a-2");
	run_a_while();
	admin_unlock();
	admin_run("UPDATE sessions SET close_requested = 1");
	begin_ms = loop_clock_ms();
	run_until(n_requests > 0);
	/* Within a second, and the machine may be slow. */
	assert_true(loop_clock_ms() - begin_ms < 3000);
}

static void
move_away(void)
{
	assert_int_equal(rename(database_path, database_beside("away")), 0);
}

static void
move_back(void)
{
	assert_int_equal(rename(database_beside("away"), database_path), 0);
}

static void
records_wait_while_the_file_is_away(void **state)
{
	(void)state;
	start();
	put("a-1");
	run_until(all_is_written());
	move_away();
	run_until(store_status(store).failing);
	put("a-2");
	run_a_while();
	assert_int_equal(store_status(store).waiting, 1);
	assert_int_equal(access(database_path, F_OK), -1);
	move_back();
	run_until(all_is_written());
	run_until(!store_status(store).failing);
	assert_int_equal(count("closed_at IS NULL"), 2);
	/* It is the same file, and knows what lives. */
	assert_int_equal(n_replaced, 0);
	assert_string_equal(admin_text("PRAGMA integrity_check"), "ok");
}

static void
what_changed_while_it_was_away_is_seen(void **state)
{
	(void)state;
	start();
	put("a-1");
	run_until(all_is_written());
	move_away();
	run_until(store_status(store).failing);
	move_back();
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous');"
		  "UPDATE sessions SET close_requested = 1");
	run_until(n_requests > 0);
	run_until(ps_policy_find_id(policy, 1) != NULL);
}

static void
put_in_place(const char *name)
{
	assert_int_equal(rename(database_beside(name), database_path), 0);
}

static void
make_garbage(const char *name)
{
	FILE *out = fopen(database_beside(name), "w");
	int i;

	assert_non_null(out);
	for (i = 0; i < 1000; i++)
		fputs("no database\n", out);
	assert_int_equal(fclose(out), 0);
}

static void
garbage_is_waited_out(void **state)
{
	(void)state;
	start();
	put("a-1");
	run_until(all_is_written());
	make_garbage("garbage");
	assert_int_equal(link(database_path, database_beside("kept")), 0);
	put_in_place("garbage");
	run_until(store_status(store).failing);
	put("a-2");
	run_a_while();
	assert_int_equal(store_status(store).waiting, 1);
	put_in_place("kept");
	run_until(all_is_written());
	run_until(!store_status(store).failing);
	assert_int_equal(count("true"), 2);
	assert_int_equal(n_replaced, 0);
	assert_string_equal(admin_text("PRAGMA integrity_check"), "ok");
}

static void
another_database_is_taken_over(void **state)
{
	(void)state;
	start();
	put("a-1");
	run_until(all_is_written());
	assert_int_equal(ps_schema_prepare(database_beside("new"), error),
	    PS_OK);
	put_in_place("new");
	run_until(n_replaced == 1);
	run_until(n_policies == 2);
	assert_int_equal(count("true"), 0);
	put("a-1");
	put("a-2");
	run_until(all_is_written());
	assert_int_equal(count("closed_at IS NULL"), 2);
	assert_int_equal(store_status(store).failures, 0);
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')");
	run_until(n_policies == 3);
	assert_int_equal(n_replaced, 1);
	assert_string_equal(admin_text("PRAGMA integrity_check"), "ok");
}

/* A backup: its sessions have ended since, whether they were closed or not. */
static void
rows_left_open_in_another_database_are_closed(void **state)
{
	(void)state;
	start();
	put("a-1");
	run_until(all_is_written());
	admin_run("VACUUM INTO '%s'", database_beside("backup"));
	put("a-2");
	run_until(all_is_written());
	put_in_place("backup");
	run_until(n_replaced == 1);
	run_until(count("true") == 1);
	assert_int_equal(count("close_reason = 'bridge restarted'"), 1);
	/* What lives is told to it. */
	put("a-1");
	put("a-2");
	run_until(all_is_written());
	assert_int_equal(count("closed_at IS NULL"), 2);
}

/* What sqlite3's .restore does to the file, as far as it shows. */
static void
a_backup_restored_into_the_file_is_noticed(void **state)
{
	(void)state;
	start();
	put("a-1");
	run_until(all_is_written());
	admin_run("BEGIN; UPDATE bridges SET commits = commits - 1; "
		  "DELETE FROM sessions; COMMIT");
	run_until(n_replaced == 1);
	put("a-1");
	run_until(all_is_written());
	admin_run("DELETE FROM bridges");
	run_until(n_replaced == 2);
	run_a_while();
	assert_int_equal(n_replaced, 2);
	assert_int_equal(store_status(store).failures, 0);
	/* Its own rows are left open, and so are not of those that live. */
	assert_int_equal(count("close_reason = 'bridge restarted'"), 1);
}

static void
a_later_version_is_not_written(void **state)
{
	(void)state;
	start();
	assert_int_equal(ps_schema_prepare(database_beside("new"), error),
	    PS_OK);
	admin_run("ATTACH '%s' AS new; PRAGMA new.user_version = %d",
	    database_beside("new"), PS_DB_VERSION + 1);
	put_in_place("new");
	run_until(store_status(store).failing);
	put("a-1");
	run_a_while();
	assert_int_equal(count("true"), 0);
	admin_run("PRAGMA user_version = %d", PS_DB_VERSION);
	run_until(all_is_written());
	assert_int_equal(count("true"), 1);
}

/* --- the bound --- */

static void
the_oldest_are_lost_when_too_many_wait(void **state)
{
	(void)state;
	set_option("max_unwritten=10");
	start();
	move_away();
	run_until(store_status(store).failing);
	put_many("a", 10);
	run_a_while();
	assert_int_equal(store_status(store).waiting, 10);
	assert_int_equal(store_status(store).lost, 0);
	put_many("b", 3);
	run_until(store_status(store).lost == 3);
	put_many("c", 15);
	run_until(store_status(store).lost == 18);
	run_until(store_status(store).waiting == 10);
	set_option("max_unwritten=4");
	run_until(store_status(store).lost == 24);
	move_back();
	run_until(all_is_written());
	assert_int_equal(store_status(store).written, 4);
	assert_string_equal(admin_text("SELECT group_concat(id, ' ') FROM "
				       "(SELECT id FROM sessions ORDER BY "
				       "length(id), id)"),
	    "c-11 c-12 c-13 c-14");
}

static void
never_do_more_than_that_wait(void **state)
{
	int i;

	(void)state;
	set_option("max_unwritten=10");
	start();
	move_away();
	run_until(store_status(store).failing);
	for (i = 0; i < 50; i++) {
		put_many("a", 7);
		assert_row(i, store_status(store).waiting <= 10);
		uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(store_status(store).lost, 50 * 7 - 10);
}

static void
what_cannot_be_written_at_a_stop_is_lost(void **state)
{
	(void)state;
	start();
	move_away();
	run_until(store_status(store).failing);
	put_many("a", 3);
	stop();
	move_back();
	assert_int_equal(count("true"), 0);
}

static void *
unlock_after_a_while(void *arg)
{
	(void)arg;
	uv_sleep(A_WHILE_MS);
	admin_unlock();
	return NULL;
}

static void
a_stop_waits_for_whoever_holds_the_lock(void **state)
{
	pthread_t thread;

	(void)state;
	start();
	admin_lock();
	put_many("a", 3);
	assert_int_equal(pthread_create(&thread, NULL, unlock_after_a_while,
			     NULL),
	    0);
	stop();
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(count("true"), 3);
}

static void *
turn_the_clock_after_a_while(void *arg)
{
	(void)arg;
	uv_sleep(A_WHILE_MS);
	ahead_ms += LOCK_PATIENCE_MS;
	return NULL;
}

static void
but_not_for_ever(void **state)
{
	pthread_t thread;

	(void)state;
	start();
	admin_lock();
	put_many("a", 3);
	assert_int_equal(pthread_create(&thread, NULL,
			     turn_the_clock_after_a_while, NULL),
	    0);
	stop();
	assert_int_equal(pthread_join(thread, NULL), 0);
	admin_unlock();
	assert_int_equal(count("true"), 0);
}

static void
nothing_is_told_after_a_stop(void **state)
{
	(void)state;
	start();
	put_many("a", 3);
	run_until(all_is_written());
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous');"
		  "UPDATE sessions SET close_requested = 1");
	stop(); /* whose last cycle finds both */
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(n_policies, 1);
	assert_int_equal(n_requests, 0);
}

/* --- pruning --- */

static void
make_old_sessions(int days, int number)
{
	admin_run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 "
		  "FROM n WHERE i < %d) INSERT INTO sessions (id, kind, "
		  "token_id, node, subject, origin, remote_addr, agent, "
		  "opened_at, closed_at) SELECT 'old-%d-' || i, 'relay', 1, "
		  "'a', '', '', '', '', '2020-01-01', datetime('now', '-%d "
		  "days', '+1 minute') FROM n",
	    number, days, days);
}

static void
old_sessions_are_pruned_at_the_start_and_every_minute(void **state)
{
	(void)state;
	set_option("keep_sessions=2d");
	make_old_sessions(2, 1);
	make_old_sessions(3, 1200); /* more than go at once */
	start();
	put("a-1");
	run_until(count("id GLOB 'old-3-*'") == 0);
	run_until(all_is_written());
	assert_int_equal(count("id GLOB 'old-2-*'"), 1);
	assert_int_equal(count("id = 'a-1'"), 1);
	make_old_sessions(4, 1);
	run_a_while();
	assert_int_equal(count("id GLOB 'old-4-*'"), 1);
	ahead_ms += PRUNE_PERIOD_MS;
	run_until(count("id GLOB 'old-*'") == 0);
	assert_int_equal(count("id = 'a-1'"), 1);
}

static void
keep_sessions_can_be_changed(void **state)
{
	(void)state;
	make_old_sessions(3, 1);
	start();
	run_a_while();
	assert_int_equal(count("true"), 1);
	set_option("keep_sessions=2d");
	ahead_ms += PRUNE_PERIOD_MS;
	run_until(count("true") == 0);
}

#define with_database(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)
#define in_folder(test) \
	cmocka_unit_test_setup_teardown(test, setup_folder, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		with_database(a_start_tells_what_the_database_knows),
		in_folder(without_a_good_database_there_is_no_store),
		with_database(a_node_has_one_bridge),
		with_database(
		    a_predecessor_that_drains_keeps_its_rows_until_it_dies),
		with_database(a_successor_is_noticed_when_it_comes),
		with_database(a_bridge_with_a_successor_takes_its_row_along),
		with_database(bridges_of_other_nodes_are_none_of_its_business),
		in_folder(no_store_forgets),
		with_database(records_are_written_in_their_order),
		with_database(what_is_put_is_copied),
		with_database(usage_is_written_within_a_second),
		with_database(a_stop_writes_what_came_last),
		with_database(many_records_are_written_in_several_transactions),
		with_database(a_busy_loop_stops_nothing),
		with_database(a_change_of_the_policy_is_told),
		with_database(other_changes_are_none_of_the_policy),
		with_database(the_last_policy_is_told),
		with_database(close_requests_are_told_by_name),
		with_database(
		    a_request_for_a_session_that_is_not_written_yet_is_found),
		with_database(many_close_requests_are_told_in_several_turns),
		with_database(
		    the_policy_is_looked_at_again_when_a_token_expires),
		with_database(
		    an_administrator_who_holds_the_lock_is_waited_for),
		with_database(but_not_without_complaint),
		with_database(what_was_done_under_the_lock_is_seen_afterwards),
		with_database(records_wait_while_the_file_is_away),
		with_database(what_changed_while_it_was_away_is_seen),
		with_database(garbage_is_waited_out),
		with_database(another_database_is_taken_over),
		with_database(rows_left_open_in_another_database_are_closed),
		with_database(a_backup_restored_into_the_file_is_noticed),
		with_database(a_later_version_is_not_written),
		with_database(the_oldest_are_lost_when_too_many_wait),
		with_database(never_do_more_than_that_wait),
		with_database(what_cannot_be_written_at_a_stop_is_lost),
		with_database(a_stop_waits_for_whoever_holds_the_lock),
		with_database(but_not_for_ever),
		with_database(nothing_is_told_after_a_stop),
		with_database(
		    old_sessions_are_pruned_at_the_start_and_every_minute),
		with_database(keep_sessions_can_be_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
