#include "config.h"

#include "unit.h"

#include "wsbridge/websocket/assembly.h"

static struct assembly assembly;
static struct deflate codec;
static struct ps_slice message;
static const char *reason;

static int
setup(void **state)
{
	(void)state;
	assembly = (struct assembly){ 0 };
	codec = (struct deflate){ 0 };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	assembly_deinit(&assembly);
	deflate_deinit(&codec);
	return 0;
}

static int
add(const char *text, bool last)
{
	return assembly_add(&assembly, &codec,
	    &(struct assembly_part){ .data = ps_slice_str(text),
		.last = last,
		.text = true },
	    10, &message, &reason);
}

static void
parts_become_one_message(void **state)
{
	(void)state;
	assert_int_equal(add("ab", false), 0);
	assert_int_equal(add("", false), 0);
	assert_int_equal(add("cd", true), ASSEMBLY_COMPLETE);
	assert_true(ps_slice_is(message, "abcd"));
	assembly_release(&assembly, &codec);
	assert_int_equal(add("next", true), ASSEMBLY_COMPLETE);
	assert_true(ps_slice_is(message, "next"));
	assembly_release(&assembly, &codec);
	/* An empty part is the beginning of a message, too. */
	assert_int_equal(add("", false), 0);
	assert_int_equal(add("x", true), ASSEMBLY_COMPLETE);
	assert_true(ps_slice_is(message, "x"));
}

static void
a_message_is_bounded_before_it_is_there(void **state)
{
	struct assembly_part part = { .data = ps_slice_str("ab"), .left = 8 };

	(void)state;
	assert_int_equal(assembly_add(&assembly, &codec, &part, 10, &message,
			     &reason),
	    0);
	part.left = 7;
	assert_int_equal(assembly_add(&assembly, &codec, &part, 10, &message,
			     &reason),
	    1009);
	/* The bound may have become less meanwhile. */
	part = (struct assembly_part){ .data = ps_slice_str("c") };
	assert_int_equal(assembly_add(&assembly, &codec, &part, 1, &message,
			     &reason),
	    1009);
	part.left = UINT64_MAX;
	assert_int_equal(assembly_add(&assembly, &codec, &part, SIZE_MAX,
			     &message, &reason),
	    1009);
}

static void
text_is_checked_as_it_comes(void **state)
{
	(void)state;
	assert_int_equal(add("\xe2", false), 0);
	assert_int_equal(add("\x98", false), 0);
	assert_int_equal(add("\x83", true), ASSEMBLY_COMPLETE);
	assembly_release(&assembly, &codec);
	assert_int_equal(add("a\xed", false), 0);
	assert_int_equal(add("\xa0", false), 1007);
	assert_string_equal(reason, "invalid UTF-8");
}

static void
text_does_not_end_within_a_character(void **state)
{
	(void)state;
	assert_int_equal(add("a\xe2\x98", true), 1007);
}

static void
what_is_compressed_is_bounded_by_what_it_becomes(void **state)
{
	struct assembly_part part = { .last = true,
		.compressed = true,
		.text = true };
	struct ps_writer packed = { 0 };

	(void)state;
	assert_true(deflate_write(&codec, &packed,
	    ps_slice_str("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
	part.data = ps_slice(packed.data, packed.len);
	assert_int_equal(assembly_add(&assembly, &codec, &part, 39, &message,
			     &reason),
	    1009);
	assert_int_equal(assembly_add(&assembly, &codec, &part, 40, &message,
			     &reason),
	    ASSEMBLY_COMPLETE);
	assert_int_equal(message.len, 40);
	assembly_release(&assembly, &codec);
	part.data = ps_slice_str("\xff\xff");
	assert_int_equal(assembly_add(&assembly, &codec, &part, 40, &message,
			     &reason),
	    1007);
	ps_writer_deinit(&packed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(parts_become_one_message,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_message_is_bounded_before_it_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(text_is_checked_as_it_comes,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    text_does_not_end_within_a_character, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_is_compressed_is_bounded_by_what_it_becomes, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
