/*
 * Which addresses of a name are connected to. uv_getaddrinfo() and the call
 * that connects are replaced: the test is the name server, and nothing leaves
 * it.
 */
#include "config.h"

#include "fixture.h"

#include <arpa/inet.h>

#include "wsbridge/base/resolver.h"
#include "wsbridge/relay/upstream.h"
#include "wsbridge/websocket/websocket.h"

/* Look-ups, of which the last one waits for its answer. */
static struct {
	unsigned count;
	uv_getaddrinfo_t *request;
	uv_getaddrinfo_cb answer;
	char name[64];
	int error; /* what uv_getaddrinfo() returns */
} lookups;

static size_t n_infos;

/* Attempts to connect, all of which fail at once. */
static struct {
	size_t count;
	char address[32][PS_ADDRESS_MAX];
	char host[32][PS_HOST_MAX + 9];
} attempts;

int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request,
    uv_getaddrinfo_cb answer, const char *node, const char *service,
    const struct addrinfo *hints);
void __wrap_uv_freeaddrinfo(struct addrinfo *info);
struct lws *__wrap_lws_client_connect_via_info(
    const struct lws_client_connect_info *info);

int
__wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request,
    uv_getaddrinfo_cb answer, const char *node, const char *service,
    const struct addrinfo *hints)
{
	(void)loop;
	assert_null(service);
	assert_int_equal(hints->ai_family, AF_UNSPEC);
	lookups.count++;
	lookups.request = request;
	lookups.answer = answer;
	snprintf(lookups.name, sizeof(lookups.name), "%s", node);
	return lookups.error;
}

void
__wrap_uv_freeaddrinfo(struct addrinfo *info)
{
	struct addrinfo *next;

	for (; info != NULL; info = next) {
		next = info->ai_next;
		free(info->ai_addr);
		free(info);
		n_infos--;
	}
}

struct lws *
__wrap_lws_client_connect_via_info(const struct lws_client_connect_info *info)
{
	size_t i = attempts.count++;

	assert_true(i < ROWS(attempts.address));
	snprintf(attempts.address[i], sizeof(attempts.address[i]), "%s",
	    info->address);
	snprintf(attempts.host[i], sizeof(attempts.host[i]), "%s", info->host);
	assert_true((info->ssl_connection & LCCSCF_HTTP_NO_FOLLOW_REDIRECT) !=
	    0);
	return NULL;
}

static struct addrinfo *
make_info(const char *text, struct addrinfo *next)
{
	struct addrinfo *info = calloc(1, sizeof(*info));
	struct sockaddr_storage *address = calloc(1, sizeof(*address));
	bool is_ipv6 = strchr(text, ':') != NULL;

	assert_true(info != NULL && address != NULL);
	info->ai_family = is_ipv6 ? AF_INET6 : AF_INET;
	if (strcmp(text, "unix") == 0)
		info->ai_family = AF_UNIX;
	else if (is_ipv6)
		assert_int_equal(uv_ip6_addr(text, 0,
				     (struct sockaddr_in6 *)address),
		    0);
	else
		assert_int_equal(uv_ip4_addr(text, 0,
				     (struct sockaddr_in *)address),
		    0);
	info->ai_addr = (struct sockaddr *)address;
	info->ai_next = next;
	n_infos++;
	return info;
}

/* The name server's answer: addresses separated by spaces, or an error. */
static void
answer(const char *texts, int status)
{
	char copy[1024], *space;
	struct addrinfo *info = NULL;

	snprintf(copy, sizeof(copy), "%s", texts);
	while ((space = strrchr(copy, ' ')) != NULL) {
		info = make_info(space + 1, info);
		*space = '\0';
	}
	if (*copy != '\0')
		info = make_info(copy, info);
	lookups.answer(lookups.request, status, info);
	assert_int_equal(n_infos, 0);
}

static struct resolver_result result;
static unsigned n_results;

static void
on_result(void *owner, const struct resolver_result *from)
{
	assert_ptr_equal(owner, &result);
	result = *from;
	n_results++;
}

static int
setup(void **state)
{
	static struct websocket websocket;

	memset(&lookups, 0, sizeof(lookups));
	memset(&attempts, 0, sizeof(attempts));
	n_results = 0;
	if (fixture_setup(state) != 0)
		return -1;
	bridge.websocket = &websocket;
	return 0;
}

static int
teardown(void **state)
{
	bridge.websocket = NULL;
	assert_int_equal(resolver_count(), 0);
	return fixture_teardown(state);
}

static void
an_address_needs_no_resolving(void **state)
{
	static const struct {
		const char *host;
		bool is_address, passes;
	} rows[] = {
		{ "1.1.1.1", true, true },
		{ "2606:4700:4700::1111", true, true },
		{ "::ffff:1.1.1.1", true, true },
		{ "127.0.0.1", true, false },
		{ "::1", true, false },
		{ "2001:db8::1", true, false },
		{ "::ffff:127.0.0.1", true, false },
		{ "::ffff:7f00:1", true, false },
		{ "64:ff9b::10.0.0.1", true, false },
		{ "2002:a00:1::", true, false },
		{ "10.1.2.3", true, true },
		{ "::ffff:10.1.2.3", true, true },
		{ "::10.1.2.3", true, false },
		{ "10.2.2.3", true, false },
		{ "fd00::1", true, true },
		{ "fd00::2", true, false },
		{ "", false, false },
		{ "localhost", false, false },
		{ "example.com", false, false },
		{ "127.0.0", false, false },
		{ "127.0.0.256", false, false },
		{ "127.0.0.1.", false, false },
		{ "2130706433", false, false },
		{ "0177.0.0.1", false, false },
		{ "::g", false, false },
		{ "[::1]", false, false },
	};
	size_t i;

	(void)state;
	fixture_set("allow_networks=10.1.0.0/16, fd00::1");
	for (i = 0; i < ROWS(rows); i++) {
		memset(&result, 0xff, sizeof(result));
		assert_row(i, resolver_take_address(&result, rows[i].host,
				  &bridge.config->allow_networks) ==
			rows[i].is_address);
		assert_row(i, result.count == rows[i].passes);
		assert_row(i, result.refused ==
			(rows[i].is_address && !rows[i].passes));
		if (rows[i].passes)
			assert_string_equal(result.addresses[0], rows[i].host);
	}
	assert_int_equal(lookups.count, 0);
}

static const struct {
	const char *answer, *tried; /* separated by spaces */
	bool refused;
} answers[] = {
	{ "", "", false },
	{ "unix", "", false },
	{ "1.1.1.1", "1.1.1.1", false },
	{ "1.1.1.1 2606:4700::1 9.9.9.9", "1.1.1.1 2606:4700::1 9.9.9.9",
	    false },
	{ "127.0.0.1", "", true },
	{ "127.0.0.1 ::1 10.0.0.1 169.254.169.254 100.64.0.1", "", true },
	{ "fd00::1 fe80::1 ff02::1 :: 0.0.0.0 224.0.0.1", "", true },
	{ "::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::10.0.0.1 2002:a00:1::1", "",
	    true },
	{ "127.0.0.1 1.1.1.1 ::1", "1.1.1.1", true },
	{ "1.1.1.1 10.0.0.1 9.9.9.9", "1.1.1.1 9.9.9.9", true },
	{ "192.168.0.1 192.168.7.1 192.168.8.1", "192.168.7.1", true },
	{ "::ffff:192.168.7.1", "::ffff:192.168.7.1", false },
	/* No more than eight, of those that pass. */
	{ "1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8"
	  " 1.0.0.9",
	    "1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8",
	    false },
	{ "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7"
	  " 10.0.0.8 10.0.0.9 1.0.0.1 10.0.0.10 1.0.0.2",
	    "1.0.0.1 1.0.0.2", true },
	{ "1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8"
	  " 127.0.0.1",
	    "1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8",
	    true },
};

/* What `result` has, as in the table. */
static void
assert_result(size_t row)
{
	char text[1024] = "";
	size_t i;

	for (i = 0; i < result.count; i++) {
		strcat(text, i == 0 ? "" : " ");
		strcat(text, result.addresses[i]);
	}
	if (strcmp(text, answers[row].tried) != 0)
		fail_msg("row %zu: %s", row, text);
	assert_row(row, result.refused == answers[row].refused);
}

static struct resolution *
start(const char *name)
{
	struct resolution *resolution = resolver_start(NULL, name,
	    &bridge.config->allow_networks, on_result, &result);

	assert_non_null(resolution);
	assert_string_equal(lookups.name, name);
	return resolution;
}

static void
only_addresses_that_pass_are_given(void **state)
{
	size_t i;

	(void)state;
	fixture_set("allow_networks=192.168.7.0/24");
	for (i = 0; i < ROWS(answers); i++) {
		start("chat.example");
		answer(answers[i].answer, 0);
		assert_row(i, n_results == i + 1);
		assert_result(i);
	}
}

static void
a_failed_look_up_has_no_address(void **state)
{
	(void)state;
	start("chat.example");
	answer("", UV_EAI_NONAME);
	assert_int_equal(n_results, 1);
	assert_int_equal(result.count, 0);
	assert_false(result.refused);
	lookups.error = UV_ENOMEM;
	assert_null(resolver_start(NULL, "chat.example",
	    &bridge.config->allow_networks, on_result, &result));
	assert_int_equal(n_results, 1);
}

static void
networks_count_that_are_allowed_when_the_answer_is_there(void **state)
{
	(void)state;
	fixture_set("allow_networks=10.0.0.0/8");
	start("chat.example");
	fixture_set("allow_networks=192.168.0.0/16");
	answer("10.0.0.1 192.168.0.1", 0);
	assert_int_equal(result.count, 1);
	assert_string_equal(result.addresses[0], "192.168.0.1");
	assert_true(result.refused);
}

static void
nobody_is_told_of_a_cancelled_look_up(void **state)
{
	struct resolution *resolution = start("chat.example");

	(void)state;
	resolver_cancel(resolution);
	resolver_cancel(NULL);
	assert_int_equal(resolver_count(), 1);
	answer("1.1.1.1", 0);
	assert_int_equal(n_results, 0);
}

/* Connects a session to that host, port 8080. */
static void
connect_to(const char *host)
{
	struct ps_ipc_create m = { .port = 8080,
		.host = ps_slice_str(host),
		.path = ps_slice_str("/") };
	struct session *session = fixture_connecting();

	upstream_connect(session, &m);
}

static void
addresses_that_pass_are_tried_under_the_name(void **state)
{
	size_t i;

	(void)state;
	connect_to("chat.example");
	answer("127.0.0.1 1.1.1.1 10.0.0.1 9.9.9.9", 0);
	fixture_turn();
	assert_int_equal(attempts.count, 2);
	assert_string_equal(attempts.address[0], "1.1.1.1");
	assert_string_equal(attempts.address[1], "9.9.9.9");
	for (i = 0; i < 2; i++)
		assert_string_equal(attempts.host[i], "chat.example:8080");
	assert_int_equal(opener.n_failed, 1);
	assert_int_equal(opener.code, PS_CODE_CONNECT_REFUSED);
}

/* However often it is tried, the name server is not asked again. */
static void
a_name_that_changes_its_answer_gains_nothing(void **state)
{
	size_t i;

	(void)state;
	connect_to("rebind.example");
	answer("1.1.1.1 9.9.9.9 8.8.8.8", 0);
	fixture_turn();
	assert_int_equal(lookups.count, 1);
	assert_int_equal(attempts.count, 3);
	for (i = 0; i < attempts.count; i++) {
		assert_string_equal(attempts.host[i], "rebind.example:8080");
		assert_true(resolver_take_address(&result, attempts.address[i],
		    &bridge.config->allow_networks));
		assert_int_equal(result.count, 1);
	}
	/* Its next answer is looked at as its first one was. */
	connect_to("rebind.example");
	answer("127.0.0.1", 0);
	assert_int_equal(lookups.count, 2);
	assert_int_equal(attempts.count, 3);
	assert_int_equal(opener.code, PS_CODE_ADDRESS_REFUSED);
}

static void
without_an_address_that_passes_nothing_is_tried(void **state)
{
	(void)state;
	connect_to("chat.example");
	answer("127.0.0.1 ::1", 0);
	assert_int_equal(opener.code, PS_CODE_ADDRESS_REFUSED);
	connect_to("chat.example");
	answer("", 0);
	assert_int_equal(opener.code, PS_CODE_DNS_FAILURE);
	connect_to("chat.example");
	answer("", UV_EAI_NONAME);
	assert_int_equal(opener.code, PS_CODE_DNS_FAILURE);
	connect_to("192.168.1.1");
	assert_int_equal(opener.code, PS_CODE_ADDRESS_REFUSED);
	connect_to("::ffff:127.0.0.1");
	assert_int_equal(opener.code, PS_CODE_ADDRESS_REFUSED);
	assert_int_equal(opener.n_failed, 5);
	assert_int_equal(lookups.count, 3);
	assert_int_equal(attempts.count, 0);
}

static void
an_address_that_passes_is_tried_at_once(void **state)
{
	(void)state;
	fixture_set("allow_networks=127.0.0.1, ::1");
	connect_to("127.0.0.1");
	connect_to("::1");
	assert_int_equal(attempts.count, 2);
	assert_string_equal(attempts.address[0], "127.0.0.1");
	assert_string_equal(attempts.host[0], "127.0.0.1:8080");
	assert_string_equal(attempts.address[1], "::1");
	assert_string_equal(attempts.host[1], "[::1]:8080");
	assert_int_equal(lookups.count, 0);
}

#define with_bridge(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		with_bridge(an_address_needs_no_resolving),
		with_bridge(only_addresses_that_pass_are_given),
		with_bridge(a_failed_look_up_has_no_address),
		with_bridge(
		    networks_count_that_are_allowed_when_the_answer_is_there),
		with_bridge(nobody_is_told_of_a_cancelled_look_up),
		with_bridge(addresses_that_pass_are_tried_under_the_name),
		with_bridge(a_name_that_changes_its_answer_gains_nothing),
		with_bridge(without_an_address_that_passes_nothing_is_tried),
		with_bridge(an_address_that_passes_is_tried_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
