#include "config.h"

#include "fixture.h"
#include "loop.h"
#include "responder.h"

#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "ps_clock.h"
#include "wsbridge/outbox/callback.h"
#include "wsbridge/outbox/webhook.h"

static struct responder responder;
static uv_timer_t ticks;
static char url[64];
static uint64_t later_ms; /* by which the bridge's clock is ahead */

/* One request and what became of it. */
struct call {
	struct callback *callback; /* NULL: over */
	unsigned n_done;
	int status;
	char error[256];
	struct ps_writer body;
	void (*on_done)(void);
};

static struct call call, other;

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

static uint64_t
clock_ms(void)
{
	return ps_clock_ms() + later_ms;
}

static int
setup(void **state)
{
	if (fixture_setup_loop(state) != 0)
		return -1;
	later_ms = 0;
	n_asked = n_answered = 0;
	bridge.now_ms = clock_ms;
	bridge.callbacks = callbacks_create(&bridge);
	loop_start_ticks(bridge.loop, &ticks);
	responder_open(&responder, bridge.loop);
	fixture_set("allow_networks=127.0.0.1");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook?a=b%%20c",
	    responder.port);
	call = other = (struct call){ 0 };
	return bridge.callbacks == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	callbacks_destroy(bridge.callbacks);
	bridge.callbacks = NULL;
	responder_close(&responder);
	loop_stop_ticks(&ticks);
	ps_writer_deinit(&call.body);
	ps_writer_deinit(&other.body);
	return fixture_teardown(state);
}

static void
on_done(void *owner, const struct callback_result *result)
{
	struct call *c = owner;

	assert_non_null(c->callback);
	c->callback = NULL;
	c->n_done++;
	c->status = result->status;
	snprintf(c->error, sizeof(c->error), "%s", result->error);
	ps_writer_reset(&c->body);
	ps_writer_bytes(&c->body, result->body.data, result->body.len);
	if (c->on_done != NULL)
		c->on_done();
}

static void
start_to(struct call *c, const char *to)
{
	const struct callback_request request = { .url = to,
		.key = ps_slice("\0key", 4),
		.id = "msg_a7k2xw-15_7",
		.body = ps_slice_str("{\"message\":\"hi\"}") };

	c->callback =
	    callback_start(bridge.callbacks, &request, on_done, c);
	assert_non_null(c->callback);
}

static void
start(struct call *c)
{
	start_to(c, url);
}

static void
wait_for(struct call *c)
{
	loop_run_until(bridge.loop, c->callback == NULL);
}

static void
request(struct call *c)
{
	start(c);
	wait_for(c);
}

static const char *
header(const char *name)
{
	static char value[256];
	const char *field = strstr(responder.request.data, name);

	if (field == NULL)
		return NULL;
	field += strlen(name);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(field, "\r"),
	    field);
	return value;
}

static void
a_request_says_what_it_should(void **state)
{
	char signature[WEBHOOK_SIGNATURE_MAX], time[32];
	struct ps_writer w = { 0 };

	(void)state;
	request(&call);
	assert_int_equal(call.status, 204);
	assert_string_equal(call.error, "");
	assert_memory_equal(responder.request.data,
	    "POST /hook?a=b%20c HTTP/1.1\r\n", 29);
	assert_string_equal(header("\r\nContent-Type: "), "application/json");
	assert_string_equal(header("\r\nUser-Agent: "),
	    "polysocket/" PACKAGE_VERSION);
	assert_string_equal(header("\r\nwebhook-id: "), "msg_a7k2xw-15_7");
	snprintf(time, sizeof(time), "%lld", (long long)bridge.unix_s());
	assert_string_equal(header("\r\nwebhook-timestamp: "), time);
	assert_int_equal(webhook_sign(signature, &w, ps_slice("\0key", 4),
			     "msg_a7k2xw-15_7", bridge.unix_s(),
			     ps_slice_str("{\"message\":\"hi\"}")),
	    PS_OK);
	assert_string_equal(header("\r\nwebhook-signature: "), signature);
	assert_null(header("\r\nExpect"));
	assert_null(header("\r\nAccept-Encoding"));
	assert_null(header("\r\nCookie"));
	assert_string_equal(strstr(responder.request.data, "\r\n\r\n"),
	    "\r\n\r\n{\"message\":\"hi\"}");
	ps_writer_deinit(&w);
}

static void
no_proxy_of_the_environment_is_asked(void **state)
{
	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	request(&call);
	unsetenv("http_proxy");
	assert_int_equal(call.status, 204);
}

#define HEAD(status, rest) "HTTP/1.1 " status "\r\n" rest "\r\n"

static void
what_the_application_says_is_told(void **state)
{
	static const struct {
		const char *answer;
		bool closes;
		int status;
		const char *body, *error;
	} rows[] = {
		{ HEAD("200 OK", "Content-Length: 2\r\n") "{}", false, 200,
		    "{}", "" },
		{ HEAD("200 OK", "Transfer-Encoding: chunked\r\n")
		  "2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n", false, 200, "[1]", "" },
		{ HEAD("200 OK", "") "until the end", true, 200,
		    "until the end", "" },
		{ "HTTP/1.0 299 Fine\r\n\r\nold", true, 299, "old", "" },
		/* Not decoded: nothing was said to be understood. */
		{ HEAD("200 OK", "Content-Encoding: gzip\r\n"
				 "Content-Length: 2\r\n") "gz", false, 200,
		    "gz", "" },
		{ HEAD("200 OK", "Set-Cookie: a=b\r\nContent-Length: 0\r\n"),
		    false, 200, "", "" },
		{ HEAD("103 Early Hints", "Link: </a>\r\n")
		  HEAD("204 No Content", ""), false, 204, "", "" },
		{ HEAD("301 Moved", "Location: /other\r\n"
				    "Content-Length: 0\r\n"), false, 301, "",
		    "" },
		{ HEAD("410 Gone", "Content-Length: 2\r\n") "{}", false, 410,
		    "", "" },
		{ HEAD("500 Oops", "Content-Length: 4\r\n") "oops", false, 500,
		    "", "" },
		{ HEAD("200 OK", "Content-Length: 4\r\n") "{}", true, 0, "",
		    "connection lost before the reply's end" },
		{ "", true, 0, "", "connection lost before the reply's end" },
		/* Heads that are cut: whatever they begin with. */
		{ "HTTP/1.1 200", true, 0, "",
		    "connection lost before the reply's end" },
		{ "HTTP/1.1 200 OK\r\n", true, 0, "",
		    "connection lost before the reply's end" },
		{ "HTTP/1.1 410 Gone\r\nX: 1\r\n", true, 0, "",
		    "connection lost before the reply's end" },
		{ HEAD("103 Early Hints", "") "HTTP/1.1 204 No\r\n", true, 0,
		    "", "connection lost before the reply's end" },
		{ "hello\r\n\r\n", true, 0, "",
		    "received HTTP/0.9 when not allowed" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		responder.answer = rows[i].answer;
		responder.closes = rows[i].closes;
		request(&call);
		assert_row(i, call.n_done == i + 1);
		assert_row(i, call.status == rows[i].status);
		assert_row(i, writer_had(&call.body, rows[i].body));
		if (strcmp(call.error, rows[i].error) != 0)
			fail_msg("row %zu: %s", i, call.error);
		assert_null(header("\r\nCookie"));
		/* A request that was cut off on an old connection may be made
		 * once more, and no other. */
		assert_row(i, responder.n_requests <= 2 * (i + 1));
	}
}

/* An answer with a body of `len` bytes, and so many in its head. */
static char *
make_answer(const char *status, size_t len, size_t head_len)
{
	static char answer[256 * 1024];
	int n = snprintf(answer, sizeof(answer),
	    "HTTP/1.1 %s\r\nContent-Length: %zu\r\nX: ", status, len);

	memset(answer + n, 'h', head_len - (size_t)n - 4);
	memcpy(answer + head_len - 4, "\r\n\r\n", 4);
	memset(answer + head_len, 'b', len);
	responder.answer_len = head_len + len;
	return answer;
}

static void
a_reply_may_be_so_large_and_no_larger(void **state)
{
	(void)state;
	fixture_set("callback_reply_bytes=70000B");
	responder.answer = make_answer("200 OK", 70000, 100);
	request(&call);
	assert_int_equal(call.status, 200);
	assert_int_equal(call.body.len, 70000);
	responder.answer = make_answer("200 OK", 70001, 100);
	request(&call);
	assert_int_equal(call.status, 0);
	assert_int_equal(call.body.len, 0);
	assert_string_equal(call.error,
	    "reply larger than callback_reply_bytes");
	/* What an error page says does not matter. */
	responder.answer = make_answer("503 Busy", 70001, 100);
	request(&call);
	assert_int_equal(call.status, 503);
	assert_string_equal(call.error, "");
}

static void
the_head_of_a_reply_is_bounded_too(void **state)
{
	(void)state;
	responder.answer = make_answer("200 OK", 2, 64 * 1024);
	request(&call);
	assert_int_equal(call.status, 200);
	responder.answer = make_answer("200 OK", 2, 64 * 1024 + 1);
	request(&call);
	assert_int_equal(call.status, 0);
	assert_string_equal(call.error,
	    "head of the reply larger than 64 KiB");
	/* One that only announces another is no answer. */
	responder.answer = make_answer("103 Early Hints", 0, 64 * 1024 + 1);
	request(&call);
	assert_int_equal(call.status, 0);
	assert_string_equal(call.error,
	    "head of the reply larger than 64 KiB");
	responder.answer = make_answer("500 Oops", 2, 64 * 1024 + 1);
	request(&call);
	assert_int_equal(call.status, 500);
	assert_string_equal(call.error, "");
}

static void
connections_are_used_again(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 5; i++)
		request(&call);
	assert_int_equal(responder.n_requests, 5);
	assert_int_equal(responder.n_connections, 1);
	start(&call);
	start(&other);
	wait_for(&call);
	wait_for(&other);
	for (i = 0; i < 5; i++) {
		start(&call);
		start(&other);
		wait_for(&call);
		wait_for(&other);
	}
	assert_int_equal(responder.n_connections, 2);
}

static void
a_connection_that_the_server_closed_is_no_failure(void **state)
{
	(void)state;
	request(&call);
	responder_drop(&responder);
	loop_run_for(bridge.loop, 20);
	request(&call);
	assert_int_equal(call.status, 204);
	assert_int_equal(responder.n_connections, 2);
}

static void
idle_connections_are_closed_in_time(void **state)
{
	(void)state;
	request(&call);
	later_ms += CALLBACK_KEEP_S * 1000 - 500;
	timers_run(&bridge.timers, clock_ms(), 100);
	loop_run_for(bridge.loop, 20);
	assert_int_equal(responder.n_open, 1);
	later_ms += 1000;
	timers_run(&bridge.timers, clock_ms(), 100);
	loop_run_until(bridge.loop, responder.n_open == 0);
	/* And it begins anew. */
	request(&call);
	assert_int_equal(call.status, 204);
	assert_int_equal(responder.n_connections, 2);
}

static void
connections_to_a_host_are_counted(void **state)
{
	(void)state;
	fixture_set("callback_connections=1");
	responder.answer = NULL;
	start(&call);
	start(&other);
	loop_run_until(bridge.loop, responder.n_requests == 1);
	loop_run_for(bridge.loop, 50);
	assert_int_equal(responder.n_connections, 1);
	responder.answer = HEAD("204 No Content", "");
	callback_cancel(call.callback);
	wait_for(&other);
	assert_int_equal(other.status, 204);
	assert_int_equal(call.n_done, 0);
}

static void
the_time_is_limited(void **state)
{
	(void)state;
	fixture_set("callback_timeout=30ms");
	responder.answer = NULL;
	request(&call);
	assert_int_equal(call.status, 0);
	assert_string_equal(call.error, "timed out after 30 ms");
	/* Whatever has come by then. */
	responder.answer = HEAD("200 OK", "Content-Length: 9\r\n") "{";
	request(&call);
	assert_int_equal(call.status, 0);
	assert_string_equal(call.error, "timed out after 30 ms");
	fixture_set("callback_timeout=1s");
	responder.answer = NULL;
	request(&call);
	assert_string_equal(call.error, "timed out after 1 s");
}

static void
nobody_there_is_told(void **state)
{
	(void)state;
	responder_drop(&responder);
	uv_close((uv_handle_t *)&responder.server, NULL);
	loop_run_for(bridge.loop, 5);
	request(&call);
	assert_int_equal(call.status, 0);
	assert_string_equal(call.error, "connection refused");
	responder_open(&responder, bridge.loop);
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

static void
other_schemes_are_none(void **state)
{
	static const char *const rows[] = { "ftp://127.0.0.1/", "file:///etc",
		"gopher://127.0.0.1/", "127.0.0.1:1/x", "http://", "" };
	char host[CALLBACK_HOST_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_row(i, !callback_host(rows[i], host));
		start_to(&call, rows[i]);
		wait_for(&call);
		assert_row(i, call.status == 0 && *call.error != '\0');
	}
	assert_int_equal(responder.n_connections, 0);
}

static void
done_is_not_called_from_inside(void **state)
{
	(void)state;
	start_to(&call, "http://127.0.0.1:1/");
	assert_int_equal(call.n_done, 0);
	assert_int_equal(callbacks_count(bridge.callbacks), 1);
	wait_for(&call);
	assert_int_equal(call.n_done, 1);
	assert_int_equal(callbacks_count(bridge.callbacks), 0);
}

static void
start_other(void)
{
	start(&other);
}

static void
cancel_other(void)
{
	callback_cancel(other.callback);
	other.callback = NULL;
}

static void
others_may_be_started_and_cancelled_meanwhile(void **state)
{
	(void)state;
	call.on_done = start_other;
	request(&call);
	wait_for(&other);
	assert_int_equal(other.status, 204);
	assert_int_equal(responder.n_connections, 1);

	/* Both have failed in the same turn; only one hears of it. */
	call.on_done = cancel_other;
	start_to(&call, "http://10.0.0.1/");
	start_to(&other, "http://10.0.0.1/");
	wait_for(&call);
	assert_int_equal(call.n_done, 2);
	loop_run_for(bridge.loop, 20);
	assert_int_equal(other.n_done, 1);
	call.on_done = NULL;
}

static void
nobody_hears_of_a_cancelled_request(void **state)
{
	(void)state;
	callback_cancel(NULL);
	start(&call);
	callback_cancel(call.callback);
	responder.answer = NULL;
	start(&call);
	loop_run_until(bridge.loop, responder.n_requests == 1);
	callback_cancel(call.callback);
	/* The connection is not one for others any more. */
	loop_run_until(bridge.loop, responder.n_open == 0);
	assert_int_equal(call.n_done, 0);
	assert_int_equal(callbacks_count(bridge.callbacks), 0);
}

static void
requests_under_way_go_with_all(void **state)
{
	(void)state;
	responder.answer = NULL;
	start(&call);
	start(&other);
	loop_run_until(bridge.loop, responder.n_requests == 2);
	callbacks_destroy(bridge.callbacks);
	bridge.callbacks = NULL;
	callbacks_destroy(NULL);
	loop_run_until(bridge.loop, responder.n_open == 0);
	assert_int_equal(call.n_done, 0);
}

static void
hosts_have_one_name(void **state)
{
	static const struct {
		const char *url, *host;
	} rows[] = {
		{ "http://App.example/x", "http://app.example:80" },
		{ "https://app.example", "https://app.example:443" },
		{ "https://app.example:443?q", "https://app.example:443" },
		{ "HTTPS://app.example:8443/", "https://app.example:8443" },
		{ "https://B\u00fccher.example/",
		    "https://xn--bcher-kva.example:443" },
		{ "http://[::1]:80/", "http://[::1]:80" },
		{ "http://127.0.0.1:8080/", "http://127.0.0.1:8080" },
	};
	char host[CALLBACK_HOST_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_row(i, callback_host(rows[i].url, host));
		assert_string_equal(host, rows[i].host);
	}
}

#define with_bridge(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		with_bridge(a_request_says_what_it_should),
		with_bridge(no_proxy_of_the_environment_is_asked),
		with_bridge(what_the_application_says_is_told),
		with_bridge(a_reply_may_be_so_large_and_no_larger),
		with_bridge(the_head_of_a_reply_is_bounded_too),
		with_bridge(connections_are_used_again),
		with_bridge(a_connection_that_the_server_closed_is_no_failure),
		with_bridge(idle_connections_are_closed_in_time),
		with_bridge(connections_to_a_host_are_counted),
		with_bridge(the_time_is_limited),
		with_bridge(nobody_there_is_told),
		with_bridge(addresses_are_looked_at),
		with_bridge(addresses_of_names_are_looked_at),
		with_bridge(a_slow_name_server_holds_nothing_up),
		with_bridge(other_schemes_are_none),
		with_bridge(done_is_not_called_from_inside),
		with_bridge(others_may_be_started_and_cancelled_meanwhile),
		with_bridge(nobody_hears_of_a_cancelled_request),
		with_bridge(requests_under_way_go_with_all),
		with_bridge(hosts_have_one_name),
	};

	sem_init(&may_answer, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
