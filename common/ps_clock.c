#include "config.h"

#include "ps_clock.h"

#include <stdio.h>
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

int64_t
ps_clock_unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
ps_clock_stamp(char *out)
{
	struct timespec now;
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(out, PS_CLOCK_STAMP_BYTES, "%FT%T", &tm);
	snprintf(out + len, PS_CLOCK_STAMP_BYTES - len, ".%03uZ",
	    (unsigned)(now.tv_nsec / 1000000) % 1000);
}
