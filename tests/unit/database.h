/*
 * A database in a folder of its own, and the administrator, whose statements
 * run one by one on connections of their own, as with the sqlite3 program.
 */
#ifndef DATABASE_H
#define DATABASE_H

#include "unit.h"

#include "ps_db.h"

extern char database_path[];

/* For cmocka: a folder with a database such as --init-db makes, or without. */
int database_setup(void **state);
int database_setup_folder(void **state);
/* Removes the folder and all that is in it. */
int database_teardown(void **state);

/* The path of something else in the folder; the buffer is one of four. */
const char *database_beside(const char *name);

/* What an administrator does. The first fails the test unless it succeeds. */
void admin_run(const char *sql, ...) PS_PRINTF(1, 2);
/* The result code of SQLite. */
int admin_try(const char *sql);
/* The first column of the first row: 0 or "(null)" for NULL, -1 or "(none)"
 * without a row. A text lives until the next but three. */
int64_t admin_number(const char *sql, ...) PS_PRINTF(1, 2);
const char *admin_text(const char *sql, ...) PS_PRINTF(1, 2);
/* Holds the lock of the one who writes. */
void admin_lock(void);
void admin_unlock(void);

#endif
