/* The messages of the service `relay`; SEND, RECEIVE and CHECK are of channels
 * too. */
#include "config.h"

#include "ps_ipc_fields.h"

#include "ps_limits.h"

void
ps_ipc_encode_create(struct ps_writer *w, const struct ps_ipc_create *m)
{
	ps_ipc_frame_begin(w, PS_IPC_CREATE);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_u8(w, m->tls);
	ps_writer_u16(w, m->port);
	ps_writer_slice(w, m->host);
	ps_writer_slice(w, m->path);
	ps_writer_slice(w, m->origin);
	ps_writer_slice(w, m->protocols);
	ps_writer_slice(w, m->agent);
	ps_writer_slice(w, m->remote_addr);
	ps_writer_slice(w, m->public_host);
	ps_ipc_encode_rights(w, &m->rights);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_create(struct ps_reader *r, struct ps_ipc_create *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->tls = ps_ipc_decode_enum(r, 2) != 0;
	m->port = ps_reader_u16(r);
	m->host = ps_ipc_decode_bounded(r, PS_HOST_MAX);
	m->path = ps_ipc_decode_bounded(r, PS_TARGET_MAX);
	m->origin = ps_ipc_decode_bounded(r, PS_ORIGIN_MAX);
	m->protocols = ps_ipc_decode_bounded(r, PS_PROTOCOLS_MAX);
	m->agent = ps_ipc_decode_bounded(r, PS_AGENT_MAX);
	m->remote_addr = ps_ipc_decode_bounded(r, PS_ADDRESS_MAX - 1);
	m->public_host = ps_ipc_decode_bounded(r, PS_PUBLIC_HOST_MAX);
	ps_ipc_decode_rights(r, &m->rights);
	if (m->host.len == 0 || m->port == 0)
		r->failed = true;
	return ps_ipc_done(r);
}

static void
encode_member(struct ps_writer *w, const struct ps_ipc_member *m)
{
	ps_writer_slice(w, m->channel);
	ps_writer_slice(w, m->client);
}

static void
decode_member(struct ps_reader *r, struct ps_ipc_member *m)
{
	m->channel = ps_ipc_decode_bounded(r, PS_CHANNEL_MAX);
	m->client = ps_ipc_decode_bounded(r, PS_CLIENT_ID_LEN);
}

/* The count is written last, by ps_ipc_events_end(), behind the events. */
void
ps_ipc_send_begin(struct ps_writer *w, const struct ps_ipc_send *m)
{
	ps_ipc_frame_begin(w, PS_IPC_SEND);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket);
	encode_member(w, &m->member);
	ps_writer_u8(w, m->more);
	ps_writer_u64(w, m->first);
}

int
ps_ipc_decode_send(struct ps_reader *r, struct ps_ipc_send *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket = ps_reader_slice(r);
	decode_member(r, &m->member);
	m->more = ps_ipc_decode_enum(r, 2) != 0;
	m->first = ps_reader_u64(r);
	return ps_ipc_decode_events(r, &m->events, &m->count);
}

void
ps_ipc_encode_receive(struct ps_writer *w, const struct ps_ipc_receive *m)
{
	ps_ipc_frame_begin(w, PS_IPC_RECEIVE);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket);
	encode_member(w, &m->member);
	ps_writer_u8(w, (uint8_t)m->dialect);
	ps_writer_u8(w, (uint8_t)m->framing);
	ps_writer_u32(w, m->hold_ms);
	ps_writer_u8(w, m->acknowledges);
	ps_writer_u64(w, m->ack);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_receive(struct ps_reader *r, struct ps_ipc_receive *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket = ps_reader_slice(r);
	decode_member(r, &m->member);
	m->dialect = ps_ipc_decode_enum(r, PS_DIALECT__COUNT);
	m->framing = ps_ipc_decode_enum(r, PS_IPC_FRAMING__COUNT);
	m->hold_ms = ps_reader_u32(r);
	m->acknowledges = ps_ipc_decode_enum(r, 2) != 0;
	m->ack = ps_reader_u64(r);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_close(struct ps_writer *w, const struct ps_ipc_close *m)
{
	ps_ipc_frame_begin(w, PS_IPC_CLOSE);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket);
	ps_writer_u16(w, m->code);
	ps_writer_slice(w, m->reason);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_close(struct ps_reader *r, struct ps_ipc_close *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket = ps_reader_slice(r);
	m->code = ps_reader_u16(r);
	m->reason = ps_ipc_decode_bounded(r, PS_CLOSE_REASON_MAX);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_check(struct ps_writer *w, const struct ps_ipc_check *m)
{
	ps_ipc_frame_begin(w, PS_IPC_CHECK);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket);
	encode_member(w, &m->member);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_check(struct ps_reader *r, struct ps_ipc_check *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket = ps_reader_slice(r);
	decode_member(r, &m->member);
	return ps_ipc_done(r);
}
