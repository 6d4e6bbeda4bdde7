#include "config.h"

#include "quota.h"

#include <stdlib.h>

#include "session.h"

#define DAY_S 86400

bool
quotas_init(struct quotas *quotas, uint64_t seed)
{
	quotas->write = NULL;
	TAILQ_INIT(&quotas->all);
	TAILQ_INIT(&quotas->changed);
	return table_init(&quotas->by_id, seed);
}

void
quotas_deinit(struct quotas *quotas)
{
	while (!TAILQ_EMPTY(&quotas->all))
		quotas_remove(quotas, TAILQ_FIRST(&quotas->all));
	table_deinit(&quotas->by_id);
}

static struct ps_slice
key_of(const int64_t *token_id)
{
	return ps_slice((const char *)token_id, sizeof(*token_id));
}

struct quota *
quotas_get(struct quotas *quotas, int64_t token_id)
{
	struct quota *quota =
	    (struct quota *)table_find(&quotas->by_id, key_of(&token_id));
	size_t i;

	if (quota != NULL || (quota = calloc(1, sizeof(*quota))) == NULL)
		return quota;
	quota->token_id = token_id;
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		quota->limits.value[i] = PS_NO_LIMIT;
	TAILQ_INIT(&quota->sessions);
	quota->node.key = key_of(&quota->token_id);
	table_add(&quotas->by_id, &quota->node);
	TAILQ_INSERT_TAIL(&quotas->all, quota, all);
	return quota;
}

void
quotas_remove(struct quotas *quotas, struct quota *quota)
{
	table_remove(&quotas->by_id, &quota->node);
	TAILQ_REMOVE(&quotas->all, quota, all);
	if (quota->has_changed)
		TAILQ_REMOVE(&quotas->changed, quota, changed);
	free(quota);
}

static void
forget_change(struct quotas *quotas, struct quota *quota)
{
	quota->has_changed = false;
	TAILQ_REMOVE(&quotas->changed, quota, changed);
}

/* Makes the day of `now_s` the one that is counted. */
static void
turn_day(struct quotas *quotas, struct quota *quota, int64_t now_s)
{
	int64_t day = now_s / DAY_S;
	uint64_t messages = quota->messages, bytes = quota->bytes;
	bool is_other = day == quota->other_day;

	if (quota->day == day)
		return;
	if (quota->has_changed) {
		forget_change(quotas, quota);
		if (quotas->write != NULL)
			quotas->write(quotas, &quota->unwritten);
	}
	quota->messages = is_other ? quota->other_messages : 0;
	quota->bytes = is_other ? quota->other_bytes : 0;
	quota->other_day = quota->day;
	quota->other_messages = messages;
	quota->other_bytes = bytes;
	quota->day = day;
}

/*
 * Forgets the seconds that have left the window. A clock that was set back a
 * little stands still in the meantime, so that nothing is forgotten for it.
 */
static void
turn_window(struct quota *quota, int64_t now_s)
{
	uint32_t *oldest;

	if (now_s - quota->window_s >= QUOTA_WINDOW_S ||
	    quota->window_s - now_s >= QUOTA_WINDOW_S) {
		memset(quota->creates, 0, sizeof(quota->creates));
		quota->n_creates = 0;
		quota->window_s = now_s;
	}
	while (quota->window_s < now_s) {
		quota->window_s++;
		oldest = &quota->creates[quota->window_s % QUOTA_WINDOW_S];
		quota->n_creates -= *oldest;
		*oldest = 0;
	}
}

void
quota_restore_usage(struct quota *quota, const struct ps_usage *usage)
{
	quota->day = usage->day;
	quota->messages +=
	    usage->traffic.messages_up + usage->traffic.messages_down;
	quota->bytes += usage->traffic.bytes_up + usage->traffic.bytes_down;
}

void
quota_restore_creates(struct quota *quota, int64_t second_s, uint64_t count)
{
	turn_window(quota, second_s);
	quota->creates[second_s % QUOTA_WINDOW_S] += (uint32_t)count;
	quota->n_creates += (uint32_t)count;
}

void
quotas_forget_elsewhere(struct quotas *quotas)
{
	struct quota *quota;

	TAILQ_FOREACH(quota, &quotas->all, all)
		quota->n_elsewhere = 0;
}

void
quota_hear_sessions(struct quota *quota, uint64_t n_sessions)
{
	quota->n_elsewhere = n_sessions;
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What is written has our own in it, but the last second of that. */
void
quota_hear_usage(struct quota *quota, const struct ps_usage *usage)
{
	const struct ps_traffic *traffic = &usage->traffic;

	if (quota->day != usage->day)
		return;
	quota->messages = larger(quota->messages,
	    traffic->messages_up + traffic->messages_down);
	quota->bytes =
	    larger(quota->bytes, traffic->bytes_up + traffic->bytes_down);
}

/* What is to be written, of the day that is counted. */
static struct ps_usage *
unwritten(struct quotas *quotas, struct quota *quota)
{
	if (!quota->has_changed) {
		quota->has_changed = true;
		TAILQ_INSERT_TAIL(&quotas->changed, quota, changed);
		quota->unwritten = (struct ps_usage){
			.token_id = quota->token_id, .day = quota->day };
	}
	return &quota->unwritten;
}

void
quota_count_refused(struct quotas *quotas, struct quota *quota, int64_t now_s)
{
	turn_day(quotas, quota, now_s);
	unwritten(quotas, quota)->refused++;
}

/* Seconds until so many creates count no longer that there is room for one. */
static unsigned
window_wait(const struct quota *quota)
{
	uint64_t limit = quota->limits.value[PS_LIMIT_CREATES_PER_MINUTE];
	uint64_t left = quota->n_creates;
	unsigned wait;

	for (wait = 1; wait < QUOTA_WINDOW_S; wait++) {
		left -= quota->creates[(quota->window_s + wait) %
		    QUOTA_WINDOW_S];
		if (left < limit)
			break;
	}
	return wait;
}

static bool
refuse(struct refusal *refusal_r, enum ps_code code,
    enum ps_token_limit limit, unsigned retry_after_s)
{
	*refusal_r = (struct refusal){ code, ps_token_limit_name(limit),
		retry_after_s };
	return false;
}

unsigned
quota_day_left_s(int64_t now_s)
{
	return (unsigned)(DAY_S - now_s % DAY_S);
}

static bool
may_create(struct quota *quota, int64_t now_s, struct refusal *refusal_r)
{
	const uint64_t *limit = quota->limits.value;
	unsigned midnight = quota_day_left_s(now_s);

	if (quota->n_sessions + quota->n_elsewhere >= limit[PS_LIMIT_SOCKETS])
		return refuse(refusal_r, PS_CODE_CONNECTION_LIMIT,
		    PS_LIMIT_SOCKETS, 0);
	if (quota->n_creates >= limit[PS_LIMIT_CREATES_PER_MINUTE])
		return refuse(refusal_r, PS_CODE_RATE_LIMIT,
		    PS_LIMIT_CREATES_PER_MINUTE, window_wait(quota));
	if (quota->messages >= limit[PS_LIMIT_MESSAGES_PER_DAY])
		return refuse(refusal_r, PS_CODE_DAILY_LIMIT,
		    PS_LIMIT_MESSAGES_PER_DAY, midnight);
	if (quota->bytes >= limit[PS_LIMIT_BYTES_PER_DAY])
		return refuse(refusal_r, PS_CODE_DAILY_LIMIT,
		    PS_LIMIT_BYTES_PER_DAY, midnight);
	return true;
}

bool
quota_may_create(struct quotas *quotas, struct quota *quota, int64_t now_s,
    struct refusal *refusal_r)
{
	turn_day(quotas, quota, now_s);
	turn_window(quota, now_s);
	if (may_create(quota, now_s, refusal_r))
		return true;
	quota_count_refused(quotas, quota, now_s);
	return false;
}

void
quota_enter(struct quotas *quotas, struct quota *quota,
    struct session *session, int64_t now_s)
{
	TAILQ_INSERT_TAIL(&quota->sessions, session, of_token);
	quota->n_sessions++;
	quota->n_users++;
	turn_window(quota, now_s);
	quota->creates[quota->window_s % QUOTA_WINDOW_S]++;
	quota->n_creates++;
	turn_day(quotas, quota, now_s);
	unwritten(quotas, quota)->creates++;
}

void
quota_leave(struct quota *quota, struct session *session)
{
	TAILQ_REMOVE(&quota->sessions, session, of_token);
	quota->n_sessions--;
}

void
quota_release(struct quota *quota)
{
	quota->n_users--;
}

/* Neither sum can wrap: `used` never exceeds what a limit has let pass, or
 * counts bytes that were really sent. */
static bool
exceeds(uint64_t used, uint64_t more, uint64_t limit)
{
	return limit != PS_NO_LIMIT && (used > limit || more > limit - used);
}

const char *
quota_take(struct quotas *quotas, struct quota *quota,
    enum ps_direction direction, uint64_t messages, uint64_t bytes,
    int64_t now_s)
{
	const uint64_t *limit = quota->limits.value;

	turn_day(quotas, quota, now_s);
	if (exceeds(quota->messages, messages,
		limit[PS_LIMIT_MESSAGES_PER_DAY]))
		return ps_token_limit_name(PS_LIMIT_MESSAGES_PER_DAY);
	if (exceeds(quota->bytes, bytes, limit[PS_LIMIT_BYTES_PER_DAY]))
		return ps_token_limit_name(PS_LIMIT_BYTES_PER_DAY);
	quota->messages += messages;
	quota->bytes += bytes;
	ps_traffic_add(&unwritten(quotas, quota)->traffic, direction, messages,
	    bytes);
	return NULL;
}

bool
quotas_take_unwritten(struct quotas *quotas, struct ps_usage *usage_r)
{
	struct quota *quota = TAILQ_FIRST(&quotas->changed);

	if (quota == NULL)
		return false;
	*usage_r = quota->unwritten;
	forget_change(quotas, quota);
	return true;
}
