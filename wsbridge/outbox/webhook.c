#include "config.h"

#include "webhook.h"

#include <inttypes.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ps_base64.h"

int
webhook_sign(char signature[WEBHOOK_SIGNATURE_MAX], struct ps_writer *scratch,
    struct ps_slice key, const char *id, int64_t unix_s, struct ps_slice body)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	ps_writer_reset(scratch);
	ps_writer_printf(scratch, "%s.%" PRId64 ".", id, unix_s);
	ps_writer_bytes(scratch, body.data, body.len);
	/* A key of no bytes may have no address, which would mean the last. */
	if (scratch->failed ||
	    HMAC(EVP_sha256(), key.len == 0 ? "" : key.data, (int)key.len,
		(const unsigned char *)scratch->data, scratch->len, digest,
		&len) == NULL)
		return PS_ERR_NOMEM;
	ps_writer_reset(scratch);
	ps_writer_str(scratch, "v1,");
	ps_base64_encode(scratch, digest, len);
	ps_writer_u8(scratch, '\0');
	if (scratch->failed || scratch->len > WEBHOOK_SIGNATURE_MAX)
		return PS_ERR_NOMEM;
	memcpy(signature, scratch->data, scratch->len);
	return PS_OK;
}
