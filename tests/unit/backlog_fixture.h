/*
 * A backlog for tests. A test that has this among its sources is linked with
 * --wrap of ps_clock_ms (tests/local.mk), so that the clock is the test's.
 */
#ifndef BACKLOG_FIXTURE_H
#define BACKLOG_FIXTURE_H

#include "unit.h"

#include "wsbridge/store/backlog.h"

#define BACKLOG_MAX 10

extern uint64_t clock_ms;
extern struct backlog backlog; /* of at most BACKLOG_MAX */

int backlog_setup(void **state);
int backlog_teardown(void **state);

/* Usage, since it is the smallest; numbered to know it again. */
void put(int64_t from, int64_t to);
uint64_t waiting(void);
uint64_t lost(void);
const struct session_record *session_of(const struct record *record);

/* The number of its token. */
void put_name(struct ps_writer *w, const struct record *record);

/* The numbers of a batch, such as "1 2 3 ". */
bool batch_is(const struct record_list *batch, const char *numbers);

/* Whether all that waits is that; it is written. */
bool all_is(const char *numbers);

#endif
