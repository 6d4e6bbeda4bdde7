/* Callbacks where each allocation in turn fails; libcurl has its own memory. */
#include "config.h"

#include "allocations.h"
#include "fixture.h"
#include "loop.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "ps_clock.h"
#include "wsbridge/outbox/callback.h"

static pid_t server; /* in a process of its own, whose memory is not out */
static char url[64];
static uv_timer_t ticks;

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *
__wrap_strdup(const char *text)
{
	return allocation_fails() ? NULL : __real_strdup(text);
}

static void
serve(int listener)
{
	static const char answer[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Connection: close\r\n\r\n{}";
	char request[4096];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (recv(fd, request, sizeof(request), 0) > 0)
			(void)!write(fd, answer, sizeof(answer) - 1);
		close(fd);
	}
	_exit(0);
}

static int
start_server(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
	    listen(fd, 16) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
	    (server = fork()) < 0)
		return -1;
	if (server == 0)
		serve(fd);
	close(fd);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook",
	    ntohs(address.sin_port));
	return 0;
}

static int
setup(void **state)
{
	struct timer timer = { 0 };

	if (start_server() != 0 || fixture_setup_loop(state) != 0)
		return -1;
	bridge.now_ms = ps_clock_ms;
	loop_start_ticks(bridge.loop, &ticks);
	fixture_set("allow_networks=127.0.0.1");
	/* The heap of timers does not go on without memory. */
	timers_set(&bridge.timers, &timer, UINT64_MAX);
	timers_cancel(&bridge.timers, &timer);
	return 0;
}

static int
teardown(void **state)
{
	kill(server, SIGKILL);
	loop_stop_ticks(&ticks);
	return fixture_teardown(state);
}

struct call {
	bool is_over;
	int status;
};

static void
on_done(void *owner, const struct callback_result *result)
{
	struct call *call = owner;

	call->is_over = true;
	call->status = result->status;
	assert_int_equal(*result->error != '\0', result->status == 0);
}

/* The status; 0 where there was no answer, or no request. */
static int
request(void)
{
	const struct callback_request wanted = { .url = url,
		.key = ps_slice("key", 3),
		.id = "msg_a-1_1",
		.body = ps_slice_str("{}") };
	struct call call = { 0 };

	if (callback_start(bridge.callbacks, &wanted, on_done, &call) == NULL)
		return 0;
	loop_run_until(bridge.loop, call.is_over);
	return call.status;
}

static void
call_without_the(long nth)
{
	int status;

	/* One whose socket cannot be watched ends by that. */
	fixture_set("callback_timeout=100ms");
	allocation_failed = false;
	allocations_left = nth;
	bridge.callbacks = callbacks_create(&bridge);
	if (bridge.callbacks != NULL) {
		status = request();
		allocations_left = -1;
		assert_true(status == 200 || status == 0);
		/* And then as if nothing had been. */
		fixture_set("callback_timeout=10s");
		assert_int_equal(request(), 200);
		assert_int_equal(callbacks_count(bridge.callbacks), 0);
	}
	allocations_left = -1;
	assert_true(bridge.callbacks != NULL || allocation_failed);
	callbacks_destroy(bridge.callbacks);
	bridge.callbacks = NULL;
	loop_run_for(bridge.loop, 1);
}

static void
a_request_is_made_or_not_and_the_next_one_is(void **state)
{
	(void)state;
	allocations_fail_in_turn(call_without_the, 5);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_request_is_made_or_not_and_the_next_one_is, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
