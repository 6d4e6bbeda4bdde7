#include "config.h"

#include "ledger.h"

#include "enforce.h"
#include "ps_log.h"
#include "wsbridge/applications/authorization.h"
#include "wsbridge/applications/authorizations.h"
#include "wsbridge/applications/changed_row.h"
#include "wsbridge/outbox/outbox.h"
#include "wsbridge/session/record.h"
#include "wsbridge/store/store.h"

static void
write_over_day(struct quotas *quotas, const struct ps_usage *usage)
{
	struct bridge *bridge = PS_CONTAINER(quotas, struct bridge, quotas);

	store_add_usage(bridge->store, usage);
}

static void
on_policy(void *owner, struct ps_policy *policy)
{
	enforce_policy(owner, policy);
}

static void
on_close_request(void *owner, const char *id)
{
	enforce_close(owner, id);
}

static void
on_replaced(void *owner)
{
	ps_info("ledger: the database does not know what lives, it is told");
	records_repeat(owner);
	authorizations_repeat(owner);
}

static void
on_usage(void *owner, const struct ps_usage *usage)
{
	struct bridge *bridge = owner;
	struct quota *quota = quotas_get(&bridge->quotas, usage->token_id);

	if (quota != NULL)
		quota_restore_usage(quota, usage);
}

static void
on_create(void *owner, int64_t token_id, int64_t second_s, uint64_t count)
{
	struct bridge *bridge = owner;
	struct quota *quota = quotas_get(&bridge->quotas, token_id);

	if (quota != NULL)
		quota_restore_creates(quota, second_s, count);
}

static void
on_sessions(void *owner, int64_t token_id, uint64_t n_sessions)
{
	struct bridge *bridge = owner;
	struct quota *quota = quotas_get(&bridge->quotas, token_id);

	if (quota != NULL)
		quota_hear_sessions(quota, n_sessions);
}

static void
on_elsewhere(void *owner, const struct store_use *uses, size_t count)
{
	struct bridge *bridge = owner;
	struct quota *quota;
	size_t i;

	quotas_forget_elsewhere(&bridge->quotas);
	for (i = 0; i < count; i++) {
		if (uses[i].kind == STORE_USE_SESSIONS) {
			on_sessions(owner, uses[i].usage.token_id,
			    uses[i].n_sessions);
			continue;
		}
		quota = quotas_get(&bridge->quotas, uses[i].usage.token_id);
		if (quota != NULL)
			quota_hear_usage(quota, &uses[i].usage);
	}
}

static void
on_authorization(void *owner, const struct ps_authorization_row *row)
{
	authorization_load(owner, row);
}

static void
on_changed(void *owner, const char *socket_id)
{
	changed_row_look(owner, socket_id);
}

static void
on_revived(void *owner, const struct ps_outbox_lane *lane)
{
	outbox_revived(owner, lane);
}

static void
on_lane(void *owner, const struct ps_outbox_lane *lane)
{
	outbox_load(owner, lane);
}

bool
ledger_open(struct bridge *bridge)
{
	static const struct store_ops ops = {
		.policy = on_policy,
		.close_request = on_close_request,
		.replaced = on_replaced,
		.elsewhere = on_elsewhere,
		.authorization = on_changed,
		.revived = on_revived,
	};
	static const struct store_memory memory = {
		.usage = on_usage,
		.create = on_create,
		.elsewhere = on_sessions,
		.creates_s = QUOTA_WINDOW_S,
		.authorization = on_authorization,
		.lane = on_lane,
	};

	bridge->quotas.write = write_over_day;
	bridge->store = store_start(bridge->loop, bridge->config,
	    bridge->tag, &ops, &memory, bridge);
	return bridge->store != NULL;
}

void
ledger_close(struct bridge *bridge)
{
	records_flush(bridge);
	store_stop(bridge->store);
	bridge->store = NULL;
}
