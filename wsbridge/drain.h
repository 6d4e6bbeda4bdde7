/*
 * Stopping without loss: takes nothing new, closes every session with 1001 and
 * lets what is parked hear of it, and writes what is unwritten; for
 * drain_timeout at most.
 */
#ifndef DRAIN_H
#define DRAIN_H

#include "bridge.h"

/* `done` is called, perhaps at once and perhaps twice, when nothing is left. */
void drain_start(struct bridge *bridge, void (*done)(struct bridge *bridge));

#endif
