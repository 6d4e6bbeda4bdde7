/*
 * Turns for those that are read from more than their share. Without them a
 * turn of the loop takes as long as reading from all targets that flood their
 * sessions, and everybody else waits for that.
 *
 * Who is above its share is noted when it was read from. With more of them in
 * a turn of the loop than TURNS_AT_ONCE the others stand in line and are not
 * read from, and so many of the line are in each turn. With nothing else to do
 * the loop turns at once, so the line costs no time but what others need.
 */
#ifndef TURNS_H
#define TURNS_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

/* A read is of about a KiB and takes some 10 us. */
#define TURNS_AT_ONCE 1

enum turn_state { TURN_NONE, TURN_NOTED, TURN_WAITING };

/* Embedded in what is read from; zeroed but for `changed`. */
struct turn {
	TAILQ_ENTRY(turn) entry;
	enum turn_state state;
	/* It begins or ceases to wait; must not note or leave from within. */
	void (*changed)(struct turn *turn);
};

TAILQ_HEAD(turn_list, turn);

struct turns {
	struct turn_list noted, waiting;
	uv_idle_t idle; /* runs while somebody waits */
};

void turns_init(struct turns *turns, uv_loop_t *loop);
/* Starts to close the handle; the loop must run once more. */
void turns_close(struct turns *turns);

/* It was read from, above its share. Harmless when repeated. */
void turns_note(struct turns *turns, struct turn *turn);
/* It is gone; changed() is not called. */
void turns_leave(struct turns *turns, struct turn *turn);
/* Once in each turn of the loop, before that waits. */
void turns_pass(struct turns *turns);

/* It must not be read from. */
static inline bool
turn_is_waiting(const struct turn *turn)
{
	return turn->state == TURN_WAITING;
}

#endif
