/*
 * The outbox in the database: callbacks that were accepted and are not
 * delivered. Rows of one session are a lane, in the order of their numbers. For
 * the thread that writes, inside ps_db_begin() and ps_db_commit(), as jobs of
 * the store are; the functions that tell rows need no transaction.
 *
 * Errors are those of ps_db.h, and PS_ERR_MALFORMED where the schema refuses a
 * row.
 */
#ifndef PS_DB_OUTBOX_H
#define PS_DB_OUTBOX_H

#include "ps_db.h"

/*
 * What the `disconnected` of a session has for its number when a successor
 * puts it, since nobody knows how far that bridge had counted.
 */
#define PS_OUTBOX_ORPHAN_NUMBER UINT64_C(1000000000000)

/* A row of `outbox`; borrowed for the call. Times are Unix times. */
struct ps_outbox_row {
	const char *session; /* its name */
	uint64_t number;     /* counts those of the session, from 1 */
	int64_t token_id;
	const char *client, *callback;
	struct ps_slice body;
	bool is_last;         /* it tells that the session is over */
	uint32_t attempts;    /* that failed; not for putting */
	int64_t accepted_at_ms;
	int64_t retry_since_ms; /* attempts count from then; not for putting */
};

/* Which row. */
struct ps_outbox_key {
	const char *session;
	uint64_t number;
};

/* The ready rows of a session, of which there is one at least; borrowed. */
struct ps_outbox_lane {
	const char *session;
	int64_t token_id;
	const char *client;
	uint64_t first_number, last_number, count;
};

/* The last one ends its session, too: a successor does not tell it again. */
PS_MUST_CHECK int ps_db_put_outbox(struct ps_db *db,
    const struct ps_outbox_row *row);
/* Those that are not there are passed over. */
PS_MUST_CHECK int ps_db_delete_outbox(struct ps_db *db,
    const struct ps_outbox_key *keys, size_t count);
/* An attempt has failed for this reason, which is not empty; with `dead` it was
 * the last. */
PS_MUST_CHECK int ps_db_fail_outbox(struct ps_db *db,
    const struct ps_outbox_key *key, const char *error, bool dead);
/* All ready rows of a session are dead for such a reason. */
PS_MUST_CHECK int ps_db_fail_lane(struct ps_db *db, const char *session,
    const char *error);

/*
 * Tells the first `limit` ready rows of a session with numbers above `after`,
 * in their order; no more once their bodies have `max_bytes`, but one at
 * least. `found` says whether to go on: PS_OK or PS_ERR_NOMEM.
 */
PS_MUST_CHECK int ps_db_read_outbox(struct ps_db *db, const char *session,
    uint64_t after, uint32_t limit, size_t max_bytes,
    int (*found)(void *arg, const struct ps_outbox_row *row), void *arg);
/* The ready rows of a token; looks at all rows there are. */
PS_MUST_CHECK int ps_db_count_outbox(struct ps_db *db, int64_t token_id,
    uint64_t *count_r);
/* For each lane that is not that of a bridge of another node. */
PS_MUST_CHECK int ps_db_each_lane(struct ps_db *db, const char *node,
    void (*found)(void *arg, const struct ps_outbox_lane *lane), void *arg);
/* The same for that of this session, if there is one. */
PS_MUST_CHECK int ps_db_find_lane(struct ps_db *db, const char *node,
    const char *session,
    void (*found)(void *arg, const struct ps_outbox_lane *lane), void *arg);
/* Deletes at most `max` dead rows that were accepted before `before_s`. */
PS_MUST_CHECK int ps_db_prune_outbox(struct ps_db *db, int64_t before_s,
    int max, int *deleted_r);

#endif
