/*
 * A member of a channel: the peer of a session whose receiver is a client's
 * WebSocket or a parked request. It understands what the client says, asks it
 * now and then whether it is there, and shows its presence to the others.
 *
 * It joins with member_join() and leaves exactly once, however its session
 * ends, and the others hear both.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include "ps_ipc.h"
#include "wsbridge/bridge.h"
#include "wsbridge/session/recipient.h"
#include "wsbridge/session/session.h"

struct asking;
struct channel;
struct replay;

struct member {
	struct garbage garbage; /* first */
	struct table_node node; /* by client id, of all channels of the node */
	struct channel *channel;
	struct session *session; /* NULL: it has left */
	TAILQ_ENTRY(member) by_age; /* or of `joining` */
	TAILQ_ENTRY(member) by_log; /* or of `behind` */
	TAILQ_ENTRY(member) undelivered; /* while `is_undelivered` */
	uint64_t serial; /* from 1; the higher, the later it joined */
	uint64_t log_at; /* number of the next entry of the log for it */
	uint32_t index;	 /* in channel->members */
	bool in_line, has_joined, is_behind, is_undelivered, tells_key;
	struct replay *replay; /* of what it has missed; see replay.h */
	LIST_HEAD(, asking) asking; /* its emits that wait */

	struct message_queue early; /* what it said before it joined */

	char *presence; /* compact JSON of an object, NULL is {}; owned */
	int64_t joined_at_s;   /* Unix time */
	struct timer timer;    /* of the next PING, or of its patience */
	uint64_t ping_at_ms;   /* when the next PING is due */
	uint64_t pinged_ms;    /* when the last PING went out; 0: answered */
	uint64_t heard_ms;     /* when it last said anything */
	uint64_t bad_since_ms; /* BAD_MESSAGEs are counted from then on */
	uint8_t n_bad;
	uint8_t n_updates;     /* PRESENCEs in the log, but for older ones... */
	uint64_t updates_from; /* ...and the number of the first of them */
};

/* What is known of a client that wants to listen. */
struct member_terms {
	struct ps_slice channel;
	struct ps_ipc_rights rights;
	struct ps_slice origin, agent, remote_addr; /* for the records */
	struct ps_slice presence; /* compact JSON of an object; empty: {} */
	struct ps_slice since;	  /* an event id; or empty */
	bool tells_key; /* CONNECTED has the key: there is no WebSocket */
};

/*
 * A session of a new member, which joins as soon as the channel has room; the
 * first it hears is CONNECTED. The caller attaches a receiver at once. NULL
 * and why not.
 */
struct session *member_create(struct bridge *bridge,
    const struct member_terms *terms, struct refusal *refusal_r);

/* The member of a session; NULL when it has left, or never was one. */
struct member *member_of(const struct session *session);
/* Whether `client` is whom the session is for. */
bool member_is(const struct session *session,
    const struct ps_ipc_member *who);

/* The client was heard of otherwise, which is as good as a PONG. */
void member_heard(struct session *session);

/* An ERROR frame to the client, such as ("SLOW_CLIENT", "..."). */
void member_send_error(struct member *member, const char *code,
    const char *text);

/* All members of the node are closed with 1001, some of them in each turn. */
void members_drain(struct bridge *bridge);

/*
 * For the channel; the member may have left when these return. It may come in;
 * something was queued at its session; more is held for it than may be, so that
 * it reads it again later or is too slow.
 */
void member_join(struct member *member);
void member_deliver(struct member *member);
void member_let_go(struct member *member);
/* The same as member_send_error(), but past the log and without delivery. */
void member_queue_error(struct member *member, const char *code,
    const char *text);

#endif
