#include "config.h"

#include "ps_base64.h"

#include <limits.h>

#include <openssl/evp.h>

/* EVP_*Block() count in int. */
#define BLOCK_MAX ((size_t)(INT_MAX / 2))

void
ps_base64_encode(struct ps_writer *w, const void *data, size_t len)
{
	size_t room = (len + 2) / 3 * 4 + 1; /* EVP_EncodeBlock adds a NUL */
	char *p;

	if (len == 0)
		return;
	if (len > BLOCK_MAX || (p = ps_writer_reserve(w, room)) == NULL) {
		w->failed = true;
		return;
	}
	w->len += (size_t)EVP_EncodeBlock((unsigned char *)p, data, (int)len);
}

static int
value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

/*
 * EVP_DecodeBlock() skips white space, takes misplaced padding and ignores
 * unused bits, so all that is decoded here.
 */
int
ps_base64_decode(struct ps_writer *w, struct ps_slice text)
{
	size_t pad = 0, start = w->len, i;
	uint32_t bits = 0;
	char *p;
	int v;

	if (text.len == 0)
		return PS_OK;
	if (text.len % 4 != 0)
		return PS_ERR_MALFORMED;
	while (pad < 2 && text.data[text.len - 1 - pad] == '=')
		pad++;
	if ((p = ps_writer_reserve(w, text.len / 4 * 3)) == NULL)
		return PS_ERR_NOMEM;
	for (i = 0; i < text.len; i++) {
		v = i < text.len - pad ? value(text.data[i]) : 0;
		if (v < 0)
			goto malformed;
		bits = bits << 6 | (uint32_t)v;
		if (i % 4 != 3)
			continue;
		*p++ = (char)(bits >> 16);
		*p++ = (char)(bits >> 8);
		*p++ = (char)bits;
		w->len += 3;
	}
	/* The last group's padded bytes must have come out as zero. */
	if ((pad >= 1 && p[-1] != 0) || (pad == 2 && p[-2] != 0))
		goto malformed;
	w->len -= pad;
	return PS_OK;

malformed:
	w->len = start;
	return PS_ERR_MALFORMED;
}

void
ps_base64_id(char out[23], const unsigned char bytes[16])
{
	char block[25];
	size_t i;

	EVP_EncodeBlock((unsigned char *)block, bytes, 16);
	for (i = 0; i < 22; i++)
		out[i] = block[i] == '+' ? '-' :
		    block[i] == '/'	 ? '_' :
					   block[i];
	out[22] = '\0';
}
