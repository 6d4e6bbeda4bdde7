/*
 * Whom the messages of a session are for, where each of them says so: a member
 * of a channel. It is the session's and lives as long; framings read it.
 */
#ifndef RECIPIENT_H
#define RECIPIENT_H

#include <stdint.h>

#include "ps_limits.h"

struct recipient {
	char client[PS_CLIENT_ID_LEN + 1];
	uint32_t latency_ms; /* round trip of its last PING; 0: none yet */
	char event[PS_EVENT_ID_LEN + 1]; /* last one taken; empty: none */
};

#endif
