#include "config.h"

#include "channel_fixture.h"

#include <inttypes.h>

#include <json-c/json.h>

#include "wsbridge/applications/authorization.h"
#include "wsbridge/channels/emit.h"
#include "wsbridge/metrics.h"
#include "wsbridge/http/parked.h"
#include "wsbridge/http/probe.h"

static struct ps_writer text;

/* All figures, as Prometheus gets them. */
static const char *
scrape(void)
{
	ps_writer_reset(&text);
	metrics_put_prometheus(&text, &bridge);
	ps_writer_u8(&text, '\0');
	assert_false(text.failed);
	return text.data;
}

/* The value of one series, named without its prefix. */
static uint64_t
figure(const char *series)
{
	char start[128];
	const char *line;

	snprintf(start, sizeof(start), "\npolysocket_%s ", series);
	line = strstr(scrape(), start);
	if (line == NULL)
		fail_msg("no %s in:\n%s", series, text.data);
	return strtoull(line + strlen(start), NULL, 10);
}

static int
teardown(void **state)
{
	ps_writer_deinit(&text);
	return fixture_teardown(state);
}

/* --- what is alive --- */

static void
sessions_are_counted_by_state_and_receiver(void **state)
{
	struct session *session;

	(void)state;
	fixture_connecting();
	fixture_open();
	session = fixture_open();
	assert_true(fixture_attach(session, &receiver, 1000));
	session_close(fixture_open(), 1000, ps_slice(NULL, 0));
	assert_int_equal(
	    figure("sessions{kind=\"relay\",state=\"connecting\",receiver=\"no\"}"), 1);
	assert_int_equal(
	    figure("sessions{kind=\"relay\",state=\"open\",receiver=\"no\"}"), 1);
	assert_int_equal(
	    figure("sessions{kind=\"relay\",state=\"open\",receiver=\"yes\"}"),
	    1);
	assert_int_equal(
	    figure("sessions{kind=\"relay\",state=\"closing\",receiver=\"no\"}"),
	    1);
	assert_int_equal(figure("sessions_total"), 4);
	assert_int_equal(figure("remote_addresses"), 1);
	session_end(session, "test");
	assert_int_equal(
	    figure("sessions{kind=\"relay\",state=\"open\",receiver=\"yes\"}"),
	    0);
	assert_int_equal(figure("sessions_total"), 4);
}

static void
sessions_are_counted_by_kind(void **state)
{
	(void)state;
	fixture_open();
	fixture_open()->kind = PS_SESSION_CHANNEL;
	fixture_open()->kind = PS_SESSION_APPLICATION;
	fixture_open()->kind = PS_SESSION_APPLICATION;
	assert_int_equal(
	    figure("sessions{kind=\"relay\",state=\"open\",receiver=\"no\"}"), 1);
	assert_int_equal(
	    figure("sessions{kind=\"channel\",state=\"open\",receiver=\"no\"}"),
	    1);
	assert_int_equal(
	    figure("sessions{kind=\"application\",state=\"open\",receiver=\"no\"}"),
	    2);
}

static void
addresses_are_those_with_sessions(void **state)
{
	struct quota *quota = fixture_quota();
	struct refusal refusal;
	struct session *first, *second;

	(void)state;
	first = session_create(&bridge, ps_slice_str("192.0.2.1"), quota,
	    &refusal);
	second = session_create(&bridge, ps_slice_str("192.0.2.2"), quota,
	    &refusal);
	session_create(&bridge, ps_slice_str("192.0.2.2"), quota,
	    &refusal);
	assert_int_equal(figure("remote_addresses"), 2);
	session_end(second, "test");
	assert_int_equal(figure("remote_addresses"), 2);
	session_end(first, "test");
	assert_int_equal(figure("remote_addresses"), 1);
}

static void
authorizations_are_those_in_force(void **state)
{
	struct authorization_terms terms = { .token_id = 1,
		.client = ps_slice_str("ann"),
		.callback = ps_slice_str("http://app.example/") };
	struct authorization *authorization;
	enum ps_code code;
	bool queued;

	(void)state;
	authorization = authorization_renew(&bridge, &terms, &code);
	assert_non_null(authorization);
	assert_int_equal(figure("authorizations"), 1);
	authorization_publish(authorization,
	    message_create(PS_EVENT_TEXT, ps_slice_str("four")), true,
	    &queued);
	assert_true(queued);
	assert_int_equal(figure("kept_bytes"), 4);
	authorization_end(authorization, "test");
	assert_int_equal(figure("authorizations"), 0);
	assert_int_equal(figure("kept_bytes"), 0);
}

static void
do_nothing(struct timer *timer)
{
	(void)timer;
}

static void
timers_are_counted_while_they_are_set(void **state)
{
	struct timer timer = { .fire = do_nothing };
	uint64_t before = figure("timers");

	(void)state;
	timers_set(&bridge.timers, &timer, UINT64_MAX);
	assert_int_equal(figure("timers"), before + 1);
	timers_cancel(&bridge.timers, &timer);
	assert_int_equal(figure("timers"), before);
	session_end(fixture_open(), "test");
	assert_int_equal(figure("timers"), before);
}

static void
what_waits_in_both_directions_is_counted(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	fixture_open();
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "three");
	peer.queued_count = 2;
	peer.queued_bytes = 7;
	assert_int_equal(figure("queued_messages{direction=\"down\"}"), 2);
	assert_int_equal(figure("queued_bytes{direction=\"down\"}"), 8);
	/* Both sessions have the same stand-in for a peer. */
	assert_int_equal(figure("queued_messages{direction=\"up\"}"), 4);
	assert_int_equal(figure("queued_bytes{direction=\"up\"}"), 14);
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	assert_int_equal(figure("queued_messages{direction=\"up\"}"), 2);
}

static void
requests_are_counted_while_they_are_open(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	parked_create(session, fixture_exchange(&web, NULL),
	    framing_relay(PS_IPC_FRAMING_JSON),
	    &(struct ps_ipc_receive){ .hold_ms = 2000 });
	probe_create(fixture_exchange(&other_web, NULL));
	assert_int_equal(figure("open_requests"), 2);
	assert_int_equal(figure("held_requests"), 2);
	assert_int_equal(bridge.n_held, 2);
	fixture_from_peer(session, "one");
	assert_int_equal(figure("open_requests"), 1);
	assert_int_equal(figure("held_requests"), 1);
	web_server_close(&other_web);
	fixture_turn();
	assert_int_equal(figure("open_requests"), 0);
	assert_int_equal(figure("held_requests"), 0);
}

static void
what_a_web_server_does_not_take_is_counted(void **state)
{
	struct exchange *exchange = fixture_exchange(&web, NULL);

	(void)state;
	assert_int_equal(figure("unsent_bytes"), 0);
	while (exchange_write(exchange, "x", 1))
		;
	assert_int_equal(figure("unsent_bytes"), exchange->pending_len);
	assert_true(figure("unsent_bytes") > 0);
	assert_int_equal(figure("held_requests"), 0);
}

static void
draining_is_told(void **state)
{
	(void)state;
	assert_int_equal(figure("draining"), 0);
	bridge.draining = true;
	assert_int_equal(figure("draining"), 1);
	bridge.draining = false;
}

static int
teardown_channels(void **state)
{
	ps_writer_deinit(&text);
	return channel_teardown(state);
}

static void
channels_are_counted_with_their_members(void **state)
{
	unsigned i;

	(void)state;
	assert_int_equal(figure("channels"), 0);
	listener_join(&listeners[0], "room");
	listener_join(&listeners[1], "room");
	listener_join(&listeners[2], "hall");
	assert_int_equal(figure("channels"), 2);
	assert_int_equal(figure("channel_members{joined=\"yes\"}"), 3);
	assert_int_equal(figure("channel_log_entries"), 0);
	for (i = 1; i <= 5; i++)
		channel_emit("room", i);
	listener_create(&listeners[3], "room", NULL);
	assert_int_equal(figure("channel_log_entries"), 5);
	assert_int_equal(figure("channel_members{joined=\"no\"}"), 1);
	channel_settle();
	assert_int_equal(figure("channel_members{joined=\"no\"}"), 0);
	assert_int_equal(figure("channel_members{joined=\"yes\"}"), 4);
	for (i = 0; i < 4; i++)
		session_end(listeners[i].session, "test");
	fixture_turn();
	assert_int_equal(figure("channels"), 0);
	assert_int_equal(figure("channel_log_entries"), 0);
	assert_int_equal(figure("channel_members{joined=\"yes\"}"), 0);
}

static void
forget_answer(struct emit_asker *asker, const struct emit_answer *answer)
{
	(void)asker;
	(void)answer;
}

/* To all of "room", with an id, to be acknowledged. */
static void
run_emit(struct emit_asker *asker)
{
	struct ps_ipc_emit emit = { .channel = ps_slice_str("room"),
		.requires_ack = true,
		.key = ps_slice_str("id"),
		.count = 1 };
	struct ps_writer events = { 0 };
	size_t begin = ps_ipc_event_begin(&events, PS_EVENT_TEXT);

	ps_writer_str(&events, "1");
	ps_ipc_event_end(&events, begin);
	ps_reader_init(&emit.events, events.data, events.len);
	asker->answer = forget_answer;
	emit_run(&bridge, &emit, fixture_quota(), asker);
	ps_writer_deinit(&events);
}

static void
emits_are_counted_while_they_wait_or_are_remembered(void **state)
{
	struct emit_asker first, second;

	(void)state;
	listener_join(&listeners[0], "room");
	listener_join(&listeners[1], "room");
	run_emit(&first);
	run_emit(&second); /* known: not sent again */
	assert_int_equal(figure("emits_waiting"), 1);
	assert_int_equal(figure("emit_ids"), 1);
	assert_int_equal(figure("events_total"), 1);
	assert_int_equal(figure("event_deliveries_total"), 2);
	session_end(listeners[0].session, "test");
	session_end(listeners[1].session, "test");
	channel_settle();
	assert_int_equal(figure("emits_waiting"), 0);
	assert_int_equal(figure("emit_ids"), 1);
	fixture_advance(EMIT_ID_MS);
	assert_int_equal(figure("emit_ids"), 0);
	assert_int_equal(figure("event_deliveries_total"), 2);
}

/* The policy of two tokens, 7 and 8; ownership goes to the bridge. */
static void
name_tokens(void)
{
	struct ps_token token = { .id = 7, .name = strdup("seven"),
		.has_secret = true, .hash = { 7 } };

	bridge.policy = ps_policy_create(1);
	assert_non_null(bridge.policy);
	assert_int_equal(ps_policy_add_token(bridge.policy, &token), PS_OK);
	token = (struct ps_token){ .id = 8, .name = strdup("e\"8"),
		.has_secret = true, .hash = { 8 } };
	assert_int_equal(ps_policy_add_token(bridge.policy, &token), PS_OK);
	assert_int_equal(ps_policy_seal(bridge.policy), PS_OK);
}

static void
count_refused(int64_t token_id)
{
	quota_count_refused(&bridge.quotas,
	    quotas_get(&bridge.quotas, token_id), bridge.unix_s());
}

static void
what_tokens_use_is_counted(void **state)
{
	struct quota *seven = quotas_get(&bridge.quotas, 7);
	struct session *session;
	struct refusal refusal;

	(void)state;
	count_refused(8);
	count_refused(9); /* of which the policy does not know */
	quotas_get(&bridge.quotas, 10); /* not used today */
	name_tokens();
	session = session_create(&bridge, ps_slice_str("192.0.2.1"), seven,
	    &refusal);
	session_create(&bridge, ps_slice_str("192.0.2.1"), seven, &refusal);
	assert_null(quota_take(&bridge.quotas, seven, PS_UP, 2, 30,
	    bridge.unix_s()));
	assert_null(quota_take(&bridge.quotas, seven, PS_DOWN, 1, 12,
	    bridge.unix_s()));
	assert_int_equal(figure("token_sockets{id=\"7\",token=\"seven\"}"),
	    2);
	assert_int_equal(figure("token_sockets{id=\"8\",token=\"e\\\"8\"}"),
	    0);
	assert_int_equal(figure("token_sockets{id=\"9\",token=\"\"}"), 0);
	assert_int_equal(
	    figure("token_messages_today{id=\"7\",token=\"seven\"}"), 3);
	assert_int_equal(
	    figure("token_bytes_today{id=\"7\",token=\"seven\"}"), 42);
	session_end(session, "test");
	assert_int_equal(figure("token_sockets{id=\"7\",token=\"seven\"}"),
	    1);
	assert_null(strstr(scrape(), "id=\"10\""));
	fixture_advance(86400 * UINT64_C(1000)); /* nobody uses it today */
	assert_null(strstr(scrape(), "id=\"7\""));
}

/* So many series would take the loop too long. */
static void
tokens_beyond_some_hundred_are_one_figure(void **state)
{
	int64_t id;

	(void)state;
	for (id = 1; id <= 500; id++)
		count_refused(id);
	assert_null(strstr(scrape(), "others"));
	for (; id <= 503; id++)
		assert_null(quota_take(&bridge.quotas,
		    quotas_get(&bridge.quotas, id), PS_UP, 2, 7,
		    bridge.unix_s()));
	assert_null(strstr(scrape(), "id=\"501\""));
	assert_int_equal(
	    figure("token_messages_today{id=\"\",token=\"others\"}"), 6);
	assert_int_equal(
	    figure("token_bytes_today{id=\"\",token=\"others\"}"), 21);
}

/* --- what has happened --- */

static void
traffic_outlives_its_session(void **state)
{
	struct session *session = fixture_open();
	struct ps_writer frame = { 0 };
	struct ps_ipc_send send = { 0 };
	struct ps_reader body;
	const char *limit;
	size_t begin;
	uint8_t type;

	(void)state;
	ps_ipc_send_begin(&frame, &send);
	begin = ps_ipc_event_begin(&frame, PS_EVENT_TEXT);
	ps_writer_str(&frame, "hello");
	ps_ipc_event_end(&frame, begin);
	ps_ipc_events_end(&frame, 1);
	assert_true(ps_ipc_split(frame.data, frame.len, &type, &body) > 0);
	assert_int_equal(ps_ipc_decode_send(&body, &send), PS_OK);
	assert_int_equal(session_from_client(session, &send, &limit), PS_OK);
	ps_writer_deinit(&frame);
	fixture_from_peer(session, "one");
	fixture_from_peer(session, "two");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(figure("messages_total{direction=\"up\"}"), 1);
		assert_int_equal(figure("messages_total{direction=\"down\"}"),
		    2);
		assert_int_equal(
		    figure("message_bytes_total{direction=\"up\"}"), 5);
		assert_int_equal(
		    figure("message_bytes_total{direction=\"down\"}"), 6);
		session_end(session, "test"); /* harmless when repeated */
	}
}

static void
refusals_are_counted_by_code(void **state)
{
	(void)state;
	exchange_reply_error(fixture_exchange(&web, NULL),
	    PS_CODE_SOCKET_UNKNOWN, NULL);
	exchange_reply_limit(fixture_exchange(&web, NULL),
	    PS_CODE_BRIDGE_FULL, "max_sessions");
	exchange_reply_limit(fixture_exchange(&web, NULL),
	    PS_CODE_BRIDGE_FULL, "max_sessions");
	assert_int_equal(figure("refusals_total{code=\"socket_unknown\"}"), 1);
	assert_int_equal(figure("refusals_total{code=\"bridge_full\"}"), 2);
	assert_int_equal(figure("refusals_total{code=\"rate_limit\"}"), 0);
}

/* Whatever happens to sessions, the figures are those of the ones alive. */
static void
figures_do_not_drift(void **state)
{
	struct session *open[8] = { NULL };
	uint64_t seed = 88172645463325252u, n_open = 0, n_ended = 0;
	size_t step, i;

	(void)state;
	for (step = 0; step < 5000; step++) {
		i = next_random(&seed) % ROWS(open);
		if (open[i] == NULL) {
			open[i] = fixture_open();
			n_open++;
			continue;
		}
		if (next_random(&seed) % 2 == 0 &&
		    open[i]->queue.count < QUEUE_MESSAGES) {
			fixture_from_peer(open[i], "x");
			continue;
		}
		session_end(open[i], "test");
		open[i] = NULL;
		n_open--;
		n_ended++;
		fixture_advance(1); /* soon enough for none to expire */
	}
	assert_int_equal(
	    figure("sessions{kind=\"relay\",state=\"open\",receiver=\"no\"}"),
	    n_open);
	assert_int_equal(figure("sessions_total"), n_open + n_ended);
	assert_int_equal(figure("remote_addresses"), n_open > 0);
	for (i = 0; i < ROWS(open); i++) {
		if (open[i] != NULL)
			session_end(open[i], "test");
	}
	assert_int_equal(
	    figure("sessions{kind=\"relay\",state=\"open\",receiver=\"no\"}"), 0);
	assert_int_equal(figure("queued_messages{direction=\"down\"}"), 0);
	assert_int_equal(figure("remote_addresses"), 0);
}

/* --- the two forms --- */

static void
every_metric_has_its_help_and_type(void **state)
{
	char line[512], name[128], type[16], current[128] = "";
	const char *p = scrape(), *end;
	size_t row = 0;

	(void)state;
	for (; *p != '\0'; p = end + 1, row++) {
		end = strchr(p, '\n');
		assert_non_null(end);
		snprintf(line, sizeof(line), "%.*s", (int)(end - p), p);
		if (sscanf(line, "# HELP %127s %*[^\n]", name) == 1) {
			assert_row(row, strcmp(name, current) != 0);
			strcpy(current, name);
		} else if (sscanf(line, "# TYPE %127s %15s", name, type) ==
		    2) {
			bool is_total = strlen(name) > 6 &&
			    strcmp(name + strlen(name) - 6, "_total") == 0;

			assert_row(row, strcmp(name, current) == 0);
			assert_row(row,
			    strcmp(type, is_total ? "counter" : "gauge") == 0);
		} else {
			assert_row(row,
			    sscanf(line, "%127[a-z_]%15[0-9 {]", name, type) ==
				2);
			assert_row(row, strcmp(name, current) == 0);
		}
	}
	assert_true(row > 30);
}

static void
label_values_are_escaped(void **state)
{
	struct ps_writer json = { 0 };
	json_object *root, *info;

	(void)state;
	free(bridge.config->node);
	bridge.config->node = strdup("q\"b\\n\nu\xc3\xa4");
	assert_non_null(strstr(scrape(), "node=\"q\\\"b\\\\n\\nu\xc3\xa4\","));
	metrics_put_json(&json, &bridge);
	ps_writer_u8(&json, '\0');
	root = json_tokener_parse(json.data);
	assert_non_null(root);
	info = json_object_array_get_idx(json_object_object_get(root, "info"),
	    0);
	assert_string_equal(
	    json_object_get_string(json_object_object_get(info, "node")),
	    "q\"b\\n\nu\xc3\xa4");
	json_object_put(root);
	ps_writer_deinit(&json);
}

/* One series of the JSON as a line of the other form, without the prefix. */
static void
write_series(struct ps_writer *w, const char *name, json_object *values)
{
	bool first = true;

	ps_writer_printf(w, "\npolysocket_%s", name);
	json_object_object_foreach(values, label, value)
	{
		if (strcmp(label, "value") == 0)
			break;
		ps_writer_printf(w, "%s%s=\"%s\"", first ? "{" : ",", label,
		    json_object_get_string(value));
		first = false;
	}
	ps_writer_printf(w, "} %" PRId64 "\n",
	    json_object_get_int64(json_object_object_get(values, "value")));
	ps_writer_u8(w, '\0');
}

static void
both_forms_have_the_same_figures(void **state)
{
	struct ps_writer json = { 0 }, line = { 0 };
	size_t i, n_series = 0, n_lines = 0;
	json_object *root;
	const char *p;

	(void)state;
	fixture_open();
	fixture_from_peer(fixture_open(), "hello");
	metrics_put_json(&json, &bridge);
	ps_writer_u8(&json, '\0');
	root = json_tokener_parse(json.data);
	assert_non_null(root);
	scrape();
	json_object_object_foreach(root, name, value)
	{
		if (!json_object_is_type(value, json_type_array)) {
			assert_int_equal(figure(name),
			    json_object_get_int64(value));
			n_series++;
			continue;
		}
		for (i = 0; i < json_object_array_length(value); i++) {
			ps_writer_reset(&line);
			write_series(&line, name,
			    json_object_array_get_idx(value, i));
			if (strstr(text.data, line.data) == NULL)
				fail_msg("no%s", line.data);
			n_series++;
		}
	}
	for (p = text.data; (p = strchr(p, '\n')) != NULL; p++)
		n_lines += p[1] != '#' && p[1] != '\0';
	assert_int_equal(n_series, n_lines);
	json_object_put(root);
	ps_writer_deinit(&json);
	ps_writer_deinit(&line);
}

#define plain(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup, teardown)
#define of_channels(test) \
	cmocka_unit_test_setup_teardown(test, channel_setup, \
	    teardown_channels)
#define on_loop(test) \
	cmocka_unit_test_setup_teardown(test, fixture_setup_loop, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		plain(sessions_are_counted_by_state_and_receiver),
		plain(sessions_are_counted_by_kind),
		plain(addresses_are_those_with_sessions),
		plain(authorizations_are_those_in_force),
		plain(timers_are_counted_while_they_are_set),
		plain(what_waits_in_both_directions_is_counted),
		on_loop(requests_are_counted_while_they_are_open),
		on_loop(what_a_web_server_does_not_take_is_counted),
		plain(draining_is_told),
		of_channels(channels_are_counted_with_their_members),
		of_channels(
		    emits_are_counted_while_they_wait_or_are_remembered),
		plain(what_tokens_use_is_counted),
		plain(tokens_beyond_some_hundred_are_one_figure),
		plain(traffic_outlives_its_session),
		on_loop(refusals_are_counted_by_code),
		plain(figures_do_not_drift),
		plain(every_metric_has_its_help_and_type),
		plain(label_values_are_escaped),
		plain(both_forms_have_the_same_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
