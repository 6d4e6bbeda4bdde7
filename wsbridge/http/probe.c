#include "config.h"

#include "probe.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ps_clock.h"

/* Anybody may probe; so many others have to find a place. */
#define PROBE_SHARE 16

struct probe {
	struct garbage garbage; /* first */
	struct bridge *bridge;
	struct exchange *exchange;
	struct timer timer; /* of the next chunk */
	uint64_t begun_ms;
	unsigned n_chunks; /* written */
};

static void
destroy(struct garbage *garbage)
{
	free((struct probe *)garbage);
}

/* The exchange goes its own way, or has gone. */
static void
probe_end(struct probe *probe)
{
	timers_cancel(&probe->bridge->timers, &probe->timer);
	probe->bridge->n_held--;
	probe->bridge->n_probes--;
	bridge_free_later(probe->bridge, &probe->garbage, destroy);
}

static void
on_gone(void *owner)
{
	probe_end(owner);
}

static const struct exchange_ops exchange_ops = { NULL, on_gone, true };

static void
put_head(struct ps_writer *out, const struct exchange *exchange)
{
	const struct ps_head_extra extra = { .stream = true };

	ps_reply_head(out, &exchange->style, 200, PS_TYPE_TEXT, &extra);
}

static void
put_chunk(struct ps_writer *out, struct probe *probe)
{
	char stamp[PS_CLOCK_STAMP_BYTES];

	ps_clock_stamp(stamp);
	ps_writer_printf(out, "chunk %u of %u, %" PRIu64 " ms, %s\n",
	    ++probe->n_chunks, PROBE_CHUNKS,
	    probe->bridge->now_ms() - probe->begun_ms, stamp);
}

/*
 * Sends what is in the scratch buffer. What the web server does not take at
 * once waits in the exchange: ten chunks need no other bound.
 */
static void
send_output(struct probe *probe, struct ps_writer *out)
{
	struct bridge *bridge = probe->bridge;
	struct exchange *exchange = probe->exchange;

	if (out->failed) {
		exchange_abort(exchange);
		probe_end(probe);
	} else if (probe->n_chunks == PROBE_CHUNKS || bridge->ending) {
		exchange_set_owner(exchange, NULL, NULL);
		probe_end(probe);
		exchange_finish(exchange, out->data, out->len);
	} else {
		timers_set(&bridge->timers, &probe->timer,
		    probe->begun_ms + probe->n_chunks * PROBE_PERIOD_MS);
		exchange_write(exchange, out->data, out->len);
	}
}

/* While the service shuts down, a probe ends with the chunk that is due. */
static void
on_timer(struct timer *timer)
{
	struct probe *probe = PS_CONTAINER(timer, struct probe, timer);
	struct ps_writer *out = &probe->bridge->scratch;

	ps_writer_reset(out);
	put_chunk(out, probe);
	send_output(probe, out);
}

static void
answer_head(struct exchange *exchange)
{
	struct ps_writer *out = &exchange->bridge->scratch;

	ps_writer_reset(out);
	put_head(out, exchange);
	if (out->failed)
		exchange_abort(exchange);
	else
		exchange_finish(exchange, out->data, out->len);
}

static void
start(struct exchange *exchange)
{
	struct bridge *bridge = exchange->bridge;
	struct ps_writer *out = &bridge->scratch;
	struct probe *probe = calloc(1, sizeof(*probe));

	if (probe == NULL) {
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
		return;
	}
	probe->bridge = bridge;
	probe->exchange = exchange;
	probe->timer.fire = on_timer;
	probe->begun_ms = bridge->now_ms();
	bridge->n_held++;
	bridge->n_probes++;
	exchange_set_owner(exchange, &exchange_ops, probe);
	exchange_watch(exchange);
	ps_writer_reset(out);
	put_head(out, exchange);
	put_chunk(out, probe);
	send_output(probe, out);
}

void
probe_create(struct exchange *exchange)
{
	struct bridge *bridge = exchange->bridge;

	if (bridge->draining)
		exchange_reply_error(exchange, PS_CODE_DRAINING, NULL);
	else if (bridge->n_held >= bridge->config->max_held ||
	    bridge->n_probes > bridge->config->max_held / PROBE_SHARE)
		exchange_reply_limit(exchange, PS_CODE_TOO_MANY_HELD,
		    "max_held");
	else if (bridge->n_probes >= bridge->config->max_probes)
		exchange_reply_limit(exchange, PS_CODE_TOO_MANY_HELD,
		    "max_probes");
	else if (exchange->style.flags & PS_STYLE_HEAD)
		answer_head(exchange);
	else
		start(exchange);
}
