/*
 * Names to addresses, through uv_getaddrinfo(), so that the loop never waits
 * for a name server.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include <stdbool.h>
#include <uv.h>

#include "ps_err.h"
#include "ps_limits.h"

/* Addresses of one name that are tried, in the order they came. */
#define RESOLVER_ADDRESSES_MAX 8

struct resolver_result {
	size_t count; /* 0: the name has no address */
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
    resolver_fn done, void *owner);
/* NULL is fine. */
void resolver_cancel(struct resolution *resolution);

/*
 * How many look-ups are under way, cancelled ones too: the loop cannot end
 * before they have.
 */
size_t resolver_count(void);

/* Whether `host` is an address already and needs no resolving. */
bool resolver_is_address(const char *host);

#endif
