/*
 * The relay's routes: parameters are checked here and become one message to
 * the bridge, which answers. See spec of each route in doc/http-api.md.
 */
#ifndef RELAY_H
#define RELAY_H

#include "routes.h"

void relay_create(struct request *request, const struct route *route);
/* POST with a list of events. */
void relay_send_events(struct request *request, const struct route *route);
/* One message as the parameters d and t. */
void relay_send_data(struct request *request, const struct route *route);
void relay_receive(struct request *request, const struct route *route);
void relay_close(struct request *request, const struct route *route);

#endif
