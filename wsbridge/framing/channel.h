/*
 * The framings of channels, by enum ps_ipc_framing, and the bare one that a
 * WebSocket has. A message with a `split` gets
 *
 *     ,"clientID":"client_...","latency":12
 *
 * there: all else of it is the same for everybody.
 */
#ifndef FRAMING_CHANNEL_H
#define FRAMING_CHANNEL_H

#include "framing.h"

/* Most bytes that are put in at the split. */
#define FRAMING_CHANNEL_OWN_MAX 64

const struct framing *framing_channel(enum ps_ipc_framing framing);

/* The message for its recipient, as the text of one WebSocket message. */
void framing_channel_text(struct ps_writer *w, const struct message *message,
    const struct recipient *recipient);

#endif
