/* The outbox. */
#include "config.h"

#include "ps_db_outbox.h"

#include "ps_sql.h"

static int
end_session(struct ps_db *db, const struct ps_outbox_row *row)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_END_SESSION];

	ps_sql_bind_text(stmt, 1, row->session);
	sqlite3_bind_int64(stmt, 2, row->accepted_at_ms / 1000);
	return ps_sql_run(db, PS_SQL_END_SESSION);
}

int
ps_db_put_outbox(struct ps_db *db, const struct ps_outbox_row *row)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_PUT_OUTBOX];
	int ret;

	ps_sql_bind_text(stmt, 1, row->session);
	sqlite3_bind_int64(stmt, 2, (int64_t)row->number);
	sqlite3_bind_int64(stmt, 3, row->token_id);
	ps_sql_bind_text(stmt, 4, row->client);
	ps_sql_bind_text(stmt, 5, row->callback);
	ps_sql_bind_slice(stmt, 6, row->body);
	ps_sql_bind_ms(stmt, 7, row->accepted_at_ms);
	ret = ps_sql_run(db, PS_SQL_PUT_OUTBOX);
	return ret == PS_OK && row->is_last ? end_session(db, row) : ret;
}

static sqlite3_stmt *
bind_key(struct ps_db *db, enum ps_sql statement,
    const struct ps_outbox_key *key)
{
	sqlite3_stmt *stmt = db->statements[statement];

	ps_sql_bind_text(stmt, 1, key->session);
	sqlite3_bind_int64(stmt, 2, (int64_t)key->number);
	return stmt;
}

int
ps_db_delete_outbox(struct ps_db *db, const struct ps_outbox_key *keys,
    size_t count)
{
	int ret = PS_OK;
	size_t i;

	for (i = 0; i < count && ret == PS_OK; i++) {
		bind_key(db, PS_SQL_DELETE_OUTBOX, &keys[i]);
		ret = ps_sql_run(db, PS_SQL_DELETE_OUTBOX);
	}
	return ret;
}

int
ps_db_fail_outbox(struct ps_db *db, const struct ps_outbox_key *key,
    const char *error, bool dead)
{
	enum ps_sql statement = dead ? PS_SQL_BURY_OUTBOX : PS_SQL_FAIL_OUTBOX;

	ps_sql_bind_text(bind_key(db, statement, key), 3, error);
	return ps_sql_run(db, statement);
}

int
ps_db_fail_lane(struct ps_db *db, const char *session, const char *error)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_FAIL_LANE];

	ps_sql_bind_text(stmt, 1, session);
	ps_sql_bind_text(stmt, 2, error);
	return ps_sql_run(db, PS_SQL_FAIL_LANE);
}

/* One read, as it goes on. */
struct search {
	const char *session;
	size_t left; /* of bytes; 0: enough */
	int (*found)(void *arg, const struct ps_outbox_row *row);
	void *arg;
};

static int
outbox_row(void *arg, sqlite3_stmt *stmt)
{
	struct search *search = arg;
	const struct ps_outbox_row row = {
		.session = search->session,
		.number = (uint64_t)sqlite3_column_int64(stmt, 0),
		.token_id = sqlite3_column_int64(stmt, 1),
		.client = ps_sql_text(stmt, 2),
		.callback = ps_sql_text(stmt, 3),
		.body = { ps_sql_text(stmt, 4),
		    (size_t)sqlite3_column_bytes(stmt, 4) },
		.attempts = (uint32_t)sqlite3_column_int64(stmt, 5),
		.accepted_at_ms = sqlite3_column_int64(stmt, 6),
		.retry_since_ms = sqlite3_column_int64(stmt, 7),
	};

	if (search->left == 0)
		return PS_SQL_ENOUGH;
	search->left -= row.body.len < search->left ? row.body.len :
						      search->left;
	return search->found(search->arg, &row);
}

int
ps_db_read_outbox(struct ps_db *db, const char *session, uint64_t after,
    uint32_t limit, size_t max_bytes,
    int (*found)(void *arg, const struct ps_outbox_row *row), void *arg)
{
	struct search search = { session, max_bytes > 0 ? max_bytes : 1, found,
		arg };
	sqlite3_stmt *stmt = db->statements[PS_SQL_READ_OUTBOX];

	ps_sql_bind_text(stmt, 1, session);
	sqlite3_bind_int64(stmt, 2, (int64_t)after);
	sqlite3_bind_int64(stmt, 3, limit);
	return ps_sql_each(db, PS_SQL_READ_OUTBOX, outbox_row, &search);
}

int
ps_db_count_outbox(struct ps_db *db, int64_t token_id, uint64_t *count_r)
{
	int64_t count = 0;
	int ret;

	sqlite3_bind_int64(db->statements[PS_SQL_COUNT_OUTBOX], 1, token_id);
	ret = ps_sql_each(db, PS_SQL_COUNT_OUTBOX, ps_sql_number_row, &count);
	*count_r = (uint64_t)count;
	return ret;
}

/* What a caller wants to hear, as an argument of ps_sql_each(). */
struct listener {
	void *arg;
	void (*lane)(void *arg, const struct ps_outbox_lane *lane);
};

static int
lane_row(void *arg, sqlite3_stmt *stmt)
{
	const struct listener *listener = arg;
	const struct ps_outbox_lane lane = {
		.session = ps_sql_text(stmt, 0),
		.token_id = sqlite3_column_int64(stmt, 1),
		.client = ps_sql_text(stmt, 2),
		.first_number = (uint64_t)sqlite3_column_int64(stmt, 3),
		.last_number = (uint64_t)sqlite3_column_int64(stmt, 4),
		.count = (uint64_t)sqlite3_column_int64(stmt, 5),
	};

	listener->lane(listener->arg, &lane);
	return PS_OK;
}

int
ps_db_each_lane(struct ps_db *db, const char *node,
    void (*found)(void *arg, const struct ps_outbox_lane *lane), void *arg)
{
	struct listener listener = { arg, found };

	ps_sql_bind_text(db->statements[PS_SQL_LANES], 1, node);
	return ps_sql_each(db, PS_SQL_LANES, lane_row, &listener);
}

int
ps_db_find_lane(struct ps_db *db, const char *node, const char *session,
    void (*found)(void *arg, const struct ps_outbox_lane *lane), void *arg)
{
	struct listener listener = { arg, found };

	ps_sql_bind_text(db->statements[PS_SQL_LANE], 1, node);
	ps_sql_bind_text(db->statements[PS_SQL_LANE], 2, session);
	return ps_sql_each(db, PS_SQL_LANE, lane_row, &listener);
}

int
ps_db_prune_outbox(struct ps_db *db, int64_t before_s, int max, int *deleted_r)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_PRUNE_OUTBOX];
	int ret;

	sqlite3_bind_int64(stmt, 1, before_s);
	sqlite3_bind_int(stmt, 2, max);
	ret = ps_sql_run(db, PS_SQL_PRUNE_OUTBOX);
	*deleted_r = ret == PS_OK ? sqlite3_changes(db->sqlite) : 0;
	return ret;
}
