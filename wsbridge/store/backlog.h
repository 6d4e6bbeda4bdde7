/*
 * What the store's thread is to do, in the order in which the loop asked for
 * it: records that are to be written, which it takes in batches and gives back
 * when it could not write them, and readings, before which all that was put
 * earlier is written, and nothing else.
 *
 * Bounded while the database cannot be written: at most `max_unwritten`
 * records, then the oldest are lost and counted. A database that is well may be
 * behind by more for a moment, as when thousands of sessions end at once. The
 * events of channels have two bounds at any time: of one channel no more than
 * are kept, since older ones would be deleted at once, and BACKLOG_EVENT_BYTES
 * in all.
 */
#ifndef BACKLOG_H
#define BACKLOG_H

#include <pthread.h>
#include <sys/queue.h>

#include "ps_db.h"
#include "ps_limits.h"
#include "record_head.h"
#include "unwritten.h"

/* Of events that wait: what a disk takes in some seconds at worst. */
#define BACKLOG_EVENT_BYTES (64 * 1024 * 1024)

/* These own their texts; so does an event_record. */
struct session_record {
	struct record record; /* first */
	struct ps_session_row row;
	char reason[PS_CLOSE_REASON_MAX + 1];
	char texts[];
};

struct usage_record {
	struct record record; /* first */
	struct ps_usage usage;
};

/*
 * The last record of a session, which is amended where it still waits: many
 * sessions begin and end before the thread comes. All zero is none.
 */
struct backlog_ticket {
	struct session_record *record; /* not to be looked at but in its turn */
	uint64_t turn;
};

/* A reading, see reading.h, while the thread has not come to it. */
struct waiting_reading {
	TAILQ_ENTRY(waiting_reading) next;
	bool waits;
	uint64_t behind; /* the record of this number */
};

TAILQ_HEAD(waiting_reading_list, waiting_reading);

struct backlog_status {
	uint64_t waiting; /* those in the hands of the thread too */
	uint64_t written;
	uint64_t lost, lost_events; /* the latter are among the former */
};

struct backlog {
	pthread_mutex_t mutex; /* of all that follows */
	struct record_list records; /* oldest first */
	uint64_t n_records, n_taken;
	uint64_t n_put; /* number of the newest */
	struct waiting_reading_list readings; /* oldest first */
	uint64_t max_unwritten;
	uint64_t written, lost, lost_events;
	bool failing;
	uint64_t turn; /* changes whenever a session's record leaves the list */
	uint64_t progress_ms; /* when it last was empty, or a batch written */

	struct unwritten events;
};

/* False when memory is out. */
PS_MUST_CHECK bool backlog_init(struct backlog *backlog,
    uint64_t max_unwritten);
void backlog_deinit(struct backlog *backlog);
void backlog_set_max(struct backlog *backlog, uint64_t max_unwritten);
/* How many events of a channel are kept. */
void backlog_set_keep(struct backlog *backlog, uint64_t keep_events);
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
/* `n_lost` is not looked at but counted here. */
void backlog_put_event(struct backlog *backlog, const struct ps_event *event);

/* It stays the caller's. */
void backlog_put_reading(struct backlog *backlog,
    struct waiting_reading *reading);
/* Takes it back; false when it does not wait here any more. */
bool backlog_withdraw(struct backlog *backlog,
    struct waiting_reading *reading);

/*
 * The oldest, at most `max`, of those in front of the next reading; then one of
 * the two below. Tells how many they are.
 */
uint64_t backlog_take(struct backlog *backlog, uint64_t max,
    struct record_list *batch_r);
void backlog_written(struct backlog *backlog, struct record_list *batch);
void backlog_put_back(struct backlog *backlog, struct record_list *batch);
bool backlog_has_readings(struct backlog *backlog);
/* The next, if nothing is to be written before it, or else NULL. */
struct waiting_reading *backlog_take_reading(struct backlog *backlog);
/* The next, whatever waits in front of it. */
struct waiting_reading *backlog_drop_reading(struct backlog *backlog);

struct backlog_status backlog_status(struct backlog *backlog);

#endif
