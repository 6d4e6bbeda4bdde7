#include "config.h"

#include "histogram.h"

/* Values below 64 have a bucket each; above, the top 7 bits choose it. */
static unsigned
bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < 1 << HISTOGRAM_SUB_BITS)
		return value;
	shift = 63 - __builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return (shift << HISTOGRAM_SUB_BITS) + (value >> shift);
}

static uint64_t
highest_of(unsigned bucket)
{
	unsigned shift = bucket >> HISTOGRAM_SUB_BITS;
	uint64_t top;

	if (shift == 0)
		return bucket;
	shift--;
	top = bucket - (shift << HISTOGRAM_SUB_BITS);
	return ((top + 1) << shift) - 1;
}

void
histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->buckets[bucket_of(value)]++;
	histogram->n++;
	if (value > histogram->max)
		histogram->max = value;
}

uint64_t
histogram_quantile(const struct histogram *histogram, double share)
{
	uint64_t below = 0, rank = share * histogram->n;
	unsigned i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		below += histogram->buckets[i];
		if (below > rank) {
			uint64_t value = highest_of(i);

			return value < histogram->max ? value : histogram->max;
		}
	}
	return histogram->max;
}
