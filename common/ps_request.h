/*
 * What both programs read from the head of an HTTP request in the same way:
 * the worker of every request, the bridge of one for a WebSocket.
 */
#ifndef PS_REQUEST_H
#define PS_REQUEST_H

#include <stdbool.h>

#include "ps_bytes.h"
#include "ps_err.h"

/*
 * Percent-decodes `text` in place, in `buffer`, where it is; '+' is a space
 * where `form`. Malformed escapes, NUL and invalid UTF-8: PS_ERR_MALFORMED.
 */
PS_MUST_CHECK int ps_request_decode(struct ps_slice *text, char *buffer,
    bool form);

/*
 * The origin of the page that asks; empty when no page does. A page whose
 * origin cannot be named, such as file:// of a web view, has one that is
 * nobody else's (RFC 6454, section 4): "null". Borrows from the headers.
 */
struct ps_slice ps_request_origin(struct ps_slice origin,
    struct ps_slice referer);

/* The secret in `Authorization: Bearer ...` (RFC 6750, 2.1), or empty. */
struct ps_slice ps_request_bearer(struct ps_slice authorization);

#endif
