/* Monotonic time in milliseconds; its zero means nothing. */
#ifndef PS_CLOCK_H
#define PS_CLOCK_H

#include <stdint.h>

uint64_t ps_clock_ms(void);

#endif
