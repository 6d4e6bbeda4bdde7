/*
 * The routes of channels: what of their parameters becomes a message to the
 * bridge. See doc/http-api.md.
 */
#ifndef CHANNELS_H
#define CHANNELS_H

#include "routes.h"

void channels_emit(struct request *request, const struct route *route);
/* GET by one who listens; POST is what such a one says. */
void channels_listen(struct request *request, const struct route *route);
void channels_history(struct request *request, const struct route *route);
void channels_members(struct request *request, const struct route *route);

#endif
