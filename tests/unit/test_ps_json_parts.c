#include "config.h"

#include "unit.h"

#include "ps_json_parts.h"

/* Writes what `text` is made of, one part a line. */
static void
list_members(struct ps_writer *w, struct ps_slice rest)
{
	struct ps_slice name, value;

	while (ps_json_next_member(&rest, &name, &value)) {
		ps_writer_bytes(w, name.data, name.len);
		ps_writer_str(w, " ");
		ps_writer_bytes(w, value.data, value.len);
		ps_writer_str(w, "\n");
	}
}

static void
list_elements(struct ps_writer *w, struct ps_slice rest)
{
	struct ps_slice value;

	while (ps_json_next_element(&rest, &value)) {
		ps_writer_bytes(w, value.data, value.len);
		ps_writer_str(w, "\n");
	}
}

static void
members_come_as_they_were_written(void **state)
{
	static const struct {
		const char *text, *list;
	} rows[] = {
		{ "{}", "" },
		{ "{\"a\":1}", "\"a\" 1\n" },
		{ "{\"a\":1e400,\"a\":-0.10}", "\"a\" 1e400\n\"a\" -0.10\n" },
		{ "{\"\":\"\",\"b\":null}", "\"\" \"\"\n\"b\" null\n" },
		{ "{\"a\":{\"b\":[1,{}]},\"c\":[]}",
		    "\"a\" {\"b\":[1,{}]}\n\"c\" []\n" },
		{ "{\"a,}\":\"],}\\\"\",\"\\\\\":\"\\\\\"}",
		    "\"a,}\" \"],}\\\"\"\n\"\\\\\" \"\\\\\"\n" },
		{ "{\"a\":\"{[\",\"b\":[\"]\"]}",
		    "\"a\" \"{[\"\n\"b\" [\"]\"]\n" },
	};
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		list_members(&w, ps_slice_str(rows[i].text));
		assert_row(i, writer_had(&w, rows[i].list));
	}
	ps_writer_deinit(&w);
}

static void
elements_come_as_they_were_written(void **state)
{
	static const struct {
		const char *text, *list;
	} rows[] = {
		{ "[]", "" },
		{ "[1]", "1\n" },
		{ "[1.50,\"a\",[],{}]", "1.50\n\"a\"\n[]\n{}\n" },
		{ "[[1,2],\",\",{\"a\":[1,2]}]",
		    "[1,2]\n\",\"\n{\"a\":[1,2]}\n" },
	};
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		list_elements(&w, ps_slice_str(rows[i].text));
		assert_row(i, writer_had(&w, rows[i].list));
	}
	ps_writer_deinit(&w);
}

static void
a_string_says_what_its_escapes_mean(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "\"\"", "" },
		{ "\"plain\"", "plain" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
		{ "\"a\\u0041b\"", "aAb" },
		{ "\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
		    "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf" },
		{ "\"\\u20aC\"", "\xe2\x82\xac" },
		{ "\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!" },
		{ "\"\\ud800\\udc00\\uDBFF\\uDFFF\"",
		    "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
		{ "\"\xc3\xa4\\n\"", "\xc3\xa4\n" },
		{ "\"\\ud83d\\n\\ude00\"",
		    "\xef\xbf\xbd\n\xef\xbf\xbd" },
	};
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		ps_json_unescape(&w, ps_slice_str(rows[i].text));
		assert_row(i, writer_had(&w, rows[i].says));
	}
	ps_json_unescape(&w, ps_slice_str("\"a\\u0000b\""));
	assert_bytes(written(&w), "a\0b", 3);
	ps_writer_deinit(&w);
}

/* Each shorter text, with nothing behind it. */
static void
nothing_is_read_beyond_the_end(void **state)
{
	static const char text[] =
	    "{\"a\\\\\":[\"\\ud83d\\ude00\",{\"b\":1}],\"c\":\"\\n\"}";
	struct ps_writer w = { 0 };
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len);

		memcpy(copy, text, len);
		list_members(&w, ps_slice(copy, len));
		list_elements(&w, ps_slice(copy, len));
		ps_json_unescape(&w, ps_slice(copy, len));
		free(copy);
	}
	assert_false(w.failed);
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_come_as_they_were_written),
		cmocka_unit_test(elements_come_as_they_were_written),
		cmocka_unit_test(a_string_says_what_its_escapes_mean),
		cmocka_unit_test(nothing_is_read_beyond_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
