/*
 * A server on 127.0.0.1 for programs that stand in for others: one epoll loop,
 * connections that block and are told apart by their descriptors. What goes
 * wrong ends the program with a message.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stddef.h>

enum { SERVER_MAX_CONNECTIONS = 20000 };

struct server {
	size_t in_size; /* most that a connection may say before it is taken */
	/* Takes what is whole of the `len` bytes at `in`, which is terminated,
	 * and returns how many; 0: more has to come. */
	size_t (*take)(int fd, char *in, size_t len);
	/* May be NULL. */
	void (*opened)(int fd);
	void (*closed)(int fd); /* before the descriptor is */
};

/* Listens at a port of 127.0.0.1 and prints it; `flags` are of socket(). */
int server_listen(int flags);

/* Listens, and serves until the process that started it ends or a signal ends
 * it. */
void server_run(const struct server *server) __attribute__((noreturn));

#endif
