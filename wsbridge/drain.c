#include "config.h"

#include "drain.h"

#include "intake.h"
#include "ps_log.h"
#include "session.h"

static void
on_timeout(struct timer *timer)
{
	struct bridge *bridge = PS_CONTAINER(timer, struct bridge, drain_timer);
	struct session *session;

	ps_warning("drain: %zu sessions are cut off (drain_timeout)",
	    bridge->sessions_by_id.count);
	while ((session = TAILQ_FIRST(&bridge->sessions)) != NULL)
		session_end(session, "drain timeout");
	bridge->on_drained(bridge); /* whatever a web server did not read */
}

void
drain_start(struct bridge *bridge, void (*done)(struct bridge *bridge))
{
	struct session *session, *next;

	if (bridge->draining)
		return;
	ps_info("drain: %zu sessions are closed",
	    bridge->sessions_by_id.count);
	bridge->on_drained = done;
	bridge->draining = true;
	intake_stop_listening(bridge);
	for (session = TAILQ_FIRST(&bridge->sessions); session != NULL;
	     session = next) {
		next = TAILQ_NEXT(session, all);
		session_drain(session);
	}
	bridge->drain_timer.fire = on_timeout;
	timers_set(&bridge->timers, &bridge->drain_timer,
	    bridge->now_ms() + bridge->config->drain_timeout);
	bridge_check_drained(bridge);
}
