#include "config.h"

#include "unit.h"

#include "ps_request.h"

static const struct {
	const char *text;
	bool form;
	const char *decoded; /* NULL: malformed */
} escapes[] = {
	{ "", false, "" },
	{ "plain", false, "plain" },
	{ "a+b", false, "a+b" },
	{ "a+b", true, "a b" },
	{ "a%2Bb", true, "a+b" },
	{ "%41%42", false, "AB" },
	{ "%c3%A4", false, "\xc3\xa4" },
	{ "%0a%0D%7f", false, "\n\r\x7f" },
	{ "100%25", false, "100%" },
	{ "%2525", false, "%25" },
	{ "%", false, NULL },
	{ "%4", false, NULL },
	{ "a%", true, NULL },
	{ "a%4", true, NULL },
	{ "%4g", false, NULL },
	{ "%g4", false, NULL },
	{ "%%41", false, NULL },
	{ "% 41", false, NULL },
	{ "%+1", true, NULL },
	{ "%4:", false, NULL },
	{ "%4/", false, NULL },
	{ "%4`", false, NULL },
	{ "%4@", false, NULL },
	{ "%00", false, NULL },
	{ "a%00b", true, NULL },
	{ "%ff", false, NULL },
	{ "%c3", false, NULL },
	{ "%ed%a0%80", false, NULL },
	{ "%c0%80", false, NULL },
};

static void
percent_escapes_are_decoded_in_place(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(escapes); i++) {
		char buffer[64];
		struct ps_slice text;
		int ret;

		strcpy(buffer, escapes[i].text);
		text = ps_slice_str(buffer);
		ret = ps_request_decode(&text, buffer, escapes[i].form);
		if (escapes[i].decoded == NULL) {
			assert_row(i, ret == PS_ERR_MALFORMED);
			continue;
		}
		assert_row(i, ret == PS_OK);
		assert_row(i, ps_slice_is(text, escapes[i].decoded));
	}
}

static const struct {
	const char *origin, *referer, *named;
} origins[] = {
	{ "", "", "" },
	{ "https://a.test", "", "https://a.test" },
	{ "https://a.test", "https://b.test/page", "https://a.test" },
	{ "", "https://b.test/page?x", "https://b.test" },
	{ "null", "", "null" },
	{ "file://", "https://b.test/page", "null" },
	{ "", "about:blank", "" },
};

static void
origin_goes_before_referer(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(origins); i++)
		assert_row(i,
		    ps_slice_is(ps_request_origin(
				    ps_slice_str(origins[i].origin),
				    ps_slice_str(origins[i].referer)),
			origins[i].named));
}

static const struct {
	const char *header, *secret;
} headers[] = {
	{ "", "" },
	{ "Bearer abc", "abc" },
	{ "bEARER   abc", "abc" },
	{ "Bearer", "" },
	{ "Bearer ", "" },
	{ "Bearerabc", "" },
	{ "Basic abc", "" },
};

static void
bearer_is_taken_from_its_scheme(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(headers); i++)
		assert_row(i,
		    ps_slice_is(
			ps_request_bearer(ps_slice_str(headers[i].header)),
			headers[i].secret));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_escapes_are_decoded_in_place),
		cmocka_unit_test(origin_goes_before_referer),
		cmocka_unit_test(bearer_is_taken_from_its_scheme),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
