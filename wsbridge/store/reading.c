#include "config.h"

#include "reading.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 16
/* What waits in a box. */
#define BOX_BYTES (16 * 1024 * 1024)
/* Told in one turn of the loop, and their bytes. */
#define TELL_BATCH 16
#define TELL_BYTES (1024 * 1024)

void
reading_init(struct reading *reading, struct ps_slice channel,
    struct ps_slice since, uint32_t limit)
{
	assert(channel.len <= sizeof(reading->channel));
	*reading = (struct reading){ .query.limit = limit };
	if (since.len > sizeof(reading->since))
		since.len = 1; /* too short for any */
	if (since.len > 0)
		memcpy(reading->since, since.data, since.len);
	memcpy(reading->channel, channel.data, channel.len);
	reading->query.since = ps_slice(reading->since, since.len);
	reading->query.channel = ps_slice(reading->channel, channel.len);
}

void
reading_deinit(struct reading *reading)
{
	free(reading->events);
	ps_writer_deinit(&reading->payloads);
}

/* One more at the end, all zero; NULL when memory is out. */
static struct history_event *
add(struct reading *reading)
{
	size_t count = reading->result.count, capacity = reading->capacity;
	struct history_event *events;

	if (count == capacity) {
		capacity = capacity == 0 ? FIRST_CAPACITY : 2 * capacity;
		events = realloc(reading->events, capacity * sizeof(*events));
		if (events == NULL)
			return NULL;
		reading->events = events;
		reading->capacity = capacity;
	}
	reading->result.count++;
	reading->events[count] = (struct history_event){ 0 };
	return &reading->events[count];
}

/* Payloads may still move: for now only their lengths are known. */
static bool
on_found(void *arg, const struct ps_event *found)
{
	struct reading *reading = arg;
	struct history_event *event;

	if (reading->payloads.len > 0 &&
	    reading->payloads.len + found->payload.len > HISTORY_BYTES)
		return false;
	ps_writer_bytes(&reading->payloads, found->payload.data,
	    found->payload.len);
	if (reading->payloads.failed || (event = add(reading)) == NULL) {
		reading->result.failed = true;
		return false;
	}
	snprintf(event->id, sizeof(event->id), "%s", found->id);
	event->payload.len = found->payload.len;
	event->at_ms = found->at_ms;
	return true;
}

int
reading_run(struct reading *reading, struct ps_db *db)
{
	struct history_result *result = &reading->result;
	struct ps_event_answer answer;
	int ret = ps_db_read_events(db, &reading->query, &answer, on_found,
	    reading);
	size_t i, at = 0;

	if (ret != PS_OK)
		result->failed = true;
	if (result->failed)
		result->count = 0;
	result->gap = answer.gap;
	result->more = answer.more;
	result->cursor = answer.cursor;
	result->events = reading->events;
	for (i = 0; i < result->count; i++) {
		reading->events[i].payload.data = reading->payloads.data + at;
		at += reading->events[i].payload.len;
	}
	return ret;
}

/* What it takes up in memory. */
static size_t
size_of(const struct reading *reading)
{
	return sizeof(*reading) + reading->payloads.capacity +
	    reading->capacity * sizeof(*reading->events);
}

void
reading_box_init(struct reading_box *box)
{
	*box = (struct reading_box){ 0 };
	pthread_mutex_init(&box->mutex, NULL);
	TAILQ_INIT(&box->readings);
}

void
reading_box_deinit(struct reading_box *box)
{
	pthread_mutex_destroy(&box->mutex);
}

bool
reading_box_is_full(struct reading_box *box)
{
	bool is_full;

	pthread_mutex_lock(&box->mutex);
	is_full = box->bytes >= BOX_BYTES;
	box->starves = is_full;
	pthread_mutex_unlock(&box->mutex);
	return is_full;
}

void
reading_box_put(struct reading_box *box, struct reading *reading)
{
	pthread_mutex_lock(&box->mutex);
	TAILQ_INSERT_TAIL(&box->readings, &reading->waiting, next);
	box->bytes += size_of(reading);
	pthread_mutex_unlock(&box->mutex);
}

/* NULL: it is empty. */
static struct reading *
take(struct reading_box *box)
{
	struct waiting_reading *waiting;

	pthread_mutex_lock(&box->mutex);
	if ((waiting = TAILQ_FIRST(&box->readings)) != NULL) {
		TAILQ_REMOVE(&box->readings, waiting, next);
		box->bytes -= size_of((struct reading *)waiting);
	}
	pthread_mutex_unlock(&box->mutex);
	return (struct reading *)waiting;
}

bool
reading_box_tell(struct reading_box *box)
{
	struct reading *reading;
	size_t bytes = 0, i;

	for (i = 0; i < TELL_BATCH && bytes < TELL_BYTES; i++) {
		if ((reading = take(box)) == NULL)
			return false;
		bytes += size_of(reading);
		reading->done(reading);
	}
	return true;
}

bool
reading_box_has_room_again(struct reading_box *box)
{
	bool has_room;

	pthread_mutex_lock(&box->mutex);
	has_room = box->starves && box->bytes < BOX_BYTES;
	if (has_room)
		box->starves = false;
	pthread_mutex_unlock(&box->mutex);
	return has_room;
}
