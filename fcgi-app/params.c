#include "config.h"

#include "params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ps_json.h"
#include "ps_json_parts.h"
#include "ps_request.h"

struct params *
params_create(void)
{
	struct params *params = calloc(1, sizeof(*params));

	if (params == NULL)
		return NULL;
	/* What is inside of the innermost array is a level to json-c. */
	params->tokener = json_tokener_new_ex(PS_JSON_DEPTH_MAX + 2);
	if (params->tokener == NULL) {
		free(params);
		return NULL;
	}
	json_tokener_set_flags(params->tokener,
	    JSON_TOKENER_STRICT);
	return params;
}

void
params_reset(struct params *params)
{
	json_object_put(params->body);
	json_object_put(params->parsed);
	params->body = NULL;
	params->parsed = NULL;
	params->aside = ps_slice(NULL, 0);
	params->count = 0;
	params->bad[0] = '\0';
}

void
params_destroy(struct params *params)
{
	if (params == NULL)
		return;
	params_reset(params);
	json_tokener_free(params->tokener);
	free(params);
}

static int
add(struct params *params, char *field, size_t len, bool in_body)
{
	char *equals = memchr(field, '=', len);
	size_t name_len = equals == NULL ? len : (size_t)(equals - field);
	struct param *param;

	if (len == 0)
		return PS_OK;
	if (params->count == PS_PARAMS_MAX)
		return PS_ERR_TOO_LARGE;
	param = &params->items[params->count++];
	param->name = ps_slice(field, name_len);
	param->value = ps_slice(NULL, 0);
	param->in_body = in_body;
	if (ps_request_decode(&param->name, field, true) != PS_OK)
		return PS_ERR_MALFORMED;
	if (equals == NULL)
		return PS_OK;
	param->value.len = len - name_len - 1;
	return ps_request_decode(&param->value, equals + 1, true);
}

int
params_parse_form(struct params *params, char *text, size_t len, bool in_body)
{
	char *end = text + len, *amp;
	int ret;

	while (text < end) {
		amp = memchr(text, '&', (size_t)(end - text));
		if (amp == NULL)
			amp = end;
		ret = add(params, text, (size_t)(amp - text), in_body);
		if (ret != PS_OK)
			return ret;
		text = amp + 1;
	}
	return PS_OK;
}

static size_t
count_names(json_object *value)
{
	size_t names = 0, i;

	if (json_object_is_type(value, json_type_array)) {
		for (i = 0; i < json_object_array_length(value); i++)
			names += count_names(
			    json_object_array_get_idx(value, i));
	} else if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, name, member)
		{
			(void)name;
			names += 1 + count_names(member);
		}
	}
	return names;
}

/*
 * json-c lets pass what RFC 8259 does not, even in its strict mode, and keeps
 * the last of the members of one name, so it is asked after ps_json_check().
 */
static int
parse(struct params *params, struct ps_slice text, json_object **value_r)
{
	json_tokener *tokener = params->tokener;
	size_t n_names;
	int ret;

	*value_r = NULL;
	if (text.len > INT32_MAX)
		return PS_ERR_MALFORMED;
	if ((ret = ps_json_check(text, &n_names)) != PS_OK)
		return ret;
	json_tokener_reset(tokener);
	*value_r = json_tokener_parse_ex(tokener, text.data, (int)text.len);
	return count_names(*value_r) == n_names ? PS_OK : PS_ERR_MALFORMED;
}

int
params_parse_json(struct params *params, const char *text, size_t len)
{
	int ret = parse(params, ps_slice(text, len), &params->body);

	if (ret == PS_OK &&
	    !json_object_is_type(params->body, json_type_object))
		ret = PS_ERR_MALFORMED;
	return ret;
}

/* An object that is written again without one of its members. */
struct rest {
	struct params *params;
	const char *name;      /* of that member */
	struct ps_writer text; /* the others */
};

static int
take_member(void *arg, struct ps_slice name, struct ps_slice value)
{
	struct ps_writer spelled = { 0 };
	struct rest *rest = arg;
	bool is_it, failed;

	/* However it is escaped. */
	ps_json_unescape(&spelled, name);
	is_it = ps_slice_is(ps_slice(spelled.data, spelled.len), rest->name);
	failed = spelled.failed;
	ps_writer_deinit(&spelled);
	if (failed)
		return PS_ERR_NOMEM;
	if (is_it && rest->params->aside.len > 0)
		return PS_ERR_MALFORMED;
	if (is_it) {
		rest->params->aside = value;
		return PS_OK;
	}
	ps_writer_str(&rest->text, rest->text.len == 1 ? "" : ",");
	ps_writer_bytes(&rest->text, name.data, name.len);
	ps_writer_str(&rest->text, ":");
	ps_writer_bytes(&rest->text, value.data, value.len);
	return rest->text.failed ? PS_ERR_NOMEM : PS_OK;
}

int
params_parse_json_but(struct params *params, const char *text, size_t len,
    const char *name)
{
	struct rest rest = { .params = params, .name = name };
	int ret;

	ps_writer_str(&rest.text, "{");
	ret = ps_json_members(ps_slice(text, len), take_member, &rest);
	ps_writer_str(&rest.text, "}");
	if (rest.text.failed)
		ret = PS_ERR_NOMEM;
	if (ret == PS_OK)
		ret = params_parse_json(params, rest.text.data, rest.text.len);
	else if (ret == PS_ERR_UNKNOWN)
		ret = PS_ERR_MALFORMED;
	ps_writer_deinit(&rest.text);
	return ret;
}

static void
bad(struct params *params, enum ps_code code, const char *name,
    const char *what)
{
	if (params->bad[0] != '\0')
		return;
	snprintf(params->bad, sizeof(params->bad), "%s %s", name, what);
	params->bad_code = code;
}

/* Of the query or a form; the body's wins. */
static const struct param *
find(struct params *params, const char *name)
{
	const struct param *found = NULL;
	size_t i;

	for (i = 0; i < params->count; i++) {
		const struct param *param = &params->items[i];

		if (!ps_slice_is(param->name, name))
			continue;
		if (found != NULL && found->in_body == param->in_body)
			bad(params, PS_CODE_BAD_REQUEST, name, "is there twice");
		if (found == NULL || param->in_body)
			found = param;
	}
	return found;
}

static json_object *
find_json(struct params *params, const char *name)
{
	json_object *value = NULL;

	if (params->body != NULL)
		json_object_object_get_ex(params->body, name, &value);
	return value;
}

/* What is JSON of another kind is bad, which `sentence` says. */
static bool
find_text(struct params *params, const char *name, const char *sentence,
    struct ps_slice *value_r)
{
	json_object *value = find_json(params, name);
	const struct param *param;

	*value_r = ps_slice(NULL, 0);
	if (value != NULL) {
		if (!json_object_is_type(value, json_type_string)) {
			bad(params, PS_CODE_BAD_PARAMETER, name, sentence);
			return false;
		}
		*value_r = ps_slice(json_object_get_string(value),
		    (size_t)json_object_get_string_len(value));
		return true;
	}
	if ((param = find(params, name)) == NULL)
		return false;
	*value_r = param->value;
	return true;
}

bool
params_text(struct params *params, const char *name, struct ps_slice *value_r)
{
	return find_text(params, name, "is not a string", value_r);
}

bool
params_parse_number(struct ps_slice text, int64_t *value_r)
{
	char copy[32], *end;
	size_t digits = text.len > 0 && text.data[0] == '-' ? 1 : 0;
	bool negative = digits == 1;

	for (size_t i = digits; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	}
	if (text.len == digits)
		return false;
	if (text.len >= sizeof(copy)) {
		*value_r = negative ? INT64_MIN : INT64_MAX;
		return true;
	}
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	*value_r = strtoll(copy, &end, 10); /* saturates */
	return true;
}

bool
params_number(struct params *params, const char *name, int64_t *value_r)
{
	static const char sentence[] = "is not an integer";
	json_object *value = find_json(params, name);
	struct ps_slice text;

	*value_r = 0;
	if (json_object_is_type(value, json_type_int)) {
		*value_r = json_object_get_int64(value);
		return true;
	}
	if (!find_text(params, name, sentence, &text))
		return false;
	if (params_parse_number(text, value_r))
		return true;
	bad(params, PS_CODE_BAD_PARAMETER, name, sentence);
	return false;
}

bool
params_flag(struct params *params, const char *name)
{
	static const char sentence[] = "is neither 1 nor 0";
	json_object *value = find_json(params, name);
	struct ps_slice text;

	if (json_object_is_type(value, json_type_boolean))
		return json_object_get_boolean(value);
	if (json_object_is_type(value, json_type_int))
		text = json_object_get_int64(value) == 1 ?
		    ps_slice_str("1") :
		    ps_slice_str(json_object_get_string(value));
	else if (!find_text(params, name, sentence, &text))
		return false;
	if (ps_slice_is(text, "1") || ps_slice_is(text, "true"))
		return true;
	if (!ps_slice_is(text, "0") && !ps_slice_is(text, "false"))
		bad(params, PS_CODE_BAD_PARAMETER, name, sentence);
	return false;
}

/* JSON, also as the text of a form field; NULL when there is none. */
static json_object *
find_value(struct params *params, const char *name)
{
	json_object *value = find_json(params, name);
	const struct param *param;

	if (value == NULL && (param = find(params, name)) != NULL) {
		json_object_put(params->parsed);
		if (parse(params, param->value, &params->parsed) != PS_OK)
			return NULL;
		value = params->parsed;
	}
	return value;
}

json_object *
params_array(struct params *params, const char *name)
{
	json_object *value = find_value(params, name);

	return json_object_is_type(value, json_type_array) ? value : NULL;
}

json_object *
params_object(struct params *params, const char *name)
{
	json_object *value = find_value(params, name);

	return json_object_is_type(value, json_type_object) ? value : NULL;
}

bool
params_has(struct params *params, const char *name)
{
	json_object *value = find_json(params, name);
	const struct param *param;

	if (value != NULL)
		return !json_object_is_type(value, json_type_string) ||
		    json_object_get_string_len(value) > 0;
	param = find(params, name);
	return param != NULL && param->value.len > 0;
}
