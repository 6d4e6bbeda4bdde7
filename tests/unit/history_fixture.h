/*
 * A bridge with a real store and its thread, for tests of the history, beside
 * fixture.h and database.h. Nothing sleeps: the loop runs until what is waited
 * for has happened. A test that has this among its sources is linked with
 * history_wraps (tests/local.mk), so that the clocks of the thread can be moved
 * on.
 */
#ifndef HISTORY_FIXTURE_H
#define HISTORY_FIXTURE_H

#include <stdatomic.h>

#include "database.h"
#include "fixture.h"
#include "loop.h"

#include "wsbridge/channels/history.h"
#include "wsbridge/store/store.h"

#define run_until(condition) loop_run_until(bridge.loop, condition)

extern atomic_uint_least64_t ahead_ms; /* of both clocks */

int history_setup(void **state); /* without a store */
int history_teardown(void **state);
/* The store. */
void start(void);
void stop(void);

void put(const char *channel, const char *id);
/* "e1" and so on. */
void put_many(const char *channel, const char *name, int from, int to);
bool all_is_written(void);

#endif
