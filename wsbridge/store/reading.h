/*
 * A reading of what the database keeps of a channel: the loop asks, the store's
 * thread finds, the loop hears. It belongs to one of them at a time.
 */
#ifndef READING_H
#define READING_H

#include <pthread.h>

#include "backlog.h"
#include "wsbridge/channels/history.h"

struct reading {
	struct waiting_reading waiting; /* first */
	/* On the loop, once, unless the store has given it back. */
	void (*done)(struct reading *reading);
	char channel[PS_CHANNEL_MAX], since[PS_EVENT_ID_LEN];
	struct ps_event_query query; /* of these; the store says what is kept */

	struct history_result result;
	struct history_event *events;
	size_t capacity;
	struct ps_writer payloads;
};

/* Copies both. What is no event id is one that is not kept. */
void reading_init(struct reading *reading, struct ps_slice channel,
    struct ps_slice since, uint32_t limit);
void reading_deinit(struct reading *reading);

/* In the thread: fills in the result. An error is the database's. */
PS_MUST_CHECK int reading_run(struct reading *reading, struct ps_db *db);

/*
 * Readings on their way from the thread to the loop. The thread reads no more
 * while they take up too much memory.
 */
struct reading_box {
	pthread_mutex_t mutex; /* of all that follows */
	struct waiting_reading_list readings;
	size_t bytes;
	bool starves; /* the thread was told that it is full */
};

void reading_box_init(struct reading_box *box);
/* It is empty. */
void reading_box_deinit(struct reading_box *box);

/* In the thread. */
bool reading_box_is_full(struct reading_box *box);
void reading_box_put(struct reading_box *box, struct reading *reading);
/* On the loop: tells some. True when more are left. */
bool reading_box_tell(struct reading_box *box);
/* Whether there is room again for a thread that waits for it; once. */
bool reading_box_has_room_again(struct reading_box *box);

#endif
