#include "config.h"

#include "channel_log.h"

#include <stdlib.h>

#include "ps_config.h"

/* Capacities double. */
#define FIRST_CAPACITY 16
/* A ring that a burst has grown is given back. */
#define CAPACITY_KEPT 1024

static struct channel_entry *
slot(const struct channel_log *log, uint64_t number)
{
	return &log->ring[number & (log->capacity - 1)];
}

static bool
grow(struct channel_log *log)
{
	uint32_t capacity =
	    log->capacity == 0 ? FIRST_CAPACITY : log->capacity * 2;
	struct channel_entry *ring = malloc(capacity * sizeof(*ring));
	uint64_t i;

	if (ring == NULL)
		return false;
	for (i = log->begin; i < log->end; i++)
		ring[i & (capacity - 1)] = *slot(log, i);
	free(log->ring);
	log->ring = ring;
	log->capacity = capacity;
	return true;
}

bool
channel_log_reserve(struct channel_log *log, uint32_t count)
{
	while (log->end - log->begin + count > log->capacity) {
		if (!grow(log))
			return false;
	}
	return true;
}

bool
channel_log_append(struct channel_log *log, struct message *message,
    uint64_t only)
{
	if (!channel_log_reserve(log, 1)) {
		message_unref(message);
		return false;
	}
	*slot(log, log->end) =
	    (struct channel_entry){ message, only, log->bytes };
	log->end++;
	log->bytes += message->len;
	return true;
}

const struct channel_entry *
channel_log_at(const struct channel_log *log, uint64_t number)
{
	return number < log->end ? slot(log, number) : NULL;
}

void
channel_log_drop_until(struct channel_log *log, uint64_t number)
{
	for (; log->begin < number; log->begin++)
		message_unref(slot(log, log->begin)->message);
	if (log->begin == log->end && log->capacity > CAPACITY_KEPT) {
		free(log->ring);
		log->ring = NULL;
		log->capacity = 0;
	}
}

bool
channel_log_is_fuller(const struct channel_log *log,
    const struct ps_config *config, uint64_t number, uint64_t percent)
{
	uint64_t bytes;

	if (number == log->end)
		return false;
	bytes = log->bytes - slot(log, number)->bytes;
	return (log->end - number) * 100 >= config->queue_messages * percent ||
	    bytes >= config->queue_bytes / 100 * percent;
}
