#include "config.h"

#include "intake.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ps_ipc.h"
#include "ps_log.h"
#include "ps_place.h"
#include "ps_socket.h"
#include "service.h"
#include "wsbridge/applications/applications.h"
#include "wsbridge/applications/sockjs.h"
#include "wsbridge/channels/channels.h"
#include "wsbridge/relay/relay.h"

/* Least room for a read; most frames are far smaller. */
#define READ_BYTES (16 * 1024)
/* A buffer that a large frame has grown is given back. */
#define BUFFER_KEEP (256 * 1024)
/* Descriptors in one read; the kernel ends a read at the first set of them. */
#define FDS_MAX 4
/* Workers accepted in one wake-up. */
#define ACCEPT_BATCH 16
/* After an accept that failed. */
#define RETRY_MS 100

struct worker {
	LIST_ENTRY(worker) all;
	struct intake *intake;
	uv_poll_t poll;
	int fd;
	struct ps_writer buffer; /* received, from buffer.data + at */
	size_t at;
	int fds[FDS_MAX]; /* came with frames that are not complete yet */
	size_t n_fds;
	bool greeted;
};

struct intake {
	struct bridge *bridge;
	uv_poll_t poll;
	int fd; /* -1: not listening */
	struct timer retry;
	LIST_HEAD(, worker) workers;
	uid_t *uids; /* that may connect */
	size_t n_uids, n_handles;
};

typedef int (*handler_fn)(struct bridge *bridge, struct ps_reader *r, int fd);

static const handler_fn handlers[PS_IPC__COUNT] = {
	[PS_IPC_CREATE] = relay_on_create,
	[PS_IPC_SEND] = relay_on_send,
	[PS_IPC_RECEIVE] = relay_on_receive,
	[PS_IPC_CLOSE] = relay_on_close,
	[PS_IPC_CHECK] = relay_on_check,
	[PS_IPC_REFUSE] = service_on_refuse,
	[PS_IPC_READY] = service_on_ready,
	[PS_IPC_PROBE] = service_on_probe,
	[PS_IPC_STATS] = service_on_stats,
	[PS_IPC_EMIT] = channels_on_emit,
	[PS_IPC_LISTEN] = channels_on_listen,
	[PS_IPC_MEMBERS] = channels_on_members,
	[PS_IPC_HISTORY] = channels_on_history,
	[PS_IPC_AUTHORIZE] = applications_on_authorize,
	[PS_IPC_WITHDRAW] = applications_on_withdraw,
	[PS_IPC_PUBLISH] = applications_on_publish,
	[PS_IPC_CONNECTIONS] = applications_on_connections,
	[PS_IPC_SOCKJS_PAGE] = sockjs_on_page,
	[PS_IPC_SOCKJS_RECEIVE] = sockjs_on_receive,
	[PS_IPC_SOCKJS_SEND] = sockjs_on_send,
};

/* The last handle to close after intake_stop() takes the rest along. */
static void
free_when_done(struct intake *intake)
{
	if (intake->n_handles > 0 || intake->bridge != NULL)
		return;
	free(intake->uids);
	free(intake);
}

static void
handle_closed(struct intake *intake)
{
	intake->n_handles--;
	free_when_done(intake);
}

static void
on_worker_closed(uv_handle_t *handle)
{
	struct worker *worker = handle->data;
	struct intake *intake = worker->intake;

	close(worker->fd);
	ps_writer_deinit(&worker->buffer);
	free(worker);
	handle_closed(intake);
}

static void
worker_close(struct worker *worker)
{
	if (uv_is_closing((uv_handle_t *)&worker->poll))
		return;
	LIST_REMOVE(worker, all);
	while (worker->n_fds > 0)
		close(worker->fds[--worker->n_fds]);
	uv_close((uv_handle_t *)&worker->poll, on_worker_closed);
}

/* Answers a HELLO with ours; a few bytes always fit a fresh socket. */
static int
greet(struct worker *worker, struct ps_reader *r)
{
	const struct bridge *bridge = worker->intake->bridge;
	struct ps_ipc_hello theirs, ours = { PS_IPC_VERSION,
		(uint32_t)getpid(), ps_slice_str(bridge->tag),
		bridge->draining };
	struct ps_writer frame = { 0 };
	int ret = PS_OK;

	if (ps_ipc_decode_hello(r, &theirs) != PS_OK)
		return PS_ERR_MALFORMED;
	ps_ipc_encode_hello(&frame, &ours);
	if (frame.failed ||
	    send(worker->fd, frame.data, frame.len,
		MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)frame.len)
		ret = PS_ERR_IO;
	ps_writer_deinit(&frame);
	if (theirs.version != PS_IPC_VERSION) {
		ps_error("intake: worker %u speaks version %u, not %u",
		    theirs.pid, theirs.version, PS_IPC_VERSION);
		return PS_ERR_VERSION;
	}
	worker->greeted = true;
	return ret;
}

static int
handle_frame(struct worker *worker, uint8_t type, struct ps_reader *body)
{
	int fd, ret;

	if (type == PS_IPC_HELLO && !worker->greeted)
		return greet(worker, body);
	if (!worker->greeted || type >= PS_IPC__COUNT ||
	    handlers[type] == NULL || worker->n_fds == 0)
		return PS_ERR_MALFORMED;
	worker->intake->bridge->totals.requests[type]++;
	fd = worker->fds[0];
	worker->n_fds--;
	memmove(worker->fds, worker->fds + 1,
	    worker->n_fds * sizeof(worker->fds[0]));
	ret = handlers[type](worker->intake->bridge, body, fd);
	if (ret != PS_OK)
		close(fd);
	return ret;
}

static int
handle_frames(struct worker *worker)
{
	struct ps_writer *buffer = &worker->buffer;
	struct ps_reader body;
	int64_t size;
	uint8_t type;
	int ret;

	while ((size = ps_ipc_split(buffer->data + worker->at,
		    buffer->len - worker->at, &type, &body)) > 0) {
		if ((ret = handle_frame(worker, type, &body)) != PS_OK)
			return ret;
		worker->at += (size_t)size;
	}
	if (size < 0)
		return (int)size;
	if (worker->at > 0) {
		buffer->len -= worker->at;
		memmove(buffer->data, buffer->data + worker->at, buffer->len);
		worker->at = 0;
	}
	if (buffer->len == 0)
		ps_writer_trim(buffer, BUFFER_KEEP);
	return PS_OK;
}

static void
take_fds(struct worker *worker, struct msghdr *msg)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(msg);
	size_t i, n;
	int fd;

	if (header == NULL || header->cmsg_level != SOL_SOCKET ||
	    header->cmsg_type != SCM_RIGHTS)
		return;
	n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		if (worker->n_fds == FDS_MAX) {
			close(fd);
			continue;
		}
		worker->fds[worker->n_fds++] = fd;
	}
}

/* One read a wake-up: bounds the work, and the kernel calls again. */
static int
receive(struct worker *worker)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control;
	struct ps_writer *buffer = &worker->buffer;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t got;

	iov.iov_base = ps_writer_reserve(buffer, READ_BYTES);
	if (iov.iov_base == NULL)
		return PS_ERR_NOMEM;
	iov.iov_len = buffer->capacity - buffer->len;
	got = recvmsg(worker->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? PS_OK : PS_ERR_IO;
	if (got == 0)
		return PS_ERR_CLOSED;
	buffer->len += (size_t)got;
	take_fds(worker, &msg);
	/* Such as EMFILE: then the next request's connection would be taken
	 * for that of this one. */
	if ((msg.msg_flags & MSG_CTRUNC) != 0)
		return PS_ERR_MALFORMED;
	return handle_frames(worker);
}

static void
end(struct worker *worker, int ret)
{
	if (ret == PS_ERR_CLOSED)
		ps_debug("intake: a worker left");
	else
		ps_warning("intake: a worker is disconnected (error %d)", ret);
	worker_close(worker);
}

static void
on_worker_ready(uv_poll_t *poll, int status, int events)
{
	struct worker *worker = poll->data;
	int ret = status < 0 ? PS_ERR_IO : receive(worker);

	(void)events;
	if (ret != PS_OK)
		end(worker, ret);
}

/*
 * Once nothing more can be sent, what was is read to its end: at most what the
 * socket's buffer holds. A frame that was cut off is sent again elsewhere.
 */
static void
turn_away(struct worker *worker)
{
	int ret;

	shutdown(worker->fd, SHUT_RD);
	do
		ret = receive(worker);
	while (ret == PS_OK);
	end(worker, ret);
}

void
intake_turn_away(struct bridge *bridge)
{
	struct worker *worker, *next;

	if (bridge->intake == NULL)
		return;
	for (worker = LIST_FIRST(&bridge->intake->workers); worker != NULL;
	     worker = next) {
		next = LIST_NEXT(worker, all);
		turn_away(worker);
	}
}

static bool
may_connect(const struct intake *intake, int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	size_t i;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	for (i = 0; i < intake->n_uids; i++) {
		if (intake->uids[i] == peer.uid)
			return true;
	}
	ps_warning("intake: user %u may not connect (see worker_users)",
	    (unsigned)peer.uid);
	return false;
}

static void
worker_open(struct intake *intake, int fd)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (worker == NULL || !may_connect(intake, fd) ||
	    uv_poll_init(intake->bridge->loop, &worker->poll, fd) != 0) {
		free(worker);
		close(fd);
		return;
	}
	worker->intake = intake;
	worker->fd = fd;
	worker->poll.data = worker;
	intake->n_handles++;
	LIST_INSERT_HEAD(&intake->workers, worker, all);
	uv_poll_start(&worker->poll, UV_READABLE, on_worker_ready);
}

static void
on_connection(uv_poll_t *poll, int status, int events);

static void
on_retry(struct timer *timer)
{
	struct intake *intake = PS_CONTAINER(timer, struct intake, retry);

	uv_poll_start(&intake->poll, UV_READABLE, on_connection);
}

/* Such as EMFILE: what waits would wake the loop again and again. */
static void
pause_accepting(struct intake *intake)
{
	struct bridge *bridge = intake->bridge;

	ps_error("intake: cannot accept (%s)", strerror(errno));
	uv_poll_stop(&intake->poll);
	intake->retry.fire = on_retry;
	timers_set(&bridge->timers, &intake->retry,
	    bridge->now_ms() + RETRY_MS);
}

static void
on_connection(uv_poll_t *poll, int status, int events)
{
	struct intake *intake = poll->data;
	int fd, i;

	(void)events;
	for (i = 0; status == 0 && i < ACCEPT_BATCH; i++) {
		fd = accept4(intake->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR)
				pause_accepting(intake);
			return;
		}
		worker_open(intake, fd);
	}
}

static int
resolve_users(struct intake *intake)
{
	const struct ps_list *users = &intake->bridge->config->worker_users;
	const struct passwd *user;
	size_t i;

	intake->uids = calloc(users->count + 1, sizeof(*intake->uids));
	if (intake->uids == NULL)
		return PS_ERR_NOMEM;
	for (i = 0; i < users->count; i++) {
		if ((user = getpwnam(users->items[i])) == NULL) {
			ps_error("intake: no user %s (worker_users)",
			    users->items[i]);
			return PS_ERR_MALFORMED;
		}
		intake->uids[intake->n_uids++] = user->pw_uid;
	}
	return PS_OK;
}

int
intake_start(struct bridge *bridge)
{
	const struct ps_config *config = bridge->config;
	struct intake *intake = calloc(1, sizeof(*intake));
	char path[PS_SOCKET_PATH_MAX];

	if (intake == NULL)
		return PS_ERR_NOMEM;
	intake->bridge = bridge;
	LIST_INIT(&intake->workers);
	if (resolve_users(intake) != PS_OK)
		goto fail;
	ps_place_path(path, config->bridge_socket, ps_slice_str(bridge->tag));
	intake->fd = ps_socket_listen(path, (mode_t)config->socket_mode);
	if (intake->fd < 0) {
		ps_error("intake: cannot listen on %s (%s)", path,
		    strerror(errno));
		goto fail;
	}
	if (uv_poll_init(bridge->loop, &intake->poll, intake->fd) != 0) {
		close(intake->fd);
		goto fail;
	}
	intake->poll.data = intake;
	intake->n_handles = 1;
	uv_poll_start(&intake->poll, UV_READABLE, on_connection);
	bridge->intake = intake;
	return PS_OK;

fail:
	free(intake->uids);
	free(intake);
	return PS_ERR_IO;
}

static void
on_listener_closed(uv_handle_t *handle)
{
	struct intake *intake = handle->data;

	close(intake->fd);
	intake->fd = -1;
	handle_closed(intake);
}

size_t
intake_count_workers(const struct bridge *bridge)
{
	const struct worker *worker;
	size_t count = 0;

	if (bridge->intake == NULL)
		return 0;
	LIST_FOREACH(worker, &bridge->intake->workers, all)
		count++;
	return count;
}

void
intake_stop(struct bridge *bridge)
{
	struct intake *intake = bridge->intake;
	struct worker *worker;

	if (intake == NULL)
		return;
	timers_cancel(&bridge->timers, &intake->retry);
	uv_close((uv_handle_t *)&intake->poll, on_listener_closed);
	while ((worker = LIST_FIRST(&intake->workers)) != NULL)
		worker_close(worker);
	bridge->intake = NULL;
	intake->bridge = NULL;
	free_when_done(intake);
}
