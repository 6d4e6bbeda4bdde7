/*
 * Names to addresses, through uv_getaddrinfo(), so that the loop never waits
 * for a name server; and which of the addresses may be connected to. A name is
 * looked up once: what connects takes the addresses from here and never asks
 * again, so that a name gains nothing by changing its answer.
 *
 * `allowed` are networks, as in ps_networks_have(), that may be connected to
 * besides public addresses. They are looked at when the answer is there.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include <stdbool.h>
#include <uv.h>

#include "ps_config.h"
#include "ps_err.h"
#include "ps_limits.h"

/* Addresses of one name that are tried, in the order they came. */
#define RESOLVER_ADDRESSES_MAX 8

/* All zero where the name has no address. */
struct resolver_result {
	size_t count; /* of addresses that may be connected to */
	bool refused; /* there were others */
	char addresses[RESOLVER_ADDRESSES_MAX][PS_ADDRESS_MAX];
};

struct resolution;

/* `result` is borrowed for the call. */
typedef void (*resolver_fn)(void *owner, const struct resolver_result *result);

/*
 * Calls `done` once, never from inside, unless it is cancelled before. NULL
 * when it cannot be started.
 */
struct resolution *resolver_start(uv_loop_t *loop, const char *host,
    const struct ps_list *allowed, resolver_fn done, void *owner);
/* NULL is fine. */
void resolver_cancel(struct resolution *resolution);

/*
 * How many look-ups are under way, cancelled ones too: the loop cannot end
 * before they have.
 */
size_t resolver_count(void);

/* Whether `host` is an address already; then `result` is what comes of it. */
bool resolver_take_address(struct resolver_result *result, const char *host,
    const struct ps_list *allowed);

#endif
