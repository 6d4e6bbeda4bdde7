/* The route that asks for the history of a channel, and its answer. */
#include "config.h"

#include "history_fixture.h"

#include "wsbridge/channels/channels.h"

static struct ps_writer frame;

static int
teardown(void **state)
{
	ps_writer_deinit(&frame);
	return history_teardown(state);
}

static void
request_history(const char *since, uint32_t limit, struct ps_style style)
{
	const struct ps_ipc_history m = { { REQUEST_ID, style },
		ps_slice_str("news"), ps_slice_str(since), limit };
	struct ps_reader body;
	uint8_t type;

	ps_writer_reset(&frame);
	ps_ipc_encode_history(&frame, &m);
	assert_true(ps_ipc_split(frame.data, frame.len, &type, &body) > 0);
	assert_int_equal(channels_on_history(&bridge, &body,
			     web_server_open(&web)),
	    PS_OK);
}

static const char *
answer(void)
{
	run_until(LIST_EMPTY(&bridge.exchanges));
	web_server_read_all(&web);
	ps_writer_u8(&web.out, '\0');
	return web.out.data;
}

static const char *
body_of(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void
the_answer_has_all_of_each_event(void **state)
{
	char expected[256];

	(void)state;
	start();
	history_put(&bridge, ps_slice_str("news"), "evt_AAAAAAAA",
	    ps_slice_str("{\"b\":1.0,\"a\":\"\xe2\x80\xa8</\"}"));
	run_until(all_is_written());
	admin_run("UPDATE channel_events SET sent_at = strftime('%%Y-%%m-%%d "
		  "%%H:%%M', 'now') || ':07.045'");
	snprintf(expected, sizeof(expected),
	    "{\"history\":[{\"eventID\":\"evt_AAAAAAAA\",\"payload\":"
	    "{\"b\":1.0,\"a\":\"\xe2\x80\xa8</\"},\"time\":\"%s\"}]}",
	    admin_text("SELECT replace(sent_at, ' ', 'T') || 'Z' FROM "
		       "channel_events"));
	request_history("", 100, (struct ps_style){ 0 });
	assert_int_equal(bridge.n_held, 1);
	assert_string_equal(body_of(answer()), expected);
	assert_int_equal(bridge.n_held, 0);
	request_history("", 100,
	    (struct ps_style){ .callback = ps_slice_str("f") });
	assert_non_null(strstr(answer(),
	    "/**/f({\"history\":[{\"eventID\":\"evt_AAAAAAAA\",\"payload\":"
	    "{\"b\":1.0,\"a\":\"\\u2028<\\/\"},"));
	request_history("", 100,
	    (struct ps_style){ .flags = PS_STYLE_HEAD });
	assert_string_equal(body_of(answer()), "");
}

static void
the_answer_tells_of_gaps_and_more(void **state)
{
	(void)state;
	start();
	request_history("", 100, (struct ps_style){ 0 });
	assert_string_equal(body_of(answer()), "{\"history\":[]}");
	request_history("e0", 100, (struct ps_style){ 0 });
	assert_string_equal(body_of(answer()),
	    "{\"history\":[],\"gap\":true}");
	put_many("news", "e", 1, 3);
	request_history("e1", 1, (struct ps_style){ 0 });
	assert_non_null(strstr(answer(), "\"e2\""));
	assert_non_null(strstr(web.out.data, "}],\"more\":true}"));
}

static void
the_answer_to_one_that_fails_is_503(void **state)
{
	(void)state;
	start();
	assert_int_equal(rename(database_path, database_beside("kept")), 0);
	run_until(store_status(bridge.store).failing);
	request_history("", 100,
	    (struct ps_style){ .flags = PS_STYLE_SUCCESS });
	assert_non_null(strstr(answer(), "Status: 503 "));
	assert_non_null(strstr(web.out.data, "{\"success\":false,"));
	assert_non_null(strstr(web.out.data, "\"database_unavailable\""));
	assert_int_equal(rename(database_beside("kept"), database_path), 0);
}

static void
one_that_goes_away_is_forgotten(void **state)
{
	(void)state;
	start();
	admin_lock();
	put("news", "e1");
	request_history("", 100, (struct ps_style){ 0 });
	assert_int_equal(bridge.n_held, 1);
	web_server_close(&web);
	run_until(LIST_EMPTY(&bridge.exchanges));
	assert_int_equal(bridge.n_held, 0);
	admin_unlock();
	run_until(all_is_written());
}

static void
max_held_bounds_those_that_wait(void **state)
{
	(void)state;
	start();
	fixture_set("max_held=1");
	bridge.n_held = 1;
	request_history("", 100, (struct ps_style){ 0 });
	assert_non_null(strstr(answer(), "\"max_held\""));
	bridge.n_held = 0;
}

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, history_setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(the_answer_has_all_of_each_event),
		fresh(the_answer_tells_of_gaps_and_more),
		fresh(the_answer_to_one_that_fails_is_503),
		fresh(one_that_goes_away_is_forgotten),
		fresh(max_held_bounds_those_that_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
