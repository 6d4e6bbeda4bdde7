#include "config.h"

#include "callback_state.h"

#include <stdlib.h>

#include "ps_log.h"
#include "wsbridge/bridge.h"

/* Ended requests that are told of in one wake-up; the rest is in the next. */
#define COLLECT_BATCH 32
/* What a request keeps for the next. */
#define KEPT_BUFFER 4096

/* It ends and stands by for the next. */
static void
put_back(struct callback *callback)
{
	ps_writer_reset(&callback->body);
	ps_writer_trim(&callback->body, KEPT_BUFFER);
	TAILQ_INSERT_HEAD(&callback->callbacks->standby, callback, entry);
}

static void
close_idle(struct callbacks *callbacks)
{
	struct callback *callback;

	callback_loop_close(&callbacks->loop);
	while ((callback = TAILQ_FIRST(&callbacks->standby)) != NULL) {
		TAILQ_REMOVE(&callbacks->standby, callback, entry);
		callback_destroy(callback);
	}
	ps_writer_trim(&callbacks->scratch, 0);
}

static void
set_keep_timer(struct callbacks *callbacks, uint64_t from_ms)
{
	timers_set(&callbacks->bridge->timers, &callbacks->keep_timer,
	    from_ms + CALLBACK_KEEP_S * UINT64_C(1000));
}

/* Connections are closed by libcurl when another request has been made, and
 * with all else it keeps where none was for a while. */
static void
on_keep_timer(struct timer *timer)
{
	struct callbacks *callbacks =
	    PS_CONTAINER(timer, struct callbacks, keep_timer);
	uint64_t now_ms = callbacks->bridge->now_ms();

	if (callbacks->n_active > 0)
		set_keep_timer(callbacks, now_ms);
	else if (now_ms - callbacks->used_ms < CALLBACK_KEEP_S * 1000)
		set_keep_timer(callbacks, callbacks->used_ms);
	else
		close_idle(callbacks);
}

static void
leave(struct callback *callback)
{
	struct callbacks *callbacks = callback->callbacks;

	curl_multi_remove_handle(callbacks->loop.multi, callback->easy);
	TAILQ_REMOVE(&callbacks->active, callback, entry);
	callbacks->n_active--;
	callbacks->used_ms = callbacks->bridge->now_ms();
}

static void
finish(struct callback *callback, CURLcode code)
{
	struct callback_result result = { .error = "" };
	long status = 0;

	curl_easy_getinfo(callback->easy, CURLINFO_RESPONSE_CODE, &status);
	leave(callback);
	/* libcurl takes a head for an answer that was cut off amid it. */
	if (code == CURLE_OK && !callback->has_head)
		code = CURLE_PARTIAL_FILE;
	/* What an error says at length does not matter. */
	if (code == CURLE_OK || (callback->too_large && status >= 300)) {
		result.status = (int)status;
	} else {
		callback_describe(callback, code);
		result.error = callback->error;
	}
	if (result.status / 100 == 2)
		result.body = ps_slice(callback->body.data, callback->body.len);
	callback->done(callback->owner, &result);
	put_back(callback);
}

/* Tells of the requests that have ended. */
static void
collect(struct callback_loop *loop)
{
	struct callback *callback;
	CURLMsg *msg;
	int n, left;
	void *data;

	for (n = 0; loop->multi != NULL; n++) {
		if (n == COLLECT_BATCH) {
			callback_loop_soon(loop);
			break;
		}
		if ((msg = curl_multi_info_read(loop->multi, &left)) == NULL)
			break;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &data);
		callback = data;
		finish(callback, msg->data.result);
	}
}

struct callbacks *
callbacks_create(struct bridge *bridge)
{
	struct callbacks *callbacks = calloc(1, sizeof(*callbacks));

	if (callbacks == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		ps_error("callback: libcurl does not start");
		free(callbacks);
		return NULL;
	}
	if ((curl_version_info(CURLVERSION_NOW)->features &
		CURL_VERSION_ASYNCHDNS) == 0)
		ps_warning("callback: while libcurl asks a name server all "
			   "else waits (it has no asynchronous resolver)");
	callbacks->bridge = bridge;
	TAILQ_INIT(&callbacks->active);
	TAILQ_INIT(&callbacks->standby);
	callbacks->keep_timer.fire = on_keep_timer;
	callback_loop_init(&callbacks->loop, bridge, collect);
	return callbacks;
}

static void
on_closed(uv_handle_t *handle)
{
	struct callback_loop *loop =
	    PS_CONTAINER((uv_idle_t *)handle, struct callback_loop, soon);
	struct callbacks *callbacks =
	    PS_CONTAINER(loop, struct callbacks, loop);

	ps_writer_deinit(&callbacks->scratch);
	free(callbacks);
	curl_global_cleanup();
}

void
callbacks_destroy(struct callbacks *callbacks)
{
	if (callbacks == NULL)
		return;
	while (!TAILQ_EMPTY(&callbacks->active))
		callback_cancel(TAILQ_FIRST(&callbacks->active));
	close_idle(callbacks);
	timers_cancel(&callbacks->bridge->timers, &callbacks->keep_timer);
	callback_loop_deinit(&callbacks->loop, on_closed);
}

size_t
callbacks_count(const struct callbacks *callbacks)
{
	return callbacks->n_active;
}

static bool
open_loop(struct callbacks *callbacks)
{
	uint64_t per_host = callbacks->bridge->config->callback_connections;

	if (callbacks->loop.multi == NULL) {
		if (!callback_loop_open(&callbacks->loop))
			return false;
		curl_multi_setopt(callbacks->loop.multi, CURLMOPT_MAXCONNECTS,
		    (long)CALLBACKS_MAX);
		callbacks->per_host = 0;
		set_keep_timer(callbacks, callbacks->bridge->now_ms());
	}
	if (callbacks->per_host != per_host)
		curl_multi_setopt(callbacks->loop.multi,
		    CURLMOPT_MAX_HOST_CONNECTIONS, (long)per_host);
	callbacks->per_host = per_host;
	return true;
}

struct callback *
callback_start(struct callbacks *callbacks,
    const struct callback_request *request, callback_done_fn done, void *owner)
{
	struct callback *callback = TAILQ_FIRST(&callbacks->standby);

	if (!open_loop(callbacks))
		return NULL;
	if (callback != NULL)
		TAILQ_REMOVE(&callbacks->standby, callback, entry);
	else if ((callback = callback_create(callbacks)) == NULL)
		return NULL;
	if (!callback_prepare(callback, request) ||
	    curl_multi_add_handle(callbacks->loop.multi, callback->easy) !=
		CURLM_OK) {
		put_back(callback);
		return NULL;
	}
	callback->done = done;
	callback->owner = owner;
	TAILQ_INSERT_TAIL(&callbacks->active, callback, entry);
	callbacks->n_active++;
	return callback;
}

void
callback_cancel(struct callback *callback)
{
	if (callback == NULL)
		return;
	leave(callback);
	put_back(callback);
}
