#include "config.h"

#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ps_clock.h"
#include "ps_log.h"
#include "ps_thread.h"
#include "reading.h"

/* Records in one transaction: an administrator waits no longer for the lock. */
#define BATCH 1000
/* Jobs in one. */
#define JOBS_BATCH 1000
/* An administrator may hold the lock this long before it counts as failing. */
#define PATIENCE_MS 10000
#define DAY_S 86400
/* Between two attempts while failing. */
#define RETRY_MS 1000
/* Enough for the loop to go first, not so much that records pile up. */
#define NICE 10
/* Pruning: how often, how many rows at once, and how soon the next ones. */
#define PRUNE_PERIOD_MS 60000
#define PRUNE_ROWS 500
/* Looks at another bridge of the node, whether it lives and what it uses. */
#define OTHERS_PERIOD_MS 1000
/* Of one channel: more than a transaction writes. */
#define CLIP_EVENTS (2 * BATCH)
/* Whoever asks for more in a row lets others go first. */
#define READINGS_AT_ONCE 256
/* Between two complaints about events that are lost. */
#define EVENT_LOSS_PERIOD_MS 60000
/* Later than any time of an event. */
#define NEVER_MS INT64_C(253402300799999)
/* Close requests told in one turn of the loop. */
#define REQUESTS_BATCH 128

struct request {
	STAILQ_ENTRY(request) next;
	char id[]; /* of a session that is to be closed */
};

STAILQ_HEAD(request_list, request);

/* What others have in use, as it is collected. */
struct uses {
	size_t count, capacity;
	struct store_use items[];
};

struct store {
	const struct store_ops *ops;
	void *owner;
	uv_async_t async; /* wakes the loop for what is in `mail` */
	struct ps_thread thread;
	struct backlog backlog; /* from the loop; has a mutex of its own */
	struct reading_box readings; /* to the loop; this as well */
	struct jobs jobs; /* both ways; this as well */

	/* Guarded by the mutex of `thread`. */
	uint64_t keep_ms, keep_events, keep_events_ms;
	struct ps_policy *dropped; /* that the loop needs no more */
	bool failing, sync_jobs;
	uint64_t failures;
	struct {
		bool policy, replaced;
		struct ps_policy *next; /* NULL: look at the same again */
		struct request_list requests;
		struct uses *elsewhere; /* the latest, or NULL */
	} mail; /* for the loop */

	/* The thread's own. */
	char *path, *node, *tag, *socket;
	int64_t started_at_s;
	bool has_outbox;
	struct ps_db *db; /* NULL: not open */
	struct ps_file_id file; /* that knows what lives */
	int64_t commits;	/* as it must have counted them */
	bool is_new;	/* just opened: nothing of it was looked at */
	bool has_others; /* bridges of the node */
	bool is_unseen; /* something changed and was not looked at */
	struct ps_policy *policy; /* that was told last */
	int64_t next_expiry_s;	  /* of its tokens */
	uint64_t cycle_at_ms; /* when more is due than jobs */
	uint64_t prune_at_ms, prune_events_at_ms, others_at_ms;
	uint64_t failing_since_ms; /* 0: all is well */
	bool told_failure; /* in the log */
	uint64_t told_lost, told_lost_events;
	uint64_t tell_lost_events_ms;
	bool told_loss;
};

/* From the loop. */

void
store_put_session(struct store *store, const struct ps_session_row *row,
    struct backlog_ticket *ticket)
{
	if (store != NULL)
		backlog_put_session(&store->backlog, row, ticket);
}

void
store_add_usage(struct store *store, const struct ps_usage *usage)
{
	if (store != NULL)
		backlog_put_usage(&store->backlog, usage);
}

void
store_put_event(struct store *store, const struct ps_event *event)
{
	if (store != NULL)
		backlog_put_event(&store->backlog, event);
}

void
store_read(struct store *store, struct reading *reading)
{
	backlog_put_reading(&store->backlog, &reading->waiting);
	ps_thread_wake(&store->thread);
}

bool
store_withdraw(struct store *store, struct reading *reading)
{
	return store != NULL &&
	    backlog_withdraw(&store->backlog, &reading->waiting);
}

bool
store_do(struct store *store, struct store_job *job)
{
	if (store == NULL || !jobs_put(&store->jobs, job))
		return false;
	ps_thread_wake(&store->thread);
	return true;
}

bool
store_take_back(struct store *store, struct store_job *job)
{
	return store != NULL && jobs_take_back(&store->jobs, job);
}

void
store_drop_policy(struct store *store, struct ps_policy *policy)
{
	struct ps_policy *last = policy;

	if (store != NULL) {
		pthread_mutex_lock(&store->thread.mutex);
		last = store->dropped;
		store->dropped = policy;
		pthread_mutex_unlock(&store->thread.mutex);
	}
	ps_policy_unref(last);
}

struct store_status
store_status(struct store *store)
{
	struct store_status status = { 0 };
	struct backlog_status records;

	if (store == NULL)
		return status;
	records = backlog_status(&store->backlog);
	status.waiting = records.waiting;
	status.written = records.written;
	status.lost = records.lost;
	pthread_mutex_lock(&store->thread.mutex);
	status.failing = store->failing;
	status.failures = store->failures;
	pthread_mutex_unlock(&store->thread.mutex);
	return status;
}

void
store_configure(struct store *store, const struct ps_config *config)
{
	backlog_set_max(&store->backlog, config->max_unwritten);
	pthread_mutex_lock(&store->thread.mutex);
	store->keep_ms = config->keep_sessions;
	store->keep_events = config->history_events;
	store->keep_events_ms = config->history_age;
	store->sync_jobs = config->outbox_sync;
	pthread_mutex_unlock(&store->thread.mutex);
	backlog_set_keep(&store->backlog, config->history_events);
}

static void
tell_requests(struct store *store, struct request_list *requests)
{
	struct request *request;
	size_t i;

	for (i = 0; i < REQUESTS_BATCH &&
	     (request = STAILQ_FIRST(requests)) != NULL;
	     i++) {
		STAILQ_REMOVE_HEAD(requests, next);
		store->ops->close_request(store->owner, request->id);
		free(request);
	}
}

/* Tells what is in the mail; many close requests in several turns. */
static void
on_mail(uv_async_t *async)
{
	struct store *store = async->data;
	struct request_list requests = STAILQ_HEAD_INITIALIZER(requests);
	struct ps_policy *next;
	struct uses *elsewhere;
	bool policy, replaced;

	pthread_mutex_lock(&store->thread.mutex);
	policy = store->mail.policy;
	replaced = store->mail.replaced;
	next = store->mail.next;
	elsewhere = store->mail.elsewhere;
	store->mail.policy = store->mail.replaced = false;
	store->mail.next = NULL;
	store->mail.elsewhere = NULL;
	STAILQ_CONCAT(&requests, &store->mail.requests);
	pthread_mutex_unlock(&store->thread.mutex);
	if (replaced)
		store->ops->replaced(store->owner);
	if (policy)
		store->ops->policy(store->owner, next);
	if (elsewhere != NULL)
		store->ops->elsewhere(store->owner, elsewhere->items,
		    elsewhere->count);
	free(elsewhere);
	if (jobs_tell(&store->jobs))
		uv_async_send(&store->async);
	if (reading_box_tell(&store->readings))
		uv_async_send(&store->async);
	if (reading_box_has_room_again(&store->readings))
		ps_thread_wake(&store->thread);
	tell_requests(store, &requests);
	if (STAILQ_EMPTY(&requests))
		return;
	pthread_mutex_lock(&store->thread.mutex);
	STAILQ_CONCAT(&requests, &store->mail.requests);
	STAILQ_CONCAT(&store->mail.requests, &requests);
	pthread_mutex_unlock(&store->thread.mutex);
	uv_async_send(&store->async);
}

/* In the thread. */

/* A policy is handed over, or NULL to have the present one looked at again. */
static void
post_policy(struct store *store, struct ps_policy *policy)
{
	struct ps_policy *old = NULL;

	pthread_mutex_lock(&store->thread.mutex);
	store->mail.policy = true;
	if (policy != NULL) {
		old = store->mail.next;
		store->mail.next = policy;
	}
	pthread_mutex_unlock(&store->thread.mutex);
	ps_policy_unref(old);
	uv_async_send(&store->async);
}

static void
post_replaced(struct store *store)
{
	pthread_mutex_lock(&store->thread.mutex);
	store->mail.replaced = true;
	pthread_mutex_unlock(&store->thread.mutex);
	uv_async_send(&store->async);
}

static void
post_close_request(void *arg, const char *id)
{
	struct store *store = arg;
	size_t size = strlen(id) + 1;
	struct request *request = malloc(sizeof(*request) + size);

	if (request == NULL)
		return;
	memcpy(request->id, id, size);
	pthread_mutex_lock(&store->thread.mutex);
	STAILQ_INSERT_TAIL(&store->mail.requests, request, next);
	pthread_mutex_unlock(&store->thread.mutex);
	uv_async_send(&store->async);
}

static struct ps_bridge_row
bridge_row(const struct store *store)
{
	return (struct ps_bridge_row){ store->tag, store->node, store->socket,
		PACKAGE_VERSION, getpid(), store->started_at_s,
		store->has_outbox };
}

/* Nothing that lives is known to a database that replaced another. */
static int
enter(struct store *store)
{
	const struct ps_bridge_row row = bridge_row(store);
	int ret = ps_db_enter(store->db, &row, time(NULL));

	if (ret != PS_OK)
		return ret;
	store->file = ps_db_file(store->db);
	store->commits = 0;
	return PS_OK;
}

static int
enter_anew(struct store *store)
{
	int ret = enter(store);

	if (ret == PS_OK)
		post_replaced(store);
	return ret;
}

/* Reads the policy; the reference is for the loop. */
static int
load_policy(struct store *store, struct ps_policy **policy_r)
{
	int ret = ps_db_load_policy(store->db, policy_r);

	if (ret != PS_OK)
		return ret;
	ps_policy_unref(store->policy);
	store->policy = ps_policy_ref(*policy_r);
	store->next_expiry_s =
	    ps_policy_next_expiry_s(store->policy, time(NULL));
	return PS_OK;
}

static int
look_at_policy(struct store *store)
{
	struct ps_policy *policy;
	uint64_t revision;
	int ret;

	if ((ret = ps_db_revision(store->db, &revision)) != PS_OK)
		return ret;
	if (!store->is_new && revision == ps_policy_revision(store->policy))
		return PS_OK;
	if ((ret = load_policy(store, &policy)) != PS_OK)
		return ret;
	store->is_new = false;
	post_policy(store, policy);
	return PS_OK;
}

/* A backup was restored into the file: what lives is to be written again. */
static int
look_at_commits(struct store *store)
{
	int64_t commits;
	int ret = ps_db_commits(store->db, store->tag, &commits);

	if (ret != PS_OK || commits == store->commits)
		return ret;
	store->is_new = true;
	return enter_anew(store);
}

/* What the administrator did since the last look. */
static int
look_for_changes(struct store *store)
{
	bool changed;
	int ret;

	if ((ret = ps_db_has_changed(store->db, &changed)) != PS_OK)
		return ret;
	store->is_unseen = store->is_unseen || changed;
	/* It may have been a successor that came. */
	if (changed && !store->has_others)
		store->others_at_ms = 0;
	if (!store->is_unseen)
		return PS_OK;
	if ((ret = look_at_commits(store)) == PS_OK &&
	    (ret = look_at_policy(store)) == PS_OK)
		ret = ps_db_each_close_request(store->db, store->node,
		    post_close_request, store);
	store->is_unseen = ret != PS_OK;
	return ret;
}

static void
look_at_expiry(struct store *store)
{
	int64_t now_s = time(NULL);

	if (now_s < store->next_expiry_s)
		return;
	store->next_expiry_s = ps_policy_next_expiry_s(store->policy, now_s);
	post_policy(store, NULL);
}

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

/* One whose own fault it is that it failed is passed over from then on. */
static int
run_jobs(struct store *store, struct store_job_list *batch)
{
	struct store_job *job;
	int ret;

	TAILQ_FOREACH(job, batch, next) {
		if (job->ret != PS_OK)
			continue;
		ret = job->run(job, store->db);
		if (ret != PS_OK && ret != PS_ERR_IO)
			job->ret = ret;
		if (ret != PS_OK)
			return ret;
	}
	return PS_OK;
}

/* A transaction in which nothing was written does not count. */
static int
commit_jobs(struct store *store, bool has_written)
{
	if ((has_written &&
		ps_db_count_commit(store->db, store->tag) != PS_OK) ||
	    ps_db_commit(store->db) != PS_OK)
		return PS_ERR_IO;
	store->commits += has_written;
	return PS_OK;
}

/* PS_ERR_IO, or what one of them is at fault with. */
static int
try_jobs(struct store *store, struct store_job_list *batch)
{
	int64_t n_changes = ps_db_n_changes(store->db);
	int ret;

	if (ps_db_begin(store->db) != PS_OK)
		return PS_ERR_IO;
	if ((ret = run_jobs(store, batch)) == PS_OK)
		ret = commit_jobs(store,
		    ps_db_n_changes(store->db) != n_changes);
	if (ret != PS_OK)
		ps_db_rollback(store->db);
	return ret;
}

/* One transaction of many, and again without those at fault. */
static int
do_batch(struct store *store, struct store_job_list *batch)
{
	int ret;

	do
		ret = try_jobs(store, batch);
	while (ret != PS_OK && ret != PS_ERR_IO);
	if (ret == PS_OK)
		jobs_finish(&store->jobs, batch);
	else
		jobs_put_back(&store->jobs, batch, 0);
	uv_async_send(&store->async);
	return ret;
}

/* All that wait and that come meanwhile, until something else is due. */
static int
do_jobs(struct store *store)
{
	struct store_job_list batch;
	int ret = PS_OK;
	bool sync;

	pthread_mutex_lock(&store->thread.mutex);
	sync = store->sync_jobs;
	pthread_mutex_unlock(&store->thread.mutex);
	while (ret == PS_OK && jobs_take(&store->jobs, JOBS_BATCH, &batch)) {
		ps_db_set_sync(store->db, sync);
		ret = do_batch(store, &batch);
		ps_db_set_sync(store->db, false);
		if (ps_clock_ms() >= store->cycle_at_ms)
			break;
	}
	return ret;
}

/* Those that have waited too long for a database that cannot be written. */
static void
expire_jobs(struct store *store, uint64_t patience_ms)
{
	struct store_job_list none = TAILQ_HEAD_INITIALIZER(none);
	uint64_t now_ms = ps_clock_ms();

	if (now_ms > patience_ms &&
	    jobs_put_back(&store->jobs, &none, now_ms - patience_ms))
		uv_async_send(&store->async);
}

static void
post_reading(struct store *store, struct reading *reading)
{
	reading_box_put(&store->readings, reading);
	uv_async_send(&store->async);
}

/* Whether there were any. */
static bool
fail_readings(struct store *store)
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

/* What waits now; what comes meanwhile keeps nothing else waiting. */
static int
write_waiting(struct store *store)
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
			ret = look_for_changes(store);
		if (ret == PS_OK)
			ret = read_waiting(store);
	}
	return ret;
}

/* Without memory for one more, the ones before are told. */
static void
add_use(struct uses **uses, const struct store_use *use)
{
	size_t capacity = (*uses)->capacity;
	struct uses *grown = *uses;

	if (grown->count == capacity) {
		capacity = capacity == 0 ? 16 : 2 * capacity;
		grown = realloc(grown,
		    sizeof(*grown) + capacity * sizeof(grown->items[0]));
		if (grown == NULL)
			return;
		grown->capacity = capacity;
		*uses = grown;
	}
	grown->items[grown->count++] = *use;
}

static void
add_sessions(void *arg, int64_t token_id, uint64_t n_sessions)
{
	const struct store_use use = { STORE_USE_SESSIONS, n_sessions,
		{ .token_id = token_id } };

	add_use(arg, &use);
}

static void
add_usage(void *arg, const struct ps_usage *usage)
{
	const struct store_use use = { STORE_USE_USAGE, 0, *usage };

	add_use(arg, &use);
}

/* Collects what others have in use, if there are any, and posts it. */
static int
look_elsewhere(struct store *store, const struct ps_bridge_row *row,
    bool has_others)
{
	struct uses *uses = calloc(1, sizeof(*uses)), *old = uses;
	int ret = uses == NULL ? PS_ERR_NOMEM : PS_OK;

	if (ret == PS_OK && has_others)
		ret = ps_db_each_elsewhere(store->db, row, add_sessions,
		    &uses);
	if (ret == PS_OK && has_others)
		ret = ps_db_each_usage(store->db, time(NULL) / DAY_S,
		    add_usage, &uses);
	if (ret == PS_OK) {
		pthread_mutex_lock(&store->thread.mutex);
		old = store->mail.elsewhere;
		store->mail.elsewhere = uses;
		pthread_mutex_unlock(&store->thread.mutex);
		uv_async_send(&store->async);
	} else {
		old = uses;
	}
	free(old);
	return ret;
}

/* Beside a predecessor that drains, or a successor: its row and those of its
 * sessions are its own business, unless it dies. */
static int
look_at_others(struct store *store)
{
	const struct ps_bridge_row row = bridge_row(store);
	uint64_t now_ms = ps_clock_ms();
	unsigned n_others;
	int ret;

	if (now_ms < store->others_at_ms)
		return PS_OK;
	ret = ps_db_bury(store->db, &row, time(NULL), &n_others);
	if (ret == PS_OK && (n_others > 0 || store->has_others))
		ret = look_elsewhere(store, &row, n_others > 0);
	if (ret != PS_OK)
		return ret;
	store->has_others = n_others > 0;
	store->others_at_ms =
	    now_ms + (n_others > 0 ? OTHERS_PERIOD_MS : PRUNE_PERIOD_MS);
	return PS_OK;
}

/* A few rows at a time, so that nobody waits for the lock. */
static int
prune(struct store *store)
{
	uint64_t now_ms = ps_clock_ms();
	int64_t before_s;
	int deleted, ret;

	if (now_ms < store->prune_at_ms)
		return PS_OK;
	pthread_mutex_lock(&store->thread.mutex);
	before_s = time(NULL) - (int64_t)(store->keep_ms / 1000);
	pthread_mutex_unlock(&store->thread.mutex);
	ret = ps_db_prune(store->db, before_s, PRUNE_ROWS, &deleted);
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
	return enter_anew(store);
}

/* What is done each STORE_PERIOD_MS. */
static int
work_through(struct store *store)
{
	int ret = look_for_changes(store);

	if (ret == PS_OK)
		ret = write_waiting(store);
	if (ret == PS_OK)
		ret = look_at_others(store);
	if (ret == PS_OK)
		ret = prune(store);
	if (ret == PS_OK)
		ret = prune_events(store);
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
		ret = do_jobs(store);
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
	expire_jobs(store, STORE_JOB_PATIENCE_MS);
	set_failing(store, true);
	fail_readings(store);
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
	if (store->told_loss && enter_anew(store) == PS_OK)
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
		look_at_expiry(store);
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
	const struct ps_bridge_row row = bridge_row(store);
	uint64_t deadline_ms = ps_clock_ms() + PATIENCE_MS;

	cycle(store, true);
	while (store->failing_since_ms != 0 && store->db != NULL &&
	    ps_db_is_busy(store->db) && ps_clock_ms() < deadline_ms)
		cycle(store, true);
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

static void *
run(void *arg)
{
	struct store *store = arg;
	bool all;

	/* The loop goes first; records can wait. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while (ps_thread_wait(&store->thread, time_left_ms(store))) {
		all = time_left_ms(store) == 0 ||
		    backlog_has_readings(&store->backlog);
		/* What failed is not tried anew for each job that comes. */
		if (all || store->failing_since_ms == 0)
			cycle(store, all);
	}
	finish(store);
	if (store->db != NULL)
		ps_db_checkpoint(store->db);
	return NULL;
}

/* Start and end. */

/* What a new bridge has to know; nothing runs beside it yet. */
static int
remember(struct store *store, const struct store_memory *memory)
{
	const struct ps_bridge_row row = bridge_row(store);
	int64_t now_s = time(NULL);
	struct ps_policy *policy;
	int ret;

	if ((ret = enter(store)) != PS_OK ||
	    (ret = ps_db_each_usage(store->db, now_s / DAY_S, memory->usage,
		 store->owner)) != PS_OK ||
	    (ret = ps_db_each_recent_create(store->db,
		 now_s - memory->creates_s, memory->create, store->owner)) !=
		PS_OK ||
	    (ret = ps_db_each_elsewhere(store->db, &row, memory->elsewhere,
		 store->owner)) != PS_OK ||
	    (ret = load_policy(store, &policy)) != PS_OK)
		return ret;
	store->ops->policy(store->owner, policy);
	return PS_OK;
}

/* At our own place there is none: who has its lock is the only one. */
static int
look_for_rival(struct store *store, char *error)
{
	const struct ps_bridge_row row = bridge_row(store);
	char socket[PS_SOCKET_PATH_MAX];
	int ret = ps_db_find_rival(store->db, &row, socket);

	if (ret != PS_OK) {
		snprintf(error, PS_DB_ERROR_MAX, "%s", ps_db_error(store->db));
		return ret;
	}
	if (*socket == '\0')
		return PS_OK;
	snprintf(error, PS_DB_ERROR_MAX,
	    "node %s is that of another wsbridge, at %s", store->node, socket);
	return PS_ERR_CLOSED;
}

static bool
open_database(struct store *store, const struct store_memory *memory)
{
	char error[PS_DB_ERROR_MAX];

	if (ps_db_open(&store->db, store->path, PS_DB_WRITE, error) == PS_OK &&
	    look_for_rival(store, error) == PS_OK) {
		if (remember(store, memory) == PS_OK)
			return true;
		snprintf(error, sizeof(error), "%s", ps_db_error(store->db));
	}
	ps_error("store: database %s: %s", store->path, error);
	return false;
}

static void
store_free(struct store *store)
{
	struct request *request;

	ps_db_close(store->db);
	backlog_deinit(&store->backlog);
	while ((request = STAILQ_FIRST(&store->mail.requests)) != NULL) {
		STAILQ_REMOVE_HEAD(&store->mail.requests, next);
		free(request);
	}
	free(store->mail.elsewhere);
	ps_policy_unref(store->mail.next);
	ps_policy_unref(store->policy);
	ps_policy_unref(store->dropped);
	reading_box_deinit(&store->readings);
	jobs_deinit(&store->jobs);
	ps_thread_deinit(&store->thread);
	free(store->path);
	free(store->node);
	free(store->tag);
	free(store->socket);
	free(store);
}

static struct store *
store_create(const struct ps_config *config, const char *tag,
    const struct store_ops *ops, void *owner)
{
	struct store *store = calloc(1, sizeof(*store));

	if (store == NULL)
		return NULL;
	store->ops = ops;
	store->owner = owner;
	ps_thread_init(&store->thread);
	reading_box_init(&store->readings);
	jobs_init(&store->jobs);
	STAILQ_INIT(&store->mail.requests);
	store->path = strdup(config->database);
	store->node = strdup(config->node);
	store->socket = strdup(config->bridge_socket);
	store->tag = strdup(tag);
	store->started_at_s = time(NULL);
	store->has_outbox = config->outbox;
	if (backlog_init(&store->backlog, config->max_unwritten) &&
	    store->path != NULL && store->node != NULL &&
	    store->socket != NULL && store->tag != NULL) {
		store_configure(store, config);
		return store;
	}
	store_free(store);
	return NULL;
}

static void
on_closed(uv_handle_t *handle)
{
	store_free(handle->data);
}

struct store *
store_start(uv_loop_t *loop, const struct ps_config *config, const char *tag,
    const struct store_ops *ops, const struct store_memory *memory,
    void *owner)
{
	struct store *store = store_create(config, tag, ops, owner);
	int error;

	if (store == NULL) {
		ps_error("store: out of memory");
		return NULL;
	}
	if (!open_database(store, memory)) {
		store_free(store);
		return NULL;
	}
	uv_async_init(loop, &store->async, on_mail);
	store->async.data = store;
	error = ps_thread_start(&store->thread, run, store);
	if (error == 0)
		return store;
	ps_error("store: cannot start its thread (%s)", strerror(error));
	uv_close((uv_handle_t *)&store->async, on_closed);
	return NULL;
}

void
store_stop(struct store *store)
{
	uint64_t waiting;

	if (store == NULL)
		return;
	ps_thread_stop(&store->thread);
	jobs_close(&store->jobs);
	/* Whoever is told may ask again. */
	while (jobs_tell(&store->jobs) || reading_box_tell(&store->readings) ||
	    fail_readings(store))
		;
	waiting = backlog_status(&store->backlog).waiting;
	if (waiting > 0)
		ps_error("store: %llu records are lost: the database could "
			 "not be written",
		    (unsigned long long)waiting);
	uv_close((uv_handle_t *)&store->async, on_closed);
}
