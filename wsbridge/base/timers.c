#include "config.h"

#include "timers.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64

void
timers_deinit(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){ 0 };
}

static void
put(struct timers *timers, size_t place, struct timer *timer)
{
	timers->heap[place] = timer;
	timer->place = place;
}

static void
sift_up(struct timers *timers, size_t place, struct timer *timer)
{
	while (place > 1 &&
	    timers->heap[place / 2]->at_ms > timer->at_ms) {
		put(timers, place, timers->heap[place / 2]);
		place /= 2;
	}
	put(timers, place, timer);
}

static void
sift_down(struct timers *timers, size_t place, struct timer *timer)
{
	size_t child;

	while ((child = place * 2) <= timers->count) {
		if (child < timers->count &&
		    timers->heap[child + 1]->at_ms < timers->heap[child]->at_ms)
			child++;
		if (timers->heap[child]->at_ms >= timer->at_ms)
			break;
		put(timers, place, timers->heap[child]);
		place = child;
	}
	put(timers, place, timer);
}

/* Memory for a few pointers: running out of it is not survivable. */
static void
grow(struct timers *timers)
{
	if (timers->count + 1 < timers->capacity)
		return;
	timers->capacity =
	    timers->capacity == 0 ? FIRST_CAPACITY : timers->capacity * 2;
	timers->heap = realloc(timers->heap,
	    timers->capacity * sizeof(*timers->heap));
	if (timers->heap == NULL)
		abort();
}

void
timers_set(struct timers *timers, struct timer *timer, uint64_t at_ms)
{
	bool later = at_ms > timer->at_ms;

	timer->at_ms = at_ms;
	if (timer->place == 0) {
		grow(timers);
		sift_up(timers, ++timers->count, timer);
	} else if (later) {
		sift_down(timers, timer->place, timer);
	} else {
		sift_up(timers, timer->place, timer);
	}
	if (timer->place == 1 && timers->earlier != NULL)
		timers->earlier(timers);
}

void
timers_cancel(struct timers *timers, struct timer *timer)
{
	struct timer *last;
	size_t place = timer->place;

	if (place == 0)
		return;
	timer->place = 0;
	last = timers->heap[timers->count--];
	if (last == timer)
		return;
	if (place > 1 && timers->heap[place / 2]->at_ms > last->at_ms)
		sift_up(timers, place, last);
	else
		sift_down(timers, place, last);
}

uint64_t
timers_next_ms(const struct timers *timers)
{
	return timers->count == 0 ? UINT64_MAX : timers->heap[1]->at_ms;
}

size_t
timers_run(struct timers *timers, uint64_t now_ms, size_t max)
{
	struct timer *timer;
	size_t n = 0;

	while (n < max && timers_next_ms(timers) <= now_ms) {
		timer = timers->heap[1];
		timers_cancel(timers, timer);
		timer->fire(timer);
		n++;
	}
	return n;
}
