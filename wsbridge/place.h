/*
 * The bridge's hold of the node's places, bridge_socket and ws_socket: see
 * ps_place.h. It takes them, leads who comes there to itself once it serves,
 * gives them up to a successor when it begins to drain, and leaves its own
 * sockets when it ends.
 */
#ifndef PLACE_H
#define PLACE_H

#include "bridge.h"

/* A message has been logged when these fail. The first waits some seconds for
 * a predecessor that does not drain yet. */
PS_MUST_CHECK int place_take(struct bridge *bridge);
PS_MUST_CHECK int place_lead(struct bridge *bridge);
/* Lets a successor take over; until it does, who comes is led here. */
void place_release(struct bridge *bridge);
/* Removes what is ours. Harmless when repeated. */
void place_leave(struct bridge *bridge);

#endif
