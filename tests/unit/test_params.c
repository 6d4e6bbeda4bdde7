#include "config.h"

#include "unit.h"

#include "fcgi-app/params.h"

static struct params *params;

static int
setup(void **state)
{
	(void)state;
	params = params_create();
	return params == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	params_destroy(params);
	return 0;
}

/* Parameters live in the text they were parsed from. */
static char buffers[4][8192];
static unsigned next_buffer;

static int
form(const char *text, bool in_body)
{
	char *buffer = buffers[next_buffer++ % 4];

	return params_parse_form(params, strcpy(buffer, text), strlen(text),
	    in_body);
}

static int
json(const char *text)
{
	return params_parse_json(params, text, strlen(text));
}

static const struct {
	const char *form, *name, *value; /* value NULL: not there */
} fields[] = {
	{ "", "a", NULL },
	{ "a", "a", "" },
	{ "a=", "a", "" },
	{ "a=1", "a", "1" },
	{ "a=1", "A", NULL },
	{ "a=1&b=2", "b", "2" },
	{ "&&a=1&&", "a", "1" },
	{ "a=b=c", "a", "b=c" },
	{ "=x", "", "x" },
	{ "a+b=c+d", "a b", "c d" },
	{ "%61=%31%26", "a", "1&" },
	{ "a%3D=1", "a=", "1" },
	{ "ab=1", "a", NULL },
};

static void
a_form_has_names_and_values(void **state)
{
	struct ps_slice value;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(fields); i++) {
		bool found;

		params_reset(params);
		assert_row(i, form(fields[i].form, true) == PS_OK);
		found = params_text(params, fields[i].name, &value);
		assert_row(i, found == (fields[i].value != NULL));
		if (found)
			assert_row(i, ps_slice_is(value, fields[i].value));
		assert_row(i, params_has(params, fields[i].name) ==
			(found && value.len > 0));
		assert_row(i, params->bad[0] == '\0');
	}
}

static void
a_malformed_field_fails_the_form(void **state)
{
	static const char *const bad[] = { "%", "a=%", "a=1&b=%zz", "%zz=1",
		"a=%00", "a=%ff" };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(bad); i++) {
		params_reset(params);
		assert_row(i, form(bad[i], false) == PS_ERR_MALFORMED);
	}
}

static void
the_number_of_parameters_is_bounded(void **state)
{
	char text[8192];
	size_t len = 0, i;

	(void)state;
	for (i = 0; i < PS_PARAMS_MAX; i++)
		len += (size_t)sprintf(text + len, "p%zu=1&", i);
	assert_int_equal(form(text, false), PS_OK);
	assert_int_equal(form("one=more", true), PS_ERR_TOO_LARGE);
	params_reset(params);
	assert_int_equal(form("one=more", true), PS_OK);
}

static void
a_parameter_that_is_there_twice_is_bad(void **state)
{
	struct ps_slice value;

	(void)state;
	assert_int_equal(form("a=1&b=2&a=1", false), PS_OK);
	assert_true(params_text(params, "b", &value));
	assert_string_equal(params->bad, "");
	params_text(params, "a", &value);
	assert_string_equal(params->bad, "a is there twice");
	assert_int_equal(params->bad_code, PS_CODE_BAD_REQUEST);
	params_reset(params);
	assert_string_equal(params->bad, "");
}

static void
the_body_wins_over_the_query(void **state)
{
	struct ps_slice value;
	int64_t number;

	(void)state;
	assert_int_equal(form("a=query&n=1", false), PS_OK);
	assert_int_equal(form("a=body", true), PS_OK);
	assert_true(params_text(params, "a", &value));
	assert_slice(value, "body");
	assert_true(params_number(params, "n", &number));
	assert_int_equal(number, 1);
	assert_string_equal(params->bad, "");

	params_reset(params);
	assert_int_equal(form("a=query&n=1", false), PS_OK);
	assert_int_equal(json("{\"a\":\"json\"}"), PS_OK);
	assert_true(params_text(params, "a", &value));
	assert_slice(value, "json");
	assert_true(params_number(params, "n", &number));
	assert_int_equal(number, 1);
	assert_string_equal(params->bad, "");
}

static const struct {
	const char *text;
	bool good;
} documents[] = {
	{ "{}", true },
	{ " \t\r\n{ } \t\r\n", true },
	{ "{\"a\":1}", true },
	{ "{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":true,\"e\":false}", true },
	{ "{\"a\":-1.5e+10}", true },
	{ "{\"a\":\"\\u00e4\\ud83d\\ude00\\n\\\"\\\\\\/\"}", true },
	{ "{\"a\":\"{}[]:,'\"}", true },
	{ "{\"a:b\":1}", true },
	{ "{\"a\":\"b:c\"}", true },
	{ "{\"a\":[{\"b\":1},{\"b\":1}]}", true },
	{ "", false },
	{ " ", false },
	{ "null", false },
	{ "[]", false },
	{ "[{\"a\":1}]", false },
	{ "1", false },
	{ "\"a\"", false },
	{ "true", false },
	{ "{", false },
	{ "}", false },
	{ "{}}", false },
	{ "{}{}", false },
	{ "{} x", false },
	{ "{},", false },
	{ "{\"a\"}", false },
	{ "{\"a\":}", false },
	{ "{\"a\":1,}", false },
	{ "{,\"a\":1}", false },
	{ "{\"a\":1 \"b\":2}", false },
	{ "{a:1}", false },
	{ "{'a':1}", false },
	{ "{\"a\":'b'}", false },
	{ "{\"a\":NaN}", false },
	{ "{\"a\":Infinity}", false },
	{ "{\"a\":-Infinity}", false },
	{ "{\"a\":nul}", false },
	{ "{\"a\":True}", false },
	{ "{\"a\":NULL}", false },
	{ "{\"a\":01}", false },
	{ "{\"a\":+1}", false },
	{ "{\"a\":0x10}", false },
	{ "{\"a\":[1,]}", false },
	{ "{\"a\":[1 2]}", false },
	{ "{\"a\":\"b}", false },
	{ "{\"a\":\"\\x41\"}", false },
	{ "{\"a\":\"\\u12\"}", false },
	{ "{\"a\":\"\\u12g4\"}", false },
	{ "{\"a\":\"\\ud800\"}", false },
	{ "{\"a\":\"\\udc00\"}", false },
	{ "{\"a\":\"\\ud800x\"}", false },
	{ "{\"a\":\"\\ud800\\u0041\"}", false },
	{ "{\"a\":\"\\ud800\\ud800\"}", false },
	{ "{\"a\":\"\\udc00\\ud800\"}", false },
	{ "{\"a\":\"line\nbreak\"}", false },
	{ "{\"a\":\"tab\tstop\"}", false },
	{ "{\"a\":\"\x01\"}", false },
	{ "{\"a\":\"\xff\"}", false },
	{ "{\"a\":\"\xed\xa0\x80\"}", false },
	{ "{/**/}", false },
	{ "{\"a\":1}//", false },
	{ "{\"a\":1,\"a\":1}", false },
	{ "{\"a\":{\"b\":1,\"b\":2}}", false },
	{ "{\"a\":[{\"b\":1},{\"b\":1,\"b\":2}]}", false },
	{ "{\"a\":1,\"\\u0061\":2}", false },
	{ "\xef\xbb\xbf{}", false },
};

static void
a_json_body_is_one_strict_object(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(documents); i++) {
		int ret;

		params_reset(params);
		ret = json(documents[i].text);
		if ((ret == PS_OK) != documents[i].good)
			fail_msg("row %zu: %s", i, documents[i].text);
		if (!documents[i].good)
			assert_row(i, ret == PS_ERR_MALFORMED);
	}
	params_reset(params);
	assert_int_equal(params_parse_json(params, "{}\0", 3),
	    PS_ERR_MALFORMED);
	params_reset(params);
	assert_int_equal(params_parse_json(params, "{\"a\":\"\0\"}", 9),
	    PS_ERR_MALFORMED);
}

static void
every_shorter_document_is_refused(void **state)
{
	static const char text[] =
	    "{\"a\":[1,-2.5,\"x\\n\\u00e4\"],\"b\":{\"c\":null,\"d\":true}}";
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text) - 1; len++) {
		params_reset(params);
		assert_row(len, params_parse_json(params, text, len) ==
			PS_ERR_MALFORMED);
	}
	params_reset(params);
	assert_int_equal(json(text), PS_OK);
}

static void
nesting_is_bounded(void **state)
{
	char text[256];
	size_t depth, i;

	(void)state;
	for (depth = PS_JSON_DEPTH_MAX - 1; depth <= PS_JSON_DEPTH_MAX + 1;
	     depth++) {
		char *p = stpcpy(text, "{\"a\":");

		/* The object is a level, and so is what is innermost. */
		for (i = 0; i < depth - 1; i++)
			*p++ = '[';
		for (i = 0; i < depth - 1; i++)
			*p++ = ']';
		strcpy(p, "}");
		params_reset(params);
		assert_row(depth, (json(text) == PS_OK) ==
			(depth <= PS_JSON_DEPTH_MAX));
	}
}

static const struct {
	const char *json, *form; /* the same in both; either may be NULL */
	bool found;
	int64_t value;
} numbers[] = {
	{ "{\"n\":0}", "n=0", true, 0 },
	{ "{\"n\":-1}", "n=-1", true, -1 },
	{ "{\"n\":\"42\"}", "n=42", true, 42 },
	{ NULL, "n=007", true, 7 },
	{ "{\"n\":9223372036854775807}", "n=9223372036854775807", true,
	    INT64_MAX },
	{ "{\"n\":9223372036854775808}", "n=9223372036854775808", true,
	    INT64_MAX },
	{ "{\"n\":-9223372036854775808}", "n=-9223372036854775808", true,
	    INT64_MIN },
	{ "{\"n\":-9223372036854775809}", "n=-9223372036854775809", true,
	    INT64_MIN },
	{ NULL, "n=99999999999999999999999999999999999999999999", true,
	    INT64_MAX },
	{ NULL, "n=-99999999999999999999999999999999999999999999", true,
	    INT64_MIN },
	{ "{\"n\":\"99999999999999999999\"}", NULL, true, INT64_MAX },
	{ "{\"n\":1.5}", "n=1.5", false, 0 },
	{ "{\"n\":\"\"}", "n=", false, 0 },
	{ "{\"n\":\"-\"}", "n=-", false, 0 },
	{ "{\"n\":\"+1\"}", "n=%2B1", false, 0 },
	{ "{\"n\":\" 1\"}", "n=+1", false, 0 },
	{ "{\"n\":\"1 \"}", "n=1+", false, 0 },
	{ "{\"n\":\"0x1\"}", "n=0x1", false, 0 },
	{ "{\"n\":\"1e3\"}", "n=1e3", false, 0 },
	{ "{\"n\":true}", "n=true", false, 0 },
	{ "{\"n\":[1]}", NULL, false, 0 },
	{ "{\"n\":{}}", NULL, false, 0 },
};

static void
numbers_are_integers_and_saturate(void **state)
{
	int64_t value;
	size_t i;
	int kind;

	(void)state;
	for (i = 0; i < ROWS(numbers); i++) {
		for (kind = 0; kind < 2; kind++) {
			const char *text = kind == 0 ? numbers[i].json :
						       numbers[i].form;

			if (text == NULL)
				continue;
			params_reset(params);
			assert_row(i, (kind == 0 ? json(text) :
						   form(text, false)) == PS_OK);
			if (params_number(params, "n", &value) !=
				numbers[i].found ||
			    value != numbers[i].value)
				fail_msg("row %zu: %s gave %lld", i, text,
				    (long long)value);
			assert_row(i, (params->bad[0] == '\0') ==
				numbers[i].found);
		}
	}
	params_reset(params);
	assert_false(params_number(params, "n", &value));
	assert_string_equal(params->bad, "");
}

static const struct {
	const char *json, *form;
	bool flag, bad;
} flags[] = {
	{ "{\"f\":true}", "f=true", true, false },
	{ "{\"f\":1}", "f=1", true, false },
	{ "{\"f\":\"1\"}", NULL, true, false },
	{ "{\"f\":false}", "f=false", false, false },
	{ "{\"f\":0}", "f=0", false, false },
	{ "{}", "", false, false },
	{ "{\"f\":2}", "f=2", false, true },
	{ "{\"f\":\"yes\"}", "f=yes", false, true },
	{ "{\"f\":\"\"}", "f=", false, true },
	{ "{\"f\":[]}", "f=TRUE", false, true },
};

static void
flags_are_one_or_zero(void **state)
{
	size_t i;
	int kind;

	(void)state;
	for (i = 0; i < ROWS(flags); i++) {
		for (kind = 0; kind < 2; kind++) {
			const char *text =
			    kind == 0 ? flags[i].json : flags[i].form;

			if (text == NULL)
				continue;
			params_reset(params);
			assert_row(i, (kind == 0 ? json(text) :
						   form(text, true)) == PS_OK);
			assert_row(i, params_flag(params, "f") ==
				flags[i].flag);
			assert_row(i, (params->bad[0] != '\0') ==
				flags[i].bad);
		}
	}
}

static const struct {
	const char *json, *form;
	int count; /* -1: no array */
} arrays[] = {
	{ "{\"l\":[]}", "l=[]", 0 },
	{ "{\"l\":[1,\"b\",{\"c\":2}]}", "l=[1,\"b\",{\"c\":2}]", 3 },
	{ NULL, "l=%5B1%2C2%5D", 2 },
	{ "{\"l\":{}}", "l={}", -1 },
	{ "{\"l\":\"[]\"}", "l=", -1 },
	{ "{}", "k=[]", -1 },
	{ NULL, "l=[1", -1 },
	{ NULL, "l=[1,]", -1 },
	{ NULL, "l=[1]x", -1 },
	{ NULL, "l=['a']", -1 },
	{ NULL, "l=[{\"a\":1,\"a\":2}]", -1 },
	{ NULL, "l=[\"\\ud800\"]", -1 },
};

static void
arrays_come_as_json_or_as_its_text(void **state)
{
	size_t i;
	int kind;

	(void)state;
	for (i = 0; i < ROWS(arrays); i++) {
		for (kind = 0; kind < 2; kind++) {
			const char *text =
			    kind == 0 ? arrays[i].json : arrays[i].form;
			json_object *array;

			if (text == NULL)
				continue;
			params_reset(params);
			assert_row(i, (kind == 0 ? json(text) :
						   form(text, true)) == PS_OK);
			array = params_array(params, "l");
			assert_row(i, (array != NULL) ==
				(arrays[i].count >= 0));
			if (array != NULL)
				assert_row(i,
				    (int)json_object_array_length(array) ==
					arrays[i].count);
		}
	}
}

static void
objects_come_as_json_or_as_its_text(void **state)
{
	static const char *const others[] = { "{\"o\":[]}", "{\"o\":1}",
		"{\"o\":\"{}\"}", "{\"o\":null}", "{}" };
	json_object *value;
	size_t i;

	(void)state;
	assert_int_equal(json("{\"o\":{\"code\":3001}}"), PS_OK);
	assert_true(json_object_object_get_ex(params_object(params, "o"),
	    "code", &value));
	params_reset(params);
	assert_int_equal(form("o={\"code\":3001}", true), PS_OK);
	assert_non_null(params_object(params, "o"));
	for (i = 0; i < ROWS(others); i++) {
		params_reset(params);
		assert_row(i, json(others[i]) == PS_OK);
		assert_row(i, params_object(params, "o") == NULL);
	}
}

static const struct {
	const char *json;
	int ret;
	const char *aside; /* empty: there was none */
} partly[] = {
	{ "{}", PS_OK, "" },
	{ "{\"n\":1}", PS_OK, "" },
	{ "{\"m\":\"text\",\"n\":1}", PS_OK, "\"text\"" },
	{ "{ \"n\" : 1 , \"m\" : { \"b\" :1.0} }", PS_OK, "{ \"b\" :1.0}" },
	{ "{\"\\u006d\":null,\"n\":1}", PS_OK, "null" },
	/* What is half a pair may be put aside, and nowhere else. */
	{ "{\"m\":\"\\udc00\",\"n\":1}", PS_OK, "\"\\udc00\"" },
	{ "{\"m\":[{\"a\":1,\"a\":2}],\"n\":1}", PS_OK,
	  "[{\"a\":1,\"a\":2}]" },
	{ "{\"m\":1,\"n\":\"\\udc00\"}", PS_ERR_MALFORMED, NULL },
	{ "{\"m\":1,\"m\":1}", PS_ERR_MALFORMED, NULL },
	{ "{\"m\":1,\"n\":1,\"n\":1}", PS_ERR_MALFORMED, NULL },
	{ "{\"m\":01}", PS_ERR_MALFORMED, NULL },
	{ "[]", PS_ERR_MALFORMED, NULL },
	{ "\"m\"", PS_ERR_MALFORMED, NULL },
	{ "", PS_ERR_MALFORMED, NULL },
};

static void
one_member_is_put_aside_as_it_was_sent(void **state)
{
	int64_t number;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(partly); i++) {
		const char *text = partly[i].json;

		params_reset(params);
		assert_row(i, params_parse_json_but(params, text,
				  strlen(text), "m") == partly[i].ret);
		if (partly[i].ret != PS_OK)
			continue;
		assert_row(i, ps_slice_is(params->aside, partly[i].aside));
		assert_row(i, !params_has(params, "m"));
		assert_row(i, params_number(params, "n", &number) ==
			(strstr(text, "\"n\"") != NULL));
	}
	params_reset(params);
	assert_int_equal(params->aside.len, 0);
}

static void
text_in_json_is_a_string_and_nothing_else(void **state)
{
	static const char *const others[] = { "{\"t\":1}", "{\"t\":true}",
		"{\"t\":[]}", "{\"t\":{}}", "{\"t\":1.5}" };
	struct ps_slice value;
	size_t i;

	(void)state;
	assert_int_equal(json("{\"t\":\"a\\u0000b\",\"e\":\"\"}"), PS_OK);
	assert_true(params_text(params, "t", &value));
	assert_bytes(value, "a\0b", 3);
	assert_true(params_text(params, "e", &value));
	assert_false(params_has(params, "e"));
	assert_true(params_has(params, "t"));
	for (i = 0; i < ROWS(others); i++) {
		params_reset(params);
		assert_row(i, json(others[i]) == PS_OK);
		assert_row(i, !params_text(params, "t", &value));
		assert_row(i, strcmp(params->bad, "t is not a string") == 0);
		assert_row(i, params->bad_code == PS_CODE_BAD_PARAMETER);
		assert_row(i, params_has(params, "t"));
	}
}

static void
what_should_have_been_there_is_told(void **state)
{
	static const char *const others[] = { "{\"t\":\"x\"}", "{\"t\":[]}",
		"{\"t\":{}}", "{\"t\":1.5}" };
	int64_t number;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(others); i++) {
		params_reset(params);
		assert_row(i, json(others[i]) == PS_OK);
		assert_row(i, !params_number(params, "t", &number));
		assert_row(i, strcmp(params->bad, "t is not an integer") == 0);
		params_reset(params);
		assert_row(i, json(others[i]) == PS_OK);
		assert_row(i, !params_flag(params, "t"));
		assert_row(i, strcmp(params->bad, "t is neither 1 nor 0") == 0);
	}
}

static void
the_first_that_is_bad_is_told(void **state)
{
	struct ps_slice value;
	int64_t number;

	(void)state;
	assert_int_equal(json("{\"a\":1,\"b\":\"x\"}"), PS_OK);
	params_text(params, "a", &value);
	params_number(params, "b", &number);
	assert_string_equal(params->bad, "a is not a string");
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_form_has_names_and_values),
		fresh(a_malformed_field_fails_the_form),
		fresh(the_number_of_parameters_is_bounded),
		fresh(a_parameter_that_is_there_twice_is_bad),
		fresh(the_body_wins_over_the_query),
		fresh(a_json_body_is_one_strict_object),
		fresh(every_shorter_document_is_refused),
		fresh(nesting_is_bounded),
		fresh(numbers_are_integers_and_saturate),
		fresh(flags_are_one_or_zero),
		fresh(arrays_come_as_json_or_as_its_text),
		fresh(objects_come_as_json_or_as_its_text),
		fresh(one_member_is_put_aside_as_it_was_sent),
		fresh(text_in_json_is_a_string_and_nothing_else),
		fresh(what_should_have_been_there_is_told),
		fresh(the_first_that_is_bad_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
