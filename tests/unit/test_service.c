/* The handlers of messages that belong to no session. */
#include "config.h"

#include "fixture.h"

#include "wsbridge/service.h"

typedef int (*handler_fn)(struct bridge *bridge, struct ps_reader *r, int fd);

static struct ps_writer frame;

static int
teardown(void **state)
{
	ps_writer_deinit(&frame);
	return fixture_teardown(state);
}

static struct ps_ipc_request
request(unsigned flags)
{
	return (struct ps_ipc_request){ REQUEST_ID, { .flags = flags } };
}

/* Gives what is in `frame` to the handler; the answer is text afterwards. */
static const char *
answer(handler_fn handle)
{
	struct ps_reader body;
	uint8_t type;

	assert_false(frame.failed);
	assert_true(ps_ipc_split(frame.data, frame.len, &type, &body) > 0);
	assert_int_equal(handle(&bridge, &body, web_server_open(&web)), PS_OK);
	web_server_read_all(&web);
	ps_writer_u8(&web.out, '\0');
	return web.out.data;
}

static const char *
ready(unsigned flags)
{
	const struct ps_ipc_ready m = { request(flags) };

	ps_ipc_encode_ready(&frame, &m);
	return answer(service_on_ready);
}

static const char *
stats(enum ps_ipc_stats_format format, unsigned flags)
{
	const struct ps_ipc_stats m = { request(flags), format };

	ps_ipc_encode_stats(&frame, &m);
	return answer(service_on_stats);
}

static void
starts_with(const char *text, const char *start)
{
	assert_int_equal(strncmp(text, start, strlen(start)), 0);
}

static const char *
body_of(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void
ignore_drained(struct bridge *of)
{
	(void)of;
}

static void
a_bridge_that_answers_is_ready(void **state)
{
	const char *text = ready(0);

	(void)state;
	starts_with(text, "Status: 200 OK\r\n");
	assert_string_equal(body_of(text),
	    "{\"ok\":true,\"bridge\":\"ok\",\"database\":\"ok\"}");
	assert_true(web.ended);
}

static void
one_that_drains_is_not(void **state)
{
	const char *text;

	(void)state;
	bridge.draining = true;
	bridge.on_drained = ignore_drained;
	text = ready(0);
	starts_with(text, "Status: 503 Service Unavailable\r\n");
	assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
	assert_non_null(strstr(body_of(text),
	    "\"code\":\"draining\",\"part\":\"bridge\"}"));
	text = ready(PS_STYLE_HEAD);
	starts_with(text, "Status: 503 Service Unavailable\r\n");
	assert_string_equal(body_of(text), "");
}

static void
figures_come_in_both_forms(void **state)
{
	char length[64];
	const char *text;

	(void)state;
	text = stats(PS_IPC_STATS_JSON, 0);
	starts_with(text, "Status: 200 OK\r\nContent-Type: application/json");
	starts_with(body_of(text), "{\"ok\":true,\"stats\":{\"info\":[");
	text = stats(PS_IPC_STATS_PROMETHEUS, 0);
	starts_with(text,
	    "Status: 200 OK\r\n"
	    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	starts_with(body_of(text), "# HELP polysocket_info ");
	snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n",
	    strlen(body_of(text)));
	assert_non_null(strstr(text, length));
}

static void
head_of_figures_has_no_body(void **state)
{
	(void)state;
	assert_string_equal(body_of(stats(PS_IPC_STATS_JSON, PS_STYLE_HEAD)),
	    "");
	assert_string_equal(
	    body_of(stats(PS_IPC_STATS_PROMETHEUS, PS_STYLE_HEAD)), "");
}

static void
a_refusal_is_answered_and_counted(void **state)
{
	const struct ps_ipc_refuse m = { request(PS_STYLE_NO_CORS), 7,
		PS_CODE_ORIGIN_REFUSED };
	const char *text;

	(void)state;
	ps_ipc_encode_refuse(&frame, &m);
	text = answer(service_on_refuse);
	starts_with(text, "Status: 403 Forbidden\r\n");
	assert_null(strstr(text, "Access-Control-Allow-Origin"));
	assert_non_null(strstr(text, "\"code\":\"origin_refused\"}"));
	assert_int_equal(bridge.totals.refusals[PS_CODE_ORIGIN_REFUSED], 1);
}

static void
a_probe_begins_at_once(void **state)
{
	const struct ps_ipc_probe m = { request(0) };
	const char *text;

	(void)state;
	ps_ipc_encode_probe(&frame, &m);
	text = answer(service_on_probe);
	starts_with(body_of(text), "chunk 1 of 10, 0 ms, ");
	assert_false(web.ended);
	web_server_close(&web);
	fixture_turn();
}

/* The caller closes the connection of what is none of these. */
static void
what_is_malformed_takes_no_connection(void **state)
{
	static const handler_fn handlers[] = { service_on_refuse,
		service_on_ready, service_on_probe, service_on_stats };
	struct ps_reader body;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(handlers); i++) {
		ps_reader_init(&body, "\0", 1);
		assert_row(i,
		    handlers[i](&bridge, &body, -1) == PS_ERR_MALFORMED);
	}
	assert_true(LIST_EMPTY(&bridge.exchanges));
}

#define on_loop(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup_loop, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		on_loop(a_bridge_that_answers_is_ready),
		on_loop(one_that_drains_is_not),
		on_loop(figures_come_in_both_forms),
		on_loop(head_of_figures_has_no_body),
		on_loop(a_refusal_is_answered_and_counted),
		on_loop(a_probe_begins_at_once),
		on_loop(what_is_malformed_takes_no_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
