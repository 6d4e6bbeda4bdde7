/*
 * Authorizations in the database. For the thread that writes, inside
 * ps_db_begin() and ps_db_commit(), as jobs of the store are; the functions
 * that tell rows need no transaction.
 *
 * Errors are those of ps_db.h, and PS_ERR_MALFORMED where the schema refuses a
 * row: the token is gone, or the client has another socket id.
 */
#ifndef PS_DB_AUTHORIZATIONS_H
#define PS_DB_AUTHORIZATIONS_H

#include "ps_db.h"

/* A row of `authorizations`; borrowed for the call. Times are Unix times. */
struct ps_authorization_row {
	const char *socket_id;
	int64_t token_id;
	const char *client, *callback;
	bool events;
	int64_t created_at_s; /* not changed by renewing */
	int64_t renewed_at_s;
	int64_t expires_at_s; /* INT64_MAX: never */
};

/* Makes it, or renews the one of this socket id. */
PS_MUST_CHECK int ps_db_put_authorization(struct ps_db *db,
    const struct ps_authorization_row *row);
/* Nothing happens where there is none. */
PS_MUST_CHECK int ps_db_delete_authorization(struct ps_db *db,
    const char *socket_id);

/* For each there is, expired or not. */
PS_MUST_CHECK int ps_db_each_authorization(struct ps_db *db,
    void (*found)(void *arg, const struct ps_authorization_row *row),
    void *arg);
/* The same for the one of this socket id, if there is one. */
PS_MUST_CHECK int ps_db_find_authorization(struct ps_db *db,
    const char *socket_id,
    void (*found)(void *arg, const struct ps_authorization_row *row),
    void *arg);

#endif
