/*
 * Authorizations: an application (a token that has callbacks) lets a client of
 * its own connect. All of the node are in memory, by socket id and by token and
 * client; the database keeps them for the next start.
 *
 * An authorization ends when it is withdrawn, when its time is over, or when
 * its row is deleted: its sessions close with 3000 "Go away!". While its token
 * is not valid, or does not cover the callback, it is there but is not found,
 * and its sessions close with 1008.
 *
 * What is published is queued at every session at once, which costs a reference
 * each, and delivered a few in each turn of the loop (fanout.h). So every
 * session gets it in the order of publishing, and the number that had it queued
 * is known when the publish is answered. Where many clients are between two
 * polls and lack a message already, delivery pauses for a moment.
 */
#ifndef AUTHORIZATION_H
#define AUTHORIZATION_H

#include "connection.h"
#include "kept.h"
#include "wsbridge/base/message.h"
#include "wsbridge/bridge.h"

struct ps_authorization_row;
struct ps_token;

struct authorization {
	struct table_node node;	       /* first: by socket id */
	struct table_node client_node; /* by token and client */
	TAILQ_ENTRY(authorization) all;
	TAILQ_ENTRY(authorization) live; /* while it has connections */
	struct garbage garbage;
	struct bridge *bridge;
	char socket_id[PS_SOCKET_ID_LEN + 1]; /* a secret */
	int64_t token_id;
	char *client;	/* with a NUL; part of the node's key */
	char *callback; /* URL; owned */
	bool events;	/* connects and disconnects are called back, too */
	int64_t created_at_s, renewed_at_s;
	int64_t expires_at_s; /* INT64_MAX: never */
	/* As the database has it, while what it is now is being written. */
	struct {
		char *callback; /* owned; NULL: it is as it is now */
		bool events;
		int64_t renewed_at_s, expires_at_s;
	} before;
	uint32_t round; /* that has put it, see authorizations_repeat() */

	struct connection_list connections; /* oldest first */
	uint32_t n_connections;
	struct connection_list undelivered;
	struct fanout_job job; /* delivers, and closes */
	struct timer pause;    /* of delivering, while it is set... */
	bool has_paused;       /* ...since nothing was undelivered */

	struct kept kept; /* for the next session */

	struct timer timer; /* of its end, or of the oldest that is kept */

	/* Of which revision of the policy `is_covered` speaks; and up to which
	 * one its sessions were looked at. */
	uint64_t judged, seen;
	bool is_covered; /* the token covers the callback */
	bool is_gone;	 /* withdrawn, and no longer in any table */
	bool is_new;	 /* the database does not have it yet */
	/* Why its sessions are being closed; 0: they are not. */
	uint16_t close_code;
	const char *close_reason; /* borrowed for ever */
};

/* What an application asks for; the slices are borrowed. */
struct authorization_terms {
	int64_t token_id;
	struct ps_slice client, callback;
	bool events;
	uint64_t ttl_s; /* 0: for ever */
};

PS_MUST_CHECK bool authorizations_init(struct bridge *bridge, uint64_t seed);
/* When no session is left. */
void authorizations_deinit(struct bridge *bridge);

/* A new one, or the one of this token and client renewed, whose row is to be
 * put next. NULL and why: TOO_MANY_AUTHORIZATIONS, or BRIDGE_FULL without
 * memory. */
struct authorization *authorization_renew(struct bridge *bridge,
    const struct authorization_terms *terms, enum ps_code *code_r);
/* A row that was put is committed; `is_last`: nothing of it is under way. And
 * with nothing under way, the last one could not be: it is as it was before, or
 * over. */
void authorization_written(struct bridge *bridge,
    const struct ps_authorization_row *row, bool is_last);
void authorization_unwritten(struct bridge *bridge,
    struct ps_slice socket_id);
/* The database has this row: at the start, or since the administrator has
 * written it. */
void authorization_load(struct bridge *bridge,
    const struct ps_authorization_row *row);

/* NULL: unknown, over, or its token is not valid or covers the callback no
 * more. */
struct authorization *authorization_find(struct bridge *bridge,
    struct ps_slice socket_id);
/* The same by token and client, whatever has become of the token. */
struct authorization *authorization_find_client(struct bridge *bridge,
    int64_t token_id, struct ps_slice client);
/* The one of this socket id, even if it is over. */
struct authorization *authorization_find_id(struct bridge *bridge,
    struct ps_slice socket_id);
bool authorization_is_over(const struct authorization *authorization);
/* In bridge->policy; NULL where there is none that is valid. */
const struct ps_token *authorization_token(const struct bridge *bridge,
    const struct authorization *authorization);

/*
 * A session is open, and a receiver is attached at once: what is kept is queued
 * for it. And it is no longer: harmless when repeated.
 */
void authorization_add_session(struct authorization *authorization,
    struct connection *connection);
void authorization_remove_session(struct connection *connection);

/*
 * Takes over a reference; returns the number of sessions that had it queued.
 * Where there are none, it is kept for the next one if `store`, and there is
 * room: `queued_r`.
 */
uint32_t authorization_publish(struct authorization *authorization,
    struct message *message, bool store, bool *queued_r);

/* Sessions are closed in this turn and the next ones, the row is deleted;
 * `why` is for the log. It is gone after the turn, if not before. */
void authorization_withdraw(struct bridge *bridge,
    struct authorization *authorization, const char *why);
/* The same, leaving the row to whoever waits until it is deleted... */
void authorization_end(struct authorization *authorization, const char *why);
/* ...or to the administrator, who has deleted it. */
void authorization_forgotten(struct bridge *bridge,
    struct ps_slice socket_id);

/* Whether its token is valid and covers the callback. */
bool authorization_is_covered(struct authorization *authorization);
/* Closes its sessions, a few in each turn; the reason is borrowed for ever. */
void authorization_close(struct authorization *authorization, uint16_t code,
    const char *reason);

#endif
