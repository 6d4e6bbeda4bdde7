#include "config.h"

#include "fixture.h"

#include "wsbridge/http/parked.h"

#define HOLD_MS 2000
#define HEAD_MS 500 /* until the head of one with `ack` goes ahead */
#define NOTHING "{\"ok\":true,\"events\":[{\"type\":\"heartbeat\"}]}"
#define TEXT(text) "{\"type\":\"string\",\"data\":\"" text "\"}"
#define EVENTS(events) "{\"ok\":true,\"events\":[" events "]}"

static void
park_as(struct session *session, struct web_server *w,
    enum ps_ipc_framing framing, bool acknowledges, uint64_t ack)
{
	struct ps_style style = { 0 };

	if (framing == PS_IPC_FRAMING_JSONP)
		style.callback = ps_slice_str("cb");
	parked_create(session, fixture_exchange(w, &style),
	    framing_relay(framing),
	    &(struct ps_ipc_receive){ .hold_ms = HOLD_MS,
		.acknowledges = acknowledges,
		.ack = ack });
}

static void
park(struct session *session, struct web_server *w,
    enum ps_ipc_framing framing)
{
	park_as(session, w, framing, false, 0);
}

static void
park_ack(struct session *session, struct web_server *w,
    enum ps_ipc_framing framing, uint64_t ack)
{
	park_as(session, w, framing, true, ack);
}

static void
assert_refused(struct web_server *w, const char *status, const char *word)
{
	web_server_read(w);
	ps_writer_u8(&w->out, 0);
	assert_int_equal(strncmp(w->out.data, "Status: ", 8), 0);
	assert_int_equal(strncmp(w->out.data + 8, status, 3), 0);
	assert_non_null(strstr(w->out.data, word));
	assert_true(w->ended);
}

/* What has come of the body since the last call; the head comes first. */
static struct ps_slice
body(struct web_server *w)
{
	static char text[65536];
	char *end;
	size_t len;

	web_server_read_all(w);
	ps_writer_u8(&w->out, 0);
	end = strstr(w->out.data, "\r\n\r\n");
	if (strncmp(w->out.data, "Status: ", 8) == 0) {
		assert_non_null(end);
		end += 4;
	} else {
		end = w->out.data;
	}
	len = w->out.len - 1 - (size_t)(end - w->out.data);
	assert_true(len < sizeof(text));
	memcpy(text, end, len);
	ps_writer_reset(&w->out);
	return ps_slice(text, len);
}

/* --- polls --- */

static void
a_poll_takes_what_is_waiting(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	park(session, &web, PS_IPC_FRAMING_JSON);
	assert_slice(body(&web), EVENTS(TEXT("one") "," TEXT("two")));
	assert_true(web.ended);
	assert_int_equal(web.n_records, 1);
	assert_int_equal(session->queue.count, 0);
	assert_int_equal(bridge.n_held, 0);
}

static void
a_poll_waits_for_a_message(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSONP);
	assert_int_equal(bridge.n_held, 1);
	web_server_read(&web);
	assert_true(web.out.len > 0); /* the head */
	assert_slice(body(&web), "");
	assert_false(web.ended);
	fixture_from_peer(session, "one");
	assert_slice(body(&web), "/**/cb(" EVENTS(TEXT("one")) ");");
	assert_true(web.ended);
	assert_int_equal(bridge.n_held, 0);
	assert_null(session->receiver);
}

static void
a_poll_without_a_message_ends_with_a_heartbeat(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSON);
	fixture_advance(HOLD_MS - 1);
	assert_slice(body(&web), "");
	fixture_advance(1);
	assert_slice(body(&web), NOTHING);
	assert_true(web.ended);
	fixture_advance(GRACE_MS - 1);
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_poll_takes_no_more_than_a_reply_may_hold(void **state)
{
	struct session *session = fixture_open();
	char text[401] = "";
	unsigned i;

	(void)state;
	memset(text, 'x', 400);
	fixture_set("queue_bytes=1MiB");
	for (i = 0; i < 4; i++)
		fixture_from_peer(session, text);
	park(session, &web, PS_IPC_FRAMING_JSON);
	assert_true(body(&web).len > REPLY_BYTES);
	assert_true(web.ended);
	assert_int_equal(session->queue.count, 1);
	park(session, &web, PS_IPC_FRAMING_JSON);
	assert_true(body(&web).len > 400);
	assert_int_equal(session->queue.count, 0);
}

static void
a_message_outlives_a_client_that_has_gone(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSON);
	web_server_close(&web);
	fixture_turn();
	assert_null(session->receiver);
	assert_int_equal(bridge.n_held, 0);
	fixture_from_peer(session, "one");
	park(session, &web, PS_IPC_FRAMING_JSON);
	assert_slice(body(&web), EVENTS(TEXT("one")));
}

static void
a_client_that_goes_unseen_costs_no_message(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSON);
	web_server_close(&web);
	fixture_from_peer(session, "one"); /* written to nobody */
	fixture_turn();
	assert_null(session->receiver);
	assert_int_equal(session->queue.count, 1);
}

static void
an_answer_that_was_cut_comes_again_whole(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSON);
	fixture_large_from_peer(session);
	fixture_from_peer(session, "after");
	web_server_read(&web); /* a part of it, no more */
	assert_true(web.out.len > 0 && web.out.len < FIXTURE_LARGE);
	assert_int_equal(session->queue.count, 2);
	web_server_close(&web);
	fixture_turn();
	assert_null(session->receiver);
	park(session, &web, PS_IPC_FRAMING_JSON);
	web_server_read_all(&web);
	assert_true(web.ended);
	assert_true(web.out.len > FIXTURE_LARGE);
	assert_int_equal(session->queue.count, 1);
	park(session, &web, PS_IPC_FRAMING_JSON);
	assert_slice(body(&web), EVENTS(TEXT("after")));
}

static void
a_second_poll_replaces_the_first(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSON);
	park(session, &other_web, PS_IPC_FRAMING_JSON);
	assert_slice(body(&web), NOTHING);
	assert_true(web.ended);
	assert_int_equal(bridge.n_held, 1);
	fixture_from_peer(session, "one");
	assert_slice(body(&other_web), EVENTS(TEXT("one")));
	assert_true(other_web.ended);
}

static void
what_the_first_is_being_sent_is_not_doubled(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSON);
	fixture_large_from_peer(session);
	fixture_from_peer(session, "after");
	park(session, &other_web, PS_IPC_FRAMING_JSON);
	assert_slice(body(&other_web), EVENTS(TEXT("after")));
	web_server_read_all(&web);
	assert_true(web.ended && web.out.len > FIXTURE_LARGE);
	assert_int_equal(session->queue.count, 0);
}

static void
the_close_event_is_the_last_of_all(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "last");
	session_peer_closed(session, 4000, ps_slice_str("bye"), true);
	park(session, &web, PS_IPC_FRAMING_JSON);
	assert_slice(body(&web),
	    EVENTS(TEXT("last") ",{\"type\":\"close\",\"code\":4000,"
				"\"reason\":\"bye\",\"wasClean\":true}"));
	assert_true(web.ended);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_parked_poll_hears_of_the_close_at_once(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSON);
	session_peer_closed(session, 1006, ps_slice(NULL, 0), false);
	assert_slice(body(&web),
	    EVENTS("{\"type\":\"close\",\"code\":1006,\"reason\":\"\","
		   "\"wasClean\":false}"));
	assert_true(web.ended);
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_poll_whose_session_ends_is_answered(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_JSON);
	session_end(session, "test");
	assert_slice(body(&web), NOTHING);
	assert_true(web.ended);
	assert_int_equal(bridge.n_held, 0);
}

static void
a_poll_above_the_ceiling_is_answered_at_once(void **state)
{
	struct session *a = fixture_open(), *b = fixture_open();

	(void)state;
	fixture_set("max_held=1");
	park(a, &web, PS_IPC_FRAMING_JSON);
	park(b, &other_web, PS_IPC_FRAMING_JSON);
	web_server_read(&other_web);
	ps_writer_u8(&other_web.out, 0);
	assert_non_null(strstr(other_web.out.data, "\r\nRetry-After: "));
	assert_non_null(strstr(other_web.out.data, "\r\n\r\n" NOTHING));
	assert_true(other_web.ended);
	assert_int_equal(bridge.n_held, 1);
	fixture_from_peer(b, "one"); /* what waits is given all the same */
	park(b, &other_web, PS_IPC_FRAMING_JSON);
	assert_slice(body(&other_web), EVENTS(TEXT("one")));
	park(a, &other_web, PS_IPC_FRAMING_JSON); /* replaces, adds none */
	assert_slice(body(&web), NOTHING);
	assert_int_equal(bridge.n_held, 1);
}

/* --- streams --- */

static void
a_stream_goes_on_after_each_message(void **state)
{
	struct session *session = fixture_open();
	struct ps_slice prelude;

	(void)state;
	park(session, &web, PS_IPC_FRAMING_LINES);
	prelude = body(&web);
	assert_int_equal(prelude.len, 2048);
	assert_int_equal(prelude.data[2047], '\n');
	fixture_from_peer(session, "one");
	assert_slice(body(&web), EVENTS(TEXT("one")) "\n");
	fixture_from_peer(session, "two");
	assert_slice(body(&web), EVENTS(TEXT("two")) "\n");
	assert_false(web.ended);
	assert_int_equal(session->queue.count, 0);
}

static void
a_silent_stream_has_heartbeats(void **state)
{
	struct session *session = fixture_open();
	unsigned i;

	(void)state;
	park(session, &web, PS_IPC_FRAMING_EVENTSOURCE);
	assert_slice(body(&web), "id: 0\nretry: 100\n\n");
	for (i = 0; i < 5; i++) {
		fixture_advance(HOLD_MS - 1);
		assert_slice(body(&web), "");
		fixture_advance(1);
		assert_slice(body(&web), "data: " NOTHING "\n\n");
	}
	fixture_advance(HOLD_MS - 1);
	fixture_from_peer(session, "one"); /* the time starts anew */
	assert_slice(body(&web), "data: " EVENTS(TEXT("one")) "\nid: 1\n\n");
	fixture_advance(HOLD_MS - 1);
	assert_slice(body(&web), "");
	fixture_advance(1);
	assert_slice(body(&web), "data: " NOTHING "\n\n");
	assert_false(web.ended);
}

static void
a_stream_ends_when_it_is_long_and_the_next_goes_on(void **state)
{
	struct session *session = fixture_open();
	unsigned sent = 0, got = 0, streams = 0;
	char text[16], line[64];

	(void)state;
	fixture_set("reply_bytes=64MiB");
	while (streams < 5) {
		struct ps_slice lines;

		if (web.fd < 0 || web.ended) {
			park(session, &web, PS_IPC_FRAMING_LINES);
			lines = body(&web);
			assert_int_equal(lines.len, 2048);
			streams++;
		}
		snprintf(text, sizeof(text), "m%u", sent++);
		snprintf(line, sizeof(line), EVENTS(TEXT("m%u")) "\n", got++);
		fixture_from_peer(session, text);
		lines = body(&web);
		assert_slice(lines, line);
	}
	/* A stream holds its prelude and lines of some forty bytes each. */
	assert_true(got > 4 * (STREAM_BYTES - 2048 - 500) / 60);
	assert_true(got < 4 * STREAM_BYTES / 40);
	assert_int_equal(session->queue.count, 0);
}

static void
a_stream_that_is_not_read_holds_the_target_back(void **state)
{
	struct session *session = fixture_open();
	char *text = malloc(100001), *at;
	unsigned i, found = 0;

	(void)state;
	fixture_set("queue_bytes=256MiB");
	fixture_set("reply_bytes=64MiB");
	fixture_set("stream_bytes=1GiB");
	park(session, &web, PS_IPC_FRAMING_LINES);
	for (i = 0; peer.n_pause == 0; i++) {
		memset(text, 'x', 100000);
		text[100000] = '\0';
		text[snprintf(text, 20, "number-%u-", i)] = 'x';
		fixture_from_peer(session, text);
		fixture_turn();
		assert_true(i < 1000);
	}
	web_server_read_all(&web);
	assert_int_equal(peer.n_resume, 1);
	assert_int_equal(session->queue.count, 0);
	ps_writer_u8(&web.out, 0);
	for (at = strstr(web.out.data, "number-"); at != NULL;
	     at = strstr(at + 1, "number-"))
		assert_row(found, (unsigned)atoi(at + 7) == found++);
	assert_int_equal(found, i);
	free(text);
}

static void
a_stream_goes_on_beyond_what_one_reply_holds(void **state)
{
	struct session *session = fixture_open();
	char text[401] = "";
	unsigned i;

	(void)state;
	memset(text, 'x', 400);
	fixture_set("queue_bytes=1MiB");
	for (i = 0; i < 4; i++)
		fixture_from_peer(session, text);
	park(session, &web, PS_IPC_FRAMING_LINES);
	assert_true(body(&web).len > 2048 + 4 * 400);
	assert_int_equal(session->queue.count, 0);
	assert_false(web.ended);
}

static void
a_replaced_stream_just_ends(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_EVENTSOURCE);
	assert_slice(body(&web), "id: 0\nretry: 100\n\n");
	park(session, &other_web, PS_IPC_FRAMING_EVENTSOURCE);
	assert_slice(body(&web), "");
	assert_true(web.ended);
	fixture_from_peer(session, "one");
	assert_slice(body(&other_web),
	    "id: 0\nretry: 100\n\ndata: " EVENTS(TEXT("one")) "\nid: 1\n\n");
}

static void
a_stream_ends_with_the_close_event(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_EVENTSOURCE);
	body(&web);
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	assert_slice(body(&web),
	    "data: " EVENTS("{\"type\":\"close\",\"code\":1000,\"reason\":\"\","
			    "\"wasClean\":true}") "\nid: 1\n\n");
	assert_true(web.ended);
	assert_int_equal(bridge.n_held, 0);
	park_ack(session, &web, PS_IPC_FRAMING_EVENTSOURCE, 1);
	assert_refused(&web, "403", "socket_unknown");
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
a_stream_above_the_ceiling_is_refused(void **state)
{
	struct session *a = fixture_open(), *b = fixture_open();

	(void)state;
	fixture_set("max_held=1");
	park(a, &web, PS_IPC_FRAMING_JSON);
	park(b, &other_web, PS_IPC_FRAMING_LINES);
	web_server_read(&other_web);
	ps_writer_u8(&other_web.out, 0);
	assert_int_equal(strncmp(other_web.out.data, "Status: 503 ", 12), 0);
	assert_non_null(strstr(other_web.out.data, "too_many_held"));
	assert_true(other_web.ended);
}

static void
a_stream_whose_client_goes_leaves_the_session_its_grace(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_LINES);
	fixture_turn();
	web_server_close(&web);
	fixture_turn();
	assert_null(session->receiver);
	fixture_advance(GRACE_MS - 1);
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_advance(1);
	assert_int_equal(bridge.sessions_by_id.count, 0);
	assert_int_equal(peer.abandon_code, 1001);
}

/* --- acknowledgement --- */

#define NUMBERED(events, seq) \
	"{\"ok\":true,\"events\":[" events "],\"seq\":" seq "}"
#define CLOSED \
	"{\"type\":\"close\",\"code\":1000,\"reason\":\"\",\"wasClean\":true}"

static void
a_poll_with_ack_tells_the_number_of_its_last_message(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 0);
	assert_slice(body(&web),
	    NUMBERED(TEXT("one") "," TEXT("two"), "2"));
	assert_true(web.ended);
	assert_int_equal(session->queue.count, 2);
	park_ack(session, &web, PS_IPC_FRAMING_JSONP, 1);
	assert_slice(body(&web), "/**/cb(" NUMBERED(TEXT("two"), "2") ");");
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 2);
	assert_int_equal(session->queue.count, 0);
	fixture_advance(HOLD_MS);
	assert_slice(body(&web), NOTHING); /* nothing, so no number */
}

/* What it is written is kept, so it may wait to learn that its client left. */
static void
a_poll_with_ack_has_no_hurry_with_its_head(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 0);
	fixture_advance(HEAD_MS - 1);
	web_server_read(&web);
	assert_int_equal(web.n_records, 0);
	fixture_advance(1);
	assert_slice(body(&web), "");
	assert_int_equal(web.n_records, 1);
	fixture_advance(HOLD_MS - HEAD_MS - 1);
	assert_false(web.ended);
	fixture_advance(1);
	assert_slice(body(&web), NOTHING);
	assert_true(web.ended);
}

static void
an_answer_with_ack_that_got_lost_comes_again(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 0);
	fixture_from_peer(session, "one");
	web_server_read(&web); /* and here it is lost, unseen */
	assert_true(web.ended);
	park_ack(session, &other_web, PS_IPC_FRAMING_LINES, 0);
	body(&other_web);
	fixture_from_peer(session, "two");
	assert_slice(body(&other_web), NUMBERED(TEXT("two"), "2") "\n");
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 0);
	assert_slice(body(&web),
	    NUMBERED(TEXT("one") "," TEXT("two"), "2"));
	assert_true(other_web.fd >= 0);
}

static void
a_poll_that_replaces_one_being_written_gets_what_it_lacks(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 0);
	fixture_large_from_peer(session);
	fixture_from_peer(session, "after");
	web_server_read(&web); /* a part of it, no more */
	assert_false(web.ended);
	park_ack(session, &other_web, PS_IPC_FRAMING_JSON, 0);
	web_server_read_all(&web);
	assert_true(web.ended && web.out.len > FIXTURE_LARGE);
	assert_int_equal(session->queue.count, 2);
	web_server_read_all(&other_web);
	assert_true(other_web.ended && other_web.out.len > FIXTURE_LARGE);
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 1);
	assert_slice(body(&web), NUMBERED(TEXT("after"), "2"));
}

/* The poll that was replaced is still being written, and takes nobody along
 * when its connection breaks. */
static void
a_replaced_poll_that_is_lost_leaves_the_next_alone(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 0);
	fixture_large_from_peer(session);
	fixture_from_peer(session, "after");
	web_server_read(&web); /* a part of it, no more */
	park_ack(session, &other_web, PS_IPC_FRAMING_EVENTSOURCE, 1);
	assert_slice(body(&other_web),
	    "id: 1\nretry: 100\n\n"
	    "data: " NUMBERED(TEXT("after"), "2") "\nid: 2\n\n");
	assert_false(web.ended);
	web_server_close(&web);
	fixture_turn();
	assert_non_null(session->receiver);
	assert_int_equal(bridge.n_held, 1);
	fixture_from_peer(session, "and on");
	assert_slice(body(&other_web),
	    "data: " NUMBERED(TEXT("and on"), "3") "\nid: 3\n\n");
}

/* JSONP, EventSource, XHR streaming: each begins where the client stands. */
static void
a_session_goes_on_over_another_transport(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_set("queue_messages=64");
	fixture_set("queue_bytes=1KiB");
	fixture_from_peer(session, "1");
	park_ack(session, &web, PS_IPC_FRAMING_JSONP, 0);
	assert_slice(body(&web), "/**/cb(" NUMBERED(TEXT("1"), "1") ");");
	fixture_from_peer(session, "2"); /* between two transports */
	park_ack(session, &web, PS_IPC_FRAMING_EVENTSOURCE, 1);
	fixture_from_peer(session, "3");
	assert_slice(body(&web),
	    "id: 1\nretry: 100\n\n"
	    "data: " NUMBERED(TEXT("2"), "2") "\nid: 2\n\n"
	    "data: " NUMBERED(TEXT("3"), "3") "\nid: 3\n\n");
	/* 3 has not arrived, and 4 comes while there are two of them. */
	park_ack(session, &other_web, PS_IPC_FRAMING_LINES, 2);
	fixture_from_peer(session, "4");
	assert_slice(body(&web), "");
	assert_true(web.ended);
	web_server_read(&other_web);
	ps_writer_u8(&other_web.out, 0);
	assert_string_equal(strchr(other_web.out.data, '{'),
	    NUMBERED(TEXT("3"), "3") "\n" NUMBERED(TEXT("4"), "4") "\n");
	assert_int_equal(session->queue.count, 2);
}

static void
an_ack_that_cannot_be_is_refused_and_replaces_nobody(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "one");
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 1);
	park_ack(session, &other_web, PS_IPC_FRAMING_JSON, 0);
	assert_refused(&other_web, "409", "\"code\":\"gap\",\"expected\":1}");
	park_ack(session, &other_web, PS_IPC_FRAMING_LINES, 2);
	assert_refused(&other_web, "409", "\"code\":\"gap\",\"expected\":1}");
	assert_int_equal(bridge.n_held, 1);
	fixture_from_peer(session, "two");
	assert_slice(body(&web), NUMBERED(TEXT("two"), "2"));
}

static void
the_close_event_is_the_last_number(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_from_peer(session, "one");
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 0);
	assert_slice(body(&web), NUMBERED(TEXT("one") "," CLOSED, "2"));
	assert_int_equal(bridge.n_held, 0);
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 1);
	assert_slice(body(&web), NUMBERED(CLOSED, "2"));
	park_ack(session, &web, PS_IPC_FRAMING_JSON, 2);
	assert_refused(&web, "403", "socket_unknown");
	assert_int_equal(bridge.sessions_by_id.count, 0);
}

static void
an_eventsource_keeps_what_it_sent(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_EVENTSOURCE);
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	assert_slice(body(&web),
	    "id: 0\nretry: 100\n\n"
	    "data: " EVENTS(TEXT("one")) "\nid: 1\n\n"
	    "data: " EVENTS(TEXT("two")) "\nid: 2\n\n");
	fixture_turn();
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(session->queue.count, 2);
	park_ack(session, &web, PS_IPC_FRAMING_EVENTSOURCE, 1);
	assert_slice(body(&web),
	    "id: 1\nretry: 100\n\n"
	    "data: " NUMBERED(TEXT("two"), "2") "\nid: 2\n\n");
}

static void
what_an_eventsource_sent_is_got_for_a_poll_without_ack(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_EVENTSOURCE);
	fixture_from_peer(session, "one");
	park(session, &other_web, PS_IPC_FRAMING_JSON);
	assert_int_equal(session->queue.count, 0);
	fixture_from_peer(session, "two");
	assert_slice(body(&other_web), EVENTS(TEXT("two")));
}

static void
a_stream_ends_for_an_acknowledgement(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	park(session, &web, PS_IPC_FRAMING_EVENTSOURCE);
	fixture_from_peer(session, "1");
	fixture_from_peer(session, "2");
	body(&web);
	assert_false(web.ended);
	fixture_from_peer(session, "3");
	assert_slice(body(&web), "data: " EVENTS(TEXT("3")) "\nid: 3\n\n");
	assert_true(web.ended);
	assert_int_equal(bridge.n_held, 0);
	assert_int_equal(peer.n_pause, 0);
	park_ack(session, &web, PS_IPC_FRAMING_EVENTSOURCE, 3);
	assert_false(web.ended);
	assert_int_equal(session->queue.count, 0);
}

static void
a_stream_that_is_behind_sends_all_before_it_ends(void **state)
{
	struct session *session = fixture_open();
	char text[401] = "";
	unsigned i;

	(void)state;
	memset(text, 'x', 400);
	fixture_set("queue_bytes=1MiB");
	for (i = 0; i < QUEUE_MESSAGES; i++) /* more than a reply holds */
		fixture_from_peer(session, text);
	park_ack(session, &web, PS_IPC_FRAMING_LINES, 0);
	web_server_read(&web);
	ps_writer_u8(&web.out, 0);
	assert_non_null(strstr(web.out.data, "\"seq\":3}\n"));
	assert_non_null(strstr(web.out.data, "\"seq\":4}\n"));
	assert_true(web.ended);
}

/* It would run full otherwise, with nobody to say that it is not needed. */
static void
an_ack_above_the_ceiling_counts_all_the_same(void **state)
{
	struct session *a = fixture_open(), *b = fixture_open();

	(void)state;
	fixture_from_peer(b, "one");
	park_ack(b, &web, PS_IPC_FRAMING_JSON, 0);
	assert_int_equal(b->queue.count, 1);
	fixture_set("max_held=1");
	park(a, &web, PS_IPC_FRAMING_JSON);
	park_ack(b, &other_web, PS_IPC_FRAMING_JSON, 0); /* something waits */
	assert_slice(body(&other_web), NUMBERED(TEXT("one"), "1"));
	park_ack(b, &other_web, PS_IPC_FRAMING_JSON, 1);
	assert_slice(body(&other_web), NOTHING);
	assert_int_equal(b->queue.count, 0);
	park_ack(b, &other_web, PS_IPC_FRAMING_JSON, 2);
	assert_refused(&other_web, "409", "\"expected\":1}");
	assert_int_equal(bridge.n_held, 1);
}

#define on_loop(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup_loop, \
	    fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		on_loop(a_poll_takes_what_is_waiting),
		on_loop(a_poll_waits_for_a_message),
		on_loop(a_poll_without_a_message_ends_with_a_heartbeat),
		on_loop(a_poll_takes_no_more_than_a_reply_may_hold),
		on_loop(a_message_outlives_a_client_that_has_gone),
		on_loop(a_client_that_goes_unseen_costs_no_message),
		on_loop(an_answer_that_was_cut_comes_again_whole),
		on_loop(a_second_poll_replaces_the_first),
		on_loop(what_the_first_is_being_sent_is_not_doubled),
		on_loop(the_close_event_is_the_last_of_all),
		on_loop(a_parked_poll_hears_of_the_close_at_once),
		on_loop(a_poll_whose_session_ends_is_answered),
		on_loop(a_poll_above_the_ceiling_is_answered_at_once),
		on_loop(a_stream_goes_on_after_each_message),
		on_loop(a_silent_stream_has_heartbeats),
		on_loop(a_stream_ends_when_it_is_long_and_the_next_goes_on),
		on_loop(a_stream_that_is_not_read_holds_the_target_back),
		on_loop(a_stream_goes_on_beyond_what_one_reply_holds),
		on_loop(a_replaced_stream_just_ends),
		on_loop(a_stream_ends_with_the_close_event),
		on_loop(a_stream_above_the_ceiling_is_refused),
		on_loop(
		    a_stream_whose_client_goes_leaves_the_session_its_grace),
		on_loop(a_poll_with_ack_tells_the_number_of_its_last_message),
		on_loop(a_poll_with_ack_has_no_hurry_with_its_head),
		on_loop(an_answer_with_ack_that_got_lost_comes_again),
		on_loop(
		    a_poll_that_replaces_one_being_written_gets_what_it_lacks),
		on_loop(a_replaced_poll_that_is_lost_leaves_the_next_alone),
		on_loop(a_session_goes_on_over_another_transport),
		on_loop(an_ack_that_cannot_be_is_refused_and_replaces_nobody),
		on_loop(the_close_event_is_the_last_number),
		on_loop(an_eventsource_keeps_what_it_sent),
		on_loop(
		    what_an_eventsource_sent_is_got_for_a_poll_without_ack),
		on_loop(a_stream_ends_for_an_acknowledgement),
		on_loop(a_stream_that_is_behind_sends_all_before_it_ends),
		on_loop(an_ack_above_the_ceiling_counts_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
