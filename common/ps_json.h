/*
 * JSON text (RFC 8259): writing it, and what can be done with it as a text.
 * What has to be taken apart is json-c's work, after ps_json_check().
 */
#ifndef PS_JSON_H
#define PS_JSON_H

#include "ps_bytes.h"

/*
 * Appends `s`, which is valid UTF-8, as a quoted JSON string. U+2028, U+2029
 * and "</" are escaped as well, so that the text may stand inside a script.
 */
void ps_json_string(struct ps_writer *w, struct ps_slice s);

/*
 * PS_OK for one value of any kind, with space around it, to the letter of RFC
 * 8259, in valid UTF-8 and without half a surrogate pair; PS_ERR_TOO_LARGE when
 * it is nested deeper than PS_JSON_DEPTH_MAX; PS_ERR_MALFORMED. Names that an
 * object has twice are allowed: `n_names_r` counts all names of all objects, so
 * that one who parses sees whether any was dropped.
 */
PS_MUST_CHECK int ps_json_check(struct ps_slice text, size_t *n_names_r);

/* Gets a member of an object: its name, a JSON string, and its value; or an
 * element of an array. PS_OK to go on. */
typedef int (*ps_json_member_fn)(void *arg, struct ps_slice name,
    struct ps_slice value);
typedef int (*ps_json_element_fn)(void *arg, struct ps_slice value);

/*
 * Calls `found` with each member of an object, or each element of an array, in
 * their order; the slices are borrowed from `text`, and as they stand in it. The
 * text is checked before, as by ps_json_check(), but that strings may have half
 * a surrogate pair, as JavaScript's may. PS_ERR_UNKNOWN for JSON of another
 * kind; what `found` does not return PS_OK for ends it.
 */
PS_MUST_CHECK int ps_json_members(struct ps_slice text,
    ps_json_member_fn found, void *arg);
PS_MUST_CHECK int ps_json_elements(struct ps_slice text,
    ps_json_element_fn found, void *arg);

/* Appends a text that was checked without the space between its parts; all else
 * of it stays as it is, byte for byte. */
void ps_json_compact(struct ps_writer *w, struct ps_slice text);

/* Appends a text so that it may stand inside a script, see ps_json_string(). */
void ps_json_for_script(struct ps_writer *w, struct ps_slice json);

#endif
