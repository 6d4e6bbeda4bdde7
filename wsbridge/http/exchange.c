#include "config.h"

#include "exchange.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fastcgi.h>

#include "ps_log.h"

/* Content of one record: a multiple of 8, so that no padding is needed. */
#define RECORD_BYTES 65528
/* Records in one system call. */
#define RECORDS_MAX 32
/* An empty STDOUT and END_REQUEST with its body (section 5.5). */
#define END_BYTES (FCGI_HEADER_LEN * 2 + sizeof(FCGI_EndRequestBody))

static void
on_ready(struct watch *watch, uint32_t events);

/* A copy at `*end`, which moves on. */
static struct ps_slice
copy(struct ps_slice text, char **end)
{
	char *begin = *end;

	if (text.len > 0)
		memcpy(begin, text.data, text.len);
	*end += text.len;
	return ps_slice(begin, text.len);
}

/* False when memory is out. */
static bool
copy_style(struct exchange *exchange, const struct ps_style *style)
{
	size_t len = style->callback.len + style->origin.len +
	    style->cookie.len + style->allow_headers.len;
	char *end;

	exchange->style.flags = style->flags;
	if (len == 0)
		return true;
	if ((end = exchange->strings = malloc(len)) == NULL)
		return false;
	exchange->style.callback = copy(style->callback, &end);
	exchange->style.origin = copy(style->origin, &end);
	exchange->style.cookie = copy(style->cookie, &end);
	exchange->style.allow_headers = copy(style->allow_headers, &end);
	return true;
}

struct exchange *
exchange_create(struct bridge *bridge, int fd,
    const struct ps_ipc_request *request)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (exchange == NULL) {
		close(fd);
		return NULL;
	}
	exchange->bridge = bridge;
	exchange->watch.fd = fd;
	exchange->watch.ready = on_ready;
	exchange->request_id = request->id;
	LIST_INSERT_HEAD(&bridge->exchanges, exchange, all);
	if (copy_style(exchange, &request->style))
		return exchange;
	exchange_abort(exchange);
	return NULL;
}

void
exchange_set_owner(struct exchange *exchange, const struct exchange_ops *ops,
    void *owner)
{
	exchange->ops = ops;
	exchange->owner = owner;
}

static void
destroy(struct garbage *garbage)
{
	struct exchange *exchange = (struct exchange *)garbage;

	free(exchange->strings);
	free(exchange->pending);
	free(exchange);
}

static void
end(struct exchange *exchange)
{
	if (exchange->watch.fd < 0)
		return;
	if (watches_set(&exchange->bridge->watches, &exchange->watch, 0) !=
	    PS_OK)
		ps_debug("exchange: cannot unwatch (%s)", strerror(errno));
	bridge_close_later(exchange->bridge, exchange->watch.fd);
	exchange->watch.fd = -1;
	exchange->pending_len = 0;
	bridge_free_later(exchange->bridge, &exchange->garbage, destroy);
	LIST_REMOVE(exchange, all);
	bridge_check_drained(exchange->bridge);
}

void
exchange_abort(struct exchange *exchange)
{
	exchange->ops = NULL;
	end(exchange);
}

static void
gone(struct exchange *exchange)
{
	const struct exchange_ops *ops = exchange->ops;

	exchange->ops = NULL;
	end(exchange);
	if (ops != NULL)
		ops->on_gone(exchange->owner);
}

static void
written(struct exchange *exchange)
{
	const struct exchange_ops *ops = exchange->ops;

	if (exchange->finished) {
		exchange->ops = NULL;
		end(exchange);
	}
	if (ops != NULL && ops->on_written != NULL)
		ops->on_written(exchange->owner);
}

static void
update_watch(struct exchange *exchange)
{
	uint32_t events = exchange->watching ? EPOLLIN | EPOLLRDHUP : 0;

	if (exchange_is_writing(exchange))
		events |= EPOLLOUT | EPOLLRDHUP;
	if (watches_set(&exchange->bridge->watches, &exchange->watch,
		events) != PS_OK)
		ps_error("exchange: cannot watch (%s)", strerror(errno));
}

void
exchange_watch(struct exchange *exchange)
{
	exchange->watching = true;
	update_watch(exchange);
}

static void
flush(struct exchange *exchange)
{
	ssize_t n = send(exchange->watch.fd,
	    exchange->pending + exchange->pending_at, exchange->pending_len,
	    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			gone(exchange);
		return;
	}
	exchange->pending_at += (size_t)n;
	exchange->pending_len -= (size_t)n;
	if (exchange_is_writing(exchange))
		return;
	free(exchange->pending);
	exchange->pending = NULL;
	if (!exchange->finished)
		update_watch(exchange);
	written(exchange);
}

/*
 * The web server sends nothing after the body but, perhaps, ABORT_REQUEST
 * (section 5.4). Everything that is not that is of no interest.
 */
static bool
other_end_is_gone(struct exchange *exchange)
{
	unsigned char record[512];
	ssize_t n = recv(exchange->watch.fd, record, sizeof(record),
	    MSG_DONTWAIT);

	if (n < 0)
		return errno != EAGAIN && errno != EINTR;
	return n == 0 || (n >= 2 && record[1] == FCGI_ABORT_REQUEST);
}

static void
on_ready(struct watch *watch, uint32_t events)
{
	struct exchange *exchange = PS_CONTAINER(watch, struct exchange, watch);

	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ||
	    (events & EPOLLIN && other_end_is_gone(exchange)))
		gone(exchange);
	else if (events & EPOLLOUT)
		flush(exchange);
}

static void
fill_header(unsigned char *header, int type, uint16_t id, size_t len)
{
	header[0] = FCGI_VERSION_1;
	header[1] = (unsigned char)type;
	header[2] = (unsigned char)(id >> 8);
	header[3] = (unsigned char)id;
	header[4] = (unsigned char)(len >> 8);
	header[5] = (unsigned char)len;
	header[6] = 0;
	header[7] = 0;
}

static void
fill_end(unsigned char *bytes, uint16_t id)
{
	memset(bytes, 0, END_BYTES);
	fill_header(bytes, FCGI_STDOUT, id, 0);
	fill_header(bytes + FCGI_HEADER_LEN, FCGI_END_REQUEST, id,
	    sizeof(FCGI_EndRequestBody));
}

/* Keeps what `sent` bytes of `iov` leave over. False without memory. */
static bool
keep_rest(struct exchange *exchange, const struct iovec *iov, int n,
    size_t sent)
{
	size_t total = 0, at = 0;
	int i;

	for (i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (total == sent)
		return true;
	exchange->pending = malloc(total - sent);
	if (exchange->pending == NULL)
		return false;
	for (i = 0; i < n; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		sent -= skip;
		memcpy(exchange->pending + at, (char *)iov[i].iov_base + skip,
		    iov[i].iov_len - skip);
		at += iov[i].iov_len - skip;
	}
	exchange->pending_at = 0;
	exchange->pending_len = at;
	return true;
}

/* Where the owner's callbacks may run: from the watch, so not from inside. */
static void
fail_later(struct exchange *exchange)
{
	shutdown(exchange->watch.fd, SHUT_RDWR);
	exchange_watch(exchange);
}

static bool
send_records(struct exchange *exchange, const char *data, size_t len,
    bool last)
{
	unsigned char headers[RECORDS_MAX][FCGI_HEADER_LEN];
	unsigned char ending[END_BYTES];
	struct iovec iov[RECORDS_MAX * 2 + 1];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t sent;
	int n = 0, record = 0;

	for (; len > 0; record++) {
		size_t part = len < RECORD_BYTES ? len : RECORD_BYTES;

		assert(record < RECORDS_MAX);
		fill_header(headers[record], FCGI_STDOUT,
		    exchange->request_id, part);
		iov[n++] = (struct iovec){ headers[record], FCGI_HEADER_LEN };
		iov[n++] = (struct iovec){ (void *)(uintptr_t)data, part };
		data += part;
		len -= part;
	}
	if (last) {
		fill_end(ending, exchange->request_id);
		iov[n++] = (struct iovec){ ending, END_BYTES };
	}
	msg.msg_iovlen = (size_t)n;
	sent = sendmsg(exchange->watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	return keep_rest(exchange, iov, n, sent < 0 ? 0 : (size_t)sent);
}

/* Appends behind what is pending already, as records. */
static bool
queue_records(struct exchange *exchange, const char *data, size_t len,
    bool last)
{
	size_t n_records = (len + RECORD_BYTES - 1) / RECORD_BYTES;
	size_t room = len + n_records * FCGI_HEADER_LEN + END_BYTES;
	unsigned char *p;

	if (exchange->pending_len > 0)
		memmove(exchange->pending,
		    exchange->pending + exchange->pending_at,
		    exchange->pending_len);
	exchange->pending_at = 0;
	p = realloc(exchange->pending, exchange->pending_len + room);
	if (p == NULL)
		return false;
	exchange->pending = (char *)p;
	p += exchange->pending_len;
	while (len > 0) {
		size_t part = len < RECORD_BYTES ? len : RECORD_BYTES;

		fill_header(p, FCGI_STDOUT, exchange->request_id, part);
		memcpy(p + FCGI_HEADER_LEN, data, part);
		p += FCGI_HEADER_LEN + part;
		data += part;
		len -= part;
	}
	if (last) {
		fill_end(p, exchange->request_id);
		p += END_BYTES;
	}
	exchange->pending_len = (size_t)((char *)p - exchange->pending);
	return true;
}

static bool
put(struct exchange *exchange, const char *data, size_t len, bool last)
{
	bool ok;

	if (exchange->watch.fd < 0 || exchange->finished)
		return false;
	exchange->finished = last;
	if (exchange_is_writing(exchange) ||
	    len > (size_t)RECORDS_MAX * RECORD_BYTES) {
		ok = queue_records(exchange, data, len, last);
	} else {
		ok = send_records(exchange, data, len, last);
	}
	if (!ok) {
		fail_later(exchange);
		return false;
	}
	if (exchange_is_writing(exchange)) {
		update_watch(exchange);
		return false;
	}
	if (last)
		end(exchange);
	return true;
}

bool
exchange_write(struct exchange *exchange, const char *data, size_t len)
{
	return put(exchange, data, len, false);
}

bool
exchange_finish(struct exchange *exchange, const char *data, size_t len)
{
	return put(exchange, data, len, true);
}

static void
finish_with(struct exchange *exchange, const struct ps_writer *out)
{
	exchange_set_owner(exchange, NULL, NULL);
	if (out->failed)
		exchange_abort(exchange);
	else
		exchange_finish(exchange, out->data, out->len);
}

static void
reply_error(struct exchange *exchange, enum ps_code code, const char *members,
    const struct ps_head_extra *extra)
{
	struct ps_writer *out = &exchange->bridge->scratch;

	exchange->bridge->totals.refusals[code]++;
	ps_writer_reset(out);
	ps_reply_error_with(out, &exchange->style, code, NULL, members, extra);
	finish_with(exchange, out);
}

void
exchange_reply_error(struct exchange *exchange, enum ps_code code,
    const char *members)
{
	reply_error(exchange, code, members, NULL);
}

void
exchange_reply_refusal(struct exchange *exchange,
    const struct refusal *refusal)
{
	const struct ps_head_extra extra = { .retry_after_s =
						 refusal->retry_after_s };
	char limit[64];

	snprintf(limit, sizeof(limit), "\"limit\":\"%s\"",
	    refusal->limit == NULL ? "" : refusal->limit);
	reply_error(exchange, refusal->code,
	    refusal->limit == NULL ? NULL : limit,
	    refusal->retry_after_s == 0 ? NULL : &extra);
}

void
exchange_reply_limit(struct exchange *exchange, enum ps_code code,
    const char *limit)
{
	exchange_reply_refusal(exchange,
	    &(struct refusal){ .code = code, .limit = limit });
}

void
exchange_reply_text(struct exchange *exchange, int status, const char *type,
    struct ps_slice text, const struct ps_head_extra *extra)
{
	struct ps_writer *out = &exchange->bridge->scratch;

	ps_writer_reset(out);
	ps_reply_text(out, &exchange->style, status, type, text, extra);
	finish_with(exchange, out);
}

void
exchange_reply_json(struct exchange *exchange, int status,
    struct ps_slice json)
{
	struct ps_writer *out = &exchange->bridge->scratch;

	ps_writer_reset(out);
	ps_reply_json(out, &exchange->style, status, json, NULL);
	finish_with(exchange, out);
}

void
exchange_reply_built(struct exchange *exchange, struct ps_writer *json)
{
	if (json->failed)
		exchange_abort(exchange);
	else
		exchange_reply_json(exchange, 200,
		    ps_slice(json->data, json->len));
	ps_writer_deinit(json);
}
