/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates. */
#ifndef PS_UTF8_H
#define PS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool ps_utf8_is_valid(const char *data, size_t len);
/*
 * The same of text that is not all there yet: looked through from `*at` on,
 * which moves behind the last character that is whole. True when there is
 * nothing more, or the beginning of a character.
 */
bool ps_utf8_goes_on(const char *data, size_t len, size_t *at);
/* Writes a code point, which is no surrogate; returns its length. */
size_t ps_utf8_encode(char utf8[4], uint32_t c);
/* How many characters (code points) valid UTF-8 has. */
size_t ps_utf8_count(const char *data, size_t len);
/*
 * Whether text that is valid UTF-8 shows what it says: no control characters
 * (C0, DEL, C1), line or paragraph separators, or overrides of the direction
 * (Unicode Standard Annex 9), which could make a terminal show something else.
 */
bool ps_utf8_is_plain(const char *data, size_t len);
/* Whether one of those of more than one byte begins here; of text that ends
 * with NUL and may be no UTF-8. */
bool ps_utf8_is_hidden(const char *text);

#endif
