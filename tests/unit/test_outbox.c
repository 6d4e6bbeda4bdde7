#include "config.h"

#include "outbox_fixture.h"

#include "wsbridge/circuit.h"
#include "wsbridge/lane.h"

static struct outbox_status
status(void)
{
	struct outbox_status now;

	outbox_status(&bridge, &now);
	return now;
}

static void
what_is_committed_is_called_back_and_then_deleted(void **state)
{
	struct fake_call *call;

	(void)state;
	assert_true(say("a-1", 1, "{}"));
	assert_true(store_has_job());
	assert_int_equal(n_fake_calls, 0);
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 1);
	call = find_call("a-1", 1);
	assert_non_null(call);
	assert_string_equal(call->url, "http://app/cb");
	assert_string_equal(call->body, "{}");
	assert_string_equal(call->key, "key");
	answer(call, 204, "");
	assert_int_equal(status().waiting, 0);
	store_end(PS_OK);
	assert_int_equal(n_fake_rows, 0);
	assert_int_equal(status().lanes, 0);
	assert_int_equal(status().hosts, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_is_committed_is_called_back_and_then_deleted,
		    outbox_setup, outbox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
