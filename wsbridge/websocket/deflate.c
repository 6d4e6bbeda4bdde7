#include "config.h"

#include "deflate.h"

#include <limits.h>
#include <string.h>

#define LEVEL 1
#define MEMORY_LEVEL 8
#define CHUNK_BYTES (16 * 1024)

/* What RFC 7692, 7.2.1 cuts off the end of each message. */
static const unsigned char trailer[] = { 0x00, 0x00, 0xff, 0xff };

void
deflate_deinit(struct deflate *codec)
{
	if (codec->out_ready)
		deflateEnd(&codec->out);
	if (codec->in_ready)
		inflateEnd(&codec->in);
	ps_writer_deinit(&codec->inflated);
	*codec = (struct deflate){ 0 };
}

static bool
start_out(struct deflate *codec)
{
	if (codec->out_ready)
		return deflateReset(&codec->out) == Z_OK;
	codec->out_ready = deflateInit2(&codec->out, LEVEL, Z_DEFLATED,
			       -MAX_WBITS, MEMORY_LEVEL,
			       Z_DEFAULT_STRATEGY) == Z_OK;
	return codec->out_ready;
}

static bool
start_in(struct deflate *codec)
{
	if (codec->in_ready)
		return codec->keep_context ||
		    inflateReset(&codec->in) == Z_OK;
	codec->in_ready = inflateInit2(&codec->in, -MAX_WBITS) == Z_OK;
	return codec->in_ready;
}

bool
deflate_write(struct deflate *codec, struct ps_writer *w, struct ps_slice in)
{
	size_t room;

	if (in.len > UINT_MAX / 2 || !start_out(codec))
		goto fail;
	/* The bound is for a whole stream; a sync flush adds five bytes. */
	room = deflateBound(&codec->out, in.len) + 16;
	codec->out.next_in = (Bytef *)(uintptr_t)in.data;
	codec->out.avail_in = (uInt)in.len;
	codec->out.next_out = (Bytef *)ps_writer_reserve(w, room);
	codec->out.avail_out = (uInt)room;
	if (w->failed || deflate(&codec->out, Z_SYNC_FLUSH) != Z_OK ||
	    codec->out.avail_in > 0 || codec->out.avail_out == 0)
		goto fail;
	w->len += room - codec->out.avail_out - sizeof(trailer);
	return true;

fail:
	w->failed = true;
	return false;
}

struct message *
deflate_compress(struct deflate *codec, const struct message *message)
{
	struct message *result = NULL;
	struct ps_writer out = { 0 };

	if (deflate_write(codec, &out, message_slice(message)))
		result = message_create(message->type,
		    ps_slice(out.data, out.len));
	ps_writer_deinit(&out);
	return result;
}

/* Inflates all of `data`; stops as soon as the result is larger than `max`. */
static int
expand(struct deflate *codec, const void *data, size_t len, size_t max)
{
	struct ps_writer *out = &codec->inflated;
	z_stream *in = &codec->in;
	int ret;

	in->next_in = (Bytef *)(uintptr_t)data;
	in->avail_in = (uInt)len;
	do {
		in->next_out = (Bytef *)ps_writer_reserve(out, CHUNK_BYTES);
		if (in->next_out == NULL)
			return PS_ERR_NOMEM;
		in->avail_out = CHUNK_BYTES;
		ret = inflate(in, Z_SYNC_FLUSH);
		out->len += CHUNK_BYTES - in->avail_out;
		if (out->len > max)
			return PS_ERR_TOO_LARGE;
		/* A final block may be followed by others (7.2.3.5). */
		if (ret == Z_STREAM_END)
			ret = inflateReset(in);
		if (ret != Z_OK && ret != Z_BUF_ERROR)
			return PS_ERR_MALFORMED;
	} while (in->avail_in > 0 || in->avail_out == 0);
	return PS_OK;
}

int
deflate_expand(struct deflate *codec, struct ps_slice data, size_t max,
    struct ps_slice *bytes_r)
{
	int ret;

	ps_writer_reset(&codec->inflated);
	if (data.len > UINT_MAX / 2 || !start_in(codec))
		return PS_ERR_NOMEM;
	ret = expand(codec, data.data, data.len, max);
	if (ret == PS_OK)
		ret = expand(codec, trailer, sizeof(trailer), max);
	*bytes_r = ps_slice(codec->inflated.data, codec->inflated.len);
	return ret;
}

void
deflate_release(struct deflate *codec)
{
	ps_writer_reset(&codec->inflated);
	ps_writer_trim(&codec->inflated, 2 * CHUNK_BYTES);
}

/*
 * As an extension of libwebsockets it negotiates and marks frames; payload
 * passes through it as it is.
 */
static bool next_frame_is_compressed;

void
deflate_mark_next_frame(bool is_compressed)
{
	next_frame_is_compressed = is_compressed;
}

static void
mark_frame(unsigned char *header)
{
	if (next_frame_is_compressed && (header[0] & 0x08) == 0) {
		header[0] |= 0x40; /* RSV1; opcodes from 8 on are control */
		next_frame_is_compressed = false;
	}
}

enum { OPTION_SERVER_NO_CONTEXT_TAKEOVER }; /* index below */

static const struct lws_ext_options options[] = {
	{ "server_no_context_takeover", EXTARG_NONE },
	{ "client_no_context_takeover", EXTARG_NONE },
	{ "server_max_window_bits", EXTARG_OPT_DEC },
	{ "client_max_window_bits", EXTARG_OPT_DEC },
	{ NULL, EXTARG_NONE },
};

static int
on_extension_event(struct lws_context *context,
    const struct lws_extension *extension, struct lws *wsi,
    enum lws_extension_callback_reasons reason, void *user, void *in,
    size_t len)
{
	struct deflate_terms *terms = lws_get_opaque_user_data(wsi);

	(void)context;
	(void)extension;
	(void)len;
	switch (reason) {
	case LWS_EXT_CB_CLIENT_CONSTRUCT:
		*(void **)user = NULL; /* there is no state */
		if (in != NULL)
			*(const struct lws_ext_options **)in = options;
		terms->accepted = true;
		return 0;
	case LWS_EXT_CB_OPTION_SET:
		if (((const struct lws_ext_option_arg *)in)->option_index ==
		    OPTION_SERVER_NO_CONTEXT_TAKEOVER)
			terms->no_context_takeover = true;
		return 0;
	case LWS_EXT_CB_PACKET_TX_PRESEND:
		mark_frame(((struct lws_tokens *)in)->token);
		return 0;
	default:
		return 0;
	}
}

const struct lws_extension deflate_extensions[] = {
	{ "permessage-deflate", on_extension_event,
	    "permessage-deflate; client_no_context_takeover; "
	    "server_no_context_takeover" },
	{ NULL, NULL, NULL },
};
