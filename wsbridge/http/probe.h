/*
 * A probe: ten numbered, time-stamped chunks, one every 200 ms, by which a
 * client sees whether something between it and us holds a stream back. It is
 * held like a receiver, counts against max_held and max_probes, and needs no
 * session.
 */
#ifndef PROBE_H
#define PROBE_H

#include "exchange.h"

#define PROBE_CHUNKS 10
#define PROBE_PERIOD_MS 200

/* Takes over `exchange`, whose client it refuses where no more can be held. */
void probe_create(struct exchange *exchange);

#endif
