/* Time. */
#ifndef PS_CLOCK_H
#define PS_CLOCK_H

#include <stdint.h>

/* Monotonic, in milliseconds; its zero means nothing. */
uint64_t ps_clock_ms(void);
/* The time of day, in seconds since 1970. */
int64_t ps_clock_unix_s(void);
/* The same in milliseconds. */
int64_t ps_clock_unix_ms(void);

/* A time of day since 1970 in UTC, as RFC 3339 writes it, terminated: such as
 * 2030-12-31T23:59:59Z, 2030-12-31T23:59:59.999Z, and the present one. */
#define PS_CLOCK_STAMP_BYTES 25
void ps_clock_stamp_s(char *out, int64_t unix_s);
void ps_clock_stamp_ms(char *out, int64_t unix_ms);
void ps_clock_stamp(char *out);

#endif
