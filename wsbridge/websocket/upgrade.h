/*
 * Whether a client that asks for a WebSocket may have it: what a worker checks
 * of all other requests, asked of the bridge's own policy.
 */
#ifndef UPGRADE_H
#define UPGRADE_H

#include "handshake.h"
#include "ws_style.h"
#include "wsbridge/bridge.h"

struct upgrade_result {
	const struct ws_style *style;
	bool deflate; /* permessage-deflate was agreed on */
};

/*
 * The session of a new member of a channel or of a client of SockJS, with the
 * whole 101 appended to `w`; its receiver is still to be attached. NULL with a
 * whole refusal in `w`. Decodes the head of `handshake` where it is.
 * `peer_addr` is the client's, or empty where a web server has to tell.
 */
struct session *upgrade_take(struct bridge *bridge,
    struct handshake *handshake, struct ps_slice peer_addr,
    struct ps_writer *w, struct upgrade_result *result_r);
/* A refusal of what is no HTTP request that can be read. */
void upgrade_refuse(struct bridge *bridge, struct ps_writer *w,
    const char *sentence);

#endif
