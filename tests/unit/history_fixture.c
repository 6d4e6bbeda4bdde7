#include "config.h"

#include "history_fixture.h"

#include "ps_clock.h"

atomic_uint_least64_t ahead_ms;

uint64_t __real_ps_clock_ms(void);
uint64_t __wrap_ps_clock_ms(void);
int64_t __real_ps_clock_unix_ms(void);
int64_t __wrap_ps_clock_unix_ms(void);

uint64_t
__wrap_ps_clock_ms(void)
{
	return __real_ps_clock_ms() + ahead_ms;
}

int64_t
__wrap_ps_clock_unix_ms(void)
{
	return __real_ps_clock_unix_ms() + (int64_t)ahead_ms;
}

/* What the store tells is of no interest here. */
static void
on_policy(void *owner, struct ps_policy *policy)
{
	(void)owner;
	ps_policy_unref(policy);
}

static void
on_close_request(void *owner, const char *id)
{
	(void)owner;
	(void)id;
}

static void
on_replaced(void *owner)
{
	(void)owner;
}

static void
on_elsewhere(void *owner, const struct store_use *uses, size_t count)
{
	(void)owner;
	(void)uses;
	(void)count;
}

static void
on_usage(void *owner, const struct ps_usage *usage)
{
	(void)owner;
	(void)usage;
}

static void
on_create(void *owner, int64_t token_id, int64_t second_s, uint64_t count)
{
	(void)owner;
	(void)token_id;
	(void)second_s;
	(void)count;
}

static void
on_sessions(void *owner, int64_t token_id, uint64_t n_sessions)
{
	(void)owner;
	(void)token_id;
	(void)n_sessions;
}

static const struct store_ops ops = {
	.policy = on_policy,
	.close_request = on_close_request,
	.replaced = on_replaced,
	.elsewhere = on_elsewhere,
};
static const struct store_memory memory = {
	.usage = on_usage,
	.create = on_create,
	.elsewhere = on_sessions,
	.creates_s = 60,
};

static uv_timer_t ticks;

void
start(void)
{
	bridge.store = store_start(bridge.loop, bridge.config, bridge.tag,
	    &ops, &memory, NULL);
	assert_non_null(bridge.store);
}

void
stop(void)
{
	store_stop(bridge.store);
	bridge.store = NULL;
}

int
history_setup(void **state)
{
	if (database_setup(state) != 0 || fixture_setup_loop(state) != 0)
		return -1;
	free(bridge.config->database);
	bridge.config->database = strdup(database_path);
	loop_start_ticks(bridge.loop, &ticks);
	ahead_ms = 0;
	return 0;
}

int
history_teardown(void **state)
{
	stop();
	loop_stop_ticks(&ticks);
	if (fixture_teardown(state) != 0)
		return -1;
	return database_teardown(state);
}

void
put(const char *channel, const char *id)
{
	history_put(&bridge, ps_slice_str(channel), id, ps_slice_str("{}"));
}

void
put_many(const char *channel, const char *name, int from, int to)
{
	char id[PS_EVENT_ID_LEN + 1];

	for (; from <= to; from++) {
		snprintf(id, sizeof(id), "%s%d", name, from);
		put(channel, id);
	}
}

bool
all_is_written(void)
{
	return store_status(bridge.store).waiting == 0;
}
