/*
 * permessage-deflate (RFC 7692) of whole messages, without context takeover in
 * either direction, so that one codec serves all connections and an idle one
 * costs nothing.
 *
 * libwebsockets 4.1's own implementation stops the process with an assertion
 * on an empty message, and on one that fills its buffer to the last byte; so
 * the bridge negotiates and does it here.
 */
#ifndef DEFLATE_H
#define DEFLATE_H

#include <libwebsockets.h>
#include <zlib.h>

#include "message.h"

struct deflate {
	z_stream out, in;
	bool out_ready, in_ready;
	struct ps_writer inflated;
};

/* All zero is a codec that is not in use yet. */
void deflate_deinit(struct deflate *codec);

/* A new message with the compressed bytes, or NULL when memory is out. */
struct message *deflate_compress(struct deflate *codec,
    const struct message *message);

/*
 * The bytes of a compressed message, borrowed until the next call.
 * PS_ERR_TOO_LARGE when they are more than `max`, PS_ERR_MALFORMED, or
 * PS_ERR_NOMEM.
 */
PS_MUST_CHECK int deflate_expand(struct deflate *codec, struct ps_slice data,
    size_t max, struct ps_slice *bytes_r);

/* For the host of connections to targets. */
extern const struct lws_extension deflate_extensions[];

/* Whether the target's answer turns the extension on as it was offered. */
bool deflate_is_accepted(struct lws *wsi);

/* The next data frame written is a compressed message: its RSV1 is set. */
void deflate_mark_next_frame(void);

#endif
