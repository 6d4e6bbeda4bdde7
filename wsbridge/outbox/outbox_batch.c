#include "config.h"

#include "outbox_batch.h"

#include "delivery.h"
#include "ps_log.h"
#include "wsbridge/session/session.h"
#include "wsbridge/store/store.h"

/* The bridge could not keep what it has taken: RFC 6455, 7.4.1. */
#define NOT_WRITTEN 1011
/* After a batch that was not written, before the rest of it is tried again. */
#define RETRY_MS 1000

static void on_batch(struct store_job *job, int ret);

/* As many as a batch may have; a successor reads for itself. */
static void
add_readers(struct outbox *outbox, struct batch *batch)
{
	struct lane *lane;
	unsigned n;

	for (n = 0; n < PAGES_AT_ONCE && !outbox->is_settling &&
	     (lane = TAILQ_FIRST(&outbox->readers)) != NULL;
	     n++) {
		TAILQ_REMOVE(&outbox->readers, lane, entry);
		TAILQ_INSERT_TAIL(&batch->readers, lane, entry);
	}
}

void
outbox_collect(struct outbox *outbox, struct outbox_row *row)
{
	row->list = &outbox->collecting->puts;
	TAILQ_INSERT_TAIL(row->list, row, of_batch);
}

/* It leaves the batch, or what it was held for. */
static void
take_out(struct outbox_row *row)
{
	if (row->list != NULL)
		TAILQ_REMOVE(row->list, row, of_batch);
	row->list = NULL;
}

static void
add_held(struct outbox *outbox)
{
	struct outbox_row *row;

	while ((row = TAILQ_FIRST(&outbox->held)) != NULL) {
		take_out(row);
		outbox_collect(outbox, row);
	}
}

/* store_amend(): of a batch that is under way. */
static void
take_along(struct store_job *job)
{
	struct batch *batch = (struct batch *)job;
	struct batch *next = batch->outbox->collecting;

	job->after_records |= batch_has_first(next);
	batch_append(batch, next);
}

void
outbox_lend(struct outbox *outbox)
{
	struct bridge *bridge = outbox->bridge;
	struct batch *batch = outbox->collecting;

	if (outbox->under_way != NULL) {
		if (!batch_is_empty(batch))
			store_amend(bridge->store, &outbox->under_way->job,
			    take_along);
		return;
	}
	if (bridge->now_ms() >= outbox->retry_at_ms) {
		add_held(outbox);
	} else if (TAILQ_EMPTY(&batch->puts)) {
		timers_set(&bridge->timers, &outbox->retry_timer,
		    outbox->retry_at_ms);
		return;
	}
	add_readers(outbox, batch);
	if (batch_is_empty(batch))
		return;
	outbox->under_way = batch;
	outbox->collecting = &outbox->batches[batch == outbox->batches];
	batch->job.run = batch_run;
	batch->job.done = on_batch;
	batch->job.after_records = batch_has_first(batch);
	if (!store_do(bridge->store, &batch->job))
		on_batch(&batch->job, PS_ERR_CLOSED);
}

/* Those who wait for rows up to this number. */
static void
tell(struct lane *lane, uint64_t number, bool ok)
{
	struct commit_wait *wait;

	while ((wait = TAILQ_FIRST(&lane->waits)) != NULL &&
	    wait->number <= number) {
		outbox_unwait(wait);
		wait->done(wait, ok);
	}
}

/*
 * Something that the lane's session said could not be written. So nothing that
 * came behind it may be, in whichever batch it is, but for the end of the
 * session, which is tried again where that may help.
 */
static void
refuse(struct lane *lane, bool is_tried_again)
{
	struct outbox *outbox = lane->outbox;
	struct outbox_row *row, *next;
	struct session *session;
	bool is_lost = false;

	for (row = TAILQ_FIRST(&lane->unwritten); row != NULL; row = next) {
		next = TAILQ_NEXT(row, entry);
		take_out(row);
		if (row->is_last && is_tried_again) {
			row->list = &outbox->held;
			TAILQ_INSERT_TAIL(row->list, row, of_batch);
			continue;
		}
		lane_take_unwritten(lane, row);
		row_destroy(row);
		is_lost = true;
	}
	if (is_lost)
		ps_warning(
		    "outbox: session %s: what was said could not be written",
		    lane_name(lane));
	tell(lane, UINT64_MAX, false);
	session = session_find_name(outbox->bridge, lane->node.key);
	if (session != NULL)
		session_expel(session, NOT_WRITTEN, "not written");
}

static void
touch(struct lane_list *touched, struct lane *lane)
{
	if (lane->is_touched)
		return;
	lane->is_touched = true;
	lane->is_refused = false;
	TAILQ_INSERT_TAIL(touched, lane, touched);
}

/* Puts that are committed go on to be delivered; others stay where they are
 * until all are looked at. */
static void
end_puts(struct batch *batch, int ret, struct lane_list *touched)
{
	struct outbox_row *row;

	while ((row = TAILQ_FIRST(&batch->puts)) != NULL) {
		struct lane *lane = row->lane;

		take_out(row);
		touch(touched, lane);
		if (ret != PS_OK || row->is_refused) {
			lane->is_refused = true;
			continue;
		}
		lane_take_unwritten(lane, row);
		lane->written = row->number;
		batch->outbox->accepted++;
		lane_keep(lane, row);
	}
}

static void
end_changes(struct batch *batch, struct lane_list *touched)
{
	struct outbox_row *row;

	while ((row = TAILQ_FIRST(&batch->changes)) != NULL) {
		TAILQ_REMOVE(&batch->changes, row, of_batch);
		row->lane->n_changes--;
		touch(touched, row->lane);
		row_destroy(row);
	}
}

/* What has to be written some day comes in front of what was collected. */
static void
put_back(struct batch *batch)
{
	struct outbox *outbox = batch->outbox;
	struct batch *next = outbox->collecting;

	TAILQ_CONCAT(&batch->changes, &next->changes, of_batch);
	TAILQ_CONCAT(&next->changes, &batch->changes, of_batch);
	TAILQ_CONCAT(&next->ends, &batch->ends, entry);
	TAILQ_CONCAT(&batch->readers, &outbox->readers, entry);
	TAILQ_CONCAT(&outbox->readers, &batch->readers, entry);
	outbox->retry_at_ms = outbox->bridge->now_ms() + RETRY_MS;
}

static void
end_touched(struct lane_list *touched, int ret)
{
	struct lane *lane;

	while ((lane = TAILQ_FIRST(touched)) != NULL) {
		TAILQ_REMOVE(touched, lane, touched);
		lane->is_touched = false;
		tell(lane, lane->written, true);
		if (lane->is_refused)
			refuse(lane, ret == PS_ERR_IO);
		delivery_update(lane);
	}
}

static void
on_batch(struct store_job *job, int ret)
{
	struct batch *batch = (struct batch *)job;
	struct outbox *outbox = batch->outbox;
	struct lane_list touched = TAILQ_HEAD_INITIALIZER(touched);
	struct lane *lane;

	outbox->under_way = NULL;
	end_puts(batch, ret, &touched);
	if (ret == PS_OK)
		end_changes(batch, &touched);
	else
		put_back(batch);
	end_touched(&touched, ret);
	while ((lane = TAILQ_FIRST(&batch->ends)) != NULL) {
		TAILQ_REMOVE(&batch->ends, lane, entry);
		delivery_on_end(lane);
	}
	while ((lane = TAILQ_FIRST(&batch->readers)) != NULL) {
		TAILQ_REMOVE(&batch->readers, lane, entry);
		delivery_on_page(lane);
	}
	outbox_wake(outbox);
}
