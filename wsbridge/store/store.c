#include "config.h"

#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ps_db_changes.h"
#include "ps_log.h"
#include "store_thread.h"

/* Told in one turn of the loop: each may close sessions. */
#define NEWS_BATCH 128

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
store_amend(struct store *store, struct store_job *job,
    void (*amend)(struct store_job *job))
{
	return store != NULL && jobs_amend(&store->jobs, job, amend);
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
tell_news(struct store *store, struct news_list *list)
{
	struct news *news;
	size_t i;

	for (i = 0; i < NEWS_BATCH && (news = STAILQ_FIRST(list)) != NULL;
	     i++) {
		STAILQ_REMOVE_HEAD(list, next);
		store_tell_news(store, news);
		free(news);
	}
}

/* Tells what is in the mail; much news in several turns. */
static void
on_mail(uv_async_t *async)
{
	struct store *store = async->data;
	struct news_list news = STAILQ_HEAD_INITIALIZER(news);
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
	STAILQ_CONCAT(&news, &store->mail.news);
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
	tell_news(store, &news);
	if (STAILQ_EMPTY(&news))
		return;
	pthread_mutex_lock(&store->thread.mutex);
	STAILQ_CONCAT(&news, &store->mail.news);
	STAILQ_CONCAT(&store->mail.news, &news);
	pthread_mutex_unlock(&store->thread.mutex);
	uv_async_send(&store->async);
}

/* Start and end. */

static int
remember_applications(struct store *store, const struct store_memory *memory)
{
	int ret = ps_db_last_change(store->db, &store->change);

	if (ret == PS_OK && memory->authorization != NULL)
		ret = ps_db_each_authorization(store->db,
		    memory->authorization, store->owner);
	if (ret == PS_OK && memory->lane != NULL)
		ret = ps_db_each_lane(store->db, store->node, memory->lane,
		    store->owner);
	return ret;
}

/* What a new bridge has to know; nothing runs beside it yet. */
static int
remember(struct store *store, const struct store_memory *memory)
{
	const struct ps_bridge_row row = store_bridge_row(store);
	int64_t now_s = time(NULL);
	struct ps_policy *policy;
	int ret;

	if ((ret = store_enter(store)) != PS_OK ||
	    (ret = ps_db_each_usage(store->db, now_s / DAY_S, memory->usage,
		 store->owner)) != PS_OK ||
	    (ret = ps_db_each_recent_create(store->db,
		 now_s - memory->creates_s, memory->create, store->owner)) !=
		PS_OK ||
	    (ret = ps_db_each_elsewhere(store->db, &row, memory->elsewhere,
		 store->owner)) != PS_OK ||
	    (ret = store_load_policy(store, &policy)) != PS_OK)
		return ret;
	store->ops->policy(store->owner, policy);
	return remember_applications(store, memory);
}

/* At our own place there is none: who has its lock is the only one. */
static int
look_for_rival(struct store *store, char *error)
{
	const struct ps_bridge_row row = store_bridge_row(store);
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
	struct news *news;

	ps_db_close(store->db);
	backlog_deinit(&store->backlog);
	while ((news = STAILQ_FIRST(&store->mail.news)) != NULL) {
		STAILQ_REMOVE_HEAD(&store->mail.news, next);
		free(news);
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
	STAILQ_INIT(&store->mail.news);
	store->path = strdup(config->database);
	store->node = strdup(config->node);
	store->socket = strdup(config->bridge_socket);
	store->tag = strdup(tag);
	store->started_at_s = time(NULL);
	store->has_outbox = config->outbox;
	store->is_waited_for =
	    (config->services & PS_SERVICE_APPLICATIONS) != 0;
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
	error = ps_thread_start(&store->thread, store_run, store);
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
	    store_fail_readings(store))
		;
	waiting = backlog_status(&store->backlog).waiting;
	if (waiting > 0)
		ps_error("store: %llu records are lost: the database could "
			 "not be written",
		    (unsigned long long)waiting);
	uv_close((uv_handle_t *)&store->async, on_closed);
}
