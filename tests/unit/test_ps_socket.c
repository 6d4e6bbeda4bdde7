#include "config.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ps_socket.h"

static char folder[] = "/tmp/ps-socket-XXXXXX";
static char path[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/sock", folder);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void
assert_talks(int listener)
{
	int client = ps_socket_connect(path), server;
	char c = 0;

	assert_true(client >= 0);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	assert_int_equal(write(client, "x", 1), 1);
	assert_int_equal(read(server, &c, 1), 1);
	assert_int_equal(c, 'x');
	close(client);
	close(server);
}

static void
who_connects_reaches_who_listens(void **state)
{
	int fd = ps_socket_listen(path, 0640);
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	assert_talks(fd);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void
a_socket_left_behind_is_replaced(void **state)
{
	int fd = ps_socket_listen(path, 0600);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(ps_socket_connect(path), -1);
	assert_int_equal(errno, ECONNREFUSED);
	fd = ps_socket_listen(path, 0600);
	assert_true(fd >= 0);
	assert_talks(fd);
	close(fd);
}

static void
a_socket_that_answers_is_left_alone(void **state)
{
	int fd = ps_socket_listen(path, 0600), served;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ps_socket_listen(path, 0600), -1);
	assert_int_equal(errno, EADDRINUSE);
	served = accept(fd, NULL, NULL); /* the question was a connection */
	assert_true(served >= 0);
	close(served);
	assert_talks(fd);
	close(fd);
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	struct stat st;

	(void)state;
	assert_int_equal(write(fd, "data", 4), 4);
	close(fd);
	assert_int_equal(ps_socket_listen(path, 0600), -1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4);
}

/* As of a process that is stopped: its queue is full. */
static void
connecting_waits_no_longer_than_it_may(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), clients[8];
	size_t n = 0;

	(void)state;
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	do {
		assert_true(n < ROWS(clients));
		clients[n] = ps_socket_connect_within(path, 1);
	} while (clients[n++] >= 0);
	assert_int_equal(errno, EAGAIN);
	while (--n > 0)
		close(clients[n - 1]);
	close(fd);
}

static void
a_path_has_to_fit_its_address(void **state)
{
	char text[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(ps_socket_connect(text), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(ps_socket_listen(text, 0600), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	text[sizeof(text) - 2] = '\0'; /* fits, but is not there */
	assert_int_equal(ps_socket_connect(text), -1);
	assert_int_equal(errno, ENOENT);
}

static void
a_folder_that_is_not_there_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(ps_socket_listen("/nonexistent/sock", 0600), -1);
	assert_int_equal(errno, ENOENT);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		in_folder(who_connects_reaches_who_listens),
		in_folder(a_socket_left_behind_is_replaced),
		in_folder(a_socket_that_answers_is_left_alone),
		in_folder(a_file_that_is_no_socket_is_left_alone),
		in_folder(connecting_waits_no_longer_than_it_may),
		in_folder(a_path_has_to_fit_its_address),
		in_folder(a_folder_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
