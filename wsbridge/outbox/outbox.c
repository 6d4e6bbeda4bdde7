#include "config.h"

#include "outbox.h"

#include <stdlib.h>

#include "circuit.h"
#include "delivery.h"
#include "lane.h"
#include "outbox_batch.h"
#include "ps_log.h"

/* A callback costs as much as so many units of fanout.h. */
#define CALLBACK_UNITS 4

static void
on_retry(struct timer *timer)
{
	outbox_wake(PS_CONTAINER(timer, struct outbox, retry_timer));
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

	outbox_lend(outbox);
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
		outbox_collect(outbox, row);
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
