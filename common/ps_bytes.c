#include "config.h"

#include "ps_bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
ps_reader_init(struct ps_reader *r, const void *data, size_t len)
{
	*r = (struct ps_reader){ .data = data, .left = len };
}

static const unsigned char *
take(struct ps_reader *r, size_t len)
{
	const unsigned char *p = r->data;

	if (r->failed || len > r->left) {
		r->failed = true;
		return NULL;
	}
	r->data += len;
	r->left -= len;
	return p;
}

uint8_t
ps_reader_u8(struct ps_reader *r)
{
	const unsigned char *p = take(r, 1);

	return p == NULL ? 0 : p[0];
}

uint16_t
ps_reader_u16(struct ps_reader *r)
{
	const unsigned char *p = take(r, 2);

	return p == NULL ? 0 : (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t
ps_reader_u32(struct ps_reader *r)
{
	const unsigned char *p = take(r, 4);

	if (p == NULL)
		return 0;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

uint64_t
ps_reader_u64(struct ps_reader *r)
{
	uint64_t high = ps_reader_u32(r), low = ps_reader_u32(r);

	return r->failed ? 0 : high << 32 | low;
}

struct ps_slice
ps_reader_slice(struct ps_reader *r)
{
	uint32_t len = ps_reader_u32(r);
	const unsigned char *p = take(r, len);

	if (p == NULL)
		return (struct ps_slice){ NULL, 0 };
	return ps_slice((const char *)p, len);
}

bool
ps_reader_done(const struct ps_reader *r)
{
	return !r->failed && r->left == 0;
}

void
ps_writer_deinit(struct ps_writer *w)
{
	free(w->data);
	*w = (struct ps_writer){ 0 };
}

void
ps_writer_reset(struct ps_writer *w)
{
	w->len = 0;
	w->failed = false;
}

void
ps_writer_trim(struct ps_writer *w, size_t keep)
{
	if (w->capacity > keep)
		ps_writer_deinit(w);
}

char *
ps_writer_reserve(struct ps_writer *w, size_t len)
{
	size_t capacity = w->capacity == 0 ? 256 : w->capacity;
	char *data;

	if (w->failed)
		return NULL;
	if (len <= w->capacity - w->len)
		return w->data + w->len;
	while (capacity - w->len < len) {
		if (capacity > SIZE_MAX / 2)
			goto fail;
		capacity *= 2;
	}
	if ((data = realloc(w->data, capacity)) == NULL)
		goto fail;
	w->data = data;
	w->capacity = capacity;
	return w->data + w->len;

fail:
	w->failed = true;
	return NULL;
}

void
ps_writer_bytes(struct ps_writer *w, const void *data, size_t len)
{
	char *p;

	if (len == 0 || (p = ps_writer_reserve(w, len)) == NULL)
		return;
	memcpy(p, data, len);
	w->len += len;
}

void
ps_writer_str(struct ps_writer *w, const char *str)
{
	ps_writer_bytes(w, str, strlen(str));
}

void
ps_writer_printf(struct ps_writer *w, const char *fmt, ...)
{
	va_list ap;
	int len;
	char *p;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0 || (p = ps_writer_reserve(w, (size_t)len + 1)) == NULL) {
		w->failed = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(p, (size_t)len + 1, fmt, ap);
	va_end(ap);
	w->len += (size_t)len;
}

void
ps_writer_u8(struct ps_writer *w, uint8_t v)
{
	ps_writer_bytes(w, &v, 1);
}

void
ps_writer_u16(struct ps_writer *w, uint16_t v)
{
	unsigned char p[2] = { (unsigned char)(v >> 8), (unsigned char)v };

	ps_writer_bytes(w, p, sizeof(p));
}

static void
store_u32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

void
ps_writer_u32(struct ps_writer *w, uint32_t v)
{
	unsigned char p[4];

	store_u32(p, v);
	ps_writer_bytes(w, p, sizeof(p));
}

void
ps_writer_u64(struct ps_writer *w, uint64_t v)
{
	ps_writer_u32(w, (uint32_t)(v >> 32));
	ps_writer_u32(w, (uint32_t)v);
}

void
ps_writer_patch_u32(struct ps_writer *w, size_t at, uint32_t v)
{
	if (!w->failed && w->len >= 4 && at <= w->len - 4)
		store_u32((unsigned char *)w->data + at, v);
}

void
ps_writer_slice(struct ps_writer *w, struct ps_slice s)
{
	if (s.len > UINT32_MAX) {
		w->failed = true;
		return;
	}
	ps_writer_u32(w, (uint32_t)s.len);
	ps_writer_bytes(w, s.data, s.len);
}
