#include "config.h"

#include "record.h"

#include <stdlib.h>

#include "session.h"
#include "wsbridge/store/store.h"

/* Usage is written at least every second; see STORE_PERIOD_MS. */
#define FLUSH_MS 700
/* The traffic of a session that lives is of less interest. */
#define TRAFFIC_MS 2000
/* Sessions handed over in one wake-up. */
#define BATCH 256

static void
on_timer(struct timer *timer);

static void
set_timer(struct bridge *bridge, uint64_t in_ms)
{
	struct timer *timer = &bridge->records.timer;

	timer->fire = on_timer;
	if (!timer_is_set(timer) && bridge->store != NULL)
		timers_set(&bridge->timers, timer, bridge->now_ms() + in_ms);
}

void
records_wake(struct bridge *bridge)
{
	if (!TAILQ_EMPTY(&bridge->quotas.changed))
		set_timer(bridge, FLUSH_MS);
}

static void
write_usage(struct bridge *bridge)
{
	struct ps_usage usage;

	while (quotas_take_unwritten(&bridge->quotas, &usage))
		store_add_usage(bridge->store, &usage);
}

static void
forget_change(struct session *session)
{
	if (!session->has_changed)
		return;
	session->has_changed = false;
	TAILQ_REMOVE(&session->bridge->records.changed, session, changed);
}

static void
write_row(struct session *session)
{
	forget_change(session);
	if (session->row == NULL)
		return;
	session->row->traffic = session->traffic;
	store_put_session(session->bridge->store, session->row,
	    &session->ticket);
}

/*
 * Those that changed before `before_ms`; the longest ago are first. True when
 * there may be more of them.
 */
static bool
write_traffic(struct bridge *bridge, uint64_t before_ms)
{
	struct session *session;
	size_t i;

	for (i = 0; i < BATCH; i++) {
		session = TAILQ_FIRST(&bridge->records.changed);
		if (session == NULL || session->changed_ms > before_ms)
			return false;
		write_row(session);
	}
	return true;
}

/* While the database cannot be written, what is counted is counted here. */
static void
on_timer(struct timer *timer)
{
	struct bridge *bridge = PS_CONTAINER(timer, struct bridge,
	    records.timer);
	bool more = false;

	if (!store_status(bridge->store).failing) {
		write_usage(bridge);
		more = write_traffic(bridge, bridge->now_ms() - TRAFFIC_MS);
	}
	if (!TAILQ_EMPTY(&bridge->quotas.changed) ||
	    !TAILQ_EMPTY(&bridge->records.changed))
		set_timer(bridge, more ? 0 : FLUSH_MS);
}

static void
mark_changed(struct session *session)
{
	struct bridge *bridge = session->bridge;

	if (session->has_changed || session->row == NULL)
		return;
	session->has_changed = true;
	session->changed_ms = bridge->now_ms();
	TAILQ_INSERT_TAIL(&bridge->records.changed, session, changed);
	set_timer(bridge, FLUSH_MS);
}

/* To be written with the next, before all that only changed. */
static void
mark_due(struct session *session)
{
	if (session->row == NULL)
		return;
	forget_change(session);
	session->has_changed = true;
	session->changed_ms = 0;
	TAILQ_INSERT_HEAD(&session->bridge->records.changed, session, changed);
}

void
record_begin(struct session *session, const struct record_subject *subject)
{
	struct bridge *bridge = session->bridge;
	struct ps_slice about = subject->subject;
	struct ps_session_row *row;
	char *end;

	if (bridge->store == NULL)
		return;
	if (about.len > PS_SUBJECT_MAX)
		about.len = PS_SUBJECT_MAX;
	row = malloc(sizeof(*row) + about.len +
	    subject->origin.len + subject->remote_addr.len +
	    subject->agent.len + 4);
	if (row == NULL)
		return;
	end = (char *)(row + 1);
	*row = (struct ps_session_row){ .kind = subject->kind,
		.token_id = session->quota->token_id,
		.id = session->name,
		.node = bridge->config->node,
		.opened_at_s = bridge->unix_s() };
	row->subject = ps_slice_keep(about, &end);
	row->origin = ps_slice_keep(subject->origin, &end);
	row->remote_addr = ps_slice_keep(subject->remote_addr, &end);
	row->agent = ps_slice_keep(subject->agent, &end);
	session->row = row;
	write_row(session);
	records_wake(bridge);
}

void
record_traffic(struct session *session)
{
	mark_changed(session);
	records_wake(session->bridge);
}

void
record_end(struct session *session, uint16_t code, const char *reason)
{
	struct ps_session_row *row = session->row;

	if (row == NULL ||
	    (row->close_reason == reason && row->close_code == code &&
		!session->has_changed))
		return;
	if (row->closed_at_s == 0)
		row->closed_at_s = session->bridge->unix_s();
	row->close_code = code;
	row->close_reason = reason;
	write_row(session);
}

void
record_tell_end(struct session *session, bool tell)
{
	struct ps_session_row *row = session->row;

	if (row == NULL || row->end_is_told == tell)
		return;
	row->end_is_told = tell;
	if (row->closed_at_s != 0)
		write_row(session);
}

void
records_repeat(struct bridge *bridge)
{
	struct session *session;

	TAILQ_FOREACH(session, &bridge->sessions, all)
		mark_due(session);
	timers_cancel(&bridge->timers, &bridge->records.timer);
	set_timer(bridge, 0);
}

void
records_flush(struct bridge *bridge)
{
	write_usage(bridge);
	while (!TAILQ_EMPTY(&bridge->records.changed))
		write_row(TAILQ_FIRST(&bridge->records.changed));
}
