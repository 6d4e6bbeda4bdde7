#include "config.h"

#include "unit.h"

#include "wsbridge/websocket/frames.h"

static struct frame_reader reader;
static struct ps_writer heard; /* of data frames, and '|' behind a message */
static const char *rule;

static int
setup(void **state)
{
	(void)state;
	reader = (struct frame_reader){ 0 };
	ps_writer_reset(&heard);
	rule = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ps_writer_deinit(&heard);
	return 0;
}

/* Reads all of it, `step` bytes at a time. False when a rule was broken. */
static bool
read_all(const unsigned char *bytes, size_t len, size_t step)
{
	struct frame_piece piece;
	int ret = 0;

	for (size_t at = 0; at < len && ret >= 0; at += step) {
		unsigned char buffer[512], *p = buffer;
		size_t left = len - at < step ? len - at : step;

		memcpy(buffer, bytes + at, left);
		while ((ret = frame_read(&reader, &p, &left, &piece, &rule)) >
		    0) {
			if (piece.opcode >= FRAME_CLOSE)
				ps_writer_str(&heard,
				    piece.opcode == FRAME_PING ? "P" : "p");
			else if (piece.first && piece.compressed)
				ps_writer_str(&heard, "z");
			ps_writer_bytes(&heard, piece.data.data,
			    piece.data.len);
			if (piece.last || piece.opcode >= FRAME_CLOSE)
				ps_writer_str(&heard, "|");
		}
	}
	return ret >= 0;
}

#define MASK 0x11, 0x22, 0x33, 0x44

static const struct {
	unsigned char bytes[32];
	size_t len;
	const char *heard; /* NULL: a rule is broken */
	const char *rule;
} rows[] = {
	{ { 0x81, 0x80, MASK }, 6, "|", NULL },
	{ { 0x82, 0x83, MASK, 'a' ^ 0x11, 'b' ^ 0x22, 'c' ^ 0x33 }, 9, "abc|",
	    NULL },
	{ { 0x01, 0x81, MASK, 'a' ^ 0x11, 0x80, 0x81, MASK, 'b' ^ 0x11 }, 14,
	    "ab|", NULL },
	/* a PING between fragments */
	{ { 0x01, 0x81, MASK, 'a' ^ 0x11, 0x89, 0x81, MASK, '!' ^ 0x11, 0x80,
	      0x80, MASK },
	    20, "aP!||", NULL },
	{ { 0x8a, 0x80, MASK, 0x89, 0x80, MASK }, 12, "p|P|", NULL },
	{ { 0x81, 0x00 }, 2, NULL, "unmasked frame" },
	{ { 0x91 }, 1, NULL, "reserved bits" },
	{ { 0xa1 }, 1, NULL, "reserved bits" },
	{ { 0xc1 }, 1, NULL, "reserved bits" },
	{ { 0x83 }, 1, NULL, "reserved opcode" },
	{ { 0x87 }, 1, NULL, "reserved opcode" },
	{ { 0x8b }, 1, NULL, "reserved opcode" },
	{ { 0x8f }, 1, NULL, "reserved opcode" },
	{ { 0x09 }, 1, NULL, "fragmented control frame" },
	{ { 0x80 }, 1, NULL, "nothing to continue" },
	{ { 0x01, 0x80, MASK, 0x81 }, 7, NULL, "unfinished message" },
	{ { 0x89, 0xfe }, 2, NULL, "control frame too long" },
	{ { 0x81, 0xfe, 0x00, 0x7d, MASK }, 8, NULL, "length not minimal" },
	{ { 0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, MASK }, 14, NULL,
	    "length not minimal" },
	{ { 0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, MASK }, 14, NULL,
	    "length too large" },
};

static void
frames_are_read_in_whatever_pieces_they_come(void **state)
{
	size_t i, step;

	for (i = 0; i < ROWS(rows); i++) {
		for (step = 1; step <= rows[i].len; step++) {
			setup(state);
			assert_row(i,
			    read_all(rows[i].bytes, rows[i].len, step) ==
				(rows[i].heard != NULL));
			if (rows[i].heard == NULL)
				assert_row(i, strcmp(rule, rows[i].rule) == 0);
			else
				assert_row(i,
				    ps_slice_is(
					ps_slice(heard.data, heard.len),
					rows[i].heard));
		}
	}
}

static void
what_a_broken_rule_follows_was_heard(void **state)
{
	static const unsigned char bytes[] = { 0x81, 0x81, MASK, 'a' ^ 0x11,
		0x83, 0x80 };

	(void)state;
	assert_false(read_all(bytes, sizeof(bytes), sizeof(bytes)));
	assert_true(ps_slice_is(ps_slice(heard.data, heard.len), "a|"));
}

static void
compressed_is_the_message_and_said_by_its_first_frame(void **state)
{
	static const unsigned char good[] = { 0x41, 0x81, MASK, 'a' ^ 0x11,
		0x80, 0x80, MASK, 0x81, 0x80, MASK };
	static const unsigned char bad[][8] = { { 0x41, 0x80, MASK, 0xc0 },
		{ 0xc9 } };

	reader.allows_compressed = true;
	assert_true(read_all(good, sizeof(good), 1));
	assert_true(ps_slice_is(ps_slice(heard.data, heard.len), "za||"));
	setup(state);
	reader.allows_compressed = true;
	assert_false(read_all(bad[0], 7, 1));
	setup(state);
	reader.allows_compressed = true;
	assert_false(read_all(bad[1], 1, 1));
}

/* What a key is for: all positions, over several reads. */
static void
payload_is_unmasked_at_any_place(void **state)
{
	unsigned char bytes[300] = { 0x82, 0xfe, 0x01, 0x00, MASK };
	static const unsigned char key[] = { MASK };
	size_t i, step;

	for (i = 0; i < 256; i++)
		bytes[8 + i] = (unsigned char)i ^ key[i % 4];
	for (step = 1; step < 40; step++) {
		setup(state);
		assert_true(read_all(bytes, 8 + 256, step));
		assert_int_equal(heard.len, 257);
		for (i = 0; i < 256; i++)
			assert_int_equal((unsigned char)heard.data[i], i);
	}
}

static void
lengths_of_ours_are_minimal(void **state)
{
	static const struct {
		uint64_t payload;
		size_t len;
		unsigned char head[10];
	} heads[] = {
		{ 0, 2, { 0x81, 0 } },
		{ 125, 2, { 0x81, 125 } },
		{ 126, 4, { 0x81, 126, 0, 126 } },
		{ 65535, 4, { 0x81, 126, 0xff, 0xff } },
		{ 65536, 10, { 0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0 } },
	};
	unsigned char head[FRAME_HEAD_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(heads); i++) {
		assert_row(i, frame_head_len(heads[i].payload) == heads[i].len);
		frame_put_head(head, FRAME_TEXT, false, heads[i].payload);
		assert_row(i, memcmp(head, heads[i].head, heads[i].len) == 0);
	}
	frame_put_head(head, FRAME_TEXT, true, 5);
	assert_int_equal(head[0], 0xc1);
}

static const struct {
	const char *payload;
	size_t len;
	int code; /* negative: broken, answered with this */
} closes[] = {
	{ "", 0, 1005 },
	{ "\x03\xe8", 2, 1000 },
	{ "\x03\xe8why", 5, 1000 },
	{ "\x0b\xb8", 2, 3000 },
	{ "\x13\x87", 2, 4999 },
	{ "\x03", 1, -1002 },
	{ "\x00\x00", 2, -1002 },
	{ "\x03\xe7", 2, -1002 },
	{ "\x03\xed", 2, -1002 }, /* 1005 */
	{ "\x03\xf7", 2, -1002 }, /* 1015 */
	{ "\x07\xd0", 2, -1002 }, /* 2000 */
	{ "\x13\x88", 2, -1002 }, /* 5000 */
	{ "\x03\xe8\xff", 3, -1007 },
	{ "\x03\xe8\xc3", 3, -1007 },
};

static void
close_frames_are_looked_at(void **state)
{
	struct ps_slice reason;
	uint16_t code;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < ROWS(closes); i++) {
		ret = frame_parse_close(
		    ps_slice(closes[i].payload, closes[i].len), &code,
		    &reason, &rule);
		assert_row(i, (ret == PS_OK) == (closes[i].code > 0));
		assert_row(i, code == abs(closes[i].code));
	}
}

static void
close_frames_of_ours(void **state)
{
	char reason[200];

	(void)state;
	memset(reason, 'x', sizeof(reason));
	frame_write_close(&heard, 1005, ps_slice(NULL, 0));
	assert_bytes(ps_slice(heard.data, heard.len), "\x88\x00", 2);
	ps_writer_reset(&heard);
	frame_write_close(&heard, 1000, ps_slice_str("bye"));
	assert_bytes(ps_slice(heard.data, heard.len), "\x88\x05\x03\xe8" "bye",
	    7);
	/* One that has no room is left out. */
	ps_writer_reset(&heard);
	frame_write_close(&heard, 1000, ps_slice(reason, sizeof(reason)));
	assert_bytes(ps_slice(heard.data, heard.len), "\x88\x02\x03\xe8", 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    frames_are_read_in_whatever_pieces_they_come, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    what_a_broken_rule_follows_was_heard, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    compressed_is_the_message_and_said_by_its_first_frame,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    payload_is_unmasked_at_any_place, setup, teardown),
		cmocka_unit_test(lengths_of_ours_are_minimal),
		cmocka_unit_test(close_frames_are_looked_at),
		cmocka_unit_test_setup_teardown(close_frames_of_ours, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
