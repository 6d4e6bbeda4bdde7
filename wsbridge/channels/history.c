#include "config.h"

#include "history.h"

#include <stdlib.h>

#include "ps_clock.h"
#include "wsbridge/store/reading.h"
#include "wsbridge/store/store.h"

struct history_request {
	struct garbage garbage; /* first */
	struct bridge *bridge;
	struct reading reading;
	history_fn done; /* NULL: cancelled */
	void *owner;
	struct timer timer; /* answers when nothing is kept */
};

bool
history_is_kept(const struct bridge *bridge)
{
	return bridge->store != NULL && bridge->config->history_events > 0 &&
	    bridge->config->history_age > 0;
}

void
history_put(struct bridge *bridge, struct ps_slice channel,
    const char *event_id, struct ps_slice payload)
{
	const struct ps_event event = { channel, payload, event_id,
		ps_clock_unix_ms(), 0 };

	if (history_is_kept(bridge))
		store_put_event(bridge->store, &event);
}

static void
request_free(struct history_request *request)
{
	reading_deinit(&request->reading);
	free(request);
}

static void
destroy(struct garbage *garbage)
{
	request_free((struct history_request *)garbage);
}

static void
answer(struct history_request *request)
{
	history_fn done = request->done;

	request->done = NULL;
	if (done != NULL)
		done(request->owner, &request->reading.result);
}

static void
on_done(struct reading *reading)
{
	struct history_request *request = PS_CONTAINER(reading,
	    struct history_request, reading);

	answer(request);
	request_free(request);
}

/* Nothing is kept, so everything is missing behind any event. */
static void
on_timer(struct timer *timer)
{
	struct history_request *request = PS_CONTAINER(timer,
	    struct history_request, timer);
	struct reading *reading = &request->reading;

	reading->result.gap = reading->query.since.len > 0 ||
	    reading->query.cursor.end_id != 0;
	answer(request);
	bridge_free_later(request->bridge, &request->garbage, destroy);
}

static struct history_request *
start(struct bridge *bridge, struct ps_slice channel, struct ps_slice since,
    const struct ps_event_cursor *cursor, uint32_t limit, history_fn done,
    void *owner)
{
	struct history_request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return NULL;
	request->bridge = bridge;
	request->done = done;
	request->owner = owner;
	request->timer.fire = on_timer;
	reading_init(&request->reading, channel, since, limit);
	if (cursor != NULL)
		request->reading.query.cursor = *cursor;
	request->reading.done = on_done;
	if (history_is_kept(bridge))
		store_read(bridge->store, &request->reading);
	else
		timers_set(&bridge->timers, &request->timer,
		    bridge->now_ms());
	return request;
}

struct history_request *
history_read(struct bridge *bridge, struct ps_slice channel,
    struct ps_slice since, uint32_t limit, history_fn done, void *owner)
{
	return start(bridge, channel, since, NULL, limit, done, owner);
}

struct history_request *
history_read_on(struct bridge *bridge, struct ps_slice channel,
    const struct ps_event_cursor *cursor, uint32_t limit, history_fn done,
    void *owner)
{
	return start(bridge, channel, ps_slice(NULL, 0), cursor, limit, done,
	    owner);
}

void
history_cancel(struct history_request *request)
{
	if (request == NULL)
		return;
	request->done = NULL;
	if (timer_is_set(&request->timer)) {
		timers_cancel(&request->bridge->timers, &request->timer);
		request_free(request);
	} else if (store_withdraw(request->bridge->store, &request->reading)) {
		request_free(request);
	}
}
