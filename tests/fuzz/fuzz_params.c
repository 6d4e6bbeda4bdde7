/*
 * A request's parameters: the first line of the input is the query, the rest
 * the body, a form or JSON. Every text that comes out is valid UTF-8. As a
 * payload the body stays what it was without its space.
 */
#include "config.h"

#include "fuzz.h"

#include "fcgi-app/params.h"
#include "ps_json.h"
#include "ps_utf8.h"

static void
look_at(struct params *params, const char *name)
{
	struct ps_slice text;
	json_object *array;
	int64_t number;

	if (params_text(params, name, &text))
		require(ps_utf8_is_valid(text.data, text.len));
	params_number(params, name, &number);
	params_flag(params, name);
	params_has(params, name);
	array = params_array(params, name);
	if (array != NULL)
		require(json_object_array_length(array) < 65536);
}

static char *
copy_of(const void *data, size_t len)
{
	char *copy = malloc(len == 0 ? 1 : len);

	require(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

static void
compact(const char *text, size_t len)
{
	struct ps_writer once = { 0 }, twice = { 0 };
	size_t n_names, again;

	if (ps_json_check(ps_slice(text, len), &n_names) == PS_OK) {
		ps_json_compact(&once, ps_slice(text, len));
		require(!once.failed && once.len > 0 && once.len <= len);
		require(ps_json_check(ps_slice(once.data, once.len), &again) ==
		    PS_OK);
		require(again == n_names);
		ps_json_compact(&twice, ps_slice(once.data, once.len));
		require(twice.len == once.len &&
		    memcmp(twice.data, once.data, once.len) == 0);
		ps_json_for_script(&twice, ps_slice(once.data, once.len));
		require(memmem(twice.data + once.len, twice.len - once.len,
			    "</", 2) == NULL);
	}
	ps_writer_deinit(&once);
	ps_writer_deinit(&twice);
}

/* The rest is as strict as the whole. */
static void
put_aside(struct params *params, const char *text, size_t len)
{
	size_t n_names;

	params_reset(params);
	if (params_parse_json_but(params, text, len, "n") != PS_OK)
		return;
	require(params->aside.len > 0 ||
	    ps_json_check(ps_slice(text, len), &n_names) == PS_OK);
	require(!params_has(params, "n"));
	look_at(params, "socket");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = { "socket", "events", "n", "f",
		"target", "" };
	struct params *params = params_create();
	const uint8_t *line_end = len == 0 ? NULL : memchr(data, '\n', len);
	size_t query_len = line_end == NULL ? len : (size_t)(line_end - data);
	const uint8_t *body = data + query_len + (line_end != NULL);
	size_t body_len = len - (size_t)(body - data), i;
	char *query = copy_of(data, query_len);
	char *text = copy_of(body, body_len);
	bool good;

	require(params != NULL);
	good = params_parse_form(params, query, query_len, false) == PS_OK;
	compact(text, body_len);
	if (body_len > 0 && *body == '{')
		good = params_parse_json(params, text, body_len) == PS_OK &&
		    good;
	else
		good = params_parse_form(params, text, body_len, true) ==
			PS_OK &&
		    good;
	/* A handler looks at what is whole only. */
	for (i = 0; good && i < sizeof(names) / sizeof(names[0]); i++)
		look_at(params, names[i]);
	put_aside(params, text, body_len);
	params_destroy(params);
	free(query);
	free(text);
	return 0;
}
