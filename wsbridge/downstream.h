/*
 * The receiver that is a WebSocket of a client (RFC 6455): what the session
 * has goes out as it comes, as much in one write as there is, and what the
 * client says goes to the session. There is one for as long as the session
 * lives: it ends when its WebSocket does.
 */
#ifndef DOWNSTREAM_H
#define DOWNSTREAM_H

#include <libwebsockets.h>

#include "member.h"

/* The protocol of libwebsockets for the hosts that clients come to. */
int downstream_on_event(struct lws *wsi, enum lws_callback_reasons reason,
    void *user, void *in, size_t len);

#endif
