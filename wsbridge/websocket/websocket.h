/*
 * libwebsockets on the bridge's loop: one context, a host for connections to
 * targets, one for those of clients that come to ws_socket through the web
 * server, and, where ws_listen says so, one for those that come past it.
 */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <libwebsockets.h>

#include "downstream.h"
#include "ws_text.h"
#include "wsbridge/bridge.h"
#include "wsbridge/listener.h"

struct websocket {
	struct lws_context *context;
	struct lws_vhost *targets;
	struct lws_vhost *clients, *direct_clients;
	struct listener listener, direct_listener;
	struct downstream_list pending; /* without a handshake, oldest first */
	size_t n_pending;
	struct ws_tools tools;
	void *loops[1]; /* libwebsockets keeps the pointer */
};

/* A message has been logged when this fails. */
PS_MUST_CHECK int websocket_start(struct bridge *bridge);
/* Listens at ws_listen no longer, so that a successor can. */
void websocket_turn_away(struct bridge *bridge);
void websocket_stop(struct bridge *bridge);

#endif
