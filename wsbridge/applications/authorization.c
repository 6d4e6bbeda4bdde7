#include "config.h"

#include "authorization.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "authorization_row.h"
#include "ps_db_authorizations.h"
#include "ps_log.h"
#include "wsbridge/session/session.h"

/* What SockJS servers say when they are done. */
#define GO_AWAY 3000

/* A timer does not hear of it when the clock is set. */
#define LOOK_AGAIN_S 3600

/* See is_late(): of how many sessions one has to be. */
#define LATE_PART 8
/* What handing one session its messages takes (fanout.h), and what a client
 * does not notice. */
#define UNIT_US 10
#define PAUSE_MAX_MS 50

/* Characters of a socket id that a log may show. */
#define SHOWN 4

bool
authorizations_init(struct bridge *bridge, uint64_t seed)
{
	TAILQ_INIT(&bridge->authorizations.all);
	TAILQ_INIT(&bridge->authorizations.live);
	return table_init(&bridge->authorizations.by_id, seed) &&
	    table_init(&bridge->authorizations.by_client, seed) &&
	    table_init(&bridge->authorizations.changes, seed);
}

static void
release(struct authorization *authorization)
{
	/* The client is the end of its key. */
	free((char *)authorization->client_node.key.data);
	free(authorization->callback);
	free(authorization->before.callback);
	free(authorization);
}

static void
destroy(struct garbage *garbage)
{
	struct authorization *authorization =
	    PS_CONTAINER(garbage, struct authorization, garbage);

	TAILQ_REMOVE(&authorization->bridge->authorizations.all,
	    authorization, all);
	release(authorization);
}

/* Nobody finds it any more. */
static void
forget(struct bridge *bridge, struct authorization *authorization)
{
	authorization->is_gone = true;
	timers_cancel(&bridge->timers, &authorization->timer);
	timers_cancel(&bridge->timers, &authorization->pause);
	kept_clear(&authorization->kept, &bridge->authorizations.kept_bytes);
	table_remove(&bridge->authorizations.by_id, &authorization->node);
	table_remove(&bridge->authorizations.by_client,
	    &authorization->client_node);
}

void
authorizations_deinit(struct bridge *bridge)
{
	struct authorization *authorization;

	while ((authorization =
		       TAILQ_FIRST(&bridge->authorizations.all)) != NULL) {
		if (!authorization->is_gone)
			forget(bridge, authorization);
		destroy(&authorization->garbage);
	}
	table_deinit(&bridge->authorizations.by_id);
	table_deinit(&bridge->authorizations.by_client);
	table_deinit(&bridge->authorizations.changes);
}

/* Base32 of RFC 4648 in lower case: 160 bits have no padding. */
static bool
make_socket_id(char *id)
{
	unsigned char random[PS_SOCKET_ID_LEN * 5 / 8];
	unsigned bits = 0, n_bits = 0;
	size_t i;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	for (i = 0; i < sizeof(random); i++) {
		bits = bits << 8 | random[i];
		for (n_bits += 8; n_bits >= 5; n_bits -= 5)
			*id++ = "abcdefghijklmnopqrstuvwxyz234567"
			    [bits >> (n_bits - 5) & 31];
	}
	*id = '\0';
	return true;
}

/* When it is over, or the first message is no longer kept. */
static void
set_timer(struct authorization *authorization)
{
	struct bridge *bridge = authorization->bridge;
	int64_t left_s = authorization->expires_at_s - bridge->unix_s();
	uint64_t at_ms = UINT64_MAX, until_ms;

	if (authorization->expires_at_s != INT64_MAX) {
		if (left_s < 0)
			left_s = 0;
		else if (left_s > LOOK_AGAIN_S)
			left_s = LOOK_AGAIN_S;
		at_ms = bridge->now_ms() + (uint64_t)left_s * 1000;
	}
	until_ms = kept_until_ms(&authorization->kept);
	if (until_ms < at_ms)
		at_ms = until_ms;
	if (at_ms == UINT64_MAX)
		timers_cancel(&bridge->timers, &authorization->timer);
	else
		timers_set(&bridge->timers, &authorization->timer, at_ms);
}

static void
on_timer(struct timer *timer)
{
	struct authorization *authorization =
	    PS_CONTAINER(timer, struct authorization, timer);
	struct bridge *bridge = authorization->bridge;

	if (bridge->draining)
		return; /* its successor sees to it */
	if (authorization_is_over(authorization)) {
		authorization_withdraw(bridge, authorization, "its time is over");
		return;
	}
	kept_expire(&authorization->kept, &bridge->authorizations.kept_bytes,
	    bridge->now_ms());
	set_timer(authorization);
}

void
authorization_close(struct authorization *authorization, uint16_t code,
    const char *reason)
{
	authorization->close_code = code;
	authorization->close_reason = reason;
	fanout_note(&authorization->bridge->fanout, &authorization->job);
}

static unsigned
close_some(struct authorization *authorization, unsigned units)
{
	struct connection *connection;
	unsigned done = 0;

	while (authorization->close_code != 0 && done < units &&
	    (connection = TAILQ_FIRST(&authorization->connections)) != NULL) {
		session_expel(connection->session, authorization->close_code,
		    authorization->close_reason);
		/* One that is closing already had left, or does so now. */
		authorization_remove_session(connection);
		done++;
	}
	if (TAILQ_EMPTY(&authorization->connections))
		authorization->close_code = 0;
	return done;
}

static unsigned
serve(struct fanout_job *job, unsigned units)
{
	struct authorization *authorization =
	    PS_CONTAINER(job, struct authorization, job);
	struct bridge *bridge = authorization->bridge;
	struct connection *connection;
	unsigned done = 0;

	while (done < units &&
	    (connection = TAILQ_FIRST(&authorization->undelivered)) != NULL) {
		connection_deliver(connection);
		done++;
	}
	if (TAILQ_EMPTY(&authorization->undelivered))
		authorization->has_paused = false;
	done += close_some(authorization, units - done);
	if (authorization->close_code != 0 ||
	    !TAILQ_EMPTY(&authorization->undelivered))
		fanout_note(&bridge->fanout, job);
	else if (authorization->is_gone)
		bridge_free_later(bridge, &authorization->garbage, destroy);
	return done;
}

static void
on_pause_over(struct timer *timer)
{
	struct authorization *authorization =
	    PS_CONTAINER(timer, struct authorization, pause);

	fanout_note(&authorization->bridge->fanout, &authorization->job);
}

/* Its client is between two polls and has not got what was said before. */
static bool
is_late(const struct connection *connection)
{
	return connection->session->receiver == NULL &&
	    session_unsent(connection->session, 0) != NULL;
}

/*
 * Messages come faster than clients can poll. A poll that is answered now is
 * not there for the next message of a burst, which then waits for all to come
 * again. So those that are there wait for about as long as it takes to answer
 * them all, and what comes meanwhile goes along; once, until all are answered.
 */
static void
pause_delivery(struct authorization *authorization)
{
	struct bridge *bridge = authorization->bridge;
	uint64_t ms = (uint64_t)authorization->n_connections * UNIT_US / 1000;

	if (ms == 0 || authorization->has_paused)
		return;
	authorization->has_paused = true;
	fanout_leave(&bridge->fanout, &authorization->job);
	timers_set(&bridge->timers, &authorization->pause,
	    bridge->now_ms() + (ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS));
}

/* The bytes that a token and its client are found by; the latter has a NUL
 * behind it. NULL without memory. */
static char *
make_key(int64_t token_id, struct ps_slice client)
{
	char *key = malloc(sizeof(token_id) + client.len + 1);

	if (key == NULL)
		return NULL;
	memcpy(key, &token_id, sizeof(token_id));
	memcpy(key + sizeof(token_id), client.data, client.len);
	key[sizeof(token_id) + client.len] = '\0';
	return key;
}

static struct authorization *
create(struct bridge *bridge, const struct authorization_terms *terms)
{
	struct authorization *authorization =
	    calloc(1, sizeof(*authorization));
	char *key = make_key(terms->token_id, terms->client);

	if (authorization == NULL || key == NULL) {
		free(key);
		free(authorization);
		return NULL;
	}
	authorization->bridge = bridge;
	authorization->round = bridge->authorizations.round;
	authorization->token_id = terms->token_id;
	authorization->client = key + sizeof(terms->token_id);
	authorization->client_node.key =
	    ps_slice(key, sizeof(terms->token_id) + terms->client.len);
	authorization->timer.fire = on_timer;
	authorization->pause.fire = on_pause_over;
	authorization->job.serve = serve;
	authorization->expires_at_s = INT64_MAX;
	TAILQ_INIT(&authorization->connections);
	TAILQ_INIT(&authorization->undelivered);
	kept_init(&authorization->kept);
	return authorization;
}

static void
add(struct authorization *authorization)
{
	struct bridge *bridge = authorization->bridge;

	authorization->node.key = ps_slice_str(authorization->socket_id);
	table_add(&bridge->authorizations.by_id, &authorization->node);
	table_add(&bridge->authorizations.by_client,
	    &authorization->client_node);
	TAILQ_INSERT_TAIL(&bridge->authorizations.all, authorization, all);
}

/* What the row says that is to be put in place of the one there is. */
static void
keep_before(struct authorization *authorization)
{
	if (authorization->is_new || authorization->before.callback != NULL) {
		free(authorization->callback);
		return;
	}
	authorization->before.callback = authorization->callback;
	authorization->before.events = authorization->events;
	authorization->before.renewed_at_s = authorization->renewed_at_s;
	authorization->before.expires_at_s = authorization->expires_at_s;
}

static void
forget_before(struct authorization *authorization)
{
	authorization->is_new = false;
	free(authorization->before.callback);
	authorization->before.callback = NULL;
}

/* False when memory is out; then nothing has changed. */
static bool
take_terms(struct authorization *authorization,
    const struct authorization_terms *terms)
{
	struct bridge *bridge = authorization->bridge;
	char *callback = strndup(terms->callback.data, terms->callback.len);

	if (callback == NULL)
		return false;
	keep_before(authorization);
	authorization->callback = callback;
	authorization->judged = 0;
	authorization->events = terms->events;
	authorization->renewed_at_s = bridge->unix_s();
	authorization->expires_at_s = terms->ttl_s == 0 ?
	    INT64_MAX :
	    authorization->renewed_at_s + (int64_t)terms->ttl_s;
	set_timer(authorization);
	return true;
}

static struct authorization *
create_new(struct bridge *bridge, const struct authorization_terms *terms,
    enum ps_code *code_r)
{
	struct authorization *authorization = NULL;

	*code_r = PS_CODE_TOO_MANY_AUTHORIZATIONS;
	if (bridge->authorizations.by_id.count >=
	    bridge->config->max_authorizations)
		return NULL;
	*code_r = PS_CODE_BRIDGE_FULL;
	authorization = create(bridge, terms);
	if (authorization == NULL)
		return NULL;
	authorization->is_new = true;
	if (!make_socket_id(authorization->socket_id) ||
	    !take_terms(authorization, terms)) {
		release(authorization);
		return NULL;
	}
	authorization->created_at_s = authorization->renewed_at_s;
	add(authorization);
	ps_info("authorization %.*s: made for token %lld", SHOWN,
	    authorization->socket_id, (long long)terms->token_id);
	return authorization;
}

struct authorization *
authorization_renew(struct bridge *bridge,
    const struct authorization_terms *terms, enum ps_code *code_r)
{
	struct authorization *authorization = authorization_find_client(bridge,
	    terms->token_id, terms->client);

	if (authorization == NULL)
		return create_new(bridge, terms, code_r);
	*code_r = PS_CODE_BRIDGE_FULL;
	return take_terms(authorization, terms) ? authorization : NULL;
}

void
authorization_written(struct bridge *bridge,
    const struct ps_authorization_row *row, bool is_last)
{
	struct authorization *authorization = authorization_find_id(bridge,
	    ps_slice_str(row->socket_id));

	if (authorization == NULL)
		return;
	forget_before(authorization);
	if (is_last)
		return;
	/* Without memory the next one stays, written or not. */
	authorization->before.callback = strdup(row->callback);
	authorization->before.events = row->events;
	authorization->before.renewed_at_s = row->renewed_at_s;
	authorization->before.expires_at_s = row->expires_at_s;
}

void
authorization_unwritten(struct bridge *bridge, struct ps_slice socket_id)
{
	struct authorization *authorization =
	    authorization_find_id(bridge, socket_id);

	if (authorization == NULL)
		return;
	if (authorization->is_new) {
		authorization_end(authorization, "not written");
		return;
	}
	if (authorization->before.callback == NULL)
		return;
	free(authorization->callback);
	authorization->callback = authorization->before.callback;
	authorization->before.callback = NULL;
	authorization->judged = 0;
	authorization->events = authorization->before.events;
	authorization->renewed_at_s = authorization->before.renewed_at_s;
	authorization->expires_at_s = authorization->before.expires_at_s;
	set_timer(authorization);
}

/* The row is what the administrator wants, and may have another time. */
static bool
take_row(struct authorization *authorization,
    const struct ps_authorization_row *row)
{
	const struct authorization_terms terms = {
		.callback = ps_slice_str(row->callback),
		.events = row->events,
	};

	if (!take_terms(authorization, &terms))
		return false;
	forget_before(authorization);
	authorization->created_at_s = row->created_at_s;
	authorization->renewed_at_s = row->renewed_at_s;
	authorization->expires_at_s = row->expires_at_s;
	set_timer(authorization);
	return true;
}

static struct authorization *
create_loaded(struct bridge *bridge, const struct ps_authorization_row *row)
{
	const struct authorization_terms terms = { .token_id = row->token_id,
		.client = ps_slice_str(row->client) };
	struct authorization *before = authorization_find_client(bridge,
	    row->token_id, terms.client);
	struct authorization *authorization = create(bridge, &terms);

	if (authorization == NULL)
		return NULL;
	if (before != NULL)
		authorization_end(before, "replaced by administrator");
	memcpy(authorization->socket_id, row->socket_id, PS_SOCKET_ID_LEN);
	if (!take_row(authorization, row)) {
		release(authorization);
		return NULL;
	}
	add(authorization);
	return authorization;
}

static bool
is_for(const struct authorization *authorization,
    const struct ps_authorization_row *row)
{
	return authorization->token_id == row->token_id &&
	    strcmp(authorization->client, row->client) == 0;
}

void
authorization_load(struct bridge *bridge,
    const struct ps_authorization_row *row)
{
	struct authorization *authorization =
	    authorization_find_id(bridge, ps_slice_str(row->socket_id));
	bool ok;

	if (strlen(row->socket_id) != PS_SOCKET_ID_LEN)
		return;
	if (authorization != NULL && !is_for(authorization, row)) {
		authorization_end(authorization, "changed by administrator");
		authorization = NULL;
	}
	if (authorization != NULL)
		ok = take_row(authorization, row);
	else
		ok = create_loaded(bridge, row) != NULL;
	if (!ok)
		ps_warning("authorization %.*s: out of memory", SHOWN,
		    row->socket_id);
}

void
authorization_add_session(struct authorization *authorization,
    struct connection *connection)
{
	struct bridge *bridge = authorization->bridge;
	struct message *message;

	connection->authorization = authorization;
	TAILQ_INSERT_TAIL(&authorization->connections, connection, entry);
	if (authorization->n_connections++ == 0) {
		/* Whoever asked for it has found it covered. */
		authorization->seen = authorization->judged;
		TAILQ_INSERT_TAIL(&bridge->authorizations.live,
		    authorization, live);
	}
	/* The quota of its token may end it at that. */
	while (connection->authorization != NULL &&
	    (message = kept_take(&authorization->kept,
		 &bridge->authorizations.kept_bytes, bridge->now_ms())) !=
		NULL)
		session_queue(connection->session, message);
	set_timer(authorization);
}

void
authorization_remove_session(struct connection *connection)
{
	struct authorization *authorization = connection->authorization;

	if (authorization == NULL)
		return;
	connection_forget(connection);
	TAILQ_REMOVE(&authorization->connections, connection, entry);
	connection->authorization = NULL;
	if (--authorization->n_connections == 0)
		TAILQ_REMOVE(&authorization->bridge->authorizations.live,
		    authorization, live);
}

static bool
keep(struct authorization *authorization, struct message *message)
{
	struct bridge *bridge = authorization->bridge;

	if (!kept_add(&authorization->kept, &bridge->authorizations.kept_bytes,
		bridge->config, message, bridge->now_ms()))
		return false;
	set_timer(authorization);
	return true;
}

uint32_t
authorization_publish(struct authorization *authorization,
    struct message *message, bool store, bool *queued_r)
{
	struct connection *connection, *next;
	uint32_t n_sessions = 0, n_late = 0;

	for (connection = TAILQ_FIRST(&authorization->connections);
	     connection != NULL; connection = next) {
		next = TAILQ_NEXT(connection, entry);
		n_late += is_late(connection);
		if (connection_publish(connection, message_ref(message)))
			n_sessions++;
	}
	if (n_late > 0 && n_late >= authorization->n_connections / LATE_PART)
		pause_delivery(authorization);
	*queued_r = store && authorization->n_connections == 0 &&
	    n_sessions == 0 && keep(authorization, message);
	message_unref(message);
	return n_sessions;
}

void
authorization_end(struct authorization *authorization, const char *why)
{
	if (authorization->is_gone)
		return;
	ps_info("authorization %.*s: withdrawn (%s), %u sessions are closed",
	    SHOWN, authorization->socket_id, why,
	    authorization->n_connections);
	forget(authorization->bridge, authorization);
	authorization_close(authorization, GO_AWAY, "Go away!");
}

void
authorization_withdraw(struct bridge *bridge,
    struct authorization *authorization, const char *why)
{
	if (authorization->is_gone)
		return;
	if (authorization_row_delete(bridge, authorization->socket_id, NULL,
		NULL) == NULL)
		ps_warning("authorization %.*s: its row stays", SHOWN,
		    authorization->socket_id);
	authorization_end(authorization, why);
}

void
authorization_forgotten(struct bridge *bridge, struct ps_slice socket_id)
{
	struct authorization *authorization = authorization_find_id(bridge, socket_id);

	if (authorization != NULL)
		authorization_end(authorization, "deleted by administrator");
}
