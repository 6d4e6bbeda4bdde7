/*
 * Patterns that grant a right: `scheme://host[:port][path]`.
 *
 * scheme: exact, or * for any that the kind has. host: exact, *.example.com
 * (any depth, not the bare domain), or *; IPv6 addresses in brackets. Hosts
 * compare in the form that ps_host_parse() gives them and without a final dot.
 * port: exact, :* for any, absent for the default of the scheme. path, with its
 * query: exact, or a prefix ending in *, which covers no path that climbs out
 * of it by "..", however that is escaped; absent for any.
 *
 * A pattern of origins names any scheme and no path, or is "*" for all or
 * "null" (RFC 6454, section 6.1).
 *
 * Channels have patterns of their own, compared byte by byte.
 *
 * The trigger on pattern_check in schema/schema.sql takes the same patterns,
 * but for international names, of which it takes all.
 *
 * Ownership: a pattern owns all that it needs, until ps_pattern_deinit().
 */
#ifndef PS_PATTERN_H
#define PS_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "ps_err.h"
#include "ps_url.h"

enum ps_pattern_kind {
	PS_PATTERN_TARGET,   /* ws and wss */
	PS_PATTERN_ORIGIN,   /* any scheme */
	PS_PATTERN_CALLBACK, /* http and https */
	PS_PATTERN__COUNT,
};

struct ps_pattern {
	char *text; /* what the slices borrow from */
	char *host; /* NULL: any */
	bool subdomains; /* of host, and not host itself */
	bool any_origin, null_origin;
	bool any_scheme, any_port, any_path;
	uint16_t port; /* 0: the default of the scheme */
	struct ps_slice scheme, path;
};

/* PS_ERR_MALFORMED when `text` is no pattern of the kind; PS_ERR_NOMEM. */
PS_MUST_CHECK int ps_pattern_init(struct ps_pattern *pattern,
    enum ps_pattern_kind kind, const char *text);
void ps_pattern_deinit(struct ps_pattern *pattern);

/* A name of channels, or what names begin with where `*` is its end. */
struct ps_channel_pattern {
	char *text;
	size_t len; /* without the `*` */
	bool is_prefix;
	unsigned rights; /* enum ps_channel_right: what it grants */
};

/* As above. */
PS_MUST_CHECK int ps_channel_pattern_init(struct ps_channel_pattern *pattern,
					  const char *text, unsigned rights);
void ps_channel_pattern_deinit(struct ps_channel_pattern *pattern);
bool ps_channel_pattern_matches(const struct ps_channel_pattern *pattern,
				struct ps_slice name);

bool ps_pattern_matches_target(const struct ps_pattern *pattern,
    const struct ps_target *target);
/* `target` as ps_callback_parse() gives it. */
bool ps_pattern_matches_callback(const struct ps_pattern *pattern,
    const struct ps_target *target);
/* `origin` as ps_origin_from_header() gives it, and not empty. */
bool ps_pattern_matches_origin(const struct ps_pattern *pattern,
    struct ps_slice origin);

#endif
