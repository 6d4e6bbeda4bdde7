#include "config.h"

#include "outbox.h"

#include <stdlib.h>

#include "circuit.h"
#include "delivery.h"
#include "lane.h"
#include "ps_log.h"
#include "wsbridge/session/session.h"
#include "wsbridge/store/store.h"

/* The bridge could not keep what it has taken: RFC 6455, 7.4.1. */
#define NOT_WRITTEN 1011
/* After a batch that was not written, before the rest of it is tried again. */
#define RETRY_MS 1000
/* A callback costs as much as so many units of fanout.h. */
#define CALLBACK_UNITS 4

static void on_batch(struct store_job *job, int ret);

static void
on_retry(struct timer *timer)
{
	outbox_wake(PS_CONTAINER(timer, struct outbox, retry_timer));
}

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

static void
collect(struct outbox *outbox, struct outbox_row *row)
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
		collect(outbox, row);
	}
}

/* Lends what was collected to the store, unless that still has the last one.
 * After a failure only what somebody waits for is tried at once. */
static void
lend(struct outbox *outbox)
{
	struct bridge *bridge = outbox->bridge;
	struct batch *batch = outbox->collecting;

	if (outbox->under_way != NULL)
		return;
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

/* A successor reads what is written then. */
static void
check_settled(struct outbox *outbox)
{
	const struct bridge *bridge = outbox->bridge;
	void (*settled)(void *owner) = outbox->settled;
	bool is_written = outbox->under_way == NULL &&
	    batch_is_empty(outbox->collecting) && TAILQ_EMPTY(&outbox->held);

	if (settled == NULL ||
	    (!outbox->is_too_late &&
		(!is_written || !TAILQ_EMPTY(&outbox->calling) ||
		    !TAILQ_EMPTY(&bridge->authorizations.live))))
		return;
	if (!is_written)
		ps_warning(
		    "outbox: callbacks that were delivered are delivered "
		    "again, their rows could not be deleted");
	outbox_unsettle(outbox->bridge);
	outbox->has_let_go = true;
	settled(outbox->settled_owner);
}

static unsigned
serve(struct fanout_job *job, unsigned units)
{
	struct outbox *outbox = PS_CONTAINER(job, struct outbox, job);
	unsigned max = units < CALLBACK_UNITS ? 1 : units / CALLBACK_UNITS;
	unsigned n;

	lend(outbox);
	if (outbox->is_settling) {
		check_settled(outbox);
		return 1;
	}
	n = delivery_start(outbox, max);
	if (n == max)
		outbox_wake(outbox);
	return n * CALLBACK_UNITS;
}

/* From the bridge. */

bool
outbox_init(struct bridge *bridge, uint64_t seed)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));

	bridge->outbox = outbox;
	if (outbox == NULL)
		return false;
	outbox->bridge = bridge;
	outbox->job.serve = serve;
	outbox->retry_timer.fire = on_retry;
	TAILQ_INIT(&outbox->lanes);
	TAILQ_INIT(&outbox->calling);
	TAILQ_INIT(&outbox->readers);
	TAILQ_INIT(&outbox->ready);
	TAILQ_INIT(&outbox->held);
	batch_init(&outbox->batches[0], outbox);
	batch_init(&outbox->batches[1], outbox);
	outbox->collecting = &outbox->batches[0];
	return table_init(&outbox->lanes_by_session, seed) &&
	    table_init(&outbox->applications, seed) &&
	    table_init(&outbox->hosts, seed);
}

static void
free_lane(struct lane *lane)
{
	struct outbox_row *row;

	while ((row = TAILQ_FIRST(&lane->unwritten)) != NULL) {
		lane_take_unwritten(lane, row);
		row_destroy(row);
	}
	circuit_forget(lane);
	lane_destroy(lane);
}

void
outbox_deinit(struct bridge *bridge)
{
	struct outbox *outbox = bridge->outbox;
	struct outbox_row *row;
	struct lane *lane;

	if (outbox == NULL)
		return;
	fanout_leave(&bridge->fanout, &outbox->job);
	while ((row = TAILQ_FIRST(&outbox->collecting->changes)) != NULL) {
		TAILQ_REMOVE(&outbox->collecting->changes, row, of_batch);
		row_destroy(row);
	}
	while ((lane = TAILQ_FIRST(&outbox->lanes)) != NULL)
		free_lane(lane);
	timers_cancel(&bridge->timers, &outbox->retry_timer);
	timers_cancel(&bridge->timers, &outbox->settle_timer);
	table_deinit(&outbox->lanes_by_session);
	table_deinit(&outbox->applications);
	table_deinit(&outbox->hosts);
	free(outbox);
	bridge->outbox = NULL;
}

void
outbox_stop(struct bridge *bridge)
{
	bridge->outbox->is_settling = true;
	delivery_cancel(bridge->outbox);
}

const char *
outbox_find_excess(struct bridge *bridge, int64_t token_id, size_t count,
    size_t bytes)
{
	const struct outbox *outbox = bridge->outbox;
	const struct application_use *use =
	    application_use_find(outbox, token_id);
	uint64_t waiting = use == NULL ? 0 : use->count;

	if (waiting + count > bridge->config->outbox_messages ||
	    (outbox->unwritten_bytes > 0 &&
		outbox->unwritten_bytes + bytes > OUTBOX_BYTES))
		return "outbox_messages";
	return NULL;
}

bool
outbox_put(struct bridge *bridge, const struct outbox_entry *entry)
{
	struct outbox *outbox = bridge->outbox;
	struct lane *lane = lane_find(outbox, entry->session);
	struct outbox_row *row =
	    row_create(entry->number, entry->body, entry->callback);

	if (row != NULL && lane == NULL)
		lane = lane_create(outbox, entry->session, entry->token_id,
		    entry->client);
	/* One that was there is left to whoever is about to look at it. */
	if (row == NULL || lane == NULL) {
		row_destroy(row);
		return false;
	}
	row->is_last = entry->is_last;
	row->accepted_at_ms = row->since_ms = bridge->unix_s() * 1000;
	if (outbox_is_stored(outbox)) {
		lane_put(lane, row);
		collect(outbox, row);
		outbox_wake(outbox);
		return true;
	}
	outbox->accepted++;
	lane_keep(lane, row);
	delivery_update(lane);
	return true;
}

void
outbox_wait(struct bridge *bridge, struct ps_slice session,
    struct commit_wait *wait)
{
	struct lane *lane = lane_find(bridge->outbox, session);
	const struct outbox_row *last =
	    lane == NULL ? NULL : TAILQ_LAST(&lane->unwritten, outbox_row_list);

	wait->list = NULL;
	if (last == NULL) {
		wait->done(wait, true);
		return;
	}
	wait->number = last->number;
	wait->list = &lane->waits;
	TAILQ_INSERT_TAIL(wait->list, wait, entry);
}

void
outbox_unwait(struct commit_wait *wait)
{
	if (wait->list != NULL)
		TAILQ_REMOVE(wait->list, wait, entry);
	wait->list = NULL;
}

void
outbox_count(struct bridge *bridge, struct ps_slice session, size_t *count_r,
    size_t *bytes_r)
{
	const struct lane *lane = lane_find(bridge->outbox, session);

	*count_r = *bytes_r = 0;
	if (lane == NULL)
		return;
	*count_r = lane->n_rows + lane->n_stored + lane->n_unwritten;
	*bytes_r = outbox_is_stored(lane->outbox) ? lane->unwritten_bytes :
						    lane->bytes;
}

void
outbox_session_over(struct bridge *bridge)
{
	if (bridge->outbox->is_settling)
		outbox_wake(bridge->outbox);
}

static struct lane *
get_lane(struct bridge *bridge, const struct ps_outbox_lane *row)
{
	struct outbox *outbox = bridge->outbox;
	struct ps_slice session = ps_slice_str(row->session);
	struct lane *lane = lane_find(outbox, session);

	if (lane == NULL)
		lane = lane_create(outbox, session, row->token_id,
		    ps_slice_str(row->client));
	if (lane == NULL)
		ps_error("outbox: session %s: its callbacks wait for the next "
			 "start (out of memory)",
		    row->session);
	return lane;
}

void
outbox_load(struct bridge *bridge, const struct ps_outbox_lane *row)
{
	struct lane *lane = get_lane(bridge, row);

	if (lane == NULL)
		return;
	lane_set_stored(lane, row->count, row->first_number - 1);
	delivery_update(lane);
}

void
outbox_revived(struct bridge *bridge, const struct ps_outbox_lane *row)
{
	struct lane *lane;

	if (!bridge->outbox->is_settling &&
	    (lane = get_lane(bridge, row)) != NULL)
		delivery_revive(lane, row->count);
}

static void
on_too_late(struct timer *timer)
{
	struct outbox *outbox =
	    PS_CONTAINER(timer, struct outbox, settle_timer);

	outbox->is_too_late = true;
	outbox_wake(outbox);
}

static void
on_flight_over(struct timer *timer)
{
	struct outbox *outbox =
	    PS_CONTAINER(timer, struct outbox, settle_timer);
	struct bridge *bridge = outbox->bridge;

	delivery_cancel(outbox);
	timer->fire = on_too_late;
	timers_set(&bridge->timers, timer, bridge->now_ms() + OUTBOX_WRITE_MS);
	outbox_wake(outbox);
}

void
outbox_settle(struct bridge *bridge, void (*done)(void *owner), void *owner)
{
	struct outbox *outbox = bridge->outbox;

	outbox->is_settling = true;
	outbox->settled = done;
	outbox->settled_owner = owner;
	outbox->settle_timer.fire = on_flight_over;
	timers_set(&bridge->timers, &outbox->settle_timer,
	    bridge->now_ms() + OUTBOX_FLIGHT_MS);
	outbox_wake(outbox);
}

void
outbox_unsettle(struct bridge *bridge)
{
	bridge->outbox->settled = NULL;
	timers_cancel(&bridge->timers, &bridge->outbox->settle_timer);
}

void
outbox_status(const struct bridge *bridge, struct outbox_status *status_r)
{
	const struct outbox *outbox = bridge->outbox;
	const struct lane *lane;

	*status_r = (struct outbox_status){
		.waiting = outbox->waiting,
		.bytes = outbox->kept_bytes + outbox->unwritten_bytes,
		.lanes = outbox->lanes_by_session.count,
		.hosts = outbox->hosts.count,
		.hosts_down = outbox->hosts_down,
		.accepted = outbox->accepted,
		.delivered = outbox->delivered,
		.failed = outbox->failed,
		.dead = outbox->dead,
	};
	TAILQ_FOREACH(lane, &outbox->calling, entry)
		status_r->in_flight++;
}
