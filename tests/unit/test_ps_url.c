#include "config.h"

#include "unit.h"

#include "ps_url.h"

static const struct {
	const char *url;
	bool tls;
	unsigned port;
	const char *host, *path;
} good[] = {
	{ "ws://example.com", false, 80, "example.com", "/" },
	{ "wss://example.com", true, 443, "example.com", "/" },
	{ "WS://Example.COM/Path", false, 80, "example.com", "/Path" },
	{ "ws://example.com:8080", false, 8080, "example.com", "/" },
	{ "wss://example.com:80/", true, 80, "example.com", "/" },
	{ "ws://h:1/", false, 1, "h", "/" },
	{ "ws://h:65535/", false, 65535, "h", "/" },
	{ "ws://h/a/b?c=d&e=f", false, 80, "h", "/a/b?c=d&e=f" },
	{ "ws://h?q", false, 80, "h", "/?q" },
	{ "ws://h/?a?b", false, 80, "h", "/?a?b" },
	{ "ws://h/a/../b", false, 80, "h", "/a/../b" },
	{ "ws://h/%20%2F", false, 80, "h", "/%20%2F" },
	{ "ws://h/a@b:c", false, 80, "h", "/a@b:c" },
	{ "ws://h/?x@y", false, 80, "h", "/?x@y" },
	{ "ws://127.0.0.1:9/", false, 9, "127.0.0.1", "/" },
	{ "ws://2130706433/", false, 80, "127.0.0.1", "/" },
	{ "ws://0x7f.1/", false, 80, "127.0.0.1", "/" },
	{ "ws://017700000001/", false, 80, "127.0.0.1", "/" },
	{ "ws://[::1]/", false, 80, "::1", "/" },
	{ "wss://[2001:DB8::1]:8443/x", true, 8443, "2001:db8::1", "/x" },
	{ "ws://example.com./", false, 80, "example.com.", "/" },
	{ "ws://a_b-c.example/", false, 80, "a_b-c.example", "/" },
	{ "ws://127.0.0.1./", false, 80, "127.0.0.1", "/" },
	{ "ws://2130706433./", false, 80, "127.0.0.1", "/" },
	{ "ws://0x7f.1./", false, 80, "127.0.0.1", "/" },
	{ "ws://4294967295/", false, 80, "255.255.255.255", "/" },
	{ "ws://0/", false, 80, "0.0.0.0", "/" },
	{ "ws://127.0.0.256/", false, 80, "127.0.0.256", "/" },
	{ "ws://4294967296/", false, 80, "4294967296", "/" },
	{ "ws://[0:0:0::1]/", false, 80, "::1", "/" },
	{ "ws://[::ffff:7f00:1]/", false, 80, "::ffff:127.0.0.1", "/" },
	{ "ws://B\u00dcCHER.example/\u00e4", false, 80, "xn--bcher-kva.example",
	    "/%c3%a4" },
	{ "ws://\uff11\uff12\uff17.1/", false, 80, "127.0.0.1", "/" },
	{ "ws://a\u3002b\uff0e/", false, 80, "a.b.", "/" },
};

static const struct {
	const char *url, *error;
} bad[] = {
	{ "", "target is not an absolute WebSocket URL" },
	{ "example.com", "target is not an absolute WebSocket URL" },
	{ "/path", "target is not an absolute WebSocket URL" },
	{ "//example.com/", "target is not an absolute WebSocket URL" },
	{ "ws:", "target is not an absolute WebSocket URL" },
	{ "ws:/h", "target is not an absolute WebSocket URL" },
	{ "ws:h", "target is not an absolute WebSocket URL" },
	{ "://h", NULL },
	{ "http://h/", "scheme component must be \"ws\" or \"wss\"" },
	{ "https://h/", "scheme component must be \"ws\" or \"wss\"" },
	{ "wsx://h/", "scheme component must be \"ws\" or \"wss\"" },
	{ "w://h/", "scheme component must be \"ws\" or \"wss\"" },
	{ "file:///etc/passwd", NULL },
	{ "javascript://h/", "scheme component must be \"ws\" or \"wss\"" },
	{ "ws://h/#", "expected null fragment component" },
	{ "ws://h/#part", "expected null fragment component" },
	{ "ws://h#part", "expected null fragment component" },
	{ "ws://", "expected a host component" },
	{ "ws:///path", "expected a host component" },
	{ "ws://?q", "expected a host component" },
	{ "ws://:80/", NULL },
	{ "ws://user@h/", "expected null userinfo component" },
	{ "ws://user:word@h/", "expected null userinfo component" },
	{ "ws://@h/", "expected null userinfo component" },
	{ "ws://a@b@c/", "expected null userinfo component" },
	{ "ws://h/a b", "target has a space" },
	{ " ws://h/", "target has a space" },
	{ "ws://h/ ", "target has a space" },
	{ "ws://h/\n", "target has a control character" },
	{ "ws://h/\r\nX-Header:1", "target has a control character" },
	{ "\tws://h/", "target has a control character" },
	{ "ws://h/\x7f", "target has a control character" },
	{ "ws://h\x01/", "target has a control character" },
	{ "ws://h:0/", "port component is out of range" },
	{ "ws://h:65536/", NULL },
	{ "ws://h:99999999999/", NULL },
	{ "ws://h:-1/", NULL },
	{ "ws://h:x/", NULL },
	{ "ws://h:80x/", NULL },
	{ "ws://[::1/", NULL },
	{ "ws://[]/", NULL },
	{ "ws://[:::]/", NULL },
	{ "ws://[g::1]/", NULL },
	{ "ws://[fe80::1%25eth0]/", "expected no zone in the host component" },
	{ "ws://[::1%7f]/", NULL },
	{ "ws://[::1]%41/", NULL },
	{ "ws://%65xample.com/", "expected no escapes in the host component" },
	/* Would be a number that the resolver takes for 127.0.0.1. */
	{ "ws://%32130706433/", "expected no escapes in the host component" },
	{ "ws://h%7f/", "expected no escapes in the host component" },
	{ "ws://h%0d%0a/", "expected no escapes in the host component" },
	{ "ws://h:%38/", "expected no escapes in the host component" },
	{ "ws://a\\b/", NULL },
	{ "ws://a|b/", "host component is neither a name nor an address" },
	{ "ws://a~b/", "host component is neither a name nor an address" },
	{ "ws://./", "host component is neither a name nor an address" },
	{ "ws://.a/", "host component is neither a name nor an address" },
	{ "ws://a..b/", "host component is neither a name nor an address" },
	{ "ws://a../", "host component is neither a name nor an address" },
	{ "ws://a\uff0fb/", "host component is neither a name nor an address" },
	{ "ws://a\uff20b/", "host component is neither a name nor an address" },
	{ "ws://xn--\u00fc/", "host component is neither a name nor an address" },
	{ "ws://\xff\xfe/", "host component is neither a name nor an address" },
	{ "ws://a<b/", NULL },
	{ "ws://a\"b/", NULL },
};

/* Callbacks are taken apart as targets are, but for the scheme. */
static const struct {
	const char *url;
	bool tls;
	unsigned port;
	const char *host, *path;
} good_callbacks[] = {
	{ "http://h", false, 80, "h", "/" },
	{ "https://h", true, 443, "h", "/" },
	{ "HTTPS://App.Example/CB?a=b", true, 443, "app.example", "/CB?a=b" },
	{ "http://h:8080/cb", false, 8080, "h", "/cb" },
	{ "https://h:80/", true, 80, "h", "/" },
	{ "http://h?q", false, 80, "h", "/?q" },
	{ "http://h/a/../b", false, 80, "h", "/a/../b" },
	{ "http://h/%2e%2E/b", false, 80, "h", "/%2e%2E/b" },
	{ "http://h/a@b:c", false, 80, "h", "/a@b:c" },
	{ "http://0x7f.1/", false, 80, "127.0.0.1", "/" },
	{ "http://[2001:DB8::1]:81/", false, 81, "2001:db8::1", "/" },
	{ "https://B\u00dcCHER.example/\u00e4", true, 443,
	    "xn--bcher-kva.example", "/%c3%a4" },
	{ "http://app.example./", false, 80, "app.example.", "/" },
};

static const struct {
	const char *url, *error;
} bad_callbacks[] = {
	{ "", "callback is not an absolute URL of the web" },
	{ "/cb", "callback is not an absolute URL of the web" },
	{ "//h/cb", "callback is not an absolute URL of the web" },
	{ "http:/h", "callback is not an absolute URL of the web" },
	{ "app.example/cb", "callback is not an absolute URL of the web" },
	{ "ws://h/", "scheme component must be \"http\" or \"https\"" },
	{ "ftp://h/", "scheme component must be \"http\" or \"https\"" },
	{ "gopher://h/", "scheme component must be \"http\" or \"https\"" },
	{ "httpss://h/", "scheme component must be \"http\" or \"https\"" },
	{ "file:///etc/passwd", NULL },
	{ "http://", "expected a host component" },
	{ "http:///cb", "expected a host component" },
	{ "http://:80/", NULL },
	{ "http://h/#", "expected null fragment component" },
	{ "http://h#a", "expected null fragment component" },
	{ "http://me@h/", "expected null userinfo component" },
	{ "http://me:word@h/", "expected null userinfo component" },
	{ "http://@h/", "expected null userinfo component" },
	{ "http://h/a b", "callback has a space" },
	{ "http://h/\r\nX-Header:1", "callback has a control character" },
	{ "http://h/\x7f", "callback has a control character" },
	{ "http://%68/", "expected no escapes in the host component" },
	{ "http://[fe80::1%25eth0]/", "expected no zone in the host component" },
	{ "http://h:0/", "port component is out of range" },
	{ "http://h:65536/", NULL },
	{ "http://a\\b/", NULL },
	{ "http://a|b/", "host component is neither a name nor an address" },
	{ "http://a..b/", "host component is neither a name nor an address" },
};

static const struct {
	const char *header, *origin;
} origins[] = {
	{ "", "" },
	{ "null", "null" },
	{ "Null", "" },
	{ "nullx", "" },
	{ "http://example.com", "http://example.com" },
	{ "https://example.com:8443", "https://example.com:8443" },
	{ "HTTP://Example.com", "HTTP://Example.com" },
	{ "http://example.com/", "http://example.com" },
	{ "http://example.com/page?a=b#c", "http://example.com" },
	{ "http://example.com?a", "http://example.com" },
	{ "http://example.com#a", "http://example.com" },
	{ "http://[::1]:80/x", "http://[::1]:80" },
	{ "moz-extension://0a1b", "moz-extension://0a1b" },
	{ "file:///x", "" },
	{ "http://", "" },
	{ "http:///", "" },
	{ "http:/", "" },
	{ "http:", "" },
	{ "://h", "" },
	{ "/path", "" },
	{ "//h", "" },
	{ "example.com", "" },
	{ "example.com/x", "" },
	{ "a/b://c", "" },
	{ "http://a b", "" },
	{ " http://a", "" },
	{ "http://a\r\nX: y", "" },
	{ "http://a\x80", "" },
	{ "http://a\"b", "" },
	{ "http://a\\b", "" },
	{ "http://a\x7f", "" },
	{ "http://a, http://b", "" },
	{ "http://a/ b", "http://a" },
};

/* A target of `len` bytes: ws://h/aaa... */
static struct ps_slice
long_url(char *buffer, size_t len)
{
	memset(buffer, 'a', len);
	memcpy(buffer, "ws://h/", 7);
	return ps_slice(buffer, len);
}

static void
absolute_websocket_urls_are_taken_apart(void **state)
{
	static struct ps_target target;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(good); i++) {
		const char *error =
		    ps_target_parse(&target, ps_slice_str(good[i].url));

		if (error != NULL)
			fail_msg("%s: %s", good[i].url, error);
		assert_row(i, target.tls == good[i].tls);
		assert_row(i, target.port == good[i].port);
		assert_string_equal(target.host, good[i].host);
		assert_string_equal(target.path, good[i].path);
	}
}

static void
anything_else_is_refused_with_a_sentence(void **state)
{
	static struct ps_target target;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(bad); i++) {
		const char *error =
		    ps_target_parse(&target, ps_slice_str(bad[i].url));

		if (error == NULL)
			fail_msg("%s was taken", bad[i].url);
		if (bad[i].error != NULL)
			assert_string_equal(error, bad[i].error);
	}
	assert_string_equal(ps_target_parse(&target,
				ps_slice("ws://h/\0x", 9)),
	    "target has a control character");
}

static void
callbacks_are_absolute_urls_of_the_web(void **state)
{
	static struct ps_target target;
	const char *error;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(good_callbacks); i++) {
		error = ps_callback_parse(&target,
		    ps_slice_str(good_callbacks[i].url));
		if (error != NULL)
			fail_msg("%s: %s", good_callbacks[i].url, error);
		assert_row(i, target.tls == good_callbacks[i].tls);
		assert_row(i, target.port == good_callbacks[i].port);
		assert_string_equal(target.host, good_callbacks[i].host);
		assert_string_equal(target.path, good_callbacks[i].path);
	}
	for (i = 0; i < ROWS(bad_callbacks); i++) {
		error = ps_callback_parse(&target,
		    ps_slice_str(bad_callbacks[i].url));
		if (error == NULL)
			fail_msg("%s was taken", bad_callbacks[i].url);
		if (bad_callbacks[i].error != NULL)
			assert_string_equal(error, bad_callbacks[i].error);
	}
	assert_string_equal(ps_callback_parse(&target,
				ps_slice("http://h/\0x", 11)),
	    "callback has a control character");
}

static void
a_callback_has_a_largest_length(void **state)
{
	static struct ps_target target;
	static char buffer[PS_CALLBACK_URL_MAX + 1];

	(void)state;
	memset(buffer, 'a', sizeof(buffer));
	memcpy(buffer, "http://h/", 9);
	assert_null(ps_callback_parse(&target,
	    ps_slice(buffer, PS_CALLBACK_URL_MAX)));
	assert_int_equal(strlen(target.path), PS_CALLBACK_URL_MAX - 8);
	assert_string_equal(ps_callback_parse(&target,
				ps_slice(buffer, PS_CALLBACK_URL_MAX + 1)),
	    "callback is too long");
}

static void
a_host_has_one_form(void **state)
{
	static const struct {
		const char *text, *host;
		int ret;
	} hosts[] = {
		{ "Example.COM.", "example.com.", PS_OK },
		{ "[2001:DB8::0:1]", "2001:db8::1", PS_OK },
		{ "017700000001", "127.0.0.1", PS_OK },
		{ "", NULL, PS_ERR_MALFORMED },
		{ "[", NULL, PS_ERR_MALFORMED },
		{ "[]", NULL, PS_ERR_MALFORMED },
		{ "[::1", NULL, PS_ERR_MALFORMED },
		{ "::1", NULL, PS_ERR_MALFORMED },
		{ "[::1]x", NULL, PS_ERR_MALFORMED },
		{ "[0000:0000:0000:0000:0000:0000:000000000.0.0.1]", NULL,
		    PS_ERR_MALFORMED },
		{ "h/", NULL, PS_ERR_MALFORMED },
		{ "h:80", NULL, PS_ERR_MALFORMED },
		{ "*", NULL, PS_ERR_MALFORMED },
	};
	char host[PS_HOST_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(hosts); i++) {
		assert_row(i, ps_host_parse(host,
				  ps_slice_str(hosts[i].text)) ==
			hosts[i].ret);
		if (hosts[i].host != NULL)
			assert_string_equal(host, hosts[i].host);
	}
	assert_int_equal(ps_host_parse(host, ps_slice("a\0b", 3)),
	    PS_ERR_MALFORMED);
	assert_int_equal(ps_host_parse(host, ps_slice("[::1\0]", 6)),
	    PS_ERR_MALFORMED);
	assert_int_equal(ps_host_parse(host, ps_slice("\xc3\xbc\0b", 4)),
	    PS_ERR_MALFORMED);
}

static void
nothing_of_an_earlier_target_stays(void **state)
{
	static struct ps_target target;

	(void)state;
	assert_null(ps_target_parse(&target,
	    ps_slice_str("wss://a-long-name.example.com:1/path")));
	assert_null(ps_target_parse(&target, ps_slice_str("ws://[::1]")));
	assert_false(target.tls);
	assert_int_equal(target.port, 80);
	assert_string_equal(target.host, "::1");
	assert_string_equal(target.path, "/");
}

static void
a_target_has_a_largest_length(void **state)
{
	static struct ps_target target;
	static char buffer[PS_TARGET_MAX + 1];

	(void)state;
	assert_null(ps_target_parse(&target,
	    long_url(buffer, PS_TARGET_MAX - 1)));
	assert_int_equal(strlen(target.path), PS_TARGET_MAX - 1 - 6);
	assert_string_equal(ps_target_parse(&target,
				long_url(buffer, PS_TARGET_MAX)),
	    "target is too long");
}

/* What is percent-encoded grows; the path then has to fit as well. */
static void
a_path_that_grows_is_not_cut(void **state)
{
	static struct ps_target target;
	static char buffer[PS_TARGET_MAX];
	struct ps_slice url = long_url(buffer, PS_TARGET_MAX - 1);

	(void)state;
	memset(buffer + 7, '\xc3', url.len - 7);
	assert_string_equal(ps_target_parse(&target, url),
	    "target is too long");
	url.len = 7 + 2;
	memcpy(buffer + 7, "\xc3\xa4", 2);
	assert_null(ps_target_parse(&target, url));
	assert_null(strpbrk(target.path, "\xc3\xa4"));
}

static void
a_host_has_a_largest_length(void **state)
{
	static struct ps_target target;
	char url[400] = "ws://";
	size_t len;

	(void)state;
	for (len = PS_HOST_MAX - 1; len <= PS_HOST_MAX + 1; len++) {
		memset(url + 5, 'a', len);
		for (size_t i = 60; i < len; i += 60)
			url[5 + i] = '.';
		url[5 + len] = '\0';
		assert_row(len, (ps_target_parse(&target,
				    ps_slice_str(url)) == NULL) ==
			(len <= PS_HOST_MAX));
	}
}

static void
an_origin_is_scheme_host_and_port(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(origins); i++) {
		struct ps_slice origin =
		    ps_origin_from_header(ps_slice_str(origins[i].header));

		if (!ps_slice_is(origin, origins[i].origin))
			fail_msg("\"%s\" gave \"%.*s\"", origins[i].header,
			    (int)origin.len, origin.data);
	}
}

static void
an_origin_has_a_largest_length(void **state)
{
	char header[PS_ORIGIN_MAX + 2] = "http://";

	(void)state;
	memset(header + 7, 'a', sizeof(header) - 7);
	assert_int_equal(
	    ps_origin_from_header(ps_slice(header, PS_ORIGIN_MAX)).len,
	    PS_ORIGIN_MAX);
	assert_int_equal(
	    ps_origin_from_header(ps_slice(header, PS_ORIGIN_MAX + 1)).len,
	    0);
	header[PS_ORIGIN_MAX] = '/';
	assert_int_equal(
	    ps_origin_from_header(ps_slice(header, PS_ORIGIN_MAX + 2)).len,
	    PS_ORIGIN_MAX);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(absolute_websocket_urls_are_taken_apart),
		cmocka_unit_test(anything_else_is_refused_with_a_sentence),
		cmocka_unit_test(callbacks_are_absolute_urls_of_the_web),
		cmocka_unit_test(a_callback_has_a_largest_length),
		cmocka_unit_test(a_host_has_one_form),
		cmocka_unit_test(nothing_of_an_earlier_target_stays),
		cmocka_unit_test(a_target_has_a_largest_length),
		cmocka_unit_test(a_path_that_grows_is_not_cut),
		cmocka_unit_test(a_host_has_a_largest_length),
		cmocka_unit_test(an_origin_is_scheme_host_and_port),
		cmocka_unit_test(an_origin_has_a_largest_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
