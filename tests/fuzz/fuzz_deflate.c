/*
 * Messages as they come: base64 from a client, compressed from a target. The
 * input starts with a letter: `b` base64, `d` one compressed message, `c` many,
 * each behind its length, with a context.
 */
#include "config.h"

#include "fuzz.h"

#include "ps_base64.h"
#include "wsbridge/websocket/deflate.h"

#define EXPANDED_MAX 100000

static void
try_base64(struct ps_slice text)
{
	struct ps_writer bytes = { 0 }, again = { 0 };
	size_t i;

	if (ps_base64_decode(&bytes, text) != PS_OK) {
		require(bytes.len == 0);
	} else {
		ps_base64_encode(&again, bytes.data, bytes.len);
		require(again.len == text.len);
		for (i = 0; i < text.len; i++)
			require(again.data[i] == text.data[i] ||
			    (again.data[i] == '+' && text.data[i] == '-') ||
			    (again.data[i] == '/' && text.data[i] == '_'));
	}
	ps_writer_deinit(&bytes);
	ps_writer_deinit(&again);
}

/* What was expanded is compressed and expanded again. */
static void
check_again(struct ps_slice bytes)
{
	struct deflate codec = { 0 };
	struct message *message = message_create(PS_EVENT_BINARY, bytes);
	struct message *packed = deflate_compress(&codec, message);
	struct ps_slice again;

	require(packed != NULL);
	require(deflate_expand(&codec, message_slice(packed), bytes.len,
		    &again) == PS_OK);
	require(again.len == bytes.len);
	require(again.len == 0 ||
	    memcmp(again.data, bytes.data, again.len) == 0);
	message_unref(message);
	message_unref(packed);
	deflate_deinit(&codec);
}

static bool
try_expand(struct deflate *codec, struct ps_slice data)
{
	struct ps_slice bytes;

	if (deflate_expand(codec, data, EXPANDED_MAX, &bytes) != PS_OK)
		return false;
	require(bytes.len <= EXPANDED_MAX);
	check_again(bytes);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct deflate codec = { 0 };
	struct ps_slice rest;
	size_t part;

	if (len == 0)
		return 0;
	rest = ps_slice((const char *)data + 1, len - 1);
	if (*data == 'b')
		try_base64(rest);
	else if (*data == 'd')
		try_expand(&codec, rest);
	codec.keep_context = true;
	/* A connection ends with the first message that is malformed. */
	while (*data == 'c' && rest.len > 0) {
		part = (unsigned char)rest.data[0];
		if (part > rest.len - 1)
			part = rest.len - 1;
		if (!try_expand(&codec, ps_slice(rest.data + 1, part)))
			break;
		rest = ps_slice(rest.data + 1 + part, rest.len - 1 - part);
	}
	deflate_deinit(&codec);
	return 0;
}
