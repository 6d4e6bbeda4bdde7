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
encode_send(struct ps_ipc_send *m)
{
	struct ps_slice data;
	uint16_t i;

	require(m->count <= PS_IPC_EVENTS_MAX);
	ps_ipc_send_begin(&again, m);
	for (i = 0; i < m->count; i++) {
		enum ps_event_type type = ps_ipc_next_event(&m->events, &data);
		size_t begin;

		require(type < PS_EVENT__COUNT);
		begin = ps_ipc_event_begin(&again, type);
		ps_writer_bytes(&again, data.data, data.len);
		ps_ipc_event_end(&again, begin);
	}
	require(ps_reader_done(&m->events));
	ps_ipc_send_end(&again, m->count);
}

/* True when the body is well-formed; `again` then holds the frame. */
static bool
decode(uint8_t type, struct ps_reader *r)
{
	union {
		struct ps_ipc_hello hello;
		struct ps_ipc_create create;
		struct ps_ipc_send send;
		struct ps_ipc_receive receive;
		struct ps_ipc_close close;
		struct ps_ipc_check check;
		struct ps_ipc_refuse refuse;
		struct ps_ipc_ready ready;
		struct ps_ipc_probe probe;
		struct ps_ipc_stats stats;
	} m;

	switch (type) {
	case PS_IPC_HELLO:
		if (ps_ipc_decode_hello(r, &m.hello) != PS_OK)
			return false;
		ps_ipc_encode_hello(&again, &m.hello);
		return true;
	case PS_IPC_CREATE:
		if (ps_ipc_decode_create(r, &m.create) != PS_OK)
			return false;
		ps_ipc_encode_create(&again, &m.create);
		return true;
	case PS_IPC_SEND:
		if (ps_ipc_decode_send(r, &m.send) != PS_OK)
			return false;
		encode_send(&m.send);
		return true;
	case PS_IPC_RECEIVE:
		if (ps_ipc_decode_receive(r, &m.receive) != PS_OK)
			return false;
		require(m.receive.dialect < PS_DIALECT__COUNT);
		require(m.receive.framing < PS_IPC_FRAMING__COUNT);
		ps_ipc_encode_receive(&again, &m.receive);
		return true;
	case PS_IPC_CLOSE:
		if (ps_ipc_decode_close(r, &m.close) != PS_OK)
			return false;
		require(m.close.reason.len <= PS_CLOSE_REASON_MAX);
		ps_ipc_encode_close(&again, &m.close);
		return true;
	case PS_IPC_CHECK:
		if (ps_ipc_decode_check(r, &m.check) != PS_OK)
			return false;
		ps_ipc_encode_check(&again, &m.check);
		return true;
	case PS_IPC_REFUSE:
		if (ps_ipc_decode_refuse(r, &m.refuse) != PS_OK)
			return false;
		require(m.refuse.code < PS_CODE__COUNT);
		ps_ipc_encode_refuse(&again, &m.refuse);
		return true;
	case PS_IPC_READY:
		if (ps_ipc_decode_ready(r, &m.ready) != PS_OK)
			return false;
		ps_ipc_encode_ready(&again, &m.ready);
		return true;
	case PS_IPC_PROBE:
		if (ps_ipc_decode_probe(r, &m.probe) != PS_OK)
			return false;
		ps_ipc_encode_probe(&again, &m.probe);
		return true;
	case PS_IPC_STATS:
		if (ps_ipc_decode_stats(r, &m.stats) != PS_OK)
			return false;
		require(m.stats.format < PS_IPC_STATS__COUNT);
		ps_ipc_encode_stats(&again, &m.stats);
		return true;
	default:
		return false;
	}
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
