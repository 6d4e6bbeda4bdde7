#include "config.h"

#include "unit.h"

#include "ps_pattern.h"

static const struct {
	const char *pattern, *url;
	bool matches;
} rows[] = {
	/* scheme and default port */
	{ "ws://h", "ws://h/", true },
	{ "ws://h", "ws://h:80/any?q", true },
	{ "ws://h", "wss://h/", false },
	{ "ws://h", "ws://h:81/", false },
	{ "wss://h", "wss://h:443/", true },
	{ "wss://h", "ws://h/", false },
	{ "wss://h", "wss://h:80/", false },
	{ "*://h", "ws://h/", true },
	{ "*://h", "wss://h/", true },
	{ "*://h", "ws://h:443/", false },
	{ "*://h", "wss://h:80/", false },
	{ "*://h:443", "ws://h:443/", true },
	/* port */
	{ "ws://h:8080", "ws://h:8080/", true },
	{ "ws://h:8080", "ws://h/", false },
	{ "ws://h:8080", "ws://h:808/", false },
	{ "ws://h:80", "ws://h/", true },
	{ "ws://h:*", "ws://h/", true },
	{ "ws://h:*", "ws://h:65535/", true },
	{ "ws://h:*", "wss://h/", false },
	{ "*://*:*", "wss://anything.example:1/x", true },
	{ "*://*", "wss://anything.example:1/x", false },
	/* host */
	{ "ws://Example.COM", "ws://example.com/", true },
	{ "ws://example.com", "ws://EXAMPLE.com/", true },
	{ "ws://example.com.", "ws://example.com/", true },
	{ "ws://example.com", "ws://example.com./", true },
	{ "ws://example.com", "ws://example.com.evil/", false },
	{ "ws://example.com", "ws://evilexample.com/", false },
	{ "ws://example.com", "ws://a.example.com/", false },
	{ "ws://*.example.com", "ws://a.example.com/", true },
	{ "ws://*.example.com", "ws://a.b.example.com/", true },
	{ "ws://*.example.com", "ws://A.EXAMPLE.com./", true },
	{ "ws://*.example.com", "ws://example.com/", false },
	{ "ws://*.example.com", "ws://evilexample.com/", false },
	{ "ws://*.example.com", "ws://a.example.com.evil/", false },
	{ "ws://*.example.com", "ws://a.example.org/", false },
	{ "ws://*", "ws://h/", true },
	{ "ws://127.0.0.1", "ws://127.0.0.1/", true },
	{ "ws://127.0.0.1", "ws://2130706433/", true },
	{ "ws://127.0.0.1", "ws://127.0.0.10/", false },
	{ "ws://[::1]", "ws://[::1]/", true },
	{ "ws://[::1]:9", "ws://[::1]:9/", true },
	{ "ws://[::1]", "ws://[::2]/", false },
	{ "ws://[2001:DB8::1]", "ws://[2001:db8::1]/", true },
	/* path */
	{ "ws://h/", "ws://h/", true },
	{ "ws://h/", "ws://h", true },
	{ "ws://h/", "ws://h/a", false },
	{ "ws://h/a", "ws://h/a", true },
	{ "ws://h/a", "ws://h/A", false },
	{ "ws://h/a", "ws://h/a/", false },
	{ "ws://h/a", "ws://h/a?q", false },
	{ "ws://h/a?q", "ws://h/a?q", true },
	{ "ws://h/a*", "ws://h/a", true },
	{ "ws://h/a*", "ws://h/ab?q", true },
	{ "ws://h/a*", "ws://h/b", false },
	{ "ws://h/a*", "ws://h/", false },
	{ "ws://h/*", "ws://h/", true },
	{ "ws://h/*", "ws://h/a/b", true },
	{ "ws://h:*/chat*", "ws://h:1/chatter", true },
	{ "ws://h:1/chat*", "ws://h:2/chatter", false },
};

static const char *const malformed[] = {
	"", "h", "ws:", "ws:/h", "ws://", "ws:///", "ws://:80", "http://h",
	"WS://h", "**://h", "*", "*://", "ws://h:", "ws://h:0",
	"ws://h:65536", "ws://h:-1", "ws://h:+1", "ws://h:x", "ws://h:8x",
	"ws://h:**", "ws://h:*8", "ws://h:*x", "ws://a*", "ws://*a",
	"ws://a.*.b", "ws://*.", "ws://**", "ws://*.*", "ws://*.a.*",
	"ws://[::1", "ws://[]", "ws://[::1]x", "ws://h/a*b", "ws://h/**",
	"ws://h/*/", "ws://h?q", "ws://h#", "ws://h:1?q",
};

static void
a_pattern_grants_what_it_says(void **state)
{
	static struct ps_target target;
	struct ps_pattern pattern;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_row(i, ps_pattern_init(&pattern, PS_PATTERN_TARGET, rows[i].pattern) ==
			PS_OK);
		assert_row(i, ps_target_parse(&target,
				  ps_slice_str(rows[i].url)) == NULL);
		if (ps_pattern_matches_target(&pattern, &target) != rows[i].matches)
			fail_msg("%s and %s", rows[i].pattern, rows[i].url);
	}
}

static void
what_is_no_pattern_is_refused(void **state)
{
	struct ps_pattern pattern;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(malformed); i++) {
		if (ps_pattern_init(&pattern, PS_PATTERN_TARGET, malformed[i]) !=
		    PS_ERR_MALFORMED)
			fail_msg("\"%s\" was taken", malformed[i]);
	}
}

static void
the_bounds_of_ports_and_hosts_are_kept(void **state)
{
	char text[PS_HOST_MAX + 16] = "ws://";
	struct ps_pattern pattern;

	(void)state;
	assert_int_equal(ps_pattern_init(&pattern, PS_PATTERN_TARGET, "ws://h:1"), PS_OK);
	assert_int_equal(pattern.port, 1);
	assert_int_equal(ps_pattern_init(&pattern, PS_PATTERN_TARGET, "ws://h:65535"), PS_OK);
	assert_int_equal(pattern.port, 65535);
	memset(text + 5, 'a', PS_HOST_MAX);
	assert_int_equal(ps_pattern_init(&pattern, PS_PATTERN_TARGET, text), PS_OK);
	text[5 + PS_HOST_MAX] = 'a';
	assert_int_equal(ps_pattern_init(&pattern, PS_PATTERN_TARGET, text), PS_ERR_MALFORMED);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_grants_what_it_says),
		cmocka_unit_test(what_is_no_pattern_is_refused),
		cmocka_unit_test(the_bounds_of_ports_and_hosts_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
