/* Authorizations, and what the administrator changes of them. */
#include "config.h"

#include "ps_db_authorizations.h"

#include "ps_sql.h"

/* What the administrator's triggers note of our own changes is for nobody. */
static int
forget_change(struct ps_db *db, const char *socket_id)
{
	ps_sql_bind_text(db->statements[PS_SQL_FORGET_CHANGE], 1, socket_id);
	return ps_sql_run(db, PS_SQL_FORGET_CHANGE);
}

int
ps_db_put_authorization(struct ps_db *db,
    const struct ps_authorization_row *row)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_PUT_AUTHORIZATION];
	int ret;

	ps_sql_bind_text(stmt, 1, row->socket_id);
	sqlite3_bind_int64(stmt, 2, row->token_id);
	ps_sql_bind_text(stmt, 3, row->client);
	ps_sql_bind_text(stmt, 4, row->callback);
	sqlite3_bind_int(stmt, 5, row->events);
	sqlite3_bind_int64(stmt, 6, row->created_at_s);
	sqlite3_bind_int64(stmt, 7, row->renewed_at_s);
	if (row->expires_at_s == INT64_MAX)
		sqlite3_bind_null(stmt, 8);
	else
		sqlite3_bind_int64(stmt, 8, row->expires_at_s);
	ret = ps_sql_run(db, PS_SQL_PUT_AUTHORIZATION);
	return ret == PS_OK ? forget_change(db, row->socket_id) : ret;
}

int
ps_db_delete_authorization(struct ps_db *db, const char *socket_id)
{
	int ret;

	ps_sql_bind_text(db->statements[PS_SQL_DELETE_AUTHORIZATION], 1,
	    socket_id);
	ret = ps_sql_run(db, PS_SQL_DELETE_AUTHORIZATION);
	return ret == PS_OK ? forget_change(db, socket_id) : ret;
}

/* What a caller wants to hear, as an argument of ps_sql_each(). */
struct listener {
	void *arg;
	void (*found)(void *arg, const struct ps_authorization_row *row);
};

static int
authorization_row(void *arg, sqlite3_stmt *stmt)
{
	const struct listener *listener = arg;
	const struct ps_authorization_row row = {
		.socket_id = ps_sql_text(stmt, 0),
		.token_id = sqlite3_column_int64(stmt, 1),
		.client = ps_sql_text(stmt, 2),
		.callback = ps_sql_text(stmt, 3),
		.events = sqlite3_column_int(stmt, 4) != 0,
		.created_at_s = sqlite3_column_int64(stmt, 5),
		.renewed_at_s = sqlite3_column_int64(stmt, 6),
		.expires_at_s = sqlite3_column_type(stmt, 7) == SQLITE_NULL ?
		    INT64_MAX :
		    sqlite3_column_int64(stmt, 7),
	};

	listener->found(listener->arg, &row);
	return PS_OK;
}

int
ps_db_each_authorization(struct ps_db *db,
    void (*found)(void *arg, const struct ps_authorization_row *row), void *arg)
{
	struct listener listener = { arg, found };

	return ps_sql_each(db, PS_SQL_AUTHORIZATIONS, authorization_row,
	    &listener);
}

int
ps_db_find_authorization(struct ps_db *db, const char *socket_id,
    void (*found)(void *arg, const struct ps_authorization_row *row), void *arg)
{
	struct listener listener = { arg, found };

	ps_sql_bind_text(db->statements[PS_SQL_AUTHORIZATION], 1, socket_id);
	return ps_sql_each(db, PS_SQL_AUTHORIZATION, authorization_row,
	    &listener);
}
