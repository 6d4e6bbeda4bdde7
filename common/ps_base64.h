/*
 * Base64 (RFC 4648), strict: padding is required, white space is refused,
 * unused bits must be zero. The URL-safe alphabet is read as well.
 */
#ifndef PS_BASE64_H
#define PS_BASE64_H

#include <stddef.h>

#include "ps_bytes.h"

/* Appends the encoding of `len` bytes in the standard alphabet. */
void ps_base64_encode(struct ps_writer *w, const void *data, size_t len);

/* Appends the bytes of `text`; PS_ERR_MALFORMED leaves `w` as it was. */
PS_MUST_CHECK int ps_base64_decode(struct ps_writer *w, struct ps_slice text);

/* Writes 22 characters, URL-safe and unpadded, for 16 bytes; terminates. */
void ps_base64_id(char out[23], const unsigned char bytes[16]);

#endif
