/*
 * Memory runs out at every allocation of our own code, one after the other:
 * what was begun is then refused or given up, nothing is leaked and nothing is
 * used that is not there. The linker puts these functions, and those of
 * allocations.c, in the place of the C library's; see tests/local.mk.
 */
#include "config.h"

#include "allocations.h"
#include "database.h"
#include "fixture.h"
#include "loop.h"

#include "fcgi-app/params.h"
#include "fcgi-app/rights.h"
#include "ps_json.h"
#include "ps_pattern.h"
#include "wsbridge/store/backlog.h"
#include "wsbridge/outbox/callback.h"
#include "wsbridge/channels/channel.h"
#include "wsbridge/websocket/deflate.h"
#include "wsbridge/applications/authorization.h"
#include "wsbridge/enforce.h"
#include "wsbridge/channels/envelope.h"
#include "wsbridge/framing/sockjs.h"
#include "wsbridge/http/parked.h"
#include "wsbridge/store/reading.h"
#include "wsbridge/session/record.h"
#include "wsbridge/service.h"
#include "wsbridge/store/store_thread.h"
#include "wsbridge/websocket/ws_style.h"

char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t max);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);

static long which; /* allocation fails in this run */

char *
__wrap_strdup(const char *text)
{
	return allocation_fails() ? NULL : __real_strdup(text);
}

char *
__wrap_strndup(const char *text, size_t max)
{
	return allocation_fails() ? NULL : __real_strndup(text, max);
}

static void
arm(void)
{
	allocations_left = which;
}

static void
disarm(void)
{
	allocations_left = -1;
}

/* Until a run needs fewer allocations than would have to succeed. */
static void
fail_each_allocation(void (*run)(void))
{
	for (which = 0; which < 10000; which++) {
		allocation_failed = false;
		run();
		disarm();
		if (!allocation_failed)
			break;
	}
	assert_true(which > 0 && which < 10000);
}

/* What failed did so for want of memory. */
static bool
succeeded(bool ok)
{
	assert_true(ok || allocation_failed);
	return ok;
}

static void
configure(void)
{
	char error[PS_CONFIG_ERROR_MAX];
	struct ps_config *config;

	arm();
	config = ps_config_create();
	if (!succeeded(config != NULL))
		return;
	if (succeeded(ps_config_set(config, "worker_users=a,b",
			  error) == PS_OK))
		assert_int_equal(config->worker_users.count, 2);
	if (succeeded(ps_config_set(config, "public_host=h", error) == PS_OK))
		assert_string_equal(config->public_host, "h");
	ps_config_destroy(config);
}

static void
answer(void)
{
	static const struct ps_style style = { .callback = { "cb", 2 } };
	struct ps_writer w = { 0 };

	arm();
	ps_reply_error(&w, &style, PS_CODE_NOT_FOUND, NULL, NULL);
	ps_json_string(&w, ps_slice_str("text"));
	succeeded(!w.failed);
	ps_writer_deinit(&w);
}

static void
parse(void)
{
	static const char json[] = "{\"m\":1,\"n\":2}";
	char form[] = "a=1&l=[1]";
	struct params *params;

	arm();
	params = params_create();
	if (!succeeded(params != NULL))
		return;
	assert_int_equal(params_parse_form(params, form, strlen(form), true),
	    PS_OK);
	if (succeeded(params_parse_json_but(params, json, strlen(json), "m") ==
		PS_OK))
		assert_true(ps_slice_is(params->aside, "1"));
	params_destroy(params);
}

/* What lacked memory must not look like a pattern that is none. */
static void
grant(void)
{
	struct ps_pattern pattern;
	int ret;

	arm();
	ret = ps_pattern_init(&pattern, PS_PATTERN_TARGET,
	    "ws://*.b\u00fccher.example/a*");
	if (succeeded(ret == PS_OK))
		ps_pattern_deinit(&pattern);
	else
		assert_int_equal(ret, PS_ERR_NOMEM);
}

static void
compress_and_expand(void)
{
	struct deflate codec = { 0 };
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str("text"));
	struct message *packed;
	struct ps_slice bytes;

	arm();
	packed = deflate_compress(&codec, message);
	if (succeeded(packed != NULL) &&
	    succeeded(deflate_expand(&codec, message_slice(packed), 4,
			  &bytes) == PS_OK))
		assert_slice(bytes, "text");
	message_unref(packed);
	message_unref(message);
	deflate_deinit(&codec);
}

static void
send_two(struct session *session)
{
	struct ps_writer frame = { 0 };
	struct ps_ipc_send m = { .more = true };
	const char *limit;
	struct ps_reader r;
	int i;

	disarm();
	ps_ipc_send_begin(&frame, &m);
	for (i = 0; i < 2; i++)
		ps_ipc_event_end(&frame,
		    ps_ipc_event_begin(&frame, PS_EVENT_TEXT));
	ps_ipc_events_end(&frame, 2);
	ps_reader_init(&r, frame.data + 5, frame.len - 5);
	assert_int_equal(ps_ipc_decode_send(&r, &m), PS_OK);
	if (!allocation_failed)
		arm();
	succeeded(session_from_client(session, &m, &limit) == PS_OK);
	ps_writer_deinit(&frame);
}

static void
live(void)
{
	struct refusal refusal = { .code = PS_CODE__COUNT };
	struct quota *quota;
	struct session *session;
	unsigned i;

	assert_int_equal(fixture_setup(NULL), 0);
	session_end(fixture_open(), "makes room for timers");
	quota = fixture_quota();
	arm();
	session = session_create(&bridge, ps_slice_str("192.0.2.9"), quota,
	    &refusal);
	disarm();
	if (!succeeded(session != NULL))
		assert_int_equal(refusal.code, PS_CODE_BRIDGE_FULL);
	if (session == NULL)
		goto out;
	session_opened(session, ps_slice(NULL, 0));
	session_set_peer(session, fixture_open()->peer_ops, &peer);
	for (i = 0; i < 6; i++) {
		struct message *message =
		    message_create(PS_EVENT_TEXT, ps_slice_str("x"));

		if (!allocation_failed)
			arm();
		session_from_peer(session, message);
		disarm();
	}
	if (session->state == SESSION_OPEN)
		send_two(session);
	disarm();
	if (!allocation_failed)
		arm();
	session_peer_closed(session, 1000, ps_slice(NULL, 0), true);
	disarm();
out:
	assert_int_equal(fixture_teardown(NULL), 0);
}

static void
park(void)
{
	static const struct ps_ipc_request request = { .id = REQUEST_ID,
		.style = { .origin = { "http://a", 8 } } };
	struct exchange *exchange;
	struct session *session;
	int fd;

	assert_int_equal(fixture_setup_loop(NULL), 0);
	session = fixture_open();
	fd = web_server_open(&web);
	arm();
	exchange = exchange_create(&bridge, fd, &request);
	if (succeeded(exchange != NULL))
		parked_create(session, exchange,
		    framing_relay(PS_IPC_FRAMING_LINES),
		    &(struct ps_ipc_receive){ .hold_ms = 1000 });
	fixture_turn();
	disarm();
	fixture_from_peer(session, "x");
	session_end(session, "test");
	fixture_turn();
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(fixture_teardown(NULL), 0);
}

static void
greet(void)
{
	const struct ps_style style = { .flags = PS_STYLE_SOCKJS,
		.callback = { "cb", 2 } };
	const struct framing *framing = framing_sockjs(PS_SOCKJS_HTMLFILE);
	struct exchange *exchange;
	struct session *session;

	assert_int_equal(fixture_setup_loop(NULL), 0);
	session = fixture_open();
	exchange = fixture_exchange(&web, &style);
	arm();
	parked_open(session, exchange, framing, 1000);
	fixture_turn();
	if (!allocation_failed)
		session_lose(session);
	disarm();
	/* It goes on, is over, or was never there. */
	if (bridge.sessions_by_id.count == 1) {
		assert_true(session->receiver != NULL || peer.n_close == 1);
		session_end(session, "test");
	}
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(bridge.n_held, 0);
	assert_int_equal(fixture_teardown(NULL), 0);
}

/* What could not be written says so, and is not taken for what others get. */
static void
say_as(const struct ws_style *style)
{
	struct ws_tools tools = { 0 };
	struct ps_writer out = { 0 };
	struct ws_output output = { &out, &tools, true };
	struct session *a, *b;
	char text[1000];
	bool taken;

	memset(text, 'x', sizeof(text));
	text[0] = text[998] = '"';
	text[999] = '\0';
	assert_int_equal(fixture_setup(NULL), 0);
	fixture_set("queue_bytes=1MiB");
	fixture_set("max_message=1MiB");
	a = fixture_open();
	b = fixture_open();
	fixture_from_peer(a, text);
	session_from_peer(b, message_ref(session_unsent(a, 0)));
	arm();
	assert_int_equal(style->put(&output, a, SIZE_MAX), 1);
	succeeded(!out.failed);
	disarm();
	ps_writer_reset(&out);
	assert_int_equal(style->put(&output, b, SIZE_MAX), 1);
	assert_false(out.failed);
	assert_true(out.len > 2);
	assert_int_equal((unsigned char)out.data[1], out.len - 2);
	if (!allocation_failed)
		arm();
	taken = succeeded(style->take(a, ps_slice(text, 999)) == PS_OK);
	disarm();
	assert_int_equal(peer.n_sent, taken);
	ws_tools_deinit(&tools);
	ps_writer_deinit(&out);
	assert_int_equal(fixture_teardown(NULL), 0);
}

static void
say_framed(void)
{
	say_as(&ws_sockjs);
}

static void
say_raw(void)
{
	say_as(&ws_raw);
}

/* The frame of a message that belongs to no session. */
static struct ps_reader
body_of(struct ps_writer *frame)
{
	struct ps_reader body;
	uint8_t type;

	assert_true(ps_ipc_split(frame->data, frame->len, &type, &body) > 0);
	return body;
}

static void
probe(void)
{
	static const struct ps_ipc_probe m = { { .id = REQUEST_ID } };
	struct ps_writer frame = { 0 };
	struct ps_reader body;
	int fd;

	assert_int_equal(fixture_setup_loop(NULL), 0);
	session_end(fixture_open(), "makes room for timers");
	fd = web_server_open(&web);
	ps_ipc_encode_probe(&frame, &m);
	body = body_of(&frame);
	arm();
	assert_int_equal(service_on_probe(&bridge, &body, fd), PS_OK);
	fixture_advance(200);
	disarm();
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(fixture_teardown(NULL), 0);
	ps_writer_deinit(&frame);
}

static void
tell_figures(enum ps_ipc_stats_format format)
{
	const struct ps_ipc_stats m = { { .id = REQUEST_ID }, format };
	struct ps_writer frame = { 0 };
	struct ps_reader body;
	int fd;

	assert_int_equal(fixture_setup_loop(NULL), 0);
	fixture_open();
	fd = web_server_open(&web);
	ps_ipc_encode_stats(&frame, &m);
	body = body_of(&frame);
	arm();
	assert_int_equal(service_on_stats(&bridge, &body, fd), PS_OK);
	disarm();
	fixture_advance(10); /* a connection that is given up closes late */
	web_server_read(&web);
	succeeded(web.ended);
	assert_true(web.eof);
	assert_int_equal(fixture_teardown(NULL), 0);
	ps_writer_deinit(&frame);
}

static void
tell_metrics(void)
{
	tell_figures(PS_IPC_STATS_PROMETHEUS);
}

static void
tell_stats(void)
{
	tell_figures(PS_IPC_STATS_JSON);
}

static void
on_called(void *owner, const struct callback_result *result)
{
	bool *is_over = owner;

	assert_int_equal(result->status, 0);
	succeeded(strcmp(result->error, "connection refused") == 0);
	*is_over = true;
}

/* Nobody is there, which is an answer as well. */
static void
call_application(void)
{
	static const struct callback_request request = {
		.url = "http://127.0.0.1:1/", .id = "id", .body = { "{}", 2 }
	};
	bool is_over = false;
	uv_timer_t ticks;

	assert_int_equal(fixture_setup_loop(NULL), 0);
	fixture_set("allow_networks=127.0.0.1");
	session_end(fixture_open(), "makes room for timers");
	loop_start_ticks(bridge.loop, &ticks);
	arm();
	bridge.callbacks = callbacks_create(&bridge);
	if (succeeded(bridge.callbacks != NULL) &&
	    succeeded(callback_start(bridge.callbacks, &request, on_called,
			  &is_over) != NULL))
		loop_run_until(bridge.loop, is_over);
	disarm();
	callbacks_destroy(bridge.callbacks);
	bridge.callbacks = NULL;
	loop_stop_ticks(&ticks);
	assert_int_equal(fixture_teardown(NULL), 0);
}

static int
build_policy(struct ps_policy *policy)
{
	struct ps_token token = { .has_secret = true, .enabled = true,
		.expires_at_s = INT64_MAX };
	char text[32];
	int i, ret;

	for (i = 1; i <= 10; i++) {
		token.id = i;
		token.hash[0] = (unsigned char)i;
		if ((token.name = strdup("name")) == NULL)
			return PS_ERR_NOMEM;
		if ((ret = ps_policy_add_token(policy, &token)) != PS_OK) {
			free(token.name);
			return ret;
		}
	}
	if ((ret = ps_policy_seal(policy)) != PS_OK)
		return ret;
	for (i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "ws://h%d", i);
		ret = ps_policy_add_pattern(policy, 7, PS_RIGHT_TARGET, text);
		if (ret != PS_OK)
			return ret;
		ret = ps_policy_add_channel(policy, 7, text, PS_MAY_EMIT);
		if (ret != PS_OK)
			return ret;
	}
	return PS_OK;
}

static void
permit(void)
{
	struct ps_policy *policy;
	int ret;

	arm();
	policy = ps_policy_create(1);
	if (!succeeded(policy != NULL))
		return;
	ret = build_policy(policy);
	if (!succeeded(ret == PS_OK))
		assert_int_equal(ret, PS_ERR_NOMEM);
	ps_policy_unref(policy);
}

static void
begin_of_token(void)
{
	static const struct ps_ipc_rights rights = { 5, 1, { { 0 } } };
	struct refusal refusal = { .code = PS_CODE__COUNT };
	struct quota *quota;

	assert_int_equal(fixture_setup(NULL), 0);
	session_end(fixture_open(), "makes room for timers");
	arm();
	quota = enforce_create(&bridge, &rights, &refusal);
	disarm();
	if (!succeeded(quota != NULL)) {
		assert_int_equal(refusal.code, PS_CODE_BRIDGE_FULL);
		assert_int_equal(bridge.quotas.by_id.count, 1);
	}
	assert_int_equal(fixture_teardown(NULL), 0);
}

/* Counted as lost, and the next one is not amended to what is not there. */
static void
put_records(void)
{
	struct ps_session_row row = { .id = "a-1", .node = "a",
		.subject = "", .origin = "", .remote_addr = "", .agent = "" };
	struct ps_usage usage = { .token_id = 1 };
	struct ps_event event = { ps_slice_str("news"), ps_slice_str("{}"),
		"e1", 0, 0 };
	struct backlog_ticket ticket = { 0 };
	struct backlog backlog;
	struct backlog_status status;

	assert_true(backlog_init(&backlog, 10));
	backlog_set_keep(&backlog, 10);
	arm();
	backlog_put_session(&backlog, &row, &ticket);
	backlog_put_usage(&backlog, &usage);
	backlog_put_event(&backlog, &event);
	disarm();
	status = backlog_status(&backlog);
	assert_int_equal(status.waiting + status.lost, 3);
	succeeded(status.lost == 0);
	/* The next event tells of the one before. */
	backlog_put_event(&backlog, &event);
	assert_int_equal(TAILQ_LAST(&backlog.events.events,
			     event_record_list)->event.n_lost,
	    status.lost_events);
	backlog_put_session(&backlog, &row, &ticket);
	assert_int_equal(backlog_status(&backlog).lost, status.lost);
	backlog_deinit(&backlog);
}

static void
read_database(void)
{
	char error[PS_DB_ERROR_MAX];
	struct ps_policy *policy = NULL;
	struct ps_db *db = NULL;
	int ret;

	arm();
	ret = ps_db_open(&db, database_path, PS_DB_WRITE, error);
	if (!succeeded(ret == PS_OK)) {
		assert_int_equal(ret, PS_ERR_NOMEM);
		assert_string_equal(error, "cannot be opened (out of memory)");
		return;
	}
	ret = ps_db_load_policy(db, &policy);
	disarm();
	if (!succeeded(ret == PS_OK)) {
		assert_int_equal(ret, PS_ERR_NOMEM);
		assert_null(policy);
	}
	/* What it had begun is over. */
	assert_int_equal(ps_db_begin(db), PS_OK);
	assert_int_equal(ps_db_commit(db), PS_OK);
	ps_policy_unref(policy);
	ps_db_close(db);
}

static void
read_history(void)
{
	char error[PS_DB_ERROR_MAX];
	struct reading reading;
	struct ps_db *db;
	int ret;

	assert_int_equal(ps_db_open(&db, database_path, PS_DB_WRITE, error),
	    PS_OK);
	reading_init(&reading, ps_slice_str("news"), ps_slice(NULL, 0), 100);
	reading.query.keep = 100;
	arm();
	ret = reading_run(&reading, db);
	disarm();
	assert_int_equal(ret, PS_OK);
	if (succeeded(!reading.result.failed))
		assert_slice(reading.result.events[0].payload, "{}");
	assert_int_equal(reading.result.count, !reading.result.failed);
	reading_deinit(&reading);
	ps_db_close(db);
}

static void
ignore_policy(void *owner, struct ps_policy *policy)
{
	(void)owner;
	ps_policy_unref(policy);
}

static void
ignore_request(void *owner, const char *id)
{
	(void)owner;
	(void)id;
}

static void
ignore_replaced(void *owner)
{
	(void)owner;
}

static void
ignore_usage(void *owner, const struct ps_usage *usage)
{
	(void)owner;
	(void)usage;
}

static void
ignore_create(void *owner, int64_t token_id, int64_t second_s, uint64_t count)
{
	(void)owner;
	(void)token_id;
	(void)second_s;
	(void)count;
}

static void
ignore_elsewhere(void *owner, const struct store_use *uses, size_t count)
{
	(void)owner;
	(void)uses;
	(void)count;
}

static void
ignore_sessions(void *owner, int64_t token_id, uint64_t n_sessions)
{
	(void)owner;
	(void)token_id;
	(void)n_sessions;
}

static const struct store_ops store_ops = {
	.policy = ignore_policy,
	.close_request = ignore_request,
	.replaced = ignore_replaced,
	.elsewhere = ignore_elsewhere,
};
static const struct store_memory store_memory = {
	.usage = ignore_usage,
	.create = ignore_create,
	.elsewhere = ignore_sessions,
	.creates_s = 60,
};

/* The thread waits before it does anything, by when no allocation fails. */
static void
open_store(void)
{
	struct session *session;
	char option[256];

	assert_int_equal(fixture_setup_loop(NULL), 0);
	snprintf(option, sizeof(option), "database=%s", database_path);
	fixture_set(option);
	session = fixture_open();
	arm();
	bridge.store = store_start(bridge.loop, bridge.config, bridge.tag,
	    &store_ops, &store_memory, &bridge);
	if (succeeded(bridge.store != NULL)) {
		record_begin(session, &(struct record_subject){ 0 });
		disarm();
		succeeded(session->row != NULL);
	}
	disarm();
	fixture_from_peer(session, "x"); /* with a row or without */
	session_end(session, "test");
	store_stop(bridge.store);
	bridge.store = NULL;
	assert_int_equal(fixture_teardown(NULL), 0);
}

/* What cannot be told is not told; the rest is. */
static void
tell_news(void)
{
	static const struct ps_outbox_lane lane = { .session = "a-1",
		.client = "me" };
	struct store store = { .ops = &store_ops };
	unsigned n_news = 0;
	struct news *news;

	assert_int_equal(fixture_setup_loop(NULL), 0);
	ps_thread_init(&store.thread);
	STAILQ_INIT(&store.mail.news);
	uv_async_init(bridge.loop, &store.async, NULL);
	arm();
	store_post_authorization(&store, "id");
	store_post_lane(&store, &lane);
	disarm();
	while ((news = STAILQ_FIRST(&store.mail.news)) != NULL) {
		STAILQ_REMOVE_HEAD(&store.mail.news, next);
		store_tell_news(&store, news);
		free(news);
		n_news++;
	}
	assert_int_equal(n_news, 2 - !succeeded(n_news == 2));
	uv_close((uv_handle_t *)&store.async, NULL);
	ps_thread_deinit(&store.thread);
	assert_int_equal(fixture_teardown(NULL), 0);
}

static void
know_rights(void)
{
	struct ps_config *config = ps_config_create();
	struct ps_policy *policy;
	struct rights *rights;

	assert_non_null(config);
	free(config->database);
	config->database = strdup(database_path);
	arm();
	rights = rights_start(config);
	disarm();
	if (succeeded(rights != NULL)) {
		policy = rights_take(rights);
		succeeded(policy != NULL);
		assert_int_equal(rights_are_current(rights), policy != NULL);
		ps_policy_unref(policy);
		rights_stop(rights);
	}
	ps_config_destroy(config);
}

/* For all that needs a database with something in it. */
static int
make_database(void **state)
{
	if (database_setup(state) != 0)
		return -1;
	admin_run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 "
		  "FROM n WHERE i < 10) INSERT INTO tokens (id, name, secret) "
		  "SELECT i, 'n' || i, 's' || i FROM n;"
		  "INSERT INTO token_targets SELECT id, 'ws://h' || id FROM "
		  "tokens;"
		  "INSERT INTO channel_events VALUES (1, 'news', 1, 'e1', "
		  "'{}', '2020-01-01 00:00:00.000')");
	return 0;
}

static void
a_configuration_is_made_or_not(void **state)
{
	(void)state;
	fail_each_allocation(configure);
}

static void
an_answer_is_whole_or_marked_as_failed(void **state)
{
	(void)state;
	fail_each_allocation(answer);
}

static void
parameters_are_read_or_not(void **state)
{
	(void)state;
	fail_each_allocation(parse);
}

static void
a_pattern_is_made_or_not(void **state)
{
	(void)state;
	fail_each_allocation(grant);
}

static void
a_message_is_compressed_or_not(void **state)
{
	(void)state;
	fail_each_allocation(compress_and_expand);
}

/* A member whose receiver takes all; its id, empty when it may not be. */
static void
come(struct fake_receiver *r, const char *since,
    char id[PS_SESSION_ID_MAX + 1])
{
	struct member_terms terms = { .channel = ps_slice_str("room"),
		.rights = { .token_id = 1 },
		.remote_addr = ps_slice_str("192.0.2.1"),
		.presence = ps_slice_str("{\"n\":1}"),
		.since = ps_slice_str(since),
		.tells_key = true };
	struct refusal refusal;
	struct session *session;
	size_t i;

	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		terms.rights.limits.value[i] = PS_NO_LIMIT;
	session = member_create(&bridge, &terms, &refusal);
	id[0] = '\0';
	if (!succeeded(session != NULL))
		return;
	strcpy(id, session->id);
	r->greedy = true;
	if (session->state == SESSION_OPEN &&
	    fixture_attach(session, r, UINT32_MAX) &&
	    session_has_unsent(session))
		r->receiver.ops->deliver(&r->receiver);
}

static void
say(const char *id, const char *text)
{
	struct session *session = session_find(&bridge, ps_slice_str(id));
	const char *limit;

	if (session != NULL)
		succeeded(session_message_from_client(session, PS_EVENT_TEXT,
			      ps_slice_str(text), &limit) == PS_OK);
}

/* One hears of another, who comes back later, and both leave. */
static void
meet(void)
{
	static const char *const said[] = { "{\"type\":\"PONG\"}",
		"{\"type\":\"PRESENCE\",\"payload\":{\"n\":2}}",
		"{\"type\":\"EMIT\",\"payload\":{\"n\":3}}",
		"{\"type\":\"ACK\",\"payload\":{\"eventID\":\"evt_x\"}}",
		"nonsense" };
	char one[PS_SESSION_ID_MAX + 1], other[PS_SESSION_ID_MAX + 1];
	struct channel *channel;
	struct message *message;
	size_t i;

	assert_int_equal(fixture_setup(NULL), 0);
	fixture_set("queue_messages=64");
	fixture_set("queue_bytes=16KiB");
	fixture_set("max_message=1KiB");
	session_end(fixture_open(), "makes room for timers");
	arm();
	come(&receiver, NULL, one);
	come(&other_receiver, "evt_00000001", other);
	fixture_advance(0);
	for (i = 0; i < ROWS(said); i++)
		say(one, said[i]);
	channel = channel_find(&bridge, ps_slice_str("room"));
	message = envelope_data(ps_slice_str("1"), "evt_00000002", false,
	    false);
	if (message != NULL && channel != NULL)
		succeeded(channel_send(channel, message, NULL));
	else
		message_unref(message);
	fixture_advance(25000);
	say(other, said[0]);
	fixture_advance(35000);
	disarm();
	assert_int_equal(fixture_teardown(NULL), 0);
}

static size_t
count_frames(const struct fake_receiver *r, const char *type)
{
	struct ps_slice rest = ps_slice(r->got.data, r->got.len);
	const char *at;
	size_t n = 0;

	while ((at = memmem(rest.data, rest.len, type, strlen(type))) !=
	    NULL) {
		at++;
		rest = ps_slice(at, (size_t)(rest.data + rest.len - at));
		n++;
	}
	return n;
}

/* The fifth needs more room in its channel than the first four. */
static void
fill_room(void)
{
	static struct fake_receiver receivers[5];
	char id[PS_SESSION_ID_MAX + 1];
	struct channel *channel;
	size_t i;

	assert_int_equal(fixture_setup(NULL), 0);
	memset(receivers, 0, sizeof(receivers));
	for (i = 0; i < ROWS(receivers); i++) {
		if (i == ROWS(receivers) - 1)
			arm();
		come(&receivers[i], NULL, id);
	}
	disarm();
	for (i = 0; i < 4; i++)
		fixture_advance(0);
	channel = channel_find(&bridge, ps_slice_str("room"));
	assert_int_equal(count_frames(&receivers[0], "PRESENCE:JOINED"),
	    channel->n_members - 1 +
		count_frames(&receivers[0], "PRESENCE:LEFT"));
	assert_int_equal(fixture_teardown(NULL), 0);
	for (i = 0; i < ROWS(receivers); i++)
		ps_writer_deinit(&receivers[i].got);
}

static void
one_who_cannot_join_was_never_there(void **state)
{
	(void)state;
	fail_each_allocation(fill_room);
}

static void
a_member_stays_or_leaves_as_a_whole(void **state)
{
	(void)state;
	fail_each_allocation(meet);
}

static void
a_session_gives_up_what_it_cannot_keep(void **state)
{
	(void)state;
	fail_each_allocation(live);
}

/* There is memory again for the next message, but no number. */
static void
a_message_that_is_lost_leaves_no_hole(void **state)
{
	struct session *session = fixture_open();
	uint32_t n;

	(void)state;
	fixture_set("queue_messages=16");
	fixture_set("queue_bytes=1KiB");
	assert_int_equal(fixture_attach_ack(session, &receiver, 0), PS_OK);
	which = 0;
	allocation_failed = false;
	fixture_from_peer(session, "makes room for some more");
	for (n = 1; !allocation_failed; n++) {
		struct message *message =
		    message_create(PS_EVENT_TEXT, ps_slice_str("x"));

		assert_true(n < 16);
		arm();
		session_from_peer(session, message);
		disarm();
	}
	assert_int_equal(peer.close_code, 1011);
	fixture_from_peer(session, "behind it");
	assert_int_equal(session->queue.count, n - 1);
	session_peer_closed(session, 1011, ps_slice(NULL, 0), true);
	assert_int_equal(session_take(session, n - 1, true), n);
}

static void
a_request_is_parked_or_ended(void **state)
{
	(void)state;
	fail_each_allocation(park);
}

static void
a_receiver_of_sockjs_greets_or_ends(void **state)
{
	(void)state;
	fail_each_allocation(greet);
}

static void
a_websocket_of_sockjs_says_all_or_nothing(void **state)
{
	(void)state;
	fail_each_allocation(say_framed);
	fail_each_allocation(say_raw);
}

static void
a_probe_runs_or_ends(void **state)
{
	(void)state;
	fail_each_allocation(probe);
}

static void
figures_are_whole_or_not_told(void **state)
{
	(void)state;
	fail_each_allocation(tell_metrics);
	fail_each_allocation(tell_stats);
}

static void
an_application_is_called_or_not(void **state)
{
	(void)state;
	fail_each_allocation(call_application);
}

static void
a_policy_is_whole_or_not_there(void **state)
{
	(void)state;
	fail_each_allocation(permit);
}

/* Made or refused, kept or not, loaded or left out. */
static void
authorize_and_publish(void)
{
	static const struct ps_authorization_row row = {
		.socket_id = "abcdefghijklmnopqrstuvwxyz234567",
		.token_id = 1,
		.client = "bob",
		.callback = "http://app.example/",
		.expires_at_s = INT64_MAX,
	};
	const struct authorization_terms terms = { 1, ps_slice_str("ann"),
		ps_slice_str("http://app.example/"), false, 60 };
	struct authorization *authorization;
	struct message *message;
	enum ps_code code = PS_CODE__COUNT;
	struct timer timer = { 0 };
	bool queued;

	assert_int_equal(fixture_setup(NULL), 0);
	/* The heap of timers does not go on without memory. */
	timers_set(&bridge.timers, &timer, UINT64_MAX);
	timers_cancel(&bridge.timers, &timer);
	arm();
	authorization = authorization_renew(&bridge, &terms, &code);
	if (!succeeded(authorization != NULL))
		assert_int_equal(code, PS_CODE_BRIDGE_FULL);
	if (authorization != NULL &&
	    succeeded((message = message_create(PS_EVENT_TEXT,
			   ps_slice_str("\"x\""))) != NULL)) {
		authorization_publish(authorization, message, true, &queued);
		if (!succeeded(queued))
			assert_int_equal(bridge.authorizations.kept_bytes, 0);
	}
	/* Renewed, or as it was. */
	if (authorization != NULL) {
		succeeded(authorization_renew(&bridge, &terms, &code) != NULL);
		assert_string_equal(authorization->callback, row.callback);
	}
	authorization_load(&bridge, &row);
	succeeded(authorization_find_client(&bridge, 1,
	    ps_slice_str("bob")) != NULL);
	disarm();
	assert_int_equal(fixture_teardown(NULL), 0);
}

static void
an_authorization_is_made_or_refused(void **state)
{
	(void)state;
	fail_each_allocation(authorize_and_publish);
}

static void
a_create_without_memory_is_refused(void **state)
{
	(void)state;
	fail_each_allocation(begin_of_token);
}

static void
a_record_is_kept_or_counted_as_lost(void **state)
{
	(void)state;
	fail_each_allocation(put_records);
}

static void
a_policy_is_read_whole_or_not_at_all(void **state)
{
	(void)state;
	fail_each_allocation(read_database);
}

static void
a_history_is_read_whole_or_fails(void **state)
{
	(void)state;
	fail_each_allocation(read_history);
}

static void
a_store_is_opened_or_not(void **state)
{
	(void)state;
	fail_each_allocation(open_store);
}

static void
a_worker_knows_all_rights_or_none(void **state)
{
	(void)state;
	fail_each_allocation(know_rights);
}

static void
news_are_told_or_not(void **state)
{
	(void)state;
	fail_each_allocation(tell_news);
}

#define with_database(test) \
	cmocka_unit_test_setup_teardown(test, make_database, \
	    database_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_is_made_or_not),
		cmocka_unit_test(an_answer_is_whole_or_marked_as_failed),
		cmocka_unit_test(parameters_are_read_or_not),
		cmocka_unit_test(a_pattern_is_made_or_not),
		cmocka_unit_test(a_message_is_compressed_or_not),
		cmocka_unit_test(a_session_gives_up_what_it_cannot_keep),
		cmocka_unit_test(one_who_cannot_join_was_never_there),
		cmocka_unit_test(a_member_stays_or_leaves_as_a_whole),
		cmocka_unit_test_setup_teardown(
		    a_message_that_is_lost_leaves_no_hole, fixture_setup,
		    fixture_teardown),
		cmocka_unit_test(a_request_is_parked_or_ended),
		cmocka_unit_test(a_receiver_of_sockjs_greets_or_ends),
		cmocka_unit_test(a_websocket_of_sockjs_says_all_or_nothing),
		cmocka_unit_test(a_probe_runs_or_ends),
		cmocka_unit_test(figures_are_whole_or_not_told),
		cmocka_unit_test(an_application_is_called_or_not),
		cmocka_unit_test(a_policy_is_whole_or_not_there),
		cmocka_unit_test(an_authorization_is_made_or_refused),
		cmocka_unit_test(a_create_without_memory_is_refused),
		cmocka_unit_test(a_record_is_kept_or_counted_as_lost),
		with_database(a_policy_is_read_whole_or_not_at_all),
		with_database(a_history_is_read_whole_or_fails),
		with_database(a_store_is_opened_or_not),
		with_database(a_worker_knows_all_rights_or_none),
		with_database(news_are_told_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
