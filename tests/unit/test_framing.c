/*
 * What each framing writes, compared with golden/FRAMING-DIALECT.txt, or with
 * golden/FRAMING.txt where it is one of channels: parts
 * that start with a line "--- NAME", line breaks of the output kept, and the
 * prelude's spaces as their number. UPDATE_GOLDEN=1 writes the files anew.
 */
#include "config.h"

#include "unit.h"

#include "wsbridge/envelope.h"
#include "wsbridge/framing/channel.h"

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
open_golden(const char *name, const char *mode)
{
	const char *srcdir = getenv("srcdir");
	char path[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/unit/golden/%s.txt",
	    srcdir == NULL ? "." : srcdir, name);
	if ((file = fopen(path, mode)) == NULL)
		fail_msg("cannot open %s", path);
	return file;
}

static void
compare(const struct ps_writer *golden, const char *name)
{
	static char expected[65536];
	FILE *file;
	size_t len, i;

	if (getenv("UPDATE_GOLDEN") != NULL) {
		file = open_golden(name, "w");
		fwrite(golden->data, 1, golden->len, file);
		fclose(file);
	}
	file = open_golden(name, "r");
	len = fread(expected, 1, sizeof(expected), file);
	fclose(file);
	for (i = 0; i < len && i < golden->len; i++) {
		if (golden->data[i] != expected[i])
			break;
	}
	if (len != golden->len || i != len)
		fail_msg("%s differs at byte %zu: %.60s", name, i,
		    golden->data + i);
}

static void
every_framing_writes_what_its_golden_file_has(void **state)
{
	struct ps_writer golden = { 0 };
	unsigned framing, dialect;
	char name[64];

	(void)state;
	for (framing = 0; framing < PS_IPC_FRAMING__COUNT; framing++) {
		for (dialect = 0; dialect < ROWS(dialects); dialect++) {
			ps_writer_reset(&golden);
			write_all(&golden, framing_relay(framing), dialect);
			snprintf(name, sizeof(name), "%s-%s",
			    framing_relay(framing)->name, dialects[dialect]);
			compare(&golden, name);
		}
	}
	ps_writer_deinit(&golden);
}

/* A frame that is the same for all, and events of which one was seen. */
static void
write_frames(struct ps_writer *w, const struct framing *framing,
    struct framing_context *context)
{
	struct message *frames[] = {
		envelope_create("PRESENCE:JOINED",
		    ps_slice_str("{\"clientID\":\"client_00000000\","
				 "\"presence\":{\"n\":1.50}}")),
		envelope_data(
		    ps_slice_str("\"</script>\xe2\x80\xa8\xe2\x80\xa9<\xe2\x82\xac\""),
		    "evt_aaaaaaaa", true, false),
		envelope_data(ps_slice_str("[\"\xc3\xa4\",null]"),
		    "evt_bbbbbbbb", false, true),
		envelope_create("PING", ps_slice_str("{}")),
	};
	size_t i;

	framing->begin(w, context);
	for (i = 0; i < ROWS(frames); i++) {
		assert_non_null(frames[i]);
		context->seq++;
		framing->message(w, context, frames[i]);
		message_unref(frames[i]);
	}
	framing->end(w, context, context->seq);
}

static void
write_channel(struct ps_writer *golden, const struct framing *framing)
{
	const struct recipient recipient = { "client_me-_1234", 12,
		"evt_00000000" };
	struct framing_context context = { .dialect = PS_DIALECT_CHANNEL,
		.callback = ps_slice_str("app.on"),
		.recipient = &recipient,
		.key = ps_slice_str("node.KEY"),
		.event = "evt_00000000",
		.numbered = !framing->is_stream,
		.seq = 20 };
	struct ps_writer part = { 0 };

	if (framing->open != NULL)
		framing->open(&part, &context);
	show(golden, "open", &part);
	ps_writer_reset(&part);
	write_frames(&part, framing, &context);
	show(golden, "frames", &part);
	ps_writer_reset(&part);
	framing->begin(&part, &context);
	framing->heartbeat(&part, &context);
	framing->end(&part, &context, 0);
	show(golden, "heartbeat", &part);
	ps_writer_reset(&part);
	framing->begin(&part, &context);
	context.seq++;
	framing->close(&part, &context, 1008, ps_slice_str("said \"no\""),
	    true);
	framing->end(&part, &context, context.seq);
	show(golden, "close", &part);
	assert_false(part.failed);
	ps_writer_deinit(&part);
}

static void
every_framing_of_channels_does_so_too(void **state)
{
	struct ps_writer golden = { 0 };
	unsigned framing;

	(void)state;
	for (framing = 0; framing < PS_IPC_FRAMING__COUNT; framing++) {
		ps_writer_reset(&golden);
		write_channel(&golden, framing_channel(framing));
		compare(&golden, framing_channel(framing)->name);
	}
	ps_writer_deinit(&golden);
}

static void
what_is_a_recipients_own_is_never_longer_than_said(void **state)
{
	const struct recipient recipient = { "client_12345678", UINT32_MAX,
		"" };
	struct message *message =
	    envelope_create("PING", ps_slice_str("{}"));
	struct ps_writer w = { 0 };

	(void)state;
	assert_non_null(message);
	framing_channel_text(&w, message, &recipient);
	assert_slice(written(&w),
	    "{\"type\":\"PING\",\"payload\":{},"
	    "\"clientID\":\"client_12345678\",\"latency\":4294967295}");
	assert_true(w.len - message->len < FRAMING_CHANNEL_OWN_MAX);
	message_unref(message);
	ps_writer_deinit(&w);
}

static void
every_framing_has_what_a_receiver_needs(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < PS_IPC_FRAMING__COUNT; i++) {
		const struct framing *framing = framing_relay(i);
		const struct framing *ours = framing_channel(i);

		assert_row(i, ours->begin != NULL && ours->end != NULL);
		assert_row(i, ours->message != NULL &&
			ours->heartbeat != NULL && ours->close != NULL);
		assert_row(i, ours->is_stream == framing->is_stream);
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
		cmocka_unit_test(every_framing_of_channels_does_so_too),
		cmocka_unit_test(
		    what_is_a_recipients_own_is_never_longer_than_said),
		cmocka_unit_test(every_framing_has_what_a_receiver_needs),
		cmocka_unit_test(an_event_is_never_cut_by_its_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
