/* Emits: whom they reach, what they are answered, and which come twice. */
#include "config.h"

#include "allocations.h"
#include "channel_fixture.h"

#include "wsbridge/channels/acks.h"
#include "wsbridge/channels/emit.h"

static struct listener *const a = &listeners[0];
static struct listener *const b = &listeners[1];
static struct listener *const c = &listeners[2];

/* Whoever asks, and what it is told. */
struct asked {
	struct emit_asker asker;
	unsigned n; /* so often */
	int status;
	char json[4096];
	struct refusal refusal;
};

static struct asked first, second;
static struct ps_ipc_emit terms; /* of the next emit; its text is below */
static struct ps_writer kept; /* what went to the history */

void __wrap_history_put(struct bridge *of, struct ps_slice channel,
    const char *event_id, struct ps_slice payload);

void
__wrap_history_put(struct bridge *of, struct ps_slice channel,
    const char *event_id, struct ps_slice payload)
{
	assert_ptr_equal(of, &bridge);
	assert_int_equal(strlen(event_id), PS_EVENT_ID_LEN);
	ps_writer_printf(&kept, "%.*s %.*s;", (int)channel.len, channel.data,
	    (int)payload.len, payload.data);
}

static void
on_answer(struct emit_asker *asker, const struct emit_answer *answer)
{
	struct asked *asked = PS_CONTAINER(asker, struct asked, asker);

	asked->n++;
	asked->status = answer->status;
	assert_true(answer->json.len > 0 || allocation_failed);
	assert_true(answer->json.len < sizeof(asked->json));
	if (answer->json.len > 0)
		memcpy(asked->json, answer->json.data, answer->json.len);
	asked->json[answer->json.len] = '\0';
	asked->refusal = (struct refusal){ 0 };
	if (answer->refusal != NULL)
		asked->refusal = *answer->refusal;
}

static void
reset_terms(void)
{
	terms = (struct ps_ipc_emit){ .channel = ps_slice_str("room") };
}

/* Emits "payload|payload|..." on the terms, which are plain again then. With
 * `succeed` not negative, so many allocations succeed and then one fails. */
static void
emit_failing(struct asked *asked, const char *payloads, long succeed)
{
	struct ps_writer events = { 0 };
	size_t begin, len;

	*asked = (struct asked){ .asker.answer = on_answer };
	while (*payloads != '\0') {
		len = strcspn(payloads, "|");
		begin = ps_ipc_event_begin(&events, PS_EVENT_TEXT);
		ps_writer_bytes(&events, payloads, len);
		ps_ipc_event_end(&events, begin);
		payloads += len + (payloads[len] == '|');
		terms.count++;
	}
	terms.batch = terms.batch || terms.count > 1;
	ps_reader_init(&terms.events, events.data, events.len);
	allocations_left = succeed;
	emit_run(&bridge, &terms, fixture_quota(), &asked->asker);
	allocations_left = -1;
	ps_writer_deinit(&events);
	reset_terms();
}

static void
emit(struct asked *asked, const char *payloads)
{
	emit_failing(asked, payloads, -1);
}

static bool
was_told(const struct asked *asked, int status)
{
	return asked->n == 1 && asked->status == status;
}

static bool
was_refused(const struct asked *asked, enum ps_code code)
{
	return was_told(asked, ps_code_info(code)->status) &&
	    asked->refusal.code == code &&
	    strstr(asked->json, ps_code_info(code)->word) != NULL &&
	    (strstr(asked->json, "eventID") != NULL) ==
		(code == PS_CODE_ACK_TIMEOUT) &&
	    strncmp(asked->json, "{\"success\":false,", 17) == 0;
}

static bool
says(const struct asked *asked, const char *part)
{
	return strstr(asked->json, part) != NULL;
}

/* The `index`th id of an event in `text`. */
static const char *
event_id(const char *text, unsigned index)
{
	static char id[PS_EVENT_ID_LEN + 1];

	while ((text = strstr(text, "\"evt_")) != NULL && index-- > 0)
		text += 5;
	assert_non_null(text);
	memcpy(id, text + 1, PS_EVENT_ID_LEN);
	return id;
}

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

static bool
had_nothing(struct listener *l)
{
	channel_settle();
	return listener_got(l)[0] == '\0';
}

static bool
were_kept(const char *events)
{
	bool same = ps_slice_is(written(&kept), events);

	ps_writer_reset(&kept);
	return same;
}

/* So many members of "room", who have heard of each other. */
static void
open_room(size_t n_members)
{
	size_t i;

	for (i = 0; i < n_members; i++)
		listener_join(&listeners[i], "room");
	channel_settle();
	for (i = 0; i < n_members; i++)
		listener_got(&listeners[i]);
}

static void
acknowledge(struct listener *l, const char *id)
{
	char frame[128];

	snprintf(frame, sizeof(frame),
	    "{\"type\":\"ACK\",\"payload\":{\"eventID\":\"%s\"}}", id);
	assert_int_equal(listener_say(l, frame), PS_OK);
}

static void
leave(struct listener *l)
{
	session_close(l->session, 1000, ps_slice(NULL, 0));
	channel_settle();
}

static void
list(const char *clients)
{
	terms.clients = PS_IPC_CLIENTS_LISTED;
	terms.listed = ps_slice_str(clients);
}

static int
setup(void **state)
{
	reset_terms();
	allocation_failed = false;
	assert_non_null(ps_writer_reserve(&kept, 4096));
	return channel_setup(state);
}

static int
teardown(void **state)
{
	ps_writer_deinit(&kept);
	return channel_teardown(state);
}

/* --- whom it reaches --- */

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

static unsigned
count_data(struct listener *l)
{
	const char *text = listener_got(l);
	unsigned n = 0;

	while ((text = strstr(text, "DATA ")) != NULL) {
		text++;
		n++;
	}
	return n;
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

/* --- what is refused --- */

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

/* --- acknowledgements --- */

static void
all_have_to_acknowledge(void **state)
{
	char id[PS_EVENT_ID_LEN + 1];

	(void)state;
	open_room(3);
	terms.requires_ack = true;
	emit(&first, "1");
	assert_int_equal(first.n, 0);
	channel_settle();
	strcpy(id, event_id(listener_got(a), 0));
	fixture_advance(10);
	acknowledge(a, id);
	acknowledge(a, id); /* again */
	fixture_advance(20);
	acknowledge(c, id);
	fixture_advance(30);
	assert_int_equal(first.n, 0);
	acknowledge(b, id);
	channel_settle();
	assert_true(was_told(&first, 200));
	assert_true(says(&first, "\"delivered\":3,\"acked\":[\"client_"));
	assert_true(says(&first, "\"],\"pending\":[],\"left\":[],"
				 "\"ack_ms\":{\"p50\":30,\"max\":60}}"));
	assert_int_equal(bridge.ack_waits.count, 0);
}

static void
the_event_says_that_it_wants_an_ack_and_the_ack_is_received(void **state)
{
	char id[PS_EVENT_ID_LEN + 1], text[128];

	(void)state;
	open_room(2);
	list(a->client);
	terms.requires_ack = true;
	emit(&first, "1");
	channel_settle();
	strcpy(id, event_id(listener_got(a), 0));
	snprintf(text, sizeof(text),
	    "DATA 1,\"requires_ack\":true,\"eventID\":\"%s\";", id);
	assert_string_equal(a->got.data, text);
	assert_true(had_nothing(b));
	acknowledge(b, id); /* it was not asked */
	assert_non_null(strstr(listener_got(b), "UNKNOWN_EVENT"));
	acknowledge(a, "evt_12345678");
	assert_non_null(strstr(listener_got(a), "UNKNOWN_EVENT"));
	snprintf(text, sizeof(text), "ACK-RECEIVED {\"eventID\":\"%s\"};",
	    id);
	acknowledge(a, id);
	assert_string_equal(listener_got(a), text);
	channel_settle();
	assert_true(was_told(&first, 200));
	acknowledge(a, id); /* nobody waits any more */
	assert_non_null(strstr(listener_got(a), "UNKNOWN_EVENT"));
}

static void
time_is_over_at_last(void **state)
{
	char part[64];

	(void)state;
	open_room(2);
	terms.requires_ack = true;
	emit(&first, "1");
	channel_settle();
	acknowledge(b, event_id(listener_got(a), 0));
	fixture_advance(4999);
	assert_int_equal(first.n, 0);
	fixture_advance(1);
	assert_true(was_refused(&first, PS_CODE_ACK_TIMEOUT));
	assert_true(says(&first, "\"delivered\":2"));
	snprintf(part, sizeof(part), "\"acked\":[\"%s\"]", b->client);
	assert_true(says(&first, part));
	snprintf(part, sizeof(part), "\"pending\":[\"%s\"]", a->client);
	assert_true(says(&first, part));
	fixture_advance(60000);
	assert_int_equal(first.n, 1);
}

static void
some_are_enough_where_that_is_said(void **state)
{
	char id[PS_EVENT_ID_LEN + 1];

	(void)state;
	open_room(3);
	terms.requires_ack = true;
	terms.min_acks = 2;
	emit(&first, "1");
	channel_settle();
	strcpy(id, event_id(listener_got(a), 0));
	acknowledge(a, id);
	channel_settle();
	assert_int_equal(first.n, 0);
	acknowledge(b, id);
	channel_settle();
	assert_true(was_told(&first, 200));
	assert_true(says(&first, "\"pending\":[\"client_"));
}

static void
one_who_leaves_is_not_waited_for(void **state)
{
	char part[64];

	(void)state;
	open_room(3);
	terms.requires_ack = true;
	emit(&first, "1");
	channel_settle();
	acknowledge(a, event_id(listener_got(a), 0));
	leave(b);
	assert_int_equal(first.n, 0);
	leave(a); /* which has acknowledged */
	assert_int_equal(first.n, 0);
	leave(c);
	assert_true(was_told(&first, 200));
	snprintf(part, sizeof(part), "\"acked\":[\"%s\"]", a->client);
	assert_true(says(&first, part));
	assert_true(says(&first, "\"pending\":[]"));
	snprintf(part, sizeof(part), "\"left\":[\"%s\",\"%s\"]", b->client,
	    c->client);
	assert_true(says(&first, part));
	assert_int_equal(bridge.channels_by_name.count, 0);
}

static void
whoever_asked_may_go(void **state)
{
	(void)state;
	open_room(1);
	terms.requires_ack = true;
	emit(&first, "1");
	assert_int_equal(bridge.ack_waits.count, 1);
	emit_forget(&first.asker);
	emit_forget(&first.asker);
	assert_int_equal(bridge.ack_waits.count, 0);
	fixture_advance(10000);
	assert_int_equal(first.n, 0);
}

static void
no_more_wait_than_may_be_held(void **state)
{
	(void)state;
	fixture_set("max_held=1");
	open_room(1);
	terms.requires_ack = true;
	emit(&first, "1");
	ps_writer_reset(&kept);
	terms.requires_ack = true;
	emit(&second, "2");
	assert_true(was_refused(&second, PS_CODE_TOO_MANY_HELD));
	assert_true(were_kept(""));
	fixture_advance(5000);
	assert_true(was_refused(&first, PS_CODE_ACK_TIMEOUT));
	terms.requires_ack = true;
	emit(&second, "2");
	assert_int_equal(second.n, 0);
}

static void
ignore_acks(struct ack_wait *wait, void *owner)
{
	(void)wait;
	(void)owner;
}

static void
so_many_members_are_waited_for_at_a_time(void **state)
{
	struct member **many = calloc(ACK_ENTRIES_MAX, sizeof(*many));
	struct ack_wait *wait;
	size_t i;

	(void)state;
	assert_non_null(many);
	open_room(1);
	for (i = 0; i < ACK_ENTRIES_MAX; i++)
		many[i] = listener_member(a);
	wait = ack_wait_create(many[0]->channel, "evt_00000000", many,
	    ACK_ENTRIES_MAX, 0, ignore_acks, NULL);
	free(many);
	assert_non_null(wait);
	terms.requires_ack = true;
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_TOO_MANY_HELD));
	assert_true(were_kept(""));
	assert_true(had_nothing(a));
	ack_wait_destroy(wait);
	terms.requires_ack = true;
	emit(&first, "1");
	assert_int_equal(first.n, 0);
}

/* --- repeated ids --- */

static void
the_same_id_is_answered_as_before(void **state)
{
	(void)state;
	open_room(1);
	terms.key = ps_slice_str("k");
	emit(&first, "1|2");
	terms.key = ps_slice_str("k");
	emit(&second, "3");
	assert_true(was_told(&first, 200) && was_told(&second, 200));
	assert_string_equal(first.json, second.json);
	channel_settle();
	assert_int_equal(count_data(a), 2);
	assert_true(were_kept("room 1;room 2;"));
	terms.key = ps_slice_str("k");
	terms.channel = ps_slice_str("hall");
	emit(&second, "1");
	assert_string_not_equal(first.json, second.json);
	assert_int_equal(emit_count_ids(&bridge), 2);
}

/* "a" + "b" and "ab" + "" are not the same, nor are any of these. */
static void
ids_and_channels_are_told_apart(void **state)
{
	static const struct {
		const char *channel, *key;
	} rows[] = { { "a", "bc" }, { "ab", "c" }, { "a", "b" },
		{ "A", "b" }, { "a", "B" }, { "a", "b " } };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		terms.channel = ps_slice_str(rows[i].channel);
		terms.key = ps_slice_str(rows[i].key);
		emit(&first, "1");
		assert_row(i, emit_count_ids(&bridge) == i + 1);
	}
}

static void
an_id_is_forgotten_after_five_minutes(void **state)
{
	(void)state;
	open_room(1);
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	fixture_advance(EMIT_ID_MS - 1);
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_string_equal(first.json, second.json);
	terms.key = ps_slice_str("other");
	emit(&second, "1");
	assert_int_equal(emit_count_ids(&bridge), 2);
	fixture_advance(1);
	assert_int_equal(emit_count_ids(&bridge), 1);
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_string_not_equal(first.json, second.json);
	fixture_advance(EMIT_ID_MS);
	assert_int_equal(emit_count_ids(&bridge), 0);
}

static void
one_that_waits_is_answered_with_the_first(void **state)
{
	char id[PS_EVENT_ID_LEN + 1];

	(void)state;
	open_room(1);
	terms.requires_ack = true;
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_int_equal(second.n, 0);
	emit_forget(&first.asker);
	channel_settle();
	strcpy(id, event_id(listener_got(a), 0));
	emit_forget(&second.asker); /* nobody is left, but it has an id */
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	acknowledge(a, id);
	channel_settle();
	assert_int_equal(first.n, 0);
	assert_true(was_told(&second, 200));
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	assert_true(was_told(&first, 200));
	assert_string_equal(first.json, second.json);
	assert_int_equal(bridge.totals.events, 1);
}

static void
so_many_may_wait_for_one(void **state)
{
	static struct asked many[257];
	struct ps_ipc_emit again = { .channel = ps_slice_str("room"),
		.key = ps_slice_str("k") };
	size_t i;

	(void)state;
	open_room(1);
	assert_false(emit_may_wait(&bridge, &again));
	for (i = 0; i < ROWS(many); i++) {
		terms.requires_ack = true;
		terms.key = ps_slice_str("k");
		emit(&many[i], "1");
		assert_row(i, emit_may_wait(&bridge, &again));
		assert_row(i, many[i].n == (i == 256));
	}
	assert_true(was_refused(&many[256], PS_CODE_TOO_MANY_HELD));
	emit_forget(&many[0].asker);
	terms.key = ps_slice_str("k");
	emit(&many[0], "1");
	fixture_advance(5000);
	for (i = 0; i < 256; i++)
		assert_row(i, was_refused(&many[i], PS_CODE_ACK_TIMEOUT));
	assert_false(emit_may_wait(&bridge, &again));
}

static void
a_timeout_is_told_again_as_it_was(void **state)
{
	(void)state;
	open_room(1);
	terms.requires_ack = true;
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	fixture_advance(5000);
	assert_true(was_refused(&first, PS_CODE_ACK_TIMEOUT));
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_true(was_refused(&second, PS_CODE_ACK_TIMEOUT));
	assert_string_equal(first.json, second.json);
}

/* With patience for longer than ids are remembered. */
static void
an_id_may_be_forgotten_while_it_waits(void **state)
{
	(void)state;
	fixture_set("ack_timeout=10m");
	fixture_set("ping_timeout=10h");
	open_room(1);
	terms.requires_ack = true;
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	channel_settle();
	fixture_advance(EMIT_ID_MS);
	assert_int_equal(emit_count_ids(&bridge), 0);
	assert_int_equal(first.n, 0);
	acknowledge(a, event_id(listener_got(a), 0));
	channel_settle();
	assert_true(was_told(&first, 200));
}

static void
what_was_refused_may_be_tried_again(void **state)
{
	(void)state;
	terms.key = ps_slice_str("k");
	terms.clients = PS_IPC_CLIENTS_NUMBER;
	terms.number = 1;
	emit(&first, "1");
	assert_true(was_refused(&first, PS_CODE_NOT_ENOUGH_CLIENTS));
	assert_int_equal(emit_count_ids(&bridge), 0);
	open_room(1);
	terms.key = ps_slice_str("k");
	terms.clients = PS_IPC_CLIENTS_NUMBER;
	terms.number = 1;
	emit(&first, "1");
	assert_true(was_told(&first, 200));
}

static void
no_id_is_forgotten_for_another(void **state)
{
	(void)state;
	fixture_set("max_emit_ids=1");
	terms.key = ps_slice_str("k");
	emit(&first, "1");
	terms.key = ps_slice_str("other");
	emit(&second, "2");
	assert_true(was_refused(&second, PS_CODE_BRIDGE_FULL));
	assert_string_equal(second.refusal.limit, "max_emit_ids");
	assert_true(were_kept("room 1;"));
	terms.key = ps_slice_str("k");
	emit(&second, "1");
	assert_string_equal(first.json, second.json);
	emit(&second, "3"); /* without one */
	assert_true(was_told(&second, 200));
	fixture_advance(EMIT_ID_MS);
	terms.key = ps_slice_str("other");
	emit(&second, "2");
	assert_true(was_told(&second, 200));
}

/* --- by a member --- */

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

/* --- memory --- */

/* Sent and kept, or neither. */
static void
check_failed_emit(bool is_kept)
{
	bool sent = first.n == 0 || first.refusal.code != PS_CODE_BRIDGE_FULL ||
	    first.status == 200;

	assert_true(first.n <= 1);
	assert_true(were_kept(sent && is_kept ? "room 1;" : ""));
	assert_int_equal(emit_count_ids(&bridge), sent);
	assert_int_equal(bridge.ack_waits.count, first.n == 0);
	assert_int_equal(bridge.totals.events, sent);
	if (!sent)
		assert_true(had_nothing(a) && had_nothing(b));
}

static void
without_memory_it_is_sent_or_refused(void **state)
{
	char clients[64];
	long succeed;
	int kind;

	(void)state;
	for (kind = 0; kind < 3; kind++) {
		for (succeed = 0; succeed < 1000; succeed++) {
			setup(state);
			open_room(2);
			terms.key = ps_slice_str("k");
			terms.requires_ack = kind != 0;
			snprintf(clients, sizeof(clients), "%s,nobody",
			    a->client);
			if (kind == 2)
				list(clients);
			emit_failing(&first, "1", succeed);
			check_failed_emit(kind != 2);
			assert_int_equal(teardown(state), 0);
			if (!allocation_failed)
				break;
		}
		assert_in_range(succeed, 5, 999);
	}
	setup(state); /* for the teardown */
}

static void
without_memory_the_answer_is_remembered_in_part(void **state)
{
	long succeed;

	(void)state;
	for (succeed = 0; succeed < 1000; succeed++) {
		setup(state);
		open_room(1);
		terms.key = ps_slice_str("k");
		terms.requires_ack = true;
		emit(&first, "1");
		channel_settle();
		acknowledge(a, event_id(listener_got(a), 0));
		allocations_left = succeed;
		fixture_turn();
		allocations_left = -1;
		assert_true(was_told(&first, 200));
		terms.key = ps_slice_str("k");
		emit(&second, "2");
		assert_int_equal(second.n, 1);
		assert_true(says(&second, "\"delivered\":1"));
		assert_int_equal(bridge.totals.events, 1);
		assert_int_equal(teardown(state), 0);
		if (!allocation_failed)
			break;
	}
	assert_in_range(succeed, 2, 999);
	setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(all_have_to_acknowledge),
		TEST(
		    the_event_says_that_it_wants_an_ack_and_the_ack_is_received),
		TEST(time_is_over_at_last),
		TEST(some_are_enough_where_that_is_said),
		TEST(one_who_leaves_is_not_waited_for),
		TEST(whoever_asked_may_go),
		TEST(no_more_wait_than_may_be_held),
		TEST(so_many_members_are_waited_for_at_a_time),
		TEST(the_same_id_is_answered_as_before),
		TEST(ids_and_channels_are_told_apart),
		TEST(an_id_is_forgotten_after_five_minutes),
		TEST(one_that_waits_is_answered_with_the_first),
		TEST(so_many_may_wait_for_one),
		TEST(a_timeout_is_told_again_as_it_was),
		TEST(an_id_may_be_forgotten_while_it_waits),
		TEST(what_was_refused_may_be_tried_again),
		TEST(no_id_is_forgotten_for_another),
		TEST(a_member_is_told_what_http_is),
		TEST(a_member_needs_the_right_to_emit),
		TEST(a_member_hears_later_that_all_have_acknowledged),
		TEST(a_member_may_end_itself_by_an_emit),
		cmocka_unit_test_teardown(without_memory_it_is_sent_or_refused,
		    teardown),
		cmocka_unit_test_teardown(
		    without_memory_the_answer_is_remembered_in_part, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
