/*
 * The peer that is a WebSocket to a target (RFC 6455), through libwebsockets.
 */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include <libwebsockets.h>

#include "ps_ipc.h"
#include "wsbridge/session/session.h"

/*
 * Makes a connection to the target of `m` the peer of `session`, which is
 * connecting. The session hears session_opened() or session_open_failed(),
 * perhaps before this returns. `m` is not needed afterwards.
 */
void upstream_connect(struct session *session, const struct ps_ipc_create *m);

/* For websocket.c: the protocol of connections to targets. */
#define UPSTREAM_PROTOCOL "upstream"
int upstream_on_event(struct lws *wsi, enum lws_callback_reasons reason,
    void *user, void *in, size_t len);

#endif
