#include "config.h"

#include "ps_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <sqlite3.h>

/* Memory for pages; what is read and written is small. */
#define CACHE_KIB 1024
/* The write-ahead log is cut to this when a reader that held it up is gone. */
#define WAL_KEEP_BYTES (4 * 1024 * 1024)

enum statement {
	STATEMENT_APPLICATION_ID,
	STATEMENT_VERSION,
	STATEMENT_DATA_VERSION,
	STATEMENT_BEGIN_READ,
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_REVISION,
	STATEMENT_TOKENS,
	STATEMENT_ORIGINS,
	STATEMENT_TARGETS,
	STATEMENT_READ__COUNT, /* a reader prepares those above */
	STATEMENT_PUT_SESSION = STATEMENT_READ__COUNT,
	STATEMENT_ADD_USAGE,
	STATEMENT_CLOSE_LEFT_OPEN,
	STATEMENT_FORGET_BRIDGES,
	STATEMENT_ADD_BRIDGE,
	STATEMENT_NODE_SOCKET,
	STATEMENT_COUNT_COMMIT,
	STATEMENT_COMMITS,
	STATEMENT_PRUNE,
	STATEMENT_CLOSE_REQUESTS,
	STATEMENT_USAGE,
	STATEMENT_RECENT_CREATES,
	STATEMENT__COUNT,
};

static const char *const sql[] = {
	[STATEMENT_APPLICATION_ID] = "PRAGMA application_id",
	[STATEMENT_VERSION] = "PRAGMA user_version",
	[STATEMENT_DATA_VERSION] = "PRAGMA data_version",
	[STATEMENT_BEGIN_READ] = "BEGIN",
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_REVISION] = "SELECT revision FROM policy",
	/* What is no time is long over. */
	[STATEMENT_TOKENS] =
	    "SELECT id, name, secret_hash, enabled, admin, allow_no_origin,"
	    " CASE WHEN expires_at IS NOT NULL THEN"
	    " coalesce(CAST(strftime('%s', expires_at) AS INTEGER), 0) END,"
	    " max_sockets, max_creates_per_minute, max_messages_per_day,"
	    " max_bytes_per_day, max_message_bytes, max_queue_bytes"
	    " FROM tokens",
	[STATEMENT_ORIGINS] = "SELECT token_id, pattern FROM token_origins",
	[STATEMENT_TARGETS] = "SELECT token_id, pattern FROM token_targets",
	[STATEMENT_PUT_SESSION] =
	    "INSERT INTO sessions (id, kind, token_id, node, subject, origin,"
	    " remote_addr, agent, opened_at, closed_at, close_code,"
	    " close_reason, messages_up, messages_down, bytes_up, bytes_down)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
	    " datetime(?9, 'unixepoch'), datetime(?10, 'unixepoch'), ?11, ?12,"
	    " ?13, ?14, ?15, ?16)"
	    " ON CONFLICT (id) DO UPDATE SET closed_at = excluded.closed_at,"
	    " close_code = excluded.close_code,"
	    " close_reason = excluded.close_reason,"
	    " messages_up = excluded.messages_up,"
	    " messages_down = excluded.messages_down,"
	    " bytes_up = excluded.bytes_up, bytes_down = excluded.bytes_down",
	[STATEMENT_ADD_USAGE] =
	    "INSERT INTO token_usage (token_id, day, creates, refused,"
	    " messages_up, messages_down, bytes_up, bytes_down)"
	    " SELECT id, date(?2 * 86400, 'unixepoch'), ?3, ?4, ?5, ?6, ?7, ?8"
	    " FROM tokens WHERE id = ?1"
	    " ON CONFLICT (token_id, day) DO UPDATE SET"
	    " creates = creates + excluded.creates,"
	    " refused = refused + excluded.refused,"
	    " messages_up = messages_up + excluded.messages_up,"
	    " messages_down = messages_down + excluded.messages_down,"
	    " bytes_up = bytes_up + excluded.bytes_up,"
	    " bytes_down = bytes_down + excluded.bytes_down",
	[STATEMENT_CLOSE_LEFT_OPEN] =
	    "UPDATE sessions SET closed_at = datetime(?2, 'unixepoch'),"
	    " close_code = 1006, close_reason = 'bridge restarted'"
	    " WHERE closed_at IS NULL AND node = ?1",
	[STATEMENT_FORGET_BRIDGES] = "DELETE FROM bridges WHERE node = ?1",
	[STATEMENT_ADD_BRIDGE] =
	    "INSERT INTO bridges (tag, node, pid, socket, version, started_at)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, datetime(?6, 'unixepoch'))",
	[STATEMENT_NODE_SOCKET] = "SELECT socket FROM bridges WHERE node = ?1",
	[STATEMENT_COUNT_COMMIT] =
	    "UPDATE bridges SET commits = commits + 1 WHERE tag = ?1",
	[STATEMENT_COMMITS] = "SELECT commits FROM bridges WHERE tag = ?1",
	[STATEMENT_PRUNE] =
	    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions"
	    " WHERE closed_at < datetime(?1, 'unixepoch') LIMIT ?2)",
	[STATEMENT_CLOSE_REQUESTS] =
	    "SELECT id FROM sessions WHERE node = ?1 AND close_requested = 1"
	    " AND closed_at IS NULL",
	[STATEMENT_USAGE] =
	    "SELECT token_id, creates, refused, messages_up, messages_down,"
	    " bytes_up, bytes_down FROM token_usage"
	    " WHERE day = date(?1 * 86400, 'unixepoch')",
	[STATEMENT_RECENT_CREATES] =
	    "SELECT t.id, CAST(strftime('%s', s.opened_at) AS INTEGER),"
	    " count(*) FROM tokens AS t JOIN sessions AS s"
	    " ON s.token_id = t.id"
	    " AND s.opened_at > datetime(?1, 'unixepoch')"
	    " GROUP BY t.id, s.opened_at",
};
_Static_assert(sizeof(sql) / sizeof(sql[0]) == STATEMENT__COUNT,
    "every statement needs its text");

static const char *const kinds[] = {
	[PS_SESSION_RELAY] = "relay",
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == PS_SESSION_KIND__COUNT,
    "every kind needs its name");

const char *
ps_session_kind_name(enum ps_session_kind kind)
{
	return kinds[kind];
}

struct ps_db {
	sqlite3 *sqlite;
	sqlite3_stmt *statements[STATEMENT__COUNT];
	char *path, *wal_path, *shm_path;
	struct ps_file_id file, wal;
	int64_t data_version; /* -1: not asked yet */
	bool busy;	      /* the last failure */
	char error[PS_DB_ERROR_MAX];
};

void
ps_db_init(void)
{
	/* Its statistics cost a lock for each allocation. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* The one integer that a statement yields. */
static int
query_number(sqlite3 *sqlite, enum statement statement, int *number_r)
{
	sqlite3_stmt *stmt = NULL;
	int ret = PS_ERR_IO;

	if (sqlite3_prepare_v2(sqlite, sql[statement], -1, &stmt, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW) {
		*number_r = sqlite3_column_int(stmt, 0);
		ret = PS_OK;
	}
	sqlite3_finalize(stmt);
	return ret;
}

int
ps_db_identity(sqlite3 *sqlite, int *id_r, int *version_r, char *error)
{
	if (query_number(sqlite, STATEMENT_APPLICATION_ID, id_r) == PS_OK &&
	    query_number(sqlite, STATEMENT_VERSION, version_r) == PS_OK)
		return PS_OK;
	snprintf(error, PS_DB_ERROR_MAX, "cannot be read (%s)",
	    sqlite3_errmsg(sqlite));
	return PS_ERR_IO;
}

int
ps_db_check_identity(int id, int version, char *error)
{
	if (id != PS_DB_APPLICATION_ID) {
		snprintf(error, PS_DB_ERROR_MAX, "is no polysocket database");
		return PS_ERR_MALFORMED;
	}
	if (version > PS_DB_VERSION) {
		snprintf(error, PS_DB_ERROR_MAX,
		    "has version %d, of a later polysocket; this one knows "
		    "version %d",
		    version, PS_DB_VERSION);
		return PS_ERR_VERSION;
	}
	if (version < PS_DB_VERSION) {
		snprintf(error, PS_DB_ERROR_MAX,
		    "has version %d, version %d is needed; wsbridge --init-db "
		    "upgrades it",
		    version, PS_DB_VERSION);
		return PS_ERR_VERSION;
	}
	return PS_OK;
}

static int
check(sqlite3 *sqlite, char *error)
{
	int id, version, ret;

	ret = ps_db_identity(sqlite, &id, &version, error);
	return ret == PS_OK ? ps_db_check_identity(id, version, error) : ret;
}

int
ps_db_check(const char *path, char *error)
{
	sqlite3 *sqlite = NULL;
	int ret;

	if (sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READONLY, NULL) !=
	    SQLITE_OK) {
		snprintf(error, PS_DB_ERROR_MAX, "cannot be opened (%s)",
		    sqlite3_errmsg(sqlite));
		ret = PS_ERR_IO;
	} else {
		sqlite3_busy_timeout(sqlite, PS_DB_BUSY_MS);
		ret = check(sqlite, error);
	}
	sqlite3_close(sqlite);
	return ret;
}

/*
 * sha3(X, SIZE) as the sqlite3 program has it, for the schema's triggers; the
 * one size they use.
 */
static void
sha3(sqlite3_context *context, int count, sqlite3_value **values)
{
	unsigned char hash[PS_TOKEN_HASH_BYTES];
	const void *data = sqlite3_value_type(values[0]) == SQLITE_BLOB ?
	    sqlite3_value_blob(values[0]) :
	    sqlite3_value_text(values[0]);

	if (sqlite3_value_type(values[0]) == SQLITE_NULL)
		return;
	if (count == 2 && sqlite3_value_int(values[1]) != 256)
		sqlite3_result_error(context, "sha3 has 256 bits here", -1);
	else if (EVP_Digest(data, (size_t)sqlite3_value_bytes(values[0]),
		     hash, NULL, EVP_sha3_256(), NULL) != 1)
		sqlite3_result_error_nomem(context);
	else
		sqlite3_result_blob(context, hash, sizeof(hash),
		    SQLITE_TRANSIENT);
}

/* All zero where there is no such file. */
static struct ps_file_id
file_id(const char *path)
{
	struct ps_file_id id = { 0 };
	struct stat st;

	if (stat(path, &st) == 0) {
		id.device = st.st_dev;
		id.inode = st.st_ino;
	}
	return id;
}

static bool
is_file(struct ps_file_id id, const char *path)
{
	struct ps_file_id there = file_id(path);

	return there.device == id.device && there.inode == id.inode;
}

static int
set_up(struct ps_db *db, enum ps_db_mode mode)
{
	const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC |
	    SQLITE_INNOCUOUS;
	char pragmas[256];

	/* A copy of a database may have lost its journal mode. */
	snprintf(pragmas, sizeof(pragmas),
	    "PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;"
	    "PRAGMA secure_delete = ON; PRAGMA cache_size = -%d;"
	    "PRAGMA journal_size_limit = %d; %s",
	    CACHE_KIB, WAL_KEEP_BYTES, mode == PS_DB_WRITE ? "PRAGMA journal_mode = WAL" : "");
	sqlite3_busy_timeout(db->sqlite, PS_DB_BUSY_MS);
	if (sqlite3_create_function(db->sqlite, "sha3", 1, flags, NULL, sha3,
		NULL, NULL) != SQLITE_OK ||
	    sqlite3_create_function(db->sqlite, "sha3", 2, flags, NULL, sha3,
		NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db->sqlite, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return PS_ERR_IO;
	return PS_OK;
}

/* So that a table that is not as it should be is found now. */
static int
prepare_statements(struct ps_db *db, enum ps_db_mode mode)
{
	size_t count = mode == PS_DB_WRITE ? STATEMENT__COUNT :
					     STATEMENT_READ__COUNT;
	size_t i;

	for (i = 0; i < count; i++) {
		if (sqlite3_prepare_v3(db->sqlite, sql[i], -1,
			SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL) !=
		    SQLITE_OK)
			return PS_ERR_IO;
	}
	return PS_OK;
}

static int
open_file(struct ps_db *db, enum ps_db_mode mode)
{
	int ret;

	/* Looked at before and after: it may be replaced in between. */
	db->file = file_id(db->path);
	if (db->file.inode == 0) {
		snprintf(db->error, sizeof(db->error), "is not there");
		return PS_ERR_IO;
	}
	if (sqlite3_open_v2(db->path, &db->sqlite,
		(mode == PS_DB_WRITE ? SQLITE_OPEN_READWRITE :
				       SQLITE_OPEN_READONLY) |
		    SQLITE_OPEN_NOMUTEX,
		NULL) != SQLITE_OK) {
		snprintf(db->error, sizeof(db->error), "cannot be opened (%s)",
		    sqlite3_errmsg(db->sqlite));
		return PS_ERR_IO;
	}
	sqlite3_busy_timeout(db->sqlite, PS_DB_BUSY_MS);
	if ((ret = check(db->sqlite, db->error)) != PS_OK)
		return ret;
	if (set_up(db, mode) != PS_OK || prepare_statements(db, mode) != PS_OK) {
		snprintf(db->error, sizeof(db->error),
		    "cannot be used (%s)", sqlite3_errmsg(db->sqlite));
		return PS_ERR_MALFORMED;
	}
	db->wal = file_id(db->wal_path);
	if (!is_file(db->file, db->path)) {
		snprintf(db->error, sizeof(db->error), "is being replaced");
		return PS_ERR_IO;
	}
	return PS_OK;
}

/* They lie beside the file, wherever a symbolic link leads to it from. */
static bool
name_companions(struct ps_db *db)
{
	char *real = realpath(db->path, NULL);
	const char *path = real == NULL ? db->path : real;

	db->wal_path = sqlite3_mprintf("%s-wal", path);
	db->shm_path = sqlite3_mprintf("%s-shm", path);
	free(real);
	return db->wal_path != NULL && db->shm_path != NULL;
}

int
ps_db_open(struct ps_db **db_r, const char *path, enum ps_db_mode mode,
    char *error)
{
	struct ps_db *db = calloc(1, sizeof(*db));
	int ret = PS_ERR_NOMEM;

	snprintf(error, PS_DB_ERROR_MAX, "cannot be opened (out of memory)");
	if (db == NULL || (db->path = strdup(path)) == NULL ||
	    !name_companions(db))
		goto fail;
	db->data_version = -1;
	if ((ret = open_file(db, mode)) != PS_OK) {
		memcpy(error, db->error, PS_DB_ERROR_MAX);
		goto fail;
	}
	*db_r = db;
	return PS_OK;

fail:
	ps_db_close(db);
	return ret;
}

void
ps_db_close(struct ps_db *db)
{
	size_t i;

	if (db == NULL)
		return;
	for (i = 0; i < STATEMENT__COUNT; i++)
		sqlite3_finalize(db->statements[i]);
	sqlite3_close(db->sqlite);
	sqlite3_free(db->wal_path);
	sqlite3_free(db->shm_path);
	free(db->path);
	free(db);
}

void
ps_db_close_replaced(struct ps_db *db)
{
	if (db == NULL)
		return;
	sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE,
	    NULL, NULL);
	if (!is_file(db->file, db->path) && db->wal.inode != 0 &&
	    is_file(db->wal, db->wal_path)) {
		unlink(db->wal_path);
		unlink(db->shm_path);
	}
	ps_db_close(db);
}

const char *
ps_db_error(const struct ps_db *db)
{
	return db->error;
}

bool
ps_db_is_busy(const struct ps_db *db)
{
	return db->busy;
}

void
ps_db_checkpoint(struct ps_db *db)
{
	sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE,
	    NULL, NULL);
}

struct ps_file_id
ps_db_file(const struct ps_db *db)
{
	return db->file;
}

bool
ps_db_was_replaced(const struct ps_db *db)
{
	return !is_file(db->file, db->path) ||
	    !is_file(db->wal, db->wal_path);
}

static int
fail(struct ps_db *db, enum statement statement)
{
	snprintf(db->error, sizeof(db->error), "%s",
	    sqlite3_errmsg(db->sqlite));
	db->busy = (sqlite3_errcode(db->sqlite) & 0xff) == SQLITE_BUSY;
	sqlite3_reset(db->statements[statement]);
	return PS_ERR_IO;
}

/* Runs to its end a statement whose rows nobody wants. */
static int
run(struct ps_db *db, enum statement statement)
{
	sqlite3_stmt *stmt = db->statements[statement];
	int step;

	while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
		;
	if (step != SQLITE_DONE)
		return fail(db, statement);
	sqlite3_reset(stmt);
	return PS_OK;
}

/* Calls `row` for every row; stops at what it returns when that is a failure. */
static int
each(struct ps_db *db, enum statement statement,
    int (*row)(void *arg, sqlite3_stmt *stmt), void *arg)
{
	sqlite3_stmt *stmt = db->statements[statement];
	int step, ret = PS_OK;

	while ((step = sqlite3_step(stmt)) == SQLITE_ROW && ret == PS_OK)
		ret = row(arg, stmt);
	if (ret == PS_OK && step != SQLITE_DONE)
		return fail(db, statement);
	if (ret != PS_OK)
		snprintf(db->error, sizeof(db->error), "out of memory");
	db->busy = false;
	sqlite3_reset(stmt);
	return ret;
}

static int
number_row(void *arg, sqlite3_stmt *stmt)
{
	*(int64_t *)arg = sqlite3_column_int64(stmt, 0);
	return PS_OK;
}

int
ps_db_has_changed(struct ps_db *db, bool *changed_r)
{
	int64_t version = 0;
	int ret = each(db, STATEMENT_DATA_VERSION, number_row, &version);

	if (ret != PS_OK)
		return ret;
	*changed_r = version != db->data_version;
	db->data_version = version;
	return PS_OK;
}

int
ps_db_revision(struct ps_db *db, uint64_t *revision_r)
{
	int64_t revision = 0;
	int ret = each(db, STATEMENT_REVISION, number_row, &revision);

	*revision_r = (uint64_t)revision;
	return ret;
}

static int
token_row(void *arg, sqlite3_stmt *stmt)
{
	const char *name = (const char *)sqlite3_column_text(stmt, 1);
	struct ps_token token = { .id = sqlite3_column_int64(stmt, 0),
		.enabled = sqlite3_column_int(stmt, 3) != 0,
		.admin = sqlite3_column_int(stmt, 4) != 0,
		.allow_no_origin = sqlite3_column_int(stmt, 5) != 0,
		.expires_at_s = INT64_MAX };
	int i, ret;

	token.has_secret = sqlite3_column_type(stmt, 2) != SQLITE_NULL;
	/* A token without a secret that is not anonymous would be everybody's. */
	if (name == NULL ||
	    token.has_secret == (strcmp(name, PS_TOKEN_ANONYMOUS) == 0) ||
	    (token.has_secret &&
		sqlite3_column_bytes(stmt, 2) != PS_TOKEN_HASH_BYTES))
		return PS_OK;
	if (token.has_secret)
		memcpy(token.hash, sqlite3_column_blob(stmt, 2),
		    PS_TOKEN_HASH_BYTES);
	if (sqlite3_column_type(stmt, 6) != SQLITE_NULL)
		token.expires_at_s = sqlite3_column_int64(stmt, 6);
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] =
		    sqlite3_column_type(stmt, 7 + i) == SQLITE_NULL ?
		    PS_NO_LIMIT :
		    (uint64_t)sqlite3_column_int64(stmt, 7 + i);
	if ((token.name = strdup(name)) == NULL)
		return PS_ERR_NOMEM;
	if ((ret = ps_policy_add_token(arg, &token)) != PS_OK)
		free(token.name);
	return ret;
}

static int
pattern_row(struct ps_policy *policy, sqlite3_stmt *stmt, enum ps_right right)
{
	const char *text = (const char *)sqlite3_column_text(stmt, 1);

	if (text == NULL)
		return PS_ERR_NOMEM;
	return ps_policy_add_pattern(policy, sqlite3_column_int64(stmt, 0),
	    right, text);
}

static int
origin_row(void *arg, sqlite3_stmt *stmt)
{
	return pattern_row(arg, stmt, PS_RIGHT_ORIGIN);
}

static int
target_row(void *arg, sqlite3_stmt *stmt)
{
	return pattern_row(arg, stmt, PS_RIGHT_TARGET);
}

/* Inside a transaction, so that all of it is of one revision. */
static int
read_policy(struct ps_db *db, struct ps_policy **policy_r)
{
	struct ps_policy *policy;
	uint64_t revision;
	int ret;

	if ((ret = ps_db_revision(db, &revision)) != PS_OK)
		return ret;
	if ((policy = ps_policy_create(revision)) == NULL)
		return PS_ERR_NOMEM;
	if ((ret = each(db, STATEMENT_TOKENS, token_row, policy)) != PS_OK ||
	    (ret = ps_policy_seal(policy)) != PS_OK ||
	    (ret = each(db, STATEMENT_ORIGINS, origin_row, policy)) != PS_OK ||
	    (ret = each(db, STATEMENT_TARGETS, target_row, policy)) != PS_OK) {
		ps_policy_unref(policy);
		return ret;
	}
	*policy_r = policy;
	return PS_OK;
}

int
ps_db_load_policy(struct ps_db *db, struct ps_policy **policy_r)
{
	int ret = run(db, STATEMENT_BEGIN_READ);

	if (ret != PS_OK)
		return ret;
	ret = read_policy(db, policy_r);
	ps_db_rollback(db);
	return ret;
}

int
ps_db_begin(struct ps_db *db)
{
	return run(db, STATEMENT_BEGIN);
}

int
ps_db_commit(struct ps_db *db)
{
	return run(db, STATEMENT_COMMIT);
}

void
ps_db_rollback(struct ps_db *db)
{
	/* An error such as a full disk may have rolled back already. */
	if (!sqlite3_get_autocommit(db->sqlite)) {
		sqlite3_step(db->statements[STATEMENT_ROLLBACK]);
		sqlite3_reset(db->statements[STATEMENT_ROLLBACK]);
	}
}

/* Borrowed until the statement has run. */
static void
bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

static void
bind_traffic(sqlite3_stmt *stmt, int at, const struct ps_traffic *traffic)
{
	sqlite3_bind_int64(stmt, at, (int64_t)traffic->messages_up);
	sqlite3_bind_int64(stmt, at + 1, (int64_t)traffic->messages_down);
	sqlite3_bind_int64(stmt, at + 2, (int64_t)traffic->bytes_up);
	sqlite3_bind_int64(stmt, at + 3, (int64_t)traffic->bytes_down);
}

int
ps_db_put_session(struct ps_db *db, const struct ps_session_row *row)
{
	sqlite3_stmt *stmt = db->statements[STATEMENT_PUT_SESSION];

	bind_text(stmt, 1, row->id);
	bind_text(stmt, 2, ps_session_kind_name(row->kind));
	sqlite3_bind_int64(stmt, 3, row->token_id);
	bind_text(stmt, 4, row->node);
	bind_text(stmt, 5, row->subject);
	bind_text(stmt, 6, row->origin);
	bind_text(stmt, 7, row->remote_addr);
	bind_text(stmt, 8, row->agent);
	sqlite3_bind_int64(stmt, 9, row->opened_at_s);
	sqlite3_bind_null(stmt, 10);
	sqlite3_bind_null(stmt, 11);
	sqlite3_bind_null(stmt, 12);
	if (row->closed_at_s != 0) {
		sqlite3_bind_int64(stmt, 10, row->closed_at_s);
		sqlite3_bind_int(stmt, 11, row->close_code);
		bind_text(stmt, 12, row->close_reason);
	}
	bind_traffic(stmt, 13, &row->traffic);
	return run(db, STATEMENT_PUT_SESSION);
}

int
ps_db_add_usage(struct ps_db *db, const struct ps_usage *usage)
{
	sqlite3_stmt *stmt = db->statements[STATEMENT_ADD_USAGE];

	sqlite3_bind_int64(stmt, 1, usage->token_id);
	sqlite3_bind_int64(stmt, 2, usage->day);
	sqlite3_bind_int64(stmt, 3, (int64_t)usage->creates);
	sqlite3_bind_int64(stmt, 4, (int64_t)usage->refused);
	bind_traffic(stmt, 5, &usage->traffic);
	return run(db, STATEMENT_ADD_USAGE);
}

static int
enter(struct ps_db *db, const struct ps_bridge_row *row, int64_t now_s)
{
	sqlite3_stmt *forget = db->statements[STATEMENT_FORGET_BRIDGES];
	sqlite3_stmt *add = db->statements[STATEMENT_ADD_BRIDGE];
	sqlite3_stmt *end = db->statements[STATEMENT_CLOSE_LEFT_OPEN];
	int ret;

	bind_text(forget, 1, row->node);
	bind_text(add, 1, row->tag);
	bind_text(add, 2, row->node);
	sqlite3_bind_int64(add, 3, row->pid);
	bind_text(add, 4, row->socket);
	bind_text(add, 5, row->version);
	sqlite3_bind_int64(add, 6, row->started_at_s);
	bind_text(end, 1, row->node);
	sqlite3_bind_int64(end, 2, now_s);
	if ((ret = run(db, STATEMENT_FORGET_BRIDGES)) != PS_OK ||
	    (ret = run(db, STATEMENT_ADD_BRIDGE)) != PS_OK ||
	    (ret = run(db, STATEMENT_CLOSE_LEFT_OPEN)) != PS_OK)
		return ret;
	return ps_db_commit(db);
}

int
ps_db_enter(struct ps_db *db, const struct ps_bridge_row *row, int64_t now_s)
{
	int ret = ps_db_begin(db);

	if (ret == PS_OK && (ret = enter(db, row, now_s)) != PS_OK)
		ps_db_rollback(db);
	return ret;
}

struct text {
	char *out;
	size_t size;
};

static int
text_row(void *arg, sqlite3_stmt *stmt)
{
	const struct text *text = arg;
	const char *value = (const char *)sqlite3_column_text(stmt, 0);

	snprintf(text->out, text->size, "%s", value == NULL ? "" : value);
	return PS_OK;
}

int
ps_db_node_socket(struct ps_db *db, const char *node, char *socket_r,
    size_t size)
{
	struct text text = { socket_r, size };

	*socket_r = '\0';
	bind_text(db->statements[STATEMENT_NODE_SOCKET], 1, node);
	return each(db, STATEMENT_NODE_SOCKET, text_row, &text);
}

int
ps_db_count_commit(struct ps_db *db, const char *tag)
{
	bind_text(db->statements[STATEMENT_COUNT_COMMIT], 1, tag);
	return run(db, STATEMENT_COUNT_COMMIT);
}

int
ps_db_commits(struct ps_db *db, const char *tag, int64_t *commits_r)
{
	*commits_r = -1;
	bind_text(db->statements[STATEMENT_COMMITS], 1, tag);
	return each(db, STATEMENT_COMMITS, number_row, commits_r);
}

int
ps_db_prune(struct ps_db *db, int64_t before_s, int max, int *deleted_r)
{
	sqlite3_stmt *stmt = db->statements[STATEMENT_PRUNE];
	int ret;

	sqlite3_bind_int64(stmt, 1, before_s);
	sqlite3_bind_int(stmt, 2, max);
	ret = run(db, STATEMENT_PRUNE);
	*deleted_r = ret == PS_OK ? sqlite3_changes(db->sqlite) : 0;
	return ret;
}

/* What a caller wants to hear, as an argument of each(). */
struct listener {
	void *arg;
	void (*close_request)(void *arg, const char *id);
	void (*usage)(void *arg, const struct ps_usage *usage);
	void (*recent_create)(void *arg, int64_t token_id, int64_t second_s,
	    uint64_t count);
	int64_t day;
};

static int
close_request_row(void *arg, sqlite3_stmt *stmt)
{
	const struct listener *listener = arg;
	const char *id = (const char *)sqlite3_column_text(stmt, 0);

	if (id == NULL)
		return PS_ERR_NOMEM;
	listener->close_request(listener->arg, id);
	return PS_OK;
}

int
ps_db_each_close_request(struct ps_db *db, const char *node,
    void (*found)(void *arg, const char *id), void *arg)
{
	struct listener listener = { .arg = arg, .close_request = found };

	bind_text(db->statements[STATEMENT_CLOSE_REQUESTS], 1, node);
	return each(db, STATEMENT_CLOSE_REQUESTS, close_request_row,
	    &listener);
}

static int
usage_row(void *arg, sqlite3_stmt *stmt)
{
	const struct listener *listener = arg;
	const struct ps_usage usage = {
		.token_id = sqlite3_column_int64(stmt, 0),
		.day = listener->day,
		.creates = (uint64_t)sqlite3_column_int64(stmt, 1),
		.refused = (uint64_t)sqlite3_column_int64(stmt, 2),
		.traffic = { (uint64_t)sqlite3_column_int64(stmt, 3),
		    (uint64_t)sqlite3_column_int64(stmt, 4),
		    (uint64_t)sqlite3_column_int64(stmt, 5),
		    (uint64_t)sqlite3_column_int64(stmt, 6) },
	};

	listener->usage(listener->arg, &usage);
	return PS_OK;
}

int
ps_db_each_usage(struct ps_db *db, int64_t day,
    void (*found)(void *arg, const struct ps_usage *usage), void *arg)
{
	struct listener listener = { .arg = arg, .usage = found, .day = day };

	sqlite3_bind_int64(db->statements[STATEMENT_USAGE], 1, day);
	return each(db, STATEMENT_USAGE, usage_row, &listener);
}

static int
recent_create_row(void *arg, sqlite3_stmt *stmt)
{
	const struct listener *listener = arg;

	listener->recent_create(listener->arg, sqlite3_column_int64(stmt, 0),
	    sqlite3_column_int64(stmt, 1),
	    (uint64_t)sqlite3_column_int64(stmt, 2));
	return PS_OK;
}

int
ps_db_each_recent_create(struct ps_db *db, int64_t after_s,
    void (*found)(void *arg, int64_t token_id, int64_t second_s,
	uint64_t count),
    void *arg)
{
	struct listener listener = { .arg = arg, .recent_create = found };

	sqlite3_bind_int64(db->statements[STATEMENT_RECENT_CREATES], 1,
	    after_s);
	return each(db, STATEMENT_RECENT_CREATES, recent_create_row,
	    &listener);
}
