#include "config.h"

#include "unwritten.h"

#include <stdlib.h>

#include <openssl/rand.h>

/* Channels without events whose losses are remembered; beyond that those that
 * lost something the longest ago are forgotten. */
#define BEREFT_MAX 100000

bool
unwritten_init(struct unwritten *unwritten)
{
	uint64_t seed;

	*unwritten = (struct unwritten){ .keep = 1 };
	TAILQ_INIT(&unwritten->events);
	TAILQ_INIT(&unwritten->bereft);
	return RAND_bytes((unsigned char *)&seed, sizeof(seed)) == 1 &&
	    table_init(&unwritten->channels, seed);
}

static void
forget(struct unwritten *unwritten, struct unwritten_channel *channel)
{
	if (channel->is_bereft) {
		TAILQ_REMOVE(&unwritten->bereft, channel, bereft);
		unwritten->n_bereft--;
	}
	table_remove(&unwritten->channels, &channel->node);
	free(channel);
}

void
unwritten_deinit(struct unwritten *unwritten)
{
	struct event_record *record;

	while ((record = TAILQ_FIRST(&unwritten->events)) != NULL)
		unwritten_lose(unwritten, record);
	while (!TAILQ_EMPTY(&unwritten->bereft))
		forget(unwritten, TAILQ_FIRST(&unwritten->bereft));
	table_deinit(&unwritten->channels);
}

struct event_record *
event_record_create(const struct ps_event *event)
{
	size_t size = sizeof(struct event_record) + event->channel.len +
	    event->payload.len + strlen(event->id) + 3;
	struct event_record *record = malloc(size);
	char *end;

	if (record == NULL)
		return NULL;
	end = record->texts;
	record->record.kind = RECORD_EVENT;
	record->size = size;
	record->event = *event;
	record->event.n_lost = 0;
	record->event.id = ps_slice_keep(ps_slice_str(event->id), &end);
	record->event.channel.data = ps_slice_keep(event->channel, &end);
	record->event.payload.data = ps_slice_keep(event->payload, &end);
	return record;
}

static struct unwritten_channel *
get_channel(struct unwritten *unwritten, struct ps_slice name)
{
	struct table_node *node = table_find(&unwritten->channels, name);
	struct unwritten_channel *channel = (struct unwritten_channel *)node;
	char *end;

	if (channel != NULL ||
	    (channel = calloc(1, sizeof(*channel) + name.len + 1)) == NULL)
		return channel;
	end = channel->name;
	channel->node.key = ps_slice(ps_slice_keep(name, &end), name.len);
	TAILQ_INIT(&channel->events);
	table_add(&unwritten->channels, &channel->node);
	return channel;
}

/* After every change: whether it is needed any more, and what for. */
static void
settle(struct unwritten *unwritten, struct unwritten_channel *channel)
{
	bool is_idle = channel->n_events + channel->n_taken == 0;

	if (is_idle && channel->n_lost == 0) {
		forget(unwritten, channel);
	} else if (is_idle && !channel->is_bereft) {
		channel->is_bereft = true;
		TAILQ_INSERT_TAIL(&unwritten->bereft, channel, bereft);
		if (++unwritten->n_bereft > BEREFT_MAX)
			forget(unwritten, TAILQ_FIRST(&unwritten->bereft));
	} else if (!is_idle && channel->is_bereft) {
		channel->is_bereft = false;
		TAILQ_REMOVE(&unwritten->bereft, channel, bereft);
		unwritten->n_bereft--;
	}
}

bool
unwritten_add(struct unwritten *unwritten, struct event_record *record)
{
	struct unwritten_channel *channel = get_channel(unwritten,
	    record->event.channel);

	if (channel == NULL)
		return false;
	record->channel = channel;
	record->event.n_lost = channel->n_lost;
	channel->n_lost = 0;
	channel->n_events++;
	TAILQ_INSERT_TAIL(&channel->events, record, of_channel);
	TAILQ_INSERT_TAIL(&unwritten->events, record, of_all);
	unwritten->bytes += record->size;
	settle(unwritten, channel);
	return true;
}

static void
stop_waiting(struct unwritten *unwritten, struct event_record *record)
{
	TAILQ_REMOVE(&record->channel->events, record, of_channel);
	TAILQ_REMOVE(&unwritten->events, record, of_all);
	record->channel->n_events--;
}

void
unwritten_take(struct unwritten *unwritten, struct event_record *record)
{
	stop_waiting(unwritten, record);
	record->channel->n_taken++;
	record->channel->last_taken = record;
}

void
unwritten_give_back(struct unwritten *unwritten, struct event_record *record)
{
	struct unwritten_channel *channel = record->channel;

	TAILQ_INSERT_HEAD(&channel->events, record, of_channel);
	TAILQ_INSERT_HEAD(&unwritten->events, record, of_all);
	channel->n_events++;
	channel->n_taken--;
}

void
unwritten_done(struct unwritten *unwritten, struct event_record *record)
{
	unwritten->bytes -= record->size;
	record->channel->n_taken--;
	settle(unwritten, record->channel);
}

void
unwritten_lose(struct unwritten *unwritten, struct event_record *record)
{
	struct unwritten_channel *channel = record->channel;
	struct event_record *next = TAILQ_NEXT(record, of_channel);
	uint64_t *n_lost = next == NULL ? &channel->n_lost :
					  &next->event.n_lost;

	*n_lost += record->event.n_lost + 1;
	stop_waiting(unwritten, record);
	unwritten->bytes -= record->size;
	settle(unwritten, channel);
}

void
unwritten_lose_unmade(struct unwritten *unwritten, struct ps_slice name)
{
	struct unwritten_channel *channel = get_channel(unwritten, name);

	if (channel == NULL)
		return;
	channel->n_lost++;
	settle(unwritten, channel);
}

struct event_record *
unwritten_surplus(const struct unwritten *unwritten,
    const struct unwritten_channel *channel)
{
	return channel->n_events > unwritten->keep ?
	    TAILQ_FIRST(&channel->events) :
	    NULL;
}
