/* The policy, as the tables of tokens have it. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ps_base64.h"
#include "ps_sql.h"

int
ps_db_revision(struct ps_db *db, uint64_t *revision_r)
{
	int64_t revision = 0;
	int ret = ps_sql_each(db, PS_SQL_REVISION, ps_sql_number_row,
	    &revision);

	*revision_r = (uint64_t)revision;
	return ret;
}

/* Base64 does not fit each text that the schema takes: such a key is none. */
static int
take_callback_key(struct ps_token *token, const char *text)
{
	struct ps_writer key = { 0 };
	int ret = PS_OK;

	if (ps_base64_decode(&key, ps_slice_str(text)) == PS_OK &&
	    !key.failed && key.len <= sizeof(token->callback_key)) {
		memcpy(token->callback_key, key.data, key.len);
		token->callback_key_len = key.len;
	}
	if (key.failed)
		ret = PS_ERR_NOMEM;
	ps_writer_deinit(&key);
	return ret;
}

static int
token_row(void *arg, sqlite3_stmt *stmt)
{
	const char *name = (const char *)sqlite3_column_text(stmt, 1);
	struct ps_token token = { .id = sqlite3_column_int64(stmt, 0),
		.enabled = sqlite3_column_int(stmt, 3) != 0,
		.admin = sqlite3_column_int(stmt, 4) != 0,
		.allow_no_origin = sqlite3_column_int(stmt, 5) != 0,
		.expires_at_s = INT64_MAX };
	int i, ret;

	token.has_secret = sqlite3_column_type(stmt, 2) != SQLITE_NULL;
	/* Without a secret, and not anonymous, it would be everybody's. */
	if (name == NULL ||
	    token.has_secret == (strcmp(name, PS_TOKEN_ANONYMOUS) == 0) ||
	    (token.has_secret &&
		sqlite3_column_bytes(stmt, 2) != PS_TOKEN_HASH_BYTES))
		return PS_OK;
	if (token.has_secret)
		memcpy(token.hash, sqlite3_column_blob(stmt, 2),
		    PS_TOKEN_HASH_BYTES);
	if (sqlite3_column_type(stmt, 6) != SQLITE_NULL)
		token.expires_at_s = sqlite3_column_int64(stmt, 6);
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] =
		    sqlite3_column_type(stmt, 7 + i) == SQLITE_NULL ?
		    PS_NO_LIMIT :
		    (uint64_t)sqlite3_column_int64(stmt, 7 + i);
	token.publish_auth = sqlite3_column_int(stmt, 14) != 0;
	token.sockjs_websocket = sqlite3_column_int(stmt, 15) != 0;
	token.sockjs_cookie = sqlite3_column_int(stmt, 16) != 0;
	ret = take_callback_key(&token, ps_sql_text(stmt, 13));
	if (ret != PS_OK || (token.name = strdup(name)) == NULL)
		return PS_ERR_NOMEM;
	if ((ret = ps_policy_add_token(arg, &token)) != PS_OK)
		free(token.name);
	return ret;
}

static int
pattern_row(struct ps_policy *policy, sqlite3_stmt *stmt, enum ps_right right)
{
	const char *text = (const char *)sqlite3_column_text(stmt, 1);

	if (text == NULL)
		return PS_ERR_NOMEM;
	return ps_policy_add_pattern(policy, sqlite3_column_int64(stmt, 0),
	    right, text);
}

static int
origin_row(void *arg, sqlite3_stmt *stmt)
{
	return pattern_row(arg, stmt, PS_RIGHT_ORIGIN);
}

static int
target_row(void *arg, sqlite3_stmt *stmt)
{
	return pattern_row(arg, stmt, PS_RIGHT_TARGET);
}

static int
callback_row(void *arg, sqlite3_stmt *stmt)
{
	return pattern_row(arg, stmt, PS_RIGHT_CALLBACK);
}

static int
channel_row(void *arg, sqlite3_stmt *stmt)
{
	const char *text = (const char *)sqlite3_column_text(stmt, 1);
	unsigned rights = 0;

	if (text == NULL)
		return PS_ERR_NOMEM;
	if (sqlite3_column_int(stmt, 2) != 0)
		rights |= PS_MAY_EMIT;
	if (sqlite3_column_int(stmt, 3) != 0)
		rights |= PS_MAY_LISTEN;
	return ps_policy_add_channel(arg, sqlite3_column_int64(stmt, 0), text,
				     rights);
}

/* Inside a transaction, so that all of it is of one revision. */
static int
read_policy(struct ps_db *db, struct ps_policy **policy_r)
{
	struct ps_policy *policy;
	uint64_t revision;
	int ret;

	if ((ret = ps_db_revision(db, &revision)) != PS_OK)
		return ret;
	if ((policy = ps_policy_create(revision)) == NULL)
		return PS_ERR_NOMEM;
	if ((ret = ps_sql_each(db, PS_SQL_TOKENS, token_row, policy)) !=
		PS_OK ||
	    (ret = ps_policy_seal(policy)) != PS_OK ||
	    (ret = ps_sql_each(db, PS_SQL_ORIGINS, origin_row, policy)) !=
		PS_OK ||
	    (ret = ps_sql_each(db, PS_SQL_TARGETS, target_row, policy)) !=
		PS_OK ||
	    (ret = ps_sql_each(db, PS_SQL_CALLBACKS, callback_row, policy)) !=
		PS_OK ||
	    (ret = ps_sql_each(db, PS_SQL_CHANNELS, channel_row, policy)) !=
		PS_OK) {
		ps_policy_unref(policy);
		return ret;
	}
	*policy_r = policy;
	return PS_OK;
}

int
ps_db_load_policy(struct ps_db *db, struct ps_policy **policy_r)
{
	int ret = ps_sql_run(db, PS_SQL_BEGIN_READ);

	if (ret != PS_OK)
		return ret;
	ret = read_policy(db, policy_r);
	ps_db_rollback(db);
	return ret;
}
