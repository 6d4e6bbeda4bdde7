#include "config.h"

#include "acks.h"

#include <inttypes.h>
#include <stdlib.h>

#include "channel.h"
#include "member.h"
#include "wsbridge/base/fanout.h"

enum ack_state { ACK_PENDING, ACK_ACKED, ACK_LEFT };

/* A member that is waited for; what it was called outlives it. */
struct ack_entry {
	uint64_t serial;
	uint32_t ms; /* from sending to its ACK */
	enum ack_state state;
	char client[PS_CLIENT_ID_LEN + 1];
};

struct ack_wait {
	struct table_node node; /* first: by event id */
	LIST_ENTRY(ack_wait) of_channel;
	struct bridge *bridge;
	struct channel *channel; /* NULL: nobody is waited for any more */
	struct timer timer;	 /* the end of patience */
	struct fanout_job job;	 /* noted: it is met */
	uint64_t sent_ms;
	uint32_t count, n_pending, n_acked, min_acks;
	void (*done)(struct ack_wait *wait, void *owner);
	void *owner;
	char event_id[PS_EVENT_ID_LEN + 1];
	struct ack_entry entries[]; /* by serial */
};

static int
compare_serials(const void *a, const void *b)
{
	const struct ack_entry *x = a, *y = b;

	return (x->serial > y->serial) - (x->serial < y->serial);
}

/* Those of a broadcast come in the order in which they joined already. */
static void
fill(struct ack_wait *wait, struct member *const *members)
{
	bool sorted = true;
	uint32_t i;

	for (i = 0; i < wait->count; i++) {
		struct ack_entry *entry = &wait->entries[i];

		entry->serial = members[i]->serial;
		strcpy(entry->client, members[i]->session->recipient->client);
		sorted = sorted && (i == 0 || entry[-1].serial < entry->serial);
	}
	if (!sorted)
		qsort(wait->entries, wait->count, sizeof(*wait->entries),
		    compare_serials);
}

static void
on_timer(struct timer *timer)
{
	struct ack_wait *wait = PS_CONTAINER(timer, struct ack_wait, timer);

	wait->done(wait, wait->owner);
}

static unsigned
on_met(struct fanout_job *job, unsigned units)
{
	struct ack_wait *wait = PS_CONTAINER(job, struct ack_wait, job);

	(void)units;
	wait->done(wait, wait->owner);
	return 1;
}

bool
acks_have_room(const struct bridge *bridge, uint32_t count)
{
	return bridge->n_ack_entries == 0 ||
	    bridge->n_ack_entries + count <= ACK_ENTRIES_MAX;
}

struct ack_wait *
ack_wait_create(struct channel *channel, const char *event_id,
    struct member *const *members, uint32_t count, uint32_t min_acks,
    void (*done)(struct ack_wait *wait, void *owner), void *owner)
{
	struct bridge *bridge = channel->bridge;
	struct ack_wait *wait = calloc(1,
	    sizeof(*wait) + count * sizeof(*wait->entries));

	if (wait == NULL)
		return NULL;
	wait->bridge = bridge;
	wait->channel = channel;
	wait->sent_ms = bridge->now_ms();
	wait->count = wait->n_pending = count;
	wait->min_acks = min_acks == 0 || min_acks > count ? count : min_acks;
	wait->done = done;
	wait->owner = owner;
	strcpy(wait->event_id, event_id);
	fill(wait, members);
	wait->node.key = ps_slice_str(wait->event_id);
	table_add(&bridge->ack_waits, &wait->node);
	bridge->n_ack_entries += count;
	LIST_INSERT_HEAD(&channel->waits, wait, of_channel);
	wait->job.serve = on_met;
	wait->timer.fire = on_timer;
	timers_set(&bridge->timers, &wait->timer,
	    wait->sent_ms + bridge->config->ack_timeout);
	return wait;
}

static void
leave_channel(struct ack_wait *wait)
{
	if (wait->channel != NULL)
		LIST_REMOVE(wait, of_channel);
	wait->channel = NULL;
}

void
ack_wait_destroy(struct ack_wait *wait)
{
	if (wait == NULL)
		return;
	leave_channel(wait);
	table_remove(&wait->bridge->ack_waits, &wait->node);
	wait->bridge->n_ack_entries -= wait->count;
	timers_cancel(&wait->bridge->timers, &wait->timer);
	fanout_leave(&wait->bridge->fanout, &wait->job);
	free(wait);
}

bool
ack_wait_is_met(const struct ack_wait *wait)
{
	return wait->n_acked >= wait->min_acks || wait->n_pending == 0;
}

/* The owner hears of it soon, not from within what a member does: what it
 * tells others may end that member's session. */
static void
settle(struct ack_wait *wait, struct ack_entry *entry, enum ack_state state)
{
	entry->state = state;
	wait->n_pending--;
	wait->n_acked += state == ACK_ACKED;
	if (wait->n_pending == 0)
		leave_channel(wait);
	if (ack_wait_is_met(wait))
		fanout_note(&wait->bridge->fanout, &wait->job);
}

static struct ack_entry *
find_entry(struct ack_wait *wait, const struct member *member)
{
	const struct ack_entry key = { .serial = member->serial };

	return bsearch(&key, wait->entries, wait->count,
	    sizeof(*wait->entries), compare_serials);
}

bool
acks_take(struct bridge *bridge, struct member *member,
    struct ps_slice event_id)
{
	struct ack_wait *wait =
	    (struct ack_wait *)table_find(&bridge->ack_waits, event_id);
	struct ack_entry *entry;

	if (wait == NULL || wait->channel != member->channel ||
	    (entry = find_entry(wait, member)) == NULL)
		return false;
	if (entry->state == ACK_PENDING) {
		entry->ms = (uint32_t)(bridge->now_ms() - wait->sent_ms);
		settle(wait, entry, ACK_ACKED);
	}
	return true;
}

void
acks_leave(struct member *member)
{
	struct ack_wait *wait, *next;
	struct ack_entry *entry;

	for (wait = LIST_FIRST(&member->channel->waits); wait != NULL;
	     wait = next) {
		next = LIST_NEXT(wait, of_channel);
		entry = find_entry(wait, member);
		if (entry != NULL && entry->state == ACK_PENDING)
			settle(wait, entry, ACK_LEFT);
	}
}

static void
put_clients(struct ps_writer *json, const struct ack_wait *wait,
    enum ack_state state)
{
	const char *comma = "";
	uint32_t i;

	for (i = 0; wait != NULL && i < wait->count; i++) {
		if (wait->entries[i].state != state)
			continue;
		ps_writer_printf(json, "%s\"%s\"", comma,
		    wait->entries[i].client);
		comma = ",";
	}
}

static int
compare_ms(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
put_times(struct ps_writer *json, const struct ack_wait *wait)
{
	uint32_t n_acked = wait == NULL ? 0 : wait->n_acked, n = 0, i;
	uint32_t *ms = calloc(n_acked + 1, sizeof(*ms));

	if (ms == NULL) {
		json->failed = true;
		return;
	}
	for (i = 0; n < n_acked; i++) {
		if (wait->entries[i].state == ACK_ACKED)
			ms[n++] = wait->entries[i].ms;
	}
	qsort(ms, n, sizeof(*ms), compare_ms);
	ps_writer_printf(json, "\"p50\":%" PRIu32 ",\"max\":%" PRIu32,
	    n == 0 ? 0 : ms[(n - 1) / 2], n == 0 ? 0 : ms[n - 1]);
	free(ms);
}

void
ack_wait_describe(const struct ack_wait *wait, struct ps_writer *json)
{
	ps_writer_str(json, "\"acked\":[");
	put_clients(json, wait, ACK_ACKED);
	ps_writer_str(json, "],\"pending\":[");
	put_clients(json, wait, ACK_PENDING);
	ps_writer_str(json, "],\"left\":[");
	put_clients(json, wait, ACK_LEFT);
	ps_writer_str(json, "],\"ack_ms\":{");
	put_times(json, wait);
	ps_writer_str(json, "}");
}
