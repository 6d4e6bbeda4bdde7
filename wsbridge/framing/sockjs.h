/*
 * The framings of SockJS (protocol 0.3.3). A unit is one frame: the opening
 * `o`, messages `a[...]`, a heartbeat `h`, or a close `c[code,"reason"]`.
 * Messages are JSON string literals with their quotes, see ps_json_literal(),
 * so they are only copied.
 */
#ifndef FRAMING_SOCKJS_H
#define FRAMING_SOCKJS_H

#include "framing.h"

const struct framing *framing_sockjs(enum ps_sockjs_framing framing);

/* The frames themselves, for a WebSocket, which has nothing around them. */
#define SOCKJS_OPEN "o"
#define SOCKJS_HEARTBEAT "h"
#define SOCKJS_MESSAGES "a["
#define SOCKJS_MESSAGES_END "]"
void framing_sockjs_close(struct ps_writer *w, uint16_t code,
    struct ps_slice reason);

#endif
