#include "config.h"

#include "unit.h"

#include <json-c/json.h>

#include "fcgi-app/limit.h"
#include "ps_limits.h"
#include "ps_options.h"

/*
 * Numbers of the configuration: whoever adds one decides here, and in limit.c,
 * whether a client can meet it.
 */
static const struct {
	const char *name;
	bool listed;
} options[] = {
	{ "processes", false },
	{ "threads", false },
	{ "max_body", true },
	{ "max_message", true },
	{ "max_events", true },
	{ "queue_messages", true },
	{ "queue_bytes", true },
	{ "reply_bytes", true },
	{ "max_sessions", true },
	{ "max_sessions_per_address", true },
	{ "max_creates_per_second", true },
	{ "max_held", true },
	{ "max_probes", true },
	{ "hold_default", true },
	{ "hold_min", true },
	{ "hold_max", true },
	{ "receiver_grace", true },
	{ "first_receiver_grace", true },
	{ "close_linger", true },
	{ "stream_bytes", true },
	{ "connect_timeout", true },
	{ "stall_timeout", true },
	{ "ping_interval", true },
	{ "ping_timeout", true },
	{ "ack_timeout", true },
	{ "history_events", true },
	{ "history_age", true },
	{ "max_emit_ids", true },
	{ "heartbeat_interval", true },
	{ "callback_timeout", false },
	{ "callback_retry", false },
	{ "callback_backoff", false },
	{ "callback_connections", false },
	{ "callback_reply_bytes", true },
	{ "outbox_messages", true },
	{ "max_authorizations", true },
	{ "kept_messages", true },
	{ "kept_bytes", true },
	{ "kept_time", true },
	{ "drain_timeout", false },
	{ "close_timeout", false },
	{ "keep_sessions", false },
	{ "max_unwritten", false },
};

static const struct {
	const char *name;
	uint64_t value;
} fixed[] = {
	{ "max_callback", PS_CALLBACK_MAX },
	{ "max_callback_url", PS_CALLBACK_URL_MAX },
	{ "max_channel", PS_CHANNEL_MAX },
	{ "max_client", PS_CLIENT_MAX },
	{ "max_clients", PS_CLIENTS_MAX },
	{ "max_clients_number", PS_CLIENTS_NUMBER_MAX },
	{ "max_depth", PS_JSON_DEPTH_MAX },
	{ "max_from", PS_AGENT_MAX },
	{ "max_id", PS_EMIT_ID_CHARACTERS },
	{ "max_parameters", PS_PARAMS_MAX },
	{ "max_presence", PS_PRESENCE_MAX },
	{ "max_protocols", PS_PROTOCOLS_MAX },
	{ "max_reason", PS_CLOSE_REASON_MAX },
	{ "max_sockjs_messages", PS_IPC_EVENTS_MAX },
	{ "max_target", PS_TARGET_MAX - 1 },
};

static struct ps_config *config;
static struct ps_token_limits token;
static json_object *limits;

static int
setup(void **state)
{
	enum ps_token_limit limit;

	(void)state;
	config = ps_config_create();
	for (limit = 0; limit < PS_TOKEN_LIMIT__COUNT; limit++)
		token.value[limit] = PS_NO_LIMIT;
	limits = NULL;
	return config == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	ps_config_destroy(config);
	json_object_put(limits);
	return 0;
}

static void
list(void)
{
	struct ps_writer json = { 0 };

	ps_writer_str(&json, " ");
	limit_put_all(&json, config, &token);
	ps_writer_u8(&json, '\0');
	assert_false(json.failed);
	limits = json_tokener_parse(json.data);
	assert_true(json_object_is_type(limits, json_type_object));
	ps_writer_deinit(&json);
}

static bool
has(const char *name, json_object **value_r)
{
	return json_object_object_get_ex(limits, name, value_r);
}

static bool
is_number(const struct ps_option *option)
{
	return option->type == PS_OPTION_COUNT ||
	    option->type == PS_OPTION_BYTES ||
	    option->type == PS_OPTION_DURATION;
}

static void
every_number_of_the_configuration_is_decided_about(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < ps_options_count; i++) {
		for (k = 0; k < ROWS(options); k++) {
			if (strcmp(options[k].name, ps_options[i].name) == 0)
				break;
		}
		if (is_number(&ps_options[i]) && k == ROWS(options))
			fail_msg("is %s a limit?", ps_options[i].name);
	}
}

static void
an_option_is_listed_with_its_value(void **state)
{
	json_object *value;
	uint64_t wanted;
	size_t i, k;

	(void)state;
	list();
	for (i = 0; i < ps_options_count; i++) {
		for (k = 0; k < ROWS(options); k++) {
			if (strcmp(options[k].name, ps_options[i].name) == 0)
				break;
		}
		if (k == ROWS(options)) {
			assert_row(i, !has(ps_options[i].name, &value));
			continue;
		}
		assert_row(i,
		    has(ps_options[i].name, &value) == options[k].listed);
		if (!options[k].listed)
			continue;
		memcpy(&wanted, (char *)config + ps_options[i].offset,
		    sizeof(wanted));
		assert_row(i, json_object_get_uint64(value) == wanted);
	}
}

static void
what_is_no_option_is_listed_too(void **state)
{
	json_object *value;
	size_t i;

	(void)state;
	list();
	for (i = 0; i < ROWS(fixed); i++) {
		assert_row(i, has(fixed[i].name, &value));
		assert_row(i, json_object_get_uint64(value) == fixed[i].value);
	}
}

static void
a_limit_that_does_not_exist_is_null(void **state)
{
	enum ps_token_limit limit;
	json_object *value;

	(void)state;
	config->max_sessions_per_address = 0;
	config->max_creates_per_second = 0;
	config->history_events = config->kept_messages = 0;
	list();
	/* None are kept. */
	assert_true(has("history_events", &value));
	assert_int_equal(json_object_get_uint64(value), 0);
	assert_non_null(value);
	assert_true(has("kept_messages", &value));
	assert_non_null(value);
	assert_true(has("max_sessions_per_address", &value));
	assert_null(value);
	assert_true(has("max_creates_per_second", &value));
	assert_null(value);
	for (limit = 0; limit < PS_TOKEN_LIMIT__COUNT; limit++) {
		assert_row(limit, has(ps_token_limit_name(limit), &value));
		assert_row(limit, value == NULL);
	}
}

static void
a_token_s_limits_are_listed_0_as_well(void **state)
{
	enum ps_token_limit limit;
	json_object *value;

	(void)state;
	for (limit = 0; limit < PS_TOKEN_LIMIT__COUNT; limit++)
		token.value[limit] = limit * 1000;
	list();
	for (limit = 0; limit < PS_TOKEN_LIMIT__COUNT; limit++) {
		assert_row(limit, has(ps_token_limit_name(limit), &value));
		assert_row(limit,
		    json_object_get_uint64(value) == limit * 1000);
	}
}

static void
no_name_is_there_twice(void **state)
{
	enum ps_token_limit limit;
	size_t expected = ROWS(fixed) + PS_TOKEN_LIMIT__COUNT, i, k;

	(void)state;
	list();
	for (i = 0; i < ROWS(options); i++) {
		expected += options[i].listed;
		for (k = 0; k < ROWS(fixed); k++)
			assert_row(i,
			    strcmp(options[i].name, fixed[k].name) != 0);
		for (limit = 0; limit < PS_TOKEN_LIMIT__COUNT; limit++)
			assert_row(i,
			    strcmp(options[i].name,
				ps_token_limit_name(limit)) != 0);
	}
	assert_int_equal(json_object_object_length(limits), expected);
}

int
main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		test(every_number_of_the_configuration_is_decided_about),
		test(an_option_is_listed_with_its_value),
		test(what_is_no_option_is_listed_too),
		test(a_limit_that_does_not_exist_is_null),
		test(a_token_s_limits_are_listed_0_as_well),
		test(no_name_is_there_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
