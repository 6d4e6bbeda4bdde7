/*
 * The log of a channel: a ring of what is on its way to members. Who needs what
 * of it, and when it may go, is for channel.c to know.
 */
#ifndef CHANNEL_LOG_H
#define CHANNEL_LOG_H

#include "ps_err.h"
#include "wsbridge/base/message.h"

struct ps_config;

/* One event in the log. */
struct channel_entry {
	struct message *message;
	uint64_t only;	/* serial of the member that it is for; 0: for all */
	uint64_t bytes; /* of all that was ever in front of it */
};

/* Numbered without gaps; the entry `number` is at number % capacity. */
struct channel_log {
	struct channel_entry *ring;
	uint64_t begin, end;
	uint64_t bytes; /* of all that was ever in it */
	uint32_t capacity;
};

/* Room for so many entries more; false when memory is out. */
PS_MUST_CHECK bool channel_log_reserve(struct channel_log *log,
    uint32_t count);
/* Takes over a reference; false, having dropped it, when memory is out. */
PS_MUST_CHECK bool channel_log_append(struct channel_log *log,
    struct message *message, uint64_t only);
/* The entry of a number from `begin` on; NULL: there is none yet. */
const struct channel_entry *channel_log_at(const struct channel_log *log,
    uint64_t number);
/* Nobody needs the entries in front of `number`. */
void channel_log_drop_until(struct channel_log *log, uint64_t number);
/* Whether entries from `number` on are more than so many hundredths of what
 * may wait. */
bool channel_log_is_fuller(const struct channel_log *log,
    const struct ps_config *config, uint64_t number, uint64_t percent);

#endif
