#include "config.h"

#include "ps_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "ps_clock.h"
#include "ps_db.h"
#include "ps_schema_sql.h"

#define FILE_MODE 0640
#define BUSY_MS 10000
#define RETRIES 3
#define RETRY_MS 20
/* A large database is looked through no longer than this at each start. */
#define CHECK_MS 500
/* Instructions of SQLite's machine between looks at the clock. */
#define CHECK_STEPS 1000

static int
fail(sqlite3 *db, char *error, const char *what, int ret)
{
	snprintf(error, PS_DB_ERROR_MAX, "%s (%s)", what, sqlite3_errmsg(db));
	return ret;
}

static bool
table_is_empty(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	bool empty =
	    sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema", -1, &stmt,
		NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_DONE;

	sqlite3_finalize(stmt);
	return empty;
}

static int
run(sqlite3 *db, const char *sql, const char *what, char *error)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return PS_OK;
	fail(db, error, what, PS_ERR_IO);
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return PS_ERR_IO;
}

static int
upgrade(sqlite3 *db, int version, char *error)
{
	size_t i;
	int ret;

	for (i = 0; i < ps_schema_steps_count; i++) {
		if (ps_schema_steps[i].version <= version)
			continue;
		ret = run(db, ps_schema_steps[i].sql, "cannot be upgraded",
		    error);
		if (ret != PS_OK)
			return ret;
	}
	return PS_OK;
}

static int
on_check_progress(void *deadline_ms)
{
	return ps_clock_ms() > *(uint64_t *)deadline_ms;
}

static int
look_for_damage(sqlite3 *db, char *error)
{
	uint64_t deadline_ms = ps_clock_ms() + CHECK_MS;
	sqlite3_stmt *stmt = NULL;
	const char *found = "ok";
	int ret = PS_OK, step;

	sqlite3_progress_handler(db, CHECK_STEPS, on_check_progress,
	    &deadline_ms);
	step = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
	if (step == SQLITE_OK && (step = sqlite3_step(stmt)) == SQLITE_ROW)
		found = (const char *)sqlite3_column_text(stmt, 0);
	if (step != SQLITE_ROW && step != SQLITE_INTERRUPT) {
		ret = fail(db, error, "is damaged", PS_ERR_MALFORMED);
	} else if (found == NULL || strcmp(found, "ok") != 0) {
		snprintf(error, PS_DB_ERROR_MAX, "is damaged (%s)",
		    found == NULL ? "quick_check" : found);
		ret = PS_ERR_MALFORMED;
	}
	sqlite3_finalize(stmt);
	sqlite3_progress_handler(db, 0, NULL, NULL);
	return ret;
}

/* Whether the tables are those of the version that it says it has. */
static int
try_to_use(const char *path, char *error)
{
	struct ps_db *db = NULL;
	int ret = ps_db_open(&db, path, PS_DB_READ, error);

	ps_db_close(db);
	return ret;
}

/* Writing the version anew shows that there is permission and room. */
static int
try_to_write(sqlite3 *db, char *error)
{
	char sql[80];

	snprintf(sql, sizeof(sql),
	    "BEGIN IMMEDIATE; PRAGMA user_version = %d; COMMIT",
	    PS_DB_VERSION);
	return run(db, sql, "cannot be written", error);
}

/* As of one moment, since another program may be making it. */
static int
look(sqlite3 *db, int *id_r, int *version_r, bool *empty_r, char *error)
{
	int ret = run(db, "BEGIN", "cannot be read", error);

	if (ret != PS_OK)
		return ret;
	ret = ps_db_identity(db, id_r, version_r, error);
	*empty_r = ret == PS_OK && *id_r == 0 && *version_r == 0 &&
	    table_is_empty(db);
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return ret;
}

static int
make_or_upgrade(sqlite3 *db, char *error)
{
	int id, version, ret;
	bool empty;

	if ((ret = look(db, &id, &version, &empty, error)) != PS_OK)
		return ret;
	if (empty)
		return run(db, ps_schema_sql, "cannot be made", error);
	if ((ret = ps_db_check_identity(id, version, error)) != PS_OK &&
	    !(ret == PS_ERR_VERSION && version < PS_DB_VERSION))
		return ret;
	if ((ret = look_for_damage(db, error)) != PS_OK ||
	    (ret = upgrade(db, version, error)) != PS_OK ||
	    (ret = try_to_use(sqlite3_db_filename(db, NULL), error)) != PS_OK)
		return ret;
	return try_to_write(db, error);
}

/* Other programs may be making it, and SQLite does not wait for all they do. */
static int
prepare(sqlite3 *db, char *error)
{
	uint64_t deadline_ms = ps_clock_ms() + BUSY_MS;
	char error_again[PS_DB_ERROR_MAX];
	int ret, i;

	sqlite3_busy_timeout(db, BUSY_MS);
	ret = make_or_upgrade(db, error);
	for (i = 0; i < RETRIES && ret == PS_ERR_IO; i++) {
		if (ps_clock_ms() >= deadline_ms)
			break;
		sqlite3_sleep(RETRY_MS);
		if (make_or_upgrade(db, error_again) == PS_OK)
			ret = PS_OK;
	}
	return ret;
}

int
ps_schema_prepare(const char *path, char *error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	bool created = fd >= 0;
	sqlite3 *db = NULL;
	int ret;

	if (!created && errno != EEXIST) {
		snprintf(error, PS_DB_ERROR_MAX, "cannot be made (%s)",
		    strerror(errno));
		return PS_ERR_IO;
	}
	if (created)
		close(fd);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) !=
	    SQLITE_OK)
		ret = fail(db, error, "cannot be opened", PS_ERR_IO);
	else
		ret = prepare(db, error);
	sqlite3_close(db);
	if (ret != PS_OK && created)
		unlink(path);
	return ret;
}

int
ps_schema_check(const char *path, char *error)
{
	sqlite3 *db = NULL;
	int ret;

	if ((ret = ps_db_check(path, error)) != PS_OK)
		return ret;
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) !=
	    SQLITE_OK)
		ret = fail(db, error, "cannot be opened", PS_ERR_IO);
	else
		ret = look_for_damage(db, error);
	sqlite3_close(db);
	return ret == PS_OK ? try_to_use(path, error) : ret;
}
