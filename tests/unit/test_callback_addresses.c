/* Where callbacks connect to: addresses, and those of names. */
#include "config.h"

#include "callback_fixture.h"

#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>

/*
 * Names that libcurl resolves in a thread: by us, in the place of the C
 * library's. One of them does not come to its answer until it may.
 */
static const struct {
	const char *name, *addresses[2];
} names[] = {
	{ "app.example", { "127.0.0.1" } },
	{ "inside.example", { "10.0.0.1" } },
	{ "xn--bcher-kva.example", { "127.0.0.1" } },
	{ "both.example", { "10.0.0.1", "127.0.0.1" } },
	{ "slow.example", { "127.0.0.1" } },
};

static sem_t may_answer;
static atomic_uint n_asked, n_answered;

static struct addrinfo *
make_info(const char *address, const char *service, struct addrinfo *next)
{
	struct {
		struct addrinfo info;
		struct sockaddr_in address;
	} *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return NULL;
	uv_ip4_addr(address, atoi(service), &made->address);
	made->info.ai_family = AF_INET;
	made->info.ai_socktype = SOCK_STREAM;
	made->info.ai_addrlen = sizeof(made->address);
	made->info.ai_addr = (struct sockaddr *)&made->address;
	made->info.ai_next = next;
	return &made->info;
}

int
getaddrinfo(const char *name, const char *service,
    const struct addrinfo *hints, struct addrinfo **info_r)
{
	size_t i;
	int j;

	(void)hints;
	n_asked++;
	*info_r = NULL;
	for (i = 0; i < ROWS(names); i++) {
		if (strcmp(name, names[i].name) != 0)
			continue;
		if (strcmp(name, "slow.example") == 0)
			sem_wait(&may_answer);
		for (j = 1; j >= 0; j--) {
			if (names[i].addresses[j] != NULL)
				*info_r = make_info(names[i].addresses[j],
				    service, *info_r);
		}
	}
	n_answered++;
	return *info_r == NULL ? EAI_NONAME : 0;
}

void
freeaddrinfo(struct addrinfo *info)
{
	struct addrinfo *next;

	for (; info != NULL; info = next) {
		next = info->ai_next;
		free(info);
	}
}

static int
setup(void **state)
{
	n_asked = n_answered = 0;
	return callback_setup(state);
}

static void
addresses_are_looked_at(void **state)
{
	static const struct {
		const char *networks, *host, *refused; /* NULL: it passes */
	} rows[] = {
		{ "", "127.0.0.1", "127.0.0.1" },
		{ "", "localhost", NULL },
		{ "", "[::ffff:127.0.0.1]", "::ffff:127.0.0.1" },
		{ "", "[::ffff:7f00:1]", "::ffff:127.0.0.1" },
		{ "", "[::1]", "::1" },
		{ "", "0x7f000001", "127.0.0.1" },
		{ "", "0177.0.0.1", "127.0.0.1" },
		{ "", "127.1", "127.0.0.1" },
		{ "", "2130706433", "127.0.0.1" },
		{ "127.0.0.0/8", "10.0.0.1", "10.0.0.1" },
		{ "127.0.0.0/8", "169.254.169.254", "169.254.169.254" },
		{ "10.0.0.0/8", "127.0.0.1", "127.0.0.1" },
		{ "127.0.0.2", "127.0.0.1", "127.0.0.1" },
		{ "127.0.0.0/8", "127.0.0.1", "" },
		{ "127.0.0.0/8", "[::ffff:127.0.0.1]", "" },
	};
	char to[128], error[256];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		snprintf(to, sizeof(to), "allow_networks=%s",
		    rows[i].networks);
		fixture_set(to);
		snprintf(to, sizeof(to), "http://%s:%u/", rows[i].host,
		    responder.port);
		start_to(&call, to);
		wait_for(&call);
		if (rows[i].refused != NULL && *rows[i].refused == '\0') {
			assert_row(i, call.status == 204);
			continue;
		}
		assert_row(i, call.status == 0);
		snprintf(error, sizeof(error),
		    "address %s may not be reached (neither public nor in "
		    "allow_networks)",
		    rows[i].refused == NULL ? "" : rows[i].refused);
		if (rows[i].refused == NULL ?
			strstr(call.error, "may not be reached") == NULL :
			strcmp(call.error, error) != 0)
			fail_msg("row %zu: %s", i, call.error);
	}
}

static void
start_to_name(struct call *c, const char *name)
{
	char to[128];

	snprintf(to, sizeof(to), "http://%s:%u/", name, responder.port);
	start_to(c, to);
}

static void
addresses_of_names_are_looked_at(void **state)
{
	char host[64];

	(void)state;
	start_to_name(&call, "app.example");
	wait_for(&call);
	assert_int_equal(call.status, 204);
	start_to_name(&call, "inside.example");
	wait_for(&call);
	assert_int_equal(call.status, 0);
	assert_string_equal(call.error, "address 10.0.0.1 may not be reached "
	    "(neither public nor in allow_networks)");
	assert_int_equal(responder.n_connections, 1);
	start_to_name(&call, "both.example");
	wait_for(&call);
	assert_int_equal(call.status, 204);
	start_to_name(&call, "B\u00fccher.example");
	wait_for(&call);
	assert_int_equal(call.status, 204);
	snprintf(host, sizeof(host), "xn--bcher-kva.example:%u",
	    responder.port);
	assert_string_equal(header("\r\nHost: "), host);
	start_to_name(&call, "nowhere.example");
	wait_for(&call);
	assert_string_equal(call.error,
	    "could not resolve host: nowhere.example");
	assert_int_equal(n_asked, 5);
	/* Nor does a name pass that led to such an address before. */
	start_to_name(&call, "inside.example");
	wait_for(&call);
	assert_int_equal(call.status, 0);
}

/* Neither its end nor the loop waits for it. */
static void
a_slow_name_server_holds_nothing_up(void **state)
{
	(void)state;
	fixture_set("callback_timeout=30ms");
	start_to_name(&call, "slow.example");
	wait_for(&call);
	assert_string_equal(call.error, "timed out after 30 ms");
	fixture_set("callback_timeout=10s");
	start_to_name(&call, "slow.example");
	start(&other);
	wait_for(&other);
	assert_int_equal(other.status, 204);
	loop_run_until(bridge.loop, n_asked == 2);
	assert_int_equal(n_answered, 0);
	callback_cancel(call.callback);
	start_to_name(&call, "slow.example");
	loop_run_until(bridge.loop, n_asked == 3);
	callbacks_destroy(bridge.callbacks);
	bridge.callbacks = NULL;
	assert_int_equal(n_answered, 0);
	sem_post(&may_answer);
	sem_post(&may_answer);
	sem_post(&may_answer);
	loop_run_until(bridge.loop, n_answered == 3);
	assert_int_equal(call.n_done, 1);
}

#define with_bridge(test) \
	cmocka_unit_test_setup_teardown(test, setup, callback_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		with_bridge(addresses_are_looked_at),
		with_bridge(addresses_of_names_are_looked_at),
		with_bridge(a_slow_name_server_holds_nothing_up),
	};

	sem_init(&may_answer, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
