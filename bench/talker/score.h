/*
 * What becomes of numbered messages: how many arrived, how many of them twice
 * or behind one with a higher number. Numbers begin with 1.
 *
 * Ownership: a zeroed struct is an empty score; it owns what it allocates.
 */
#ifndef BENCH_SCORE_H
#define BENCH_SCORE_H

#include <stddef.h>
#include <stdint.h>

/* Ten hours of a hundred messages a second. */
enum { SCORE_MAX = 3600000 };

struct score {
	uint64_t received; /* different ones */
	uint64_t doubled;
	uint64_t disordered;
	uint64_t highest;
	uint64_t *seen; /* a bit for each number */
	size_t n_words;
};

void score_add(struct score *score, uint64_t number);
void score_reset(struct score *score);

#endif
