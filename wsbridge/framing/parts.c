#include "config.h"

#include "parts.h"

#include <inttypes.h>

#define PRELUDE_BYTES 2048

void
framing_separate(struct ps_writer *w, struct framing_context *c)
{
	if (!c->first)
		ps_writer_str(w, ",");
	c->first = false;
}

void
framing_end_list(struct ps_writer *w, const struct framing_context *c,
    uint64_t last)
{
	ps_writer_str(w, "]");
	if (c->numbered && last > 0)
		ps_writer_printf(w, ",\"seq\":%" PRIu64, last);
	ps_writer_str(w, "}");
}

void
framing_begin_call(struct ps_writer *w, const struct framing_context *c)
{
	ps_writer_str(w, "/**/");
	ps_writer_bytes(w, c->callback.data, c->callback.len);
	ps_writer_str(w, "(");
}

void
framing_end_call(struct ps_writer *w, const struct framing_context *c,
    uint64_t last)
{
	framing_end_list(w, c, last);
	ps_writer_str(w, ");");
}

void
framing_open_prelude(struct ps_writer *w, char c, size_t len)
{
	char *p = ps_writer_reserve(w, len);

	if (p == NULL)
		return;
	memset(p, c, len);
	w->len += len;
}

void
framing_open_lines(struct ps_writer *w, const struct framing_context *c)
{
	(void)c;
	framing_open_prelude(w, ' ', PRELUDE_BYTES - 1);
	ps_writer_str(w, "\n");
}
