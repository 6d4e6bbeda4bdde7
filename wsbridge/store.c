#include "config.h"

#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "ps_clock.h"
#include "ps_log.h"
#include "ps_thread.h"

/* Records in one transaction: an administrator waits no longer for the lock. */
#define BATCH 1000
/* An administrator may hold the lock this long before it counts as failing. */
#define PATIENCE_MS 10000
/* Between two attempts while failing. */
#define RETRY_MS 1000
/* Pruning: how often, how many rows at once, and how soon the next ones. */
#define PRUNE_PERIOD_MS 60000
#define PRUNE_ROWS 500
/* Close requests told in one turn of the loop. */
#define REQUESTS_BATCH 128

struct record {
	STAILQ_ENTRY(record) next;
	bool is_session;
	struct ps_usage usage;
	struct ps_session_row row; /* its texts are in `texts` */
	char texts[];
};

STAILQ_HEAD(record_list, record);

struct request {
	STAILQ_ENTRY(request) next;
	char id[]; /* of a session that is to be closed */
};

STAILQ_HEAD(request_list, request);

struct store {
	const struct store_ops *ops;
	void *owner;
	uv_async_t async; /* wakes the loop for what is in `mail` */
	struct ps_thread thread;
	/* Guarded by the mutex of `thread`. */
	struct record_list inbox; /* from the loop */
	uint64_t n_inbox;
	uint64_t max_unwritten, keep_ms;
	struct ps_policy *dropped; /* that the loop needs no more */
	struct store_status status;
	struct {
		bool policy, replaced;
		struct ps_policy *next; /* NULL: look at the same again */
		struct request_list requests;
	} mail; /* for the loop */

	/* The thread's own. */
	char *path, *node;
	struct ps_db *db; /* NULL: not open */
	struct record_list pending; /* taken from the inbox, oldest first */
	uint64_t n_pending;
	struct ps_file_id file; /* that knows what lives */
	bool is_new;	/* just opened: nothing of it was looked at */
	bool is_unseen; /* something changed and was not looked at */
	struct ps_policy *policy; /* that was told last */
	int64_t next_expiry_s;	  /* of its tokens */
	uint64_t prune_at_ms;
	uint64_t failing_since_ms; /* 0: all is well */
	bool told_failure; /* in the log */
	bool told_loss;
};

static void
free_records(struct record_list *list)
{
	struct record *record;

	while ((record = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, next);
		free(record);
	}
}

/* From the loop. */

static void
put(struct store *store, struct record *record)
{
	struct record *oldest = NULL;

	pthread_mutex_lock(&store->thread.mutex);
	STAILQ_INSERT_TAIL(&store->inbox, record, next);
	if (store->n_inbox < store->max_unwritten) {
		store->n_inbox++;
	} else {
		oldest = STAILQ_FIRST(&store->inbox);
		STAILQ_REMOVE_HEAD(&store->inbox, next);
		store->status.lost++;
	}
	pthread_mutex_unlock(&store->thread.mutex);
	free(oldest);
}

static void
lose(struct store *store)
{
	pthread_mutex_lock(&store->thread.mutex);
	store->status.lost++;
	pthread_mutex_unlock(&store->thread.mutex);
}

/* Copies a text behind the record; `*end` moves on. */
static const char *
keep(const char *text, char **end)
{
	size_t size = strlen(text) + 1;
	char *copy = memcpy(*end, text, size);

	*end += size;
	return copy;
}

void
store_put_session(struct store *store, const struct ps_session_row *row)
{
	const char *reason = row->close_reason == NULL ? "" :
							 row->close_reason;
	struct record *record;
	char *end;

	if (store == NULL)
		return;
	record = calloc(1,
	    sizeof(*record) + strlen(row->id) + strlen(row->node) +
		strlen(row->subject) + strlen(row->origin) +
		strlen(row->remote_addr) + strlen(row->agent) +
		strlen(reason) + 7);
	if (record == NULL) {
		lose(store);
		return;
	}
	record->is_session = true;
	record->row = *row;
	end = record->texts;
	record->row.id = keep(row->id, &end);
	record->row.node = keep(row->node, &end);
	record->row.subject = keep(row->subject, &end);
	record->row.origin = keep(row->origin, &end);
	record->row.remote_addr = keep(row->remote_addr, &end);
	record->row.agent = keep(row->agent, &end);
	record->row.close_reason = keep(reason, &end);
	put(store, record);
}

void
store_add_usage(struct store *store, const struct ps_usage *usage)
{
	struct record *record;

	if (store == NULL)
		return;
	record = calloc(1, sizeof(*record));
	if (record == NULL) {
		lose(store);
		return;
	}
	record->usage = *usage;
	put(store, record);
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

	if (store == NULL)
		return status;
	pthread_mutex_lock(&store->thread.mutex);
	status = store->status;
	status.waiting += store->n_inbox;
	pthread_mutex_unlock(&store->thread.mutex);
	return status;
}

void
store_configure(struct store *store, const struct ps_config *config)
{
	pthread_mutex_lock(&store->thread.mutex);
	store->max_unwritten = config->max_unwritten;
	store->keep_ms = config->keep_sessions;
	pthread_mutex_unlock(&store->thread.mutex);
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
	bool policy, replaced;

	pthread_mutex_lock(&store->thread.mutex);
	policy = store->mail.policy;
	replaced = store->mail.replaced;
	next = store->mail.next;
	store->mail.policy = store->mail.replaced = false;
	store->mail.next = NULL;
	STAILQ_CONCAT(&requests, &store->mail.requests);
	pthread_mutex_unlock(&store->thread.mutex);
	if (replaced)
		store->ops->replaced(store->owner);
	if (policy)
		store->ops->policy(store->owner, next);
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

/* What the administrator did since the last look. */
static int
look_for_changes(struct store *store)
{
	bool changed;
	int ret;

	if ((ret = ps_db_has_changed(store->db, &changed)) != PS_OK)
		return ret;
	store->is_unseen = store->is_unseen || changed;
	if (!store->is_unseen)
		return PS_OK;
	if ((ret = look_at_policy(store)) == PS_OK)
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

static int
write_record(struct store *store, const struct record *record)
{
	return record->is_session ?
	    ps_db_put_session(store->db, &record->row) :
	    ps_db_add_usage(store->db, &record->usage);
}

/* One transaction; its records are forgotten once it is committed. */
static int
write_batch(struct store *store)
{
	struct record *record;
	uint64_t n = 0, i;
	int ret = ps_db_begin(store->db);

	STAILQ_FOREACH(record, &store->pending, next) {
		if (ret != PS_OK || n == BATCH)
			break;
		ret = write_record(store, record);
		n++;
	}
	if (ret == PS_OK)
		ret = ps_db_commit(store->db);
	if (ret != PS_OK) {
		ps_db_rollback(store->db);
		return ret;
	}
	for (i = 0; i < n; i++) {
		record = STAILQ_FIRST(&store->pending);
		STAILQ_REMOVE_HEAD(&store->pending, next);
		free(record);
	}
	store->n_pending -= n;
	pthread_mutex_lock(&store->thread.mutex);
	store->status.written += n;
	store->status.waiting = store->n_pending;
	pthread_mutex_unlock(&store->thread.mutex);
	return PS_OK;
}

static void
take_inbox(struct store *store)
{
	struct record *record;
	uint64_t lost;

	pthread_mutex_lock(&store->thread.mutex);
	STAILQ_CONCAT(&store->pending, &store->inbox);
	store->n_pending += store->n_inbox;
	store->n_inbox = 0;
	for (; store->n_pending > store->max_unwritten; store->n_pending--) {
		record = STAILQ_FIRST(&store->pending);
		STAILQ_REMOVE_HEAD(&store->pending, next);
		free(record);
		store->status.lost++;
	}
	store->status.waiting = store->n_pending;
	lost = store->status.lost;
	pthread_mutex_unlock(&store->thread.mutex);
	if (lost > 0 && !store->told_loss) {
		store->told_loss = true;
		ps_error("store: more than max_unwritten records wait, the "
			 "oldest are lost");
	}
}

static int
write_pending(struct store *store)
{
	int ret = PS_OK;

	take_inbox(store);
	/* After a failure even nothing is written, to see whether it can be. */
	if (store->n_pending == 0 && store->failing_since_ms != 0)
		ret = write_batch(store);
	while (ret == PS_OK && store->n_pending > 0)
		ret = write_batch(store);
	return ret;
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

/* Opens the file that is there now. */
static int
open_again(struct store *store, char *error)
{
	ps_db_close_replaced(store->db);
	store->db = NULL;
	store->is_new = store->is_unseen = true;
	return ps_db_open(&store->db, store->path, PS_DB_WRITE, error);
}

/* Nothing that lives is known to a file that was put in place of another. */
static int
greet(struct store *store)
{
	struct ps_file_id file = ps_db_file(store->db);
	int ret;

	if (file.device == store->file.device &&
	    file.inode == store->file.inode)
		return PS_OK;
	ret = ps_db_close_left_open(store->db, store->node, time(NULL));
	if (ret != PS_OK)
		return ret;
	store->file = file;
	post_replaced(store);
	return PS_OK;
}

static int
work(struct store *store, char *error)
{
	int ret;

	if ((store->db == NULL || ps_db_was_replaced(store->db)) &&
	    (ret = open_again(store, error)) != PS_OK)
		return ret;
	if ((ret = greet(store)) == PS_OK)
		ret = look_for_changes(store);
	if (ret == PS_OK)
		ret = write_pending(store);
	if (ret == PS_OK)
		ret = prune(store);
	if (ret != PS_OK)
		snprintf(error, PS_DB_ERROR_MAX, "%s",
		    ps_db_error(store->db));
	return ret;
}

static void
set_failing(struct store *store, bool failing)
{
	pthread_mutex_lock(&store->thread.mutex);
	store->status.failing = failing;
	if (failing)
		store->status.failures++;
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
	set_failing(store, true);
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
	store->told_failure = false;
	store->failing_since_ms = 0;
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

static void
cycle(struct store *store)
{
	char error[PS_DB_ERROR_MAX];

	free_dropped(store);
	look_at_expiry(store);
	if (work(store, error) == PS_OK)
		on_success(store);
	else
		on_failure(store, error);
}

/* What came last; whoever holds the lock meanwhile is waited for. */
static void
finish(struct store *store)
{
	uint64_t deadline_ms = ps_clock_ms() + PATIENCE_MS;

	cycle(store);
	while (store->n_pending > 0 && store->db != NULL &&
	    ps_db_is_busy(store->db) && ps_clock_ms() < deadline_ms)
		cycle(store);
}

static void *
run(void *arg)
{
	struct store *store = arg;

	while (ps_thread_wait(&store->thread,
	    store->failing_since_ms != 0 ? RETRY_MS : STORE_PERIOD_MS))
		cycle(store);
	finish(store);
	return NULL;
}

/* Start and end. */

/* What a new bridge has to know; nothing runs beside it yet. */
static int
remember(struct store *store, const struct store_memory *memory)
{
	int64_t now_s = time(NULL);
	struct ps_policy *policy;
	int ret;

	if ((ret = ps_db_close_left_open(store->db, store->node, now_s)) !=
		PS_OK ||
	    (ret = ps_db_each_usage(store->db, now_s / 86400, memory->usage,
		 store->owner)) != PS_OK ||
	    (ret = ps_db_each_recent_create(store->db,
		 now_s - memory->creates_s, memory->create, store->owner)) !=
		PS_OK ||
	    (ret = load_policy(store, &policy)) != PS_OK)
		return ret;
	store->file = ps_db_file(store->db);
	store->ops->policy(store->owner, policy);
	return PS_OK;
}

static bool
open_database(struct store *store, const struct store_memory *memory)
{
	char error[PS_DB_ERROR_MAX];

	if (ps_db_open(&store->db, store->path, PS_DB_WRITE, error) == PS_OK) {
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
	free_records(&store->inbox);
	free_records(&store->pending);
	while ((request = STAILQ_FIRST(&store->mail.requests)) != NULL) {
		STAILQ_REMOVE_HEAD(&store->mail.requests, next);
		free(request);
	}
	ps_policy_unref(store->mail.next);
	ps_policy_unref(store->policy);
	ps_policy_unref(store->dropped);
	ps_thread_deinit(&store->thread);
	free(store->path);
	free(store->node);
	free(store);
}

static struct store *
store_create(const struct ps_config *config, const struct store_ops *ops,
    void *owner)
{
	struct store *store = calloc(1, sizeof(*store));

	if (store == NULL)
		return NULL;
	store->ops = ops;
	store->owner = owner;
	ps_thread_init(&store->thread);
	STAILQ_INIT(&store->inbox);
	STAILQ_INIT(&store->pending);
	STAILQ_INIT(&store->mail.requests);
	store->path = strdup(config->database);
	store->node = strdup(config->node);
	store_configure(store, config);
	if (store->path != NULL && store->node != NULL)
		return store;
	store_free(store);
	return NULL;
}

static void
on_closed(uv_handle_t *handle)
{
	store_free(handle->data);
}

struct store *
store_start(uv_loop_t *loop, const struct ps_config *config,
    const struct store_ops *ops, const struct store_memory *memory,
    void *owner)
{
	struct store *store = store_create(config, ops, owner);
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
	if (store == NULL)
		return;
	ps_thread_stop(&store->thread);
	if (store->n_pending + store->n_inbox > 0)
		ps_error("store: %llu records are lost: the database could "
			 "not be written",
		    (unsigned long long)(store->n_pending + store->n_inbox));
	uv_close((uv_handle_t *)&store->async, on_closed);
}
