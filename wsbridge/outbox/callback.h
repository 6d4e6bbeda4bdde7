/*
 * Callbacks: signed POSTs to applications, by libcurl's multi interface on the
 * bridge's loop. Which callback is due, and what becomes of one that failed,
 * is for outbox.h to decide; a callback here is one attempt.
 *
 * http and https only, TLS verified, no redirect followed, no proxy, no
 * cookie; each address that is connected to is public or in allow_networks.
 * Connections are kept for the next callback to the same host, for
 * CALLBACK_KEEP_S, and for CALLBACK_LIFE_S in all.
 *
 * Ownership: what a request points to is borrowed until done() or
 * callback_cancel(). After either the callback is gone.
 */
#ifndef CALLBACK_H
#define CALLBACK_H

#include <stdbool.h>

#include "ps_bytes.h"
#include "ps_limits.h"

struct bridge;
struct callback;
struct callbacks;

/* Most web servers close what is idle after 5 to 75 s. */
#define CALLBACK_KEEP_S 60
/* A connection that is never idle is a new one by then: its name may have
 * other addresses, and allow_networks others. */
#define CALLBACK_LIFE_S 600
/* At the same time, to all hosts together. */
#define CALLBACKS_MAX 256
/* The id of a message: "msg_", the name of a session, its number. */
#define CALLBACK_ID_MAX 127
/* "https://", the host with brackets, colon, port. */
#define CALLBACK_HOST_MAX (8 + PS_HOST_MAX + 2 + 6)

struct callback_request {
	const char *url;
	struct ps_slice key; /* decoded: what comes behind "whsec_" */
	const char *id;      /* the webhook-id, the same in each attempt */
	struct ps_slice body;
};

struct callback_result {
	int status;           /* of HTTP; 0: there was no whole answer */
	struct ps_slice body; /* at most callback_reply_bytes; of 2xx only */
	const char *error;    /* for the administrator; "" with a status */
};

/* `result` is borrowed for the call, which may start and cancel others. */
typedef void (*callback_done_fn)(
    void *owner, const struct callback_result *result);

/* Needs the bridge's loop, and that no other thread runs yet; NULL having
 * logged why. */
struct callbacks *callbacks_create(struct bridge *bridge);
/* Cancels all; the loop must run once more. NULL is fine. */
void callbacks_destroy(struct callbacks *callbacks);
/* How many are under way. */
size_t callbacks_count(const struct callbacks *callbacks);

/*
 * Calls `done` once, never from inside, unless it is cancelled before. NULL
 * when memory is out.
 */
struct callback *callback_start(struct callbacks *callbacks,
    const struct callback_request *request, callback_done_fn done, void *owner);
/* At any time before done(), from another's done() too. NULL is fine. */
void callback_cancel(struct callback *callback);

/*
 * Writes what the callback of that URL connects to, such as
 * "https://app.example:443", to `host_r` (CALLBACK_HOST_MAX + 1 bytes). False
 * when the URL is none of a callback.
 */
bool callback_host(const char *url, char *host_r);

#endif
