/*
 * The relay service: what the messages of the relay's routes do. Each function
 * takes over `fd`, the connection of the request, and answers it.
 */
#ifndef RELAY_H
#define RELAY_H

#include "wsbridge/bridge.h"

/* The body of a frame; PS_ERR_MALFORMED, fd not taken, when it is none. */
PS_MUST_CHECK int relay_on_create(struct bridge *bridge, struct ps_reader *r,
    int fd);
PS_MUST_CHECK int relay_on_send(struct bridge *bridge, struct ps_reader *r,
    int fd);
PS_MUST_CHECK int relay_on_receive(struct bridge *bridge, struct ps_reader *r,
    int fd);
PS_MUST_CHECK int relay_on_close(struct bridge *bridge, struct ps_reader *r,
    int fd);
PS_MUST_CHECK int relay_on_check(struct bridge *bridge, struct ps_reader *r,
    int fd);

#endif
