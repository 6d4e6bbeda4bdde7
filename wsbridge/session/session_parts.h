/*
 * What the parts of a session share: session.c has its life, session_delivery.c
 * what is for the client, session_send.c what the client says, session_quota.c
 * what that counts. For these files alone.
 */
#ifndef SESSION_PARTS_H
#define SESSION_PARTS_H

#include "session.h"

static inline uint64_t
session_now(const struct session *session)
{
	return session->bridge->now_ms();
}

static inline uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* session.c: how long a close event waits for its client; before the bridge
 * ends, as long as that may be between two polls. */
uint64_t session_linger(const struct session *session);

/* session_delivery.c */
void session_release_receiver(struct session *session);

/*
 * session_quota.c: counts messages for session and token. False when the
 * token's day is used up: then none of them is to be passed, the session is
 * closed, and nothing that comes behind them is passed either.
 */
bool session_take_quota(struct session *session, enum ps_direction direction,
    uint64_t messages, uint64_t bytes, const char **limit_r);
/* Bytes of each message that are not the client's: what is around the JSON
 * strings of applications. */
size_t session_quotes(const struct session *session);

#endif
