#include "config.h"

#include "ps_thread.h"

#include <errno.h>
#include <time.h>

#define NS_PER_MS (1000L * 1000)
#define NS_PER_S (1000 * NS_PER_MS)

void
ps_thread_init(struct ps_thread *thread)
{
	pthread_condattr_t attributes;

	thread->stopping = thread->woken = false;
	pthread_mutex_init(&thread->mutex, NULL);
	/* The time of day may jump. */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&thread->wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

void
ps_thread_deinit(struct ps_thread *thread)
{
	pthread_cond_destroy(&thread->wake);
	pthread_mutex_destroy(&thread->mutex);
}

int
ps_thread_start(struct ps_thread *thread, void *(*run)(void *arg), void *arg)
{
	return pthread_create(&thread->thread, NULL, run, arg);
}

bool
ps_thread_wait(struct ps_thread *thread, uint64_t ms)
{
	struct timespec until;
	bool stopping;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * NS_PER_MS;
	if (until.tv_nsec >= NS_PER_S) {
		until.tv_sec++;
		until.tv_nsec -= NS_PER_S;
	}
	pthread_mutex_lock(&thread->mutex);
	while (!thread->stopping && !thread->woken &&
	    pthread_cond_timedwait(&thread->wake, &thread->mutex, &until) !=
		ETIMEDOUT)
		;
	thread->woken = false;
	stopping = thread->stopping;
	pthread_mutex_unlock(&thread->mutex);
	return !stopping;
}

void
ps_thread_wake(struct ps_thread *thread)
{
	bool was_woken;

	pthread_mutex_lock(&thread->mutex);
	was_woken = thread->woken;
	thread->woken = true;
	pthread_mutex_unlock(&thread->mutex);
	/* With the mutex it would wake up only to wait for that. */
	if (!was_woken)
		pthread_cond_signal(&thread->wake);
}

void
ps_thread_stop(struct ps_thread *thread)
{
	pthread_mutex_lock(&thread->mutex);
	thread->stopping = true;
	pthread_cond_signal(&thread->wake);
	pthread_mutex_unlock(&thread->mutex);
	pthread_join(thread->thread, NULL);
}
