#include "config.h"

#include "unit.h"

#include "ps_limits.h"
#include "wsbridge/channels/envelope.h"

static struct client_frame frame;
static const char *sentence;

static int
parse(struct ps_slice text)
{
	client_frame_deinit(&frame);
	return client_frame_parse(&frame, text, &sentence);
}

static int
teardown(void **state)
{
	(void)state;
	client_frame_deinit(&frame);
	return 0;
}

static void
each_type_is_known_however_it_is_written(void **state)
{
	static const struct {
		const char *text;
		enum client_type type;
	} rows[] = {
		{ "{\"type\":\"PONG\"}", CLIENT_PONG },
		{ "{\"type\":\"pong\",\"payload\":[1]}", CLIENT_PONG },
		{ " { \"x\" : 1 , \"type\" : \"PoNg\" } ", CLIENT_PONG },
		{ "{\"\\u0074ype\":\"P\\u004fNG\"}", CLIENT_PONG },
		{ "{\"type\":\"ack\",\"payload\":{\"eventID\":\"e\"}}",
		    CLIENT_ACK },
		{ "{\"type\":\"Presence\",\"payload\":{}}",
		    CLIENT_PRESENCE },
		{ "{\"type\":\"emit\",\"payload\":0}", CLIENT_EMIT },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_row(i, parse(ps_slice_str(rows[i].text)) == PS_OK);
		assert_row(i, frame.type == rows[i].type && sentence == NULL);
	}
}

static void
a_type_that_nobody_knows_is_told_apart(void **state)
{
	static const char *const rows[] = {
		"{\"type\":\"\"}",
		"{\"type\":\"PIN\"}",
		"{\"type\":\"PONGS\"}",
		"{\"type\":\"PONG\\u0000\"}",
		"{\"type\":\"DATA\",\"payload\":{}}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++)
		assert_row(i,
		    parse(ps_slice_str(rows[i])) == PS_ERR_UNKNOWN);
}

static void
what_makes_no_sense_is_refused_with_a_sentence(void **state)
{
	static const struct {
		const char *text, *word; /* that the sentence has */
	} rows[] = {
		{ "", "no JSON" },
		{ "{", "no JSON" },
		{ "{\"type\":\"PONG\"}{}", "no JSON" },
		{ "{'type':'PONG'}", "no JSON" },
		{ "{\"type\":\"PONG\",}", "no JSON" },
		{ "{\"type\":\"PONG\",\"x\":\"\xff\"}", "no JSON" },
		{ "{\"type\":\"PONG\",\"x\":\"\\ud800\"}", "no JSON" },
		{ "null", "an object" },
		{ "[]", "an object" },
		{ "\"PONG\"", "an object" },
		{ "[{\"type\":\"PONG\"}]", "an object" },
		{ "{}", "a type" },
		{ "{\"type\":1}", "a type" },
		{ "{\"type\":null}", "a type" },
		{ "{\"Type\":\"PONG\"}", "a type" },
		{ "{\"x\":{\"type\":\"PONG\"}}", "a type" },
		{ "{\"type\":\"PONG\",\"type\":\"PONG\"}", "twice" },
		{ "{\"type\":\"PONG\",\"\\u0074ype\":\"PONG\"}", "twice" },
		{ "{\"type\":\"EMIT\",\"payload\":1,\"payload\":2}", "twice" },
		{ "{\"type\":\"ACK\"}", "eventID" },
		{ "{\"type\":\"ACK\",\"payload\":\"evt_12345678\"}",
		    "eventID" },
		{ "{\"type\":\"ACK\",\"payload\":{}}", "eventID" },
		{ "{\"type\":\"ACK\",\"payload\":{\"eventID\":1}}",
		    "eventID" },
		{ "{\"type\":\"ACK\",\"payload\":[\"eventID\",\"e\"]}",
		    "eventID" },
		{ "{\"type\":\"ACK\",\"payload\":{\"eventID\":\"e\","
		  "\"eventID\":\"e\"}}",
		    "eventID" },
		{ "{\"type\":\"PRESENCE\"}", "an object" },
		{ "{\"type\":\"PRESENCE\",\"payload\":null}", "an object" },
		{ "{\"type\":\"PRESENCE\",\"payload\":[]}", "an object" },
		{ "{\"type\":\"PRESENCE\",\"payload\":\"{}\"}", "an object" },
		{ "{\"type\":\"EMIT\"}", "No payload" },
		{ "{\"type\":\"EMIT\",\"payload\":null}", "No payload" },
		{ "{\"type\":\"EMIT\",\"payload\":{ }}", "No payload" },
		{ "{\"type\":\"EMIT\",\"payload\":[ ]}", "No payload" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_row(i,
		    parse(ps_slice_str(rows[i].text)) == PS_ERR_MALFORMED);
		assert_row(i, strstr(sentence, rows[i].word) != NULL);
	}
}

static void
an_ack_says_which_event_it_means(void **state)
{
	(void)state;
	assert_int_equal(parse(ps_slice_str("{\"type\":\"ACK\",\"payload\":"
					    "{\"x\":[],\"eventID\":"
					    "\"evt_-_\\u0041\"}}")),
	    PS_OK);
	assert_slice(frame.event_id, "evt_-_A");
	assert_int_equal(parse(ps_slice_str("{\"type\":\"ACK\",\"payload\":"
					    "{\"eventID\":\"\"}}")),
	    PS_OK);
	assert_slice(frame.event_id, "");
}

/* Numbers, order and names that are there twice stay. */
static void
a_payload_stays_as_it_was_sent(void **state)
{
	static const struct {
		const char *sent, *payload;
	} rows[] = {
		{ "0", "0" },
		{ "false", "false" },
		{ "\"\"", "\"\"" },
		{ "-0.10e+2", "-0.10e+2" },
		{ "123456789012345678901234567890",
		    "123456789012345678901234567890" },
		{ "[ null ]", "[null]" },
		{ "{ \"b\" : 1.0 , \"a\" : [ 1 , 2 ], \"b\" : 2 }",
		    "{\"b\":1.0,\"a\":[1,2],\"b\":2}" },
		{ "\" \\u0041 \\/ \\\" \"", "\" \\u0041 \\/ \\\" \"" },
		{ "{\"payload\":\"x\",\"type\":\"PONG\"}",
		    "{\"payload\":\"x\",\"type\":\"PONG\"}" },
		{ "[{}]", "[{}]" },
		{ "\"\xc3\xa4\xe2\x80\xa8\"", "\"\xc3\xa4\xe2\x80\xa8\"" },
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		snprintf(text, sizeof(text),
		    "{\"payload\": %s ,\"type\":\"EMIT\"}", rows[i].sent);
		assert_row(i, parse(ps_slice_str(text)) == PS_OK);
		assert_row(i, ps_slice_is(frame.payload, rows[i].payload));
		assert_row(i, frame.clients == PS_IPC_CLIENTS_ALL);
		assert_row(i, !frame.requires_ack && frame.min_acks == 0);
		assert_row(i, frame.key.len == 0 && frame.listed.len == 0);
	}
}

static void
an_emit_says_to_whom_it_goes(void **state)
{
	static const struct {
		const char *members;
		enum ps_ipc_clients clients;
		uint32_t number;
		const char *listed;
	} rows[] = {
		{ "\"clients\":null", PS_IPC_CLIENTS_ALL, 0, "" },
		{ "\"clients\":1", PS_IPC_CLIENTS_NUMBER, 1, "" },
		{ "\"clients\":1000000", PS_IPC_CLIENTS_NUMBER, 1000000, "" },
		{ "\"clients\":\"3\"", PS_IPC_CLIENTS_NUMBER, 3, "" },
		{ "\"clients\":\"a\"", PS_IPC_CLIENTS_LISTED, 0, "a" },
		{ "\"clients\":\"a,b\"", PS_IPC_CLIENTS_LISTED, 0, "a,b" },
		{ "\"clients\":[\"a\"]", PS_IPC_CLIENTS_LISTED, 0, "a" },
		{ "\"clients\":[\"a\",\"\\u0062\",\"3\"]",
		    PS_IPC_CLIENTS_LISTED, 0, "a,b,3" },
		{ "\"clients\":\"-\"", PS_IPC_CLIENTS_LISTED, 0, "-" },
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		snprintf(text, sizeof(text),
		    "{\"type\":\"EMIT\",\"payload\":1,%s}", rows[i].members);
		assert_row(i, parse(ps_slice_str(text)) == PS_OK);
		assert_row(i, frame.clients == rows[i].clients);
		assert_row(i, frame.number == rows[i].number);
		assert_row(i, ps_slice_is(frame.listed, rows[i].listed));
	}
}

static void
an_emit_says_how_it_is_to_be_acknowledged(void **state)
{
	static const struct {
		const char *members;
		bool requires_ack;
		uint32_t min_acks;
	} rows[] = {
		{ "\"requires_ack\":true", true, 0 },
		{ "\"requires_ack\":1", true, 0 },
		{ "\"requires_ack\":\"true\"", true, 0 },
		{ "\"requires_ack\":\"1\"", true, 0 },
		{ "\"requires_ack\":false", false, 0 },
		{ "\"requires_ack\":0", false, 0 },
		{ "\"requires_ack\":\"false\"", false, 0 },
		{ "\"requires_ack\":\"0\"", false, 0 },
		{ "\"requires_ack\":null,\"min_acks\":null", false, 0 },
		{ "\"min_acks\":1", true, 1 },
		{ "\"min_acks\":1000000,\"requires_ack\":true", true,
		    1000000 },
		{ "\"min_acks\":2,\"requires_ack\":false", true, 2 },
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		snprintf(text, sizeof(text),
		    "{\"type\":\"EMIT\",\"payload\":1,%s}", rows[i].members);
		assert_row(i, parse(ps_slice_str(text)) == PS_OK);
		assert_row(i, frame.requires_ack == rows[i].requires_ack);
		assert_row(i, frame.min_acks == rows[i].min_acks);
	}
}

static void
an_emit_that_asks_for_nonsense_is_refused(void **state)
{
	static const struct {
		const char *members, *word;
	} rows[] = {
		{ "\"clients\":0", "clients" },
		{ "\"clients\":-1", "clients" },
		{ "\"clients\":1.0", "clients" },
		{ "\"clients\":1e2", "clients" },
		{ "\"clients\":1000001", "clients" },
		{ "\"clients\":4294967297", "clients" },
		{ "\"clients\":18446744073709551617", "clients" },
		{ "\"clients\":true", "clients" },
		{ "\"clients\":{}", "clients" },
		{ "\"clients\":{\"a\":1}", "clients" },
		{ "\"clients\":[]", "clients" },
		{ "\"clients\":[1]", "clients" },
		{ "\"clients\":[\"\"]", "clients" },
		{ "\"clients\":[\"a\",\"\"]", "clients" },
		{ "\"clients\":[\"a,b\"]", "clients" },
		{ "\"clients\":[\"a\",null]", "clients" },
		{ "\"clients\":\"\"", "clients" },
		{ "\"clients\":\"0\"", "clients" },
		{ "\"clients\":\"-1\"", "clients" },
		{ "\"clients\":\"1000001\"", "clients" },
		{ "\"clients\":\",\"", "clients" },
		{ "\"clients\":\"a,\"", "clients" },
		{ "\"clients\":\",a\"", "clients" },
		{ "\"clients\":\"a,,b\"", "clients" },
		{ "\"requires_ack\":2", "requires_ack" },
		{ "\"requires_ack\":\"\"", "requires_ack" },
		{ "\"requires_ack\":\"yes\"", "requires_ack" },
		{ "\"requires_ack\":[]", "requires_ack" },
		{ "\"min_acks\":0", "min_acks" },
		{ "\"min_acks\":-1", "min_acks" },
		{ "\"min_acks\":\"1\"", "min_acks" },
		{ "\"min_acks\":1000001", "min_acks" },
		{ "\"id\":1", "id" },
		{ "\"id\":\"\"", "id" },
		{ "\"id\":[\"a\"]", "id" },
		{ "\"id\":\"a\\u0000\"", "id" },
		{ "\"id\":\"a\",\"id\":\"a\"", "twice" },
		{ "\"clients\":1,\"clients\":1", "twice" },
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		snprintf(text, sizeof(text),
		    "{\"type\":\"EMIT\",\"payload\":1,%s}", rows[i].members);
		assert_row(i, parse(ps_slice_str(text)) == PS_ERR_MALFORMED);
		assert_row(i, strstr(sentence, rows[i].word) != NULL);
	}
}

/* A frame with `n` times `unit` in its middle. */
static int
parse_repeated(const char *before, const char *unit, size_t n,
    const char *after)
{
	struct ps_writer w = { 0 };
	int ret;

	ps_writer_str(&w, before);
	while (n-- > 0)
		ps_writer_str(&w, unit);
	ps_writer_str(&w, after);
	ret = parse(written(&w));
	ps_writer_deinit(&w);
	return ret;
}

static void
bounds_hold_to_the_byte(void **state)
{
	static const struct {
		const char *before, *unit;
		size_t n; /* so many are fine */
		const char *after;
	} rows[] = {
		{ "{\"type\":\"PRESENCE\",\"payload\":{\"a\":\"", "x",
		    PS_PRESENCE_MAX - 8, "\"}}" },
		{ "{\"type\":\"EMIT\",\"payload\":1,\"id\":\"", "x",
		    PS_EMIT_ID_CHARACTERS, "\"}" },
		{ "{\"type\":\"EMIT\",\"payload\":1,\"id\":\"", "\\ud83d\\ude00",
		    PS_EMIT_ID_CHARACTERS, "\"}" },
		{ "{\"type\":\"EMIT\",\"payload\":1,\"clients\":\"a", ",b",
		    PS_CLIENTS_MAX - 1, "\"}" },
		{ "{\"type\":\"EMIT\",\"payload\":1,\"clients\":[\"a\"",
		    ",\"b\"", PS_CLIENTS_MAX - 1, "]}" },
		{ "{\"type\":\"EMIT\",\"payload\":1,\"clients\":\"", "x",
		    PS_CLIENTS_TEXT_MAX, "\"}" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		assert_row(i, parse_repeated(rows[i].before, rows[i].unit,
				  rows[i].n, rows[i].after) == PS_OK);
		assert_row(i, parse_repeated(rows[i].before, rows[i].unit,
				  rows[i].n + 1, rows[i].after) ==
			PS_ERR_MALFORMED);
	}
}

/* Arrays inside of the frame, which is a level itself. */
static int
parse_nested(size_t depth)
{
	char after[2 * PS_JSON_DEPTH_MAX];

	memset(after, ']', depth);
	strcpy(after + depth, "}");
	return parse_repeated("{\"type\":\"EMIT\",\"payload\":", "[", depth,
	    after);
}

static void
nesting_has_a_bound(void **state)
{
	(void)state;
	assert_int_equal(parse_nested(PS_JSON_DEPTH_MAX - 1), PS_OK);
	assert_int_equal(parse_nested(PS_JSON_DEPTH_MAX), PS_ERR_MALFORMED);
	assert_non_null(strstr(sentence, "nested"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_is_known_however_it_is_written),
		cmocka_unit_test(a_type_that_nobody_knows_is_told_apart),
		cmocka_unit_test(
		    what_makes_no_sense_is_refused_with_a_sentence),
		cmocka_unit_test(an_ack_says_which_event_it_means),
		cmocka_unit_test(a_payload_stays_as_it_was_sent),
		cmocka_unit_test(an_emit_says_to_whom_it_goes),
		cmocka_unit_test(an_emit_says_how_it_is_to_be_acknowledged),
		cmocka_unit_test(an_emit_that_asks_for_nonsense_is_refused),
		cmocka_unit_test(bounds_hold_to_the_byte),
		cmocka_unit_test(nesting_has_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
