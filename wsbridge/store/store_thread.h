/*
 * What the parts of the store share: store.c has the loop's side of it, and in
 * the thread store_thread.c says what comes when, store_look.c looks for what
 * others have changed, store_write.c writes records, reads and prunes, and
 * store_jobs.c does jobs; store_news.c goes from one to the other. For these
 * files alone.
 */
#ifndef STORE_THREAD_H
#define STORE_THREAD_H

#include <sys/queue.h>

#include "ps_thread.h"
#include "reading.h"
#include "store.h"

#define DAY_S 86400
/* Between two looks at what seldom changes. */
#define PRUNE_PERIOD_MS 60000

/* What the administrator wants, or has changed. */
struct news {
	STAILQ_ENTRY(news) next;
	enum news_kind {
		NEWS_CLOSE_REQUEST, /* of a session: `texts` is its name */
		NEWS_AUTHORIZATION, /* `texts` is its socket id */
		NEWS_LANE,	    /* it is to be tried */
	} kind;
	struct ps_outbox_lane lane;
	char texts[];
};

STAILQ_HEAD(news_list, news);

/* What others have in use, as it is collected. */
struct uses {
	size_t count, capacity;
	struct store_use items[];
};

struct store {
	const struct store_ops *ops;
	void *owner;
	uv_async_t async; /* wakes the loop for what is in `mail` */
	struct ps_thread thread;
	struct backlog backlog; /* from the loop; has a mutex of its own */
	struct reading_box readings; /* to the loop; this as well */
	struct jobs jobs; /* both ways; this as well */

	/* Guarded by the mutex of `thread`. */
	uint64_t keep_ms, keep_events, keep_events_ms;
	struct ps_policy *dropped; /* that the loop needs no more */
	bool failing, sync_jobs;
	uint64_t failures;
	struct {
		bool policy, replaced;
		struct ps_policy *next; /* NULL: look at the same again */
		struct news_list news;
		struct uses *elsewhere; /* the latest, or NULL */
	} mail; /* for the loop */

	/* The thread's own. */
	char *path, *node, *tag, *socket;
	int64_t started_at_s;
	bool has_outbox;
	bool is_waited_for; /* there are jobs, not only records */
	struct ps_db *db; /* NULL: not open */
	struct ps_file_id file; /* that knows what lives */
	int64_t commits;	/* as it must have counted them */
	bool is_new;	/* just opened: nothing of it was looked at */
	bool has_others; /* bridges of the node */
	bool is_unseen; /* something changed and was not looked at */
	bool is_strange; /* it may have others than the loop knows */
	int64_t change; /* of applications, that was read last */
	struct ps_policy *policy; /* that was told last */
	int64_t next_expiry_s;	  /* of its tokens */
	uint64_t cycle_at_ms; /* when more is due than jobs */
	uint64_t rests_until_ns; /* from jobs, see jobs_rest_ns() */
	uint64_t prune_at_ms, prune_events_at_ms, prune_outbox_at_ms,
	    others_at_ms;
	uint64_t failing_since_ms; /* 0: all is well */
	bool told_failure; /* in the log */
	uint64_t told_lost, told_lost_events;
	uint64_t tell_lost_events_ms;
	bool told_loss;
};

/* store_news.c: puts copies into the mail; and tells one, on the loop. */
void store_post_close_request(void *store, const char *id);
void store_post_authorization(void *store, const char *socket_id);
void store_post_lane(void *store, const struct ps_outbox_lane *lane);
void store_tell_news(const struct store *store, const struct news *news);

/* What the thread runs. */
void *store_run(void *store);

/* store_look.c: what is found goes into the mail. */
struct ps_bridge_row store_bridge_row(const struct store *store);
/* Nothing that lives is known to a database that replaced another; with the
 * second the loop hears of it. */
PS_MUST_CHECK int store_enter(struct store *store);
PS_MUST_CHECK int store_enter_anew(struct store *store);
/* The reference is for the loop. */
PS_MUST_CHECK int store_load_policy(struct store *store,
    struct ps_policy **policy_r);
/* What the administrator did since the last look. */
PS_MUST_CHECK int store_look_for_changes(struct store *store);
void store_look_at_expiry(struct store *store);
PS_MUST_CHECK int store_look_at_others(struct store *store);

/* store_write.c: what waits now, records and readings; what comes meanwhile
 * keeps nothing else waiting. */
PS_MUST_CHECK int store_write_waiting(struct store *store);
/* Whether there were any. */
bool store_fail_readings(struct store *store);
/* A few rows at a time, so that nobody waits for the lock. */
PS_MUST_CHECK int store_prune(struct store *store);

/* store_jobs.c: all that wait, and that come meanwhile, until something else is
 * due. */
PS_MUST_CHECK int store_do_jobs(struct store *store);
/* Those that have waited too long for a database that cannot be written. */
void store_expire_jobs(struct store *store, uint64_t patience_ms);

#endif
