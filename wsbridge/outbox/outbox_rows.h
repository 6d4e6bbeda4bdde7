/*
 * What the outbox has to write to the database and to read from it, as one job
 * of the store (jobs.h): rows that are accepted, rows that were delivered or
 * failed, lanes that are given up, and at last the next rows of lanes.
 */
#ifndef OUTBOX_ROWS_H
#define OUTBOX_ROWS_H

#include "wsbridge/store/jobs.h"

struct lane;
struct outbox;
struct outbox_row;

TAILQ_HEAD(outbox_row_list, outbox_row);
TAILQ_HEAD(lane_list, lane);

/* Lanes that are read in one batch. */
#define PAGES_AT_ONCE 64

/* The next rows of a lane, as they were read. */
struct lane_page {
	struct outbox_row_list rows;
	uint64_t after;
	uint32_t count;
	bool failed; /* there was no memory for the next */
};

void lane_page_empty(struct lane_page *page);

struct batch {
	struct store_job job; /* first */
	struct outbox *outbox;
	struct outbox_row_list puts, changes;
	struct lane_list ends, readers;
};

void batch_init(struct batch *batch, struct outbox *outbox);
bool batch_is_empty(const struct batch *batch);
/* Takes over all that the other has, behind its own. */
void batch_append(struct batch *batch, struct batch *other);
/* Whether there is the first of a session: after a crash only the session's own
 * row tells that its application has to hear of its end. */
bool batch_has_first(const struct batch *batch);
/* store_job.run of a batch. */
int batch_run(struct store_job *job, struct ps_db *db);

#endif
