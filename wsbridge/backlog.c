#include "config.h"

#include "backlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ps_clock.h"

/* A disk that takes nothing for so long, and tells no error, is failing. */
#define STUCK_MS 10000

void
backlog_init(struct backlog *backlog, uint64_t max_unwritten)
{
	*backlog = (struct backlog){ .max_unwritten = max_unwritten,
		.turn = 1,
		.progress_ms = ps_clock_ms() };
	pthread_mutex_init(&backlog->mutex, NULL);
	STAILQ_INIT(&backlog->records);
}

static void
free_records(struct record_list *list)
{
	struct record *record;

	while ((record = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, next);
		free(record);
	}
}

void
backlog_deinit(struct backlog *backlog)
{
	free_records(&backlog->records);
	pthread_mutex_destroy(&backlog->mutex);
}

static bool
is_bounded(const struct backlog *backlog)
{
	return backlog->failing ||
	    ps_clock_ms() - backlog->progress_ms > STUCK_MS;
}

/* Takes out those that are too many, if any are; the caller frees them. */
static void
cut(struct backlog *backlog, struct record_list *lost)
{
	struct record *record;

	if (!is_bounded(backlog))
		return;
	while (backlog->n_records > 0 &&
	    backlog->n_records + backlog->n_taken > backlog->max_unwritten) {
		record = STAILQ_FIRST(&backlog->records);
		STAILQ_REMOVE_HEAD(&backlog->records, next);
		STAILQ_INSERT_TAIL(lost, record, next);
		backlog->n_records--;
		backlog->lost++;
		backlog->turn++;
	}
}

void
backlog_set_max(struct backlog *backlog, uint64_t max_unwritten)
{
	struct record_list lost = STAILQ_HEAD_INITIALIZER(lost);

	pthread_mutex_lock(&backlog->mutex);
	backlog->max_unwritten = max_unwritten;
	cut(backlog, &lost);
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&lost);
}

void
backlog_set_failing(struct backlog *backlog, bool failing)
{
	struct record_list lost = STAILQ_HEAD_INITIALIZER(lost);

	pthread_mutex_lock(&backlog->mutex);
	backlog->failing = failing;
	cut(backlog, &lost);
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&lost);
}

/* NULL: no memory for it. Under the mutex; the caller frees `lost`. */
static void
add(struct backlog *backlog, struct record *record, struct record_list *lost)
{
	if (record == NULL) {
		backlog->lost++;
		return;
	}
	if (backlog->n_records + backlog->n_taken == 0)
		backlog->progress_ms = ps_clock_ms();
	STAILQ_INSERT_TAIL(&backlog->records, record, next);
	backlog->n_records++;
	cut(backlog, lost);
}

/* What can change of a session's row. */
static void
amend(struct record *record, const struct ps_session_row *row)
{
	record->row.closed_at_s = row->closed_at_s;
	record->row.close_code = row->close_code;
	record->row.traffic = row->traffic;
	snprintf(record->reason, sizeof(record->reason), "%s",
	    row->close_reason == NULL ? "" : row->close_reason);
	record->row.close_reason = record->reason;
}

static struct record *
session_record(const struct ps_session_row *row)
{
	struct record *record = malloc(sizeof(*record) + strlen(row->id) +
	    strlen(row->node) + strlen(row->subject) + strlen(row->origin) +
	    strlen(row->remote_addr) + strlen(row->agent) + 6);
	char *end;

	if (record == NULL)
		return NULL;
	record->is_session = true;
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
	struct record_list lost = STAILQ_HEAD_INITIALIZER(lost);

	pthread_mutex_lock(&backlog->mutex);
	if (ticket->record != NULL && ticket->turn == backlog->turn) {
		amend(ticket->record, row);
	} else {
		ticket->record = session_record(row);
		add(backlog, ticket->record, &lost);
		/* It is the last now, or there was no room at all. */
		ticket->turn = backlog->n_records > 0 ? backlog->turn : 0;
	}
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&lost);
}

void
backlog_put_usage(struct backlog *backlog, const struct ps_usage *usage)
{
	struct record_list lost = STAILQ_HEAD_INITIALIZER(lost);
	struct record *record = malloc(sizeof(*record));

	if (record != NULL) {
		record->is_session = false;
		record->usage = *usage;
	}
	pthread_mutex_lock(&backlog->mutex);
	add(backlog, record, &lost);
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&lost);
}

void
backlog_take(struct backlog *backlog, uint64_t max,
    struct record_list *batch_r)
{
	struct record *record;

	STAILQ_INIT(batch_r);
	pthread_mutex_lock(&backlog->mutex);
	backlog->turn++;
	while (backlog->n_taken < max &&
	    (record = STAILQ_FIRST(&backlog->records)) != NULL) {
		STAILQ_REMOVE_HEAD(&backlog->records, next);
		STAILQ_INSERT_TAIL(batch_r, record, next);
		backlog->n_records--;
		backlog->n_taken++;
	}
	pthread_mutex_unlock(&backlog->mutex);
}

void
backlog_written(struct backlog *backlog, struct record_list *batch)
{
	pthread_mutex_lock(&backlog->mutex);
	backlog->written += backlog->n_taken;
	backlog->n_taken = 0;
	backlog->progress_ms = ps_clock_ms();
	pthread_mutex_unlock(&backlog->mutex);
	free_records(batch);
}

void
backlog_put_back(struct backlog *backlog, struct record_list *batch)
{
	struct record_list lost = STAILQ_HEAD_INITIALIZER(lost);

	pthread_mutex_lock(&backlog->mutex);
	STAILQ_CONCAT(batch, &backlog->records);
	STAILQ_CONCAT(&backlog->records, batch);
	backlog->n_records += backlog->n_taken;
	backlog->n_taken = 0;
	cut(backlog, &lost);
	pthread_mutex_unlock(&backlog->mutex);
	free_records(&lost);
}

struct backlog_status
backlog_status(struct backlog *backlog)
{
	struct backlog_status status;

	pthread_mutex_lock(&backlog->mutex);
	status = (struct backlog_status){
		.waiting = backlog->n_records + backlog->n_taken,
		.written = backlog->written,
		.lost = backlog->lost };
	pthread_mutex_unlock(&backlog->mutex);
	return status;
}
