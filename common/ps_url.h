/*
 * Targets: absolute ws: and wss: URLs (RFC 6455, section 3), parsed by
 * libcurl's URL API, which also folds numeric spellings of IPv4 addresses
 * and brings international host names to punycode.
 */
#ifndef PS_URL_H
#define PS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "ps_bytes.h"
#include "ps_limits.h"

struct ps_target {
	bool tls;
	uint16_t port;
	char host[PS_HOST_MAX + 1]; /* an IPv6 address without its brackets */
	char path[PS_TARGET_MAX];   /* with the query; starts with a slash */
};

/*
 * Returns NULL, or a sentence that says what is wrong with `url`. Not
 * re-entrant in one object, but free of shared state.
 */
const char *ps_target_parse(struct ps_target *target, struct ps_slice url);

/*
 * The origin (scheme, host and port, RFC 6454) that an Origin or a Referer
 * header names; empty when it names none. Borrows from `header`.
 */
struct ps_slice ps_origin_from_header(struct ps_slice header);

#endif
