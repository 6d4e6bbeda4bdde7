/* What the bridge writes, and what it reads of that. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ps_db_outbox.h"
#include "ps_place.h"
#include "ps_sql.h"

static const char *const kinds[] = {
	[PS_SESSION_RELAY] = "relay",
	[PS_SESSION_CHANNEL] = "channel",
	[PS_SESSION_APPLICATION] = "application",
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

int64_t
ps_db_n_changes(const struct ps_db *db)
{
	return sqlite3_total_changes(db->sqlite);
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

	ps_sql_bind_text(stmt, 1, row->id);
	ps_sql_bind_text(stmt, 2, ps_session_kind_name(row->kind));
	sqlite3_bind_int64(stmt, 3, row->token_id);
	ps_sql_bind_text(stmt, 4, row->node);
	ps_sql_bind_text(stmt, 5, row->subject);
	ps_sql_bind_text(stmt, 6, row->origin);
	ps_sql_bind_text(stmt, 7, row->remote_addr);
	ps_sql_bind_text(stmt, 8, row->agent);
	sqlite3_bind_int64(stmt, 9, row->opened_at_s);
	sqlite3_bind_null(stmt, 10);
	sqlite3_bind_null(stmt, 11);
	sqlite3_bind_null(stmt, 12);
	sqlite3_bind_int(stmt, 17, row->closed_at_s != 0 && row->end_is_told);
	if (row->closed_at_s != 0) {
		if (!row->end_is_told)
			sqlite3_bind_int64(stmt, 10, row->closed_at_s);
		sqlite3_bind_int(stmt, 11, row->close_code);
		ps_sql_bind_text(stmt, 12, row->close_reason);
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

/* The other bridges of a node, or of a place, as they are looked through. */
struct others {
	struct ps_db *db;
	const char *place; /* our own */
	unsigned n_alive, n_dead;
	bool forget; /* those that are dead */
	char *rival; /* or NULL */
};

static int
other_row(void *arg, sqlite3_stmt *stmt)
{
	struct others *others = arg;
	const char *tag = ps_sql_text(stmt, 0), *place = ps_sql_text(stmt, 1);
	sqlite3_stmt *forget = others->db->statements[PS_SQL_FORGET_BRIDGE];

	if (others->rival != NULL && sqlite3_column_int(stmt, 2) != 0 &&
	    strcmp(place, others->place) != 0 && ps_place_is_locked(place))
		snprintf(others->rival, PS_SOCKET_PATH_MAX, "%s", place);
	if (ps_place_is_alive(place, tag)) {
		others->n_alive++;
		return PS_OK;
	}
	others->n_dead++;
	if (!others->forget)
		return PS_OK;
	ps_sql_bind_text(forget, 1, tag);
	return ps_sql_run(others->db, PS_SQL_FORGET_BRIDGE);
}

static int
look_at_others(struct ps_db *db, const struct ps_bridge_row *row,
    struct others *others)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_OTHER_BRIDGES];

	others->db = db;
	others->place = row->socket;
	ps_sql_bind_text(stmt, 1, row->node);
	ps_sql_bind_text(stmt, 2, row->socket);
	ps_sql_bind_text(stmt, 3, row->tag);
	return ps_sql_each(db, PS_SQL_OTHER_BRIDGES, other_row, others);
}

/* Of sessions of the node whose bridge has no row, or is that of `except`. */
static int
close_left_open(struct ps_db *db, const char *node, int64_t now_s,
    const char *except)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_CLOSE_LEFT_OPEN];

	ps_sql_bind_text(stmt, 1, node);
	sqlite3_bind_int64(stmt, 2, now_s);
	ps_sql_bind_text(stmt, 3, except);
	return ps_sql_run(db, PS_SQL_CLOSE_LEFT_OPEN);
}

/* Applications hear of the end of those among them that are not our own. */
static int
put_orphans(struct ps_db *db, const struct ps_bridge_row *row, int64_t now_s)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_PUT_ORPHANS];

	if (!row->outbox)
		return PS_OK;
	ps_sql_bind_text(stmt, 1, row->node);
	sqlite3_bind_int64(stmt, 2, (int64_t)PS_OUTBOX_ORPHAN_NUMBER);
	sqlite3_bind_int64(stmt, 3, now_s);
	return ps_sql_run(db, PS_SQL_PUT_ORPHANS);
}

static int
add_bridge(struct ps_db *db, const struct ps_bridge_row *row)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_ADD_BRIDGE];

	ps_sql_bind_text(stmt, 1, row->tag);
	ps_sql_bind_text(stmt, 2, row->node);
	sqlite3_bind_int64(stmt, 3, row->pid);
	ps_sql_bind_text(stmt, 4, row->socket);
	ps_sql_bind_text(stmt, 5, row->version);
	sqlite3_bind_int64(stmt, 6, row->started_at_s);
	return ps_sql_run(db, PS_SQL_ADD_BRIDGE);
}

static int
enter(struct ps_db *db, const struct ps_bridge_row *row, int64_t now_s)
{
	struct others others = { .forget = true };
	int ret;

	if ((ret = look_at_others(db, row, &others)) != PS_OK ||
	    (ret = add_bridge(db, row)) != PS_OK ||
	    (ret = put_orphans(db, row, now_s)) != PS_OK ||
	    (ret = close_left_open(db, row->node, now_s, row->tag)) != PS_OK)
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

static int
bury(struct ps_db *db, const struct ps_bridge_row *row, int64_t now_s)
{
	struct others others = { .forget = true };
	int ret;

	if ((ret = look_at_others(db, row, &others)) != PS_OK ||
	    (ret = put_orphans(db, row, now_s)) != PS_OK ||
	    (ret = close_left_open(db, row->node, now_s, "")) != PS_OK)
		return ret;
	return ps_db_commit(db);
}

int
ps_db_bury(struct ps_db *db, const struct ps_bridge_row *row, int64_t now_s,
    unsigned *n_others_r)
{
	struct others others = { .forget = false };
	int ret = look_at_others(db, row, &others);

	*n_others_r = others.n_alive;
	if (ret != PS_OK || others.n_dead == 0)
		return ret;
	if ((ret = ps_db_begin(db)) == PS_OK &&
	    (ret = bury(db, row, now_s)) != PS_OK)
		ps_db_rollback(db);
	return ret;
}

int
ps_db_leave(struct ps_db *db, const struct ps_bridge_row *row)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_LEAVE_BRIDGE];

	ps_sql_bind_text(stmt, 1, row->tag);
	ps_sql_bind_text(stmt, 2, row->node);
	return ps_sql_run(db, PS_SQL_LEAVE_BRIDGE);
}

int
ps_db_find_rival(struct ps_db *db, const struct ps_bridge_row *row,
    char socket_r[PS_SOCKET_PATH_MAX])
{
	struct others others = { .rival = socket_r };

	*socket_r = '\0';
	return look_at_others(db, row, &others);
}

int
ps_db_count_commit(struct ps_db *db, const char *tag)
{
	ps_sql_bind_text(db->statements[PS_SQL_COUNT_COMMIT], 1, tag);
	return ps_sql_run(db, PS_SQL_COUNT_COMMIT);
}

int
ps_db_commits(struct ps_db *db, const char *tag, int64_t *commits_r)
{
	*commits_r = -1;
	ps_sql_bind_text(db->statements[PS_SQL_COMMITS], 1, tag);
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
	void (*elsewhere)(void *arg, int64_t token_id, uint64_t n_sessions);
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

	ps_sql_bind_text(db->statements[PS_SQL_CLOSE_REQUESTS], 1, node);
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

static int
elsewhere_row(void *arg, sqlite3_stmt *stmt)
{
	const struct listener *listener = arg;

	listener->elsewhere(listener->arg, sqlite3_column_int64(stmt, 0),
	    (uint64_t)sqlite3_column_int64(stmt, 1));
	return PS_OK;
}

int
ps_db_each_elsewhere(struct ps_db *db, const struct ps_bridge_row *row,
    void (*found)(void *arg, int64_t token_id, uint64_t n_sessions), void *arg)
{
	struct listener listener = { .arg = arg, .elsewhere = found };
	sqlite3_stmt *stmt = db->statements[PS_SQL_SESSIONS_ELSEWHERE];

	ps_sql_bind_text(stmt, 1, row->node);
	ps_sql_bind_text(stmt, 2, row->tag);
	return ps_sql_each(db, PS_SQL_SESSIONS_ELSEWHERE, elsewhere_row,
	    &listener);
}
