#include "config.h"

#include "unit.h"

#include <sqlite3.h>

#include "ps_db.h"
#include "ps_schema.h"

static char path[] = "/tmp/ps-db-XXXXXX";
static char error[PS_DB_ERROR_MAX];

static int
setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* A reader that may not write leaves the files of the WAL behind. */
static int
teardown(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "%s-wal", path);
	unlink(name);
	snprintf(name, sizeof(name), "%s-shm", path);
	unlink(name);
	return unlink(path);
}

static void
run_sql(const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
a_database_made_from_the_schema_is_ours(void **state)
{
	(void)state;
	assert_int_equal(ps_schema_prepare(path, error), PS_OK);
	assert_int_equal(ps_db_check(path, error), PS_OK);
}

static const struct {
	const char *sql;
	int ret;
	const char *word;
} rows[] = {
	{ "PRAGMA application_id=0x506f6c79; PRAGMA user_version=2", PS_OK,
	    NULL },
	{ "PRAGMA application_id=0x506f6c79; PRAGMA user_version=1",
	    PS_ERR_VERSION, "has version 1" },
	{ "PRAGMA application_id=0x506f6c79; PRAGMA user_version=3",
	    PS_ERR_VERSION, "has version 3" },
	{ "PRAGMA application_id=1; PRAGMA user_version=2", PS_ERR_MALFORMED,
	    "is no polysocket database" },
	{ "CREATE TABLE t (a)", PS_ERR_MALFORMED,
	    "is no polysocket database" },
};

static void
another_program_or_version_is_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		run_sql(rows[i].sql);
		*error = '\0';
		assert_row(i, ps_db_check(path, error) == rows[i].ret);
		if (rows[i].word != NULL)
			assert_row(i, strstr(error, rows[i].word) != NULL);
	}
}

static void
what_is_no_database_is_an_error(void **state)
{
	FILE *out = fopen(path, "w");
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		fputs("no database\n", out);
	fclose(out);
	assert_int_equal(ps_db_check(path, error), PS_ERR_IO);
	assert_non_null(strstr(error, "cannot be read"));
	assert_int_equal(ps_db_check("/nonexistent/db", error), PS_ERR_IO);
	assert_non_null(strstr(error, "cannot be opened"));
}

static void
a_check_makes_no_database(void **state)
{
	(void)state;
	assert_int_equal(ps_db_check("/tmp/ps-db-that-is-not-there", error),
	    PS_ERR_IO);
	assert_int_equal(access("/tmp/ps-db-that-is-not-there", F_OK), -1);
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		with_file(a_database_made_from_the_schema_is_ours),
		with_file(another_program_or_version_is_refused),
		with_file(what_is_no_database_is_an_error),
		cmocka_unit_test(a_check_makes_no_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
