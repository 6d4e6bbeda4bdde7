#include "config.h"

#include "ps_ipc_fields.h"

#include "ps_limits.h"

void
ps_ipc_frame_begin(struct ps_writer *w, enum ps_ipc_type type)
{
	ps_writer_reset(w);
	ps_writer_u32(w, 0);
	ps_writer_u8(w, (uint8_t)type);
}

void
ps_ipc_frame_end(struct ps_writer *w)
{
	if (w->len - PS_IPC_LENGTH_BYTES > PS_IPC_FRAME_MAX)
		w->failed = true;
	ps_writer_patch_u32(w, 0, (uint32_t)(w->len - PS_IPC_LENGTH_BYTES));
}

void
ps_ipc_encode_request(struct ps_writer *w, const struct ps_ipc_request *m)
{
	ps_writer_u16(w, m->id);
	ps_writer_u8(w, (uint8_t)m->style.flags);
	ps_writer_slice(w, m->style.callback);
	ps_writer_slice(w, m->style.origin);
	ps_writer_slice(w, m->style.cookie);
	ps_writer_slice(w, m->style.allow_headers);
}

struct ps_slice
ps_ipc_decode_bounded(struct ps_reader *r, size_t max)
{
	struct ps_slice s = ps_reader_slice(r);

	if (s.len > max)
		r->failed = true;
	return s;
}

uint8_t
ps_ipc_decode_enum(struct ps_reader *r, uint8_t count)
{
	uint8_t v = ps_reader_u8(r);

	if (v >= count) {
		r->failed = true;
		v = 0;
	}
	return v;
}

int
ps_ipc_done(const struct ps_reader *r)
{
	return ps_reader_done(r) ? PS_OK : PS_ERR_MALFORMED;
}

void
ps_ipc_decode_request(struct ps_reader *r, struct ps_ipc_request *m)
{
	m->id = ps_reader_u16(r);
	m->style.flags = ps_reader_u8(r);
	m->style.callback = ps_ipc_decode_bounded(r, PS_CALLBACK_MAX);
	m->style.origin = ps_ipc_decode_bounded(r, PS_ORIGIN_MAX);
	m->style.cookie = ps_ipc_decode_bounded(r, PS_COOKIE_MAX);
	m->style.allow_headers = ps_ipc_decode_bounded(r, PS_ALLOW_HEADERS_MAX);
	if (m->style.flags & ~(unsigned)PS_STYLE__ALL)
		r->failed = true;
}

void
ps_ipc_encode_rights(struct ps_writer *w, const struct ps_ipc_rights *m)
{
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_writer_u64(w, m->revision);
	for (size_t i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		ps_writer_u64(w, m->limits.value[i]);
}

void
ps_ipc_decode_rights(struct ps_reader *r, struct ps_ipc_rights *m)
{
	m->token_id = (int64_t)ps_reader_u64(r);
	m->revision = ps_reader_u64(r);
	for (size_t i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		m->limits.value[i] = ps_reader_u64(r);
}

size_t
ps_ipc_event_begin(struct ps_writer *w, enum ps_event_type type)
{
	ps_writer_u8(w, (uint8_t)type);
	ps_writer_u32(w, 0);
	return w->len;
}

void
ps_ipc_event_end(struct ps_writer *w, size_t begin)
{
	ps_writer_patch_u32(w, begin - 4, (uint32_t)(w->len - begin));
}

void
ps_ipc_events_end(struct ps_writer *w, uint16_t count)
{
	ps_writer_u16(w, count);
	ps_ipc_frame_end(w);
}

enum ps_event_type
ps_ipc_next_event(struct ps_reader *events, struct ps_slice *data_r)
{
	enum ps_event_type type = ps_ipc_decode_enum(events, PS_EVENT__COUNT);

	*data_r = ps_reader_slice(events);
	return type;
}

int
ps_ipc_decode_events(struct ps_reader *r, struct ps_reader *events,
    uint16_t *count_r)
{
	struct ps_reader count, walk;
	struct ps_slice data;
	uint16_t i;

	if (r->failed || r->left < 2)
		return PS_ERR_MALFORMED;
	ps_reader_init(events, r->data, r->left - 2);
	ps_reader_init(&count, r->data + r->left - 2, 2);
	*count_r = ps_reader_u16(&count);
	if (*count_r > PS_IPC_EVENTS_MAX)
		return PS_ERR_MALFORMED;
	walk = *events;
	for (i = 0; i < *count_r && !walk.failed; i++)
		ps_ipc_next_event(&walk, &data);
	return ps_ipc_done(&walk);
}

int64_t
ps_ipc_split(const void *data, size_t len, uint8_t *type_r,
    struct ps_reader *body_r)
{
	struct ps_reader r;
	uint32_t size;

	if (len < PS_IPC_LENGTH_BYTES)
		return 0;
	ps_reader_init(&r, data, len);
	size = ps_reader_u32(&r);
	if (size > PS_IPC_FRAME_MAX)
		return PS_ERR_TOO_LARGE;
	if (size < 1)
		return PS_ERR_MALFORMED;
	if (size > r.left)
		return 0;
	*type_r = ps_reader_u8(&r);
	ps_reader_init(body_r, r.data, size - 1);
	return (int64_t)size + PS_IPC_LENGTH_BYTES;
}

void
ps_ipc_encode_hello(struct ps_writer *w, const struct ps_ipc_hello *m)
{
	ps_ipc_frame_begin(w, PS_IPC_HELLO);
	ps_writer_u16(w, m->version);
	ps_writer_u32(w, m->pid);
	ps_writer_slice(w, m->tag);
	ps_writer_u8(w, m->draining);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_hello(struct ps_reader *r, struct ps_ipc_hello *m)
{
	*m = (struct ps_ipc_hello){ .version = ps_reader_u16(r) };
	m->pid = ps_reader_u32(r);
	if (m->version != PS_IPC_VERSION)
		return r->failed ? PS_ERR_MALFORMED : PS_OK;
	m->tag = ps_ipc_decode_bounded(r, PS_TAG_MAX);
	m->draining = ps_ipc_decode_enum(r, 2);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_refuse(struct ps_writer *w, const struct ps_ipc_refuse *m)
{
	ps_ipc_frame_begin(w, PS_IPC_REFUSE);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_writer_u8(w, (uint8_t)m->code);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_refuse(struct ps_reader *r, struct ps_ipc_refuse *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->token_id = (int64_t)ps_reader_u64(r);
	m->code = ps_ipc_decode_enum(r, PS_CODE__COUNT);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_ready(struct ps_writer *w, const struct ps_ipc_ready *m)
{
	ps_ipc_frame_begin(w, PS_IPC_READY);
	ps_ipc_encode_request(w, &m->request);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_ready(struct ps_reader *r, struct ps_ipc_ready *m)
{
	ps_ipc_decode_request(r, &m->request);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_probe(struct ps_writer *w, const struct ps_ipc_probe *m)
{
	ps_ipc_frame_begin(w, PS_IPC_PROBE);
	ps_ipc_encode_request(w, &m->request);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_probe(struct ps_reader *r, struct ps_ipc_probe *m)
{
	ps_ipc_decode_request(r, &m->request);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_stats(struct ps_writer *w, const struct ps_ipc_stats *m)
{
	ps_ipc_frame_begin(w, PS_IPC_STATS);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_u8(w, (uint8_t)m->format);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_stats(struct ps_reader *r, struct ps_ipc_stats *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->format = ps_ipc_decode_enum(r, PS_IPC_STATS__COUNT);
	return ps_ipc_done(r);
}
