/*
 * The events of channels that are in the backlog, by channel: which of them
 * need not be written since newer ones are enough, and how many were lost in
 * front of the next, so that the history can show its gaps.
 *
 * An event waits; then it is taken, and given back or done with. The backlog
 * guards all of this with its mutex, and owns the records.
 */
#ifndef UNWRITTEN_H
#define UNWRITTEN_H

#include <sys/queue.h>

#include "ps_db.h"
#include "record_head.h"
#include "wsbridge/base/table.h"

TAILQ_HEAD(event_record_list, event_record);

/* It owns its texts. */
struct event_record {
	struct record record; /* first */
	TAILQ_ENTRY(event_record) of_channel, of_all; /* while it waits */
	struct unwritten_channel *channel;
	size_t size; /* as it counts */
	struct ps_event event;
	char texts[];
};

/* Is there while it has events, or the next one has to tell what was lost. */
struct unwritten_channel {
	struct table_node node; /* first */
	TAILQ_ENTRY(unwritten_channel) bereft;
	bool is_bereft; /* something was lost and nothing is there to tell */
	struct event_record_list events; /* that wait, oldest first */
	uint64_t n_events, n_taken;
	uint64_t n_lost; /* behind all of these */
	struct event_record *last_taken;
	char name[];
};

struct unwritten {
	struct table channels;
	struct event_record_list events; /* that wait, oldest first */
	size_t bytes;			 /* of all, those taken too */
	uint64_t keep; /* of a channel; older ones would be deleted at once */
	TAILQ_HEAD(, unwritten_channel) bereft; /* longest first */
	uint64_t n_bereft;
};

/* False when memory is out. */
PS_MUST_CHECK bool unwritten_init(struct unwritten *unwritten);
void unwritten_deinit(struct unwritten *unwritten);

/* A copy; NULL when memory is out. */
struct event_record *event_record_create(const struct ps_event *event);

/* The event waits, as the newest. False when memory is out. */
PS_MUST_CHECK bool unwritten_add(struct unwritten *unwritten,
    struct event_record *record);
void unwritten_take(struct unwritten *unwritten, struct event_record *record);
/* As the oldest. */
void unwritten_give_back(struct unwritten *unwritten,
    struct event_record *record);
/* What was taken is written. */
void unwritten_done(struct unwritten *unwritten, struct event_record *record);
/* What waits will never be written. */
void unwritten_lose(struct unwritten *unwritten, struct event_record *record);
/* The same of one that there was no memory for. */
void unwritten_lose_unmade(struct unwritten *unwritten, struct ps_slice name);
/* Of a channel that has more than are kept: the oldest. Otherwise NULL. */
struct event_record *unwritten_surplus(const struct unwritten *unwritten,
    const struct unwritten_channel *channel);

/* Of those that were taken together, the last one of its channel. */
static inline bool
event_record_is_last(const struct event_record *record)
{
	return record->channel->last_taken == record;
}

#endif
