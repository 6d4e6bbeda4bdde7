/* Unix sockets: listening and connecting, both with blocking descriptors. */
#ifndef PS_SOCKET_H
#define PS_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "ps_err.h"

#define PS_SOCKET_BACKLOG 4096
/* With its NUL: sun_path of unix(7). */
#define PS_SOCKET_PATH_MAX 108

/*
 * Listens on `path` with the file mode `mode`. A socket that a dead process
 * left behind is replaced; one that still answers is not. Returns the
 * descriptor (close-on-exec), or -1 with errno, EADDRINUSE when it answers.
 */
PS_MUST_CHECK int ps_socket_listen(const char *path, mode_t mode);

/* Connects to `path`; -1 with errno when nobody listens there. */
PS_MUST_CHECK int ps_socket_connect(const char *path);

/* The same, but that connecting, and then each send and receive, waits at most
 * so long: EAGAIN. */
PS_MUST_CHECK int ps_socket_connect_within(const char *path,
    unsigned timeout_s);

/* Whether somebody listens at `path`, or may; waits for nobody. */
bool ps_socket_is_answered(const char *path);

/* close(2) that leaves errno as it is. */
void ps_socket_close(int fd);

#endif
