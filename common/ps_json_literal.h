/*
 * Literals: JSON strings, with their quotes, in the one form in which the
 * messages of applications go through the bridge, in both directions.
 *
 * It is what JSON.stringify() writes: the short escapes, others of C0 as
 * \u00xx, half surrogate pairs as \udxxx, all in lower case, and everything
 * else as UTF-8. Besides, U+200C-200F, U+2028-202F, U+2060-206F and U+FFF0-FFFF
 * are escaped, which some browsers change or drop on their way (the table of
 * the SockJS protocol). So whoever sends a literal on only copies it.
 *
 * Nothing is allocated but by the writer; look at its `failed`.
 */
#ifndef PS_JSON_LITERAL_H
#define PS_JSON_LITERAL_H

#include "ps_bytes.h"

/*
 * Appends the literal of a JSON string, of any spelling and with nothing
 * around it. Half a surrogate pair may be in it, as an escape. PS_ERR_MALFORMED
 * for what is none, having written nothing.
 */
PS_MUST_CHECK int ps_json_literal(struct ps_writer *w, struct ps_slice string);

/* The same of text, which is valid UTF-8. */
void ps_json_literal_text(struct ps_writer *w, struct ps_slice text);

/* Appends what a literal says, as UTF-8; half a surrogate pair is U+FFFD. */
void ps_json_literal_decode(struct ps_writer *w, struct ps_slice literal);

/* Gets a JSON string that ps_json_literal() takes; PS_OK to go on. */
typedef int (*ps_json_string_fn)(void *arg, struct ps_slice string);

/*
 * Calls `take` with each string of a JSON array of strings, which has been
 * looked through to its end before, and returns what it does not like.
 * PS_ERR_MALFORMED when the text is no JSON, PS_ERR_UNKNOWN when it is JSON of
 * another kind. `take` NULL only checks.
 */
PS_MUST_CHECK int ps_json_strings(struct ps_slice text, ps_json_string_fn take,
				  void *arg);

#endif
