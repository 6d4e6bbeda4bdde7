#include "config.h"

#include "unit.h"

#include "ps_config.h"
#include "wsbridge/applications/kept.h"
#include "wsbridge/base/message.h"

static struct ps_config *config;
static struct kept kept;
static size_t total;

static int
setup(void **state)
{
	(void)state;
	config = ps_config_create();
	kept_init(&kept);
	total = 0;
	return config == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	kept_clear(&kept, &total);
	ps_config_destroy(config);
	return total != 0 || kept.bytes != 0;
}

static void
set(const char *assignment)
{
	char error[PS_CONFIG_ERROR_MAX];

	if (ps_config_set(config, assignment, error) != PS_OK)
		fail_msg("%s", error);
}

static bool
add(const char *text, uint64_t now_ms)
{
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str(text));
	bool ok;

	assert_non_null(message);
	ok = kept_add(&kept, &total, config, message, now_ms);
	message_unref(message);
	return ok;
}

static bool
next_is(const char *text, uint64_t now_ms)
{
	struct message *message = kept_take(&kept, &total, now_ms);
	bool same = message != NULL && ps_slice_is(message_slice(message), text);

	message_unref(message);
	return same;
}

static void
messages_come_in_their_order(void **state)
{
	(void)state;
	assert_true(add("one", 1));
	assert_true(add("two", 2));
	assert_int_equal(total, 6);
	assert_true(next_is("one", 3));
	assert_true(add("three", 3));
	assert_true(next_is("two", 3));
	assert_true(next_is("three", 3));
	assert_null(kept_take(&kept, &total, 3));
}

static void
so_many_are_kept_and_not_one_more(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		assert_row(i, add("x", 1));
	assert_false(add("x", 1));
	assert_true(next_is("x", 1));
	assert_true(add("x", 1));
	set("kept_messages=0");
	kept_clear(&kept, &total);
	assert_false(add("x", 1));
}

static void
so_many_bytes_are_kept_and_not_one_more(void **state)
{
	(void)state;
	set("kept_bytes=10B");
	assert_false(add("12345678901", 1));
	assert_true(add("1234567", 1));
	assert_false(add("1234", 1));
	/* What does not fit does not drop what is there. */
	assert_true(add("123", 1));
	assert_int_equal(kept.bytes, 10);
	assert_true(next_is("1234567", 1));
	assert_true(add("1234567", 1));
	assert_false(add("1", 1));
	assert_true(add("", 1));
}

static void
what_is_kept_for_all_has_an_end(void **state)
{
	(void)state;
	total = 64 * 1024 * 1024 - 4;
	assert_false(add("12345", 1));
	assert_true(add("1234", 1));
	assert_false(add("1", 1));
	kept_clear(&kept, &total);
	assert_int_equal(total, 64 * 1024 * 1024 - 4);
	total = 0;
}

static void
a_message_is_kept_for_so_long(void **state)
{
	(void)state;
	assert_int_equal(kept_until_ms(&kept), UINT64_MAX);
	assert_true(add("one", 1000));
	assert_true(add("two", 2000));
	assert_int_equal(kept_until_ms(&kept), 61000);
	kept_expire(&kept, &total, 60999);
	assert_int_equal(kept.count, 2);
	kept_expire(&kept, &total, 61000);
	assert_int_equal(kept.count, 1);
	assert_int_equal(kept_until_ms(&kept), 62000);
	assert_true(next_is("two", 61999));
	assert_true(add("three", 70000));
	assert_null(kept_take(&kept, &total, 130000));
	/* One whose time is over makes room. */
	set("kept_messages=1");
	assert_true(add("four", 200000));
	assert_false(add("five", 259999));
	assert_true(add("five", 260000));
	assert_true(next_is("five", 260000));
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(messages_come_in_their_order),
		fresh(so_many_are_kept_and_not_one_more),
		fresh(so_many_bytes_are_kept_and_not_one_more),
		fresh(what_is_kept_for_all_has_an_end),
		fresh(a_message_is_kept_for_so_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
