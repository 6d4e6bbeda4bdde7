#include "config.h"

#include "unit.h"

#include "ps_code.h"

static void
every_code_has_a_word_and_a_sentence(void **state)
{
	size_t i, len;

	(void)state;
	for (i = 0; i < PS_CODE__COUNT; i++) {
		const struct ps_code_info *info = ps_code_info(i);

		assert_row(i, info->word != NULL && *info->word != '\0');
		assert_row(i, info->word[strspn(info->word,
				  "abcdefghijklmnopqrstuvwxyz0123456789_")] ==
			'\0');
		assert_row(i, info->sentence != NULL);
		len = strlen(info->sentence);
		/* Two are quoted from the specification of channels. */
		assert_row(i,
			   len > 10 && (info->sentence[len - 1] == '.') ==
					   (i == PS_CODE_NO_PAYLOAD ||
					    i == PS_CODE_NOT_ENOUGH_CLIENTS));
	}
}

static void
no_word_stands_for_two_codes(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < PS_CODE__COUNT; i++) {
		for (j = 0; j < i; j++)
			assert_row(i, strcmp(ps_code_info(i)->word,
					  ps_code_info(j)->word) != 0);
	}
}

static void
who_may_try_again_hears_when(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < PS_CODE__COUNT; i++) {
		const struct ps_code_info *info = ps_code_info(i);
		bool again = info->status == 429 || info->status == 503;

		assert_row(i, (info->retry_after_s > 0) == again);
	}
}

static void
a_target_that_was_tried_is_no_http_error(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < PS_CODE__COUNT; i++)
		assert_row(i, (ps_code_info(i)->status == 200) ==
			(i >= PS_CODE_DNS_FAILURE));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_word_and_a_sentence),
		cmocka_unit_test(no_word_stands_for_two_codes),
		cmocka_unit_test(who_may_try_again_hears_when),
		cmocka_unit_test(a_target_that_was_tried_is_no_http_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
