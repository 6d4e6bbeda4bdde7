#include "config.h"

#include "changed_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authorization_row.h"
#include "ps_db_authorizations.h"
#include "ps_log.h"
#include "wsbridge/store/store.h"

struct look {
	struct store_job job; /* first */
	struct bridge *bridge;
	struct ps_authorization_row row; /* its texts are in `texts` */
	char *texts;                     /* NULL: there is no row */
	bool failed;                     /* there was no memory for it */
	char socket_id[PS_SOCKET_ID_LEN + 1];
};

static void
on_row(void *arg, const struct ps_authorization_row *row)
{
	struct look *look = arg;
	char *end = malloc(strlen(row->client) + strlen(row->callback) + 2);

	look->failed = end == NULL;
	if (end == NULL)
		return;
	look->texts = end;
	look->row = *row;
	look->row.socket_id = look->socket_id;
	look->row.client = ps_slice_keep(ps_slice_str(row->client), &end);
	look->row.callback = ps_slice_keep(ps_slice_str(row->callback), &end);
}

static int
run(struct store_job *job, struct ps_db *db)
{
	struct look *look = (struct look *)job;
	int ret;

	free(look->texts); /* of a transaction that was rolled back */
	look->texts = NULL;
	ret = ps_db_find_authorization(db, look->socket_id, on_row, look);
	return ret == PS_OK && look->failed ? PS_ERR_NOMEM : ret;
}

/*
 * Jobs are done in the order in which they were lent. So without a change under
 * way this is how the row is, but for what the administrator did since, which
 * is looked at again.
 */
static void
take(const struct look *look)
{
	struct ps_slice id = ps_slice_str(look->socket_id);
	const struct authorization *authorization =
	    authorization_find_id(look->bridge, id);

	/* What lives is about to take the place of what was restored. */
	if (authorization != NULL &&
	    authorization->round != look->bridge->authorizations.round)
		return;
	if (look->texts == NULL)
		authorization_forgotten(look->bridge, id);
	else
		authorization_load(look->bridge, &look->row);
}

static void
on_done(struct store_job *job, int ret)
{
	struct look *look = (struct look *)job;
	struct bridge *bridge = look->bridge;
	bool is_changing = authorization_is_changing(bridge,
	    ps_slice_str(look->socket_id));

	if ((ret == PS_ERR_IO || (ret == PS_OK && is_changing)) &&
	    store_do(bridge->store, job))
		return;
	if (ret == PS_OK && !is_changing)
		take(look);
	else if (ret != PS_ERR_CLOSED)
		ps_warning("authorization %.4s: its row is not read (%d)",
		    look->socket_id, ret);
	free(look->texts);
	free(look);
}

void
changed_row_look(struct bridge *bridge, const char *socket_id)
{
	struct look *look = calloc(1, sizeof(*look));

	if (look == NULL) {
		ps_warning("authorization %.4s: its row is not read "
			   "(out of memory)",
		    socket_id);
		return;
	}
	look->bridge = bridge;
	snprintf(look->socket_id, sizeof(look->socket_id), "%s", socket_id);
	look->job.run = run;
	look->job.done = on_done;
	if (!store_do(bridge->store, &look->job))
		free(look);
}
