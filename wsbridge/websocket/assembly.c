#include "config.h"

#include "assembly.h"

#include "ps_utf8.h"

/* The buffer that a large message has grown is given back. */
#define KEEP_BYTES 4096

static int
refuse(int code, const char *reason, const char **reason_r)
{
	*reason_r = reason;
	return code;
}

static int
inflate_message(struct deflate *codec, struct ps_slice *message, size_t max,
    const char **reason_r)
{
	switch (deflate_expand(codec, *message, max, message)) {
	case PS_OK:
		return ASSEMBLY_COMPLETE;
	case PS_ERR_TOO_LARGE:
		return refuse(1009, "message too large", reason_r);
	case PS_ERR_MALFORMED:
		return refuse(1007, "invalid compressed data", reason_r);
	default:
		return refuse(1011, "out of memory", reason_r);
	}
}

/* A part that is not the last, or not the first. */
static bool
keep(struct assembly *assembly, const struct assembly_part *part)
{
	ps_writer_bytes(&assembly->bytes, part->data.data, part->data.len);
	assembly->waiting = true;
	return !assembly->bytes.failed;
}

int
assembly_add(struct assembly *assembly, struct deflate *codec,
    const struct assembly_part *part, size_t max, struct ps_slice *message_r,
    const char **reason_r)
{
	size_t had = assembly->bytes.len, room = max > had ? max - had : 0;
	int ret;

	if (part->data.len > room || part->left > room - part->data.len)
		return refuse(1009, "message too large", reason_r);
	*message_r = part->data;
	if (assembly->waiting || !part->last) {
		if (!keep(assembly, part))
			return refuse(1011, "out of memory", reason_r);
		*message_r = ps_slice(assembly->bytes.data,
		    assembly->bytes.len);
	}
	if (part->compressed) {
		if (!part->last)
			return 0;
		ret = inflate_message(codec, message_r, max, reason_r);
		if (ret != ASSEMBLY_COMPLETE)
			return ret;
	}
	if (part->text &&
	    (!ps_utf8_goes_on(message_r->data, message_r->len,
		 &assembly->checked) ||
		(part->last && assembly->checked < message_r->len)))
		return refuse(1007, "invalid UTF-8", reason_r);
	return part->last ? ASSEMBLY_COMPLETE : 0;
}

void
assembly_release(struct assembly *assembly, struct deflate *codec)
{
	ps_writer_reset(&assembly->bytes);
	ps_writer_trim(&assembly->bytes, KEEP_BYTES);
	assembly->checked = 0;
	assembly->waiting = false;
	deflate_release(codec);
}

void
assembly_deinit(struct assembly *assembly)
{
	ps_writer_deinit(&assembly->bytes);
}
