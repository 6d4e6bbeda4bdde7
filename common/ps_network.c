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
#define V4(a, b, c, d, bits) \
	{ { { [V4_AT - 2] = 0xff, 0xff, (a), (b), (c), (d) } }, \
	  V4_BITS + (bits) }
#define PAIR(group) (group) >> 8, (group) & 0xff
/* The first three groups, in hexadecimal, and the fifth; the others are 0. */
#define V6(a, b, c, e, bits) \
	{ { { PAIR(0x##a), PAIR(0x##b), PAIR(0x##c), 0, 0, PAIR(0x##e) } }, \
	  (bits) }

static const struct {
	struct network network;
	enum access access;
	unsigned char v4_at; /* of AS_IPV4: where */
} rules[] = {
	{ V4(0, 0, 0, 0, 8), SPECIAL, 0 },       /* this network: RFC 791 */
	{ V4(10, 0, 0, 0, 8), SPECIAL, 0 },      /* private: RFC 1918 */
	{ V4(100, 64, 0, 0, 10), SPECIAL, 0 },   /* NAT of carriers: RFC 6598 */
	{ V4(127, 0, 0, 0, 8), SPECIAL, 0 },     /* loopback: RFC 1122 */
	{ V4(169, 254, 0, 0, 16), SPECIAL, 0 },  /* link-local: RFC 3927 */
	{ V4(172, 16, 0, 0, 12), SPECIAL, 0 },   /* private: RFC 1918 */
	{ V4(192, 0, 0, 0, 24), SPECIAL, 0 },    /* IETF protocols: RFC 6890 */
	{ V4(192, 0, 2, 0, 24), SPECIAL, 0 },    /* documentation: RFC 5737 */
	{ V4(192, 88, 99, 0, 24), SPECIAL, 0 },  /* 6to4 relays: RFC 7526 */
	{ V4(192, 168, 0, 0, 16), SPECIAL, 0 },  /* private: RFC 1918 */
	{ V4(198, 18, 0, 0, 15), SPECIAL, 0 },   /* benchmarks: RFC 2544 */
	{ V4(198, 51, 100, 0, 24), SPECIAL, 0 }, /* documentation: RFC 5737 */
	{ V4(203, 0, 113, 0, 24), SPECIAL, 0 },  /* documentation: RFC 5737 */
	{ V4(224, 0, 0, 0, 4), SPECIAL, 0 },     /* multicast: RFC 5771 */
	{ V4(240, 0, 0, 0, 4), SPECIAL, 0 },     /* reserved: RFC 1112, 919 */
	{ V4(0, 0, 0, 0, 0), PUBLIC, 0 },        /* all other IPv4 */

	{ V6(0, 0, 0, 0, 96), AS_IPV4, 12 },     /* compatible: RFC 4291 */
	{ V6(0, 0, 0, ffff, 96), AS_IPV4, 12 },  /* translated: RFC 2765 */
	{ V6(64, ff9b, 0, 0, 96), AS_IPV4, 12 }, /* NAT64: RFC 6052 */
	{ V6(64, ff9b, 1, 0, 48), SPECIAL, 0 },  /* local NAT64: RFC 8215 */
	{ V6(100, 0, 0, 0, 64), SPECIAL, 0 },    /* discard: RFC 6666 */
	{ V6(2001, 0, 0, 0, 32), SPECIAL, 0 },   /* Teredo: RFC 4380 */
	{ V6(2001, 0, 0, 0, 23), SPECIAL, 0 },   /* IETF protocols: RFC 2928 */
	{ V6(2001, db8, 0, 0, 32), SPECIAL, 0 }, /* documentation: RFC 3849 */
	{ V6(2002, 0, 0, 0, 16), AS_IPV4, 2 },   /* 6to4: RFC 3056 */
	{ V6(3fff, 0, 0, 0, 20), SPECIAL, 0 },   /* documentation: RFC 9637 */
	{ V6(5f00, 0, 0, 0, 16), SPECIAL, 0 },   /* segment routing: RFC 9602 */
	{ V6(fc00, 0, 0, 0, 7), SPECIAL, 0 },    /* unique local: RFC 4193 */
	{ V6(fe80, 0, 0, 0, 10), SPECIAL, 0 },   /* link-local: RFC 4291 */
	{ V6(fec0, 0, 0, 0, 10), SPECIAL, 0 },   /* site-local: RFC 3879 */
	{ V6(ff00, 0, 0, 0, 8), SPECIAL, 0 },    /* multicast: RFC 4291, 2.7 */
	{ V6(2000, 0, 0, 0, 3), PUBLIC, 0 },     /* global unicast: RFC 3587 */
	{ V6(0, 0, 0, 0, 0), SPECIAL, 0 },       /* reserved: RFC 4291, 2.4 */
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

bool
ps_address_is_public(const struct ps_address *address)
{
	struct ps_address v4;
	size_t i = 0;

	/* The last rule has every address. */
	while (!network_has(&rules[i].network, address))
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
	static const struct network ipv4 = V4(0, 0, 0, 0, 0);
	bool is_ipv4 = network_has(&ipv4, address);
	struct network network;
	size_t i;

	for (i = 0; i < networks->count; i++) {
		if (parse_network(&network, networks->items[i]) &&
		    (!is_ipv4 || network.bits >= ipv4.bits) &&
		    network_has(&network, address))
			return true;
	}
	return false;
}
