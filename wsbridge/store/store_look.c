/* What others have changed in the database, and do beside this bridge. */
#include "config.h"

#include "store_thread.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ps_clock.h"
#include "ps_db_changes.h"

/* Looks at another bridge of the node, whether it lives and what it uses. */
#define OTHERS_PERIOD_MS 1000
/* The name of what was changed: a socket id, or a session's. */
#define CHANGE_MAX 128

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

struct ps_bridge_row
store_bridge_row(const struct store *store)
{
	return (struct ps_bridge_row){ store->tag, store->node, store->socket,
		PACKAGE_VERSION, getpid(), store->started_at_s,
		store->has_outbox };
}

int
store_enter(struct store *store)
{
	const struct ps_bridge_row row = store_bridge_row(store);
	int ret = ps_db_enter(store->db, &row, time(NULL));

	if (ret != PS_OK)
		return ret;
	store->file = ps_db_file(store->db);
	store->commits = 0;
	return PS_OK;
}

int
store_enter_anew(struct store *store)
{
	int ret = store_enter(store);

	if (ret != PS_OK)
		return ret;
	store->is_strange = store->is_unseen = true;
	post_replaced(store);
	return PS_OK;
}

int
store_load_policy(struct store *store, struct ps_policy **policy_r)
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
	if ((ret = store_load_policy(store, &policy)) != PS_OK)
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
	return store_enter_anew(store);
}

static void
on_authorization(void *store, const struct ps_authorization_row *row)
{
	store_post_authorization(store, row->socket_id);
}

static int
look_at_all_applications(struct store *store)
{
	int ret;

	if ((ret = ps_db_last_change(store->db, &store->change)) != PS_OK ||
	    (ret = ps_db_each_authorization(store->db,
		 on_authorization, store)) != PS_OK)
		return ret;
	return ps_db_each_lane(store->db, store->node, store_post_lane, store);
}

static int
look_at_applications(struct store *store)
{
	enum ps_change_kind kind;
	char name[CHANGE_MAX];
	int ret = PS_OK;

	if (store->is_strange)
		ret = look_at_all_applications(store);
	if (ret == PS_OK)
		store->is_strange = false;
	while (ret == PS_OK &&
	    (ret = ps_db_next_change(store->db, &store->change, &kind, name,
		 sizeof(name))) == PS_OK &&
	    *name != '\0') {
		if (kind == PS_CHANGE_LANE)
			ret = ps_db_find_lane(store->db, store->node, name,
			    store_post_lane, store);
		else
			store_post_authorization(store, name);
	}
	return ret;
}

int
store_look_for_changes(struct store *store)
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
		    store_post_close_request, store);
	if (ret == PS_OK)
		ret = look_at_applications(store);
	store->is_unseen = ret != PS_OK;
	return ret;
}

void
store_look_at_expiry(struct store *store)
{
	int64_t now_s = time(NULL);

	if (now_s < store->next_expiry_s)
		return;
	store->next_expiry_s = ps_policy_next_expiry_s(store->policy, now_s);
	post_policy(store, NULL);
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
int
store_look_at_others(struct store *store)
{
	const struct ps_bridge_row row = store_bridge_row(store);
	int64_t n_changes = ps_db_n_changes(store->db);
	uint64_t now_ms = ps_clock_ms();
	unsigned n_others;
	int ret;

	if (now_ms < store->others_at_ms)
		return PS_OK;
	ret = ps_db_bury(store->db, &row, time(NULL), &n_others);
	/* What one that died has left in the outbox is ours to deliver. */
	if (ps_db_n_changes(store->db) != n_changes)
		store->is_strange = store->is_unseen = true;
	if (ret == PS_OK && (n_others > 0 || store->has_others))
		ret = look_elsewhere(store, &row, n_others > 0);
	if (ret != PS_OK)
		return ret;
	store->has_others = n_others > 0;
	store->others_at_ms =
	    now_ms + (n_others > 0 ? OTHERS_PERIOD_MS : PRUNE_PERIOD_MS);
	return PS_OK;
}
