/*
 * Memory runs out at every allocation of our own code, one after the other:
 * what was begun is then refused or given up, nothing is leaked and nothing is
 * used that is not there. The linker puts the functions below in the place of
 * the C library's; see tests/local.mk.
 */
#include "config.h"

#include "fixture.h"

#include "fcgi-app/params.h"
#include "ps_json.h"
#include "ps_pattern.h"
#include "wsbridge/deflate.h"
#include "wsbridge/parked.h"
#include "wsbridge/service.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t max);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);

static long which;	    /* allocation fails in this run */
static long countdown = -1; /* until it does; -1: none will */
static bool has_failed;

static bool
fails(void)
{
	if (countdown < 0 || countdown-- > 0)
		return false;
	has_failed = true;
	return true;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *
__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *
__wrap_strndup(const char *text, size_t max)
{
	return fails() ? NULL : __real_strndup(text, max);
}

static void
arm(void)
{
	countdown = which;
}

static void
disarm(void)
{
	countdown = -1;
}

/* Until a run needs fewer allocations than would have to succeed. */
static void
fail_each_allocation(void (*run)(void))
{
	for (which = 0; which < 10000; which++) {
		has_failed = false;
		run();
		disarm();
		if (!has_failed)
			break;
	}
	assert_true(which > 0 && which < 10000);
}

/* What failed did so for want of memory. */
static bool
succeeded(bool ok)
{
	assert_true(ok || has_failed);
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
	char form[] = "a=1&l=[1]";
	struct params *params;

	arm();
	params = params_create();
	if (!succeeded(params != NULL))
		return;
	assert_int_equal(params_parse_form(params, form, strlen(form), true),
	    PS_OK);
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
	ps_ipc_send_end(&frame, 2);
	ps_reader_init(&r, frame.data + 5, frame.len - 5);
	assert_int_equal(ps_ipc_decode_send(&r, &m), PS_OK);
	if (!has_failed)
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

		if (!has_failed)
			arm();
		session_from_peer(session, message);
		disarm();
	}
	if (session->state == SESSION_OPEN)
		send_two(session);
	disarm();
	if (!has_failed)
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
		    PS_DIALECT_POLYSOCKET, 1000);
	fixture_turn();
	disarm();
	fixture_from_peer(session, "x");
	session_end(session, "test");
	fixture_turn();
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(fixture_teardown(NULL), 0);
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

static void
a_session_gives_up_what_it_cannot_keep(void **state)
{
	(void)state;
	fail_each_allocation(live);
}

static void
a_request_is_parked_or_ended(void **state)
{
	(void)state;
	fail_each_allocation(park);
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
		cmocka_unit_test(a_request_is_parked_or_ended),
		cmocka_unit_test(a_probe_runs_or_ends),
		cmocka_unit_test(figures_are_whole_or_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
