/*
 * The writer thread: the only one of the programs that writes to the database,
 * in transactions of many records, so that the loop never waits for a disk or
 * a lock. It also looks for what the administrator has changed.
 *
 * While the database cannot be written, records wait in memory, at most
 * `max_unwritten` of them, then the oldest are lost; all else goes on.
 *
 * The functions are for the loop's thread.
 */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <uv.h>

#include "backlog.h"
#include "jobs.h"
#include "ps_config.h"
#include "ps_db.h"
#include "ps_db_authorizations.h"
#include "ps_db_outbox.h"

/* Between two looks, and between two transactions. */
#define STORE_PERIOD_MS 200
/* A job is tried for so long while the database cannot be written. */
#define STORE_JOB_PATIENCE_MS 2000

struct reading;
struct store;

/* What a token has in use: either live sessions of other bridges, or what all
 * have used of a day. */
struct store_use {
	enum { STORE_USE_SESSIONS, STORE_USE_USAGE } kind;
	uint64_t n_sessions;
	struct ps_usage usage; /* `token_id` always */
};

/* What the thread has to tell, on the loop. Of applications nobody needs to
 * hear. */
struct store_ops {
	/* There is another policy (the reference is handed over), or the same
	 * one is to be looked at again since a token has expired. */
	void (*policy)(void *owner, struct ps_policy *policy);
	/* The administrator wants the session of this name closed. */
	void (*close_request)(void *owner, const char *id);
	/* The file is another one: all that lives is unknown to it. */
	void (*replaced)(void *owner);
	/* Other bridges of the node live: what they have in use. None do any
	 * more: once, with nothing. */
	void (*elsewhere)(void *owner, const struct store_use *uses,
	    size_t count);
	/* The administrator made, changed or deleted the authorization of this
	 * socket id, or its token; or the file is another one, which has it. */
	void (*authorization)(void *owner, const char *socket_id);
	/* The administrator made rows of this lane ready: all of its ready rows
	 * are to be tried, from now on. Or as above. */
	void (*revived)(void *owner, const struct ps_outbox_lane *lane);
};

/* What the database knew at the start: read before store_start() returns. */
struct store_memory {
	void (*usage)(void *owner, const struct ps_usage *usage);
	void (*create)(void *owner, int64_t token_id, int64_t second_s,
	    uint64_t count);
	void (*elsewhere)(void *owner, int64_t token_id, uint64_t n_sessions);
	int64_t creates_s; /* how far back they are told */
	/* Each authorization there is; it may have expired meanwhile. */
	void (*authorization)(void *owner,
	    const struct ps_authorization_row *row);
	/* Each lane that is to be delivered, after them. */
	void (*lane)(void *owner, const struct ps_outbox_lane *lane);
};

struct store_status {
	bool failing;	  /* what waits cannot be written */
	uint64_t waiting; /* records that are not written yet */
	uint64_t written, lost, failures;
};

/*
 * Opens the database, ends the rows that a predecessor left open, tells `ops`
 * the policy and `memory` what was used, and starts the thread. NULL having
 * logged why not.
 */
struct store *store_start(uv_loop_t *loop, const struct ps_config *config,
    const char *tag, const struct store_ops *ops,
    const struct store_memory *memory, void *owner);
/*
 * Writes what waits, if it can be, and ends the thread; nothing is told any
 * more, but for readings and jobs, all of which are done when it returns. The
 * store is freed when the loop has closed its handle. NULL is fine.
 */
void store_stop(struct store *store);

/* Takes over the reloadable options. */
void store_configure(struct store *store, const struct ps_config *config);

/* What is to be written is copied; see backlog.h. A NULL store forgets it. */
void store_put_session(struct store *store, const struct ps_session_row *row,
    struct backlog_ticket *ticket);
void store_add_usage(struct store *store, const struct ps_usage *usage);
void store_put_event(struct store *store, const struct ps_event *event);

/*
 * Lends a reading to the store until that is done with it, at once as far as
 * the thread is concerned. Taking it back fails when the thread has come to it:
 * then it will be done with.
 */
void store_read(struct store *store, struct reading *reading);
bool store_withdraw(struct store *store, struct reading *reading);

/*
 * Lends a job to the store; see jobs.h. False, and done() does not come, without
 * a store or once it stops. The second has `amend` give it more to do, at once;
 * false, and it is not called, when the thread has come to the job.
 */
PS_MUST_CHECK bool store_do(struct store *store, struct store_job *job);
bool store_amend(struct store *store, struct store_job *job,
    void (*amend)(struct store_job *job));

/*
 * Gives back a reference of the loop's: to free a policy of many tokens takes
 * time, so the thread does it. NULL is fine, and without a store it is done at
 * once.
 */
void store_drop_policy(struct store *store, struct ps_policy *policy);

/* All zero for a NULL store. */
struct store_status store_status(struct store *store);

#endif
