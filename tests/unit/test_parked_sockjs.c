/*
 * Receivers of SockJS: polls and streams that greet, that are the end when they
 * are lost, and of which each hears how the session was closed.
 */
#include "config.h"

#include "fixture.h"

#include "wsbridge/framing/sockjs.h"
#include "wsbridge/http/parked.h"

#define HOLD_MS 2000
#define HEAD_MS 500 /* until the head of a poll that waits goes ahead */
#define INTERRUPTED "c[1002,\"Connection interrupted\"]\n"

static struct exchange *
request(struct web_server *w, enum ps_sockjs_framing framing)
{
	struct ps_style style = { .flags = PS_STYLE_SOCKJS };

	if (framing == PS_SOCKJS_HTMLFILE || framing == PS_SOCKJS_JSONP)
		style.callback = ps_slice_str("cb");
	return fixture_exchange(w, &style);
}

/* The first receiver, and a later one. */
static void
greet(struct session *session, struct web_server *w,
    enum ps_sockjs_framing framing)
{
	parked_open(session, request(w, framing), framing_sockjs(framing),
	    HOLD_MS);
}

static void
park(struct session *session, struct web_server *w,
    enum ps_sockjs_framing framing)
{
	parked_go_on(session, request(w, framing), framing_sockjs(framing),
	    HOLD_MS);
}

/* What has come of the body since the last call; the head comes first. */
static struct ps_slice
body(struct web_server *w)
{
	static char text[65536];
	char *begin;
	size_t len;

	web_server_read_all(w);
	ps_writer_u8(&w->out, 0);
	begin = w->out.data;
	if (strncmp(begin, "Status: 200", 11) == 0) {
		begin = strstr(begin, "\r\n\r\n");
		assert_non_null(begin);
		begin += 4;
	}
	len = w->out.len - 1 - (size_t)(begin - w->out.data);
	assert_true(len < sizeof(text));
	memcpy(text, begin, len);
	ps_writer_reset(&w->out);
	return ps_slice(text, len);
}

/* A session whose first poll got its answer. */
static struct session *
polled(void)
{
	struct session *session = fixture_open();

	greet(session, &web, PS_SOCKJS_XHR);
	assert_slice(body(&web), "o\n");
	assert_true(web.ended);
	return session;
}

static void
assert_polled(struct session *session, const char *text)
{
	park(session, &web, PS_SOCKJS_XHR);
	assert_slice(body(&web), text);
	assert_true(web.ended);
	assert_null(session->receiver);
}

/* The peer closes at once when it is asked to, as applications do. */
static void
answer_close(struct session *session)
{
	assert_int_equal(peer.n_close, 1);
	session_peer_closed(session, (uint16_t)peer.close_code,
	    ps_slice_str(peer.close_reason), true);
}

/* --- the first receiver --- */

static void
the_first_poll_is_answered_with_the_greeting_alone(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "\"kept\"");
	greet(session, &web, PS_SOCKJS_XHR);
	assert_slice(body(&web), "o\n");
	assert_true(web.ended);
	assert_int_equal(web.n_records, 1);
	assert_null(session->receiver);
	assert_int_equal(bridge.n_held, 0);
	assert_polled(session, "a[\"kept\"]\n");
	assert_int_equal(session->queue.count, 0);
}

static void
the_first_stream_goes_on_behind_the_greeting(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "\"kept\"");
	greet(session, &web, PS_SOCKJS_EVENTSOURCE);
	assert_slice(body(&web),
	    "\r\ndata: o\r\n\r\ndata: a[\"kept\"]\r\n\r\n");
	assert_false(web.ended);
	fixture_from_peer(session, "\"x\"");
	assert_slice(body(&web), "data: a[\"x\"]\r\n\r\n");
	assert_int_equal(bridge.n_held, 1);
}

static void
the_first_by_jsonp_has_its_call(void **state)
{
	(void)state;
	greet(fixture_open(), &web, PS_SOCKJS_JSONP);
	assert_slice(body(&web), "/**/cb(\"o\");\r\n");
	assert_true(web.ended);
}

static void
a_first_stream_above_the_ceiling_ends_its_session(void **state)
{
	struct session *a = fixture_open(), *b = fixture_open();

	(void)state;
	fixture_set("max_held=1");
	assert_true(parked_may_hold(&bridge));
	greet(a, &web, PS_SOCKJS_XHR_STREAMING);
	assert_false(parked_may_hold(&bridge));
	greet(b, &other_web, PS_SOCKJS_XHR_STREAMING);
	web_server_read(&other_web);
	ps_writer_u8(&other_web.out, 0);
	assert_non_null(strstr(other_web.out.data, "Status: 503 "));
	assert_true(other_web.ended);
	assert_int_equal(bridge.sessions_by_id.count, 1);
	assert_int_equal(bridge.n_held, 1);
}

static void
a_first_poll_needs_no_room(void **state)
{
	struct session *a = fixture_open(), *b = fixture_open();

	(void)state;
	fixture_set("max_held=1");
	greet(a, &web, PS_SOCKJS_XHR_STREAMING);
	greet(b, &other_web, PS_SOCKJS_XHR);
	assert_slice(body(&other_web), "o\n");
	park(b, &other_web, PS_SOCKJS_XHR);
	assert_slice(body(&other_web), "h\n");
	assert_true(other_web.ended);
	assert_int_equal(b->state, SESSION_OPEN);
}

/* --- polls and streams --- */

static void
a_poll_that_waits_for_nothing_has_a_heartbeat(void **state)
{
	struct session *session = polled();

	(void)state;
	park(session, &web, PS_SOCKJS_XHR);
	fixture_advance(HOLD_MS - 1);
	assert_slice(body(&web), "");
	fixture_advance(1);
	assert_slice(body(&web), "h\n");
	assert_true(web.ended);
	fixture_advance(GRACE_MS - 1);
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_poll_that_is_answered_soon_gets_all_in_one(void **state)
{
	struct session *session = polled();

	(void)state;
	park(session, &web, PS_SOCKJS_XHR);
	fixture_advance(HEAD_MS - 1);
	web_server_read(&web);
	assert_int_equal(web.n_records, 0);
	fixture_from_peer(session, "\"one\"");
	assert_slice(body(&web), "a[\"one\"]\n");
	assert_true(web.ended);
	assert_int_equal(web.n_records, 1);
}

static void
a_poll_that_waits_longer_gets_its_head_first(void **state)
{
	struct session *session = polled();

	(void)state;
	park(session, &web, PS_SOCKJS_XHR);
	fixture_advance(HEAD_MS);
	assert_slice(body(&web), "");
	assert_int_equal(web.n_records, 1);
	fixture_advance(HEAD_MS); /* once is enough */
	web_server_read(&web);
	assert_int_equal(web.n_records, 1);
	fixture_from_peer(session, "\"one\"");
	assert_slice(body(&web), "a[\"one\"]\n");
	assert_true(web.ended);
	assert_int_equal(web.n_records, 2);
}

static void
a_poll_that_is_held_for_less_gets_no_head_first(void **state)
{
	struct session *session = polled();

	(void)state;
	parked_go_on(session, request(&web, PS_SOCKJS_XHR),
	    framing_sockjs(PS_SOCKJS_XHR), HEAD_MS);
	fixture_advance(HEAD_MS - 1);
	web_server_read(&web);
	assert_int_equal(web.n_records, 0);
	fixture_advance(1);
	assert_slice(body(&web), "h\n");
	assert_true(web.ended);
	assert_int_equal(web.n_records, 1);
}

static void
a_silent_stream_has_heartbeats(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	greet(session, &web, PS_SOCKJS_HTMLFILE);
	(void)body(&web);
	fixture_advance(HOLD_MS);
	assert_slice(body(&web), "<script>\np(\"h\");\n</script>\r\n");
	fixture_advance(HOLD_MS);
	assert_slice(body(&web), "<script>\np(\"h\");\n</script>\r\n");
	assert_false(web.ended);
}

static void
a_poll_takes_one_frame_of_all_that_waits(void **state)
{
	struct session *session = polled();

	(void)state;
	fixture_from_peer(session, "\"one\"");
	fixture_from_peer(session, "\"two\"");
	session_peer_closed(session, 3000, ps_slice_str("Go away!"), true);
	assert_polled(session, "a[\"one\",\"two\"]\n");
	assert_polled(session, "c[3000,\"Go away!\"]\n");
}

static void
a_frame_holds_no_more_than_a_reply_may(void **state)
{
	struct session *session = polled();
	char text[401];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[0] = text[399] = '"';
	text[400] = '\0';
	fixture_set("queue_bytes=1MiB");
	fixture_from_peer(session, text);
	fixture_from_peer(session, text);
	fixture_from_peer(session, text);
	fixture_from_peer(session, text);
	park(session, &web, PS_SOCKJS_XHR);
	assert_int_equal(body(&web).len, 3 * 400 + 5 + 1);
	park(session, &web, PS_SOCKJS_XHR);
	assert_int_equal(body(&web).len, 400 + 3 + 1);
}

/* What the suite of the protocol does: 31 frames of 134 bytes fill 4 KiB, and
 * the greeting and they are all that counts. */
static void
a_stream_ends_with_the_frame_that_fills_it(void **state)
{
	struct session *session = fixture_open();
	char text[131];
	unsigned i;

	(void)state;
	memset(text, 'x', 130);
	text[0] = text[129] = '"';
	text[130] = '\0';
	fixture_set("queue_bytes=1MiB");
	greet(session, &web, PS_SOCKJS_XHR_STREAMING);
	assert_int_equal(body(&web).len, 2049 + 2);
	for (i = 0; i < 31; i++) {
		assert_row(i, !web.ended);
		fixture_from_peer(session, text);
		assert_row(i, body(&web).len == 134);
	}
	assert_true(web.ended);
	assert_int_equal(session->state, SESSION_OPEN);
	assert_null(session->receiver);
}

static void
a_stream_ends_with_the_close(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	greet(session, &web, PS_SOCKJS_XHR_STREAMING);
	assert_int_equal(body(&web).len, 2049 + 2);
	fixture_from_peer(session, "\"last\"");
	session_peer_closed(session, 3000, ps_slice_str("Go away!"), true);
	assert_slice(body(&web), "a[\"last\"]\nc[3000,\"Go away!\"]\n");
	assert_true(web.ended);
}

/* --- the end --- */

static void
a_close_is_told_to_each_until_nobody_asks(void **state)
{
	struct session *session = polled();
	unsigned i;

	(void)state;
	session_peer_closed(session, 3000, ps_slice_str("Go away!"), true);
	for (i = 0; i < 5; i++) {
		fixture_advance(GRACE_MS - 1);
		assert_polled(session, "c[3000,\"Go away!\"]\n");
	}
	park(session, &web, PS_SOCKJS_EVENTSOURCE);
	assert_slice(body(&web),
	    "\r\ndata: c[3000,\"Go away!\"]\r\n\r\n");
	assert_true(web.ended);
	fixture_advance(GRACE_MS - 1);
	assert_int_equal(session->state, SESSION_CLOSING);
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
how_long_others_linger_changes_nothing(void **state)
{
	static const char *const lingers[] = { "close_linger=10ms",
		"close_linger=1h" };
	struct session *session;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(lingers); i++) {
		fixture_set(lingers[i]);
		session = polled();
		session_peer_closed(session, 3000, ps_slice(NULL, 0), true);
		fixture_advance(GRACE_MS - 1);
		assert_row(i, bridge.sessions_by_id.count == 1);
		fixture_advance(1);
		assert_row(i, bridge.sessions_by_id.count == 0);
	}
}

static void
before_the_bridge_ends_nobody_keeps_a_session(void **state)
{
	struct session *session = polled();

	(void)state;
	bridge.ending = true;
	session_drain(session);
	answer_close(session);
	fixture_advance(GRACE_MS - 1);
	assert_polled(session, "c[1001,\"server shutting down\"]\n");
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_lost_poll_is_the_end(void **state)
{
	struct session *session = polled();

	(void)state;
	park(session, &web, PS_SOCKJS_XHR);
	web_server_close(&web);
	fixture_advance(HEAD_MS);
	answer_close(session);
	assert_int_equal(peer.close_code, 1002);
	assert_int_equal(bridge.n_held, 0);
	fixture_from_peer(session, "\"late\"");
	assert_polled(session, INTERRUPTED);
	assert_polled(session, INTERRUPTED);
	fixture_advance(GRACE_MS);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

/* Before its head has gone out nobody looks; the answer finds it gone. */
static void
a_poll_that_was_lost_unseen_is_the_end(void **state)
{
	struct session *session = polled();

	(void)state;
	park(session, &web, PS_SOCKJS_XHR);
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(peer.n_close, 0);
	fixture_from_peer(session, "\"one\"");
	fixture_turn();
	answer_close(session);
	assert_int_equal(bridge.n_held, 0);
	assert_polled(session, INTERRUPTED);
}

static void
a_lost_stream_is_the_end(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	greet(session, &web, PS_SOCKJS_XHR_STREAMING);
	web_server_close(&web);
	fixture_turn();
	answer_close(session);
	assert_polled(session, INTERRUPTED);
}

/* A part of it may have arrived, and what comes behind it cannot. */
static void
nothing_follows_an_answer_that_was_cut(void **state)
{
	struct session *session = polled();

	(void)state;
	fixture_set("queue_bytes=256MiB");
	park(session, &web, PS_SOCKJS_XHR);
	fixture_large_from_peer(session);
	fixture_from_peer(session, "\"after\"");
	web_server_read(&web);
	assert_true(web.out.len > 0 && web.out.len < FIXTURE_LARGE);
	web_server_close(&web);
	fixture_turn();
	answer_close(session);
	assert_int_equal(session->queue.count, 0);
	assert_polled(session, INTERRUPTED);
}

static void
a_receiver_that_comes_before_the_peer_has_closed_hears_it_then(void **state)
{
	struct session *session = polled();

	(void)state;
	park(session, &web, PS_SOCKJS_XHR);
	fixture_advance(HEAD_MS);
	web_server_close(&web);
	fixture_turn();
	park(session, &web, PS_SOCKJS_XHR);
	assert_slice(body(&web), "");
	answer_close(session);
	assert_slice(body(&web), INTERRUPTED);
	assert_true(web.ended);
}

/* A stream that does not read while its session closes gives way. */
static void
a_close_is_told_past_a_stream_that_does_not_read(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_set("queue_bytes=256MiB");
	fixture_set("stream_bytes=1GiB");
	greet(session, &web, PS_SOCKJS_XHR_STREAMING);
	fixture_large_from_peer(session);
	session_peer_closed(session, 3000, ps_slice_str("Go away!"), true);
	park(session, &other_web, PS_SOCKJS_XHR);
	assert_slice(body(&other_web), "c[3000,\"Go away!\"]\n");
	assert_int_equal(session->state, SESSION_CLOSING);
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(session->state, SESSION_CLOSING);
	park(session, &other_web, PS_SOCKJS_XHR);
	assert_slice(body(&other_web), "c[3000,\"Go away!\"]\n");
}

/* --- without a session --- */

static void
one_that_is_refused_hears_why(void **state)
{
	static const struct {
		enum ps_sockjs_framing framing;
		size_t prelude;
		const char *frame;
	} rows[] = {
		{ PS_SOCKJS_XHR, 0, "c[2010,\"x\"]\n" },
		{ PS_SOCKJS_XHR_STREAMING, 2049, "c[2010,\"x\"]\n" },
		{ PS_SOCKJS_EVENTSOURCE, 2, "data: c[2010,\"x\"]\r\n\r\n" },
		{ PS_SOCKJS_HTMLFILE, 1028,
		    "<script>\np(\"c[2010,\\\"x\\\"]\");\n</script>\r\n" },
		{ PS_SOCKJS_JSONP, 0, "/**/cb(\"c[2010,\\\"x\\\"]\");\r\n" },
	};
	struct ps_slice got;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		parked_reply_close(request(&web, rows[i].framing),
		    framing_sockjs(rows[i].framing), 2010, "x");
		got = body(&web);
		assert_row(i, web.ended);
		assert_row(i, got.len > rows[i].prelude);
		got.data += rows[i].prelude;
		got.len -= rows[i].prelude;
		assert_slice(got, rows[i].frame);
	}
	assert_int_equal(bridge.n_held, 0);
}

#define on_loop(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup_loop, \
	    fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		on_loop(the_first_poll_is_answered_with_the_greeting_alone),
		on_loop(the_first_stream_goes_on_behind_the_greeting),
		on_loop(the_first_by_jsonp_has_its_call),
		on_loop(a_first_stream_above_the_ceiling_ends_its_session),
		on_loop(a_first_poll_needs_no_room),
		on_loop(a_poll_that_waits_for_nothing_has_a_heartbeat),
		on_loop(a_poll_that_is_answered_soon_gets_all_in_one),
		on_loop(a_poll_that_waits_longer_gets_its_head_first),
		on_loop(a_poll_that_is_held_for_less_gets_no_head_first),
		on_loop(a_silent_stream_has_heartbeats),
		on_loop(a_poll_takes_one_frame_of_all_that_waits),
		on_loop(a_frame_holds_no_more_than_a_reply_may),
		on_loop(a_stream_ends_with_the_frame_that_fills_it),
		on_loop(a_stream_ends_with_the_close),
		on_loop(a_close_is_told_to_each_until_nobody_asks),
		on_loop(how_long_others_linger_changes_nothing),
		on_loop(before_the_bridge_ends_nobody_keeps_a_session),
		on_loop(a_lost_poll_is_the_end),
		on_loop(a_poll_that_was_lost_unseen_is_the_end),
		on_loop(a_lost_stream_is_the_end),
		on_loop(nothing_follows_an_answer_that_was_cut),
		on_loop(
		    a_receiver_that_comes_before_the_peer_has_closed_hears_it_then),
		on_loop(a_close_is_told_past_a_stream_that_does_not_read),
		on_loop(one_that_is_refused_hears_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
