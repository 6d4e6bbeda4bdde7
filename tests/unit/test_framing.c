/*
 * What each framing writes, compared with golden/FRAMING-DIALECT.txt, or with
 * golden/FRAMING.txt where it is one of channels or of SockJS: parts that start
 * with a line "--- NAME", line breaks of the output kept, a carriage return
 * shown as (CR), and what a prelude repeats as its number. UPDATE_GOLDEN=1
 * writes the files anew.
 */
#include "config.h"

#include "unit.h"

#include "wsbridge/channels/envelope.h"
#include "wsbridge/framing/channel.h"
#include "wsbridge/framing/sockjs.h"

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

/* Long runs of spaces or of `h` are counted. */
static void
show(struct ps_writer *golden, const char *name, const struct ps_writer *part)
{
	size_t i, run;
	char c;

	ps_writer_printf(golden, "--- %s\n", name);
	for (i = 0; i < part->len; i += run) {
		c = part->data[i];
		for (run = 1; i + run < part->len && part->data[i + run] == c;)
			run++;
		if (run > 8 && (c == ' ' || c == 'h'))
			ps_writer_printf(golden, "(%zu %s)", run,
			    c == ' ' ? "spaces" : "h");
		else if (c == '\r')
			ps_writer_str(golden, "(CR)");
		else
			ps_writer_bytes(golden, part->data + i, run);
		run = c == '\r' ? 1 : run;
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

/* --- SockJS --- */

static struct ps_writer frame;

/* One unit; NULL ends the messages. */
static struct ps_slice
messages_by(enum ps_sockjs_framing kind, const char *const *literals)
{
	const struct framing *framing = framing_sockjs(kind);
	struct framing_context context = { .callback = ps_slice_str("cb") };

	ps_writer_reset(&frame);
	framing->begin(&frame, &context);
	for (; *literals != NULL; literals++)
		write_message(&frame, framing, &context, PS_EVENT_TEXT,
		    ps_slice_str(*literals));
	framing->end(&frame, &context, 7);
	assert_false(frame.failed);
	return written(&frame);
}

static struct ps_slice
message_by(enum ps_sockjs_framing kind, const char *literal)
{
	return messages_by(kind, (const char *const[]){ literal, NULL });
}

/* The greeting, a heartbeat, or what a stream begins with. */
static struct ps_slice
alone_by(enum ps_sockjs_framing kind,
    void (*put)(struct ps_writer *w, struct framing_context *c))
{
	const struct framing *framing = framing_sockjs(kind);
	struct framing_context context = { .callback = ps_slice_str("cb") };

	ps_writer_reset(&frame);
	framing->begin(&frame, &context);
	put(&frame, &context);
	framing->end(&frame, &context, 0);
	return written(&frame);
}

static struct ps_slice
close_by(enum ps_sockjs_framing kind, uint16_t code, const char *reason)
{
	const struct framing *framing = framing_sockjs(kind);
	struct framing_context context = { .callback = ps_slice_str("cb") };

	ps_writer_reset(&frame);
	framing->begin(&frame, &context);
	framing->close(&frame, &context, code, ps_slice_str(reason), true);
	framing->end(&frame, &context, 8);
	return written(&frame);
}

static struct ps_slice
prelude_by(enum ps_sockjs_framing kind)
{
	const struct framing_context context = { .callback =
						     ps_slice_str("callback") };

	ps_writer_reset(&frame);
	framing_sockjs(kind)->open(&frame, &context);
	return written(&frame);
}

static void
write_sockjs(struct ps_writer *golden, enum ps_sockjs_framing kind)
{
	static const char *const three[] = { "\"\"", "\"<b>50% \\\\ \xc3\xa4\"",
		"\"\\u0000\\\"\\r\\n</script>\"", NULL };
	const struct framing *framing = framing_sockjs(kind);

	ps_writer_printf(golden, "--- %s, %s\n", framing->content_type,
	    framing->is_stream ? "stream" : "poll");
	if (framing->open != NULL) {
		prelude_by(kind);
		show(golden, "open", &frame);
	}
	alone_by(kind, framing->greet);
	show(golden, "greeting", &frame);
	message_by(kind, "\"x\"");
	show(golden, "message", &frame);
	messages_by(kind, three);
	show(golden, "messages", &frame);
	alone_by(kind, framing->heartbeat);
	show(golden, "heartbeat", &frame);
	close_by(kind, 3000, "Go away!");
	show(golden, "close", &frame);
	close_by(kind, 4999, "\"</script>\"\n\xe2\x80\xa8 100%");
	show(golden, "close, escaped", &frame);
}

static void
every_framing_of_sockjs_does_so_too(void **state)
{
	struct ps_writer golden = { 0 };
	unsigned kind;
	char name[64];

	(void)state;
	for (kind = 0; kind < PS_SOCKJS_FRAMING__COUNT; kind++) {
		ps_writer_reset(&golden);
		write_sockjs(&golden, kind);
		snprintf(name, sizeof(name), "sockjs-%s",
		    framing_sockjs(kind)->name);
		compare(&golden, name);
	}
	ps_writer_deinit(&golden);
	ps_writer_deinit(&frame);
}

/* As the suite of protocol 0.3.3 has them, but for JSONP's comment. */
static void
frames_of_sockjs_are_the_protocols(void **state)
{
	const struct framing *any = framing_sockjs(PS_SOCKJS_XHR);

	(void)state;
	assert_slice(alone_by(PS_SOCKJS_XHR, any->greet), "o\n");
	assert_slice(message_by(PS_SOCKJS_XHR, "\"x\""), "a[\"x\"]\n");
	assert_slice(close_by(PS_SOCKJS_XHR, 2010,
			 "Another connection still open"),
	    "c[2010,\"Another connection still open\"]\n");
	assert_slice(alone_by(PS_SOCKJS_EVENTSOURCE, any->greet),
	    "data: o\r\n\r\n");
	assert_slice(message_by(PS_SOCKJS_EVENTSOURCE,
			 "\"  \\u0000\\n\\r \""),
	    "data: a[\"  \\u0000\\n\\r \"]\r\n\r\n");
	assert_slice(alone_by(PS_SOCKJS_HTMLFILE, any->greet),
	    "<script>\np(\"o\");\n</script>\r\n");
	assert_slice(message_by(PS_SOCKJS_HTMLFILE, "\"x\""),
	    "<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n");
	assert_slice(alone_by(PS_SOCKJS_JSONP, any->greet),
	    "/**/cb(\"o\");\r\n");
	assert_slice(message_by(PS_SOCKJS_JSONP, "\"x\""),
	    "/**/cb(\"a[\\\"x\\\"]\");\r\n");
	assert_slice(close_by(PS_SOCKJS_JSONP, 3000, "Go away!"),
	    "/**/cb(\"c[3000,\\\"Go away!\\\"]\");\r\n");
	ps_writer_deinit(&frame);
}

static void
streams_of_sockjs_begin_as_the_protocol_has_it(void **state)
{
	struct ps_slice got = prelude_by(PS_SOCKJS_XHR_STREAMING);
	static const char head_end[] = "  </script>\n";
	const char *end;
	size_t i;

	(void)state;
	assert_int_equal(got.len, 2049);
	for (i = 0; i < 2048; i++)
		assert_row(i, got.data[i] == 'h');
	assert_int_equal(got.data[2048], '\n');
	assert_slice(prelude_by(PS_SOCKJS_EVENTSOURCE), "\r\n");
	got = prelude_by(PS_SOCKJS_HTMLFILE);
	assert_true(got.len > 1024);
	assert_non_null(memmem(got.data, got.len, "= parent.callback;", 18));
	end = memmem(got.data, got.len, head_end, sizeof(head_end) - 1);
	assert_non_null(end);
	for (end += sizeof(head_end) - 1; *end == ' '; end++)
		;
	assert_int_equal(got.data + got.len - end, 4);
	assert_memory_equal(end, "\r\n\r\n", 4);
	ps_writer_deinit(&frame);
}

/* What wraps a frame is one level of escapes, which takes nothing off it. */
static void
a_wrapped_frame_can_be_told_again(void **state)
{
	static const char literal[] = "\"%25\\\\\\\"<\\\\u003c%%\"";
	struct ps_slice got;

	(void)state;
	got = message_by(PS_SOCKJS_EVENTSOURCE, literal);
	assert_slice(got,
	    "data: a[\"%2525\\\\\\\"<\\\\u003c%25%25\"]\r\n\r\n");
	got = message_by(PS_SOCKJS_JSONP, literal);
	assert_slice(got,
	    "/**/cb(\"a[\\\"%25\\\\\\\\\\\\\\\"\\u003c"
	    "\\\\\\\\u003c%%\\\"]\");\r\n");
	got = message_by(PS_SOCKJS_HTMLFILE, literal);
	assert_slice(got,
	    "<script>\np(\"a[\\\"%25\\\\\\\\\\\\\\\"\\u003c"
	    "\\\\\\\\u003c%%\\\"]\");\n</script>\r\n");
	ps_writer_deinit(&frame);
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
		assert_row(i, framing->greet == NULL && ours->greet == NULL);
	}
	for (i = 0; i < PS_SOCKJS_FRAMING__COUNT; i++) {
		const struct framing *framing = framing_sockjs(i);

		assert_row(i, framing->begin != NULL && framing->end != NULL);
		assert_row(i, framing->message != NULL &&
			framing->heartbeat != NULL && framing->close != NULL);
		assert_row(i, framing->greet != NULL);
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
		cmocka_unit_test(every_framing_of_sockjs_does_so_too),
		cmocka_unit_test(frames_of_sockjs_are_the_protocols),
		cmocka_unit_test(
		    streams_of_sockjs_begin_as_the_protocol_has_it),
		cmocka_unit_test(a_wrapped_frame_can_be_told_again),
		cmocka_unit_test(
		    what_is_a_recipients_own_is_never_longer_than_said),
		cmocka_unit_test(every_framing_has_what_a_receiver_needs),
		cmocka_unit_test(an_event_is_never_cut_by_its_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
