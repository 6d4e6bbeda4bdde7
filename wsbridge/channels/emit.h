/*
 * An emit: one event, or a batch, to the members of a channel or to some of
 * them, asked for by HTTP (EMIT) or by a member with a WebSocket. Whoever asks
 * is told by emit_ops, once: at once, or when acknowledgements have come.
 *
 * An emit with an id that was seen on that channel within EMIT_ID_MS is not
 * sent again but answered as the first one, even while that one still waits.
 */
#ifndef EMIT_H
#define EMIT_H

#include "ps_ipc.h"
#include "wsbridge/base/refusal.h"
#include "wsbridge/bridge.h"

#define EMIT_ID_MS (5 * 60 * 1000)

struct emit_wait;
struct quota;

/*
 * The answer, borrowed for the call: an HTTP status and a JSON object, which
 * is empty when memory is out. `refusal` is NULL when all went well; HTTP says
 * it in its own way, with `members`, which the object has besides.
 */
struct emit_answer {
	int status;
	struct ps_slice json;
	const struct refusal *refusal;
	struct ps_slice members;
};

/* Whoever waits for the answer; embedded, and part of a list of the emit's
 * while it waits. */
struct emit_asker {
	LIST_ENTRY(emit_asker) all;
	void (*answer)(struct emit_asker *asker,
	    const struct emit_answer *answer);
	struct emit_wait *wait; /* of it; NULL: it does not wait */
};

/*
 * Carries it out, for a token. `asker->answer` is called from within or later;
 * after it the asker is forgotten.
 */
void emit_run(struct bridge *bridge, const struct ps_ipc_emit *emit,
    struct quota *quota, struct emit_asker *asker);
/* Whether its answer may come later; otherwise it is told at once. */
bool emit_may_wait(const struct bridge *bridge,
    const struct ps_ipc_emit *emit);
/* The asker is gone: nobody is told, what was sent was sent. */
void emit_forget(struct emit_asker *asker);

/* Ids that are remembered at the moment. */
size_t emit_count_ids(const struct bridge *bridge);
PS_MUST_CHECK bool emit_init(struct bridge *bridge);
/* Nobody who still waits is told. */
void emit_deinit(struct bridge *bridge);

#endif
