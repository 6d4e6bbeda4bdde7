/* The two forms of the figures. */
#include "config.h"

#include "metrics_format.h"

#include <inttypes.h>

#include "metrics.h"
#include "ps_json.h"

#define PREFIX "polysocket_"

static size_t
count_labels(const struct metric *metric)
{
	size_t n = 0;

	while (n < LABELS_MAX && metric->labels[n] != NULL)
		n++;
	return n;
}

static void
prometheus_begin(struct output *out)
{
	const struct metric *metric = out->metric;

	/* A help text of ours has nothing to be escaped. */
	ps_writer_printf(out->w,
	    "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", metric->name,
	    metric->help, metric->name,
	    metric->type == COUNTER ? "counter" : "gauge");
}

static void
put_label(struct ps_writer *w, const char *name, const char *value)
{
	ps_writer_printf(w, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			ps_writer_str(w, "\\n");
		else if (*value == '\\' || *value == '"')
			ps_writer_printf(w, "\\%c", *value);
		else
			ps_writer_u8(w, (uint8_t)*value);
	}
	ps_writer_str(w, "\"");
}

static void
prometheus_value(struct output *out, const char *const *labels, uint64_t value)
{
	const struct metric *metric = out->metric;
	size_t i, n = count_labels(metric);

	ps_writer_printf(out->w, PREFIX "%s", metric->name);
	for (i = 0; i < n; i++) {
		ps_writer_str(out->w, i == 0 ? "{" : ",");
		put_label(out->w, metric->labels[i], labels[i]);
	}
	ps_writer_printf(out->w, "%s %" PRIu64 "\n", n > 0 ? "}" : "", value);
}

static void
prometheus_end(struct output *out)
{
	(void)out;
}

void
metrics_put_prometheus(struct ps_writer *w, const struct bridge *bridge)
{
	static const struct metric_format format = { prometheus_begin,
		prometheus_value, prometheus_end };

	metrics_put(&format, w, bridge);
}

static void
json_begin(struct output *out)
{
	const struct metric *metric = out->metric;

	ps_writer_printf(out->w, "%s\"%s\":%s", out->n == 0 ? "" : ",",
	    metric->name,
	    metric->labels[0] == NULL ? "" : "[");
}

static void
json_value(struct output *out, const char *const *labels, uint64_t value)
{
	const struct metric *metric = out->metric;
	size_t i, n = count_labels(metric);

	if (!out->is_first)
		ps_writer_str(out->w, ",");
	for (i = 0; i < n; i++) {
		ps_writer_printf(out->w, "%s\"%s\":", i == 0 ? "{" : ",",
		    metric->labels[i]);
		ps_json_string(out->w, ps_slice_str(labels[i]));
	}
	ps_writer_printf(out->w, n > 0 ? ",\"value\":%" PRIu64 "}" : "%" PRIu64,
	    value);
}

static void
json_end(struct output *out)
{
	if (out->metric->labels[0] != NULL)
		ps_writer_str(out->w, "]");
}

void
metrics_put_json(struct ps_writer *w, const struct bridge *bridge)
{
	static const struct metric_format format = { json_begin, json_value,
		json_end };

	ps_writer_str(w, "{");
	metrics_put(&format, w, bridge);
	ps_writer_str(w, "}");
}
