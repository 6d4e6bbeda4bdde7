#include "config.h"

#include "bridge.h"

#include <stdlib.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "ps_clock.h"
#include "ps_place.h"
#include "wsbridge/applications/authorization.h"
#include "wsbridge/base/message.h"
#include "wsbridge/channels/emit.h"
#include "wsbridge/outbox/outbox.h"

/* Timers fired in one wake-up; the rest is due in the next. */
#define TIMERS_BATCH 256

#define CLOSE_DELAY_MS 5

static void
close_pending(struct bridge *bridge)
{
	while (bridge->n_closing > 0)
		close(bridge->closing[--bridge->n_closing]);
}

static void
on_close_timer(struct timer *timer)
{
	close_pending(PS_CONTAINER(timer, struct bridge, close_timer));
}

void
bridge_close_later(struct bridge *bridge, int fd)
{
	bridge->closing[bridge->n_closing++] = fd;
	if (bridge->n_closing == BRIDGE_CLOSE_BATCH)
		close_pending(bridge);
	else if (!timer_is_set(&bridge->close_timer))
		timers_set(&bridge->timers, &bridge->close_timer,
		    bridge->now_ms() + CLOSE_DELAY_MS);
}

int
bridge_init(struct bridge *bridge, struct ps_config *config)
{
	unsigned char random[PS_GENERATION_LEN];
	uint64_t seed;
	char *p;
	size_t i;

	*bridge = (struct bridge){ .now_ms = ps_clock_ms,
		.unix_s = ps_clock_unix_s,
		.place_fd = -1,
		.started_unix_s = ps_clock_unix_s() };
	TAILQ_INIT(&bridge->sessions);
	TAILQ_INIT(&bridge->channels);
	TAILQ_INIT(&bridge->records.changed);
	fanout_init(&bridge->fanout);
	LIST_INIT(&bridge->exchanges);
	bridge->close_timer.fire = on_close_timer;
	if (RAND_bytes((unsigned char *)&seed, sizeof(seed)) != 1 ||
	    RAND_bytes(random, sizeof(random)) != 1)
		return PS_ERR_IO;
	p = stpcpy(bridge->tag, config->node);
	for (i = 0; i < PS_GENERATION_LEN; i++)
		*p++ = PS_GENERATION_LETTERS[random[i] % 32];
	*p = '\0';
	if (!table_init(&bridge->sessions_by_id, seed) ||
	    !table_init(&bridge->sessions_by_name, seed) ||
	    !table_init(&bridge->channels_by_name, seed) ||
	    !table_init(&bridge->members_by_client, seed) ||
	    !table_init(&bridge->ack_waits, seed) || !emit_init(bridge) ||
	    !authorizations_init(bridge, seed) || !outbox_init(bridge, seed) ||
	    !table_init(&bridge->sockjs_sessions, seed) ||
	    !quotas_init(&bridge->quotas, seed) ||
	    !addresses_init(&bridge->addresses, seed))
		return PS_ERR_NOMEM;
	bridge->config = config;
	return PS_OK;
}

void
bridge_deinit(struct bridge *bridge)
{
	bridge_free_garbage(bridge);
	close_pending(bridge);
	emit_deinit(bridge);
	outbox_deinit(bridge);
	authorizations_deinit(bridge);
	table_deinit(&bridge->sockjs_sessions);
	timers_deinit(&bridge->timers);
	table_deinit(&bridge->ack_waits);
	table_deinit(&bridge->sessions_by_id);
	table_deinit(&bridge->sessions_by_name);
	table_deinit(&bridge->channels_by_name);
	table_deinit(&bridge->members_by_client);
	message_unref(bridge->ping);
	quotas_deinit(&bridge->quotas);
	ps_policy_unref(bridge->policy);
	addresses_deinit(&bridge->addresses);
	ps_writer_deinit(&bridge->scratch);
	ps_config_destroy(bridge->config);
}

static void
on_timer(uv_timer_t *timer);

/* Arms the one handle for the first timer, if that is earlier than it is. */
static void
arm(struct bridge *bridge)
{
	uint64_t next = timers_next_ms(&bridge->timers), now;

	if (next >= bridge->timer_at_ms)
		return;
	bridge->timer_at_ms = next;
	uv_update_time(bridge->loop);
	now = bridge->now_ms();
	/* With 0, libuv would call again before it looks at any descriptor. */
	uv_timer_start(&bridge->timer, on_timer, next > now ? next - now : 1,
	    0);
}

static void
on_timer(uv_timer_t *timer)
{
	struct bridge *bridge = timer->data;

	bridge->timer_at_ms = UINT64_MAX;
	timers_run(&bridge->timers, bridge->now_ms(), TIMERS_BATCH);
	arm(bridge);
}

static void
on_earlier(struct timers *timers)
{
	struct bridge *bridge = PS_CONTAINER(timers, struct bridge, timers);

	arm(bridge);
}

static void
on_prepare(uv_prepare_t *prepare)
{
	struct bridge *bridge = prepare->data;

	fanout_pass(&bridge->fanout);
	bridge_free_garbage(bridge);
	turns_pass(&bridge->turns);
}

int
bridge_start(struct bridge *bridge, uv_loop_t *loop)
{
	bridge->loop = loop;
	uv_timer_init(loop, &bridge->timer);
	bridge->timer.data = bridge;
	bridge->timer_at_ms = UINT64_MAX;
	bridge->timers.earlier = on_earlier;
	uv_prepare_init(loop, &bridge->prepare);
	bridge->prepare.data = bridge;
	turns_init(&bridge->turns, loop);
	fanout_start(&bridge->fanout, loop);
	uv_prepare_start(&bridge->prepare, on_prepare);
	return watches_init(&bridge->watches, loop);
}

void
bridge_stop(struct bridge *bridge)
{
	bridge->timers.earlier = NULL;
	uv_close((uv_handle_t *)&bridge->timer, NULL);
	uv_close((uv_handle_t *)&bridge->prepare, NULL);
	turns_close(&bridge->turns);
	fanout_stop(&bridge->fanout);
	watches_close(&bridge->watches);
}

void
bridge_free_later(struct bridge *bridge, struct garbage *garbage,
    void (*destroy)(struct garbage *garbage))
{
	garbage->destroy = destroy;
	garbage->next = bridge->garbage;
	bridge->garbage = garbage;
}

void
bridge_free_garbage(struct bridge *bridge)
{
	struct garbage *garbage;

	while ((garbage = bridge->garbage) != NULL) {
		bridge->garbage = garbage->next;
		garbage->destroy(garbage);
	}
}

void
bridge_check_drained(struct bridge *bridge)
{
	if (bridge->draining && bridge->n_settling == 0 &&
	    TAILQ_EMPTY(&bridge->sessions) && LIST_EMPTY(&bridge->exchanges))
		bridge->on_drained(bridge);
}
