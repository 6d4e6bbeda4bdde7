#include "config.h"

#include "downstream.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "assembly.h"
#include "frames.h"
#include "outbox.h"
#include "ps_log.h"
#include "session.h"
#include "upgrade.h"
#include "websocket.h"

/* From the connection on, TLS included, until the request is there. */
#define HANDSHAKE_TIMEOUT_MS 10000
/* A client that does not answer our close frame in time is cut off, and one
 * that does not even read so far. */
#define CLOSE_TIMEOUT_MS 3000
/* Connections without a handshake: the oldest makes room for another. */
#define PENDING_MAX 1024
/* The scratch buffer is given back when one write was larger. */
#define SCRATCH_KEEP (1024 * 1024)
/* A client that sends more than this waits for its turn to be read from. */
#define SHARE_BYTES (16 * 1024)
#define SHARE_MS 1000
/* Of what a client has said so much may be on its way to where it is kept; then
 * it is not read from until that is done. A message counts for some bytes more
 * than it has. */
#define UNKEPT_BYTES (64 * 1024)
#define UNKEPT_MESSAGE_BYTES 256

enum phase {
	PHASE_HANDSHAKE, /* the request is not all there */
	PHASE_OPEN,
	PHASE_CLOSING, /* our close frame is written: wait for the client's */
	PHASE_ENDING,  /* nothing it says matters any more */
};

struct downstream {
	struct receiver receiver; /* first */
	struct garbage garbage;
	struct bridge *bridge;
	struct websocket *websocket;
	const struct ws_style *style; /* from PHASE_OPEN on */
	struct lws *wsi; /* NULL: it is gone */
	TAILQ_ENTRY(downstream) pending; /* in PHASE_HANDSHAKE */
	enum phase phase;
	bool is_proxied, deflate;
	bool taken;	    /* by lws, not confirmed to the session yet */
	bool client_closed; /* its close frame came */
	bool failed;	    /* it broke a rule: it is not listened to */
	bool killed;	    /* the timer ends it, whatever else happens */
	bool waiting;	    /* until what it has said is kept */
	bool lost;	    /* that cannot be */
	uint16_t close_code; /* where there is no close event */
	struct timer timer; /* of handshake, of closing */
	struct frame_reader reader;
	struct assembly assembly; /* during the handshake its buffer is that */
	struct ps_writer pong; /* frame that could not be written yet */
	struct turn turn;      /* of being read from */
	uint64_t share_since_ms; /* and how much it was since then */
	size_t share_used;
	size_t unkept; /* said since the last wait */
	struct commit_wait wait;
};

static void
destroy(struct garbage *garbage)
{
	struct downstream *downstream =
	    PS_CONTAINER(garbage, struct downstream, garbage);

	assembly_deinit(&downstream->assembly);
	ps_writer_deinit(&downstream->pong);
	free(downstream);
}

static void
set_timer(struct downstream *downstream, uint64_t in_ms)
{
	if (downstream->wsi != NULL && !downstream->killed)
		timers_set(&downstream->bridge->timers, &downstream->timer,
		    downstream->bridge->now_ms() + in_ms);
}

/* Not from inside a callback of libwebsockets. */
static void
kill_later(struct downstream *downstream)
{
	set_timer(downstream, 0);
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

static void
leave_handshake(struct downstream *downstream, enum phase phase)
{
	struct websocket *websocket = downstream->websocket;

	if (downstream->phase == PHASE_HANDSHAKE) {
		TAILQ_REMOVE(&websocket->pending, downstream, pending);
		websocket->n_pending--;
		timers_cancel(&downstream->bridge->timers, &downstream->timer);
	}
	downstream->phase = phase;
}

static bool
is_writing(const struct downstream *downstream)
{
	return lws_partial_buffered(downstream->wsi) != 0;
}

static bool
may_read(const struct downstream *downstream)
{
	return !is_writing(downstream) &&
	    !turn_is_waiting(&downstream->turn) && !downstream->waiting;
}

/*
 * What the kernel does not take libwebsockets keeps. Until that is written it
 * reads nothing, and would turn the loop for what it does not read.
 */
static void
update_reading(struct downstream *downstream)
{
	lws_rx_flow_control(downstream->wsi, may_read(downstream));
}

/* It may be read from again, perhaps. */
static void
resume_reading(struct downstream *downstream)
{
	update_reading(downstream);
	/* What TLS has read already, nothing else would wake up for. */
	if (may_read(downstream) && lws_is_ssl(downstream->wsi))
		lws_callback_on_writable(downstream->wsi);
}

static void
on_turn_changed(struct turn *turn)
{
	resume_reading(PS_CONTAINER(turn, struct downstream, turn));
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

static void
write_bytes(struct downstream *downstream, const struct ps_writer *w)
{
	if (w->failed ||
	    lws_write(downstream->wsi, (unsigned char *)w->data, w->len,
		LWS_WRITE_RAW) < 0)
		kill_later(downstream);
	else if (is_writing(downstream))
		update_reading(downstream);
}

/* Nothing more is to be said: that it is the end is told by a FIN. */
static void
end_writing(struct downstream *downstream)
{
	if (is_writing(downstream))
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
	set_timer(downstream, CLOSE_TIMEOUT_MS);
	end_writing(downstream);
}

static void
write_close(struct downstream *downstream, uint16_t code)
{
	struct ps_writer *out = &downstream->bridge->scratch;

	ps_writer_reset(out);
	frame_write_close(out, code, ps_slice(NULL, 0));
	write_bytes(downstream, out);
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

	if (downstream->lost) {
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
static void
set_heartbeat(struct downstream *downstream)
{
	if (downstream->style->heartbeat != NULL)
		downstream->receiver.deadline_ms =
		    downstream->bridge->now_ms() +
		    downstream->bridge->config->heartbeat_interval;
}

static void
downstream_deliver(struct receiver *receiver)
{
	struct downstream *downstream = (struct downstream *)receiver;
	struct ps_writer *out = &downstream->bridge->scratch;
	bool closes;

	if (downstream->wsi == NULL || downstream->phase != PHASE_OPEN)
		return;
	set_heartbeat(downstream);
	while (!is_writing(downstream) && has_more(downstream)) {
		closes = put_messages(downstream, out);
		write_bytes(downstream, out);
		ps_writer_trim(out, SCRATCH_KEEP);
		if (closes)
			close_written(downstream);
		if (!is_writing(downstream))
			confirm(downstream);
	}
	/* It does not read, and nobody has more to say. */
	if (receiver->session != NULL && receiver->session->close != NULL &&
	    !timer_is_set(&downstream->timer))
		set_timer(downstream, CLOSE_TIMEOUT_MS);
}

static void
downstream_expire(struct receiver *receiver)
{
	struct downstream *downstream = (struct downstream *)receiver;
	struct ps_writer *out = &downstream->bridge->scratch;

	set_heartbeat(downstream);
	if (downstream->wsi == NULL || downstream->phase != PHASE_OPEN ||
	    is_writing(downstream))
		return;
	ps_writer_reset(out);
	downstream->style->heartbeat(out);
	write_bytes(downstream, out);
}

/* The session is over: with a close event, which was written, or without. */
static void
downstream_release(struct receiver *receiver)
{
	struct downstream *downstream = (struct downstream *)receiver;

	if (downstream->wsi == NULL || downstream->phase != PHASE_OPEN)
		return;
	if (is_writing(downstream)) {
		downstream->phase = PHASE_ENDING;
		kill_later(downstream);
	} else {
		write_close(downstream, downstream->close_code);
	}
}

static const struct receiver_ops receiver_ops = { downstream_deliver,
	downstream_expire, downstream_release };

/*
 * The client broke a rule (RFC 6455, 7.1.7): it is told which, behind what was
 * on its way already, and not listened to any more.
 */
static void
fail(struct downstream *downstream, uint16_t code, const char *reason)
{
	struct session *session = downstream->receiver.session;

	downstream->failed = true;
	downstream->close_code = code;
	if (session != NULL)
		session_expel(session, code, reason);
	if (downstream->phase == PHASE_OPEN)
		set_timer(downstream, CLOSE_TIMEOUT_MS);
	else
		end_writing(downstream);
}

/* What was said is kept, or cannot be: then the session closes. */
static void
on_kept(struct commit_wait *wait, bool ok)
{
	struct downstream *downstream =
	    PS_CONTAINER(wait, struct downstream, wait);

	downstream->waiting = false;
	downstream->unkept = 0;
	downstream->lost = !ok;
	if (downstream->wsi == NULL || downstream->phase != PHASE_OPEN)
		return;
	resume_reading(downstream);
	if (downstream->receiver.session != NULL)
		downstream_deliver(&downstream->receiver);
}

static void
stop_waiting(struct downstream *downstream)
{
	if (downstream->waiting)
		downstream->style->unwait(&downstream->wait);
	downstream->waiting = false;
}

/* For all that was said so far. */
static void
start_waiting(struct downstream *downstream, struct session *session)
{
	stop_waiting(downstream);
	downstream->waiting = true;
	downstream->style->wait(session, &downstream->wait);
}

static void
count_unkept(struct downstream *downstream, size_t len)
{
	struct session *session = downstream->receiver.session;

	if (downstream->style->wait == NULL || session == NULL)
		return;
	downstream->unkept += len + UNKEPT_MESSAGE_BYTES;
	if (downstream->unkept >= UNKEPT_BYTES && !downstream->waiting) {
		start_waiting(downstream, session);
		update_reading(downstream);
	}
}

static void
on_message(struct downstream *downstream, struct ps_slice text)
{
	switch (downstream->style->take(downstream->receiver.session, text)) {
	case PS_OK:
		count_unkept(downstream, text.len);
		break;
	case PS_ERR_MALFORMED:
		fail(downstream, 1007, "Broken JSON encoding.");
		break;
	case PS_ERR_TOO_LARGE:
		fail(downstream, 1009, "message too large");
		break;
	case PS_ERR_FULL:
		fail(downstream, 1013, "too many messages");
		break;
	case PS_ERR_NOMEM:
		fail(downstream, 1011, "out of memory");
		break;
	default: /* taken, or closing already */
		break;
	}
}

static void
on_data(struct downstream *downstream, const struct frame_piece *piece)
{
	const struct assembly_part part = { .data = piece->data,
		.left = piece->left,
		.last = piece->last,
		.compressed = piece->compressed,
		.text = true };
	struct deflate *codec = &downstream->websocket->tools.deflate;
	struct session *session = downstream->receiver.session;
	struct ps_slice message;
	const char *reason;
	int ret;

	if (piece->opcode == FRAME_BINARY) {
		fail(downstream, 1003, "binary message");
		return;
	}
	if (session == NULL)
		return;
	ret = assembly_add(&downstream->assembly, codec, &part,
	    downstream->style->largest(session), &message, &reason);
	if (ret == ASSEMBLY_COMPLETE) {
		on_message(downstream, message);
		assembly_release(&downstream->assembly, codec);
	} else if (ret > 0) {
		fail(downstream, (uint16_t)ret, reason);
	}
}

/*
 * Answered at once; behind what the client does not read only the last of
 * several is (RFC 6455, 5.5.3), so that they do not pile up.
 */
static void
on_ping(struct downstream *downstream, struct ps_slice payload)
{
	struct ps_writer *pong = &downstream->pong;

	ps_writer_reset(pong);
	frame_write(pong, FRAME_PONG, payload);
	if (is_writing(downstream))
		return;
	write_bytes(downstream, pong);
	ps_writer_reset(pong);
	ps_writer_trim(pong, 0);
}

static void
on_close(struct downstream *downstream, struct ps_slice payload)
{
	struct session *session = downstream->receiver.session;
	struct ps_slice reason;
	const char *rule;
	uint16_t code;

	if (downstream->phase == PHASE_CLOSING) {
		downstream->client_closed = true;
		end_writing(downstream);
		return;
	}
	if (frame_parse_close(payload, &code, &reason, &rule) != PS_OK) {
		fail(downstream, code, rule);
		return;
	}
	downstream->client_closed = true;
	downstream->close_code = code;
	set_timer(downstream, CLOSE_TIMEOUT_MS);
	if (session == NULL)
		return;
	if (downstream->style->wait != NULL)
		start_waiting(downstream, session);
	session_close(session, code, reason);
}

static void
on_piece(struct downstream *downstream, const struct frame_piece *piece)
{
	switch (piece->opcode) {
	case FRAME_CONTINUATION:
	case FRAME_PONG:
		break;
	case FRAME_TEXT:
	case FRAME_BINARY:
		if (downstream->phase == PHASE_OPEN)
			on_data(downstream, piece);
		break;
	case FRAME_PING:
		if (downstream->phase == PHASE_OPEN)
			on_ping(downstream, piece->data);
		break;
	case FRAME_CLOSE:
		on_close(downstream, piece->data);
		break;
	}
}

/* Nothing that follows a close frame matters (5.5.1). */
static bool
is_listening(const struct downstream *downstream)
{
	return downstream->wsi != NULL && !downstream->killed &&
	    !downstream->client_closed && !downstream->failed &&
	    (downstream->phase == PHASE_OPEN ||
		downstream->phase == PHASE_CLOSING);
}

static void
read_frames(struct downstream *downstream, unsigned char *data, size_t len)
{
	struct frame_piece piece;
	const char *rule;
	int ret = 1;

	while (is_listening(downstream) &&
	    (ret = frame_read(&downstream->reader, &data, &len, &piece,
		 &rule)) > 0)
		on_piece(downstream, &piece);
	if (ret < 0)
		fail(downstream, 1002, rule);
}

/* Of the client itself, where it came without a web server. */
static struct ps_slice
find_address(const struct downstream *downstream, char *text)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
	socklen_t len = sizeof(storage);
	const void *address = &v4->sin_addr;

	if (downstream->is_proxied ||
	    getpeername(lws_get_socket_fd(downstream->wsi),
		(struct sockaddr *)&storage, &len) < 0)
		return ps_slice(NULL, 0);
	if (storage.ss_family == AF_INET6)
		address = &v6->sin6_addr;
	if (inet_ntop(storage.ss_family, address, text, PS_ADDRESS_MAX) ==
	    NULL)
		return ps_slice(NULL, 0);
	return ps_slice_str(text);
}

/* A refusal was written, and what the client sends behind its request would
 * reset the connection before it has read that. */
static void
end_refused(struct downstream *downstream)
{
	leave_handshake(downstream, PHASE_ENDING);
	set_timer(downstream, CLOSE_TIMEOUT_MS);
	end_writing(downstream);
}

static void
answer_request(struct downstream *downstream, struct ps_slice head)
{
	struct ps_writer out = { 0 };
	struct handshake handshake;
	struct upgrade_result result = { 0 };
	struct session *session = NULL;
	char address[PS_ADDRESS_MAX];

	if (handshake_parse(&handshake, head) == PS_OK)
		session = upgrade_take(downstream->bridge, &handshake,
		    find_address(downstream, address), &out, &result);
	else
		upgrade_refuse(downstream->bridge, &out,
		    "this is no HTTP request");
	if (session != NULL && result.style->greet != NULL)
		result.style->greet(&out);
	write_bytes(downstream, &out);
	ps_writer_deinit(&out);
	if (session == NULL) {
		end_refused(downstream);
		return;
	}
	leave_handshake(downstream, PHASE_OPEN);
	downstream->style = result.style;
	downstream->deflate = result.deflate;
	downstream->reader.allows_compressed = result.deflate;
	set_heartbeat(downstream);
	session_attach(session, &downstream->receiver, SESSION_FORGETS);
	downstream_deliver(&downstream->receiver);
}

static void
read_request(struct downstream *downstream, unsigned char *data, size_t len)
{
	struct ps_writer head = downstream->assembly.bytes;
	size_t had = head.len, end;

	ps_writer_bytes(&head, data, len < HANDSHAKE_MAX ? len : HANDSHAKE_MAX);
	downstream->assembly.bytes = head;
	end = head.failed ? 0 : handshake_end(head.data, head.len);
	if (end == 0 && !head.failed && head.len < HANDSHAKE_MAX)
		return;
	/* The buffer is for messages from now on. */
	downstream->assembly.bytes = (struct ps_writer){ 0 };
	if (end == 0 || end > HANDSHAKE_MAX) {
		struct ps_writer out = { 0 };

		upgrade_refuse(downstream->bridge, &out,
		    "the head of the request is larger than 32 KiB");
		write_bytes(downstream, &out);
		ps_writer_deinit(&out);
		end_refused(downstream);
	} else {
		answer_request(downstream, ps_slice(head.data, end));
		/* A client need not wait with its first frames. */
		read_frames(downstream, data + (end - had), len - (end - had));
	}
	ps_writer_deinit(&head);
}

static int
on_read(struct downstream *downstream, unsigned char *data, size_t len)
{
	count_share(downstream, len);
	switch (downstream->phase) {
	case PHASE_HANDSHAKE:
		read_request(downstream, data, len);
		break;
	case PHASE_OPEN:
	case PHASE_CLOSING:
		read_frames(downstream, data, len);
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
	if (is_writing(downstream))
		return 0;
	update_reading(downstream);
	confirm(downstream);
	if (downstream->phase == PHASE_OPEN && downstream->pong.len > 0) {
		write_bytes(downstream, &downstream->pong);
		ps_writer_reset(&downstream->pong);
		ps_writer_trim(&downstream->pong, 0);
	}
	if (downstream->receiver.session != NULL)
		downstream_deliver(&downstream->receiver);
	end_writing(downstream);
	return downstream->killed ? -1 : 0;
}

/* However it ended: the session ends with its WebSocket. */
static void
on_gone(struct downstream *downstream)
{
	struct session *session = downstream->receiver.session;

	lws_set_wsi_user(downstream->wsi, NULL);
	stop_waiting(downstream);
	leave_handshake(downstream, downstream->phase);
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

	leave_handshake(oldest, PHASE_ENDING);
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
	downstream->wait.done = on_kept;
	TAILQ_INSERT_TAIL(&websocket->pending, downstream, pending);
	if (++websocket->n_pending > PENDING_MAX)
		drop_oldest_pending(websocket);
	set_timer(downstream, HANDSHAKE_TIMEOUT_MS);
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
