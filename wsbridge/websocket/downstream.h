/*
 * The receiver that is a WebSocket of a client (RFC 6455): what the session
 * has goes out as it comes, as much in one write as there is, and what the
 * client says goes to the session. There is one for as long as the session
 * lives: it ends when its WebSocket does.
 *
 * libwebsockets has the connection, TLS included, and knows it as a raw one;
 * handshake and frames are our own (handshake.h, frames.h say why).
 */
#ifndef DOWNSTREAM_H
#define DOWNSTREAM_H

#include <libwebsockets.h>

#include "wsbridge/bridge.h"

struct downstream;
TAILQ_HEAD(downstream_list, downstream);

/* Of websocket.h. */
struct websocket;

/*
 * Takes over a connection that was accepted for a host of libwebsockets.
 * `is_proxied`: a web server is at its other end, and tells whose it is.
 */
void downstream_accept(struct bridge *bridge, struct lws_vhost *host, int fd,
    bool is_proxied);

/* The protocol of libwebsockets for the hosts that clients come to. */
#define DOWNSTREAM_PROTOCOL "downstream"
int downstream_on_event(struct lws *wsi, enum lws_callback_reasons reason,
    void *user, void *in, size_t len);

#endif
