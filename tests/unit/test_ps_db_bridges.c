/* Several bridges of one node, of which all but one drain. */
#include "config.h"

#include "database.h"

#include "ps_place.h"

#define NOON_S 1591012800 /* 2020-06-01 12:00:00 UTC */

static struct ps_db *db;
static int listener;

static int
setup(void **state)
{
	char error[PS_DB_ERROR_MAX];

	listener = -1;
	if (database_setup(state) != 0)
		return -1;
	return ps_db_open(&db, database_path, PS_DB_WRITE, error);
}

static void
die(void)
{
	if (listener >= 0)
		close(listener);
	listener = -1;
}

static int
teardown(void **state)
{
	die();
	ps_db_close(db);
	return database_teardown(state);
}

static struct ps_bridge_row
bridge(const char *tag)
{
	return (struct ps_bridge_row){ tag, "a", database_beside("place"),
		"1.0", 77, NOON_S, true };
}

/* Listens where the bridge of that tag does. */
static void
live(const char *tag)
{
	char path[PS_SOCKET_PATH_MAX];

	ps_place_path(path, database_beside("place"), ps_slice_str(tag));
	listener = ps_socket_listen(path, 0600);
	assert_true(listener >= 0);
}

static void
enter(const char *tag)
{
	const struct ps_bridge_row row = bridge(tag);

	assert_int_equal(ps_db_enter(db, &row, NOON_S), PS_OK);
}

static unsigned
bury(const char *tag)
{
	const struct ps_bridge_row row = bridge(tag);
	unsigned n_others = 77;

	assert_int_equal(ps_db_bury(db, &row, NOON_S, &n_others), PS_OK);
	return n_others;
}

static void
leave(const char *tag)
{
	const struct ps_bridge_row row = bridge(tag);

	assert_int_equal(ps_db_leave(db, &row), PS_OK);
}

static void
put_session(const char *id)
{
	const struct ps_session_row row = { PS_SESSION_RELAY, 1, id, "a",
		"ws://t/", "", "192.0.2.1", "", NOON_S, 0, 0, NULL, { 0 },
		false };

	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
}

static const char *
tags(void)
{
	return admin_text("SELECT coalesce(group_concat(tag, ' '), '') FROM "
			  "(SELECT tag FROM bridges ORDER BY tag)");
}

static const char *
open_sessions(void)
{
	return admin_text("SELECT coalesce(group_concat(id, ' '), '') FROM "
			  "(SELECT id FROM sessions WHERE closed_at IS NULL"
			  " ORDER BY id)");
}

/* "aolder" lives and has a session; "anewer" enters. */
static void
succeed(void)
{
	live("aolder");
	enter("aolder");
	put_session("aolder-1");
	put_session("aoldest-1");
	enter("anewer");
	put_session("anewer-1");
}

static void
one_that_lives_keeps_its_row_and_its_sessions(void **state)
{
	(void)state;
	succeed();
	assert_string_equal(tags(), "anewer aolder");
	assert_string_equal(open_sessions(), "anewer-1 aolder-1");
	assert_int_equal(bury("anewer"), 1);
	assert_string_equal(open_sessions(), "anewer-1 aolder-1");
}

static void
one_that_has_died_is_buried_by_its_successor(void **state)
{
	(void)state;
	succeed();
	die();
	assert_int_equal(bury("anewer"), 0);
	assert_string_equal(tags(), "anewer");
	assert_string_equal(open_sessions(), "anewer-1");
	assert_string_equal(admin_text("SELECT close_reason FROM sessions "
				       "WHERE id = 'aolder-1'"),
	    "bridge restarted");
}

static void
burying_writes_nothing_while_all_live(void **state)
{
	(void)state;
	succeed();
	admin_lock();
	assert_int_equal(bury("anewer"), 1);
	admin_unlock();
}

static void
entering_again_ends_what_a_backup_had_open_of_ourselves(void **state)
{
	(void)state;
	succeed();
	enter("anewer");
	assert_string_equal(tags(), "anewer aolder");
	assert_string_equal(open_sessions(), "aolder-1");
}

static void
the_last_row_of_a_node_stays(void **state)
{
	(void)state;
	succeed();
	leave("aolder");
	assert_string_equal(tags(), "anewer");
	leave("anewer");
	assert_string_equal(tags(), "anewer");
}

static void
a_rival_is_who_has_the_lock_of_another_place(void **state)
{
	char found[PS_SOCKET_PATH_MAX];
	struct ps_bridge_row rival = bridge("arival");
	const struct ps_bridge_row row = bridge("anewer");
	int lock;

	(void)state;
	rival.socket = database_beside("other");
	assert_int_equal(ps_db_enter(db, &rival, NOON_S), PS_OK);
	assert_int_equal(ps_db_find_rival(db, &row, found), PS_OK);
	assert_string_equal(found, "");
	lock = ps_place_lock(rival.socket);
	assert_true(lock >= 0);
	assert_int_equal(ps_db_find_rival(db, &row, found), PS_OK);
	assert_string_equal(found, rival.socket);
	close(lock);
	/* The one before us, at our place, is none. */
	enter("aolder");
	lock = ps_place_lock(row.socket);
	assert_int_equal(ps_db_find_rival(db, &row, found), PS_OK);
	assert_string_equal(found, "");
	close(lock);
}

static void
a_row_that_makes_no_sense_is_that_of_a_dead_one(void **state)
{
	char text[400];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	admin_run("INSERT INTO bridges (tag, node, pid, socket, version, "
		  "started_at) VALUES ('%s', 'a', 1, '%s', '', ''), "
		  "('', 'a', 1, '', '', '')",
	    text, text);
	assert_int_equal(bury("anewer"), 0);
	assert_string_equal(tags(), "");
}

#define on_database(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		on_database(one_that_lives_keeps_its_row_and_its_sessions),
		on_database(one_that_has_died_is_buried_by_its_successor),
		on_database(burying_writes_nothing_while_all_live),
		on_database(
		    entering_again_ends_what_a_backup_had_open_of_ourselves),
		on_database(the_last_row_of_a_node_stays),
		on_database(a_rival_is_who_has_the_lock_of_another_place),
		on_database(a_row_that_makes_no_sense_is_that_of_a_dead_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
