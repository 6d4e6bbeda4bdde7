#include "config.h"

#include "unit.h"

#include "wsbridge/outbox/webhook.h"

#define BIG 100000

static char big[BIG];

/*
 * The first is the example that libraries of Standard Webhooks test
 * themselves with, its secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw. The
 * others are what hmac of Python's library gives.
 */
static const struct {
	struct ps_slice key;
	const char *id;
	int64_t unix_s;
	struct ps_slice body;
	const char *signature;
} rows[] = {
	{ { "1\xf2\x90\xf6\xbf\x06)\x8a\xab"
	    "O\x08\xd4<?\x08,\xf6H\xa3"
	    "b\xda-\xa4\xb0",
	    24 },
	  "msg_p5jXN8AQM9LWM0D4loKWxJek",
	  1614265330,
	  { "{\"test\": 2432232314}", 20 },
	  "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
	{ { "", 0 },
	  "",
	  0,
	  { NULL, 0 },
	  "v1,A6f2nN49Jdcn19OedbQNRKGG/vX+magIZxOQBQRhZBM=" },
	{ { NULL, 0 },
	  "",
	  0,
	  { "", 0 },
	  "v1,A6f2nN49Jdcn19OedbQNRKGG/vX+magIZxOQBQRhZBM=" },
	{ { big, 64 },
	  "msg_a7k2xw-15_18446744073709551615",
	  4102444800,
	  { "\0\n.", 3 },
	  "v1,RKPDszNDM9lUZV43xAy4m8rJFv0BdZ9it5/pFz1D6Mc=" },
	{ { "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
	    65 },
	  "x",
	  -1,
	  { big, BIG },
	  "v1,MGyKHta4sxE8oDdaN2ASakjx3zd+tVbPUbkTuaH16Js=" },
};

static void
signatures_are_those_of_others(void **state)
{
	char signature[WEBHOOK_SIGNATURE_MAX];
	struct ps_writer scratch = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_int_equal(webhook_sign(signature, &scratch, rows[i].key,
					      rows[i].id, rows[i].unix_s,
					      rows[i].body),
				 PS_OK);
		assert_string_equal(signature, rows[i].signature);
	}
	ps_writer_deinit(&scratch);
}

static void
each_part_is_signed(void **state)
{
	const struct ps_slice key = ps_slice_str("key");
	const struct ps_slice body = ps_slice_str("body");
	char one[WEBHOOK_SIGNATURE_MAX], other[WEBHOOK_SIGNATURE_MAX];
	struct ps_writer w = { 0 };

	(void)state;
	assert_int_equal(webhook_sign(one, &w, key, "id", 1, body), PS_OK);
	assert_int_equal(webhook_sign(other, &w, key, "id", 1, body), PS_OK);
	assert_string_equal(one, other);
	assert_int_equal(webhook_sign(other, &w, key, "ie", 1, body), PS_OK);
	assert_string_not_equal(one, other);
	assert_int_equal(webhook_sign(other, &w, key, "id", 2, body), PS_OK);
	assert_string_not_equal(one, other);
	assert_int_equal(webhook_sign(other, &w, body, "id", 1, body), PS_OK);
	assert_string_not_equal(one, other);
	assert_int_equal(webhook_sign(other, &w, key, "id", 1, key), PS_OK);
	assert_string_not_equal(one, other);
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures_are_those_of_others),
		cmocka_unit_test(each_part_is_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
