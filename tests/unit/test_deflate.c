#include "config.h"

#include "unit.h"

#include "wsbridge/websocket/deflate.h"

/* Of deflate.c, where the output grows by it. */
#define CHUNK ((size_t)16 * 1024)

static struct deflate here, there;

static int
setup(void **state)
{
	(void)state;
	here = there = (struct deflate){ 0 };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	deflate_deinit(&here);
	deflate_deinit(&there);
	return 0;
}

/* `kind` 0: all the same; 1: text; 2: noise, which does not get smaller. */
static void
fill(char *data, size_t len, unsigned kind)
{
	static const char text[] = "{\"type\":\"string\",\"data\":\"hello\"} ";
	uint64_t seed = len + 1;
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = kind == 0 ? 'a' :
		    kind == 1	    ? text[i % (sizeof(text) - 1)] :
				      (char)next_random(&seed);
}

/* Compresses here and expands there. */
static void
assert_comes_back(const char *data, size_t len)
{
	struct message *message =
	    message_create(PS_EVENT_BINARY, ps_slice(data, len));
	struct message *packed = deflate_compress(&here, message);
	struct ps_slice bytes;

	assert_non_null(packed);
	assert_int_equal(packed->type, PS_EVENT_BINARY);
	assert_int_equal(deflate_expand(&there, message_slice(packed), len,
			     &bytes),
	    PS_OK);
	assert_bytes(bytes, data, len);
	if (len > 0)
		assert_int_equal(deflate_expand(&there, message_slice(packed),
				     len - 1, &bytes),
		    PS_ERR_TOO_LARGE);
	message_unref(packed);
	message_unref(message);
}

static void
messages_of_every_size_come_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 10, 100, 1000, CHUNK - 5,
		CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 5, 2 * CHUNK - 1,
		2 * CHUNK, 2 * CHUNK + 1, 65535, 65536, 65537, 300000,
		1024 * 1024 };
	char *data = malloc(1024 * 1024);
	size_t i;
	unsigned kind;

	(void)state;
	for (i = 0; i < ROWS(sizes); i++) {
		for (kind = 0; kind < 3; kind++) {
			fill(data, sizes[i], kind);
			assert_comes_back(data, sizes[i]);
		}
	}
	free(data);
}

static void
sizes_around_a_chunk_come_back(void **state)
{
	char *data = malloc(CHUNK + 64);
	size_t len;

	(void)state;
	fill(data, CHUNK + 64, 2);
	for (len = CHUNK - 64; len <= CHUNK + 64; len++)
		assert_comes_back(data, len);
	free(data);
}

/* RFC 7692, 7.2.3.1 to 7.2.3.6, and their neighbours. */
static const struct {
	const char *bytes;
	size_t len, max;
	int ret;
	const char *text;
} rows[] = {
	{ "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 5, PS_OK, "Hello" },
	{ "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 4, PS_ERR_TOO_LARGE, NULL },
	{ "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, 5, PS_OK,
	    "Hello" },
	/* a final block, and an empty one behind it */
	{ "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, 5, PS_OK, "Hello" },
	/* two blocks */
	{ "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, 5, PS_OK,
	    "Hello" },
	/* an empty message */
	{ "\x00", 1, 0, PS_OK, "" },
	{ "\x02\x00", 2, 0, PS_OK, "" },
	{ "", 0, 0, PS_OK, "" },
	/* the reserved type of block, a wrong length, noise */
	{ "\x07", 1, 100, PS_ERR_MALFORMED, NULL },
	{ "\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00", 11, 100,
	    PS_ERR_MALFORMED, NULL },
	{ "\xff\xff\xff\xff", 4, 100, PS_ERR_MALFORMED, NULL },
	/* a reference to before the beginning */
	{ "\xf2\x00\x11\x00\x00", 5, 100, PS_ERR_MALFORMED, NULL },
};

static void
messages_of_other_programs_are_expanded(void **state)
{
	struct ps_slice bytes;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		struct deflate codec = { 0 };

		assert_row(i, deflate_expand(&codec,
				  ps_slice(rows[i].bytes, rows[i].len),
				  rows[i].max, &bytes) == rows[i].ret);
		if (rows[i].ret == PS_OK)
			assert_slice(bytes, rows[i].text);
		deflate_deinit(&codec);
	}
}

static void
a_bomb_is_refused_before_it_is_expanded(void **state)
{
	size_t len = 64 * 1024 * 1024, max = 100000;
	char *data = calloc(1, len);
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice(data, len));
	struct message *packed = deflate_compress(&here, message);
	struct ps_slice bytes;

	(void)state;
	assert_true(packed->len < len / 100);
	assert_int_equal(deflate_expand(&there, message_slice(packed), max,
			     &bytes),
	    PS_ERR_TOO_LARGE);
	assert_true(there.inflated.capacity < 4 * (max + CHUNK));
	message_unref(packed);
	message_unref(message);
	free(data);
}

static void
a_codec_is_as_new_after_a_refusal(void **state)
{
	struct ps_slice bytes;

	(void)state;
	assert_int_equal(deflate_expand(&there, ps_slice("\x07", 1), 100,
			     &bytes),
	    PS_ERR_MALFORMED);
	assert_comes_back("after", 5);
	assert_int_equal(deflate_expand(&there,
			     ps_slice("\xf2\x48\xcd\xc9\xc9\x07\x00", 7), 2,
			     &bytes),
	    PS_ERR_TOO_LARGE);
	assert_comes_back("after", 5);
}

/*
 * RFC 7692, 7.2.3.2: the second of two equal messages refers to the first.
 */
static void
a_context_is_kept_where_the_target_keeps_one(void **state)
{
	static const char first[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
	static const char second[] = "\xf2\x00\x11\x00\x00";
	struct ps_slice bytes;

	(void)state;
	there.keep_context = true;
	assert_int_equal(deflate_expand(&there, ps_slice(first, 7), 5, &bytes),
	    PS_OK);
	assert_slice(bytes, "Hello");
	assert_int_equal(deflate_expand(&there, ps_slice(second, 5), 5,
			     &bytes),
	    PS_OK);
	assert_slice(bytes, "Hello");
	assert_int_equal(deflate_expand(&there, ps_slice(second, 5), 5,
			     &bytes),
	    PS_OK);
	assert_slice(bytes, "Hello");
}

static void
without_a_context_every_message_stands_alone(void **state)
{
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str("the same text"));
	struct message *first = deflate_compress(&here, message);
	struct message *second = deflate_compress(&here, message);

	(void)state;
	assert_int_equal(first->len, second->len);
	assert_memory_equal(message_data(first), message_data(second),
	    first->len);
	message_unref(first);
	message_unref(second);
	message_unref(message);
}

static void
the_buffer_of_a_large_message_is_given_back(void **state)
{
	char *data = calloc(1, 1024 * 1024);

	(void)state;
	assert_comes_back(data, 1024 * 1024);
	assert_true(there.inflated.capacity >= 1024 * 1024);
	deflate_release(&there);
	assert_true(there.inflated.capacity <= 4 * CHUNK);
	assert_comes_back("small", 5);
	free(data);
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(messages_of_every_size_come_back),
		fresh(sizes_around_a_chunk_come_back),
		fresh(messages_of_other_programs_are_expanded),
		fresh(a_bomb_is_refused_before_it_is_expanded),
		fresh(a_codec_is_as_new_after_a_refusal),
		fresh(a_context_is_kept_where_the_target_keeps_one),
		fresh(without_a_context_every_message_stands_alone),
		fresh(the_buffer_of_a_large_message_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
