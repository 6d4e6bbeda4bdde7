#include "config.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ps_limits.h"
#include "ps_place.h"

static char folder[] = "/tmp/ps-place-XXXXXX";
static char place[64];
static int fds[4];
static size_t n_fds;

static int
setup(void **state)
{
	(void)state;
	n_fds = 0;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(place, sizeof(place), "%s/bridge.sock", folder);
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
teardown(void **state)
{
	(void)state;
	while (n_fds > 0)
		close(fds[--n_fds]);
	return nftw(folder, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

/* The n-th bridge that listens; -1: none does. */
static int
live(const char *tag)
{
	char path[PS_SOCKET_PATH_MAX];

	ps_place_path(path, place, ps_slice_str(tag));
	fds[n_fds] = ps_socket_listen(path, 0600);
	assert_true(fds[n_fds] >= 0);
	return fds[n_fds++];
}

/* Who is met at the place. */
static int
whose(void)
{
	int client = ps_socket_connect(place), got = -1;
	size_t i;

	for (i = 0; client >= 0 && i < n_fds; i++) {
		int server;

		fcntl(fds[i], F_SETFL, O_NONBLOCK);
		if ((server = accept(fds[i], NULL, NULL)) < 0)
			continue;
		close(server);
		got = fds[i];
	}
	if (client >= 0)
		close(client);
	return got;
}

static bool
is_there(const char *suffix)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", place, suffix);
	return lstat(path, &st) == 0;
}

static const struct {
	const char *socket, *tag;
} tags[] = {
	{ "abcdef.rest", "abcdef" },
	{ "a7k2xw.", "a7k2xw" },
	{ "node1234abcde.x", "node1234abcde" },
	{ "node12345abcde.x", "" }, /* longer than any */
	{ "abcde.x", "" },	    /* no node */
	{ "abcdef", "" },
	{ "", "" },
	{ ".", "" },
	{ "../../x.y", "" },
	{ "abc/ef.x", "" },
	{ "Abcdef.x", "" },
	{ "abcde\xc3\xa4.x", "" },
};

static void
a_tag_is_what_stands_before_the_dot(void **state)
{
	static const char with_nul[] = "abc\0ef.x";
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(tags); i++)
		assert_row(i, ps_slice_is(ps_place_tag(
				      ps_slice_str(tags[i].socket)),
			       tags[i].tag));
	assert_int_equal(ps_place_tag(ps_slice(with_nul, 8)).len, 0);
	assert_true(PS_NODE_MAX + PS_GENERATION_LEN <= PS_TAG_MAX);
}

static void
the_longest_place_has_room_for_the_longest_tag(void **state)
{
	char longest[PS_PLACE_MAX + 1], path[PS_SOCKET_PATH_MAX];

	(void)state;
	memset(longest, 'x', PS_PLACE_MAX);
	longest[PS_PLACE_MAX] = '\0';
	ps_place_path(path, longest, ps_slice_str("node1234abcde"));
	assert_int_equal(strlen(path), PS_SOCKET_PATH_MAX - 1);
	assert_string_equal(path + PS_PLACE_MAX, ".node1234abcde");
}

static void
one_at_a_time_has_the_lock(void **state)
{
	int lock = ps_place_lock(place);

	(void)state;
	assert_true(lock >= 0);
	assert_true(ps_place_is_locked(place));
	assert_int_equal(ps_place_lock(place), -1);
	assert_int_equal(errno, EADDRINUSE);
	close(lock);
	assert_false(ps_place_is_locked(place));
	lock = ps_place_lock(place);
	assert_true(lock >= 0);
	close(lock);
}

static void
a_lock_that_cannot_be_made_says_why(void **state)
{
	(void)state;
	assert_int_equal(ps_place_lock("/nowhere/bridge.sock"), -1);
	assert_int_equal(errno, ENOENT);
	assert_false(ps_place_is_locked("/nowhere/bridge.sock"));
}

static void
who_comes_is_led_to_the_last_that_said_so(void **state)
{
	int older = live("aolder"), newer = live("anewer");

	(void)state;
	assert_int_equal(whose(), -1);
	assert_int_equal(ps_place_lead(place, "aolder"), PS_OK);
	assert_int_equal(whose(), older);
	assert_int_equal(ps_place_lead(place, "anewer"), PS_OK);
	assert_int_equal(whose(), newer);
	ps_place_leave(place, "aolder"); /* leads elsewhere already */
	assert_int_equal(whose(), newer);
	ps_place_leave(place, "anewer");
	assert_int_equal(whose(), -1);
	assert_false(is_there(""));
	ps_place_leave(place, "anewer");
}

static void
who_lives_can_be_asked(void **state)
{
	char longest[200];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	live("aolder");
	assert_true(ps_place_is_alive(place, "aolder"));
	assert_false(ps_place_is_alive(place, "anewer"));
	assert_false(ps_place_is_alive(place, longest));
	close(fds[--n_fds]);
	assert_false(ps_place_is_alive(place, "aolder"));
}

static void
nobody_is_dead_because_descriptors_are_short(void **state)
{
	struct rlimit limit, none;
	bool alive;

	(void)state;
	live("aolder");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	alive = ps_place_is_alive(place, "aolder");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(alive);
}

static void
only_sockets_of_the_dead_are_swept_away(void **state)
{
	char path[128];
	int fd;

	(void)state;
	live("alives");
	live("adied2");
	close(fds[--n_fds]);
	snprintf(path, sizeof(path), "%s.afile2", place);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	ps_place_sweep(place);
	assert_true(is_there(".alives"));
	assert_false(is_there(".adied2"));
	assert_true(is_there(".afile2"));
	ps_place_sweep("/nowhere/bridge.sock");
}

static void
a_socket_of_the_old_kind_is_replaced_when_it_is_dead(void **state)
{
	int fd = ps_socket_listen(place, 0600), newer = live("anewer");

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ps_place_lead(place, "anewer"), PS_ERR_IO);
	assert_int_equal(errno, EADDRINUSE);
	close(fd);
	assert_int_equal(ps_place_lead(place, "anewer"), PS_OK);
	assert_int_equal(whose(), newer);
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
	int fd = open(place, O_CREAT | O_WRONLY, 0600);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(ps_place_lead(place, "anewer"), PS_ERR_IO);
	assert_int_equal(errno, ENOTSOCK);
	assert_true(is_there(""));
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tag_is_what_stands_before_the_dot),
		cmocka_unit_test(
		    the_longest_place_has_room_for_the_longest_tag),
		in_folder(one_at_a_time_has_the_lock),
		in_folder(a_lock_that_cannot_be_made_says_why),
		in_folder(who_comes_is_led_to_the_last_that_said_so),
		in_folder(who_lives_can_be_asked),
		in_folder(nobody_is_dead_because_descriptors_are_short),
		in_folder(only_sockets_of_the_dead_are_swept_away),
		in_folder(a_socket_of_the_old_kind_is_replaced_when_it_is_dead),
		in_folder(a_file_that_is_no_socket_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
