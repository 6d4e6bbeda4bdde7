/*
 * The input is what an application answers to a callback, and once more JSON
 * text that is taken apart. What comes of it waits for the session's client in
 * the one form that messages have, and no longer than they may be; what is no
 * JSON says nothing.
 */
#include "config.h"

#include "fuzz.h"

#include <string.h>

#include "ps_config.h"
#include "ps_db_authorizations.h"
#include "ps_json.h"
#include "ps_json_literal.h"
#include "ps_json_parts.h"
#include "ps_log.h"
#include "ps_policy.h"
#include "wsbridge/applications/application.h"
#include "wsbridge/bridge.h"
#include "wsbridge/enforce.h"
#include "wsbridge/outbox/reply.h"

#define MESSAGE_MAX 64
#define SOCKET_ID "abcdefghijklmnopqrstuvwxyz234567"

static struct bridge bridge;
static struct authorization *authorization;
static uint64_t clock_ms;

/* An address may make so many sessions a second: each input has its own. */
static uint64_t
now(void)
{
	return clock_ms;
}

static void
allow(void)
{
	struct ps_token token = { .id = 1,
		.name = strdup("application"),
		.has_secret = true,
		.enabled = true,
		.expires_at_s = INT64_MAX };
	struct ps_policy *policy = ps_policy_create(1);
	size_t i;

	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] = PS_NO_LIMIT;
	require(policy != NULL && token.name != NULL);
	require(ps_policy_add_token(policy, &token) == PS_OK);
	require(ps_policy_seal(policy) == PS_OK);
	require(ps_policy_add_pattern(policy, 1, PS_RIGHT_CALLBACK,
		    "http://*:*") == PS_OK);
	enforce_policy(&bridge, policy);
}

/* A bridge with one client of one application. */
static void
begin(void)
{
	const struct ps_authorization_row row = { .socket_id = SOCKET_ID,
		.token_id = 1,
		.client = "ann",
		.callback = "http://app/cb",
		.expires_at_s = INT64_MAX };
	struct ps_config *config = ps_config_create();
	char error[PS_CONFIG_ERROR_MAX];

	ps_log_open("fuzz", PS_LOG_STDERR, PS_LOG_ERROR);
	require(config != NULL);
	require(ps_config_set(config, "max_message=64B", error) == PS_OK);
	require(bridge_init(&bridge, config) == PS_OK);
	bridge.now_ms = now;
	allow();
	authorization_load(&bridge, &row);
	authorization = authorization_find(&bridge, ps_slice_str(SOCKET_ID));
	require(authorization != NULL);
}

static struct session *
connect_client(void)
{
	const struct application_terms terms = {
		.authorization = authorization,
		.remote_addr = ps_slice_str("192.0.2.1"),
		.transport = "xhr",
	};
	struct refusal refusal;
	struct session *session =
	    application_create(&bridge, &terms, &refusal);

	require(session != NULL);
	return session;
}

static void
check_message(const struct message *message)
{
	struct ps_slice literal = message_slice(message);
	struct ps_writer again = { 0 };

	require(message->type == PS_EVENT_TEXT);
	require(literal.len <= MESSAGE_MAX + 2);
	require(ps_json_literal(&again, literal) == PS_OK);
	require(again.len == literal.len &&
		memcmp(again.data, literal.data, literal.len) == 0);
	ps_writer_deinit(&again);
}

static void
check_reply(struct ps_slice body, bool is_object)
{
	struct session *session = connect_client();
	struct message *message;
	uint32_t i;

	reply_deliver(&bridge, ps_slice_str(session->name), body);
	for (i = 0; (message = session_unsent(session, i)) != NULL; i++)
		check_message(message);
	require(is_object || i == 0);
	session_end(session, "said");
	bridge_free_garbage(&bridge);
}

static int
on_element(void *arg, struct ps_slice value)
{
	const struct ps_slice *text = arg;

	require(value.len > 0 && value.data >= text->data &&
		value.data + value.len <= text->data + text->len);
	/* By itself it is JSON, too. */
	require(ps_json_elements(value, on_element, &value) !=
		PS_ERR_MALFORMED);
	return PS_OK;
}

static int
on_member(void *arg, struct ps_slice name, struct ps_slice value)
{
	struct ps_writer literal = { 0 };

	require(ps_json_literal(&literal, name) == PS_OK);
	ps_writer_deinit(&literal);
	return on_element(arg, value);
}

/* Text that was not checked: nonsense, but of the text. */
static void
take_apart(struct ps_slice text)
{
	struct ps_slice rest = text, name, value;

	while (ps_json_next_member(&rest, &name, &value))
		require(name.len <= text.len && value.len <= text.len);
	rest = text;
	while (ps_json_next_element(&rest, &value))
		require(value.len <= text.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ps_slice input = ps_slice((const char *)data, len);
	int ret;

	if (authorization == NULL)
		begin();
	clock_ms += 1000;
	ret = ps_json_members(input, on_member, &input);
	require(ret == PS_OK || ret == PS_ERR_UNKNOWN ||
		ret == PS_ERR_MALFORMED || ret == PS_ERR_TOO_LARGE);
	if (ps_json_elements(input, on_element, &input) == PS_OK)
		require(ret == PS_ERR_UNKNOWN);
	check_reply(input, ret == PS_OK);
	take_apart(input);
	return 0;
}
