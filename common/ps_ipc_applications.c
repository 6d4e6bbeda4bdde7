/* The messages of the service `applications`. */
#include "config.h"

#include "ps_ipc_fields.h"

#include "ps_limits.h"

/* An id that an application publishes to. */
static struct ps_slice
decode_socket_id(struct ps_reader *r)
{
	struct ps_slice id = ps_ipc_decode_bounded(r, PS_SOCKET_ID_LEN);

	if (id.len != PS_SOCKET_ID_LEN)
		r->failed = true;
	return id;
}

/* The client of an application. */
static struct ps_slice
decode_client(struct ps_reader *r)
{
	struct ps_slice client = ps_ipc_decode_bounded(r, PS_CLIENT_MAX);

	if (client.len == 0)
		r->failed = true;
	return client;
}

void
ps_ipc_encode_authorize(struct ps_writer *w, const struct ps_ipc_authorize *m)
{
	ps_ipc_frame_begin(w, PS_IPC_AUTHORIZE);
	ps_ipc_encode_request(w, &m->request);
	ps_ipc_encode_rights(w, &m->rights);
	ps_writer_slice(w, m->client);
	ps_writer_slice(w, m->callback);
	ps_writer_u64(w, m->ttl_s);
	ps_writer_u8(w, m->events);
	ps_writer_u8(w, m->plain);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_authorize(struct ps_reader *r, struct ps_ipc_authorize *m)
{
	ps_ipc_decode_request(r, &m->request);
	ps_ipc_decode_rights(r, &m->rights);
	m->client = decode_client(r);
	m->callback = ps_ipc_decode_bounded(r, PS_CALLBACK_URL_MAX);
	m->ttl_s = ps_reader_u64(r);
	m->events = ps_ipc_decode_enum(r, 2) != 0;
	m->plain = ps_ipc_decode_enum(r, 2) != 0;
	if (m->callback.len == 0 || m->ttl_s > PS_TTL_MAX_S)
		r->failed = true;
	return ps_ipc_done(r);
}

void
ps_ipc_encode_withdraw(struct ps_writer *w, const struct ps_ipc_withdraw *m)
{
	ps_ipc_frame_begin(w, PS_IPC_WITHDRAW);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_writer_slice(w, m->client);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_withdraw(struct ps_reader *r, struct ps_ipc_withdraw *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->token_id = (int64_t)ps_reader_u64(r);
	m->client = decode_client(r);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_publish(struct ps_writer *w, const struct ps_ipc_publish *m)
{
	ps_ipc_frame_begin(w, PS_IPC_PUBLISH);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_slice(w, m->session);
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_writer_u8(w, m->closes);
	ps_writer_u16(w, m->code);
	ps_writer_slice(w, m->reason);
	ps_writer_u8(w, m->store);
	ps_writer_slice(w, m->message);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_publish(struct ps_reader *r, struct ps_ipc_publish *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->session = ps_ipc_decode_bounded(r, PS_SESSION_ID_MAX);
	m->token_id = (int64_t)ps_reader_u64(r);
	m->closes = ps_ipc_decode_enum(r, 2) != 0;
	m->code = ps_reader_u16(r);
	m->reason = ps_ipc_decode_bounded(r, PS_CLOSE_REASON_MAX);
	m->store = ps_ipc_decode_enum(r, 2) != 0;
	m->message = ps_reader_slice(r);
	/* A message has quotes, an end has none. */
	if (m->closes ? m->message.len > 0 || m->session.len == 0 :
			m->message.len < 2)
		r->failed = true;
	return ps_ipc_done(r);
}

void
ps_ipc_encode_connections(struct ps_writer *w,
    const struct ps_ipc_connections *m)
{
	ps_ipc_frame_begin(w, PS_IPC_CONNECTIONS);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_u64(w, (uint64_t)m->token_id);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_connections(struct ps_reader *r, struct ps_ipc_connections *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->token_id = (int64_t)ps_reader_u64(r);
	return ps_ipc_done(r);
}

void
ps_ipc_encode_sockjs_page(struct ps_writer *w,
    const struct ps_ipc_sockjs_page *m)
{
	ps_ipc_frame_begin(w, PS_IPC_SOCKJS_PAGE);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_u8(w, (uint8_t)m->page);
	ps_writer_slice(w, m->etag);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_sockjs_page(struct ps_reader *r, struct ps_ipc_sockjs_page *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->page = ps_ipc_decode_enum(r, PS_SOCKJS_PAGE__COUNT);
	m->etag = ps_ipc_decode_bounded(r, PS_COOKIE_MAX);
	return ps_ipc_done(r);
}

/* The session of a SockJS URL. */
static struct ps_slice
decode_sockjs_session(struct ps_reader *r)
{
	struct ps_slice session =
	    ps_ipc_decode_bounded(r, PS_SOCKJS_SESSION_MAX);

	if (session.len == 0)
		r->failed = true;
	return session;
}

void
ps_ipc_encode_sockjs_receive(struct ps_writer *w,
    const struct ps_ipc_sockjs_receive *m)
{
	ps_ipc_frame_begin(w, PS_IPC_SOCKJS_RECEIVE);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_slice(w, m->session);
	ps_writer_u8(w, (uint8_t)m->framing);
	ps_writer_slice(w, m->agent);
	ps_writer_slice(w, m->remote_addr);
	ps_ipc_frame_end(w);
}

int
ps_ipc_decode_sockjs_receive(struct ps_reader *r,
    struct ps_ipc_sockjs_receive *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->session = decode_sockjs_session(r);
	m->framing = ps_ipc_decode_enum(r, PS_SOCKJS_FRAMING__COUNT);
	m->agent = ps_ipc_decode_bounded(r, PS_AGENT_MAX);
	m->remote_addr = ps_ipc_decode_bounded(r, PS_ADDRESS_MAX - 1);
	return ps_ipc_done(r);
}

void
ps_ipc_sockjs_send_begin(struct ps_writer *w,
    const struct ps_ipc_sockjs_send *m)
{
	ps_ipc_frame_begin(w, PS_IPC_SOCKJS_SEND);
	ps_ipc_encode_request(w, &m->request);
	ps_writer_slice(w, m->socket_id);
	ps_writer_slice(w, m->session);
	ps_writer_u8(w, m->jsonp);
}

int
ps_ipc_decode_sockjs_send(struct ps_reader *r, struct ps_ipc_sockjs_send *m)
{
	ps_ipc_decode_request(r, &m->request);
	m->socket_id = decode_socket_id(r);
	m->session = decode_sockjs_session(r);
	m->jsonp = ps_ipc_decode_enum(r, 2) != 0;
	return ps_ipc_decode_events(r, &m->events, &m->count);
}
