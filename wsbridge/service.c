#include "config.h"

#include "service.h"

#include <inttypes.h>
#include <stdio.h>

#include "metrics.h"
#include "wsbridge/http/exchange.h"
#include "wsbridge/http/probe.h"
#include "wsbridge/session/record.h"
#include "wsbridge/store/store.h"

int
service_on_refuse(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_refuse m;
	struct exchange *exchange;
	struct quota *quota;

	if (ps_ipc_decode_refuse(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	quota = quotas_get(&bridge->quotas, m.token_id);
	if (quota != NULL)
		quota_count_refused(&bridge->quotas, quota, bridge->unix_s());
	records_wake(bridge);
	if (exchange != NULL)
		exchange_reply_error(exchange, m.code, NULL);
	return PS_OK;
}

int
service_on_ready(struct bridge *bridge, struct ps_reader *r, int fd)
{
	static const char json[] =
	    "{\"ok\":true,\"bridge\":\"ok\",\"database\":\"ok\"}";
	struct store_status store = store_status(bridge->store);
	struct ps_ipc_ready m;
	struct exchange *exchange;
	char members[64];

	if (ps_ipc_decode_ready(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange == NULL)
		return PS_OK;
	snprintf(members, sizeof(members),
	    "\"part\":\"database\",\"waiting\":%" PRIu64, store.waiting);
	if (bridge->draining)
		exchange_reply_error(exchange, PS_CODE_DRAINING,
		    "\"part\":\"bridge\"");
	else if (store.failing)
		exchange_reply_error(exchange, PS_CODE_DATABASE_UNAVAILABLE,
		    members);
	else
		exchange_reply_json(exchange, 200,
		    ps_slice(json, sizeof(json) - 1));
	return PS_OK;
}

int
service_on_probe(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_probe m;
	struct exchange *exchange;

	if (ps_ipc_decode_probe(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange != NULL)
		probe_create(exchange);
	return PS_OK;
}

static void
reply_stats(struct exchange *exchange)
{
	struct ps_writer json = { 0 };

	ps_writer_str(&json, "{\"ok\":true,\"stats\":");
	metrics_put_json(&json, exchange->bridge);
	ps_writer_str(&json, "}");
	exchange_reply_built(exchange, &json);
}

static void
reply_metrics(struct exchange *exchange)
{
	struct ps_writer *out = &exchange->bridge->scratch;
	struct ps_writer text = { 0 };
	struct ps_head_extra extra = { .has_length = true };

	metrics_put_prometheus(&text, exchange->bridge);
	extra.content_length = text.len;
	ps_writer_reset(out);
	ps_reply_head(out, &exchange->style, 200, PS_TYPE_METRICS, &extra);
	if (!(exchange->style.flags & PS_STYLE_HEAD))
		ps_writer_bytes(out, text.data, text.len);
	if (text.failed || out->failed)
		exchange_abort(exchange);
	else
		exchange_finish(exchange, out->data, out->len);
	ps_writer_deinit(&text);
}

int
service_on_stats(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_stats m;
	struct exchange *exchange;

	if (ps_ipc_decode_stats(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange == NULL)
		return PS_OK;
	if (m.format == PS_IPC_STATS_JSON)
		reply_stats(exchange);
	else
		reply_metrics(exchange);
	return PS_OK;
}
