/*
 * SockJS by HTTP: what workers hand over of it.
 *
 * A session of it is one as any other, whose peer is an application; here is
 * what the protocol has around it. The id in its URLs is the client's own
 * choice, and nobody else ever hears it: a table finds the session by that and
 * the socket id, for as long as there is one.
 */
#ifndef SOCKJS_H
#define SOCKJS_H

#include "authorization.h"
#include "wsbridge/bridge.h"
#include "wsbridge/http/exchange.h"

/* Handlers of intake.c. */
int sockjs_on_page(struct bridge *bridge, struct ps_reader *r, int fd);
int sockjs_on_receive(struct bridge *bridge, struct ps_reader *r, int fd);
int sockjs_on_send(struct bridge *bridge, struct ps_reader *r, int fd);

/*
 * The token of an authorization (NULL: there is none), if it may be used from
 * where the request comes from. NULL, having answered, where it may not.
 */
const struct ps_token *sockjs_admit(struct exchange *exchange,
    const struct authorization *authorization);

#endif
