/*
 * The accept threads of one worker process.
 *
 * Only one of them, the leader, waits in accept(): a connection that wakes a
 * thread of many costs a switch for each. The leader serves what it accepts
 * itself and accepts again, since a request hardly ever waits. When one does,
 * such as for a slow upload, another thread becomes leader within two ticks.
 */
#ifndef ACCEPTORS_H
#define ACCEPTORS_H

#include "ps_config.h"

struct acceptors;
struct rights;

/* Starts config->threads threads on `listen_fd`; NULL having logged why. */
struct acceptors *acceptors_start(const struct ps_config *config,
    struct rights *rights, int listen_fd);
/*
 * Passes the lead on when the leader has been at one request for a tick.
 * Returns when to call it again, in milliseconds: sooner while there is
 * something to do.
 */
unsigned acceptors_tick(struct acceptors *acceptors);
/*
 * Lets the threads end after the request they are at. Exits the process when
 * one does not end in time.
 */
void acceptors_stop(struct acceptors *acceptors);

#endif
