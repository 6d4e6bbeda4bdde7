/* What is common to all that is in the backlog. */
#ifndef RECORD_HEAD_H
#define RECORD_HEAD_H

#include <stdint.h>
#include <sys/queue.h>

enum record_kind {
	RECORD_SESSION,
	RECORD_USAGE,
	RECORD_EVENT,
};

/* The first member of what is in it. */
struct record {
	TAILQ_ENTRY(record) next;
	uint64_t number; /* from 1, as it was put */
	enum record_kind kind;
};

TAILQ_HEAD(record_list, record);

#endif
