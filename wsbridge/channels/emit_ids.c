#include "config.h"

#include "emit_ids.h"

#include <stdlib.h>

#include "emit.h"

/* Forgotten in one wake-up. */
#define BATCH 512

bool
emit_ids_init(struct emit_ids *ids, struct bridge *bridge)
{
	*ids = (struct emit_ids){ .bridge = bridge };
	TAILQ_INIT(&ids->by_age);
	return table_init(&ids->by_key, bridge->sessions_by_id.seed);
}

void
emit_ids_deinit(struct emit_ids *ids)
{
	while (!TAILQ_EMPTY(&ids->by_age))
		emit_ids_remove(ids, TAILQ_FIRST(&ids->by_age));
	timers_cancel(&ids->bridge->timers, &ids->timer);
	table_deinit(&ids->by_key);
}

static size_t
write_key(char *key, struct ps_slice channel, struct ps_slice id)
{
	memcpy(key, channel.data, channel.len);
	key[channel.len] = '\0'; /* no name of a channel has one */
	memcpy(key + channel.len + 1, id.data, id.len);
	return channel.len + 1 + id.len;
}

struct emit_id *
emit_ids_find(const struct emit_ids *ids, struct ps_slice channel,
    struct ps_slice id)
{
	char key[PS_CHANNEL_MAX + 1 + PS_EMIT_ID_MAX];

	return (struct emit_id *)table_find(&ids->by_key,
	    ps_slice(key, write_key(key, channel, id)));
}

bool
emit_ids_have_room(const struct emit_ids *ids)
{
	uint64_t max = ids->bridge->config->max_emit_ids;

	return ids->by_key.count < max &&
	    ids->answer_bytes < max * EMIT_ID_BYTES;
}

static void
on_timer(struct timer *timer)
{
	struct emit_ids *ids = PS_CONTAINER(timer, struct emit_ids, timer);
	uint64_t now = ids->bridge->now_ms();
	struct emit_id *id;
	int n = 0;

	while ((id = TAILQ_FIRST(&ids->by_age)) != NULL &&
	    id->forget_at_ms <= now && n++ < BATCH)
		emit_ids_remove(ids, id);
	if (id != NULL)
		timers_set(&ids->bridge->timers, timer,
		    id->forget_at_ms > now ? id->forget_at_ms : now);
}

struct emit_id *
emit_ids_add(struct emit_ids *ids, struct ps_slice channel,
    struct ps_slice key)
{
	struct emit_id *id =
	    calloc(1, sizeof(*id) + channel.len + 1 + key.len);

	if (id == NULL)
		return NULL;
	id->node.key = ps_slice(id->key, write_key(id->key, channel, key));
	id->forget_at_ms = ids->bridge->now_ms() + EMIT_ID_MS;
	table_add(&ids->by_key, &id->node);
	TAILQ_INSERT_TAIL(&ids->by_age, id, by_age);
	ids->timer.fire = on_timer;
	if (!timer_is_set(&ids->timer))
		timers_set(&ids->bridge->timers, &ids->timer,
		    id->forget_at_ms);
	return id;
}

void
emit_ids_remove(struct emit_ids *ids, struct emit_id *id)
{
	if (id->holder != NULL)
		*id->holder = NULL;
	table_remove(&ids->by_key, &id->node);
	TAILQ_REMOVE(&ids->by_age, id, by_age);
	ids->answer_bytes -= id->answer_len;
	free(id->answer);
	free(id);
}

bool
emit_id_set_answer(struct emit_ids *ids, struct emit_id *id, bool in_time,
    struct ps_slice answer)
{
	char *copy = malloc(answer.len);

	if (copy == NULL)
		return false;
	memcpy(copy, answer.data, answer.len);
	free(id->answer);
	ids->answer_bytes += answer.len - id->answer_len;
	id->answer = copy;
	id->answer_len = answer.len;
	id->in_time = in_time;
	return true;
}
