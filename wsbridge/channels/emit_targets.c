#include "config.h"

#include "emit_targets.h"

#include <stdlib.h>

#include <openssl/rand.h>

#include "channel.h"
#include "ps_json.h"

/* Random numbers are fetched so many at a time. */
#define RANDOM_BATCH 32

/* One of a list, in a table so that it counts once. */
struct listed {
	struct table_node node; /* first: by the id as it was sent */
};

static bool
make_room(struct emit_targets *targets, uint32_t count, enum ps_code *code_r)
{
	targets->members = calloc(count, sizeof(struct member *));
	if (targets->members == NULL)
		*code_r = PS_CODE_BRIDGE_FULL;
	return targets->members != NULL;
}

static bool
find_all(struct emit_targets *targets, struct channel *channel, bool by_name,
    enum ps_code *code_r)
{
	struct member *member;
	uint32_t i = 0;

	targets->are_all = true;
	targets->count = channel == NULL ? 0 : channel->n_members;
	if (!by_name || targets->count == 0)
		return true;
	if (!make_room(targets, targets->count, code_r))
		return false;
	TAILQ_FOREACH(member, &channel->by_age, by_age)
		targets->members[i++] = member;
	return true;
}

/* Nobody minds the order of channel->members. */
static void
swap(struct channel *channel, uint32_t i, uint32_t j)
{
	struct member *member = channel->members[i];

	channel->members[i] = channel->members[j];
	channel->members[i]->index = i;
	channel->members[j] = member;
	member->index = j;
}

/* The first steps of a shuffle. Of 64 bits, what `%` prefers is nothing. */
static bool
draw(struct emit_targets *targets, struct channel *channel, uint32_t number)
{
	uint64_t random[RANDOM_BATCH];
	uint32_t i;

	for (i = 0; i < number; i++) {
		if (i % RANDOM_BATCH == 0 &&
		    RAND_bytes((unsigned char *)random, sizeof(random)) != 1)
			return false;
		swap(channel, i,
		    i + (uint32_t)(random[i % RANDOM_BATCH] %
			    (channel->n_members - i)));
		targets->members[i] = channel->members[i];
	}
	targets->count = number;
	return true;
}

static bool
find_some(struct emit_targets *targets, struct channel *channel,
    uint32_t number, enum ps_code *code_r)
{
	*code_r = PS_CODE_NOT_ENOUGH_CLIENTS;
	if (channel == NULL || channel->n_members < number)
		return false;
	if (!make_room(targets, number, code_r))
		return false;
	*code_r = PS_CODE_BRIDGE_FULL;
	return draw(targets, channel, number);
}

static uint32_t
count_ids(struct ps_slice list)
{
	uint32_t count = 1;
	size_t i;

	for (i = 0; i < list.len; i++)
		count += list.data[i] == ',';
	return count;
}

static void
take_listed(struct emit_targets *targets, struct channel *channel,
    struct ps_slice id)
{
	struct member *member =
	    channel == NULL ? NULL : channel_find_member(channel, id);

	if (member != NULL) {
		targets->members[targets->count++] = member;
		return;
	}
	if (targets->unknown.len > 0)
		ps_writer_str(&targets->unknown, ",");
	ps_json_string(&targets->unknown, id);
}

static bool
find_listed(struct emit_targets *targets, struct bridge *bridge,
    struct channel *channel, struct ps_slice list, enum ps_code *code_r)
{
	uint32_t n_ids = count_ids(list), i;
	struct listed *listed;
	struct table seen;
	struct ps_slice id;

	*code_r = PS_CODE_BAD_PARAMETER;
	if (n_ids > PS_CLIENTS_MAX || !make_room(targets, n_ids, code_r))
		return false;
	*code_r = PS_CODE_BRIDGE_FULL;
	listed = calloc(n_ids, sizeof(*listed));
	if (listed == NULL ||
	    !table_init(&seen, bridge->sessions_by_id.seed)) {
		free(listed);
		return false;
	}
	for (i = 0; i < n_ids; i++) {
		id = ps_slice_cut(&list, ',');
		if (table_find(&seen, id) != NULL)
			continue;
		listed[i].node.key = id;
		table_add(&seen, &listed[i].node);
		take_listed(targets, channel, id);
	}
	table_deinit(&seen);
	free(listed);
	if (targets->unknown.failed)
		return false;
	*code_r = PS_CODE_CLIENTS_UNKNOWN;
	return targets->count > 0;
}

bool
emit_targets_find(struct emit_targets *targets, struct bridge *bridge,
    struct channel *channel, const struct ps_ipc_emit *emit,
    enum ps_code *code_r)
{
	*targets = (struct emit_targets){ 0 };
	switch (emit->clients) {
	case PS_IPC_CLIENTS_ALL:
		return find_all(targets, channel, emit->requires_ack, code_r);
	case PS_IPC_CLIENTS_NUMBER:
		return find_some(targets, channel, emit->number, code_r);
	case PS_IPC_CLIENTS_LISTED:
		return find_listed(targets, bridge, channel, emit->listed,
		    code_r);
	case PS_IPC_CLIENTS__COUNT:
		break;
	}
	*code_r = PS_CODE_BAD_PARAMETER;
	return false;
}

void
emit_targets_deinit(struct emit_targets *targets)
{
	free(targets->members);
	ps_writer_deinit(&targets->unknown);
}
