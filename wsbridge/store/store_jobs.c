/* Jobs of the loop. */
#include "config.h"

#include "store_thread.h"

#include <time.h>

#include "ps_clock.h"

/* Jobs in one. */
#define JOBS_BATCH 1000

/* One whose own fault it is that it failed is passed over from then on. */
static int
run_jobs(struct store *store, struct store_job_list *batch)
{
	struct store_job *job;
	int ret;

	TAILQ_FOREACH(job, batch, next) {
		if (job->ret != PS_OK)
			continue;
		ret = job->run(job, store->db);
		if (ret != PS_OK && ret != PS_ERR_IO)
			job->ret = ret;
		if (ret != PS_OK)
			return ret;
	}
	return PS_OK;
}

/* A transaction in which nothing was written does not count. */
static int
commit_jobs(struct store *store, bool has_written)
{
	if ((has_written &&
		ps_db_count_commit(store->db, store->tag) != PS_OK) ||
	    ps_db_commit(store->db) != PS_OK)
		return PS_ERR_IO;
	store->commits += has_written;
	return PS_OK;
}

/* PS_ERR_IO, or what one of them is at fault with. */
static int
try_jobs(struct store *store, struct store_job_list *batch)
{
	int64_t n_changes = ps_db_n_changes(store->db);
	uint64_t began_ns = uv_hrtime();
	int ret;

	if (ps_db_begin(store->db) != PS_OK)
		return PS_ERR_IO;
	if ((ret = run_jobs(store, batch)) == PS_OK) {
		n_changes = ps_db_n_changes(store->db) - n_changes;
		ret = commit_jobs(store, n_changes != 0);
	}
	if (ret != PS_OK)
		ps_db_rollback(store->db);
	else
		store->rests_until_ns = began_ns + jobs_rest_ns(n_changes);
	return ret;
}

static bool
are_after_records(const struct store_job_list *batch)
{
	const struct store_job *job;

	TAILQ_FOREACH(job, batch, next) {
		if (job->after_records)
			return true;
	}
	return false;
}

/* One transaction of many, and again without those at fault. */
static int
do_batch(struct store *store, struct store_job_list *batch)
{
	int ret = PS_OK;

	if (are_after_records(batch) &&
	    store_write_waiting(store) != PS_OK)
		ret = PS_ERR_IO;
	while (ret != PS_ERR_IO && (ret = try_jobs(store, batch)) != PS_OK)
		;
	if (ret == PS_OK)
		jobs_finish(&store->jobs, batch);
	else
		jobs_put_back(&store->jobs, batch, 0);
	uv_async_send(&store->async);
	return ret;
}

/* Meanwhile those that wait may be given more to do. */
static void
rest(const struct store *store)
{
	uint64_t now_ns = uv_hrtime();
	struct timespec left = { 0 };

	if (now_ns >= store->rests_until_ns)
		return;
	left.tv_nsec = (long)(store->rests_until_ns - now_ns);
	nanosleep(&left, NULL);
}

int
store_do_jobs(struct store *store)
{
	struct store_job_list batch;
	int ret = PS_OK;
	bool sync;

	pthread_mutex_lock(&store->thread.mutex);
	sync = store->sync_jobs;
	pthread_mutex_unlock(&store->thread.mutex);
	while (ret == PS_OK && jobs_are_waiting(&store->jobs)) {
		rest(store);
		jobs_take(&store->jobs, JOBS_BATCH, &batch);
		ps_db_set_sync(store->db, sync);
		ret = do_batch(store, &batch);
		ps_db_set_sync(store->db, false);
		if (ps_clock_ms() >= store->cycle_at_ms)
			break;
	}
	return ret;
}

void
store_expire_jobs(struct store *store, uint64_t patience_ms)
{
	struct store_job_list none = TAILQ_HEAD_INITIALIZER(none);
	uint64_t now_ms = ps_clock_ms();

	if (now_ms > patience_ms &&
	    jobs_put_back(&store->jobs, &none, now_ms - patience_ms))
		uv_async_send(&store->async);
}
