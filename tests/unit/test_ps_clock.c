#include "config.h"

#include "unit.h"

#include "ps_clock.h"

static void
a_time_is_written_as_rfc_3339_has_it(void **state)
{
	char text[PS_CLOCK_STAMP_BYTES];

	(void)state;
	ps_clock_stamp_s(text, 0);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	ps_clock_stamp_s(text, 1924991999);
	assert_string_equal(text, "2030-12-31T23:59:59Z");
	ps_clock_stamp_ms(text, 1924991999007);
	assert_string_equal(text, "2030-12-31T23:59:59.007Z");
	ps_clock_stamp_ms(text, 253402300799999);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void
a_year_that_is_too_long_harms_nobody(void **state)
{
	char text[PS_CLOCK_STAMP_BYTES];

	(void)state;
	ps_clock_stamp_ms(text, INT64_MAX);
	assert_true(strlen(text) < sizeof(text));
	ps_clock_stamp_s(text, INT64_MAX / 1000);
	assert_true(strlen(text) < sizeof(text));
}

static void
the_present_one_is_of_the_same_form(void **state)
{
	char text[PS_CLOCK_STAMP_BYTES];

	(void)state;
	ps_clock_stamp(text);
	assert_int_equal(strlen(text), sizeof(text) - 1);
	assert_memory_equal(text, "20", 2);
	assert_int_equal(text[sizeof(text) - 2], 'Z');
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_is_written_as_rfc_3339_has_it),
		cmocka_unit_test(a_year_that_is_too_long_harms_nobody),
		cmocka_unit_test(the_present_one_is_of_the_same_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
