#include "config.h"

#include "address.h"

#include <stdlib.h>

#define SECOND_MS 1000

bool
addresses_init(struct addresses *addresses, uint64_t seed)
{
	TAILQ_INIT(&addresses->busy);
	TAILQ_INIT(&addresses->idle);
	return table_init(&addresses->by_text, seed);
}

static void
forget(struct addresses *addresses, struct address *address)
{
	TAILQ_REMOVE(&addresses->idle, address, list);
	table_remove(&addresses->by_text, &address->node);
	free(address);
}

void
addresses_deinit(struct addresses *addresses)
{
	while (!TAILQ_EMPTY(&addresses->idle))
		forget(addresses, TAILQ_FIRST(&addresses->idle));
	table_deinit(&addresses->by_text);
}

/* An idle address is kept only while its count of creates still matters. */
static void
forget_old(struct addresses *addresses, uint64_t now_ms)
{
	struct address *address;

	while ((address = TAILQ_FIRST(&addresses->idle)) != NULL &&
	    now_ms - address->second_ms >= SECOND_MS)
		forget(addresses, address);
}

static struct address *
find_or_add(struct addresses *addresses, struct ps_slice text)
{
	struct address *address =
	    (struct address *)table_find(&addresses->by_text, text);

	if (address != NULL || text.len >= sizeof(address->text))
		return address;
	if ((address = calloc(1, sizeof(*address))) == NULL)
		return NULL;
	if (text.len > 0)
		memcpy(address->text, text.data, text.len);
	address->node.key = ps_slice(address->text, text.len);
	table_add(&addresses->by_text, &address->node);
	TAILQ_INSERT_TAIL(&addresses->idle, address, list);
	return address;
}

struct address *
addresses_acquire(struct addresses *addresses, const struct ps_config *config,
    struct ps_slice text, uint64_t now_ms, struct refusal *refusal_r)
{
	struct address *address;

	forget_old(addresses, now_ms);
	if ((address = find_or_add(addresses, text)) == NULL) {
		*refusal_r = (struct refusal){ .code = PS_CODE_BRIDGE_FULL };
		return NULL;
	}
	if (now_ms - address->second_ms >= SECOND_MS) {
		address->second_ms = now_ms;
		address->n_creates = 0;
	}
	if (config->max_sessions_per_address > 0 &&
	    address->n_sessions >= config->max_sessions_per_address) {
		*refusal_r = (struct refusal){ PS_CODE_CONNECTION_LIMIT,
			"max_sessions_per_address", 0 };
		return NULL;
	}
	if (config->max_creates_per_second > 0 &&
	    address->n_creates >= config->max_creates_per_second) {
		*refusal_r = (struct refusal){ PS_CODE_RATE_LIMIT,
			"max_creates_per_second", 0 };
		return NULL;
	}
	address->n_creates++;
	if (address->n_sessions++ == 0) {
		TAILQ_REMOVE(&addresses->idle, address, list);
		TAILQ_INSERT_TAIL(&addresses->busy, address, list);
	}
	return address;
}

void
addresses_release(struct addresses *addresses, struct address *address)
{
	if (--address->n_sessions > 0)
		return;
	TAILQ_REMOVE(&addresses->busy, address, list);
	TAILQ_INSERT_TAIL(&addresses->idle, address, list);
}

size_t
addresses_count_busy(const struct addresses *addresses)
{
	const struct address *address;
	size_t count = 0;

	TAILQ_FOREACH(address, &addresses->busy, list)
		count++;
	return count;
}
