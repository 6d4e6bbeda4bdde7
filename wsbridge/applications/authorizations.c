#include "config.h"

#include "authorizations.h"

#include "authorization.h"
#include "authorization_row.h"
#include "ps_log.h"
#include "ps_policy.h"

/* RFC 6455, 7.4.1. */
#define GOING_AWAY 1001
#define POLICY_VIOLATION 1008

/* Those that were looked at go to the end of the line. */
static unsigned
judge_some(struct fanout_job *job, unsigned units)
{
	struct bridge *bridge = PS_CONTAINER(job, struct bridge,
	    authorizations.judge);
	struct authorization_list *live = &bridge->authorizations.live;
	uint64_t revision = ps_policy_revision(bridge->policy);
	struct authorization *authorization;
	unsigned done;

	for (done = 0; done < units; done++) {
		authorization = TAILQ_FIRST(live);
		if (authorization == NULL || authorization->seen == revision)
			return done;
		authorization->seen = revision;
		TAILQ_REMOVE(live, authorization, live);
		TAILQ_INSERT_TAIL(live, authorization, live);
		if (!authorization->is_gone &&
		    !authorization_is_covered(authorization))
			authorization_close(authorization, POLICY_VIOLATION,
			    "callback refused");
	}
	fanout_note(&bridge->fanout, job);
	return done;
}

void
authorizations_judge(struct bridge *bridge)
{
	bridge->authorizations.judge.serve = judge_some;
	fanout_note(&bridge->fanout, &bridge->authorizations.judge);
}

/* Each goes to the end. */
static unsigned
repeat_some(struct fanout_job *job, unsigned units)
{
	struct bridge *bridge = PS_CONTAINER(job, struct bridge,
	    authorizations.repeat);
	struct authorization_list *all = &bridge->authorizations.all;
	uint32_t round = bridge->authorizations.round;
	struct authorization *authorization;
	unsigned done;

	for (done = 0; done < units; done++) {
		authorization = TAILQ_FIRST(all);
		if (authorization == NULL || authorization->round == round)
			return done;
		TAILQ_REMOVE(all, authorization, all);
		TAILQ_INSERT_TAIL(all, authorization, all);
		authorization->round = round;
		if (!authorization->is_gone &&
		    authorization_row_put(authorization, NULL, NULL) == NULL)
			ps_warning("authorization %.4s: has no row",
			    authorization->socket_id);
	}
	fanout_note(&bridge->fanout, job);
	return done;
}

void
authorizations_repeat(struct bridge *bridge)
{
	bridge->authorizations.repeat.serve = repeat_some;
	bridge->authorizations.round++;
	fanout_note(&bridge->fanout, &bridge->authorizations.repeat);
}

void
authorizations_drain(struct bridge *bridge)
{
	struct authorization *authorization;

	TAILQ_FOREACH(authorization, &bridge->authorizations.live, live)
		authorization_close(authorization, GOING_AWAY,
		    "server shutting down");
}
