/*
 * The SQLite database. All SQL text of the programs is in ps_sql.c, but for
 * what makes the database (ps_schema.h). See schema/schema.sql for the tables.
 *
 * A connection belongs to one thread at a time and is opened after fork().
 * Every call may wait for the disk, or for a lock for PS_DB_BUSY_MS, so none is
 * for the bridge's loop. A call that fails puts a sentence without the path
 * into `error` of the connection.
 */
#ifndef PS_DB_H
#define PS_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "ps_policy.h"
#include "ps_socket.h"

struct sqlite3;
struct ps_db;

/* Before anything else here, and before there are threads. */
void ps_db_init(void);

/* PRAGMA application_id and user_version of a database this program reads. */
#define PS_DB_APPLICATION_ID 0x506f6c79 /* "Poly" */
#define PS_DB_VERSION 4

#define PS_DB_ERROR_MAX 256
/* An administrator who holds the write lock is waited for so long at once. */
#define PS_DB_BUSY_MS 1000

/*
 * Whether `path` is a database of this program's version. PS_ERR_IO,
 * PS_ERR_MALFORMED or PS_ERR_VERSION with a sentence in `error`
 * (PS_DB_ERROR_MAX bytes) when it is not.
 */
PS_MUST_CHECK int ps_db_check(const char *path, char *error);

/* The two halves of that, for an open database. */
PS_MUST_CHECK int ps_db_identity(struct sqlite3 *sqlite, int *id_r,
    int *version_r, char *error);
PS_MUST_CHECK int ps_db_check_identity(int id, int version, char *error);

enum ps_db_mode {
	PS_DB_READ,
	PS_DB_WRITE,
};

/* Opens a database that ps_db_check() would find good. */
PS_MUST_CHECK int ps_db_open(struct ps_db **db_r, const char *path,
    enum ps_db_mode mode, char *error);
void ps_db_close(struct ps_db *db); /* NULL is fine */

/*
 * Empties the write-ahead log into the file, if nobody reads it just now: the
 * file alone is then all of the database.
 */
void ps_db_checkpoint(struct ps_db *db);

/* Why the last call failed; whether it was for a lock that another holds. */
const char *ps_db_error(const struct ps_db *db);
bool ps_db_is_busy(const struct ps_db *db);

/* Which file it is, whatever its name; equal for the same file. */
struct ps_file_id {
	uint64_t device, inode; /* 0: none */
};
struct ps_file_id ps_db_file(const struct ps_db *db);

static inline bool
ps_file_is_same(struct ps_file_id a, struct ps_file_id b)
{
	return a.device == b.device && a.inode == b.inode;
}

/*
 * Whether the paths of the database and its write-ahead log lead to other
 * files by now, or to none.
 */
bool ps_db_was_replaced(const struct ps_db *db);
/*
 * Closes one that was replaced. What is in the write-ahead log goes to the
 * file it belongs to, and the log itself goes away where it lies beside the
 * new file still: SQLite would take it for that one's. For the one that
 * writes; NULL is fine.
 */
void ps_db_close_replaced(struct ps_db *db);

/*
 * Whether another connection has written since the last call, or it is the
 * first one. Cheap.
 */
PS_MUST_CHECK int ps_db_has_changed(struct ps_db *db, bool *changed_r);

/* The revision of the policy; the policy itself, for the caller to unref. */
PS_MUST_CHECK int ps_db_revision(struct ps_db *db, uint64_t *revision_r);
PS_MUST_CHECK int ps_db_load_policy(struct ps_db *db,
    struct ps_policy **policy_r);

/* What follows is for the one that writes: the bridge. */

enum ps_session_kind {
	PS_SESSION_RELAY,
	PS_SESSION_CHANNEL,
	PS_SESSION_APPLICATION,
	PS_SESSION_KIND__COUNT,
};

/* As in the database. */
const char *ps_session_kind_name(enum ps_session_kind kind);

/* Messages and their bytes: up is from the client, down is to it. */
struct ps_traffic {
	uint64_t messages_up, messages_down, bytes_up, bytes_down;
};

enum ps_direction {
	PS_UP,
	PS_DOWN,
};

static inline void
ps_traffic_add(struct ps_traffic *traffic, enum ps_direction direction,
    uint64_t messages, uint64_t bytes)
{
	if (direction == PS_UP) {
		traffic->messages_up += messages;
		traffic->bytes_up += bytes;
	} else {
		traffic->messages_down += messages;
		traffic->bytes_down += bytes;
	}
}

static inline void
ps_traffic_sum(struct ps_traffic *sum, const struct ps_traffic *traffic)
{
	ps_traffic_add(sum, PS_UP, traffic->messages_up, traffic->bytes_up);
	ps_traffic_add(sum, PS_DOWN, traffic->messages_down,
	    traffic->bytes_down);
}

/* A row of `sessions`. */
struct ps_session_row {
	enum ps_session_kind kind;
	int64_t token_id;
	const char *id, *node, *subject, *origin, *remote_addr, *agent;
	int64_t opened_at_s, closed_at_s; /* Unix time; closed 0: it lives */
	int close_code;
	const char *close_reason;
	struct ps_traffic traffic;
	/* `closed_at` is written with the last row of the outbox instead. */
	bool end_is_told;
};

/* What is to be added to a row of `token_usage`. */
struct ps_usage {
	int64_t token_id;
	int64_t day; /* since 1970-01-01, UTC */
	uint64_t creates, refused;
	struct ps_traffic traffic;
};

/* A row of `bridges`: who writes. */
struct ps_bridge_row {
	const char *tag, *node, *socket, *version;
	int64_t pid, started_at_s;
	bool outbox; /* the option; not in the database */
};

PS_MUST_CHECK int ps_db_begin(struct ps_db *db);
PS_MUST_CHECK int ps_db_commit(struct ps_db *db);
void ps_db_rollback(struct ps_db *db);
/* Whether transactions from now on wait for the disk, and survive a power cut;
 * between two of them. */
void ps_db_set_sync(struct ps_db *db, bool sync);
/* Rows that were written since it was opened: whether something was. */
int64_t ps_db_n_changes(const struct ps_db *db);

/* Inserts the row, or updates what can change of it. */
PS_MUST_CHECK int ps_db_put_session(struct ps_db *db,
    const struct ps_session_row *row);
/* Nothing happens where the token is gone. */
PS_MUST_CHECK int ps_db_add_usage(struct ps_db *db,
    const struct ps_usage *usage);
/*
 * A bridge takes over its node: the rows of others that are dead are deleted,
 * and those of sessions ended that nobody has who lives. All of its own are
 * among these: it puts in again what it has. Applications that want to hear of
 * the end of the others have it in the outbox.
 */
PS_MUST_CHECK int ps_db_enter(struct ps_db *db,
    const struct ps_bridge_row *row, int64_t now_s);
/* The same for others that have died since; how many live, who drain. */
PS_MUST_CHECK int ps_db_bury(struct ps_db *db,
    const struct ps_bridge_row *row, int64_t now_s, unsigned *n_others_r);
/* The bridge ends: its row stays unless there is another one of the node. */
PS_MUST_CHECK int ps_db_leave(struct ps_db *db,
    const struct ps_bridge_row *row);
/* The place of another bridge that has the same node; "" when none has. */
PS_MUST_CHECK int ps_db_find_rival(struct ps_db *db,
    const struct ps_bridge_row *row, char socket_r[PS_SOCKET_PATH_MAX]);
/* Counts a transaction of the bridge, within it; how many it counted, -1 when
 * the database does not know the bridge. */
PS_MUST_CHECK int ps_db_count_commit(struct ps_db *db, const char *tag);
PS_MUST_CHECK int ps_db_commits(struct ps_db *db, const char *tag,
    int64_t *commits_r);
/* Deletes at most `max` sessions that were closed before `before_s`. */
PS_MUST_CHECK int ps_db_prune(struct ps_db *db, int64_t before_s, int max,
    int *deleted_r);

/* What was sent to all members of a channel; borrowed for the call. */
struct ps_event {
	struct ps_slice channel, payload;
	const char *id;
	int64_t at_ms; /* Unix time */
	uint64_t n_lost; /* of the channel, between the one before and this */
};

/* An event that is there already is left as it is. */
PS_MUST_CHECK int ps_db_put_event(struct ps_db *db,
    const struct ps_event *event);
/* Deletes, of those that are not among the last `keep` of the channel, at most
 * `max`, the oldest first. */
PS_MUST_CHECK int ps_db_clip_events(struct ps_db *db, struct ps_slice channel,
    uint64_t keep, int max);
/* Deletes at most `max` events that were sent before `before_ms`. */
PS_MUST_CHECK int ps_db_prune_events(struct ps_db *db, int64_t before_ms,
    int max, int *deleted_r);

/* What comes behind `after`, up to what was the last when it was first asked. */
struct ps_event_cursor {
	int64_t after, end; /* numbers */
	int64_t end_id;	    /* the row; 0: not asked yet */
};

/*
 * The first `limit` events of a channel behind the cursor; or, where that has
 * no end yet, behind `since`; or, without that, the last `limit`. What counts
 * as kept are the last `keep` that were not sent before `before_ms`.
 */
struct ps_event_query {
	struct ps_slice channel, since;
	struct ps_event_cursor cursor;
	uint64_t keep;
	int64_t before_ms;
	uint32_t limit;
};

struct ps_event_answer {
	bool gap;  /* events are missing between where it began and its end */
	bool more; /* behind `cursor` */
	struct ps_event_cursor cursor;
};

/* Tells each, oldest first, without its channel; `found` says whether to go on.
 * In a transaction of its own. */
PS_MUST_CHECK int ps_db_read_events(struct ps_db *db,
    const struct ps_event_query *query, struct ps_event_answer *answer_r,
    bool (*found)(void *arg, const struct ps_event *event), void *arg);

/* For each live session of the node that has close_requested. */
PS_MUST_CHECK int ps_db_each_close_request(struct ps_db *db, const char *node,
    void (*found)(void *arg, const char *id), void *arg);
/* For each token that was used on `day`. */
PS_MUST_CHECK int ps_db_each_usage(struct ps_db *db, int64_t day,
    void (*found)(void *arg, const struct ps_usage *usage), void *arg);
/* For each second after `after_s` and each token that began sessions in it. */
PS_MUST_CHECK int ps_db_each_recent_create(struct ps_db *db, int64_t after_s,
    void (*found)(void *arg, int64_t token_id, int64_t second_s,
	uint64_t count),
    void *arg);
/* For each token that has live sessions in other bridges of the node. */
PS_MUST_CHECK int ps_db_each_elsewhere(struct ps_db *db,
    const struct ps_bridge_row *row,
    void (*found)(void *arg, int64_t token_id, uint64_t n_sessions),
    void *arg);

#endif
