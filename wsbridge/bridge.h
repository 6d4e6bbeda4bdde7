/*
 * All state of the daemon. There is one bridge, it lives on one thread, and
 * whatever it points to is touched by that thread alone.
 */
#ifndef BRIDGE_H
#define BRIDGE_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "ps_bytes.h"
#include "ps_code.h"
#include "ps_config.h"
#include "ps_container.h"
#include "ps_db.h"
#include "ps_ipc.h"
#include "ps_limits.h"
#include "wsbridge/base/fanout.h"
#include "wsbridge/base/table.h"
#include "wsbridge/base/timers.h"
#include "wsbridge/base/turns.h"
#include "wsbridge/base/watch.h"
#include "wsbridge/session/address.h"
#include "wsbridge/session/quota.h"

struct authorization;
struct authorization_change;
struct callbacks;
struct channel;
struct emits;
struct intake;
struct message;
struct outbox;
struct session;
struct store;
struct websocket;

TAILQ_HEAD(session_list, session);
TAILQ_HEAD(authorization_list, authorization);
TAILQ_HEAD(channel_list, channel);
LIST_HEAD(exchange_list, exchange);

#define BRIDGE_CLOSE_BATCH 32

/* Something to be freed when nothing on the stack can refer to it any more. */
struct garbage {
	struct garbage *next;
	void (*destroy)(struct garbage *garbage);
};

/*
 * What has happened since the start. These only grow: what is at the moment is
 * counted when it is asked for (metrics.h).
 */
struct totals {
	uint64_t requests[PS_IPC__COUNT];  /* handed over, by type */
	uint64_t refusals[PS_CODE__COUNT]; /* answered, by code */
	struct ps_traffic ended;	   /* of the sessions that have ended */
	uint64_t events, deliveries; /* emitted, and to so many members */
};

struct bridge {
	struct ps_config *config;

	/* Time; `now_ms` is ps_clock_ms() but in tests. */
	uint64_t (*now_ms)(void);
	int64_t (*unix_s)(void); /* of day and expiry */
	int64_t started_unix_s;
	struct timers timers;
	uv_timer_t timer; /* fires for the first of `timers` */
	uint64_t timer_at_ms;

	/* The loop and what runs on it. */
	uv_loop_t *loop;
	uv_prepare_t prepare; /* once a turn: `fanout`, garbage, `turns` */
	struct garbage *garbage; /* newest first */
	struct watches watches;
	struct turns turns;
	struct fanout fanout;
	int place_fd; /* the lock of the node's places; see place.h */
	struct intake *intake;
	struct websocket *websocket;

	/* Sessions: by id, by name, and all of them, oldest first. */
	char tag[PS_TAG_MAX + 1]; /* node and generation */
	struct table sessions_by_id, sessions_by_name;
	struct session_list sessions;
	uint64_t n_sessions_ever;
	struct addresses addresses;

	/* Channels: by name, and all of them; their members by client id. */
	struct table channels_by_name, members_by_client;
	struct channel_list channels;
	uint64_t n_members_ever;
	struct message *ping; /* the same for all; NULL: not made yet */
	struct fanout_job members_drain; /* closes them all */

	/* Tokens: what they may do, what they have in use, what of that is to
	 * be written. */
	struct ps_policy *policy; /* NULL: none was read yet */
	struct quotas quotas;
	struct timer enforce_timer; /* goes on closing many sessions */
	uint64_t fell_until_ms; /* workers' revisions do not count till then */
	struct store *store;	    /* NULL: nothing is written */
	struct {
		struct session_list changed; /* their traffic; longest first */
		struct timer timer;
	} records;

	/* Channels: emits that wait for acknowledgements, by event id (see
	 * acks.h), and for how many in all; and what emit.c keeps. */
	struct table ack_waits;
	uint64_t n_ack_entries;
	struct emits *emits;

	/* Applications: who may connect, see authorization.h, by socket id, by
	 * token and client, all, and those who are connected; sessions by
	 * HTTP, by "<socket id>/<session of the URL>"; and what is called. */
	struct {
		struct table by_id, by_client;
		struct authorization_list all, live;
		size_t kept_bytes; /* of messages for the next sessions */
		struct table changes; /* of rows, that are under way */
		uint32_t round; /* of writing all rows again */
		struct fanout_job judge, repeat;
	} authorizations;
	struct table sockjs_sessions; /* by HTTP, by their URLs; see sockjs.h */
	struct callbacks *callbacks; /* NULL: there is no loop yet */
	struct outbox *outbox;

	/* Descriptors to be closed together; see bridge_close_later(). */
	int closing[BRIDGE_CLOSE_BATCH];
	size_t n_closing;
	struct timer close_timer;

	struct exchange_list exchanges; /* taken over and not yet ended */
	size_t n_held;		  /* parked receivers, probes, emits */
	size_t n_probes;	  /* of these */
	struct ps_writer scratch; /* for building one answer at a time */

	struct totals totals;

	/* Stopping; see drain.h. */
	bool draining; /* takes no new sessions */
	bool ending;   /* and closes those that it has */
	struct timer drain_timer;
	unsigned n_settling; /* things that a successor waits for */
	struct history_request *settling; /* until events are written */
	struct timer settle_timer;
	struct authorization_change *settling_rows;
	void (*on_drained)(struct bridge *bridge);
};

/*
 * Makes everything that needs no loop; takes over `config`, with success
 * only. Tests stop here.
 */
PS_MUST_CHECK int bridge_init(struct bridge *bridge, struct ps_config *config);
/* Puts the bridge on a loop: timers, garbage and watches run from then on. */
PS_MUST_CHECK int bridge_start(struct bridge *bridge, uv_loop_t *loop);
/* Starts to close the handles that bridge_start() made. */
void bridge_stop(struct bridge *bridge);
void bridge_deinit(struct bridge *bridge);

/* Calls `destroy` after the turn, when no caller can still hold the object. */
void bridge_free_later(struct bridge *bridge, struct garbage *garbage,
    void (*destroy)(struct garbage *garbage));
void bridge_free_garbage(struct bridge *bridge);

/* Tells whoever drains when neither sessions nor answers are left. */
void bridge_check_drained(struct bridge *bridge);

/*
 * Closes `fd` some milliseconds later, with others: each close of a Unix
 * socket while any descriptor is in flight between processes makes the kernel
 * look for cycles, which costs more than all else that is done for a short
 * request.
 */
void bridge_close_later(struct bridge *bridge, int fd);

#endif
