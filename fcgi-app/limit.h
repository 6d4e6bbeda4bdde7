/*
 * Limits by name. A limit has one word, everywhere: it is the name of the
 * option or of the column of `tokens`, or one of those below. The route
 * /polysocket/limits lists it, and a refusal because of it carries it as
 * "limit".
 */
#ifndef LIMIT_H
#define LIMIT_H

#include "ps_bytes.h"
#include "ps_config.h"
#include "ps_policy.h"

/* Those that are no options; ps_limits.h has their values and reasons. */
#define LIMIT_CALLBACK "max_callback"
#define LIMIT_CALLBACK_URL "max_callback_url"
#define LIMIT_CHANNEL "max_channel"
#define LIMIT_CLIENT "max_client"
#define LIMIT_CLIENTS "max_clients"
#define LIMIT_CLIENTS_NUMBER "max_clients_number"
#define LIMIT_DEPTH "max_depth"
#define LIMIT_EMIT_ID "max_id"
#define LIMIT_FROM "max_from"
#define LIMIT_PARAMETERS "max_parameters"
#define LIMIT_PRESENCE "max_presence"
#define LIMIT_PROTOCOLS "max_protocols"
#define LIMIT_REASON "max_reason"
#define LIMIT_SOCKJS_MESSAGES "max_sockjs_messages"
#define LIMIT_TARGET "max_target"

/*
 * Appends an object of all limits in force for a token: bytes, milliseconds
 * or a count; null where there is none.
 */
void limit_put_all(struct ps_writer *json, const struct ps_config *config,
    const struct ps_token_limits *token);

#endif
