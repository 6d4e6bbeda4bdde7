/*
 * Patterns that grant a right to targets: `scheme://host[:port][path]`.
 *
 * scheme: ws, wss or *. host: exact, *.example.com (any depth, not the bare
 * domain), or *; IPv6 addresses in brackets. port: exact, :* for any, absent
 * for the scheme's default. path: exact, or a prefix ending in *; absent for
 * any. Hosts compare without regard to case and to a final dot.
 */
#ifndef PS_PATTERN_H
#define PS_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "ps_err.h"
#include "ps_url.h"

struct ps_pattern {
	bool any_scheme, tls, any_port, any_path;
	uint16_t port; /* 0: the default of the scheme */
	struct ps_slice host, path;
};

/* Borrows from `text`. PS_ERR_MALFORMED when it is no pattern. */
PS_MUST_CHECK int ps_pattern_parse(struct ps_pattern *pattern,
    const char *text);
bool ps_pattern_matches(const struct ps_pattern *pattern,
    const struct ps_target *target);

#endif
