#include "config.h"

#include "unit.h"

#include "wsbridge/websocket/handshake.h"

/* The example of RFC 6455, sections 1.2 and 1.3. */
#define GOOD \
	"GET /chat HTTP/1.1\r\n" \
	"Host: server.example.com\r\n" \
	"Upgrade: websocket\r\n" \
	"Connection: Upgrade\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" \
	"Sec-WebSocket-Version: 13\r\n"

static struct handshake handshake;

static int
parse(const char *head)
{
	return handshake_parse(&handshake, ps_slice_str(head));
}

static void
the_example_of_the_rfc_is_accepted(void **state)
{
	struct ps_writer w = { 0 };
	const char *sentence;
	enum ps_code code;

	(void)state;
	assert_int_equal(parse(GOOD "\r\n"), PS_OK);
	assert_true(handshake_check(&handshake, &code, &sentence));
	handshake_accept(&w, &handshake, false, false);
	ps_writer_u8(&w, '\0');
	assert_string_equal(w.data,
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
	ps_writer_deinit(&w);
}

static void
a_head_ends_with_an_empty_line(void **state)
{
	static const char head[] = GOOD "\r\n";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(head) - 1; i++)
		assert_int_equal(handshake_end(head, i), 0);
	assert_int_equal(handshake_end(head, i), i);
}

static const struct {
	const char *line, *path, *query; /* path NULL: malformed */
} lines[] = {
	{ "GET / HTTP/1.1", "/", "" },
	{ "GET /a%2Fb/listen?x=1?2 HTTP/1.1", "/a%2Fb/listen", "x=1?2" },
	{ "GET http://host/a?b HTTP/1.1", "/a", "b" },
	{ "GET HTTPS://host:1/a HTTP/1.1", "/a", "" },
	{ "GET http://host HTTP/1.1", NULL, NULL },
	{ "GET a HTTP/1.1", NULL, NULL },
	{ "GET / HTTP/1.2", NULL, NULL },
	{ "GET /  HTTP/1.1", NULL, NULL },
	{ "GET /", NULL, NULL },
	{ "GET", NULL, NULL },
	{ "", NULL, NULL },
	{ " / HTTP/1.1", NULL, NULL },
	{ "G(T / HTTP/1.1", NULL, NULL },
	{ "GET /\x01 HTTP/1.1", NULL, NULL },
};

static void
request_lines(void **state)
{
	char head[256];
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < ROWS(lines); i++) {
		snprintf(head, sizeof(head), "%s\r\n\r\n", lines[i].line);
		ret = parse(head);
		assert_row(i, (ret == PS_OK) == (lines[i].path != NULL));
		if (ret != PS_OK)
			continue;
		assert_row(i, ps_slice_is(handshake.path, lines[i].path));
		assert_row(i, ps_slice_is(handshake.query, lines[i].query));
	}
}

static void
headers_are_found_without_regard_to_case(void **state)
{
	(void)state;
	assert_int_equal(parse("GET / HTTP/1.1\r\n"
			       "X-A:  first \t\r\nx-a: second\r\nB:\r\n\r\n"),
	    PS_OK);
	assert_true(ps_slice_is(handshake_header(&handshake, "x-A"), "first"));
	assert_true(
	    ps_slice_is(handshake_last_header(&handshake, "X-a"), "second"));
	assert_true(ps_slice_is(handshake_header(&handshake, "b"), ""));
	assert_true(ps_slice_is(handshake_header(&handshake, "c"), ""));
}

#define REQUEST "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define UPGRADE "Upgrade: h2c, WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
#define VERSION_13 "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static const struct {
	const char *head;
	enum handshake_fault fault, old_fault; /* the latter of SockJS */
} faults[] = {
	{ REQUEST HOST UPGRADE VERSION_13 KEY, HANDSHAKE_FINE, HANDSHAKE_FINE },
	{ "POST / HTTP/1.1\r\n" HOST, HANDSHAKE_NO_GET, HANDSHAKE_NO_GET },
	{ "GET / HTTP/1.0\r\n" HOST UPGRADE VERSION_13 KEY,
	    HANDSHAKE_NO_HTTP_1_1, HANDSHAKE_NO_HTTP_1_1 },
	{ REQUEST HOST HOST UPGRADE VERSION_13 KEY, HANDSHAKE_NO_HTTP_1_1,
	    HANDSHAKE_NO_HTTP_1_1 },
	{ REQUEST HOST "Connection: Upgrade\r\n" VERSION_13 KEY,
	    HANDSHAKE_NO_UPGRADE, HANDSHAKE_NO_UPGRADE },
	{ REQUEST HOST "Upgrade: h2c\r\n", HANDSHAKE_NO_UPGRADE,
	    HANDSHAKE_NO_UPGRADE },
	{ REQUEST HOST "Upgrade: websocket\r\nConnection: close\r\n"
		       VERSION_13 KEY,
	    HANDSHAKE_NO_CONNECTION, HANDSHAKE_NO_CONNECTION },
	{ REQUEST HOST UPGRADE KEY, HANDSHAKE_NO_VERSION,
	    HANDSHAKE_NO_VERSION },
	{ REQUEST HOST UPGRADE VERSION_13 VERSION_13 KEY, HANDSHAKE_NO_VERSION,
	    HANDSHAKE_NO_VERSION },
	{ REQUEST HOST UPGRADE "Sec-WebSocket-Version: 7\r\n" KEY,
	    HANDSHAKE_NO_VERSION, HANDSHAKE_FINE },
	{ REQUEST HOST UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY,
	    HANDSHAKE_NO_VERSION, HANDSHAKE_FINE },
	{ REQUEST HOST UPGRADE "Sec-WebSocket-Version: 6\r\n" KEY,
	    HANDSHAKE_NO_VERSION, HANDSHAKE_NO_VERSION },
	{ REQUEST HOST UPGRADE "Sec-WebSocket-Version: 9\r\n" KEY,
	    HANDSHAKE_NO_VERSION, HANDSHAKE_NO_VERSION },
	{ REQUEST HOST UPGRADE VERSION_13, HANDSHAKE_NO_KEY, HANDSHAKE_NO_KEY },
	{ REQUEST HOST UPGRADE VERSION_13 "Sec-WebSocket-Key: short\r\n",
	    HANDSHAKE_NO_KEY, HANDSHAKE_NO_KEY },
};

static void
the_first_fault_is_found(void **state)
{
	char head[512];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(faults); i++) {
		snprintf(head, sizeof(head), "%s\r\n", faults[i].head);
		assert_row(i, parse(head) == PS_OK);
		assert_row(i, handshake_find_fault(&handshake, false) ==
			faults[i].fault);
		assert_row(i, handshake_find_fault(&handshake, true) ==
			faults[i].old_fault);
	}
}

static const struct {
	const char *offers;
	bool taken, bits;
} offers[] = {
	{ "permessage-deflate", true, false },
	{ "permessage-deflate; server_max_window_bits=15", true, true },
	{ "permessage-deflate; server_max_window_bits=\"15\"", true, true },
	{ "permessage-deflate; server_max_window_bits=14", false, true },
	{ "permessage-deflate; server_max_window_bits=9, permessage-deflate",
	    true, false },
	{ "permessage-deflate; client_max_window_bits", true, false },
	{ "permessage-deflate; client_max_window_bits=08", false, false },
	{ "permessage-deflate; other", false, false },
	{ "permessage-deflate;", true, false },
	{ "other; permessage-deflate", false, false },
	{ ",,permessage-deflate", true, false },
	{ "", false, false },
};

static void
offers_of_deflate(void **state)
{
	char head[512];
	bool bits;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(offers); i++) {
		snprintf(head, sizeof(head),
		    GOOD "Sec-WebSocket-Extensions: %s\r\n\r\n",
		    offers[i].offers);
		assert_row(i, parse(head) == PS_OK);
		assert_row(i,
		    handshake_offers_deflate(&handshake, &bits) ==
			offers[i].taken);
		if (offers[i].taken)
			assert_row(i, bits == offers[i].bits);
	}
	assert_int_equal(parse(GOOD "\r\n"), PS_OK);
	assert_false(handshake_offers_deflate(&handshake, &bits));
}

static void
a_refusal_is_http(void **state)
{
	const struct ps_style style = { .flags = PS_STYLE_SUCCESS };
	struct ps_writer w = { 0 };

	(void)state;
	handshake_refuse(&w, &style, PS_CODE_UPGRADE_REQUIRED, "no", NULL,
	    NULL);
	ps_writer_u8(&w, '\0');
	assert_true(strncmp(w.data,
			"HTTP/1.1 426 Upgrade Required\r\n"
			"Connection: close\r\n"
			"Sec-WebSocket-Version: 13\r\n",
			77) == 0);
	assert_null(strstr(w.data, "Status:"));
	assert_non_null(strstr(w.data,
	    "\r\n\r\n{\"success\":false,\"error\":\"no\","
	    "\"code\":\"upgrade_required\"}"));
	ps_writer_deinit(&w);
}

static void
a_refusal_of_sockjs_is_text_and_names_its_versions(void **state)
{
	const struct ps_style style = { .flags = PS_STYLE_SOCKJS };
	struct ps_writer w = { 0 };

	(void)state;
	handshake_refuse(&w, &style, PS_CODE_UPGRADE_REQUIRED, "no", NULL,
	    NULL);
	ps_writer_u8(&w, '\0');
	assert_non_null(
	    strstr(w.data, "\r\nSec-WebSocket-Version: 13, 8, 7\r\n"));
	assert_non_null(strstr(w.data, "\r\n\r\nno\n"));
	ps_writer_deinit(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_rfc_is_accepted),
		cmocka_unit_test(a_head_ends_with_an_empty_line),
		cmocka_unit_test(request_lines),
		cmocka_unit_test(headers_are_found_without_regard_to_case),
		cmocka_unit_test(the_first_fault_is_found),
		cmocka_unit_test(offers_of_deflate),
		cmocka_unit_test(a_refusal_is_http),
		cmocka_unit_test(
		    a_refusal_of_sockjs_is_text_and_names_its_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
