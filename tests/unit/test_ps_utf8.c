#include "config.h"

#include "unit.h"

#include "ps_utf8.h"

static const struct {
	const char *bytes;
	bool valid;
} rows[] = {
	{ "", true },
	{ "plain", true },
	{ "eight by", true },
	{ "more than eight bytes of it", true },
	{ "\x7f", true },
	{ "\x80", false },
	{ "\xbf", false },
	{ "\xc0\x80", false }, /* overlong NUL */
	{ "\xc1\xbf", false },
	{ "\xc2\x80", true },
	{ "\xc2", false },
	{ "\xc2\x7f", false },
	{ "\xc2\xc0", false },
	{ "\xdf\xbf", true },
	{ "\xe0\x9f\xbf", false }, /* overlong */
	{ "\xe0\xa0\x80", true },
	{ "\xe0\xa0", false },
	{ "\xe1\x80\x80", true },
	{ "\xec\xbf\xbf", true },
	{ "\xed\x9f\xbf", true },
	{ "\xed\xa0\x80", false }, /* the first surrogate */
	{ "\xed\xbf\xbf", false }, /* the last one */
	{ "\xee\x80\x80", true },
	{ "\xef\xbf\xbf", true },
	{ "\xef\xbf", false },
	{ "\xef\xbf\x7f", false },
	{ "\xf0\x8f\xbf\xbf", false }, /* overlong */
	{ "\xf0\x90\x80\x80", true },
	{ "\xf0\x90\x80", false },
	{ "\xf3\xbf\xbf\xbf", true },
	{ "\xf4\x8f\xbf\xbf", true },  /* U+10FFFF */
	{ "\xf4\x90\x80\x80", false }, /* one more */
	{ "\xf5\x80\x80\x80", false },
	{ "\xfe", false },
	{ "\xff", false },
	{ "ascii then \xc3\xa4 and more ascii", true },
	{ "ascii then \xc3 and more ascii", false },
};

static void
rfc_3629_decides(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++)
		assert_row(i, ps_utf8_is_valid(rows[i].bytes,
				  strlen(rows[i].bytes)) == rows[i].valid);
	assert_true(ps_utf8_is_valid("a\0b", 3));
}

static void
characters_are_counted(void **state)
{
	(void)state;
	assert_int_equal(ps_utf8_count("", 0), 0);
	assert_int_equal(ps_utf8_count("a\0b", 3), 3);
	assert_int_equal(ps_utf8_count("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.",
			     10),
	    4);
}

static void
a_bad_byte_is_found_at_every_place(void **state)
{
	char text[40];
	size_t at, len;

	(void)state;
	for (len = 1; len <= sizeof(text); len++) {
		for (at = 0; at < len; at++) {
			memset(text, 'a', len);
			text[at] = '\x80';
			assert_row(at, !ps_utf8_is_valid(text, len));
			if (at + 1 == len)
				continue;
			text[at] = '\xc3';
			assert_row(at, !ps_utf8_is_valid(text, len));
			text[at + 1] = '\xa4';
			assert_row(at, ps_utf8_is_valid(text, len));
		}
	}
}

/* Encodes without looking whether it may. */
static size_t
encode(char *out, unsigned code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

static void
every_code_point_but_the_surrogates_is_valid(void **state)
{
	char text[4];
	unsigned code;

	(void)state;
	for (code = 0; code < 0x120000; code++) {
		bool valid = code < 0xd800 ||
		    (code > 0xdfff && code <= 0x10ffff);

		assert_row(code,
		    ps_utf8_is_valid(text, encode(text, code)) == valid);
	}
}

/* Which characters a text may not have that a terminal shows. */
static const struct {
	unsigned first, last;
} hidden[] = {
	{ 0x00, 0x1f },	    /* C0 */
	{ 0x7f, 0x9f },	    /* DEL and C1 */
	{ 0x61c, 0x61c },   /* Arabic letter mark */
	{ 0x200e, 0x200f }, /* marks of direction */
	{ 0x2028, 0x202e }, /* separators, embeddings, overrides */
	{ 0x2066, 0x2069 }, /* isolates */
};

static void
hidden_characters_are_not_plain(void **state)
{
	char text[8] = "a";
	unsigned code;
	size_t i, len;

	(void)state;
	assert_true(ps_utf8_is_plain("", 0));
	for (code = 0; code < 0x110000; code++) {
		bool plain = true;

		if (code == 0xd800)
			code = 0xe000; /* behind the surrogates */
		for (i = 0; i < ROWS(hidden); i++)
			plain = plain && (code < hidden[i].first ||
					     code > hidden[i].last);
		len = 1 + encode(text + 1, code);
		assert_row(code, ps_utf8_is_plain(text, len) == plain);
		text[len] = 'b';
		assert_row(code, ps_utf8_is_plain(text, len + 1) == plain);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_3629_decides),
		cmocka_unit_test(characters_are_counted),
		cmocka_unit_test(a_bad_byte_is_found_at_every_place),
		cmocka_unit_test(every_code_point_but_the_surrogates_is_valid),
		cmocka_unit_test(hidden_characters_are_not_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
