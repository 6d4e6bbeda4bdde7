/*
 * The service of channels: what workers hand over for it.
 */
#ifndef CHANNELS_H
#define CHANNELS_H

#include "wsbridge/bridge.h"

/* Handlers of intake.c. */
int channels_on_emit(struct bridge *bridge, struct ps_reader *r, int fd);
int channels_on_listen(struct bridge *bridge, struct ps_reader *r, int fd);
int channels_on_members(struct bridge *bridge, struct ps_reader *r, int fd);
int channels_on_history(struct bridge *bridge, struct ps_reader *r, int fd);

#endif
