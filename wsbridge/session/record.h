/*
 * What the database is told of the bridge's life: a row for each session when
 * it begins, now and then while messages pass, and when it ends; and what was
 * used of each token. Cheap: texts are copied, the store's thread does the
 * rest. Without a store nothing happens.
 */
#ifndef RECORD_H
#define RECORD_H

#include "ps_db.h"

struct bridge;
struct session;

/* What a session is about; borrowed for the call. A subject longer than
 * PS_SUBJECT_MAX is cut. */
struct record_subject {
	enum ps_session_kind kind;
	struct ps_slice subject, origin, remote_addr, agent;
};

/* A session begins. Out of memory, it has no row. */
void record_begin(struct session *session,
    const struct record_subject *subject);
/* Its traffic was counted: written within seconds. */
void record_traffic(struct session *session);
/*
 * It has ended, so far as its client is concerned; may be repeated. The reason
 * lives as long as the session.
 */
void record_end(struct session *session, uint16_t code, const char *reason);

/*
 * Its peer has to hear of its end, by a callback in the outbox: until that is
 * committed the database has it as one that lives, so that it is told after a
 * crash. Or it need not hear of it any more.
 */
void record_tell_end(struct session *session, bool tell);

/* Something of a token was counted: written within a second. */
void records_wake(struct bridge *bridge);
/* All that lives is to be written to a database that does not know it. */
void records_repeat(struct bridge *bridge);
/* Hands all that is not written yet to the store. */
void records_flush(struct bridge *bridge);

#endif
