#include "config.h"

#include "fixture.h"

#include <inttypes.h>

#include "ps_db_authorizations.h"
#include "ps_policy.h"
#include "wsbridge/applications/authorization.h"
#include "wsbridge/applications/authorizations.h"
#include "wsbridge/enforce.h"
#include "wsbridge/store/store.h"

/* What the store is given in place of being written. */
static struct {
	unsigned n_put, n_deleted, n_refused; /* of deletes */
	char socket_id[PS_SOCKET_ID_LEN + 1]; /* of the last */
	bool is_away, is_away_after_failure;
} rows;

bool __wrap_store_do(struct store *store, struct store_job *job);
int __wrap_ps_db_put_authorization(struct ps_db *db,
    const struct ps_authorization_row *row);
int __wrap_ps_db_delete_authorization(struct ps_db *db,
    const char *socket_id);

bool
__wrap_store_do(struct store *store, struct store_job *job)
{
	int ret;

	(void)store;
	if (rows.is_away)
		return false;
	ret = job->run(job, NULL);
	if (ret != PS_OK && rows.is_away_after_failure)
		rows.is_away = true;
	job->done(job, ret);
	return true;
}

int
__wrap_ps_db_put_authorization(struct ps_db *db,
    const struct ps_authorization_row *row)
{
	(void)db;
	rows.n_put++;
	strcpy(rows.socket_id, row->socket_id);
	return PS_OK;
}

int
__wrap_ps_db_delete_authorization(struct ps_db *db, const char *socket_id)
{
	(void)db;
	if (rows.n_refused > 0) {
		rows.n_refused--;
		return PS_ERR_IO;
	}
	rows.n_deleted++;
	strcpy(rows.socket_id, socket_id);
	return PS_OK;
}

#define CONNECTIONS 40
/* So many that one message for all pauses for 4 ms. */
#define CROWD 400
#define CROWD_PAUSE_MS 4

static struct connection connections[CONNECTIONS];

static const char callback[] = "http://app.example/ws/callback";

/* Tokens 1 and 2, which may be called back below that path, or not at all. */
static void
set_policy(uint64_t revision, bool enabled, const char *pattern)
{
	struct ps_policy *policy = ps_policy_create(revision);
	struct ps_token token = { .enabled = enabled,
		.has_secret = true,
		.expires_at_s = INT64_MAX };
	size_t i;

	assert_non_null(policy);
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] = PS_NO_LIMIT;
	for (token.id = 1; token.id <= 2; token.id++) {
		token.hash[0] = (unsigned char)token.id;
		token.name = strdup(token.id == 1 ? "one" : "two");
		assert_non_null(token.name);
		assert_int_equal(ps_policy_add_token(policy, &token), PS_OK);
	}
	assert_int_equal(ps_policy_seal(policy), PS_OK);
	for (i = 1; pattern != NULL && i <= 2; i++)
		assert_int_equal(ps_policy_add_pattern(policy, (int64_t)i,
				     PS_RIGHT_CALLBACK, pattern),
		    PS_OK);
	enforce_policy(&bridge, policy);
}

static int
setup(void **state)
{
	int ret = fixture_setup(state);

	memset(&rows, 0, sizeof(rows));
	memset(connections, 0, sizeof(connections));
	if (ret != 0)
		return ret;
	set_policy(1, true, "http://app.example/ws/*");
	fixture_turn();
	return 0;
}

static int
teardown(void **state)
{
	struct session *session;
	size_t i;

	for (i = 0; i < CONNECTIONS; i++)
		authorization_remove_session(&connections[i]);
	while ((session = TAILQ_FIRST(&bridge.sessions)) != NULL)
		session_end(session, "test over");
	return fixture_teardown(state);
}

static struct authorization *
renew(int64_t token_id, const char *client, uint64_t ttl_s)
{
	const struct authorization_terms terms = { token_id,
		ps_slice_str(client), ps_slice_str(callback), false, ttl_s };
	enum ps_code code;

	return authorization_renew(&bridge, &terms, &code);
}

static struct authorization *
find(const struct authorization *authorization)
{
	return authorization_find(&bridge,
	    ps_slice_str(authorization->socket_id));
}

/* The first `count` connections are of open sessions. */
static void
open_sessions(struct authorization *authorization, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		connections[i].session = fixture_open();
		connections[i].transport = "xhr";
		authorization_add_session(authorization, &connections[i]);
	}
}

/* One session whose client stays, however much time passes. */
static void
open_lasting(struct authorization *authorization)
{
	open_sessions(authorization, 1);
	receiver.greedy = true;
	assert_true(fixture_attach(connections[0].session, &receiver,
	    UINT64_MAX / 2));
}

static uint32_t
publish(struct authorization *authorization, const char *text)
{
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str(text));
	bool queued;

	assert_non_null(message);
	return authorization_publish(authorization, message, true, &queued);
}

/* Whether it was kept for the next session. */
static bool
is_kept(struct authorization *authorization, const char *text, bool store)
{
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str(text));
	bool queued;

	assert_non_null(message);
	assert_int_equal(authorization_publish(authorization, message, store,
			     &queued),
	    0);
	return queued;
}

static void
a_client_keeps_its_socket_id(void **state)
{
	struct authorization *first = renew(1, "ann", 60);
	char id[PS_SOCKET_ID_LEN + 1];

	(void)state;
	assert_non_null(first);
	strcpy(id, first->socket_id);
	assert_int_equal(strlen(id), PS_SOCKET_ID_LEN);
	assert_int_equal(strspn(id, "abcdefghijklmnopqrstuvwxyz234567"),
	    PS_SOCKET_ID_LEN);
	assert_ptr_equal(renew(1, "ann", 60), first);
	assert_string_equal(first->socket_id, id);
	assert_ptr_not_equal(renew(1, "an", 60), first);
	assert_ptr_not_equal(renew(2, "ann", 60), first);
	assert_string_not_equal(renew(2, "ann", 60)->socket_id, id);
	assert_ptr_equal(find(first), first);
	assert_ptr_equal(authorization_find_client(&bridge, 1,
			     ps_slice_str("ann")),
	    first);
	assert_null(authorization_find_client(&bridge, 1,
	    ps_slice_str("bob")));
	assert_null(authorization_find_client(&bridge, 3,
	    ps_slice_str("ann")));
}

/* Each of its characters may be any of the 32, which a thousand ids show. */
static void
a_socket_id_is_160_random_bits(void **state)
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint32_t seen[PS_SOCKET_ID_LEN] = { 0 };
	const char *id;
	char client[8];
	size_t i, n;

	(void)state;
	assert_int_equal(PS_SOCKET_ID_LEN * 5, 160);
	for (n = 0; n < 1000; n++) {
		snprintf(client, sizeof(client), "%zu", n);
		id = renew(1, client, 0)->socket_id;
		for (i = 0; i < PS_SOCKET_ID_LEN; i++)
			seen[i] |= UINT32_C(1)
			    << (strchr(base32, id[i]) - base32);
	}
	for (i = 0; i < PS_SOCKET_ID_LEN; i++)
		assert_row(i, seen[i] == UINT32_MAX);
}

static void
renewing_takes_the_callback_and_the_time(void **state)
{
	struct authorization_terms terms = { 1, ps_slice_str("ann"),
		ps_slice_str("http://app.example/ws/other"), true, 0 };
	struct authorization *authorization = renew(1, "ann", 10);
	int64_t created_s = authorization->created_at_s;
	enum ps_code code;

	(void)state;
	assert_string_equal(authorization->callback, callback);
	assert_false(authorization->events);
	fixture_advance(5000);
	assert_ptr_equal(authorization_renew(&bridge, &terms, &code),
	    authorization);
	assert_string_equal(authorization->callback,
	    "http://app.example/ws/other");
	assert_true(authorization->events);
	assert_int_equal(authorization->created_at_s, created_s);
	assert_int_equal(authorization->renewed_at_s, created_s + 5);
	/* For ever: that is long. */
	fixture_advance(UINT64_C(10) * 365 * 86400 * 1000);
	assert_ptr_equal(find(authorization), authorization);
	assert_int_equal(rows.n_deleted, 0);
}

static void
the_node_has_room_for_so_many(void **state)
{
	const struct authorization_terms terms = { 1, ps_slice_str("eve"),
		ps_slice_str(callback), false, 60 };
	enum ps_code code = PS_CODE__COUNT;

	(void)state;
	fixture_set("max_authorizations=2");
	assert_non_null(renew(1, "ann", 60));
	assert_non_null(renew(1, "bob", 60));
	assert_null(authorization_renew(&bridge, &terms, &code));
	assert_int_equal(code, PS_CODE_TOO_MANY_AUTHORIZATIONS);
	assert_non_null(renew(1, "ann", 60));
	authorization_withdraw(&bridge, renew(1, "bob", 60), "test");
	assert_non_null(authorization_renew(&bridge, &terms, &code));
}

static void
one_whose_time_is_over_ends(void **state)
{
	struct authorization *authorization = renew(1, "ann", 7200);

	(void)state;
	open_lasting(authorization);
	/* Longer than until it is looked at again. */
	fixture_advance(7199999);
	assert_ptr_equal(find(authorization), authorization);
	assert_int_equal(peer.n_close, 0);
	/* Time of day has whole seconds. */
	fixture_advance(1000);
	assert_int_equal(bridge.authorizations.by_id.count, 0);
	assert_int_equal(rows.n_deleted, 1);
	fixture_turn();
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 3000);
	assert_string_equal(peer.close_reason, "Go away!");
	assert_true(TAILQ_EMPTY(&bridge.authorizations.all));
	assert_ptr_not_equal(renew(1, "ann", 1), NULL);
}

static void
a_bridge_that_drains_leaves_the_end_to_its_successor(void **state)
{
	struct authorization *authorization = renew(1, "ann", 10);

	(void)state;
	bridge.draining = true;
	fixture_advance(20000);
	assert_null(find(authorization));
	assert_int_equal(rows.n_deleted, 0);
}

static void
sessions_of_one_that_is_withdrawn_close_in_turns(void **state)
{
	struct authorization *authorization = renew(1, "ann", 60);

	(void)state;
	open_sessions(authorization, CONNECTIONS);
	authorization_withdraw(&bridge, authorization, "test");
	assert_null(authorization_find_client(&bridge, 1,
	    ps_slice_str("ann")));
	assert_int_equal(rows.n_deleted, 1);
	assert_int_equal(peer.n_close, 0);
	fixture_turn();
	assert_int_equal(peer.n_close, FANOUT_TURN);
	fixture_turn();
	assert_int_equal(peer.n_close, CONNECTIONS);
	assert_int_equal(peer.close_code, 3000);
	assert_true(TAILQ_EMPTY(&bridge.authorizations.live));
	assert_true(TAILQ_EMPTY(&bridge.authorizations.all));
}

static void
what_the_administrator_deleted_is_not_deleted_again(void **state)
{
	struct authorization *authorization = renew(1, "ann", 60);
	char id[PS_SOCKET_ID_LEN + 1];

	(void)state;
	open_sessions(authorization, 1);
	strcpy(id, authorization->socket_id);
	authorization_forgotten(&bridge, ps_slice_str(id));
	authorization_forgotten(&bridge, ps_slice_str(id));
	fixture_turn();
	assert_int_equal(rows.n_deleted, 0);
	assert_int_equal(peer.n_close, 1);
	assert_null(authorization_find(&bridge, ps_slice_str(id)));
}

/* A row that stayed would be in the way of the client's next, and the bridge
 * that starts next would let it in. */
static void
a_row_that_could_not_be_deleted_is_deleted_later(void **state)
{
	(void)state;
	rows.n_refused = 3;
	authorization_withdraw(&bridge, renew(1, "ann", 0), "test");
	assert_int_equal(rows.n_deleted, 1);
	/* Not where there is no store any more. */
	rows.n_refused = 1;
	rows.is_away_after_failure = true;
	authorization_withdraw(&bridge, renew(1, "ben", 0), "test");
	assert_int_equal(rows.n_deleted, 1);
}

static void
it_is_found_while_its_token_covers_it(void **state)
{
	const struct authorization_terms terms = { 1, ps_slice_str("ann"),
		ps_slice_str("http://app.example/new/cb"), false, 0 };
	struct authorization *authorization = renew(1, "ann", 0);
	enum ps_code code;

	(void)state;
	assert_ptr_equal(find(authorization), authorization);
	assert_int_equal(authorization_token(&bridge, authorization)->id, 1);
	set_policy(2, false, "http://app.example/ws/*");
	assert_null(find(authorization));
	assert_null(authorization_token(&bridge, authorization));
	set_policy(3, true, "http://app.example/other/*");
	assert_null(find(authorization));
	set_policy(4, true, NULL);
	assert_null(find(authorization));
	set_policy(5, true, "http://app.example/ws/*");
	assert_ptr_equal(find(authorization), authorization);
	/* It was there all the time. */
	assert_int_equal(rows.n_deleted, 0);
	/* Another callback is judged at once. */
	set_policy(6, true, "http://app.example/new/*");
	assert_null(find(authorization));
	assert_non_null(authorization_renew(&bridge, &terms, &code));
	assert_ptr_equal(find(authorization), authorization);
}

static void
sessions_close_when_the_callback_is_covered_no_more(void **state)
{
	struct authorization *one = renew(1, "ann", 0);
	struct authorization *two = renew(2, "ann", 0);

	(void)state;
	connections[0].session = fixture_open();
	connections[1].session = fixture_open();
	authorization_add_session(one, &connections[0]);
	authorization_add_session(two, &connections[1]);
	set_policy(2, true, "http://app.example/*");
	fixture_turn();
	fixture_turn();
	assert_int_equal(peer.n_close, 0);
	set_policy(3, true, "http://other.example/*");
	fixture_turn();
	fixture_turn();
	assert_int_equal(peer.n_close, 2);
	assert_int_equal(peer.close_code, 1008);
	assert_string_equal(peer.close_reason, "callback refused");
	assert_true(TAILQ_EMPTY(&bridge.authorizations.live));
	assert_int_equal(bridge.authorizations.by_id.count, 2);
}

static void
all_get_what_is_published_in_one_order(void **state)
{
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	open_sessions(authorization, 2);
	receiver.greedy = other_receiver.greedy = true;
	assert_true(fixture_attach(connections[0].session, &receiver, 60000));
	assert_true(fixture_attach(connections[1].session, &other_receiver,
	    60000));
	assert_int_equal(publish(authorization, "1"), 2);
	assert_int_equal(publish(authorization, "2"), 2);
	/* To one alone: behind what is for all. */
	assert_true(connection_publish(&connections[1],
	    message_create(PS_EVENT_TEXT, ps_slice_str("3"))));
	assert_int_equal(publish(authorization, "4"), 2);
	assert_int_equal(receiver.n_deliver, 0);
	fixture_turn();
	assert_true(writer_had(&receiver.got, "t:1;t:2;t:4;"));
	assert_true(writer_had(&other_receiver.got, "t:1;t:2;t:3;t:4;"));
	assert_int_equal(receiver.n_deliver, 1);
	/* One that leaves does not get what comes after. */
	authorization_remove_session(&connections[0]);
	assert_int_equal(publish(authorization, "5"), 1);
	fixture_turn();
	assert_true(writer_had(&receiver.got, ""));
	assert_true(writer_had(&other_receiver.got, "t:5;"));
}

static void
one_that_leaves_before_it_was_delivered_to_is_left_alone(void **state)
{
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	open_sessions(authorization, 3);
	assert_int_equal(publish(authorization, "1"), 3);
	authorization_remove_session(&connections[1]);
	session_end(connections[1].session, "test");
	connections[1].session = NULL;
	fixture_turn();
	assert_false(connections[0].is_undelivered);
	assert_true(TAILQ_EMPTY(&authorization->undelivered));
}

static void
many_are_delivered_to_in_turns(void **state)
{
	struct authorization *authorization = renew(1, "ann", 0);
	size_t i, n = 0;

	(void)state;
	open_sessions(authorization, CONNECTIONS);
	assert_int_equal(publish(authorization, "1"), CONNECTIONS);
	fixture_turn();
	for (i = 0; i < CONNECTIONS; i++)
		n += connections[i].is_undelivered;
	assert_int_equal(n, CONNECTIONS - FANOUT_TURN);
	/* What comes meanwhile is queued behind. */
	assert_int_equal(publish(authorization, "2"), CONNECTIONS);
	fixture_turn();
	fixture_turn();
	fixture_turn();
	assert_true(TAILQ_EMPTY(&authorization->undelivered));
	for (i = 0; i < CONNECTIONS; i++)
		assert_row(i, connections[i].session->queue.count == 2);
}

/* Lets the fan-out get to its end, as far as there is no pause. */
static void
deliver_all(void)
{
	while (fanout_serve(&bridge.fanout) > 0)
		;
}

static void
start_crowd(struct authorization *authorization, struct connection *crowd)
{
	size_t i;

	fixture_set("max_sessions=1000");
	for (i = 0; i < CROWD; i++) {
		crowd[i].session = fixture_open();
		crowd[i].transport = "xhr";
		authorization_add_session(authorization, &crowd[i]);
	}
}

static void
end_crowd(struct connection *crowd)
{
	size_t i;

	for (i = 0; i < CROWD; i++)
		authorization_remove_session(&crowd[i]);
}

/* All but `n` have got what was published, and one waits for the next. */
static void
leave_late(struct connection *crowd, size_t n)
{
	size_t i;

	deliver_all();
	for (i = n; i < CROWD; i++) {
		session_take(crowd[i].session,
		    crowd[i].session->queue.count, false);
		session_confirm(crowd[i].session);
	}
	receiver.greedy = true;
	assert_true(fixture_attach(crowd[CROWD - 1].session, &receiver,
	    60000));
}

static void
those_who_wait_are_served_later_where_many_others_lack_a_message(void **state)
{
	static struct connection crowd[CROWD];
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	start_crowd(authorization, crowd);
	assert_int_equal(publish(authorization, "1"), CROWD);
	leave_late(crowd, CROWD / 8);
	assert_int_equal(publish(authorization, "2"), CROWD);
	/* What comes meanwhile, to whomever, makes the pause no longer... */
	fixture_advance(CROWD_PAUSE_MS - 1);
	assert_int_equal(publish(authorization, "3"), CROWD);
	assert_true(connection_publish(&crowd[CROWD - 1],
	    message_create(PS_EVENT_TEXT, ps_slice_str("4"))));
	deliver_all();
	assert_int_equal(receiver.n_deliver, 0);
	/* ...and goes along. */
	fixture_advance(1);
	deliver_all();
	assert_true(writer_had(&receiver.got, "t:2;t:3;t:4;"));
	assert_int_equal(receiver.n_deliver, 1);
	end_crowd(crowd);
}

static void
there_is_no_second_pause_before_all_are_served(void **state)
{
	static struct connection crowd[CROWD];
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	start_crowd(authorization, crowd);
	assert_int_equal(publish(authorization, "1"), CROWD);
	leave_late(crowd, CROWD / 8);
	assert_int_equal(publish(authorization, "2"), CROWD);
	fixture_advance(CROWD_PAUSE_MS);
	assert_false(TAILQ_EMPTY(&authorization->undelivered));
	assert_int_equal(publish(authorization, "3"), CROWD);
	deliver_all();
	assert_true(writer_had(&receiver.got, "t:2;t:3;"));
	assert_int_equal(publish(authorization, "4"), CROWD);
	deliver_all();
	assert_true(writer_had(&receiver.got, ""));
	fixture_advance(CROWD_PAUSE_MS);
	deliver_all();
	assert_true(writer_had(&receiver.got, "t:4;"));
	end_crowd(crowd);
}

static void
a_few_who_lack_a_message_hold_nobody_up(void **state)
{
	static struct connection crowd[CROWD];
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	start_crowd(authorization, crowd);
	assert_int_equal(publish(authorization, "1"), CROWD);
	leave_late(crowd, CROWD / 8 - 1);
	assert_int_equal(publish(authorization, "2"), CROWD);
	deliver_all();
	assert_true(writer_had(&receiver.got, "t:2;"));
	end_crowd(crowd);
}

static void
one_that_is_withdrawn_while_it_pauses_ends_all_the_same(void **state)
{
	static struct connection crowd[CROWD];
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	start_crowd(authorization, crowd);
	assert_int_equal(publish(authorization, "1"), CROWD);
	leave_late(crowd, CROWD / 8);
	assert_int_equal(publish(authorization, "2"), CROWD);
	assert_true(timer_is_set(&authorization->pause));
	authorization_withdraw(&bridge, authorization, "test");
	deliver_all();
	assert_true(writer_had(&receiver.got, "t:2;"));
	bridge_free_garbage(&bridge);
	assert_true(TAILQ_EMPTY(&bridge.authorizations.all));
	fixture_advance(CROWD_PAUSE_MS);
}

static void
one_who_does_not_take_it_is_closed_and_not_counted(void **state)
{
	struct authorization *authorization = renew(1, "ann", 0);
	int i;

	(void)state;
	open_sessions(authorization, 2);
	receiver.greedy = true;
	assert_true(fixture_attach(connections[0].session, &receiver,
	    UINT32_MAX));
	/* As many as may wait, before anything is delivered. */
	for (i = 0; i < QUEUE_MESSAGES; i++)
		assert_row(i, publish(authorization, "x") == 2);
	assert_int_equal(peer.n_close, 0);
	/* It is offered to both first; one takes it. */
	assert_int_equal(publish(authorization, "y"), 1);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 1013);
	assert_string_equal(peer.close_reason, "slow client");
}

static void
one_who_does_not_take_so_many_bytes_is_closed_too(void **state)
{
	struct authorization *authorization = renew(1, "ann", 0);
	char text[QUEUE_BYTES];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	open_sessions(authorization, 1);
	assert_int_equal(publish(authorization, text), 1);
	assert_int_equal(publish(authorization, "y"), 1);
	assert_int_equal(peer.n_close, 0);
	assert_int_equal(publish(authorization, "z"), 0);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 1013);
}

static void
what_nobody_hears_is_kept_for_the_next(void **state)
{
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	assert_true(is_kept(authorization, "1", true));
	assert_false(is_kept(authorization, "lost", false));
	fixture_advance(59999);
	assert_true(is_kept(authorization, "2", true));
	fixture_advance(1);
	assert_int_equal(authorization->kept.count, 1);
	assert_true(is_kept(authorization, "3", true));
	open_sessions(authorization, 1);
	assert_int_equal(authorization->kept.count, 0);
	assert_int_equal(bridge.authorizations.kept_bytes, 0);
	receiver.greedy = true;
	assert_true(fixture_attach(connections[0].session, &receiver, 60000));
	fixture_take(connections[0].session, &receiver);
	assert_true(writer_had(&receiver.got, "t:2;t:3;"));
	/* It is the first's alone. */
	connections[1].session = fixture_open();
	authorization_add_session(authorization, &connections[1]);
	assert_int_equal(connections[1].session->queue.count, 0);
}

static void
kept_messages_end_with_their_authorization(void **state)
{
	struct authorization *authorization = renew(1, "ann", 60);

	(void)state;
	assert_true(is_kept(authorization, "1", true));
	assert_int_equal(bridge.authorizations.kept_bytes, 1);
	authorization_withdraw(&bridge, authorization, "test");
	assert_int_equal(bridge.authorizations.kept_bytes, 0);
	assert_true(is_kept(renew(1, "ann", 60), "2", true));
}

static void
a_day_that_is_used_up_closes_the_session(void **state)
{
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	open_sessions(authorization, 1);
	fixture_quota()->limits.value[PS_LIMIT_MESSAGES_PER_DAY] = 1;
	assert_int_equal(publish(authorization, "1"), 1);
	assert_int_equal(publish(authorization, "2"), 0);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 1008);
	assert_string_equal(peer.close_reason, "daily_limit");
}

static const struct ps_authorization_row row = {
	.socket_id = "abcdefghijklmnopqrstuvwxyz234567",
	.token_id = 1,
	.client = "ann",
	.callback = callback,
	.events = true,
	.created_at_s = FIXTURE_NOON_S - 100,
	.renewed_at_s = FIXTURE_NOON_S - 50,
	.expires_at_s = FIXTURE_NOON_S + 10,
};

static void
rows_are_loaded(void **state)
{
	struct ps_authorization_row other = row;
	struct authorization *authorization;

	(void)state;
	authorization_load(&bridge, &row);
	authorization =
	    authorization_find(&bridge, ps_slice_str(row.socket_id));
	assert_non_null(authorization);
	assert_string_equal(authorization->client, "ann");
	assert_string_equal(authorization->callback, callback);
	assert_true(authorization->events);
	assert_int_equal(authorization->created_at_s, row.created_at_s);
	assert_int_equal(authorization->renewed_at_s, row.renewed_at_s);
	assert_ptr_equal(renew(1, "ann", 10), authorization);
	assert_int_equal(rows.n_put, 0);
	/* One that is over ends as any other. */
	other.client = "bob";
	other.socket_id = "bbcdefghijklmnopqrstuvwxyz234567";
	other.expires_at_s = FIXTURE_NOON_S;
	authorization_load(&bridge, &other);
	fixture_advance(0);
	assert_int_equal(bridge.authorizations.by_id.count, 1);
	assert_int_equal(rows.n_deleted, 1);
	assert_string_equal(rows.socket_id, other.socket_id);
}

static void
what_the_administrator_changes_holds_from_then_on(void **state)
{
	struct ps_authorization_row other = row;
	struct authorization *authorization;

	(void)state;
	authorization_load(&bridge, &row);
	authorization =
	    authorization_find(&bridge, ps_slice_str(row.socket_id));
	open_lasting(authorization);
	other.callback = "http://app.example/ws/elsewhere";
	other.expires_at_s = INT64_MAX;
	authorization_load(&bridge, &other);
	assert_string_equal(authorization->callback, other.callback);
	fixture_advance(3600000);
	assert_ptr_equal(find(authorization), authorization);
	assert_int_equal(peer.n_close, 0);
	/* Another client by the same id is somebody else. */
	other.client = "bob";
	authorization_load(&bridge, &other);
	fixture_turn();
	assert_int_equal(peer.n_close, 1);
	assert_null(authorization_find_client(&bridge, 1,
	    ps_slice_str("ann")));
	assert_non_null(authorization_find(&bridge,
	    ps_slice_str(row.socket_id)));
	/* And so is another id. */
	other.socket_id = "bbcdefghijklmnopqrstuvwxyz234567";
	authorization_load(&bridge, &other);
	assert_int_equal(bridge.authorizations.by_id.count, 1);
	assert_null(authorization_find(&bridge, ps_slice_str(row.socket_id)));
	assert_non_null(authorization_find(&bridge,
	    ps_slice_str(other.socket_id)));
	assert_int_equal(rows.n_deleted, 0);
}

static void
all_are_written_to_a_database_that_is_new(void **state)
{
	char client[16];
	int i;

	(void)state;
	for (i = 0; i < CONNECTIONS; i++) {
		snprintf(client, sizeof(client), "c%d", i);
		assert_non_null(renew(1, client, 0));
	}
	authorizations_repeat(&bridge);
	fixture_turn();
	assert_int_equal(rows.n_put, FANOUT_TURN);
	authorization_withdraw(&bridge, renew(1, "c39", 0), "test");
	fixture_turn();
	fixture_turn();
	assert_in_range(rows.n_put, CONNECTIONS - 1, CONNECTIONS);
	fixture_turn();
	assert_in_range(rows.n_put, CONNECTIONS - 1, CONNECTIONS);
}

static void
all_sessions_close_when_the_bridge_drains(void **state)
{
	struct authorization *authorization = renew(1, "ann", 0);

	(void)state;
	open_sessions(authorization, CONNECTIONS - 1);
	connections[CONNECTIONS - 1].session = fixture_open();
	authorization_add_session(renew(1, "bob", 0),
	    &connections[CONNECTIONS - 1]);
	assert_int_equal(publish(authorization, "last"), CONNECTIONS - 1);
	authorizations_drain(&bridge);
	fixture_turn();
	fixture_turn();
	fixture_turn();
	assert_int_equal(peer.n_close, CONNECTIONS);
	assert_int_equal(peer.close_code, 1001);
	assert_string_equal(peer.close_reason, "server shutting down");
	assert_int_equal(bridge.authorizations.by_id.count, 2);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_client_keeps_its_socket_id),
		fresh(a_socket_id_is_160_random_bits),
		fresh(renewing_takes_the_callback_and_the_time),
		fresh(the_node_has_room_for_so_many),
		fresh(one_whose_time_is_over_ends),
		fresh(a_bridge_that_drains_leaves_the_end_to_its_successor),
		fresh(sessions_of_one_that_is_withdrawn_close_in_turns),
		fresh(what_the_administrator_deleted_is_not_deleted_again),
		fresh(a_row_that_could_not_be_deleted_is_deleted_later),
		fresh(it_is_found_while_its_token_covers_it),
		fresh(sessions_close_when_the_callback_is_covered_no_more),
		fresh(all_get_what_is_published_in_one_order),
		fresh(one_that_leaves_before_it_was_delivered_to_is_left_alone),
		fresh(many_are_delivered_to_in_turns),
		fresh(
		    those_who_wait_are_served_later_where_many_others_lack_a_message),
		fresh(there_is_no_second_pause_before_all_are_served),
		fresh(a_few_who_lack_a_message_hold_nobody_up),
		fresh(one_that_is_withdrawn_while_it_pauses_ends_all_the_same),
		fresh(one_who_does_not_take_it_is_closed_and_not_counted),
		fresh(one_who_does_not_take_so_many_bytes_is_closed_too),
		fresh(what_nobody_hears_is_kept_for_the_next),
		fresh(kept_messages_end_with_their_authorization),
		fresh(a_day_that_is_used_up_closes_the_session),
		fresh(rows_are_loaded),
		fresh(what_the_administrator_changes_holds_from_then_on),
		fresh(all_are_written_to_a_database_that_is_new),
		fresh(all_sessions_close_when_the_bridge_drains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
