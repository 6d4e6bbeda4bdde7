/* GET /<channel>/history: the answer waits for the store. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "channels.h"
#include "history.h"
#include "ps_clock.h"
#include "wsbridge/http/exchange.h"

struct asking {
	struct garbage garbage; /* first */
	struct exchange *exchange;
	struct history_request *request;
};

static void
destroy(struct garbage *garbage)
{
	free((struct asking *)garbage);
}

static void
asking_end(struct asking *asking)
{
	struct bridge *bridge = asking->exchange->bridge;

	bridge->n_held--;
	bridge_free_later(bridge, &asking->garbage, destroy);
}

static void
on_gone(void *owner)
{
	struct asking *asking = owner;

	history_cancel(asking->request);
	asking_end(asking);
}

static const struct exchange_ops exchange_ops = { NULL, on_gone, true };

static void
put_history(struct ps_writer *json, const struct history_result *result)
{
	size_t i;

	ps_writer_str(json, "{\"history\":[");
	for (i = 0; i < result->count; i++) {
		const struct history_event *event = &result->events[i];
		char stamp[PS_CLOCK_STAMP_BYTES];

		ps_clock_stamp_ms(stamp, event->at_ms);
		ps_writer_printf(json, "%s{\"eventID\":\"%s\",\"payload\":",
		    i == 0 ? "" : ",", event->id);
		ps_writer_bytes(json, event->payload.data,
		    event->payload.len);
		ps_writer_printf(json, ",\"time\":\"%s\"}", stamp);
	}
	ps_writer_str(json, "]");
	if (result->gap)
		ps_writer_str(json, ",\"gap\":true");
	if (result->more)
		ps_writer_str(json, ",\"more\":true");
	ps_writer_str(json, "}");
}

static void
on_read(void *owner, const struct history_result *result)
{
	struct asking *asking = owner;
	struct exchange *exchange = asking->exchange;
	struct ps_writer json = { 0 };

	asking_end(asking);
	if (!result->failed)
		put_history(&json, result);
	if (result->failed || json.failed)
		exchange_reply_error(exchange, PS_CODE_DATABASE_UNAVAILABLE,
		    NULL);
	else
		exchange_reply_json(exchange, 200,
		    ps_slice(json.data, json.len));
	ps_writer_deinit(&json);
}

static void
ask(struct bridge *bridge, struct exchange *exchange,
    const struct ps_ipc_history *m)
{
	struct asking *asking;

	if (bridge->n_held >= bridge->config->max_held) {
		exchange_reply_limit(exchange, PS_CODE_TOO_MANY_HELD,
		    "max_held");
		return;
	}
	if ((asking = calloc(1, sizeof(*asking))) != NULL)
		asking->request = history_read(bridge, m->channel, m->since,
		    m->limit, on_read, asking);
	if (asking == NULL || asking->request == NULL) {
		free(asking);
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
		return;
	}
	asking->exchange = exchange;
	bridge->n_held++;
	exchange_set_owner(exchange, &exchange_ops, asking);
	exchange_watch(exchange);
}

int
channels_on_history(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_history m;
	struct exchange *exchange;

	if (ps_ipc_decode_history(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange != NULL)
		ask(bridge, exchange, &m);
	return PS_OK;
}
