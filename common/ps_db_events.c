/* The history of channels. */
#include "config.h"

#include "ps_sql.h"

int
ps_db_put_event(struct ps_db *db, const struct ps_event *event)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_PUT_EVENT];

	ps_sql_bind_slice(stmt, 1, event->channel);
	ps_sql_bind_slice(stmt, 2, ps_slice_str(event->id));
	ps_sql_bind_slice(stmt, 3, event->payload);
	ps_sql_bind_ms(stmt, 4, event->at_ms);
	sqlite3_bind_int64(stmt, 5, (int64_t)event->n_lost);
	return ps_sql_run(db, PS_SQL_PUT_EVENT);
}

int
ps_db_clip_events(struct ps_db *db, struct ps_slice channel, uint64_t keep,
    int max)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_CLIP_EVENTS];

	ps_sql_bind_slice(stmt, 1, channel);
	sqlite3_bind_int64(stmt, 2, (int64_t)keep);
	sqlite3_bind_int(stmt, 3, max);
	return ps_sql_run(db, PS_SQL_CLIP_EVENTS);
}

int
ps_db_prune_events(struct ps_db *db, int64_t before_ms, int max,
    int *deleted_r)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_PRUNE_EVENTS];
	int ret;

	ps_sql_bind_ms(stmt, 1, before_ms);
	sqlite3_bind_int(stmt, 2, max);
	ret = ps_sql_run(db, PS_SQL_PRUNE_EVENTS);
	*deleted_r = ret == PS_OK ? sqlite3_changes(db->sqlite) : 0;
	return ret;
}

/* One read, as it goes on. */
struct search {
	struct ps_db *db;
	const struct ps_event_query *query;
	struct ps_event_answer *answer;
	bool (*found)(void *arg, const struct ps_event *event);
	void *arg;
	int64_t n_found;
};

static int
end_row(void *arg, sqlite3_stmt *stmt)
{
	struct ps_event_cursor *cursor = arg;

	cursor->end = sqlite3_column_int64(stmt, 0);
	cursor->end_id = sqlite3_column_int64(stmt, 1);
	return PS_OK;
}

static int
find_end(struct search *search)
{
	struct ps_db *db = search->db;

	ps_sql_bind_slice(db->statements[PS_SQL_LAST_EVENT], 1,
	    search->query->channel);
	return ps_sql_each(db, PS_SQL_LAST_EVENT, end_row,
	    &search->answer->cursor);
}

/* The number of `since`; -1: it is not kept. */
static int
find_since(struct search *search, int64_t *number_r)
{
	const struct ps_event_query *query = search->query;
	struct ps_db *db = search->db;
	sqlite3_stmt *stmt = db->statements[PS_SQL_EVENT_NUMBER];

	*number_r = -1;
	ps_sql_bind_slice(stmt, 1, query->channel);
	ps_sql_bind_slice(stmt, 2, query->since);
	ps_sql_bind_ms(stmt, 3, query->before_ms);
	return ps_sql_each(db, PS_SQL_EVENT_NUMBER, ps_sql_number_row,
	    number_r);
}

/* The number of the one in front of the last `limit`; 0: there is none. */
static int
find_back(struct search *search, int64_t *number_r)
{
	struct ps_db *db = search->db;
	sqlite3_stmt *stmt = db->statements[PS_SQL_EVENT_BACK];

	*number_r = 0;
	ps_sql_bind_slice(stmt, 1, search->query->channel);
	sqlite3_bind_int64(stmt, 2, search->query->limit);
	return ps_sql_each(db, PS_SQL_EVENT_BACK, ps_sql_number_row,
	    number_r);
}

/* Where it begins and where it ends. */
static int
find_range(struct search *search)
{
	const struct ps_event_query *query = search->query;
	struct ps_event_cursor *cursor = &search->answer->cursor;
	bool has_since = query->since.len > 0;
	int64_t oldest;
	int ret;

	*cursor = query->cursor;
	if (cursor->end_id != 0)
		return PS_OK;
	if ((ret = find_end(search)) != PS_OK)
		return ret;
	/* What is in front of this one waits to be pruned. */
	oldest = cursor->end - (int64_t)query->keep;
	ret = has_since ? find_since(search, &cursor->after) :
			  find_back(search, &cursor->after);
	search->answer->gap = has_since &&
	    (cursor->after < 0 || cursor->after <= oldest);
	if (cursor->after < oldest)
		cursor->after = oldest;
	return ret;
}

static int
event_row(void *arg, sqlite3_stmt *stmt)
{
	struct search *search = arg;
	const char *payload = (const char *)sqlite3_column_text(stmt, 2);
	const struct ps_event event = {
		.id = (const char *)sqlite3_column_text(stmt, 1),
		.payload = { payload, (size_t)sqlite3_column_bytes(stmt, 2) },
		.at_ms = sqlite3_column_int64(stmt, 3),
	};

	if (event.id == NULL || payload == NULL)
		return PS_ERR_NOMEM;
	if (!search->found(search->arg, &event)) {
		search->answer->more = true;
		return PS_SQL_ENOUGH;
	}
	search->answer->cursor.after = sqlite3_column_int64(stmt, 0);
	search->n_found++;
	return PS_OK;
}

static int
find_events(struct search *search)
{
	const struct ps_event_query *query = search->query;
	const struct ps_event_cursor *cursor = &search->answer->cursor;
	struct ps_db *db = search->db;
	sqlite3_stmt *stmt = db->statements[PS_SQL_EVENTS];

	ps_sql_bind_slice(stmt, 1, query->channel);
	sqlite3_bind_int64(stmt, 2, cursor->after);
	sqlite3_bind_int64(stmt, 3, cursor->end);
	sqlite3_bind_int64(stmt, 4, cursor->end_id);
	ps_sql_bind_ms(stmt, 5, query->before_ms);
	sqlite3_bind_int64(stmt, 6, query->limit);
	return ps_sql_each(db, PS_SQL_EVENTS, event_row, search);
}

static int
read_events(struct search *search)
{
	const struct ps_event_query *query = search->query;
	struct ps_event_answer *answer = search->answer;
	bool goes_on = query->cursor.end_id != 0 || query->since.len > 0;
	int64_t began;
	int ret;

	if ((ret = find_range(search)) != PS_OK)
		return ret;
	began = answer->cursor.after;
	if ((ret = find_events(search)) != PS_OK)
		return ret;
	if (search->n_found == query->limit &&
	    answer->cursor.after < answer->cursor.end)
		answer->more = true;
	/* The last ones are not there any more: nothing is behind them. */
	if (!answer->more)
		answer->cursor.after = answer->cursor.end;
	if (goes_on && answer->cursor.after - began != search->n_found)
		answer->gap = true;
	return PS_OK;
}

int
ps_db_read_events(struct ps_db *db, const struct ps_event_query *query,
    struct ps_event_answer *answer_r,
    bool (*found)(void *arg, const struct ps_event *event), void *arg)
{
	struct search search = { db, query, answer_r, found, arg, 0 };
	int ret = ps_sql_run(db, PS_SQL_BEGIN_READ);

	*answer_r = (struct ps_event_answer){ 0 };
	if (ret != PS_OK)
		return ret;
	if ((ret = read_events(&search)) == PS_OK)
		ret = ps_db_commit(db);
	if (ret != PS_OK)
		ps_db_rollback(db);
	return ret;
}
