/* Callbacks: what is sent, what is told of the answer, what is kept. */
#include "config.h"

#include "callback_fixture.h"

#include "wsbridge/outbox/webhook.h"

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
	    "POST /./hook?a=b%20c HTTP/1.1\r\n", 31);
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
	/* Nor does it for what comes next. */
	responder.answer = make_answer("200 OK", 70001, 100);
	request(&call);
	start_to(&call, "http://127.0.0.1:1/");
	wait_for(&call);
	assert_string_equal(call.error, "connection refused");
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
	timers_run(&bridge.timers, bridge.now_ms(), 100);
	loop_run_for(bridge.loop, 20);
	assert_int_equal(responder.n_open, 1);
	later_ms += 1000;
	timers_run(&bridge.timers, bridge.now_ms(), 100);
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

#define with_bridge(test)              \
	cmocka_unit_test_setup_teardown(test, callback_setup, \
	    callback_teardown)

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
		with_bridge(other_schemes_are_none),
		with_bridge(done_is_not_called_from_inside),
		with_bridge(others_may_be_started_and_cancelled_meanwhile),
		with_bridge(nobody_hears_of_a_cancelled_request),
		with_bridge(requests_under_way_go_with_all),
		with_bridge(hosts_have_one_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
