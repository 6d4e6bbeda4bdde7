/*
 * An application as the peer of a session: what the client says goes into the
 * outbox, from where it is called back; what the application publishes, or
 * answers to a callback, comes to the client.
 *
 * Messages are JSON strings in the form of ps_json_literal.h in both
 * directions. A session is open at once, and the application is told that it
 * begins and ends where its authorization wants events.
 */
#ifndef APPLICATION_H
#define APPLICATION_H

#include "authorization.h"
#include "wsbridge/base/refusal.h"
#include "wsbridge/outbox/outbox.h"
#include "wsbridge/session/session.h"

/* The peer of a session; it is freed after the turn in which that ends. */
struct application {
	struct garbage garbage;       /* first */
	struct connection connection; /* of its authorization */
	struct session *session;      /* NULL: it has ended */
	struct bridge *bridge;
	int64_t token_id;
	uint64_t n_rows; /* put into the outbox: the number of the last one */
	bool events;
	char client[]; /* NUL at its end */
};

/* Slices are borrowed. */
struct application_terms {
	struct authorization
	    *authorization; /* as authorization_find() has it */
	struct ps_slice origin, agent, remote_addr; /* for the records */
	const char *transport; /* such as "xhr"; borrowed for ever */
};

/*
 * A session that is open. The caller attaches a receiver at once. NULL and why
 * not: as session_create(), DRAINING, TOKEN_UNKNOWN, OUTBOX_FULL.
 */
struct session *application_create(struct bridge *bridge,
    const struct application_terms *terms, struct refusal *refusal_r);

/* NULL: the session has none (any more). */
struct application *application_of(const struct session *session);

/* The application closes it: its client hears this code and reason. */
void application_close(struct application *application, uint16_t code,
    struct ps_slice reason);

/*
 * Calls wait->done() once all that the session's client has said so far is
 * committed, or cannot be: then the session is closed with 1011. Perhaps before
 * this returns. A wait is the owner's, who cancels it before it goes.
 */
void application_wait(struct session *session, struct commit_wait *wait);
/* Harmless when it is over. */
void application_unwait(struct commit_wait *wait);

#endif
