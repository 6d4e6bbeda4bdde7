#include "config.h"

#include "member.h"

#include <stdlib.h>

#include "channel.h"
#include "envelope.h"
#include "hearing.h"
#include "member_frames.h"
#include "ps_log.h"
#include "replay.h"
#include "wsbridge/enforce.h"
#include "wsbridge/session/record.h"

/* RFC 6455, 7.4.1. */
#define POLICY_VIOLATION 1008
#define OUT_OF_MEMORY 1011
#define TRY_AGAIN_LATER 1013

/* Messages of a client that did not wait for CONNECTED. */
#define EARLY_MAX 16
/* Updates of its presence that all have to get, in a channel that is busy. */
#define UPDATES_MAX 16

/* Ids that were drawn and are taken already: 48 bits rarely are. */
#define DRAWS 4

static const struct peer_ops peer_ops;

struct member *
member_of(const struct session *session)
{
	return session->peer_ops == &peer_ops ? session->peer : NULL;
}

bool
member_is(const struct session *session, const struct ps_ipc_member *who)
{
	const struct member *member = member_of(session);

	return session->recipient != NULL &&
	    ps_slice_is(who->client, session->recipient->client) &&
	    (member == NULL ||
		ps_slice_is(who->channel, member->channel->name));
}

static bool
queue_connected(struct member *member)
{
	struct message *message = member_frame_connected(member);

	return message != NULL && session_queue(member->session, message);
}

static void
set_timer(struct member *member)
{
	struct bridge *bridge = member->session->bridge;
	uint64_t patience = member->heard_ms + bridge->config->ping_timeout;

	timers_set(&bridge->timers, &member->timer,
	    member->ping_at_ms < patience ? member->ping_at_ms : patience);
}

static void
start_pings(struct member *member)
{
	struct bridge *bridge = member->session->bridge;

	member->heard_ms = bridge->now_ms();
	member->ping_at_ms = member->heard_ms + bridge->config->ping_interval;
	set_timer(member);
}

/* The others hear of it before it hears who is there. */
static bool
enter(struct member *member)
{
	struct channel *channel = member->channel;
	struct message *joined =
	    member_frame_presence(member, "PRESENCE:JOINED");

	if (joined == NULL || !channel_add(channel, member)) {
		message_unref(joined);
		return false;
	}
	if (!channel_send(channel, joined, member)) {
		channel_remove(channel, member);
		return false;
	}
	member->has_joined = true;
	member->serial = ++channel->bridge->n_members_ever;
	member->joined_at_s = channel->bridge->unix_s();
	return true;
}

static void
hear_early(struct member *member)
{
	struct message *message;

	while (member->session != NULL &&
	    (message = message_queue_at(&member->early, 0)) != NULL) {
		if (!hearing_take(member, message))
			session_expel(member->session, OUT_OF_MEMORY,
			    "out of memory");
		message_queue_pop(&member->early);
	}
	message_queue_deinit(&member->early);
}

void
member_join(struct member *member)
{
	if (!enter(member) || !queue_connected(member)) {
		if (member->session != NULL)
			session_expel(member->session, OUT_OF_MEMORY,
			    "out of memory");
		return;
	}
	start_pings(member);
	/* It is behind until its client has taken what there is at first. */
	channel_fall_behind(member);
	member_deliver(member);
	if (member->session != NULL && !member->session->paused)
		replay_go_on(member);
	hear_early(member);
}

static void
destroy(struct garbage *garbage)
{
	struct member *member = (struct member *)garbage;

	free(member->presence);
	message_queue_deinit(&member->early);
	free(member);
}

/* Once; the session may be on its way to its end. */
static void
leave(struct member *member)
{
	struct channel *channel = member->channel;
	struct bridge *bridge = channel->bridge;
	struct message *left;

	member->session = NULL;
	timers_cancel(&bridge->timers, &member->timer);
	table_remove(&bridge->members_by_client, &member->node);
	replay_end(member);
	hearing_end(member);
	if (member->in_line)
		channel_leave_line(channel, member);
	if (member->has_joined) {
		channel_remove(channel, member);
		/* With the bridge all of them end. */
		left = bridge->draining ? NULL : member_frame_left(member);
		if (left == NULL || !channel_send(channel, left, NULL))
			ps_debug("channel: nobody hears that %s has left",
			    member->node.key.data);
		acks_leave(member);
	}
	channel_release(channel);
	bridge_free_later(bridge, &member->garbage, destroy);
}

/* What it says before it has joined is kept. */
static const char *
find_early_excess(const struct member *member, size_t count, size_t bytes)
{
	const struct message_queue *early = &member->early;
	const char *limit;
	uint64_t max = session_queue_bytes(member->session, &limit);

	if (early->count + count > EARLY_MAX)
		return "queue_messages";
	return early->count > 0 && early->bytes + bytes > max ? limit : NULL;
}

/*
 * What is said for all is never refused, but for one who speaks faster than
 * they can listen.
 */
static const char *
on_find_excess(void *peer, size_t count, size_t bytes)
{
	const struct member *member = peer;
	const struct channel *channel = member->channel;

	if (!member->has_joined)
		return find_early_excess(member, count, bytes);
	return member->n_updates >= UPDATES_MAX && channel_is_busy(channel) &&
		!channel_all_have(channel, member->updates_from) ?
	    "queue_messages" :
	    NULL;
}

/* CONNECTED is the first that it hears, so it is not answered before. */
static bool
on_send(void *peer, struct message *message)
{
	struct member *member = peer;

	if (!member->has_joined)
		return message_queue_push(&member->early, message);
	if (!hearing_take(member, message))
		return false;
	message_unref(message);
	return true;
}

/* What a client says is understood at once. */
static void
on_count_queued(void *peer, size_t *count_r, size_t *bytes_r)
{
	(void)peer;
	*count_r = *bytes_r = 0;
}

/* See member_deliver(). */
static void
on_pause(void *peer)
{
	(void)peer;
}

/* Goes on later, since the receiver is at work just now. */
static void
on_resume(void *peer)
{
	struct member *member = peer;
	struct bridge *bridge = member->channel->bridge;

	if (member->is_behind)
		timers_set(&bridge->timers, &member->timer, bridge->now_ms());
}

static void
on_close(void *peer, uint16_t code, struct ps_slice reason)
{
	struct member *member = peer;
	struct session *session = member->session;

	leave(member);
	session_peer_closed(session, code, reason, true);
}

static void
on_abandon(void *peer, uint16_t code)
{
	(void)code;
	leave(peer);
}

void
member_queue_error(struct member *member, const char *code, const char *text)
{
	struct message *message = member_frame_error(code, text);

	if (message != NULL)
		session_queue(member->session, message);
	else
		session_expel(member->session, OUT_OF_MEMORY,
		    "out of memory");
}

void
member_send_error(struct member *member, const char *code, const char *text)
{
	struct message *message = member_frame_error(code, text);

	if (message != NULL)
		channel_send_to(member, message);
	else
		session_expel(member->session, OUT_OF_MEMORY,
		    "out of memory");
}

/* Its client does not take what it is given. */
static void
expel_slow(struct member *member)
{
	member_queue_error(member, "SLOW_CLIENT",
	    "More events wait for the client than may wait");
	if (member->session != NULL)
		session_expel(member->session, TRY_AGAIN_LATER,
		    "slow client");
}

/* It is behind, and has not even taken what it was given so far. */
static void
on_stalled(void *peer)
{
	expel_slow(peer);
}

static const struct peer_ops peer_ops = { on_find_excess, on_send,
	on_count_queued, on_pause, on_resume, on_stalled, on_close,
	on_abandon };

/*
 * What is kept until the client acknowledges it does not make it slow, as long
 * as all of it is under way.
 */
static bool
is_slow(const struct session *session)
{
	return session->paused && session_unsent(session, 0) != NULL;
}

void
member_deliver(struct member *member)
{
	channel_delivered(member);
	session_deliver(member->session);
	if (member->session != NULL && !member->is_behind &&
	    is_slow(member->session))
		expel_slow(member);
}

void
member_let_go(struct member *member)
{
	if (member->replay == NULL || is_slow(member->session)) {
		expel_slow(member);
		return;
	}
	replay_again(member);
	if (channel_let_go(member))
		member_deliver(member);
}

static void
ping(struct member *member)
{
	struct bridge *bridge = member->session->bridge;

	member->pinged_ms = bridge->now_ms();
	member->ping_at_ms = member->pinged_ms + bridge->config->ping_interval;
	if (bridge->ping == NULL)
		bridge->ping = envelope_create("PING", ps_slice("{}", 2));
	if (bridge->ping != NULL)
		channel_send_to(member, message_ref(bridge->ping));
}

static void
on_timer(struct timer *timer)
{
	struct member *member = PS_CONTAINER(timer, struct member, timer);
	struct bridge *bridge = member->session->bridge;
	uint64_t now = bridge->now_ms();

	if (now >= member->heard_ms + bridge->config->ping_timeout) {
		member_queue_error(member, "PING_TIMEOUT",
		    "Client did not respond to PING event");
		if (member->session != NULL)
			session_expel(member->session, POLICY_VIOLATION,
			    "ping timeout");
		return;
	}
	if (now >= member->ping_at_ms)
		ping(member);
	if (member->session != NULL && member->is_behind &&
	    !member->session->paused)
		replay_go_on(member);
	if (member->session != NULL)
		set_timer(member);
}

void
member_heard(struct session *session)
{
	struct member *member = member_of(session);

	if (member != NULL)
		member->heard_ms = session->bridge->now_ms();
}

static bool
draw_client_id(struct bridge *bridge, struct recipient *recipient)
{
	int i;

	for (i = 0; i < DRAWS; i++) {
		if (!envelope_make_id(recipient->client, "client_"))
			return false;
		if (table_find(&bridge->members_by_client,
			ps_slice_str(recipient->client)) == NULL)
			return true;
	}
	return false;
}

static struct member *
make_member(struct session *session, const struct member_terms *terms)
{
	struct bridge *bridge = session->bridge;
	struct recipient *recipient = calloc(1, sizeof(*recipient));
	struct member *member = calloc(1, sizeof(*member));

	session->kind = PS_SESSION_CHANNEL;
	session->recipient = recipient; /* freed with it */
	if (recipient == NULL || member == NULL ||
	    !draw_client_id(bridge, recipient))
		goto fail;
	if (terms->presence.len > 0 &&
	    (member->presence = strndup(terms->presence.data,
		 terms->presence.len)) == NULL)
		goto fail;
	if (terms->since.len > 0 && !replay_prepare(member, terms->since))
		goto fail;
	if (terms->since.len == PS_EVENT_ID_LEN)
		memcpy(recipient->event, terms->since.data, PS_EVENT_ID_LEN);
	member->channel = channel_get(bridge, terms->channel);
	if (member->channel == NULL)
		goto fail;
	member->session = session;
	member->tells_key = terms->tells_key;
	member->timer.fire = on_timer;
	LIST_INIT(&member->asking);
	member->node.key = ps_slice_str(recipient->client);
	table_add(&bridge->members_by_client, &member->node);
	session_set_peer(session, &peer_ops, member);
	return member;

fail:
	if (member != NULL) {
		replay_end(member);
		free(member->presence);
		free(member);
	}
	return NULL;
}

static void
announce(struct session *session, const struct member_terms *terms)
{
	const struct record_subject subject = { PS_SESSION_CHANNEL,
		terms->channel, terms->origin, terms->remote_addr,
		terms->agent };

	ps_info("session %s: %s listens to %.*s for %.*s (%.*s)",
	    session->name, session->recipient->client,
	    (int)terms->channel.len, terms->channel.data,
	    (int)terms->remote_addr.len, terms->remote_addr.data,
	    (int)terms->agent.len, terms->agent.data);
	record_begin(session, &subject);
}

struct session *
member_create(struct bridge *bridge, const struct member_terms *terms,
    struct refusal *refusal_r)
{
	struct session *session = NULL;
	struct member *member;
	struct quota *quota;

	*refusal_r = (struct refusal){ .code = PS_CODE_DRAINING };
	if (!bridge->draining &&
	    (quota = enforce_create(bridge, &terms->rights, refusal_r)) !=
		NULL)
		session = session_create(bridge, terms->remote_addr, quota,
		    refusal_r);
	records_wake(bridge);
	if (session == NULL)
		return NULL;
	member = make_member(session, terms);
	if (member == NULL) {
		*refusal_r = (struct refusal){ .code = PS_CODE_BRIDGE_FULL };
		session_end(session, "out of memory");
		return NULL;
	}
	announce(session, terms);
	session_opened(session, ps_slice(NULL, 0));
	if (channel_may_join_now(member->channel))
		member_join(member);
	else
		channel_enter_line(member->channel, member);
	return session;
}

/*
 * What was emitted by now was told to be delivered, so it goes first; where it
 * is still replayed, its client knows what to ask the successor for.
 */
static void
drain(struct member *member)
{
	if (!member->has_joined || member->replay != NULL ||
	    channel_give_rest(member))
		session_expel(member->session, 1001, "server shutting down");
}

/* Some of them; the rest has another turn. */
static unsigned
drain_some(struct fanout_job *job, unsigned units)
{
	struct bridge *bridge = PS_CONTAINER(job, struct bridge,
	    members_drain);
	struct channel *channel;
	struct member *member;
	unsigned done = 0;

	while (done < units &&
	    (channel = channel_find_used(bridge)) != NULL) {
		member = TAILQ_FIRST(&channel->by_age);
		if (member == NULL)
			member = TAILQ_FIRST(&channel->joining);
		drain(member);
		done++;
	}
	if (channel_find_used(bridge) != NULL)
		fanout_note(&bridge->fanout, job);
	return done;
}

void
members_drain(struct bridge *bridge)
{
	bridge->members_drain.serve = drain_some;
	fanout_note(&bridge->fanout, &bridge->members_drain);
}
