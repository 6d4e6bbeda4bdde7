#include "config.h"

#include "ps_clock.h"

#include <time.h>

uint64_t
ps_clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int64_t
ps_clock_unix_s(void)
{
	return (int64_t)time(NULL);
}
