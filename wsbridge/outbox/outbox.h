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
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ps_bytes.h"

struct bridge;
struct outbox;
struct ps_outbox_lane;

/* Of bodies: those that wait to be committed, and again of those that are. */
#define OUTBOX_BYTES ((size_t)16 * 1024 * 1024)
/* Of callbacks that are under way when the bridge makes room for another, and
 * then of what is to be written. */
#define OUTBOX_FLIGHT_MS 2000
#define OUTBOX_WRITE_MS 3000

/* Somebody waits for what a session has put to be committed. */
struct commit_wait {
	/* May wait again, or be freed, in done(). */
	void (*done)(struct commit_wait *wait, bool ok);
	/* The outbox's own. */
	TAILQ_ENTRY(commit_wait) entry;
	struct commit_wait_list *list; /* NULL: it is over */
	uint64_t number;               /* of the row that is waited for */
};

TAILQ_HEAD(commit_wait_list, commit_wait);

PS_MUST_CHECK bool outbox_init(struct bridge *bridge, uint64_t seed);
/* Breaks off what is under way, before the callbacks go. */
void outbox_stop(struct bridge *bridge);
/* When the store has stopped. */
void outbox_deinit(struct bridge *bridge);

/* A callback of a session; the slices are borrowed. */
struct outbox_entry {
	struct ps_slice session; /* its name */
	uint64_t number;         /* in it, from 1 */
	int64_t token_id;
	struct ps_slice client, callback, body;
	bool is_last; /* the session is over: it is put again where it fails */
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
/* What a session has put and is not delivered yet, and the bytes of what is in
 * memory only. */
void outbox_count(struct bridge *bridge, struct ps_slice session,
    size_t *count_r, size_t *bytes_r);

/* A session with an application has ended. */
void outbox_session_over(struct bridge *bridge);

/* At the start, from the store: there are ready rows of this lane. */
void outbox_load(struct bridge *bridge, const struct ps_outbox_lane *lane);
/* The administrator has made rows of it ready again. */
void outbox_revived(struct bridge *bridge, const struct ps_outbox_lane *lane);

/*
 * Before a successor reads the outbox: starts no more callbacks, gives those
 * that are under way OUTBOX_FLIGHT_MS, and calls `done`, never from inside,
 * when no session with an application is left and all that was put and all that
 * was delivered is written, or cannot be. No callback is started ever after.
 */
void outbox_settle(struct bridge *bridge, void (*done)(void *owner),
    void *owner);
/* `done` will not be called. */
void outbox_unsettle(struct bridge *bridge);

/* For the figures. */
struct outbox_status {
	size_t waiting;   /* callbacks, in memory or not */
	size_t in_flight; /* of these */
	size_t bytes;     /* of bodies in memory */
	size_t lanes, hosts, hosts_down;
	uint64_t accepted, delivered, failed, dead;
};

void outbox_status(const struct bridge *bridge, struct outbox_status *status_r);

#endif
