/*
 * The service of applications, as far as they ask for something: what workers
 * hand over for it. See authorization.h; their clients' requests are sockjs.h.
 */
#ifndef APPLICATIONS_H
#define APPLICATIONS_H

#include "wsbridge/bridge.h"

/* Handlers of intake.c. */
int applications_on_authorize(struct bridge *bridge, struct ps_reader *r,
    int fd);
int applications_on_withdraw(struct bridge *bridge, struct ps_reader *r,
    int fd);
int applications_on_publish(struct bridge *bridge, struct ps_reader *r,
    int fd);
int applications_on_connections(struct bridge *bridge, struct ps_reader *r,
    int fd);

#endif
