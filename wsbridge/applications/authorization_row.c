#include "config.h"

#include "authorization_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changed_row.h"
#include "ps_log.h"
#include "wsbridge/store/store.h"

struct authorization_change {
	struct store_job job; /* first */
	struct table_node node; /* by socket id */
	struct bridge *bridge;
	authorization_change_fn done;
	void *owner;
	bool was_told; /* that it failed */
	struct ps_authorization_row row; /* texts are in `texts` */
	char socket_id[PS_SOCKET_ID_LEN + 1];
	char texts[]; /* client and callback */
};

static int
run_put(struct store_job *job, struct ps_db *db)
{
	return ps_db_put_authorization(db, &((struct authorization_change *)job)->row);
}

static int
run_delete(struct store_job *job, struct ps_db *db)
{
	return ps_db_delete_authorization(db,
	    ((struct authorization_change *)job)->socket_id);
}

bool
authorization_is_changing(const struct bridge *bridge,
    struct ps_slice socket_id)
{
	return table_find(&bridge->authorizations.changes, socket_id) != NULL;
}

static bool
begin(struct authorization_change *change)
{
	struct table *changes = &change->bridge->authorizations.changes;

	table_add(changes, &change->node);
	if (store_do(change->bridge->store, &change->job))
		return true;
	table_remove(changes, &change->node);
	return false;
}

/* What the authorization is from now on. */
static void
end(struct authorization_change *change, bool ok)
{
	struct bridge *bridge = change->bridge;
	bool is_last;

	table_remove(&bridge->authorizations.changes, &change->node);
	if (change->job.run != run_put)
		return;
	is_last = !authorization_is_changing(bridge, change->node.key);
	if (ok)
		authorization_written(bridge, &change->row, is_last);
	else if (is_last)
		authorization_unwritten(bridge, change->node.key);
	/* The administrator's had taken its place, and is gone again. */
	if (ok && is_last &&
	    authorization_find_id(bridge, change->node.key) == NULL)
		changed_row_look(bridge, change->socket_id);
}

/* Its authorization is gone for this bridge. A row that stayed would be in the
 * way of the client's next one, and let it in again after a restart. */
static bool
is_done_again(struct authorization_change *change, int ret)
{
	change->done = NULL;
	return change->job.run == run_delete && ret == PS_ERR_IO &&
	    begin(change);
}

static void
on_done(struct store_job *job, int ret)
{
	struct authorization_change *change = (struct authorization_change *)job;

	/* Who waits says so to whom it matters. */
	if (ret != PS_OK && change->done == NULL && !change->was_told)
		ps_warning("authorization %.4s: its row is not written (%d)",
		    change->socket_id, ret);
	change->was_told = true;
	end(change, ret == PS_OK);
	if (change->done != NULL)
		change->done(change->owner, ret == PS_OK);
	if (!is_done_again(change, ret))
		free(change);
}

static struct authorization_change *
create(const char *socket_id, size_t texts_len, authorization_change_fn done,
    void *owner)
{
	struct authorization_change *change =
	    calloc(1, sizeof(*change) + texts_len);

	if (change == NULL)
		return NULL;
	snprintf(change->socket_id, sizeof(change->socket_id), "%s", socket_id);
	change->row.socket_id = change->socket_id;
	change->node.key = ps_slice_str(change->socket_id);
	change->done = done;
	change->owner = owner;
	change->job.done = on_done;
	return change;
}

static struct authorization_change *
lend(struct bridge *bridge, struct authorization_change *change)
{
	change->bridge = bridge;
	if (begin(change))
		return change;
	free(change);
	return NULL;
}

static struct authorization_change *
create_put(const struct authorization *authorization,
    authorization_change_fn done, void *owner)
{
	size_t client_size = strlen(authorization->client) + 1;
	size_t callback_size = strlen(authorization->callback) + 1;
	struct authorization_change *change = create(authorization->socket_id,
	    client_size + callback_size, done, owner);

	if (change == NULL)
		return NULL;
	change->job.run = run_put;
	change->row.token_id = authorization->token_id;
	change->row.client = memcpy(change->texts, authorization->client,
	    client_size);
	change->row.callback = memcpy(change->texts + client_size,
	    authorization->callback, callback_size);
	change->row.events = authorization->events;
	change->row.created_at_s = authorization->created_at_s;
	change->row.renewed_at_s = authorization->renewed_at_s;
	change->row.expires_at_s = authorization->expires_at_s;
	return change;
}

struct authorization_change *
authorization_row_put(const struct authorization *authorization,
    authorization_change_fn done, void *owner)
{
	struct bridge *bridge = authorization->bridge;
	struct ps_slice id = ps_slice_str(authorization->socket_id);
	struct authorization_change *change =
	    create_put(authorization, done, owner);

	if (change != NULL)
		change = lend(bridge, change);
	if (change == NULL && !authorization_is_changing(bridge, id))
		authorization_unwritten(bridge, id);
	return change;
}

struct authorization_change *
authorization_row_delete(struct bridge *bridge, const char *socket_id,
    authorization_change_fn done, void *owner)
{
	struct authorization_change *change = create(socket_id, 0, done, owner);

	if (change == NULL)
		return NULL;
	change->job.run = run_delete;
	return lend(bridge, change);
}

static int
run_nothing(struct store_job *job, struct ps_db *db)
{
	(void)job;
	(void)db;
	return PS_OK;
}

struct authorization_change *
authorization_rows_settle(struct bridge *bridge, authorization_change_fn done,
    void *owner)
{
	struct authorization_change *change = create("", 0, done, owner);

	if (change == NULL)
		return NULL;
	change->job.run = run_nothing;
	return lend(bridge, change);
}

void
authorization_change_forget(struct authorization_change *change)
{
	change->done = NULL;
}
