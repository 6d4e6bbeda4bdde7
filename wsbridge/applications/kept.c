#include "config.h"

#include "kept.h"

#include <stdlib.h>

#include "ps_config.h"
#include "wsbridge/base/message.h"

/* For all clients of the node together: one who publishes to many that never
 * come must not fill its memory. */
#define TOTAL_MAX ((size_t)64 * 1024 * 1024)

struct kept_message {
	STAILQ_ENTRY(kept_message) entry;
	struct message *message;
	uint64_t until_ms;
};

void
kept_init(struct kept *kept)
{
	*kept = (struct kept){ 0 };
	STAILQ_INIT(&kept->messages);
}

/* Removes the first; returns its message with the reference. */
static struct message *
pop(struct kept *kept, size_t *total)
{
	struct kept_message *first = STAILQ_FIRST(&kept->messages);
	struct message *message = first->message;

	STAILQ_REMOVE_HEAD(&kept->messages, entry);
	kept->count--;
	kept->bytes -= message->len;
	*total -= message->len;
	free(first);
	return message;
}

void
kept_clear(struct kept *kept, size_t *total)
{
	while (kept->count > 0)
		message_unref(pop(kept, total));
}

bool
kept_add(struct kept *kept, size_t *total, const struct ps_config *config,
    struct message *message, uint64_t now_ms)
{
	struct kept_message *entry;
	size_t len = message->len;

	kept_expire(kept, total, now_ms);
	if (kept->count >= config->kept_messages || len > config->kept_bytes ||
	    kept->bytes > config->kept_bytes - len ||
	    *total + len > TOTAL_MAX ||
	    (entry = calloc(1, sizeof(*entry))) == NULL)
		return false;
	entry->message = message_ref(message);
	entry->until_ms = now_ms + config->kept_time;
	STAILQ_INSERT_TAIL(&kept->messages, entry, entry);
	kept->count++;
	kept->bytes += len;
	*total += len;
	return true;
}

struct message *
kept_take(struct kept *kept, size_t *total, uint64_t now_ms)
{
	kept_expire(kept, total, now_ms);
	return kept->count == 0 ? NULL : pop(kept, total);
}

uint64_t
kept_until_ms(const struct kept *kept)
{
	return kept->count == 0 ? UINT64_MAX :
				  STAILQ_FIRST(&kept->messages)->until_ms;
}

/* kept_time may have been changed meanwhile: what is behind one that is still
 * kept goes with it. */
void
kept_expire(struct kept *kept, size_t *total, uint64_t now_ms)
{
	while (kept_until_ms(kept) <= now_ms)
		message_unref(pop(kept, total));
}
