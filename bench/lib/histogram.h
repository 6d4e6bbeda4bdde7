/*
 * A histogram of durations with logarithmic buckets: 64 to every doubling,
 * so that a quantile is at most 1.6 % off, whatever the range. Units are the
 * caller's. A zeroed struct is an empty histogram.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t n;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that `share` (0 to 1) of all values do not exceed; 0 if empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
