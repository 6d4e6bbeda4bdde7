/*
 * What is alive at the moment, counted from one walk through it.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include "ps_db.h"
#include "wsbridge/outbox/outbox.h"
#include "wsbridge/session/session.h"
#include "wsbridge/store/store.h"

enum direction { UP, DOWN, DIRECTION__COUNT };

struct figures {
	const struct bridge *bridge;
	struct store_status store;
	struct outbox_status outbox;
	/* The last index: without a receiver, with one. */
	uint64_t sessions[PS_SESSION_KIND__COUNT][SESSION__COUNT][2];
	uint64_t queued_messages[DIRECTION__COUNT];
	uint64_t queued_bytes[DIRECTION__COUNT];
	struct ps_traffic traffic; /* of live sessions and of ended ones */
	uint64_t n_exchanges, n_held, unsent_bytes;
	uint64_t n_channels, n_members, n_joining, n_log_entries;
};

void figures_count(struct figures *figures, const struct bridge *bridge);

#endif
