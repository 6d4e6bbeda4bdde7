#include "config.h"

#include "score.h"

#include <stdlib.h>
#include <string.h>

#include "bench/lib/link.h"

static void
grow(struct score *score, size_t n_words)
{
	uint64_t *seen = realloc(score->seen, n_words * sizeof(*seen));

	if (seen == NULL)
		die("no memory for a score");
	memset(seen + score->n_words, 0,
	       (n_words - score->n_words) * sizeof(*seen));
	score->seen = seen;
	score->n_words = n_words;
}

void
score_add(struct score *score, uint64_t number)
{
	uint64_t bit = UINT64_C(1) << number % 64;
	size_t word = number / 64;

	if (number == 0 || number > SCORE_MAX)
		die("no number of a message: %llu", (unsigned long long)number);
	if (word >= score->n_words)
		grow(score, 2 * word + 4);
	if (score->seen[word] & bit) {
		score->doubled++;
		return;
	}
	score->seen[word] |= bit;
	score->received++;
	if (number < score->highest)
		score->disordered++;
	else
		score->highest = number;
}

void
score_reset(struct score *score)
{
	free(score->seen);
	*score = (struct score){ 0 };
}
