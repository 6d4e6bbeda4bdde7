/* How long a worker reads a request's body. */
#include "config.h"

#include "unit.h"

#include <sys/socket.h>

#include "fcgi-app/request.h"

#define NOW_MS 100000

static struct request request;
static int web; /* the web server's end of the request's connection */

static int
setup(void **state)
{
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -1;
	request = (struct request){ .reading_fd = fds[0],
		.reading_since_ms = NOW_MS };
	pthread_mutex_init(&request.reading_mutex, NULL);
	web = fds[1];
	request.fcgx.ipcFd = fds[0];
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pthread_mutex_destroy(&request.reading_mutex);
	close(request.fcgx.ipcFd);
	close(web);
	return 0;
}

/* Whether what the web server sends is still taken. */
static bool
is_read(void)
{
	return send(web, "x", 1, MSG_NOSIGNAL) == 1;
}

static void
a_body_has_its_time(void **state)
{
	(void)state;
	request_limit_reading(&request, NOW_MS + REQUEST_READ_MS);
	assert_true(is_read());
	request_limit_reading(&request, NOW_MS + REQUEST_READ_MS + 1);
	assert_false(is_read());
}

static void
one_that_began_after_the_look_at_the_clock_has_it_too(void **state)
{
	(void)state;
	request_limit_reading(&request, NOW_MS - 1);
	assert_true(is_read());
}

#define timed(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		timed(a_body_has_its_time),
		timed(one_that_began_after_the_look_at_the_clock_has_it_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
