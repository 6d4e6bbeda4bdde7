#include "config.h"

#include "fixture.h"

#include "wsbridge/http/probe.h"

#include <ctype.h>

static void
begin(unsigned flags)
{
	const struct ps_style style = { .flags = flags };

	probe_create(fixture_exchange(&web, &style));
	web_server_read(&web);
}

/* What has come since the last call is chunk `n`, and nothing else. */
static void
expect_chunk(unsigned n)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ\n";
	char expected[64];
	size_t len, i;

	web_server_read(&web);
	len = (size_t)snprintf(expected, sizeof(expected),
	    "chunk %u of 10, %u ms, ", n, (n - 1) * PROBE_PERIOD_MS);
	assert_int_equal(web.out.len, len + sizeof(form) - 1);
	assert_memory_equal(web.out.data, expected, len);
	for (i = 0; form[i] != '\0'; i++) {
		if (form[i] == 'd')
			assert_true(isdigit(web.out.data[len + i]));
		else
			assert_int_equal(web.out.data[len + i], form[i]);
	}
	ps_writer_reset(&web.out);
}

static void
expect_head(const char *status)
{
	char *end = memmem(web.out.data, web.out.len, "\r\n\r\n", 4);

	assert_non_null(end);
	assert_memory_equal(web.out.data, status, strlen(status));
	web.out.len -= (size_t)(end + 4 - web.out.data);
	memmove(web.out.data, end + 4, web.out.len);
}

static void
ten_chunks_come_200_ms_apart(void **state)
{
	unsigned n;

	(void)state;
	begin(0);
	ps_writer_u8(&web.out, 0);
	assert_non_null(strstr(web.out.data,
	    "Content-Type: text/plain; charset=utf-8\r\n"));
	assert_non_null(strstr(web.out.data, "X-Accel-Buffering: no\r\n"));
	web.out.len--;
	expect_head("Status: 200 OK\r\n");
	expect_chunk(1);
	for (n = 2; n <= PROBE_CHUNKS; n++) {
		assert_false(web.ended);
		fixture_advance(PROBE_PERIOD_MS - 1);
		web_server_read(&web);
		assert_int_equal(web.out.len, 0);
		fixture_advance(1);
		expect_chunk(n);
	}
	assert_true(web.ended);
	assert_int_equal(web.n_records, PROBE_CHUNKS);
}

static void
a_late_chunk_does_not_delay_the_next(void **state)
{
	(void)state;
	begin(0);
	ps_writer_reset(&web.out);
	fixture_advance(PROBE_PERIOD_MS + 150);
	web_server_read(&web);
	ps_writer_reset(&web.out);
	fixture_advance(50);
	expect_chunk(3);
}

static void
a_probe_is_held(void **state)
{
	(void)state;
	fixture_set("max_held=1");
	begin(0);
	assert_int_equal(bridge.n_held, 1);
	probe_create(fixture_exchange(&other_web, NULL));
	web_server_read(&other_web);
	ps_writer_u8(&other_web.out, 0);
	assert_non_null(strstr(other_web.out.data,
	    "Status: 503 Service Unavailable\r\n"));
	assert_non_null(strstr(other_web.out.data, "Retry-After: 5\r\n"));
	assert_non_null(strstr(other_web.out.data,
	    "\"code\":\"too_many_held\",\"limit\":\"max_held\"}"));
	assert_true(other_web.ended);
	fixture_advance(PROBE_CHUNKS * PROBE_PERIOD_MS);
	assert_int_equal(bridge.n_held, 0);
}

static void
a_client_that_leaves_ends_its_probe(void **state)
{
	(void)state;
	begin(0);
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(bridge.n_held, 0);
	assert_true(LIST_EMPTY(&bridge.exchanges));
	fixture_advance(PROBE_PERIOD_MS);
}

static unsigned n_drained;

static void
count_drained(struct bridge *of)
{
	(void)of;
	n_drained++;
}

static void
the_end_of_the_bridge_ends_a_probe_with_its_next_chunk(void **state)
{
	(void)state;
	begin(0);
	expect_head("Status: 200 OK\r\n");
	expect_chunk(1);
	bridge.draining = bridge.ending = true;
	bridge.on_drained = count_drained;
	fixture_advance(PROBE_PERIOD_MS);
	expect_chunk(2);
	assert_true(web.ended);
	assert_int_equal(bridge.n_held, 0);
	assert_int_equal(n_drained, 1);
}

static void
none_begins_while_draining(void **state)
{
	(void)state;
	bridge.draining = true;
	bridge.on_drained = count_drained;
	begin(0);
	expect_head("Status: 503 Service Unavailable\r\n");
	assert_true(web.ended);
}

static void
head_gets_the_head_only(void **state)
{
	(void)state;
	begin(PS_STYLE_HEAD);
	expect_head("Status: 200 OK\r\n");
	assert_int_equal(web.out.len, 0);
	assert_true(web.ended);
	assert_int_equal(bridge.n_held, 0);
}

/* A web server that does not read gets all of it later. */
static void
chunks_wait_for_a_slow_web_server(void **state)
{
	struct exchange *exchange = fixture_exchange(&web, NULL);
	char *at;
	unsigned n;

	(void)state;
	while (exchange_write(exchange, "x", 1))
		;
	probe_create(exchange);
	for (n = 2; n <= PROBE_CHUNKS; n++)
		fixture_advance(PROBE_PERIOD_MS);
	assert_int_equal(bridge.n_held, 0);
	web_server_read_all(&web);
	assert_true(web.ended);
	ps_writer_u8(&web.out, 0);
	at = strstr(web.out.data, "chunk 1 of 10, 0 ms, ");
	assert_non_null(at);
	assert_non_null(strstr(at, "chunk 10 of 10, 1800 ms, "));
}

#define on_loop(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup_loop, \
	    fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		on_loop(ten_chunks_come_200_ms_apart),
		on_loop(a_late_chunk_does_not_delay_the_next),
		on_loop(a_probe_is_held),
		on_loop(a_client_that_leaves_ends_its_probe),
		on_loop(the_end_of_the_bridge_ends_a_probe_with_its_next_chunk),
		on_loop(none_begins_while_draining),
		on_loop(head_gets_the_head_only),
		on_loop(chunks_wait_for_a_slow_web_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
