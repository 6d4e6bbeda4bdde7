/*
 * What a talker has to say: items in a ring, of which the text is made when
 * they are sent, and again when they are sent again; and texts that grow.
 */
#ifndef BENCH_TALK_QUEUE_H
#define BENCH_TALK_QUEUE_H

#include <stddef.h>
#include <stdint.h>

enum { TALK_QUEUE = 1024 };

struct talker;

struct item {
	char kind; /* 'h', 'm', 'q': see talk-target.c; 'p': a pong */
	unsigned epoch;
	uint64_t number;
	uint64_t created_ns;
};

/* Bytes that grow, with a 0 behind them. */
struct text {
	char *data;
	size_t len, size;
};

/* The i-th that waits. */
struct item *queue_item(struct talker *talker, unsigned i);
void queue_add(struct talker *talker, char kind, uint64_t now);
void queue_hello(struct talker *talker); /* in front of all */
void queue_drop(struct talker *talker, unsigned n);

/* Appends the text of the i-th. */
void queue_put(struct talker *talker, struct text *text, unsigned i);

void text_add(struct text *text, const char *data, size_t len);
void text_print(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_clear(struct text *text);

#endif
