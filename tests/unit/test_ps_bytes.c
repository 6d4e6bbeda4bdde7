#include "config.h"

#include "unit.h"

static void
integers_are_big_endian(void **state)
{
	static const unsigned char expected[] = { 0x01, 0xfe, 0xdc, 0x89, 0xab,
		0xcd, 0xef, 0, 0, 0, 2, 'h', 'i' };
	struct ps_writer w = { 0 };
	struct ps_reader r;

	(void)state;
	ps_writer_u8(&w, 0x01);
	ps_writer_u16(&w, 0xfedc);
	ps_writer_u32(&w, 0x89abcdef);
	ps_writer_slice(&w, ps_slice_str("hi"));
	assert_bytes(written(&w), expected, sizeof(expected));

	ps_reader_init(&r, w.data, w.len);
	assert_int_equal(ps_reader_u8(&r), 0x01);
	assert_int_equal(ps_reader_u16(&r), 0xfedc);
	assert_true(ps_reader_u32(&r) == 0x89abcdef);
	assert_false(ps_reader_done(&r));
	assert_slice(ps_reader_slice(&r), "hi");
	assert_true(ps_reader_done(&r));
	ps_writer_deinit(&w);
}

static void
a_reader_takes_exactly_what_is_there(void **state)
{
	static const unsigned char zeros[8];
	size_t len;

	(void)state;
	for (len = 0; len <= sizeof(zeros); len++) {
		struct ps_reader r;

		ps_reader_init(&r, zeros, len);
		ps_reader_u8(&r);
		assert_row(len, r.failed == (len < 1));
		ps_reader_init(&r, zeros, len);
		ps_reader_u16(&r);
		assert_row(len, r.failed == (len < 2));
		ps_reader_init(&r, zeros, len);
		ps_reader_u32(&r);
		assert_row(len, r.failed == (len < 4));
		ps_reader_init(&r, zeros, len);
		assert_row(len, ps_reader_slice(&r).len == 0);
		assert_row(len, r.failed == (len < 4));
		assert_row(len, ps_reader_done(&r) == (len == 4));
	}
}

static void
a_failed_read_is_sticky(void **state)
{
	static const unsigned char bytes[] = { 1, 2, 3 };
	struct ps_reader r;

	(void)state;
	ps_reader_init(&r, bytes, sizeof(bytes));
	assert_int_equal(ps_reader_u32(&r), 0);
	assert_int_equal(ps_reader_u8(&r), 0);
	assert_int_equal(ps_reader_u16(&r), 0);
	assert_int_equal(ps_reader_slice(&r).len, 0);
	assert_int_equal(r.left, sizeof(bytes));
	assert_false(ps_reader_done(&r));
}

static void
a_slice_longer_than_the_input_is_refused(void **state)
{
	static const struct {
		unsigned char bytes[6];
		bool fits;
	} rows[] = {
		{ { 0, 0, 0, 2, 'a', 'b' }, true },
		{ { 0, 0, 0, 3, 'a', 'b' }, false },
		{ { 0xff, 0xff, 0xff, 0xff, 'a', 'b' }, false },
		{ { 0x80, 0, 0, 2, 'a', 'b' }, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		struct ps_reader r;
		struct ps_slice s;

		ps_reader_init(&r, rows[i].bytes, sizeof(rows[i].bytes));
		s = ps_reader_slice(&r);
		assert_row(i, r.failed == !rows[i].fits);
		assert_row(i, s.len == (rows[i].fits ? 2 : 0));
	}
}

static void
a_writer_grows_to_what_is_written(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 10000; i++)
		ps_writer_u8(&w, (uint8_t)i);
	assert_int_equal(w.len, 10000);
	assert_true(w.capacity >= w.len);
	for (i = 0; i < 10000; i++)
		assert_row(i, (uint8_t)w.data[i] == (uint8_t)i);
	ps_writer_reset(&w);
	assert_int_equal(w.len, 0);
	ps_writer_printf(&w, "%s-%d", "text", 7);
	ps_writer_str(&w, "");
	ps_writer_bytes(&w, NULL, 0);
	assert_slice(written(&w), "text-7");
	ps_writer_deinit(&w);
	ps_writer_deinit(&w);
}

static void
a_writer_reserves_what_is_asked_for(void **state)
{
	static const size_t sizes[] = { 0, 1, 255, 256, 257, 511, 512, 513,
		100000 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(sizes); i++) {
		struct ps_writer w = { 0 };
		char *p;

		ps_writer_u8(&w, 1);
		p = ps_writer_reserve(&w, sizes[i]);
		assert_row(i, p == w.data + 1);
		assert_row(i, w.capacity - w.len >= sizes[i]);
		memset(p, 0, sizes[i]);
		assert_row(i, w.len == 1);
		ps_writer_deinit(&w);
	}
}

static void
a_writer_that_cannot_grow_drops_what_follows(void **state)
{
	struct ps_writer w = { 0 };

	(void)state;
	ps_writer_str(&w, "before");
	assert_null(ps_writer_reserve(&w, SIZE_MAX - 6));
	assert_true(w.failed);
	ps_writer_str(&w, "after");
	ps_writer_u32(&w, 1);
	assert_null(ps_writer_reserve(&w, 1));
	assert_slice(written(&w), "before");
	ps_writer_reset(&w);
	assert_false(w.failed);
	ps_writer_str(&w, "new");
	assert_slice(written(&w), "new");
	ps_writer_deinit(&w);
}

static void
a_patch_stays_inside_what_was_written(void **state)
{
	struct ps_writer w = { 0 };

	(void)state;
	ps_writer_patch_u32(&w, 0, 1); /* nothing there: no effect */
	ps_writer_bytes(&w, "abcdef", 6);
	ps_writer_patch_u32(&w, 3, 1);
	ps_writer_patch_u32(&w, SIZE_MAX, 1);
	assert_slice(written(&w), "abcdef");
	ps_writer_patch_u32(&w, 2, 0x41424344);
	assert_slice(written(&w), "abABCD");
	ps_writer_deinit(&w);
}

static void
trimming_gives_back_only_a_large_buffer(void **state)
{
	struct ps_writer w = { 0 };
	size_t capacity;

	(void)state;
	ps_writer_reserve(&w, 1000);
	capacity = w.capacity;
	ps_writer_trim(&w, capacity);
	assert_int_equal(w.capacity, capacity);
	ps_writer_trim(&w, capacity - 1);
	assert_int_equal(w.capacity, 0);
	assert_null(w.data);
}

static void
slices_compare_with_strings(void **state)
{
	(void)state;
	assert_true(ps_slice_is(ps_slice("abc", 2), "ab"));
	assert_false(ps_slice_is(ps_slice("abc", 2), "abc"));
	assert_false(ps_slice_is(ps_slice("abc", 3), "ab"));
	assert_true(ps_slice_is(ps_slice("", 0), ""));
	assert_int_equal(ps_slice_str(NULL).len, 0);
	assert_int_equal(ps_slice_str("four").len, 4);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_big_endian),
		cmocka_unit_test(a_reader_takes_exactly_what_is_there),
		cmocka_unit_test(a_failed_read_is_sticky),
		cmocka_unit_test(a_slice_longer_than_the_input_is_refused),
		cmocka_unit_test(a_writer_grows_to_what_is_written),
		cmocka_unit_test(a_writer_reserves_what_is_asked_for),
		cmocka_unit_test(a_writer_that_cannot_grow_drops_what_follows),
		cmocka_unit_test(a_patch_stays_inside_what_was_written),
		cmocka_unit_test(trimming_gives_back_only_a_large_buffer),
		cmocka_unit_test(slices_compare_with_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
