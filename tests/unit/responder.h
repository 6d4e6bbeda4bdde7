/*
 * An HTTP server of a few lines on the bridge's own loop, at 127.0.0.1: what
 * callbacks are made to. It answers every request with the bytes that it was
 * told, and notes what it was asked.
 */
#ifndef RESPONDER_H
#define RESPONDER_H

#include "unit.h"

#include <sys/queue.h>
#include <uv.h>

struct responder_connection;

struct responder {
	uv_tcp_t server;
	uint16_t port;
	/* The whole answer, head and body; NULL: none. */
	const char *answer;
	size_t answer_len; /* 0: as long as the text */
	bool closes;	   /* each connection, after its answer */
	unsigned n_connections, n_requests, n_open;
	struct ps_writer request; /* the last one, terminated */
	LIST_HEAD(, responder_connection) connections;
};

void responder_open(struct responder *responder, uv_loop_t *loop);
/* The loop must run once more. */
void responder_close(struct responder *responder);
/* Closes the connections that are open. */
void responder_drop(struct responder *responder);

#endif
