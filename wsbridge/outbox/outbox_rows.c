#include "config.h"

#include "outbox_rows.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lane.h"
#include "ps_db_changes.h"
#include "ps_log.h"

/* Deleted by one statement's worth of binding. */
#define DELETES_AT_ONCE 64

void
batch_init(struct batch *batch, struct outbox *outbox)
{
	*batch = (struct batch){ .outbox = outbox };
	TAILQ_INIT(&batch->puts);
	TAILQ_INIT(&batch->changes);
	TAILQ_INIT(&batch->ends);
	TAILQ_INIT(&batch->readers);
}

bool
batch_is_empty(const struct batch *batch)
{
	return TAILQ_EMPTY(&batch->puts) && TAILQ_EMPTY(&batch->changes) &&
	    TAILQ_EMPTY(&batch->ends) && TAILQ_EMPTY(&batch->readers);
}

void
batch_append(struct batch *batch, struct batch *other)
{
	struct outbox_row *row;

	TAILQ_FOREACH(row, &other->puts, of_batch)
		row->list = &batch->puts;
	TAILQ_CONCAT(&batch->puts, &other->puts, of_batch);
	TAILQ_CONCAT(&batch->changes, &other->changes, of_batch);
	TAILQ_CONCAT(&batch->ends, &other->ends, entry);
	TAILQ_CONCAT(&batch->readers, &other->readers, entry);
}

bool
batch_has_first(const struct batch *batch)
{
	const struct outbox_row *row;

	TAILQ_FOREACH(row, &batch->puts, of_batch) {
		if (row->number == 1)
			return true;
	}
	return false;
}

/* One that comes too late for a successor to have read it is noted for it. */
static int
put_row(struct batch *batch, struct ps_db *db, const struct ps_outbox_row *row)
{
	int ret = ps_db_put_outbox(db, row);

	return ret == PS_OK && batch->outbox->has_let_go ?
	    ps_db_note_lane(db, row->session) :
	    ret;
}

/*
 * A row that the schema refuses takes what its session said after it along, but
 * nothing of others.
 */
static int
put(struct batch *batch, struct ps_db *db)
{
	struct outbox_row *row;
	int ret;

	TAILQ_FOREACH(row, &batch->puts, of_batch)
		row->lane->is_refused = false;
	TAILQ_FOREACH(row, &batch->puts, of_batch) {
		const struct lane *lane = row->lane;
		const struct ps_outbox_row values = {
			.session = lane_name(lane),
			.number = row->number,
			.token_id = lane->application->token_id,
			.client = lane->client,
			.callback = row->callback,
			.body = row->body,
			.is_last = row->is_last,
			.accepted_at_ms = row->accepted_at_ms,
		};

		ret = lane->is_refused ? PS_ERR_MALFORMED :
					 put_row(batch, db, &values);
		row->is_refused = ret == PS_ERR_MALFORMED;
		row->lane->is_refused = row->is_refused;
		if (ret != PS_OK && !row->is_refused)
			return ret;
	}
	return PS_OK;
}

static int
write_failure(const struct outbox_row *row, struct ps_db *db)
{
	const struct ps_outbox_key key = { lane_name(row->lane), row->number };
	int ret = ps_db_fail_outbox(db, &key,
	    row->error == NULL ? "out of memory" : row->error,
	    row->change == ROW_DEAD);

	if (ret != PS_ERR_MALFORMED)
		return ret;
	/* Nothing else could ever be written if this had to be. */
	ps_error("outbox: session %s: the database does not take what became "
		 "of callback %" PRIu64,
	    key.session, key.number);
	return PS_OK;
}

static int
write_changes(struct batch *batch, struct ps_db *db)
{
	struct ps_outbox_key keys[DELETES_AT_ONCE];
	const struct outbox_row *row;
	size_t n_keys = 0;
	int ret = PS_OK;

	TAILQ_FOREACH(row, &batch->changes, of_batch) {
		if (row->change != ROW_DELIVERED) {
			if ((ret = write_failure(row, db)) != PS_OK)
				return ret;
			continue;
		}
		keys[n_keys++] =
		    (struct ps_outbox_key){ lane_name(row->lane), row->number };
		if (n_keys < DELETES_AT_ONCE)
			continue;
		if ((ret = ps_db_delete_outbox(db, keys, n_keys)) != PS_OK)
			return ret;
		n_keys = 0;
	}
	return n_keys == 0 ? PS_OK : ps_db_delete_outbox(db, keys, n_keys);
}

static int
on_row(void *arg, const struct ps_outbox_row *values)
{
	struct lane *lane = arg;
	struct outbox_row *row = row_create(values->number, values->body,
	    ps_slice_str(values->callback));

	if (row == NULL) {
		lane->page.failed = true;
		return PS_ERR_NOMEM;
	}
	row->accepted_at_ms = values->accepted_at_ms;
	row->since_ms = values->retry_since_ms;
	TAILQ_INSERT_TAIL(&lane->page.rows, row, entry);
	lane->page.count++;
	return PS_OK;
}

void
lane_page_empty(struct lane_page *page)
{
	struct outbox_row *row;

	while ((row = TAILQ_FIRST(&page->rows)) != NULL) {
		TAILQ_REMOVE(&page->rows, row, entry);
		row_destroy(row);
	}
	page->count = 0;
	page->failed = false;
}

static int
read_page(struct lane *lane, struct ps_db *db)
{
	struct lane_page *page = &lane->page;
	int ret;

	/* It may have been read before the transaction was rolled back. */
	lane_page_empty(page);
	ret = ps_db_read_outbox(db, lane_name(lane), page->after, LANE_ROWS,
	    LANE_BYTES, on_row, lane);
	return page->failed ? PS_OK : ret;
}

int
batch_run(struct store_job *job, struct ps_db *db)
{
	struct batch *batch = (struct batch *)job;
	struct lane *lane;
	int ret = put(batch, db);

	if (ret == PS_OK)
		ret = write_changes(batch, db);
	TAILQ_FOREACH(lane, &batch->ends, entry)
		if (ret == PS_OK)
			ret =
			    ps_db_fail_lane(db, lane_name(lane), lane->give_up);
	TAILQ_FOREACH(lane, &batch->readers, entry)
		if (ret == PS_OK)
			ret = read_page(lane, db);
	return ret;
}
