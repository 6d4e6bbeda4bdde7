/*
 * The outbox: callbacks that are accepted and not yet delivered.
 *
 * A callback is accepted when its row is committed to the database. Rows are
 * put by many sessions and committed together: while one transaction is under
 * way, what comes next is collected for the following one. From then on it is
 * delivered at least once, whatever happens to the bridge, and after all that
 * its session said before it: the rows of a session are a lane (lane.h), of
 * which one is called back at a time.
 *
 * Bodies are in memory while they are not committed, and a few of each lane
 * after that, OUTBOX_BYTES in all; the others are read again when their turn
 * has come. Without `outbox` all are in memory only, and lost with the bridge.
 *
 * Ownership: the outbox owns its lanes and rows, and refers to sessions by
 * their names only, since it outlives them.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include <stdbool.h>
#include <sys/queue.h>

#include "ps_bytes.h"

struct bridge;
struct outbox;
struct ps_writer;

/* Of bodies: those that wait to be committed, and again of those that are. */
#define OUTBOX_BYTES ((size_t)16 * 1024 * 1024)

/* Somebody waits for what a session has put to be committed. */
struct commit_wait {
	TAILQ_ENTRY(commit_wait) entry;
	struct commit_wait_list *list; /* NULL: it is over */
	void (*done)(struct commit_wait *wait, bool ok);
};

TAILQ_HEAD(commit_wait_list, commit_wait);

PS_MUST_CHECK bool outbox_init(struct bridge *bridge, uint64_t seed);
/* When the store has stopped. Nothing is delivered any more. */
void outbox_deinit(struct bridge *bridge);

/* A callback of a session; the slices are borrowed. */
struct outbox_entry {
	struct ps_slice session; /* its name */
	uint64_t number;	 /* in it, from 1 */
	int64_t token_id;
	struct ps_slice client, callback, body;
};

/* NULL, or the name of the limit that `count` more callbacks, of `bytes` in
 * all, of this application would exceed. */
const char *outbox_find_excess(struct bridge *bridge, int64_t token_id,
    size_t count, size_t bytes);
/* Accepts it, limits or not, to be committed. False when memory is out. */
PS_MUST_CHECK bool outbox_put(struct bridge *bridge,
    const struct outbox_entry *entry);
/* See application_wait(). */
void outbox_wait(struct bridge *bridge, struct ps_slice session,
    struct commit_wait *wait);
void outbox_unwait(struct commit_wait *wait);
/* What a session has put and is not delivered yet. */
void outbox_count(struct bridge *bridge, struct ps_slice session,
    size_t *count_r, size_t *bytes_r);

/* At the start, from the store: ready rows of a session of that time. */
void outbox_load(struct bridge *bridge, struct ps_slice session,
    int64_t token_id, struct ps_slice client, uint64_t first, uint64_t last);
/* The administrator has made rows of this session ready again. */
void outbox_revived(struct bridge *bridge, struct ps_slice session);
/* A session's lane ends: what is left of it becomes dead, with that reason. */
void outbox_give_up(struct bridge *bridge, struct ps_slice session,
    const char *error);

/*
 * Before a successor reads the outbox: starts no more callbacks, gives those
 * that are under way some time, and calls `done` when all that was put and all
 * that was delivered is written, or cannot be.
 */
void outbox_settle(struct bridge *bridge, void (*done)(void *owner),
    void *owner);

/* For the figures. */
struct outbox_status {
	size_t waiting;	  /* callbacks, in memory or not */
	size_t in_flight; /* of these */
	size_t bytes;	  /* of bodies in memory */
	size_t lanes, hosts, hosts_down;
	uint64_t accepted, delivered, failed, dead;
};

void outbox_status(const struct bridge *bridge, struct outbox_status *status_r);

#endif
