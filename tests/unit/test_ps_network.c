#include "config.h"

#include "unit.h"

#include <arpa/inet.h>

#include "ps_network.h"

/*
 * The special networks of IPv4: the first and the last address of each, what is
 * next to them, and whether that is public.
 */
static const struct {
	const char *below;
	bool below_public;
	const char *first, *last, *above;
	bool above_public;
} ipv4[] = {
	{ NULL, false, "0.0.0.0", "0.255.255.255", "1.0.0.0", true },
	{ "9.255.255.255", true, "10.0.0.0", "10.255.255.255", "11.0.0.0",
	    true },
	{ "100.63.255.255", true, "100.64.0.0", "100.127.255.255",
	    "100.128.0.0", true },
	{ "126.255.255.255", true, "127.0.0.0", "127.255.255.255",
	    "128.0.0.0", true },
	{ "169.253.255.255", true, "169.254.0.0", "169.254.255.255",
	    "169.255.0.0", true },
	{ "172.15.255.255", true, "172.16.0.0", "172.31.255.255",
	    "172.32.0.0", true },
	{ "191.255.255.255", true, "192.0.0.0", "192.0.0.255", "192.0.1.0",
	    true },
	{ "192.0.1.255", true, "192.0.2.0", "192.0.2.255", "192.0.3.0",
	    true },
	{ "192.88.98.255", true, "192.88.99.0", "192.88.99.255",
	    "192.88.100.0", true },
	{ "192.167.255.255", true, "192.168.0.0", "192.168.255.255",
	    "192.169.0.0", true },
	{ "198.17.255.255", true, "198.18.0.0", "198.19.255.255",
	    "198.20.0.0", true },
	{ "198.51.99.255", true, "198.51.100.0", "198.51.100.255",
	    "198.51.101.0", true },
	{ "203.0.112.255", true, "203.0.113.0", "203.0.113.255",
	    "203.0.114.0", true },
	{ "223.255.255.255", true, "224.0.0.0", "239.255.255.255",
	    "240.0.0.0", false },
	{ "239.255.255.255", false, "240.0.0.0", "255.255.255.255", NULL,
	    false },
}, ipv6[] = {
	{ NULL, false, "::", "::1", "::0.0.0.2", false },
	{ "64:ff9b:0:ffff:ffff:ffff:ffff:ffff", false, "64:ff9b:1::",
	    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "64:ff9b:2::", false },
	{ "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, "100::",
	    "100::ffff:ffff:ffff:ffff", "100:0:0:1::", false },
	{ "100::ffff:ffff:ffff:ffff", false, "100:0:0:1::",
	    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::", true },
	{ "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, "2001::",
	    "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2001:1::", false },
	{ "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, "2001::",
	    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::", true },
	{ "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true, "2001:db8::",
	    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", true },
	{ "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, "2002::",
	    "2002:ff:ffff:ffff:ffff:ffff:ffff:ffff", "2002:100::", true },
	{ "2002:dfff:ffff:ffff:ffff:ffff:ffff:ffff", true, "2002:e000::",
	    "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::", true },
	{ "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, "3fff::",
	    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::", true },
	{ "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, "4000::",
	    "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "5f00::", false },
	{ "5f00::", false, "5f00::1",
	    "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "5f01::", false },
	{ "5f01::", false, "6000::",
	    "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fc00::", false },
	{ "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, "fc00::",
	    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::", false },
	{ "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, "fe80::",
	    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::", false },
	{ "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, "fec0::",
	    "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ff00::", false },
	{ "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, "ff00::",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, false },
};

static struct ps_address
address(const char *text)
{
	struct ps_address parsed;

	if (!ps_address_parse(&parsed, ps_slice_str(text)))
		fail_msg("%s is no address", text);
	return parsed;
}

static void
assert_public(const char *text, bool expected)
{
	struct ps_address parsed;

	if (text == NULL)
		return;
	parsed = address(text);
	if (ps_address_is_public(&parsed) != expected)
		fail_msg("%s is %s", text, expected ? "special" : "public");
}

static void
special_networks_end_where_they_end(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(ipv4); i++) {
		assert_public(ipv4[i].below, ipv4[i].below_public);
		assert_public(ipv4[i].first, false);
		assert_public(ipv4[i].last, false);
		assert_public(ipv4[i].above, ipv4[i].above_public);
	}
	for (i = 0; i < ROWS(ipv6); i++) {
		assert_public(ipv6[i].below, ipv6[i].below_public);
		assert_public(ipv6[i].first, false);
		assert_public(ipv6[i].last, false);
		assert_public(ipv6[i].above, ipv6[i].above_public);
	}
}

/* Every way to write the IPv4 address into one of IPv6 that leads there. */
static void
assert_forms_public(const char *text, bool expected)
{
	static const char *const forms[] = { "::ffff:", "::", "::ffff:0:",
		"64:ff9b::" };
	char form[INET6_ADDRSTRLEN];
	unsigned char b[4];
	size_t i;

	if (text == NULL)
		return;
	assert_int_equal(inet_pton(AF_INET, text, b), 1);
	for (i = 0; i < ROWS(forms); i++) {
		snprintf(form, sizeof(form), "%s%s", forms[i], text);
		assert_public(form, expected);
	}
	snprintf(form, sizeof(form), "2002:%02x%02x:%02x%02x::1", b[0], b[1],
	    b[2], b[3]);
	assert_public(form, expected);
	snprintf(form, sizeof(form), "64:ff9b:1::%s", text);
	assert_public(form, false);
	/* Teredo has it inverted at its end, a server's in front. */
	snprintf(form, sizeof(form), "2001:0:%02x%02x:%02x%02x::", b[0], b[1],
	    b[2], b[3]);
	assert_public(form, false);
}

static void
an_ipv6_address_is_as_public_as_the_ipv4_address_in_it(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(ipv4); i++) {
		assert_forms_public(ipv4[i].below, ipv4[i].below_public);
		assert_forms_public(ipv4[i].first, false);
		assert_forms_public(ipv4[i].last, false);
		assert_forms_public(ipv4[i].above, ipv4[i].above_public);
	}
	/* Right beside the networks that have IPv4 addresses in them. */
	assert_public("::1:808:808", false);
	assert_public("::fffe:808:808", false);
	assert_public("::1:0:808:808", false);
	assert_public("::fffe:0:808:808", false);
	assert_public("::ffff:1:808:808", false);
	assert_public("64:ff9a::808:808", false);
	assert_public("64:ff9b::1:808:808", false);
}

static void
addresses_of_everyday_are_told_apart(void **state)
{
	(void)state;
	assert_public("1.1.1.1", true);
	assert_public("8.8.8.8", true);
	assert_public("192.31.196.1", true);
	assert_public("192.175.48.1", true);
	assert_public("2606:4700:4700::1111", true);
	assert_public("2a00:1450:4001:800::200e", true);
	assert_public("2620:4f:8000::", true);
	assert_public("127.0.0.1", false);
	assert_public("169.254.169.254", false);
	assert_public("fd00:ec2::254", false);
	assert_public("192.168.1.1", false);
	assert_public("255.255.255.255", false);
	assert_public("fe80::1", false);
	assert_public("ff02::1", false);
	assert_public("2001:10::1", false); /* ORCHID, RFC 4843 */
	assert_public("2001:20::1", false); /* ORCHIDv2, RFC 7343 */
	assert_public("2001:2::1", false);  /* benchmarks, RFC 5180 */
}

static void
what_is_no_address_is_refused(void **state)
{
	static const char *const texts[] = { "", "x", "1", "1.2.3", "1.2.3.4.5",
		"1.2.3.256", "01.2.3.4", "0x7f.0.0.1", "2130706433", "1.2.3.4 ",
		" 1.2.3.4", "1.2.3.4/32", "1.2.3.4.", ":", ":::", "::g",
		"[::1]", "::1%lo", "fe80::1%2", "1::2::3", "::1.2.3",
		"1:2:3:4:5:6:7:8:9", "localhost",
		"0000:0000:0000:0000:0000:0000:000.000.000.0000" };
	struct ps_address parsed;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(texts); i++) {
		if (ps_address_parse(&parsed, ps_slice_str(texts[i])))
			fail_msg("\"%s\" was taken", texts[i]);
	}
	assert_false(ps_address_parse(&parsed, ps_slice(NULL, 0)));
	assert_false(ps_address_parse(&parsed, ps_slice("::1\0", 4)));
	assert_true(ps_address_parse(&parsed, ps_slice("::12", 3)));
	assert_int_equal(parsed.bytes[15], 1);
	assert_true(ps_address_parse(&parsed,
	    ps_slice_str("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")));
}

static void
a_network_has_zeros_behind_its_prefix(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{ "10.0.0.0/8", true },
		{ "10.0.0.0/7", true },
		{ "10.0.0.0/6", false },
		{ "10.0.0.1", true },
		{ "10.0.0.1/32", true },
		{ "10.0.0.1/31", false },
		{ "10.0.0.0/33", false },
		{ "0.0.0.0/0", true },
		{ "128.0.0.0/0", false },
		{ "::/0", true },
		{ "::1", true },
		{ "::1/128", true },
		{ "::1/127", false },
		{ "::/129", false },
		{ "fc00::/7", true },
		{ "fc00::/6", true },
		{ "fc00::/5", false },
		{ "fe80::/10", true },
		{ "::ffff:10.0.0.0/104", true },
		{ "::ffff:10.0.0.0/103", true },
		{ "::ffff:10.0.0.0/102", false },
		{ "", false },
		{ "/8", false },
		{ "10.0.0.0/", false },
		{ "10.0.0.0/x", false },
		{ "10.0.0.0/8x", false },
		{ "10.0.0.0/+8", false },
		{ "10.0.0.0/-8", false },
		{ "10.0.0.0/ 8", false },
		{ "10.0.0.0/8/8", false },
		{ "10.0.0.0/4294967304", false },
		{ "10.0.0.0/18446744073709551624", false },
		{ "10/8", false },
		{ "10.0.0.0/255.0.0.0", false },
		{ "localhost", false },
		{ "localhost/8", false },
		{ "[::1]/128", false },
		{ "::1%lo/128", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		if (ps_network_is_valid(rows[i].text) != rows[i].valid)
			fail_msg("%s", rows[i].text);
	}
}

static bool
have(const char *one, const char *two, const char *text)
{
	char *items[] = { (char *)(uintptr_t)one, (char *)(uintptr_t)two };
	struct ps_list list = { items, two == NULL ? 1 : 2 };
	struct ps_address parsed = address(text);

	return ps_networks_have(&list, &parsed);
}

static void
a_network_has_the_addresses_of_its_prefix(void **state)
{
	static const struct {
		const char *network, *address;
		bool has;
	} rows[] = {
		{ "10.0.0.0/8", "10.0.0.0", true },
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "9.255.255.255", false },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "172.16.0.0/12", "172.31.255.255", true },
		{ "172.16.0.0/12", "172.32.0.0", false },
		{ "172.16.0.0/12", "172.15.255.255", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.128", true },
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.0.0.1", "127.0.0.2", false },
		{ "127.0.0.1/32", "127.0.0.0", false },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "0.0.0.0/0", "::1", false },
		{ "fc00::/7", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true },
		{ "fc00::/7", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		    false },
		{ "fc00::/7", "fe00::", false },
		{ "::1", "::1", true },
		{ "::1", "::2", false },
		/* Mapped addresses are the IPv4 ones... */
		{ "10.0.0.0/8", "::ffff:10.1.2.3", true },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", true },
		{ "::ffff:0:0/96", "10.1.2.3", true },
		{ "::ffff:10.1.2.3", "10.1.2.3", true },
		/* ...and not of a network that is not only theirs. */
		{ "::/0", "::1", true },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "10.1.2.3", false },
		{ "::/0", "::ffff:10.1.2.3", false },
		{ "::/80", "::ffff:10.1.2.3", false },
		{ "::/80", "::ffff:0:0:0", false },
		{ "::/64", "::ffff:0:0:0", true },
		/* Of other forms only the address itself counts. */
		{ "10.0.0.0/8", "::10.1.2.3", false },
		{ "10.0.0.0/8", "::ffff:0:10.1.2.3", false },
		{ "10.0.0.0/8", "64:ff9b::10.1.2.3", false },
		{ "10.0.0.0/8", "2002:a01:203::", false },
		{ "64:ff9b::10.0.0.0/104", "64:ff9b::10.1.2.3", true },
		{ "2002:a00::/24", "2002:a01:203::", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		if (have(rows[i].network, NULL, rows[i].address) !=
		    rows[i].has)
			fail_msg("%s and %s", rows[i].network,
			    rows[i].address);
	}
}

static void
one_network_of_many_is_enough(void **state)
{
	const struct ps_list none = { NULL, 0 };
	struct ps_address parsed = address("10.0.0.1");

	(void)state;
	assert_false(ps_networks_have(&none, &parsed));
	assert_true(have("::1", "10.0.0.0/8", "10.0.0.1"));
	assert_true(have("10.0.0.0/8", "::1", "10.0.0.1"));
	assert_false(have("11.0.0.0/8", "::1", "10.0.0.1"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(special_networks_end_where_they_end),
		cmocka_unit_test(
		    an_ipv6_address_is_as_public_as_the_ipv4_address_in_it),
		cmocka_unit_test(addresses_of_everyday_are_told_apart),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_network_has_zeros_behind_its_prefix),
		cmocka_unit_test(a_network_has_the_addresses_of_its_prefix),
		cmocka_unit_test(one_network_of_many_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
