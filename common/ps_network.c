#include "config.h"

#include "ps_network.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Where the IPv4 address is in one that is mapped, and its network's bits. */
#define V4_AT 12
#define V4_BITS 96

struct network {
	struct ps_address address;
	unsigned bits; /* of the prefix */
};

enum access {
	PUBLIC,
	SPECIAL,
	AS_IPV4, /* as the IPv4 address is that is in it */
};

/*
 * The first that has an address decides. Sources are the RFC that is named and
 * the special-purpose address registries of IANA (RFC 6890). What these call
 * globally reachable within a special network is left out: no WebSocket server
 * is there.
 */
// clang-format off
static const struct {
	const char *network;
	enum access access;
	unsigned char v4_at; /* of AS_IPV4: where */
} rules[] = {
	{ "0.0.0.0/8", SPECIAL, 0 },          /* this network: RFC 791 */
	{ "10.0.0.0/8", SPECIAL, 0 },         /* private: RFC 1918 */
	{ "100.64.0.0/10", SPECIAL, 0 },      /* carrier-grade NAT: RFC 6598 */
	{ "127.0.0.0/8", SPECIAL, 0 },        /* loopback: RFC 1122 */
	{ "169.254.0.0/16", SPECIAL, 0 },     /* link-local: RFC 3927 */
	{ "172.16.0.0/12", SPECIAL, 0 },      /* private: RFC 1918 */
	{ "192.0.0.0/24", SPECIAL, 0 },       /* IETF protocols: RFC 6890 */
	{ "192.0.2.0/24", SPECIAL, 0 },       /* documentation: RFC 5737 */
	{ "192.88.99.0/24", SPECIAL, 0 },     /* 6to4 relays: RFC 7526 */
	{ "192.168.0.0/16", SPECIAL, 0 },     /* private: RFC 1918 */
	{ "198.18.0.0/15", SPECIAL, 0 },      /* benchmarks: RFC 2544 */
	{ "198.51.100.0/24", SPECIAL, 0 },    /* documentation: RFC 5737 */
	{ "203.0.113.0/24", SPECIAL, 0 },     /* documentation: RFC 5737 */
	{ "224.0.0.0/4", SPECIAL, 0 },        /* multicast: RFC 5771 */
	{ "240.0.0.0/4", SPECIAL, 0 },        /* reserved: RFC 1112, 919 */
	{ "0.0.0.0/0", PUBLIC, 0 },

	{ "::/96", AS_IPV4, 12 },             /* compatible: RFC 4291, 2.5.5.1 */
	{ "::ffff:0:0:0/96", AS_IPV4, 12 },   /* translated: RFC 2765, 2.1 */
	{ "64:ff9b::/96", AS_IPV4, 12 },      /* NAT64: RFC 6052 */
	{ "64:ff9b:1::/48", SPECIAL, 0 },     /* local NAT64: RFC 8215 */
	{ "100::/64", SPECIAL, 0 },           /* discard: RFC 6666 */
	{ "2001::/32", SPECIAL, 0 },          /* Teredo: RFC 4380 */
	{ "2001::/23", SPECIAL, 0 },          /* IETF protocols: RFC 2928 */
	{ "2001:db8::/32", SPECIAL, 0 },      /* documentation: RFC 3849 */
	{ "2002::/16", AS_IPV4, 2 },          /* 6to4: RFC 3056 */
	{ "3fff::/20", SPECIAL, 0 },          /* documentation: RFC 9637 */
	{ "5f00::/16", SPECIAL, 0 },          /* segment routing: RFC 9602 */
	{ "fc00::/7", SPECIAL, 0 },           /* unique local: RFC 4193 */
	{ "fe80::/10", SPECIAL, 0 },          /* link-local: RFC 4291, 2.5.6 */
	{ "fec0::/10", SPECIAL, 0 },          /* site-local: RFC 3879 */
	{ "ff00::/8", SPECIAL, 0 },           /* multicast: RFC 4291, 2.7 */
	{ "2000::/3", PUBLIC, 0 },            /* global unicast: RFC 3587 */
	{ "::/0", SPECIAL, 0 },               /* reserved: RFC 4291, 2.4 */
};
// clang-format on

/* IPv4 at the place where V4() has it. */
static struct ps_address
map_ipv4(const unsigned char *bytes)
{
	struct ps_address address = {
		{ [V4_AT - 2] = 0xff, [V4_AT - 1] = 0xff }
	};

	memcpy(address.bytes + V4_AT, bytes, 4);
	return address;
}

bool
ps_address_parse(struct ps_address *address, struct ps_slice text)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char v4[4];

	if (text.len >= sizeof(copy))
		return false;
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (strlen(copy) != text.len)
		return false;
	if (inet_pton(AF_INET6, copy, address->bytes) == 1)
		return true;
	if (inet_pton(AF_INET, copy, v4) != 1)
		return false;
	*address = map_ipv4(v4);
	return true;
}

/* The bits of `address` from `bits` on are zero. */
static bool
ends_in_zeros(const struct ps_address *address, unsigned bits)
{
	for (; bits < 128; bits++) {
		if ((address->bytes[bits / 8] & (0x80 >> bits % 8)) != 0)
			return false;
	}
	return true;
}

/* A prefix length: digits up to `max`. */
static bool
parse_bits(unsigned *bits_r, const char *text, unsigned max)
{
	unsigned long bits;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	bits = strtoul(text, &end, 10);
	*bits_r = (unsigned)bits;
	return *end == '\0' && bits <= max;
}

static bool
parse_network(struct network *network, const char *text)
{
	size_t len = strcspn(text, "/");
	bool is_ipv4 = strchr(text, ':') == NULL;
	unsigned bits = is_ipv4 ? 32 : 128;

	if (!ps_address_parse(&network->address, ps_slice(text, len)) ||
	    (text[len] == '/' && !parse_bits(&bits, text + len + 1, bits)))
		return false;
	network->bits = (is_ipv4 ? V4_BITS : 0) + bits;
	return ends_in_zeros(&network->address, network->bits);
}

static bool
network_has(const struct network *network, const struct ps_address *address)
{
	size_t whole = network->bits / 8;
	unsigned mask = 0xff00 >> network->bits % 8 & 0xff;

	return memcmp(network->address.bytes, address->bytes, whole) == 0 &&
	    (mask == 0 ||
		(address->bytes[whole] & mask) ==
		    network->address.bytes[whole]);
}

/* A network of IPv6 that is more than mapped addresses has none of them. */
static bool
text_has(const char *text, const struct ps_address *address)
{
	static const unsigned char mapped[V4_AT] = { [10] = 0xff, 0xff };
	struct network network;

	return parse_network(&network, text) &&
	    network_has(&network, address) &&
	    (network.bits >= V4_BITS ||
		memcmp(address->bytes, mapped, sizeof(mapped)) != 0);
}

bool
ps_address_is_public(const struct ps_address *address)
{
	struct ps_address v4;
	size_t i = 0;

	/* There is a rule for every address. */
	while (!text_has(rules[i].network, address))
		i++;
	if (rules[i].access != AS_IPV4)
		return rules[i].access == PUBLIC;
	v4 = map_ipv4(address->bytes + rules[i].v4_at);
	return ps_address_is_public(&v4);
}

bool
ps_network_is_valid(const char *text)
{
	struct network network;

	return parse_network(&network, text);
}

bool
ps_networks_have(const struct ps_list *networks,
    const struct ps_address *address)
{
	size_t i;

	for (i = 0; i < networks->count; i++) {
		if (text_has(networks->items[i], address))
			return true;
	}
	return false;
}
