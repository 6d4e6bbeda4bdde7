/*
 * The hosts that applications are called at: who is next, how many at once, and
 * whether a host answers at all.
 *
 * Lanes stand in the line of their host, and hosts with somebody in line take
 * turns, so that neither a host nor a lane makes others wait longer than it
 * must. After CIRCUIT_FAILURES attempts in a row without an answer a host is
 * down: then one lane tries at a time, after waits that double as those of a
 * lane do, until one is answered.
 *
 * A lane whose host is not known yet, since that is in rows which are in the
 * database, stands in the line of a host without a name until it has been read.
 */
#ifndef CIRCUIT_H
#define CIRCUIT_H

#include "lane.h"

#define CIRCUIT_FAILURES 5

struct host {
	struct table_node node;  /* first: by name */
	TAILQ_ENTRY(host) entry; /* of outbox->ready, while `is_ready` */
	struct outbox *outbox;
	struct lane_list line;
	size_t n_lanes;      /* that refer to it */
	size_t n_slots;      /* taken */
	unsigned n_failures; /* in a row */
	bool is_ready, is_down, is_probed;
	unsigned n_probes;  /* that failed in a row */
	struct timer timer; /* of the next probe, or not set: it may be now */
	char *error;        /* of the last failure; NULL: no memory for it */
	char *url;          /* one of its; to know the next one by; or NULL */
	char name[CALLBACK_HOST_MAX + 1];
};

/*
 * The lane stands in line at the host of this URL (NULL: not known) from now
 * on. False, changing nothing, when memory is out.
 */
PS_MUST_CHECK bool circuit_enter(struct lane *lane, const char *url);
/* It goes out of the line. */
void circuit_leave(struct lane *lane);
/* It calls no host any more. */
void circuit_forget(struct lane *lane);
/* Whether its host is that of the URL. */
bool circuit_is_right(const struct lane *lane, const char *url);

/* Takes the lane whose turn it is out of its line, with a slot of its host.
 * NULL: there is none. */
struct lane *circuit_next(struct outbox *outbox);
/* Gives the slot back, having learned nothing of the host. */
void circuit_release(struct lane *lane);
/* The same; the host has answered, or has not, and why. */
void circuit_answered(struct lane *lane);
void circuit_failed(struct lane *lane, const char *error);

/* Before the n-th further attempt, from 1. */
uint64_t circuit_backoff(const struct bridge *bridge, uint32_t n);

#endif
