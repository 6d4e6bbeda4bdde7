/*
 * Puts the messages of a WebSocket together from their parts, as they come in
 * frames and reads: bounded, inflated (RFC 7692), text checked for UTF-8 as
 * soon as it can be told that it is none.
 */
#ifndef ASSEMBLY_H
#define ASSEMBLY_H

#include "deflate.h"

/* All zero is one that has nothing. */
struct assembly {
	struct ps_writer bytes; /* of a message that is not complete yet */
	size_t checked;		/* of these: UTF-8 so far */
	bool waiting;		/* for the rest of a message */
};

struct assembly_part {
	struct ps_slice data;
	uint64_t left;	 /* of the frame, that is still to come */
	bool last;	 /* of the message */
	bool compressed; /* the message is */
	bool text;	 /* it is no binary one */
};

#define ASSEMBLY_COMPLETE 1

/*
 * 0 when more is to come. ASSEMBLY_COMPLETE with the message, borrowed until
 * assembly_release(). Otherwise the code to close with and why: then it is of
 * no use any more. A message has at most `max` bytes.
 */
PS_MUST_CHECK int assembly_add(struct assembly *assembly,
    struct deflate *codec, const struct assembly_part *part, size_t max,
    struct ps_slice *message_r, const char **reason_r);
/* After a message. */
void assembly_release(struct assembly *assembly, struct deflate *codec);
void assembly_deinit(struct assembly *assembly);

#endif
