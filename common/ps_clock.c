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

/* Without the zone, its length. */
static size_t
put_time(char *out, int64_t unix_s)
{
	time_t at = (time_t)unix_s;
	struct tm tm = { 0 }; /* for a year beyond all calendars */

	gmtime_r(&at, &tm);
	return strftime(out, PS_CLOCK_STAMP_BYTES, "%FT%T", &tm);
}

void
ps_clock_stamp_s(char *out, int64_t unix_s)
{
	size_t len = put_time(out, unix_s);

	snprintf(out + len, PS_CLOCK_STAMP_BYTES - len, "Z");
}

void
ps_clock_stamp_ms(char *out, int64_t unix_ms)
{
	size_t len = put_time(out, unix_ms / 1000);

	snprintf(out + len, PS_CLOCK_STAMP_BYTES - len, ".%03uZ",
	    (unsigned)(unix_ms % 1000) % 1000);
}

void
ps_clock_stamp(char *out)
{
	ps_clock_stamp_ms(out, ps_clock_unix_ms());
}
