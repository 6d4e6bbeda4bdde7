/*
 * Where requests come in: listens at bridge_socket, greets workers, and gives
 * each message with its connection to the service it is for.
 */
#ifndef INTAKE_H
#define INTAKE_H

#include "bridge.h"

/* Listens; a message has been logged when this fails. */
PS_MUST_CHECK int intake_start(struct bridge *bridge);
/*
 * Ends the connections of all workers without losing what they have sent. They
 * come back and are greeted anew, and hear then whether the bridge drains.
 */
void intake_turn_away(struct bridge *bridge);
/* How many threads of workers are connected. */
size_t intake_count_workers(const struct bridge *bridge);
/* Closes everything; the loop must run once more before the bridge ends. */
void intake_stop(struct bridge *bridge);

#endif
