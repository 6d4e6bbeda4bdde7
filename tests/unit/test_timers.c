#include "config.h"

#include "unit.h"

#include "wsbridge/base/timers.h"

struct test_timer {
	struct timer timer; /* first */
	unsigned id;
	uint64_t due_ms; /* of the model; UINT64_MAX: not set */
};

static struct timers timers;
static unsigned fired[64];
static size_t n_fired;
static unsigned n_earlier;

static void
note(struct timer *timer)
{
	if (n_fired < ROWS(fired))
		fired[n_fired] = ((struct test_timer *)timer)->id;
	n_fired++;
}

static void
count_earlier(struct timers *of)
{
	(void)of;
	n_earlier++;
}

static int
setup(void **state)
{
	(void)state;
	timers = (struct timers){ 0 };
	n_fired = 0;
	n_earlier = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	timers_deinit(&timers);
	return 0;
}

static void
timers_fire_in_the_order_of_their_time(void **state)
{
	static const uint64_t times[] = { 50, 10, 40, 20, 30 };
	static const unsigned order[] = { 1, 3, 4, 2, 0 };
	struct test_timer list[5];
	unsigned i;

	(void)state;
	assert_true(timers_next_ms(&timers) == UINT64_MAX);
	for (i = 0; i < 5; i++) {
		list[i] = (struct test_timer){ { .fire = note }, i, 0 };
		timers_set(&timers, &list[i].timer, times[i]);
	}
	assert_int_equal(timers_next_ms(&timers), 10);
	assert_int_equal(timers_run(&timers, 9, 100), 0);
	assert_int_equal(timers_run(&timers, 29, 100), 2);
	assert_int_equal(timers_run(&timers, 30, 100), 1);
	assert_int_equal(timers_run(&timers, 50, 100), 2);
	for (i = 0; i < 5; i++) {
		assert_row(i, fired[i] == order[i]);
		assert_row(i, !timer_is_set(&list[i].timer));
	}
	assert_true(timers_next_ms(&timers) == UINT64_MAX);
}

static void
a_cancelled_timer_does_not_fire(void **state)
{
	struct test_timer list[8];
	unsigned i, left;

	(void)state;
	for (left = 0; left < 8; left++) {
		for (i = 0; i < 8; i++) {
			list[i] = (struct test_timer){ { .fire = note }, i, 0 };
			timers_set(&timers, &list[i].timer, 100 + i);
		}
		n_fired = 0;
		for (i = 0; i < 8; i++) {
			if (i != left)
				timers_cancel(&timers, &list[i].timer);
		}
		timers_cancel(&timers, &list[(left + 1) % 8].timer);
		assert_row(left, timers_run(&timers, 1000, 100) == 1);
		assert_row(left, fired[0] == left);
	}
}

static void
a_timer_may_be_set_earlier_and_later(void **state)
{
	struct test_timer a = { { .fire = note }, 1, 0 };
	struct test_timer b = { { .fire = note }, 2, 0 };

	(void)state;
	timers_set(&timers, &a.timer, 100);
	timers_set(&timers, &b.timer, 200);
	timers_set(&timers, &b.timer, 50);
	assert_int_equal(timers_next_ms(&timers), 50);
	timers_set(&timers, &b.timer, 300);
	assert_int_equal(timers_next_ms(&timers), 100);
	timers_set(&timers, &a.timer, 400);
	assert_int_equal(timers_next_ms(&timers), 300);
	timers_set(&timers, &a.timer, 400); /* no change */
	assert_int_equal(timers_run(&timers, 1000, 100), 2);
	assert_int_equal(fired[0], 2);
	assert_int_equal(fired[1], 1);
}

static void
only_an_earlier_first_timer_is_told(void **state)
{
	struct test_timer a = { { .fire = note }, 1, 0 };
	struct test_timer b = { { .fire = note }, 2, 0 };

	(void)state;
	timers.earlier = count_earlier;
	timers_set(&timers, &a.timer, 100);
	assert_int_equal(n_earlier, 1);
	timers_set(&timers, &b.timer, 200);
	assert_int_equal(n_earlier, 1);
	timers_set(&timers, &b.timer, 50);
	assert_int_equal(n_earlier, 2);
}

static void
a_run_fires_at_most_what_it_may(void **state)
{
	struct test_timer list[10];
	unsigned i;

	(void)state;
	for (i = 0; i < 10; i++) {
		list[i] = (struct test_timer){ { .fire = note }, i, 0 };
		timers_set(&timers, &list[i].timer, 5);
	}
	assert_int_equal(timers_run(&timers, 5, 0), 0);
	assert_int_equal(timers_run(&timers, 5, 4), 4);
	assert_int_equal(timers_run(&timers, 5, 6), 6);
	assert_int_equal(timers_run(&timers, 5, 1), 0);
}

static struct test_timer other;

static void
set_again_and_cancel_other(struct timer *timer)
{
	note(timer);
	assert_false(timer_is_set(timer));
	timers_set(&timers, timer, timer->at_ms + 10);
	timers_cancel(&timers, &other.timer);
}

static void
a_firing_timer_may_set_and_cancel_any(void **state)
{
	struct test_timer a = { { .fire = set_again_and_cancel_other }, 1, 0 };

	(void)state;
	other = (struct test_timer){ { .fire = note }, 2, 0 };
	timers_set(&timers, &a.timer, 10);
	timers_set(&timers, &other.timer, 15);
	assert_int_equal(timers_run(&timers, 20, 100), 2);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[1], 1);
	assert_int_equal(timers_next_ms(&timers), 30);
	timers_cancel(&timers, &a.timer);
}

#define MANY 500

static struct test_timer many[MANY];
static uint64_t model_now_ms, last_fired_ms;

static void
check_model(struct timer *timer)
{
	struct test_timer *t = (struct test_timer *)timer;

	assert_true(t->due_ms <= model_now_ms);
	assert_true(t->due_ms >= last_fired_ms);
	last_fired_ms = t->due_ms;
	t->due_ms = UINT64_MAX;
}

static uint64_t
model_next(void)
{
	uint64_t next = UINT64_MAX;
	size_t i;

	for (i = 0; i < MANY; i++) {
		if (many[i].due_ms < next)
			next = many[i].due_ms;
	}
	return next;
}

static void
many_timers_agree_with_a_model(void **state)
{
	uint64_t seed = 42;
	unsigned i, step;

	(void)state;
	model_now_ms = 1000;
	for (i = 0; i < MANY; i++)
		many[i] = (struct test_timer){ { .fire = check_model }, i,
			UINT64_MAX };
	for (step = 0; step < 20000; step++) {
		struct test_timer *t = &many[next_random(&seed) % MANY];

		switch (next_random(&seed) % 8) {
		case 0:
			timers_cancel(&timers, &t->timer);
			t->due_ms = UINT64_MAX;
			break;
		case 1:
			model_now_ms += next_random(&seed) % 50;
			last_fired_ms = 0;
			timers_run(&timers, model_now_ms, SIZE_MAX);
			assert_row(step, model_next() > model_now_ms);
			break;
		default:
			t->due_ms = model_now_ms + next_random(&seed) % 1000;
			timers_set(&timers, &t->timer, t->due_ms);
		}
		assert_row(step, timers_next_ms(&timers) == model_next());
	}
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(timers_fire_in_the_order_of_their_time),
		fresh(a_cancelled_timer_does_not_fire),
		fresh(a_timer_may_be_set_earlier_and_later),
		fresh(only_an_earlier_first_timer_is_told),
		fresh(a_run_fires_at_most_what_it_may),
		fresh(a_firing_timer_may_set_and_cancel_any),
		fresh(many_timers_agree_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
