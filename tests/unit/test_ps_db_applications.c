/* Authorizations and the outbox in the database, and notes of changes. */
#include "config.h"

#include "database.h"

#include <sqlite3.h>

#include "ps_db_authorizations.h"
#include "ps_db_changes.h"
#include "ps_db_outbox.h"
#include "ps_sql.h"

#define NOON_S INT64_C(1591012800) /* 2020-06-01 12:00:00 UTC */
#define NOON_MS (NOON_S * 1000 + 7)
#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct ps_db *db;
static struct ps_writer found;

static int
setup(void **state)
{
	char error[PS_DB_ERROR_MAX];

	if (database_setup(state) != 0)
		return -1;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'one', "
		  "'1'), (2, 'two', '2')");
	return ps_db_open(&db, database_path, PS_DB_WRITE, error);
}

static int
teardown(void **state)
{
	ps_db_close(db);
	ps_writer_deinit(&found);
	return database_teardown(state);
}

/* --- authorizations --- */

static struct ps_authorization_row
authorization(const char *socket_id, const char *client)
{
	return (struct ps_authorization_row){ .socket_id = socket_id,
		.token_id = 1, .client = client,
		.callback = "https://app.example/c", .created_at_s = NOON_S,
		.renewed_at_s = NOON_S, .expires_at_s = INT64_MAX };
}

static void
put(const struct ps_authorization_row *row)
{
	assert_int_equal(ps_db_put_authorization(db, row), PS_OK);
}

static void
on_authorization(void *arg, const struct ps_authorization_row *row)
{
	assert_ptr_equal(arg, &found);
	ps_writer_printf(&found, "%.1s %d %s %s %d %d %d %d; ",
	    row->socket_id, (int)row->token_id, row->client, row->callback,
	    row->events, (int)(row->created_at_s - NOON_S),
	    (int)(row->renewed_at_s - NOON_S),
	    row->expires_at_s == INT64_MAX ?
		-1 :
		(int)(row->expires_at_s - NOON_S));
}

static void
assert_authorizations(const char *expected)
{
	assert_int_equal(ps_db_each_authorization(db, on_authorization,
			     &found),
	    PS_OK);
	assert_true(writer_had(&found, expected));
}

static void
an_authorization_is_read_as_it_was_put(void **state)
{
	struct ps_authorization_row row = authorization(ID_A, "me");

	(void)state;
	assert_authorizations("");
	put(&row);
	row = authorization(ID_B, "\xe2\x82\xac");
	row.token_id = 2;
	row.events = true;
	row.expires_at_s = NOON_S + 60;
	put(&row);
	assert_authorizations("a 1 me https://app.example/c 0 0 0 -1; "
			      "b 2 \xe2\x82\xac https://app.example/c 1 0 0 "
			      "60; ");
	assert_int_equal(ps_db_find_authorization(db, ID_B, on_authorization,
			     &found),
	    PS_OK);
	assert_true(writer_had(&found,
	    "b 2 \xe2\x82\xac https://app.example/c 1 0 0 60; "));
	assert_int_equal(ps_db_find_authorization(db, "c", on_authorization,
			     &found),
	    PS_OK);
	assert_int_equal(found.len, 0);
}

static void
one_that_is_renewed_keeps_the_time_it_was_created(void **state)
{
	struct ps_authorization_row row = authorization(ID_A, "me");

	(void)state;
	put(&row);
	row.created_at_s = row.renewed_at_s = NOON_S + 5;
	row.expires_at_s = NOON_S + 9;
	row.callback = "http://other";
	row.events = true;
	put(&row);
	assert_authorizations("a 1 me http://other 1 0 5 9; ");
	row.expires_at_s = INT64_MAX;
	put(&row);
	assert_authorizations("a 1 me http://other 1 0 5 -1; ");
	assert_int_equal(ps_db_delete_authorization(db, ID_A), PS_OK);
	assert_int_equal(ps_db_delete_authorization(db, ID_A), PS_OK);
	assert_authorizations("");
}

static void
what_the_schema_refuses_is_malformed(void **state)
{
	struct ps_authorization_row row = authorization(ID_A, "me");

	(void)state;
	row.token_id = 3;
	assert_int_equal(ps_db_put_authorization(db, &row), PS_ERR_MALFORMED);
	assert_string_equal(ps_db_error(db),
	    "there is no token with this token_id");
	row = authorization(ID_A, "me");
	put(&row);
	row = authorization(ID_B, "me");
	assert_int_equal(ps_db_put_authorization(db, &row), PS_ERR_MALFORMED);
	assert_string_equal(ps_db_error(db),
	    "the client has another socket id");
	assert_false(ps_db_is_busy(db));
}

/* --- changes --- */

static void
assert_changes(int64_t *number, const char *expected)
{
	enum ps_change_kind kind;
	char name[64];

	do {
		assert_int_equal(ps_db_next_change(db, number, &kind, name,
				     sizeof(name)),
		    PS_OK);
		if (*name != '\0')
			ps_writer_printf(&found, "%s %.3s ",
			    kind == PS_CHANGE_LANE ? "lane" : "authorization",
			    name);
	} while (*name != '\0');
	assert_true(writer_had(&found, expected));
}

static void
changes_of_the_administrator_are_noted_and_our_own_are_not(void **state)
{
	struct ps_authorization_row row = authorization(ID_A, "a");
	int64_t first = 0, number;

	(void)state;
	put(&row);
	row = authorization(ID_B, "b");
	put(&row);
	put(&row);
	assert_changes(&first, "");
	admin_run("UPDATE authorizations SET events = 1 WHERE client = 'b'");
	admin_run("DELETE FROM authorizations WHERE client = 'a'");
	admin_run("INSERT INTO outbox (session, number, token_id, client, "
		  "callback, body, accepted_at) VALUES ('a-1', 1, 1, 'b', "
		  "'http://x', '', '2020-01-01 00:00:00.000'); "
		  "UPDATE outbox SET state = 'ready'");
	number = first;
	assert_changes(&number,
	    "authorization bbb authorization aaa lane a-1 ");
	assert_changes(&number, "");
	assert_int_equal(ps_db_delete_authorization(db, ID_B), PS_OK);
	assert_changes(&number, "");
	number = first;
	assert_changes(&number, "authorization aaa lane a-1 ");
	assert_int_equal(ps_db_last_change(db, &first), PS_OK);
	assert_int_equal(first, number);
}

static void
a_lane_is_noted_as_if_the_administrator_had_changed_it(void **state)
{
	int64_t number = 0;

	(void)state;
	assert_int_equal(ps_db_note_lane(db, "a-1"), PS_OK);
	assert_int_equal(ps_db_note_lane(db, "a-2"), PS_OK);
	assert_int_equal(ps_db_note_lane(db, "a-1"), PS_OK);
	assert_changes(&number, "lane a-2 lane a-1 ");
}

static void
changes_are_pruned_when_they_are_old_and_were_read(void **state)
{
	int64_t number = 0, read;

	(void)state;
	admin_run("INSERT INTO application_changes (kind, name, changed_at) "
		  "VALUES ('lane', 'a-1', '2020-06-01 11:59:59'), "
		  "('lane', 'a-2', '2020-06-01 11:59:59'), "
		  "('lane', 'a-3', '2020-06-01 12:00:00'), "
		  "('lane', 'a-4', '2020-06-01 11:59:59')");
	assert_int_equal(ps_db_last_change(db, &read), PS_OK);
	assert_int_equal(ps_db_prune_changes(db, read - 1, NOON_S), PS_OK);
	assert_changes(&number, "lane a-3 lane a-4 ");
	assert_int_equal(ps_db_prune_changes(db, read, NOON_S + 1), PS_OK);
	assert_int_equal(ps_db_last_change(db, &number), PS_OK);
	assert_int_equal(number, 0);
	/* The next one is none that was read, all the same. */
	admin_run("INSERT INTO application_changes (kind, name) VALUES "
		  "('lane', 'a-5')");
	assert_changes(&read, "lane a-5 ");
}

/* --- the outbox --- */

static struct ps_outbox_row
row_of(const char *session, uint64_t number)
{
	return (struct ps_outbox_row){ .session = session, .number = number,
		.token_id = 1, .client = "me", .callback = "http://x/",
		.body = ps_slice_str("{\"n\":1}"),
		.accepted_at_ms = NOON_MS };
}

static void
put_row(const char *session, uint64_t number)
{
	struct ps_outbox_row row = row_of(session, number);

	assert_int_equal(ps_db_put_outbox(db, &row), PS_OK);
}

static int
on_row(void *arg, const struct ps_outbox_row *row)
{
	assert_ptr_equal(arg, &found);
	ps_writer_printf(&found, "%s-%d ", row->session, (int)row->number);
	return PS_OK;
}

static void
assert_rows(const char *session, uint64_t after, uint32_t limit,
    size_t max_bytes, const char *expected)
{
	assert_int_equal(ps_db_read_outbox(db, session, after, limit,
			     max_bytes, on_row, &found),
	    PS_OK);
	assert_true(writer_had(&found, expected));
}

static int
on_whole_row(void *arg, const struct ps_outbox_row *row)
{
	assert_ptr_equal(arg, &found);
	ps_writer_printf(&found, "%s %d %d %s %s %.*s %d %d %d; ",
	    row->session, (int)row->number, (int)row->token_id, row->client,
	    row->callback, (int)row->body.len, row->body.data,
	    (int)row->attempts, (int)(row->accepted_at_ms - NOON_MS),
	    (int)(row->retry_since_ms - NOON_MS));
	return PS_OK;
}

static void
a_callback_is_read_as_it_was_put(void **state)
{
	struct ps_outbox_row row = row_of("a-1", 1);

	(void)state;
	assert_int_equal(ps_db_put_outbox(db, &row), PS_OK);
	row.number = 2;
	row.token_id = 7; /* of nobody any more */
	row.client = "\xe2\x82\xac";
	row.body = ps_slice_str("");
	row.accepted_at_ms += 999;
	assert_int_equal(ps_db_put_outbox(db, &row), PS_OK);
	assert_int_equal(ps_db_read_outbox(db, "a-1", 0, 9, 999,
			     on_whole_row, &found),
	    PS_OK);
	assert_true(writer_had(&found, "a-1 1 1 me http://x/ {\"n\":1} 0 0 0; "
				       "a-1 2 7 \xe2\x82\xac http://x/  0 999 "
				       "999; "));
	assert_string_equal(admin_text("SELECT accepted_at FROM outbox"),
	    "2020-06-01 12:00:00.007");
	row.number = 1;
	assert_int_equal(ps_db_put_outbox(db, &row), PS_ERR_MALFORMED);
}

static void
rows_are_read_page_by_page_in_their_order(void **state)
{
	(void)state;
	put_row("a-1", 3);
	put_row("a-2", 1);
	put_row("a-1", 1);
	put_row("a-1", 2);
	put_row("a-10", 1);
	assert_rows("a-1", 0, 9, 999, "a-1-1 a-1-2 a-1-3 ");
	assert_rows("a-1", 1, 9, 999, "a-1-2 a-1-3 ");
	assert_rows("a-1", 3, 9, 999, "");
	assert_rows("a-1", 0, 2, 999, "a-1-1 a-1-2 ");
	/* Bodies have 7 bytes each. */
	assert_rows("a-1", 0, 9, 14, "a-1-1 a-1-2 ");
	assert_rows("a-1", 0, 9, 15, "a-1-1 a-1-2 a-1-3 ");
	assert_rows("a-1", 0, 9, 7, "a-1-1 ");
	assert_rows("a-1", 0, 9, 0, "a-1-1 ");
}

static int
on_row_without_memory(void *arg, const struct ps_outbox_row *row)
{
	(void)on_row(arg, row);
	return PS_ERR_NOMEM;
}

static void
a_page_may_end_for_lack_of_memory(void **state)
{
	(void)state;
	put_row("a-1", 1);
	put_row("a-1", 2);
	assert_int_equal(ps_db_read_outbox(db, "a-1", 0, 9, 999,
			     on_row_without_memory, &found),
	    PS_ERR_NOMEM);
	assert_true(writer_had(&found, "a-1-1 "));
	assert_rows("a-1", 0, 9, 999, "a-1-1 a-1-2 ");
}

static void
what_was_delivered_is_deleted_several_at_once(void **state)
{
	static const struct ps_outbox_key keys[] = { { "a-1", 1 },
		{ "a-2", 1 }, { "a-1", 7 }, { "a-1", 3 } };

	(void)state;
	put_row("a-1", 1);
	put_row("a-1", 2);
	put_row("a-1", 3);
	put_row("a-2", 1);
	put_row("a-2", 2);
	assert_int_equal(ps_db_delete_outbox(db, keys, ROWS(keys)), PS_OK);
	assert_rows("a-1", 0, 9, 999, "a-1-2 ");
	assert_rows("a-2", 0, 9, 999, "a-2-2 ");
}

static const char *
states(void)
{
	return admin_text("SELECT group_concat(number || ' ' || state || ' ' "
			  "|| attempts || ' ' || last_error, '; ') FROM "
			  "(SELECT * FROM outbox ORDER BY session, number)");
}

static void
failures_are_counted_and_the_last_one_is_dead(void **state)
{
	const struct ps_outbox_key key = { "a-1", 1 };

	(void)state;
	put_row("a-1", 1);
	put_row("a-1", 2);
	assert_int_equal(ps_db_fail_outbox(db, &key, "500", false), PS_OK);
	assert_int_equal(ps_db_fail_outbox(db, &key, "500", false), PS_OK);
	assert_rows("a-1", 0, 9, 999, "a-1-1 a-1-2 ");
	assert_int_equal(ps_db_fail_outbox(db, &key, "503", true), PS_OK);
	assert_rows("a-1", 0, 9, 999, "a-1-2 ");
	assert_string_equal(states(), "1 dead 3 503; 2 ready 0 ");
	assert_int_equal(admin_number("SELECT count(*) FROM "
				      "application_changes"),
	    0);
}

static void
a_lane_that_ends_is_dead_and_may_end_again(void **state)
{
	const struct ps_outbox_key key = { "a-1", 1 };

	(void)state;
	put_row("a-1", 1);
	put_row("a-1", 2);
	put_row("a-2", 3);
	assert_int_equal(ps_db_fail_outbox(db, &key, "500", true), PS_OK);
	assert_int_equal(ps_db_fail_lane(db, "a-1", "410 Gone"), PS_OK);
	assert_string_equal(states(),
	    "1 dead 1 500; 2 dead 0 410 Gone; 3 ready 0 ");
	admin_run("UPDATE outbox SET state = 'ready' WHERE session = 'a-1'");
	assert_string_equal(states(), "1 ready 0 ; 2 ready 0 ; 3 ready 0 ");
	assert_int_equal(ps_db_fail_lane(db, "a-1", "410 Gone"), PS_OK);
	assert_string_equal(states(),
	    "1 dead 0 410 Gone; 2 dead 0 410 Gone; 3 ready 0 ");
}

static void
a_revived_row_is_tried_from_then_on(void **state)
{
	const struct ps_outbox_key key = { "a-1", 1 };

	(void)state;
	put_row("a-1", 1);
	assert_int_equal(ps_db_fail_outbox(db, &key, "500", true), PS_OK);
	admin_run("UPDATE outbox SET state = 'ready'");
	assert_int_equal(ps_db_read_outbox(db, "a-1", 0, 9, 999,
			     on_whole_row, &found),
	    PS_OK);
	/* Years later, and that is when it was accepted again. */
	assert_null(memmem(found.data, found.len, " 0 0 0; ", 8));
	assert_non_null(memmem(found.data, found.len, " 0 0 ", 5));
	ps_writer_reset(&found);
}

static void
rows_that_are_ready_are_counted_by_token(void **state)
{
	const struct ps_outbox_key key = { "a-1", 2 };
	uint64_t count = 77;

	(void)state;
	put_row("a-1", 1);
	put_row("a-1", 2);
	put_row("a-2", 1);
	assert_int_equal(ps_db_fail_outbox(db, &key, "500", true), PS_OK);
	assert_int_equal(ps_db_count_outbox(db, 1, &count), PS_OK);
	assert_int_equal(count, 2);
	assert_int_equal(ps_db_count_outbox(db, 2, &count), PS_OK);
	assert_int_equal(count, 0);
}

static void
on_lane(void *arg, const struct ps_outbox_lane *lane)
{
	assert_ptr_equal(arg, &found);
	ps_writer_printf(&found, "%s %d %s %d-%d %d; ", lane->session,
	    (int)lane->token_id, lane->client, (int)lane->first_number,
	    (int)lane->last_number, (int)lane->count);
}

static void
lanes_are_those_of_no_other_node(void **state)
{
	const struct ps_outbox_key key = { "aaaaaa-1", 2 };

	(void)state;
	admin_run("INSERT INTO bridges VALUES ('aaaaaa', 'a', 1, '', '', '', "
		  "0), ('bbbbbb', 'b', 1, '', '', '', 0)");
	put_row("aaaaaa-1", 2);
	put_row("aaaaaa-1", 7);
	put_row("aaaaaa-1", 9);
	put_row("agone5-1", 4); /* its bridge has no row any more */
	put_row("bbbbbb-1", 1);
	assert_int_equal(ps_db_fail_outbox(db, &key, "500", true), PS_OK);
	assert_int_equal(ps_db_each_lane(db, "a", on_lane, &found), PS_OK);
	assert_true(writer_had(&found,
	    "aaaaaa-1 1 me 7-9 2; agone5-1 1 me 4-4 1; "));
	assert_int_equal(ps_db_find_lane(db, "a", "aaaaaa-1", on_lane, &found),
	    PS_OK);
	assert_int_equal(ps_db_find_lane(db, "a", "bbbbbb-1", on_lane, &found),
	    PS_OK);
	assert_int_equal(ps_db_find_lane(db, "a", "nobody", on_lane, &found),
	    PS_OK);
	assert_true(writer_had(&found, "aaaaaa-1 1 me 7-9 2; "));
}

static void
dead_rows_are_pruned_when_they_are_old(void **state)
{
	static const struct ps_outbox_key keys[] = { { "a-1", 1 },
		{ "a-1", 2 }, { "a-1", 4 } };
	struct ps_outbox_row row;
	int deleted;
	size_t i;

	(void)state;
	for (i = 1; i <= 4; i++) {
		row = row_of("a-1", i);
		row.accepted_at_ms = (NOON_S + (i == 4)) * 1000;
		assert_int_equal(ps_db_put_outbox(db, &row), PS_OK);
	}
	for (i = 0; i < ROWS(keys); i++)
		assert_int_equal(ps_db_fail_outbox(db, &keys[i], "x", true),
		    PS_OK);
	assert_int_equal(ps_db_prune_outbox(db, NOON_S, 9, &deleted), PS_OK);
	assert_int_equal(deleted, 0);
	assert_int_equal(ps_db_prune_outbox(db, NOON_S + 1, 1, &deleted),
	    PS_OK);
	assert_int_equal(deleted, 1);
	assert_int_equal(ps_db_prune_outbox(db, NOON_S + 1, 9, &deleted),
	    PS_OK);
	assert_int_equal(deleted, 1);
	assert_string_equal(states(), "3 ready 0 ; 4 dead 1 x");
}

/* --- sessions of a bridge that died --- */

static void
put_session(const char *id, const char *client)
{
	const struct ps_session_row row = { PS_SESSION_APPLICATION, 1, id, "a",
		client, "", "192.0.2.1", "", NOON_S, 0, 0, NULL, { 0 },
		false };

	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
}

static void
enter(const char *tag, bool outbox)
{
	const struct ps_bridge_row row = { tag, "a", database_beside("place"),
		"1.0", 77, NOON_S, outbox };

	assert_int_equal(ps_db_enter(db, &row, NOON_S), PS_OK);
}

static const char *
orphans(void)
{
	return admin_text("SELECT coalesce(group_concat(session || ' ' || "
			  "token_id || ' ' || client || ' ' || callback || "
			  "' ' || body, '; '), '') FROM (SELECT * FROM outbox "
			  "WHERE number = %lld ORDER BY session)",
	    (long long)PS_OUTBOX_ORPHAN_NUMBER);
}

/* "me" and "you", of whom the first wants events. */
static void
authorize(void)
{
	struct ps_authorization_row row = authorization(ID_A, "m\"e");

	row.events = true;
	put(&row);
	row = authorization(ID_B, "you");
	put(&row);
}

static void
applications_hear_of_what_a_dead_bridge_has_left(void **state)
{
	struct ps_outbox_row row = row_of("adead5-1", 1);

	(void)state;
	authorize();
	enter("adead5", true);
	put_session("adead5-1", "m\"e");
	put_session("adead5-2", "you");
	put_session("adead5-3", "nobody");
	row.body = ps_slice_str("no JSON");
	assert_int_equal(ps_db_put_outbox(db, &row), PS_OK);
	assert_string_equal(orphans(), "");
	enter("anewer", true);
	assert_string_equal(orphans(),
	    "adead5-1 1 m\"e https://app.example/c {\"event\":"
	    "\"disconnected\",\"session\":\"adead5-1\",\"client\":\"m\\\"e\","
	    "\"code\":1006,\"reason\":\"bridge restarted\"}");
	assert_string_equal(admin_text("SELECT accepted_at FROM outbox WHERE "
				       "number > 1"),
	    "2020-06-01 12:00:00.000");
	assert_int_equal(admin_number("SELECT count(*) FROM sessions WHERE "
				      "close_reason = 'bridge restarted'"),
	    3);
	/* Once. */
	enter("anewer", true);
	assert_int_equal(admin_number("SELECT count(*) FROM outbox"), 2);
}

static void
but_not_where_it_has_told_of_that_itself(void **state)
{
	struct ps_outbox_row row = row_of("adead5-1", 7);

	(void)state;
	authorize();
	enter("adead5", true);
	put_session("adead5-1", "m\"e");
	row.body = ps_slice_str("{\"event\":\"disconnected\",\"session\":"
				"\"adead5-1\"}");
	assert_int_equal(ps_db_put_outbox(db, &row), PS_OK);
	enter("anewer", true);
	assert_string_equal(orphans(), "");
}

/* Though what it told was delivered, and the end not recorded yet. */
static void
nor_where_that_is_delivered(void **state)
{
	struct ps_outbox_row row = row_of("adead5-1", 7);
	const struct ps_outbox_key key = { "adead5-1", 7 };

	(void)state;
	authorize();
	enter("adead5", true);
	put_session("adead5-1", "m\"e");
	row.is_last = true;
	assert_int_equal(ps_db_put_outbox(db, &row), PS_OK);
	assert_int_equal(ps_db_delete_outbox(db, &key, 1), PS_OK);
	enter("anewer", true);
	assert_string_equal(orphans(), "");
	assert_string_equal(admin_text("SELECT closed_at FROM sessions"),
	    "2020-06-01 12:00:00");
}

/* The record of an end may be written before what tells it, which a bridge
 * that dies in between has not told. */
static void
an_end_that_was_recorded_only_is_told(void **state)
{
	struct ps_session_row session = { .kind = PS_SESSION_APPLICATION,
		.token_id = 1, .id = "adead5-1", .node = "a",
		.subject = "m\"e", .origin = "", .remote_addr = "192.0.2.1",
		.agent = "", .opened_at_s = NOON_S, .end_is_told = true };
	struct ps_outbox_row row = row_of("adead5-2", 7);

	(void)state;
	authorize();
	enter("adead5", true);
	assert_int_equal(ps_db_put_session(db, &session), PS_OK);
	session.closed_at_s = NOON_S + 1;
	session.close_code = 1001;
	session.close_reason = "over";
	assert_int_equal(ps_db_put_session(db, &session), PS_OK);
	/* But one that was told is closed, and stays so. */
	session.id = "adead5-2";
	assert_int_equal(ps_db_put_session(db, &session), PS_OK);
	row.is_last = true;
	assert_int_equal(ps_db_put_outbox(db, &row), PS_OK);
	assert_int_equal(ps_db_put_session(db, &session), PS_OK);
	assert_string_equal(admin_text("SELECT group_concat(closed_at || ' ' "
				       "|| close_code) FROM sessions"),
	    "2020-06-01 12:00:00 1001");
	enter("anewer", true);
	assert_string_equal(admin_text("SELECT group_concat(session) FROM "
				       "outbox WHERE number > 7"),
	    "adead5-1");
}

static void
its_own_sessions_are_not_left_when_a_bridge_enters_again(void **state)
{
	(void)state;
	authorize();
	enter("anewer", true);
	put_session("anewer-1", "m\"e");
	enter("anewer", true);
	assert_string_equal(orphans(), "");
}

static void
without_an_outbox_nothing_is_put_into_it(void **state)
{
	(void)state;
	authorize();
	enter("adead5", false);
	put_session("adead5-1", "m\"e");
	enter("anewer", false);
	assert_string_equal(orphans(), "");
}

/* --- all together --- */

static void
statements_that_run_often_use_an_index(void **state)
{
	static const enum ps_sql often[] = { PS_SQL_PUT_AUTHORIZATION,
		PS_SQL_DELETE_AUTHORIZATION, PS_SQL_AUTHORIZATION,
		PS_SQL_PUT_OUTBOX, PS_SQL_END_SESSION, PS_SQL_DELETE_OUTBOX,
		PS_SQL_FAIL_OUTBOX, PS_SQL_BURY_OUTBOX, PS_SQL_FAIL_LANE,
		PS_SQL_READ_OUTBOX,
		PS_SQL_LANE, PS_SQL_PRUNE_OUTBOX, PS_SQL_LAST_CHANGE,
		PS_SQL_NEXT_CHANGE, PS_SQL_FORGET_CHANGE,
		PS_SQL_PRUNE_CHANGES };
	sqlite3_stmt *plan;
	const char *step;
	char *sql;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(often); i++) {
		sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s",
		    ps_sql[often[i]]);
		assert_int_equal(sqlite3_prepare_v2(db->sqlite, sql, -1, &plan,
				     NULL),
		    SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW) {
			step = (const char *)sqlite3_column_text(plan, 3);
			/* There are few bridges. */
			if (strncmp(step, "SCAN", 4) == 0 &&
			    strcmp(step, "SCAN b") != 0)
				fail_msg("%s: %s", sql, step);
			if (strstr(step, "TEMP B-TREE") != NULL)
				fail_msg("%s: %s", sql, step);
		}
		sqlite3_finalize(plan);
		sqlite3_free(sql);
	}
}

/* 1: NORMAL, 2: FULL. */
static int
synchronous(void)
{
	sqlite3_stmt *stmt;
	int level;

	assert_int_equal(sqlite3_prepare_v2(db->sqlite, "PRAGMA synchronous",
			     -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	level = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return level;
}

static void
transactions_are_synchronous_when_they_are_to_be(void **state)
{
	(void)state;
	assert_int_equal(synchronous(), 1);
	ps_db_set_sync(db, true);
	assert_int_equal(synchronous(), 2);
	ps_db_set_sync(db, true);
	assert_int_equal(ps_db_begin(db), PS_OK);
	put_row("a-1", 1);
	assert_int_equal(ps_db_commit(db), PS_OK);
	ps_db_set_sync(db, false);
	assert_int_equal(synchronous(), 1);
}

static void
what_is_written_is_counted(void **state)
{
	int64_t before = ps_db_n_changes(db);

	(void)state;
	assert_rows("a-1", 0, 9, 999, "");
	assert_int_equal(ps_db_n_changes(db), before);
	put_row("a-1", 1);
	assert_true(ps_db_n_changes(db) > before);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fresh(an_authorization_is_read_as_it_was_put),
		fresh(one_that_is_renewed_keeps_the_time_it_was_created),
		fresh(what_the_schema_refuses_is_malformed),
		fresh(
		    changes_of_the_administrator_are_noted_and_our_own_are_not),
		fresh(a_lane_is_noted_as_if_the_administrator_had_changed_it),
		fresh(changes_are_pruned_when_they_are_old_and_were_read),
		fresh(a_callback_is_read_as_it_was_put),
		fresh(rows_are_read_page_by_page_in_their_order),
		fresh(a_page_may_end_for_lack_of_memory),
		fresh(what_was_delivered_is_deleted_several_at_once),
		fresh(failures_are_counted_and_the_last_one_is_dead),
		fresh(a_lane_that_ends_is_dead_and_may_end_again),
		fresh(a_revived_row_is_tried_from_then_on),
		fresh(rows_that_are_ready_are_counted_by_token),
		fresh(lanes_are_those_of_no_other_node),
		fresh(dead_rows_are_pruned_when_they_are_old),
		fresh(applications_hear_of_what_a_dead_bridge_has_left),
		fresh(but_not_where_it_has_told_of_that_itself),
		fresh(nor_where_that_is_delivered),
		fresh(an_end_that_was_recorded_only_is_told),
		fresh(its_own_sessions_are_not_left_when_a_bridge_enters_again),
		fresh(without_an_outbox_nothing_is_put_into_it),
		fresh(statements_that_run_often_use_an_index),
		fresh(transactions_are_synchronous_when_they_are_to_be),
		fresh(what_is_written_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
