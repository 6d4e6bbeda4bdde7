/*
 * What is said over the WebSockets of SockJS, without one: frames of what waits
 * for a client, and what its texts mean.
 */
#include "config.h"

#include "fixture.h"

#include "wsbridge/websocket/frames.h"
#include "wsbridge/websocket/ws_style.h"

#define NO_LIMIT SIZE_MAX

static struct ws_tools tools;
static struct ps_writer out;

static int
setup(void **state)
{
	memset(&tools, 0, sizeof(tools));
	return fixture_setup(state);
}

static int
teardown(void **state)
{
	ws_tools_deinit(&tools);
	ps_writer_deinit(&out);
	return fixture_teardown(state);
}

/* A session for which messages of any size may wait. */
static struct session *
opened(void)
{
	fixture_set("queue_messages=100");
	fixture_set("queue_bytes=256MiB");
	fixture_set("max_message=1MiB");
	return fixture_open();
}

static uint32_t
put_as(const struct ws_style *style, const struct session *session,
    bool deflate, size_t limit)
{
	struct ws_output output = { &out, &tools, deflate };

	ps_writer_reset(&out);
	return style->put(&output, session, limit);
}

/* The frames in `out`: 'T', or 'C' where it is compressed, the text as it is on
 * the wire, and a semicolon. */
static struct ps_slice
frames(void)
{
	static struct ps_writer text;
	size_t at = 0, len;

	ps_writer_reset(&text);
	assert_false(out.failed);
	while (at < out.len) {
		unsigned char first = (unsigned char)out.data[at];

		assert_int_equal(first & 0x8f, 0x80 | FRAME_TEXT);
		len = (unsigned char)out.data[at + 1];
		assert_true(len < 126);
		ps_writer_str(&text, first & 0x40 ? "C" : "T");
		ps_writer_bytes(&text, out.data + at + 2, len);
		ps_writer_str(&text, ";");
		at += 2 + len;
	}
	return written(&text);
}

/* A literal of that many bytes. */
static char *
long_literal(size_t len)
{
	static char text[2000];

	assert_true(len < sizeof(text));
	memset(text, 'x', len);
	text[0] = text[len - 1] = '"';
	text[len] = '\0';
	return text;
}

/* --- to the client --- */

static void
all_that_waits_is_one_frame(void **state)
{
	struct session *session = opened();

	(void)state;
	assert_int_equal(put_as(&ws_sockjs, session, false, NO_LIMIT), 0);
	assert_int_equal(out.len, 0);
	fixture_from_peer(session, "\"one\"");
	assert_int_equal(put_as(&ws_sockjs, session, false, NO_LIMIT), 1);
	assert_slice(frames(), "Ta[\"one\"];");
	fixture_from_peer(session, "\"two\"");
	fixture_from_peer(session, "\"\\u2028\"");
	assert_int_equal(put_as(&ws_sockjs, session, false, NO_LIMIT), 3);
	assert_slice(frames(), "Ta[\"one\",\"two\",\"\\u2028\"];");
}

static void
a_frame_holds_no_more_than_a_reply_may(void **state)
{
	struct session *session = opened();
	unsigned i;

	(void)state;
	for (i = 0; i < 10; i++)
		fixture_from_peer(session, "\"12345678\"");
	assert_int_equal(put_as(&ws_sockjs, session, false, 26), 3);
	assert_int_equal(put_as(&ws_sockjs, session, false, 1), 1);
	assert_int_equal(put_as(&ws_raw, session, false, 25), 3);
}

static void
raw_messages_are_frames_of_their_own(void **state)
{
	struct session *session = opened();

	(void)state;
	fixture_from_peer(session, "\"a\\\"\\\\\\u2028\"");
	fixture_from_peer(session, "\"\"");
	fixture_from_peer(session, "\"\\ud800\"");
	assert_int_equal(put_as(&ws_raw, session, false, NO_LIMIT), 3);
	assert_slice(frames(),
	    "Ta\"\\\xe2\x80\xa8;T;T\xef\xbf\xbd;");
}

/* What is decoded is shorter, and what is around it longer than thought. */
static void
headers_fit_whatever_becomes_of_a_text(void **state)
{
	static const size_t lens[] = { 120, 122, 123, 125, 126, 127, 128, 129,
		130, 520, 1900 };
	struct session *session;
	unsigned char *data;
	size_t i, head, len;

	(void)state;
	for (i = 0; i < ROWS(lens); i++) {
		session = opened();
		fixture_from_peer(session, long_literal(lens[i]));
		put_as(&ws_sockjs, session, false, NO_LIMIT);
		data = (unsigned char *)out.data;
		len = lens[i] + 3;
		head = frame_head_len(len);
		assert_row(i, out.len == head + len);
		assert_row(i, data[1] == (len < 126 ? len : 126));
		assert_row(i, data[head] == 'a' && data[head + 2] == '"');
		put_as(&ws_raw, session, false, NO_LIMIT);
		len = lens[i] - 2;
		head = frame_head_len(len);
		assert_row(i, out.len == head + len);
		session_end(session, "test");
		fixture_turn();
	}
}

static void
what_many_get_is_made_once(void **state)
{
	struct session *a = opened(), *b = opened();
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str("\"one\""));
	struct message *other;

	(void)state;
	session_from_peer(a, message_ref(message));
	session_from_peer(b, message);
	put_as(&ws_sockjs, a, false, NO_LIMIT);
	assert_ptr_equal(tools.shared[WS_SOCKJS][0].message, message);
	/* To be seen: it is not made from the message again. */
	tools.shared[WS_SOCKJS][0].frame.data[4] = '!';
	assert_int_equal(put_as(&ws_sockjs, b, false, NO_LIMIT), 1);
	assert_slice(frames(), "Ta[!one\"];");
	/* Neither raw, nor where more waits. */
	put_as(&ws_raw, b, false, NO_LIMIT);
	assert_slice(frames(), "Tone;");
	fixture_from_peer(b, "\"two\"");
	assert_int_equal(put_as(&ws_sockjs, b, false, NO_LIMIT), 2);
	assert_slice(frames(), "Ta[\"one\",\"two\"];");
	/* One for a single client takes the place of none. */
	put_as(&ws_sockjs, a, false, NO_LIMIT);
	other = message_create(PS_EVENT_TEXT, ps_slice_str("\"mine\""));
	session_take(b, 2, false);
	session_from_peer(b, other);
	put_as(&ws_sockjs, b, false, NO_LIMIT);
	assert_slice(frames(), "Ta[\"mine\"];");
	assert_ptr_equal(tools.shared[WS_SOCKJS][0].message, message);
}

static void
what_many_get_is_compressed_once_for_those_who_can(void **state)
{
	struct session *a = opened(), *b = opened();
	struct message *message = message_create(PS_EVENT_TEXT,
	    ps_slice_str(long_literal(1000)));
	struct ps_slice text;
	size_t len;

	(void)state;
	session_from_peer(a, message_ref(message));
	session_from_peer(b, message);
	put_as(&ws_sockjs, a, true, NO_LIMIT);
	len = out.len;
	assert_true(len < 100);
	assert_int_equal((unsigned char)out.data[0], 0xc0 | FRAME_TEXT);
	assert_int_equal(
	    deflate_expand(&tools.deflate, ps_slice(out.data + 2, len - 2),
		2000, &text),
	    PS_OK);
	assert_int_equal(text.len, 1003);
	assert_int_equal(put_as(&ws_sockjs, b, true, NO_LIMIT), 1);
	assert_int_equal(out.len, len);
	/* Who has not agreed on it gets none of that. */
	put_as(&ws_sockjs, b, false, NO_LIMIT);
	assert_int_equal((unsigned char)out.data[0], 0x80 | FRAME_TEXT);
	assert_int_equal(out.len, 4 + 1003);
	deflate_release(&tools.deflate);
}

static void
a_close_of_any_reason_is_a_frame(void **state)
{
	char reason[PS_CLOSE_REASON_MAX];
	size_t i;

	(void)state;
	ws_sockjs.close(&out, 3000, ps_slice_str("Go away!"));
	assert_slice(frames(), "Tc[3000,\"Go away!\"];");
	for (i = 0; i < sizeof(reason); i++)
		reason[i] = 1;
	ps_writer_reset(&out);
	ws_sockjs.close(&out, 4999, ps_slice(reason, sizeof(reason)));
	assert_int_equal(out.len, 4 + 10 + 6 * sizeof(reason));
	assert_null(ws_raw.close);
}

static void
greetings_and_heartbeats_are_frames(void **state)
{
	(void)state;
	ws_sockjs.greet(&out);
	ws_sockjs.heartbeat(&out);
	assert_slice(frames(), "To;Th;");
	ps_writer_reset(&out);
	assert_null(ws_raw.greet);
	ws_raw.heartbeat(&out);
	assert_int_equal(out.len, 2);
	assert_int_equal((unsigned char)out.data[0], 0x80 | FRAME_PING);
}

/* --- from the client --- */

static void
texts_of_sockjs_are_strings_in_an_array_or_one_without(void **state)
{
	static const struct {
		const char *text, *sent; /* as in struct fake_peer */
	} rows[] = {
		{ "[\"a\"]", "t:\"a\";" },
		{ "[\"a\",\"b\"]", "t:\"a\";t:\"b\";" },
		{ "\"a\"", "t:\"a\";" },
		{ " \r\n\t[ \"a\" , \"\" ] ", "t:\"a\";t:\"\";" },
		{ " \"a\" ", "t:\"a\";" },
		{ "\t\r\n \"a\"\t\r\n ", "t:\"a\";" },
		{ "\"\"", "t:\"\";" },
		/* In one form, however they were said. */
		{ "[\"\\u0061\\/\\u000a\xe2\x80\xa8\"]",
		    "t:\"a/\\n\\u2028\";" },
		{ "\"\\ud83d\\ude00\\ud800\"",
		    "t:\"\xf0\x9f\x98\x80\\ud800\";" },
		/* Nothing. */
		{ "", "" },
		{ " \t\r\n", "" },
		{ "[]", "" },
		{ " [ ] ", "" },
	};
	struct session *session = opened();
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_row(i, ws_sockjs.take(session,
				  ps_slice_str(rows[i].text)) == PS_OK);
		assert_slice(written(&peer.sent), rows[i].sent);
		ps_writer_reset(&peer.sent);
	}
}

static void
anything_else_is_broken_and_says_nothing(void **state)
{
	static const char *const rows[] = { "[\"a", "[\"a\"", "\"a", "a",
		"[\"a\",]", "[\"a\" \"b\"]", "[\"a\"]]", "{}", "{\"a\":\"b\"}",
		"1", "null", "true", "[1]", "[\"a\",1]", "[\"a\",[\"b\"]]",
		"[null]", "\"a\"\"b\"", "[\"\\x\"]", "[\"\\u12\"]",
		"[\"\n\"]" };
	struct session *session = opened();
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_row(i, ws_sockjs.take(session,
				  ps_slice_str(rows[i])) == PS_ERR_MALFORMED);
		assert_row(i, peer.sent.len == 0);
	}
}

/* As many as a request may have; what is in front has been taken. */
static void
a_text_has_so_many_strings_and_no_more(void **state)
{
	struct session *session = opened();
	struct ps_writer text = { 0 };
	unsigned i;

	(void)state;
	ps_writer_str(&text, "[\"\"");
	for (i = 1; i < PS_IPC_EVENTS_MAX; i++)
		ps_writer_str(&text, ",\"\"");
	ps_writer_str(&text, "]");
	assert_int_equal(
	    ws_sockjs.take(session, ps_slice(text.data, text.len)), PS_OK);
	assert_int_equal(peer.n_sent, PS_IPC_EVENTS_MAX);
	text.len--;
	ps_writer_str(&text, ",\"\"]");
	assert_int_equal(
	    ws_sockjs.take(session, ps_slice(text.data, text.len)),
	    PS_ERR_TOO_LARGE);
	assert_int_equal(peer.n_sent, 2 * PS_IPC_EVENTS_MAX);
	ps_writer_deinit(&text);
}

static void
raw_texts_are_taken_as_they_are(void **state)
{
	struct session *session = opened();

	(void)state;
	assert_int_equal(ws_raw.take(session, ps_slice_str("[\"a\n")), PS_OK);
	assert_int_equal(ws_raw.take(session, ps_slice_str("")), PS_OK);
	assert_slice(written(&peer.sent), "t:\"[\\\"a\\n\";t:\"\";");
}

static void
a_session_has_its_word_on_each_message(void **state)
{
	struct session *session = opened();

	(void)state;
	session->kind = PS_SESSION_APPLICATION;
	fixture_set("max_message=10B");
	assert_int_equal(
	    ws_sockjs.take(session,
		ps_slice_str("[\"1234567890\",\"12345678901\"]")),
	    PS_ERR_TOO_LARGE);
	assert_slice(written(&peer.sent), "t:\"1234567890\";");
	assert_int_equal(session->traffic.bytes_up, 10);
	fixture_from_peer(session, "\"\"");
	assert_int_equal(session->traffic.bytes_down, 0);
	fixture_set("max_body=1KiB");
	assert_int_equal(ws_sockjs.largest(session), 1024);
	/* An array of one string. */
	fixture_set("max_message=1021B");
	assert_int_equal(ws_sockjs.largest(session), 1025);
	fixture_set("max_message=10B");
	assert_int_equal(ws_raw.largest(session), 10);
	peer.room_count = 0;
	assert_int_equal(ws_raw.take(session, ps_slice_str("a")), PS_ERR_FULL);
	session_peer_closed(session, 3000, ps_slice(NULL, 0), true);
	assert_int_equal(ws_sockjs.take(session, ps_slice_str("\"a\"")),
	    PS_ERR_CLOSED);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(all_that_waits_is_one_frame),
		fresh(a_frame_holds_no_more_than_a_reply_may),
		fresh(raw_messages_are_frames_of_their_own),
		fresh(headers_fit_whatever_becomes_of_a_text),
		fresh(what_many_get_is_made_once),
		fresh(what_many_get_is_compressed_once_for_those_who_can),
		fresh(a_close_of_any_reason_is_a_frame),
		fresh(greetings_and_heartbeats_are_frames),
		fresh(texts_of_sockjs_are_strings_in_an_array_or_one_without),
		fresh(anything_else_is_broken_and_says_nothing),
		fresh(a_text_has_so_many_strings_and_no_more),
		fresh(raw_texts_are_taken_as_they_are),
		fresh(a_session_has_its_word_on_each_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
