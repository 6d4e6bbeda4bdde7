/*
 * A TCP connection to 127.0.0.1 on the load generator's epoll loop.
 *
 * What arrives is appended to `in`; the user takes it off with link_consume()
 * from within on_data. Whatever goes wrong ends the program with a message:
 * a load generator that goes on after an error measures something else. Only a
 * link with on_failed is closed and lives on, since that is what it measures.
 *
 * Ownership: the caller owns the struct, zeroed but for the callbacks, and
 * keeps it while it is connected.
 */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINK_IN_SIZE = 16 * 1024, LINK_ABANDONED = 4096 };

struct link {
	int fd; /* 0: not connected */
	void (*on_data)(struct link *link);
	void (*on_end)(struct link *link); /* the server closed; so is fd */
	/* May be NULL. Also called by link_connect() and link_write(). */
	void (*on_failed)(struct link *link);
	size_t in_len;
	uint8_t in[LINK_IN_SIZE];
};

/* With as many descriptors as the system lets us have. */
void link_loop_init(void);

/* Serves what is ready, after waiting for at most `timeout_ms`. */
void link_loop_turn(int timeout_ms);

void link_connect(struct link *link, uint16_t port);
void link_close(struct link *link);

/* Closes with a reset: what was not read yet is lost on both sides. */
void link_reset(struct link *link);

/*
 * Leaves the connection as a client does that has changed its network: it
 * stays open and nobody reads it, no FIN and no RST tells the server. The
 * oldest of LINK_ABANDONED are closed, and all at the end of the program.
 */
void link_abandon(struct link *link);

/* At most what a fresh socket buffer takes: all of it goes out at once. */
void link_write(struct link *link, const void *data, size_t len);
void link_consume(struct link *link, size_t len);

uint64_t now_ns(void);

void die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

#endif
