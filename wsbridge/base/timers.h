/*
 * Many timers on one clock: a heap, so that setting one costs O(log n) and an
 * idle one nothing. The bridge drives it from one uv_timer_t, a test from its
 * own clock. Times are milliseconds of ps_clock.
 *
 * A timer is part of its owner, who cancels it before it goes away. `fire` may
 * set and cancel any timer.
 */
#ifndef TIMERS_H
#define TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
	uint64_t at_ms;
	size_t place; /* in the heap, from 1; 0: not set */
	void (*fire)(struct timer *timer);
};

struct timers {
	struct timer **heap; /* heap[0] is not used */
	size_t count, capacity;
	/* Called when the first timer has become earlier; may be NULL. */
	void (*earlier)(struct timers *timers);
};

void timers_deinit(struct timers *timers);
void timers_set(struct timers *timers, struct timer *timer, uint64_t at_ms);
void timers_cancel(struct timers *timers, struct timer *timer);
static inline bool
timer_is_set(const struct timer *timer)
{
	return timer->place != 0;
}

/* When the first timer is due; UINT64_MAX without any. */
uint64_t timers_next_ms(const struct timers *timers);
/* Fires what is due, at most `max`; returns how many. */
size_t timers_run(struct timers *timers, uint64_t now_ms, size_t max);

#endif
