/* The messages of the service `channels` alone. */
#include "config.h"

#include "ps_ipc_fields.h"

#include "ps_limits.h"

/* The name of a channel. */
static struct ps_slice
decode_name(struct ps_reader *r)
{
	struct ps_slice name = ps_ipc_decode_bounded(r, PS_CHANNEL_MAX);

	if (name.len == 0)
		r->failed = true;
	return name;
}

void
ps_ipc_emit_begin(struct ps_writer *w, const struct ps_ipc_emit *m)
{
	ps_ipc_frame_begin(w, PS_IPC_EMIT);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->channel);
	ps_ipc_encode_rights(w, &m->rights);
	ps_writer_u8(w, (uint8_t)m->clients);
	ps_writer_u32(w, m->number);
	ps_writer_slice(w, m->listed);
	ps_writer_u8(w, m->batch);
	ps_writer_u8(w, m->requires_ack);
	ps_writer_u32(w, m->min_acks);
	ps_writer_slice(w, m->key);
}

int
ps_ipc_decode_emit(struct ps_reader *r, struct ps_ipc_emit *m)
{
	int ret;

	ps_ipc_decode_request(r, &m->request);
	m->channel = decode_name(r);
	ps_ipc_decode_rights(r, &m->rights);
	m->clients = ps_ipc_decode_enum(r, PS_IPC_CLIENTS__COUNT);
	m->number = ps_reader_u32(r);
	m->listed = ps_ipc_decode_bounded(r, PS_CLIENTS_TEXT_MAX);
	m->batch = ps_ipc_decode_enum(r, 2) != 0;
	m->requires_ack = ps_ipc_decode_enum(r, 2) != 0;
	m->min_acks = ps_reader_u32(r);
	m->key = ps_ipc_decode_bounded(r, PS_EMIT_ID_MAX);
	if (m->number == 0 && m->clients == PS_IPC_CLIENTS_NUMBER)
		r->failed = true;
	ret = ps_ipc_decode_events(r, &m->events, &m->count);
	return ret == PS_OK && m->count == 0 ? PS_ERR_MALFORMED : ret;
}

void
ps_ipc_encode_listen(struct ps_writer *w, const struct ps_ipc_listen *m)
{
	ps_ipc_frame_begin(w, PS_IPC_LISTEN);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->channel);
	ps_ipc_encode_rights(w, &m->rights);
	ps_writer_slice(w, m->origin);
	ps_writer_slice(w, m->agent);
	ps_writer_slice(w, m->remote_addr);
	ps_writer_slice(w, m->presence);
	ps_writer_slice(w, m->since);
	ps_writer_slice(w, m->key);
	ps_writer_u64(w, m->ack);
	ps_writer_u8(w, (uint8_t)m->framing);
	ps_writer_u32(w, m->hold_ms);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_listen(struct ps_reader *r, struct ps_ipc_listen *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->channel = decode_name(r);
	ps_ipc_decode_rights(r, &m->rights);
	m->origin = ps_ipc_decode_bounded(r, PS_ORIGIN_MAX);
	m->agent = ps_ipc_decode_bounded(r, PS_AGENT_MAX);
	m->remote_addr = ps_ipc_decode_bounded(r, PS_ADDRESS_MAX - 1);
	m->presence = ps_ipc_decode_bounded(r, PS_PRESENCE_MAX);
	m->since = ps_ipc_decode_bounded(r, PS_EVENT_ID_LEN);
	m->key = ps_ipc_decode_bounded(r, PS_SESSION_ID_MAX);
	m->ack = ps_reader_u64(r);
	m->framing = ps_ipc_decode_enum(r, PS_IPC_FRAMING__COUNT);
	m->hold_ms = ps_reader_u32(r);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_members(struct ps_writer *w, const struct ps_ipc_members *m)
{
	ps_ipc_frame_begin(w, PS_IPC_MEMBERS);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->channel);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_members(struct ps_reader *r, struct ps_ipc_members *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->channel = decode_name(r);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_history(struct ps_writer *w, const struct ps_ipc_history *m)
{
	ps_ipc_frame_begin(w, PS_IPC_HISTORY);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->channel);
	ps_writer_slice(w, m->since);
	ps_writer_u32(w, m->limit);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_history(struct ps_reader *r, struct ps_ipc_history *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->channel = decode_name(r);
	m->since = ps_ipc_decode_bounded(r, PS_EVENT_ID_LEN);
	m->limit = ps_reader_u32(r);
	return ps_ipc_done(r);
}
