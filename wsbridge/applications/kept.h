/*
 * Messages that were published while nobody was connected: kept for the next
 * session for some time, so many of them and so many bytes. One that does not
 * fit is not kept, and those that are stay.
 */
#ifndef KEPT_H
#define KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct kept_message;
struct message;
struct ps_config;

struct kept {
	STAILQ_HEAD(, kept_message) messages; /* oldest first */
	uint32_t count;
	size_t bytes;
};

void kept_init(struct kept *kept);
/* Of all there are; `total` is the bytes of all of the node, as below. */
void kept_clear(struct kept *kept, size_t *total);

/* Refers to the message as well. False when there is no room for it. */
bool kept_add(struct kept *kept, size_t *total,
    const struct ps_config *config, struct message *message, uint64_t now_ms);
/* The oldest that is still kept, with its reference; NULL: there is none. */
struct message *kept_take(struct kept *kept, size_t *total, uint64_t now_ms);
/* When the oldest is kept no longer; UINT64_MAX without any. */
uint64_t kept_until_ms(const struct kept *kept);
/* Drops what is kept no longer. */
void kept_expire(struct kept *kept, size_t *total, uint64_t now_ms);

#endif
