#include "config.h"

#include "acceptors.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handoff.h"
#include "ps_clock.h"
#include "routes.h"

#define IDLE_TICK_MS 100
#define BUSY_TICK_MS 10
/* A thread that is at a request so long after acceptors_stop() is given up. */
#define STOP_MS 4000
/* After a failure such as EMFILE, so that it is no busy loop. */
#define RETRY_US (100 * 1000)
/* Between signals to a thread that is to end. */
#define WAKE_US (10 * 1000)

struct worker {
	pthread_t thread;
	struct acceptors *acceptors;
	struct handoff handoff;
	struct request request;
	atomic_bool accepting; /* in FCGX_Accept_r(), or just before or after */
	atomic_bool busy;      /* at a request */
	atomic_bool done;
};

struct acceptors {
	pthread_mutex_t mutex;
	pthread_cond_t lead_is_free;
	_Atomic(struct worker *) leader; /* NULL: nobody; set under mutex */
	atomic_uint n_requests;		 /* of leaders, wraps */
	unsigned n_requests_seen;	 /* at the last tick */
	atomic_bool stopping;
	int listen_fd;
	size_t count;
	struct worker workers[];
};

/* Waits until the thread may accept; false when it is to end. */
static bool
lead(struct worker *worker)
{
	struct acceptors *all = worker->acceptors;

	if (all->leader == worker)
		return !all->stopping;
	pthread_mutex_lock(&all->mutex);
	while (all->leader != NULL && !all->stopping)
		pthread_cond_wait(&all->lead_is_free, &all->mutex);
	if (!all->stopping)
		all->leader = worker;
	pthread_mutex_unlock(&all->mutex);
	return !all->stopping;
}

static void *
accept_loop(void *arg)
{
	struct worker *worker = arg;
	struct acceptors *all = worker->acceptors;
	int ret;

	while (lead(worker)) {
		worker->accepting = true;
		ret = FCGX_Accept_r(&worker->request.fcgx);
		worker->accepting = false;
		if (ret != 0) {
			if (all->stopping || errno == EINTR)
				continue;
			ps_error("worker: cannot accept (%s)",
			    strerror(errno));
			usleep(RETRY_US);
			continue;
		}
		all->n_requests++;
		worker->busy = true;
		routes_serve(&worker->request);
		worker->busy = false;
	}
	worker->done = true;
	return NULL;
}

/*
 * The leader is held up: at a request, or, where nobody accepts what is there
 * to be accepted, by one whose head does not come.
 */
static bool
is_held_up(const struct acceptors *all)
{
	struct pollfd pending = { .fd = all->listen_fd, .events = POLLIN };

	return all->leader->busy || poll(&pending, 1, 0) > 0;
}

unsigned
acceptors_tick(struct acceptors *all)
{
	unsigned n_requests = all->n_requests;
	bool idle = n_requests == all->n_requests_seen;
	uint64_t now_ms = ps_clock_ms();
	size_t i;

	if (idle) {
		pthread_mutex_lock(&all->mutex);
		if (all->leader != NULL && is_held_up(all)) {
			all->leader = NULL;
			pthread_cond_signal(&all->lead_is_free);
		}
		pthread_mutex_unlock(&all->mutex);
	}
	all->n_requests_seen = n_requests;
	for (i = 0; i < all->count; i++)
		request_limit_reading(&all->workers[i].request, now_ms);
	return idle ? IDLE_TICK_MS : BUSY_TICK_MS;
}

static bool
worker_start(struct acceptors *all, struct worker *worker,
    const struct ps_config *config, struct rights *rights, int listen_fd)
{
	worker->acceptors = all;
	handoff_init(&worker->handoff, config);
	if (request_init(&worker->request, listen_fd, config, rights,
		&worker->handoff) != PS_OK)
		return false;
	return pthread_create(&worker->thread, NULL, accept_loop, worker) == 0;
}

struct acceptors *
acceptors_start(const struct ps_config *config, struct rights *rights,
    int listen_fd)
{
	struct acceptors *all = calloc(1,
	    sizeof(*all) + config->threads * sizeof(all->workers[0]));

	if (all == NULL)
		return NULL;
	pthread_mutex_init(&all->mutex, NULL);
	pthread_cond_init(&all->lead_is_free, NULL);
	all->listen_fd = listen_fd;
	while (all->count < config->threads &&
	    worker_start(all, &all->workers[all->count], config, rights,
	    listen_fd))
		all->count++;
	if (all->count == config->threads)
		return all;
	ps_error("worker: cannot start its threads (%s)", strerror(errno));
	acceptors_stop(all);
	return NULL;
}

/*
 * Wakes a thread where it waits in accept(); one that is at a request
 * must not be interrupted. Under load the threads end by themselves, and one
 * that waits gets a signal, until it is done: the first may come too early.
 */
static void
worker_stop(struct worker *worker, uint64_t deadline_ms)
{
	while (!worker->done && ps_clock_ms() < deadline_ms) {
		usleep(WAKE_US);
		if (worker->accepting)
			pthread_kill(worker->thread, SIGUSR1);
	}
	if (!worker->done)
		_exit(0);
	pthread_join(worker->thread, NULL);
	request_deinit(&worker->request);
	handoff_deinit(&worker->handoff);
}

void
acceptors_stop(struct acceptors *all)
{
	uint64_t deadline_ms = ps_clock_ms() + STOP_MS;
	size_t i;

	pthread_mutex_lock(&all->mutex);
	all->stopping = true;
	pthread_cond_broadcast(&all->lead_is_free);
	pthread_mutex_unlock(&all->mutex);
	for (i = 0; i < all->count; i++)
		worker_stop(&all->workers[i], deadline_ms);
	pthread_cond_destroy(&all->lead_is_free);
	pthread_mutex_destroy(&all->mutex);
	free(all);
}
