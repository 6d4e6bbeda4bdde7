/*
 * The events that the database keeps of a channel: they go to the store, and
 * come back from it for /history and for members that ask for what they have
 * missed. The last history_events of each channel that are not older than
 * history_age are kept.
 *
 * The store's thread writes and reads in the order in which it is asked: a
 * result has all broadcasts that were put before history_read() was called
 * (and are kept), and none that was put after it. So who joins a channel and
 * reads at that moment sees neither a gap nor anything twice.
 *
 * While the database cannot be written or read, a read fails. When somebody
 * only holds its lock, a read waits for that as long as what is to be written
 * does, some 10 s, unless nothing is to be written before it.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "ps_db.h"
#include "ps_limits.h"
#include "wsbridge/bridge.h"

struct history_event {
	char id[PS_EVENT_ID_LEN + 1];
	struct ps_slice payload;
	int64_t at_ms; /* Unix time */
};

/*
 * `gap`: events are missing in front of one of these or of all that is left:
 * `since` is not kept (any more), and all that is kept follows; or some were
 * lost while the database could not be written, or were deleted by hand.
 *
 * `more`: it was enough for one result, of `limit` events or some
 * HISTORY_BYTES; history_read_on() goes on behind the last event.
 */
struct history_result {
	bool failed, gap, more;
	const struct history_event *events; /* oldest first */
	size_t count;
	struct ps_event_cursor cursor;
};

/* Payloads in one result; a single one may be larger. */
#define HISTORY_BYTES (2 * 1024 * 1024)

struct history_request;
typedef void (*history_fn)(void *owner, const struct history_result *result);

/* Whether anything is kept. */
bool history_is_kept(const struct bridge *bridge);
/* A broadcast; both are copied. Nothing happens when nothing is kept. */
void history_put(struct bridge *bridge, struct ps_slice channel,
    const char *event_id, struct ps_slice payload);
/*
 * The last `limit` events, or the first `limit` after `since` where that is not
 * empty. `done` is called on the loop, once, never from within; the result is
 * borrowed for the call, and the request is gone with it. NULL when memory is
 * out.
 */
struct history_request *history_read(struct bridge *bridge,
    struct ps_slice channel, struct ps_slice since, uint32_t limit,
    history_fn done, void *owner);
/*
 * What follows a result that had more, up to where the first one of them ended
 * at the latest: what was put since is in none of them.
 */
struct history_request *history_read_on(struct bridge *bridge,
    struct ps_slice channel, const struct ps_event_cursor *cursor,
    uint32_t limit, history_fn done, void *owner);
/* `done` will not be called. NULL is fine. */
void history_cancel(struct history_request *request);

#endif
