/*
 * The ids of emits: what was sent with an id is remembered for EMIT_ID_MS with
 * its answer, so that whoever asks again is told that and nothing is sent
 * twice. Nothing is forgotten earlier: when there is no room, emits with
 * further ids are refused.
 */
#ifndef EMIT_IDS_H
#define EMIT_IDS_H

#include "wsbridge/bridge.h"

/* Answers may have so many bytes for each id that max_emit_ids allows; those
 * with lists of members have more. */
#define EMIT_ID_BYTES 256

struct emit_id {
	struct table_node node; /* first: by channel and id */
	TAILQ_ENTRY(emit_id) by_age;
	uint64_t forget_at_ms;
	struct emit_id **holder; /* of the emit, while that waits */
	bool in_time;		 /* acknowledged, where that was asked for */
	char *answer;		 /* members of a JSON object */
	size_t answer_len;
	char key[]; /* the channel's name, NUL, the id */
};

TAILQ_HEAD(emit_id_list, emit_id);

struct emit_ids {
	struct bridge *bridge;
	struct table by_key;
	struct emit_id_list by_age; /* oldest first */
	struct timer timer;	    /* when the first is forgotten */
	size_t answer_bytes;
};

PS_MUST_CHECK bool emit_ids_init(struct emit_ids *ids,
    struct bridge *bridge);
void emit_ids_deinit(struct emit_ids *ids);

/* NULL: it was not used within the time. */
struct emit_id *emit_ids_find(const struct emit_ids *ids,
    struct ps_slice channel, struct ps_slice id);
/* Whether there is room for another one. */
bool emit_ids_have_room(const struct emit_ids *ids);
/* It is not there yet. NULL when memory is out. */
struct emit_id *emit_ids_add(struct emit_ids *ids, struct ps_slice channel,
    struct ps_slice id);
/* Nothing came of it. Where an emit waits, its holder becomes NULL. */
void emit_ids_remove(struct emit_ids *ids, struct emit_id *id);

/* False, keeping what was there before, when memory is out. */
PS_MUST_CHECK bool emit_id_set_answer(struct emit_ids *ids,
    struct emit_id *id, bool in_time, struct ps_slice answer);

#endif
