#include "config.h"

#include "unit.h"

#include "ps_ipc.h"
#include "ps_limits.h"

/* One message of each type, with something in every field. */

static const struct ps_ipc_request request = { .id = 0x1234,
	.style = { .flags = PS_STYLE__ALL,
	    .callback = { "cb", 2 },
	    .origin = { "http://a", 8 },
	    .cookie = { "JSESSIONID=1", 12 },
	    .allow_headers = { "X-A, X-B", 8 } } };

static void
assert_request(const struct ps_ipc_request *m)
{
	assert_int_equal(m->id, request.id);
	assert_int_equal(m->style.flags, request.style.flags);
	assert_slice(m->style.callback, "cb");
	assert_slice(m->style.origin, "http://a");
	assert_slice(m->style.cookie, "JSESSIONID=1");
	assert_slice(m->style.allow_headers, "X-A, X-B");
}

static void
encode_hello(struct ps_writer *w)
{
	ps_ipc_encode_hello(w,
	    &(struct ps_ipc_hello){ PS_IPC_VERSION, 0x03040506,
		ps_slice_str("abcdefghijklm"), true });
}

static int
decode_hello(struct ps_reader *r)
{
	struct ps_ipc_hello m;
	int ret = ps_ipc_decode_hello(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_int_equal(m.version, PS_IPC_VERSION);
	assert_int_equal(m.pid, 0x03040506);
	assert_slice(m.tag, "abcdefghijklm");
	assert_true(m.draining);
	return PS_OK;
}

static const struct ps_ipc_rights rights = { .token_id = INT64_MIN + 1,
	.revision = 0x0102030405060708,
	.limits = { { 0, 1, 0xfffefdfcfbfaf9f8, 3, 4, PS_NO_LIMIT } } };

static void
assert_rights(const struct ps_ipc_rights *m)
{
	assert_true(m->token_id == INT64_MIN + 1);
	assert_true(m->revision == 0x0102030405060708);
	assert_int_equal(PS_TOKEN_LIMIT__COUNT, 6);
	assert_true(m->limits.value[PS_LIMIT_SOCKETS] == 0);
	assert_true(m->limits.value[PS_LIMIT_CREATES_PER_MINUTE] == 1);
	assert_true(m->limits.value[PS_LIMIT_MESSAGES_PER_DAY] ==
	    0xfffefdfcfbfaf9f8);
	assert_true(m->limits.value[PS_LIMIT_BYTES_PER_DAY] == 3);
	assert_true(m->limits.value[PS_LIMIT_MESSAGE_BYTES] == 4);
	assert_true(m->limits.value[PS_LIMIT_QUEUE_BYTES] == PS_NO_LIMIT);
}

static void
encode_create(struct ps_writer *w)
{
	ps_ipc_encode_create(w,
	    &(struct ps_ipc_create){ .request = request,
		.tls = true,
		.port = 65535,
		.host = ps_slice_str("host"),
		.path = ps_slice_str("/path?query"),
		.origin = ps_slice_str("https://b"),
		.protocols = ps_slice_str("one,two"),
		.agent = ps_slice_str("agent-1"),
		.remote_addr = ps_slice_str("192.0.2.1"),
		.public_host = ps_slice_str("relay:81"),
		.rights = rights });
}

static int
decode_create(struct ps_reader *r)
{
	struct ps_ipc_create m;
	int ret = ps_ipc_decode_create(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_true(m.tls);
	assert_int_equal(m.port, 65535);
	assert_slice(m.host, "host");
	assert_slice(m.path, "/path?query");
	assert_slice(m.origin, "https://b");
	assert_slice(m.protocols, "one,two");
	assert_slice(m.agent, "agent-1");
	assert_slice(m.remote_addr, "192.0.2.1");
	assert_slice(m.public_host, "relay:81");
	assert_rights(&m.rights);
	return PS_OK;
}

static void
put_event(struct ps_writer *w, enum ps_event_type type, const char *data)
{
	size_t begin = ps_ipc_event_begin(w, type);

	ps_writer_str(w, data);
	ps_ipc_event_end(w, begin);
}

/*
 * The count of the events is the last of the body, so that a body cut behind
 * the first two bytes of an event of type 0 would be one without events.
 */
static void
encode_send(struct ps_writer *w)
{
	ps_ipc_send_begin(w,
	    &(struct ps_ipc_send){ .request = request,
		.socket = ps_slice_str("socket"),
		.member = { ps_slice_str("news"), ps_slice_str("client_a") },
		.more = true,
		.first = 0xf1f2f3f4f5f6f7f8 });
	put_event(w, PS_EVENT_BINARY, "binary");
	put_event(w, PS_EVENT_TEXT, "text");
	put_event(w, PS_EVENT_BINARY, "");
	ps_ipc_events_end(w, 3);
}

static int
decode_send(struct ps_reader *r)
{
	struct ps_ipc_send m;
	struct ps_slice data;
	int ret = ps_ipc_decode_send(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket, "socket");
	assert_slice(m.member.channel, "news");
	assert_slice(m.member.client, "client_a");
	assert_true(m.more);
	assert_true(m.first == 0xf1f2f3f4f5f6f7f8);
	assert_int_equal(m.count, 3);
	assert_int_equal(ps_ipc_next_event(&m.events, &data), PS_EVENT_BINARY);
	assert_slice(data, "binary");
	assert_int_equal(ps_ipc_next_event(&m.events, &data), PS_EVENT_TEXT);
	assert_slice(data, "text");
	assert_int_equal(ps_ipc_next_event(&m.events, &data), PS_EVENT_BINARY);
	assert_int_equal(data.len, 0);
	assert_true(ps_reader_done(&m.events));
	return PS_OK;
}

static void
encode_receive(struct ps_writer *w)
{
	ps_ipc_encode_receive(w,
	    &(struct ps_ipc_receive){ .request = request,
		.socket = ps_slice_str("socket"),
		.member = { ps_slice_str("news"), ps_slice_str("client_a") },
		.dialect = PS_DIALECT_POLYSOCKETD,
		.framing = PS_IPC_FRAMING_EVENTSOURCE,
		.hold_ms = 0xfedcba98,
		.acknowledges = true,
		.ack = 0x8182838485868788 });
}

static int
decode_receive(struct ps_reader *r)
{
	struct ps_ipc_receive m;
	int ret = ps_ipc_decode_receive(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket, "socket");
	assert_slice(m.member.channel, "news");
	assert_slice(m.member.client, "client_a");
	assert_int_equal(m.dialect, PS_DIALECT_POLYSOCKETD);
	assert_int_equal(m.framing, PS_IPC_FRAMING_EVENTSOURCE);
	assert_true(m.hold_ms == 0xfedcba98);
	assert_true(m.acknowledges);
	assert_true(m.ack == 0x8182838485868788);
	return PS_OK;
}

static void
encode_close(struct ps_writer *w)
{
	ps_ipc_encode_close(w,
	    &(struct ps_ipc_close){ .request = request,
		.socket = ps_slice_str("socket"),
		.code = 4999,
		.reason = ps_slice_str("reason") });
}

static int
decode_close(struct ps_reader *r)
{
	struct ps_ipc_close m;
	int ret = ps_ipc_decode_close(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket, "socket");
	assert_int_equal(m.code, 4999);
	assert_slice(m.reason, "reason");
	return PS_OK;
}

static void
encode_check(struct ps_writer *w)
{
	ps_ipc_encode_check(w,
	    &(struct ps_ipc_check){ request, ps_slice_str("socket"),
		{ ps_slice_str("news"), ps_slice_str("client_a") } });
}

static int
decode_check(struct ps_reader *r)
{
	struct ps_ipc_check m;
	int ret = ps_ipc_decode_check(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket, "socket");
	assert_slice(m.member.channel, "news");
	assert_slice(m.member.client, "client_a");
	return PS_OK;
}

static void
encode_refuse(struct ps_writer *w)
{
	ps_ipc_encode_refuse(w,
	    &(struct ps_ipc_refuse){ request, -0x0102030405060708,
		PS_CODE_TARGET_REFUSED });
}

static int
decode_refuse(struct ps_reader *r)
{
	struct ps_ipc_refuse m;
	int ret = ps_ipc_decode_refuse(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_true(m.token_id == -0x0102030405060708);
	assert_int_equal(m.code, PS_CODE_TARGET_REFUSED);
	return PS_OK;
}

static void
encode_ready(struct ps_writer *w)
{
	ps_ipc_encode_ready(w, &(struct ps_ipc_ready){ request });
}

static int
decode_ready(struct ps_reader *r)
{
	struct ps_ipc_ready m;
	int ret = ps_ipc_decode_ready(r, &m);

	if (ret == PS_OK)
		assert_request(&m.request);
	return ret;
}

static void
encode_probe(struct ps_writer *w)
{
	ps_ipc_encode_probe(w, &(struct ps_ipc_probe){ request });
}

static int
decode_probe(struct ps_reader *r)
{
	struct ps_ipc_probe m;
	int ret = ps_ipc_decode_probe(r, &m);

	if (ret == PS_OK)
		assert_request(&m.request);
	return ret;
}

static void
encode_stats(struct ps_writer *w)
{
	ps_ipc_encode_stats(w,
	    &(struct ps_ipc_stats){ request, PS_IPC_STATS_PROMETHEUS });
}

static int
decode_stats(struct ps_reader *r)
{
	struct ps_ipc_stats m;
	int ret = ps_ipc_decode_stats(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_int_equal(m.format, PS_IPC_STATS_PROMETHEUS);
	return PS_OK;
}

/* Its count of events is the last of the body, as of SEND. */
static void
encode_emit(struct ps_writer *w)
{
	ps_ipc_emit_begin(w,
	    &(struct ps_ipc_emit){ .request = request,
		.channel = ps_slice_str("news"),
		.rights = rights,
		.clients = PS_IPC_CLIENTS_NUMBER,
		.number = 0x01020304,
		.listed = ps_slice_str("client_a,client_b"),
		.batch = true,
		.requires_ack = true,
		.min_acks = 0x05060708,
		.key = ps_slice_str("once") });
	put_event(w, PS_EVENT_TEXT, "{\"a\":1}");
	put_event(w, PS_EVENT_TEXT, "2");
	ps_ipc_events_end(w, 2);
}

static int
decode_emit(struct ps_reader *r)
{
	struct ps_ipc_emit m;
	struct ps_slice data;
	int ret = ps_ipc_decode_emit(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.channel, "news");
	assert_rights(&m.rights);
	assert_int_equal(m.clients, PS_IPC_CLIENTS_NUMBER);
	assert_int_equal(m.number, 0x01020304);
	assert_slice(m.listed, "client_a,client_b");
	assert_true(m.batch && m.requires_ack);
	assert_int_equal(m.min_acks, 0x05060708);
	assert_slice(m.key, "once");
	assert_int_equal(m.count, 2);
	assert_int_equal(ps_ipc_next_event(&m.events, &data), PS_EVENT_TEXT);
	assert_slice(data, "{\"a\":1}");
	assert_int_equal(ps_ipc_next_event(&m.events, &data), PS_EVENT_TEXT);
	assert_slice(data, "2");
	return PS_OK;
}

static void
encode_listen(struct ps_writer *w)
{
	ps_ipc_encode_listen(
	    w, &(struct ps_ipc_listen){
		   request, ps_slice_str("news"), rights,
		   ps_slice_str("https://b"), ps_slice_str("agent-1"),
		   ps_slice_str("192.0.2.1"), ps_slice_str("{\"name\":1}"),
		   ps_slice_str("evt_12345678"), ps_slice_str("aabcdef.key"),
		   UINT64_C(0x0102030405060708), PS_IPC_FRAMING_EVENTSOURCE,
		   0x01020304 });
}

static int
decode_listen(struct ps_reader *r)
{
	struct ps_ipc_listen m;
	int ret = ps_ipc_decode_listen(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.channel, "news");
	assert_rights(&m.rights);
	assert_slice(m.origin, "https://b");
	assert_slice(m.agent, "agent-1");
	assert_slice(m.remote_addr, "192.0.2.1");
	assert_slice(m.presence, "{\"name\":1}");
	assert_slice(m.since, "evt_12345678");
	assert_slice(m.key, "aabcdef.key");
	assert_int_equal(m.ack, UINT64_C(0x0102030405060708));
	assert_int_equal(m.framing, PS_IPC_FRAMING_EVENTSOURCE);
	assert_int_equal(m.hold_ms, 0x01020304);
	return PS_OK;
}

static void
encode_members(struct ps_writer *w)
{
	ps_ipc_encode_members(w,
	    &(struct ps_ipc_members){ request, ps_slice_str("news") });
}

static int
decode_members(struct ps_reader *r)
{
	struct ps_ipc_members m;
	int ret = ps_ipc_decode_members(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.channel, "news");
	return PS_OK;
}

static void
encode_history(struct ps_writer *w)
{
	ps_ipc_encode_history(w,
	    &(struct ps_ipc_history){ request, ps_slice_str("news"),
		ps_slice_str("evt_12345678"), 0x01020304 });
}

static int
decode_history(struct ps_reader *r)
{
	struct ps_ipc_history m;
	int ret = ps_ipc_decode_history(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.channel, "news");
	assert_slice(m.since, "evt_12345678");
	assert_int_equal(m.limit, 0x01020304);
	return PS_OK;
}

static void
encode_authorize(struct ps_writer *w)
{
	ps_ipc_encode_authorize(w,
	    &(struct ps_ipc_authorize){ request, rights,
		ps_slice_str("user 1"), ps_slice_str("https://app/callback"),
		PS_TTL_MAX_S, true, true });
}

static int
decode_authorize(struct ps_reader *r)
{
	struct ps_ipc_authorize m;
	int ret = ps_ipc_decode_authorize(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_rights(&m.rights);
	assert_slice(m.client, "user 1");
	assert_slice(m.callback, "https://app/callback");
	assert_true(m.ttl_s == PS_TTL_MAX_S);
	assert_true(m.events && m.plain);
	return PS_OK;
}

static void
encode_withdraw(struct ps_writer *w)
{
	ps_ipc_encode_withdraw(w,
	    &(struct ps_ipc_withdraw){ request, INT64_MIN + 1,
		ps_slice_str("user 1") });
}

static int
decode_withdraw(struct ps_reader *r)
{
	struct ps_ipc_withdraw m;
	int ret = ps_ipc_decode_withdraw(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_true(m.token_id == INT64_MIN + 1);
	assert_slice(m.client, "user 1");
	return PS_OK;
}

#define SOCKET_ID "abcdefghijklmnopqrstuvwxyz234567"

static void
encode_publish(struct ps_writer *w)
{
	ps_ipc_encode_publish(w,
	    &(struct ps_ipc_publish){ .request = request,
		.socket_id = ps_slice_str(SOCKET_ID),
		.session = ps_slice_str("aabcdef-1"),
		.token_id = INT64_MIN + 1,
		.store = true,
		.message = ps_slice_str("\"a\"") });
}

static int
decode_publish(struct ps_reader *r)
{
	struct ps_ipc_publish m;
	int ret = ps_ipc_decode_publish(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket_id, SOCKET_ID);
	assert_slice(m.session, "aabcdef-1");
	assert_true(m.token_id == INT64_MIN + 1);
	assert_false(m.closes);
	assert_int_equal(m.code, 0);
	assert_int_equal(m.reason.len, 0);
	assert_true(m.store);
	assert_slice(m.message, "\"a\"");
	return PS_OK;
}

static void
encode_connections(struct ps_writer *w)
{
	ps_ipc_encode_connections(w,
	    &(struct ps_ipc_connections){ request, ps_slice_str(SOCKET_ID),
		INT64_MIN + 1 });
}

static int
decode_connections(struct ps_reader *r)
{
	struct ps_ipc_connections m;
	int ret = ps_ipc_decode_connections(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket_id, SOCKET_ID);
	assert_true(m.token_id == INT64_MIN + 1);
	return PS_OK;
}

static void
encode_sockjs_page(struct ps_writer *w)
{
	ps_ipc_encode_sockjs_page(w,
	    &(struct ps_ipc_sockjs_page){ request, ps_slice_str(SOCKET_ID),
		PS_SOCKJS_IFRAME, ps_slice_str("\"etag\"") });
}

static int
decode_sockjs_page(struct ps_reader *r)
{
	struct ps_ipc_sockjs_page m;
	int ret = ps_ipc_decode_sockjs_page(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket_id, SOCKET_ID);
	assert_int_equal(m.page, PS_SOCKJS_IFRAME);
	assert_slice(m.etag, "\"etag\"");
	return PS_OK;
}

static void
encode_sockjs_receive(struct ps_writer *w)
{
	ps_ipc_encode_sockjs_receive(w,
	    &(struct ps_ipc_sockjs_receive){ request, ps_slice_str(SOCKET_ID),
		ps_slice_str("1a2b3c4d"), PS_SOCKJS_HTMLFILE,
		ps_slice_str("agent-1"), ps_slice_str("192.0.2.1") });
}

static int
decode_sockjs_receive(struct ps_reader *r)
{
	struct ps_ipc_sockjs_receive m;
	int ret = ps_ipc_decode_sockjs_receive(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket_id, SOCKET_ID);
	assert_slice(m.session, "1a2b3c4d");
	assert_int_equal(m.framing, PS_SOCKJS_HTMLFILE);
	assert_slice(m.agent, "agent-1");
	assert_slice(m.remote_addr, "192.0.2.1");
	return PS_OK;
}

/* Its count of events is the last of the body, as of SEND. */
static void
encode_sockjs_send(struct ps_writer *w)
{
	ps_ipc_sockjs_send_begin(w,
	    &(struct ps_ipc_sockjs_send){ .request = request,
		.socket_id = ps_slice_str(SOCKET_ID),
		.session = ps_slice_str("1a2b3c4d"),
		.jsonp = true });
	put_event(w, PS_EVENT_BINARY, "\"a\"");
	put_event(w, PS_EVENT_TEXT, "\"b\"");
	ps_ipc_events_end(w, 2);
}

static int
decode_sockjs_send(struct ps_reader *r)
{
	struct ps_ipc_sockjs_send m;
	struct ps_slice data;
	int ret = ps_ipc_decode_sockjs_send(r, &m);

	if (ret != PS_OK)
		return ret;
	assert_request(&m.request);
	assert_slice(m.socket_id, SOCKET_ID);
	assert_slice(m.session, "1a2b3c4d");
	assert_true(m.jsonp);
	assert_int_equal(m.count, 2);
	assert_int_equal(ps_ipc_next_event(&m.events, &data), PS_EVENT_BINARY);
	assert_slice(data, "\"a\"");
	assert_int_equal(ps_ipc_next_event(&m.events, &data), PS_EVENT_TEXT);
	assert_slice(data, "\"b\"");
	return PS_OK;
}

static const struct {
	enum ps_ipc_type type;
	void (*encode)(struct ps_writer *w);
	int (*decode)(struct ps_reader *r);
} messages[] = {
	{ PS_IPC_HELLO, encode_hello, decode_hello },
	{ PS_IPC_CREATE, encode_create, decode_create },
	{ PS_IPC_SEND, encode_send, decode_send },
	{ PS_IPC_RECEIVE, encode_receive, decode_receive },
	{ PS_IPC_CLOSE, encode_close, decode_close },
	{ PS_IPC_CHECK, encode_check, decode_check },
	{ PS_IPC_REFUSE, encode_refuse, decode_refuse },
	{ PS_IPC_READY, encode_ready, decode_ready },
	{ PS_IPC_PROBE, encode_probe, decode_probe },
	{ PS_IPC_STATS, encode_stats, decode_stats },
	{ PS_IPC_EMIT, encode_emit, decode_emit },
	{ PS_IPC_LISTEN, encode_listen, decode_listen },
	{ PS_IPC_MEMBERS, encode_members, decode_members },
	{ PS_IPC_HISTORY, encode_history, decode_history },
	{ PS_IPC_AUTHORIZE, encode_authorize, decode_authorize },
	{ PS_IPC_WITHDRAW, encode_withdraw, decode_withdraw },
	{ PS_IPC_PUBLISH, encode_publish, decode_publish },
	{ PS_IPC_CONNECTIONS, encode_connections, decode_connections },
	{ PS_IPC_SOCKJS_PAGE, encode_sockjs_page, decode_sockjs_page },
	{ PS_IPC_SOCKJS_RECEIVE, encode_sockjs_receive, decode_sockjs_receive },
	{ PS_IPC_SOCKJS_SEND, encode_sockjs_send, decode_sockjs_send },
};
_Static_assert(ROWS(messages) == PS_IPC__COUNT - 1,
    "every message needs a row");

static int
decode(size_t i, const void *body, size_t len)
{
	/* Of its own size, so that a sanitizer sees a read beyond it. */
	char *copy = malloc(len == 0 ? 1 : len);
	struct ps_reader r;
	int ret;

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, body, len);
	ps_reader_init(&r, copy, len);
	ret = messages[i].decode(&r);
	free(copy);
	return ret;
}

static void
every_message_comes_out_as_it_went_in(void **state)
{
	struct ps_writer w = { 0 };
	struct ps_reader body;
	uint8_t type;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(messages); i++) {
		ps_writer_str(&w, "what an earlier frame left");
		messages[i].encode(&w);
		assert_row(i, !w.failed);
		assert_row(i, ps_ipc_split(w.data, w.len, &type, &body) ==
			(int64_t)w.len);
		assert_row(i, type == messages[i].type);
		assert_row(i, messages[i].decode(&body) == PS_OK);
	}
	ps_writer_deinit(&w);
}

static void
every_shorter_body_is_refused(void **state)
{
	struct ps_writer w = { 0 };
	size_t i, len;

	(void)state;
	for (i = 0; i < ROWS(messages); i++) {
		messages[i].encode(&w);
		for (len = 0; len + 5 < w.len; len++)
			assert_row(len, decode(i, w.data + 5, len) ==
				PS_ERR_MALFORMED);
		assert_row(i, decode(i, w.data + 5, w.len - 5) == PS_OK);
	}
	ps_writer_deinit(&w);
}

static void
one_byte_more_is_refused(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(messages); i++) {
		messages[i].encode(&w);
		ps_writer_u8(&w, 0);
		assert_row(i,
		    decode(i, w.data + 5, w.len - 5) == PS_ERR_MALFORMED);
	}
	ps_writer_deinit(&w);
}

/* The request that all bodies begin with, and what the tests look for. */
#define REQUEST (2 + 1 + 6 + 12 + 16 + 12)
/* In EMIT, behind its channel, and how long they are. */
#define AT_RIGHTS (REQUEST + 8)
#define RIGHTS (8 + 8 + 8 * PS_TOKEN_LIMIT__COUNT)

/*
 * Where the bytes that stand for one of a few things are in the bodies above:
 * behind the id, or counted from the end.
 */
static const struct {
	size_t message;
	int at; /* negative: from the end */
	uint8_t last;
} enums[] = {
	{ 0, -1, 1 }, /* draining */
	{ 1, 2, PS_STYLE__ALL },
	{ 2, 2, PS_STYLE__ALL },
	{ 3, 2, PS_STYLE__ALL },
	{ 4, 2, PS_STYLE__ALL },
	{ 5, 2, PS_STYLE__ALL },
	{ 6, 2, PS_STYLE__ALL },
	{ 7, 2, PS_STYLE__ALL },
	{ 8, 2, PS_STYLE__ALL },
	{ 9, 2, PS_STYLE__ALL },
	{ 1, REQUEST, 1 },	       /* tls */
	{ 2, REQUEST + 10 + 8 + 12, 1 }, /* more */
	{ 2, -7, PS_EVENT__COUNT - 1 }, /* type of the last event */
	{ 3, -15, PS_DIALECT__COUNT - 1 },
	{ 3, -14, PS_IPC_FRAMING__COUNT - 1 },
	{ 3, -9, 1 }, /* acknowledges */
	{ 6, -1, PS_CODE__COUNT - 1 },
	{ 9, -1, PS_IPC_STATS__COUNT - 1 },
	{ 10, 2, PS_STYLE__ALL },
	{ 11, 2, PS_STYLE__ALL },
	{ 12, 2, PS_STYLE__ALL },
	{ 13, 2, PS_STYLE__ALL },
	{ 10, AT_RIGHTS + RIGHTS, PS_IPC_CLIENTS__COUNT - 1 },
	{ 10, AT_RIGHTS + RIGHTS + 1 + 4 + 21, 1 },     /* batch */
	{ 10, AT_RIGHTS + RIGHTS + 1 + 4 + 21 + 1, 1 }, /* requires ack */
	{ 11, -5, PS_IPC_FRAMING__COUNT - 1 },
	{ 14, 2, PS_STYLE__ALL },
	{ 14, -2, 1 }, /* events */
	{ 14, -1, 1 }, /* plain */
	{ 15, 2, PS_STYLE__ALL },
	{ 16, 2, PS_STYLE__ALL },
	{ 16, -15, 1 }, /* closes */
	{ 16, -8, 1 },	/* store */
	{ 17, 2, PS_STYLE__ALL },
	{ 18, 2, PS_STYLE__ALL },
	{ 18, -11, PS_SOCKJS_PAGE__COUNT - 1 },
	{ 19, 2, PS_STYLE__ALL },
	{ 19, -25, PS_SOCKJS_FRAMING__COUNT - 1 },
	{ 20, 2, PS_STYLE__ALL },
	{ 20, REQUEST + 36 + 12, 1 }, /* jsonp */
};

static void
a_value_that_no_enum_has_is_refused(void **state)
{
	struct ps_writer w = { 0 };
	struct ps_ipc_receive receive;
	struct ps_reader r;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(enums); i++) {
		uint8_t *at;

		messages[enums[i].message].encode(&w);
		at = (uint8_t *)w.data +
		    (enums[i].at < 0 ? w.len : 5);
		at += enums[i].at;
		assert_row(i, *at <= enums[i].last);
		*at = (uint8_t)(enums[i].last + 1);
		assert_row(i, decode(enums[i].message, w.data + 5,
				  w.len - 5) == PS_ERR_MALFORMED);
		*at = 0xff;
		assert_row(i, decode(enums[i].message, w.data + 5,
				  w.len - 5) == PS_ERR_MALFORMED);
	}
	/* What was refused is in range all the same. */
	encode_receive(&w);
	w.data[w.len - 14] = '\xff';
	ps_reader_init(&r, w.data + 5, w.len - 5);
	assert_int_equal(ps_ipc_decode_receive(&r, &receive),
	    PS_ERR_MALFORMED);
	assert_true(receive.framing < PS_IPC_FRAMING__COUNT);
	ps_writer_deinit(&w);
}

static void
the_events_are_as_many_as_they_say(void **state)
{
	struct ps_writer w = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 6; i++) {
		encode_send(&w);
		w.data[w.len - 1] = (char)i;
		if (i != 3)
			assert_row(i, decode(2, w.data + 5, w.len - 5) ==
				PS_ERR_MALFORMED);
	}
	ps_writer_deinit(&w);
}

static void
an_emit_has_an_event_and_a_number_above_zero(void **state)
{
	struct ps_ipc_emit m = { .channel = ps_slice_str("c"),
				 .clients = PS_IPC_CLIENTS_NUMBER };
	struct ps_writer w = { 0 };
	struct ps_reader r;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		m.number = (uint32_t)i % 2;
		ps_ipc_emit_begin(&w, &m);
		if (i >= 2)
			put_event(&w, PS_EVENT_TEXT, "1");
		ps_ipc_events_end(&w, (uint16_t)(i / 2));
		ps_reader_init(&r, w.data + 5, w.len - 5);
		assert_row(i, ps_ipc_decode_emit(&r, &m) ==
				  (i == 3 ? PS_OK : PS_ERR_MALFORMED));
	}
	ps_writer_deinit(&w);
}

static void
the_number_of_events_is_bounded(void **state)
{
	static const struct {
		unsigned count;
		int ret;
	} rows[] = { { 0, PS_OK }, { 1, PS_OK }, { PS_IPC_EVENTS_MAX, PS_OK },
		{ PS_IPC_EVENTS_MAX + 1, PS_ERR_MALFORMED } };
	struct ps_writer w = { 0 };
	struct ps_ipc_send m = { .socket = ps_slice_str("s") };
	struct ps_reader r;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		unsigned n;

		ps_ipc_send_begin(&w, &m);
		for (n = 0; n < rows[i].count; n++)
			put_event(&w, PS_EVENT_TEXT, "");
		ps_ipc_events_end(&w, (uint16_t)rows[i].count);
		ps_reader_init(&r, w.data + 5, w.len - 5);
		assert_row(i, ps_ipc_decode_send(&r, &m) == rows[i].ret);
	}
	ps_writer_deinit(&w);
}

/* Where the texts that have a bound are, and the largest of each. */
static const struct {
	enum ps_ipc_type type;
	size_t at, max;
} bounds[] = {
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, request.style.callback),
	  PS_CALLBACK_MAX },
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, request.style.origin),
	  PS_ORIGIN_MAX },
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, host), PS_HOST_MAX },
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, path), PS_TARGET_MAX },
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, origin),
	  PS_ORIGIN_MAX },
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, protocols),
	  PS_PROTOCOLS_MAX },
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, agent), PS_AGENT_MAX },
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, remote_addr),
	  PS_ADDRESS_MAX - 1 },
	{ PS_IPC_CREATE, offsetof(struct ps_ipc_create, public_host),
	  PS_PUBLIC_HOST_MAX },
	{ PS_IPC_CLOSE, offsetof(struct ps_ipc_close, reason),
	  PS_CLOSE_REASON_MAX },
	{ PS_IPC_RECEIVE, offsetof(struct ps_ipc_receive, member.client),
	    PS_CLIENT_ID_LEN },
	{ PS_IPC_RECEIVE, offsetof(struct ps_ipc_receive, member.channel),
	    PS_CHANNEL_MAX },
	{ PS_IPC_EMIT, offsetof(struct ps_ipc_emit, channel), PS_CHANNEL_MAX },
	{ PS_IPC_EMIT, offsetof(struct ps_ipc_emit, listed),
	  PS_CLIENTS_TEXT_MAX },
	{ PS_IPC_EMIT, offsetof(struct ps_ipc_emit, key), PS_EMIT_ID_MAX },
	{ PS_IPC_LISTEN, offsetof(struct ps_ipc_listen, channel),
	  PS_CHANNEL_MAX },
	{ PS_IPC_LISTEN, offsetof(struct ps_ipc_listen, origin),
	  PS_ORIGIN_MAX },
	{ PS_IPC_LISTEN, offsetof(struct ps_ipc_listen, agent), PS_AGENT_MAX },
	{ PS_IPC_LISTEN, offsetof(struct ps_ipc_listen, remote_addr),
	  PS_ADDRESS_MAX - 1 },
	{ PS_IPC_LISTEN, offsetof(struct ps_ipc_listen, presence),
	  PS_PRESENCE_MAX },
	{ PS_IPC_LISTEN, offsetof(struct ps_ipc_listen, since),
	  PS_EVENT_ID_LEN },
	{ PS_IPC_LISTEN, offsetof(struct ps_ipc_listen, key),
	  PS_SESSION_ID_MAX },
	{ PS_IPC_MEMBERS, offsetof(struct ps_ipc_members, channel),
	  PS_CHANNEL_MAX },
	{ PS_IPC_HISTORY, offsetof(struct ps_ipc_history, channel),
	  PS_CHANNEL_MAX },
	{ PS_IPC_HISTORY, offsetof(struct ps_ipc_history, since),
	  PS_EVENT_ID_LEN },
	{ PS_IPC_AUTHORIZE, offsetof(struct ps_ipc_authorize, client),
	  PS_CLIENT_MAX },
	{ PS_IPC_AUTHORIZE, offsetof(struct ps_ipc_authorize, callback),
	  PS_CALLBACK_URL_MAX },
	{ PS_IPC_WITHDRAW, offsetof(struct ps_ipc_withdraw, client),
	  PS_CLIENT_MAX },
	{ PS_IPC_PUBLISH, offsetof(struct ps_ipc_publish, socket_id),
	  PS_SOCKET_ID_LEN },
	{ PS_IPC_PUBLISH, offsetof(struct ps_ipc_publish, session),
	  PS_SESSION_ID_MAX },
	{ PS_IPC_PUBLISH, offsetof(struct ps_ipc_publish, reason),
	  PS_CLOSE_REASON_MAX },
	{ PS_IPC_CONNECTIONS, offsetof(struct ps_ipc_connections, socket_id),
	  PS_SOCKET_ID_LEN },
	{ PS_IPC_SOCKJS_PAGE, offsetof(struct ps_ipc_sockjs_page, socket_id),
	  PS_SOCKET_ID_LEN },
	{ PS_IPC_SOCKJS_PAGE, offsetof(struct ps_ipc_sockjs_page, etag),
	  PS_COOKIE_MAX },
	{ PS_IPC_SOCKJS_PAGE,
	  offsetof(struct ps_ipc_sockjs_page, request.style.cookie),
	  PS_COOKIE_MAX },
	{ PS_IPC_SOCKJS_PAGE,
	  offsetof(struct ps_ipc_sockjs_page, request.style.allow_headers),
	  PS_ALLOW_HEADERS_MAX },
	{ PS_IPC_SOCKJS_RECEIVE, offsetof(struct ps_ipc_sockjs_receive, session),
	  PS_SOCKJS_SESSION_MAX },
	{ PS_IPC_SOCKJS_RECEIVE, offsetof(struct ps_ipc_sockjs_receive, agent),
	  PS_AGENT_MAX },
	{ PS_IPC_SOCKJS_RECEIVE,
	  offsetof(struct ps_ipc_sockjs_receive, remote_addr),
	  PS_ADDRESS_MAX - 1 },
	{ PS_IPC_SOCKJS_SEND, offsetof(struct ps_ipc_sockjs_send, session),
	  PS_SOCKJS_SESSION_MAX },
};

/* One message, as good as it may be. */
union any {
	struct ps_ipc_create create;
	struct ps_ipc_close close;
	struct ps_ipc_receive receive;
	struct ps_ipc_emit emit;
	struct ps_ipc_listen listen;
	struct ps_ipc_members members;
	struct ps_ipc_history history;
	struct ps_ipc_authorize authorize;
	struct ps_ipc_withdraw withdraw;
	struct ps_ipc_publish publish;
	struct ps_ipc_connections connections;
	struct ps_ipc_sockjs_page page;
	struct ps_ipc_sockjs_receive sockjs_receive;
	struct ps_ipc_sockjs_send sockjs_send;
};

static void
make_application(union any *m, enum ps_ipc_type type)
{
	struct ps_slice id = ps_slice_str(SOCKET_ID), c = ps_slice_str("c");

	if (type == PS_IPC_AUTHORIZE) {
		m->authorize.client = m->authorize.callback = c;
	} else if (type == PS_IPC_WITHDRAW) {
		m->withdraw.client = c;
	} else if (type == PS_IPC_PUBLISH) {
		m->publish.socket_id = id;
		m->publish.session = c;
		m->publish.closes = true;
	} else if (type == PS_IPC_CONNECTIONS) {
		m->connections.socket_id = id;
	} else if (type == PS_IPC_SOCKJS_PAGE) {
		m->page.socket_id = id;
	} else if (type == PS_IPC_SOCKJS_RECEIVE) {
		m->sockjs_receive.socket_id = id;
		m->sockjs_receive.session = c;
	} else if (type == PS_IPC_SOCKJS_SEND) {
		m->sockjs_send.socket_id = id;
		m->sockjs_send.session = c;
	}
}

static void
make_any(union any *m, enum ps_ipc_type type)
{
	*m = (union any){ 0 };
	make_application(m, type);
	if (type == PS_IPC_CREATE) {
		m->create.port = 80;
		m->create.host = ps_slice_str("h");
	} else if (type == PS_IPC_EMIT) {
		m->emit.channel = ps_slice_str("c");
	} else if (type == PS_IPC_LISTEN) {
		m->listen.channel = ps_slice_str("c");
	} else if (type == PS_IPC_HISTORY) {
		m->history.channel = ps_slice_str("c");
	}
}

static int
code_any(struct ps_writer *w, union any *m, enum ps_ipc_type type)
{
	struct ps_reader r = { 0 };

#define CODE(encode, decode, part)                                             \
	encode(w, &m->part);                                                   \
	ps_reader_init(&r, w->data + 5, w->len - 5);                           \
	return decode(&r, &m->part)
	switch ((int)type) {
	case PS_IPC_CREATE:
		CODE(ps_ipc_encode_create, ps_ipc_decode_create, create);
	case PS_IPC_CLOSE:
		CODE(ps_ipc_encode_close, ps_ipc_decode_close, close);
	case PS_IPC_RECEIVE:
		CODE(ps_ipc_encode_receive, ps_ipc_decode_receive, receive);
	case PS_IPC_LISTEN:
		CODE(ps_ipc_encode_listen, ps_ipc_decode_listen, listen);
	case PS_IPC_MEMBERS:
		CODE(ps_ipc_encode_members, ps_ipc_decode_members, members);
	case PS_IPC_HISTORY:
		CODE(ps_ipc_encode_history, ps_ipc_decode_history, history);
	case PS_IPC_EMIT:
		ps_ipc_emit_begin(w, &m->emit);
		put_event(w, PS_EVENT_TEXT, "1");
		ps_ipc_events_end(w, 1);
		ps_reader_init(&r, w->data + 5, w->len - 5);
		return ps_ipc_decode_emit(&r, &m->emit);
	case PS_IPC_AUTHORIZE:
		CODE(ps_ipc_encode_authorize, ps_ipc_decode_authorize,
		     authorize);
	case PS_IPC_WITHDRAW:
		CODE(ps_ipc_encode_withdraw, ps_ipc_decode_withdraw, withdraw);
	case PS_IPC_PUBLISH:
		CODE(ps_ipc_encode_publish, ps_ipc_decode_publish, publish);
	case PS_IPC_CONNECTIONS:
		CODE(ps_ipc_encode_connections, ps_ipc_decode_connections,
		     connections);
	case PS_IPC_SOCKJS_PAGE:
		CODE(ps_ipc_encode_sockjs_page, ps_ipc_decode_sockjs_page,
		     page);
	case PS_IPC_SOCKJS_RECEIVE:
		CODE(ps_ipc_encode_sockjs_receive,
		     ps_ipc_decode_sockjs_receive, sockjs_receive);
	case PS_IPC_SOCKJS_SEND:
		ps_ipc_sockjs_send_begin(w, &m->sockjs_send);
		ps_ipc_events_end(w, 0);
		ps_reader_init(&r, w->data + 5, w->len - 5);
		return ps_ipc_decode_sockjs_send(&r, &m->sockjs_send);
	default:
		fail();
	}
#undef CODE
	return PS_OK;
}

static int
code_text(size_t i, const char *text, size_t len)
{
	struct ps_slice s = ps_slice(text, len);
	struct ps_writer w = { 0 };
	union any m;
	int ret;

	make_any(&m, bounds[i].type);
	memcpy((char *)&m + bounds[i].at, &s, sizeof(s));
	ret = code_any(&w, &m, bounds[i].type);
	ps_writer_deinit(&w);
	return ret;
}

static void
texts_that_go_into_buffers_are_bounded(void **state)
{
	static char text[PS_CLIENTS_TEXT_MAX + 1];
	size_t i;

	(void)state;
	memset(text, 'a', sizeof(text));
	for (i = 0; i < ROWS(bounds); i++) {
		assert_row(i, code_text(i, text, bounds[i].max) == PS_OK);
		assert_row(i, code_text(i, text, bounds[i].max + 1) ==
			PS_ERR_MALFORMED);
	}
}

static void
what_is_published_is_a_message_or_the_end_of_a_session(void **state)
{
	static const struct {
		bool closes;
		const char *session, *message;
		int ret;
	} rows[] = {
		{ false, "", "\"\"", PS_OK },
		{ false, "s", "\"a\"", PS_OK },
		{ false, "s", "", PS_ERR_MALFORMED },
		{ false, "s", "\"", PS_ERR_MALFORMED },
		{ true, "s", "", PS_OK },
		{ true, "", "", PS_ERR_MALFORMED },
		{ true, "s", "\"a\"", PS_ERR_MALFORMED },
	};
	struct ps_writer w = { 0 };
	struct ps_reader r;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		struct ps_ipc_publish m = {
			.socket_id = ps_slice_str(SOCKET_ID),
			.session = ps_slice_str(rows[i].session),
			.closes = rows[i].closes,
			.message = ps_slice_str(rows[i].message)
		};

		ps_ipc_encode_publish(&w, &m);
		ps_reader_init(&r, w.data + 5, w.len - 5);
		assert_row(i, ps_ipc_decode_publish(&r, &m) == rows[i].ret);
	}
	ps_writer_deinit(&w);
}

/* What the routes never leave empty. */
static void
an_application_has_a_client_a_callback_and_a_socket_id(void **state)
{
	static const enum ps_ipc_type types[] = { PS_IPC_AUTHORIZE,
		PS_IPC_WITHDRAW, PS_IPC_PUBLISH, PS_IPC_CONNECTIONS,
		PS_IPC_SOCKJS_PAGE, PS_IPC_SOCKJS_RECEIVE,
		PS_IPC_SOCKJS_SEND };
	struct ps_writer w = { 0 };
	union any m = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(types); i++) {
		make_any(&m, types[i]);
		assert_row(i, code_any(&w, &m, types[i]) == PS_OK);
		m = (union any){ 0 };
		assert_row(i, code_any(&w, &m, types[i]) == PS_ERR_MALFORMED);
	}
	make_any(&m, PS_IPC_AUTHORIZE);
	m.authorize.ttl_s = PS_TTL_MAX_S + 1;
	assert_int_equal(code_any(&w, &m, PS_IPC_AUTHORIZE), PS_ERR_MALFORMED);
	make_any(&m, PS_IPC_SOCKJS_PAGE);
	m.page.socket_id.len--;
	assert_int_equal(code_any(&w, &m, PS_IPC_SOCKJS_PAGE),
			 PS_ERR_MALFORMED);
	ps_writer_deinit(&w);
}

static void
a_target_has_a_host_and_a_port(void **state)
{
	static const struct {
		unsigned port;
		const char *host;
		int ret;
	} rows[] = {
		{ 1, "h", PS_OK },
		{ 65535, "h", PS_OK },
		{ 0, "h", PS_ERR_MALFORMED },
		{ 1, "", PS_ERR_MALFORMED },
	};
	struct ps_writer w = { 0 };
	struct ps_reader r;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		struct ps_ipc_create m = { .port = (uint16_t)rows[i].port,
			.host = ps_slice_str(rows[i].host) };

		ps_ipc_encode_create(&w, &m);
		ps_reader_init(&r, w.data + 5, w.len - 5);
		assert_row(i, ps_ipc_decode_create(&r, &m) == rows[i].ret);
	}
	ps_writer_deinit(&w);
}

static void
a_frame_is_split_off_when_it_is_whole(void **state)
{
	struct ps_writer w = { 0 };
	struct ps_reader body;
	uint8_t type = 0;
	size_t len, hello;

	(void)state;
	encode_hello(&w);
	hello = w.len;
	ps_writer_str(&w, "the next frame");
	for (len = 0; len < w.len; len++) {
		int64_t size = ps_ipc_split(w.data, len, &type, &body);

		assert_row(len, size == (len < hello ? 0 : (int64_t)hello));
	}
	assert_int_equal(type, PS_IPC_HELLO);
	assert_int_equal(body.left, hello - 5);
	ps_writer_deinit(&w);
}

static void
the_length_of_a_frame_is_bounded(void **state)
{
	static const struct {
		uint32_t length;
		int64_t result;
	} rows[] = {
		{ 0, PS_ERR_MALFORMED },
		{ 1, 5 },
		{ 2, 0 },
		{ PS_IPC_FRAME_MAX, 0 },
		{ PS_IPC_FRAME_MAX + 1, PS_ERR_TOO_LARGE },
		{ UINT32_MAX, PS_ERR_TOO_LARGE },
	};
	struct ps_writer w = { 0 };
	struct ps_reader body;
	uint8_t type;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		ps_writer_reset(&w);
		ps_writer_u32(&w, rows[i].length);
		ps_writer_u8(&w, PS_IPC_CHECK);
		assert_row(i, ps_ipc_split(w.data, w.len, &type, &body) ==
			rows[i].result);
	}
	ps_writer_deinit(&w);
}

static void
a_frame_that_would_be_too_large_is_not_made(void **state)
{
	struct ps_writer w = { 0 };
	struct ps_ipc_send m = { .more = false };
	size_t begin, head;
	char *p;

	(void)state;
	ps_ipc_send_begin(&w, &m);
	begin = ps_ipc_event_begin(&w, PS_EVENT_BINARY);
	head = w.len - PS_IPC_LENGTH_BYTES + 2;
	p = ps_writer_reserve(&w, PS_IPC_FRAME_MAX - head);
	assert_non_null(p);
	memset(p, 0, PS_IPC_FRAME_MAX - head);
	w.len += PS_IPC_FRAME_MAX - head;
	ps_ipc_event_end(&w, begin);
	ps_ipc_events_end(&w, 1);
	assert_false(w.failed);

	w.len -= 2; /* the count again, behind one byte more */
	ps_writer_u8(&w, 0);
	ps_ipc_event_end(&w, begin);
	ps_ipc_events_end(&w, 1);
	assert_true(w.failed);
	ps_writer_deinit(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_comes_out_as_it_went_in),
		cmocka_unit_test(every_shorter_body_is_refused),
		cmocka_unit_test(one_byte_more_is_refused),
		cmocka_unit_test(a_value_that_no_enum_has_is_refused),
		cmocka_unit_test(the_events_are_as_many_as_they_say),
		cmocka_unit_test(an_emit_has_an_event_and_a_number_above_zero),
		cmocka_unit_test(the_number_of_events_is_bounded),
		cmocka_unit_test(texts_that_go_into_buffers_are_bounded),
		cmocka_unit_test(
		    what_is_published_is_a_message_or_the_end_of_a_session),
		cmocka_unit_test(
		    an_application_has_a_client_a_callback_and_a_socket_id),
		cmocka_unit_test(a_target_has_a_host_and_a_port),
		cmocka_unit_test(a_frame_is_split_off_when_it_is_whole),
		cmocka_unit_test(the_length_of_a_frame_is_bounded),
		cmocka_unit_test(a_frame_that_would_be_too_large_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
