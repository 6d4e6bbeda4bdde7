#include "config.h"

#include "enforce.h"

#include <inttypes.h>

#include "ps_log.h"
#include "wsbridge/applications/authorizations.h"
#include "wsbridge/session/session.h"
#include "wsbridge/store/store.h"

/* The node's rules forbid it: RFC 6455, 7.4.1. */
#define POLICY_VIOLATION 1008
/* Sessions closed in one wake-up. */
#define BATCH 128
/*
 * A worker may know a revision before the bridge does, but no longer than this;
 * a higher one that is older is that of a database which was replaced.
 */
#define AHEAD_MS 5000

static void
on_timer(struct timer *timer)
{
	enforce_policy(PS_CONTAINER(timer, struct bridge, enforce_timer),
	    NULL);
}

/* Looks at all tokens again at `at_ms`, if not before. */
static void
look_again(struct bridge *bridge, uint64_t at_ms)
{
	struct timer *timer = &bridge->enforce_timer;

	timer->fire = on_timer;
	if (!timer_is_set(timer) || at_ms < timer->at_ms)
		timers_set(&bridge->timers, timer, at_ms);
}

/* Goes on with the rest of the sessions in the next wake-up. */
static void
expel(struct bridge *bridge)
{
	struct quota *quota;
	size_t n = 0;

	TAILQ_FOREACH(quota, &bridge->quotas.all, all) {
		while (quota->expelled != NULL &&
		    !TAILQ_EMPTY(&quota->sessions)) {
			if (n++ == BATCH) {
				look_again(bridge, bridge->now_ms());
				return;
			}
			session_expel(TAILQ_FIRST(&quota->sessions),
			    POLICY_VIOLATION, quota->expelled);
		}
	}
}

static void
set_limits(struct quota *quota, uint64_t revision,
    const struct ps_token_limits *limits)
{
	quota->revision = revision;
	quota->limits = *limits;
}

static const char *
find_fault(const struct ps_token *token, int64_t now_s)
{
	if (token == NULL)
		return "token deleted";
	if (!token->enabled)
		return "token disabled";
	return ps_token_is_valid(token, now_s) ? NULL : "token expired";
}

/* A backup was restored: what workers knew before is worth nothing. */
static bool
has_fallen(const struct bridge *bridge)
{
	return bridge->now_ms() < bridge->fell_until_ms;
}

/* False when there is no such token. */
static bool
judge(struct bridge *bridge, struct quota *quota)
{
	const struct ps_token *token =
	    ps_policy_find_id(bridge->policy, quota->token_id);
	uint64_t revision = ps_policy_revision(bridge->policy);
	const char *fault;

	if (revision < quota->revision && !has_fallen(bridge) &&
	    bridge->now_ms() < quota->ahead_until_ms) {
		look_again(bridge, quota->ahead_until_ms);
		return true;
	}
	fault = find_fault(token, bridge->unix_s());
	if (fault != quota->expelled && fault != NULL &&
	    !TAILQ_EMPTY(&quota->sessions))
		ps_info("enforce: token %lld (%s): %s, %llu sessions are "
			"closed",
		    (long long)quota->token_id,
		    token == NULL ? "" : token->name, fault,
		    (unsigned long long)quota->n_sessions);
	quota->expelled = fault;
	if (token != NULL)
		set_limits(quota, revision, &token->limits);
	return token != NULL;
}

static void
take_policy(struct bridge *bridge, struct ps_policy *policy)
{
	struct ps_policy *old = bridge->policy;

	if (old != NULL &&
	    ps_policy_revision(policy) < ps_policy_revision(old))
		bridge->fell_until_ms = bridge->now_ms() + AHEAD_MS;
	bridge->policy = policy;
	ps_debug("enforce: revision %" PRIu64 " of the rights",
	    ps_policy_revision(policy));
	store_drop_policy(bridge->store, old);
}

void
enforce_policy(struct bridge *bridge, struct ps_policy *policy)
{
	struct quota *quota, *next;

	if (policy != NULL)
		take_policy(bridge, policy);
	if (bridge->policy == NULL)
		return;
	for (quota = TAILQ_FIRST(&bridge->quotas.all); quota != NULL;
	     quota = next) {
		next = TAILQ_NEXT(quota, all);
		if (!judge(bridge, quota) && quota->n_users == 0)
			quotas_remove(&bridge->quotas, quota);
	}
	expel(bridge);
	if (policy != NULL)
		authorizations_judge(bridge);
}

void
enforce_close(struct bridge *bridge, const char *name)
{
	struct session *session =
	    session_find_name(bridge, ps_slice_str(name));

	if (session != NULL)
		session_expel(session, POLICY_VIOLATION,
		    "closed by administrator");
}

struct quota *
enforce_create(struct bridge *bridge, const struct ps_ipc_rights *rights,
    struct refusal *refusal_r)
{
	struct quota *quota = quotas_get(&bridge->quotas, rights->token_id);

	if (quota == NULL) {
		*refusal_r = (struct refusal){ .code = PS_CODE_BRIDGE_FULL };
		return NULL;
	}
	if (bridge->policy != NULL &&
	    (has_fallen(bridge) ||
		rights->revision <= ps_policy_revision(bridge->policy))) {
		judge(bridge, quota);
	} else if (rights->revision >= quota->revision) {
		quota->expelled = NULL;
		quota->ahead_until_ms = bridge->now_ms() + AHEAD_MS;
		look_again(bridge, quota->ahead_until_ms);
		set_limits(quota, rights->revision, &rights->limits);
	}
	if (quota->expelled == NULL)
		return quota;
	*refusal_r = (struct refusal){ .code = PS_CODE_TOKEN_UNKNOWN };
	quota_count_refused(&bridge->quotas, quota, bridge->unix_s());
	return NULL;
}
