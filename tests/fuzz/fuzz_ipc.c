/*
 * Bytes from a worker: split into frames and decoded. What is accepted has one
 * form only, so encoding it again must give the same bytes.
 */
#include "config.h"

#include "fuzz.h"

#include "ps_ipc.h"
#include "ps_limits.h"

static struct ps_writer again;

static void
encode_events(struct ps_reader *events, uint16_t count)
{
	struct ps_slice data;
	uint16_t i;

	require(count <= PS_IPC_EVENTS_MAX);
	for (i = 0; i < count; i++) {
		enum ps_event_type type = ps_ipc_next_event(events, &data);
		size_t begin;

		require(type < PS_EVENT__COUNT);
		begin = ps_ipc_event_begin(&again, type);
		ps_writer_bytes(&again, data.data, data.len);
		ps_ipc_event_end(&again, begin);
	}
	require(ps_reader_done(events));
	ps_ipc_events_end(&again, count);
}

/* Each is true when the body is well-formed; `again` then holds the frame. */
static bool
try_hello(struct ps_reader *r)
{
	struct ps_ipc_hello m;

	/* Of another version nothing more is looked at. */
	if (ps_ipc_decode_hello(r, &m) != PS_OK || m.version != PS_IPC_VERSION)
		return false;
	ps_ipc_encode_hello(&again, &m);
	return true;
}

static bool
try_create(struct ps_reader *r)
{
	struct ps_ipc_create m;

	if (ps_ipc_decode_create(r, &m) != PS_OK)
		return false;
	ps_ipc_encode_create(&again, &m);
	return true;
}

static bool
try_send(struct ps_reader *r)
{
	struct ps_ipc_send m;

	if (ps_ipc_decode_send(r, &m) != PS_OK)
		return false;
	ps_ipc_send_begin(&again, &m);
	encode_events(&m.events, m.count);
	return true;
}

static bool
try_receive(struct ps_reader *r)
{
	struct ps_ipc_receive m;

	if (ps_ipc_decode_receive(r, &m) != PS_OK)
		return false;
	require(m.dialect < PS_DIALECT__COUNT);
	require(m.framing < PS_IPC_FRAMING__COUNT);
	ps_ipc_encode_receive(&again, &m);
	return true;
}

static bool
try_close(struct ps_reader *r)
{
	struct ps_ipc_close m;

	if (ps_ipc_decode_close(r, &m) != PS_OK)
		return false;
	require(m.reason.len <= PS_CLOSE_REASON_MAX);
	ps_ipc_encode_close(&again, &m);
	return true;
}

static bool
try_check(struct ps_reader *r)
{
	struct ps_ipc_check m;

	if (ps_ipc_decode_check(r, &m) != PS_OK)
		return false;
	ps_ipc_encode_check(&again, &m);
	return true;
}

static bool
try_refuse(struct ps_reader *r)
{
	struct ps_ipc_refuse m;

	if (ps_ipc_decode_refuse(r, &m) != PS_OK)
		return false;
	require(m.code < PS_CODE__COUNT);
	ps_ipc_encode_refuse(&again, &m);
	return true;
}

static bool
try_ready(struct ps_reader *r)
{
	struct ps_ipc_ready m;

	if (ps_ipc_decode_ready(r, &m) != PS_OK)
		return false;
	ps_ipc_encode_ready(&again, &m);
	return true;
}

static bool
try_probe(struct ps_reader *r)
{
	struct ps_ipc_probe m;

	if (ps_ipc_decode_probe(r, &m) != PS_OK)
		return false;
	ps_ipc_encode_probe(&again, &m);
	return true;
}

static bool
try_stats(struct ps_reader *r)
{
	struct ps_ipc_stats m;

	if (ps_ipc_decode_stats(r, &m) != PS_OK)
		return false;
	require(m.format < PS_IPC_STATS__COUNT);
	ps_ipc_encode_stats(&again, &m);
	return true;
}

static bool
try_emit(struct ps_reader *r)
{
	struct ps_ipc_emit m;

	if (ps_ipc_decode_emit(r, &m) != PS_OK)
		return false;
	require(m.channel.len >= 1 && m.channel.len <= PS_CHANNEL_MAX);
	require(m.clients < PS_IPC_CLIENTS__COUNT);
	require(m.clients != PS_IPC_CLIENTS_NUMBER || m.number > 0);
	require(m.listed.len <= PS_CLIENTS_TEXT_MAX);
	require(m.key.len <= PS_EMIT_ID_MAX);
	require(m.count > 0);
	ps_ipc_emit_begin(&again, &m);
	encode_events(&m.events, m.count);
	return true;
}

static bool
try_listen(struct ps_reader *r)
{
	struct ps_ipc_listen m;

	if (ps_ipc_decode_listen(r, &m) != PS_OK)
		return false;
	require(m.channel.len >= 1 && m.channel.len <= PS_CHANNEL_MAX);
	require(m.presence.len <= PS_PRESENCE_MAX);
	require(m.since.len <= PS_EVENT_ID_LEN);
	require(m.key.len <= PS_SESSION_ID_MAX);
	require(m.framing < PS_IPC_FRAMING__COUNT);
	ps_ipc_encode_listen(&again, &m);
	return true;
}

static bool
try_members(struct ps_reader *r)
{
	struct ps_ipc_members m;

	if (ps_ipc_decode_members(r, &m) != PS_OK)
		return false;
	require(m.channel.len >= 1 && m.channel.len <= PS_CHANNEL_MAX);
	ps_ipc_encode_members(&again, &m);
	return true;
}

static bool
try_history(struct ps_reader *r)
{
	struct ps_ipc_history m;

	if (ps_ipc_decode_history(r, &m) != PS_OK)
		return false;
	require(m.channel.len >= 1 && m.channel.len <= PS_CHANNEL_MAX);
	require(m.since.len <= PS_EVENT_ID_LEN);
	ps_ipc_encode_history(&again, &m);
	return true;
}

static bool
try_authorize(struct ps_reader *r)
{
	struct ps_ipc_authorize m;

	if (ps_ipc_decode_authorize(r, &m) != PS_OK)
		return false;
	require(m.client.len >= 1 && m.client.len <= PS_CLIENT_MAX);
	require(m.callback.len >= 1);
	require(m.callback.len <= PS_CALLBACK_URL_MAX);
	require(m.ttl_s <= PS_TTL_MAX_S);
	ps_ipc_encode_authorize(&again, &m);
	return true;
}

static bool
try_withdraw(struct ps_reader *r)
{
	struct ps_ipc_withdraw m;

	if (ps_ipc_decode_withdraw(r, &m) != PS_OK)
		return false;
	require(m.client.len >= 1 && m.client.len <= PS_CLIENT_MAX);
	ps_ipc_encode_withdraw(&again, &m);
	return true;
}

static bool
try_publish(struct ps_reader *r)
{
	struct ps_ipc_publish m;

	if (ps_ipc_decode_publish(r, &m) != PS_OK)
		return false;
	require(m.socket_id.len == PS_SOCKET_ID_LEN);
	require(m.session.len <= PS_SESSION_ID_MAX);
	require(m.reason.len <= PS_CLOSE_REASON_MAX);
	require(m.closes ? m.message.len == 0 : m.message.len >= 2);
	ps_ipc_encode_publish(&again, &m);
	return true;
}

static bool
try_connections(struct ps_reader *r)
{
	struct ps_ipc_connections m;

	if (ps_ipc_decode_connections(r, &m) != PS_OK)
		return false;
	require(m.socket_id.len == PS_SOCKET_ID_LEN);
	ps_ipc_encode_connections(&again, &m);
	return true;
}

static bool
try_sockjs_page(struct ps_reader *r)
{
	struct ps_ipc_sockjs_page m;

	if (ps_ipc_decode_sockjs_page(r, &m) != PS_OK)
		return false;
	require(m.socket_id.len == PS_SOCKET_ID_LEN);
	require(m.page < PS_SOCKJS_PAGE__COUNT);
	require(m.etag.len <= PS_COOKIE_MAX);
	ps_ipc_encode_sockjs_page(&again, &m);
	return true;
}

static bool
try_sockjs_receive(struct ps_reader *r)
{
	struct ps_ipc_sockjs_receive m;

	if (ps_ipc_decode_sockjs_receive(r, &m) != PS_OK)
		return false;
	require(m.socket_id.len == PS_SOCKET_ID_LEN);
	require(m.session.len >= 1 && m.session.len <= PS_SOCKJS_SESSION_MAX);
	require(m.framing < PS_SOCKJS_FRAMING__COUNT);
	ps_ipc_encode_sockjs_receive(&again, &m);
	return true;
}

static bool
try_sockjs_send(struct ps_reader *r)
{
	struct ps_ipc_sockjs_send m;

	if (ps_ipc_decode_sockjs_send(r, &m) != PS_OK)
		return false;
	require(m.socket_id.len == PS_SOCKET_ID_LEN);
	require(m.session.len >= 1 && m.session.len <= PS_SOCKJS_SESSION_MAX);
	ps_ipc_sockjs_send_begin(&again, &m);
	encode_events(&m.events, m.count);
	return true;
}

static bool (*const try[])(struct ps_reader *) = {
	[PS_IPC_HELLO] = try_hello,     [PS_IPC_CREATE] = try_create,
	[PS_IPC_SEND] = try_send,       [PS_IPC_RECEIVE] = try_receive,
	[PS_IPC_CLOSE] = try_close,     [PS_IPC_CHECK] = try_check,
	[PS_IPC_REFUSE] = try_refuse,   [PS_IPC_READY] = try_ready,
	[PS_IPC_PROBE] = try_probe,     [PS_IPC_STATS] = try_stats,
	[PS_IPC_EMIT] = try_emit,       [PS_IPC_LISTEN] = try_listen,
	[PS_IPC_MEMBERS] = try_members, [PS_IPC_HISTORY] = try_history,
	[PS_IPC_AUTHORIZE] = try_authorize,
	[PS_IPC_WITHDRAW] = try_withdraw,
	[PS_IPC_PUBLISH] = try_publish,
	[PS_IPC_CONNECTIONS] = try_connections,
	[PS_IPC_SOCKJS_PAGE] = try_sockjs_page,
	[PS_IPC_SOCKJS_RECEIVE] = try_sockjs_receive,
	[PS_IPC_SOCKJS_SEND] = try_sockjs_send,
};
_Static_assert(sizeof(try) / sizeof(try[0]) == PS_IPC__COUNT,
	       "every message is tried");

static bool
decode(uint8_t type, struct ps_reader *r)
{
	return type < sizeof(try) / sizeof(try[0]) && try[type] != NULL &&
	    try[type](r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ps_reader body;
	int64_t size;
	uint8_t type;

	while ((size = ps_ipc_split(data, len, &type, &body)) > 0) {
		require((size_t)size <= len);
		require(body.left == (size_t)size - PS_IPC_LENGTH_BYTES - 1);
		if (decode(type, &body)) {
			require(!again.failed);
			require(again.len == (size_t)size);
			require(memcmp(again.data, data, again.len) == 0);
		}
		data += size;
		len -= (size_t)size;
	}
	ps_writer_deinit(&again);
	return 0;
}
