/*
 * Stopping without loss, in two steps. While it drains, the bridge goes on
 * serving its sessions beside a successor, which takes the new ones, until
 * they have ended or drain_timeout is over. Then it closes those that are
 * left with 1001, lets what is parked hear of it, and writes what is
 * unwritten; for close_timeout at most.
 */
#ifndef DRAIN_H
#define DRAIN_H

#include "bridge.h"

/* `done` is called, perhaps at once and perhaps twice, when nothing is left. */
void drain_start(struct bridge *bridge, void (*done)(struct bridge *bridge));
/* Goes on to the second step at once. Only after drain_start(). */
void drain_close(struct bridge *bridge);
/* The bridge stops, drained or not: nothing is waited for any more. */
void drain_stop(struct bridge *bridge);

#endif
