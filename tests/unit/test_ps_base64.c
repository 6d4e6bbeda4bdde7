#include "config.h"

#include "unit.h"

#include "ps_base64.h"

/* Those of RFC 4648, section 10, and some that use both special characters. */
static const struct {
	const char *bytes, *text;
} pairs[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xff\xfe\xfd", "//79" },
	{ "\xfb\xef\xbe", "++++" },
};

static const char *const refused[] = {
	"Z", "Zg", "Zg=", "Zm9vY", "Zm9vYg", "Zm9vYg=", /* no padding */
	"=", "==", "====", "Z===", "=Zm9", "Zg==Zg==", "Zm8=Zm8=", "Zm=8",
	"Z=9v", /* padding where it does not belong */
	"Zh==", "Zm9=", "Z/==", /* unused bits */
	" Zg==", "Zg== ", "Zg\n==", "Zm9v\n", "Z g=", "\tZg=", /* space */
	"Zm9*", "Zm9.", "Zm9,", "Zm9\x80", "Zm9\xff", "Zm9\x7f",
};

static void
both_directions_agree_with_the_rfc(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(pairs); i++) {
		ps_base64_encode(&w, pairs[i].bytes, strlen(pairs[i].bytes));
		assert_row(i, writer_had(&w, pairs[i].text));
		assert_row(i, ps_base64_decode(&w,
				  ps_slice_str(pairs[i].text)) == PS_OK);
		assert_row(i, writer_had(&w, pairs[i].bytes));
	}
	ps_writer_deinit(&w);
}

static void
the_url_safe_alphabet_is_read(void **state)
{
	struct ps_writer w = { 0 };

	(void)state;
	assert_int_equal(ps_base64_decode(&w, ps_slice_str("__79----")), PS_OK);
	assert_slice(written(&w), "\xff\xfe\xfd\xfb\xef\xbe");
	ps_writer_deinit(&w);
}

static void
what_is_not_strict_is_refused(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	ps_writer_str(&w, "kept");
	for (i = 0; i < ROWS(refused); i++) {
		assert_row(i, ps_base64_decode(&w, ps_slice_str(refused[i])) ==
			PS_ERR_MALFORMED);
		assert_row(i, ps_slice_is(written(&w), "kept"));
	}
	assert_int_equal(ps_base64_decode(&w, ps_slice("Zm9\0", 4)),
	    PS_ERR_MALFORMED);
	ps_writer_deinit(&w);
}

static void
exactly_the_two_alphabets_are_read(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz"
				       "0123456789+/-_";
	struct ps_writer w = { 0 };
	int c;

	(void)state;
	for (c = 1; c < 256; c++) {
		char text[4] = { 'A', 'A', (char)c, 'A' };
		bool good = strchr(alphabet, c) != NULL;

		assert_row(c, (ps_base64_decode(&w, ps_slice(text, 4)) ==
				  PS_OK) == good);
	}
	ps_writer_deinit(&w);
}

static void
random_bytes_of_every_length_come_back(void **state)
{
	struct ps_writer text = { 0 }, back = { 0 };
	unsigned char bytes[300];
	uint64_t seed = 1;
	size_t len, i;

	(void)state;
	for (len = 0; len <= sizeof(bytes); len++) {
		for (i = 0; i < len; i++)
			bytes[i] = (unsigned char)next_random(&seed);
		ps_writer_reset(&text);
		ps_writer_reset(&back);
		ps_base64_encode(&text, bytes, len);
		assert_row(len, text.len == (len + 2) / 3 * 4);
		assert_row(len,
		    ps_base64_decode(&back, written(&text)) == PS_OK);
		assert_bytes(written(&back), bytes, len);
	}
	ps_writer_deinit(&text);
	ps_writer_deinit(&back);
}

static void
an_id_is_22_characters_of_a_url(void **state)
{
	static const unsigned char zeros[16];
	unsigned char bytes[16];
	char id[23];

	(void)state;
	ps_base64_id(id, zeros);
	assert_string_equal(id, "AAAAAAAAAAAAAAAAAAAAAA");
	memset(bytes, 0xff, sizeof(bytes));
	ps_base64_id(id, bytes);
	assert_string_equal(id, "_____________________w");
	memset(bytes, 0xfb, sizeof(bytes));
	ps_base64_id(id, bytes);
	assert_int_equal(strlen(id), 22);
	assert_null(strpbrk(id, "+/="));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_agree_with_the_rfc),
		cmocka_unit_test(the_url_safe_alphabet_is_read),
		cmocka_unit_test(what_is_not_strict_is_refused),
		cmocka_unit_test(exactly_the_two_alphabets_are_read),
		cmocka_unit_test(random_bytes_of_every_length_come_back),
		cmocka_unit_test(an_id_is_22_characters_of_a_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
