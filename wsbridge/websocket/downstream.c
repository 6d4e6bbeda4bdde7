#include "config.h"

#include "downstream.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "downstream_state.h"
#include "wsbridge/session/session.h"

/* From the connection on, TLS included, until the request is there. */
#define HANDSHAKE_TIMEOUT_MS 10000
/* Connections without a handshake: the oldest makes room for another. */
#define PENDING_MAX 1024
/* The scratch buffer is given back when one write was larger. */
#define SCRATCH_KEEP (1024 * 1024)
/* A client that sends more than this waits for its turn to be read from. */
#define SHARE_BYTES (16 * 1024)
#define SHARE_MS 1000

static void
destroy(struct garbage *garbage)
{
	struct downstream *downstream =
	    PS_CONTAINER(garbage, struct downstream, garbage);

	assembly_deinit(&downstream->assembly);
	ps_writer_deinit(&downstream->pong);
	free(downstream);
}

void
downstream_set_timer(struct downstream *downstream, uint64_t in_ms)
{
	if (downstream->wsi != NULL && !downstream->killed)
		timers_set(&downstream->bridge->timers, &downstream->timer,
		    downstream->bridge->now_ms() + in_ms);
}

/* Not from inside a callback of libwebsockets. */
static void
kill_later(struct downstream *downstream)
{
	downstream_set_timer(downstream, 0);
	downstream->killed = true;
}

static void
on_timer(struct timer *timer)
{
	struct downstream *downstream =
	    PS_CONTAINER(timer, struct downstream, timer);

	downstream->killed = true;
	lws_set_timeout(downstream->wsi, PENDING_TIMEOUT_CLOSE_SEND,
	    LWS_TO_KILL_SYNC);
}

void
downstream_leave_handshake(struct downstream *downstream, enum phase phase)
{
	struct websocket *websocket = downstream->websocket;

	if (downstream->phase == PHASE_HANDSHAKE) {
		TAILQ_REMOVE(&websocket->pending, downstream, pending);
		websocket->n_pending--;
		timers_cancel(&downstream->bridge->timers, &downstream->timer);
		/* After TLS libwebsockets waits for HTTP, which is not its. */
		if (downstream->wsi != NULL)
			lws_set_timeout(downstream->wsi, NO_PENDING_TIMEOUT, 0);
	}
	downstream->phase = phase;
}

bool
downstream_is_writing(const struct downstream *downstream)
{
	return lws_partial_buffered(downstream->wsi) != 0;
}

static bool
may_read(const struct downstream *downstream)
{
	return !downstream_is_writing(downstream) &&
	    !turn_is_waiting(&downstream->turn) && !downstream->waiting;
}

/*
 * What the kernel does not take libwebsockets keeps. Until that is written it
 * reads nothing, and would turn the loop for what it does not read.
 */
void
downstream_update_reading(struct downstream *downstream)
{
	lws_rx_flow_control(downstream->wsi, may_read(downstream));
}

/* It may be read from again, perhaps. */
void
downstream_resume_reading(struct downstream *downstream)
{
	downstream_update_reading(downstream);
	/* What TLS has read already, nothing else would wake up for. */
	if (may_read(downstream) && lws_is_ssl(downstream->wsi))
		lws_callback_on_writable(downstream->wsi);
}

static void
on_turn_changed(struct turn *turn)
{
	downstream_resume_reading(PS_CONTAINER(turn, struct downstream, turn));
}

/* So that clients that flood do not keep the loop from everybody else. */
static void
count_share(struct downstream *downstream, size_t len)
{
	uint64_t now_ms = downstream->bridge->now_ms();

	if (now_ms - downstream->share_since_ms >= SHARE_MS) {
		downstream->share_since_ms = now_ms;
		downstream->share_used = 0;
	}
	downstream->share_used += len;
	if (downstream->share_used > SHARE_BYTES)
		turns_note(&downstream->bridge->turns, &downstream->turn);
}

void
downstream_write(struct downstream *downstream, const struct ps_writer *w)
{
	if (w->failed ||
	    lws_write(downstream->wsi, (unsigned char *)w->data, w->len,
		LWS_WRITE_RAW) < 0)
		kill_later(downstream);
	else if (downstream_is_writing(downstream))
		downstream_update_reading(downstream);
}

/* Nothing more is to be said: that it is the end is told by a FIN. */
void
downstream_end_writing(struct downstream *downstream)
{
	if (downstream_is_writing(downstream))
		return; /* on_writable() comes */
	if (downstream->client_closed)
		kill_later(downstream);
	else if (downstream->phase == PHASE_ENDING ||
	    (downstream->failed && downstream->phase == PHASE_CLOSING))
		shutdown(lws_get_socket_fd(downstream->wsi), SHUT_WR);
}

/* A close frame was written. */
static void
close_written(struct downstream *downstream)
{
	if (downstream->phase == PHASE_OPEN)
		downstream->phase = PHASE_CLOSING;
	downstream_set_timer(downstream, CLOSE_TIMEOUT_MS);
	downstream_end_writing(downstream);
}

static void
write_close(struct downstream *downstream, uint16_t code)
{
	struct ps_writer *out = &downstream->bridge->scratch;

	ps_writer_reset(out);
	frame_write_close(out, code, ps_slice(NULL, 0));
	downstream_write(downstream, out);
	close_written(downstream);
}

/* Codes that no close frame may have say what they mean otherwise. */
static uint16_t
code_to_send(uint16_t code)
{
	return code == 1006 || code == 1015 ? 1011 : code;
}

/*
 * The close event when it is to be told behind `n` messages: a client that
 * closes itself is told so once all it has said is kept.
 */
static const struct close_event *
find_close(const struct downstream *downstream, uint32_t n)
{
	return downstream->client_closed && downstream->waiting ?
	    NULL :
	    session_unsent_close(downstream->receiver.session, n);
}

static bool
has_more(const struct downstream *downstream)
{
	const struct session *session = downstream->receiver.session;

	return session != NULL &&
	    (session_unsent(session, 0) != NULL ||
		find_close(downstream, 0) != NULL);
}

static void
put_close(struct downstream *downstream, struct ps_writer *out,
    const struct close_event *close)
{
	const struct ws_style *style = downstream->style;
	struct ps_slice reason = ps_slice(close->reason, close->reason_len);

	/* That all it said has arrived is what it would take an answer for. */
	if (downstream->lost && downstream->client_closed) {
		frame_write_close(out, 1011, ps_slice(NULL, 0));
		return;
	}
	/* It hears in so many words what it does not know. */
	if (style->close != NULL && !downstream->client_closed &&
	    !downstream->failed)
		style->close(out, close->code, reason);
	frame_write_close(out, code_to_send(close->code), reason);
}

/* Puts what there is into the scratch buffer; true with the close frame. */
static bool
put_messages(struct downstream *downstream, struct ps_writer *out)
{
	struct session *session = downstream->receiver.session;
	struct ws_output output = { out, &downstream->websocket->tools,
		downstream->deflate };
	const struct close_event *close;
	uint32_t n;

	ps_writer_reset(out);
	n = downstream->style->put(&output, session,
	    downstream->bridge->config->reply_bytes);
	close = find_close(downstream, n);
	if (close != NULL)
		put_close(downstream, out, close);
	session_take(session, n, close != NULL);
	downstream->taken = true;
	return close != NULL;
}

/* What was taken is with the kernel. May end the session. */
static void
confirm(struct downstream *downstream)
{
	if (!downstream->taken || downstream->receiver.session == NULL)
		return;
	downstream->taken = false;
	session_confirm(downstream->receiver.session);
}

/* The next one, when nothing else is said until then. */
void
downstream_set_heartbeat(struct downstream *downstream)
{
	if (downstream->style->heartbeat != NULL)
		downstream->receiver.deadline_ms =
		    downstream->bridge->now_ms() +
		    downstream->bridge->config->heartbeat_interval;
}

void
downstream_deliver(struct receiver *receiver)
{
	struct downstream *downstream = (struct downstream *)receiver;
	struct ps_writer *out = &downstream->bridge->scratch;
	bool closes;

	if (downstream->wsi == NULL || downstream->phase != PHASE_OPEN)
		return;
	downstream_set_heartbeat(downstream);
	while (!downstream_is_writing(downstream) && has_more(downstream)) {
		closes = put_messages(downstream, out);
		downstream_write(downstream, out);
		ps_writer_trim(out, SCRATCH_KEEP);
		if (closes)
			close_written(downstream);
		if (!downstream_is_writing(downstream))
			confirm(downstream);
	}
	/* It does not read, and nobody has more to say. */
	if (receiver->session != NULL && receiver->session->close != NULL &&
	    !timer_is_set(&downstream->timer))
		downstream_set_timer(downstream, CLOSE_TIMEOUT_MS);
}

static void
downstream_expire(struct receiver *receiver)
{
	struct downstream *downstream = (struct downstream *)receiver;
	struct ps_writer *out = &downstream->bridge->scratch;

	downstream_set_heartbeat(downstream);
	if (downstream->wsi == NULL || downstream->phase != PHASE_OPEN ||
	    downstream_is_writing(downstream))
		return;
	ps_writer_reset(out);
	downstream->style->heartbeat(out);
	downstream_write(downstream, out);
}

/* The session is over: with a close event, which was written, or without. */
static void
downstream_release(struct receiver *receiver)
{
	struct downstream *downstream = (struct downstream *)receiver;

	if (downstream->wsi == NULL || downstream->phase != PHASE_OPEN)
		return;
	if (downstream_is_writing(downstream)) {
		downstream->phase = PHASE_ENDING;
		kill_later(downstream);
	} else {
		write_close(downstream, downstream->close_code);
	}
}

static const struct receiver_ops receiver_ops = { downstream_deliver,
	downstream_expire, downstream_release };

static int
on_read(struct downstream *downstream, unsigned char *data, size_t len)
{
	count_share(downstream, len);
	switch (downstream->phase) {
	case PHASE_HANDSHAKE:
		downstream_read_request(downstream, data, len);
		break;
	case PHASE_OPEN:
	case PHASE_CLOSING:
		downstream_read_frames(downstream, data, len);
		break;
	case PHASE_ENDING:
		break;
	}
	return downstream->killed ? -1 : 0;
}

/* All that libwebsockets had is written. */
static int
on_writable(struct downstream *downstream)
{
	if (downstream->killed)
		return -1;
	if (downstream_is_writing(downstream))
		return 0;
	downstream_update_reading(downstream);
	confirm(downstream);
	if (downstream->phase == PHASE_OPEN && downstream->pong.len > 0) {
		downstream_write(downstream, &downstream->pong);
		ps_writer_reset(&downstream->pong);
		ps_writer_trim(&downstream->pong, 0);
	}
	if (downstream->receiver.session != NULL)
		downstream_deliver(&downstream->receiver);
	downstream_end_writing(downstream);
	return downstream->killed ? -1 : 0;
}

/* However it ended: the session ends with its WebSocket. */
static void
on_gone(struct downstream *downstream)
{
	struct session *session = downstream->receiver.session;

	lws_set_wsi_user(downstream->wsi, NULL);
	downstream_stop_waiting(downstream);
	downstream_leave_handshake(downstream, downstream->phase);
	downstream->wsi = NULL;
	downstream->phase = PHASE_ENDING;
	timers_cancel(&downstream->bridge->timers, &downstream->timer);
	turns_leave(&downstream->bridge->turns, &downstream->turn);
	if (session != NULL)
		session_close(session, 1006, ps_slice(NULL, 0));
	if (downstream->receiver.session != NULL)
		session_end(session, "client gone");
	bridge_free_later(downstream->bridge, &downstream->garbage, destroy);
}

/* Many may come in one turn, and each of them takes the place of another. */
static void
drop_oldest_pending(struct websocket *websocket)
{
	struct downstream *oldest = TAILQ_FIRST(&websocket->pending);

	downstream_leave_handshake(oldest, PHASE_ENDING);
	kill_later(oldest);
}

void
downstream_accept(struct bridge *bridge, struct lws_vhost *host, int fd,
    bool is_proxied)
{
	struct websocket *websocket = bridge->websocket;
	struct downstream *downstream = calloc(1, sizeof(*downstream));
	lws_sock_file_fd_type descriptor = { .sockfd = fd };

	if (downstream == NULL) {
		close(fd);
		return;
	}
	downstream->wsi = lws_adopt_descriptor_vhost(host,
	    LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL, descriptor,
	    DOWNSTREAM_PROTOCOL, NULL);
	if (downstream->wsi == NULL) {
		free(downstream);
		return;
	}
	lws_set_wsi_user(downstream->wsi, downstream);
	downstream->receiver.ops = &receiver_ops;
	downstream->receiver.deadline_ms = UINT64_MAX;
	downstream->bridge = bridge;
	downstream->websocket = websocket;
	downstream->is_proxied = is_proxied;
	downstream->close_code = 1001;
	downstream->timer.fire = on_timer;
	downstream->turn.changed = on_turn_changed;
	downstream->wait.done = downstream_on_kept;
	TAILQ_INSERT_TAIL(&websocket->pending, downstream, pending);
	if (++websocket->n_pending > PENDING_MAX)
		drop_oldest_pending(websocket);
	downstream_set_timer(downstream, HANDSHAKE_TIMEOUT_MS);
}

int
downstream_on_event(struct lws *wsi, enum lws_callback_reasons reason,
    void *user, void *in, size_t len)
{
	struct downstream *downstream = user;

	(void)wsi;
	if (downstream == NULL)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_RAW_RX:
		return on_read(downstream, in, len);
	case LWS_CALLBACK_RAW_WRITEABLE:
		return on_writable(downstream);
	case LWS_CALLBACK_RAW_CLOSE:
	case LWS_CALLBACK_WSI_DESTROY:
		on_gone(downstream);
		return 0;
	default:
		return 0;
	}
}
