/*
 * Tokens and what they allow: the administrator's tables as of one revision.
 *
 * A policy is built once, by ps_db_load_policy(), and never changes after
 * that, so threads may share it; it is freed with its last reference. What is
 * found in it is borrowed for as long as the caller holds a reference.
 */
#ifndef PS_POLICY_H
#define PS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "ps_bytes.h"

struct ps_target;

/* Columns of `tokens`; a value is PS_NO_LIMIT where the column is NULL. */
enum ps_token_limit {
	PS_LIMIT_SOCKETS,
	PS_LIMIT_CREATES_PER_MINUTE,
	PS_LIMIT_MESSAGES_PER_DAY,
	PS_LIMIT_BYTES_PER_DAY,
	PS_LIMIT_MESSAGE_BYTES,
	PS_LIMIT_QUEUE_BYTES,
	PS_TOKEN_LIMIT__COUNT,
};

#define PS_NO_LIMIT UINT64_MAX

struct ps_token_limits {
	uint64_t value[PS_TOKEN_LIMIT__COUNT];
};

/* Such as "max_sockets": the name of the column, and of the limit in HTTP. */
const char *ps_token_limit_name(enum ps_token_limit limit);

#define PS_TOKEN_HASH_BYTES 32
#define PS_TOKEN_ANONYMOUS "anonymous"
/* Of a key that callbacks are signed with; the schema has the same. */
#define PS_CALLBACK_KEY_MAX 64

enum ps_right {
	PS_RIGHT_ORIGIN,
	PS_RIGHT_TARGET,
	PS_RIGHT_CALLBACK,
	PS_RIGHT__COUNT,
};

struct ps_pattern_list {
	struct ps_pattern *items;
	size_t count;
};

struct ps_channel_list {
	struct ps_channel_pattern *items;
	size_t count;
};

/* What a token may do with a channel. */
enum ps_channel_right {
	PS_MAY_EMIT = 1u << 0,
	PS_MAY_LISTEN = 1u << 1,
};

struct ps_token {
	int64_t id;
	char *name;
	bool has_secret; /* all but anonymous */
	unsigned char hash[PS_TOKEN_HASH_BYTES]; /* SHA3-256 of the secret */
	bool enabled, admin, allow_no_origin;
	int64_t expires_at_s; /* Unix time; INT64_MAX: never */
	struct ps_token_limits limits;
	struct ps_pattern_list rights[PS_RIGHT__COUNT];
	struct ps_channel_list channels;

	/* Of an application: a token that has callbacks. */
	unsigned char callback_key[PS_CALLBACK_KEY_MAX]; /* decoded */
	size_t callback_key_len; /* 0: it cannot be decoded */
	bool publish_auth, sockjs_websocket, sockjs_cookie;
};

struct ps_policy;

struct ps_policy *ps_policy_ref(struct ps_policy *policy);
void ps_policy_unref(struct ps_policy *policy); /* NULL is fine */

/* Of the tables it was read from; grows with every change of them. */
uint64_t ps_policy_revision(const struct ps_policy *policy);
/* When the next token expires, of those that have not; INT64_MAX: none. */
int64_t ps_policy_next_expiry_s(const struct ps_policy *policy, int64_t now_s);

/*
 * The token of a secret, or anonymous where none was sent. NULL when there is
 * none that is enabled and has not expired. Takes the same time wherever the
 * secret differs from one that exists.
 */
const struct ps_token *ps_policy_find(const struct ps_policy *policy,
    struct ps_slice secret, int64_t now_s);
/* By its id, valid or not; NULL when there is none. */
const struct ps_token *ps_policy_find_id(const struct ps_policy *policy,
    int64_t id);

/* Whether it is enabled and has not expired. */
bool ps_token_is_valid(const struct ps_token *token, int64_t now_s);
/* `origin` as ps_origin_from_header() gives it; empty when none was sent. */
bool ps_token_allows_origin(const struct ps_token *token,
    struct ps_slice origin);
bool ps_token_allows_target(const struct ps_token *token,
    const struct ps_target *target);
/* Whether it is an application, and may be called at some URL or other. */
bool ps_token_has_callbacks(const struct ps_token *token);
/* `target` as ps_callback_parse() gives it. */
bool ps_token_allows_callback(const struct ps_token *token,
    const struct ps_target *target);
/* What all patterns that have the name grant together. */
bool ps_token_allows_channel(const struct ps_token *token,
    struct ps_slice channel, enum ps_channel_right right);

/*
 * Building. Tokens come in any order, then their patterns. A pattern that is
 * none is left out with a warning, since it can only grant; PS_ERR_NOMEM.
 */
PS_MUST_CHECK struct ps_policy *ps_policy_create(uint64_t revision);
/* Takes over `token`, its name included. */
PS_MUST_CHECK int ps_policy_add_token(struct ps_policy *policy,
    const struct ps_token *token);
/* After the last token, before patterns and look-ups. */
PS_MUST_CHECK int ps_policy_seal(struct ps_policy *policy);
PS_MUST_CHECK int ps_policy_add_pattern(struct ps_policy *policy,
    int64_t token_id, enum ps_right right, const char *text);
/* `rights` are of enum ps_channel_right. */
PS_MUST_CHECK int ps_policy_add_channel(struct ps_policy *policy,
					int64_t token_id, const char *text,
					unsigned rights);

#endif
