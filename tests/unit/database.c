#include "config.h"

#include "database.h"

#include <dirent.h>
#include <sys/stat.h>

#include <openssl/evp.h>
#include <sqlite3.h>

#include "ps_schema.h"

/* Of an administrator who waits for the bridge's transactions. */
#define ADMIN_BUSY_MS 5000

char database_path[128];

static char folder[96];
static sqlite3 *locked; /* holds the lock */

int
database_setup_folder(void **state)
{
	const char *base = getenv("TMPDIR");

	(void)state;
	locked = NULL;
	snprintf(folder, sizeof(folder), "%.64s/ps-unit-XXXXXX",
	    base == NULL ? "/tmp" : base);
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(database_path, sizeof(database_path), "%s/polysocket.db",
	    folder);
	return 0;
}

int
database_setup(void **state)
{
	char error[PS_DB_ERROR_MAX];

	if (database_setup_folder(state) != 0)
		return -1;
	return ps_schema_prepare(database_path, error);
}

int
database_teardown(void **state)
{
	struct dirent *entry;
	DIR *dir;

	(void)state;
	admin_unlock();
	chmod(folder, 0700);
	if ((dir = opendir(folder)) == NULL)
		return -1;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			remove(database_beside(entry->d_name));
	}
	closedir(dir);
	return rmdir(folder);
}

const char *
database_beside(const char *name)
{
	static char paths[4][384];
	static unsigned at;
	char *path = paths[at++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

/* As the sqlite3 program has it; the schema's triggers need it. */
static void
sha3(sqlite3_context *context, int count, sqlite3_value **values)
{
	unsigned char hash[32];

	assert_int_equal(count, 2);
	assert_int_equal(sqlite3_value_int(values[1]), 256);
	assert_int_equal(EVP_Digest(sqlite3_value_text(values[0]),
			     (size_t)sqlite3_value_bytes(values[0]), hash,
			     NULL, EVP_sha3_256(), NULL),
	    1);
	sqlite3_result_blob(context, hash, sizeof(hash), SQLITE_TRANSIENT);
}

static sqlite3 *
admin_open(void)
{
	sqlite3 *admin = NULL;

	assert_int_equal(sqlite3_open_v2(database_path, &admin,
			     SQLITE_OPEN_READWRITE, NULL),
	    SQLITE_OK);
	sqlite3_busy_timeout(admin, ADMIN_BUSY_MS);
	assert_int_equal(sqlite3_create_function(admin, "sha3", 2,
			     SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, sha3, NULL,
			     NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_exec(admin,
			     "PRAGMA secure_delete = ON; "
			     "PRAGMA foreign_keys = ON",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	return admin;
}

int
admin_try(const char *sql)
{
	sqlite3 *admin = admin_open();
	int ret = sqlite3_exec(admin, sql, NULL, NULL, NULL);

	if (ret != SQLITE_OK)
		print_message("# %s: %s\n", sql, sqlite3_errmsg(admin));
	sqlite3_close(admin);
	return ret;
}

static char *
format(const char *sql, va_list args)
{
	char *text = sqlite3_vmprintf(sql, args);

	assert_non_null(text);
	return text;
}

void
admin_run(const char *sql, ...)
{
	va_list args;
	char *text;

	va_start(args, sql);
	text = format(sql, args);
	va_end(args);
	assert_int_equal(admin_try(text), SQLITE_OK);
	sqlite3_free(text);
}

/* The value is copied into `text_r`. */
static int64_t
ask(const char *sql, char *text_r, size_t size)
{
	sqlite3 *admin = admin_open();
	sqlite3_stmt *stmt = NULL;
	int64_t number = -1;

	snprintf(text_r, size, "(none)");
	if (sqlite3_prepare_v2(admin, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(admin));
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);

		snprintf(text_r, size, "%s", text == NULL ? "(null)" : text);
		number = sqlite3_column_int64(stmt, 0);
	}
	sqlite3_finalize(stmt);
	sqlite3_close(admin);
	return number;
}

int64_t
admin_number(const char *sql, ...)
{
	char value[64];
	int64_t number;
	va_list args;
	char *text;

	va_start(args, sql);
	text = format(sql, args);
	va_end(args);
	number = ask(text, value, sizeof(value));
	sqlite3_free(text);
	return number;
}

const char *
admin_text(const char *sql, ...)
{
	static char values[4][4096];
	static unsigned at;
	char *value = values[at++ % 4];
	va_list args;
	char *text;

	va_start(args, sql);
	text = format(sql, args);
	va_end(args);
	ask(text, value, sizeof(values[0]));
	sqlite3_free(text);
	return value;
}

void
admin_lock(void)
{
	assert_null(locked);
	locked = admin_open();
	assert_int_equal(sqlite3_exec(locked, "BEGIN IMMEDIATE", NULL, NULL,
			     NULL),
	    SQLITE_OK);
}

void
admin_unlock(void)
{
	sqlite3_close(locked); /* rolls back */
	locked = NULL;
}
