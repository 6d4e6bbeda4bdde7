/* The history of channels, in the database. */
#include "config.h"

#include "database.h"

#define NOON_MS INT64_C(1591012800000) /* 2020-06-01 12:00:00 UTC */

static struct ps_db *db;
static struct ps_event_query query;
static struct ps_event_answer answer;
static struct ps_writer found;
static unsigned enough; /* events after which no more are wanted */

static int
setup(void **state)
{
	char error[PS_DB_ERROR_MAX];

	query = (struct ps_event_query){ .channel = ps_slice_str("news"),
		.keep = 1000,
		.before_ms = NOON_MS - 1000,
		.limit = 1000 };
	enough = 1000;
	if (database_setup(state) != 0)
		return -1;
	return ps_db_open(&db, database_path, PS_DB_WRITE, error);
}

static int
teardown(void **state)
{
	ps_writer_deinit(&found);
	ps_db_close(db);
	return database_teardown(state);
}

static struct ps_event
event(const char *channel, const char *id, const char *payload)
{
	return (struct ps_event){ ps_slice_str(channel),
		ps_slice_str(payload), id, NOON_MS, 0 };
}

static void
put_event(const struct ps_event *event)
{
	assert_int_equal(ps_db_put_event(db, event), PS_OK);
}

/* Ids "NAME1" and so on of the channel "news", as their own payloads. */
static void
put_more(const char *name, int from, int to)
{
	char id[32];

	for (; from <= to; from++) {
		struct ps_event e = event("news", id, id);

		snprintf(id, sizeof(id), "%s%d", name, from);
		e.payload = ps_slice_str(id);
		put_event(&e);
	}
}

static bool
on_found(void *arg, const struct ps_event *event)
{
	assert_ptr_equal(arg, &found);
	if (enough == 0)
		return false;
	enough--;
	ps_writer_printf(&found, "%s ", event->id);
	return true;
}

/* Whether it is these, such as "e1 e2 gap more". */
static bool
read_is(const char *expected)
{
	ps_writer_reset(&found);
	assert_int_equal(ps_db_read_events(db, &query, &answer, on_found,
			     &found),
	    PS_OK);
	if (answer.gap)
		ps_writer_str(&found, "gap ");
	if (answer.more)
		ps_writer_str(&found, "more ");
	if (found.len > 0)
		found.len--;
	if (ps_slice_is(written(&found), expected))
		return true;
	print_message("# %.*s\n", (int)found.len, found.data);
	return false;
}

static bool
since_is(const char *since, const char *expected)
{
	query.since = ps_slice_str(since);
	query.cursor = (struct ps_event_cursor){ 0 };
	return read_is(expected);
}

/* What follows the last answer. */
static bool
rest_is(const char *expected)
{
	query.since = ps_slice(NULL, 0);
	query.cursor = answer.cursor;
	return read_is(expected);
}

static bool
clip(uint64_t keep)
{
	return ps_db_clip_events(db, query.channel, keep, 100) == PS_OK;
}

/* --- writing --- */

static void
an_event_is_a_row_with_its_number(void **state)
{
	const char payload[] = "{\"a\":\"\xc3\xa4\"}";
	struct ps_event e = event("news", "evt_AAAAAAAA", payload);

	(void)state;
	e.at_ms = NOON_MS + 7;
	put_event(&e);
	e = event("other", "evt_AAAAAAAA", "1");
	put_event(&e);
	e = event("news", "evt_BBBBBBBB", "\"x\"");
	e.at_ms = NOON_MS + 999;
	e.n_lost = 3;
	put_event(&e);
	assert_string_equal(admin_text("SELECT group_concat(channel || ' ' || "
				       "number || ' ' || event_id || ' ' || "
				       "payload || ' ' || sent_at, ', ') FROM "
				       "channel_events"),
	    "news 1 evt_AAAAAAAA {\"a\":\"\xc3\xa4\"} "
	    "2020-06-01 12:00:00.007, "
	    "other 1 evt_AAAAAAAA 1 2020-06-01 12:00:00.000, "
	    "news 5 evt_BBBBBBBB \"x\" 2020-06-01 12:00:00.999");
	assert_string_equal(admin_text("SELECT channel || ' ' || events || ' '"
				       " || bytes || ' ' || oldest FROM "
				       "channel_overview"),
	    "news 2 13 2020-06-01 12:00:00.007");
}

/* A commit that failed may have been done all the same. */
static void
an_event_that_is_there_is_left_as_it_is(void **state)
{
	struct ps_event e = event("news", "e1", "1");

	(void)state;
	put_event(&e);
	e.payload = ps_slice_str("2");
	put_event(&e);
	assert_string_equal(admin_text("SELECT group_concat(payload) FROM "
				       "channel_events"),
	    "1");
}

/* --- reading --- */

static bool
on_event(void *arg, const struct ps_event *event)
{
	(void)arg;
	assert_string_equal(event->id, "evt_AAAAAAAA");
	assert_slice(event->payload, "{}");
	assert_true(event->at_ms == NOON_MS + 123);
	return true;
}

static void
what_was_written_is_read(void **state)
{
	struct ps_event e = event("news", "evt_AAAAAAAA", "{}");

	(void)state;
	e.at_ms += 123;
	put_event(&e);
	assert_int_equal(ps_db_read_events(db, &query, &answer, on_event,
			     NULL),
	    PS_OK);
}

static void
the_last_ones_are_read_oldest_first(void **state)
{
	(void)state;
	assert_true(read_is(""));
	put_more("e", 1, 5);
	assert_true(read_is("e1 e2 e3 e4 e5"));
	query.limit = 2;
	assert_true(read_is("e4 e5"));
	query.limit = 5;
	assert_true(read_is("e1 e2 e3 e4 e5"));
	query.channel = ps_slice_str("new");
	assert_true(read_is(""));
}

static void
the_first_ones_behind_an_event_are_read(void **state)
{
	(void)state;
	put_more("e", 1, 5);
	assert_true(since_is("e2", "e3 e4 e5"));
	assert_true(since_is("e5", ""));
	query.limit = 2;
	assert_true(since_is("e2", "e3 e4 more"));
	assert_true(since_is("e3", "e4 e5"));
}

static void
what_is_behind_an_unknown_event_is_a_gap(void **state)
{
	(void)state;
	assert_true(since_is("e0", "gap"));
	put_more("e", 1, 3);
	assert_true(since_is("e0", "e1 e2 e3 gap"));
	query.limit = 2;
	assert_true(since_is("e0", "e1 e2 gap more"));
	assert_true(rest_is("e3")); /* it was told */
	query.channel = ps_slice_str("other");
	assert_true(since_is("e1", "gap"));
}

static void
what_is_more_is_read_up_to_where_it_ended(void **state)
{
	(void)state;
	put_more("e", 1, 5);
	enough = 2;
	assert_true(since_is("e1", "e2 e3 more"));
	put_more("f", 1, 5); /* not in this one any more */
	enough = 1000;
	query.limit = 1;
	assert_true(rest_is("e4 more"));
	assert_true(rest_is("e5"));
	assert_true(rest_is(""));
	enough = 1;
	query.limit = 3; /* without `since`: of these, too */
	query.cursor = (struct ps_event_cursor){ 0 };
	assert_true(read_is("f3 more"));
	enough = 1000;
	assert_true(rest_is("f4 f5"));
}

/* --- what is kept --- */

static void
what_is_too_many_is_not_read_even_before_it_is_pruned(void **state)
{
	(void)state;
	put_more("e", 1, 5);
	query.keep = 3;
	assert_true(read_is("e3 e4 e5"));
	query.limit = 2;
	assert_true(read_is("e4 e5"));
	query.limit = 1000;
	assert_true(since_is("e3", "e4 e5"));
	assert_true(since_is("e2", "e3 e4 e5 gap"));
	assert_true(since_is("e1", "e3 e4 e5 gap"));
	query.keep = 0;
	assert_true(since_is("", ""));
	assert_true(since_is("e5", "gap"));
	query.keep = 3;
	assert_true(clip(3));
	assert_true(since_is("e3", "e4 e5"));
	assert_true(since_is("e2", "e3 e4 e5 gap"));
	assert_true(since_is("", "e3 e4 e5"));
}

static void
too_many_are_pruned_oldest_first_and_not_all_at_once(void **state)
{
	struct ps_event other = event("other", "o1", "1");

	(void)state;
	put_event(&other);
	put_more("e", 1, 150);
	assert_true(clip(10));
	assert_int_equal(admin_number("SELECT min(number) FROM channel_events "
				      "WHERE channel = 'news'"),
	    101);
	assert_true(clip(10));
	assert_true(clip(10));
	assert_string_equal(admin_text("SELECT count(*) || ' ' || min(number) "
				       "|| ' ' || max(number) FROM "
				       "channel_events WHERE channel = "
				       "'news'"),
	    "10 141 150");
	assert_int_equal(admin_number("SELECT count(*) FROM channel_events"),
	    11);
}

static void
what_is_too_old_is_not_read_and_pruned(void **state)
{
	struct ps_event e = event("news", "old", "1");
	int deleted;

	(void)state;
	e.at_ms = query.before_ms - 1;
	put_event(&e);
	e.id = "older"; /* a clock that went back */
	e.at_ms -= 5000;
	put_event(&e);
	e.at_ms = query.before_ms;
	e.id = "young";
	put_event(&e);
	put_more("e", 1, 2);
	assert_true(read_is("young e1 e2"));
	assert_true(since_is("old", "young e1 e2 gap"));
	assert_true(since_is("young", "e1 e2"));
	assert_int_equal(ps_db_prune_events(db, query.before_ms, 1, &deleted),
	    PS_OK);
	assert_int_equal(deleted, 1);
	assert_int_equal(ps_db_prune_events(db, query.before_ms, 5, &deleted),
	    PS_OK);
	assert_int_equal(deleted, 1);
	assert_int_equal(admin_number("SELECT count(*) FROM channel_events"),
	    3);
	assert_true(since_is("young", "e1 e2"));
}

/* --- gaps --- */

static void
what_was_lost_leaves_a_gap(void **state)
{
	struct ps_event e = event("news", "f1", "1");

	(void)state;
	put_more("e", 1, 2);
	e.n_lost = 1;
	put_event(&e);
	put_more("g", 1, 2);
	assert_true(since_is("e1", "e2 f1 g1 g2 gap"));
	assert_true(since_is("e2", "f1 g1 g2 gap"));
	assert_true(since_is("f1", "g1 g2"));
	assert_true(since_is("", "e1 e2 f1 g1 g2"));
	query.limit = 1; /* told with those behind it */
	assert_true(since_is("e1", "e2 more"));
	assert_true(rest_is("f1 gap more"));
	assert_true(rest_is("g1 more"));
}

static void
an_administrator_may_delete_anything(void **state)
{
	(void)state;
	put_more("e", 1, 6);
	query.limit = 1;
	assert_true(since_is("e1", "e2 more"));
	query.limit = 1000;
	admin_run("DELETE FROM channel_events WHERE event_id = 'e4'");
	assert_true(rest_is("e3 e5 e6 gap"));
	assert_true(since_is("e3", "e5 e6 gap"));
	assert_true(since_is("e5", "e6"));
	admin_run("DELETE FROM channel_events WHERE event_id = 'e6'");
	assert_true(since_is("e5", ""));
	assert_true(since_is("e6", "e1 e2 e3 e5 gap"));
	query.limit = 1;
	assert_true(since_is("e1", "e2 more"));
	query.limit = 1000;
	admin_run("DELETE FROM channel_events");
	assert_true(since_is("e1", "gap"));
	assert_true(since_is("", ""));
	put_more("f", 1, 9); /* numbers begin again */
	query.limit = 1;
	assert_true(since_is("f1", "f2 more"));
	query.limit = 1000;
	assert_true(rest_is("f3 f4 f5 f6 f7 f8 f9"));
}

/* The numbers come again, the rows do not. */
static void
what_comes_after_everything_was_deleted_is_not_mistaken(void **state)
{
	(void)state;
	put_more("e", 1, 5);
	query.limit = 1;
	assert_true(since_is("e1", "e2 more"));
	query.limit = 1000;
	admin_run("DELETE FROM channel_events");
	put_more("f", 1, 5);
	assert_true(rest_is("gap"));
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(an_event_is_a_row_with_its_number),
		fresh(an_event_that_is_there_is_left_as_it_is),
		fresh(what_was_written_is_read),
		fresh(the_last_ones_are_read_oldest_first),
		fresh(the_first_ones_behind_an_event_are_read),
		fresh(what_is_behind_an_unknown_event_is_a_gap),
		fresh(what_is_more_is_read_up_to_where_it_ended),
		fresh(what_is_too_many_is_not_read_even_before_it_is_pruned),
		fresh(too_many_are_pruned_oldest_first_and_not_all_at_once),
		fresh(what_is_too_old_is_not_read_and_pruned),
		fresh(what_was_lost_leaves_a_gap),
		fresh(an_administrator_may_delete_anything),
		fresh(what_comes_after_everything_was_deleted_is_not_mistaken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
