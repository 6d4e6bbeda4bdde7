#include "config.h"

#include "replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "channel.h"
#include "envelope.h"
#include "history.h"

/* Events read at once: what a queue takes without being full. */
#define PAGE 64

struct replay {
	struct history_request *request; /* NULL: none is on its way */
	bool again; /* one more read, of what was let go meanwhile */
	bool has_gap; /* the client knows that something is missing */
	char since[PS_EVENT_ID_LEN + 1];
};

bool
replay_prepare(struct member *member, struct ps_slice since)
{
	struct replay *replay = calloc(1, sizeof(*replay));

	if (replay == NULL)
		return false;
	/* What is longer is no id, and so is a part of it. */
	if (since.len > PS_EVENT_ID_LEN)
		since.len = 1;
	memcpy(replay->since, since.data, since.len);
	member->replay = replay;
	return true;
}

void
replay_end(struct member *member)
{
	if (member->replay == NULL)
		return;
	history_cancel(member->replay->request);
	free(member->replay);
	member->replay = NULL;
}

void
replay_again(struct member *member)
{
	member->replay->again = true;
}

/* Goes live, unless its client has not taken yet what is there. */
static void
finish(struct member *member)
{
	replay_end(member);
	if (!member->session->paused)
		channel_catch_up(member);
}

static void
tell_gap(struct member *member)
{
	struct replay *replay = member->replay;

	if (replay->has_gap)
		return;
	replay->has_gap = true;
	member_queue_error(member, "HISTORY_GAP",
	    "Events that came after this one are not kept any more");
}

static bool
is_held(const struct member *member, const char *event_id)
{
	const struct channel_entry *entry;
	uint64_t i;

	for (i = member->log_at; (entry = channel_held(member, i)) != NULL;
	     i++) {
		if (entry->only == 0 &&
		    ps_slice_is(envelope_event_id(entry->message), event_id))
			return true;
	}
	return false;
}

/* How many of the result are not held: those that are, are its last. */
static size_t
count_missed(const struct member *member, const struct history_result *result)
{
	size_t count = result->count;

	while (count > 0 && is_held(member, result->events[count - 1].id))
		count--;
	return count;
}

/* False: it has left at that. */
static bool
queue_events(struct member *member, const struct history_event *events,
    size_t count)
{
	struct message *message;
	size_t i;

	for (i = 0; i < count; i++) {
		message = envelope_data(events[i].payload, events[i].id,
		    false, true);
		if (message == NULL) {
			session_expel(member->session, 1011, "out of memory");
			return false;
		}
		session_queue(member->session, message);
		if (member->session == NULL)
			return false;
	}
	if (count > 0)
		memcpy(member->replay->since, events[count - 1].id,
		    sizeof(member->replay->since));
	return true;
}

static void
on_read(void *owner, const struct history_result *result)
{
	struct member *member = owner;
	struct replay *replay = member->replay;
	size_t count = result->failed ? 0 : count_missed(member, result);
	bool has_all = result->failed ||
	    (result->count < PAGE && !replay->again) ||
	    count < result->count;

	replay->request = NULL;
	if (result->failed || result->gap)
		tell_gap(member);
	if (member->session == NULL ||
	    !queue_events(member, result->events, count))
		return;
	replay->again = false;
	member_deliver(member);
	if (member->session == NULL)
		return;
	if (has_all)
		finish(member);
	else if (!member->session->paused)
		replay_go_on(member);
}

static void
read_page(struct member *member)
{
	struct replay *replay = member->replay;
	struct bridge *bridge = member->channel->bridge;

	if (history_is_kept(bridge))
		replay->request = history_read(bridge,
		    ps_slice_str(member->channel->name),
		    ps_slice_str(replay->since), PAGE, on_read, member);
	if (replay->request != NULL)
		return;
	tell_gap(member);
	if (member->session == NULL)
		return;
	member_deliver(member);
	if (member->session != NULL)
		finish(member);
}

void
replay_go_on(struct member *member)
{
	if (member->replay == NULL)
		channel_catch_up(member);
	else if (member->replay->request == NULL)
		read_page(member);
}
