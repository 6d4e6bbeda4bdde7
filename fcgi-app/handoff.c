#include "config.h"

#include "handoff.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ps_clock.h"
#include "ps_ipc.h"
#include "ps_log.h"
#include "ps_place.h"
#include "ps_socket.h"

/* Between two looks whether the successor is there. */
#define LOOK_MS 20
/* A bridge may begin to drain between its greeting and our frame. */
#define ATTEMPTS 3

/*
 * When the node's bridge was first missed; 0: it was there when last looked
 * for. Of all threads, so that only the first requests wait for it.
 */
static _Atomic uint64_t missed_ms;
static _Atomic unsigned n_waiting;

void
handoff_init(struct handoff *handoff, const struct ps_config *config)
{
	size_t i;

	*handoff = (struct handoff){ .config = config };
	for (i = 0; i < HANDOFF_LINKS; i++)
		handoff->links[i].fd = -1;
}

static void
disconnect(struct link *link)
{
	if (link->fd >= 0)
		ps_socket_close(link->fd);
	*link = (struct link){ .fd = -1 };
}

void
handoff_deinit(struct handoff *handoff)
{
	size_t i;

	for (i = 0; i < HANDOFF_LINKS; i++)
		disconnect(&handoff->links[i]);
	ps_writer_deinit(&handoff->frame);
}

/*
 * Sends all of `data`, the descriptor with its first byte. Nothing of the
 * request has been taken by the bridge unless all of it was sent.
 */
static int
send_all(int socket_fd, const void *data, size_t len, int passed_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (passed_fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
	}
	while (iov.iov_len > 0) {
		sent = sendmsg(socket_fd, &msg, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return PS_ERR_IO;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		iov.iov_base = (char *)iov.iov_base + sent;
		iov.iov_len -= (size_t)sent;
	}
	return PS_OK;
}

/* Reads exactly one frame, the bridge's HELLO, into `data`. */
static int
receive_hello(int fd, unsigned char *data, size_t size,
    struct ps_ipc_hello *hello)
{
	struct ps_reader body;
	size_t len = 0;
	uint8_t type;
	ssize_t got;

	while (len < size) {
		got = recv(fd, data + len, size - len, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = ECONNRESET;
		if (got <= 0)
			return PS_ERR_IO;
		len += (size_t)got;
		if (ps_ipc_split(data, len, &type, &body) > 0)
			return type == PS_IPC_HELLO ?
			    ps_ipc_decode_hello(&body, hello) :
			    PS_ERR_MALFORMED;
	}
	return PS_ERR_MALFORMED;
}

/* The greetings of both; what the bridge says goes into `link`. */
static int
greet(int fd, struct link *link)
{
	struct ps_ipc_hello hello = { PS_IPC_VERSION, (uint32_t)getpid(),
		ps_slice(NULL, 0), false };
	struct ps_writer frame = { 0 };
	unsigned char data[64];
	int ret = PS_ERR_NOMEM;

	ps_ipc_encode_hello(&frame, &hello);
	if (!frame.failed)
		ret = send_all(fd, frame.data, frame.len, -1);
	ps_writer_deinit(&frame);
	if (ret == PS_OK)
		ret = receive_hello(fd, data, sizeof(data), &hello);
	if (ret != PS_OK)
		return ret;
	if (hello.version != PS_IPC_VERSION) {
		ps_error("handoff: the bridge speaks version %u, not %u, "
			 "restart both programs",
		    hello.version, PS_IPC_VERSION);
		return PS_ERR_VERSION;
	}
	memcpy(link->tag, hello.tag.data, hello.tag.len);
	link->tag[hello.tag.len] = '\0';
	link->draining = hello.draining;
	return PS_OK;
}

static struct link *
find_link(struct handoff *handoff, struct ps_slice tag)
{
	size_t i;

	for (i = 0; i < HANDOFF_LINKS; i++) {
		if (handoff->links[i].fd >= 0 &&
		    ps_slice_is(tag, handoff->links[i].tag))
			return &handoff->links[i];
	}
	return NULL;
}

/* A place for a new connection to the bridge of `link`. */
static struct link *
make_room(struct handoff *handoff, const struct link *link)
{
	struct link *room = find_link(handoff, ps_slice_str(link->tag));
	struct link *oldest = &handoff->links[0];
	size_t i;

	for (i = 1; i < HANDOFF_LINKS; i++) {
		if (handoff->links[i].used < oldest->used)
			oldest = &handoff->links[i];
	}
	if (room == NULL)
		room = oldest;
	disconnect(room);
	return room;
}

/* The other end was closed, by one that ends or begins to drain. */
static bool
has_hung_up(void)
{
	return errno == EPIPE || errno == ECONNRESET;
}

static int
tell_no_bridge(const char *path)
{
	ps_warning("handoff: no bridge at %s (%s)", path, strerror(errno));
	return PS_ERR_IO;
}

/* PS_ERR_CLOSED when nobody is there, with errno. */
static int
open_link(const char *path, struct link *link)
{
	int ret;

	link->fd = ps_socket_connect_within(path, HANDOFF_TIMEOUT_S);
	if (link->fd < 0)
		return errno == ENOENT || errno == ECONNREFUSED ?
		    PS_ERR_CLOSED :
		    tell_no_bridge(path);
	if ((ret = greet(link->fd, link)) == PS_OK)
		return PS_OK;
	ps_socket_close(link->fd);
	if (ret != PS_ERR_IO || !has_hung_up())
		ps_warning("handoff: the bridge at %s did not greet", path);
	return ret;
}

/* One takes new sessions at a time: what took them before drains or is gone,
 * and has ended our connection. */
static void
forget_predecessors(struct handoff *handoff)
{
	size_t i;

	for (i = 0; i < HANDOFF_LINKS; i++) {
		if (!handoff->links[i].draining)
			disconnect(&handoff->links[i]);
	}
}

static int
connect_to(struct handoff *handoff, const char *path, struct link **link_r)
{
	struct link link = { 0 };
	int ret = open_link(path, &link);

	/* A second time there is nobody, if the bridge was just ending. */
	if (ret == PS_ERR_IO && has_hung_up())
		ret = open_link(path, &link);
	if (ret == PS_ERR_IO && has_hung_up())
		ps_warning("handoff: the bridge at %s did not greet", path);
	if (ret != PS_OK)
		return ret;
	if (!link.draining) {
		forget_predecessors(handoff);
		missed_ms = 0;
	}
	*link_r = make_room(handoff, &link);
	**link_r = link;
	return PS_OK;
}

static struct link *
find_current(struct handoff *handoff)
{
	size_t i;

	for (i = 0; i < HANDOFF_LINKS; i++) {
		if (handoff->links[i].fd >= 0 && !handoff->links[i].draining)
			return &handoff->links[i];
	}
	return NULL;
}

/* Whether to look once more for the bridge, after a while. */
static bool
wait_for_successor(const struct handoff *handoff)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	uint64_t now_ms = ps_clock_ms(), since_ms = 0;
	bool may;

	if (atomic_compare_exchange_strong(&missed_ms, &since_ms, now_ms))
		since_ms = now_ms;
	/* It may be later than our look at the clock. */
	if (now_ms >= since_ms + HANDOFF_TIMEOUT_S * 1000)
		return false;
	/* The others go on serving the sessions of a bridge that drains. Where
	 * there is one thread they wait too, rather than that it refuses. */
	may = atomic_fetch_add(&n_waiting, 1) <
	    (handoff->config->threads + 1) / 2;
	if (may)
		nanosleep(&pause, NULL);
	atomic_fetch_sub(&n_waiting, 1);
	return may;
}

/*
 * The bridge that takes new sessions, or one that drains where there is no
 * other: it says so in its answers.
 */
static int
find_bridge(struct handoff *handoff, bool waits, struct link **link_r)
{
	const char *path = handoff->config->bridge_socket;
	int ret;

	if ((*link_r = find_current(handoff)) != NULL)
		return PS_OK;
	do {
		ret = connect_to(handoff, path, link_r);
		if (ret == PS_OK && !(*link_r)->draining)
			return PS_OK;
	} while (waits && (ret == PS_OK || ret == PS_ERR_CLOSED) &&
	    wait_for_successor(handoff));
	return ret == PS_ERR_CLOSED ? tell_no_bridge(path) : ret;
}

static int
find_owner(struct handoff *handoff, struct ps_slice socket,
    struct link **link_r)
{
	struct ps_slice tag = ps_place_tag(socket);
	char path[PS_SOCKET_PATH_MAX];

	if (tag.len == 0)
		return PS_ERR_CLOSED;
	if ((*link_r = find_link(handoff, tag)) != NULL)
		return PS_OK;
	ps_place_path(path, handoff->config->bridge_socket, tag);
	return connect_to(handoff, path, link_r);
}

int
handoff_descriptor(const FCGX_Request *fcgx)
{
	return fcgx->ipcFd;
}

/*
 * libfcgi has no call that gives up a connection without closing it. The
 * descriptor is closed here with close(), since OS_IpcClose() would shut the
 * connection down for the bridge too.
 */
static void
forget_connection(FCGX_Request *fcgx)
{
	int listen_fd = fcgx->listen_sock, flags = fcgx->flags;

	close(fcgx->ipcFd);
	fcgx->ipcFd = -1;
	FCGX_Free(fcgx, 0);
	FCGX_InitRequest(fcgx, listen_fd, flags);
}

/* PS_ERR_CLOSED when the bridge has gone, or drains, since the last request. */
static int
send_over(struct handoff *handoff, struct link *link, FCGX_Request *fcgx)
{
	const struct ps_writer *frame = &handoff->frame;

	assert(!frame->failed);
	link->used = ++handoff->n_uses;
	if (send_all(link->fd, frame->data, frame->len, fcgx->ipcFd) ==
	    PS_OK) {
		forget_connection(fcgx);
		return PS_OK;
	}
	disconnect(link);
	if (has_hung_up())
		return PS_ERR_CLOSED;
	ps_warning("handoff: the bridge takes no requests (%s)",
	    strerror(errno));
	return PS_ERR_IO;
}

int
handoff_send(struct handoff *handoff, FCGX_Request *fcgx, bool waits)
{
	int ret = PS_ERR_CLOSED, i;
	struct link *link;

	for (i = 0; ret == PS_ERR_CLOSED && i < ATTEMPTS; i++) {
		if ((ret = find_bridge(handoff, waits, &link)) != PS_OK)
			break;
		ret = send_over(handoff, link, fcgx);
	}
	return ret == PS_ERR_CLOSED ? PS_ERR_IO : ret;
}

static int
send_to_owner(struct handoff *handoff, FCGX_Request *fcgx,
    struct ps_slice socket, bool may_drain)
{
	int ret = PS_ERR_CLOSED, i;
	struct link *link;

	for (i = 0; ret == PS_ERR_CLOSED && i < ATTEMPTS; i++) {
		if ((ret = find_owner(handoff, socket, &link)) != PS_OK)
			break;
		if (link->draining && !may_drain)
			return PS_ERR_CLOSED;
		ret = send_over(handoff, link, fcgx);
	}
	return ret;
}

int
handoff_send_to_owner(struct handoff *handoff, FCGX_Request *fcgx,
    struct ps_slice socket)
{
	return send_to_owner(handoff, fcgx, socket, true);
}

int
handoff_send_to_member(struct handoff *handoff, FCGX_Request *fcgx,
    struct ps_slice key)
{
	return send_to_owner(handoff, fcgx, key, false);
}
