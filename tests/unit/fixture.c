#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <fastcgi.h>

struct bridge bridge;
struct fake_peer peer;
struct fake_receiver receiver, other_receiver;
struct fake_opener opener;
struct web_server web, other_web;

static uv_loop_t loop;
static bool has_loop;
static uint64_t clock_ms;

#define CLOCK_START_MS 1000000

static uint64_t
fixture_now(void)
{
	return clock_ms;
}

/* Noon of a day long ago, and as far from it as the other clock has gone. */
static int64_t
fixture_unix(void)
{
	return FIXTURE_NOON_S + (int64_t)(clock_ms - CLOCK_START_MS) / 1000;
}

void
fixture_set(const char *assignment)
{
	char error[PS_CONFIG_ERROR_MAX];

	if (ps_config_set(bridge.config, assignment, error) != PS_OK)
		fail_msg("%s", error);
}

int
fixture_setup(void **state)
{
	static const char *const assignments[] = { "queue_messages=4",
		"queue_bytes=40B", "max_message=20B", "connect_timeout=5s",
		"first_receiver_grace=15s", "receiver_grace=4s",
		"close_linger=13s", "stall_timeout=60s", "stream_bytes=4KiB",
		"reply_bytes=1000B" };
	struct ps_config *config = ps_config_create();
	size_t i;

	(void)state;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_ERROR);
	clock_ms = CLOCK_START_MS;
	has_loop = false;
	if (config == NULL || bridge_init(&bridge, config) != PS_OK)
		return -1;
	bridge.now_ms = fixture_now;
	bridge.unix_s = fixture_unix;
	for (i = 0; i < ROWS(assignments); i++)
		fixture_set(assignments[i]);
	peer = (struct fake_peer){ .room_count = SIZE_MAX,
		.room_bytes = SIZE_MAX };
	receiver = other_receiver = (struct fake_receiver){ 0 };
	opener = (struct fake_opener){ 0 };
	web = other_web = (struct web_server){ .fd = -1 };
	return 0;
}

int
fixture_setup_loop(void **state)
{
	if (fixture_setup(state) != 0 || uv_loop_init(&loop) != 0)
		return -1;
	has_loop = true;
	return bridge_start(&bridge, &loop);
}

void
web_server_close(struct web_server *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

static void
web_server_deinit(struct web_server *w)
{
	web_server_close(w);
	ps_writer_deinit(&w->raw);
	ps_writer_deinit(&w->out);
}

int
fixture_teardown(void **state)
{
	struct session *session;
	int ret = 0;

	(void)state;
	while ((session = TAILQ_FIRST(&bridge.sessions)) != NULL)
		session_end(session, "test over");
	web_server_deinit(&web);
	web_server_deinit(&other_web);
	fixture_turn();
	if (!LIST_EMPTY(&bridge.exchanges) || bridge.n_held != 0)
		return -1; /* one was not told that its other end is gone */
	if (has_loop) {
		bridge_stop(&bridge);
		uv_run(&loop, UV_RUN_DEFAULT);
		ret = uv_loop_close(&loop); /* fails with a handle left */
	}
	bridge_deinit(&bridge);
	ps_writer_deinit(&peer.sent);
	ps_writer_deinit(&receiver.got);
	ps_writer_deinit(&other_receiver.got);
	return ret;
}

void
fixture_turn(void)
{
	/* More than one turn: what a callback does may make another ready. */
	for (int i = 0; has_loop && i < 4; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	if (!has_loop)
		fanout_serve(&bridge.fanout);
	bridge_free_garbage(&bridge);
}

void
fixture_advance(uint64_t ms)
{
	clock_ms += ms;
	timers_run(&bridge.timers, clock_ms, 1000);
	fixture_turn();
}

static void
put_message(struct ps_writer *w, const struct message *message)
{
	struct ps_slice data = message_slice(message);

	ps_writer_str(w, message->type == PS_EVENT_TEXT ? "t:" : "b:");
	ps_writer_bytes(w, data.data, data.len);
	ps_writer_str(w, ";");
}

static const char *
peer_find_excess(void *of, size_t count, size_t bytes)
{
	struct fake_peer *p = of;

	if (count > p->room_count)
		return "queue_messages";
	return bytes > p->room_bytes ? "queue_bytes" : NULL;
}

static bool
peer_send(void *of, struct message *message)
{
	struct fake_peer *p = of;

	if (p->fail_send)
		return false;
	put_message(&p->sent, message);
	p->n_sent++;
	message_unref(message);
	return true;
}

static void
peer_count_queued(void *of, size_t *count_r, size_t *bytes_r)
{
	struct fake_peer *p = of;

	*count_r = p->queued_count;
	*bytes_r = p->queued_bytes;
}

static void
peer_pause(void *of)
{
	((struct fake_peer *)of)->n_pause++;
}

static void
peer_resume(void *of)
{
	struct fake_peer *p = of;

	p->n_resume++;
	if (p->on_resume != NULL)
		p->on_resume();
}

static void
peer_close(void *of, uint16_t code, struct ps_slice reason)
{
	struct fake_peer *p = of;

	p->n_close++;
	p->close_code = code;
	snprintf(p->close_reason, sizeof(p->close_reason), "%.*s",
	    (int)reason.len, reason.data);
}

static void
peer_abandon(void *of, uint16_t code)
{
	struct fake_peer *p = of;

	p->n_abandon++;
	p->abandon_code = code;
}

static const struct peer_ops peer_ops = { peer_find_excess, peer_send,
	peer_count_queued, peer_pause, peer_resume, NULL, peer_close,
	peer_abandon };

static void
receiver_deliver(struct receiver *of)
{
	struct fake_receiver *r = (struct fake_receiver *)of;

	r->n_deliver++;
	if (r->on_deliver != NULL)
		r->on_deliver(r);
	if (!r->greedy)
		return;
	fixture_take(of->session, r);
	session_confirm(of->session);
}

static void
receiver_expire(struct receiver *of)
{
	struct fake_receiver *r = (struct fake_receiver *)of;

	r->n_expire++;
	of->deadline_ms =
	    r->hold_ms == 0 ? UINT64_MAX : clock_ms + r->hold_ms;
	if (r->on_expire != NULL)
		r->on_expire(r);
}

static void
receiver_release(struct receiver *of)
{
	struct fake_receiver *r = (struct fake_receiver *)of;

	r->n_release++;
	if (r->on_release != NULL)
		r->on_release(r);
}

static const struct receiver_ops receiver_ops = { receiver_deliver,
	receiver_expire, receiver_release };

static void
opener_opened(void *of, struct ps_slice protocol)
{
	struct fake_opener *o = of;

	o->n_opened++;
	snprintf(o->protocol, sizeof(o->protocol), "%.*s", (int)protocol.len,
	    protocol.data == NULL ? "" : protocol.data);
}

static void
opener_failed(void *of, enum ps_code code, int http_status)
{
	struct fake_opener *o = of;

	o->n_failed++;
	o->code = code;
	o->http_status = http_status;
}

static const struct opener_ops opener_ops = { opener_opened, opener_failed };

struct quota *
fixture_quota(void)
{
	struct quota *quota = quotas_get(&bridge.quotas, 1);

	assert_non_null(quota);
	return quota;
}

struct session *
fixture_connecting_of(struct quota *quota)
{
	struct refusal refusal;
	struct session *session = session_create(&bridge,
	    ps_slice_str("192.0.2.1"), quota, &refusal);

	assert_non_null(session);
	session_set_opener(session, &opener_ops, &opener);
	session_set_peer(session, &peer_ops, &peer);
	return session;
}

struct session *
fixture_connecting(void)
{
	return fixture_connecting_of(fixture_quota());
}

struct session *
fixture_open(void)
{
	struct session *session = fixture_connecting();

	session_opened(session, ps_slice(NULL, 0));
	return session;
}

void
fixture_from_peer(struct session *session, const char *text)
{
	struct message *message =
	    message_create(PS_EVENT_TEXT, ps_slice_str(text));

	assert_non_null(message);
	session_from_peer(session, message);
}

void
fixture_large_from_peer(struct session *session)
{
	static char text[FIXTURE_LARGE + 1];

	memset(text, 'x', FIXTURE_LARGE);
	fixture_from_peer(session, text);
}

int
fixture_send(struct session *session, const char *events, bool more,
    const char **limit_r)
{
	return fixture_send_from(session, 0, events, more, limit_r);
}

int
fixture_send_from(struct session *session, uint64_t first, const char *events,
    bool more, const char **limit_r)
{
	struct ps_ipc_send m = { .socket = ps_slice_str(session->id),
		.more = more,
		.first = first };
	struct ps_writer frame = { 0 };
	struct ps_reader r;
	uint16_t count = 0;
	int ret;

	ps_ipc_send_begin(&frame, &m);
	while (*events != '\0') {
		size_t begin = ps_ipc_event_begin(&frame,
		    *events == 't' ? PS_EVENT_TEXT : PS_EVENT_BINARY);
		size_t len = strcspn(events + 2, ";");

		ps_writer_bytes(&frame, events + 2, len);
		ps_ipc_event_end(&frame, begin);
		events += len + 3;
		count++;
	}
	ps_ipc_events_end(&frame, count);
	ps_reader_init(&r, frame.data + 5, frame.len - 5);
	assert_int_equal(ps_ipc_decode_send(&r, &m), PS_OK);
	ret = session_from_client(session, &m, limit_r);
	ps_writer_deinit(&frame);
	return ret;
}

static int
attach(struct session *session, struct fake_receiver *r, uint64_t hold_ms,
    enum session_delivery delivery, const uint64_t *ack)
{
	int ret = session_acknowledge(session, ack);

	if (ret != PS_OK)
		return ret;
	r->receiver.ops = &receiver_ops;
	r->receiver.deadline_ms = clock_ms + hold_ms;
	session_attach(session, &r->receiver, delivery);
	return PS_OK;
}

bool
fixture_attach(struct session *session, struct fake_receiver *r,
    uint64_t hold_ms)
{
	return attach(session, r, hold_ms, SESSION_FORGETS, NULL) == PS_OK;
}

int
fixture_attach_ack(struct session *session, struct fake_receiver *r,
    uint64_t ack)
{
	return attach(session, r, UINT32_MAX, SESSION_KEEPS, &ack);
}

int
fixture_attach_keeping(struct session *session, struct fake_receiver *r)
{
	return attach(session, r, UINT32_MAX, SESSION_KEEPS, NULL);
}

int
fixture_attach_breaking(struct session *session, struct fake_receiver *r)
{
	return attach(session, r, UINT32_MAX, SESSION_BREAKS, NULL);
}

void
fixture_take(struct session *session, struct fake_receiver *r)
{
	struct message *message;
	bool with_close;
	uint32_t n = 0;

	while ((message = session_unsent(session, n)) != NULL) {
		put_message(&r->got, message);
		n++;
	}
	with_close = session_unsent_close(session, n) != NULL;
	if (with_close)
		ps_writer_str(&r->got, "close;");
	session_take(session, n, with_close);
}

int
web_server_open(struct web_server *w)
{
	int fds[2];

	web_server_deinit(w);
	*w = (struct web_server){ .fd = -1 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
			     fds),
	    0);
	w->fd = fds[0];
	assert_int_equal(fcntl(w->fd, F_SETFL, O_NONBLOCK), 0);
	return fds[1];
}

struct exchange *
fixture_exchange(struct web_server *w, const struct ps_style *style)
{
	struct ps_ipc_request request = { .id = REQUEST_ID };
	struct exchange *exchange;

	if (style != NULL)
		request.style = *style;
	exchange = exchange_create(&bridge, web_server_open(w), &request);
	assert_non_null(exchange);
	return exchange;
}

/* One whole record; false when it is not there yet. */
static bool
take_record(struct web_server *w, size_t *at)
{
	const FCGI_Header *header = (FCGI_Header *)(w->raw.data + *at);
	const FCGI_EndRequestBody *end;
	size_t len;

	if (w->raw.len - *at < sizeof(*header))
		return false;
	len = (size_t)header->contentLengthB1 << 8 | header->contentLengthB0;
	if (w->raw.len - *at < sizeof(*header) + len + header->paddingLength)
		return false;
	assert_int_equal(header->version, FCGI_VERSION_1);
	assert_int_equal(header->requestIdB1 << 8 | header->requestIdB0,
	    REQUEST_ID);
	assert_false(w->ended);
	*at += sizeof(*header);
	if (header->type == FCGI_END_REQUEST) {
		end = (FCGI_EndRequestBody *)(w->raw.data + *at);
		assert_int_equal(len, sizeof(*end));
		assert_int_equal(end->protocolStatus, FCGI_REQUEST_COMPLETE);
		assert_true(w->out_ended);
		w->ended = true;
	} else {
		assert_int_equal(header->type, FCGI_STDOUT);
		assert_false(w->out_ended);
		w->out_ended = len == 0;
		w->n_records += len > 0;
		w->largest = len > w->largest ? len : w->largest;
		ps_writer_bytes(&w->out, w->raw.data + *at, len);
	}
	*at += len + header->paddingLength;
	return true;
}

void
web_server_read(struct web_server *w)
{
	size_t at = 0;
	ssize_t n;

	while ((n = read(w->fd, ps_writer_reserve(&w->raw, 65536), 65536)) > 0)
		w->raw.len += (size_t)n;
	w->eof = n == 0;
	while (take_record(w, &at))
		;
	w->raw.len -= at;
	memmove(w->raw.data, w->raw.data + at, w->raw.len);
}

void
web_server_read_all(struct web_server *w)
{
	size_t before;

	do {
		before = w->out.len;
		fixture_turn();
		web_server_read(w);
	} while (!w->ended && w->out.len > before);
}
