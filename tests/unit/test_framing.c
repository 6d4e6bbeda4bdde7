/*
 * What each framing writes, compared with golden/FRAMING-DIALECT.txt: parts
 * that start with a line "--- NAME", line breaks of the output kept, and the
 * prelude's spaces as their number. UPDATE_GOLDEN=1 writes the files anew.
 */
#include "config.h"

#include "unit.h"

#include "wsbridge/framing/framing.h"

/* Those of the relay, which come first. */
static const char *const dialects[] = { "polysocket", "polysocketd" };
_Static_assert(ROWS(dialects) == PS_DIALECT_CHANNEL,
    "every dialect needs its name");

/* One unit of a stream, or a whole poll; type PS_EVENT__COUNT ends a list. */
static const struct unit {
	const char *name;
	struct {
		enum ps_event_type type;
		const char *data;
		size_t len;
	} messages[5];
	bool heartbeat;
	int close; /* code, or 0 */
	const char *reason;
	bool was_clean;
	uint64_t last;
} units[] = {
	{ .name = "text",
	    .messages = { { PS_EVENT_TEXT, "hello", 5 },
		{ PS_EVENT__COUNT, NULL, 0 } },
	    .last = 1 },
	{ .name = "text and binary",
	    .messages = { { PS_EVENT_TEXT, "one", 3 },
		{ PS_EVENT_BINARY, "\x00\x01\xfe\xff", 4 },
		{ PS_EVENT_TEXT, "", 0 },
		{ PS_EVENT_BINARY, "", 0 },
		{ PS_EVENT__COUNT, NULL, 0 } },
	    .last = 18446744073709551615u },
	{ .name = "escapes",
	    .messages = { { PS_EVENT_TEXT,
			      "\"\\/\b\f\n\r\t\0\x1f\x7f \r\ndata: x\n\n", 23 },
		{ PS_EVENT_TEXT, "</script><!-- \xe2\x80\xa8\xe2\x80\xa9", 20 },
		{ PS_EVENT_TEXT, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9 },
		{ PS_EVENT__COUNT, NULL, 0 } },
	    .last = 21 },
	{ .name = "heartbeat",
	    .messages = { { PS_EVENT__COUNT, NULL, 0 } },
	    .heartbeat = true },
	{ .name = "close",
	    .messages = { { PS_EVENT__COUNT, NULL, 0 } },
	    .close = 1006,
	    .reason = "",
	    .last = 22 },
	{ .name = "messages and close",
	    .messages = { { PS_EVENT_TEXT, "last", 4 },
		{ PS_EVENT_BINARY, "bye", 3 },
		{ PS_EVENT__COUNT, NULL, 0 } },
	    .close = 1000,
	    .reason = "said \"goodbye\"",
	    .was_clean = true,
	    .last = 23 },
	{ .name = "nothing",
	    .messages = { { PS_EVENT__COUNT, NULL, 0 } } },
};

/* Long runs of spaces are counted; nothing else is changed. */
static void
show(struct ps_writer *golden, const char *name, const struct ps_writer *part)
{
	size_t i, spaces;

	ps_writer_printf(golden, "--- %s\n", name);
	for (i = 0; i < part->len; i += spaces) {
		spaces = 0;
		while (i + spaces < part->len && part->data[i + spaces] == ' ')
			spaces++;
		if (spaces > 8) {
			ps_writer_printf(golden, "(%zu spaces)", spaces);
			continue;
		}
		spaces = spaces == 0 ? 1 : spaces;
		ps_writer_bytes(golden, part->data + i, spaces);
	}
	ps_writer_str(golden, "\n");
}

static void
write_message(struct ps_writer *w, const struct framing *framing,
    struct framing_context *context, enum ps_event_type type,
    struct ps_slice data)
{
	struct message *message = message_create(type, data);

	assert_non_null(message);
	framing->message(w, context, message);
	message_unref(message);
}

static void
write_unit(struct ps_writer *w, const struct framing *framing,
    struct framing_context *context, const struct unit *unit)
{
	size_t i;

	framing->begin(w, context);
	for (i = 0; unit->messages[i].type != PS_EVENT__COUNT; i++)
		write_message(w, framing, context, unit->messages[i].type,
		    ps_slice(unit->messages[i].data, unit->messages[i].len));
	if (unit->heartbeat)
		framing->heartbeat(w, context);
	if (unit->close != 0)
		framing->close(w, context, (uint16_t)unit->close,
		    ps_slice_str(unit->reason), unit->was_clean);
	framing->end(w, context, unit->last);
}

static void
write_all(struct ps_writer *golden, const struct framing *framing,
    enum ps_dialect dialect)
{
	struct framing_context context = { .dialect = dialect,
		.callback = ps_slice_str("app.on"),
		.got = 20 };
	struct ps_writer part = { 0 };
	char name[40];
	size_t i;

	ps_writer_printf(golden, "--- %s, %s\n", framing->content_type,
	    framing->is_stream ? "stream" : "poll");
	if (framing->open != NULL) {
		framing->open(&part, &context);
		show(golden, "open", &part);
	}
	for (i = 0; i < 2 * ROWS(units); i++) {
		const struct unit *unit = &units[i % ROWS(units)];

		context.numbered = i >= ROWS(units);
		snprintf(name, sizeof(name), "%s%s", unit->name,
		    context.numbered ? ", numbered" : "");
		ps_writer_reset(&part);
		write_unit(&part, framing, &context, unit);
		assert_false(part.failed);
		show(golden, name, &part);
	}
	ps_writer_deinit(&part);
}

static FILE *
open_golden(const struct framing *framing, enum ps_dialect dialect,
    const char *mode)
{
	const char *srcdir = getenv("srcdir");
	char path[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/unit/golden/%s-%s.txt",
	    srcdir == NULL ? "." : srcdir, framing->name, dialects[dialect]);
	if ((file = fopen(path, mode)) == NULL)
		fail_msg("cannot open %s", path);
	return file;
}

static void
compare(const struct framing *framing, enum ps_dialect dialect)
{
	static char expected[65536];
	struct ps_writer golden = { 0 };
	FILE *file;
	size_t len, i;

	write_all(&golden, framing, dialect);
	if (getenv("UPDATE_GOLDEN") != NULL) {
		file = open_golden(framing, dialect, "w");
		fwrite(golden.data, 1, golden.len, file);
		fclose(file);
	}
	file = open_golden(framing, dialect, "r");
	len = fread(expected, 1, sizeof(expected), file);
	fclose(file);
	for (i = 0; i < len && i < golden.len; i++) {
		if (golden.data[i] != expected[i])
			break;
	}
	if (len != golden.len || i != len)
		fail_msg("%s in %s differs at byte %zu: %.60s", framing->name,
		    dialects[dialect], i, golden.data + i);
	ps_writer_deinit(&golden);
}

static void
every_framing_writes_what_its_golden_file_has(void **state)
{
	unsigned framing, dialect;

	(void)state;
	for (framing = 0; framing < PS_IPC_FRAMING__COUNT; framing++) {
		for (dialect = 0; dialect < ROWS(dialects); dialect++)
			compare(framing_relay(framing), dialect);
	}
}

static void
every_framing_has_what_a_receiver_needs(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < PS_IPC_FRAMING__COUNT; i++) {
		const struct framing *framing = framing_relay(i);

		assert_row(i, framing->name != NULL);
		assert_row(i, framing->content_type != NULL);
		assert_row(i, framing->begin != NULL && framing->end != NULL);
		assert_row(i, framing->message != NULL &&
			framing->heartbeat != NULL && framing->close != NULL);
		assert_row(i, (framing->open != NULL) == framing->is_stream);
	}
}

static void
an_event_is_never_cut_by_its_data(void **state)
{
	/* A stream's reader splits at line breaks: none may be inside. */
	static const char data[] = "a\nb\rc\r\nd\n\n";
	const struct framing *framing =
	    framing_relay(PS_IPC_FRAMING_EVENTSOURCE);
	struct framing_context context = { .dialect = PS_DIALECT_POLYSOCKET };
	struct ps_writer w = { 0 };

	(void)state;
	framing->begin(&w, &context);
	write_message(&w, framing, &context, PS_EVENT_TEXT,
	    ps_slice_str(data));
	assert_null(memchr(w.data, '\n', w.len));
	assert_null(memchr(w.data, '\r', w.len));
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_framing_writes_what_its_golden_file_has),
		cmocka_unit_test(every_framing_has_what_a_receiver_needs),
		cmocka_unit_test(an_event_is_never_cut_by_its_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
