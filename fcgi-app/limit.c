#include "config.h"

#include "limit.h"

#include <inttypes.h>

#include "ps_limits.h"
#include "ps_options.h"

static const struct {
	const char *name;
	uint64_t value;
} fixed[] = {
	{ LIMIT_CALLBACK, PS_CALLBACK_MAX },
	{ LIMIT_CALLBACK_URL, PS_CALLBACK_URL_MAX },
	{ LIMIT_CHANNEL, PS_CHANNEL_MAX },
	{ LIMIT_CLIENT, PS_CLIENT_MAX },
	{ LIMIT_CLIENTS, PS_CLIENTS_MAX },
	{ LIMIT_CLIENTS_NUMBER, PS_CLIENTS_NUMBER_MAX },
	{ LIMIT_DEPTH, PS_JSON_DEPTH_MAX },
	{ LIMIT_EMIT_ID, PS_EMIT_ID_CHARACTERS },
	{ LIMIT_FROM, PS_AGENT_MAX },
	{ LIMIT_PARAMETERS, PS_PARAMS_MAX },
	{ LIMIT_PRESENCE, PS_PRESENCE_MAX },
	{ LIMIT_PROTOCOLS, PS_PROTOCOLS_MAX },
	{ LIMIT_REASON, PS_CLOSE_REASON_MAX },
	{ LIMIT_SOCKJS_MESSAGES, PS_IPC_EVENTS_MAX },
	{ LIMIT_TARGET, PS_TARGET_MAX - 1 },
};

/*
 * Numbers of the configuration that no client can meet. All others are
 * limits, so that a new option is listed unless it is named here.
 */
static const char *const internal[] = { "processes", "threads",
	"drain_timeout", "close_timeout", "keep_sessions", "max_unwritten",
	"callback_timeout", "callback_retry", "callback_backoff",
	"callback_connections" };

static bool
is_limit(const struct ps_option *option)
{
	size_t i;

	if (option->type != PS_OPTION_COUNT &&
	    option->type != PS_OPTION_BYTES &&
	    option->type != PS_OPTION_DURATION)
		return false;
	for (i = 0; i < sizeof(internal) / sizeof(internal[0]); i++) {
		if (strcmp(option->name, internal[i]) == 0)
			return false;
	}
	return true;
}

static void
put(struct ps_writer *json, const char *name, uint64_t value)
{
	ps_writer_printf(json, ",\"%s\":", name);
	if (value == PS_NO_LIMIT)
		ps_writer_str(json, "null");
	else
		ps_writer_printf(json, "%" PRIu64, value);
}

static void
put_option(struct ps_writer *json, const struct ps_config *config,
    const struct ps_option *option)
{
	uint64_t value;

	memcpy(&value, (const char *)config + option->offset, sizeof(value));
	/* An option that may be 0 has no limit then, but of what is kept there
	 * is none. */
	if (value == 0 && strncmp(option->name, "history_", 8) != 0 &&
	    strncmp(option->name, "kept_", 5) != 0)
		value = PS_NO_LIMIT;
	put(json, option->name, value);
}

void
limit_put_all(struct ps_writer *json, const struct ps_config *config,
    const struct ps_token_limits *token)
{
	size_t begin = json->len, i;
	enum ps_token_limit limit;

	for (i = 0; i < ps_options_count; i++) {
		if (is_limit(&ps_options[i]))
			put_option(json, config, &ps_options[i]);
	}
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		put(json, fixed[i].name, fixed[i].value);
	for (limit = 0; limit < PS_TOKEN_LIMIT__COUNT; limit++)
		put(json, ps_token_limit_name(limit), token->value[limit]);
	ps_writer_str(json, "}");
	if (!json->failed)
		json->data[begin] = '{'; /* for the first comma */
}
