/*
 * Comparing hashes goes through CRYPTO_memcmp(), which the linker replaces by
 * the function below to count the calls; see tests/local.mk.
 */
#include "config.h"

#include "unit.h"

#include <pthread.h>

#include <openssl/evp.h>

#include "ps_limits.h"
#include "ps_log.h"
#include "ps_policy.h"
#include "ps_url.h"

#define NOW_S 1591012800

int __real_CRYPTO_memcmp(const void *a, const void *b, size_t len);
int __wrap_CRYPTO_memcmp(const void *a, const void *b, size_t len);

static unsigned n_compared;
static struct ps_policy *policy;

int
__wrap_CRYPTO_memcmp(const void *a, const void *b, size_t len)
{
	n_compared++;
	assert_int_equal(len, PS_TOKEN_HASH_BYTES);
	return __real_CRYPTO_memcmp(a, b, len);
}

static int
setup(void **state)
{
	(void)state;
	n_compared = 0;
	policy = ps_policy_create(42);
	return policy == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	ps_policy_unref(policy);
	return 0;
}

/* One that is as good as can be; without a secret: anonymous. */
static struct ps_token
token(int64_t id, const char *secret)
{
	struct ps_token t = { .id = id, .has_secret = secret != NULL,
		.enabled = true, .expires_at_s = INT64_MAX };

	if (secret != NULL)
		assert_int_equal(EVP_Digest(secret, strlen(secret), t.hash,
				     NULL, EVP_sha3_256(), NULL),
		    1);
	return t;
}

static void
add(struct ps_token t)
{
	t.name = strdup(t.has_secret ? "name" : PS_TOKEN_ANONYMOUS);
	assert_int_equal(ps_policy_add_token(policy, &t), PS_OK);
}

static void
seal(void)
{
	assert_int_equal(ps_policy_seal(policy), PS_OK);
}

static void
allow(int64_t id, enum ps_right right, const char *pattern)
{
	assert_int_equal(ps_policy_add_pattern(policy, id, right, pattern),
	    PS_OK);
}

/* The id of the token that is found; 0: none. */
static int64_t
find_at(const char *secret, int64_t now_s)
{
	const struct ps_token *t =
	    ps_policy_find(policy, ps_slice_str(secret), now_s);

	return t == NULL ? 0 : t->id;
}

static int64_t
find(const char *secret)
{
	return find_at(secret, NOW_S);
}

static bool
allows_origin(int64_t id, const char *origin)
{
	return ps_token_allows_origin(ps_policy_find_id(policy, id),
	    ps_slice_str(origin));
}

static bool
allows_target(int64_t id, const char *url)
{
	static struct ps_target target;

	assert_null(ps_target_parse(&target, ps_slice_str(url)));
	return ps_token_allows_target(ps_policy_find_id(policy, id), &target);
}

static bool
allows_callback(int64_t id, const char *url)
{
	static struct ps_target target;

	assert_null(ps_callback_parse(&target, ps_slice_str(url)));
	return ps_token_allows_callback(ps_policy_find_id(policy, id),
	    &target);
}

/* --- finding --- */

static void
a_token_is_found_by_its_secret(void **state)
{
	(void)state;
	add(token(1, "one"));
	add(token(2, "two"));
	seal();
	assert_int_equal(find("one"), 1);
	assert_int_equal(find("two"), 2);
	assert_int_equal(find("three"), 0);
	assert_int_equal(find("on"), 0);
	assert_int_equal(find("onee"), 0);
	assert_int_equal(find("One"), 0);
	assert_int_equal(find("one "), 0);
}

static void
a_policy_without_tokens_finds_none(void **state)
{
	(void)state;
	seal();
	assert_int_equal(find("one"), 0);
	assert_int_equal(find(""), 0);
	assert_null(ps_policy_find_id(policy, 0));
	assert_null(ps_policy_find_id(policy, 1));
	assert_true(ps_policy_next_expiry_s(policy, NOW_S) == INT64_MAX);
	assert_int_equal(ps_policy_revision(policy), 42);
}

static void
secrets_that_begin_alike_are_told_apart(void **state)
{
	char secret[PS_SECRET_MAX + 1];
	int64_t id;

	(void)state;
	memset(secret, 'x', PS_SECRET_MAX);
	secret[PS_SECRET_MAX] = '\0';
	for (id = 1; id <= PS_SECRET_MAX; id++) {
		char *end = secret + id;
		char kept = *end;

		*end = '\0';
		add(token(id, secret));
		*end = kept;
	}
	seal();
	for (id = PS_SECRET_MAX; id >= 1; id--) {
		secret[id] = '\0';
		assert_row(id, find(secret) == id);
	}
}

static void
a_secret_has_a_largest_length(void **state)
{
	char secret[PS_SECRET_MAX + 2];

	(void)state;
	memset(secret, 's', sizeof(secret));
	secret[PS_SECRET_MAX + 1] = '\0';
	add(token(2, secret)); /* nobody's, even if it were there */
	secret[PS_SECRET_MAX] = '\0';
	add(token(1, secret));
	seal();
	assert_int_equal(find(secret), 1);
	secret[PS_SECRET_MAX] = 's';
	assert_int_equal(find(secret), 0);
}

static void
a_secret_may_have_any_byte(void **state)
{
	static const char secret[] = "a\0b";

	(void)state;
	add(token(1, "a"));
	seal();
	assert_null(ps_policy_find(policy, ps_slice(secret, 3), NOW_S));
	assert_non_null(ps_policy_find(policy, ps_slice(secret, 1), NOW_S));
}

static void
no_secret_is_anonymous(void **state)
{
	(void)state;
	add(token(1, "one"));
	add(token(2, NULL));
	seal();
	assert_int_equal(find(""), 2);
	assert_int_equal(find("anonymous"), 0);
	assert_int_equal(find("one"), 1);
}

static void
without_anonymous_no_secret_is_nobody(void **state)
{
	static const unsigned char zero[PS_TOKEN_HASH_BYTES];
	struct ps_token t = token(1, "one");

	(void)state;
	memcpy(t.hash, zero, sizeof(zero));
	add(t);
	seal();
	assert_int_equal(find(""), 0);
}

static void
a_token_is_found_by_its_id(void **state)
{
	static const int64_t ids[] = { 5, INT64_MAX, 1, -3, INT64_MIN, 1000,
		0 };
	char secret[8];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(ids); i++) {
		snprintf(secret, sizeof(secret), "%zu", i);
		add(token(ids[i], secret));
	}
	seal();
	for (i = 0; i < ROWS(ids); i++) {
		assert_row(i, ps_policy_find_id(policy, ids[i])->id == ids[i]);
		snprintf(secret, sizeof(secret), "%zu", i);
		assert_row(i, find(secret) == ids[i]);
	}
	assert_null(ps_policy_find_id(policy, 2));
	assert_null(ps_policy_find_id(policy, INT64_MAX - 1));
}

static void
ten_thousand_tokens_are_found(void **state)
{
	enum { COUNT = 10000 };
	char secret[16];
	int64_t id;

	(void)state;
	for (id = 1; id <= COUNT; id++) {
		snprintf(secret, sizeof(secret), "secret-%d", (int)id);
		add(token(id, secret));
	}
	add(token(COUNT + 1, NULL));
	seal();
	n_compared = 0;
	for (id = 1; id <= COUNT; id++) {
		snprintf(secret, sizeof(secret), "secret-%d", (int)id);
		assert_row(id, find(secret) == id);
		assert_row(id, ps_policy_find_id(policy, id)->id == id);
	}
	/* Few stand in each other's way. */
	assert_true(n_compared < 3 * COUNT);
	assert_int_equal(find("secret-0"), 0);
	assert_int_equal(find("secret-10001"), 0);
	assert_int_equal(find(""), COUNT + 1);
}

/* Tables that are as full as they get, and all in one place. */
static void
hashes_that_want_one_place_are_told_apart(void **state)
{
	struct ps_token t = token(0, "secret");
	int64_t id;

	(void)state;
	for (id = 0; id < 64; id++) {
		t.id = id;
		t.hash[PS_TOKEN_HASH_BYTES - 1] = (unsigned char)(id + 1);
		add(t);
	}
	seal();
	assert_int_equal(find("secret"), 0);
	assert_int_equal(n_compared, 64);
	ps_policy_unref(policy);
	policy = ps_policy_create(43);
	for (id = 0; id < 64; id++) {
		t.id = id;
		t.hash[PS_TOKEN_HASH_BYTES - 1] = (unsigned char)(id + 1);
		add(t);
	}
	add(token(64, "secret"));
	seal();
	assert_int_equal(find("secret"), 64);
}

static void
hashes_are_compared_in_constant_time(void **state)
{
	(void)state;
	add(token(1, "one"));
	seal();
	assert_int_equal(find("one"), 1);
	assert_int_equal(n_compared, 1);
}

/* --- applications --- */

static void
an_application_is_a_token_with_callbacks(void **state)
{
	(void)state;
	add(token(1, "one"));
	add(token(2, "two"));
	add(token(3, NULL));
	seal();
	allow(1, PS_RIGHT_CALLBACK, "https://app.example/cb*");
	allow(1, PS_RIGHT_CALLBACK, "http://127.0.0.1:*");
	allow(1, PS_RIGHT_CALLBACK, "ws://app.example"); /* left out */
	allow(2, PS_RIGHT_TARGET, "ws://app.example");
	/* Nobody can prove to be this one. */
	allow(3, PS_RIGHT_CALLBACK, "*://*:*");
	assert_true(ps_token_has_callbacks(ps_policy_find_id(policy, 1)));
	assert_false(ps_token_has_callbacks(ps_policy_find_id(policy, 2)));
	assert_false(ps_token_has_callbacks(ps_policy_find_id(policy, 3)));
	assert_true(allows_callback(1, "https://app.example/cb?x"));
	assert_true(allows_callback(1, "http://127.1:99/"));
	assert_false(allows_callback(1, "https://app.example/"));
	assert_false(allows_callback(2, "http://app.example/"));
	assert_false(allows_callback(3, "http://app.example/"));
}

/* --- validity --- */

static void
a_disabled_token_is_nobody(void **state)
{
	struct ps_token one = token(1, "one"), anonymous = token(2, NULL);

	(void)state;
	one.enabled = anonymous.enabled = false;
	add(one);
	add(anonymous);
	seal();
	assert_int_equal(find("one"), 0);
	assert_int_equal(find(""), 0);
	assert_false(ps_token_is_valid(ps_policy_find_id(policy, 1), NOW_S));
}

static void
a_token_expires_at_its_second(void **state)
{
	struct ps_token one = token(1, "one"), anonymous = token(2, NULL);

	(void)state;
	one.expires_at_s = anonymous.expires_at_s = NOW_S;
	add(one);
	add(anonymous);
	seal();
	assert_int_equal(find_at("one", NOW_S - 1), 1);
	assert_int_equal(find_at("", NOW_S - 1), 2);
	assert_int_equal(find_at("one", NOW_S), 0);
	assert_int_equal(find_at("", NOW_S), 0);
	assert_int_equal(find_at("one", INT64_MAX), 0);
	assert_non_null(ps_policy_find_id(policy, 1));
}

static void
the_next_expiry_is_the_first_to_come(void **state)
{
	static const struct {
		int64_t now_s, next_s;
	} rows[] = {
		{ 0, 100 },
		{ 99, 100 },
		{ 100, 200 },
		{ 199, 200 },
		{ 200, 300 },
		{ 299, 300 },
		{ 300, INT64_MAX },
	};
	static const int64_t expiries[] = { 200, INT64_MAX, 100, 300, 200 };
	struct ps_token t = token(0, "x");
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(expiries); i++) {
		t.id = (int64_t)i;
		t.expires_at_s = expiries[i];
		t.enabled = i != 3; /* it may be enabled again */
		add(t);
	}
	seal();
	for (i = 0; i < ROWS(rows); i++)
		assert_row(i, ps_policy_next_expiry_s(policy, rows[i].now_s) ==
			rows[i].next_s);
}

/* --- rights --- */

static void
a_token_without_patterns_may_nothing(void **state)
{
	(void)state;
	add(token(1, "one"));
	seal();
	assert_false(allows_target(1, "ws://a"));
	assert_false(allows_origin(1, "http://a"));
	assert_false(allows_origin(1, "null"));
	assert_false(allows_origin(1, ""));
}

static void
rights_are_those_of_their_token_and_kind(void **state)
{
	(void)state;
	add(token(2, "two"));
	add(token(1, "one"));
	seal();
	allow(1, PS_RIGHT_TARGET, "ws://a/x*");
	allow(2, PS_RIGHT_TARGET, "wss://b");
	allow(2, PS_RIGHT_ORIGIN, "https://page");
	allow(3, PS_RIGHT_TARGET, "*://*:*/*"); /* whose token is gone */
	assert_true(allows_target(1, "ws://a/xyz"));
	assert_false(allows_target(1, "wss://b"));
	assert_true(allows_target(2, "wss://b"));
	assert_false(allows_target(2, "ws://a/xyz"));
	assert_true(allows_origin(2, "https://page"));
	assert_false(allows_origin(1, "https://page"));
	assert_false(allows_target(1, "ws://page"));
}

static void
any_pattern_of_many_will_do(void **state)
{
	char text[32];
	int i;

	(void)state;
	add(token(1, "one"));
	seal();
	for (i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "ws://host-%d", i);
		allow(1, PS_RIGHT_TARGET, text);
		assert_row(i, allows_target(1, text));
		assert_row(i, allows_target(1, "ws://host-0"));
		snprintf(text, sizeof(text), "ws://host-%d", i + 1);
		assert_row(i, !allows_target(1, text));
	}
}

/* Whoever had the triggers of the database dropped. */
static void
what_is_no_pattern_is_left_out(void **state)
{
	static const char *const wrong[] = { "", "ws://", "example.com",
		"http://a", "ws://a*b", "ws://u@a", "ws://a#b", "ws://a:0" };
	size_t i;

	(void)state;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_ERROR); /* they are told */
	add(token(1, "one"));
	seal();
	allow(1, PS_RIGHT_TARGET, "ws://first");
	for (i = 0; i < ROWS(wrong); i++)
		allow(1, PS_RIGHT_TARGET, wrong[i]);
	allow(1, PS_RIGHT_TARGET, "ws://last");
	assert_true(allows_target(1, "ws://first"));
	assert_true(allows_target(1, "ws://last"));
	assert_false(allows_target(1, "ws://a"));
	assert_int_equal(
	    ps_policy_find_id(policy, 1)->rights[PS_RIGHT_TARGET].count, 2);
}

static bool
may(int64_t id, const char *channel, enum ps_channel_right right)
{
	return ps_token_allows_channel(ps_policy_find_id(policy, id),
				       ps_slice_str(channel), right);
}

static void
allow_channel(int64_t id, const char *pattern, unsigned rights)
{
	assert_int_equal(ps_policy_add_channel(policy, id, pattern, rights),
			 PS_OK);
}

static void
patterns_of_a_channel_grant_together(void **state)
{
	(void)state;
	add(token(1, "one"));
	add(token(2, "two"));
	seal();
	assert_false(may(1, "news", PS_MAY_LISTEN));
	allow_channel(1, "n*", PS_MAY_LISTEN);
	allow_channel(1, "other", PS_MAY_LISTEN | PS_MAY_EMIT);
	allow_channel(1, "new*", 0);
	allow_channel(3, "*", PS_MAY_EMIT);
	assert_true(may(1, "news", PS_MAY_LISTEN));
	assert_false(may(1, "news", PS_MAY_EMIT));
	allow_channel(1, "news", PS_MAY_EMIT);
	assert_true(may(1, "news", PS_MAY_LISTEN));
	assert_true(may(1, "news", PS_MAY_EMIT));
	assert_false(may(1, "newspaper", PS_MAY_EMIT));
	assert_false(may(2, "news", PS_MAY_LISTEN));
	assert_false(may(2, "news", PS_MAY_EMIT));
}

static void
what_is_no_pattern_of_channels_is_left_out(void **state)
{
	char name[32];
	int i;

	(void)state;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_ERROR); /* they are told */
	add(token(1, "one"));
	seal();
	for (i = 0; i < 20; i++) {
		allow_channel(1, "a*b", PS_MAY_EMIT);
		snprintf(name, sizeof(name), "channel-%d", i);
		allow_channel(1, name, PS_MAY_EMIT);
		assert_row(i, may(1, name, PS_MAY_EMIT));
	}
	assert_false(may(1, "a*b", PS_MAY_EMIT));
	assert_false(may(1, "ab", PS_MAY_EMIT));
	assert_int_equal(ps_policy_find_id(policy, 1)->channels.count, 20);
}

static void
no_origin_is_a_right_of_its_own(void **state)
{
	struct ps_token two = token(2, "two");

	(void)state;
	two.allow_no_origin = true;
	add(token(1, "one"));
	add(two);
	seal();
	allow(1, PS_RIGHT_ORIGIN, "*");
	assert_true(allows_origin(1, "http://a"));
	assert_true(allows_origin(1, "null"));
	assert_false(allows_origin(1, ""));
	assert_true(allows_origin(2, ""));
	assert_false(allows_origin(2, "http://a"));
}

/* --- sharing --- */

static void *
use(void *arg)
{
	unsigned long found = 0;
	int i;

	(void)arg;
	for (i = 0; i < 10000; i++) {
		struct ps_policy *mine = ps_policy_ref(policy);

		found += ps_policy_find_id(mine, 1) != NULL;
		ps_policy_unref(mine);
	}
	return (void *)found;
}

static void
threads_share_a_policy(void **state)
{
	pthread_t threads[4];
	void *found;
	size_t i;

	(void)state;
	add(token(1, "one"));
	seal();
	for (i = 0; i < ROWS(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, NULL),
		    0);
	for (i = 0; i < ROWS(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &found), 0);
		assert_int_equal((unsigned long)found, 10000);
	}
	ps_policy_unref(NULL);
	assert_int_equal(find("one"), 1);
}

static void
a_policy_lives_until_its_last_reference(void **state)
{
	struct ps_policy *other = ps_policy_ref(policy);

	(void)state;
	add(token(1, "one"));
	seal();
	ps_policy_unref(policy);
	policy = other;
	assert_int_equal(find("one"), 1);
}

static void
every_limit_has_the_name_of_its_column(void **state)
{
	static const char *const names[] = { "max_sockets",
		"max_creates_per_minute", "max_messages_per_day",
		"max_bytes_per_day", "max_message_bytes", "max_queue_bytes" };
	size_t i;

	(void)state;
	assert_int_equal(ROWS(names), PS_TOKEN_LIMIT__COUNT);
	for (i = 0; i < ROWS(names); i++)
		assert_string_equal(ps_token_limit_name(i), names[i]);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_token_is_found_by_its_secret),
		fresh(a_policy_without_tokens_finds_none),
		fresh(secrets_that_begin_alike_are_told_apart),
		fresh(a_secret_has_a_largest_length),
		fresh(a_secret_may_have_any_byte),
		fresh(no_secret_is_anonymous),
		fresh(without_anonymous_no_secret_is_nobody),
		fresh(a_token_is_found_by_its_id),
		fresh(ten_thousand_tokens_are_found),
		fresh(hashes_that_want_one_place_are_told_apart),
		fresh(hashes_are_compared_in_constant_time),
		fresh(an_application_is_a_token_with_callbacks),
		fresh(a_disabled_token_is_nobody),
		fresh(a_token_expires_at_its_second),
		fresh(the_next_expiry_is_the_first_to_come),
		fresh(a_token_without_patterns_may_nothing),
		fresh(rights_are_those_of_their_token_and_kind),
		fresh(any_pattern_of_many_will_do),
		fresh(what_is_no_pattern_is_left_out),
		fresh(patterns_of_a_channel_grant_together),
		fresh(what_is_no_pattern_of_channels_is_left_out),
		fresh(no_origin_is_a_right_of_its_own),
		fresh(threads_share_a_policy),
		fresh(a_policy_lives_until_its_last_reference),
		fresh(every_limit_has_the_name_of_its_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
