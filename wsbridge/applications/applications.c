#include "config.h"

#include "applications.h"

#include <stdio.h>
#include <stdlib.h>

#include "authorization_row.h"
#include "ps_log.h"
#include "wsbridge/enforce.h"
#include "wsbridge/http/exchange.h"
#include "wsbridge/session/record.h"

/* Somebody who waits for a row to be committed. */
struct waiting {
	struct garbage garbage; /* first */
	struct exchange *exchange;
	struct authorization_change *change;
	char socket_id[PS_SOCKET_ID_LEN + 1]; /* to be told; or empty */
	bool plain;
};

static void
destroy(struct garbage *garbage)
{
	free((struct waiting *)garbage);
}

static void
end(struct waiting *waiting)
{
	struct bridge *bridge = waiting->exchange->bridge;

	bridge->n_held--;
	bridge_free_later(bridge, &waiting->garbage, destroy);
}

/* What was asked for is done all the same. */
static void
on_gone(void *owner)
{
	struct waiting *waiting = owner;

	authorization_change_forget(waiting->change);
	end(waiting);
}

static const struct exchange_ops exchange_ops = { NULL, on_gone, true };

/* The bare id, as the first polysocket answered. */
static void
reply_text(struct exchange *exchange, struct ps_slice text)
{
	const struct ps_head_extra extra = { .has_length = true,
		.content_length = text.len };
	struct ps_writer *out = &exchange->bridge->scratch;

	ps_writer_reset(out);
	ps_reply_head(out, &exchange->style, 200, PS_TYPE_TEXT, &extra);
	ps_writer_bytes(out, text.data, text.len);
	if (out->failed)
		exchange_abort(exchange);
	else
		exchange_finish(exchange, out->data, out->len);
}

static void
reply_done(struct exchange *exchange, const struct waiting *waiting)
{
	struct ps_slice id = ps_slice_str(waiting->socket_id);
	char json[64 + PS_SOCKET_ID_LEN];
	int len;

	if (waiting->plain) {
		exchange_set_owner(exchange, NULL, NULL);
		reply_text(exchange, id);
		return;
	}
	len = snprintf(json, sizeof(json),
	    id.len == 0 ? "{\"ok\":true}" : "{\"ok\":true,\"socket_id\":\"%s\"}",
	    id.data);
	exchange_reply_json(exchange, 200, ps_slice(json, (size_t)len));
}

static void
on_change(void *owner, bool ok)
{
	struct waiting *waiting = owner;
	struct exchange *exchange = waiting->exchange;

	end(waiting);
	if (ok)
		reply_done(exchange, waiting);
	else
		exchange_reply_error(exchange, PS_CODE_DATABASE_UNAVAILABLE,
		    NULL);
}

/* NULL, having answered, when no more may wait. */
static struct waiting *
make_waiting(struct exchange *exchange)
{
	struct bridge *bridge = exchange->bridge;
	struct waiting *waiting;

	if (bridge->draining) {
		exchange_reply_error(exchange, PS_CODE_DRAINING, NULL);
		return NULL;
	}
	if (bridge->n_held >= bridge->config->max_held) {
		exchange_reply_limit(exchange, PS_CODE_TOO_MANY_HELD,
		    "max_held");
		return NULL;
	}
	waiting = calloc(1, sizeof(*waiting));
	if (waiting == NULL)
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
	else
		waiting->exchange = exchange;
	return waiting;
}

/* Of a change that could not be made, too. */
static void
wait_for(struct waiting *waiting, struct authorization_change *change)
{
	struct exchange *exchange = waiting->exchange;

	if (change == NULL) {
		free(waiting);
		exchange_reply_error(exchange, PS_CODE_DATABASE_UNAVAILABLE,
		    NULL);
		return;
	}
	waiting->change = change;
	exchange->bridge->n_held++;
	exchange_set_owner(exchange, &exchange_ops, waiting);
	exchange_watch(exchange);
}

static void
refuse_authorize(struct exchange *exchange, enum ps_code code)
{
	if (code == PS_CODE_TOO_MANY_AUTHORIZATIONS)
		exchange_reply_limit(exchange, code, "max_authorizations");
	else
		exchange_reply_error(exchange, code, NULL);
}

static void
authorize(struct bridge *bridge, struct exchange *exchange,
    const struct ps_ipc_authorize *m)
{
	const struct authorization_terms terms = { m->rights.token_id,
		m->client, m->callback, m->events, m->ttl_s };
	struct waiting *waiting = make_waiting(exchange);
	struct authorization *authorization;
	enum ps_code code;

	if (waiting == NULL)
		return;
	authorization = authorization_renew(bridge, &terms, &code);
	if (authorization == NULL) {
		free(waiting);
		refuse_authorize(exchange, code);
		return;
	}
	memcpy(waiting->socket_id, authorization->socket_id,
	    sizeof(waiting->socket_id));
	waiting->plain = m->plain;
	wait_for(waiting,
	    authorization_row_put(authorization, on_change, waiting));
}

int
applications_on_authorize(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_authorize m;
	struct exchange *exchange;
	struct refusal refusal;

	if (ps_ipc_decode_authorize(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange == NULL)
		return PS_OK;
	if (enforce_create(bridge, &m.rights, &refusal) != NULL) {
		authorize(bridge, exchange, &m);
		return PS_OK;
	}
	records_wake(bridge); /* which counts refusals */
	if (refusal.code == PS_CODE_TOKEN_UNKNOWN)
		refusal.code = PS_CODE_APPLICATION_UNKNOWN;
	exchange_reply_refusal(exchange, &refusal);
	return PS_OK;
}

static void
withdraw(struct bridge *bridge, struct exchange *exchange,
    const struct ps_ipc_withdraw *m)
{
	struct authorization *authorization =
	    authorization_find_client(bridge, m->token_id, m->client);
	struct authorization_change *change;
	struct waiting *waiting;

	if (authorization == NULL) {
		exchange_reply_error(exchange, PS_CODE_AUTHORIZATION_UNKNOWN,
		    NULL);
		return;
	}
	waiting = make_waiting(exchange);
	if (waiting == NULL)
		return;
	change = authorization_row_delete(bridge, authorization->socket_id,
	    on_change, waiting);
	/* Else its row would stay, and nobody could withdraw it any more. */
	if (change != NULL)
		authorization_end(authorization, "by its application");
	wait_for(waiting, change);
}

int
applications_on_withdraw(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_withdraw m;
	struct exchange *exchange;

	if (ps_ipc_decode_withdraw(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange != NULL)
		withdraw(bridge, exchange, &m);
	return PS_OK;
}
