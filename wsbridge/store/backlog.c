#include "config.h"

#include "backlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ps_clock.h"

/* A disk that takes nothing for so long, and tells no error, is failing. */
#define STUCK_MS 10000

bool
backlog_init(struct backlog *backlog, uint64_t max_unwritten)
{
	*backlog = (struct backlog){ .max_unwritten = max_unwritten,
		.turn = 1,
		.progress_ms = ps_clock_ms() };
	pthread_mutex_init(&backlog->mutex, NULL);
	TAILQ_INIT(&backlog->records);
	TAILQ_INIT(&backlog->readings);
	return unwritten_init(&backlog->events);
}

static void
free_records(struct record_list *list)
{
	struct record *record;

	while ((record = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, record, next);
		free(record);
	}
}

void
backlog_deinit(struct backlog *backlog)
{
	unwritten_deinit(&backlog->events);
	free_records(&backlog->records);
	pthread_mutex_destroy(&backlog->mutex);
}

static bool
is_bounded(const struct backlog *backlog)
{
	return backlog->failing ||
	    ps_clock_ms() - backlog->progress_ms > STUCK_MS;
}

/* Takes one out for good; the caller frees what is in `gone`. */
static void
take_out(struct backlog *backlog, struct record *record,
    struct record_list *gone)
{
	TAILQ_REMOVE(&backlog->records, record, next);
	TAILQ_INSERT_TAIL(gone, record, next);
	backlog->n_records--;
	if (record->kind == RECORD_EVENT)
		unwritten_lose(&backlog->events,
		    (struct event_record *)record);
	else if (record->kind == RECORD_SESSION)
		backlog->turn++;
}

static void
lose(struct backlog *backlog, struct record *record, struct record_list *gone)
{
	backlog->lost++;
	backlog->lost_events += record->kind == RECORD_EVENT;
	take_out(backlog, record, gone);
}

/* Takes out those that are too many, if any are. */
static void
cut(struct backlog *backlog, struct record_list *gone)
{
	struct event_record *event;

	while (backlog->events.bytes > BACKLOG_EVENT_BYTES &&
	    (event = TAILQ_FIRST(&backlog->events.events)) != NULL)
		lose(backlog, &event->record, gone);
	while (backlog->n_records > 0 &&
	    backlog->n_records + backlog->n_taken > backlog->max_unwritten &&
	    is_bounded(backlog))
		lose(backlog, TAILQ_FIRST(&backlog->records), gone);
}

/* The older ones of a channel, which would be deleted once written. */
static void
cut_channel(struct backlog *backlog, const struct unwritten_channel *channel,
    struct record_list *gone)
{
	struct event_record *event;

	while ((event = unwritten_surplus(&backlog->events, channel)) != NULL)
		take_out(backlog, &event->record, gone);
}

void
backlog_set_max(struct backlog *backlog, uint64_t max_unwritten)
{
	struct record_list gone = TAILQ_HEAD_INITIALIZER(gone);

	pthread_mutex_lock(&backlog->mutex);
	backlog->max_unwritten = max_unwritten;
	cut(backlog, &gone);
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&gone);
}

void
backlog_set_keep(struct backlog *backlog, uint64_t keep)
{
	pthread_mutex_lock(&backlog->mutex);
	backlog->events.keep = keep == 0 ? 1 : keep;
	pthread_mutex_unlock(&backlog->mutex);
}

void
backlog_set_failing(struct backlog *backlog, bool failing)
{
	struct record_list gone = TAILQ_HEAD_INITIALIZER(gone);

	pthread_mutex_lock(&backlog->mutex);
	backlog->failing = failing;
	cut(backlog, &gone);
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&gone);
}

/* NULL: no memory for it. Under the mutex; the caller frees `gone`. */
static void
add(struct backlog *backlog, struct record *record, struct record_list *gone)
{
	if (record == NULL) {
		backlog->lost++;
		return;
	}
	if (backlog->n_records + backlog->n_taken == 0)
		backlog->progress_ms = ps_clock_ms();
	record->number = ++backlog->n_put;
	TAILQ_INSERT_TAIL(&backlog->records, record, next);
	backlog->n_records++;
	if (record->kind == RECORD_EVENT)
		cut_channel(backlog,
		    ((struct event_record *)record)->channel, gone);
	cut(backlog, gone);
}

/* What can change of a session's row. */
static void
amend(struct session_record *record, const struct ps_session_row *row)
{
	record->row.closed_at_s = row->closed_at_s;
	record->row.close_code = row->close_code;
	record->row.end_is_told = row->end_is_told;
	record->row.traffic = row->traffic;
	snprintf(record->reason, sizeof(record->reason), "%s",
	    row->close_reason == NULL ? "" : row->close_reason);
	record->row.close_reason = record->reason;
}

static struct session_record *
session_record(const struct ps_session_row *row)
{
	struct session_record *record = malloc(sizeof(*record) +
	    strlen(row->id) + strlen(row->node) + strlen(row->subject) +
	    strlen(row->origin) + strlen(row->remote_addr) +
	    strlen(row->agent) + 6);
	char *end;

	if (record == NULL)
		return NULL;
	record->record.kind = RECORD_SESSION;
	record->row = *row;
	end = record->texts;
	record->row.id = ps_slice_keep(ps_slice_str(row->id), &end);
	record->row.node = ps_slice_keep(ps_slice_str(row->node), &end);
	record->row.subject = ps_slice_keep(ps_slice_str(row->subject), &end);
	record->row.origin = ps_slice_keep(ps_slice_str(row->origin), &end);
	record->row.remote_addr =
	    ps_slice_keep(ps_slice_str(row->remote_addr), &end);
	record->row.agent = ps_slice_keep(ps_slice_str(row->agent), &end);
	amend(record, row);
	return record;
}

void
backlog_put_session(struct backlog *backlog, const struct ps_session_row *row,
    struct backlog_ticket *ticket)
{
	struct record_list gone = TAILQ_HEAD_INITIALIZER(gone);

	pthread_mutex_lock(&backlog->mutex);
	if (ticket->record != NULL && ticket->turn == backlog->turn) {
		amend(ticket->record, row);
	} else {
		ticket->record = session_record(row);
		add(backlog,
		    ticket->record == NULL ? NULL : &ticket->record->record,
		    &gone);
		/* It is the last now, or there was no room at all. */
		ticket->turn = backlog->n_records > 0 ? backlog->turn : 0;
	}
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&gone);
}

void
backlog_put_usage(struct backlog *backlog, const struct ps_usage *usage)
{
	struct record_list gone = TAILQ_HEAD_INITIALIZER(gone);
	struct usage_record *record = malloc(sizeof(*record));

	if (record != NULL) {
		record->record.kind = RECORD_USAGE;
		record->usage = *usage;
	}
	pthread_mutex_lock(&backlog->mutex);
	add(backlog, record == NULL ? NULL : &record->record, &gone);
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&gone);
}

void
backlog_put_event(struct backlog *backlog, const struct ps_event *event)
{
	struct record_list gone = TAILQ_HEAD_INITIALIZER(gone);
	struct event_record *record = event_record_create(event);

	pthread_mutex_lock(&backlog->mutex);
	if (record != NULL && unwritten_add(&backlog->events, record)) {
		add(backlog, &record->record, &gone);
		record = NULL;
	} else {
		unwritten_lose_unmade(&backlog->events, event->channel);
		backlog->lost++;
		backlog->lost_events++;
	}
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&gone);
	free(record);
}

void
backlog_put_reading(struct backlog *backlog, struct waiting_reading *reading)
{
	pthread_mutex_lock(&backlog->mutex);
	reading->behind = backlog->n_put;
	reading->waits = true;
	TAILQ_INSERT_TAIL(&backlog->readings, reading, next);
	pthread_mutex_unlock(&backlog->mutex);
}

static void
remove_reading(struct backlog *backlog, struct waiting_reading *reading)
{
	TAILQ_REMOVE(&backlog->readings, reading, next);
	reading->waits = false;
}

bool
backlog_withdraw(struct backlog *backlog, struct waiting_reading *reading)
{
	bool waits;

	pthread_mutex_lock(&backlog->mutex);
	if ((waits = reading->waits))
		remove_reading(backlog, reading);
	pthread_mutex_unlock(&backlog->mutex);
	return waits;
}

/* Whether the record was put before the next reading, if there is one. */
static bool
is_in_front(const struct backlog *backlog, const struct record *record)
{
	const struct waiting_reading *reading =
	    TAILQ_FIRST(&backlog->readings);

	return record != NULL &&
	    (reading == NULL || record->number <= reading->behind);
}

bool
backlog_has_readings(struct backlog *backlog)
{
	bool has_readings;

	pthread_mutex_lock(&backlog->mutex);
	has_readings = !TAILQ_EMPTY(&backlog->readings);
	pthread_mutex_unlock(&backlog->mutex);
	return has_readings;
}

struct waiting_reading *
backlog_take_reading(struct backlog *backlog)
{
	struct waiting_reading *reading = NULL;

	pthread_mutex_lock(&backlog->mutex);
	if (!is_in_front(backlog, TAILQ_FIRST(&backlog->records)) &&
	    (reading = TAILQ_FIRST(&backlog->readings)) != NULL)
		remove_reading(backlog, reading);
	pthread_mutex_unlock(&backlog->mutex);
	return reading;
}

struct waiting_reading *
backlog_drop_reading(struct backlog *backlog)
{
	struct waiting_reading *reading;

	pthread_mutex_lock(&backlog->mutex);
	if ((reading = TAILQ_FIRST(&backlog->readings)) != NULL)
		remove_reading(backlog, reading);
	pthread_mutex_unlock(&backlog->mutex);
	return reading;
}

uint64_t
backlog_take(struct backlog *backlog, uint64_t max,
    struct record_list *batch_r)
{
	struct record *record;
	uint64_t n_taken;

	TAILQ_INIT(batch_r);
	pthread_mutex_lock(&backlog->mutex);
	backlog->turn++;
	while (backlog->n_taken < max &&
	    is_in_front(backlog,
		record = TAILQ_FIRST(&backlog->records))) {
		TAILQ_REMOVE(&backlog->records, record, next);
		TAILQ_INSERT_TAIL(batch_r, record, next);
		backlog->n_records--;
		backlog->n_taken++;
		if (record->kind == RECORD_EVENT)
			unwritten_take(&backlog->events,
			    (struct event_record *)record);
	}
	n_taken = backlog->n_taken;
	pthread_mutex_unlock(&backlog->mutex);
	return n_taken;
}

void
backlog_written(struct backlog *backlog, struct record_list *batch)
{
	struct record *record;

	pthread_mutex_lock(&backlog->mutex);
	TAILQ_FOREACH(record, batch, next) {
		if (record->kind == RECORD_EVENT)
			unwritten_done(&backlog->events,
			    (struct event_record *)record);
	}
	backlog->written += backlog->n_taken;
	backlog->n_taken = 0;
	backlog->progress_ms = ps_clock_ms();
	pthread_mutex_unlock(&backlog->mutex);
	free_records(batch);
}

void
backlog_put_back(struct backlog *backlog, struct record_list *batch)
{
	struct record_list gone = TAILQ_HEAD_INITIALIZER(gone);
	struct event_record *event;
	struct record *record;

	pthread_mutex_lock(&backlog->mutex);
	while ((record = TAILQ_LAST(batch, record_list)) != NULL) {
		TAILQ_REMOVE(batch, record, next);
		TAILQ_INSERT_HEAD(&backlog->records, record, next);
		backlog->n_records++;
		if (record->kind != RECORD_EVENT)
			continue;
		event = (struct event_record *)record;
		unwritten_give_back(&backlog->events, event);
		cut_channel(backlog, event->channel, &gone);
	}
	backlog->n_taken = 0;
	cut(backlog, &gone);
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&gone);
}

struct backlog_status
backlog_status(struct backlog *backlog)
{
	struct backlog_status status;

	pthread_mutex_lock(&backlog->mutex);
	status = (struct backlog_status){
		.waiting = backlog->n_records + backlog->n_taken,
		.written = backlog->written,
		.lost = backlog->lost,
		.lost_events = backlog->lost_events };
	pthread_mutex_unlock(&backlog->mutex);
	return status;
}
