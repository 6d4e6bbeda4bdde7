/*
 * What the bridge has of authorizations and what the database has, in whatever
 * order things happen: the bridge changes rows, the administrator does, what
 * was changed is read, written and told, one after the other as the test says.
 * With a real database and its triggers.
 *
 * The last test does so at random. "# seed N" is said first; POLYSOCKET_SEED=N
 * repeats a run, POLYSOCKET_STEPS makes it longer.
 */
#include "config.h"

#include "allocations.h"
#include "database.h"
#include "fixture.h"

#include <inttypes.h>
#include <time.h>

#include "ps_db_authorizations.h"
#include "ps_db_changes.h"
#include "wsbridge/applications/authorization.h"
#include "wsbridge/applications/authorization_row.h"
#include "wsbridge/applications/authorizations.h"
#include "wsbridge/applications/changed_row.h"
#include "wsbridge/store/jobs.h"
#include "wsbridge/store/store.h"

#define ID_X "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define ID_Y "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
#define NEWS_MAX 4096
#define STEPS 3000

static struct ps_db *db;
static int64_t change; /* the last that was read */
/* Jobs that the store has, and those that it is done with. */
static struct store_job_list lent, done;
/* What was read and is not told. */
static char news[NEWS_MAX][PS_SOCKET_ID_LEN + 1];
static size_t n_news;
static unsigned n_ok, n_failed; /* of those who wait */
static uint64_t seed;

bool __wrap_store_do(struct store *store, struct store_job *job);

bool
__wrap_store_do(struct store *store, struct store_job *job)
{
	(void)store;
	job->ret = PS_OK;
	TAILQ_INSERT_TAIL(&lent, job, next);
	return true;
}

static int
setup(void **state)
{
	char error[PS_DB_ERROR_MAX];

	TAILQ_INIT(&lent);
	TAILQ_INIT(&done);
	change = 0;
	n_news = n_ok = n_failed = 0;
	if (database_setup(state) != 0 || fixture_setup(state) != 0)
		return -1;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'one', "
		  "'1'), (2, 'two', '2')");
	return ps_db_open(&db, database_path, PS_DB_WRITE, error);
}

/* --- what happens --- */

/* The store takes up the next job; it may not be able to write. */
static void
run_job_with(int ret)
{
	struct store_job *job = TAILQ_FIRST(&lent);

	assert_non_null(job);
	TAILQ_REMOVE(&lent, job, next);
	TAILQ_INSERT_TAIL(&done, job, next);
	job->ret = ret;
	if (ret != PS_OK)
		return;
	assert_int_equal(ps_db_begin(db), PS_OK);
	job->ret = job->run(job, db);
	if (job->ret != PS_OK)
		ps_db_rollback(db);
	else
		assert_int_equal(ps_db_commit(db), PS_OK);
}

static void
run_job(void)
{
	run_job_with(PS_OK);
}

static void
tell_job(void)
{
	struct store_job *job = TAILQ_FIRST(&done);

	assert_non_null(job);
	TAILQ_REMOVE(&done, job, next);
	job->done(job, job->ret);
}

/* The store looks for what the administrator has changed. */
static void
look(void)
{
	enum ps_change_kind kind;

	for (;;) {
		assert_true(n_news < NEWS_MAX);
		assert_int_equal(ps_db_next_change(db, &change, &kind,
				     news[n_news], sizeof(news[0])),
		    PS_OK);
		if (*news[n_news] == '\0')
			return;
		assert_int_equal(kind, PS_CHANGE_AUTHORIZATION);
		n_news++;
	}
}

static void
tell_news(void)
{
	char id[PS_SOCKET_ID_LEN + 1];

	assert_true(n_news > 0);
	strcpy(id, news[0]);
	memmove(news[0], news[1], --n_news * sizeof(news[0]));
	changed_row_look(&bridge, id);
}

/* All that was begun comes to its end. */
static void
settle(void)
{
	do {
		look();
		while (n_news > 0)
			tell_news();
		while (!TAILQ_EMPTY(&lent))
			run_job();
		while (!TAILQ_EMPTY(&done))
			tell_job();
		fixture_turn();
	} while (!TAILQ_EMPTY(&lent));
}

static int
teardown(void **state)
{
	int ret;

	settle();
	ps_db_close(db);
	ret = fixture_teardown(state);
	return ret == 0 ? database_teardown(state) : ret;
}

static void
on_change(void *owner, bool ok)
{
	assert_ptr_equal(owner, &bridge);
	if (ok)
		n_ok++;
	else
		n_failed++;
}

static struct authorization *
find(const char *client)
{
	return authorization_find_client(&bridge, 1, ps_slice_str(client));
}

static struct authorization *
authorize(const char *client, const char *callback)
{
	const struct authorization_terms terms = { 1, ps_slice_str(client),
		ps_slice_str(callback), false, 0 };
	enum ps_code code;
	struct authorization *authorization =
	    authorization_renew(&bridge, &terms, &code);

	assert_non_null(authorization);
	assert_non_null(authorization_row_put(authorization, on_change,
	    &bridge));
	return authorization;
}

static void
withdraw(struct authorization *authorization)
{
	authorization_end(authorization, "test");
	assert_non_null(authorization_row_delete(&bridge,
	    authorization->socket_id, on_change, &bridge));
}

/* --- what is compared --- */

static struct ps_writer memory;

static const char *
in_database(void)
{
	return admin_text("SELECT coalesce(group_concat(client || ' ' || "
			  "socket_id || ' ' || callback || ' ' || events || ' '"
			  " || coalesce(expires_at, 'never'), '; '), '') FROM "
			  "(SELECT * FROM authorizations ORDER BY client)");
}

static const char *
in_memory(const char *const *clients, size_t n_clients)
{
	const char *separator = "";
	char text[32];
	struct tm tm;
	size_t i;

	ps_writer_reset(&memory);
	for (i = 0; i < n_clients; i++) {
		const struct authorization *a = find(clients[i]);

		if (a == NULL)
			continue;
		strcpy(text, "never");
		if (a->expires_at_s != INT64_MAX)
			strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S",
			    gmtime_r(&a->expires_at_s, &tm));
		ps_writer_printf(&memory, "%s%s %s %s %d %s", separator,
		    a->client, a->socket_id, a->callback, a->events, text);
		separator = "; ";
		/* What waits to be restored is gone. */
		assert_null(a->before.callback);
		assert_false(a->is_new);
	}
	ps_writer_bytes(&memory, "", 1);
	return memory.data;
}

static const char *const clients[] = { "ann", "ben", "cid" };

static void
assert_same(void)
{
	assert_string_equal(in_memory(clients, ROWS(clients)), in_database());
	assert_int_equal(bridge.authorizations.changes.count, 0);
	assert_int_equal(bridge.authorizations.by_id.count,
	    admin_number("SELECT count(*) FROM authorizations"));
}

static void
assert_callback(const char *client, const char *callback)
{
	settle();
	assert_same();
	if (callback == NULL)
		assert_null(find(client));
	else
		assert_string_equal(find(client)->callback, callback);
}

static void
begin(void)
{
	authorize("ann", "http://first");
	settle();
	assert_same();
	assert_int_equal(n_ok, 1);
}

/* --- whoever is last in the database --- */

static void
what_the_administrator_changes_holds(void **state)
{
	(void)state;
	begin();
	admin_run("UPDATE authorizations SET callback = 'http://admin'");
	assert_callback("ann", "http://admin");
	admin_run("DELETE FROM authorizations");
	assert_callback("ann", NULL);
	admin_run("INSERT INTO authorizations (socket_id, token_id, client, "
		  "callback) VALUES ('" ID_X "', 1, 'ann', 'http://made')");
	assert_callback("ann", "http://made");
	/* And another id is another client. */
	admin_run("DELETE FROM authorizations; INSERT INTO authorizations "
		  "(socket_id, token_id, client, callback) VALUES ('" ID_Y
		  "', 1, 'ann', 'http://other')");
	assert_callback("ann", "http://other");
}

static void
renewing_comes_after_a_change_that_was_read_before(void **state)
{
	(void)state;
	begin();
	admin_run("UPDATE authorizations SET callback = 'http://admin'");
	look();
	authorize("ann", "http://renewed");
	tell_news();
	assert_callback("ann", "http://renewed");
	/* Or told after all that was written. */
	admin_run("UPDATE authorizations SET callback = 'http://admin'");
	look();
	authorize("ann", "http://again");
	run_job();
	tell_job();
	tell_news();
	assert_callback("ann", "http://again");
}

static void
a_change_comes_after_what_was_written_and_not_told(void **state)
{
	(void)state;
	begin();
	authorize("ann", "http://renewed");
	run_job();
	admin_run("UPDATE authorizations SET callback = 'http://admin'");
	look();
	tell_news();
	assert_callback("ann", "http://admin");
}

static void
what_is_withdrawn_does_not_come_back(void **state)
{
	(void)state;
	begin();
	admin_run("UPDATE authorizations SET callback = 'http://admin'");
	look();
	withdraw(find("ann"));
	tell_news();
	assert_callback("ann", NULL);
}

static void
nor_in_the_place_of_the_one_that_follows(void **state)
{
	(void)state;
	begin();
	admin_run("UPDATE authorizations SET callback = 'http://admin'");
	look();
	withdraw(find("ann"));
	authorize("ann", "http://anew");
	tell_news();
	assert_callback("ann", "http://anew");
}

static void
renewing_makes_again_what_was_deleted_before(void **state)
{
	(void)state;
	begin();
	admin_run("DELETE FROM authorizations");
	look();
	authorize("ann", "http://renewed");
	tell_news();
	assert_callback("ann", "http://renewed");
}

static void
a_row_that_the_administrator_made_first_holds(void **state)
{
	(void)state;
	authorize("ann", "http://app");
	admin_run("INSERT INTO authorizations (socket_id, token_id, client, "
		  "callback) VALUES ('" ID_X "', 1, 'ann', 'http://admin')");
	assert_callback("ann", "http://admin");
	assert_int_equal(n_failed, 1);
}

static void
but_only_as_long_as_it_is_there(void **state)
{
	char id[PS_SOCKET_ID_LEN + 1];

	(void)state;
	admin_run("INSERT INTO authorizations (socket_id, token_id, client, "
		  "callback) VALUES ('" ID_X "', 1, 'ann', 'http://admin')");
	look();
	tell_news();
	run_job();
	strcpy(id, authorize("ann", "http://app")->socket_id);
	tell_job();
	assert_string_equal(find("ann")->socket_id, ID_X);
	admin_run("DELETE FROM authorizations");
	assert_callback("ann", "http://app");
	assert_string_equal(find("ann")->socket_id, id);
}

static void
a_token_that_is_deleted_takes_all_along(void **state)
{
	(void)state;
	begin();
	admin_run("DELETE FROM tokens WHERE id = 1");
	authorize("ann", "http://renewed");
	authorize("ben", "http://new");
	assert_callback("ann", NULL);
	assert_int_equal(n_failed, 2);
}

/* --- what cannot be written --- */

static void
fail_job(void)
{
	run_job_with(PS_ERR_IO);
	tell_job();
}

static void
one_that_could_not_be_written_is_none(void **state)
{
	struct authorization *authorization = authorize("ann", "http://app");
	char id[PS_SOCKET_ID_LEN + 1];

	(void)state;
	strcpy(id, authorization->socket_id);
	fail_job();
	assert_int_equal(n_failed, 1);
	assert_null(find("ann"));
	assert_null(authorization_find_id(&bridge, ps_slice_str(id)));
	fixture_turn();
	assert_true(TAILQ_EMPTY(&bridge.authorizations.all));
	assert_callback("ann", NULL);
}

static void
but_for_one_of_two_that_could(void **state)
{
	(void)state;
	authorize("ann", "http://one");
	authorize("ann", "http://two");
	fail_job();
	assert_non_null(find("ann"));
	assert_callback("ann", "http://two");
	authorize("ben", "http://one");
	authorize("ben", "http://two");
	run_job();
	tell_job();
	fail_job();
	assert_callback("ben", "http://one");
	authorize("cid", "http://one");
	authorize("cid", "http://two");
	fail_job();
	fail_job();
	assert_callback("cid", NULL);
}

static void
renewing_that_could_not_be_written_changes_nothing(void **state)
{
	struct authorization_terms terms = { 1, ps_slice_str("ann"),
		ps_slice_str("http://later"), true, 100 };
	struct authorization *authorization;
	int64_t renewed_at_s;
	enum ps_code code;

	(void)state;
	begin();
	authorization = find("ann");
	renewed_at_s = authorization->renewed_at_s;
	fixture_advance(5000);
	assert_ptr_equal(authorization_renew(&bridge, &terms, &code),
	    authorization);
	assert_non_null(authorization_row_put(authorization, on_change,
	    &bridge));
	fail_job();
	assert_string_equal(authorization->callback, "http://first");
	assert_false(authorization->events);
	assert_int_equal(authorization->renewed_at_s, renewed_at_s);
	assert_int_equal(authorization->expires_at_s, INT64_MAX);
	/* Nor does its time end then. */
	fixture_advance(200000);
	assert_ptr_equal(find("ann"), authorization);
	assert_callback("ann", "http://first");
}

static void
what_was_changed_meanwhile_holds_all_the_same(void **state)
{
	(void)state;
	begin();
	admin_run("UPDATE authorizations SET callback = 'http://admin'");
	look();
	authorize("ann", "http://renewed");
	tell_news();
	run_job_with(PS_ERR_IO); /* and so is the look at the row */
	run_job_with(PS_ERR_IO);
	assert_callback("ann", "http://admin");
	/* One that is lent behind the look, too. */
	admin_run("UPDATE authorizations SET callback = 'http://other'");
	look();
	tell_news();
	authorize("ann", "http://renewed");
	run_job();
	run_job_with(PS_ERR_IO);
	assert_callback("ann", "http://other");
}

static void
withdrawing_is_tried_until_it_is_written(void **state)
{
	(void)state;
	begin();
	withdraw(find("ann"));
	fail_job();
	assert_int_equal(n_failed, 1);
	assert_null(find("ann"));
	fail_job();
	admin_run("UPDATE authorizations SET callback = 'http://admin'");
	look();
	tell_news();
	fail_job();
	assert_null(find("ann"));
	assert_callback("ann", NULL);
}

/* --- without memory --- */

/* So many allocations succeed before one fails. */
static void
arm(long n_allocations)
{
	allocations_left = n_allocations;
	allocation_failed = false;
}

/* What is begun comes to its end; whether an allocation has failed. */
static bool
settle_armed(void)
{
	while (n_news > 0)
		tell_news();
	while (!TAILQ_EMPTY(&lent))
		run_job();
	while (!TAILQ_EMPTY(&done))
		tell_job();
	allocations_left = -1;
	return allocation_failed;
}

static void
a_change_is_seen_or_not_without_memory(void **state)
{
	char callback[64];
	long n = 0;

	(void)state;
	begin();
	do {
		snprintf(callback, sizeof(callback), "http://admin/%ld", n);
		admin_run("UPDATE authorizations SET callback = '%s'",
		    callback);
		look();
		arm(n++);
	} while (settle_armed());
	assert_true(n > 2);
	assert_callback("ann", callback);
}

static void
nothing_is_renewed_that_is_not_written_without_memory(void **state)
{
	const struct authorization_terms terms = { 1, ps_slice_str("ann"),
		ps_slice_str("http://renewed"), false, 0 };
	struct authorization *authorization;
	enum ps_code code;
	long n = 0;

	(void)state;
	begin();
	do {
		assert_callback("ann", "http://first");
		arm(n++);
		authorization = authorization_renew(&bridge, &terms, &code);
		if (authorization != NULL)
			(void)!authorization_row_put(authorization, NULL, NULL);
	} while (settle_armed());
	assert_true(n > 1);
	assert_callback("ann", "http://renewed");
}

/* --- a database that was replaced --- */

static void
what_lives_is_written_over_what_was_restored(void **state)
{
	(void)state;
	begin();
	authorize("ann", "http://renewed");
	authorize("ben", "http://since");
	settle();
	/* As of before that. */
	admin_run("DELETE FROM authorizations WHERE client = 'ben'; "
		  "UPDATE authorizations SET callback = 'http://first'; "
		  "INSERT INTO authorizations (socket_id, token_id, client, "
		  "callback) VALUES ('" ID_X "', 1, 'cid', 'http://gone')");
	look();
	authorizations_repeat(&bridge);
	while (n_news > 0)
		tell_news();
	/* They are read before it is begun. */
	while (!TAILQ_EMPTY(&lent))
		run_job();
	while (!TAILQ_EMPTY(&done))
		tell_job();
	assert_string_equal(find("ann")->callback, "http://renewed");
	fixture_turn();
	assert_callback("ann", "http://renewed");
	assert_callback("cid", "http://gone");
}

/* --- at random --- */

static uint64_t
below(uint64_t bound)
{
	return next_random(&seed) % bound;
}

static void
administrate(void)
{
	static const char id_of[] = "xyz";
	const char *client = clients[below(ROWS(clients))];

	switch (below(5)) {
	case 0:
		admin_run("DELETE FROM authorizations WHERE client = '%s'",
		    client);
		break;
	case 1:
	case 2:
		admin_run("UPDATE authorizations SET callback = "
			  "'http://admin/%d', expires_at = %s "
			  "WHERE client = '%s'",
		    (int)below(1000),
		    below(2) ? "'2030-01-01 00:00:00'" : "NULL", client);
		break;
	case 3:
		admin_run("INSERT INTO authorizations (socket_id, token_id, "
			  "client, callback) SELECT id, 1, '%s', 'http://made' "
			  "FROM (SELECT replace('" ID_X "', 'x', '%c') AS id) "
			  "WHERE NOT EXISTS (SELECT 1 FROM authorizations "
			  "WHERE client = '%s' OR socket_id = id)",
		    client, id_of[below(3)], client);
		break;
	case 4:
		admin_run("UPDATE authorizations SET events = 1 - events");
		break;
	}
}

static void
take_step(void)
{
	const char *client = clients[below(ROWS(clients))];
	char callback[32];

	switch (below(8)) {
	case 0:
		administrate();
		break;
	case 1:
		look();
		break;
	case 2:
		if (n_news > 0)
			tell_news();
		break;
	case 3:
	case 4:
		if (!TAILQ_EMPTY(&lent))
			run_job_with(below(8) == 0 ? PS_ERR_IO : PS_OK);
		break;
	case 5:
		if (!TAILQ_EMPTY(&done))
			tell_job();
		break;
	case 6:
		snprintf(callback, sizeof(callback), "http://app/%d",
		    (int)below(1000));
		if (below(2))
			authorize(client, callback);
		else if (find(client) != NULL)
			withdraw(find(client));
		break;
	case 7:
		fixture_turn();
		break;
	}
}

static uint64_t
environment(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value == NULL ? otherwise : strtoull(value, NULL, 10);
}

static void
memory_has_what_the_database_has_whatever_happens(void **state)
{
	uint64_t n_steps = environment("POLYSOCKET_STEPS", STEPS), step;

	(void)state;
	seed = environment("POLYSOCKET_SEED",
	    (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid());
	printf("# seed %" PRIu64 "\n", seed);
	for (step = 1; step <= n_steps; step++) {
		take_step();
		if (below(50) != 0)
			continue;
		settle();
		assert_same();
	}
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(what_the_administrator_changes_holds),
		fresh(renewing_comes_after_a_change_that_was_read_before),
		fresh(a_change_comes_after_what_was_written_and_not_told),
		fresh(what_is_withdrawn_does_not_come_back),
		fresh(nor_in_the_place_of_the_one_that_follows),
		fresh(renewing_makes_again_what_was_deleted_before),
		fresh(a_row_that_the_administrator_made_first_holds),
		fresh(but_only_as_long_as_it_is_there),
		fresh(a_token_that_is_deleted_takes_all_along),
		fresh(one_that_could_not_be_written_is_none),
		fresh(but_for_one_of_two_that_could),
		fresh(renewing_that_could_not_be_written_changes_nothing),
		fresh(what_was_changed_meanwhile_holds_all_the_same),
		fresh(withdrawing_is_tried_until_it_is_written),
		fresh(a_change_is_seen_or_not_without_memory),
		fresh(nothing_is_renewed_that_is_not_written_without_memory),
		fresh(what_lives_is_written_over_what_was_restored),
		fresh(memory_has_what_the_database_has_whatever_happens),
	};
	int ret = cmocka_run_group_tests(tests, NULL, NULL);

	ps_writer_deinit(&memory);
	return ret;
}
