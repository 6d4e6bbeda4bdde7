/* What the bridge writes, and what it reads of that. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ps_sql.h"

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

int
ps_db_begin(struct ps_db *db)
{
	return ps_sql_run(db, PS_SQL_BEGIN);
}

int
ps_db_commit(struct ps_db *db)
{
	return ps_sql_run(db, PS_SQL_COMMIT);
}

void
ps_db_rollback(struct ps_db *db)
{
	/* An error such as a full disk may have rolled back already. */
	if (!sqlite3_get_autocommit(db->sqlite)) {
		sqlite3_step(db->statements[PS_SQL_ROLLBACK]);
		sqlite3_reset(db->statements[PS_SQL_ROLLBACK]);
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
	sqlite3_stmt *stmt = db->statements[PS_SQL_PUT_SESSION];

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
	return ps_sql_run(db, PS_SQL_PUT_SESSION);
}

int
ps_db_add_usage(struct ps_db *db, const struct ps_usage *usage)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_ADD_USAGE];

	sqlite3_bind_int64(stmt, 1, usage->token_id);
	sqlite3_bind_int64(stmt, 2, usage->day);
	sqlite3_bind_int64(stmt, 3, (int64_t)usage->creates);
	sqlite3_bind_int64(stmt, 4, (int64_t)usage->refused);
	bind_traffic(stmt, 5, &usage->traffic);
	return ps_sql_run(db, PS_SQL_ADD_USAGE);
}

static int
enter(struct ps_db *db, const struct ps_bridge_row *row, int64_t now_s)
{
	sqlite3_stmt *forget = db->statements[PS_SQL_FORGET_BRIDGES];
	sqlite3_stmt *add = db->statements[PS_SQL_ADD_BRIDGE];
	sqlite3_stmt *end = db->statements[PS_SQL_CLOSE_LEFT_OPEN];
	int ret;

	bind_text(forget, 1, row->node);
	bind_text(forget, 2, row->socket);
	bind_text(add, 1, row->tag);
	bind_text(add, 2, row->node);
	sqlite3_bind_int64(add, 3, row->pid);
	bind_text(add, 4, row->socket);
	bind_text(add, 5, row->version);
	sqlite3_bind_int64(add, 6, row->started_at_s);
	bind_text(end, 1, row->node);
	sqlite3_bind_int64(end, 2, now_s);
	if ((ret = ps_sql_run(db, PS_SQL_FORGET_BRIDGES)) != PS_OK ||
	    (ret = ps_sql_run(db, PS_SQL_ADD_BRIDGE)) != PS_OK ||
	    (ret = ps_sql_run(db, PS_SQL_CLOSE_LEFT_OPEN)) != PS_OK)
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
	bind_text(db->statements[PS_SQL_NODE_SOCKET], 1, node);
	return ps_sql_each(db, PS_SQL_NODE_SOCKET, text_row, &text);
}

int
ps_db_count_commit(struct ps_db *db, const char *tag)
{
	bind_text(db->statements[PS_SQL_COUNT_COMMIT], 1, tag);
	return ps_sql_run(db, PS_SQL_COUNT_COMMIT);
}

int
ps_db_commits(struct ps_db *db, const char *tag, int64_t *commits_r)
{
	*commits_r = -1;
	bind_text(db->statements[PS_SQL_COMMITS], 1, tag);
	return ps_sql_each(db, PS_SQL_COMMITS, ps_sql_number_row, commits_r);
}

int
ps_db_prune(struct ps_db *db, int64_t before_s, int max, int *deleted_r)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_PRUNE];
	int ret;

	sqlite3_bind_int64(stmt, 1, before_s);
	sqlite3_bind_int(stmt, 2, max);
	ret = ps_sql_run(db, PS_SQL_PRUNE);
	*deleted_r = ret == PS_OK ? sqlite3_changes(db->sqlite) : 0;
	return ret;
}

/* What a caller wants to hear, as an argument of ps_sql_each(). */
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

	bind_text(db->statements[PS_SQL_CLOSE_REQUESTS], 1, node);
	return ps_sql_each(db, PS_SQL_CLOSE_REQUESTS, close_request_row,
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

	sqlite3_bind_int64(db->statements[PS_SQL_USAGE], 1, day);
	return ps_sql_each(db, PS_SQL_USAGE, usage_row, &listener);
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

	sqlite3_bind_int64(db->statements[PS_SQL_RECENT_CREATES], 1,
	    after_s);
	return ps_sql_each(db, PS_SQL_RECENT_CREATES, recent_create_row,
	    &listener);
}
