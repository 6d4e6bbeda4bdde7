#include "config.h"

#include "ps_db.h"

#include <stdio.h>

#include <sqlite3.h>

enum statement {
	STATEMENT_APPLICATION_ID,
	STATEMENT_VERSION,
	STATEMENT__COUNT,
};

static const char *const sql[] = {
	[STATEMENT_APPLICATION_ID] = "PRAGMA application_id",
	[STATEMENT_VERSION] = "PRAGMA user_version",
};
_Static_assert(sizeof(sql) / sizeof(sql[0]) == STATEMENT__COUNT,
    "every statement needs its text");

/* The one integer that a statement yields. */
static int
query_number(sqlite3 *db, enum statement statement, int *number_r)
{
	sqlite3_stmt *stmt = NULL;
	int ret = PS_ERR_IO;

	if (sqlite3_prepare_v2(db, sql[statement], -1, &stmt, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW) {
		*number_r = sqlite3_column_int(stmt, 0);
		ret = PS_OK;
	}
	sqlite3_finalize(stmt);
	return ret;
}

static int
check_identity(sqlite3 *db, char *error)
{
	int id, version;

	if (query_number(db, STATEMENT_APPLICATION_ID, &id) != PS_OK ||
	    query_number(db, STATEMENT_VERSION, &version) != PS_OK) {
		snprintf(error, PS_DB_ERROR_MAX, "cannot be read (%s)",
		    sqlite3_errmsg(db));
		return PS_ERR_IO;
	}
	if (id != PS_DB_APPLICATION_ID) {
		snprintf(error, PS_DB_ERROR_MAX,
		    "is no polysocket database; make one with "
		    "sqlite3 FILE < schema.sql");
		return PS_ERR_MALFORMED;
	}
	if (version != PS_DB_VERSION) {
		snprintf(error, PS_DB_ERROR_MAX,
		    "has version %d, this program needs version %d", version,
		    PS_DB_VERSION);
		return PS_ERR_VERSION;
	}
	return PS_OK;
}

int
ps_db_check(const char *path, char *error)
{
	sqlite3 *db = NULL;
	int ret;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) !=
	    SQLITE_OK) {
		snprintf(error, PS_DB_ERROR_MAX, "cannot be opened (%s)",
		    sqlite3_errmsg(db));
		ret = PS_ERR_IO;
	} else {
		ret = check_identity(db, error);
	}
	sqlite3_close(db);
	return ret;
}
