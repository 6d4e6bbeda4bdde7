/*
 * A loop on which something happens by and by, because a thread does it: no
 * test sleeps, but lets the loop turn until what it waits for is there.
 */
#ifndef LOOP_H
#define LOOP_H

#include "unit.h"

#include <uv.h>

/* Long enough for the slowest machine; what it waits for takes less. */
#define LOOP_PATIENCE_MS (30u * 1000)

/* Of a clock that no test turns. */
static inline uint64_t
loop_clock_ms(void)
{
	return uv_hrtime() / 1000 / 1000;
}

static inline void
loop_on_tick(uv_timer_t *ticks)
{
	(void)ticks;
}

/* So that the loop never waits for long. */
static inline void
loop_start_ticks(uv_loop_t *loop, uv_timer_t *ticks)
{
	uv_timer_init(loop, ticks);
	uv_timer_start(ticks, loop_on_tick, 5, 5);
}

static inline void
loop_stop_ticks(uv_timer_t *ticks)
{
	uv_close((uv_handle_t *)ticks, NULL);
}

#define loop_run_until(loop, condition) \
	do { \
		uint64_t loop_begin_ms_ = loop_clock_ms(); \
		while (!(condition)) { \
			if (loop_clock_ms() - loop_begin_ms_ > \
			    LOOP_PATIENCE_MS) \
				fail_msg("never: %s", #condition); \
			uv_run((loop), UV_RUN_ONCE); \
		} \
	} while (0)

/* In which something must not happen. */
static inline void
loop_run_for(uv_loop_t *loop, uint64_t ms)
{
	uint64_t begin_ms = loop_clock_ms();

	loop_run_until(loop, loop_clock_ms() - begin_ms > ms);
}

#endif
