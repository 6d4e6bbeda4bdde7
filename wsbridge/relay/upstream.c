#include "config.h"

#include "upstream_state.h"

#include <assert.h>
#include <stdlib.h>

#include "ps_utf8.h"
#include "target.h"
#include "wsbridge/base/socket_info.h"
#include "wsbridge/websocket/websocket.h"

_Static_assert(MESSAGE_HEADROOM >= LWS_PRE,
    "libwebsockets needs more room in front of a message");

/* A target that does not answer our close frame in time is cut off. */
#define CLOSE_TIMEOUT_MS 3000
/* Compressing less than this saves nothing. */
#define COMPRESS_MIN_BYTES 64

static void
destroy(struct garbage *garbage)
{
	struct upstream *upstream = (struct upstream *)garbage;

	target_free(upstream->target);
	message_queue_deinit(&upstream->queue);
	assembly_deinit(&upstream->assembly);
	if (upstream->inflate != NULL)
		deflate_deinit(upstream->inflate);
	free(upstream->inflate);
	free(upstream);
}

void
upstream_free_when_alone(struct upstream *upstream)
{
	if (upstream->session != NULL || upstream->wsi != NULL)
		return;
	timers_cancel(&upstream->bridge->timers, &upstream->timer);
	turns_leave(&upstream->bridge->turns, &upstream->turn);
	bridge_free_later(upstream->bridge, &upstream->garbage, destroy);
}

void
upstream_report_close(struct upstream *upstream, uint16_t code,
    struct ps_slice reason, bool was_clean)
{
	struct session *session = upstream->session;

	upstream->session = NULL;
	if (session != NULL)
		session_peer_closed(session, code, reason, was_clean);
}

void
upstream_set_timer(struct upstream *upstream, uint64_t in_ms)
{
	if (upstream->killed)
		return;
	timers_set(&upstream->bridge->timers, &upstream->timer,
	    upstream->bridge->now_ms() + in_ms);
}

static const char *
find_excess(void *peer, size_t count, size_t bytes)
{
	const struct upstream *upstream = peer;
	uint64_t messages = upstream->bridge->config->queue_messages;
	const char *limit;

	/* One message always fits an empty queue, however large it may be. */
	if (upstream->queue.count == 0)
		return NULL;
	if (upstream->queue.count + count > messages)
		return "queue_messages";
	return upstream->queue.bytes + bytes >
		session_queue_bytes(upstream->session, &limit) ?
	    limit :
	    NULL;
}

static void
count_queued(void *peer, size_t *count_r, size_t *bytes_r)
{
	const struct upstream *upstream = peer;

	*count_r = upstream->queue.count;
	*bytes_r = upstream->queue.bytes;
}

/* Without a close frame, and not from inside a callback of libwebsockets. */
static void
kill_now(struct upstream *upstream)
{
	if (upstream->wsi != NULL)
		lws_set_timeout(upstream->wsi, PENDING_TIMEOUT_CLOSE_SEND,
		    LWS_TO_KILL_SYNC);
}

void
upstream_kill_later(struct upstream *upstream)
{
	if (upstream->wsi == NULL)
		return;
	upstream_set_timer(upstream, 0);
	upstream->killed = true;
}

/* libwebsockets masks the bytes where they are: nobody else may need them. */
static bool
write_frame(struct upstream *upstream, struct message *message)
{
	assert(message->refs == 1);
	return lws_write(upstream->wsi, message_data(message), message->len,
		   message->type == PS_EVENT_TEXT ? LWS_WRITE_TEXT :
						    LWS_WRITE_BINARY) >=
	    (int)message->len;
}

static bool
write_message(struct upstream *upstream, struct message *message)
{
	struct message *packed;
	bool ok;

	if (!upstream->terms.accepted || message->len < COMPRESS_MIN_BYTES)
		return write_frame(upstream, message);
	packed = deflate_compress(&upstream->bridge->websocket->tools.deflate,
	    message);
	if (packed == NULL)
		return false;
	deflate_mark_next_frame(true);
	ok = write_frame(upstream, packed);
	deflate_mark_next_frame(false);
	message_unref(packed);
	return ok;
}

/*
 * Asking for the WRITEABLE callback costs four epoll_ctl() and a turn of the
 * loop, so a message that nothing stands in front of is written at once: what
 * the kernel does not take of it libwebsockets keeps, and from then on the
 * others wait in the queue.
 */
static bool
send_message(void *peer, struct message *message)
{
	struct upstream *upstream = peer;

	if (upstream->queue.count > 0 || lws_partial_buffered(upstream->wsi)) {
		if (!message_queue_push(&upstream->queue, message))
			return false;
		lws_callback_on_writable(upstream->wsi);
		return true;
	}
	if (!write_message(upstream, message))
		upstream_kill_later(upstream);
	message_unref(message);
	return true;
}

static void
update_reading(struct upstream *upstream)
{
	if (upstream->wsi != NULL)
		lws_rx_flow_control(upstream->wsi,
		    !upstream->paused && !turn_is_waiting(&upstream->turn));
}

static void
on_turn_changed(struct turn *turn)
{
	update_reading(PS_CONTAINER(turn, struct upstream, turn));
}

static void
pause_reading(void *peer)
{
	((struct upstream *)peer)->paused = true;
	update_reading(peer);
}

static void
resume_reading(void *peer)
{
	((struct upstream *)peer)->paused = false;
	update_reading(peer);
}

/*
 * What was accepted goes out before the close frame, for as long as a target
 * may stall; but not where nobody waits for the end any more.
 */
static void
set_patience(struct upstream *upstream)
{
	upstream_set_timer(upstream,
	    upstream->session != NULL ?
		upstream->bridge->config->stall_timeout :
		CLOSE_TIMEOUT_MS);
}

void
upstream_start_close(struct upstream *upstream, uint16_t code,
    struct ps_slice reason)
{
	if (upstream->phase == PHASE_CLOSING)
		return;
	upstream->phase = PHASE_CLOSING;
	upstream->close_code = code;
	upstream->close_len = (uint8_t)reason.len;
	if (reason.len > 0)
		memcpy(upstream->close_reason, reason.data, reason.len);
	set_patience(upstream);
	lws_callback_on_writable(upstream->wsi);
}

static void
close_upstream(void *peer, uint16_t code, struct ps_slice reason)
{
	upstream_start_close(peer, code, reason);
}

static void
abandon(void *peer, uint16_t code)
{
	struct upstream *upstream = peer;

	upstream->session = NULL;
	if (upstream->phase == PHASE_OPEN)
		upstream_start_close(upstream, code, ps_slice(NULL, 0));
	else if (upstream->phase == PHASE_CLOSING)
		set_patience(upstream);
	else if (upstream->phase == PHASE_CONNECTING)
		upstream_kill_later(upstream);
	if (upstream->target != NULL) {
		resolver_cancel(upstream->target->resolution);
		upstream->target->resolution = NULL;
	}
	upstream_free_when_alone(upstream);
}

static const struct peer_ops peer_ops = { find_excess, send_message,
	count_queued, pause_reading, resume_reading, NULL, close_upstream,
	abandon };

/* Everything is written: the close frame is next. */
static void
send_close(struct upstream *upstream)
{
	upstream->close_sent = true;
	upstream->received_bytes = socket_info_received_bytes(
	    lws_get_socket_fd(upstream->wsi));
	upstream_set_timer(upstream, CLOSE_TIMEOUT_MS);
	lws_close_reason(upstream->wsi,
	    (enum lws_close_status)upstream->close_code,
	    (unsigned char *)upstream->close_reason, upstream->close_len);
	lws_set_timeout(upstream->wsi, PENDING_TIMEOUT_CLOSE_SEND,
	    LWS_TO_KILL_SYNC);
}

static void
on_timer(struct timer *timer)
{
	struct upstream *upstream = PS_CONTAINER(timer, struct upstream, timer);

	if (upstream->killed) {
		kill_now(upstream);
		return;
	}
	if (upstream->phase == PHASE_CONNECTING) {
		if (upstream->target->next < upstream->target->addresses.count)
			kill_now(upstream);
		return; /* the last has until the session gives up */
	}
	if (upstream->wsi != NULL && !upstream->close_sent &&
	    upstream->queue.count == 0 &&
	    !lws_partial_buffered(upstream->wsi)) {
		send_close(upstream);
		return;
	}
	upstream_report_close(upstream, 1006, ps_slice(NULL, 0), false);
	kill_now(upstream);
}

void
upstream_connect(struct session *session, const struct ps_ipc_create *m)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	struct target *target = target_create(m);

	if (upstream == NULL || target == NULL) {
		free(upstream);
		target_free(target);
		session_open_failed(session, PS_CODE_BRIDGE_FULL, 0);
		return;
	}
	upstream->bridge = session->bridge;
	upstream->session = session;
	upstream->target = target;
	upstream->timer.fire = on_timer;
	upstream->turn.changed = on_turn_changed;
	session_set_peer(session, &peer_ops, upstream);
	upstream_resolve(upstream);
}

static int
on_writable(struct upstream *upstream, struct lws *wsi)
{
	struct message *message = message_queue_at(&upstream->queue, 0);

	if (message == NULL) {
		/* libwebsockets sends no close frame from in here. */
		if (upstream->phase == PHASE_CLOSING && !upstream->close_sent)
			upstream_set_timer(upstream, 0);
		return 0;
	}
	if (!write_message(upstream, message))
		return -1;
	message_queue_pop(&upstream->queue);
	if (upstream->phase == PHASE_CLOSING)
		set_patience(upstream);
	if (upstream->queue.count > 0 || upstream->phase == PHASE_CLOSING)
		lws_callback_on_writable(wsi);
	return 0;
}

/* The target's close frame (RFC 6455, 5.5.1): code and reason, or nothing. */
static void
on_peer_close(struct upstream *upstream, const unsigned char *data, size_t len)
{
	if (upstream->phase == PHASE_CLOSING && upstream->close_code != 0 &&
	    len < 2)
		return;
	upstream->peer_closed = true;
	upstream->close_code = len < 2 ? 1005 :
					 (uint16_t)(data[0] << 8 | data[1]);
	upstream->close_len = 0;
	if (len > 2 && len - 2 <= PS_CLOSE_REASON_MAX &&
	    ps_utf8_is_valid((const char *)data + 2, len - 2)) {
		upstream->close_len = (uint8_t)(len - 2);
		memcpy(upstream->close_reason, data + 2, len - 2);
	}
}

/*
 * libwebsockets does not tell whether the target answered our close frame or
 * just dropped the connection; that it sent something more does. A FIN counts
 * as one byte, the shortest close frame has two.
 */
static bool
close_was_answered(struct upstream *upstream, struct lws *wsi)
{
	return upstream->close_sent &&
	    socket_info_received_bytes(lws_get_socket_fd(wsi)) >=
		upstream->received_bytes + 2;
}

static void
on_closed(struct upstream *upstream, struct lws *wsi)
{
	if (upstream->peer_closed || close_was_answered(upstream, wsi))
		upstream_report_close(upstream, upstream->close_code,
		    ps_slice(upstream->close_reason, upstream->close_len),
		    true);
	else
		upstream_report_close(upstream, 1006, ps_slice(NULL, 0), false);
}

int
upstream_on_event(struct lws *wsi, enum lws_callback_reasons reason,
    void *user, void *in, size_t len)
{
	struct upstream *upstream = user;

	switch (reason) {
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
		return target_append_headers(upstream->target, in, len);
	case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
		return upstream_on_answer(upstream, wsi);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		if (upstream != NULL)
			upstream_on_connection_error(upstream, wsi,
			    in == NULL ? "" : (const char *)in);
		return 0;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		upstream_on_established(upstream, wsi);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return upstream_on_receive(upstream, wsi, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return on_writable(upstream, wsi);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		on_peer_close(upstream, in, len);
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
		on_closed(upstream, wsi);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		if (upstream == NULL)
			return 0;
		upstream->wsi = NULL;
		if (upstream->attempting)
			return 0;
		if (upstream->phase == PHASE_CONNECTING &&
		    upstream->session != NULL) {
			upstream_connect_next(upstream);
			return 0;
		}
		/* Told before by CLIENT_CLOSED, but for what went wrong. */
		upstream_report_close(upstream, 1006, ps_slice(NULL, 0), false);
		upstream_free_when_alone(upstream);
		return 0;
	default:
		return 0;
	}
}
