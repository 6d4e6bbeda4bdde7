#include "config.h"

#include "unit.h"

#include "wsbridge/session/quota.h"
#include "wsbridge/session/session.h"

#define NOON_S 1591012800 /* 2020-06-01 12:00:00 UTC */
#define DAY_S 86400
#define DAY (NOON_S / DAY_S)

static struct quotas quotas;
static struct quota *quota;
static int64_t now_s;
static struct session sessions[256]; /* all that a quota needs of them */
static struct ps_usage over[8];	     /* days that are over: told to write() */
static size_t n_over;

static void
write_over(struct quotas *of, const struct ps_usage *usage)
{
	assert_ptr_equal(of, &quotas);
	assert_true(n_over < ROWS(over));
	over[n_over++] = *usage;
}

static int
setup(void **state)
{
	(void)state;
	now_s = NOON_S;
	n_over = 0;
	if (!quotas_init(&quotas, 1))
		return -1;
	quotas.write = write_over;
	quota = quotas_get(&quotas, 7);
	return quota == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	quotas_deinit(&quotas);
	return 0;
}

static void
set_limit(enum ps_token_limit limit, uint64_t value)
{
	quota->limits.value[limit] = value;
}

/* Creates session `i` where that is allowed. */
static bool
create(size_t i)
{
	struct refusal refusal;

	if (!quota_may_create(&quotas, quota, now_s, &refusal))
		return false;
	quota_enter(&quotas, quota, &sessions[i], now_s);
	return true;
}

/* It is over, and so is its session. */
static void
end(size_t i)
{
	quota_leave(quota, &sessions[i]);
	quota_release(quota);
}

/* For the limits of time: one that is over at once. */
static bool
create_and_end(void)
{
	if (!create(0))
		return false;
	end(0);
	return true;
}

/* Why nothing may be created; counts it. */
static struct refusal
refusal(void)
{
	struct refusal r = { .code = PS_CODE__COUNT };

	assert_false(quota_may_create(&quotas, quota, now_s, &r));
	return r;
}

static const char *
take(enum ps_direction direction, uint64_t messages, uint64_t bytes)
{
	return quota_take(&quotas, quota, direction, messages, bytes, now_s);
}

static void
assert_usage(struct ps_usage usage, int64_t day, uint64_t creates,
    uint64_t refused, const struct ps_traffic *traffic)
{
	assert_int_equal(usage.token_id, 7);
	assert_int_equal(usage.day, day);
	assert_int_equal(usage.creates, creates);
	assert_int_equal(usage.refused, refused);
	assert_memory_equal(&usage.traffic, traffic, sizeof(*traffic));
}

static const struct ps_traffic no_traffic;

/* What is to be written of the one token that has something. */
static struct ps_usage
unwritten(void)
{
	struct ps_usage usage = { 0 }, none;

	assert_true(quotas_take_unwritten(&quotas, &usage));
	assert_false(quotas_take_unwritten(&quotas, &none));
	return usage;
}

/* --- which token --- */

static void
a_token_has_one_quota(void **state)
{
	static const int64_t ids[] = { 1, 2, 7, 256, -1, INT64_MAX,
		INT64_MIN };
	struct quota *made[ROWS(ids)];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(ids); i++) {
		made[i] = quotas_get(&quotas, ids[i]);
		assert_row(i, made[i] != NULL && made[i]->token_id == ids[i]);
	}
	assert_ptr_equal(made[2], quota);
	for (i = 0; i < ROWS(ids); i++)
		assert_row(i, quotas_get(&quotas, ids[i]) == made[i]);
	quotas_remove(&quotas, made[1]);
	assert_int_equal(quotas.by_id.count, ROWS(ids) - 1);
	assert_ptr_equal(quotas_get(&quotas, 1), made[0]);
}

static void
many_tokens_have_quotas_of_their_own(void **state)
{
	struct ps_usage usage;
	int64_t i;

	(void)state;
	for (i = 1; i <= 10000; i++) {
		struct quota *its = quotas_get(&quotas, i);

		assert_row(i, its != NULL);
		assert_null(quota_take(&quotas, its, PS_UP, (uint64_t)i, 0,
		    now_s));
	}
	assert_int_equal(quotas.by_id.count, 10000);
	for (i = 1; i <= 10000; i++) {
		assert_row(i, quotas_take_unwritten(&quotas, &usage));
		assert_row(i, usage.token_id == i);
		assert_row(i, usage.traffic.messages_up == (uint64_t)i);
	}
	assert_false(quotas_take_unwritten(&quotas, &usage));
}

static void
a_new_quota_has_no_limits(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		assert_row(i, quota->limits.value[i] == PS_NO_LIMIT);
	for (i = 0; i < ROWS(sessions); i++)
		assert_row(i, create(i));
	assert_null(take(PS_UP, 1000, UINT64_MAX / 4));
	assert_null(take(PS_DOWN, 1000, UINT64_MAX / 4));
}

static void
what_a_removed_quota_had_to_write_is_forgotten(void **state)
{
	struct ps_usage usage;

	(void)state;
	assert_null(take(PS_UP, 1, 1));
	quotas_remove(&quotas, quota);
	assert_false(quotas_take_unwritten(&quotas, &usage));
	assert_int_equal(quotas.by_id.count, 0);
}

/* --- sessions open at once --- */

static void
sessions_of_a_bridge_that_drains_count_too(void **state)
{
	(void)state;
	set_limit(PS_LIMIT_SOCKETS, 3);
	quota_hear_sessions(quota, 2);
	assert_true(create(0));
	assert_false(create(1));
	quota_hear_sessions(quota, 1);
	assert_true(create(1));
	assert_false(create(2));
	quotas_forget_elsewhere(&quotas);
	assert_true(create(2));
	assert_false(create(3));
}

static void
what_others_have_used_of_the_day_counts_too(void **state)
{
	struct ps_usage heard = { .token_id = 7, .day = DAY,
		.traffic = { 3, 4, 30, 40 } };

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 10);
	assert_null(quota_take(&quotas, quota, PS_UP, 1, 1, now_s));
	quota_hear_usage(quota, &heard);
	assert_int_equal(quota->messages, 7);
	assert_int_equal(quota->bytes, 70);
	assert_null(quota_take(&quotas, quota, PS_UP, 3, 1, now_s));
	assert_non_null(quota_take(&quotas, quota, PS_UP, 1, 1, now_s));
	/* What was written before our own was is no news. */
	quota_hear_usage(quota, &heard);
	assert_int_equal(quota->messages, 10);
	/* Nor is another day. */
	heard.day++;
	heard.traffic.messages_up = 1000;
	quota_hear_usage(quota, &heard);
	assert_int_equal(quota->messages, 10);
}

static void
as_many_sessions_are_open_as_the_limit_says(void **state)
{
	static const size_t limits[] = { 0, 1, 2, 10, 200 };
	struct refusal r;
	size_t row, i;

	(void)state;
	for (row = 0; row < ROWS(limits); row++) {
		set_limit(PS_LIMIT_SOCKETS, limits[row]);
		for (i = 0; i < limits[row]; i++)
			assert_row(row, create(i));
		r = refusal();
		assert_row(row, r.code == PS_CODE_CONNECTION_LIMIT);
		assert_string_equal(r.limit, "max_sockets");
		assert_int_equal(r.retry_after_s, 0);
		for (i = 0; i < limits[row]; i++)
			end(i);
	}
	assert_int_equal(quota->n_sessions, 0);
	assert_int_equal(quota->n_users, 0);
}

static void
two_hundred_creates_against_ten_open_ten(void **state)
{
	size_t i, opened = 0;

	(void)state;
	set_limit(PS_LIMIT_SOCKETS, 10);
	for (i = 0; i < 200; i++)
		opened += create(i);
	assert_int_equal(opened, 10);
	assert_int_equal(quota->n_sessions, 10);
	assert_usage(unwritten(), DAY, 10, 190, &no_traffic);
}

static void
a_session_that_leaves_makes_room_for_one(void **state)
{
	(void)state;
	set_limit(PS_LIMIT_SOCKETS, 2);
	assert_true(create(0) && create(1));
	assert_false(create(2));
	/* Closing: it refers to the quota, but is not open any more. */
	quota_leave(quota, &sessions[0]);
	assert_int_equal(quota->n_users, 2);
	assert_true(create(2));
	assert_false(create(3));
	quota_release(quota);
	assert_false(create(3));
	assert_int_equal(quota->n_sessions, 2);
	assert_int_equal(quota->n_users, 2);
}

static void
a_lowered_limit_lets_none_begin_until_there_is_room(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		assert_true(create(i));
	set_limit(PS_LIMIT_SOCKETS, 3);
	for (i = 0; i < 2; i++) {
		assert_false(create(5));
		end(i);
	}
	assert_false(create(5)); /* three are left */
	end(2);
	assert_true(create(5));
	assert_false(create(6));
}

static void
sessions_are_listed_oldest_first(void **state)
{
	struct session *session;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_true(create(i));
	end(1);
	assert_true(create(1));
	i = 0;
	TAILQ_FOREACH(session, &quota->sessions, of_token) {
		static const size_t order[] = { 0, 2, 3, 1 };

		assert_row(i, session == &sessions[order[i]]);
		i++;
	}
	assert_int_equal(i, 4);
}

/* --- creates within a minute --- */

static void
so_many_begin_within_a_minute_and_no_more(void **state)
{
	static const uint64_t limits[] = { 0, 1, 10, 100 };
	size_t row, i;

	(void)state;
	for (row = 0; row < ROWS(limits); row++) {
		now_s += QUOTA_WINDOW_S;
		set_limit(PS_LIMIT_CREATES_PER_MINUTE, limits[row]);
		for (i = 0; i < limits[row]; i++)
			assert_row(row, create_and_end());
		assert_row(row, refusal().code == PS_CODE_RATE_LIMIT);
		assert_string_equal(refusal().limit, "max_creates_per_minute");
		now_s += QUOTA_WINDOW_S - 1;
		assert_row(row, !create_and_end());
		now_s++;
		assert_row(row, create_and_end() == (limits[row] > 0));
	}
}

/* The creates of the 60 seconds that end with the present one. */
static uint64_t
count_recent(const unsigned *creates, size_t second)
{
	uint64_t sum = 0;
	size_t i;

	for (i = second < QUOTA_WINDOW_S ? 0 : second - QUOTA_WINDOW_S + 1;
	     i <= second; i++)
		sum += creates[i];
	return sum;
}

static void
the_minute_slides_second_by_second(void **state)
{
	unsigned creates[1200] = { 0 };
	uint64_t random = 20, limit = 10;
	size_t second, tries;

	(void)state;
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, limit);
	for (second = 0; second < ROWS(creates); second++) {
		/* Bursts, trickles, and pauses of up to two minutes. */
		if (next_random(&random) % 200 == 0)
			second += next_random(&random) % 120;
		if (second >= ROWS(creates))
			break;
		now_s = NOON_S + (int64_t)second;
		tries = next_random(&random) % 8 == 0 ?
		    next_random(&random) % 15 :
		    0;
		for (; tries > 0; tries--) {
			bool room = count_recent(creates, second) < limit;

			assert_row(second, create_and_end() == room);
			creates[second] += room;
		}
	}
}

static void
retry_after_is_when_there_is_room_again(void **state)
{
	uint64_t random = 5;
	struct refusal r;
	size_t round;

	(void)state;
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, 6);
	for (round = 0; round < 300; round++) {
		while (create_and_end())
			now_s += (int64_t)(next_random(&random) % 13);
		r = refusal();
		assert_row(round,
		    r.retry_after_s >= 1 && r.retry_after_s <= 60);
		now_s += r.retry_after_s - 1;
		assert_row(round, !create_and_end());
		now_s++;
		assert_row(round, create_and_end());
	}
}

static void
retry_after_knows_a_limit_that_was_lowered(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 10; i++) {
		assert_true(create_and_end());
		now_s += 2;
	}
	/* They began 20, 18, ... 2 seconds ago: seven have to go. */
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, 4);
	assert_int_equal(refusal().retry_after_s, QUOTA_WINDOW_S - 8);
	now_s += QUOTA_WINDOW_S - 9;
	assert_false(create_and_end());
	now_s++;
	assert_true(create_and_end());
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, 0);
	assert_int_equal(refusal().retry_after_s, QUOTA_WINDOW_S);
}

static void
a_clock_set_back_a_little_forgets_no_create(void **state)
{
	size_t i;

	(void)state;
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, 3);
	for (i = 0; i < 3; i++)
		assert_true(create_and_end());
	now_s -= QUOTA_WINDOW_S - 1;
	assert_false(create_and_end());
	now_s = NOON_S + QUOTA_WINDOW_S - 1;
	assert_false(create_and_end());
	now_s++;
	assert_true(create_and_end());
	now_s--;
	assert_true(create_and_end()); /* counts for the later second */
	now_s += QUOTA_WINDOW_S;
	assert_true(create_and_end());
	assert_false(create_and_end());
	now_s++;
	assert_true(create_and_end() && create_and_end());
	assert_false(create_and_end());
}

static void
a_clock_set_back_far_begins_a_new_minute(void **state)
{
	(void)state;
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, 1);
	assert_true(create_and_end());
	now_s -= QUOTA_WINDOW_S;
	assert_true(create_and_end());
	assert_false(create_and_end());
}

/* --- messages and bytes of a day --- */

static const struct {
	enum ps_token_limit limit;
	const char *name;
	uint64_t messages, bytes; /* of one unit */
} daily[] = {
	{ PS_LIMIT_MESSAGES_PER_DAY, "max_messages_per_day", 1, 0 },
	{ PS_LIMIT_BYTES_PER_DAY, "max_bytes_per_day", 0, 1 },
};

/* Takes `n` of what row `i` limits. */
static const char *
take_units(size_t i, enum ps_direction direction, uint64_t n)
{
	return take(direction, daily[i].messages * n, daily[i].bytes * n);
}

static void
both_directions_share_the_day(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(daily); i++) {
		now_s += DAY_S;
		set_limit(daily[i].limit, 10);
		assert_row(i, take_units(i, PS_UP, 4) == NULL);
		assert_row(i, take_units(i, PS_DOWN, 5) == NULL);
		assert_row(i, take_units(i, PS_UP, 1) == NULL);
		assert_string_equal(take_units(i, PS_UP, 1), daily[i].name);
		assert_string_equal(take_units(i, PS_DOWN, 1),
		    daily[i].name);
		set_limit(daily[i].limit, 11);
		assert_row(i, take_units(i, PS_DOWN, 1) == NULL);
		assert_row(i, take_units(i, PS_DOWN, 1) != NULL);
	}
}

static void
all_messages_are_counted_or_none(void **state)
{
	static const struct ps_traffic traffic = { .messages_up = 10,
		.bytes_up = 10 };
	size_t i;

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 10);
	set_limit(PS_LIMIT_BYTES_PER_DAY, 10);
	for (i = 0; i < ROWS(daily); i++) {
		assert_string_equal(take_units(i, PS_UP, 11),
		    daily[i].name);
		assert_string_equal(take_units(i, PS_DOWN, UINT64_MAX),
		    daily[i].name);
	}
	/* One fits and the other does not: neither is counted. */
	assert_string_equal(take(PS_UP, 1, 11), "max_bytes_per_day");
	assert_string_equal(take(PS_UP, 11, 1), "max_messages_per_day");
	assert_int_equal(quota->messages, 0);
	assert_int_equal(quota->bytes, 0);
	assert_null(take(PS_UP, 10, 10));
	assert_usage(unwritten(), DAY, 0, 0, &traffic);
}

static void
a_limit_of_zero_lets_nothing_pass(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(daily); i++) {
		set_limit(daily[i].limit, 0);
		assert_string_equal(take_units(i, PS_UP, 1),
		    daily[i].name);
		assert_int_equal(refusal().code, PS_CODE_DAILY_LIMIT);
		assert_string_equal(refusal().limit, daily[i].name);
		set_limit(daily[i].limit, PS_NO_LIMIT);
	}
	/* An empty message has no bytes. */
	set_limit(PS_LIMIT_BYTES_PER_DAY, 0);
	assert_null(take(PS_UP, 1, 0));
}

static void
the_largest_numbers_do_not_wrap(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(daily); i++) {
		now_s += DAY_S;
		set_limit(daily[i].limit, PS_NO_LIMIT - 1);
		assert_row(i,
		    take_units(i, PS_UP, UINT64_MAX - 2) == NULL);
		assert_row(i, take_units(i, PS_UP, UINT64_MAX) != NULL);
		assert_row(i, take_units(i, PS_UP, 3) != NULL);
		assert_row(i, take_units(i, PS_UP, 2) != NULL);
		assert_row(i, take_units(i, PS_DOWN, 1) == NULL);
		assert_row(i, take_units(i, PS_DOWN, 1) != NULL);
		assert_row(i, refusal().code == PS_CODE_DAILY_LIMIT);
		set_limit(daily[i].limit, 5); /* less than is in use */
		assert_row(i, take_units(i, PS_DOWN, 1) != NULL);
		set_limit(daily[i].limit, PS_NO_LIMIT);
		assert_row(i, create_and_end());
	}
}

static void
no_session_begins_on_a_day_that_is_used_up(void **state)
{
	/* Seconds since midnight, and until there is another day. */
	static const struct {
		int64_t at;
		unsigned wait;
	} rows[] = { { 0, 86400 }, { 1, 86399 }, { 43200, 43200 },
		{ 86398, 2 }, { 86399, 1 } };
	struct refusal r;
	size_t i, row;

	(void)state;
	for (i = 0; i < ROWS(daily); i++) {
		set_limit(daily[i].limit, 3);
		for (row = 0; row < ROWS(rows); row++) {
			now_s = (DAY + (int64_t)(i * 10 + row)) * DAY_S;
			assert_null(take_units(i, PS_DOWN, 2));
			assert_true(create_and_end());
			now_s += rows[row].at;
			assert_true(create_and_end());
			assert_null(take_units(i, PS_DOWN, 1));
			r = refusal();
			assert_row(row, r.code == PS_CODE_DAILY_LIMIT);
			assert_string_equal(r.limit, daily[i].name);
			assert_int_equal(r.retry_after_s, rows[row].wait);
			now_s += r.retry_after_s - 1;
			assert_false(create_and_end());
			now_s++;
			assert_true(create_and_end());
			unwritten();
			n_over = 0;
		}
		set_limit(daily[i].limit, PS_NO_LIMIT);
	}
}

/* --- what is to be written --- */

static void
all_that_happens_is_written_once(void **state)
{
	static const struct ps_traffic traffic = { 1, 20, 300, 4000 };
	struct ps_usage usage;

	(void)state;
	assert_false(quotas_take_unwritten(&quotas, &usage));
	set_limit(PS_LIMIT_SOCKETS, 2);
	assert_true(create(0) && create(1));
	assert_false(create(2) || create(2) || create(2));
	quota_count_refused(&quotas, quota, now_s);
	assert_null(take(PS_UP, 1, 100));
	assert_null(take(PS_UP, 0, 200));
	assert_null(take(PS_DOWN, 20, 4000));
	assert_usage(unwritten(), DAY, 2, 4, &traffic);
	/* What was written is still in use. */
	assert_int_equal(quota->messages, 21);
	assert_int_equal(quota->bytes, 4300);
	quota_count_refused(&quotas, quota, now_s);
	assert_usage(unwritten(), DAY, 0, 1, &no_traffic);
}

static void
the_first_that_changed_is_written_first(void **state)
{
	struct ps_usage usage;
	int64_t id;

	(void)state;
	for (id = 1; id <= 3; id++)
		assert_null(quota_take(&quotas, quotas_get(&quotas, 4 - id),
		    PS_UP, 1, 1, now_s));
	assert_null(quota_take(&quotas, quotas_get(&quotas, 3), PS_UP, 1,
	    1, now_s));
	for (id = 3; id >= 1; id--) {
		assert_true(quotas_take_unwritten(&quotas, &usage));
		assert_int_equal(usage.token_id, id);
	}
	assert_false(quotas_take_unwritten(&quotas, &usage));
}

static void
a_day_ends_at_midnight_and_is_written(void **state)
{
	static const struct ps_traffic old = { .messages_up = 9,
					      .bytes_up = 90 },
				       new = { .messages_down = 1,
					       .bytes_down = 2 };

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 10);
	now_s = (DAY + 1) * DAY_S - 1;
	assert_null(take(PS_UP, 9, 90));
	assert_non_null(take(PS_UP, 2, 2));
	assert_int_equal(n_over, 0);
	now_s++;
	assert_null(take(PS_DOWN, 1, 2));
	assert_int_equal(n_over, 1);
	assert_usage(over[0], DAY, 0, 0, &old);
	assert_int_equal(quota->messages, 1);
	assert_int_equal(quota->bytes, 2);
	assert_usage(unwritten(), DAY + 1, 0, 0, &new);
}

static void
a_day_that_is_written_already_is_not_written_again(void **state)
{
	(void)state;
	assert_null(take(PS_UP, 1, 1));
	unwritten();
	now_s += 3 * DAY_S;
	assert_null(take(PS_UP, 1, 1));
	assert_int_equal(n_over, 0);
	assert_int_equal(unwritten().day, DAY + 3);
}

static void
whatever_happens_turns_the_day(void **state)
{
	size_t i;

	(void)state;
	assert_true(create(0));
	for (i = 0; i < 4; i++) {
		assert_null(take(PS_UP, 1, 1));
		now_s += DAY_S;
		if (i == 0)
			assert_true(create_and_end());
		else if (i == 1)
			quota_count_refused(&quotas, quota, now_s);
		else if (i == 2)
			assert_null(take(PS_UP, 1, 1));
		else
			quota_enter(&quotas, quota, &sessions[1], now_s);
		assert_row(i, n_over == i + 1);
		assert_row(i, over[i].day == DAY + (int64_t)i);
		assert_row(i, quota->day == DAY + (int64_t)i + 1);
		assert_row(i, quota->messages == (i == 2 ? 1 : 0));
	}
}

static void
a_clock_set_back_over_midnight_counts_for_the_day_it_shows(void **state)
{
	(void)state;
	set_limit(PS_LIMIT_BYTES_PER_DAY, 10);
	now_s = (DAY + 1) * DAY_S;
	assert_null(take(PS_UP, 1, 10));
	now_s--;
	assert_null(take(PS_UP, 1, 4));
	assert_int_equal(n_over, 1);
	assert_int_equal(over[0].day, DAY + 1);
	assert_int_equal(over[0].traffic.bytes_up, 10);
	/* Neither day is used twice because the clock goes back and forth. */
	assert_non_null(take(PS_UP, 1, 7));
	now_s++;
	assert_non_null(take(PS_UP, 1, 1));
	now_s--;
	assert_null(take(PS_UP, 1, 6));
	assert_non_null(take(PS_UP, 1, 1));
	assert_int_equal(unwritten().day, DAY);
}

/* --- what was known before the start --- */

static void
what_was_used_before_the_start_counts(void **state)
{
	static const struct ps_traffic before = { 2, 3, 40, 50 };
	struct ps_usage usage = { .token_id = 7, .day = DAY, .creates = 9,
		.refused = 9, .traffic = before };

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 6);
	quota_restore_usage(quota, &usage);
	assert_false(quotas_take_unwritten(&quotas, &usage));
	assert_int_equal(quota->messages, 5);
	assert_int_equal(quota->bytes, 90);
	assert_string_equal(take(PS_UP, 2, 0), "max_messages_per_day");
	assert_null(take(PS_UP, 1, 10));
	set_limit(PS_LIMIT_BYTES_PER_DAY, 100);
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, PS_NO_LIMIT);
	assert_string_equal(take(PS_DOWN, 1, 1), "max_bytes_per_day");
	/* Written is what came after. */
	assert_usage(unwritten(), DAY, 0, 0,
	    &(struct ps_traffic){ .messages_up = 1, .bytes_up = 10 });
}

static void
what_was_used_on_the_day_before_does_not(void **state)
{
	struct ps_usage usage = { .token_id = 7, .day = DAY,
		.traffic = { .messages_up = 5, .bytes_up = 5 } };

	(void)state;
	set_limit(PS_LIMIT_MESSAGES_PER_DAY, 5);
	quota_restore_usage(quota, &usage);
	assert_false(create_and_end());
	now_s = (DAY + 1) * DAY_S;
	assert_true(create_and_end());
	assert_null(take(PS_UP, 5, 5));
}

static void
the_largest_use_that_a_database_can_hold_is_restored(void **state)
{
	struct ps_usage usage = { .token_id = 7, .day = DAY,
		.traffic = { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX } };

	(void)state;
	quota_restore_usage(quota, &usage);
	assert_true(create_and_end());
	set_limit(PS_LIMIT_BYTES_PER_DAY, INT64_MAX);
	assert_false(create_and_end());
	assert_non_null(take(PS_UP, 1, 1));
}

static void
what_began_before_the_start_counts_for_its_minute(void **state)
{
	(void)state;
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, 10);
	quota_restore_creates(quota, now_s - QUOTA_WINDOW_S + 1, 2);
	quota_restore_creates(quota, now_s - QUOTA_WINDOW_S + 31, 5);
	quota_restore_creates(quota, now_s, 2);
	assert_true(create_and_end());
	assert_int_equal(refusal().retry_after_s, 1);
	now_s++;
	assert_true(create_and_end() && create_and_end());
	assert_int_equal(refusal().retry_after_s, 30);
	now_s += 30;
	assert_int_equal(quota->n_creates, 10);
	assert_true(create_and_end());
	assert_int_equal(quota->n_creates, 6);
}

/* The clock was set back while the bridge was down. */
static void
creates_of_the_future_do_not_stop_a_token_for_long(void **state)
{
	(void)state;
	set_limit(PS_LIMIT_CREATES_PER_MINUTE, 1);
	quota_restore_creates(quota, now_s + 3600, 1);
	assert_true(create_and_end());
	assert_false(create_and_end());
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(a_token_has_one_quota),
		fresh(many_tokens_have_quotas_of_their_own),
		fresh(a_new_quota_has_no_limits),
		fresh(what_a_removed_quota_had_to_write_is_forgotten),
		fresh(sessions_of_a_bridge_that_drains_count_too),
		fresh(what_others_have_used_of_the_day_counts_too),
		fresh(as_many_sessions_are_open_as_the_limit_says),
		fresh(two_hundred_creates_against_ten_open_ten),
		fresh(a_session_that_leaves_makes_room_for_one),
		fresh(a_lowered_limit_lets_none_begin_until_there_is_room),
		fresh(sessions_are_listed_oldest_first),
		fresh(so_many_begin_within_a_minute_and_no_more),
		fresh(the_minute_slides_second_by_second),
		fresh(retry_after_is_when_there_is_room_again),
		fresh(retry_after_knows_a_limit_that_was_lowered),
		fresh(a_clock_set_back_a_little_forgets_no_create),
		fresh(a_clock_set_back_far_begins_a_new_minute),
		fresh(both_directions_share_the_day),
		fresh(all_messages_are_counted_or_none),
		fresh(a_limit_of_zero_lets_nothing_pass),
		fresh(the_largest_numbers_do_not_wrap),
		fresh(no_session_begins_on_a_day_that_is_used_up),
		fresh(all_that_happens_is_written_once),
		fresh(the_first_that_changed_is_written_first),
		fresh(a_day_ends_at_midnight_and_is_written),
		fresh(a_day_that_is_written_already_is_not_written_again),
		fresh(whatever_happens_turns_the_day),
		fresh(a_clock_set_back_over_midnight_counts_for_the_day_it_shows),
		fresh(what_was_used_before_the_start_counts),
		fresh(what_was_used_on_the_day_before_does_not),
		fresh(the_largest_use_that_a_database_can_hold_is_restored),
		fresh(what_began_before_the_start_counts_for_its_minute),
		fresh(creates_of_the_future_do_not_stop_a_token_for_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
