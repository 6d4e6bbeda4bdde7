#include "config.h"

#include "unit.h"

#include "wsbridge/session/address.h"

static struct addresses addresses;
static struct ps_config config;

static int
setup(void **state)
{
	(void)state;
	config = (struct ps_config){ .max_sessions_per_address = 3,
		.max_creates_per_second = 100 };
	return !addresses_init(&addresses, 1);
}

static int
teardown(void **state)
{
	(void)state;
	addresses_deinit(&addresses);
	return 0;
}

static struct address *
acquire(const char *text, uint64_t now_ms, struct refusal *refusal_r)
{
	*refusal_r = (struct refusal){ .code = PS_CODE__COUNT };
	return addresses_acquire(&addresses, &config, ps_slice_str(text),
	    now_ms, refusal_r);
}

static void
an_address_has_so_many_sessions_and_no_more(void **state)
{
	struct address *list[3], *other;
	struct refusal refusal;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		list[i] = acquire("192.0.2.1", 5000, &refusal);
		assert_row(i, list[i] != NULL && list[i] == list[0]);
	}
	assert_null(acquire("192.0.2.1", 5000, &refusal));
	assert_int_equal(refusal.code, PS_CODE_CONNECTION_LIMIT);
	assert_string_equal(refusal.limit, "max_sessions_per_address");
	other = acquire("192.0.2.2", 5000, &refusal);
	assert_non_null(other);
	addresses_release(&addresses, list[0]);
	assert_ptr_equal(acquire("192.0.2.1", 5000, &refusal), list[0]);
	assert_null(acquire("192.0.2.1", 9000, &refusal));
	for (i = 0; i < 3; i++)
		addresses_release(&addresses, list[0]);
	addresses_release(&addresses, other);
}

static void
an_address_makes_so_many_sessions_a_second(void **state)
{
	struct address *address = NULL;
	struct refusal refusal;
	size_t i;

	(void)state;
	config.max_creates_per_second = 2;
	config.max_sessions_per_address = 0;
	for (i = 0; i < 2; i++)
		assert_non_null(address = acquire("a", 5000, &refusal));
	assert_null(acquire("a", 5000, &refusal));
	assert_int_equal(refusal.code, PS_CODE_RATE_LIMIT);
	assert_string_equal(refusal.limit, "max_creates_per_second");
	assert_null(acquire("a", 5999, &refusal));
	assert_non_null(acquire("a", 6000, &refusal));
	assert_non_null(acquire("a", 6999, &refusal));
	assert_null(acquire("a", 6999, &refusal));
	assert_non_null(acquire("a", 7000, &refusal));
	for (i = 0; i < 5; i++)
		addresses_release(&addresses, address);
}

static void
zero_is_no_limit(void **state)
{
	struct address *address = NULL;
	struct refusal refusal;
	size_t i;

	(void)state;
	config.max_creates_per_second = 0;
	config.max_sessions_per_address = 0;
	for (i = 0; i < 10000; i++)
		assert_non_null(address = acquire("a", 5000, &refusal));
	for (i = 0; i < 10000; i++)
		addresses_release(&addresses, address);
}

/* Who makes and ends sessions quickly is counted all the same. */
static void
an_idle_address_is_remembered_for_a_second(void **state)
{
	struct refusal refusal;
	struct address *address;

	(void)state;
	config.max_creates_per_second = 1;
	address = acquire("a", 5000, &refusal);
	addresses_release(&addresses, address);
	assert_null(acquire("a", 5999, &refusal));
	assert_int_equal(refusal.code, PS_CODE_RATE_LIMIT);
	assert_int_equal(addresses.by_text.count, 1);
	address = acquire("b", 6000, &refusal);
	assert_non_null(address);
	assert_int_equal(addresses.by_text.count, 1); /* "a" is forgotten */
	addresses_release(&addresses, address);
}

static void
an_address_with_sessions_is_not_forgotten(void **state)
{
	struct refusal refusal;
	struct address *a = acquire("a", 5000, &refusal), *b;

	(void)state;
	b = acquire("b", 3600 * 1000, &refusal);
	assert_int_equal(addresses.by_text.count, 2);
	assert_ptr_equal(acquire("a", 3600 * 1000, &refusal), a);
	assert_int_equal(a->n_sessions, 2);
	addresses_release(&addresses, a);
	addresses_release(&addresses, a);
	addresses_release(&addresses, b);
}

static void
many_addresses_come_and_go(void **state)
{
	struct refusal refusal;
	char text[32];
	unsigned i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		struct address *address;

		snprintf(text, sizeof(text), "2001:db8::%x", i);
		address = acquire(text, 5000 + i, &refusal);
		assert_row(i, address != NULL);
		assert_row(i, addresses.by_text.count <= 1001);
		addresses_release(&addresses, address);
	}
}

static void
an_address_has_a_largest_length(void **state)
{
	char text[PS_ADDRESS_MAX + 1];
	struct refusal refusal;
	struct address *address;

	(void)state;
	memset(text, '1', sizeof(text));
	text[PS_ADDRESS_MAX - 1] = '\0';
	address = acquire(text, 5000, &refusal);
	assert_non_null(address);
	assert_string_equal(address->text, text);
	addresses_release(&addresses, address);
	text[PS_ADDRESS_MAX - 1] = '1';
	text[PS_ADDRESS_MAX] = '\0';
	assert_null(acquire(text, 5000, &refusal));
	assert_int_equal(refusal.code, PS_CODE_BRIDGE_FULL);
	address = acquire("", 5000, &refusal); /* not known: counted as one */
	assert_non_null(address);
	addresses_release(&addresses, address);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(an_address_has_so_many_sessions_and_no_more),
		fresh(an_address_makes_so_many_sessions_a_second),
		fresh(zero_is_no_limit),
		fresh(an_idle_address_is_remembered_for_a_second),
		fresh(an_address_with_sessions_is_not_forgotten),
		fresh(many_addresses_come_and_go),
		fresh(an_address_has_a_largest_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
