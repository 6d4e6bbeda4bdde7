/*
 * The statements of the programs, and how ps_db*.c run them; for these alone.
 */
#ifndef PS_SQL_H
#define PS_SQL_H

#include <sqlite3.h>

#include "ps_db.h"

enum ps_sql {
	PS_SQL_APPLICATION_ID,
	PS_SQL_VERSION,
	PS_SQL_DATA_VERSION,
	PS_SQL_BEGIN_READ,
	PS_SQL_BEGIN,
	PS_SQL_COMMIT,
	PS_SQL_ROLLBACK,
	PS_SQL_REVISION,
	PS_SQL_TOKENS,
	PS_SQL_ORIGINS,
	PS_SQL_TARGETS,
	PS_SQL_CHANNELS,
	PS_SQL_CALLBACKS,
	PS_SQL_READ__COUNT, /* a reader prepares those above */
	PS_SQL_PUT_SESSION = PS_SQL_READ__COUNT,
	PS_SQL_ADD_USAGE,
	PS_SQL_CLOSE_LEFT_OPEN,
	PS_SQL_OTHER_BRIDGES,
	PS_SQL_FORGET_BRIDGE,
	PS_SQL_ADD_BRIDGE,
	PS_SQL_LEAVE_BRIDGE,
	PS_SQL_COUNT_COMMIT,
	PS_SQL_COMMITS,
	PS_SQL_PRUNE,
	PS_SQL_CLOSE_REQUESTS,
	PS_SQL_USAGE,
	PS_SQL_RECENT_CREATES,
	PS_SQL_SESSIONS_ELSEWHERE,
	PS_SQL_PUT_EVENT,
	PS_SQL_CLIP_EVENTS,
	PS_SQL_PRUNE_EVENTS,
	PS_SQL_LAST_EVENT,
	PS_SQL_EVENT_NUMBER,
	PS_SQL_EVENT_BACK,
	PS_SQL_EVENTS,
	PS_SQL_PUT_AUTHORIZATION,
	PS_SQL_DELETE_AUTHORIZATION,
	PS_SQL_AUTHORIZATIONS,
	PS_SQL_AUTHORIZATION,
	PS_SQL_PUT_OUTBOX,
	PS_SQL_END_SESSION,
	PS_SQL_PUT_ORPHANS,
	PS_SQL_DELETE_OUTBOX,
	PS_SQL_FAIL_OUTBOX,
	PS_SQL_BURY_OUTBOX,
	PS_SQL_FAIL_LANE,
	PS_SQL_READ_OUTBOX,
	PS_SQL_COUNT_OUTBOX,
	PS_SQL_LANES,
	PS_SQL_LANE,
	PS_SQL_PRUNE_OUTBOX,
	PS_SQL_LAST_CHANGE,
	PS_SQL_NEXT_CHANGE,
	PS_SQL_FORGET_CHANGE,
	PS_SQL_PRUNE_CHANGES,
	PS_SQL_NOTE_LANE,
	PS_SQL__COUNT,
};

/* The text of each. */
extern const char *const ps_sql[];

struct ps_db {
	sqlite3 *sqlite;
	sqlite3_stmt *statements[PS_SQL__COUNT];
	char *path, *wal_path, *shm_path;
	struct ps_file_id file, wal;
	int64_t data_version; /* -1: not asked yet */
	bool busy;	      /* the last failure */
	bool sync;	      /* see ps_db_set_sync() */
	char error[PS_DB_ERROR_MAX];
};

/*
 * A failure is PS_ERR_IO, or PS_ERR_MALFORMED where the schema refuses what is
 * to be written, with SQLite's message as the error of the connection.
 *
 * The first runs to its end a statement whose rows nobody wants.
 */
PS_MUST_CHECK int ps_sql_run(struct ps_db *db, enum ps_sql statement);
/* What `row` may return: it wants no more rows. */
#define PS_SQL_ENOUGH 1
/* Calls `row` for every row; otherwise that returns PS_OK or PS_ERR_NOMEM. */
PS_MUST_CHECK int ps_sql_each(struct ps_db *db, enum ps_sql statement,
    int (*row)(void *arg, sqlite3_stmt *stmt), void *arg);
/* For ps_sql_each(): the one integer of a row, into an int64_t. */
int ps_sql_number_row(void *arg, sqlite3_stmt *stmt);

/* Borrowed until the statement has run. An empty slice is no NULL. */
void ps_sql_bind_text(sqlite3_stmt *stmt, int at, const char *text);
void ps_sql_bind_slice(sqlite3_stmt *stmt, int at, struct ps_slice text);
/* A time with milliseconds: 2030-12-31 23:59:59.123. As text it sorts by
 * time. */
void ps_sql_bind_ms(sqlite3_stmt *stmt, int at, int64_t at_ms);
/* "" for NULL; lives until the next row. */
const char *ps_sql_text(sqlite3_stmt *stmt, int at);

#endif
