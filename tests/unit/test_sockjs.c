#include "config.h"

#include "allocations.h"
#include "outbox_fixture.h"

#include "ps_db_authorizations.h"
#include "ps_policy.h"
#include "wsbridge/applications/application.h"
#include "wsbridge/applications/authorization.h"
#include "wsbridge/enforce.h"
#include "wsbridge/applications/sockjs.h"

#define SOCKET_ID "abcdefghijklmnopqrstuvwxyz234567"
#define UNKNOWN_ID "zbcdefghijklmnopqrstuvwxyz234567"
#define SITE "https://app.example"

static struct ps_writer frame;
static struct ps_style style;
static const char *socket_id, *session_name;
static bool allow_no_origin; /* of the token */

/* The application as an administrator has made it. */
static void
set_token(bool websocket, bool cookie)
{
	static uint64_t revision = 1000; /* above those of the fixture */
	struct ps_token token = { .id = TOKEN,
		.has_secret = true,
		.enabled = true,
		.allow_no_origin = allow_no_origin,
		.expires_at_s = INT64_MAX,
		.callback_key_len = 3,
		.sockjs_websocket = websocket,
		.sockjs_cookie = cookie };
	struct ps_policy *policy = ps_policy_create(++revision);
	size_t i;

	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] = PS_NO_LIMIT;
	token.name = strdup("application");
	assert_non_null(policy);
	assert_int_equal(ps_policy_add_token(policy, &token), PS_OK);
	assert_int_equal(ps_policy_seal(policy), PS_OK);
	assert_int_equal(ps_policy_add_pattern(policy, TOKEN,
			     PS_RIGHT_CALLBACK, "http://*"),
	    PS_OK);
	assert_int_equal(
	    ps_policy_add_pattern(policy, TOKEN, PS_RIGHT_ORIGIN, SITE),
	    PS_OK);
	enforce_policy(&bridge, policy);
}

static int
setup(void **state)
{
	static const struct ps_authorization_row row = { SOCKET_ID, TOKEN,
		"ann", "http://app/cb", false, 0, 0, INT64_MAX };

	if (outbox_setup_loop(state) != 0)
		return -1;
	allow_no_origin = true;
	set_token(true, false);
	authorization_load(&bridge, &row);
	style = (struct ps_style){ .flags = PS_STYLE_SOCKJS };
	socket_id = SOCKET_ID;
	session_name = "s";
	return 0;
}

static int
teardown(void **state)
{
	ps_writer_deinit(&frame);
	return outbox_teardown(state);
}

/* Hands it over as a worker does; what `w` gets is for the caller to look at. */
static void
hand_over(struct web_server *w,
    int (*handle)(struct bridge *bridge, struct ps_reader *r, int fd))
{
	struct ps_reader body;
	uint8_t type;

	assert_int_equal(ps_ipc_split(frame.data, frame.len, &type, &body),
	    frame.len);
	assert_int_equal(handle(&bridge, &body, web_server_open(w)), PS_OK);
}

static const char *
answer_of(struct web_server *w)
{
	web_server_read_all(w);
	ps_writer_u8(&w->out, 0);
	return w->out.data;
}

static const char *
body_of(struct web_server *w)
{
	const char *answer = answer_of(w), *end = strstr(answer, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void
hand_over_page(struct web_server *w, enum ps_sockjs_page page,
    const char *etag)
{
	ps_ipc_encode_sockjs_page(&frame,
	    &(struct ps_ipc_sockjs_page){ { REQUEST_ID, style },
		ps_slice_str(socket_id), page, ps_slice_str(etag) });
	hand_over(w, sockjs_on_page);
}

static void
hand_over_receive(struct web_server *w, enum ps_sockjs_framing framing)
{
	ps_ipc_encode_sockjs_receive(&frame,
	    &(struct ps_ipc_sockjs_receive){ { REQUEST_ID, style },
		ps_slice_str(socket_id), ps_slice_str(session_name), framing,
		ps_slice_str("agent"), ps_slice_str("192.0.2.1") });
	hand_over(w, sockjs_on_receive);
}

static void
hand_over_send(struct web_server *w, const char *literal, bool jsonp)
{
	size_t begin;

	ps_ipc_sockjs_send_begin(&frame,
	    &(struct ps_ipc_sockjs_send){ .request = { REQUEST_ID, style },
		.socket_id = ps_slice_str(socket_id),
		.session = ps_slice_str(session_name),
		.jsonp = jsonp });
	begin = ps_ipc_event_begin(&frame, PS_EVENT_TEXT);
	ps_writer_str(&frame, literal);
	ps_ipc_event_end(&frame, begin);
	ps_ipc_events_end(&frame, 1);
	hand_over(w, sockjs_on_send);
}

static void
poll_is(const char *text)
{
	hand_over_receive(&web, PS_SOCKJS_XHR);
	assert_string_equal(body_of(&web), text);
}

static bool
has_status(struct web_server *w, const char *status)
{
	const char *answer = answer_of(w);

	return strncmp(answer, "Status: ", 8) == 0 &&
	    strncmp(answer + 8, status, strlen(status)) == 0;
}

/* The store does what it was given in this turn. */
static void
end_turn(int ret)
{
	fixture_turn();
	store_end(ret);
}

static void
the_pages_of_an_application_follow_its_columns(void **state)
{
	const char *body;

	(void)state;
	hand_over_page(&web, PS_SOCKJS_GREETING, "");
	assert_string_equal(body_of(&web), "Welcome to SockJS!\n");
	hand_over_page(&web, PS_SOCKJS_INFO, "");
	body = body_of(&web);
	assert_non_null(strstr(body, "{\"websocket\":true,\"origins\":"
				     "[\"*:*\"],\"cookie_needed\":false,"));
	hand_over_page(&web, PS_SOCKJS_NO_UPGRADE, "");
	assert_true(has_status(&web, "400"));
	set_token(false, true);
	hand_over_page(&web, PS_SOCKJS_INFO, "");
	body = body_of(&web);
	assert_non_null(strstr(body, "{\"websocket\":false,\"origins\":"
				     "[\"*:*\"],\"cookie_needed\":true,"));
	hand_over_page(&web, PS_SOCKJS_NO_UPGRADE, "");
	assert_true(has_status(&web, "404"));
}

/* 32 bits, new each time, which clients draw their numbers with. */
static void
the_entropy_of_the_information_is_random(void **state)
{
	static const char name[] = "\"entropy\":";
	uint32_t ever = 0, always = UINT32_MAX, entropy;
	const char *at;
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		hand_over_page(&web, PS_SOCKJS_INFO, "");
		at = strstr(body_of(&web), name);
		assert_non_null(at);
		entropy = (uint32_t)strtoul(at + strlen(name), NULL, 10);
		ever |= entropy;
		always &= entropy;
	}
	assert_int_equal(ever, UINT32_MAX);
	assert_int_equal(always, 0);
}

static void
an_iframe_that_a_browser_has_is_not_sent_again(void **state)
{
	char etag[80], *end;
	const char *at;

	(void)state;
	hand_over_page(&web, PS_SOCKJS_IFRAME, "\"another\"");
	at = strstr(answer_of(&web), "\r\nETag: ");
	assert_non_null(at);
	snprintf(etag, sizeof(etag), "%s", at + 8);
	end = strstr(etag, "\r\n");
	assert_non_null(end);
	*end = '\0';
	assert_non_null(strstr(web.out.data, "SockJS.bootstrap_iframe();"));
	hand_over_page(&web, PS_SOCKJS_IFRAME, etag);
	assert_true(has_status(&web, "304"));
	assert_null(strstr(web.out.data, "bootstrap_iframe"));
	assert_null(strstr(web.out.data, "\r\nContent-Type"));
	hand_over_page(&web, PS_SOCKJS_IFRAME, "*");
	assert_true(has_status(&web, "304"));
	/* It says where the client is. */
	fixture_set("sockjs_url=/sockjs.js");
	hand_over_page(&web, PS_SOCKJS_IFRAME, etag);
	assert_true(has_status(&web, "200"));
	assert_non_null(strstr(web.out.data, "<script src=\"/sockjs.js\">"));
}

static void
hand_over_each(struct web_server *w, size_t i)
{
	switch (i) {
	case 0:
		hand_over_page(w, PS_SOCKJS_INFO, "");
		return;
	case 1:
		hand_over_receive(w, PS_SOCKJS_XHR_STREAMING);
		return;
	default:
		hand_over_send(w, "\"a\"", false);
	}
}

static void
strangers_are_refused_whatever_they_ask_for(void **state)
{
	size_t i;

	(void)state;
	poll_is("o\n");
	for (i = 0; i < 3; i++) {
		style.origin = ps_slice_str("https://other.example");
		hand_over_each(&web, i);
		assert_true(has_status(&web, "403"));
		assert_null(strstr(web.out.data, "Access-Control"));
		style.origin = ps_slice(NULL, 0);
		socket_id = UNKNOWN_ID;
		hand_over_each(&web, i);
		assert_true(has_status(&web, "404"));
		socket_id = SOCKET_ID;
	}
	style.origin = ps_slice_str(SITE);
	hand_over_page(&web, PS_SOCKJS_INFO, "");
	assert_true(has_status(&web, "200"));
}

static void
what_is_no_page_is_refused_where_only_pages_may(void **state)
{
	size_t i;

	(void)state;
	allow_no_origin = false;
	set_token(true, false);
	for (i = 0; i < 3; i++) {
		hand_over_each(&web, i);
		assert_true(has_status(&web, "403"));
	}
	style.origin = ps_slice_str(SITE);
	hand_over_page(&web, PS_SOCKJS_INFO, "");
	assert_true(has_status(&web, "200"));
}

static void
a_send_is_answered_when_it_is_committed(void **state)
{
	(void)state;
	poll_is("o\n");
	hand_over_send(&web, "\"a\"", false);
	web_server_read(&web);
	assert_false(web.ended);
	end_turn(PS_OK);
	assert_true(has_status(&web, "204"));
	hand_over_send(&web, "\"b\"", true);
	end_turn(PS_OK);
	assert_string_equal(body_of(&web), "ok");
	/* What cannot be committed closes the session. */
	hand_over_send(&web, "\"c\"", false);
	end_turn(PS_ERR_IO);
	assert_true(has_status(&web, "503"));
	assert_non_null(strstr(web.out.data, "Retry-After"));
	hand_over_send(&web, "\"d\"", false);
	assert_true(has_status(&web, "404"));
}

static void
a_send_whose_client_has_gone_is_committed_all_the_same(void **state)
{
	(void)state;
	poll_is("o\n");
	hand_over_send(&web, "\"a\"", false);
	web_server_close(&web);
	fixture_turn();
	end_turn(PS_OK);
	assert_int_equal(n_fake_rows, 1);
	assert_true(LIST_EMPTY(&bridge.exchanges));
}

static void
a_session_has_one_receiver_at_a_time(void **state)
{
	(void)state;
	poll_is("o\n");
	hand_over_receive(&other_web, PS_SOCKJS_XHR);
	poll_is("c[2010,\"Another connection still open\"]\n");
	hand_over_receive(&web, PS_SOCKJS_XHR_STREAMING);
	assert_non_null(strstr(answer_of(&web), "\nc[2010,"));
	/* One that bears another name is another session. */
	session_name = "other";
	poll_is("o\n");
	assert_int_equal(bridge.sockjs_sessions.count, 2);
	web_server_close(&other_web);
	fixture_turn();
}

static void
a_closed_session_tells_so_until_it_is_gone(void **state)
{
	(void)state;
	poll_is("o\n");
	session_expel(TAILQ_FIRST(&bridge.sessions), 3000, "Go away!");
	poll_is("c[3000,\"Go away!\"]\n");
	hand_over_send(&web, "\"a\"", false);
	assert_true(has_status(&web, "404"));
	fixture_advance(GRACE_MS - 1);
	/* Even where nobody may connect any more. */
	authorization_withdraw(&bridge,
	    authorization_find(&bridge, ps_slice_str(SOCKET_ID)), "test");
	poll_is("c[3000,\"Go away!\"]\n");
	fixture_advance(GRACE_MS);
	assert_int_equal(bridge.sockjs_sessions.count, 0);
	hand_over_receive(&web, PS_SOCKJS_XHR);
	assert_true(has_status(&web, "404"));
}

/* Which goes in turns, so that a receiver may come before. */
static void
a_session_that_is_about_to_close_tells_so(void **state)
{
	(void)state;
	poll_is("o\n");
	authorization_withdraw(&bridge,
	    authorization_find(&bridge, ps_slice_str(SOCKET_ID)), "test");
	assert_int_equal(TAILQ_FIRST(&bridge.sessions)->state, SESSION_OPEN);
	poll_is("c[3000,\"Go away!\"]\n");
}

static void
a_close_is_told_past_a_stream_that_does_not_read(void **state)
{
	static char text[1000000];
	struct session *session;

	(void)state;
	fixture_set("queue_bytes=2MiB");
	fixture_set("stream_bytes=1GiB");
	hand_over_receive(&web, PS_SOCKJS_XHR_STREAMING);
	session = TAILQ_FIRST(&bridge.sessions);
	memset(text, 'x', sizeof(text));
	assert_true(connection_publish(&application_of(session)->connection,
	    message_create(PS_EVENT_TEXT, ps_slice(text, sizeof(text)))));
	fixture_turn();
	hand_over_receive(&other_web, PS_SOCKJS_XHR);
	assert_non_null(strstr(answer_of(&other_web), "c[2010,"));
	session_expel(session, 3000, "Go away!");
	assert_non_null(session->receiver);
	hand_over_receive(&other_web, PS_SOCKJS_XHR);
	assert_string_equal(body_of(&other_web), "c[3000,\"Go away!\"]\n");
	web_server_close(&web);
	fixture_turn();
}

static void
cookies_are_told_where_the_token_wants_them(void **state)
{
	(void)state;
	set_token(true, true);
	hand_over_receive(&web, PS_SOCKJS_XHR);
	assert_non_null(
	    strstr(answer_of(&web), "Set-Cookie: JSESSIONID=dummy; Path=/"));
	style.cookie = ps_slice_str("jar");
	hand_over_receive(&web, PS_SOCKJS_XHR_STREAMING);
	web_server_read(&web);
	ps_writer_u8(&web.out, 0);
	assert_non_null(
	    strstr(web.out.data, "Set-Cookie: JSESSIONID=jar; Path=/"));
	hand_over_send(&other_web, "\"a\"", false);
	end_turn(PS_OK);
	assert_non_null(strstr(answer_of(&other_web),
	    "Set-Cookie: JSESSIONID=jar; Path=/"));
	hand_over_page(&other_web, PS_SOCKJS_INFO, "");
	assert_null(strstr(answer_of(&other_web), "Set-Cookie"));
	web_server_close(&web);
	fixture_turn();
}

static void
a_stream_that_cannot_be_held_makes_no_session(void **state)
{
	(void)state;
	fixture_set("max_held=1");
	hand_over_receive(&other_web, PS_SOCKJS_XHR_STREAMING);
	session_name = "other";
	hand_over_receive(&web, PS_SOCKJS_XHR_STREAMING);
	assert_true(has_status(&web, "503"));
	assert_int_equal(bridge.sockjs_sessions.count, 1);
	/* A poll of a new session is answered at once, later ones with `h`. */
	poll_is("o\n");
	poll_is("h\n");
	web_server_close(&other_web);
	fixture_turn();
}

/* With one allocation after the other that fails, once. */
static void
what_has_no_memory_is_refused_or_closed(void **state)
{
	long which;

	(void)state;
	for (which = 0; which < 1000; which++) {
		struct session *session;
		char name[24];

		snprintf(name, sizeof(name), "s%ld", which);
		session_name = name;
		allocation_failed = false;
		ps_ipc_encode_sockjs_page(&frame, &(struct ps_ipc_sockjs_page){
		    { REQUEST_ID, style }, ps_slice_str(socket_id),
		    PS_SOCKJS_IFRAME, ps_slice(NULL, 0) });
		allocations_left = which;
		hand_over(&web, sockjs_on_page);
		hand_over_receive(&web, PS_SOCKJS_XHR);
		hand_over_send(&other_web, "\"a\"", false);
		allocations_left = -1;
		store_settle();
		web_server_read_all(&web);
		web_server_read_all(&other_web);
		web_server_close(&web);
		web_server_close(&other_web);
		while ((session = TAILQ_FIRST(&bridge.sessions)) != NULL)
			session_end(session, "over");
		fixture_turn();
		assert_row(which, LIST_EMPTY(&bridge.exchanges));
		assert_row(which, bridge.sockjs_sessions.count == 0);
		if (!allocation_failed)
			break;
	}
	assert_true(which > 5 && which < 1000);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(the_pages_of_an_application_follow_its_columns),
		fresh(the_entropy_of_the_information_is_random),
		fresh(an_iframe_that_a_browser_has_is_not_sent_again),
		fresh(strangers_are_refused_whatever_they_ask_for),
		fresh(what_is_no_page_is_refused_where_only_pages_may),
		fresh(a_send_is_answered_when_it_is_committed),
		fresh(a_send_whose_client_has_gone_is_committed_all_the_same),
		fresh(a_session_has_one_receiver_at_a_time),
		fresh(a_closed_session_tells_so_until_it_is_gone),
		fresh(a_session_that_is_about_to_close_tells_so),
		fresh(a_close_is_told_past_a_stream_that_does_not_read),
		fresh(cookies_are_told_where_the_token_wants_them),
		fresh(a_stream_that_cannot_be_held_makes_no_session),
		fresh(what_has_no_memory_is_refused_or_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
