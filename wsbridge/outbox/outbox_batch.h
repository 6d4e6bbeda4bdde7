/*
 * What is collected for the store, lent to it as a batch (outbox_rows.h), and
 * what becomes of it when that was written or could not be.
 *
 * For the modules of the outbox alone.
 */
#ifndef OUTBOX_BATCH_H
#define OUTBOX_BATCH_H

#include "lane.h"

/* A row that is to be committed. */
void outbox_collect(struct outbox *outbox, struct outbox_row *row);
/* Lends what was collected to the store. While that has the last one, what was
 * collected goes with it, unless it is begun with: then it waits. After a
 * failure only what somebody waits for is tried at once. */
void outbox_lend(struct outbox *outbox);

#endif
