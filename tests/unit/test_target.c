#include "config.h"

#include "unit.h"

#include "wsbridge/relay/target.h"

static const struct {
	bool tls;
	unsigned port;
	const char *host, *header;
} hosts[] = {
	{ false, 80, "example.com", "example.com" },
	{ true, 443, "example.com", "example.com" },
	{ false, 443, "example.com", "example.com:443" },
	{ true, 80, "example.com", "example.com:80" },
	{ false, 8080, "192.0.2.1", "192.0.2.1:8080" },
	{ false, 80, "example.com.", "example.com." },
	{ true, 443, "example.com.", "example.com" },
	{ true, 80, "example.com.", "example.com:80" },
	{ false, 80, "2001:db8::1", "[2001:db8::1]" },
	{ true, 65535, "2001:db8::1", "[2001:db8::1]:65535" },
};

static struct target *
make(bool tls, unsigned port, const char *host, const char *origin)
{
	struct ps_ipc_create m = { .tls = tls,
		.port = (uint16_t)port,
		.host = ps_slice_str(host),
		.path = ps_slice_str("/path"),
		.origin = ps_slice_str(origin) };
	struct target *target = target_create(&m);

	assert_non_null(target);
	return target;
}

static void
a_target_copies_what_it_is_made_of(void **state)
{
	char text[] = "hostpathoriginprotocols";
	struct ps_ipc_create m = { .tls = true,
		.port = 7,
		.host = ps_slice(text, 4),
		.path = ps_slice(text + 4, 4),
		.origin = ps_slice(text + 8, 6),
		.protocols = ps_slice(text + 14, 9) };
	struct target *target = target_create(&m);

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_true(target->tls);
	assert_int_equal(target->port, 7);
	assert_string_equal(target->host, "host");
	assert_string_equal(target->path, "path");
	assert_string_equal(target->origin, "origin");
	assert_string_equal(target->protocols, "protocols");
	target_free(target);
	target_free(NULL);
}

static void
the_host_header_has_a_port_where_it_is_needed(void **state)
{
	char out[TARGET_HOST_HEADER_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(hosts); i++) {
		struct target *target =
		    make(hosts[i].tls, hosts[i].port, hosts[i].host, NULL);

		target_host_header(target, out);
		assert_string_equal(out, hosts[i].header);
		target_free(target);
	}
}

static void
the_longest_host_header_fits(void **state)
{
	char host[PS_HOST_MAX + 1], out[TARGET_HOST_HEADER_MAX];
	struct target *target;

	(void)state;
	memset(host, 'a', PS_HOST_MAX);
	host[PS_HOST_MAX] = '\0';
	host[1] = ':'; /* in brackets, with a port */
	target = make(false, 65535, host, NULL);
	target_host_header(target, out);
	assert_int_equal(strlen(out), TARGET_HOST_HEADER_MAX - 1);
	assert_string_equal(out + TARGET_HOST_HEADER_MAX - 8, "]:65535");
	target_free(target);
}

static void
the_handshake_names_the_program_and_the_origin(void **state)
{
	static const char agent[] = "User-Agent: polysocket/" PACKAGE_VERSION
				    "\r\n";
	static const char both[] = "User-Agent: polysocket/" PACKAGE_VERSION
				   "\r\nOrigin: http://a\r\n";
	struct target *target = make(false, 80, "h", NULL);
	char out[256] = "", *p = out;

	(void)state;
	assert_false(target->handshake_sent);
	assert_int_equal(target_append_headers(target, &p, sizeof(out)), 0);
	assert_string_equal(out, agent);
	assert_ptr_equal(p, out + strlen(agent));
	assert_true(target->handshake_sent);
	target_free(target);

	target = make(false, 80, "h", "http://a");
	p = out;
	assert_int_equal(target_append_headers(target, &p, sizeof(out)), 0);
	assert_string_equal(out, both);
	/* Just room for it and its NUL, then one less. */
	p = out;
	assert_int_equal(target_append_headers(target, &p, sizeof(both)), 0);
	p = out;
	assert_int_not_equal(target_append_headers(target, &p,
				 sizeof(both) - 1),
	    0);
	p = out;
	assert_int_not_equal(target_append_headers(target, &p, 10), 0);
	target_free(target);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_copies_what_it_is_made_of),
		cmocka_unit_test(the_host_header_has_a_port_where_it_is_needed),
		cmocka_unit_test(the_longest_host_header_fits),
		cmocka_unit_test(
		    the_handshake_names_the_program_and_the_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
