/*
 * libcurl's multi interface on the bridge's loop. Its sockets are watched with
 * those of parked requests (watch.h), its one timer is of timers.h, and what
 * is due at once comes in the next turn, since libcurl may not be called from
 * inside of its own callbacks.
 *
 * The watch of a connection stays while the connection is idle: with the next
 * request on it there is nothing to tell the kernel.
 */
#ifndef CALLBACK_LOOP_H
#define CALLBACK_LOOP_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include <curl/curl.h>

#include "wsbridge/base/timers.h"

#define CALLBACK_LOOP_BUCKETS 64

struct bridge;
struct callback_socket;

struct callback_loop {
	struct bridge *bridge;
	CURLM *multi; /* NULL: closed */
	struct timer timer;
	uv_idle_t soon;
	/* By descriptor: connections, and what libcurl's resolver waits for. */
	LIST_HEAD(, callback_socket) sockets[CALLBACK_LOOP_BUCKETS];
	/* Called after libcurl has had a turn: requests may have ended. */
	void (*progress)(struct callback_loop *loop);
};

void callback_loop_init(struct callback_loop *loop, struct bridge *bridge,
    void (*progress)(struct callback_loop *loop));
/* Starts to close its handle; `closed` is called with it. Only when closed. */
void callback_loop_deinit(struct callback_loop *loop, uv_close_cb closed);

/* False when memory is out. */
bool callback_loop_open(struct callback_loop *loop);
/* Closes all connections; there must be no request. */
void callback_loop_close(struct callback_loop *loop);

/* Gives libcurl a turn, and then calls progress(), in the loop's next turn. */
void callback_loop_soon(struct callback_loop *loop);

/*
 * The socket of a connection, or CURL_SOCKET_BAD: for
 * CURLOPT_OPENSOCKETFUNCTION.
 */
curl_socket_t callback_loop_socket(
    struct callback_loop *loop, const struct curl_sockaddr *address);
/* For CURLOPT_CLOSESOCKETFUNCTION, with the loop as its data. */
int callback_loop_close_socket(void *loop, curl_socket_t fd);

#endif
