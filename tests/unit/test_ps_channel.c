#include "config.h"

#include "unit.h"

#include "ps_channel.h"
#include "ps_limits.h"

#define GOOD PS_CODE__COUNT

static const struct {
	const char *name;
	enum ps_code code;
} names[] = {
	{ "news", GOOD },
	{ "n", GOOD },
	{ "a b", GOOD },
	{ "a/b", GOOD },
	{ "*", GOOD },
	{ "Create", GOOD },
	{ "creates", GOOD },
	{ "\xc3\xa4", GOOD },
	{ "\xc2\xa0", GOOD },
	{ "\xe2\x80\x8f\xd7\xa9", GOOD },
	{ "\xf0\x9f\x98\x80", GOOD },
	{ "polysocket", PS_CODE_NAME_RESERVED },
	{ "create", PS_CODE_NAME_RESERVED },
	{ "s", PS_CODE_NAME_RESERVED },
	{ "j", PS_CODE_NAME_RESERVED },
	{ "x", PS_CODE_NAME_RESERVED },
	{ "p", PS_CODE_NAME_RESERVED },
	{ "e", PS_CODE_NAME_RESERVED },
	{ "c", PS_CODE_NAME_RESERVED },
	{ "authorize", PS_CODE_NAME_RESERVED },
	{ "publish", PS_CODE_NAME_RESERVED },
	{ "", PS_CODE_NAME_INVALID },
	{ "a\nb", PS_CODE_NAME_INVALID },
	{ "\x01", PS_CODE_NAME_INVALID },
	{ "a\x1f", PS_CODE_NAME_INVALID },
	{ "\x7f", PS_CODE_NAME_INVALID },
	{ "a\xc2\x80", PS_CODE_NAME_INVALID },
	{ "\xc2\x9f"
	  "b",
	  PS_CODE_NAME_INVALID },
	{ "\xff", PS_CODE_NAME_INVALID },
	{ "a\xc2", PS_CODE_NAME_INVALID },
};

static void
a_name_is_reserved_or_invalid_or_good(void **state)
{
	enum ps_code code;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(names); i++) {
		struct ps_slice name = ps_slice_str(names[i].name);

		if (ps_channel_check_name(name, &code))
			code = GOOD;
		assert_row(i, code == names[i].code);
		assert_row(i, ps_name_is_reserved(name) ==
				  (code == PS_CODE_NAME_RESERVED));
	}
	assert_false(ps_channel_check_name(ps_slice("a\0", 2), &code));
}

static void
a_name_is_as_long_as_its_bytes(void **state)
{
	char text[PS_CHANNEL_MAX + 2];
	enum ps_code code;
	size_t i;

	(void)state;
	for (i = 0; i < PS_CHANNEL_MAX; i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	assert_true(ps_channel_check_name(ps_slice(text, i), &code));
	text[i++] = 'a';
	assert_false(ps_channel_check_name(ps_slice(text, i), &code));
	assert_int_equal(code, PS_CODE_NAME_INVALID);
}

static const struct {
	const char *text, *presence; /* NULL: it is none */
} presences[] = {
	{ "{}", "{}" },
	{ " { \"name\" : \"a b\" }\n", "{\"name\":\"a b\"}" },
	{ "{\"n\":1.0}", "{\"n\":1.0}" },
	{ "", NULL },
	{ "[]", NULL },
	{ "null", NULL },
	{ "\"{}\"", NULL },
	{ " 1", NULL },
	{ "{", NULL },
	{ "{}x", NULL },
};

static void
presence_is_an_object(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(presences); i++) {
		int ret;

		ps_writer_str(&w, "<");
		ret = ps_channel_take_presence(&w,
					       ps_slice_str(presences[i].text));
		ps_writer_str(&w, ">");
		if (presences[i].presence == NULL) {
			assert_row(i, ret == PS_ERR_MALFORMED);
			assert_row(i, writer_had(&w, "<>"));
			continue;
		}
		assert_row(i, ret == PS_OK);
		assert_row(i, w.len == strlen(presences[i].presence) + 2);
		assert_row(i, memcmp(w.data + 1, presences[i].presence,
				     w.len - 2) == 0);
		ps_writer_reset(&w);
	}
	ps_writer_deinit(&w);
}

/* An object of `len` bytes, and a space that does not count. */
static int
take_presence_of(struct ps_writer *w, size_t len)
{
	char text[PS_PRESENCE_MAX + 8] = "{ \"a\":\"";
	size_t begin = strlen(text);

	memset(text + begin, 'x', len + 1 - begin - 2);
	memcpy(text + len + 1 - 2, "\"}", 3);
	return ps_channel_take_presence(w, ps_slice_str(text));
}

static void
presence_is_bounded_without_its_space(void **state)
{
	struct ps_writer w = { 0 };

	(void)state;
	assert_int_equal(take_presence_of(&w, PS_PRESENCE_MAX), PS_OK);
	assert_int_equal(w.len, PS_PRESENCE_MAX);
	ps_writer_reset(&w);
	assert_int_equal(take_presence_of(&w, PS_PRESENCE_MAX + 1),
			 PS_ERR_TOO_LARGE);
	assert_int_equal(w.len, 0);
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_reserved_or_invalid_or_good),
		cmocka_unit_test(a_name_is_as_long_as_its_bytes),
		cmocka_unit_test(presence_is_an_object),
		cmocka_unit_test(presence_is_bounded_without_its_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
