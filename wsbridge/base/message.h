/*
 * Messages and queues of them.
 *
 * A message is reference-counted, so that one copy of its bytes serves every
 * queue it stands in. In front of the bytes is room for the header that
 * libwebsockets writes there. Bytes are not changed once a message is queued,
 * but by an upstream that writes it, which needs the only reference.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ps_ipc.h"

#define MESSAGE_HEADROOM 16

struct message {
	unsigned refs;
	uint8_t type; /* enum ps_event_type */
	bool is_free; /* the service's own words: no quota counts them */
	uint32_t split; /* where what is the recipient's own is put in; see
			 * framing/channel.h. 0: nowhere */
	size_t len;
	unsigned char bytes[]; /* MESSAGE_HEADROOM, then `len` bytes */
};

static inline unsigned char *
message_data(struct message *message)
{
	return message->bytes + MESSAGE_HEADROOM;
}

static inline struct ps_slice
message_slice(const struct message *message)
{
	return ps_slice((const char *)message->bytes + MESSAGE_HEADROOM,
	    message->len);
}

/* Of `len` bytes, to be written before it is queued anywhere. NULL when memory
 * is out. The caller has the reference. */
struct message *message_create_empty(enum ps_event_type type, size_t len);
/* Copies `data`. */
struct message *message_create(enum ps_event_type type, struct ps_slice data);
/* The bytes of `first` (may be NULL) and of `data` as one new message. */
struct message *message_join(const struct message *first,
    enum ps_event_type type, struct ps_slice data);
struct message *message_ref(struct message *message);
void message_unref(struct message *message); /* NULL is fine */

/* All zero is an empty queue; it holds references. */
struct message_queue {
	struct message **ring;
	uint32_t capacity, head, count;
	size_t bytes;
};

void message_queue_deinit(struct message_queue *queue);
/* Takes over the caller's reference; false, taking none, without memory. */
bool message_queue_push(struct message_queue *queue, struct message *message);
/* Borrowed; NULL beyond the end. */
struct message *message_queue_at(const struct message_queue *queue,
    uint32_t index);
/* Drops the first; its reference with it. */
void message_queue_pop(struct message_queue *queue);

#endif
