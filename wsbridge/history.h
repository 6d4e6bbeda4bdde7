/*
 * The events that the database keeps of a channel: they go to the store, and
 * come back from it for /history and for members that ask for what they have
 * missed. The store's thread writes and reads, in the order in which it is
 * asked; so what was put before is in what is read.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "bridge.h"
#include "ps_bytes.h"
#include "ps_limits.h"

struct history_event {
	char id[PS_EVENT_ID_LEN + 1];
	struct ps_slice payload;
	int64_t at_ms; /* Unix time */
};

struct history_result {
	bool failed;	/* the database could not be read */
	bool gap;	/* `since` is not kept (any more): all there is follows */
	const struct history_event *events; /* oldest first */
	size_t count;
};

struct history_request;
typedef void (*history_fn)(void *owner, const struct history_result *result);

/* Whether anything is kept. */
bool history_is_kept(const struct bridge *bridge);
/* A broadcast; both are copied. */
void history_put(struct bridge *bridge, struct ps_slice channel,
    const char *event_id, struct ps_slice payload);
/*
 * The last `limit` events, or the first `limit` after `since` where that is not
 * empty. `done` is called on the loop, once, never from within; the result is
 * borrowed for the call. NULL when memory is out.
 */
struct history_request *history_read(struct bridge *bridge,
    struct ps_slice channel, struct ps_slice since, uint32_t limit,
    history_fn done, void *owner);
/* `done` will not be called. NULL is fine. */
void history_cancel(struct history_request *request);

#endif
