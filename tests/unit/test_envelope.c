#include "config.h"

#include "unit.h"

#include "ps_limits.h"
#include "wsbridge/channels/envelope.h"

/* What a recipient gets, with its own in the middle. */
static bool
reads(const struct message *message, const char *before, const char *after)
{
	struct ps_slice all = message_slice(message);

	return message->type == PS_EVENT_TEXT &&
	    message->split <= all.len &&
	    ps_slice_is(ps_slice(all.data, message->split), before) &&
	    ps_slice_is(ps_slice(all.data + message->split,
			    all.len - message->split),
		after);
}

static void
a_frame_has_a_place_for_the_recipients_own(void **state)
{
	struct message *message =
	    envelope_create("PING", ps_slice_str("{}"));

	(void)state;
	assert_true(
	    reads(message, "{\"type\":\"PING\",\"payload\":{}", "}"));
	assert_true(message->is_free);
	assert_slice(envelope_event_id(message), "");
	message_unref(message);
}

static void
data_is_counted_and_has_its_event_id_behind(void **state)
{
	static const struct {
		bool requires_ack, replayed;
		const char *after;
	} rows[] = {
		{ false, false, ",\"eventID\":\"evt_abcdefgh\"}" },
		{ true, false,
		    ",\"requires_ack\":true,\"eventID\":\"evt_abcdefgh\"}" },
		{ false, true,
		    ",\"eventID\":\"evt_abcdefgh\",\"replayed\":true}" },
		{ true, true,
		    ",\"requires_ack\":true,\"eventID\":\"evt_abcdefgh\","
		    "\"replayed\":true}" },
	};
	struct message *message;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		message = envelope_data(ps_slice_str("[1.0,\"\"]"),
		    "evt_abcdefgh", rows[i].requires_ack, rows[i].replayed);
		assert_row(i, reads(message,
				  "{\"type\":\"DATA\",\"payload\":[1.0,\"\"]",
				  rows[i].after));
		assert_row(i, !message->is_free);
		assert_row(i, ps_slice_is(envelope_event_id(message),
				  "evt_abcdefgh"));
		message_unref(message);
	}
}

/* Nothing that a payload says is taken for the id. */
static void
the_id_of_an_event_is_not_that_of_its_payload(void **state)
{
	static const char payload[] = "{\"eventID\":\"evt_12345678\"}";
	struct message *message = envelope_create("ACK-RECEIVED",
	    ps_slice_str(payload));
	struct message *plain =
	    message_create(PS_EVENT_TEXT, ps_slice_str(payload));

	(void)state;
	assert_slice(envelope_event_id(message), "");
	assert_slice(envelope_event_id(plain), "");
	message_unref(message);
	message_unref(plain);
	message = envelope_data(ps_slice_str(payload), "evt_abcdefgh", false,
	    false);
	assert_slice(envelope_event_id(message), "evt_abcdefgh");
	message_unref(message);
}

static void
an_id_is_random_and_of_few_characters(void **state)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char id[PS_CLIENT_ID_LEN + 1], other[PS_CLIENT_ID_LEN + 1];
	bool seen[64] = { false };
	size_t n_seen = 0, i, j;

	(void)state;
	assert_true(envelope_make_id(id, "evt_"));
	assert_int_equal(strlen(id), PS_EVENT_ID_LEN);
	for (i = 0; i < 1000; i++) {
		assert_true(envelope_make_id(other, "client_"));
		assert_row(i, strlen(other) == PS_CLIENT_ID_LEN);
		assert_row(i, strncmp(other, "client_", 7) == 0);
		assert_row(i, strspn(other + 7, alphabet) == 8);
		assert_row(i, strcmp(id, other) != 0);
		memcpy(id, other, sizeof(id));
		for (j = 7; j < PS_CLIENT_ID_LEN; j++)
			seen[strchr(alphabet, other[j]) - alphabet] = true;
	}
	for (i = 0; i < 64; i++)
		n_seen += seen[i];
	assert_int_equal(n_seen, 64);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_has_a_place_for_the_recipients_own),
		cmocka_unit_test(data_is_counted_and_has_its_event_id_behind),
		cmocka_unit_test(
		    the_id_of_an_event_is_not_that_of_its_payload),
		cmocka_unit_test(an_id_is_random_and_of_few_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
