/*
 * Where the bridges of a node listen, one after the other, so that one goes on
 * serving its sessions beside its successor.
 *
 * A place is a path, such as that of the option bridge_socket. Each bridge
 * listens at `PATH.TAG`, where its sessions are found as long as it lives, and
 * PATH is a symbolic link to the bridge that takes new ones. Who may set the
 * link has the lock of `PATH.lock` (flock(2), so it ends with its process) and
 * gives it up when it begins to drain.
 *
 * A tag is the node's name and the generation, a few letters that are drawn at
 * each start; a session's socket is `TAG.RANDOM`.
 */
#ifndef PS_PLACE_H
#define PS_PLACE_H

#include <stdbool.h>

#include "ps_bytes.h"
#include "ps_err.h"
#include "ps_socket.h"

#define PS_GENERATION_LETTERS "abcdefghijklmnopqrstuvwxyz234567"
#define PS_GENERATION_LEN 5
#define PS_NODE_MAX 8
/* Longest path of a place: with the longest tag it is that of a socket. */
#define PS_PLACE_MAX \
	(PS_SOCKET_PATH_MAX - 1 - 1 - PS_NODE_MAX - PS_GENERATION_LEN)

/* The tag of a socket, borrowed; empty when it has none. */
struct ps_slice ps_place_tag(struct ps_slice socket);

/* Where the bridge of that tag listens; the place must not be too long. */
void ps_place_path(char path_r[PS_SOCKET_PATH_MAX], const char *place,
    struct ps_slice tag);

/*
 * Takes the lock of a place: a descriptor to be closed, or -1 with errno,
 * EADDRINUSE when another process has it.
 */
PS_MUST_CHECK int ps_place_lock(const char *place);
/* Whether another process has it. */
bool ps_place_is_locked(const char *place);

/* Whether the bridge of that tag lives, and be it to drain. */
bool ps_place_is_alive(const char *place, const char *tag);

/* Removes the sockets of bridges that died. Only with the lock. */
void ps_place_sweep(const char *place);

/*
 * Leads who comes to the place to the bridge of that tag, in one step. Only
 * with the lock. PS_ERR_IO with errno: EADDRINUSE when a living socket is
 * there, ENOTSOCK when it is a file of another kind.
 */
PS_MUST_CHECK int ps_place_lead(const char *place, const char *tag);
/* Leads nobody there any more, unless they are led elsewhere already. Only
 * with the lock. */
void ps_place_leave(const char *place, const char *tag);

#endif
