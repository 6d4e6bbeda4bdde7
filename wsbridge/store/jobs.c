#include "config.h"

#include "jobs.h"

#include "ps_clock.h"

/* Told in one turn of the loop. */
#define TELL_BATCH 256

void
jobs_init(struct jobs *jobs)
{
	*jobs = (struct jobs){ 0 };
	pthread_mutex_init(&jobs->mutex, NULL);
	TAILQ_INIT(&jobs->waiting);
	TAILQ_INIT(&jobs->done);
}

void
jobs_deinit(struct jobs *jobs)
{
	pthread_mutex_destroy(&jobs->mutex);
}

bool
jobs_put(struct jobs *jobs, struct store_job *job)
{
	bool is_open;

	job->lent_ms = ps_clock_ms();
	job->ret = PS_OK;
	pthread_mutex_lock(&jobs->mutex);
	if ((is_open = !jobs->closed)) {
		job->is_fresh = true;
		TAILQ_INSERT_TAIL(&jobs->waiting, job, next);
	}
	pthread_mutex_unlock(&jobs->mutex);
	return is_open;
}

bool
jobs_amend(struct jobs *jobs, struct store_job *job,
    void (*amend)(struct store_job *job))
{
	bool is_fresh;

	pthread_mutex_lock(&jobs->mutex);
	if ((is_fresh = job->is_fresh))
		amend(job);
	pthread_mutex_unlock(&jobs->mutex);
	return is_fresh;
}

bool
jobs_tell(struct jobs *jobs)
{
	struct store_job *job;
	unsigned i;

	for (i = 0; i < TELL_BATCH; i++) {
		pthread_mutex_lock(&jobs->mutex);
		if ((job = TAILQ_FIRST(&jobs->done)) != NULL)
			TAILQ_REMOVE(&jobs->done, job, next);
		pthread_mutex_unlock(&jobs->mutex);
		if (job == NULL)
			return false;
		job->done(job, job->ret);
	}
	return true;
}

/* Under the mutex. */
static void
finish(struct jobs *jobs, struct store_job_list *list, struct store_job *job)
{
	TAILQ_REMOVE(list, job, next);
	job->is_fresh = false;
	TAILQ_INSERT_TAIL(&jobs->done, job, next);
}

void
jobs_close(struct jobs *jobs)
{
	struct store_job *job;

	pthread_mutex_lock(&jobs->mutex);
	jobs->closed = true;
	while ((job = TAILQ_FIRST(&jobs->waiting)) != NULL) {
		job->ret = PS_ERR_CLOSED;
		finish(jobs, &jobs->waiting, job);
	}
	pthread_mutex_unlock(&jobs->mutex);
}

bool
jobs_are_waiting(struct jobs *jobs)
{
	bool any;

	pthread_mutex_lock(&jobs->mutex);
	any = !TAILQ_EMPTY(&jobs->waiting);
	pthread_mutex_unlock(&jobs->mutex);
	return any;
}

uint64_t
jobs_rest_ns(int64_t n_changes)
{
	if (n_changes <= JOBS_REST_ROWS)
		return 0;
	if (n_changes - JOBS_REST_ROWS > JOBS_REST_MAX_NS / JOBS_REST_ROW_NS)
		return JOBS_REST_MAX_NS;
	return (uint64_t)(n_changes - JOBS_REST_ROWS) * JOBS_REST_ROW_NS;
}

bool
jobs_take(struct jobs *jobs, unsigned max, struct store_job_list *batch_r)
{
	struct store_job *job;
	unsigned i;

	TAILQ_INIT(batch_r);
	pthread_mutex_lock(&jobs->mutex);
	for (i = 0; i < max && (job = TAILQ_FIRST(&jobs->waiting)) != NULL;
	     i++) {
		TAILQ_REMOVE(&jobs->waiting, job, next);
		job->is_fresh = false;
		TAILQ_INSERT_TAIL(batch_r, job, next);
	}
	pthread_mutex_unlock(&jobs->mutex);
	return !TAILQ_EMPTY(batch_r);
}

void
jobs_finish(struct jobs *jobs, struct store_job_list *batch)
{
	pthread_mutex_lock(&jobs->mutex);
	TAILQ_CONCAT(&jobs->done, batch, next);
	pthread_mutex_unlock(&jobs->mutex);
}

bool
jobs_put_back(struct jobs *jobs, struct store_job_list *batch,
    uint64_t before_ms)
{
	struct store_job *job;
	bool any = false;

	pthread_mutex_lock(&jobs->mutex);
	TAILQ_CONCAT(batch, &jobs->waiting, next);
	TAILQ_CONCAT(&jobs->waiting, batch, next);
	while ((job = TAILQ_FIRST(&jobs->waiting)) != NULL &&
	    job->lent_ms < before_ms) {
		if (job->ret == PS_OK)
			job->ret = PS_ERR_IO;
		finish(jobs, &jobs->waiting, job);
		any = true;
	}
	pthread_mutex_unlock(&jobs->mutex);
	return any;
}
