/*
 * The receiver that is a parked HTTP request: an exchange and a framing. A
 * poll is answered once and ends; a stream goes on until it is long enough.
 */
#ifndef PARKED_H
#define PARKED_H

#include "exchange.h"
#include "wsbridge/framing/framing.h"
#include "wsbridge/session/session.h"

/*
 * Parks `exchange` at `session`, or answers it at once when something is
 * waiting. Takes over the exchange; answers it too when it cannot park.
 */
void parked_create(struct session *session, struct exchange *exchange,
    const struct framing *framing, const struct ps_ipc_receive *m);

/*
 * The same with the first receiver of a session of SockJS, which greets: a poll
 * is answered with that alone. Ends the session when it cannot park; for a
 * stream ask parked_may_hold() before there is one.
 */
void parked_open(struct session *session, struct exchange *exchange,
    const struct framing *framing, uint64_t hold_ms);
bool parked_may_hold(const struct bridge *bridge);
/* With a later one; whether another is there already is the caller's matter. */
void parked_go_on(struct session *session, struct exchange *exchange,
    const struct framing *framing, uint64_t hold_ms);

/* Answers with one close event, without a session. */
void parked_reply_close(struct exchange *exchange,
    const struct framing *framing, uint16_t code, const char *reason);

#endif
