#include "config.h"

#include "channels.h"

#include <stdlib.h>

#include "emit.h"
#include "wsbridge/enforce.h"
#include "wsbridge/http/exchange.h"
#include "wsbridge/session/record.h"

/* An emit by HTTP that waits for its answer. */
struct http_emit {
	struct garbage garbage; /* first */
	struct emit_asker asker;
	struct bridge *bridge;
	struct exchange *exchange;
	bool is_held;
};

static void
destroy(struct garbage *garbage)
{
	free(garbage);
}

static void
end(struct http_emit *http)
{
	if (http->is_held)
		http->bridge->n_held--;
	bridge_free_later(http->bridge, &http->garbage, destroy);
}

static void
reply_refusal(struct exchange *exchange, const struct emit_answer *answer)
{
	struct ps_writer members = { 0 };

	if (answer->members.len == 0) {
		exchange_reply_refusal(exchange, answer->refusal);
		return;
	}
	ps_writer_bytes(&members, answer->members.data, answer->members.len);
	ps_writer_u8(&members, '\0');
	if (members.failed)
		exchange_abort(exchange);
	else
		exchange_reply_error(exchange, answer->refusal->code,
		    members.data);
	ps_writer_deinit(&members);
}

static void
on_answer(struct emit_asker *asker, const struct emit_answer *answer)
{
	struct http_emit *http =
	    PS_CONTAINER(asker, struct http_emit, asker);

	if (answer->refusal != NULL)
		reply_refusal(http->exchange, answer);
	else if (answer->json.len == 0)
		exchange_abort(http->exchange);
	else
		exchange_reply_json(http->exchange, answer->status,
		    answer->json);
	end(http);
}

/* What was sent was sent. */
static void
on_gone(void *owner)
{
	struct http_emit *http = owner;

	emit_forget(&http->asker);
	end(http);
}

static const struct exchange_ops held_ops = { NULL, on_gone, true };

static void
hold(struct http_emit *http)
{
	http->is_held = true;
	http->bridge->n_held++;
	exchange_set_owner(http->exchange, &held_ops, http);
	exchange_watch(http->exchange);
}

static void
run(struct bridge *bridge, struct exchange *exchange,
    const struct ps_ipc_emit *m, struct quota *quota)
{
	struct http_emit *http = calloc(1, sizeof(*http));

	if (http == NULL) {
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
		return;
	}
	http->bridge = bridge;
	http->exchange = exchange;
	http->asker.answer = on_answer;
	emit_run(bridge, m, quota, &http->asker);
	if (http->asker.wait != NULL)
		hold(http);
}

int
channels_on_emit(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct refusal refusal = { .code = PS_CODE_DRAINING };
	struct quota *quota = NULL;
	struct exchange *exchange;
	struct ps_ipc_emit m;

	if (ps_ipc_decode_emit(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange == NULL)
		return PS_OK;
	if (!bridge->draining)
		quota = enforce_create(bridge, &m.rights, &refusal);
	if (quota != NULL && bridge->n_held >= bridge->config->max_held &&
	    emit_may_wait(bridge, &m)) {
		refusal = (struct refusal){ .code = PS_CODE_TOO_MANY_HELD,
			.limit = "max_held" };
		quota = NULL;
	}
	if (quota != NULL) {
		run(bridge, exchange, &m, quota);
		return PS_OK;
	}
	records_wake(bridge); /* which counts refusals */
	exchange_reply_refusal(exchange, &refusal);
	return PS_OK;
}
