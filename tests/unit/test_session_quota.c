/* What a session takes from its token and gives back, and how it is ended
 * by others than its two sides. */
#include "config.h"

#include "fixture.h"

#include "wsbridge/drain.h"
#include "wsbridge/session/record.h"

#define HOUR_MS (3600u * 1000)
/* Until midnight comes for sessions that have a receiver. */
#define HALF_DAY_MS (12 * HOUR_MS)

static const char *limit; /* that send_events() ran into */

static int
send_events(struct session *session, const char *events)
{
	limit = "not set";
	return fixture_send(session, events, false, &limit);
}

static void
set_limit(enum ps_token_limit which, uint64_t value)
{
	fixture_quota()->limits.value[which] = value;
}

/* The code that a create is refused with. */
static struct refusal
refusal(void)
{
	struct refusal r = { .code = PS_CODE__COUNT };

	assert_null(session_create(&bridge, ps_slice_str("192.0.2.1"),
	    fixture_quota(), &r));
	return r;
}

/* A row such as record_begin() makes where there is a database. */
static struct ps_session_row *
give_row(struct session *session)
{
	session->row = calloc(1, sizeof(*session->row));
	assert_non_null(session->row);
	session->row->id = session->name;
	return session->row;
}

/* Open, with a row and a receiver that takes all. */
static struct session *
open_with_row(void)
{
	struct session *session = fixture_open();

	give_row(session);
	receiver.greedy = true;
	assert_true(fixture_attach(session, &receiver, 10 * HALF_DAY_MS));
	return session;
}

static void
assert_row_end(const struct session *session, int code, const char *reason)
{
	assert_int_equal(session->row->close_code, code);
	assert_string_equal(session->row->close_reason, reason);
}

static void
assert_slots(uint64_t n_sessions, uint64_t n_users)
{
	assert_int_equal(fixture_quota()->n_sessions, n_sessions);
	assert_int_equal(fixture_quota()->n_users, n_users);
}

/* --- slots --- */

static void
end_by_client(struct session *session)
{
	session_close(session, 1000, ps_slice(NULL, 0));
}

static void
end_by_target(struct session *session)
{
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
}

static void
end_by_target_unclean(struct session *session)
{
	session_peer_closed(session, 1006, ps_slice(NULL, 0), false);
}

static void
end_by_administrator(struct session *session)
{
	session_expel(session, 1008, "closed by administrator");
}

static void
end_at_once(struct session *session)
{
	session_end(session, "test");
}

static void
end_by_silence(struct session *session)
{
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_advance(FIRST_GRACE_MS);
}

static void
end_by_message(struct session *session)
{
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 0);
	fixture_from_peer(session, "x");
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, PS_NO_LIMIT);
}

static void
end_by_draining(struct session *session)
{
	session_drain(session);
}

static void (*const ends[])(struct session *session) = { end_by_client,
	end_by_target, end_by_target_unclean, end_by_administrator,
	end_at_once, end_by_message, end_by_draining };

/* Whatever ends a session, and whatever would end it after that. */
static void
an_open_session_gives_its_slot_back_once(void **state)
{
	struct session *session;
	size_t first, second;

	(void)state;
	set_limit(PS_LIMIT_SOCKETS, 2);
	fixture_connecting(); /* stays, as what must not be given back */
	for (first = 0; first < ROWS(ends); first++) {
		for (second = 0; second < ROWS(ends); second++) {
			session = fixture_open();
			assert_slots(2, 2);
			assert_int_equal(refusal().code,
			    PS_CODE_CONNECTION_LIMIT);
			ends[first](session);
			assert_row(first, fixture_quota()->n_sessions == 1);
			/* A session ends once, and a target closes once. */
			if (session->state != SESSION_CLOSED &&
			    session->close == NULL)
				ends[second](session);
			assert_row(first, fixture_quota()->n_sessions == 1);
			session_end(session, "test");
			assert_slots(1, 1);
			fixture_turn();
		}
	}
}

static void
a_session_without_receivers_gives_its_slot_back(void **state)
{
	(void)state;
	end_by_silence(fixture_open());
	assert_slots(0, 0);
}

static void
a_connecting_session_counts_until_it_fails(void **state)
{
	(void)state;
	set_limit(PS_LIMIT_SOCKETS, 1);
	session_open_failed(fixture_connecting(), PS_CODE_CONNECT_REFUSED, 0);
	assert_slots(0, 0);
	fixture_connecting();
	assert_string_equal(refusal().limit, "max_sockets");
	fixture_advance(CONNECT_TIMEOUT_MS);
	assert_slots(0, 0);
	session_expel(fixture_connecting(), 1008, "token disabled");
	assert_slots(0, 0);
	session_end(fixture_connecting(), "test");
	assert_slots(0, 0);
	assert_int_equal(opener.n_failed, 3);
}

/* It lingers for its client, but whoever may have one socket may reconnect. */
static void
a_closing_session_has_no_slot_but_still_refers_to_its_token(void **state)
{
	struct session *session;

	(void)state;
	set_limit(PS_LIMIT_SOCKETS, 1);
	session = fixture_open();
	session_close(session, 1000, ps_slice(NULL, 0));
	assert_slots(0, 1);
	fixture_open();
	assert_slots(1, 2);
	end_by_target(session);
	assert_slots(1, 2);
	fixture_advance(LINGER_MS);
	assert_slots(1, 1);
}

static void
a_create_that_fails_takes_no_slot(void **state)
{
	(void)state;
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, 2);
	fixture_set("max_sessions_per_address=1");
	fixture_connecting();
	assert_string_equal(refusal().limit, "max_sessions_per_address");
	assert_slots(1, 1);
	assert_int_equal(fixture_quota()->n_creates, 1);
	fixture_set("max_sessions=1");
	assert_string_equal(refusal().limit, "max_sessions");
	assert_slots(1, 1);
}

static void
what_is_refused_is_counted_for_its_token(void **state)
{
	struct ps_usage usage;

	(void)state;
	fixture_connecting();
	set_limit(PS_LIMIT_SOCKETS, 1);
	refusal(); /* by the token */
	set_limit(PS_LIMIT_SOCKETS, PS_NO_LIMIT);
	fixture_set("max_sessions_per_address=1");
	refusal(); /* by the address */
	fixture_set("max_sessions=1");
	refusal(); /* by the node */
	assert_true(quotas_take_unwritten(&bridge.quotas, &usage));
	assert_int_equal(usage.creates, 1);
	assert_int_equal(usage.refused, 3);
}

/* --- messages and bytes of the day --- */

static void
the_message_that_exceeds_the_day_is_not_sent(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 3);
	assert_int_equal(send_events(session, "t:one;t:two;"), PS_OK);
	assert_null(limit);
	assert_int_equal(send_events(session, "t:three;t:four;"),
	    PS_ERR_QUOTA);
	assert_string_equal(limit, "max_messages_per_day");
	assert_slice(written(&peer.sent), "t:one;t:two;");
	assert_int_equal(session->traffic.messages_up, 2);
	assert_int_equal(session->traffic.bytes_up, 6);
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_int_equal(peer.close_code, 1008);
	assert_string_equal(peer.close_reason, "daily_limit");
	assert_int_equal(send_events(session, "t:three;"), PS_ERR_CLOSED);
	assert_int_equal(fixture_quota()->messages, 2);
	assert_row_end(session, 1008, "daily_limit");
}

static void
the_last_message_of_the_day_is_sent(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 2);
	set_limit(PS_LIMIT_BYTES_PER_DAY, 6);
	assert_int_equal(send_events(session, "t:one;b:two;"), PS_OK);
	assert_slice(written(&peer.sent), "t:one;b:two;");
	assert_int_equal(session->state, SESSION_OPEN);
	assert_int_equal(refusal().code, PS_CODE_DAILY_LIMIT);
	assert_int_equal(send_events(session, ""), PS_OK);
	assert_int_equal(send_events(session, "t:;"), PS_ERR_QUOTA);
	assert_string_equal(limit, "max_messages_per_day");
}

static void
parts_count_when_the_message_is_whole(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	set_limit(PS_LIMIT_BYTES_PER_DAY, 5);
	assert_int_equal(fixture_send(session, "t:123;", true, &limit),
	    PS_OK);
	assert_int_equal(fixture_quota()->bytes, 0);
	assert_int_equal(fixture_send(session, "t:45;b:678;", true, &limit),
	    PS_OK);
	assert_int_equal(fixture_quota()->bytes, 5);
	assert_int_equal(fixture_quota()->messages, 1);
	assert_int_equal(fixture_send(session, "b:9;", false, &limit),
	    PS_ERR_QUOTA);
	assert_string_equal(limit, "max_bytes_per_day");
	assert_slice(written(&peer.sent), "t:12345;");
}

static void
what_the_target_has_no_room_for_is_not_counted(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	peer.room_count = 0;
	assert_int_equal(send_events(session, "t:x;"), PS_ERR_FULL);
	assert_string_equal(limit, "queue_messages");
	peer.room_count = 9;
	peer.room_bytes = 0;
	assert_int_equal(send_events(session, "t:x;"), PS_ERR_FULL);
	assert_string_equal(limit, "queue_bytes");
	assert_int_equal(fixture_quota()->messages, 0);
	assert_int_equal(session->state, SESSION_OPEN);
}

static void
a_day_used_up_by_the_target_closes_with_1008(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	set_limit(PS_LIMIT_BYTES_PER_DAY, 5);
	fixture_from_peer(session, "12345");
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_from_peer(session, "6");
	assert_int_equal(session->state, SESSION_CLOSING);
	assert_int_equal(peer.close_code, 1008);
	assert_string_equal(peer.close_reason, "daily_limit");
	assert_slice(written(&receiver.got), "t:12345;");
	assert_int_equal(session->traffic.bytes_down, 5);
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	assert_slice(written(&receiver.got), "t:12345;close;");
	assert_row_end(session, 1008, "daily_limit");
}

/* What a client gets has an end but no hole: not even one of a byte. */
static void
a_session_is_deaf_after_the_limit_of_the_day(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	set_limit(PS_LIMIT_BYTES_PER_DAY, 5);
	fixture_from_peer(session, "1234");
	fixture_from_peer(session, "56");
	fixture_from_peer(session, "7"); /* there would be room for this */
	fixture_from_peer(session, "");
	fixture_advance(HALF_DAY_MS); /* another day */
	fixture_from_peer(session, "8");
	assert_slice(written(&receiver.got), "t:1234;");
	assert_int_equal(session->traffic.messages_down, 1);
	assert_int_equal(fixture_quota()->bytes, 4);
}

static void
both_directions_and_all_sessions_share_a_day(void **state)
{
	struct session *session = open_with_row(), *other = fixture_open();

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 3);
	assert_int_equal(send_events(session, "t:one;"), PS_OK);
	fixture_from_peer(session, "two");
	assert_int_equal(send_events(other, "t:three;"), PS_OK);
	fixture_from_peer(other, "four");
	assert_int_equal(other->state, SESSION_CLOSING);
	/* Another session of the token goes on until it needs more. */
	assert_int_equal(session->state, SESSION_OPEN);
	assert_int_equal(send_events(session, "t:four;"), PS_ERR_QUOTA);
}

static void
midnight_gives_another_day(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 1);
	assert_int_equal(send_events(session, "t:one;"), PS_OK);
	assert_int_equal(refusal().retry_after_s, 12 * 3600);
	fixture_advance(HALF_DAY_MS - 1);
	assert_int_equal(refusal().code, PS_CODE_DAILY_LIMIT);
	fixture_advance(1);
	assert_int_equal(send_events(session, "t:two;"), PS_OK);
	assert_int_equal(send_events(session, "t:three;"), PS_ERR_QUOTA);
}

/* What a closing target still says is delivered, and so it is counted. */
static void
messages_while_closing_count_as_well(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 1);
	session_close(session, 4000, ps_slice_str("enough"));
	fixture_from_peer(session, "last");
	fixture_from_peer(session, "too many");
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 4000);
	session_peer_closed(session, 4000, ps_slice_str("enough"), true);
	assert_slice(written(&receiver.got), "t:last;close;");
	assert_row_end(session, 4000, "enough");
}

/* --- sizes --- */

static const struct {
	uint64_t token, max;
	const char *name;
} sizes[] = {
	{ PS_NO_LIMIT, MAX_MESSAGE, "max_message" },
	{ MAX_MESSAGE + 1, MAX_MESSAGE, "max_message" },
	{ MAX_MESSAGE, MAX_MESSAGE, "max_message" },
	{ MAX_MESSAGE - 1, MAX_MESSAGE - 1, "max_message_bytes" },
	{ 1, 1, "max_message_bytes" },
	{ 0, 0, "max_message_bytes" },
};

static void
the_smaller_limit_of_token_and_node_bounds_a_message(void **state)
{
	struct session *session = open_with_row();
	char events[MAX_MESSAGE + 8];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(sizes); i++) {
		set_limit(PS_LIMIT_MESSAGE_BYTES, sizes[i].token);
		assert_row(i,
		    session_max_message(session, NULL) == sizes[i].max);
		snprintf(events, sizeof(events), "t:%.*s;", (int)sizes[i].max,
		    "twenty bytes of text");
		assert_row(i, send_events(session, events) == PS_OK);
		assert_row(i, writer_had(&peer.sent, events));
		snprintf(events, sizeof(events), "t:%.*s+;",
		    (int)sizes[i].max, "twenty bytes of text");
		assert_row(i,
		    send_events(session, events) == PS_ERR_TOO_LARGE);
		assert_string_equal(limit, sizes[i].name);
		assert_row(i, session->state == SESSION_OPEN);
	}
	assert_int_equal(peer.n_sent, ROWS(sizes));
}

static void
a_lowered_limit_holds_for_the_parts_that_follow(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	assert_int_equal(fixture_send(session, "t:12345;", true, &limit),
	    PS_OK);
	set_limit(PS_LIMIT_MESSAGE_BYTES, 4);
	assert_int_equal(send_events(session, "t:;"), PS_ERR_TOO_LARGE);
	set_limit(PS_LIMIT_MESSAGE_BYTES, 5);
	assert_int_equal(send_events(session, "t:;"), PS_OK);
	assert_slice(written(&peer.sent), "t:12345;");
}

static void
the_smaller_limit_of_token_and_node_pauses_the_target(void **state)
{
	static const struct {
		uint64_t token;
		unsigned last; /* message of ten bytes that still fits */
		const char *name;
	} rows[] = {
		{ PS_NO_LIMIT, QUEUE_BYTES / 10 - 1, "queue_bytes" },
		{ QUEUE_BYTES, QUEUE_BYTES / 10 - 1, "queue_bytes" },
		{ 21, 2, "max_queue_bytes" },
		{ 20, 1, "max_queue_bytes" },
		{ 1, 0, "max_queue_bytes" },
	};
	size_t i;
	unsigned n;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		struct session *session = fixture_open();
		const char *name;

		set_limit(PS_LIMIT_QUEUE_BYTES, rows[i].token);
		session_queue_bytes(session, &name);
		assert_string_equal(name, rows[i].name);
		peer.n_pause = peer.n_resume = 0;
		for (n = 0; n < rows[i].last; n++)
			fixture_from_peer(session, "ten bytes.");
		assert_row(i, peer.n_pause == 0);
		fixture_from_peer(session, "ten bytes.");
		assert_row(i, peer.n_pause == 1);
		session_take(session, session->queue.count, false);
		session_confirm(session);
		assert_row(i, peer.n_resume == 1);
	}
}

/* A limit of 0 would stop the session for ever. */
static void
a_queue_without_bytes_has_one_message(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	set_limit(PS_LIMIT_QUEUE_BYTES, 0);
	fixture_from_peer(session, "x");
	assert_int_equal(peer.n_pause, 1);
	session_take(session, 1, false);
	session_confirm(session);
	assert_int_equal(peer.n_resume, 1);
}

static void
a_raised_limit_lets_the_target_go_on(void **state)
{
	struct session *session = open_with_row();
	unsigned i;

	(void)state;
	receiver.greedy = false;
	set_limit(PS_LIMIT_QUEUE_BYTES, 2);
	for (i = 0; i < 3; i++)
		fixture_from_peer(session, "x");
	assert_int_equal(peer.n_pause, 1);
	set_limit(PS_LIMIT_QUEUE_BYTES, PS_NO_LIMIT);
	session_take(session, 1, false);
	session_confirm(session);
	assert_int_equal(peer.n_resume, 1);
}

/* --- ends that are the bridge's own decision --- */

static void
whatever_the_target_answers_the_client_hears_why(void **state)
{
	static const struct {
		uint16_t code;
		const char *reason;
		bool was_clean;
	} answers[] = {
		{ 1008, "token disabled", true },
		{ 1000, "my own words", true },
		{ 1005, "", true },
		{ 1006, "", false },
		{ 4999, "", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(answers); i++) {
		struct session *session = fixture_open();

		give_row(session);
		session_expel(session, 1008, "token disabled");
		assert_row(i, peer.n_close == i + 1);
		assert_row(i, peer.close_code == 1008);
		assert_string_equal(peer.close_reason, "token disabled");
		assert_row_end(session, 1008, "token disabled");
		session_peer_closed(session, answers[i].code,
		    ps_slice_str(answers[i].reason), answers[i].was_clean);
		assert_row(i, session->close->code == 1008);
		assert_slice(ps_slice(session->close->reason,
				 session->close->reason_len),
		    "token disabled");
		assert_row(i,
		    session->close->was_clean == answers[i].was_clean);
		assert_row_end(session, 1008, "token disabled");
	}
}

static void
what_was_said_before_is_still_delivered(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	receiver.greedy = false;
	fixture_from_peer(session, "before");
	session_expel(session, 1008, "token disabled");
	fixture_from_peer(session, "meanwhile");
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	fixture_take(session, &receiver);
	assert_slice(written(&receiver.got), "t:before;t:meanwhile;close;");
	assert_int_equal(send_events(session, "t:x;"), PS_ERR_CLOSED);
}

static void
the_first_decision_stays(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	session_expel(session, 1008, "token disabled");
	session_expel(session, 1011, "something else");
	session_close(session, 1000, ps_slice_str("bye"));
	session_drain(session);
	assert_int_equal(peer.n_close, 1);
	assert_row_end(session, 1008, "token disabled");
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	session_expel(session, 1011, "something else");
	assert_row_end(session, 1008, "token disabled");
}

static void
whoever_closes_already_is_not_expelled(void **state)
{
	struct session *by_client = fixture_open(), *by_target;

	(void)state;
	give_row(by_client);
	session_close(by_client, 4000, ps_slice_str("enough"));
	session_expel(by_client, 1008, "token disabled");
	assert_int_equal(peer.n_close, 1);
	session_peer_closed(by_client, 4000, ps_slice_str("enough"), true);
	assert_int_equal(by_client->close->code, 4000);
	assert_row_end(by_client, 4000, "enough");

	by_target = fixture_open();
	give_row(by_target);
	session_peer_closed(by_target, 1001, ps_slice_str("away"), true);
	session_expel(by_target, 1008, "token disabled");
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(by_target->close->code, 1001);
	assert_row_end(by_target, 1001, "away");
}

static void
expelling_what_is_connecting_fails_its_create(void **state)
{
	struct session *session = fixture_connecting();

	(void)state;
	give_row(session);
	session_expel(session, 1008, "token disabled");
	assert_int_equal(session->state, SESSION_CLOSED);
	assert_int_equal(opener.n_failed, 1);
	assert_int_equal(opener.code, PS_CODE_SOCKET_UNKNOWN);
	assert_int_equal(peer.n_abandon, 1);
	assert_int_equal(peer.n_close, 0);
	assert_row_end(session, 0, "token disabled");
}

static void
ignore_drained(struct bridge *of)
{
	(void)of;
}

static void
draining_fails_what_is_connecting_with_its_own_code(void **state)
{
	struct session *session = fixture_connecting();

	(void)state;
	give_row(session);
	bridge.draining = true;
	bridge.on_drained = ignore_drained;
	session_drain(session);
	bridge.draining = false;
	assert_int_equal(opener.code, PS_CODE_DRAINING);
}

static void
draining_says_so_in_the_records(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	session_drain(session);
	assert_int_equal(peer.close_code, 1001);
	assert_row_end(session, 1001, "server shutting down");
	session_peer_closed(session, 1000, ps_slice_str("ok"), true);
	assert_row_end(session, 1001, "server shutting down");
}

/* --- the reason of an end in the records --- */

static void
the_record_has_what_the_close_frame_said(void **state)
{
	struct session *session = open_with_row();

	(void)state;
	session_peer_closed(session, 4321, ps_slice_str("their words"), true);
	assert_row_end(session, 4321, "their words");
}

static void
without_words_the_record_says_who_it_was(void **state)
{
	struct session *session;

	(void)state;
	session = fixture_open();
	give_row(session);
	session_peer_closed(session, 1005, ps_slice(NULL, 0), true);
	assert_row_end(session, 1005, "closed by target");

	session = fixture_open();
	give_row(session);
	session_close(session, 4000, ps_slice(NULL, 0));
	session_peer_closed(session, 4000, ps_slice(NULL, 0), true);
	assert_row_end(session, 4000, "closed by client");
}

static void
an_end_without_a_close_event_says_its_cause(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	give_row(session);
	session_end(session, "no receiver");
	assert_row_end(session, 1001, "no receiver");

	session = fixture_connecting();
	give_row(session);
	session_open_failed(session, PS_CODE_TLS_ERROR, 0);
	assert_row_end(session, 0, "tls_error");

	session = fixture_open();
	give_row(session);
	session_expel(session, 1011, "out of memory");
	session_end(session, "close event not fetched");
	assert_row_end(session, 1011, "out of memory");

	session = fixture_open();
	give_row(session);
	session_close(session, 4000, ps_slice_str("enough"));
	session_end(session, "close event not fetched");
	assert_row_end(session, 1001, "closed by client");
}

static void
a_row_is_closed_when_its_session_leaves(void **state)
{
	struct session *session = open_with_row();
	struct ps_session_row *row = session->row;

	(void)state;
	receiver.greedy = false;
	fixture_advance(1000);
	fixture_from_peer(session, "one");
	assert_int_equal(row->closed_at_s, 0);
	fixture_advance(1000);
	session_expel(session, 1008, "token disabled");
	assert_int_equal(row->closed_at_s, FIXTURE_NOON_S + 2);
	fixture_advance(1000);
	fixture_from_peer(session, "two");
	session_peer_closed(session, 1008, ps_slice(NULL, 0), true);
	assert_int_equal(row->closed_at_s, FIXTURE_NOON_S + 2);
	assert_int_equal(row->traffic.messages_down, 2);
	assert_int_equal(row->traffic.bytes_down, 6);
}

/* Of JSON strings only what is inside counts, in both directions. */
static void
quotes_around_a_message_do_not_count(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	session->kind = PS_SESSION_APPLICATION;
	set_limit(PS_LIMIT_BYTES_PER_DAY, 19);
	set_limit(PS_LIMIT_MESSAGE_BYTES, 5);
	assert_int_equal(send_events(session, "t:\"12345\";t:\"12345\";"),
	    PS_OK);
	assert_int_equal(session->traffic.bytes_up, 10);
	assert_int_equal(send_events(session, "t:\"123456\";"),
	    PS_ERR_TOO_LARGE);
	assert_string_equal(limit, "max_message_bytes");
	assert_int_equal(session_message_from_client(session, PS_EVENT_TEXT,
			     ps_slice_str("\"12345\""), &limit),
	    PS_OK);
	assert_int_equal(session_message_from_client(session, PS_EVENT_TEXT,
			     ps_slice_str("\"123456\""), &limit),
	    PS_ERR_TOO_LARGE);
	fixture_from_peer(session, "\"1234\"");
	assert_int_equal(session->traffic.bytes_down, 4);
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_from_peer(session, "\"\""); /* which has none */
	assert_int_equal(session->state, SESSION_OPEN);
	fixture_from_peer(session, "\"1\"");
	assert_int_equal(session->state, SESSION_CLOSING);
}

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(an_open_session_gives_its_slot_back_once),
		fresh(a_session_without_receivers_gives_its_slot_back),
		fresh(a_connecting_session_counts_until_it_fails),
		fresh(a_closing_session_has_no_slot_but_still_refers_to_its_token),
		fresh(a_create_that_fails_takes_no_slot),
		fresh(what_is_refused_is_counted_for_its_token),
		fresh(the_message_that_exceeds_the_day_is_not_sent),
		fresh(the_last_message_of_the_day_is_sent),
		fresh(parts_count_when_the_message_is_whole),
		fresh(what_the_target_has_no_room_for_is_not_counted),
		fresh(a_day_used_up_by_the_target_closes_with_1008),
		fresh(a_session_is_deaf_after_the_limit_of_the_day),
		fresh(both_directions_and_all_sessions_share_a_day),
		fresh(quotes_around_a_message_do_not_count),
		fresh(midnight_gives_another_day),
		fresh(messages_while_closing_count_as_well),
		fresh(the_smaller_limit_of_token_and_node_bounds_a_message),
		fresh(a_lowered_limit_holds_for_the_parts_that_follow),
		fresh(the_smaller_limit_of_token_and_node_pauses_the_target),
		fresh(a_queue_without_bytes_has_one_message),
		fresh(a_raised_limit_lets_the_target_go_on),
		fresh(whatever_the_target_answers_the_client_hears_why),
		fresh(what_was_said_before_is_still_delivered),
		fresh(the_first_decision_stays),
		fresh(whoever_closes_already_is_not_expelled),
		fresh(expelling_what_is_connecting_fails_its_create),
		fresh(draining_fails_what_is_connecting_with_its_own_code),
		fresh(draining_says_so_in_the_records),
		fresh(the_record_has_what_the_close_frame_said),
		fresh(without_words_the_record_says_who_it_was),
		fresh(an_end_without_a_close_event_says_its_cause),
		fresh(a_row_is_closed_when_its_session_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
