/*
 * permessage-deflate (RFC 7692) of whole messages. Context takeover is declined
 * in both directions, so that one codec serves all connections and an idle one
 * costs nothing; a target that does not agree costs a codec of its own.
 *
 * libwebsockets 4.1's own implementation stops the process with an assertion
 * on an empty message, and on one that fills its buffer to the last byte; so
 * the bridge negotiates and does it here.
 */
#ifndef DEFLATE_H
#define DEFLATE_H

#include <libwebsockets.h>
#include <zlib.h>

#include "wsbridge/base/message.h"

struct deflate {
	z_stream out, in;
	bool out_ready, in_ready;
	bool keep_context; /* from one message that comes to the next */
	struct ps_writer inflated;
};

/* All zero is a codec that is not in use yet. */
void deflate_deinit(struct deflate *codec);

/* Appends the compressed bytes of a message; false, and `w` has failed, when
 * memory is out. */
bool deflate_write(struct deflate *codec, struct ps_writer *w,
    struct ps_slice in);
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

/*
 * For the host of connections to targets, whose opaque_user_data is a struct
 * deflate_terms.
 */
extern const struct lws_extension deflate_extensions[];

struct deflate_terms {
	bool accepted;
	bool no_context_takeover; /* by the target, RFC 7692, 7.1.1.1 */
};

/* Gives back what a large message has grown. */
void deflate_release(struct deflate *codec);

/* Whether the next data frame written is a compressed message: its RSV1. */
void deflate_mark_next_frame(bool is_compressed);

#endif
