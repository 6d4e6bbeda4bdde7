#include "config.h"

#include "unit.h"

#include <json-c/json.h>

#include "ps_json_literal.h"
#include "ps_utf8.h"

static const struct {
	const char *string;
	const char *literal; /* NULL: it is one already; "": malformed */
	const char *says;    /* NULL: no matter */
} rows[] = {
	{ "\"\"", NULL, "" },
	{ "\"a /<>&'\x7f\"", NULL, "a /<>&'\x7f" },
	{ "\"\\b\\t\\n\\f\\r\\\"\\\\\"", NULL, "\b\t\n\f\r\"\\" },
	{ "\"\\u0008\\u0009\\u000a\\u000C\\u000d\\u0022\\u005c\"",
	  "\"\\b\\t\\n\\f\\r\\\"\\\\\"", NULL },
	{ "\"\\/\\u002F\"", "\"//\"", "//" },
	{ "\"\\u0001\\u000B\\u001f\\u007f\"", "\"\\u0001\\u000b\\u001f\x7f\"",
	  "\x01\x0b\x1f\x7f" },
	{ "\"\\u0041\\u00e4\\u20AC\"", "\"A\xc3\xa4\xe2\x82\xac\"",
	  "A\xc3\xa4\xe2\x82\xac" },
	{ "\"\\ud83d\\uDE00\"", "\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80" },
	{ "\"\xf0\x9f\x98\x80\"", NULL, "\xf0\x9f\x98\x80" },
	{ "\"\\uD83D\"", "\"\\ud83d\"", "\xef\xbf\xbd" },
	{ "\"\\uDE00\\ud83d\"", "\"\\ude00\\ud83d\"",
	  "\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\"\\ud83dx\\ude00\"", NULL, "\xef\xbf\xbdx\xef\xbf\xbd" },
	{ "\"\\ud83d\\n\"", NULL, "\xef\xbf\xbd\n" },
	{ "\"\\ud83d\\ud83d\\ude00\"", "\"\\ud83d\xf0\x9f\x98\x80\"",
	  "\xef\xbf\xbd\xf0\x9f\x98\x80" },
	{ "\"\xe2\x80\xa8\"", "\"\\u2028\"", "\xe2\x80\xa8" },
	{ "\"\\u2027\"", "\"\xe2\x80\xa7\"", NULL },
	{ "\"\xef\xbb\xbf\"", NULL, "\xef\xbb\xbf" },
	{ "", "", NULL },
	{ "a", "", NULL },
	{ "\"", "", NULL },
	{ "\"a", "", NULL },
	{ "a\"", "", NULL },
	{ " \"a\"", "", NULL },
	{ "\"a\" ", "", NULL },
	{ "\"a\"b\"", "", NULL },
	{ "\"\\\"", "", NULL },
	{ "\"\\a\"", "", NULL },
	{ "\"\\u\"", "", NULL },
	{ "\"\\u123\"", "", NULL },
	{ "\"\\u12g4\"", "", NULL },
	{ "\"\\U0041\"", "", NULL },
	{ "\"\\ud83d\\u\"", "", NULL },
	{ "\"\n\"", "", NULL },
	{ "\"\x1f\"", "", NULL },
	{ "\"\xff\"", "", NULL },
	{ "\"\xed\xa0\x80\"", "", NULL },
	{ "\"\xe2\x80\"", "", NULL },
};

static void
a_string_of_any_spelling_has_one_literal(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		const char *string = rows[i].string, *literal = rows[i].literal;

		if (literal == NULL)
			literal = string;
		assert_row(i,
			   ps_json_literal(&w, ps_slice_str(string)) ==
			       (*literal == '\0' ? PS_ERR_MALFORMED : PS_OK));
		assert_row(i, writer_had(&w, literal));
		if (rows[i].says == NULL)
			continue;
		ps_json_literal_decode(&w, ps_slice_str(literal));
		assert_row(i, writer_had(&w, rows[i].says));
	}
	assert_int_equal(ps_json_literal(&w, ps_slice("\"\0\"", 3)),
			 PS_ERR_MALFORMED);
	assert_int_equal(ps_json_literal(&w, ps_slice("\"\\\0\"", 4)),
			 PS_ERR_MALFORMED);
	ps_writer_deinit(&w);
}

static bool
must_be_escaped(unsigned c)
{
	return c < 0x20 || (c >= 0x200c && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202f) || (c >= 0x2060 && c <= 0x206f) ||
	       c >= 0xfff0 || (c >= 0xd800 && c <= 0xdfff);
}

static bool
has_short_form(unsigned c)
{
	return c > 0 && c < 0x20 && strchr("\b\t\n\f\r", (int)c) != NULL;
}

static void
write_unit(struct ps_writer *w, unsigned unit, bool upper)
{
	ps_writer_printf(w, upper ? "\"\\u%04X\"" : "\"\\u%04x\"", unit);
}

/* The literal of `string` into `w`, which says in the end what it said. */
static void
assert_stays(struct ps_writer *w, const struct ps_writer *string)
{
	struct ps_writer again = { 0 };

	assert_int_equal(ps_json_literal(w, written(string)), PS_OK);
	assert_int_equal(ps_json_literal(&again, written(w)), PS_OK);
	assert_bytes(written(&again), w->data, w->len);
	ps_writer_deinit(&again);
}

/* Each, escaped in both cases and as it is. */
static void
every_code_unit_is_escaped_or_not_as_the_table_says(void **state)
{
	struct ps_writer w = { 0 }, string = { 0 };
	char utf8[4];
	unsigned c;

	(void)state;
	for (c = 0; c <= 0xffff; c++) {
		write_unit(&string, c, c % 2 == 0);
		assert_stays(&w, &string);
		if (must_be_escaped(c) && !has_short_form(c)) {
			ps_writer_reset(&string);
			write_unit(&string, c, false);
			assert_row(c,
				   w.len == string.len &&
				       memcmp(w.data, string.data, w.len) == 0);
		} else if (c >= 0x20 && c != '"' && c != '\\') {
			assert_row(c, w.len == ps_utf8_encode(utf8, c) + 2 &&
					  memcmp(w.data + 1, utf8, w.len - 2) ==
					      0);
		}
		ps_writer_reset(&w);
		ps_writer_reset(&string);
	}
	ps_writer_deinit(&w);
	ps_writer_deinit(&string);
}

/* A code point of any plane, of some more often than of others. */
static unsigned
draw(uint64_t *seed)
{
	static const unsigned bounds[] = { 0x80,   0x80,    0x30,    0x800,
					   0x2100, 0x10000, 0x110000 };
	unsigned c;

	do
		c = (unsigned)(next_random(seed) %
			       bounds[next_random(seed) % ROWS(bounds)]);
	while (c >= 0xd800 && c <= 0xdfff);
	return c;
}

static void
assert_parses_as(struct ps_writer *literal, const struct ps_writer *text)
{
	json_object *value;

	ps_writer_u8(literal, 0);
	value = json_tokener_parse(literal->data);
	literal->len--;
	assert_non_null(value);
	assert_int_equal(json_object_get_string_len(value), text->len);
	assert_memory_equal(json_object_get_string(value), text->data,
			    text->len);
	json_object_put(value);
}

static void
a_parser_reads_back_any_text(void **state)
{
	struct ps_writer text = { 0 }, literal = { 0 }, w = { 0 };
	uint64_t seed = 20261122;
	int round, left;
	char utf8[4];

	(void)state;
	for (round = 0; round < 3000; round++) {
		for (left = 1 + (int)(next_random(&seed) % 40); left > 0;
		     left--)
			ps_writer_bytes(&text, utf8,
					ps_utf8_encode(utf8, draw(&seed)));
		ps_json_literal_text(&literal, written(&text));
		assert_false(literal.failed);
		assert_parses_as(&literal, &text);
		assert_stays(&w, &literal);
		assert_bytes(written(&w), literal.data, literal.len);
		ps_writer_reset(&w);
		ps_json_literal_decode(&w, written(&literal));
		assert_bytes(written(&w), text.data, text.len);
		ps_writer_reset(&w);
		ps_writer_reset(&text);
		ps_writer_reset(&literal);
	}
	ps_writer_deinit(&text);
	ps_writer_deinit(&literal);
	ps_writer_deinit(&w);
}

/* Each shorter one, with nothing behind it. */
static void
every_shorter_string_is_refused(void **state)
{
	static const char text[] =
	    "\"\\ud83d\\ude00\\u2028\xe2\x80\xa8\\n\xf0\x9f\x98\x80\\ud800\"";
	struct ps_writer w = { 0 };
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text) - 1; len++) {
		char *copy = malloc(len + (len == 0));

		assert_non_null(copy);
		memcpy(copy, text, len);
		assert_row(len, ps_json_literal(&w, ps_slice(copy, len)) ==
				    PS_ERR_MALFORMED);
		ps_json_literal_text(&w, ps_slice(copy, len));
		ps_json_literal_decode(&w, ps_slice(copy, len));
		free(copy);
		ps_writer_reset(&w);
	}
	assert_int_equal(ps_json_literal(&w, ps_slice(text, len)), PS_OK);
	ps_writer_deinit(&w);
}

/* Writes them one after the other; no more where one is "stop". */
static int
take(void *arg, struct ps_slice string)
{
	if (ps_slice_is(string, "\"stop\""))
		return PS_ERR_FULL;
	return ps_json_literal(arg, string);
}

static const struct {
	const char *text;
	int ret;
	const char *strings;
} arrays[] = {
	{ "[]", PS_OK, "" },
	{ " [ ] ", PS_OK, "" },
	{ "[\"\"]", PS_OK, "\"\"" },
	{ "[\"a\",\"b\"]", PS_OK, "\"a\"\"b\"" },
	{ " [\t\"a\" ,\r\n\"]\" ] ", PS_OK, "\"a\"\"]\"" },
	{ "[\"\\ud800\",\"\\u0041\"]", PS_OK, "\"\\ud800\"\"A\"" },
	{ "[\"a\",\"stop\",\"b\"]", PS_ERR_FULL, "\"a\"" },
	{ "", PS_ERR_MALFORMED, "" },
	{ " ", PS_ERR_MALFORMED, "" },
	{ "x", PS_ERR_MALFORMED, "" },
	{ "[", PS_ERR_MALFORMED, "" },
	{ "[\"a\"", PS_ERR_MALFORMED, "" },
	{ "[\"a\",", PS_ERR_MALFORMED, "" },
	{ "[\"a\",]", PS_ERR_MALFORMED, "" },
	{ "[,]", PS_ERR_MALFORMED, "" },
	{ "[\"a\" \"b\"]", PS_ERR_MALFORMED, "" },
	{ "[\"a\"]]", PS_ERR_MALFORMED, "" },
	{ "[]x", PS_ERR_MALFORMED, "" },
	{ "[\"a\n\"]", PS_ERR_MALFORMED, "" },
	{ "[\"\xff\"]", PS_ERR_MALFORMED, "" },
	{ "[\"a\"}", PS_ERR_MALFORMED, "" },
	{ "\"a\"", PS_ERR_UNKNOWN, "" },
	{ "1", PS_ERR_UNKNOWN, "" },
	{ "null", PS_ERR_UNKNOWN, "" },
	{ "{}", PS_ERR_UNKNOWN, "" },
	{ "{\"a\":[\"b\"]}", PS_ERR_UNKNOWN, "" },
	{ "[1]", PS_ERR_UNKNOWN, "" },
	{ "[\"a\",null]", PS_ERR_UNKNOWN, "" },
	{ "[[\"a\"]]", PS_ERR_UNKNOWN, "" },
	{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"a\"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
	  "]]]]]",
	  PS_ERR_UNKNOWN, "" },
};

static void
an_array_of_strings_is_taken_whole_or_not_at_all(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(arrays); i++) {
		struct ps_slice text = ps_slice_str(arrays[i].text);

		assert_row(i, ps_json_strings(text, take, &w) == arrays[i].ret);
		assert_row(i, writer_had(&w, arrays[i].strings));
		if (arrays[i].ret != PS_ERR_FULL)
			assert_row(i, ps_json_strings(text, NULL, NULL) ==
					  arrays[i].ret);
	}
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_string_of_any_spelling_has_one_literal),
		cmocka_unit_test(
		    every_code_unit_is_escaped_or_not_as_the_table_says),
		cmocka_unit_test(a_parser_reads_back_any_text),
		cmocka_unit_test(every_shorter_string_is_refused),
		cmocka_unit_test(
		    an_array_of_strings_is_taken_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
