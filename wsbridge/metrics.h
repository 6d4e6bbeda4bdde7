/*
 * The bridge's figures, in two forms that one table yields. What is at the
 * moment is counted from what is alive when it is asked for, and so cannot
 * drift; totals since the start only grow.
 */
#ifndef METRICS_H
#define METRICS_H

#include "bridge.h"

/* The text exposition format of Prometheus, version 0.0.4. */
void metrics_put_prometheus(struct ps_writer *w, const struct bridge *bridge);
/* An object: a number for each metric, a list of them where it has labels. */
void metrics_put_json(struct ps_writer *w, const struct bridge *bridge);

#endif
