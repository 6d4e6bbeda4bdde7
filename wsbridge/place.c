#include "config.h"

#include "place.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ps_clock.h"
#include "ps_log.h"
#include "ps_place.h"

/* A predecessor that was told to stop may be busy, and holds the lock for a
 * moment once more when it ends. */
#define PATIENCE_MS 5000
#define LOOK_MS 10

/* A descriptor, or -1 with errno. */
static int
wait_for_lock(const char *place)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	uint64_t until_ms = ps_clock_ms() + PATIENCE_MS;
	bool told = false;
	int fd;

	while ((fd = ps_place_lock(place)) < 0 && errno == EADDRINUSE &&
	    ps_clock_ms() < until_ms) {
		if (!told)
			ps_info("place: %s is taken, waiting for its bridge "
				"to drain",
			    place);
		told = true;
		nanosleep(&pause, NULL);
	}
	return fd;
}

int
place_take(struct bridge *bridge)
{
	const struct ps_config *config = bridge->config;

	bridge->place_fd = wait_for_lock(config->bridge_socket);
	if (bridge->place_fd < 0) {
		ps_error("place: cannot listen on %s (%s)",
		    config->bridge_socket, strerror(errno));
		return PS_ERR_IO;
	}
	ps_place_sweep(config->bridge_socket);
	ps_place_sweep(config->ws_socket);
	return PS_OK;
}

static int
lead(const struct bridge *bridge, const char *place)
{
	int ret = ps_place_lead(place, bridge->tag);

	if (ret != PS_OK)
		ps_error("place: cannot listen on %s (%s)", place,
		    strerror(errno));
	return ret;
}

int
place_lead(struct bridge *bridge)
{
	int ret = lead(bridge, bridge->config->ws_socket);

	return ret == PS_OK ? lead(bridge, bridge->config->bridge_socket) :
			      ret;
}

void
place_release(struct bridge *bridge)
{
	if (bridge->place_fd >= 0)
		close(bridge->place_fd);
	bridge->place_fd = -1;
}

static void
leave(const struct bridge *bridge, const char *place)
{
	char path[PS_SOCKET_PATH_MAX];

	ps_place_path(path, place, ps_slice_str(bridge->tag));
	unlink(path);
	if (bridge->place_fd >= 0)
		ps_place_leave(place, bridge->tag);
}

void
place_leave(struct bridge *bridge)
{
	/* With a successor, which has the lock, the links are not ours. */
	if (bridge->place_fd < 0)
		bridge->place_fd = ps_place_lock(bridge->config->bridge_socket);
	leave(bridge, bridge->config->bridge_socket);
	leave(bridge, bridge->config->ws_socket);
	place_release(bridge);
}
