#include "config.h"

#include "responder.h"

#include <netinet/in.h>

struct responder_connection {
	uv_tcp_t tcp;
	LIST_ENTRY(responder_connection) entry;
	struct responder *responder;
	struct ps_writer in;
	uv_write_t write;
};

static void
on_closed(uv_handle_t *handle)
{
	struct responder_connection *c = handle->data;

	ps_writer_deinit(&c->in);
	free(c);
}

static void
drop(struct responder_connection *c)
{
	if (uv_is_closing((uv_handle_t *)&c->tcp))
		return;
	LIST_REMOVE(c, entry);
	c->responder->n_open--;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	static char bytes[65536];

	(void)handle;
	(void)suggested;
	*buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void
on_written(uv_write_t *write, int status)
{
	struct responder_connection *c = write->data;

	if (status < 0 || c->responder->closes)
		drop(c);
}

/* The length of the request that is there as a whole, or 0. */
static size_t
request_length(struct ps_writer *in)
{
	char *end, *field;
	size_t len;

	ps_writer_u8(in, '\0');
	in->len--;
	if ((end = strstr(in->data, "\r\n\r\n")) == NULL)
		return 0;
	field = strstr(in->data, "Content-Length: ");
	len = (size_t)(end - in->data) + 4;
	if (field != NULL && field < end)
		len += strtoul(field + strlen("Content-Length: "), NULL, 10);
	return in->len < len ? 0 : len;
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct responder_connection *c = stream->data;
	struct responder *responder = c->responder;
	size_t len;
	uv_buf_t answer;

	if (n < 0) {
		drop(c);
		return;
	}
	ps_writer_bytes(&c->in, buffer->base, (size_t)n);
	if ((len = request_length(&c->in)) == 0)
		return;
	assert_int_equal(len, c->in.len); /* one at a time */
	responder->n_requests++;
	ps_writer_reset(&responder->request);
	ps_writer_bytes(&responder->request, c->in.data, len);
	ps_writer_u8(&responder->request, '\0');
	ps_writer_reset(&c->in);
	if (responder->answer == NULL)
		return;
	answer = uv_buf_init((char *)(uintptr_t)responder->answer,
	    (unsigned)(responder->answer_len > 0 ?
		    responder->answer_len :
		    strlen(responder->answer)));
	c->write.data = c;
	assert_int_equal(uv_write(&c->write, stream, &answer, 1, on_written),
	    0);
}

static void
on_connection(uv_stream_t *server, int status)
{
	struct responder *responder = server->data;
	struct responder_connection *c = calloc(1, sizeof(*c));

	assert_int_equal(status, 0);
	assert_non_null(c);
	c->responder = responder;
	uv_tcp_init(server->loop, &c->tcp);
	c->tcp.data = c;
	assert_int_equal(uv_accept(server, (uv_stream_t *)&c->tcp), 0);
	LIST_INSERT_HEAD(&responder->connections, c, entry);
	responder->n_connections++;
	responder->n_open++;
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

void
responder_open(struct responder *responder, uv_loop_t *loop)
{
	struct sockaddr_in address;
	int len = sizeof(address);

	*responder = (struct responder){ .answer = "HTTP/1.1 204 No Content"
						   "\r\n\r\n" };
	LIST_INIT(&responder->connections);
	uv_ip4_addr("127.0.0.1", 0, &address);
	uv_tcp_init(loop, &responder->server);
	responder->server.data = responder;
	assert_int_equal(uv_tcp_bind(&responder->server,
			     (struct sockaddr *)&address, 0),
	    0);
	assert_int_equal(uv_listen((uv_stream_t *)&responder->server, 64,
			     on_connection),
	    0);
	assert_int_equal(uv_tcp_getsockname(&responder->server,
			     (struct sockaddr *)&address, &len),
	    0);
	responder->port = ntohs(address.sin_port);
}

void
responder_drop(struct responder *responder)
{
	while (!LIST_EMPTY(&responder->connections))
		drop(LIST_FIRST(&responder->connections));
}

void
responder_close(struct responder *responder)
{
	responder_drop(responder);
	uv_close((uv_handle_t *)&responder->server, NULL);
	ps_writer_deinit(&responder->request);
}
