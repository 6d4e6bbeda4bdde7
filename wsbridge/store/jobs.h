/*
 * Jobs on their way from the loop to the store's thread and back. A job belongs
 * to one of them at a time.
 */
#ifndef JOBS_H
#define JOBS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ps_err.h"

struct ps_db;

/*
 * What is to be done with the database at once, such as writing what somebody
 * waits for; lent to the store from store_do() until done().
 */
struct store_job {
	/*
	 * In the thread, in one transaction with other jobs, in the order in
	 * which they were lent. After PS_ERR_IO all of them are tried again, so
	 * it may run several times; any other error is its own: nothing of it
	 * is written, and it is not tried again.
	 */
	int (*run)(struct store_job *job, struct ps_db *db);
	/* On the loop, once, in the same order; PS_OK: it is committed. */
	void (*done)(struct store_job *job, int ret);
	/* What the store was told to write before is committed before. */
	bool after_records;

	/* The store's own. */
	TAILQ_ENTRY(store_job) next;
	uint64_t lent_ms;
	int ret;
	bool is_fresh; /* it waits, and was never taken */
};

TAILQ_HEAD(store_job_list, store_job);

struct jobs {
	pthread_mutex_t mutex; /* of all that follows */
	struct store_job_list waiting, done; /* oldest first */
	bool closed;
};

void jobs_init(struct jobs *jobs);
/* It is empty. */
void jobs_deinit(struct jobs *jobs);

/* On the loop. False once it is closed. */
PS_MUST_CHECK bool jobs_put(struct jobs *jobs, struct store_job *job);
/* On the loop; see store_amend(). */
bool jobs_amend(struct jobs *jobs, struct store_job *job,
    void (*amend)(struct store_job *job));
/* Tells some of those that are done. True when more are left. */
bool jobs_tell(struct jobs *jobs);
/* What waits is done with PS_ERR_CLOSED, and nothing is taken any more. */
void jobs_close(struct jobs *jobs);

/* In the thread: whether there are any. */
bool jobs_are_waiting(struct jobs *jobs);
/*
 * How long after the begin of a transaction that changed so many rows the next
 * one may begin. A transaction costs as much as many rows do, so where many
 * come they wait for each other; but who is alone does not.
 */
#define JOBS_REST_ROWS 8
#define JOBS_REST_ROW_NS (100 * 1000)
#define JOBS_REST_MAX_NS (1500 * 1000)
uint64_t jobs_rest_ns(int64_t n_changes);
/* The oldest, at most `max`; then one of the two below. */
bool jobs_take(struct jobs *jobs, unsigned max, struct store_job_list *batch_r);
/* All are done with their `ret`. */
void jobs_finish(struct jobs *jobs, struct store_job_list *batch);
/* They wait again, those in front that were lent before `before_ms` are done
 * with PS_ERR_IO. True when there were such. */
bool jobs_put_back(struct jobs *jobs, struct store_job_list *batch,
    uint64_t before_ms);

#endif
