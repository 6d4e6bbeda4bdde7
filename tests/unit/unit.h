/*
 * What every unit test includes first: cmocka with the headers it needs, and
 * a few assertions that say which row of a table failed.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ps_bytes.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Of a table, or of a loop over many: `row` is printed when it fails. */
#define assert_row(row, condition) \
	do { \
		if (!(condition)) \
			fail_msg("row %zu: %s", (size_t)(row), #condition); \
	} while (0)

#define assert_slice(slice, text) \
	assert_bytes((slice), (text), strlen(text))

#define assert_bytes(slice, bytes, n_bytes) \
	do { \
		struct ps_slice slice_ = (slice); \
		assert_int_equal(slice_.len, (n_bytes)); \
		if (slice_.len > 0) \
			assert_memory_equal(slice_.data, (bytes), \
			    slice_.len); \
	} while (0)

/* What was written, for the two above. */
static inline struct ps_slice
written(const struct ps_writer *w)
{
	return ps_slice(w->data, w->len);
}

/* Whether what was written is `text`; empties the writer. */
static inline bool
writer_had(struct ps_writer *w, const char *text)
{
	bool same = !w->failed && ps_slice_is(written(w), text);

	ps_writer_reset(w);
	return same;
}

/* The same numbers in every run and on every machine (xorshift64). */
static inline uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
