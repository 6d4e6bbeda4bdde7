#include "config.h"

#include "ps_code.h"

#include <assert.h>
#include <stddef.h>

// clang-format off
static const struct ps_code_info infos[] = {
	[PS_CODE_MISSING_PARAMETER] = { "missing_parameter", 400, 0, "a required parameter is missing" },
	[PS_CODE_BAD_PARAMETER] = { "bad_parameter", 400, 0, "a parameter has no valid value" },
	[PS_CODE_BAD_REQUEST] = { "bad_request", 400, 0, "the request is malformed" },
	[PS_CODE_CALLBACK_INVALID] = { "callback_invalid", 400, 0, "the callback is no name of a JavaScript function" },
	[PS_CODE_TARGET_INVALID] = { "target_invalid", 400, 0, "the target is no WebSocket URL" },
	[PS_CODE_NAME_RESERVED] = { "name_reserved", 400, 0, "the name is reserved" },
	[PS_CODE_NAME_INVALID] = { "name_invalid", 400, 0, "a channel's name has 1 to 128 bytes, none of them a control character" },
	[PS_CODE_NO_PAYLOAD] = { "no_payload", 400, 0, "No payload provided." },
	[PS_CODE_NOT_ENOUGH_CLIENTS] = { "not_enough_clients", 400, 0, "Not enough clients to target." },
	[PS_CODE_CALLBACK_URL_INVALID] = { "callback_url_invalid", 400, 0, "the callback is no http or https URL" },
	[PS_CODE_UNKNOWN_TYPE] = { "unknown_type", 400, 0, "the type of an event is unknown" },
	[PS_CODE_BAD_BASE64] = { "bad_base64", 400, 0, "binary data is not base64 with padding" },
	[PS_CODE_TOO_MANY_EVENTS] = { "too_many_events", 400, 0, "the request has more events than allowed" },
	[PS_CODE_TOKEN_REQUIRED] = { "token_required", 401, 0, "a token is needed here" },
	[PS_CODE_SOCKET_UNKNOWN] = { "socket_unknown", 403, 0, "the socket is unknown or closed" },
	[PS_CODE_KEY_UNKNOWN] = { "key_unknown", 403, 0, "the client has left, or this is not its key" },
	[PS_CODE_TARGET_REFUSED] = { "target_refused", 403, 0, "the token does not cover the target" },
	[PS_CODE_CHANNEL_REFUSED] = { "channel_refused", 403, 0, "the token does not cover the channel" },
	[PS_CODE_APPLICATION_UNKNOWN] = { "application_unknown", 403, 0, "there is no such application" },
	[PS_CODE_CALLBACK_REFUSED] = { "callback_refused", 403, 0, "the token does not cover the callback" },
	[PS_CODE_PUBLISH_REFUSED] = { "publish_refused", 403, 0, "publishing here needs the application id as a bearer token" },
	[PS_CODE_TOKEN_UNKNOWN] = { "token_unknown", 403, 0, "the token is unknown, disabled or expired" },
	[PS_CODE_ORIGIN_REFUSED] = { "origin_refused", 403, 0, "the token may not be used from this origin" },
	[PS_CODE_ADMIN_REQUIRED] = { "admin_required", 403, 0, "this needs the token of an administrator" },
	[PS_CODE_NOT_FOUND] = { "not_found", 404, 0, "there is nothing at this path" },
	[PS_CODE_CLIENTS_UNKNOWN] = { "clients_unknown", 404, 0, "none of the clients is there" },
	[PS_CODE_AUTHORIZATION_UNKNOWN] = { "authorization_unknown", 404, 0, "nobody is authorized by this id" },
	[PS_CODE_SESSION_UNKNOWN] = { "session_unknown", 404, 0, "there is no such session" },
	[PS_CODE_METHOD_NOT_ALLOWED] = { "method_not_allowed", 405, 0, "the method is not allowed here" },
	[PS_CODE_ACK_TIMEOUT] = { "ack_timeout", 408, 0, "not all clients have acknowledged in time" },
	[PS_CODE_GAP] = { "gap", 409, 0, "the number is not one that may come now, see expected" },
	[PS_CODE_BODY_TOO_LARGE] = { "body_too_large", 413, 0, "the body is larger than allowed" },
	[PS_CODE_MESSAGE_TOO_LARGE] = { "message_too_large", 413, 0, "a message is larger than allowed" },
	[PS_CODE_UPGRADE_REQUIRED] = { "upgrade_required", 426, 0, "this takes a WebSocket, or transport=eventsource, xhr-streaming or xhr" },
	[PS_CODE_SLOW_TARGET] = { "slow_target", 429, 1, "the target does not read fast enough, nothing was sent, try again" },
	[PS_CODE_CONNECTION_LIMIT] = { "connection_limit", 429, 5, "too many open sockets" },
	[PS_CODE_RATE_LIMIT] = { "rate_limit", 429, 1, "too many new sockets, try again later" },
	[PS_CODE_DAILY_LIMIT] = { "daily_limit", 429, 3600, "the token's messages or bytes of the day are used up" },
	[PS_CODE_BRIDGE_UNAVAILABLE] = { "bridge_unavailable", 503, 1, "the service is restarting, try again" },
	[PS_CODE_BRIDGE_FULL] = { "bridge_full", 503, 5, "the node has no room for another socket" },
	[PS_CODE_DRAINING] = { "draining", 503, 1, "the service is shutting down, try again" },
	[PS_CODE_CHANNEL_BUSY] = { "channel_busy", 503, 1, "the channel has more to deliver than may wait, try again" },
	[PS_CODE_TOO_MANY_HELD] = { "too_many_held", 503, 5, "the node holds as many requests as it can" },
	[PS_CODE_TOO_MANY_AUTHORIZATIONS] = { "too_many_authorizations", 503, 60, "the node has no room for another authorization" },
	[PS_CODE_OUTBOX_FULL] = { "outbox_full", 503, 5, "the application has more callbacks waiting than may, try again" },
	[PS_CODE_DATABASE_UNAVAILABLE] = { "database_unavailable", 503, 1, "the database is not available, try again" },
	[PS_CODE_DNS_FAILURE] = { "dns_failure", 200, 0, "the target's name cannot be resolved" },
	[PS_CODE_ADDRESS_REFUSED] = { "address_refused", 200, 0, "the target's address may not be reached" },
	[PS_CODE_CONNECT_REFUSED] = { "connect_refused", 200, 0, "the target cannot be connected to" },
	[PS_CODE_CONNECT_TIMEOUT] = { "connect_timeout", 200, 0, "the target did not answer in time" },
	[PS_CODE_TLS_ERROR] = { "tls_error", 200, 0, "the target's TLS handshake or certificate failed" },
	[PS_CODE_HANDSHAKE_REJECTED] = { "handshake_rejected", 200, 0, "the target rejected the WebSocket handshake" },
};
// clang-format on

_Static_assert(sizeof(infos) / sizeof(infos[0]) == PS_CODE__COUNT,
    "every code needs a row");

const struct ps_code_info *
ps_code_info(enum ps_code code)
{
	assert((unsigned)code < PS_CODE__COUNT);
	return &infos[code];
}
