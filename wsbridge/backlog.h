/*
 * Records that are to be written to the database: from the loop, which puts
 * them, to the store's thread, which takes them in batches and gives back what
 * it could not write.
 *
 * Bounded while the database cannot be written: at most `max_unwritten` of
 * them, then the oldest are lost and counted. A database that is well may be
 * behind by more for a moment, as when thousands of sessions end at once.
 */
#ifndef BACKLOG_H
#define BACKLOG_H

#include <pthread.h>
#include <sys/queue.h>

#include "ps_db.h"
#include "ps_limits.h"

/* A record owns its texts. */
struct record {
	STAILQ_ENTRY(record) next;
	bool is_session; /* or usage */
	struct ps_usage usage;
	struct ps_session_row row;
	char reason[PS_CLOSE_REASON_MAX + 1];
	char texts[];
};

/*
 * The last record of a session, which is amended where it still waits: many
 * sessions begin and end before the thread comes. All zero is none.
 */
struct backlog_ticket {
	struct record *record; /* not to be looked at but in its turn */
	uint64_t turn;
};

STAILQ_HEAD(record_list, record);

struct backlog_status {
	uint64_t waiting; /* those in the hands of the thread too */
	uint64_t written, lost;
};

struct backlog {
	pthread_mutex_t mutex; /* of all that follows */
	struct record_list records; /* oldest first */
	uint64_t n_records, n_taken;
	uint64_t max_unwritten;
	uint64_t written, lost;
	bool failing;
	uint64_t turn; /* changes whenever a record leaves the list */
	uint64_t progress_ms; /* when it last was empty, or a batch written */
};

void backlog_init(struct backlog *backlog, uint64_t max_unwritten);
void backlog_deinit(struct backlog *backlog);
void backlog_set_max(struct backlog *backlog, uint64_t max_unwritten);
/* Whether the database is known to be unwritable. */
void backlog_set_failing(struct backlog *backlog, bool failing);

/*
 * What is put is copied; out of memory, it is lost. The reason has at most
 * PS_CLOSE_REASON_MAX bytes. The ticket is that of the session, from the first
 * call on.
 */
void backlog_put_session(struct backlog *backlog,
    const struct ps_session_row *row, struct backlog_ticket *ticket);
void backlog_put_usage(struct backlog *backlog, const struct ps_usage *usage);

/* The oldest, at most `max`; then one of the two below. */
void backlog_take(struct backlog *backlog, uint64_t max,
    struct record_list *batch_r);
void backlog_written(struct backlog *backlog, struct record_list *batch);
void backlog_put_back(struct backlog *backlog, struct record_list *batch);

struct backlog_status backlog_status(struct backlog *backlog);

#endif
