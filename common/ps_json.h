/* Writing JSON text (RFC 8259). Reading it is json-c's work. */
#ifndef PS_JSON_H
#define PS_JSON_H

#include "ps_bytes.h"

/*
 * Appends `s`, which is valid UTF-8, as a quoted JSON string. U+2028, U+2029
 * and "</" are escaped as well, so that the text may stand inside a script.
 */
void ps_json_string(struct ps_writer *w, struct ps_slice s);

#endif
