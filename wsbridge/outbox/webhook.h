/*
 * The signature of a callback, as Standard Webhooks describes it: HMAC-SHA256
 * of the id, the time and the body, with dots between.
 */
#ifndef WEBHOOK_H
#define WEBHOOK_H

#include <stdint.h>

#include "ps_bytes.h"

/* "v1,", base64 of 32 bytes, and the end. */
#define WEBHOOK_SIGNATURE_MAX (3 + 44 + 1)

/*
 * Writes the value of the header webhook-signature, terminated, for the time
 * `unix_s`. `scratch` holds what is signed on the way; PS_ERR_NOMEM.
 */
PS_MUST_CHECK int webhook_sign(char signature[WEBHOOK_SIGNATURE_MAX],
    struct ps_writer *scratch, struct ps_slice key, const char *id,
    int64_t unix_s, struct ps_slice body);

#endif
