#include "config.h"

#include "ps_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "ps_sql.h"

/* Memory for pages; what is read and written is small. */
#define CACHE_KIB 1024
/* The write-ahead log is cut to this when a reader that held it up is gone. */
#define WAL_KEEP_BYTES (4 * 1024 * 1024)

void
ps_db_init(void)
{
	/* Its statistics cost a lock for each allocation. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* The one integer that a statement yields. */
static int
query_number(sqlite3 *sqlite, enum ps_sql statement, int *number_r)
{
	sqlite3_stmt *stmt = NULL;
	int ret = PS_ERR_IO;

	if (sqlite3_prepare_v2(sqlite, ps_sql[statement], -1, &stmt, NULL) ==
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
	if (query_number(sqlite, PS_SQL_APPLICATION_ID, id_r) == PS_OK &&
	    query_number(sqlite, PS_SQL_VERSION, version_r) == PS_OK)
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

	if (access(path, F_OK) < 0 && errno == ENOENT) {
		snprintf(error, PS_DB_ERROR_MAX,
		    "is not there; wsbridge makes it when it starts");
		return PS_ERR_IO;
	}
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
	return ps_file_is_same(file_id(path), id);
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
	    CACHE_KIB, WAL_KEEP_BYTES,
	    mode == PS_DB_WRITE ? "PRAGMA journal_mode = WAL" : "");
	if (sqlite3_create_function(db->sqlite, "sha3", 1, flags, NULL, sha3,
		NULL, NULL) != SQLITE_OK ||
	    sqlite3_create_function(db->sqlite, "sha3", 2, flags, NULL, sha3,
		NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db->sqlite, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return PS_ERR_IO;
	return PS_OK;
}

void
ps_db_set_sync(struct ps_db *db, bool sync)
{
	if (db->sync == sync)
		return;
	db->sync = sync;
	sqlite3_exec(db->sqlite,
	    sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
	    NULL, NULL, NULL);
}

/* So that a table that is not as it should be is found now. */
static int
prepare_statements(struct ps_db *db, enum ps_db_mode mode)
{
	size_t count = mode == PS_DB_WRITE ? PS_SQL__COUNT :
					     PS_SQL_READ__COUNT;
	size_t i;

	for (i = 0; i < count; i++) {
		if (sqlite3_prepare_v3(db->sqlite, ps_sql[i], -1,
			SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL) !=
		    SQLITE_OK)
			return PS_ERR_IO;
	}
	return PS_OK;
}

static int
open_file(struct ps_db *db, enum ps_db_mode mode)
{
	struct ps_file_id wal;
	int ret;

	/* Looked at before and after: it may be replaced in between. */
	db->file = file_id(db->path);
	db->wal = file_id(db->wal_path);
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
	if (set_up(db, mode) != PS_OK ||
	    prepare_statements(db, mode) != PS_OK) {
		snprintf(db->error, sizeof(db->error),
		    "cannot be used (%s)", sqlite3_errmsg(db->sqlite));
		return PS_ERR_MALFORMED;
	}
	wal = db->wal;
	db->wal = file_id(db->wal_path);
	if (!is_file(db->file, db->path) ||
	    (wal.inode != 0 && wal.inode != db->wal.inode)) {
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
	for (i = 0; i < PS_SQL__COUNT; i++)
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

int
ps_db_has_changed(struct ps_db *db, bool *changed_r)
{
	int64_t version = 0;
	int ret = ps_sql_each(db, PS_SQL_DATA_VERSION, ps_sql_number_row,
	    &version);

	if (ret != PS_OK)
		return ret;
	*changed_r = version != db->data_version;
	db->data_version = version;
	return PS_OK;
}
