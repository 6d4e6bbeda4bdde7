#include "config.h"

#include "ps_sql.h"

#include <stdio.h>
#include <time.h>

/* 2030-12-31 23:59:59.123, and what compilers fear. */
#define TIME_BYTES 32

/* Of such a text, since 1970. */
#define MS(column) \
	"strftime('%s', " column ") * 1000" \
	" + CAST(substr(" column ", 21, 3) AS INTEGER)"

#define AUTHORIZATIONS \
	"SELECT socket_id, token_id, client, callback, events," \
	" CAST(strftime('%s', created_at) AS INTEGER)," \
	" CAST(strftime('%s', renewed_at) AS INTEGER)," \
	" CAST(strftime('%s', expires_at) AS INTEGER) FROM authorizations"

#define LANES \
	"SELECT session, token_id, client, min(number), max(number)," \
	" count(*) FROM outbox WHERE state = 'ready'"

/* Of another node is who has a row in `bridges` that says so. */
#define IS_ELSEWHERE(session, node) \
	"EXISTS (SELECT 1 FROM bridges AS b WHERE b.node " node \
	" AND substr(" session ", 1, length(b.tag) + 1) = b.tag || '-')"

const char *const ps_sql[] = {
	[PS_SQL_APPLICATION_ID] = "PRAGMA application_id",
	[PS_SQL_VERSION] = "PRAGMA user_version",
	[PS_SQL_DATA_VERSION] = "PRAGMA data_version",
	[PS_SQL_BEGIN_READ] = "BEGIN",
	[PS_SQL_BEGIN] = "BEGIN IMMEDIATE",
	[PS_SQL_COMMIT] = "COMMIT",
	[PS_SQL_ROLLBACK] = "ROLLBACK",
	[PS_SQL_REVISION] = "SELECT revision FROM policy",
	/* What is no time is long over. */
	[PS_SQL_TOKENS] =
	    "SELECT id, name, secret_hash, enabled, admin, allow_no_origin,"
	    " CASE WHEN expires_at IS NOT NULL THEN"
	    " coalesce(CAST(strftime('%s', expires_at) AS INTEGER), 0) END,"
	    " max_sockets, max_creates_per_minute, max_messages_per_day,"
	    " max_bytes_per_day, max_message_bytes, max_queue_bytes,"
	    " substr(callback_key, 7), publish_auth, sockjs_websocket,"
	    " sockjs_cookie FROM tokens",
	[PS_SQL_ORIGINS] = "SELECT token_id, pattern FROM token_origins",
	[PS_SQL_TARGETS] = "SELECT token_id, pattern FROM token_targets",
	[PS_SQL_CHANNELS] = "SELECT token_id, pattern, may_emit, may_listen"
			    " FROM token_channels",
	[PS_SQL_CALLBACKS] = "SELECT token_id, pattern FROM token_callbacks",
	[PS_SQL_PUT_SESSION] =
	    "INSERT INTO sessions (id, kind, token_id, node, subject, origin,"
	    " remote_addr, agent, opened_at, closed_at, close_code,"
	    " close_reason, messages_up, messages_down, bytes_up, bytes_down)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
	    " datetime(?9, 'unixepoch'), datetime(?10, 'unixepoch'), ?11, ?12,"
	    " ?13, ?14, ?15, ?16)"
	    " ON CONFLICT (id) DO UPDATE SET"
	    " closed_at = CASE ?17 WHEN 1 THEN closed_at"
	    " ELSE excluded.closed_at END,"
	    " close_code = excluded.close_code,"
	    " close_reason = excluded.close_reason,"
	    " messages_up = excluded.messages_up,"
	    " messages_down = excluded.messages_down,"
	    " bytes_up = excluded.bytes_up, bytes_down = excluded.bytes_down",
	[PS_SQL_ADD_USAGE] =
	    "INSERT INTO token_usage (token_id, day, creates, refused,"
	    " messages_up, messages_down, bytes_up, bytes_down)"
	    " SELECT id, date(?2 * 86400, 'unixepoch'), ?3, ?4, ?5, ?6, ?7, ?8"
	    " FROM tokens WHERE id = ?1"
	    " ON CONFLICT (token_id, day) DO UPDATE SET"
	    " creates = creates + excluded.creates,"
	    " refused = refused + excluded.refused,"
	    " messages_up = messages_up + excluded.messages_up,"
	    " messages_down = messages_down + excluded.messages_down,"
	    " bytes_up = bytes_up + excluded.bytes_up,"
	    " bytes_down = bytes_down + excluded.bytes_down",
	[PS_SQL_CLOSE_LEFT_OPEN] =
	    "UPDATE sessions SET closed_at = datetime(?2, 'unixepoch'),"
	    " close_code = 1006, close_reason = 'bridge restarted'"
	    " WHERE closed_at IS NULL AND node = ?1 AND NOT EXISTS"
	    " (SELECT 1 FROM bridges AS b WHERE b.node = ?1 AND b.tag <> ?3"
	    " AND substr(id, 1, length(b.tag) + 1) = b.tag || '-')",
	[PS_SQL_OTHER_BRIDGES] =
	    "SELECT tag, socket, node = ?1 FROM bridges"
	    " WHERE (node = ?1 OR socket = ?2) AND tag <> ?3",
	[PS_SQL_FORGET_BRIDGE] = "DELETE FROM bridges WHERE tag = ?1",
	/* The last row of a node stays. */
	[PS_SQL_LEAVE_BRIDGE] =
	    "DELETE FROM bridges WHERE tag = ?1 AND EXISTS"
	    " (SELECT 1 FROM bridges AS b WHERE b.node = ?2 AND b.tag <> ?1)",
	[PS_SQL_ADD_BRIDGE] =
	    "INSERT OR REPLACE INTO bridges (tag, node, pid, socket, version, "
	    "started_at)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, datetime(?6, 'unixepoch'))",
	[PS_SQL_COUNT_COMMIT] =
	    "UPDATE bridges SET commits = commits + 1 WHERE tag = ?1",
	[PS_SQL_COMMITS] = "SELECT commits FROM bridges WHERE tag = ?1",
	[PS_SQL_PRUNE] =
	    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions"
	    " WHERE closed_at < datetime(?1, 'unixepoch') LIMIT ?2)",
	[PS_SQL_CLOSE_REQUESTS] =
	    "SELECT id FROM sessions WHERE node = ?1 AND close_requested = 1"
	    " AND closed_at IS NULL",
	[PS_SQL_USAGE] =
	    "SELECT token_id, creates, refused, messages_up, messages_down,"
	    " bytes_up, bytes_down FROM token_usage"
	    " WHERE day = date(?1 * 86400, 'unixepoch')",
	[PS_SQL_RECENT_CREATES] =
	    "SELECT t.id, CAST(strftime('%s', s.opened_at) AS INTEGER),"
	    " count(*) FROM tokens AS t JOIN sessions AS s"
	    " ON s.token_id = t.id"
	    " AND s.opened_at > datetime(?1, 'unixepoch')"
	    " GROUP BY t.id, s.opened_at",
	[PS_SQL_SESSIONS_ELSEWHERE] =
	    "SELECT token_id, count(*) FROM sessions"
	    " WHERE closed_at IS NULL AND node = ?1"
	    " AND substr(id, 1, length(?2) + 1) <> ?2 || '-'"
	    " GROUP BY token_id",
	[PS_SQL_PUT_EVENT] =
	    "INSERT INTO channel_events (channel, number, event_id, payload,"
	    " sent_at) SELECT ?1, coalesce(max(number), 0) + 1 + ?5, ?2, ?3,"
	    " ?4 FROM channel_events WHERE channel = ?1"
	    " ON CONFLICT (channel, event_id) DO NOTHING",
	[PS_SQL_CLIP_EVENTS] =
	    "DELETE FROM channel_events WHERE id IN"
	    " (SELECT id FROM channel_events WHERE channel = ?1 AND number <="
	    " (SELECT max(number) FROM channel_events WHERE channel = ?1) - ?2"
	    " ORDER BY number LIMIT ?3)",
	[PS_SQL_PRUNE_EVENTS] =
	    "DELETE FROM channel_events WHERE id IN"
	    " (SELECT id FROM channel_events WHERE sent_at < ?1 LIMIT ?2)",
	[PS_SQL_LAST_EVENT] =
	    "SELECT number, id FROM channel_events WHERE channel = ?1"
	    " ORDER BY number DESC LIMIT 1",
	[PS_SQL_EVENT_NUMBER] =
	    "SELECT number FROM channel_events WHERE channel = ?1"
	    " AND event_id = ?2 AND sent_at >= ?3",
	[PS_SQL_EVENT_BACK] =
	    "SELECT number FROM channel_events WHERE channel = ?1"
	    " ORDER BY number DESC LIMIT 1 OFFSET ?2",
	/* The plus keeps SQLite from the index of the times. */
	[PS_SQL_EVENTS] =
	    "SELECT number, event_id, payload, " MS("sent_at")
	    " FROM channel_events"
	    " WHERE channel = ?1 AND number > ?2 AND number <= ?3"
	    " AND +id <= ?4 AND +sent_at >= ?5 ORDER BY number LIMIT ?6",
	[PS_SQL_PUT_AUTHORIZATION] =
	    "INSERT INTO authorizations (socket_id, token_id, client, callback,"
	    " events, created_at, renewed_at, expires_at)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, datetime(?6, 'unixepoch'),"
	    " datetime(?7, 'unixepoch'), datetime(?8, 'unixepoch'))"
	    " ON CONFLICT (socket_id) DO UPDATE SET"
	    " callback = excluded.callback, events = excluded.events,"
	    " renewed_at = excluded.renewed_at,"
	    " expires_at = excluded.expires_at",
	[PS_SQL_DELETE_AUTHORIZATION] =
	    "DELETE FROM authorizations WHERE socket_id = ?1",
	[PS_SQL_AUTHORIZATIONS] = AUTHORIZATIONS,
	[PS_SQL_AUTHORIZATION] = AUTHORIZATIONS " WHERE socket_id = ?1",
	[PS_SQL_PUT_OUTBOX] =
	    "INSERT INTO outbox (session, number, token_id, client, callback,"
	    " body, accepted_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[PS_SQL_END_SESSION] =
	    "UPDATE sessions SET closed_at = datetime(?2, 'unixepoch')"
	    " WHERE id = ?1 AND closed_at IS NULL",
	/* Of those whose bridge has no row, and has not told of their end. */
	[PS_SQL_PUT_ORPHANS] =
	    "INSERT INTO outbox (session, number, token_id, client, callback,"
	    " body, accepted_at) SELECT s.id, ?2, s.token_id, s.subject,"
	    " a.callback, json_object('event', 'disconnected', 'session', s.id,"
	    " 'client', s.subject, 'code', 1006,"
	    " 'reason', 'bridge restarted'),"
	    " strftime('%Y-%m-%d %H:%M:%f', ?3, 'unixepoch')"
	    " FROM sessions AS s JOIN authorizations AS a"
	    " ON a.token_id = s.token_id AND a.client = s.subject"
	    " WHERE s.closed_at IS NULL AND s.kind = 'application'"
	    " AND s.node = ?1 AND a.events = 1"
	    " AND NOT " IS_ELSEWHERE("s.id", "= ?1")
	    " AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.session = s.id"
	    " AND CASE WHEN json_valid(o.body)"
	    " THEN json_extract(o.body, '$.event') END = 'disconnected')"
	    " ON CONFLICT (session, number) DO NOTHING",
	[PS_SQL_DELETE_OUTBOX] =
	    "DELETE FROM outbox WHERE session = ?1 AND number = ?2",
	[PS_SQL_FAIL_OUTBOX] =
	    "UPDATE outbox SET attempts = attempts + 1, last_error = ?3"
	    " WHERE session = ?1 AND number = ?2",
	[PS_SQL_BURY_OUTBOX] =
	    "UPDATE outbox SET attempts = attempts + 1, last_error = ?3,"
	    " state = 'dead' WHERE session = ?1 AND number = ?2",
	[PS_SQL_FAIL_LANE] =
	    "UPDATE outbox SET state = 'dead', last_error = ?2"
	    " WHERE session = ?1 AND state = 'ready'",
	[PS_SQL_READ_OUTBOX] =
	    "SELECT number, token_id, client, callback, body, attempts, "
	    MS("accepted_at") ", " MS("coalesce(retry_since, accepted_at)")
	    " FROM outbox WHERE session = ?1 AND number > ?2"
	    " AND state = 'ready' ORDER BY number LIMIT ?3",
	[PS_SQL_COUNT_OUTBOX] = "SELECT count(*) FROM outbox"
				" WHERE token_id = ?1 AND state = 'ready'",
	[PS_SQL_LANES] = LANES " AND NOT " IS_ELSEWHERE("session", "<> ?1")
			       " GROUP BY session",
	[PS_SQL_LANE] = LANES " AND NOT " IS_ELSEWHERE("session", "<> ?1")
			      " AND session = ?2 GROUP BY session",
	[PS_SQL_PRUNE_OUTBOX] =
	    "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox"
	    " WHERE state = 'dead' AND accepted_at < datetime(?1, 'unixepoch')"
	    " LIMIT ?2)",
	[PS_SQL_LAST_CHANGE] =
	    "SELECT coalesce(max(id), 0) FROM application_changes",
	[PS_SQL_NEXT_CHANGE] =
	    "SELECT id, kind, name FROM application_changes WHERE id > ?1"
	    " ORDER BY id LIMIT 1",
	[PS_SQL_FORGET_CHANGE] = "DELETE FROM application_changes"
				 " WHERE kind = 'authorization' AND name = ?1",
	[PS_SQL_PRUNE_CHANGES] =
	    "DELETE FROM application_changes WHERE id <= ?1"
	    " AND changed_at < datetime(?2, 'unixepoch')",
	[PS_SQL_NOTE_LANE] =
	    "INSERT INTO application_change VALUES ('lane', ?1)",
};
_Static_assert(sizeof(ps_sql) / sizeof(ps_sql[0]) == PS_SQL__COUNT,
    "every statement needs its text");

static int
fail(struct ps_db *db, enum ps_sql statement)
{
	int code = sqlite3_errcode(db->sqlite) & 0xff;

	snprintf(db->error, sizeof(db->error), "%s",
	    sqlite3_errmsg(db->sqlite));
	db->busy = code == SQLITE_BUSY;
	sqlite3_reset(db->statements[statement]);
	return code == SQLITE_CONSTRAINT ? PS_ERR_MALFORMED : PS_ERR_IO;
}

int
ps_sql_run(struct ps_db *db, enum ps_sql statement)
{
	sqlite3_stmt *stmt = db->statements[statement];
	int step;

	while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
		;
	if (step != SQLITE_DONE)
		return fail(db, statement);
	sqlite3_reset(stmt);
	return PS_OK;
}

int
ps_sql_each(struct ps_db *db, enum ps_sql statement,
    int (*row)(void *arg, sqlite3_stmt *stmt), void *arg)
{
	sqlite3_stmt *stmt = db->statements[statement];
	int step, ret = PS_OK;

	while ((step = sqlite3_step(stmt)) == SQLITE_ROW && ret == PS_OK)
		ret = row(arg, stmt);
	if (ret == PS_OK && step != SQLITE_DONE)
		return fail(db, statement);
	if (ret == PS_SQL_ENOUGH)
		ret = PS_OK;
	if (ret != PS_OK)
		snprintf(db->error, sizeof(db->error), "out of memory");
	db->busy = false;
	sqlite3_reset(stmt);
	return ret;
}

int
ps_sql_number_row(void *arg, sqlite3_stmt *stmt)
{
	*(int64_t *)arg = sqlite3_column_int64(stmt, 0);
	return PS_OK;
}

void
ps_sql_bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

void
ps_sql_bind_slice(sqlite3_stmt *stmt, int at, struct ps_slice text)
{
	sqlite3_bind_text(stmt, at, text.len == 0 ? "" : text.data,
	    (int)text.len, SQLITE_STATIC);
}

void
ps_sql_bind_ms(sqlite3_stmt *stmt, int at, int64_t at_ms)
{
	int64_t ms = at_ms % 1000 < 0 ? at_ms % 1000 + 1000 : at_ms % 1000;
	time_t at_s = (time_t)((at_ms - ms) / 1000);
	char text[TIME_BYTES];
	struct tm tm;
	size_t len;

	gmtime_r(&at_s, &tm);
	len = strftime(text, sizeof(text), "%F %T", &tm);
	snprintf(text + len, sizeof(text) - len, ".%03u", (unsigned)ms % 1000);
	sqlite3_bind_text(stmt, at, text, -1, SQLITE_TRANSIENT);
}

const char *
ps_sql_text(sqlite3_stmt *stmt, int at)
{
	const char *text = (const char *)sqlite3_column_text(stmt, at);

	return text == NULL ? "" : text;
}
