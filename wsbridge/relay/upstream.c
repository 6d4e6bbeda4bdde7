#include "config.h"

#include "upstream.h"

#include <assert.h>
#include <stdlib.h>

#include "ps_log.h"
#include "ps_utf8.h"
#include "target.h"
#include "wsbridge/base/socket_info.h"
#include "wsbridge/websocket/assembly.h"
#include "wsbridge/websocket/websocket.h"

_Static_assert(MESSAGE_HEADROOM >= LWS_PRE,
    "libwebsockets needs more room in front of a message");

/* A target that does not answer our close frame in time is cut off. */
#define CLOSE_TIMEOUT_MS 3000
/* A target that sends more than this waits for its turn to be read from. */
#define SHARE_BYTES (16 * 1024)
#define SHARE_MS 1000
/* Compressing less than this saves nothing. */
#define COMPRESS_MIN_BYTES 64

enum phase {
	PHASE_RESOLVING,
	PHASE_CONNECTING, /* TCP, TLS and handshake */
	PHASE_OPEN,
	PHASE_CLOSING, /* our close frame is to be sent, or was */
};

struct upstream {
	struct garbage garbage; /* first */
	struct bridge *bridge;
	struct session *session; /* NULL: it has ended or was told the end */
	struct lws *wsi;	 /* NULL: none */
	enum phase phase;
	bool attempting;       /* inside lws_client_connect_via_info() */
	struct target *target; /* NULL once open */
	struct message_queue queue;
	struct deflate_terms terms;
	struct deflate *inflate; /* only where the target keeps a context */
	struct assembly assembly; /* of a message that comes */
	bool rx_compressed;	  /* and it is a compressed one */
	struct timer timer; /* of an attempt to connect, or of closing */
	uint16_t close_code; /* ours, or the target's; 0: none came */
	uint8_t close_len;
	bool peer_closed; /* the target sent a close frame first */
	bool close_sent;
	bool killed; /* the timer ends it, whatever else happens */
	bool paused; /* by the session */
	struct turn turn;	/* of being read from */
	uint64_t share_since_ms; /* and how much it was since then */
	size_t share_used;
	uint64_t received_bytes; /* when our close frame was sent */
	char close_reason[PS_CLOSE_REASON_MAX];
};

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

/* When neither the session nor libwebsockets refers to it any more. */
static void
free_when_alone(struct upstream *upstream)
{
	if (upstream->session != NULL || upstream->wsi != NULL)
		return;
	timers_cancel(&upstream->bridge->timers, &upstream->timer);
	turns_leave(&upstream->bridge->turns, &upstream->turn);
	bridge_free_later(upstream->bridge, &upstream->garbage, destroy);
}

static void
fail(struct upstream *upstream, enum ps_code code, int http_status)
{
	struct session *session = upstream->session;

	upstream->session = NULL;
	if (session != NULL) {
		session_set_peer(session, NULL, NULL);
		session_open_failed(session, code, http_status);
	}
	free_when_alone(upstream);
}

static void
report_close(struct upstream *upstream, uint16_t code, struct ps_slice reason,
    bool was_clean)
{
	struct session *session = upstream->session;

	upstream->session = NULL;
	if (session != NULL)
		session_peer_closed(session, code, reason, was_clean);
}

static void
set_timer(struct upstream *upstream, uint64_t in_ms)
{
	if (upstream->killed)
		return;
	timers_set(&upstream->bridge->timers, &upstream->timer,
	    upstream->bridge->now_ms() + in_ms);
}

static bool
start_attempt(struct upstream *upstream, const char *address)
{
	struct target *target = upstream->target;
	struct websocket *websocket = upstream->bridge->websocket;
	char host[TARGET_HOST_HEADER_MAX];
	struct lws_client_connect_info info = {
		.context = websocket->context,
		.vhost = websocket->targets,
		.address = address,
		.port = target->port,
		.path = target->path,
		.host = host,
		.protocol = *target->protocols == '\0' ? NULL :
							 target->protocols,
		.local_protocol_name = UPSTREAM_PROTOCOL,
		.ietf_version_or_minus_one = -1,
		.alpn = "http/1.1",
		.userdata = upstream,
		.opaque_user_data = &upstream->terms,
		.pwsi = &upstream->wsi,
		.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT |
		    (target->tls ? LCCSCF_USE_SSL : 0),
	};

	target_host_header(target, host);
	target->handshake_sent = false;
	upstream->attempting = true;
	if (lws_client_connect_via_info(&info) == NULL)
		upstream->wsi = NULL;
	upstream->attempting = false;
	return upstream->wsi != NULL;
}

/*
 * Tries one address after the other, until one takes the connection. None may
 * use up the time of those that follow.
 */
static void
connect_next(struct upstream *upstream)
{
	struct target *target = upstream->target;

	upstream->phase = PHASE_CONNECTING;
	set_timer(upstream,
	    upstream->bridge->config->connect_timeout /
		target->addresses.count);
	while (upstream->session != NULL &&
	    target->next < target->addresses.count) {
		if (start_attempt(upstream,
			target->addresses.addresses[target->next++]))
			return;
	}
	fail(upstream, target->failure, target->http_status);
}

static void
connect_first(struct upstream *upstream)
{
	const struct resolver_result *result = &upstream->target->addresses;

	if (result->count > 0)
		connect_next(upstream);
	else
		fail(upstream,
		    result->refused ? PS_CODE_ADDRESS_REFUSED :
				      PS_CODE_DNS_FAILURE,
		    0);
}

static void
on_resolved(void *owner, const struct resolver_result *result)
{
	struct upstream *upstream = owner;

	upstream->target->resolution = NULL;
	upstream->target->addresses = *result;
	connect_first(upstream);
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

/* By a timer of ours: LWS_TO_KILL_ASYNC waits for the next of theirs. */
static void
kill_later(struct upstream *upstream)
{
	if (upstream->wsi == NULL)
		return;
	set_timer(upstream, 0);
	upstream->killed = true;
}

/* libwebsockets masks the bytes where they are, so nobody else may need them. */
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
		kill_later(upstream);
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
	set_timer(upstream,
	    upstream->session != NULL ?
		upstream->bridge->config->stall_timeout :
		CLOSE_TIMEOUT_MS);
}

static void
start_close(struct upstream *upstream, uint16_t code, struct ps_slice reason)
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
	start_close(peer, code, reason);
}

static void
abandon(void *peer, uint16_t code)
{
	struct upstream *upstream = peer;

	upstream->session = NULL;
	if (upstream->phase == PHASE_OPEN)
		start_close(upstream, code, ps_slice(NULL, 0));
	else if (upstream->phase == PHASE_CLOSING)
		set_patience(upstream);
	else if (upstream->phase == PHASE_CONNECTING)
		kill_later(upstream);
	if (upstream->target != NULL) {
		resolver_cancel(upstream->target->resolution);
		upstream->target->resolution = NULL;
	}
	free_when_alone(upstream);
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
	set_timer(upstream, CLOSE_TIMEOUT_MS);
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
	report_close(upstream, 1006, ps_slice(NULL, 0), false);
	kill_now(upstream);
}

void
upstream_connect(struct session *session, const struct ps_ipc_create *m)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	struct target *target = target_create(m);
	const struct ps_list *allowed =
	    &session->bridge->config->allow_networks;

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
	if (resolver_take_address(&target->addresses, target->host, allowed)) {
		connect_first(upstream);
		return;
	}
	target->resolution = resolver_start(upstream->bridge->loop,
	    target->host, allowed, on_resolved, upstream);
	if (target->resolution == NULL)
		fail(upstream, PS_CODE_DNS_FAILURE, 0);
}

/*
 * The word for why an attempt failed. libwebsockets tells by text only, so
 * what is known for sure comes first: how far it got.
 */
static void
on_connection_error(struct upstream *upstream, struct lws *wsi,
    const char *text)
{
	struct target *target = upstream->target;

	if (target == NULL)
		return;
	if (target->handshake_sent)
		target->http_status = (int)lws_http_client_http_response(wsi);
	ps_debug("upstream: %s:%u: attempt failed (%s)", target->host,
	    target->port, text);
	if (target->handshake_sent)
		target->failure = PS_CODE_HANDSHAKE_REJECTED;
	else if (target->tls && strstr(text, "SSL") != NULL)
		target->failure = PS_CODE_TLS_ERROR;
}

/* The target's 101: what it chose of what was offered. */
static int
on_answer(struct upstream *upstream, struct lws *wsi)
{
	lws_hdr_copy(wsi, upstream->target->protocol,
	    sizeof(upstream->target->protocol), WSI_TOKEN_PROTOCOL);
	if (!upstream->terms.accepted || upstream->terms.no_context_takeover)
		return 0;
	upstream->inflate = calloc(1, sizeof(*upstream->inflate));
	if (upstream->inflate == NULL)
		return -1;
	upstream->inflate->keep_context = true;
	return 0;
}

static void
on_established(struct upstream *upstream, struct lws *wsi)
{
	struct target *target = upstream->target;
	struct session *session = upstream->session;

	upstream->wsi = wsi;
	if (session == NULL) {
		kill_later(upstream);
		return;
	}
	timers_cancel(&upstream->bridge->timers, &upstream->timer);
	upstream->phase = PHASE_OPEN;
	upstream->target = NULL;
	session_opened(session, ps_slice_str(target->protocol));
	target_free(target);
}

static int
on_writable(struct upstream *upstream, struct lws *wsi)
{
	struct message *message = message_queue_at(&upstream->queue, 0);

	if (message == NULL) {
		/* libwebsockets sends no close frame from in here. */
		if (upstream->phase == PHASE_CLOSING && !upstream->close_sent)
			set_timer(upstream, 0);
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

/*
 * Ends the connection because the target breaks a rule: from a timer, since
 * libwebsockets still has the rest of what it read in hand.
 */
static int
reject(struct upstream *upstream, uint16_t code, const char *reason)
{
	if (upstream->phase == PHASE_OPEN) {
		message_queue_deinit(&upstream->queue);
		start_close(upstream, code, ps_slice_str(reason));
		set_timer(upstream, 0);
	}
	report_close(upstream, code, ps_slice_str(reason), false);
	return 0;
}

static int
deliver(struct upstream *upstream, enum ps_event_type type,
    struct ps_slice data)
{
	struct message *message = message_create(type, data);

	if (message == NULL)
		return reject(upstream, 1011, "out of memory");
	session_from_peer(upstream->session, message);
	return 0;
}

/*
 * The reserved bits of a frame (RFC 7692, section 6): RSV1 on the first frame
 * of a compressed message, and nowhere else.
 */
static bool
take_reserved_bits(struct upstream *upstream, struct lws *wsi)
{
	unsigned char bits = lws_get_reserved_bits(wsi);

	if (lws_is_first_fragment(wsi) && !upstream->assembly.waiting)
		upstream->rx_compressed =
		    upstream->terms.accepted && bits == 0x40;
	return bits == 0 || (upstream->rx_compressed && bits == 0x40);
}

/* So that targets that flood do not keep the loop from everybody else. */
static void
count_share(struct upstream *upstream, size_t len)
{
	uint64_t now_ms = upstream->bridge->now_ms();

	if (now_ms - upstream->share_since_ms >= SHARE_MS) {
		upstream->share_since_ms = now_ms;
		upstream->share_used = 0;
	}
	upstream->share_used += len;
	if (upstream->share_used > SHARE_BYTES)
		turns_note(&upstream->bridge->turns, &upstream->turn);
}

static struct deflate *
codec_of(struct upstream *upstream)
{
	return upstream->inflate != NULL ?
	    upstream->inflate :
	    &upstream->bridge->websocket->tools.deflate;
}

static int
on_receive(struct upstream *upstream, struct lws *wsi, const char *data,
    size_t len)
{
	struct assembly_part part = { .data = ps_slice(data, len),
		.left = lws_remaining_packet_payload(wsi),
		.last = lws_is_final_fragment(wsi) != 0,
		.text = lws_frame_is_binary(wsi) == 0 };
	struct ps_slice message;
	const char *reason;
	int ret;

	if (upstream->session == NULL)
		return 0;
	count_share(upstream, len);
	if (!take_reserved_bits(upstream, wsi))
		return reject(upstream, 1002, "reserved bits");
	part.compressed = upstream->rx_compressed;
	ret = assembly_add(&upstream->assembly, codec_of(upstream), &part,
	    session_max_message(upstream->session, NULL), &message, &reason);
	if (ret == 0)
		return 0;
	if (ret != ASSEMBLY_COMPLETE)
		return reject(upstream, (uint16_t)ret, reason);
	ret = deliver(upstream,
	    part.text ? PS_EVENT_TEXT : PS_EVENT_BINARY, message);
	assembly_release(&upstream->assembly, codec_of(upstream));
	return ret;
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
		report_close(upstream, upstream->close_code,
		    ps_slice(upstream->close_reason, upstream->close_len),
		    true);
	else
		report_close(upstream, 1006, ps_slice(NULL, 0), false);
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
		return on_answer(upstream, wsi);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		if (upstream != NULL)
			on_connection_error(upstream, wsi,
			    in == NULL ? "" : (const char *)in);
		return 0;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		on_established(upstream, wsi);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return on_receive(upstream, wsi, in, len);
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
			connect_next(upstream);
			return 0;
		}
		/* Told before by CLIENT_CLOSED, but for what went wrong. */
		report_close(upstream, 1006, ps_slice(NULL, 0), false);
		free_when_alone(upstream);
		return 0;
	default:
		return 0;
	}
}
