#include "config.h"

#include "circuit.h"

#include <stdlib.h>

#include "delivery.h"
#include "ps_log.h"

#define BACKOFF_MAX_MS 60000

uint64_t
circuit_backoff(const struct bridge *bridge, uint32_t n)
{
	uint64_t wait = bridge->config->callback_backoff;

	for (; n > 1 && wait < BACKOFF_MAX_MS; n--)
		wait *= 2;
	return wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
}

/* Only callbacks are limited, which those without a name are not yet. */
static bool
may_start(const struct host *host)
{
	const struct ps_config *config = host->outbox->bridge->config;

	if (TAILQ_EMPTY(&host->line))
		return false;
	if (host->is_down)
		return !host->is_probed && !timer_is_set(&host->timer);
	return host->n_slots < config->callback_connections;
}

static void
update(struct host *host)
{
	struct outbox *outbox = host->outbox;
	bool ready = may_start(host);

	if (ready == host->is_ready)
		return;
	host->is_ready = ready;
	if (ready)
		TAILQ_INSERT_TAIL(&outbox->ready, host, entry);
	else
		TAILQ_REMOVE(&outbox->ready, host, entry);
	if (ready)
		outbox_wake(outbox);
}

static void
on_timer(struct timer *timer)
{
	update(PS_CONTAINER(timer, struct host, timer));
}

static struct host *
create(struct outbox *outbox, const char *name)
{
	struct host *host = calloc(1, sizeof(*host));

	if (host == NULL)
		return NULL;
	host->outbox = outbox;
	host->timer.fire = on_timer;
	TAILQ_INIT(&host->line);
	strcpy(host->name, name);
	host->node.key = ps_slice_str(host->name);
	table_add(&outbox->hosts, &host->node);
	return host;
}

/* It is remembered as long as anybody wants to call it. */
static void
release(struct host *host)
{
	struct outbox *outbox = host->outbox;

	if (--host->n_lanes > 0)
		return;
	timers_cancel(&outbox->bridge->timers, &host->timer);
	outbox->hosts_down -= host->is_down;
	table_remove(&outbox->hosts, &host->node);
	free(host->error);
	free(host->url);
	free(host);
}

/* A URL that is none has no host: that is seen when it is to be called. */
static void
name_of(const char *url, char *name)
{
	if (url == NULL || !callback_host(url, name))
		*name = '\0';
}

/* To take a URL apart costs more than to see that it is the same again. */
bool
circuit_is_right(const struct lane *lane, const char *url)
{
	struct host *host = lane->host;
	char name[CALLBACK_HOST_MAX + 1];

	if (host == NULL)
		return false;
	if (url != NULL && host->url != NULL && strcmp(host->url, url) == 0)
		return true;
	name_of(url, name);
	if (strcmp(host->name, name) != 0)
		return false;
	free(host->url);
	host->url = url == NULL ? NULL : strdup(url);
	return true;
}

void
circuit_forget(struct lane *lane)
{
	if (lane->host != NULL)
		release(lane->host);
	lane->host = NULL;
}

/* The lane refers to the host of that URL. */
static bool
find(struct lane *lane, const char *url)
{
	char name[CALLBACK_HOST_MAX + 1];
	struct host *host;

	name_of(url, name);
	host =
	    (struct host *)table_find(&lane->outbox->hosts, ps_slice_str(name));
	if (host == NULL && (host = create(lane->outbox, name)) == NULL)
		return false;
	host->n_lanes++;
	circuit_forget(lane);
	lane->host = host;
	return true;
}

bool
circuit_enter(struct lane *lane, const char *url)
{
	if (lane->host == NULL || (url != NULL && !circuit_is_right(lane, url)))
		if (!find(lane, url))
			return false;
	TAILQ_INSERT_TAIL(&lane->host->line, lane, entry);
	lane->state = LANE_WAITING;
	if (lane->host->is_down)
		delivery_host_down(lane);
	update(lane->host);
	return true;
}

void
circuit_leave(struct lane *lane)
{
	TAILQ_REMOVE(&lane->host->line, lane, entry);
	lane->state = LANE_IDLE;
	update(lane->host);
}

struct lane *
circuit_next(struct outbox *outbox)
{
	struct host *host = TAILQ_FIRST(&outbox->ready);
	struct lane *lane;

	if (host == NULL || outbox->n_slots >= CALLBACKS_MAX)
		return NULL;
	lane = TAILQ_FIRST(&host->line);
	host->n_slots++;
	outbox->n_slots++;
	lane->has_slot = true;
	lane->is_probe = host->is_probed = host->is_down;
	/* To the end of those that are ready, where it still is. */
	TAILQ_REMOVE(&outbox->ready, host, entry);
	host->is_ready = false;
	circuit_leave(lane);
	return lane;
}

void
circuit_release(struct lane *lane)
{
	struct host *host = lane->host;

	if (!lane->has_slot)
		return;
	lane->has_slot = false;
	host->n_slots--;
	if (lane->outbox->n_slots-- == CALLBACKS_MAX)
		outbox_wake(lane->outbox);
	if (lane->is_probe)
		host->is_probed = lane->is_probe = false;
	update(host);
}

void
circuit_answered(struct lane *lane)
{
	struct host *host = lane->host;

	host->n_failures = host->n_probes = 0;
	if (host->is_down) {
		ps_info("outbox: %s answers again", host->name);
		host->is_down = false;
		host->outbox->hosts_down--;
		timers_cancel(&host->outbox->bridge->timers, &host->timer);
	}
	circuit_release(lane);
}

static void
note_error(struct host *host, const char *error)
{
	free(host->error);
	host->error = strdup(error);
}

static void
go_down(struct host *host, const char *error)
{
	struct lane *lane;

	ps_warning("outbox: %s does not answer (%s), it is tried now and then",
	    host->name, error);
	host->is_down = true;
	host->n_probes = 0;
	host->outbox->hosts_down++;
	TAILQ_FOREACH(lane, &host->line, entry)
		delivery_host_down(lane);
}

void
circuit_failed(struct lane *lane, const char *error)
{
	struct host *host = lane->host;
	struct bridge *bridge = host->outbox->bridge;

	host->n_failures++;
	note_error(host, error);
	if (!host->is_down && host->n_failures >= CIRCUIT_FAILURES) {
		go_down(host, error);
		timers_set(&bridge->timers, &host->timer,
		    bridge->now_ms() + circuit_backoff(bridge, 1));
	} else if (lane->is_probe) {
		host->n_probes++;
		timers_set(&bridge->timers, &host->timer,
		    bridge->now_ms() +
			circuit_backoff(bridge, host->n_probes + 1));
	}
	circuit_release(lane);
}
