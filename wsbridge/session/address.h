/*
 * How many sessions each remote address has and how fast it makes them.
 * Counted from the sessions that live: each holds on to its address.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <sys/queue.h>

#include "ps_config.h"
#include "ps_limits.h"
#include "wsbridge/base/refusal.h"
#include "wsbridge/base/table.h"

struct address {
	struct table_node node;
	TAILQ_ENTRY(address) list; /* busy or idle */
	size_t n_sessions;
	uint64_t second_ms;  /* start of the second that is counted */
	uint64_t n_creates;  /* in it */
	char text[PS_ADDRESS_MAX];
};

TAILQ_HEAD(address_list, address);

struct addresses {
	struct table by_text;
	struct address_list busy; /* those that have sessions */
	struct address_list idle; /* the others, longest idle first */
};

PS_MUST_CHECK bool addresses_init(struct addresses *addresses, uint64_t seed);
void addresses_deinit(struct addresses *addresses);

/*
 * The address with one session more, or NULL and why: CONNECTION_LIMIT,
 * RATE_LIMIT, or BRIDGE_FULL when memory is out. Give it back with
 * addresses_release() when the session ends.
 */
struct address *addresses_acquire(struct addresses *addresses,
    const struct ps_config *config, struct ps_slice text, uint64_t now_ms,
    struct refusal *refusal_r);
void addresses_release(struct addresses *addresses, struct address *address);
/* How many addresses have sessions; walks them. */
size_t addresses_count_busy(const struct addresses *addresses);

#endif
