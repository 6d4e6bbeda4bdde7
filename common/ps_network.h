/*
 * IP addresses and networks, and which addresses are open to everybody.
 *
 * An IPv4 address and the IPv6 address it is mapped to (::ffff:0:0/96, RFC
 * 4291, 2.5.5.2) are one and the same: the kernel takes either for the other.
 */
#ifndef PS_NETWORK_H
#define PS_NETWORK_H

#include <stdbool.h>

#include "ps_bytes.h"
#include "ps_config.h"

struct ps_address {
	unsigned char bytes[16]; /* an IPv6 address */
};

/* False when `text` is no address; zones and other spellings are none. */
bool ps_address_parse(struct ps_address *address, struct ps_slice text);

/*
 * Whether it is an address that everybody may reach: not one of a network that
 * is private, local or otherwise special, nor one that leads to such an IPv4
 * address through a translator or a tunnel.
 */
bool ps_address_is_public(const struct ps_address *address);

/*
 * Whether `text` is an address, or a network such as 10.0.0.0/8 or fc00::/7
 * with nothing but zeros behind its prefix.
 */
bool ps_network_is_valid(const char *text);

/*
 * Whether one of `networks`, all of them valid, has the address. A network of
 * IPv6 has IPv4 addresses only if it lies in ::ffff:0:0/96.
 */
bool ps_networks_have(const struct ps_list *networks,
    const struct ps_address *address);

#endif
