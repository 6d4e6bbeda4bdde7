/*
 * Whom the messages of a session are for, where each of them says so: a member
 * of a channel. It is the session's and lives as long; framings read it.
 */
#ifndef RECIPIENT_H
#define RECIPIENT_H

#include <stdint.h>

#include "ps_limits.h"

struct message;

struct recipient {
	char client[PS_CLIENT_ID_LEN + 1];
	uint32_t latency_ms; /* round trip of its last PING; 0: none yet */
	/* The last event that the client has got, or asked for what came after
	 * it; empty: none. */
	char event[PS_EVENT_ID_LEN + 1];
};

/* Its client has got the message. */
void recipient_has_got(struct recipient *recipient,
    const struct message *message);

#endif
