#include "config.h"

#include "ps_place.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A place and a suffix that is no longer than ".lock" or a tag. */
#define NAME_MAX_BYTES (PS_SOCKET_PATH_MAX + 8)

struct ps_slice
ps_place_tag(struct ps_slice socket)
{
	size_t len = 0;

	while (len < socket.len &&
	    strchr("abcdefghijklmnopqrstuvwxyz0123456789", socket.data[len]) !=
		NULL && socket.data[len] != '\0')
		len++;
	if (len == socket.len || socket.data[len] != '.' ||
	    len <= PS_GENERATION_LEN || len > PS_NODE_MAX + PS_GENERATION_LEN)
		return ps_slice(NULL, 0);
	return ps_slice(socket.data, len);
}

/* False when there can be no such socket. */
static bool
make_path(char path_r[PS_SOCKET_PATH_MAX], const char *place,
    struct ps_slice tag)
{
	int len = snprintf(path_r, PS_SOCKET_PATH_MAX, "%s.%.*s", place,
	    (int)tag.len, tag.data);

	return len >= 0 && len < PS_SOCKET_PATH_MAX;
}

void
ps_place_path(char path_r[PS_SOCKET_PATH_MAX], const char *place,
    struct ps_slice tag)
{
	bool fits = make_path(path_r, place, tag);

	assert(fits);
	(void)fits;
}

/* The descriptor of the lock's file, or -1; made where `flags` say so. */
static int
open_lock(const char *place, int flags)
{
	char path[NAME_MAX_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s.lock", place);
	fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Left behind by another user, who was us before. */
	if (fd < 0 && errno == EACCES && (flags & O_CREAT) &&
	    unlink(path) == 0)
		fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	return fd;
}

int
ps_place_lock(const char *place)
{
	int fd = open_lock(place, O_CREAT);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		errno = EADDRINUSE;
	ps_socket_close(fd);
	return -1;
}

bool
ps_place_is_locked(const char *place)
{
	int fd = open_lock(place, 0);
	bool locked;

	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return locked;
}

bool
ps_place_is_alive(const char *place, const char *tag)
{
	char path[PS_SOCKET_PATH_MAX];

	return make_path(path, place, ps_slice_str(tag)) &&
	    ps_socket_is_answered(path);
}

static bool
is_dead_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    !ps_socket_is_answered(path);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

void
ps_place_sweep(const char *place)
{
	char path[PS_SOCKET_PATH_MAX];
	const char *base = base_name(place);
	int folder_len = (int)(base - place), len;
	const struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "%.*s.", folder_len, place);
	if ((folder = opendir(path)) == NULL)
		return;
	while ((entry = readdir(folder)) != NULL) {
		if (strncmp(entry->d_name, base, strlen(base)) != 0 ||
		    entry->d_name[strlen(base)] != '.')
			continue;
		len = snprintf(path, sizeof(path), "%.*s%s", folder_len,
		    place, entry->d_name);
		if (len < (int)sizeof(path) && is_dead_socket(path))
			unlink(path);
	}
	closedir(folder);
}

/* Whether what is at the place, if anything, may be replaced. */
static bool
may_replace(const char *place)
{
	struct stat st;

	if (lstat(place, &st) < 0)
		return errno == ENOENT;
	if (S_ISLNK(st.st_mode))
		return true;
	if (!S_ISSOCK(st.st_mode)) {
		errno = ENOTSOCK;
		return false;
	}
	if (!ps_socket_is_answered(place))
		return true;
	errno = EADDRINUSE;
	return false;
}

/* What the link says: the socket is beside it. */
static void
link_text(char text_r[PS_SOCKET_PATH_MAX], const char *place, const char *tag)
{
	ps_place_path(text_r, base_name(place), ps_slice_str(tag));
}

int
ps_place_lead(const char *place, const char *tag)
{
	char text[PS_SOCKET_PATH_MAX], next[NAME_MAX_BYTES];

	if (!may_replace(place))
		return PS_ERR_IO;
	link_text(text, place, tag);
	snprintf(next, sizeof(next), "%s.next", place);
	unlink(next);
	if (symlink(text, next) < 0 || rename(next, place) < 0)
		return PS_ERR_IO;
	return PS_OK;
}

void
ps_place_leave(const char *place, const char *tag)
{
	char ours[PS_SOCKET_PATH_MAX], text[PS_SOCKET_PATH_MAX];
	ssize_t len = readlink(place, text, sizeof(text) - 1);

	if (len < 0)
		return;
	text[len] = '\0';
	link_text(ours, place, tag);
	if (strcmp(text, ours) == 0)
		unlink(place);
}
