/*
 * Rows and usage as the database has them in the end: a bridge with the
 * fixture's clock, and the store with its thread. The wall clock of both is
 * the one below, which the linker puts in the place of time(); see
 * tests/local.mk.
 */
#include "config.h"

#include "database.h"
#include "fixture.h"

#include <stdatomic.h>
#include <time.h>

#include "loop.h"
#include "ps_schema.h"
#include "wsbridge/ledger.h"
#include "wsbridge/session/record.h"
#include "wsbridge/store/store.h"

/* As in record.c. */
#define FLUSH_MS 700
#define TRAFFIC_MS 2000
#define BATCH 256

#define HOUR_MS (3600u * 1000)
#define DAY_S 86400

time_t __wrap_time(time_t *t);

static atomic_int_least64_t wall_s;
static uint64_t rest_ms; /* that have passed of the next second */
static uv_timer_t ticks;

time_t
__wrap_time(time_t *t)
{
	(void)t;
	return wall_s;
}

static int64_t
wall(void)
{
	return wall_s;
}

static void
open_bridge(void)
{
	char assignment[256];

	assert_int_equal(fixture_setup_loop(NULL), 0);
	bridge.unix_s = wall;
	snprintf(assignment, sizeof(assignment), "database=%s",
	    database_path);
	fixture_set(assignment);
	loop_start_ticks(bridge.loop, &ticks);
	assert_true(ledger_open(&bridge));
}

static int
close_bridge(void)
{
	ledger_close(&bridge);
	loop_stop_ticks(&ticks);
	return fixture_teardown(NULL);
}

static int
setup(void **state)
{
	if (database_setup(state) != 0)
		return -1;
	wall_s = FIXTURE_NOON_S;
	rest_ms = 0;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a'), (2, 'b', 'b')");
	open_bridge();
	return 0;
}

static int
teardown(void **state)
{
	if (close_bridge() != 0)
		return -1;
	return database_teardown(state);
}

/* Both clocks go on. */
static void
pass(uint64_t ms)
{
	rest_ms += ms;
	wall_s += (int64_t)(rest_ms / 1000);
	rest_ms %= 1000;
	fixture_advance(ms);
}

#define run_until(condition) loop_run_until(bridge.loop, condition)

static void
run_a_while(void)
{
	loop_run_for(bridge.loop, 3 * STORE_PERIOD_MS);
}

/* All that was given to the store. */
static void
run_until_written(void)
{
	run_until(store_status(bridge.store).waiting == 0);
}

static const struct record_subject subject = { .kind = PS_SESSION_RELAY,
	.subject = { "ws://t/x", 8 },
	.origin = { "https://o", 9 },
	.remote_addr = { "192.0.2.1", 9 },
	.agent = { "me", 2 } };

static struct session *
connecting(void)
{
	struct session *session = fixture_connecting();

	record_begin(session, &subject);
	return session;
}

static struct session *
open_session(void)
{
	struct session *session = connecting();

	session_opened(session, ps_slice(NULL, 0));
	receiver.greedy = true;
	return session;
}

static int64_t
count(const char *where)
{
	return admin_number("SELECT count(*) FROM sessions WHERE %s", where);
}

static const char *
usage_text(void)
{
	return admin_text("SELECT group_concat(token_id || '|' || day || '|' "
			  "|| creates || '|' || refused || '|' || "
			  "messages_up || '|' || messages_down || '|' || "
			  "bytes_up || '|' || bytes_down, ' ') FROM "
			  "(SELECT * FROM token_usage ORDER BY 1, 2)");
}

/* --- rows --- */

static void
a_session_has_a_row_from_its_beginning(void **state)
{
	struct session *session = connecting();

	(void)state;
	run_until_written();
	assert_int_equal(admin_number("SELECT count(*) FROM sessions WHERE "
				      "id = '%s' AND kind = 'relay' AND "
				      "token_id = 1 AND node = 'a' AND "
				      "subject = 'ws://t/x' AND origin = "
				      "'https://o' AND remote_addr = "
				      "'192.0.2.1' AND agent = 'me' AND "
				      "opened_at = '2020-06-01 12:00:00' AND "
				      "closed_at IS NULL AND close_code IS "
				      "NULL AND messages_up = 0",
			     session->name),
	    1);
}

static void
a_row_never_has_the_secret_id(void **state)
{
	struct session *session = open_session();
	const char *secret = strchr(session->id, '.') + 1;

	(void)state;
	session_close(session, 1000, ps_slice(NULL, 0));
	run_until_written();
	assert_int_equal(admin_number("SELECT instr(group_concat(quote(id) "
				      "|| quote(subject) || quote(agent)), "
				      "'%s') FROM sessions",
			     secret),
	    0);
}

static void
traffic_is_written_now_and_then(void **state)
{
	struct session *session = open_session();
	const char *limit;

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	assert_int_equal(fixture_send(session, "t:one;b:three;", false,
			     &limit),
	    PS_OK);
	fixture_from_peer(session, "four");
	pass(TRAFFIC_MS - FLUSH_MS);
	run_until_written();
	assert_int_equal(count("messages_up = 0"), 1);
	pass(2 * FLUSH_MS);
	run_until_written();
	assert_int_equal(count("messages_up = 2 AND bytes_up = 8 AND "
			       "messages_down = 1 AND bytes_down = 4"),
	    1);
	fixture_from_peer(session, "five");
	pass(TRAFFIC_MS + FLUSH_MS);
	run_until_written();
	assert_int_equal(count("messages_down = 2 AND bytes_down = 8"), 1);
}

static void
a_quiet_session_is_not_written_again(void **state)
{
	uint64_t written;

	(void)state;
	assert_true(fixture_attach(open_session(), &receiver, HOUR_MS));
	pass(TRAFFIC_MS);
	run_until_written();
	written = store_status(bridge.store).written;
	pass(10 * TRAFFIC_MS);
	run_a_while();
	assert_int_equal(store_status(bridge.store).written, written);
}

static void
many_busy_sessions_are_written_in_slices(void **state)
{
	size_t i;

	(void)state;
	fixture_set("max_sessions_per_address=0");
	fixture_set("max_creates_per_second=0");
	for (i = 0; i < 2 * BATCH + 10; i++)
		fixture_from_peer(open_session(), "x");
	run_until_written();
	pass(TRAFFIC_MS + FLUSH_MS); /* each slice sets the timer anew */
	run_until_written();
	assert_int_equal(count("messages_down = 1"), 2 * BATCH + 10);
}

static void
an_end_is_written_at_once(void **state)
{
	struct session *session = open_session();

	(void)state;
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	pass(61 * 1000);
	fixture_from_peer(session, "x");
	session_peer_closed(session, 4000, ps_slice_str("their words"), true);
	run_until_written();
	assert_int_equal(count("closed_at = '2020-06-01 12:01:01' AND "
			       "close_code = 4000 AND close_reason = 'their "
			       "words' AND messages_down = 1"),
	    1);
}

static void
a_client_that_stays_away_ends_its_session(void **state)
{
	(void)state;
	open_session();
	pass(FIRST_GRACE_MS);
	run_until_written();
	assert_int_equal(count("closed_at = '2020-06-01 12:00:15' AND "
			       "close_code = 1001 AND close_reason = 'no "
			       "receiver'"),
	    1);
}

static void
a_create_that_fails_has_a_row_too(void **state)
{
	(void)state;
	session_open_failed(connecting(), PS_CODE_CONNECT_REFUSED, 0);
	connecting();
	fixture_advance(CONNECT_TIMEOUT_MS);
	run_until_written();
	assert_int_equal(count("close_code = 0 AND close_reason = "
			       "'connect_refused' AND closed_at = opened_at"),
	    1);
	assert_int_equal(count("close_code = 0 AND close_reason = "
			       "'connect_timeout'"),
	    1);
}

static void
a_long_subject_is_cut(void **state)
{
	static char text[PS_SUBJECT_MAX + 1];
	struct record_subject long_one = subject;

	(void)state;
	memset(text, 's', sizeof(text));
	long_one.subject = ps_slice(text, sizeof(text));
	record_begin(fixture_connecting(), &long_one);
	run_until_written();
	assert_int_equal(admin_number("SELECT length(subject) FROM sessions"),
	    PS_SUBJECT_MAX);
}

static void
without_a_store_there_are_no_rows(void **state)
{
	struct session *session;

	(void)state;
	ledger_close(&bridge);
	session = open_session();
	assert_null(session->row);
	fixture_from_peer(session, "x");
	pass(2 * TRAFFIC_MS);
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	assert_int_equal(count("true"), 0);
}

/* --- usage --- */

static void
usage_is_written_within_a_second(void **state)
{
	struct session *session = open_session();
	struct refusal refusal;
	const char *limit;

	(void)state;
	assert_int_equal(fixture_send(session, "t:one;", false, &limit),
	    PS_OK);
	fixture_from_peer(session, "two");
	fixture_quota()->limits.value[PS_LIMIT_SOCKETS] = 0;
	assert_null(session_create(&bridge, ps_slice_str("192.0.2.1"),
	    fixture_quota(), &refusal));
	records_wake(&bridge);
	pass(FLUSH_MS);
	run_until_written();
	assert_string_equal(usage_text(), "1|2020-06-01|1|1|1|1|3|3");
	assert_true(FLUSH_MS + STORE_PERIOD_MS < 1000);
}

static void
each_token_has_usage_of_its_own(void **state)
{
	struct session *other = fixture_connecting_of(
	    quotas_get(&bridge.quotas, 2));

	(void)state;
	record_begin(other, &subject);
	session_opened(other, ps_slice(NULL, 0));
	open_session();
	fixture_from_peer(other, "four");
	pass(FLUSH_MS);
	run_until_written();
	assert_string_equal(usage_text(),
	    "1|2020-06-01|1|0|0|0|0|0 2|2020-06-01|1|0|0|1|0|4");
}

static void
a_day_that_is_over_is_written_as_that_day(void **state)
{
	struct session *session = open_session();

	(void)state;
	assert_true(fixture_attach(session, &receiver, DAY_S * 1000));
	pass(FLUSH_MS);
	pass((DAY_S / 2 - 1) * 1000ull);
	fixture_from_peer(session, "before");
	pass(300);
	fixture_from_peer(session, "after midnight");
	pass(FLUSH_MS);
	run_until_written();
	assert_string_equal(usage_text(),
	    "1|2020-06-01|1|0|0|1|0|6 1|2020-06-02|0|0|0|1|0|14");
}

static void
what_was_used_survives_a_restart(void **state)
{
	struct session *session = open_session();
	struct quota *quota;

	(void)state;
	admin_run("UPDATE tokens SET max_messages_per_day = 2, "
		  "max_creates_per_minute = 1 WHERE id = 1");
	fixture_from_peer(session, "one");
	/* Nothing was handed over yet: it is written at the end. */
	assert_int_equal(close_bridge(), 0);
	assert_string_equal(usage_text(), "1|2020-06-01|1|0|0|1|0|3");
	open_bridge();
	quota = fixture_quota();
	assert_int_equal(quota->messages, 1);
	assert_int_equal(quota->bytes, 3);
	assert_int_equal(quota->n_creates, 1);
	assert_int_equal(quota->n_sessions, 0);
	assert_int_equal(close_bridge(), 0);
	wall_s += QUOTA_WINDOW_S;
	open_bridge();
	assert_int_equal(fixture_quota()->n_creates, 0);
	assert_int_equal(fixture_quota()->messages, 1);
	assert_int_equal(close_bridge(), 0);
	wall_s += DAY_S;
	open_bridge();
	assert_int_equal(fixture_quota()->messages, 0);
}

static void
a_bridge_that_died_left_its_rows_open(void **state)
{
	(void)state;
	open_session();
	run_until_written();
	ledger_close(&bridge); /* the session goes on, and is not told of */
	pass(5000);
	assert_true(ledger_open(&bridge));
	assert_int_equal(count("close_reason = 'bridge restarted' AND "
			       "close_code = 1006 AND closed_at = "
			       "'2020-06-01 12:00:05'"),
	    1);
}

/* --- the administrator --- */

static void
a_disabled_token_ends_its_sessions(void **state)
{
	struct session *session = open_session();

	(void)state;
	admin_run("UPDATE tokens SET enabled = 0 WHERE id = 1");
	run_until(peer.n_close == 1);
	assert_string_equal(peer.close_reason, "token disabled");
	run_until_written();
	assert_int_equal(count("close_code = 1008 AND close_reason = 'token "
			       "disabled' AND closed_at IS NOT NULL"),
	    1);
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	run_until_written();
	assert_int_equal(count("close_code = 1008 AND close_reason = 'token "
			       "disabled'"),
	    1);
}

static void
a_deleted_token_ends_its_sessions(void **state)
{
	(void)state;
	open_session();
	pass(FLUSH_MS);
	run_until_written();
	admin_run("DELETE FROM tokens WHERE id = 1");
	run_until(peer.n_close == 1);
	run_until_written();
	assert_int_equal(count("close_reason = 'token deleted'"), 1);
	assert_string_equal(usage_text(), "(null)");
}

static void
an_expired_token_ends_its_sessions(void **state)
{
	(void)state;
	admin_run("UPDATE tokens SET expires_at = '2020-06-01 12:00:10' WHERE "
		  "id = 1");
	run_until(ps_policy_find_id(bridge.policy, 1)->expires_at_s !=
	    INT64_MAX);
	open_session();
	pass(9000);
	run_a_while();
	assert_int_equal(peer.n_close, 0);
	pass(1000);
	run_until(peer.n_close == 1);
	assert_string_equal(peer.close_reason, "token expired");
}

static void
close_requested_ends_that_session(void **state)
{
	struct session *session = open_session(), *other = open_session();

	(void)state;
	run_until_written();
	admin_run("UPDATE sessions SET close_requested = 1 WHERE id = '%s'",
	    session->name);
	run_until(peer.n_close == 1);
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_int_equal(other->state, SESSION_OPEN);
	run_until_written();
	assert_int_equal(count("close_reason = 'closed by administrator' AND "
			       "close_code = 1008 AND close_requested = 1"),
	    1);
}

static void
limits_are_those_of_the_database(void **state)
{
	(void)state;
	admin_run("UPDATE tokens SET max_sockets = 3, max_message_bytes = 4 "
		  "WHERE id = 1");
	fixture_quota();
	run_until(fixture_quota()->limits.value[PS_LIMIT_SOCKETS] == 3);
	assert_int_equal(session_max_message(open_session(), NULL), 4);
}

static void
a_row_that_was_deleted_comes_back_at_the_end(void **state)
{
	struct session *session = open_session();

	(void)state;
	run_until_written();
	admin_run("DELETE FROM sessions");
	session_end(session, "test");
	run_until_written();
	assert_int_equal(count("closed_at IS NOT NULL AND subject = "
			       "'ws://t/x'"),
	    1);
}

/* --- a database that is away --- */

static void
what_is_counted_meanwhile_is_written_as_one(void **state)
{
	struct session *session;
	int i;

	(void)state;
	session = open_session();
	assert_true(fixture_attach(session, &receiver, HOUR_MS));
	pass(FLUSH_MS);
	run_until_written();
	rename(database_path, database_beside("away"));
	run_until(store_status(bridge.store).failing);
	for (i = 0; i < 20; i++) {
		fixture_from_peer(session, "x");
		pass(FLUSH_MS);
	}
	/* Neither rows nor usage wait: they are counted. */
	assert_int_equal(store_status(bridge.store).waiting, 0);
	rename(database_beside("away"), database_path);
	run_until(!store_status(bridge.store).failing);
	pass(TRAFFIC_MS + FLUSH_MS);
	run_until_written();
	assert_string_equal(usage_text(), "1|2020-06-01|1|0|0|20|0|20");
	assert_int_equal(count("messages_down = 20 AND closed_at IS NULL"), 1);
	assert_int_equal(store_status(bridge.store).lost, 0);
}

static void
limits_hold_while_the_database_is_away(void **state)
{
	struct session *session = open_session();

	(void)state;
	admin_run("UPDATE tokens SET max_messages_per_day = 2 WHERE id = 1");
	run_until(
	    fixture_quota()->limits.value[PS_LIMIT_MESSAGES_PER_DAY] == 2);
	run_until_written();
	rename(database_path, database_beside("away"));
	run_until(store_status(bridge.store).failing);
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	assert_int_equal(peer.n_close, 0);
	fixture_from_peer(session, "three");
	assert_int_equal(peer.n_close, 1);
	assert_string_equal(peer.close_reason, "daily_limit");
}

/* Timers are due that the loop does not know of. */
static int64_t
count_with_timers(const char *where)
{
	fixture_advance(0);
	return count(where);
}

static void
a_database_put_in_place_is_told_what_lives(void **state)
{
	char error[PS_DB_ERROR_MAX];
	size_t i;

	(void)state;
	fixture_set("max_sessions_per_address=0");
	fixture_set("max_creates_per_second=0");
	for (i = 0; i < BATCH + 10; i++)
		open_session();
	session_end(open_session(), "test");
	run_until_written();
	assert_int_equal(count("closed_at IS NULL"), BATCH + 10);
	assert_int_equal(ps_schema_prepare(database_beside("new"), error),
	    PS_OK);
	admin_run("ATTACH '%s' AS new; INSERT INTO new.tokens (id, name) "
		  "VALUES (1, 'anonymous')",
	    database_beside("new"));
	rename(database_beside("new"), database_path);
	/* Nobody may open it before: the log of the other lies beside it. */
	run_until(!TAILQ_EMPTY(&bridge.records.changed));
	run_until(count_with_timers("closed_at IS NULL") == BATCH + 10);
	assert_int_equal(count("true"), BATCH + 10);
	assert_int_equal(peer.n_close, 0);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_session_has_a_row_from_its_beginning),
		fresh(a_row_never_has_the_secret_id),
		fresh(traffic_is_written_now_and_then),
		fresh(a_quiet_session_is_not_written_again),
		fresh(many_busy_sessions_are_written_in_slices),
		fresh(an_end_is_written_at_once),
		fresh(a_client_that_stays_away_ends_its_session),
		fresh(a_create_that_fails_has_a_row_too),
		fresh(a_long_subject_is_cut),
		fresh(without_a_store_there_are_no_rows),
		fresh(usage_is_written_within_a_second),
		fresh(each_token_has_usage_of_its_own),
		fresh(a_day_that_is_over_is_written_as_that_day),
		fresh(what_was_used_survives_a_restart),
		fresh(a_bridge_that_died_left_its_rows_open),
		fresh(a_disabled_token_ends_its_sessions),
		fresh(a_deleted_token_ends_its_sessions),
		fresh(an_expired_token_ends_its_sessions),
		fresh(close_requested_ends_that_session),
		fresh(limits_are_those_of_the_database),
		fresh(a_row_that_was_deleted_comes_back_at_the_end),
		fresh(what_is_counted_meanwhile_is_written_as_one),
		fresh(limits_hold_while_the_database_is_away),
		fresh(a_database_put_in_place_is_told_what_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
