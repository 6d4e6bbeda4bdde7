/*
 * What becomes of the rows of a lane: when the first is called back, and what
 * the answer means. One that failed is tried again until it has been tried for
 * callback_retry, and then it is dead; one that was delivered is deleted.
 *
 * For the modules of the outbox alone.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "lane.h"

/* Something of the lane has changed: does what is next for it. It may be gone
 * then, and only then. */
void delivery_update(struct lane *lane);
/* Rows that are in the database only are ready again. */
void delivery_revive(struct lane *lane, uint64_t n_stored);

/* Starts callbacks, at most so many; returns how many. */
unsigned delivery_start(struct outbox *outbox, unsigned max);
/* Breaks off those that are under way. */
void delivery_cancel(struct outbox *outbox);

/* A batch has read the next rows of a lane; and has made its rows dead. */
void delivery_on_page(struct lane *lane);
void delivery_on_end(struct lane *lane);

/* The lane is in the line of a host that is down. */
void delivery_host_down(struct lane *lane);

#endif
