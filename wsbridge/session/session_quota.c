/* What messages count for the token, and what they may be. */
#include "config.h"

#include "session_parts.h"

#include "record.h"

void
session_count(struct session *session, enum ps_direction direction,
    uint64_t messages, uint64_t bytes)
{
	ps_traffic_add(&session->traffic, direction, messages, bytes);
	record_traffic(session);
}

bool
session_take_quota(struct session *session, enum ps_direction direction,
    uint64_t messages, uint64_t bytes, const char **limit_r)
{
	struct bridge *bridge = session->bridge;
	const char *limit = quota_take(&bridge->quotas, session->quota,
	    direction, messages, bytes, bridge->unix_s());

	if (limit_r != NULL)
		*limit_r = limit;
	if (limit != NULL) {
		/* At once, since expelling may let the peer speak again. */
		if (direction == PS_DOWN)
			session->deaf = true;
		session_expel(session, 1008,
		    ps_code_info(PS_CODE_DAILY_LIMIT)->word);
		return false;
	}
	session_count(session, direction, messages, bytes);
	return true;
}

size_t
session_quotes(const struct session *session)
{
	return session->kind == PS_SESSION_APPLICATION ? 2 : 0;
}

/* The lower of a token's limit and one of the node; `*limit_r` names it. */
static uint64_t
tighter(const struct session *session, enum ps_token_limit limit,
    uint64_t node, const char *node_name, const char **limit_r)
{
	uint64_t token = session->quota->limits.value[limit];

	if (limit_r != NULL)
		*limit_r = token < node ? ps_token_limit_name(limit) :
					  node_name;
	return smaller(token, node);
}

uint64_t
session_max_message(const struct session *session, const char **limit_r)
{
	return tighter(session, PS_LIMIT_MESSAGE_BYTES,
	    session->bridge->config->max_message, "max_message", limit_r);
}

uint64_t
session_queue_bytes(const struct session *session, const char **limit_r)
{
	return tighter(session, PS_LIMIT_QUEUE_BYTES,
	    session->bridge->config->queue_bytes, "queue_bytes", limit_r);
}
