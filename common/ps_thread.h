/* A thread that does something again and again until it is told to stop. */
#ifndef PS_THREAD_H
#define PS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero is none; `mutex` may guard more. */
struct ps_thread {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	bool stopping, woken;
};

void ps_thread_init(struct ps_thread *thread);
/* After ps_thread_stop(), or without ps_thread_start(). */
void ps_thread_deinit(struct ps_thread *thread);

/* 0, or an error number of pthread_create(3). */
int ps_thread_start(struct ps_thread *thread, void *(*run)(void *arg),
    void *arg);
/* In the thread: waits `ms`, or until ps_thread_wake(), which may have come
 * before; false, without delay, when it is to end. */
bool ps_thread_wait(struct ps_thread *thread, uint64_t ms);
void ps_thread_wake(struct ps_thread *thread);
/* Waits until the thread has ended. */
void ps_thread_stop(struct ps_thread *thread);

#endif
