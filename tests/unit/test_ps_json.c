#include "config.h"

#include "unit.h"

#include <json-c/json.h>

#include "ps_json.h"
#include "ps_limits.h"
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

static const struct {
	const char *text;
	const char *compact; /* NULL: it is the same; "": malformed */
	size_t n_names;
} texts[] = {
	{ "null", NULL, 0 },
	{ "true", NULL, 0 },
	{ " false\n", "false", 0 },
	{ "0", NULL, 0 },
	{ "-0", NULL, 0 },
	{ "12345678901234567890123", NULL, 0 },
	{ "1.50", NULL, 0 },
	{ "-1.0e+007", NULL, 0 },
	{ "1E-7", NULL, 0 },
	{ "1e400", NULL, 0 },
	{ "\"\"", NULL, 0 },
	{ "\" a \\\" b\\\\\" ", "\" a \\\" b\\\\\"", 0 },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uAbCd\"", NULL, 0 },
	{ "\"\\ud83d\\uDE00\\u0000\"", NULL, 0 },
	{ "\"\xc3\xa4 \x7f </\xe2\x80\xa8\"", NULL, 0 },
	{ "[]", NULL, 0 },
	{ " [ ] ", "[]", 0 },
	{ "{ \t\r\n}", "{}", 0 },
	{ "[ 1 , [ ] , { } ]", "[1,[],{}]", 0 },
	{ "{ \"b\" : 1.0 , \"a\" : [ \" \" , null ] }",
	  "{\"b\":1.0,\"a\":[\" \",null]}", 2 },
	{ "{\"a\":1,\"a\":{\"a\":2}}", NULL, 3 },
	{ "", "", 0 },
	{ " ", "", 0 },
	{ "nul", "", 0 },
	{ "nulll", "", 0 },
	{ "Null", "", 0 },
	{ "NaN", "", 0 },
	{ "-", "", 0 },
	{ "+1", "", 0 },
	{ "01", "", 0 },
	{ "-01", "", 0 },
	{ ".5", "", 0 },
	{ "1.", "", 0 },
	{ "1.e1", "", 0 },
	{ "1e", "", 0 },
	{ "1e+-1", "", 0 },
	{ "1 2", "", 0 },
	{ "0x10", "", 0 },
	{ "\"", "", 0 },
	{ "\"\\\"", "", 0 },
	{ "'a'", "", 0 },
	{ "\"\\a\"", "", 0 },
	{ "\"\\u12g4\"", "", 0 },
	{ "\"\\u12", "", 0 },
	{ "\"\\ud800\"", "", 0 },
	{ "\"\\udc00\"", "", 0 },
	{ "\"\\ud800\\u0041\"", "", 0 },
	{ "\"\\ud800\\n\"", "", 0 },
	{ "\"\n\"", "", 0 },
	{ "\"\x1f\"", "", 0 },
	{ "\"\xff\"", "", 0 },
	{ "\"\xed\xa0\x80\"", "", 0 },
	{ "\xef\xbb\xbf{}", "", 0 },
	{ "[", "", 0 },
	{ "]", "", 0 },
	{ "[1,]", "", 0 },
	{ "[,1]", "", 0 },
	{ "[1 2]", "", 0 },
	{ "[1}", "", 0 },
	{ "[]]", "", 0 },
	{ "{", "", 0 },
	{ "{]", "", 0 },
	{ "{\"a\"}", "", 0 },
	{ "{\"a\":}", "", 0 },
	{ "{\"a\":1,}", "", 0 },
	{ "{\"a\":1 \"b\":2}", "", 0 },
	{ "{a:1}", "", 0 },
	{ "{1:1}", "", 0 },
	{ "{}{}", "", 0 },
	{ "[1]//", "", 0 },
	{ "\v1", "", 0 },
};

static void
a_text_is_checked_and_only_its_space_removed(void **state)
{
	struct ps_writer w = { 0 };
	size_t i, n_names;

	(void)state;
	for (i = 0; i < ROWS(texts); i++) {
		const char *text = texts[i].text, *compact = texts[i].compact;
		bool good = compact == NULL || *compact != '\0';
		int ret = ps_json_check(ps_slice_str(text), &n_names);

		assert_row(i, ret == (good ? PS_OK : PS_ERR_MALFORMED));
		if (!good)
			continue;
		assert_row(i, n_names == texts[i].n_names);
		ps_json_compact(&w, ps_slice_str(text));
		assert_row(i, writer_had(&w, compact == NULL ? text : compact));
	}
	assert_int_equal(ps_json_check(ps_slice("1\0", 2), &n_names),
			 PS_ERR_MALFORMED);
	assert_int_equal(ps_json_check(ps_slice("\"\0\"", 3), &n_names),
			 PS_ERR_MALFORMED);
	assert_int_equal(ps_json_check(ps_slice("\"\\\0\"", 4), &n_names),
			 PS_ERR_MALFORMED);
	ps_writer_deinit(&w);
}

static void
every_shorter_text_is_refused(void **state)
{
	static const char text[] = "{\"a\":[true,-2.5,\"x\\ud83d\\ude00\"],"
				   "\"b\":{\"c\":null,\"d\":false}}";
	size_t len, n_names;

	(void)state;
	for (len = 0; len < sizeof(text) - 1; len++) {
		/* As large as it is, for a sanitizer to see where it ends. */
		char *copy = malloc(len + (len == 0));

		assert_non_null(copy);
		memcpy(copy, text, len);
		assert_row(len, ps_json_check(ps_slice(copy, len), &n_names) ==
				    PS_ERR_MALFORMED);
		free(copy);
	}
	assert_int_equal(ps_json_check(ps_slice(text, len), &n_names), PS_OK);
}

static void
a_text_may_be_nested_so_deep(void **state)
{
	char text[2 * (PS_JSON_DEPTH_MAX + 1) + 2];
	size_t depth, n_names;

	(void)state;
	for (depth = 1; depth <= PS_JSON_DEPTH_MAX + 1; depth++) {
		memset(text, '[', depth);
		text[depth] = '1';
		memset(text + depth + 1, ']', depth);
		assert_row(
		    depth,
		    ps_json_check(ps_slice(text, 2 * depth + 1), &n_names) ==
			(depth <= PS_JSON_DEPTH_MAX ? PS_OK
						    : PS_ERR_TOO_LARGE));
	}
	/* Beside each other they are not nested. */
	assert_int_equal(
	    ps_json_check(ps_slice_str("[[],[],{},[],[],[],[],[],"
				       "[],[],[],[],[],[],[],[],[],[],[],[],[],"
				       "[],[],[],[],[],[],[],[],[],"
				       "[],[],[],[],[],[]]"),
			  &n_names),
	    PS_OK);
}

/* What ps_json_members() tells, with a bar behind each part. */
static int
tell_member(void *arg, struct ps_slice name, struct ps_slice value)
{
	struct ps_writer *told = arg;

	ps_writer_bytes(told, name.data, name.len);
	ps_writer_str(told, "|");
	ps_writer_bytes(told, value.data, value.len);
	ps_writer_str(told, "|");
	return ps_slice_is(value, "\"stop\"") ? PS_ERR_FULL : PS_OK;
}

static const struct {
	const char *json;
	int ret;
	const char *told;
} objects[] = {
	{ "{}", PS_OK, "" },
	{ " { } ", PS_OK, "" },
	{ "{\"a\":1}", PS_OK, "\"a\"|1|" },
	{ "\n{ \"a\" : 1.50e0 , \"b\":[ 1, {} ]\t}", PS_OK,
	  "\"a\"|1.50e0|\"b\"|[ 1, {} ]|" },
	{ "{\"a\":\" } , \",\"\\u0061\":null}", PS_OK,
	  "\"a\"|\" } , \"|\"\\u0061\"|null|" },
	/* Half a pair is refused by ps_json_check(). */
	{ "{\"a\":\"\\ud800\",\"b\":[\"\\udc00x\"]}", PS_OK,
	  "\"a\"|\"\\ud800\"|\"b\"|[\"\\udc00x\"]|" },
	{ "{\"a\":\"\\ud83d\\ude00\"}", PS_OK,
	  "\"a\"|\"\\ud83d\\ude00\"|" },
	{ "{\"a\":\"stop\",\"b\":1}", PS_ERR_FULL, "\"a\"|\"stop\"|" },
	{ "{\"a\":\"\\ud80\"}", PS_ERR_MALFORMED, "" },
	{ "{\"a\":1,}", PS_ERR_MALFORMED, "" },
	{ "{\"a\":1}}", PS_ERR_MALFORMED, "" },
	{ "{\"a\"}", PS_ERR_MALFORMED, "" },
	{ "{\"a\":\"\xed\xa0\x80\"}", PS_ERR_MALFORMED, "" },
	{ "", PS_ERR_MALFORMED, "" },
	{ "[1]", PS_ERR_UNKNOWN, "" },
	{ " \"{}\"", PS_ERR_UNKNOWN, "" },
	{ "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
	  "]]]]}", PS_ERR_TOO_LARGE, "" },
};

static void
the_members_of_an_object_are_told_as_they_stand(void **state)
{
	struct ps_writer told = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(objects); i++) {
		assert_row(i,
			   ps_json_members(ps_slice_str(objects[i].json),
					   tell_member,
					   &told) == objects[i].ret);
		assert_row(i, writer_had(&told, objects[i].told));
	}
	ps_writer_deinit(&told);
}

static int
tell_element(void *arg, struct ps_slice value)
{
	return tell_member(arg, ps_slice_str(""), value);
}

static const struct {
	const char *json;
	int ret;
	const char *told; /* with the empty name of each */
} arrays[] = {
	{ "[]", PS_OK, "" },
	{ " [ ] ", PS_OK, "" },
	{ "[1]", PS_OK, "|1|" },
	{ "\n[ 1.50e0 , [ 1, {} ]\t,\"],\" ]", PS_OK,
	  "|1.50e0||[ 1, {} ]||\"],\"|" },
	{ "[\"\\ud800\",{\"a\":\"\\udc00\"}]", PS_OK,
	  "|\"\\ud800\"||{\"a\":\"\\udc00\"}|" },
	{ "[1, \"stop\", 2]", PS_ERR_FULL, "|1||\"stop\"|" },
	{ "[1,]", PS_ERR_MALFORMED, "" },
	{ "[1]]", PS_ERR_MALFORMED, "" },
	{ "[", PS_ERR_MALFORMED, "" },
	{ "", PS_ERR_MALFORMED, "" },
	{ "{}", PS_ERR_UNKNOWN, "" },
	{ "\"[]\"", PS_ERR_UNKNOWN, "" },
};

static void
the_elements_of_an_array_are_told_as_they_stand(void **state)
{
	struct ps_writer told = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(arrays); i++) {
		assert_row(i,
			   ps_json_elements(ps_slice_str(arrays[i].json),
					    tell_element,
					    &told) == arrays[i].ret);
		assert_row(i, writer_had(&told, arrays[i].told));
	}
	ps_writer_deinit(&told);
}

static void
half_a_surrogate_pair_ends_no_string(void **state)
{
	struct ps_writer w = { 0 };

	(void)state;
	ps_json_compact(&w, ps_slice_str("[ \"a \\ud800 \\udc0a b\" , 1 ]"));
	assert_true(writer_had(&w, "[\"a \\ud800 \\udc0a b\",1]"));
	ps_writer_deinit(&w);
}

static const struct {
	const char *json, *script; /* NULL: the same */
} scripts[] = {
	{ "", NULL },
	{ "{\"a\":[1,2]}", NULL },
	{ "\"</script>\"", "\"<\\/script>\"" },
	{ "\"</</\"", "\"<\\/<\\/\"" },
	{ "\"<\\/\"", NULL },
	{ "\"a/b\"", NULL },
	{ "\"\xe2\x80\xa8\xe2\x80\xa9\"", "\"\\u2028\\u2029\"" },
	{ "\"\xe2\x82\xac\xe2\x80\xa7\"", NULL },
	{ "\"\x7f\"", NULL },
};

static void
a_text_is_made_fit_for_a_script(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(scripts); i++) {
		ps_json_for_script(&w, ps_slice_str(scripts[i].json));
		assert_row(i, writer_had(&w, scripts[i].script == NULL
						 ? scripts[i].json
						 : scripts[i].script));
	}
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_script_must_not_see_is_escaped),
		cmocka_unit_test(a_cut_separator_is_left_alone),
		cmocka_unit_test(a_parser_reads_back_every_byte),
		cmocka_unit_test(a_text_is_checked_and_only_its_space_removed),
		cmocka_unit_test(every_shorter_text_is_refused),
		cmocka_unit_test(a_text_may_be_nested_so_deep),
		cmocka_unit_test(
		    the_members_of_an_object_are_told_as_they_stand),
		cmocka_unit_test(
		    the_elements_of_an_array_are_told_as_they_stand),
		cmocka_unit_test(half_a_surrogate_pair_ends_no_string),
		cmocka_unit_test(a_text_is_made_fit_for_a_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
