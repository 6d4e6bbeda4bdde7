/* Records, what is read behind them, and what is no longer to be kept. */
#include "config.h"

#include "store_thread.h"

#include <time.h>

#include "ps_clock.h"
#include "ps_db_changes.h"

/* Records in one transaction: an administrator waits no longer for the lock. */
#define BATCH 1000
/* Pruned at once. */
#define PRUNE_ROWS 500
/* Bridges that are well have read a change by then. */
#define CHANGES_S 60
/* Of one channel: more than a transaction writes. */
#define CLIP_EVENTS (2 * BATCH)
/* Whoever asks for more in a row lets others go first. */
#define READINGS_AT_ONCE 256
/* Later than any time of an event. */
#define NEVER_MS INT64_C(253402300799999)

/* What is kept of each channel at the moment. */
struct keep {
	uint64_t events; /* 0: none */
	int64_t before_ms; /* what was sent earlier is not */
};

static struct keep
keep_now(struct store *store)
{
	struct keep keep = { 0, NEVER_MS };

	pthread_mutex_lock(&store->thread.mutex);
	if (store->keep_events > 0 && store->keep_events_ms > 0) {
		keep.events = store->keep_events;
		keep.before_ms = ps_clock_unix_ms() -
		    (int64_t)store->keep_events_ms;
	}
	pthread_mutex_unlock(&store->thread.mutex);
	return keep;
}

static int
write_event(struct store *store, const struct event_record *record,
    const struct keep *keep)
{
	int ret;

	if (keep->events == 0) /* any more */
		return PS_OK;
	ret = ps_db_put_event(store->db, &record->event);
	if (ret == PS_OK && event_record_is_last(record))
		ret = ps_db_clip_events(store->db, record->event.channel,
		    keep->events, CLIP_EVENTS);
	return ret;
}

static int
write_record(struct store *store, const struct record *record,
    const struct keep *keep)
{
	switch (record->kind) {
	case RECORD_SESSION:
		return ps_db_put_session(store->db,
		    &((const struct session_record *)record)->row);
	case RECORD_USAGE:
		return ps_db_add_usage(store->db,
		    &((const struct usage_record *)record)->usage);
	case RECORD_EVENT:
		return write_event(store, (const struct event_record *)record,
		    keep);
	}
	return PS_OK;
}

/* As many old events go as new ones come, and one more: the table never holds
 * more than it did when it was at its largest. */
static int
write_records(struct store *store, const struct record_list *batch)
{
	const struct keep keep = keep_now(store);
	const struct record *record;
	int n_events = 0, deleted, ret = PS_OK;

	TAILQ_FOREACH(record, batch, next) {
		if ((ret = write_record(store, record, &keep)) != PS_OK)
			return ret;
		n_events += record->kind == RECORD_EVENT;
	}
	if (n_events > 0)
		ret = ps_db_prune_events(store->db, keep.before_ms,
		    n_events + 1, &deleted);
	return ret;
}

static int
write_transaction(struct store *store, const struct record_list *batch)
{
	int ret = ps_db_begin(store->db);

	if (ret != PS_OK)
		return ret;
	if ((ret = write_records(store, batch)) == PS_OK &&
	    (ret = ps_db_count_commit(store->db, store->tag)) == PS_OK)
		ret = ps_db_commit(store->db);
	if (ret != PS_OK)
		ps_db_rollback(store->db);
	else
		store->commits++;
	return ret;
}

/*
 * One transaction; its records are forgotten once it is committed. None when
 * there are no records, unless `must_try`.
 */
static int
write_batch(struct store *store, bool must_try, uint64_t *n_r)
{
	struct record_list batch;
	int ret;

	*n_r = backlog_take(&store->backlog, BATCH, &batch);
	if (*n_r == 0 && !must_try)
		return PS_OK;
	if ((ret = write_transaction(store, &batch)) == PS_OK)
		backlog_written(&store->backlog, &batch);
	else
		backlog_put_back(&store->backlog, &batch);
	return ret;
}

static void
post_reading(struct store *store, struct reading *reading)
{
	reading_box_put(&store->readings, reading);
	uv_async_send(&store->async);
}

bool
store_fail_readings(struct store *store)
{
	struct waiting_reading *waiting;
	bool any = false;

	while ((waiting = backlog_drop_reading(&store->backlog)) != NULL) {
		struct reading *reading = (struct reading *)waiting;

		reading->result.failed = any = true;
		post_reading(store, reading);
	}
	return any;
}

/* All before which nothing is to be written. */
static int
read_waiting(struct store *store)
{
	struct reading *reading;
	struct keep keep;
	int ret = PS_OK, i;

	for (i = 0; i < READINGS_AT_ONCE && ret == PS_OK; i++) {
		if (reading_box_is_full(&store->readings))
			return PS_OK; /* the loop will wake us */
		reading = (struct reading *)backlog_take_reading(
		    &store->backlog);
		if (reading == NULL)
			return PS_OK;
		keep = keep_now(store);
		reading->query.keep = keep.events;
		reading->query.before_ms = keep.before_ms;
		ret = reading_run(reading, store->db);
		post_reading(store, reading);
	}
	ps_thread_wake(&store->thread); /* to go on with the rest */
	return ret;
}

int
store_write_waiting(struct store *store)
{
	uint64_t left = backlog_status(&store->backlog).waiting, n = 1;
	/* After a failure even nothing is written, to see whether it can be. */
	bool must_try = store->failing_since_ms != 0;
	int ret = read_waiting(store);

	while (ret == PS_OK && (must_try || left > 0) && n > 0) {
		ret = write_batch(store, must_try, &n);
		left -= left < n ? left : n;
		must_try = false;
		if (ret == PS_OK)
			ret = store_look_for_changes(store);
		if (ret == PS_OK)
			ret = read_waiting(store);
	}
	return ret;
}

/* What is over since before then is not kept. */
static int64_t
keep_after_s(struct store *store)
{
	uint64_t keep_ms;

	pthread_mutex_lock(&store->thread.mutex);
	keep_ms = store->keep_ms;
	pthread_mutex_unlock(&store->thread.mutex);
	return time(NULL) - (int64_t)(keep_ms / 1000);
}

static int
prune_sessions(struct store *store)
{
	uint64_t now_ms = ps_clock_ms();
	int deleted, ret;

	if (now_ms < store->prune_at_ms)
		return PS_OK;
	ret = ps_db_prune(store->db, keep_after_s(store), PRUNE_ROWS,
	    &deleted);
	if (ret == PS_OK && deleted < PRUNE_ROWS)
		store->prune_at_ms = now_ms + PRUNE_PERIOD_MS;
	return ret;
}

/* What nobody writes to, and what is not to be kept any more. */
static int
prune_events(struct store *store)
{
	uint64_t now_ms = ps_clock_ms();
	int deleted, ret;

	if (now_ms < store->prune_events_at_ms)
		return PS_OK;
	ret = ps_db_prune_events(store->db, keep_now(store).before_ms,
	    PRUNE_ROWS, &deleted);
	if (ret == PS_OK && deleted < PRUNE_ROWS)
		store->prune_events_at_ms = now_ms + PRUNE_PERIOD_MS;
	return ret;
}

/* What is dead, and what all bridges have read of changes. */
static int
prune_applications(struct store *store)
{
	uint64_t now_ms = ps_clock_ms();
	int deleted, ret;

	if (now_ms < store->prune_outbox_at_ms)
		return PS_OK;
	ret = ps_db_prune_outbox(store->db, keep_after_s(store), PRUNE_ROWS,
	    &deleted);
	if (ret == PS_OK)
		ret = ps_db_prune_changes(store->db, store->change,
		    time(NULL) - CHANGES_S);
	if (ret == PS_OK && deleted < PRUNE_ROWS)
		store->prune_outbox_at_ms = now_ms + PRUNE_PERIOD_MS;
	return ret;
}

int
store_prune(struct store *store)
{
	int ret;

	if ((ret = prune_sessions(store)) != PS_OK ||
	    (ret = prune_events(store)) != PS_OK)
		return ret;
	return prune_applications(store);
}
