/* Emits: whom they reach, what is refused, and those of members. */
#include "config.h"

#include "emit_fixture.h"

/* What a listener got, with "@0" and so on for the ids of the last answer. */
static const char *
got(struct listener *l, const struct asked *asked)
{
	static char text[8192];
	const char *id, *at;
	unsigned i, n_ids = 0;

	for (at = asked->json; (at = strstr(at, "\"evt_")) != NULL; at++)
		n_ids++;
	snprintf(text, sizeof(text), "%s", listener_got(l));
	for (i = 0; i < n_ids; i++) {
		char *found, number[16];

		id = event_id(asked->json, i);
		snprintf(number, sizeof(number), "@%u", i);
		while ((found = strstr(text, id)) != NULL) {
			memcpy(found, number, 2);
			memmove(found + 2, found + PS_EVENT_ID_LEN,
			    strlen(found + PS_EVENT_ID_LEN) + 1);
		}
	}
	return text;
}

static void
an_event_goes_to_all_and_to_the_history(void **state)
{
	(void)state;
	open_room(2);
	emit(&first, "{\"a\":1.0}");
	assert_true(was_told(&first, 200));
	channel_settle();
	assert_string_equal(got(a, &first),
	    "DATA {\"a\":1.0},\"eventID\":\"@0\";");
	assert_string_equal(got(b, &first),
	    "DATA {\"a\":1.0},\"eventID\":\"@0\";");
	assert_true(says(&first, "{\"success\":true,\"eventID\":\"evt_"));
	assert_true(says(&first, "\",\"delivered\":2}"));
	assert_true(were_kept("room {\"a\":1.0};"));
	assert_int_equal(bridge.totals.events, 1);
	assert_int_equal(bridge.totals.deliveries, 2);
}

static void
an_event_for_nobody_makes_no_channel(void **state)
{
	(void)state;
	emit(&first, "1");
	assert_true(was_told(&first, 200));
	assert_true(says(&first, ",\"delivered\":0}"));
	assert_int_equal(bridge.channels_by_name.count, 0);
	assert_true(were_kept("room 1;"));
	terms.requires_ack = true;
	terms.min_acks = 3;
	emit(&first, "2");
	assert_true(was_told(&first, 200));
	assert_true(says(&first,
	    ",\"delivered\":0,\"acked\":[],\"pending\":[],\"left\":[],"
	    "\"ack_ms\":{\"p50\":0,\"max\":0}}"));
	assert_true(were_kept("room 2;"));
	assert_int_equal(bridge.ack_waits.count, 0);
}

static void
one_who_still_waits_to_join_is_not_there(void **state)
{
	(void)state;
	emit(&first, "0");
	assert_true(says(&first, "\"delivered\":0"));
	listener_join(a, "room");
	listener_create(b, "hall", NULL);
	emit(&first, "1");
	assert_true(says(&first, "\"delivered\":1"));
	ps_writer_reset(&kept);
}

static void
so_many_by_chance_are_different_ones(void **state)
{
	unsigned n[5] = { 0 }, total, round, i, each;

	(void)state;
	open_room(5);
	for (round = 0; round < 600; round++) {
		total = 0;
		terms.clients = PS_IPC_CLIENTS_NUMBER;
		terms.number = 1 + round % 5;
		emit(&first, "1");
		assert_row(round, was_told(&first, 200));
		channel_settle();
		for (i = 0; i < 5; i++) {
			each = count_data(&listeners[i]);
			assert_row(round, each <= 1);
			total += each;
			n[i] += round % 5 == 0 ? each : 0;
			assert_row(round,
			    listener_member(a)->channel->members[i]->index ==
				i);
		}
		assert_row(round, total == 1 + round % 5);
	}
	/* Each alone at times: 120 draws leave one out once in 10^11 tests. */
	for (i = 0; i < 5; i++)
		assert_row(i, n[i] > 0);
	assert_true(were_kept(""));
}

static void
more_than_are_there_are_not_enough(void **state)
{
	(void)state;
	open_room(2);
	terms.clients = PS_IPC_CLIENTS_NUMBER;
	terms.number = 3;
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_NOT_ENOUGH_CLIENTS));
	terms.channel = ps_slice_str("hall");
	terms.clients = PS_IPC_CLIENTS_NUMBER;
	terms.number = 1;
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_NOT_ENOUGH_CLIENTS));
	assert_true(had_nothing(a) && had_nothing(b));
}

static void
those_who_are_listed_get_it_once(void **state)
{
	char clients[256];

	(void)state;
	open_room(3);
	listener_join(&listeners[3], "hall");
	snprintf(clients, sizeof(clients), "%s,x\"y,%s,%s,%s,x\"y", c->client,
	    a->client, c->client, listeners[3].client);
	list(clients);
	emit(&first, "1");
	assert_true(was_told(&first, 200));
	assert_true(says(&first, "\"delivered\":2,\"unknown\":[\"x\\\"y\",\""));
	assert_true(says(&first, listeners[3].client));
	channel_settle();
	assert_string_equal(got(a, &first), "DATA 1,\"eventID\":\"@0\";");
	assert_string_equal(got(c, &first), "DATA 1,\"eventID\":\"@0\";");
	assert_true(had_nothing(b) && had_nothing(&listeners[3]));
	assert_true(were_kept(""));
}

static void
when_none_of_them_is_there_nobody_gets_it(void **state)
{
	(void)state;
	open_room(2);
	list("client_nobody__,client_none____");
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_CLIENTS_UNKNOWN));
	assert_true(says(&first,
	    ",\"unknown\":[\"client_nobody__\",\"client_none____\"]}"));
	list(a->client);
	terms.channel = ps_slice_str("hall");
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_CLIENTS_UNKNOWN));
	assert_true(had_nothing(a) && had_nothing(b));
}

static void
no_more_may_be_listed_than_can_be_told_apart(void **state)
{
	struct ps_writer clients = { 0 };
	int i;

	(void)state;
	open_room(1);
	ps_writer_str(&clients, a->client);
	for (i = 1; i < PS_CLIENTS_MAX; i++)
		ps_writer_printf(&clients, ",%d", i % 10);
	ps_writer_u8(&clients, '\0');
	list(clients.data);
	emit(&first, "1");
	assert_true(was_told(&first, 200));
	clients.len--;
	ps_writer_str(&clients, ",x");
	ps_writer_u8(&clients, '\0');
	list(clients.data);
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_BAD_PARAMETER));
	ps_writer_deinit(&clients);
}

static void
what_is_for_one_comes_behind_what_is_for_all(void **state)
{
	const char *text;

	(void)state;
	open_room(2);
	emit(&first, "1");
	list(a->client);
	emit(&first, "2");
	emit(&first, "3");
	channel_settle();
	text = strstr(listener_got(a), "DATA 1");
	assert_non_null(text);
	text = strstr(text, "DATA 2");
	assert_non_null(text);
	assert_non_null(strstr(text, "DATA 3"));
	text = listener_got(b);
	assert_null(strstr(text, "DATA 2"));
	assert_non_null(strstr(text, "DATA 3"));
}

static void
a_batch_goes_in_its_order(void **state)
{
	(void)state;
	open_room(1);
	emit(&first, "1|{\"b\":2}|\"3\"");
	assert_true(was_told(&first, 200));
	assert_true(says(&first, "{\"success\":true,\"eventIDs\":[\"evt_"));
	assert_true(says(&first, "\"],\"delivered\":1}"));
	channel_settle();
	assert_string_equal(got(a, &first),
	    "DATA 1,\"eventID\":\"@0\";DATA {\"b\":2},\"eventID\":\"@1\";"
	    "DATA \"3\",\"eventID\":\"@2\";");
	assert_true(were_kept("room 1;room {\"b\":2};room \"3\";"));
	terms.batch = true; /* of one */
	emit(&first, "4");
	assert_true(says(&first, "\"eventIDs\":[\"evt_"));
	assert_int_equal(bridge.totals.events, 4);
}

static void
what_is_too_large_goes_to_nobody(void **state)
{
	char payload[1100];
	size_t max = 1024; /* see channel_setup() */

	(void)state;
	open_room(1);
	memset(payload, '1', max);
	payload[max] = '\0';
	emit(&first, payload);
	assert_true(was_told(&first, 200));
	channel_settle();
	listener_got(a);
	ps_writer_reset(&kept);
	strcpy(payload + max, "1");
	emit(&first, payload);
	assert_true(was_refused(&first, PS_CODE_MESSAGE_TOO_LARGE));
	assert_string_equal(first.refusal.limit, "max_message");
	assert_true(says(&first, "\"limit\":\"max_message\""));
	memcpy(payload, "1|", 2);
	strcpy(payload + max + 1, "11");
	emit(&first, payload);
	assert_true(was_refused(&first, PS_CODE_MESSAGE_TOO_LARGE));
	fixture_quota()->limits.value[PS_LIMIT_MESSAGE_BYTES] = 3;
	emit(&first, "\"12\"");
	assert_true(was_refused(&first, PS_CODE_MESSAGE_TOO_LARGE));
	assert_string_equal(first.refusal.limit, "max_message_bytes");
	assert_true(had_nothing(a) && were_kept(""));
	emit(&first, "\"1\"");
	assert_true(was_told(&first, 200));
}

static void
a_day_has_its_limit(void **state)
{
	struct quota *quota = fixture_quota();

	(void)state;
	open_room(1);
	quota->limits.value[PS_LIMIT_MESSAGES_PER_DAY] = quota->messages + 3;
	emit(&first, "1|2|3|4");
	assert_true(was_refused(&first, PS_CODE_DAILY_LIMIT));
	assert_string_equal(first.refusal.limit, "max_messages_per_day");
	assert_int_equal(first.refusal.retry_after_s, 12 * 3600);
	assert_true(had_nothing(a) && were_kept(""));
	terms.channel = ps_slice_str("hall");
	emit(&first, "1|2|3");
	assert_true(was_told(&first, 200));
	assert_int_equal(quota->messages,
	    quota->limits.value[PS_LIMIT_MESSAGES_PER_DAY]);
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_DAILY_LIMIT));
	assert_int_equal(emit_count_ids(&bridge), 0);
}

static void
a_channel_with_too_much_on_its_way_is_busy(void **state)
{
	unsigned i;

	(void)state;
	open_room(2);
	for (i = 0; i < 8; i++) {
		emit(&first, "1");
		assert_row(i, was_told(&first, 200));
	}
	ps_writer_reset(&kept);
	emit(&first, "2");
	assert_true(was_refused(&first, PS_CODE_CHANNEL_BUSY));
	list(a->client);
	emit(&first, "2");
	assert_true(was_refused(&first, PS_CODE_CHANNEL_BUSY));
	assert_true(were_kept(""));
	terms.channel = ps_slice_str("hall");
	emit(&first, "2");
	assert_true(was_told(&first, 200));
	channel_settle();
	emit(&first, "2");
	assert_true(was_told(&first, 200));
}

static void
give_rights(const char *pattern)
{
	struct ps_token token = { .id = 1, .enabled = true,
		.name = strdup("one"), .has_secret = true, .hash = { 1 } };

	bridge.policy = ps_policy_create(1);
	assert_non_null(bridge.policy);
	assert_int_equal(ps_policy_add_token(bridge.policy, &token), PS_OK);
	assert_int_equal(ps_policy_add_channel(bridge.policy, 1, pattern,
			     PS_MAY_EMIT),
	    PS_OK);
	assert_int_equal(ps_policy_seal(bridge.policy), PS_OK);
}

static void
a_member_is_told_what_http_is(void **state)
{
	const char *text;

	(void)state;
	open_room(2);
	give_rights("room");
	assert_int_equal(listener_say(a,
			     "{\"type\":\"EMIT\",\"payload\":{\"x\":1.0},"
			     "\"id\":\"k\"}"),
	    PS_OK);
	channel_settle();
	text = listener_got(a);
	assert_non_null(strstr(text, "DATA {\"x\":1.0},\"eventID\":\"evt_"));
	text = strstr(text, "EMITTED {\"success\":true,\"eventID\":\"evt_");
	assert_non_null(text);
	assert_non_null(strstr(text, "\",\"delivered\":2};"));
	assert_int_equal(count_data(b), 1);
	terms.key = ps_slice_str("k");
	emit(&first, "2");
	assert_non_null(strstr(text, event_id(first.json, 0)));
	listener_say(a,
	    "{\"type\":\"EMIT\",\"payload\":1,\"clients\":3}");
	assert_non_null(strstr(listener_got(a),
	    "EMITTED {\"success\":false,\"error\":\"Not enough clients to "
	    "target.\",\"code\":\"not_enough_clients\"};"));
	assert_true(were_kept("room {\"x\":1.0};"));
}

static void
a_member_needs_the_right_to_emit(void **state)
{
	(void)state;
	open_room(2);
	give_rights("hall");
	listener_say(a, "{\"type\":\"EMIT\",\"payload\":1}");
	assert_non_null(strstr(listener_got(a), "channel_refused"));
	assert_true(had_nothing(b) && were_kept(""));
}

static void
a_member_hears_later_that_all_have_acknowledged(void **state)
{
	char id[PS_EVENT_ID_LEN + 1];

	(void)state;
	open_room(2);
	give_rights("*");
	listener_say(a, "{\"type\":\"EMIT\",\"payload\":1,"
			"\"requires_ack\":true}");
	channel_settle();
	strcpy(id, event_id(listener_got(b), 0));
	acknowledge(a, id);
	acknowledge(b, id);
	assert_null(strstr(listener_got(a), "EMITTED"));
	channel_settle();
	assert_non_null(strstr(listener_got(a), "EMITTED {\"success\":true"));
	/* One who has left is not told. */
	listener_say(a, "{\"type\":\"EMIT\",\"payload\":1,"
			"\"requires_ack\":true}");
	leave(a);
	assert_int_equal(bridge.ack_waits.count, 0);
	ps_writer_reset(&kept);
}

/* It does not read, and is too slow for what it sends to itself. */
static void
a_member_may_end_itself_by_an_emit(void **state)
{
	char frame[128];
	int i;

	(void)state;
	open_room(2);
	give_rights("*");
	session_detach(a->session);
	for (i = 0; i < 20 && listener_member(a) != NULL; i++) {
		snprintf(frame, sizeof(frame),
		    "{\"type\":\"EMIT\",\"payload\":1,\"clients\":\"%s\","
		    "\"requires_ack\":%s}",
		    a->client, i % 2 == 0 ? "true" : "false");
		(void)listener_say(a, frame);
		fixture_turn();
	}
	assert_null(listener_member(a));
	assert_int_equal(bridge.ack_waits.count, 0);
	channel_settle();
	assert_non_null(strstr(listener_got(b), "PRESENCE:LEFT"));
}

#define TEST(name)                                                            \
	cmocka_unit_test_setup_teardown(name, emit_setup, emit_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_goes_to_all_and_to_the_history),
		TEST(an_event_for_nobody_makes_no_channel),
		TEST(one_who_still_waits_to_join_is_not_there),
		TEST(so_many_by_chance_are_different_ones),
		TEST(more_than_are_there_are_not_enough),
		TEST(those_who_are_listed_get_it_once),
		TEST(when_none_of_them_is_there_nobody_gets_it),
		TEST(no_more_may_be_listed_than_can_be_told_apart),
		TEST(what_is_for_one_comes_behind_what_is_for_all),
		TEST(a_batch_goes_in_its_order),
		TEST(what_is_too_large_goes_to_nobody),
		TEST(a_day_has_its_limit),
		TEST(a_channel_with_too_much_on_its_way_is_busy),
		TEST(a_member_is_told_what_http_is),
		TEST(a_member_needs_the_right_to_emit),
		TEST(a_member_hears_later_that_all_have_acknowledged),
		TEST(a_member_may_end_itself_by_an_emit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
