/*
 * Where requests come in: listens on bridge_socket, greets workers, and gives
 * each message with its connection to the service it is for.
 */
#ifndef INTAKE_H
#define INTAKE_H

#include "bridge.h"

/* Listens; a message has been logged when this fails. */
PS_MUST_CHECK int intake_start(struct bridge *bridge);
/* No more new workers; those that are connected go on. */
void intake_stop_listening(struct bridge *bridge);
/* How many threads of workers are connected. */
size_t intake_count_workers(const struct bridge *bridge);
/* Closes everything; the loop must run once more before the bridge ends. */
void intake_stop(struct bridge *bridge);

#endif
