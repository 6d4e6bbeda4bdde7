/*
 * Lanes: the rows of one session in the outbox, in the order of their numbers.
 * And what the modules of the outbox share: this header is for them alone.
 *
 * Of a lane, the oldest rows may be in memory (`rows`), the following ones are
 * in the database only (`n_stored`), and the newest are not committed yet
 * (`unwritten`). It is made for the first row, waits for its turn at the host
 * it calls back (circuit.h), and is gone with its last one.
 */
#ifndef LANE_H
#define LANE_H

#include <stdatomic.h>

#include "callback.h"
#include "outbox.h"
#include "outbox_rows.h"
#include "ps_db_outbox.h"
#include "wsbridge/bridge.h"

/* Of one lane in memory once they are committed; a single row may be larger. */
#define LANE_ROWS 8
#define LANE_BYTES ((size_t)32 * 1024)

struct application_use;
struct host;

enum lane_state {
	LANE_IDLE,    /* there is nothing to do for it, or not yet */
	LANE_WAITING, /* in the line of its host */
	LANE_READING, /* for rows that are in the database */
	LANE_CALLING,
	LANE_RESTING, /* after an attempt that failed */
	LANE_ENDING,  /* until its rows are dead */
};

/* What is to be written of a row that was committed. */
enum row_change { ROW_DELIVERED, ROW_FAILED, ROW_DEAD };

struct outbox_row {
	TAILQ_ENTRY(outbox_row) entry;    /* of its lane */
	TAILQ_ENTRY(outbox_row) of_batch; /* to be written */
	struct outbox_row_list *list;     /* that this is, of puts; or NULL */
	struct lane *lane;
	uint64_t number;
	int64_t accepted_at_ms; /* Unix time */
	int64_t since_ms;       /* attempts count from then */
	enum row_change change;
	char *error;          /* of the change; owned; NULL: no memory */
	bool is_last;         /* its session is over */
	bool is_refused;      /* it could not be written */
	struct ps_slice body; /* this and the URL are in `data` */
	const char *callback;
	char data[];
};

struct lane {
	struct table_node node; /* first: by the name of its session */
	TAILQ_ENTRY(lane) all;
	TAILQ_ENTRY(lane) entry;   /* of what its state has it wait in */
	TAILQ_ENTRY(lane) touched; /* by a batch; while `is_touched` */
	struct outbox *outbox;
	enum lane_state state;
	struct application_use *application;
	const char *client;

	struct outbox_row_list rows, unwritten;
	uint32_t n_rows, n_unwritten;
	size_t bytes, unwritten_bytes; /* of their bodies */
	uint64_t n_stored;  /* between the two; at least one where not 0 */
	uint64_t after;     /* that are above this number */
	bool is_guessed;    /* so many at least */
	uint32_t n_changes; /* to be written */
	uint64_t written;   /* the last number that was committed */
	struct commit_wait_list waits;
	struct lane_page page;

	struct host *host; /* that it calls, as far as known, or NULL */
	bool has_slot;     /* of the host */
	bool is_probe;     /* whether the host is there again */
	struct callback *callback;

	struct timer timer;        /* of resting, and of what is too old */
	uint32_t n_failures;       /* in a row */
	uint64_t failing_since_ms; /* 0: it is not */
	uint64_t look_at_ms;       /* nothing is too old before */
	const char *give_up;       /* why its rows become dead, or NULL */
	bool is_revived;           /* rows in front of others are ready again */
	bool is_expiring;          /* while its host is down */
	bool is_touched;
	bool is_refused; /* in the store's thread: a row of it was */
	char data[];     /* name and client */
};

TAILQ_HEAD(host_list, host);

struct outbox {
	struct bridge *bridge;
	struct table lanes_by_session, applications, hosts;
	struct lane_list lanes;
	struct lane_list calling;
	struct lane_list readers; /* that want a page */
	struct host_list ready;   /* with a lane that may start */
	size_t n_slots;           /* taken, at all hosts */
	size_t kept_bytes, unwritten_bytes;

	/* One is under way, or none; the other collects. */
	struct batch batches[2], *collecting, *under_way;
	struct outbox_row_list held; /* for the time after one that failed */
	uint64_t retry_at_ms;
	struct timer retry_timer;
	struct fanout_job job; /* lends a batch, starts callbacks */

	void (*settled)(void *owner); /* NULL: nobody waits */
	void *settled_owner;
	struct timer settle_timer;
	bool is_settling; /* nothing is started (any more) */
	bool is_too_late; /* and nothing is waited for */
	/* A successor may have read what is written; for its batches, too. */
	atomic_bool has_let_go;

	size_t waiting, hosts_down;
	uint64_t accepted, delivered, failed, dead;
};

/* An application and how many callbacks of it wait. */
struct application_use {
	struct table_node node; /* first: by token_id */
	int64_t token_id;
	uint64_t count;
	size_t n_lanes;
};

struct application_use *application_use_find(const struct outbox *outbox,
    int64_t token_id);

struct lane *lane_find(const struct outbox *outbox, struct ps_slice session);
/* NULL when memory is out. */
struct lane *lane_create(struct outbox *outbox, struct ps_slice session,
    int64_t token_id, struct ps_slice client);
/* Nothing of it is waited for or under way. */
void lane_destroy(struct lane *lane);

static inline const char *
lane_name(const struct lane *lane)
{
	return lane->node.key.data;
}

/* Copies; NULL when memory is out. */
struct outbox_row *row_create(uint64_t number, struct ps_slice body,
    struct ps_slice callback);
void row_destroy(struct outbox_row *row); /* NULL is fine */

/* A row that is to be committed; and is, or could not be. */
void lane_put(struct lane *lane, struct outbox_row *row);
void lane_take_unwritten(struct lane *lane, struct outbox_row *row);
/* A row that is committed, behind all that are: it is kept where it may. */
void lane_keep(struct lane *lane, struct outbox_row *row);
/* Takes the first of `rows` out. */
struct outbox_row *lane_take(struct lane *lane);
/* Forgets those in memory that are in the database too. */
void lane_drop_rows(struct lane *lane);
/* So many are in the database only, above `after`. */
void lane_set_stored(struct lane *lane, uint64_t n_stored, uint64_t after);
/* Takes over what was read; see outbox_rows.h. */
void lane_take_page(struct lane *lane);

/* Whether rows are in the database at all. */
static inline bool
outbox_is_stored(const struct outbox *outbox)
{
	return outbox->bridge->config->outbox;
}

/* There is something to write or to start. */
static inline void
outbox_wake(struct outbox *outbox)
{
	fanout_note(&outbox->bridge->fanout, &outbox->job);
}

#endif
