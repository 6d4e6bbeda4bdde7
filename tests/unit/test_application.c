/* An application as the peer of a session. */
#include "config.h"

#include "allocations.h"
#include "outbox_fixture.h"

#include "ps_db_authorizations.h"
#include "wsbridge/applications/application.h"
#include "wsbridge/outbox/lane.h"

static const char socket_id[] = "abcdefghijklmnopqrstuvwxyz234567";
static char opened[SESSION_NAME_MAX]; /* the last session */

static int
setup(void **state)
{
	int ret = outbox_setup(state);

	fixture_set("queue_messages=4");
	return ret;
}

/* The authorization of "ann", made or changed. */
static struct authorization *
authorize(const char *callback, bool events)
{
	const struct ps_authorization_row row = { .socket_id = socket_id,
		.token_id = TOKEN,
		.client = "ann \"x\"",
		.callback = callback,
		.events = events,
		.expires_at_s = INT64_MAX };

	authorization_load(&bridge, &row);
	return authorization_find(&bridge, ps_slice_str(socket_id));
}

static struct session *
try_open(struct authorization *authorization, struct refusal *refusal_r)
{
	const struct application_terms terms = {
		.authorization = authorization,
		.remote_addr = ps_slice_str("192.0.2.1"),
		.transport = "xhr",
	};
	struct session *session =
	    application_create(&bridge, &terms, refusal_r);

	if (session == NULL)
		return NULL;
	strcpy(opened, session->name);
	assert_true(fixture_attach(session, &receiver, 1000000));
	fixture_turn();
	return session;
}

static struct session *
open_session(bool events)
{
	struct refusal refusal;
	struct session *session =
	    try_open(authorize("http://app/cb", events), &refusal);

	assert_non_null(session);
	assert_int_equal(session->state, SESSION_OPEN);
	return session;
}

static int
say_in(struct session *session, const char *literal)
{
	const char *limit;
	int ret = session_message_from_client(session, PS_EVENT_TEXT,
	    ps_slice_str(literal), &limit);

	fixture_turn();
	return ret;
}

/* The answer to the only callback there is. */
static void
answer_with(int status, const char *body)
{
	size_t i;

	store_settle();
	assert_int_equal(n_active_calls, 1);
	for (i = 0; !fake_calls[i].is_active; i++)
		;
	answer(&fake_calls[i], status, body);
	store_settle();
}

/* The body of the i-th callback, which has the session's name in it. */
static void
assert_body(size_t i, const char *before, const char *after)
{
	char expected[256];

	snprintf(expected, sizeof(expected),
	    "{%s,\"session\":\"%s\",\"client\":\"ann \\\"x\\\"\"%s}", before,
	    opened, after);
	assert_true(i < n_fake_calls);
	assert_string_equal(fake_calls[i].body, expected);
}

static void
what_the_client_says_is_called_back(void **state)
{
	struct session *session = open_session(false);

	(void)state;
	assert_int_equal(say_in(session, "\"\\u2028 \xc3\xa4\""), PS_OK);
	store_settle();
	assert_body(0, "\"message\":\"\\u2028 \xc3\xa4\"", "");
	assert_string_equal(fake_calls[0].url, "http://app/cb");
	answer_with(204, "");
	assert_int_equal(session->traffic.messages_up, 1);
	assert_int_equal(n_fake_rows, 0);
	/* And nothing about its end. */
	session_close(session, 1000, ps_slice(NULL, 0));
	store_settle();
	assert_int_equal(n_fake_calls, 1);
}

static void
events_tell_when_a_session_begins_and_ends(void **state)
{
	struct session *session = open_session(true);

	(void)state;
	store_settle();
	assert_body(0, "\"event\":\"connected\"", "");
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	session_close(session, 3005, ps_slice_str("bye \"now\""));
	answer_with(204, "");
	answer_with(204, "");
	store_settle();
	assert_int_equal(n_fake_calls, 3);
	assert_body(2, "\"event\":\"disconnected\"",
	    ",\"code\":3005,\"reason\":\"bye \\\"now\\\"\"");
	assert_null(application_of(session));
}

static void
events_tell_why_a_session_was_ended(void **state)
{
	struct session *session = open_session(true);

	(void)state;
	answer_with(204, "");
	session_expel(session, 1008, "token disabled");
	store_settle();
	assert_body(1, "\"event\":\"disconnected\"",
	    ",\"code\":1008,\"reason\":\"token disabled\"");
	answer_with(204, "");
	/* A client that is just gone. */
	receiver = (struct fake_receiver){ 0 };
	session = open_session(true);
	answer_with(204, "");
	session_detach(session);
	fixture_advance(GRACE_MS);
	store_settle();
	assert_int_equal(n_fake_calls, 4);
	assert_non_null(strstr(fake_calls[3].body,
	    "\"code\":1001,\"reason\":\"no receiver\"}"));
}

static struct commit_wait wait;
static unsigned n_told;
static bool was_ok;

static void
on_committed(struct commit_wait *told, bool ok)
{
	assert_ptr_equal(told, &wait);
	n_told++;
	was_ok = ok;
}

static void
a_session_whose_words_are_not_kept_is_closed(void **state)
{
	struct session *session = open_session(false);

	(void)state;
	n_told = 0;
	wait.done = on_committed;
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	application_wait(session, &wait);
	assert_int_equal(n_told, 0);
	store_end(PS_ERR_IO);
	assert_int_equal(n_told, 1);
	assert_false(was_ok);
	assert_int_equal(session->close->code, 1011);
	assert_int_equal(say_in(session, "\"y\""), PS_ERR_CLOSED);
	store_settle();
	assert_int_equal(n_fake_calls, 0);
	assert_int_equal(bridge.outbox->waiting, 0);
	/* Whoever asks later has nothing to wait for. */
	application_wait(session, &wait);
	assert_int_equal(n_told, 2);
	application_unwait(&wait);
}

/* Its end cannot be told for want of memory, when what it said before could
 * not be written. */
static void
its_end_finds_no_memory_either(void **state)
{
	struct session *session;
	long i;

	(void)state;
	for (i = 0; i < 10; i++) {
		session = open_session(true);
		answer_with(204, "");
		assert_int_equal(say_in(session, "\"x\""), PS_OK);
		allocations_left = i;
		store_end(PS_ERR_IO);
		allocations_left = -1;
		session = session_find_name(&bridge, ps_slice_str(opened));
		assert_true(session == NULL || session->close != NULL);
		fixture_advance(60000);
		store_settle();
		answer_all(204);
		assert_true(TAILQ_EMPTY(&bridge.outbox->lanes));
		fixture_turn();
	}
}

/* What was called back of the last session, in that order: c, m or d. */
static void
list_calls(char *list)
{
	size_t i;

	for (i = 0; i < n_fake_calls; i++) {
		const char *body = fake_calls[i].body;

		*list++ = strstr(body, "\"message\"") != NULL ? 'm' :
		    strstr(body, "\"connected\"") != NULL	? 'c' :
								  'd';
	}
	*list = '\0';
}

/* She comes, says something, hears an answer and goes. */
static void
live_without_the(long nth)
{
	struct authorization *authorization = authorize("http://app/cb", true);
	struct session *session;
	struct refusal refusal;
	char list[FAKE_CALLS_MAX + 1];
	struct timer timer = { 0 };
	size_t i;

	*opened = '\0';
	n_fake_calls = 0;
	/* The heap of timers does not go on without memory. */
	timers_set(&bridge.timers, &timer, UINT64_MAX);
	timers_cancel(&bridge.timers, &timer);
	allocation_failed = false;
	allocations_left = nth;
	session = try_open(authorization, &refusal);
	if (session != NULL && session->state == SESSION_OPEN)
		(void)!say_in(session, "\"x\"");
	store_settle();
	for (i = 0; i < n_fake_calls; i++) {
		answer(&fake_calls[i], 200, "{\"messages\":[\"y\",{}]}");
		store_settle();
	}
	session = session_find_name(&bridge, ps_slice_str(opened));
	if (session != NULL)
		session_close(session, 3000, ps_slice_str("enough"));
	allocations_left = -1;
	fixture_advance(60000);
	store_settle();
	answer_all(204);
	store_settle();
	list_calls(list);
	/* Each may be lost, but nobody hears of one who never came. */
	if (!allocation_failed)
		assert_string_equal(list, "cmd");
	assert_true(*list == '\0' || *list == 'c');
	assert_true(TAILQ_EMPTY(&bridge.outbox->lanes));
	assert_true(TAILQ_EMPTY(&bridge.sessions));
}

static void
a_session_is_told_of_or_never_was(void **state)
{
	(void)state;
	allocations_fail_in_turn(live_without_the, 10);
}

static void
a_session_says_no_more_than_may_wait(void **state)
{
	struct session *session = open_session(false);
	const char *limit;
	char text[900];

	(void)state;
	fixture_set("outbox_messages=3");
	memset(text, 'x', sizeof(text));
	text[0] = text[sizeof(text) - 2] = '"';
	text[sizeof(text) - 1] = '\0';
	/* Bytes that are not committed: queue_bytes, 1 KiB here. */
	assert_int_equal(say_in(session, text), PS_OK);
	assert_int_equal(session_message_from_client(session, PS_EVENT_TEXT,
			     ps_slice_str(text), &limit),
	    PS_ERR_FULL);
	assert_string_equal(limit, "queue_bytes");
	store_settle();
	/* Callbacks of the application. */
	assert_int_equal(say_in(session, "\"1\""), PS_OK);
	store_settle();
	assert_int_equal(say_in(session, "\"2\""), PS_OK);
	store_settle();
	assert_int_equal(session_message_from_client(session, PS_EVENT_TEXT,
			     ps_slice_str("\"3\""), &limit),
	    PS_ERR_FULL);
	assert_string_equal(limit, "outbox_messages");
	answer_with(204, "");
	assert_int_equal(say_in(session, "\"3\""), PS_OK);
	assert_int_equal(session->state, SESSION_OPEN);
}

static void
a_session_does_not_begin_where_that_cannot_be_told(void **state)
{
	struct authorization *authorization = authorize("http://app/cb", true);
	struct refusal refusal;

	(void)state;
	fixture_set("outbox_messages=1");
	assert_true(say("a-1", 1, "{}"));
	assert_null(try_open(authorization, &refusal));
	assert_int_equal(refusal.code, PS_CODE_OUTBOX_FULL);
	assert_string_equal(refusal.limit, "outbox_messages");
	assert_int_equal(bridge.sessions_by_id.count, 0);
	fixture_set("outbox_messages=2");
	assert_non_null(try_open(authorization, &refusal));
}

static void
a_session_does_not_begin_in_a_bridge_that_drains(void **state)
{
	struct authorization *authorization = authorize("http://app/cb", false);
	struct refusal refusal;

	(void)state;
	bridge.draining = true;
	bridge.n_settling = 1;
	assert_null(try_open(authorization, &refusal));
	assert_int_equal(refusal.code, PS_CODE_DRAINING);
	bridge.draining = false;
	allow_callbacks(TOKEN + 1, "http://*");
	assert_null(try_open(authorization, &refusal));
	assert_int_equal(refusal.code, PS_CODE_TOKEN_UNKNOWN);
}

/* An answer to a callback, and what the client got by it. */
static const struct {
	const char *body, *got;
} replies[] = {
	{ "{\"message\":\"hi\"}", "t:\"hi\";" },
	{ " { \"message\" : \"\\u00e4\\/\" } ", "t:\"\xc3\xa4/\";" },
	{ "{\"message\":{\"a\": [1, 2.50]}}", "t:\"{\\\"a\\\": [1, 2.50]}\";" },
	{ "{\"message\":null}", "t:\"null\";" },
	{ "{\"message\":[\"a\",\"b\"]}", "t:\"[\\\"a\\\",\\\"b\\\"]\";" },
	{ "{\"messages\":[\"a\",1,true]}", "t:\"a\";t:\"1\";t:\"true\";" },
	{ "{\"messages\": [ \"a\" , [1, {}] ] }", "t:\"a\";t:\"[1, {}]\";" },
	{ "{\"messages\":[],\"message\":\"a\"}", "t:\"a\";" },
	{ "{\"messages\":\"a\"}", "" },
	{ "{\"messages\":{\"a\":\"b\"}}", "" },
	{ "{\"other\":{\"message\":\"a\"}}", "" },
	{ "[\"a\"]", "" },
	{ "\"a\"", "" },
	{ "{\"message\":\"a\"", "" },
	{ "hello", "" },
	{ "", "" },
	{ " ", "" },
};

static void
what_the_application_answers_comes_to_the_session(void **state)
{
	struct session *session = open_session(false);
	size_t i;

	(void)state;
	receiver.greedy = true;
	for (i = 0; i < ROWS(replies); i++) {
		assert_int_equal(say_in(session, "\"x\""), PS_OK);
		answer_with(200, replies[i].body);
		assert_row(i, writer_had(&receiver.got, replies[i].got));
		assert_row(i, session->state == SESSION_OPEN);
	}
	/* Not of an error. */
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	answer_with(500, "{\"message\":\"a\"}");
	assert_true(writer_had(&receiver.got, ""));
}

static void
what_is_longer_than_a_message_may_be_is_not_delivered(void **state)
{
	struct session *session = open_session(false);

	(void)state;
	receiver.greedy = true;
	fixture_set("max_message=3B");
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	answer_with(200, "{\"messages\":[\"1234\",\"123\",12345,123]}");
	assert_true(writer_had(&receiver.got, "t:\"123\";t:\"123\";"));
}

static void
who_does_not_take_the_answers_is_expelled(void **state)
{
	struct session *session = open_session(false);

	(void)state;
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	answer_with(200, "{\"messages\":[1,2,3]}");
	assert_int_equal(session->state, SESSION_OPEN);
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	answer_with(200, "{\"messages\":[4,5,6,7]}");
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_int_equal(session->close->code, 1013);
	assert_int_equal(n_fake_rows, 0);
}

/* It was kept, and is not offered again and again. */
static void
who_does_not_take_what_was_kept_is_expelled_in_time(void **state)
{
	struct authorization *authorization =
	    authorize("http://app/cb", false);
	struct session *session;
	struct refusal refusal;
	bool queued;
	int i;

	(void)state;
	for (i = 0; i < QUEUE_MESSAGES; i++) {
		authorization_publish(authorization,
		    message_create(PS_EVENT_TEXT, ps_slice_str("\"x\"")), true,
		    &queued);
		assert_true(queued);
	}
	session = try_open(authorization, &refusal);
	fixture_advance(STALL_MS - 1);
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_advance(1);
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_int_equal(session->close->code, 1013);
	assert_string_equal(session->close->reason, "slow client");
}

static void
an_answer_to_a_session_that_is_gone_is_for_nobody(void **state)
{
	struct session *session = open_session(false);

	(void)state;
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	store_settle();
	session_close(session, 1000, ps_slice(NULL, 0));
	answer_with(200, "{\"message\":1}");
	fixture_take(session, &receiver);
	assert_true(writer_had(&receiver.got, "close;"));
	assert_int_equal(bridge.outbox->lanes_by_session.count, 0);
}

static void
what_waits_is_called_where_the_application_wants_it_now(void **state)
{
	struct session *session = open_session(false);

	(void)state;
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	answer_with(500, "");
	authorize("http://new/cb", false);
	fixture_advance(1000);
	store_settle();
	assert_string_equal(fake_calls[1].url, "http://new/cb");
	answer_with(204, "");
	assert_int_equal(bridge.outbox->hosts.count, 0);
	/* Also what stands in the line of the old host. */
	fixture_set("callback_connections=1");
	assert_true(say_to("a-1", 1, "http://new/", "{}"));
	store_settle();
	assert_int_equal(say_in(session, "\"y\""), PS_OK);
	store_settle();
	assert_int_equal(n_active_calls, 1);
	authorize("http://newer/cb", false);
	answer_with(204, "");
	assert_string_equal(fake_calls[3].url, "http://newer/cb");
	/* And it is the new one that has so many connections. */
	assert_true(say_to("a-2", 1, "http://newer/", "{}"));
	store_settle();
	assert_null(find_call("a-2", 1));
	answer_with(204, "");
	answer_with(204, "");
	assert_int_equal(n_fake_rows, 0);
}

static void
what_a_client_said_who_is_no_longer_authorized_is_called_back(void **state)
{
	struct authorization *authorization;
	struct session *session = open_session(false);

	(void)state;
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	store_settle();
	authorization = authorization_find(&bridge, ps_slice_str(socket_id));
	authorization_withdraw(&bridge, authorization, "test");
	fixture_turn();
	assert_int_equal(session->close->code, 3000);
	answer_with(500, "");
	fixture_advance(1000);
	store_settle();
	assert_string_equal(fake_calls[1].url, "http://app/cb");
	answer_with(204, "");
	assert_int_equal(n_fake_rows, 0);
}

static void
an_application_that_says_410_is_done_with_its_client(void **state)
{
	struct session *session = open_session(true);

	(void)state;
	answer_with(204, "");
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	assert_int_equal(say_in(session, "\"y\""), PS_OK);
	answer_with(410, "");
	fixture_turn();
	assert_int_equal(session->close->code, 3000);
	assert_string_equal(session->close->reason, "Go away!");
	assert_null(authorization_find(&bridge, ps_slice_str(socket_id)));
	store_settle();
	/* It does not want to know of the end either. */
	assert_int_equal(n_active_calls, 0);
	assert_int_equal(n_fake_rows, 2);
	assert_true(fake_rows[0].is_dead && fake_rows[1].is_dead);
	assert_string_equal(fake_rows[1].error, "410 Gone");
}

static void
a_session_tells_what_waits_for_the_application(void **state)
{
	struct session *session = open_session(false);
	size_t count, bytes;

	(void)state;
	assert_int_equal(say_in(session, "\"x\""), PS_OK);
	session->peer_ops->count_queued(session->peer, &count, &bytes);
	assert_int_equal(count, 1);
	assert_true(bytes > 3);
	store_settle();
	session->peer_ops->count_queued(session->peer, &count, &bytes);
	assert_int_equal(count, 1);
	assert_int_equal(bytes, 0);
	answer_with(204, "");
	session->peer_ops->count_queued(session->peer, &count, &bytes);
	assert_int_equal(count, 0);
}

static unsigned n_settled;

static void
on_settled(void *owner)
{
	(void)owner;
	n_settled++;
}

static void
an_outbox_does_not_settle_while_sessions_may_speak(void **state)
{
	struct session *session = open_session(true);

	(void)state;
	n_settled = 0;
	store_settle();
	answer_with(204, "");
	outbox_settle(&bridge, on_settled, NULL);
	store_settle();
	assert_int_equal(n_settled, 0);
	session_expel(session, 1001, "server shutting down");
	store_settle();
	assert_int_equal(n_settled, 1);
	assert_int_equal(n_fake_rows, 1); /* its end, for the successor */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, outbox_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_the_client_says_is_called_back),
		TEST(events_tell_when_a_session_begins_and_ends),
		TEST(events_tell_why_a_session_was_ended),
		TEST(a_session_whose_words_are_not_kept_is_closed),
		TEST(its_end_finds_no_memory_either),
		TEST(a_session_is_told_of_or_never_was),
		TEST(a_session_says_no_more_than_may_wait),
		TEST(a_session_does_not_begin_where_that_cannot_be_told),
		TEST(a_session_does_not_begin_in_a_bridge_that_drains),
		TEST(what_the_application_answers_comes_to_the_session),
		TEST(what_is_longer_than_a_message_may_be_is_not_delivered),
		TEST(who_does_not_take_the_answers_is_expelled),
		TEST(who_does_not_take_what_was_kept_is_expelled_in_time),
		TEST(an_answer_to_a_session_that_is_gone_is_for_nobody),
		TEST(what_waits_is_called_where_the_application_wants_it_now),
		TEST(
		    what_a_client_said_who_is_no_longer_authorized_is_called_back),
		TEST(an_application_that_says_410_is_done_with_its_client),
		TEST(a_session_tells_what_waits_for_the_application),
		TEST(an_outbox_does_not_settle_while_sessions_may_speak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
