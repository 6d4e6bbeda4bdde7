#include "config.h"

#include "authorization.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "ps_log.h"
#include "ps_policy.h"
#include "session.h"

/* RFC 6455, 7.4.1; and what SockJS servers say when they are done. */
#define GOING_AWAY 1001
#define POLICY_VIOLATION 1008
#define TRY_AGAIN_LATER 1013
#define GO_AWAY 3000

/* Of messages kept for all clients of the node together. */
#define KEPT_BYTES_MAX (64u << 20)

/* A timer does not hear of it when the clock is set. */
#define LOOK_AGAIN_S 3600

/* Characters of a socket id that a log may show. */
#define SHOWN 4

struct kept_message {
	TAILQ_ENTRY(kept_message) entry;
	struct message *message;
	uint64_t until_ms;
};

bool
authorizations_init(struct bridge *bridge, uint64_t seed)
{
	TAILQ_INIT(&bridge->authorizations.all);
	TAILQ_INIT(&bridge->authorizations.live);
	return table_init(&bridge->authorizations.by_id, seed) &&
	    table_init(&bridge->authorizations.by_client, seed);
}

static void
drop_kept(struct authorization *authorization)
{
	struct kept_message *kept = TAILQ_FIRST(&authorization->kept);
	size_t size = kept->message->len;

	TAILQ_REMOVE(&authorization->kept, kept, entry);
	authorization->n_kept--;
	authorization->kept_bytes -= size;
	authorization->bridge->authorizations.kept_bytes -= size;
	message_unref(kept->message);
	free(kept);
}

static void
release(struct authorization *authorization)
{
	/* The client is the end of its key. */
	free((char *)authorization->client_node.key.data);
	free(authorization->callback);
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
	while (!TAILQ_EMPTY(&authorization->kept))
		drop_kept(authorization);
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
}

const struct ps_token *
authorization_token(const struct bridge *bridge,
    const struct authorization *authorization)
{
	const struct ps_token *token;

	if (bridge->policy == NULL)
		return NULL;
	token = ps_policy_find_id(bridge->policy, authorization->token_id);
	return token != NULL && ps_token_is_valid(token, bridge->unix_s()) ?
	    token :
	    NULL;
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

static bool
is_over(const struct authorization *authorization)
{
	return authorization->bridge->unix_s() >=
	    authorization->expires_at_s;
}

/* When it is over, or the first message is no longer kept. */
static void
set_timer(struct authorization *authorization)
{
	const struct kept_message *kept = TAILQ_FIRST(&authorization->kept);
	struct bridge *bridge = authorization->bridge;
	int64_t left_s = authorization->expires_at_s - bridge->unix_s();
	uint64_t at_ms = UINT64_MAX;

	if (authorization->expires_at_s != INT64_MAX) {
		if (left_s < 0)
			left_s = 0;
		else if (left_s > LOOK_AGAIN_S)
			left_s = LOOK_AGAIN_S;
		at_ms = bridge->now_ms() + (uint64_t)left_s * 1000;
	}
	if (kept != NULL && kept->until_ms < at_ms)
		at_ms = kept->until_ms;
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
	const struct kept_message *kept;

	if (is_over(authorization)) {
		authorization_withdraw(bridge, authorization, "its time is over");
		return;
	}
	while ((kept = TAILQ_FIRST(&authorization->kept)) != NULL &&
	    kept->until_ms <= bridge->now_ms())
		drop_kept(authorization);
	set_timer(authorization);
}

/* Closes its sessions, a few in each turn. */
static void
close_all(struct authorization *authorization, uint16_t code,
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
		authorization_remove_session(connection);
		session_expel(connection->session, authorization->close_code,
		    authorization->close_reason);
		done++;
	}
	if (TAILQ_EMPTY(&authorization->connections))
		authorization->close_code = 0;
	return done;
}

/* Its client has not taken what it was given, however often it was offered. */
static bool
is_slow(const struct session *session)
{
	return session->paused && session_unsent(session, 0) != NULL;
}

static void
set_delivered(struct connection *connection)
{
	if (!connection->is_undelivered)
		return;
	connection->is_undelivered = false;
	TAILQ_REMOVE(&connection->authorization->undelivered, connection,
	    undelivered);
}

/* The connection may be gone when this returns. */
static void
deliver(struct connection *connection)
{
	struct session *session = connection->session;

	set_delivered(connection);
	session_deliver(session);
	if (connection->authorization != NULL && is_slow(session))
		session_expel(session, TRY_AGAIN_LATER, "slow client");
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
		deliver(connection);
		done++;
	}
	done += close_some(authorization, units - done);
	if (authorization->close_code != 0 ||
	    !TAILQ_EMPTY(&authorization->undelivered))
		fanout_note(&bridge->fanout, job);
	else if (authorization->is_gone)
		bridge_free_later(bridge, &authorization->garbage, destroy);
	return done;
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
	authorization->token_id = terms->token_id;
	authorization->client = key + sizeof(terms->token_id);
	authorization->client_node.key =
	    ps_slice(key, sizeof(terms->token_id) + terms->client.len);
	authorization->timer.fire = on_timer;
	authorization->job.serve = serve;
	authorization->expires_at_s = INT64_MAX;
	TAILQ_INIT(&authorization->connections);
	TAILQ_INIT(&authorization->undelivered);
	TAILQ_INIT(&authorization->kept);
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

/* False when memory is out; then nothing has changed. */
static bool
take_terms(struct authorization *authorization,
    const struct authorization_terms *terms)
{
	struct bridge *bridge = authorization->bridge;
	char *callback = strndup(terms->callback.data, terms->callback.len);

	if (callback == NULL)
		return false;
	free(authorization->callback);
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

/* Once for each revision of the policy. */
static bool
is_covered(struct bridge *bridge, struct authorization *authorization)
{
	uint64_t revision;

	if (authorization_token(bridge, authorization) == NULL)
		return false;
	revision = ps_policy_revision(bridge->policy);
	if (authorization->judged != revision) {
		authorization->judged = revision;
		authorization->is_covered = true;
	}
	return authorization->is_covered;
}

/* One whose timer has not fired yet is over all the same. */
static struct authorization *
unless_over(struct authorization *authorization)
{
	if (authorization == NULL || !is_over(authorization))
		return authorization;
	authorization_withdraw(authorization->bridge, authorization,
	    "its time is over");
	return NULL;
}

static struct authorization *
find_by_id(struct bridge *bridge, struct ps_slice socket_id)
{
	return (struct authorization *)table_find(
	    &bridge->authorizations.by_id, socket_id);
}

struct authorization *
authorization_find(struct bridge *bridge, struct ps_slice socket_id)
{
	struct authorization *authorization =
	    unless_over(find_by_id(bridge, socket_id));

	return authorization != NULL && is_covered(bridge, authorization) ?
	    authorization :
	    NULL;
}

struct authorization *
authorization_find_client(struct bridge *bridge, int64_t token_id,
    struct ps_slice client)
{
	char key[sizeof(token_id) + PS_CLIENT_MAX];
	struct table_node *node;

	if (client.len > PS_CLIENT_MAX)
		return NULL;
	memcpy(key, &token_id, sizeof(token_id));
	memcpy(key + sizeof(token_id), client.data, client.len);
	node = table_find(&bridge->authorizations.by_client,
	    ps_slice(key, sizeof(token_id) + client.len));
	return node == NULL ?
	    NULL :
	    unless_over(PS_CONTAINER(node, struct authorization,
		client_node));
}

void
authorization_add_session(struct authorization *authorization,
    struct connection *connection)
{
	struct bridge *bridge = authorization->bridge;
	const struct kept_message *kept;

	connection->authorization = authorization;
	TAILQ_INSERT_TAIL(&authorization->connections, connection, entry);
	if (authorization->n_connections++ == 0) {
		/* Whoever asked for it has found it covered. */
		authorization->seen = authorization->judged;
		TAILQ_INSERT_TAIL(&bridge->authorizations.live,
		    authorization, live);
	}
	while ((kept = TAILQ_FIRST(&authorization->kept)) != NULL) {
		/* The quota of its token may end it at that. */
		if (connection->authorization != NULL &&
		    kept->until_ms > bridge->now_ms())
			session_queue(connection->session,
			    message_ref(kept->message));
		drop_kept(authorization);
	}
	set_timer(authorization);
}

void
authorization_remove_session(struct connection *connection)
{
	struct authorization *authorization = connection->authorization;

	if (authorization == NULL)
		return;
	set_delivered(connection);
	TAILQ_REMOVE(&authorization->connections, connection, entry);
	connection->authorization = NULL;
	if (--authorization->n_connections == 0)
		TAILQ_REMOVE(&authorization->bridge->authorizations.live,
		    authorization, live);
}

/* As much waits as may. */
static bool
is_full(const struct session *session)
{
	const struct message_queue *queue = &session->queue;

	return queue->count >= session->bridge->config->queue_messages ||
	    (queue->count > 0 &&
		queue->bytes >= session_queue_bytes(session, NULL));
}

/* What it was not offered yet does not make a client slow. */
static bool
has_room(struct connection *connection)
{
	if (is_full(connection->session))
		deliver(connection);
	return connection->authorization != NULL;
}

bool
connection_publish(struct connection *connection, struct message *message)
{
	struct authorization *authorization = connection->authorization;

	if (!has_room(connection)) {
		message_unref(message);
		return false;
	}
	if (!session_queue(connection->session, message))
		return false;
	if (!connection->is_undelivered &&
	    connection->authorization != NULL) {
		connection->is_undelivered = true;
		TAILQ_INSERT_TAIL(&authorization->undelivered, connection,
		    undelivered);
		fanout_note(&authorization->bridge->fanout,
		    &authorization->job);
	}
	return true;
}

/* False when there is no room for it, or no memory. */
static bool
keep(struct authorization *authorization, struct message *message)
{
	struct bridge *bridge = authorization->bridge;
	const struct ps_config *config = bridge->config;
	struct kept_message *kept;

	if (authorization->n_kept >= config->kept_messages ||
	    message->len > config->kept_bytes ||
	    authorization->kept_bytes > config->kept_bytes - message->len ||
	    bridge->authorizations.kept_bytes + message->len >
		KEPT_BYTES_MAX ||
	    (kept = calloc(1, sizeof(*kept))) == NULL)
		return false;
	kept->message = message_ref(message);
	kept->until_ms = bridge->now_ms() + config->kept_time;
	TAILQ_INSERT_TAIL(&authorization->kept, kept, entry);
	authorization->n_kept++;
	authorization->kept_bytes += message->len;
	bridge->authorizations.kept_bytes += message->len;
	set_timer(authorization);
	return true;
}

uint32_t
authorization_publish(struct authorization *authorization,
    struct message *message, bool store, bool *queued_r)
{
	struct connection *connection, *next;
	uint32_t n_sessions = 0;

	for (connection = TAILQ_FIRST(&authorization->connections);
	     connection != NULL; connection = next) {
		next = TAILQ_NEXT(connection, entry);
		if (connection_publish(connection, message_ref(message)))
			n_sessions++;
	}
	*queued_r = store && authorization->n_connections == 0 &&
	    n_sessions == 0 && keep(authorization, message);
	message_unref(message);
	return n_sessions;
}

void
authorization_withdraw(struct bridge *bridge,
    struct authorization *authorization, const char *why)
{
	if (authorization->is_gone)
		return;
	ps_info("authorization %.*s: withdrawn (%s), %u sessions are closed",
	    SHOWN, authorization->socket_id, why,
	    authorization->n_connections);
	forget(bridge, authorization);
	close_all(authorization, GO_AWAY, "Go away!");
}

void
authorization_forgotten(struct bridge *bridge, struct ps_slice socket_id)
{
	struct authorization *authorization = find_by_id(bridge, socket_id);

	if (authorization != NULL)
		authorization_withdraw(bridge, authorization,
		    "deleted by administrator");
}

/* Those that were looked at go to the end of the line. */
static unsigned
judge_some(struct fanout_job *job, unsigned units)
{
	struct bridge *bridge = PS_CONTAINER(job, struct bridge,
	    authorizations.judge);
	struct authorization_list *live = &bridge->authorizations.live;
	uint64_t revision = ps_policy_revision(bridge->policy);
	struct authorization *authorization;
	unsigned done;

	for (done = 0; done < units; done++) {
		authorization = TAILQ_FIRST(live);
		if (authorization == NULL || authorization->seen == revision)
			return done;
		authorization->seen = revision;
		TAILQ_REMOVE(live, authorization, live);
		TAILQ_INSERT_TAIL(live, authorization, live);
		if (!is_covered(bridge, authorization) &&
		    authorization->close_code == 0)
			close_all(authorization, POLICY_VIOLATION,
			    "callback refused");
	}
	fanout_note(&bridge->fanout, job);
	return done;
}

void
authorizations_judge(struct bridge *bridge)
{
	bridge->authorizations.judge.serve = judge_some;
	fanout_note(&bridge->fanout, &bridge->authorizations.judge);
}

/* Each closes its own, and is in front until it has none. */
static unsigned
drain_some(struct fanout_job *job, unsigned units)
{
	struct bridge *bridge = PS_CONTAINER(job, struct bridge,
	    authorizations.drain);
	struct authorization *authorization;
	unsigned done = 0;

	while (done < units &&
	    (authorization = TAILQ_FIRST(&bridge->authorizations.live)) !=
		NULL) {
		authorization->close_code = GOING_AWAY;
		authorization->close_reason = "server shutting down";
		done += close_some(authorization, units - done);
	}
	if (!TAILQ_EMPTY(&bridge->authorizations.live))
		fanout_note(&bridge->fanout, job);
	return done;
}

void
authorizations_drain(struct bridge *bridge)
{
	bridge->authorizations.drain.serve = drain_some;
	fanout_note(&bridge->fanout, &bridge->authorizations.drain);
}
