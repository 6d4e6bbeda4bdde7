/*
 * The receiver that is a parked HTTP request: an exchange and a framing. A
 * poll is answered once and ends; a stream goes on until it is long enough.
 */
#ifndef PARKED_H
#define PARKED_H

#include "exchange.h"
#include "framing/framing.h"
#include "session.h"

/*
 * Parks `exchange` at `session`, or answers it at once when something is
 * waiting. Takes over the exchange; answers it too when it cannot park.
 */
void parked_create(struct session *session, struct exchange *exchange,
    const struct framing *framing, const struct ps_ipc_receive *m);

#endif
