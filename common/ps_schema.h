/*
 * Making the database: schema/schema.sql and schema/upgrade/, which are built
 * into the program.
 */
#ifndef PS_SCHEMA_H
#define PS_SCHEMA_H

#include "ps_err.h"

/*
 * Makes `path` a database of PS_DB_VERSION that can be written: creates it
 * where there is none (mode 0640), upgrades an older one, and finds out about
 * a foreign, newer, corrupt or read-only one. A failure is PS_ERR_IO,
 * PS_ERR_MALFORMED or PS_ERR_VERSION, with a sentence in `error`
 * (PS_DB_ERROR_MAX bytes), and leaves the file as it was.
 *
 * Waits some seconds for a lock, so it is not for the loop.
 */
PS_MUST_CHECK int ps_schema_prepare(const char *path, char *error);

/* Whether ps_db_open() takes it, and it is not damaged; changes nothing. */
PS_MUST_CHECK int ps_schema_check(const char *path, char *error);

#endif
