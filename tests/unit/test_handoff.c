/*
 * A worker's connections to bridges that come and go. The bridges are threads
 * that greet and read nothing; the clock is the test's, and each look at it is
 * where something may happen meanwhile.
 */
#include "config.h"

#include "unit.h"

#include <pthread.h>
#include <sys/socket.h>

#include "fcgi-app/handoff.h"
#include "ps_clock.h"
#include "ps_ipc.h"
#include "ps_log.h"
#include "ps_place.h"

#define CONNECTIONS_MAX 8

uint64_t __wrap_ps_clock_ms(void);

static struct fake_bridge {
	const char *tag;
	int listen_fd, fds[CONNECTIONS_MAX];
	size_t n_fds;
	pthread_t thread;
} fakes[4];

static const struct fake_bridge *draining; /* and what it says */

static char folder[] = "/tmp/ps-handoff-XXXXXX";
static char place[64];
static struct ps_config *config;
static struct handoff handoff, other; /* of two threads */
static uint64_t clock_ms = 1000;
static void (*on_look)(void); /* called once, at the next look at the clock */

uint64_t
__wrap_ps_clock_ms(void)
{
	void (*look)(void) = on_look;
	uint64_t now_ms = clock_ms;

	on_look = NULL;
	if (look != NULL)
		look();
	return now_ms;
}

static int
setup(void **state)
{
	(void)state;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_ERROR);
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (mkdtemp(folder) == NULL || (config = ps_config_create()) == NULL)
		return -1;
	snprintf(place, sizeof(place), "%s/bridge.sock", folder);
	free(config->bridge_socket);
	config->bridge_socket = strdup(place);
	handoff_init(&handoff, config);
	handoff_init(&other, config);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	handoff_deinit(&handoff);
	handoff_deinit(&other);
	ps_config_destroy(config);
	return rmdir(folder);
}

/* Greets who connects, until nobody can. */
static void *
serve(void *arg)
{
	struct fake_bridge *fake = arg;
	const struct ps_ipc_hello hello = { PS_IPC_VERSION, 77,
		ps_slice_str(fake->tag), fake == draining };
	struct ps_writer frame = { 0 };
	int fd;

	ps_ipc_encode_hello(&frame, &hello);
	while (fake->n_fds < CONNECTIONS_MAX &&
	    (fd = accept(fake->listen_fd, NULL, NULL)) >= 0) {
		fake->fds[fake->n_fds++] = fd;
		if (send(fd, frame.data, frame.len, MSG_NOSIGNAL) < 0)
			break;
	}
	ps_writer_deinit(&frame);
	return NULL;
}

static void
begin(struct fake_bridge *fake, const char *tag)
{
	char path[PS_SOCKET_PATH_MAX];

	*fake = (struct fake_bridge){ .tag = tag };
	ps_place_path(path, place, ps_slice_str(tag));
	fake->listen_fd = ps_socket_listen(path, 0600);
	assert_true(fake->listen_fd >= 0);
	assert_int_equal(
	    pthread_create(&fake->thread, NULL, serve, fake), 0);
	assert_int_equal(ps_place_lead(place, tag), PS_OK);
}

static void
end(struct fake_bridge *fake)
{
	char path[PS_SOCKET_PATH_MAX];

	shutdown(fake->listen_fd, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	while (fake->n_fds > 0)
		close(fake->fds[--fake->n_fds]);
	close(fake->listen_fd);
	ps_place_path(path, place, ps_slice_str(fake->tag));
	unlink(path);
	ps_place_leave(place, fake->tag);
}

static void
end_first(void)
{
	end(&fakes[0]);
}

static void
begin_second(void)
{
	begin(&fakes[1], "asecond");
}

/* Hands a request over, to the owner of `socket` (and, where it is a member's
 * key, not to one that drains) or, NULL, to whom is led. */
static int
hand_over_to(struct handoff *from, const char *socket, bool is_key)
{
	FCGX_Request fcgx;
	int fds[2], ret;

	FCGX_InitRequest(&fcgx, -1, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fcgx.ipcFd = fds[0];
	ps_writer_reset(&from->frame);
	ps_writer_str(&from->frame, "a frame");
	ret = socket == NULL ?
	    handoff_send(from, &fcgx, true) :
	    is_key ? handoff_send_to_member(from, &fcgx,
			 ps_slice_str(socket)) :
		     handoff_send_to_owner(from, &fcgx, ps_slice_str(socket));
	close(fds[1]);
	if (ret != PS_OK)
		close(fds[0]);
	return ret;
}

static int
hand_over(struct handoff *from, const char *socket)
{
	return hand_over_to(from, socket, false);
}

static void
connections_to_many_that_have_gone_hold_nothing_up(void **state)
{
	static const char *const names[][2] = { { "afirst", "afirst.x" },
		{ "asecond", "asecond.x" }, { "athird", "athird.x" },
		{ "afourth", "afourth.x" } };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(names); i++) {
		if (i > 0)
			end(&fakes[i - 1]);
		begin(&fakes[i], names[i][0]);
		assert_row(i, hand_over(&handoff, names[i][1]) == PS_OK);
	}
	assert_int_equal(hand_over(&handoff, NULL), PS_OK);
	end(&fakes[ROWS(names) - 1]);
}

/* Time passes until nobody waits any longer. */
static void
be_late(void)
{
	clock_ms += 1 + HANDOFF_TIMEOUT_S * 1000;
}

static void
miss(struct handoff *from)
{
	assert_int_equal(hand_over(from, NULL), PS_ERR_IO);
}

static void
the_next_gap_is_waited_for_as_the_first(void **state)
{
	(void)state;
	be_late();
	on_look = be_late;
	miss(&handoff);
	begin(&fakes[0], "afirst");
	assert_int_equal(hand_over(&handoff, "afirst.x"), PS_OK);
	assert_int_equal(hand_over(&handoff, NULL), PS_OK);
	end_first();
	on_look = begin_second;
	assert_int_equal(hand_over(&handoff, NULL), PS_OK);
	end(&fakes[1]);
}

/* Another thread, which looked at the clock a little later. */
static void
miss_elsewhere(void)
{
	clock_ms++;
	on_look = be_late;
	miss(&other);
	clock_ms -= 1 + HANDOFF_TIMEOUT_S * 1000;
	on_look = begin_second;
}

static void
who_is_missed_by_two_at_once_is_waited_for(void **state)
{
	(void)state;
	begin(&fakes[0], "afirst");
	assert_int_equal(hand_over(&handoff, NULL), PS_OK);
	end_first();
	on_look = miss_elsewhere;
	assert_int_equal(hand_over(&handoff, NULL), PS_OK);
	end(&fakes[1]);
}

static void
one_that_drains_has_sessions_but_no_members(void **state)
{
	(void)state;
	draining = &fakes[0];
	begin(&fakes[0], "afirst");
	begin(&fakes[1], "asecond");
	assert_int_equal(hand_over(&handoff, "afirst.x"), PS_OK);
	assert_int_equal(hand_over_to(&handoff, "afirst.x", true),
	    PS_ERR_CLOSED);
	assert_int_equal(hand_over_to(&other, "afirst.x", true),
	    PS_ERR_CLOSED);
	assert_int_equal(hand_over_to(&handoff, "asecond.x", true), PS_OK);
	assert_int_equal(hand_over_to(&handoff, "athird.x", true),
	    PS_ERR_CLOSED);
	assert_int_equal(hand_over_to(&handoff, "", true), PS_ERR_CLOSED);
	end_first();
	end(&fakes[1]);
	draining = NULL;
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		in_folder(connections_to_many_that_have_gone_hold_nothing_up),
		in_folder(the_next_gap_is_waited_for_as_the_first),
		in_folder(who_is_missed_by_two_at_once_is_waited_for),
		in_folder(one_that_drains_has_sessions_but_no_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
