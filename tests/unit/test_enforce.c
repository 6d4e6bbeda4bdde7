#include "config.h"

#include "fixture.h"

#include "wsbridge/enforce.h"

/* How long a worker may know more than the bridge; see enforce.c. */
#define AHEAD_MS 5000
/* Sessions closed in one wake-up. */
#define BATCH 128

/* A token that is as good as can be. */
static struct ps_token
good(int64_t id)
{
	struct ps_token token = { .id = id, .has_secret = true,
		.enabled = true, .expires_at_s = INT64_MAX };
	size_t i;

	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] = PS_NO_LIMIT;
	token.hash[0] = (unsigned char)id;
	return token;
}

static struct ps_token
disabled(int64_t id)
{
	struct ps_token token = good(id);

	token.enabled = false;
	return token;
}

static struct ps_token
until(int64_t id, int64_t expires_at_s)
{
	struct ps_token token = good(id);

	token.expires_at_s = expires_at_s;
	return token;
}

/* One with another limit of sockets. */
static struct ps_token
limited(int64_t id, uint64_t max_sockets)
{
	struct ps_token token = good(id);

	token.limits.value[PS_LIMIT_SOCKETS] = max_sockets;
	return token;
}

/* The policy of that revision has these tokens. */
static void
enforce(uint64_t revision, const struct ps_token *tokens, size_t count)
{
	struct ps_policy *policy = ps_policy_create(revision);
	struct ps_token token;
	size_t i;

	assert_non_null(policy);
	for (i = 0; i < count; i++) {
		token = tokens[i];
		token.name = strdup("name");
		assert_int_equal(ps_policy_add_token(policy, &token), PS_OK);
	}
	assert_int_equal(ps_policy_seal(policy), PS_OK);
	enforce_policy(&bridge, policy);
}

static void
enforce_one(uint64_t revision, struct ps_token token)
{
	enforce(revision, &token, 1);
}

/* A create from a worker that knows `token` of `revision`. */
static struct quota *
create(uint64_t revision, struct ps_token token)
{
	struct refusal refusal = { .code = PS_CODE__COUNT };
	const struct ps_ipc_rights rights = { token.id, revision,
		token.limits };
	struct quota *quota = enforce_create(&bridge, &rights, &refusal);

	if (quota == NULL)
		assert_int_equal(refusal.code, PS_CODE_TOKEN_UNKNOWN);
	return quota;
}

static uint64_t
max_sockets(int64_t token_id)
{
	return quotas_get(&bridge.quotas, token_id)
	    ->limits.value[PS_LIMIT_SOCKETS];
}

static struct session *
open_of(int64_t token_id)
{
	struct session *session = fixture_connecting_of(
	    quotas_get(&bridge.quotas, token_id));

	session_opened(session, ps_slice(NULL, 0));
	return session;
}

static uint64_t
count_open(int64_t token_id)
{
	return quotas_get(&bridge.quotas, token_id)->n_sessions;
}

/* --- whose limits hold --- */

static void
a_policy_brings_the_limits(void **state)
{
	struct ps_token token = good(1);
	size_t i;

	(void)state;
	fixture_quota();
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] = 10 + i;
	enforce_one(1, token);
	assert_memory_equal(&fixture_quota()->limits, &token.limits,
	    sizeof(token.limits));
	enforce_one(2, good(1));
	assert_true(max_sockets(1) == PS_NO_LIMIT);
}

static void
the_newer_of_worker_and_bridge_is_right(void **state)
{
	static const struct {
		uint64_t bridge, worker, limit;
	} rows[] = {
		{ 5, 4, 50 }, /* the bridge is ahead */
		{ 5, 5, 50 }, /* both know the same */
		{ 5, 6, 7 },  /* the worker is ahead */
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		int64_t id = (int64_t)i + 1;

		enforce_one(rows[i].bridge, limited(id, 50));
		assert_non_null(create(rows[i].worker, limited(id, 7)));
		assert_row(i, max_sockets(id) == rows[i].limit);
	}
}

static void
the_newer_of_two_workers_is_right(void **state)
{
	(void)state;
	enforce_one(5, limited(1, 50));
	assert_non_null(create(7, limited(1, 7)));
	assert_non_null(create(6, limited(1, 6)));
	assert_int_equal(max_sockets(1), 7);
	assert_non_null(create(8, limited(1, 8)));
	assert_int_equal(max_sockets(1), 8);
}

static void
without_a_policy_the_worker_is_right(void **state)
{
	(void)state;
	enforce_policy(&bridge, NULL);
	assert_non_null(create(5, limited(1, 7)));
	assert_int_equal(max_sockets(1), 7);
	enforce_policy(&bridge, NULL);
	fixture_advance(AHEAD_MS);
	assert_int_equal(max_sockets(1), 7);
}

static void
a_policy_that_a_worker_knew_before_changes_nothing(void **state)
{
	(void)state;
	enforce_one(5, limited(1, 50));
	assert_non_null(create(7, limited(1, 7)));
	enforce_one(6, limited(1, 60));
	assert_int_equal(max_sockets(1), 7);
	enforce_policy(&bridge, NULL);
	assert_int_equal(max_sockets(1), 7);
	enforce_one(7, limited(1, 70));
	assert_int_equal(max_sockets(1), 70);
}

/* The database was replaced by one of lower revisions. */
static void
a_worker_is_ahead_for_seconds_only(void **state)
{
	(void)state;
	enforce_one(5, limited(1, 50));
	assert_non_null(create(100, limited(1, 7)));
	enforce_one(6, limited(1, 60));
	assert_int_equal(max_sockets(1), 7);
	fixture_advance(AHEAD_MS - 1);
	assert_int_equal(max_sockets(1), 7);
	fixture_advance(1);
	assert_int_equal(max_sockets(1), 60);
}

static void
a_lower_revision_of_another_database_holds_at_once(void **state)
{
	(void)state;
	enforce_one(100, limited(1, 50));
	open_of(1);
	enforce_one(5, limited(1, 7));
	assert_int_equal(max_sockets(1), 7);
	enforce_one(4, disabled(1));
	assert_int_equal(count_open(1), 0);
}

static void
after_a_restored_backup_workers_words_are_worth_nothing(void **state)
{
	(void)state;
	enforce_one(100, limited(1, 50));
	assert_non_null(create(101, limited(1, 7)));
	enforce_one(60, limited(1, 60));
	assert_int_equal(max_sockets(1), 60);
	assert_non_null(create(101, limited(1, 7)));
	assert_int_equal(max_sockets(1), 60);
	enforce_one(61, disabled(1));
	assert_null(create(101, limited(1, 7)));
	fixture_advance(AHEAD_MS - 1);
	assert_null(create(101, limited(1, 7)));
	fixture_advance(1); /* by now a worker that is ahead is just that */
	assert_non_null(create(101, limited(1, 7)));
	assert_int_equal(max_sockets(1), 7);
	/* The same once more is no fall. */
	enforce_one(61, limited(1, 61));
	assert_int_equal(max_sockets(1), 7);
}

static void
a_worker_that_is_ahead_knows_of_a_token_before_the_bridge(void **state)
{
	struct quota *quota;

	(void)state;
	enforce(5, NULL, 0);
	assert_null(create(5, good(1)));
	quota = create(6, good(1));
	assert_non_null(quota);
	open_of(1);
	/* Something else was looked at in the meantime. */
	enforce_policy(&bridge, NULL);
	enforce(5, NULL, 0);
	assert_int_equal(count_open(1), 1);
	enforce_one(6, good(1));
	fixture_advance(AHEAD_MS);
	assert_int_equal(count_open(1), 1);
}

/* Its use of the day is not forgotten for a policy that is late. */
static void
a_token_that_only_a_worker_knows_keeps_its_quota(void **state)
{
	struct ps_usage usage;

	(void)state;
	enforce(5, NULL, 0);
	assert_non_null(create(6, good(1)));
	session_end(open_of(1), "test");
	enforce_policy(&bridge, NULL);
	assert_true(quotas_take_unwritten(&bridge.quotas, &usage));
	assert_int_equal(usage.creates, 1);
}

static void
a_token_that_was_only_in_another_database_is_expelled_in_the_end(
    void **state)
{
	(void)state;
	enforce(5, NULL, 0);
	assert_non_null(create(100, good(1)));
	open_of(1);
	fixture_advance(AHEAD_MS - 1);
	assert_int_equal(count_open(1), 1);
	fixture_advance(1);
	assert_int_equal(count_open(1), 0);
	assert_string_equal(peer.close_reason, "token deleted");
}

/* --- tokens that may nothing any more --- */

static const struct {
	enum { DELETED, DISABLED, EXPIRED } fault;
	const char *reason;
} faults[] = {
	{ DELETED, "token deleted" },
	{ DISABLED, "token disabled" },
	{ EXPIRED, "token expired" },
};

static void
enforce_fault(size_t i, uint64_t revision)
{
	const struct ps_token tokens[] = { good(2),
		faults[i].fault == DISABLED ?
		    disabled(1) :
		    until(1, FIXTURE_NOON_S) };

	enforce(revision, tokens, faults[i].fault == DELETED ? 1 : 2);
}

static void
sessions_of_a_token_at_fault_are_closed_and_no_others(void **state)
{
	const struct ps_token tokens[] = { good(1), good(2) };
	struct session *other;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(faults); i++) {
		struct session *first, *second;

		enforce(10 * i + 1, tokens, 2);
		first = open_of(1);
		other = open_of(2);
		second = open_of(1);
		peer.n_close = 0;
		enforce_fault(i, 10 * i + 2);
		assert_row(i, peer.n_close == 2);
		assert_row(i, peer.close_code == 1008);
		assert_string_equal(peer.close_reason, faults[i].reason);
		assert_row(i, first->state == SESSION_CLOSING);
		assert_row(i, second->state == SESSION_CLOSING);
		assert_row(i, other->state == SESSION_OPEN);
		session_peer_closed(first, 1000, ps_slice(NULL, 0), true);
		assert_row(i, first->close->code == 1008);
		assert_string_equal(first->close->reason, faults[i].reason);
		session_end(first, "test");
		session_end(second, "test");
		session_end(other, "test");
	}
}

static void
what_is_connecting_fails(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(faults); i++) {
		enforce_one(10 * i + 1, good(1));
		fixture_connecting();
		enforce_fault(i, 10 * i + 2);
		assert_row(i, opener.n_failed == i + 1);
		assert_row(i, TAILQ_EMPTY(&bridge.sessions));
	}
	assert_int_equal(peer.n_close, 0);
}

static void
a_token_at_fault_creates_nothing(void **state)
{
	struct ps_usage usage;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(faults); i++) {
		enforce_one(10 * i + 1, good(1));
		assert_non_null(create(10 * i + 1, good(1)));
		enforce_fault(i, 10 * i + 2);
		/* A worker that is behind still thinks it may. */
		assert_row(i, create(10 * i + 1, good(1)) == NULL);
		assert_row(i, create(10 * i + 2, good(1)) == NULL);
		assert_row(i, quotas_take_unwritten(&bridge.quotas, &usage));
		assert_row(i, usage.token_id == 1);
		assert_row(i, usage.refused == 2);
		/* One that is ahead knows that it was enabled since. */
		assert_row(i, create(10 * i + 3, good(1)) != NULL);
		assert_row(i, create(10 * i + 2, good(1)) != NULL);
		enforce_one(10 * i + 3, good(1));
	}
}

static void
a_token_expires_at_its_second(void **state)
{
	(void)state;
	enforce_one(1, until(1, FIXTURE_NOON_S + 10));
	open_of(1);
	fixture_advance(9999);
	enforce_policy(&bridge, NULL);
	assert_non_null(create(1, good(1)));
	assert_int_equal(count_open(1), 1);
	fixture_advance(1);
	assert_null(create(1, good(1)));
	enforce_policy(&bridge, NULL);
	assert_int_equal(count_open(1), 0);
	assert_string_equal(peer.close_reason, "token expired");
	enforce_one(2, until(1, FIXTURE_NOON_S + 11));
	assert_non_null(create(2, good(1)));
}

static void
an_enabled_token_is_as_good_as_before(void **state)
{
	(void)state;
	enforce_one(1, good(1));
	open_of(1);
	enforce_one(2, disabled(1));
	assert_null(create(2, good(1)));
	enforce_one(3, limited(1, 2));
	assert_non_null(create(3, good(1)));
	open_of(1);
	enforce_policy(&bridge, NULL);
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(count_open(1), 1);
}

static void
lowered_limits_close_nothing_but_hold_from_now_on(void **state)
{
	struct refusal refusal;
	struct session *session;

	(void)state;
	enforce_one(1, good(1));
	open_of(1);
	session = open_of(1);
	enforce_one(2, limited(1, 1));
	assert_int_equal(count_open(1), 2);
	assert_int_equal(peer.n_close, 0);
	assert_null(session_create(&bridge, ps_slice_str("192.0.2.1"),
	    fixture_quota(), &refusal));
	assert_string_equal(refusal.limit, "max_sockets");
	session_end(session, "test");
	assert_null(session_create(&bridge, ps_slice_str("192.0.2.1"),
	    fixture_quota(), &refusal));
	enforce_one(3, limited(1, 2));
	open_of(1);
}

/* --- many sessions --- */

static void
many_sessions_are_closed_in_slices(void **state)
{
	const struct ps_token both[] = { good(1), good(2) },
			      none[] = { disabled(1), disabled(2) };
	size_t i;

	(void)state;
	fixture_set("max_sessions_per_address=0");
	fixture_set("max_creates_per_second=0");
	enforce(1, both, 2);
	for (i = 0; i < BATCH; i++) {
		open_of(1);
		open_of(2);
	}
	open_of(2);
	enforce(2, none, 2);
	assert_int_equal(peer.n_close, BATCH);
	assert_int_equal(timers_run(&bridge.timers, bridge.now_ms(), 1), 1);
	assert_int_equal(peer.n_close, 2 * BATCH);
	assert_int_equal(timers_run(&bridge.timers, bridge.now_ms(), 1), 1);
	assert_int_equal(peer.n_close, 2 * BATCH + 1);
	assert_int_equal(timers_run(&bridge.timers, bridge.now_ms(), 1), 0);
	assert_int_equal(count_open(1) + count_open(2), 0);
}

static void
who_is_enabled_in_between_keeps_the_rest(void **state)
{
	size_t i;

	(void)state;
	fixture_set("max_sessions_per_address=0");
	fixture_set("max_creates_per_second=0");
	enforce_one(1, good(1));
	for (i = 0; i < BATCH + 2; i++)
		open_of(1);
	enforce_one(2, disabled(1));
	enforce_one(3, good(1));
	fixture_advance(0);
	assert_int_equal(peer.n_close, BATCH);
	assert_int_equal(count_open(1), 2);
}

/* --- tokens that are gone --- */

static void
a_quota_goes_with_its_token_when_nothing_uses_it(void **state)
{
	struct session *session;

	(void)state;
	enforce_one(1, good(1));
	session = open_of(1);
	enforce(2, NULL, 0);
	assert_int_equal(bridge.quotas.by_id.count, 1);
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	enforce_policy(&bridge, NULL);
	assert_int_equal(bridge.quotas.by_id.count, 1); /* it lingers */
	session_end(session, "test");
	enforce_policy(&bridge, NULL);
	assert_int_equal(bridge.quotas.by_id.count, 0);
	assert_true(TAILQ_EMPTY(&bridge.quotas.all));
}

static void
a_quota_stays_while_its_token_is_there(void **state)
{
	size_t i;

	(void)state;
	enforce_one(1, good(1));
	session_end(open_of(1), "test");
	for (i = DISABLED; i <= EXPIRED; i++) {
		enforce_fault(i, 2 + i);
		assert_int_equal(bridge.quotas.by_id.count, 1);
	}
	assert_int_equal(fixture_quota()->n_creates, 1);
}

/* Refused creates of tokens that are no more leave nothing behind. */
static void
unknown_tokens_do_not_pile_up(void **state)
{
	int64_t id;

	(void)state;
	enforce_one(5, good(1));
	for (id = 2; id < 1000; id++)
		assert_row(id, create(5, good(id)) == NULL);
	enforce_policy(&bridge, NULL);
	assert_int_equal(bridge.quotas.by_id.count, 0);
}

/* --- close_requested --- */

static void
the_session_of_a_name_is_closed_and_no_other(void **state)
{
	struct session *first = fixture_open(), *second = fixture_open(),
		       *third = fixture_open();

	(void)state;
	enforce_close(&bridge, second->name);
	enforce_close(&bridge, second->name); /* until it is written */
	assert_int_equal(peer.n_close, 1);
	assert_int_equal(peer.close_code, 1008);
	assert_string_equal(peer.close_reason, "closed by administrator");
	assert_int_equal(first->state, SESSION_OPEN);
	assert_int_equal(second->state, SESSION_CLOSING);
	assert_int_equal(third->state, SESSION_OPEN);
	session_peer_closed(second, 1000, ps_slice_str("fine"), true);
	assert_int_equal(second->close->code, 1008);
	assert_string_equal(second->close->reason, "closed by administrator");
}

static void
a_connecting_session_can_be_closed_by_name(void **state)
{
	(void)state;
	enforce_close(&bridge, fixture_connecting()->name);
	assert_int_equal(opener.n_failed, 1);
	assert_true(TAILQ_EMPTY(&bridge.sessions));
}

static void
a_name_that_nobody_has_closes_nothing(void **state)
{
	struct session *session = fixture_open();
	char name[SESSION_NAME_MAX + 1];

	(void)state;
	enforce_close(&bridge, "");
	enforce_close(&bridge, session->id); /* the secret is no name */
	snprintf(name, sizeof(name), "%s0", session->name);
	enforce_close(&bridge, name);
	name[strlen(session->name) - 1] = '\0';
	enforce_close(&bridge, name);
	assert_int_equal(session->state, SESSION_OPEN);
	strcpy(name, session->name);
	session_end(session, "test");
	enforce_close(&bridge, name);
	fixture_turn();
	enforce_close(&bridge, name);
	assert_int_equal(peer.n_close, 0);
}

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_policy_brings_the_limits),
		fresh(the_newer_of_worker_and_bridge_is_right),
		fresh(the_newer_of_two_workers_is_right),
		fresh(without_a_policy_the_worker_is_right),
		fresh(a_policy_that_a_worker_knew_before_changes_nothing),
		fresh(a_worker_is_ahead_for_seconds_only),
		fresh(a_lower_revision_of_another_database_holds_at_once),
		fresh(after_a_restored_backup_workers_words_are_worth_nothing),
		fresh(a_worker_that_is_ahead_knows_of_a_token_before_the_bridge),
		fresh(a_token_that_only_a_worker_knows_keeps_its_quota),
		fresh(a_token_that_was_only_in_another_database_is_expelled_in_the_end),
		fresh(sessions_of_a_token_at_fault_are_closed_and_no_others),
		fresh(what_is_connecting_fails),
		fresh(a_token_at_fault_creates_nothing),
		fresh(a_token_expires_at_its_second),
		fresh(an_enabled_token_is_as_good_as_before),
		fresh(lowered_limits_close_nothing_but_hold_from_now_on),
		fresh(many_sessions_are_closed_in_slices),
		fresh(who_is_enabled_in_between_keeps_the_rest),
		fresh(a_quota_goes_with_its_token_when_nothing_uses_it),
		fresh(a_quota_stays_while_its_token_is_there),
		fresh(unknown_tokens_do_not_pile_up),
		fresh(the_session_of_a_name_is_closed_and_no_other),
		fresh(a_connecting_session_can_be_closed_by_name),
		fresh(a_name_that_nobody_has_closes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
