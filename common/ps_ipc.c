#include "config.h"

#include "ps_ipc.h"

#include "ps_limits.h"

static void
frame_begin(struct ps_writer *w, enum ps_ipc_type type)
{
	ps_writer_reset(w);
	ps_writer_u32(w, 0);
	ps_writer_u8(w, (uint8_t)type);
}

static void
frame_end(struct ps_writer *w)
{
	if (w->len - PS_IPC_LENGTH_BYTES > PS_IPC_FRAME_MAX)
		w->failed = true;
	ps_writer_patch_u32(w, 0, (uint32_t)(w->len - PS_IPC_LENGTH_BYTES));
}

static void
encode_request(struct ps_writer *w, const struct ps_ipc_request *m)
{
	ps_writer_u16(w, m->id);
	ps_writer_u8(w, (uint8_t)m->style.flags);
	ps_writer_slice(w, m->style.callback);
	ps_writer_slice(w, m->style.origin);
	ps_writer_slice(w, m->style.cookie);
	ps_writer_slice(w, m->style.allow_headers);
}

/* A slice of at most `max` bytes. */
static struct ps_slice
decode_bounded(struct ps_reader *r, size_t max)
{
	struct ps_slice s = ps_reader_slice(r);

	if (s.len > max)
		r->failed = true;
	return s;
}

static void
decode_request(struct ps_reader *r, struct ps_ipc_request *m)
{
	m->id = ps_reader_u16(r);
	m->style.flags = ps_reader_u8(r);
	m->style.callback = decode_bounded(r, PS_CALLBACK_MAX);
	m->style.origin = decode_bounded(r, PS_ORIGIN_MAX);
	m->style.cookie = decode_bounded(r, PS_COOKIE_MAX);
	m->style.allow_headers = decode_bounded(r, PS_ALLOW_HEADERS_MAX);
	if (m->style.flags & ~(unsigned)PS_STYLE__ALL)
		r->failed = true;
}

/* A byte below `count`. */
static uint8_t
decode_enum(struct ps_reader *r, uint8_t count)
{
	uint8_t v = ps_reader_u8(r);

	if (v >= count) {
		r->failed = true;
		v = 0;
	}
	return v;
}

/* The name of a channel. */
static struct ps_slice
decode_name(struct ps_reader *r)
{
	struct ps_slice name = decode_bounded(r, PS_CHANNEL_MAX);

	if (name.len == 0)
		r->failed = true;
	return name;
}

static int
done(const struct ps_reader *r)
{
	return ps_reader_done(r) ? PS_OK : PS_ERR_MALFORMED;
}

void
ps_ipc_encode_hello(struct ps_writer *w, const struct ps_ipc_hello *m)
{
	frame_begin(w, PS_IPC_HELLO);
	ps_writer_u16(w, m->version);
	ps_writer_u32(w, m->pid);
	ps_writer_slice(w, m->tag);
	ps_writer_u8(w, m->draining);
	frame_end(w);
}

int
ps_ipc_decode_hello(struct ps_reader *r, struct ps_ipc_hello *m)
{
	*m = (struct ps_ipc_hello){ .version = ps_reader_u16(r) };
	m->pid = ps_reader_u32(r);
	if (m->version != PS_IPC_VERSION)
		return r->failed ? PS_ERR_MALFORMED : PS_OK;
	m->tag = decode_bounded(r, PS_TAG_MAX);
	m->draining = decode_enum(r, 2);
	return done(r);
}

static void
encode_rights(struct ps_writer *w, const struct ps_ipc_rights *m)
{
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_writer_u64(w, m->revision);
	for (size_t i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		ps_writer_u64(w, m->limits.value[i]);
}

static void
decode_rights(struct ps_reader *r, struct ps_ipc_rights *m)
{
	m->token_id = (int64_t)ps_reader_u64(r);
	m->revision = ps_reader_u64(r);
	for (size_t i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		m->limits.value[i] = ps_reader_u64(r);
}

void
ps_ipc_encode_create(struct ps_writer *w, const struct ps_ipc_create *m)
{
	frame_begin(w, PS_IPC_CREATE);
	encode_request(w, &m->request);
	ps_writer_u8(w, m->tls);
	ps_writer_u16(w, m->port);
	ps_writer_slice(w, m->host);
	ps_writer_slice(w, m->path);
	ps_writer_slice(w, m->origin);
	ps_writer_slice(w, m->protocols);
	ps_writer_slice(w, m->agent);
	ps_writer_slice(w, m->remote_addr);
	ps_writer_slice(w, m->public_host);
	encode_rights(w, &m->rights);
	frame_end(w);
}

int
ps_ipc_decode_create(struct ps_reader *r, struct ps_ipc_create *m)
{
	decode_request(r, &m->request);
	m->tls = decode_enum(r, 2) != 0;
	m->port = ps_reader_u16(r);
	m->host = decode_bounded(r, PS_HOST_MAX);
	m->path = decode_bounded(r, PS_TARGET_MAX);
	m->origin = decode_bounded(r, PS_ORIGIN_MAX);
	m->protocols = decode_bounded(r, PS_PROTOCOLS_MAX);
	m->agent = decode_bounded(r, PS_AGENT_MAX);
	m->remote_addr = decode_bounded(r, PS_ADDRESS_MAX - 1);
	m->public_host = decode_bounded(r, PS_PUBLIC_HOST_MAX);
	decode_rights(r, &m->rights);
	if (m->host.len == 0 || m->port == 0)
		r->failed = true;
	return done(r);
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
	m->channel = decode_bounded(r, PS_CHANNEL_MAX);
	m->client = decode_bounded(r, PS_CLIENT_ID_LEN);
}

/* The count is written last, by ps_ipc_events_end(), behind the events. */
void
ps_ipc_send_begin(struct ps_writer *w, const struct ps_ipc_send *m)
{
	frame_begin(w, PS_IPC_SEND);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket);
	encode_member(w, &m->member);
	ps_writer_u8(w, m->more);
	ps_writer_u64(w, m->first);
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
	frame_end(w);
}

enum ps_event_type
ps_ipc_next_event(struct ps_reader *events, struct ps_slice *data_r)
{
	enum ps_event_type type = decode_enum(events, PS_EVENT__COUNT);

	*data_r = ps_reader_slice(events);
	return type;
}

/* What is left of a frame: events, and how many they are. */
static int
decode_events(struct ps_reader *r, struct ps_reader *events, uint16_t *count_r)
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
	return done(&walk);
}

int
ps_ipc_decode_send(struct ps_reader *r, struct ps_ipc_send *m)
{
	decode_request(r, &m->request);
	m->socket = ps_reader_slice(r);
	decode_member(r, &m->member);
	m->more = decode_enum(r, 2) != 0;
	m->first = ps_reader_u64(r);
	return decode_events(r, &m->events, &m->count);
}

void
ps_ipc_emit_begin(struct ps_writer *w, const struct ps_ipc_emit *m)
{
	frame_begin(w, PS_IPC_EMIT);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->channel);
	encode_rights(w, &m->rights);
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

	decode_request(r, &m->request);
	m->channel = decode_name(r);
	decode_rights(r, &m->rights);
	m->clients = decode_enum(r, PS_IPC_CLIENTS__COUNT);
	m->number = ps_reader_u32(r);
	m->listed = decode_bounded(r, PS_CLIENTS_TEXT_MAX);
	m->batch = decode_enum(r, 2) != 0;
	m->requires_ack = decode_enum(r, 2) != 0;
	m->min_acks = ps_reader_u32(r);
	m->key = decode_bounded(r, PS_EMIT_ID_MAX);
	if (m->number == 0 && m->clients == PS_IPC_CLIENTS_NUMBER)
		r->failed = true;
	ret = decode_events(r, &m->events, &m->count);
	return ret == PS_OK && m->count == 0 ? PS_ERR_MALFORMED : ret;
}

void
ps_ipc_encode_listen(struct ps_writer *w, const struct ps_ipc_listen *m)
{
	frame_begin(w, PS_IPC_LISTEN);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->channel);
	encode_rights(w, &m->rights);
	ps_writer_slice(w, m->origin);
	ps_writer_slice(w, m->agent);
	ps_writer_slice(w, m->remote_addr);
	ps_writer_slice(w, m->presence);
	ps_writer_slice(w, m->since);
	ps_writer_slice(w, m->key);
	ps_writer_u64(w, m->ack);
	ps_writer_u8(w, (uint8_t)m->framing);
	ps_writer_u32(w, m->hold_ms);
	frame_end(w);
}

int
ps_ipc_decode_listen(struct ps_reader *r, struct ps_ipc_listen *m)
{
	decode_request(r, &m->request);
	m->channel = decode_name(r);
	decode_rights(r, &m->rights);
	m->origin = decode_bounded(r, PS_ORIGIN_MAX);
	m->agent = decode_bounded(r, PS_AGENT_MAX);
	m->remote_addr = decode_bounded(r, PS_ADDRESS_MAX - 1);
	m->presence = decode_bounded(r, PS_PRESENCE_MAX);
	m->since = decode_bounded(r, PS_EVENT_ID_LEN);
	m->key = decode_bounded(r, PS_SESSION_ID_MAX);
	m->ack = ps_reader_u64(r);
	m->framing = decode_enum(r, PS_IPC_FRAMING__COUNT);
	m->hold_ms = ps_reader_u32(r);
	return done(r);
}

void
ps_ipc_encode_members(struct ps_writer *w, const struct ps_ipc_members *m)
{
	frame_begin(w, PS_IPC_MEMBERS);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->channel);
	frame_end(w);
}

int
ps_ipc_decode_members(struct ps_reader *r, struct ps_ipc_members *m)
{
	decode_request(r, &m->request);
	m->channel = decode_name(r);
	return done(r);
}

void
ps_ipc_encode_history(struct ps_writer *w, const struct ps_ipc_history *m)
{
	frame_begin(w, PS_IPC_HISTORY);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->channel);
	ps_writer_slice(w, m->since);
	ps_writer_u32(w, m->limit);
	frame_end(w);
}

int
ps_ipc_decode_history(struct ps_reader *r, struct ps_ipc_history *m)
{
	decode_request(r, &m->request);
	m->channel = decode_name(r);
	m->since = decode_bounded(r, PS_EVENT_ID_LEN);
	m->limit = ps_reader_u32(r);
	return done(r);
}

void
ps_ipc_encode_receive(struct ps_writer *w, const struct ps_ipc_receive *m)
{
	frame_begin(w, PS_IPC_RECEIVE);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket);
	encode_member(w, &m->member);
	ps_writer_u8(w, (uint8_t)m->dialect);
	ps_writer_u8(w, (uint8_t)m->framing);
	ps_writer_u32(w, m->hold_ms);
	ps_writer_u8(w, m->acknowledges);
	ps_writer_u64(w, m->ack);
	frame_end(w);
}

int
ps_ipc_decode_receive(struct ps_reader *r, struct ps_ipc_receive *m)
{
	decode_request(r, &m->request);
	m->socket = ps_reader_slice(r);
	decode_member(r, &m->member);
	m->dialect = decode_enum(r, PS_DIALECT__COUNT);
	m->framing = decode_enum(r, PS_IPC_FRAMING__COUNT);
	m->hold_ms = ps_reader_u32(r);
	m->acknowledges = decode_enum(r, 2) != 0;
	m->ack = ps_reader_u64(r);
	return done(r);
}

void
ps_ipc_encode_close(struct ps_writer *w, const struct ps_ipc_close *m)
{
	frame_begin(w, PS_IPC_CLOSE);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket);
	ps_writer_u16(w, m->code);
	ps_writer_slice(w, m->reason);
	frame_end(w);
}

int
ps_ipc_decode_close(struct ps_reader *r, struct ps_ipc_close *m)
{
	decode_request(r, &m->request);
	m->socket = ps_reader_slice(r);
	m->code = ps_reader_u16(r);
	m->reason = decode_bounded(r, PS_CLOSE_REASON_MAX);
	return done(r);
}

void
ps_ipc_encode_check(struct ps_writer *w, const struct ps_ipc_check *m)
{
	frame_begin(w, PS_IPC_CHECK);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket);
	encode_member(w, &m->member);
	frame_end(w);
}

int
ps_ipc_decode_check(struct ps_reader *r, struct ps_ipc_check *m)
{
	decode_request(r, &m->request);
	m->socket = ps_reader_slice(r);
	decode_member(r, &m->member);
	return done(r);
}

void
ps_ipc_encode_refuse(struct ps_writer *w, const struct ps_ipc_refuse *m)
{
	frame_begin(w, PS_IPC_REFUSE);
	encode_request(w, &m->request);
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_writer_u8(w, (uint8_t)m->code);
	frame_end(w);
}

int
ps_ipc_decode_refuse(struct ps_reader *r, struct ps_ipc_refuse *m)
{
	decode_request(r, &m->request);
	m->token_id = (int64_t)ps_reader_u64(r);
	m->code = decode_enum(r, PS_CODE__COUNT);
	return done(r);
}

void
ps_ipc_encode_ready(struct ps_writer *w, const struct ps_ipc_ready *m)
{
	frame_begin(w, PS_IPC_READY);
	encode_request(w, &m->request);
	frame_end(w);
}

int
ps_ipc_decode_ready(struct ps_reader *r, struct ps_ipc_ready *m)
{
	decode_request(r, &m->request);
	return done(r);
}

void
ps_ipc_encode_probe(struct ps_writer *w, const struct ps_ipc_probe *m)
{
	frame_begin(w, PS_IPC_PROBE);
	encode_request(w, &m->request);
	frame_end(w);
}

int
ps_ipc_decode_probe(struct ps_reader *r, struct ps_ipc_probe *m)
{
	decode_request(r, &m->request);
	return done(r);
}

void
ps_ipc_encode_stats(struct ps_writer *w, const struct ps_ipc_stats *m)
{
	frame_begin(w, PS_IPC_STATS);
	encode_request(w, &m->request);
	ps_writer_u8(w, (uint8_t)m->format);
	frame_end(w);
}

int
ps_ipc_decode_stats(struct ps_reader *r, struct ps_ipc_stats *m)
{
	decode_request(r, &m->request);
	m->format = decode_enum(r, PS_IPC_STATS__COUNT);
	return done(r);
}

/* An id that an application publishes to. */
static struct ps_slice
decode_socket_id(struct ps_reader *r)
{
	struct ps_slice id = decode_bounded(r, PS_SOCKET_ID_LEN);

	if (id.len != PS_SOCKET_ID_LEN)
		r->failed = true;
	return id;
}

/* The client of an application. */
static struct ps_slice
decode_client(struct ps_reader *r)
{
	struct ps_slice client = decode_bounded(r, PS_CLIENT_MAX);

	if (client.len == 0)
		r->failed = true;
	return client;
}

void
ps_ipc_encode_authorize(struct ps_writer *w, const struct ps_ipc_authorize *m)
{
	frame_begin(w, PS_IPC_AUTHORIZE);
	encode_request(w, &m->request);
	encode_rights(w, &m->rights);
	ps_writer_slice(w, m->client);
	ps_writer_slice(w, m->callback);
	ps_writer_u64(w, m->ttl_s);
	ps_writer_u8(w, m->events);
	ps_writer_u8(w, m->plain);
	frame_end(w);
}

int
ps_ipc_decode_authorize(struct ps_reader *r, struct ps_ipc_authorize *m)
{
	decode_request(r, &m->request);
	decode_rights(r, &m->rights);
	m->client = decode_client(r);
	m->callback = decode_bounded(r, PS_CALLBACK_URL_MAX);
	m->ttl_s = ps_reader_u64(r);
	m->events = decode_enum(r, 2) != 0;
	m->plain = decode_enum(r, 2) != 0;
	if (m->callback.len == 0 || m->ttl_s > PS_TTL_MAX_S)
		r->failed = true;
	return done(r);
}

void
ps_ipc_encode_withdraw(struct ps_writer *w, const struct ps_ipc_withdraw *m)
{
	frame_begin(w, PS_IPC_WITHDRAW);
	encode_request(w, &m->request);
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_writer_slice(w, m->client);
	frame_end(w);
}

int
ps_ipc_decode_withdraw(struct ps_reader *r, struct ps_ipc_withdraw *m)
{
	decode_request(r, &m->request);
	m->token_id = (int64_t)ps_reader_u64(r);
	m->client = decode_client(r);
	return done(r);
}

void
ps_ipc_encode_publish(struct ps_writer *w, const struct ps_ipc_publish *m)
{
	frame_begin(w, PS_IPC_PUBLISH);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_slice(w, m->session);
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_writer_u8(w, m->closes);
	ps_writer_u16(w, m->code);
	ps_writer_slice(w, m->reason);
	ps_writer_u8(w, m->store);
	ps_writer_slice(w, m->message);
	frame_end(w);
}

int
ps_ipc_decode_publish(struct ps_reader *r, struct ps_ipc_publish *m)
{
	decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->session = decode_bounded(r, PS_SESSION_ID_MAX);
	m->token_id = (int64_t)ps_reader_u64(r);
	m->closes = decode_enum(r, 2) != 0;
	m->code = ps_reader_u16(r);
	m->reason = decode_bounded(r, PS_CLOSE_REASON_MAX);
	m->store = decode_enum(r, 2) != 0;
	m->message = ps_reader_slice(r);
	/* A message has quotes, an end has none. */
	if (m->closes ? m->message.len > 0 || m->session.len == 0 :
			m->message.len < 2)
		r->failed = true;
	return done(r);
}

void
ps_ipc_encode_connections(struct ps_writer *w,
    const struct ps_ipc_connections *m)
{
	frame_begin(w, PS_IPC_CONNECTIONS);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_u64(w, (uint64_t)m->token_id);
	frame_end(w);
}

int
ps_ipc_decode_connections(struct ps_reader *r, struct ps_ipc_connections *m)
{
	decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->token_id = (int64_t)ps_reader_u64(r);
	return done(r);
}

void
ps_ipc_encode_sockjs_page(struct ps_writer *w,
    const struct ps_ipc_sockjs_page *m)
{
	frame_begin(w, PS_IPC_SOCKJS_PAGE);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_u8(w, (uint8_t)m->page);
	ps_writer_slice(w, m->etag);
	frame_end(w);
}

int
ps_ipc_decode_sockjs_page(struct ps_reader *r, struct ps_ipc_sockjs_page *m)
{
	decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->page = decode_enum(r, PS_SOCKJS_PAGE__COUNT);
	m->etag = decode_bounded(r, PS_COOKIE_MAX);
	return done(r);
}

/* The session of a SockJS URL. */
static struct ps_slice
decode_sockjs_session(struct ps_reader *r)
{
	struct ps_slice session = decode_bounded(r, PS_SOCKJS_SESSION_MAX);

	if (session.len == 0)
		r->failed = true;
	return session;
}

void
ps_ipc_encode_sockjs_receive(struct ps_writer *w,
    const struct ps_ipc_sockjs_receive *m)
{
	frame_begin(w, PS_IPC_SOCKJS_RECEIVE);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_slice(w, m->session);
	ps_writer_u8(w, (uint8_t)m->framing);
	ps_writer_slice(w, m->agent);
	ps_writer_slice(w, m->remote_addr);
	frame_end(w);
}

int
ps_ipc_decode_sockjs_receive(struct ps_reader *r,
    struct ps_ipc_sockjs_receive *m)
{
	decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->session = decode_sockjs_session(r);
	m->framing = decode_enum(r, PS_SOCKJS_FRAMING__COUNT);
	m->agent = decode_bounded(r, PS_AGENT_MAX);
	m->remote_addr = decode_bounded(r, PS_ADDRESS_MAX - 1);
	return done(r);
}

void
ps_ipc_sockjs_send_begin(struct ps_writer *w,
    const struct ps_ipc_sockjs_send *m)
{
	frame_begin(w, PS_IPC_SOCKJS_SEND);
	encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_slice(w, m->session);
	ps_writer_u8(w, m->jsonp);
}

int
ps_ipc_decode_sockjs_send(struct ps_reader *r, struct ps_ipc_sockjs_send *m)
{
	decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->session = decode_sockjs_session(r);
	m->jsonp = decode_enum(r, 2) != 0;
	return decode_events(r, &m->events, &m->count);
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
