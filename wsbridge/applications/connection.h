/*
 * A session as those see it who publish: what they say is queued for it at once
 * and delivered in one of the next turns of the loop (fanout.h).
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct authorization;
struct message;
struct session;

/* Embedded in the session's application, which fills in session, transport and
 * connected_at_s; the rest is authorization.c's. */
struct connection {
	TAILQ_ENTRY(connection) entry;
	TAILQ_ENTRY(connection) undelivered; /* while `is_undelivered` */
	struct authorization *authorization; /* NULL: it is of none (any more) */
	struct session *session;
	const char *transport; /* such as "xhr"; borrowed for ever */
	int64_t connected_at_s;
	bool is_undelivered;
};

TAILQ_HEAD(connection_list, connection);

/*
 * Takes over a reference. False when it was not queued: its client does not
 * take what it is given, or the day of its token is used up. Then its session
 * is closed.
 */
bool connection_publish(struct connection *connection,
    struct message *message);

/* Delivers what is queued; it may be of no authorization any more after that. */
void connection_deliver(struct connection *connection);
/* Its client comes while its authorization closes all its sessions: this one
 * is closed now. */
void connection_close_if_due(struct connection *connection);
/* Nothing is to be delivered: it was, or it never will be. */
void connection_forget(struct connection *connection);

#endif
