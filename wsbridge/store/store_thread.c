/* The thread: what is done when, and what follows from a failure. */
#include "config.h"

#include "store_thread.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ps_clock.h"
#include "ps_log.h"

/* An administrator may hold the lock this long before it counts as failing. */
#define PATIENCE_MS 10000
/* Between two attempts while failing. */
#define RETRY_MS 1000
/* Enough for the loop to go first, not so much that records pile up. */
#define NICE 10
/* Between two complaints about events that are lost. */
#define EVENT_LOSS_PERIOD_MS 60000

/* Opens the file that is there now. */
static int
open_again(struct store *store, char *error)
{
	ps_db_close_replaced(store->db);
	store->db = NULL;
	store->is_new = store->is_unseen = true;
	return ps_db_open(&store->db, store->path, PS_DB_WRITE, error);
}

static int
greet(struct store *store)
{
	if (ps_file_is_same(ps_db_file(store->db), store->file))
		return PS_OK;
	return store_enter_anew(store);
}

/* What is done each STORE_PERIOD_MS. */
static int
work_through(struct store *store)
{
	int ret = store_look_for_changes(store);

	if (ret == PS_OK)
		ret = store_write_waiting(store);
	if (ret == PS_OK)
		ret = store_look_at_others(store);
	if (ret == PS_OK)
		ret = store_prune(store);
	return ret;
}

static int
work(struct store *store, bool all, char *error)
{
	int ret;

	if ((store->db == NULL || ps_db_was_replaced(store->db)) &&
	    (ret = open_again(store, error)) != PS_OK)
		return ret;
	if ((ret = greet(store)) == PS_OK)
		ret = store_do_jobs(store);
	if (ret == PS_OK && all)
		ret = work_through(store);
	if (ret != PS_OK)
		snprintf(error, PS_DB_ERROR_MAX, "%s",
		    ps_db_error(store->db));
	return ret;
}

static void
set_failing(struct store *store, bool failing)
{
	backlog_set_failing(&store->backlog, failing);
	pthread_mutex_lock(&store->thread.mutex);
	store->failing = failing;
	if (failing)
		store->failures++;
	pthread_mutex_unlock(&store->thread.mutex);
}

static void
on_failure(struct store *store, const char *error)
{
	uint64_t now_ms = ps_clock_ms();

	if (store->failing_since_ms == 0)
		store->failing_since_ms = now_ms;
	/* An administrator's transaction is nothing to complain about. */
	if (store->db != NULL && ps_db_is_busy(store->db) &&
	    now_ms - store->failing_since_ms < PATIENCE_MS)
		return;
	store_expire_jobs(store, STORE_JOB_PATIENCE_MS);
	set_failing(store, true);
	store_fail_readings(store);
	if (!store->told_failure)
		ps_error("store: database %s: %s; records wait in memory",
		    store->path, error);
	store->told_failure = true;
	if (store->db != NULL && !ps_db_is_busy(store->db)) {
		ps_db_close(store->db);
		store->db = NULL;
	}
}

static void
on_success(struct store *store)
{
	if (store->told_failure)
		ps_info("store: the database can be written again");
	if (store->failing_since_ms != 0)
		set_failing(store, false);
	/* What was lost may have been the end of a session, whose row would be
	 * open for ever: all of them are ended, and those that live say so. */
	if (store->told_loss && store_enter_anew(store) == PS_OK)
		store->told_loss = false;
	store->told_failure = false;
	store->failing_since_ms = 0;
}

/* Once a failure; how many they are is among the figures. */
static void
tell_losses(struct store *store)
{
	struct backlog_status records = backlog_status(&store->backlog);
	uint64_t lost = records.lost - records.lost_events;
	uint64_t now_ms = ps_clock_ms();

	if (records.lost_events != store->told_lost_events &&
	    now_ms >= store->tell_lost_events_ms) {
		ps_error("store: more events of channels wait than may, the "
			 "oldest will be missing from the history");
		store->tell_lost_events_ms = now_ms + EVENT_LOSS_PERIOD_MS;
	}
	store->told_lost_events = records.lost_events;
	if (lost == store->told_lost)
		return;
	store->told_lost = lost;
	if (!store->told_loss)
		ps_error("store: more than max_unwritten records wait, the "
			 "oldest are lost");
	store->told_loss = true;
}

static void
free_dropped(struct store *store)
{
	struct ps_policy *policy;

	pthread_mutex_lock(&store->thread.mutex);
	policy = store->dropped;
	store->dropped = NULL;
	pthread_mutex_unlock(&store->thread.mutex);
	ps_policy_unref(policy);
}

/* What is due; of all that is due each period, jobs and readings do not wait
 * for it. */
static void
cycle(struct store *store, bool all)
{
	char error[PS_DB_ERROR_MAX];
	int ret;

	free_dropped(store);
	if (all)
		store_look_at_expiry(store);
	if ((ret = work(store, all, error)) != PS_OK)
		on_failure(store, error);
	else if (all)
		on_success(store);
	if (all || ret != PS_OK)
		store->cycle_at_ms = ps_clock_ms() +
		    (store->db == NULL ? RETRY_MS : STORE_PERIOD_MS);
	tell_losses(store);
}

/* What came last; whoever holds the lock meanwhile is waited for. */
static void
finish(struct store *store)
{
	const struct ps_bridge_row row = store_bridge_row(store);
	uint64_t deadline_ms = ps_clock_ms() + PATIENCE_MS;

	do {
		store->cycle_at_ms = UINT64_MAX; /* for all jobs */
		cycle(store, true);
	} while (store->failing_since_ms != 0 && store->db != NULL &&
	    ps_db_is_busy(store->db) && ps_clock_ms() < deadline_ms);
	/* What fails here is done by a successor. */
	if (store->db != NULL && store->failing_since_ms == 0)
		(void)!ps_db_leave(store->db, &row);
}

/* 0: it is time for all. */
static uint64_t
time_left_ms(const struct store *store)
{
	uint64_t now_ms = ps_clock_ms();

	return now_ms < store->cycle_at_ms ? store->cycle_at_ms - now_ms : 0;
}

void *
store_run(void *arg)
{
	struct store *store = arg;
	bool all;

	/* The loop goes first; records can wait. But not where users wait for
	 * the outbox: one who is nice cannot cease to be. */
	if (!store->is_waited_for)
		setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	/* All was looked at before there was a thread. */
	store->cycle_at_ms = ps_clock_ms() + STORE_PERIOD_MS;
	while (ps_thread_wait(&store->thread, time_left_ms(store))) {
		all = time_left_ms(store) == 0 ||
		    backlog_has_readings(&store->backlog);
		/* What failed is not tried anew for each job that comes; and
		 * one may have come in time for those that were done. */
		if (all || (store->failing_since_ms == 0 &&
			       jobs_are_waiting(&store->jobs)))
			cycle(store, all);
	}
	finish(store);
	if (store->db != NULL)
		ps_db_checkpoint(store->db);
	return NULL;
}
