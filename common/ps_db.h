/*
 * The SQLite database, made from schema/schema.sql. All SQL text of the
 * programs is in ps_db.c.
 */
#ifndef PS_DB_H
#define PS_DB_H

#include "ps_err.h"

/* PRAGMA application_id and user_version of a database this program reads. */
#define PS_DB_APPLICATION_ID 0x506f6c79 /* "Poly" */
#define PS_DB_VERSION 2

#define PS_DB_ERROR_MAX 256

/*
 * Whether `path` is a database of this program's version. PS_ERR_IO,
 * PS_ERR_MALFORMED or PS_ERR_VERSION with a sentence in `error`
 * (PS_DB_ERROR_MAX bytes) when it is not.
 */
PS_MUST_CHECK int ps_db_check(const char *path, char *error);

#endif
