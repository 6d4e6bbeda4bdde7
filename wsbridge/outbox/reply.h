/*
 * What an application answers to a callback: {"message":...} or
 * {"messages":[...]} goes to the session that it was about, as if it had been
 * published to it.
 */
#ifndef REPLY_H
#define REPLY_H

#include "wsbridge/bridge.h"

/* A reply that is none of these is nothing to complain about. */
void reply_deliver(struct bridge *bridge, struct ps_slice session,
    struct ps_slice body);

#endif
