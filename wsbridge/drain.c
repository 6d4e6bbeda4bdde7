#include "config.h"

#include "drain.h"

#include "intake.h"
#include "place.h"
#include "ps_log.h"
#include "wsbridge/applications/authorization_row.h"
#include "wsbridge/applications/authorizations.h"
#include "wsbridge/channels/history.h"
#include "wsbridge/channels/member.h"
#include "wsbridge/outbox/outbox.h"
#include "wsbridge/session/session.h"
#include "wsbridge/websocket/websocket.h"

/* A successor waits for what was emitted to be written, for as long as workers
 * wait for a successor. */
#define SETTLE_MS 2000

static void
set_timer(struct bridge *bridge, void (*fire)(struct timer *timer),
    uint64_t after_ms)
{
	bridge->drain_timer.fire = fire;
	timers_set(&bridge->timers, &bridge->drain_timer,
	    bridge->now_ms() + after_ms);
}

static void
on_close_timeout(struct timer *timer)
{
	struct bridge *bridge = PS_CONTAINER(timer, struct bridge, drain_timer);
	struct session *session;

	ps_warning("drain: %zu sessions are cut off (close_timeout)",
	    bridge->sessions_by_id.count);
	while ((session = TAILQ_FIRST(&bridge->sessions)) != NULL)
		session_end(session, "close timeout");
	bridge->on_drained(bridge); /* whatever a web server did not read */
}

void
drain_close(struct bridge *bridge)
{
	struct session *session, *next;

	if (bridge->ending)
		return;
	bridge->ending = true;
	ps_info("drain: %zu sessions are closed",
	    bridge->sessions_by_id.count);
	set_timer(bridge, on_close_timeout, bridge->config->close_timeout);
	for (session = TAILQ_FIRST(&bridge->sessions); session != NULL;
	     session = next) {
		next = TAILQ_NEXT(session, all);
		session_drain(session);
	}
	bridge_check_drained(bridge);
}

static void
on_drain_timeout(struct timer *timer)
{
	drain_close(PS_CONTAINER(timer, struct bridge, drain_timer));
}

/* One of the things is done; after the last one a successor may come. */
static void
set_settled(struct bridge *bridge)
{
	if (--bridge->n_settling > 0)
		return;
	place_release(bridge);
	bridge_check_drained(bridge);
}

static void
on_events_settled(void *owner, const struct history_result *result)
{
	struct bridge *bridge = owner;

	(void)result;
	bridge->settling = NULL;
	timers_cancel(&bridge->timers, &bridge->settle_timer);
	set_settled(bridge);
}

static void
on_settle_timeout(struct timer *timer)
{
	struct bridge *bridge = PS_CONTAINER(timer, struct bridge,
	    settle_timer);

	ps_warning("drain: events that are not written yet may be missing in "
		   "what is replayed");
	history_cancel(bridge->settling);
	bridge->settling = NULL;
	set_settled(bridge);
}

/*
 * The successor replays what was emitted here, and writes what is emitted
 * there behind it. So it does not begin before that is in the database: a
 * reading comes behind all that was put.
 */
static void
settle_events(struct bridge *bridge)
{
	const struct ps_slice none = ps_slice_str("");

	if (!history_is_kept(bridge))
		return;
	bridge->settling = history_read(bridge, none, none, 1,
	    on_events_settled, bridge);
	if (bridge->settling == NULL)
		return;
	bridge->n_settling++;
	bridge->settle_timer.fire = on_settle_timeout;
	timers_set(&bridge->timers, &bridge->settle_timer,
	    bridge->now_ms() + SETTLE_MS);
}

static void
on_rows_settled(void *owner, bool ok)
{
	struct bridge *bridge = owner;

	(void)ok;
	bridge->settling_rows = NULL;
	set_settled(bridge);
}

/* What callbacks were answered may have withdrawn authorizations. */
static void
on_outbox_settled(void *owner)
{
	struct bridge *bridge = owner;

	bridge->settling_rows =
	    authorization_rows_settle(bridge, on_rows_settled, bridge);
	if (bridge->settling_rows == NULL)
		set_settled(bridge);
}

static void
settle(struct bridge *bridge)
{
	bridge->n_settling = 1;
	outbox_settle(bridge, on_outbox_settled, bridge);
	settle_events(bridge);
}

void
drain_stop(struct bridge *bridge)
{
	if (bridge->n_settling == 0)
		return;
	timers_cancel(&bridge->timers, &bridge->settle_timer);
	if (bridge->settling != NULL)
		history_cancel(bridge->settling);
	if (bridge->settling_rows != NULL)
		authorization_change_forget(bridge->settling_rows);
	outbox_unsettle(bridge);
	bridge->settling = NULL;
	bridge->settling_rows = NULL;
	bridge->n_settling = 0;
}

void
drain_start(struct bridge *bridge, void (*done)(struct bridge *bridge))
{
	const struct ps_config *config = bridge->config;

	if (bridge->draining)
		return;
	/* What workers have sent by now is served as ever; what they send next
	 * goes elsewhere, unless it is for a session of ours. */
	intake_turn_away(bridge);
	websocket_turn_away(bridge);
	bridge->on_drained = done;
	bridge->draining = true;
	/* A channel cannot be in two bridges: its members go where the
	 * successor is, and miss nothing (`since`). */
	members_drain(bridge);
	/* Nor can a client of an application, who loses nothing either. */
	authorizations_drain(bridge);
	settle(bridge);
	ps_info("drain: %zu sessions are served on",
	    bridge->sessions_by_id.count);
	if (config->drain_timeout == 0) {
		drain_close(bridge);
		return;
	}
	set_timer(bridge, on_drain_timeout, config->drain_timeout);
	bridge_check_drained(bridge);
}
