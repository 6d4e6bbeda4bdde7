/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates. */
#ifndef PS_UTF8_H
#define PS_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool ps_utf8_is_valid(const char *data, size_t len);

#endif
