/*
 * Targets: absolute ws: and wss: URLs (RFC 6455, section 3); callbacks of
 * applications: absolute http: and https: URLs; and the hosts in them and in
 * origins. URLs are taken apart by libcurl's URL API, which also
 * brings international host names to punycode.
 */
#ifndef PS_URL_H
#define PS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "ps_bytes.h"
#include "ps_err.h"
#include "ps_limits.h"

struct ps_target {
	bool tls;
	uint16_t port;
	char host[PS_HOST_MAX + 1]; /* as ps_host_parse() gives it */
	char path[PS_TARGET_MAX];   /* with the query; starts with a slash */
};

/*
 * Returns NULL, or a sentence that says what is wrong with `url`. Not
 * re-entrant in one object, but free of shared state.
 */
const char *ps_target_parse(struct ps_target *target, struct ps_slice url);
/* The same for a callback of at most PS_CALLBACK_URL_MAX bytes. */
const char *ps_callback_parse(struct ps_target *target, struct ps_slice url);

/*
 * Writes the one form that a host has here to `host` (PS_HOST_MAX + 1 bytes):
 * names in lower case and in punycode (RFC 5891), a final dot kept; IPv4
 * addresses as four decimal numbers, however they were spelled; IPv6 addresses
 * without their brackets and as RFC 5952 says. PS_ERR_MALFORMED when `text` is
 * neither name nor address, PS_ERR_TOO_LARGE, PS_ERR_NOMEM.
 */
PS_MUST_CHECK int ps_host_parse(char *host, struct ps_slice text);

/*
 * The origin (scheme, host and port, RFC 6454) that an Origin or a Referer
 * header names; empty when it names none. Borrows from `header`.
 */
struct ps_slice ps_origin_from_header(struct ps_slice header);

#endif
