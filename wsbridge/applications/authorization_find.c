/* Which authorizations there are, and which of them hold. */
#include "config.h"

#include "authorization.h"

#include <string.h>

#include "ps_policy.h"
#include "ps_url.h"

const struct ps_token *
authorization_token(const struct bridge *bridge,
    const struct authorization *authorization)
{
	const struct ps_token *token;

	if (bridge->policy == NULL)
		return NULL;
	token = ps_policy_find_id(bridge->policy, authorization->token_id);
	return token != NULL && ps_token_is_valid(token, bridge->unix_s()) ?
	    token :
	    NULL;
}

bool
authorization_is_over(const struct authorization *authorization)
{
	return authorization->bridge->unix_s() >=
	    authorization->expires_at_s;
}

struct authorization *
authorization_find_id(struct bridge *bridge, struct ps_slice socket_id)
{
	return (struct authorization *)table_find(
	    &bridge->authorizations.by_id, socket_id);
}

static bool
allows_callback(const struct ps_token *token,
    const struct authorization *authorization)
{
	struct ps_target target;

	return ps_callback_parse(&target,
		   ps_slice_str(authorization->callback)) == NULL &&
	    ps_token_allows_callback(token, &target);
}

/* The token's patterns are asked once for each revision of the policy. */
bool
authorization_is_covered(struct authorization *authorization)
{
	const struct bridge *bridge = authorization->bridge;
	const struct ps_token *token =
	    authorization_token(bridge, authorization);
	uint64_t revision;

	if (token == NULL)
		return false;
	revision = ps_policy_revision(bridge->policy);
	if (authorization->judged != revision) {
		authorization->judged = revision;
		authorization->is_covered =
		    allows_callback(token, authorization);
	}
	return authorization->is_covered;
}

/* One whose timer has not fired yet is over all the same. */
static struct authorization *
unless_over(struct authorization *authorization)
{
	if (authorization == NULL || !authorization_is_over(authorization))
		return authorization;
	if (!authorization->bridge->draining)
		authorization_withdraw(authorization->bridge, authorization,
		    "its time is over");
	return NULL;
}

struct authorization *
authorization_find(struct bridge *bridge, struct ps_slice socket_id)
{
	struct authorization *authorization =
	    unless_over(authorization_find_id(bridge, socket_id));

	return authorization != NULL &&
		authorization_is_covered(authorization) ?
	    authorization :
	    NULL;
}

struct authorization *
authorization_find_client(struct bridge *bridge, int64_t token_id,
    struct ps_slice client)
{
	char key[sizeof(token_id) + PS_CLIENT_MAX];
	struct table_node *node;

	if (client.len > PS_CLIENT_MAX)
		return NULL;
	memcpy(key, &token_id, sizeof(token_id));
	memcpy(key + sizeof(token_id), client.data, client.len);
	node = table_find(&bridge->authorizations.by_client,
	    ps_slice(key, sizeof(token_id) + client.len));
	return node == NULL ?
	    NULL :
	    unless_over(PS_CONTAINER(node, struct authorization,
		client_node));
}
