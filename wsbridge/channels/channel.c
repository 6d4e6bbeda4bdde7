#include "config.h"

#include "channel.h"

#include <assert.h>
#include <stdlib.h>

#include "envelope.h"

/* It doubles. */
#define FIRST_MEMBERS 4
/* A round that is shorter keeps nobody waiting for long. */
#define ROUND_SHORT_MS 10
/* Between two rounds: what a client does not notice. */
#define PAUSE_MAX_MS 50
/* Members that CONNECTED names for the price of serving one. */
#define NAMED_PER_UNIT 256

struct channel *
channel_find(struct bridge *bridge, struct ps_slice name)
{
	return (struct channel *)table_find(&bridge->channels_by_name, name);
}

struct channel *
channel_find_used(struct bridge *bridge)
{
	struct channel *channel;

	TAILQ_FOREACH(channel, &bridge->channels, all) {
		if (!TAILQ_EMPTY(&channel->by_age) ||
		    !TAILQ_EMPTY(&channel->joining))
			break;
	}
	return channel;
}

static unsigned
serve(struct fanout_job *job, unsigned units);
static void
on_pause_over(struct timer *timer);

struct channel *
channel_get(struct bridge *bridge, struct ps_slice name)
{
	struct channel *channel = channel_find(bridge, name);

	if (channel != NULL || name.len > PS_CHANNEL_MAX ||
	    (channel = calloc(1, sizeof(*channel))) == NULL)
		return channel;
	channel->bridge = bridge;
	channel->job.serve = serve;
	channel->pause.fire = on_pause_over;
	TAILQ_INIT(&channel->by_age);
	TAILQ_INIT(&channel->by_log);
	TAILQ_INIT(&channel->behind);
	TAILQ_INIT(&channel->joining);
	TAILQ_INIT(&channel->undelivered);
	LIST_INIT(&channel->waits);
	memcpy(channel->name, name.data, name.len);
	channel->node.key = ps_slice(channel->name, name.len);
	table_add(&bridge->channels_by_name, &channel->node);
	TAILQ_INSERT_TAIL(&bridge->channels, channel, all);
	return channel;
}

static void
destroy(struct garbage *garbage)
{
	struct channel *channel = PS_CONTAINER(garbage, struct channel,
	    garbage);

	free(channel->members);
	free(channel->log.ring);
	free(channel);
}

static uint64_t
first_needed(const struct channel *channel, const struct member_list *line)
{
	const struct member *first = TAILQ_FIRST(line);

	return first == NULL ? channel->log.end : first->log_at;
}

static void
prune(struct channel *channel)
{
	uint64_t live = first_needed(channel, &channel->by_log);
	uint64_t held = first_needed(channel, &channel->behind);

	channel_log_drop_until(&channel->log, live < held ? live : held);
}

void
channel_release(struct channel *channel)
{
	if (channel->is_gone || channel->n_members > 0 ||
	    !TAILQ_EMPTY(&channel->joining) || !LIST_EMPTY(&channel->waits))
		return;
	channel->is_gone = true;
	channel_log_drop_until(&channel->log, channel->log.end);
	fanout_leave(&channel->bridge->fanout, &channel->job);
	timers_cancel(&channel->bridge->timers, &channel->pause);
	table_remove(&channel->bridge->channels_by_name, &channel->node);
	TAILQ_REMOVE(&channel->bridge->channels, channel, all);
	bridge_free_later(channel->bridge, &channel->garbage, destroy);
}

/* Of what waits for those of a line; see channel_log_is_fuller(). */
static bool
is_fuller(const struct channel *channel, const struct member_list *line,
    uint64_t percent)
{
	return channel_log_is_fuller(&channel->log, channel->bridge->config,
	    first_needed(channel, line), percent);
}

bool
channel_is_busy(const struct channel *channel)
{
	return is_fuller(channel, &channel->by_log, 100);
}

bool
channel_all_have(const struct channel *channel, uint64_t number)
{
	return first_needed(channel, &channel->by_log) > number;
}

bool
channel_reserve(struct channel *channel, uint32_t count)
{
	return channel_log_reserve(&channel->log, count);
}

/* The fan-out has something to do here; unless there is a pause. */
static void
note(struct channel *channel)
{
	if (!timer_is_set(&channel->pause))
		fanout_note(&channel->bridge->fanout, &channel->job);
}

/* From now on all members are given what there is by now. */
static void
begin_round(struct channel *channel)
{
	channel->round_end = channel->log.end;
	channel->round_began_ms = channel->bridge->now_ms();
}

static void
on_pause_over(struct timer *timer)
{
	struct channel *channel = PS_CONTAINER(timer, struct channel, pause);

	begin_round(channel);
	note(channel);
}

/*
 * When events come faster than they can be handed out one by one, the next
 * round waits for twice as long as the last one took: so more of them go out
 * together, which costs less, and others have the processor meanwhile.
 */
static void
go_on(struct channel *channel)
{
	struct bridge *bridge = channel->bridge;
	uint64_t now = bridge->now_ms();
	uint64_t took = now - channel->round_began_ms;
	uint64_t next = first_needed(channel, &channel->by_log);

	/* In the middle of a round, or what is left is no part of one. */
	if (next < channel->round_end || next == channel->log.end)
		note(channel);
	else if (took < ROUND_SHORT_MS)
		on_pause_over(&channel->pause);
	else
		timers_set(&bridge->timers, &channel->pause,
		    now + (took < PAUSE_MAX_MS / 2 ? 2 * took : PAUSE_MAX_MS));
}

/* Takes over a reference; false, having dropped it, when memory is out. */
static bool
append(struct channel *channel, struct message *message, uint64_t only)
{
	/* That somebody has not got. */
	bool is_first =
	    first_needed(channel, &channel->by_log) == channel->log.end;

	if (!channel_log_append(&channel->log, message, only))
		return false;
	if (is_first)
		begin_round(channel);
	note(channel);
	return true;
}

/* It has all of the log, so nobody has more. */
static void
move_to_end(struct member *member)
{
	struct channel *channel = member->channel;

	TAILQ_REMOVE(&channel->by_log, member, by_log);
	member->log_at = channel->log.end;
	TAILQ_INSERT_TAIL(&channel->by_log, member, by_log);
}

bool
channel_send(struct channel *channel, struct message *message,
    struct member *except)
{
	if (channel->n_members <= (except == NULL ? 0 : 1)) {
		message_unref(message);
		return true;
	}
	if (!append(channel, message, 0))
		return false;
	if (except != NULL)
		move_to_end(except);
	return true;
}

/* Queues what it has not got of the log. False: it has left at that. */
static bool
queue_log(struct member *member)
{
	const struct channel_entry *entry;
	struct session *session = member->session;
	uint64_t i;

	for (i = member->log_at; (entry = channel_held(member, i)) != NULL;
	     i++) {
		if (entry->only != 0 && entry->only != member->serial)
			continue;
		session_queue(session, message_ref(entry->message));
		if (member->session == NULL)
			return false;
	}
	move_to_end(member);
	prune(member->channel);
	return true;
}

void
channel_delivered(struct member *member)
{
	if (!member->is_undelivered)
		return;
	member->is_undelivered = false;
	TAILQ_REMOVE(&member->channel->undelivered, member, undelivered);
}

/* An emit may name very many, and all of them in one turn is too much. */
static void
deliver_soon(struct member *member)
{
	struct channel *channel = member->channel;
	struct fanout *fanout = &channel->bridge->fanout;

	if (fanout->n_direct < FANOUT_SLICE) {
		fanout->n_direct++;
		member_deliver(member);
	} else if (!member->is_undelivered) {
		member->is_undelivered = true;
		TAILQ_INSERT_TAIL(&channel->undelivered, member, undelivered);
		note(channel);
	}
}

void
channel_send_to(struct member *member, struct message *message)
{
	if (!member->has_joined || member->session == NULL) {
		message_unref(message);
		return;
	}
	if (member->is_behind) {
		if (!append(member->channel, message, member->serial))
			session_expel(member->session, 1011, "out of memory");
		return;
	}
	if (!queue_log(member)) {
		message_unref(message);
		return;
	}
	session_queue(member->session, message);
	if (member->session != NULL)
		deliver_soon(member);
}

struct member *
channel_find_member(const struct channel *channel, struct ps_slice client)
{
	struct table_node *node =
	    table_find(&channel->bridge->members_by_client, client);
	struct member *member;

	if (node == NULL)
		return NULL;
	member = PS_CONTAINER(node, struct member, node);
	return member->channel == channel && member->has_joined ? member :
								  NULL;
}

void
channel_enter_line(struct channel *channel, struct member *member)
{
	TAILQ_INSERT_TAIL(&channel->joining, member, by_age);
	member->in_line = true;
	note(channel);
}

void
channel_leave_line(struct channel *channel, struct member *member)
{
	TAILQ_REMOVE(&channel->joining, member, by_age);
	member->in_line = false;
}

bool
channel_add(struct channel *channel, struct member *member)
{
	uint32_t capacity = channel->capacity;
	struct member **members = channel->members;

	if (channel->n_members == capacity) {
		capacity = capacity == 0 ? FIRST_MEMBERS : capacity * 2;
		members = realloc(members, capacity * sizeof(*members));
		if (members == NULL)
			return false;
		channel->members = members;
		channel->capacity = capacity;
	}
	member->index = channel->n_members;
	channel->members[channel->n_members++] = member;
	member->log_at = channel->log.end;
	TAILQ_INSERT_TAIL(&channel->by_age, member, by_age);
	TAILQ_INSERT_TAIL(&channel->by_log, member, by_log);
	return true;
}

void
channel_remove(struct channel *channel, struct member *member)
{
	struct member *last = channel->members[channel->n_members - 1];

	last->index = member->index;
	channel->members[last->index] = last;
	channel->n_members--;
	TAILQ_REMOVE(&channel->by_age, member, by_age);
	TAILQ_REMOVE(member->is_behind ? &channel->behind : &channel->by_log,
	    member, by_log);
	channel_delivered(member);
	prune(channel);
}

void
channel_fall_behind(struct member *member)
{
	struct channel *channel = member->channel;

	assert(!member->is_behind && member->log_at == channel->log.end);
	TAILQ_REMOVE(&channel->by_log, member, by_log);
	member->is_behind = true;
	TAILQ_INSERT_TAIL(&channel->behind, member, by_log);
}

void
channel_catch_up(struct member *member)
{
	struct channel *channel = member->channel;

	TAILQ_REMOVE(&channel->behind, member, by_log);
	member->is_behind = false;
	TAILQ_INSERT_HEAD(&channel->by_log, member, by_log);
	if (queue_log(member))
		member_deliver(member);
}

bool
channel_give_rest(struct member *member)
{
	if (!member->is_behind)
		return queue_log(member);
	channel_catch_up(member);
	return member->session != NULL;
}

const struct channel_entry *
channel_held(const struct member *member, uint64_t number)
{
	return channel_log_at(&member->channel->log, number);
}

bool
channel_let_go(struct member *member)
{
	struct channel *channel = member->channel;
	const struct channel_entry *entry;
	uint64_t i;

	for (i = member->log_at; (entry = channel_held(member, i)) != NULL;
	     i++) {
		if (entry->only != member->serial &&
		    (entry->only != 0 ||
			envelope_event_id(entry->message).len > 0))
			continue;
		session_queue(member->session, message_ref(entry->message));
		if (member->session == NULL)
			return false;
	}
	TAILQ_REMOVE(&channel->behind, member, by_log);
	member->log_at = channel->log.end;
	TAILQ_INSERT_TAIL(&channel->behind, member, by_log);
	prune(channel);
	return true;
}

/* The log is less than half of what it may be, so that there is room for what
 * comes of a join. */
static bool
is_roomy(const struct channel *channel)
{
	return !is_fuller(channel, &channel->by_log, 50);
}

bool
channel_may_join_now(const struct channel *channel)
{
	return TAILQ_EMPTY(&channel->joining) &&
	    channel->n_members < NAMED_PER_UNIT && is_roomy(channel);
}

static bool
holds_too_much(const struct channel *channel)
{
	return is_fuller(channel, &channel->behind, 50);
}

/* Nobody waits for those who are behind. */
static unsigned
serve_behind(struct channel *channel, unsigned units)
{
	unsigned done;

	for (done = 0; done < units && holds_too_much(channel); done++)
		member_let_go(TAILQ_FIRST(&channel->behind));
	return done;
}

static unsigned
serve_joining(struct channel *channel, unsigned units)
{
	struct member *member;
	unsigned done = 0;

	while (done < units &&
	    (member = TAILQ_FIRST(&channel->joining)) != NULL &&
	    is_roomy(channel)) {
		channel_leave_line(channel, member);
		done += 1 + channel->n_members / NAMED_PER_UNIT;
		member_join(member);
	}
	return done;
}

static unsigned
serve_undelivered(struct channel *channel, unsigned units)
{
	struct member *member;
	unsigned done = 0;

	for (; done < units &&
	     (member = TAILQ_FIRST(&channel->undelivered)) != NULL;
	     done++)
		member_deliver(member);
	return done;
}

static unsigned
serve_live(struct channel *channel, unsigned units)
{
	struct member *member;
	unsigned done = 0;

	while (done < units &&
	    (member = TAILQ_FIRST(&channel->by_log)) != NULL &&
	    member->log_at < channel->log.end) {
		if (queue_log(member))
			member_deliver(member);
		done++;
	}
	return done;
}

static bool
has_more(const struct channel *channel)
{
	return !TAILQ_EMPTY(&channel->joining) ||
	    !TAILQ_EMPTY(&channel->undelivered) ||
	    holds_too_much(channel) ||
	    first_needed(channel, &channel->by_log) < channel->log.end;
}

static unsigned
serve(struct fanout_job *job, unsigned units)
{
	struct channel *channel = PS_CONTAINER(job, struct channel, job);
	unsigned done;

	done = serve_behind(channel, units);
	if (done < units)
		done += serve_joining(channel, units - done);
	if (done < units)
		done += serve_undelivered(channel, units - done);
	if (done < units)
		done += serve_live(channel, units - done);
	if (!channel->is_gone && has_more(channel))
		go_on(channel);
	return done;
}
