#include "config.h"

#include "lane.h"

#include <stdlib.h>

static struct ps_slice
token_key(const int64_t *token_id)
{
	return ps_slice((const char *)token_id, sizeof(*token_id));
}

struct application_use *
application_use_find(const struct outbox *outbox, int64_t token_id)
{
	return (struct application_use *)table_find(&outbox->applications,
	    token_key(&token_id));
}

static struct application_use *
get_application(struct outbox *outbox, int64_t token_id)
{
	struct application_use *use = application_use_find(outbox, token_id);

	if (use != NULL || (use = calloc(1, sizeof(*use))) == NULL)
		return use;
	use->token_id = token_id;
	use->node.key = token_key(&use->token_id);
	table_add(&outbox->applications, &use->node);
	return use;
}

static void
release_application(struct outbox *outbox, struct application_use *use)
{
	if (use->n_lanes > 0)
		return;
	table_remove(&outbox->applications, &use->node);
	free(use);
}

/* So many more rows of it wait, or fewer. */
static void
count(struct lane *lane, int64_t more)
{
	lane->application->count += (uint64_t)more;
	lane->outbox->waiting += (size_t)more;
}

struct lane *
lane_find(const struct outbox *outbox, struct ps_slice session)
{
	return (struct lane *)table_find(&outbox->lanes_by_session, session);
}

struct lane *
lane_create(struct outbox *outbox, struct ps_slice session, int64_t token_id,
    struct ps_slice client)
{
	struct application_use *use = get_application(outbox, token_id);
	struct lane *lane;
	char *end;

	if (use == NULL)
		return NULL;
	lane = calloc(1, sizeof(*lane) + session.len + client.len + 2);
	if (lane == NULL) {
		release_application(outbox, use);
		return NULL;
	}
	end = lane->data;
	lane->node.key = ps_slice(end, session.len);
	ps_slice_keep(session, &end);
	lane->client = ps_slice_keep(client, &end);
	lane->outbox = outbox;
	lane->application = use;
	use->n_lanes++;
	TAILQ_INIT(&lane->rows);
	TAILQ_INIT(&lane->unwritten);
	TAILQ_INIT(&lane->waits);
	TAILQ_INIT(&lane->page.rows);
	table_add(&outbox->lanes_by_session, &lane->node);
	TAILQ_INSERT_TAIL(&outbox->lanes, lane, all);
	return lane;
}

void
lane_destroy(struct lane *lane)
{
	struct outbox *outbox = lane->outbox;
	struct outbox_row *row;

	while ((row = lane_take(lane)) != NULL)
		row_destroy(row);
	lane_set_stored(lane, 0, 0);
	lane_page_empty(&lane->page);
	timers_cancel(&outbox->bridge->timers, &lane->timer);
	table_remove(&outbox->lanes_by_session, &lane->node);
	TAILQ_REMOVE(&outbox->lanes, lane, all);
	lane->application->n_lanes--;
	release_application(outbox, lane->application);
	free(lane);
}

struct outbox_row *
row_create(uint64_t number, struct ps_slice body, struct ps_slice callback)
{
	struct outbox_row *row =
	    calloc(1, sizeof(*row) + body.len + callback.len + 2);
	char *end;

	if (row == NULL)
		return NULL;
	end = row->data;
	row->number = number;
	row->body = ps_slice(ps_slice_keep(body, &end), body.len);
	row->callback = ps_slice_keep(callback, &end);
	return row;
}

void
row_destroy(struct outbox_row *row)
{
	if (row == NULL)
		return;
	free(row->error);
	free(row);
}

void
lane_put(struct lane *lane, struct outbox_row *row)
{
	row->lane = lane;
	TAILQ_INSERT_TAIL(&lane->unwritten, row, entry);
	lane->n_unwritten++;
	lane->unwritten_bytes += row->body.len;
	lane->outbox->unwritten_bytes += row->body.len;
	count(lane, 1);
}

void
lane_take_unwritten(struct lane *lane, struct outbox_row *row)
{
	TAILQ_REMOVE(&lane->unwritten, row, entry);
	lane->n_unwritten--;
	lane->unwritten_bytes -= row->body.len;
	lane->outbox->unwritten_bytes -= row->body.len;
	count(lane, -1);
}

static void
push(struct lane *lane, struct outbox_row *row)
{
	row->lane = lane;
	TAILQ_INSERT_TAIL(&lane->rows, row, entry);
	lane->n_rows++;
	lane->bytes += row->body.len;
	lane->outbox->kept_bytes += row->body.len;
	count(lane, 1);
}

/* Whether one more may be in memory though it is in the database. */
static bool
may_keep(const struct lane *lane, size_t len)
{
	if (!outbox_is_stored(lane->outbox))
		return true;
	return lane->n_stored == 0 && !lane->is_revived &&
	    lane->state != LANE_READING && lane->state != LANE_ENDING &&
	    lane->state != LANE_RESTING && lane->n_rows < LANE_ROWS &&
	    (lane->n_rows == 0 || lane->bytes + len <= LANE_BYTES) &&
	    lane->outbox->kept_bytes + len <= OUTBOX_BYTES;
}

void
lane_keep(struct lane *lane, struct outbox_row *row)
{
	if (may_keep(lane, row->body.len)) {
		lane->after = row->number;
		push(lane, row);
		return;
	}
	lane_set_stored(lane, lane->n_stored + 1, lane->after);
	row_destroy(row);
}

struct outbox_row *
lane_take(struct lane *lane)
{
	struct outbox_row *row = TAILQ_FIRST(&lane->rows);

	if (row == NULL)
		return NULL;
	TAILQ_REMOVE(&lane->rows, row, entry);
	lane->n_rows--;
	lane->bytes -= row->body.len;
	lane->outbox->kept_bytes -= row->body.len;
	count(lane, -1);
	return row;
}

void
lane_drop_rows(struct lane *lane)
{
	struct outbox_row *row = TAILQ_FIRST(&lane->rows);

	if (row == NULL || !outbox_is_stored(lane->outbox))
		return;
	lane_set_stored(lane, lane->n_stored + lane->n_rows, row->number - 1);
	while ((row = lane_take(lane)) != NULL)
		row_destroy(row);
}

void
lane_set_stored(struct lane *lane, uint64_t n_stored, uint64_t after)
{
	count(lane, (int64_t)(n_stored - lane->n_stored));
	lane->n_stored = n_stored;
	lane->after = after;
}

void
lane_take_page(struct lane *lane)
{
	struct lane_page *page = &lane->page;
	uint64_t n_left = lane->n_stored -
	    (lane->n_stored < page->count ? lane->n_stored : page->count);
	uint64_t after = page->after;
	struct outbox_row *row;
	size_t bytes = 0;

	while ((row = TAILQ_FIRST(&page->rows)) != NULL) {
		TAILQ_REMOVE(&page->rows, row, entry);
		after = row->number;
		bytes += row->body.len;
		push(lane, row);
	}
	/* What somebody has deleted by hand does not come any more. */
	if (!page->failed && page->count < LANE_ROWS && bytes < LANE_BYTES) {
		n_left = 0;
		lane->is_guessed = false;
	} else if (n_left == 0 && lane->is_guessed) {
		n_left = 1;
	}
	lane_set_stored(lane, n_left, after);
	page->count = 0;
}
