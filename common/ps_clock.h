/* Time. */
#ifndef PS_CLOCK_H
#define PS_CLOCK_H

#include <stdint.h>

/* Monotonic, in milliseconds; its zero means nothing. */
uint64_t ps_clock_ms(void);
/* The time of day, in seconds since 1970. */
int64_t ps_clock_unix_s(void);

#endif
