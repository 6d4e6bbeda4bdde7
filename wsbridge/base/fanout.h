/*
 * Work for many that is done a little at a time: in each turn of the loop the
 * jobs that are due get a slice each, one after the other, FANOUT_TURN units in
 * all. So neither a large job nor many of them make a turn long for whoever
 * else waits. With nothing else to do the loop turns at once.
 *
 * A unit is about what it costs to hand one client what waits for it: some
 * 10 us, most of them in the kernel.
 */
#ifndef FANOUT_H
#define FANOUT_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#define FANOUT_TURN 32
#define FANOUT_SLICE 16

/* Embedded in whatever has the work; zeroed but for `serve`. */
struct fanout_job {
	TAILQ_ENTRY(fanout_job) entry;
	bool is_due;
	/* Does up to `units` of its work; returns how many. It is due again
	 * where it says so by fanout_note(), and may be gone after the turn. */
	unsigned (*serve)(struct fanout_job *job, unsigned units);
};

struct fanout {
	TAILQ_HEAD(, fanout_job) due;
	unsigned n_direct; /* units done past it since the last turn */
	uv_idle_t idle; /* runs while something is due */
};

/* What needs no loop; then what does. */
void fanout_init(struct fanout *fanout);
void fanout_start(struct fanout *fanout, uv_loop_t *loop);
/* Starts to close the handle; the loop must run once more. */
void fanout_stop(struct fanout *fanout);

/* There is something to do. Harmless when repeated. */
void fanout_note(struct fanout *fanout, struct fanout_job *job);
/* It is gone. */
void fanout_leave(struct fanout *fanout, struct fanout_job *job);
/* The work of one turn; returns how many units were done. */
unsigned fanout_serve(struct fanout *fanout);
/* Once in each turn of the loop, before that waits. */
void fanout_pass(struct fanout *fanout);

#endif
