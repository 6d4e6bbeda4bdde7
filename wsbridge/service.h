/*
 * Handlers of the messages that belong to no session: whether the bridge is
 * ready, its figures, the probe, and refusals that are to be counted. Each
 * takes over `fd` with PS_OK only.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "bridge.h"

PS_MUST_CHECK int service_on_refuse(struct bridge *bridge, struct ps_reader *r,
    int fd);
PS_MUST_CHECK int service_on_ready(struct bridge *bridge, struct ps_reader *r,
    int fd);
PS_MUST_CHECK int service_on_probe(struct bridge *bridge, struct ps_reader *r,
    int fd);
PS_MUST_CHECK int service_on_stats(struct bridge *bridge, struct ps_reader *r,
    int fd);

#endif
