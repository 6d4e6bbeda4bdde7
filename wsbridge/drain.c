#include "config.h"

#include "drain.h"

#include "intake.h"
#include "member.h"
#include "place.h"
#include "ps_log.h"
#include "session.h"
#include "websocket.h"

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
	place_release(bridge);
	/* A channel cannot be in two bridges: its members go where the
	 * successor is, and miss nothing (`since`). */
	members_drain(bridge);
	ps_info("drain: %zu sessions are served on",
	    bridge->sessions_by_id.count);
	if (config->drain_timeout == 0) {
		drain_close(bridge);
		return;
	}
	set_timer(bridge, on_drain_timeout, config->drain_timeout);
	bridge_check_drained(bridge);
}
