#include "config.h"

#include "turns.h"

void
turns_init(struct turns *turns, uv_loop_t *loop)
{
	TAILQ_INIT(&turns->noted);
	TAILQ_INIT(&turns->waiting);
	uv_idle_init(loop, &turns->idle);
}

void
turns_close(struct turns *turns)
{
	uv_close((uv_handle_t *)&turns->idle, NULL);
}

void
turns_note(struct turns *turns, struct turn *turn)
{
	if (turn->state != TURN_NONE)
		return;
	turn->state = TURN_NOTED;
	TAILQ_INSERT_TAIL(&turns->noted, turn, entry);
}

void
turns_leave(struct turns *turns, struct turn *turn)
{
	if (turn->state == TURN_NOTED)
		TAILQ_REMOVE(&turns->noted, turn, entry);
	else if (turn->state == TURN_WAITING)
		TAILQ_REMOVE(&turns->waiting, turn, entry);
	turn->state = TURN_NONE;
}

/* That it runs is all there is to it: then the loop does not wait. */
static void
on_idle(uv_idle_t *idle)
{
	(void)idle;
}

/* Lets the first ones in line be read from; how many. */
static unsigned
release_waiting(struct turns *turns)
{
	struct turn *turn;
	unsigned n = 0;

	while (n < TURNS_AT_ONCE &&
	    (turn = TAILQ_FIRST(&turns->waiting)) != NULL) {
		turns_leave(turns, turn);
		turn->changed(turn);
		n++;
	}
	return n;
}

/* Those for whom there is no room in the next turn wait behind the others. */
static void
queue_noted(struct turns *turns, unsigned room)
{
	struct turn *turn;

	while ((turn = TAILQ_FIRST(&turns->noted)) != NULL) {
		turns_leave(turns, turn);
		if (room > 0) {
			room--;
			continue;
		}
		turn->state = TURN_WAITING;
		TAILQ_INSERT_TAIL(&turns->waiting, turn, entry);
		turn->changed(turn);
	}
}

void
turns_pass(struct turns *turns)
{
	queue_noted(turns, TURNS_AT_ONCE - release_waiting(turns));
	if (TAILQ_EMPTY(&turns->waiting))
		uv_idle_stop(&turns->idle);
	else
		uv_idle_start(&turns->idle, on_idle);
}
