#include "config.h"

#include "upstream.h"

#include <stdlib.h>

#include "ps_log.h"
#include "ps_utf8.h"
#include "resolver.h"
#include "websocket.h"

_Static_assert(MESSAGE_HEADROOM >= LWS_PRE,
    "libwebsockets needs more room in front of a message");

/* A target that does not answer our close frame in time is cut off. */
#define CLOSE_TIMEOUT_MS 3000
/* The buffer a large message has grown is given back. */
#define RX_KEEP 4096
/* "[" IPv6 "]:65535" or name and port. */
#define HOST_HEADER_MAX (PS_HOST_MAX + 9)

enum phase {
	PHASE_RESOLVING,
	PHASE_CONNECTING, /* TCP, TLS and handshake */
	PHASE_OPEN,
	PHASE_CLOSING, /* our close frame is to be sent, or was */
};

/* What is needed only until the handshake is done. */
struct target {
	bool tls;
	uint16_t port;
	char *host, *path, *origin, *protocols;
	char protocol[PS_PROTOCOLS_MAX + 1]; /* that the target chose */
	struct resolver_result addresses;
	size_t next; /* address to be tried */
	struct resolution *resolution;
	enum ps_code failure; /* of the last attempt */
	int http_status;
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
	struct ps_writer rx; /* a message that is not complete yet */
	struct timer close_timer;
	uint16_t close_code; /* ours, or the target's; 0: none came */
	uint8_t close_len;
	bool peer_closed; /* the target sent a close frame */
	char close_reason[PS_CLOSE_REASON_MAX];
};

static void
target_free(struct target *target)
{
	if (target == NULL)
		return;
	resolver_cancel(target->resolution);
	free(target->host);
	free(target->path);
	free(target->origin);
	free(target->protocols);
	free(target);
}

static void
destroy(struct garbage *garbage)
{
	struct upstream *upstream = (struct upstream *)garbage;

	target_free(upstream->target);
	message_queue_deinit(&upstream->queue);
	ps_writer_deinit(&upstream->rx);
	free(upstream);
}

/* When neither the session nor libwebsockets refers to it any more. */
static void
free_when_alone(struct upstream *upstream)
{
	if (upstream->session != NULL || upstream->wsi != NULL)
		return;
	timers_cancel(&upstream->bridge->timers, &upstream->close_timer);
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

/* The Host header: without the port where it is the scheme's default. */
static void
host_header(const struct target *target, char *out)
{
	bool is_ipv6 = strchr(target->host, ':') != NULL;
	int len = snprintf(out, HOST_HEADER_MAX, is_ipv6 ? "[%s]" : "%s",
	    target->host);

	if (target->port != (target->tls ? 443 : 80))
		snprintf(out + len, HOST_HEADER_MAX - (size_t)len, ":%u",
		    target->port);
}

static bool
start_attempt(struct upstream *upstream, const char *address)
{
	struct target *target = upstream->target;
	struct websocket *websocket = upstream->bridge->websocket;
	char host[HOST_HEADER_MAX];
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
		.pwsi = &upstream->wsi,
		.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT |
		    (target->tls ? LCCSCF_USE_SSL : 0),
	};

	host_header(target, host);
	upstream->attempting = true;
	if (lws_client_connect_via_info(&info) == NULL)
		upstream->wsi = NULL;
	upstream->attempting = false;
	return upstream->wsi != NULL;
}

/* Tries one address after the other, until one takes the connection. */
static void
connect_next(struct upstream *upstream)
{
	struct target *target = upstream->target;

	upstream->phase = PHASE_CONNECTING;
	while (upstream->session != NULL &&
	    target->next < target->addresses.count) {
		if (start_attempt(upstream,
			target->addresses.addresses[target->next++]))
			return;
	}
	fail(upstream, target->failure, target->http_status);
}

static void
on_resolved(void *owner, const struct resolver_result *result)
{
	struct upstream *upstream = owner;
	struct target *target = upstream->target;

	target->resolution = NULL;
	target->addresses = *result;
	if (result->count == 0)
		fail(upstream, PS_CODE_DNS_FAILURE, 0);
	else
		connect_next(upstream);
}

static char *
copy_text(struct ps_slice text)
{
	return strndup(text.data == NULL ? "" : text.data, text.len);
}

static struct target *
target_create(const struct ps_ipc_create *m)
{
	struct target *target = calloc(1, sizeof(*target));

	if (target == NULL)
		return NULL;
	target->tls = m->tls;
	target->port = m->port;
	target->failure = PS_CODE_CONNECT_REFUSED;
	target->host = copy_text(m->host);
	target->path = copy_text(m->path);
	target->origin = copy_text(m->origin);
	target->protocols = copy_text(m->protocols);
	if (target->host == NULL || target->path == NULL ||
	    target->origin == NULL || target->protocols == NULL) {
		target_free(target);
		return NULL;
	}
	return target;
}

static bool
has_room(void *peer, size_t count, size_t bytes)
{
	const struct upstream *upstream = peer;
	const struct ps_config *config = upstream->bridge->config;

	/* One message always fits an empty queue, however large it may be. */
	return upstream->queue.count == 0 ||
	    (upstream->queue.count + count <= config->queue_messages &&
		upstream->queue.bytes + bytes <= config->queue_bytes);
}

static bool
queue_message(void *peer, struct message *message)
{
	struct upstream *upstream = peer;

	if (!message_queue_push(&upstream->queue, message))
		return false;
	lws_callback_on_writable(upstream->wsi);
	return true;
}

static void
pause_reading(void *peer)
{
	lws_rx_flow_control(((struct upstream *)peer)->wsi, 0);
}

static void
resume_reading(void *peer)
{
	lws_rx_flow_control(((struct upstream *)peer)->wsi, 1);
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
	timers_set(&upstream->bridge->timers, &upstream->close_timer,
	    upstream->bridge->now_ms() + CLOSE_TIMEOUT_MS);
	lws_callback_on_writable(upstream->wsi);
}

static void
close_upstream(void *peer, uint16_t code, struct ps_slice reason)
{
	start_close(peer, code, reason);
}

static void
kill_connection(struct upstream *upstream)
{
	if (upstream->wsi != NULL)
		lws_set_timeout(upstream->wsi, PENDING_TIMEOUT_CLOSE_SEND,
		    LWS_TO_KILL_ASYNC);
}

static void
abandon(void *peer, uint16_t code)
{
	struct upstream *upstream = peer;

	upstream->session = NULL;
	if (upstream->phase == PHASE_OPEN)
		start_close(upstream, code, ps_slice(NULL, 0));
	else if (upstream->phase == PHASE_CONNECTING)
		kill_connection(upstream);
	if (upstream->target != NULL) {
		resolver_cancel(upstream->target->resolution);
		upstream->target->resolution = NULL;
	}
	free_when_alone(upstream);
}

static const struct peer_ops peer_ops = { has_room, queue_message,
	pause_reading, resume_reading, close_upstream, abandon };

static void
on_close_timeout(struct timer *timer)
{
	struct upstream *upstream = (struct upstream *)((char *)timer -
	    offsetof(struct upstream, close_timer));

	report_close(upstream, 1006, ps_slice(NULL, 0), false);
	kill_connection(upstream);
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
	upstream->close_timer.fire = on_close_timeout;
	session_set_peer(session, &peer_ops, upstream);
	if (resolver_is_address(target->host)) {
		target->addresses.count = 1;
		snprintf(target->addresses.addresses[0], PS_ADDRESS_MAX, "%s",
		    target->host);
		connect_next(upstream);
		return;
	}
	target->resolution = resolver_start(upstream->bridge->loop,
	    target->host, on_resolved, upstream);
	if (target->resolution == NULL)
		fail(upstream, PS_CODE_DNS_FAILURE, 0);
}

static int
append_header(const char *name, const char *value, char **p, const char *end)
{
	if ((size_t)(end - *p) < strlen(name) + strlen(value) + 5)
		return -1;
	*p += sprintf(*p, "%s: %s\r\n", name, value);
	return 0;
}

static int
append_headers(struct upstream *upstream, char **p, size_t len)
{
	const char *end = *p + len;

	if (append_header("User-Agent", "polysocket/" PACKAGE_VERSION, p,
		end))
		return -1;
	if (*upstream->target->origin == '\0')
		return 0;
	return append_header("Origin", upstream->target->origin, p, end);
}

/*
 * The word for why an attempt failed. libwebsockets tells by text only, so
 * what is known for sure comes first: an HTTP status, then how far it got.
 */
static void
on_connection_error(struct upstream *upstream, struct lws *wsi,
    const char *text)
{
	struct target *target = upstream->target;

	if (target == NULL)
		return;
	target->http_status = (int)lws_http_client_http_response(wsi);
	ps_debug("upstream: %s:%u: attempt failed (%s)", target->host,
	    target->port, text);
	if (target->http_status != 0 || strncmp(text, "HS: ", 4) == 0)
		target->failure = PS_CODE_HANDSHAKE_REJECTED;
	else if (target->tls && strstr(text, "SSL") != NULL)
		target->failure = PS_CODE_TLS_ERROR;
}

static void
on_established(struct upstream *upstream, struct lws *wsi)
{
	struct target *target = upstream->target;
	struct session *session = upstream->session;

	upstream->wsi = wsi;
	if (session == NULL) {
		kill_connection(upstream);
		return;
	}
	upstream->phase = PHASE_OPEN;
	upstream->target = NULL;
	session_opened(session, ps_slice_str(target->protocol));
	target_free(target);
}

static int
on_writable(struct upstream *upstream, struct lws *wsi)
{
	struct message *message = message_queue_at(&upstream->queue, 0);
	int written;

	if (message != NULL) {
		written = lws_write(wsi, message_data(message), message->len,
		    message->type == PS_EVENT_TEXT ? LWS_WRITE_TEXT :
						     LWS_WRITE_BINARY);
		if (written < (int)message->len)
			return -1;
		message_queue_pop(&upstream->queue);
		if (upstream->queue.count > 0 ||
		    upstream->phase == PHASE_CLOSING)
			lws_callback_on_writable(wsi);
		return 0;
	}
	if (upstream->phase != PHASE_CLOSING)
		return 0;
	lws_close_reason(wsi, (enum lws_close_status)upstream->close_code,
	    (unsigned char *)upstream->close_reason, upstream->close_len);
	return -1;
}

/* Ends the connection because the target breaks a rule. */
static int
reject(struct upstream *upstream, struct lws *wsi, uint16_t code,
    const char *reason)
{
	lws_close_reason(wsi, (enum lws_close_status)code,
	    (unsigned char *)(uintptr_t)reason, strlen(reason));
	report_close(upstream, code, ps_slice_str(reason), false);
	return -1;
}

static int
deliver(struct upstream *upstream, struct lws *wsi, struct ps_slice data)
{
	enum ps_event_type type =
	    lws_frame_is_binary(wsi) ? PS_EVENT_BINARY : PS_EVENT_TEXT;
	struct message *message;

	if (type == PS_EVENT_TEXT && !ps_utf8_is_valid(data.data, data.len))
		return reject(upstream, wsi, 1007, "invalid UTF-8");
	message = message_create(type, data);
	if (message == NULL)
		return reject(upstream, wsi, 1011, "out of memory");
	session_from_peer(upstream->session, message);
	return 0;
}

/* Parts of a message are put together; most messages come in one. */
static int
on_receive(struct upstream *upstream, struct lws *wsi, const char *data,
    size_t len)
{
	size_t max = upstream->bridge->config->max_message;
	struct ps_writer *rx = &upstream->rx;
	bool last = lws_is_final_fragment(wsi) &&
	    lws_remaining_packet_payload(wsi) == 0;
	int ret;

	if (upstream->session == NULL)
		return 0;
	if (len > max || rx->len > max - len)
		return reject(upstream, wsi, 1009, "message too large");
	if (last && rx->len == 0)
		return deliver(upstream, wsi, ps_slice(data, len));
	ps_writer_bytes(rx, data, len);
	if (rx->failed)
		return reject(upstream, wsi, 1011, "out of memory");
	if (!last)
		return 0;
	ret = deliver(upstream, wsi, ps_slice(rx->data, rx->len));
	ps_writer_reset(rx);
	ps_writer_trim(rx, RX_KEEP);
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

static void
on_closed(struct upstream *upstream)
{
	bool was_clean =
	    upstream->peer_closed || upstream->phase == PHASE_CLOSING;

	if (was_clean)
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
		return append_headers(upstream, in, len);
	case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
		lws_hdr_copy(wsi, upstream->target->protocol,
		    sizeof(upstream->target->protocol), WSI_TOKEN_PROTOCOL);
		return 0;
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
		on_closed(upstream);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		if (upstream == NULL)
			return 0;
		upstream->wsi = NULL;
		if (upstream->attempting)
			return 0;
		if (upstream->phase == PHASE_CONNECTING &&
		    upstream->session != NULL)
			connect_next(upstream);
		else
			free_when_alone(upstream);
		return 0;
	default:
		return 0;
	}
}
