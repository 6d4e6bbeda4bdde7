#include "config.h"

#include "handoff.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ps_ipc.h"
#include "ps_log.h"
#include "ps_socket.h"

void
handoff_init(struct handoff *handoff, const struct ps_config *config)
{
	*handoff = (struct handoff){ .config = config, .fd = -1 };
}

static void
disconnect(struct handoff *handoff)
{
	if (handoff->fd >= 0)
		close(handoff->fd);
	handoff->fd = -1;
}

void
handoff_deinit(struct handoff *handoff)
{
	disconnect(handoff);
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

/* Reads exactly one frame, the bridge's HELLO. */
static int
receive_hello(int fd, struct ps_ipc_hello *hello)
{
	unsigned char data[64];
	struct ps_reader body;
	size_t len = 0;
	uint8_t type;
	ssize_t got;

	while (len < sizeof(data)) {
		got = recv(fd, data + len, sizeof(data) - len, 0);
		if (got < 0 && errno == EINTR)
			continue;
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

static int
greet(int fd)
{
	struct ps_ipc_hello hello = { PS_IPC_VERSION, (uint32_t)getpid() };
	struct ps_writer frame = { 0 };
	int ret = PS_ERR_NOMEM;

	ps_ipc_encode_hello(&frame, &hello);
	if (!frame.failed)
		ret = send_all(fd, frame.data, frame.len, -1);
	ps_writer_deinit(&frame);
	if (ret == PS_OK)
		ret = receive_hello(fd, &hello);
	if (ret == PS_OK && hello.version != PS_IPC_VERSION) {
		ps_error("handoff: the bridge speaks version %u, not %u, "
			 "restart both programs",
		    hello.version, PS_IPC_VERSION);
		ret = PS_ERR_VERSION;
	}
	return ret;
}

static int
connect_bridge(struct handoff *handoff)
{
	const struct timeval timeout = { .tv_sec = HANDOFF_TIMEOUT_S };
	const char *path = handoff->config->bridge_socket;
	int fd = ps_socket_connect(path), ret;

	if (fd < 0) {
		ps_warning("handoff: no bridge at %s (%s)", path,
		    strerror(errno));
		return PS_ERR_IO;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if ((ret = greet(fd)) != PS_OK) {
		ps_warning("handoff: the bridge at %s did not greet", path);
		close(fd);
		return ret;
	}
	handoff->fd = fd;
	return PS_OK;
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

int
handoff_send(struct handoff *handoff, FCGX_Request *fcgx)
{
	const struct ps_writer *frame = &handoff->frame;
	bool fresh = handoff->fd < 0;
	int ret;

	assert(!frame->failed);
	if (fresh && (ret = connect_bridge(handoff)) != PS_OK)
		return ret;
	ret = send_all(handoff->fd, frame->data, frame->len, fcgx->ipcFd);
	if (ret != PS_OK && !fresh && (errno == EPIPE || errno == ECONNRESET)) {
		/* The bridge was restarted since the last request. */
		disconnect(handoff);
		if ((ret = connect_bridge(handoff)) != PS_OK)
			return ret;
		ret = send_all(handoff->fd, frame->data, frame->len,
		    fcgx->ipcFd);
	}
	if (ret != PS_OK) {
		ps_warning("handoff: the bridge takes no requests (%s)",
		    strerror(errno));
		disconnect(handoff);
		return ret;
	}
	forget_connection(fcgx);
	return PS_OK;
}
