/*
 * Taking compact JSON text apart without building a tree of it, so that what
 * is passed on stays as it was written.
 *
 * The text was checked and made compact before (ps_json.h): on other text the
 * parts may be nonsense, but nothing is read beyond its end. Slices are
 * borrowed from it.
 */
#ifndef PS_JSON_PARTS_H
#define PS_JSON_PARTS_H

#include "ps_bytes.h"

/*
 * The next member of an object, the next element of an array; false at its
 * end. `rest` is the whole value at first. A name is a JSON string, in quotes.
 */
PS_MUST_CHECK bool ps_json_next_member(struct ps_slice *rest,
    struct ps_slice *name_r, struct ps_slice *value_r);
PS_MUST_CHECK bool ps_json_next_element(struct ps_slice *rest,
    struct ps_slice *value_r);

/*
 * The character, or half a surrogate pair, of the escape at the begin of `s`;
 * returns its length.
 */
size_t ps_json_escaped(struct ps_slice s, uint32_t *c_r);

/* Appends what a JSON string says, as UTF-8; half a surrogate pair, which
 * ps_json_check() lets not pass, is U+FFFD. */
void ps_json_unescape(struct ps_writer *w, struct ps_slice string);

static inline bool
ps_json_is_string(struct ps_slice value)
{
	return value.len >= 2 && value.data[0] == '"';
}

#endif
