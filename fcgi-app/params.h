/*
 * The parameters of one request: those of the query and those of the body,
 * which is a form or JSON. A name in both is taken from the body.
 *
 * Errors are sticky: a lookup that finds a parameter twice or of the wrong
 * kind leaves a sentence in `bad`, which a handler looks at once when it has
 * read all it needs.
 *
 * Ownership: values are borrowed from the buffers that were parsed and, for
 * JSON, from `body`; both live until params_reset().
 */
#ifndef PARAMS_H
#define PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

#include "ps_bytes.h"
#include "ps_code.h"
#include "ps_limits.h"

struct param {
	struct ps_slice name, value;
	bool in_body;
};

struct params {
	struct param items[PS_PARAMS_MAX];
	size_t count;
	json_object *body;  /* an object, or NULL */
	json_object *parsed; /* made from a text parameter, or NULL */
	struct ps_slice aside; /* JSON text of the member that is no parameter;
				* empty: there is none */
	json_tokener *tokener;
	char bad[160]; /* empty: nothing was */
	enum ps_code bad_code;
};

/* NULL when memory is out. */
struct params *params_create(void);
void params_destroy(struct params *params);
void params_reset(struct params *params);

/*
 * Take `name=value&...`, decoding in place, or the text of a JSON object.
 * PS_ERR_MALFORMED; PS_ERR_TOO_LARGE for too many parameters, too much nesting.
 */
PS_MUST_CHECK int params_parse_form(struct params *params, char *text,
    size_t len, bool in_body);
PS_MUST_CHECK int params_parse_json(struct params *params, const char *text,
    size_t len);

/*
 * The same, but for one member of the object: its text is put aside as it was
 * sent, and half surrogate pairs may be in it. It is borrowed from `text`.
 */
PS_MUST_CHECK int params_parse_json_but(struct params *params,
    const char *text, size_t len, const char *name);

/* True when the parameter is there and is text. */
bool params_text(struct params *params, const char *name,
    struct ps_slice *value_r);
/* True when it is there and an integer; huge ones come out as the extremes. */
bool params_number(struct params *params, const char *name,
    int64_t *value_r);
/* The same of a text that is no parameter. */
bool params_parse_number(struct ps_slice text, int64_t *value_r);
/* True for 1 or true. */
bool params_flag(struct params *params, const char *name);
/* A JSON array, also as the text of a form field; NULL when it is none. */
json_object *params_array(struct params *params, const char *name);
/* The same of an object. */
json_object *params_object(struct params *params, const char *name);
/* Whether the parameter is there and not empty, whatever its type. */
bool params_has(struct params *params, const char *name);

#endif
