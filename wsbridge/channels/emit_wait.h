/*
 * What is answered to an emit, and the emits that wait for acknowledgements
 * before they are. For emit.c alone.
 */
#ifndef EMIT_WAIT_H
#define EMIT_WAIT_H

#include "emit.h"
#include "emit_ids.h"

struct ack_wait;
struct channel;
struct member;

/* One that waits for acknowledgements, whoever asks for it. */
struct emit_wait {
	LIST_ENTRY(emit_wait) all;
	struct emits *emits;
	struct ack_wait *acks;
	struct emit_id *id; /* NULL: it has none (any more) */
	LIST_HEAD(, emit_asker) askers;
	uint32_t n_askers;
	struct ps_writer members; /* what its answer begins with */
	bool is_over;		  /* freed by whoever tells them */
};

struct emits {
	struct emit_ids ids;
	LIST_HEAD(, emit_wait) waits;
};

/* NULL when memory is out. It ends by itself when all is acknowledged or the
 * time is over, and tells those who have asked. */
struct emit_wait *emit_wait_create(struct emits *emits,
    struct channel *channel, const char *event_id,
    struct member *const *members, uint32_t count, uint32_t min_acks);
void emit_wait_free(struct emit_wait *wait); /* NULL is fine */
void emit_wait_join(struct emit_wait *wait, struct emit_asker *asker);
void emit_wait_leave(struct emit_asker *asker);
/* Nobody wants to know any more, now or later. */
void emit_wait_end_if_unwanted(struct emit_wait *wait);

/* `members` are more of the answer's object, or empty; NULL: no refusal. */
void emit_tell(struct emit_asker *asker, const struct refusal *refusal,
    struct ps_slice members);
/* What was sent, and whether it was acknowledged in time. */
void emit_tell_result(struct emit_asker *asker, bool in_time,
    struct ps_slice members);

#endif
