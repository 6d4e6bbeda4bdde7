/*
 * A callback as the files of callback.h see it: callback.c has all of them and
 * when each begins and ends, callback_easy.c what libcurl is told of one,
 * callback_error.c why it failed. For these files alone.
 */
#ifndef CALLBACK_STATE_H
#define CALLBACK_STATE_H

#include <sys/queue.h>

#include <curl/curl.h>

#include "callback.h"
#include "callback_loop.h"
#include "webhook.h"
#include "wsbridge/base/timers.h"

/* What the head of a reply may be. */
#define REPLY_HEAD_MAX (64 * 1024)

/* A request, or one that stands by for the next, with its easy handle. */
struct callback {
	TAILQ_ENTRY(callback) entry;
	struct callbacks *callbacks;
	CURL *easy;
	char *url; /* of the easy handle */
	callback_done_fn done;
	void *owner;
	uint64_t timeout_ms;

	/* What is sent: webhook-id, -timestamp, -signature. */
	struct curl_slist headers[3];
	char id[sizeof("webhook-id: ") + CALLBACK_ID_MAX];
	char timestamp[sizeof("webhook-timestamp: ") + 20];
	char signature[sizeof("webhook-signature: ") + WEBHOOK_SIGNATURE_MAX];

	/* What comes back. */
	struct ps_writer body;
	size_t head_bytes;
	bool has_head; /* all of it, of the last one that has begun */
	bool too_large;
	bool connected;               /* or tried to, with an address */
	char refused[PS_ADDRESS_MAX]; /* the first one, or empty */
	char curl_error[CURL_ERROR_SIZE];
	char error[CURL_ERROR_SIZE + 64];
};

TAILQ_HEAD(callback_list, callback);

struct callbacks {
	struct bridge *bridge;
	struct callback_loop loop;
	struct callback_list active, standby;
	size_t n_active;
	uint64_t per_host; /* as libcurl has been told */
	uint64_t used_ms;  /* the end of the last request */
	struct timer keep_timer;
	struct ps_writer scratch;
};

/* callback_easy.c: NULL when memory is out. */
struct callback *callback_create(struct callbacks *callbacks);
void callback_destroy(struct callback *callback);
/* For that request, which is borrowed. */
PS_MUST_CHECK bool callback_prepare(struct callback *callback,
    const struct callback_request *request);

/* callback_error.c: sets `error` to why there was no whole answer. */
void callback_describe(struct callback *callback, CURLcode code);

#endif
