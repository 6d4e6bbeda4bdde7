/*
 * libwebsockets on the bridge's loop: one context, a host for connections to
 * targets and one that listens on ws_socket for upgrades from clients.
 */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <libwebsockets.h>

#include "bridge.h"
#include "deflate.h"

struct websocket {
	struct lws_context *context;
	struct lws_vhost *targets;
	struct lws_vhost *clients;
	struct deflate deflate;
	void *loops[1]; /* libwebsockets keeps the pointer */
};

/* A message has been logged when this fails. */
PS_MUST_CHECK int websocket_start(struct bridge *bridge);
void websocket_stop(struct bridge *bridge);

#endif
