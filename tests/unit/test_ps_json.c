#include "config.h"

#include "unit.h"

#include <json-c/json.h>

#include "ps_json.h"
#include "ps_utf8.h"

static const struct {
	const char *text, *json;
} rows[] = {
	{ "", "\"\"" },
	{ "plain", "\"plain\"" },
	{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
	{ "\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\"" },
	{ "\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"" },
	{ "\v", "\"\\u000b\"" },
	{ "a/b", "\"a/b\"" },
	{ "</script>", "\"<\\/script>\"" },
	{ "/", "\"/\"" },
	{ "<", "\"<\"" },
	{ "<</", "\"<<\\/\"" },
	{ "\xe2\x80\xa7", "\"\xe2\x80\xa7\"" },
	{ "\xe2\x80\xa8", "\"\\u2028\"" },
	{ "\xe2\x80\xa9", "\"\\u2029\"" },
	{ "\xe2\x80\xaa", "\"\xe2\x80\xaa\"" },
	{ "\xe2\x81\xa8", "\"\xe2\x81\xa8\"" },
	{ "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
	{ "\xc3\xa4\xf0\x9f\x98\x80", "\"\xc3\xa4\xf0\x9f\x98\x80\"" },
};

static void
what_a_script_must_not_see_is_escaped(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		ps_json_string(&w, ps_slice_str(rows[i].text));
		assert_row(i, writer_had(&w, rows[i].json));
	}
	ps_json_string(&w, ps_slice("a\0b", 3));
	assert_true(writer_had(&w, "\"a\\u0000b\""));
	ps_writer_deinit(&w);
}

static void
a_cut_separator_is_left_alone(void **state)
{
	struct ps_writer w = { 0 };

	(void)state;
	/* The caller's text is valid; nothing is read beyond its end. */
	ps_json_string(&w, ps_slice("\xe2\x80\xa8", 2));
	assert_true(writer_had(&w, "\"\xe2\x80\""));
	ps_json_string(&w, ps_slice("\xe2\x80\xa8", 1));
	assert_true(writer_had(&w, "\"\xe2\""));
	ps_writer_deinit(&w);
}

static void
a_parser_reads_back_every_byte(void **state)
{
	struct ps_writer w = { 0 };
	char text[256];
	size_t len = 0;
	json_object *value;

	(void)state;
	for (int c = 0; c < 0x80; c++)
		text[len++] = (char)c;
	memcpy(text + len, "<//</\xe2\x80\xa8\xe2\x80\xa9\xc3\xa4", 13);
	len += 13;
	assert_true(ps_utf8_is_valid(text, len));
	ps_json_string(&w, ps_slice(text, len));
	ps_writer_u8(&w, 0);
	value = json_tokener_parse(w.data);
	assert_non_null(value);
	assert_int_equal(json_object_get_string_len(value), len);
	assert_memory_equal(json_object_get_string(value), text, len);
	json_object_put(value);
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_script_must_not_see_is_escaped),
		cmocka_unit_test(a_cut_separator_is_left_alone),
		cmocka_unit_test(a_parser_reads_back_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
