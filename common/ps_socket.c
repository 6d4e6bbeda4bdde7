#include "config.h"

#include "ps_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int
fill(struct sockaddr_un *addr, const char *path)
{
	size_t len = strlen(path);

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len >= sizeof(addr->sun_path)) {
		errno = ENAMETOOLONG;
		return PS_ERR_TOO_LARGE;
	}
	memcpy(addr->sun_path, path, len);
	return PS_OK;
}

void
ps_socket_close(int fd)
{
	int saved_errno = errno;

	close(fd);
	errno = saved_errno;
}

/* A timeout of 0 is none. */
static int
connect_as(const char *path, int flags, unsigned timeout_s)
{
	const struct timeval timeout = { .tv_sec = timeout_s };
	struct sockaddr_un addr;
	int fd;

	if (fill(&addr, path) != PS_OK)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ps_socket_close(fd);
		return -1;
	}
	return fd;
}

int
ps_socket_connect(const char *path)
{
	return connect_as(path, 0, 0);
}

int
ps_socket_connect_within(const char *path, unsigned timeout_s)
{
	return connect_as(path, 0, timeout_s);
}

bool
ps_socket_is_answered(const char *path)
{
	int fd = connect_as(path, SOCK_NONBLOCK, 0);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	/* The first: somebody who has a queue of others. With the rest it is
	 * we who lack something, and nobody is dead for that. */
	return errno == EAGAIN || errno == EMFILE || errno == ENFILE ||
	    errno == ENOBUFS || errno == ENOMEM;
}

/* Only ever a socket: a file of another kind was named by mistake. */
static int
remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = ENOTSOCK;
		return -1;
	}
	return unlink(path);
}

int
ps_socket_listen(const char *path, mode_t mode)
{
	struct sockaddr_un addr;
	int fd;

	if (fill(&addr, path) != PS_OK)
		return -1;
	if (ps_socket_is_answered(path)) {
		errno = EADDRINUSE;
		return -1;
	}
	if (errno == ECONNREFUSED && remove_stale(path) < 0)
		return -1;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(path, mode) < 0 || listen(fd, PS_SOCKET_BACKLOG) < 0) {
		ps_socket_close(fd);
		return -1;
	}
	return fd;
}
