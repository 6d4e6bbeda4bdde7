#include "config.h"

#include "ps_policy.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "ps_limits.h"
#include "ps_log.h"
#include "ps_pattern.h"

struct ps_policy {
	atomic_uint refs;
	uint64_t revision;
	struct ps_token *tokens; /* by id, once sealed */
	size_t count, capacity;
	const struct ps_token *anonymous;
	/* By hash: open addressing, so that no list is walked longer for one
	 * secret than for another. */
	const struct ps_token **by_hash;
	size_t mask; /* places - 1 */
};

static const char *const limit_names[] = {
	[PS_LIMIT_SOCKETS] = "max_sockets",
	[PS_LIMIT_CREATES_PER_MINUTE] = "max_creates_per_minute",
	[PS_LIMIT_MESSAGES_PER_DAY] = "max_messages_per_day",
	[PS_LIMIT_BYTES_PER_DAY] = "max_bytes_per_day",
	[PS_LIMIT_MESSAGE_BYTES] = "max_message_bytes",
	[PS_LIMIT_QUEUE_BYTES] = "max_queue_bytes",
};
_Static_assert(sizeof(limit_names) / sizeof(limit_names[0]) ==
	PS_TOKEN_LIMIT__COUNT,
    "every limit needs its name");

static const enum ps_pattern_kind kinds[] = {
	[PS_RIGHT_ORIGIN] = PS_PATTERN_ORIGIN,
	[PS_RIGHT_TARGET] = PS_PATTERN_TARGET,
	[PS_RIGHT_CALLBACK] = PS_PATTERN_CALLBACK,
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == PS_RIGHT__COUNT,
    "every right needs its kind of pattern");

const char *
ps_token_limit_name(enum ps_token_limit limit)
{
	return limit_names[limit];
}

struct ps_policy *
ps_policy_create(uint64_t revision)
{
	struct ps_policy *policy = calloc(1, sizeof(*policy));

	if (policy == NULL)
		return NULL;
	policy->refs = 1;
	policy->revision = revision;
	return policy;
}

struct ps_policy *
ps_policy_ref(struct ps_policy *policy)
{
	policy->refs++;
	return policy;
}

static void
deinit_token(struct ps_token *token)
{
	struct ps_pattern_list *list;
	size_t right, i;

	for (right = 0; right < PS_RIGHT__COUNT; right++) {
		list = &token->rights[right];
		for (i = 0; i < list->count; i++)
			ps_pattern_deinit(&list->items[i]);
		free(list->items);
	}
	for (i = 0; i < token->channels.count; i++)
		ps_channel_pattern_deinit(&token->channels.items[i]);
	free(token->channels.items);
	free(token->name);
}

void
ps_policy_unref(struct ps_policy *policy)
{
	size_t i;

	if (policy == NULL || --policy->refs > 0)
		return;
	for (i = 0; i < policy->count; i++)
		deinit_token(&policy->tokens[i]);
	free(policy->tokens);
	free(policy->by_hash);
	free(policy);
}

int
ps_policy_add_token(struct ps_policy *policy, const struct ps_token *token)
{
	size_t capacity = policy->capacity * 2 + 8;
	struct ps_token *tokens;

	if (policy->count == policy->capacity) {
		tokens = realloc(policy->tokens, capacity * sizeof(*tokens));
		if (tokens == NULL)
			return PS_ERR_NOMEM;
		policy->tokens = tokens;
		policy->capacity = capacity;
	}
	policy->tokens[policy->count++] = *token;
	return PS_OK;
}

static int
compare_ids(const void *a, const void *b)
{
	int64_t left = ((const struct ps_token *)a)->id;
	int64_t right = ((const struct ps_token *)b)->id;

	return (left > right) - (left < right);
}

/* A hash is random as it is. */
static size_t
place_of(const struct ps_policy *policy, const unsigned char *hash)
{
	size_t place;

	memcpy(&place, hash, sizeof(place));
	return place & policy->mask;
}

static void
index_token(struct ps_policy *policy, const struct ps_token *token)
{
	size_t place;

	if (!token->has_secret) {
		policy->anonymous = token;
		return;
	}
	place = place_of(policy, token->hash);
	while (policy->by_hash[place] != NULL)
		place = (place + 1) & policy->mask;
	policy->by_hash[place] = token;
}

int
ps_policy_seal(struct ps_policy *policy)
{
	size_t places = 8, i;

	while (places < policy->count * 2)
		places *= 2;
	policy->by_hash = calloc(places, sizeof(policy->by_hash[0]));
	if (policy->by_hash == NULL)
		return PS_ERR_NOMEM;
	policy->mask = places - 1;
	if (policy->count > 0)
		qsort(policy->tokens, policy->count, sizeof(policy->tokens[0]),
		    compare_ids);
	for (i = 0; i < policy->count; i++)
		index_token(policy, &policy->tokens[i]);
	return PS_OK;
}

/* It is ours to change until it is shared. */
static struct ps_token *
find_to_change(const struct ps_policy *policy, int64_t token_id)
{
	return (struct ps_token *)(uintptr_t)ps_policy_find_id(policy,
							       token_id);
}

/* `items` with room for one more than `count`; NULL when memory is out. */
static void *
make_room(void *items, size_t count, size_t size)
{
	/* Doubled whenever the count is a power of two. */
	if ((count & (count - 1)) != 0)
		return items;
	return realloc(items, (count == 0 ? 1 : count * 2) * size);
}

/* Counts a pattern by what its init returned. */
static int
was_added(const struct ps_token *token, const char *text, int ret,
	  size_t *count)
{
	if (ret == PS_OK)
		++*count;
	else if (ret == PS_ERR_MALFORMED)
		ps_warning("policy: token %s: %s is no pattern and left out",
			   token->name, text);
	return ret == PS_ERR_MALFORMED ? PS_OK : ret;
}

int
ps_policy_add_pattern(struct ps_policy *policy, int64_t token_id,
    enum ps_right right, const char *text)
{
	struct ps_token *token = find_to_change(policy, token_id);
	struct ps_pattern_list *list;
	struct ps_pattern *items;

	if (token == NULL)
		return PS_OK;
	list = &token->rights[right];
	items = make_room(list->items, list->count, sizeof(*items));
	if (items == NULL)
		return PS_ERR_NOMEM;
	list->items = items;
	return was_added(
	    token, text,
	    ps_pattern_init(&items[list->count], kinds[right], text),
	    &list->count);
}

int
ps_policy_add_channel(struct ps_policy *policy, int64_t token_id,
		      const char *text, unsigned rights)
{
	struct ps_token *token = find_to_change(policy, token_id);
	struct ps_channel_list *list;
	struct ps_channel_pattern *items;

	if (token == NULL)
		return PS_OK;
	list = &token->channels;
	items = make_room(list->items, list->count, sizeof(*items));
	if (items == NULL)
		return PS_ERR_NOMEM;
	list->items = items;
	return was_added(
	    token, text,
	    ps_channel_pattern_init(&items[list->count], text, rights),
	    &list->count);
}

uint64_t
ps_policy_revision(const struct ps_policy *policy)
{
	return policy->revision;
}

int64_t
ps_policy_next_expiry_s(const struct ps_policy *policy, int64_t now_s)
{
	int64_t next = INT64_MAX;
	size_t i;

	for (i = 0; i < policy->count; i++) {
		if (policy->tokens[i].expires_at_s > now_s &&
		    policy->tokens[i].expires_at_s < next)
			next = policy->tokens[i].expires_at_s;
	}
	return next;
}

const struct ps_token *
ps_policy_find_id(const struct ps_policy *policy, int64_t id)
{
	const struct ps_token key = { .id = id };

	if (policy->count == 0)
		return NULL;
	return bsearch(&key, policy->tokens, policy->count,
	    sizeof(policy->tokens[0]), compare_ids);
}

static const struct ps_token *
find_hash(const struct ps_policy *policy, const unsigned char *hash)
{
	const struct ps_token *token;
	size_t place = place_of(policy, hash);

	for (; (token = policy->by_hash[place]) != NULL;
	     place = (place + 1) & policy->mask) {
		if (CRYPTO_memcmp(token->hash, hash, sizeof(token->hash)) == 0)
			return token;
	}
	return NULL;
}

const struct ps_token *
ps_policy_find(const struct ps_policy *policy, struct ps_slice secret,
    int64_t now_s)
{
	unsigned char hash[PS_TOKEN_HASH_BYTES];
	const struct ps_token *token = policy->anonymous;

	if (secret.len > 0) {
		if (secret.len > PS_SECRET_MAX ||
		    EVP_Digest(secret.data, secret.len, hash, NULL,
			EVP_sha3_256(), NULL) != 1)
			return NULL;
		token = find_hash(policy, hash);
	}
	return token != NULL && ps_token_is_valid(token, now_s) ? token : NULL;
}

bool
ps_token_is_valid(const struct ps_token *token, int64_t now_s)
{
	return token->enabled && now_s < token->expires_at_s;
}

bool
ps_token_allows_origin(const struct ps_token *token, struct ps_slice origin)
{
	const struct ps_pattern_list *list = &token->rights[PS_RIGHT_ORIGIN];
	size_t i;

	if (origin.len == 0)
		return token->allow_no_origin;
	for (i = 0; i < list->count; i++) {
		if (ps_pattern_matches_origin(&list->items[i], origin))
			return true;
	}
	return false;
}

bool
ps_token_allows_target(const struct ps_token *token,
    const struct ps_target *target)
{
	const struct ps_pattern_list *list = &token->rights[PS_RIGHT_TARGET];
	size_t i;

	for (i = 0; i < list->count; i++) {
		if (ps_pattern_matches_target(&list->items[i], target))
			return true;
	}
	return false;
}

bool
ps_token_has_callbacks(const struct ps_token *token)
{
	return token->has_secret && token->rights[PS_RIGHT_CALLBACK].count > 0;
}

bool
ps_token_allows_callback(const struct ps_token *token,
    const struct ps_target *target)
{
	const struct ps_pattern_list *list = &token->rights[PS_RIGHT_CALLBACK];
	size_t i;

	for (i = 0; i < list->count && token->has_secret; i++) {
		if (ps_pattern_matches_callback(&list->items[i], target))
			return true;
	}
	return false;
}

bool
ps_token_allows_channel(const struct ps_token *token, struct ps_slice channel,
			enum ps_channel_right right)
{
	const struct ps_channel_list *list = &token->channels;
	size_t i;

	for (i = 0; i < list->count; i++) {
		if (list->items[i].rights & right &&
		    ps_channel_pattern_matches(&list->items[i], channel))
			return true;
	}
	return false;
}
