/*
 * Slices, a bounded reader and a growing writer.
 *
 * Errors are sticky: after the first failure every later read yields zero and
 * moves nothing, every later write is dropped, so a decoder reads all its
 * fields and asks once at the end with ps_reader_done(), an encoder looks at
 * `failed`. Integers are big-endian on the wire.
 *
 * Ownership: a slice and a reader borrow their bytes; a writer owns its buffer
 * until ps_writer_deinit().
 */
#ifndef PS_BYTES_H
#define PS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ps_err.h"

/* Borrowed bytes, not terminated. `data` may be NULL when `len` is 0. */
struct ps_slice {
	const char *data;
	size_t len;
};

static inline struct ps_slice
ps_slice(const char *data, size_t len)
{
	return (struct ps_slice){ data, len };
}

/* Of a C string; NULL gives the empty slice. */
static inline struct ps_slice
ps_slice_str(const char *str)
{
	return (struct ps_slice){ str, str == NULL ? 0 : strlen(str) };
}

static inline bool
ps_slice_is(struct ps_slice s, const char *str)
{
	return s.len == strlen(str) &&
	    (s.len == 0 || memcmp(s.data, str, s.len) == 0);
}

/* What is in front of the first `c`, behind which the rest begins from now on;
 * or all of it. */
static inline struct ps_slice
ps_slice_cut(struct ps_slice *rest, char c)
{
	const char *at = rest->len == 0 ? NULL :
					  memchr(rest->data, c, rest->len);
	size_t len = at == NULL ? rest->len : (size_t)(at - rest->data);
	struct ps_slice part = ps_slice(rest->data, len);

	len += at != NULL;
	if (len > 0)
		*rest = ps_slice(rest->data + len, rest->len - len);
	return part;
}

/* Copies it to `*end`, where there is room, terminated; `*end` moves on. */
static inline const char *
ps_slice_keep(struct ps_slice s, char **end)
{
	char *copy = *end;

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	*end += s.len + 1;
	return copy;
}

struct ps_reader {
	const unsigned char *data;
	size_t left;
	bool failed;
};

void ps_reader_init(struct ps_reader *r, const void *data, size_t len);
uint8_t ps_reader_u8(struct ps_reader *r);
uint16_t ps_reader_u16(struct ps_reader *r);
uint32_t ps_reader_u32(struct ps_reader *r);
uint64_t ps_reader_u64(struct ps_reader *r);
/* A slice preceded by its length as u32; borrowed from the input. */
struct ps_slice ps_reader_slice(struct ps_reader *r);
/* True when nothing failed and nothing is left. */
bool ps_reader_done(const struct ps_reader *r);

struct ps_writer {
	char *data;
	size_t len;
	size_t capacity;
	bool failed; /* out of memory: the content is not to be used */
};

/* All zero is an empty writer as well. */
void ps_writer_deinit(struct ps_writer *w);
/* Empties the writer and forgets failures; the buffer stays for reuse. */
void ps_writer_reset(struct ps_writer *w);
/* Gives back a buffer larger than `keep` bytes; call on an empty writer. */
void ps_writer_trim(struct ps_writer *w, size_t keep);
/* Room for `len` more bytes, or NULL; commit by adding to `w->len`. */
char *ps_writer_reserve(struct ps_writer *w, size_t len);
void ps_writer_bytes(struct ps_writer *w, const void *data, size_t len);
void ps_writer_str(struct ps_writer *w, const char *str);
void ps_writer_printf(struct ps_writer *w, const char *fmt, ...)
    PS_PRINTF(2, 3);
void ps_writer_u8(struct ps_writer *w, uint8_t v);
void ps_writer_u16(struct ps_writer *w, uint16_t v);
void ps_writer_u32(struct ps_writer *w, uint32_t v);
void ps_writer_u64(struct ps_writer *w, uint64_t v);
/* Overwrites four bytes that were written before at offset `at`. */
void ps_writer_patch_u32(struct ps_writer *w, size_t at, uint32_t v);
/* The counterpart of ps_reader_slice(). */
void ps_writer_slice(struct ps_writer *w, struct ps_slice s);

#endif
