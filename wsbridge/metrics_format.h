/*
 * What metrics.c, which has the table of figures, and metrics_format.c, which
 * has their forms, know of each other. For these files alone.
 */
#ifndef METRICS_FORMAT_H
#define METRICS_FORMAT_H

#include "figures.h"

#define LABELS_MAX 3

struct output;

enum metric_type { GAUGE, COUNTER };

struct metric {
	const char *name;
	enum metric_type type;
	const char *labels[LABELS_MAX]; /* names, in the order of values */
	void (*put)(struct output *out); /* every value, with put_value() */
	const char *help;
};

struct metric_format {
	void (*begin)(struct output *out);
	void (*value)(struct output *out, const char *const *labels,
	    uint64_t value);
	void (*end)(struct output *out);
};

struct output {
	struct ps_writer *w;
	const struct metric_format *format;
	const struct figures *figures;
	const struct metric *metric;
	size_t n;      /* metrics that were put before */
	bool is_first; /* nothing of the metric was put yet */
};

/* Every metric of the table. */
void metrics_put(const struct metric_format *format, struct ps_writer *w,
    const struct bridge *bridge);

#endif
