#include "config.h"

#include "fanout.h"

void
fanout_init(struct fanout *fanout)
{
	TAILQ_INIT(&fanout->due);
}

void
fanout_start(struct fanout *fanout, uv_loop_t *loop)
{
	uv_idle_init(loop, &fanout->idle);
}

void
fanout_stop(struct fanout *fanout)
{
	uv_close((uv_handle_t *)&fanout->idle, NULL);
}

void
fanout_note(struct fanout *fanout, struct fanout_job *job)
{
	if (job->is_due)
		return;
	job->is_due = true;
	TAILQ_INSERT_TAIL(&fanout->due, job, entry);
}

void
fanout_leave(struct fanout *fanout, struct fanout_job *job)
{
	if (!job->is_due)
		return;
	job->is_due = false;
	TAILQ_REMOVE(&fanout->due, job, entry);
}

unsigned
fanout_serve(struct fanout *fanout)
{
	struct fanout_job *job;
	unsigned done = 0, units;

	fanout->n_direct = 0;
	while (done < FANOUT_TURN &&
	    (job = TAILQ_FIRST(&fanout->due)) != NULL) {
		fanout_leave(fanout, job);
		units = FANOUT_TURN - done;
		units = job->serve(job,
		    units < FANOUT_SLICE ? units : FANOUT_SLICE);
		/* One that found nothing to do has had its slice, too. */
		done += units > 0 ? units : 1;
	}
	return done;
}

/* That it runs is all there is to it: then the loop does not wait. */
static void
on_idle(uv_idle_t *idle)
{
	(void)idle;
}

void
fanout_pass(struct fanout *fanout)
{
	fanout_serve(fanout);
	if (TAILQ_EMPTY(&fanout->due))
		uv_idle_stop(&fanout->idle);
	else
		uv_idle_start(&fanout->idle, on_idle);
}
