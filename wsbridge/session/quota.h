/*
 * What each token has in use, against the limits it has: sessions open,
 * sessions begun within 60 seconds, messages and bytes of the day (UTC). All
 * of it is counted here, on the one thread that makes sessions, so that no
 * limit can be overshot; nothing here does input or output.
 *
 * A quota is made when its token is first used and stays until the token is
 * deleted, since what was used of the day must not be forgotten.
 */
#ifndef QUOTA_H
#define QUOTA_H

#include <sys/queue.h>

#include "ps_db.h"
#include "ps_policy.h"
#include "wsbridge/base/refusal.h"
#include "wsbridge/base/table.h"

struct session;

/* Whole seconds that touch the last 60. */
#define QUOTA_WINDOW_S 61

TAILQ_HEAD(quota_sessions, session);

struct quota {
	struct table_node node; /* first: by token_id */
	TAILQ_ENTRY(quota) all;
	TAILQ_ENTRY(quota) changed; /* while `has_changed` */
	int64_t token_id;
	struct ps_token_limits limits;
	uint64_t revision; /* of the policy that they are from; see enforce.h */
	uint64_t ahead_until_ms;
	const char *expelled; /* why its sessions are closed, or NULL */

	struct quota_sessions sessions; /* connecting and open */
	uint64_t n_sessions;
	uint64_t n_elsewhere; /* in bridges that drain beside this one */
	uint64_t n_users; /* sessions that refer to this, closing ones too */

	/* Sessions begun in each of the last seconds, by second % WINDOW. */
	int64_t window_s; /* the last second that is counted */
	uint32_t creates[QUOTA_WINDOW_S];
	uint32_t n_creates; /* of all of them */

	int64_t day;
	uint64_t messages, bytes; /* of the day, both directions */
	/* The day counted before: a clock may go back over midnight. */
	int64_t other_day;
	uint64_t other_messages, other_bytes;
	struct ps_usage unwritten; /* of `day` */
	bool has_changed;
};

TAILQ_HEAD(quota_list, quota);

struct quotas {
	struct table by_id;
	struct quota_list all;
	struct quota_list changed; /* with something in `unwritten` */
	/* Takes what is unwritten of a day that is over. NULL: nobody does. */
	void (*write)(struct quotas *quotas, const struct ps_usage *usage);
};

PS_MUST_CHECK bool quotas_init(struct quotas *quotas, uint64_t seed);
void quotas_deinit(struct quotas *quotas);

/* The quota of a token, made where there is none yet; NULL: out of memory. */
struct quota *quotas_get(struct quotas *quotas, int64_t token_id);
/* Only when nothing uses it. */
void quotas_remove(struct quotas *quotas, struct quota *quota);

/*
 * What the database remembers of this day and this minute, at the start. It is
 * added to what is there.
 */
void quota_restore_usage(struct quota *quota, const struct ps_usage *usage);
void quota_restore_creates(struct quota *quota, int64_t second_s,
    uint64_t count);

/*
 * What other bridges of the node have in use, as far as it was written: live
 * sessions of one token, and what all together used of a day. The first
 * forgets what was said before.
 */
void quotas_forget_elsewhere(struct quotas *quotas);
void quota_hear_sessions(struct quota *quota, uint64_t n_sessions);
void quota_hear_usage(struct quota *quota, const struct ps_usage *usage);

/* Whether another session may begin; counts it as refused where not. */
bool quota_may_create(struct quotas *quotas, struct quota *quota,
    int64_t now_s, struct refusal *refusal_r);
/*
 * A session begins. quota_leave() when it is neither connecting nor open any
 * more, quota_release() when it does not refer to the quota any more.
 */
void quota_enter(struct quotas *quotas, struct quota *quota,
    struct session *session, int64_t now_s);
void quota_leave(struct quota *quota, struct session *session);
void quota_release(struct quota *quota);
/* A create was refused, here or by a worker. */
void quota_count_refused(struct quotas *quotas, struct quota *quota,
    int64_t now_s);

/*
 * Counts messages, all of them or, where the day's limit would be exceeded,
 * none: then the name of that limit is returned. NULL: they are counted.
 */
const char *quota_take(struct quotas *quotas, struct quota *quota,
    enum ps_direction direction, uint64_t messages, uint64_t bytes,
    int64_t now_s);

/* Seconds until the next day begins, and with it another use of its limits. */
unsigned quota_day_left_s(int64_t now_s);

/* Takes what is unwritten of the first quota of `changed`; false: none. */
bool quotas_take_unwritten(struct quotas *quotas, struct ps_usage *usage_r);

#endif
