/*
 * The stable words that tell an HTTP client why it was refused, each with its
 * HTTP status. doc/http-api.md documents every one; a house test compares.
 */
#ifndef PS_CODE_H
#define PS_CODE_H

enum ps_code {
	PS_CODE_MISSING_PARAMETER,
	PS_CODE_BAD_PARAMETER,
	PS_CODE_BAD_REQUEST,
	PS_CODE_CALLBACK_INVALID,
	PS_CODE_TARGET_INVALID,
	PS_CODE_NAME_RESERVED,
	PS_CODE_UNKNOWN_TYPE,
	PS_CODE_BAD_BASE64,
	PS_CODE_TOO_MANY_EVENTS,
	PS_CODE_SOCKET_UNKNOWN,
	PS_CODE_TARGET_REFUSED,
	PS_CODE_TOKEN_UNKNOWN,
	PS_CODE_ORIGIN_REFUSED,
	PS_CODE_ADMIN_REQUIRED,
	PS_CODE_NOT_FOUND,
	PS_CODE_METHOD_NOT_ALLOWED,
	PS_CODE_GAP,
	PS_CODE_BODY_TOO_LARGE,
	PS_CODE_MESSAGE_TOO_LARGE,
	PS_CODE_SLOW_TARGET,
	PS_CODE_CONNECTION_LIMIT,
	PS_CODE_RATE_LIMIT,
	PS_CODE_DAILY_LIMIT,
	PS_CODE_BRIDGE_UNAVAILABLE,
	PS_CODE_BRIDGE_FULL,
	PS_CODE_DRAINING,
	PS_CODE_TOO_MANY_HELD,
	PS_CODE_DATABASE_UNAVAILABLE,
	/* Of a target that was tried: always 200 with "ok":false. */
	PS_CODE_DNS_FAILURE,
	PS_CODE_ADDRESS_REFUSED,
	PS_CODE_CONNECT_REFUSED,
	PS_CODE_CONNECT_TIMEOUT,
	PS_CODE_TLS_ERROR,
	PS_CODE_HANDSHAKE_REJECTED,
	PS_CODE__COUNT,
};

struct ps_code_info {
	const char *word;
	int status;
	unsigned retry_after_s; /* 0: no Retry-After */
	const char *sentence;	/* used where no better one is known */
};

const struct ps_code_info *ps_code_info(enum ps_code code);

#endif
