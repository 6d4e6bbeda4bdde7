#include "config.h"

#include "replay.h"

#include <stdlib.h>

#include "channel.h"
#include "envelope.h"
#include "history.h"

/* Events read at once: what a queue takes without being full. */
#define PAGE 64

struct replay {
	struct history_request *request; /* NULL: none is on its way */
	struct ps_event_cursor cursor;
	bool more; /* behind the cursor */
	bool again; /* then what was let go meanwhile, behind `since` */
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

/* What can be of that page is in the session's queue. */
static void
on_read(void *owner, const struct history_result *result)
{
	struct member *member = owner;
	struct replay *replay = member->replay;

	replay->request = NULL;
	replay->more = !result->failed && result->more;
	replay->cursor = result->cursor;
	if (result->failed || result->gap)
		tell_gap(member);
	if (member->session == NULL ||
	    !queue_events(member, result->events,
		result->failed ? 0 : result->count))
		return;
	member_deliver(member);
	if (member->session == NULL)
		return;
	if (result->failed || (!replay->more && !replay->again))
		finish(member);
	else if (!member->session->paused)
		replay_go_on(member);
}

/* Nothing can be read, so something is missing. */
static void
give_up(struct member *member)
{
	tell_gap(member);
	if (member->session == NULL)
		return;
	member_deliver(member);
	if (member->session != NULL)
		finish(member);
}

static void
read_page(struct member *member)
{
	struct replay *replay = member->replay;
	struct bridge *bridge = member->channel->bridge;
	struct ps_slice channel = member->channel->node.key;

	if (replay->more) {
		replay->request = history_read_on(bridge, channel,
		    &replay->cursor, PAGE, on_read, member);
	} else {
		/* The result has what was put before now, the log the rest. */
		replay->again = false;
		if (!channel_let_go(member))
			return;
		replay->request = history_read(bridge, channel,
		    ps_slice_str(replay->since), PAGE, on_read, member);
	}
	if (replay->request == NULL)
		give_up(member);
}

void
replay_go_on(struct member *member)
{
	if (member->replay == NULL)
		channel_catch_up(member);
	else if (member->replay->request == NULL)
		read_page(member);
}
