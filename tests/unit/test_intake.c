#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "ps_socket.h"
#include "wsbridge/drain.h"
#include "wsbridge/intake.h"

static char folder[] = "/tmp/ps-intake-XXXXXX";
static char path[64];
static struct ps_writer frame;
static int worker = -1;

static int
setup(void **state)
{
	char option[96];

	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (mkdtemp(folder) == NULL || fixture_setup_loop(state) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/bridge.sock.%s", folder, bridge.tag);
	snprintf(option, sizeof(option), "bridge_socket=%s/bridge.sock",
	    folder);
	fixture_set(option);
	return intake_start(&bridge);
}

static int
teardown(void **state)
{
	int ret;

	if (worker >= 0)
		close(worker);
	worker = -1;
	intake_stop(&bridge);
	ret = fixture_teardown(state);
	ps_writer_deinit(&frame);
	unlink(path);
	return rmdir(folder) != 0 ? -1 : ret;
}

/* Sends `len` bytes with `fd`, unless that is negative. */
static bool
try_to_put(const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(worker, &msg, MSG_NOSIGNAL) == (ssize_t)len;
}

static void
put(const void *data, size_t len, int fd)
{
	assert_true(try_to_put(data, len, fd));
}

/* The bridge has closed the connection of the worker. */
static bool
is_refused(void)
{
	char c;

	fixture_turn();
	return recv(worker, &c, 1, MSG_DONTWAIT) == 0;
}

static void
connect_worker(void)
{
	worker = ps_socket_connect(path);
	assert_true(worker >= 0);
	fixture_turn();
}

static void
greet(unsigned version)
{
	const struct ps_ipc_hello hello = { (uint16_t)version, 77,
		ps_slice(NULL, 0), false };

	ps_ipc_encode_hello(&frame, &hello);
	put(frame.data, frame.len, -1);
	fixture_turn();
}

static void
assert_greeted_by(bool draining)
{
	char data[64];
	ssize_t len = recv(worker, data, sizeof(data), MSG_DONTWAIT);
	struct ps_ipc_hello hello;
	struct ps_reader body;
	uint8_t type;

	assert_true(len > 0);
	assert_int_equal(ps_ipc_split(data, (size_t)len, &type, &body), len);
	assert_int_equal(type, PS_IPC_HELLO);
	assert_int_equal(ps_ipc_decode_hello(&body, &hello), PS_OK);
	assert_int_equal(hello.version, PS_IPC_VERSION);
	assert_int_equal(hello.pid, getpid());
	assert_slice(hello.tag, bridge.tag);
	assert_int_equal(hello.draining, draining);
}

static void
assert_greeted(void)
{
	assert_greeted_by(false);
}

static void
start_worker(void)
{
	connect_worker();
	greet(PS_IPC_VERSION);
	assert_greeted();
}

static void
hand_over(struct web_server *w)
{
	int fd = web_server_open(w);

	put(frame.data, frame.len, fd);
	close(fd);
	fixture_turn();
}

static const struct ps_ipc_request request = { .id = REQUEST_ID };

static void
encode_check(const char *id)
{
	struct ps_ipc_check m = { .request = request,
		.socket = ps_slice_str(id) };

	ps_ipc_encode_check(&frame, &m);
}

static void
encode_receive(const char *id)
{
	struct ps_ipc_receive m = { .request = request,
		.socket = ps_slice_str(id),
		.hold_ms = 1000 };

	ps_ipc_encode_receive(&frame, &m);
}

static void
encode_send(const char *id, const char *text)
{
	struct ps_ipc_send m = { .request = request,
		.socket = ps_slice_str(id) };
	size_t begin;

	ps_ipc_send_begin(&frame, &m);
	begin = ps_ipc_event_begin(&frame, PS_EVENT_TEXT);
	ps_writer_str(&frame, text);
	ps_ipc_event_end(&frame, begin);
	ps_ipc_events_end(&frame, 1);
}

static void
encode_close(const char *id)
{
	struct ps_ipc_close m = { .request = request,
		.socket = ps_slice_str(id),
		.code = 4000,
		.reason = ps_slice_str("enough") };

	ps_ipc_encode_close(&frame, &m);
}

/* The whole answer that `w` got has this status and holds this text. */
static void
assert_answer(struct web_server *w, int status, const char *text)
{
	char expected[32];

	web_server_read_all(w);
	assert_true(w->ended);
	ps_writer_u8(&w->out, 0);
	snprintf(expected, sizeof(expected), "Status: %d ", status);
	assert_int_equal(strncmp(w->out.data, expected, strlen(expected)), 0);
	if (strstr(w->out.data, text) == NULL)
		fail_msg("%s", w->out.data);
}

static void
workers_and_the_bridge_greet_each_other(void **state)
{
	(void)state;
	start_worker();
	assert_false(is_refused());
}

static void
another_version_is_answered_and_refused(void **state)
{
	(void)state;
	connect_worker();
	greet(PS_IPC_VERSION + 1);
	assert_greeted();
	assert_true(is_refused());
}

static void
messages_reach_the_session_and_are_answered(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	start_worker();
	encode_check(session->id);
	hand_over(&web);
	assert_answer(&web, 200, "{}");

	encode_send(session->id, "hello");
	hand_over(&web);
	assert_answer(&web, 201, "\r\n\r\n");
	assert_slice(written(&peer.sent), "t:hello;");

	encode_receive(session->id);
	hand_over(&web);
	fixture_from_peer(session, "back");
	assert_answer(&web, 200, "\"data\":\"back\"");

	encode_close(session->id);
	hand_over(&web);
	assert_answer(&web, 200, "{\"ok\":true}");
	assert_int_equal(peer.close_code, 4000);
	assert_string_equal(peer.close_reason, "enough");
	assert_false(is_refused());
}

static void
a_socket_that_is_not_known_is_403(void **state)
{
	(void)state;
	start_worker();
	encode_check("x");
	hand_over(&web);
	assert_answer(&web, 403, "socket_unknown");
	encode_send("x", "hello");
	hand_over(&web);
	assert_answer(&web, 403, "socket_unknown");
	encode_receive("x");
	hand_over(&web);
	assert_answer(&web, 403, "socket_unknown");
	encode_close("x");
	hand_over(&web);
	assert_answer(&web, 403, "socket_unknown");
}

static void
a_socket_that_is_connecting_is_not_known_yet(void **state)
{
	struct session *session = fixture_connecting();

	(void)state;
	start_worker();
	encode_send(session->id, "hello");
	hand_over(&web);
	assert_answer(&web, 403, "socket_unknown");
	encode_receive(session->id);
	hand_over(&web);
	assert_answer(&web, 403, "socket_unknown");
	encode_close(session->id);
	hand_over(&web);
	assert_answer(&web, 403, "socket_unknown");
	assert_int_equal(session->state, SESSION_CONNECTING);
}

static const struct {
	size_t room;
	const char *text;
	int status;
	const char *code;
} refusals[] = {
	{ SIZE_MAX, "twenty bytes of text", 201, "" },
	{ SIZE_MAX, "twenty-one bytes here", 413, "message_too_large" },
	{ 0, "x", 429, "slow_target" },
};

static void
a_send_that_cannot_be_done_says_why(void **state)
{
	struct session *session = fixture_open();
	size_t i;

	(void)state;
	start_worker();
	for (i = 0; i < ROWS(refusals); i++) {
		peer.room_count = refusals[i].room;
		encode_send(session->id, refusals[i].text);
		hand_over(&web);
		assert_answer(&web, refusals[i].status, refusals[i].code);
	}
	assert_int_equal(peer.n_sent, 1);
}

static void
a_frame_may_come_byte_by_byte(void **state)
{
	struct session *session = fixture_open();
	int fd = web_server_open(&web);
	size_t i;

	(void)state;
	start_worker();
	encode_check(session->id);
	for (i = 0; i < frame.len; i++) {
		put(frame.data + i, 1, i == 0 ? fd : -1);
		fixture_turn();
	}
	close(fd);
	assert_answer(&web, 200, "{}");
}

static void
two_frames_may_come_at_once(void **state)
{
	struct session *session = fixture_open();
	int fd = web_server_open(&web), other_fd = web_server_open(&other_web);

	(void)state;
	start_worker();
	encode_check(session->id);
	put(frame.data, frame.len, fd);
	encode_check("unknown");
	put(frame.data, frame.len, other_fd);
	close(fd);
	close(other_fd);
	assert_answer(&web, 200, "{}");
	assert_answer(&other_web, 403, "socket_unknown");
}

static void
a_large_frame_is_put_together(void **state)
{
	struct session *session = fixture_open();
	size_t len = 3000000, at, part;
	char *text = malloc(len + 1);
	int fd = web_server_open(&web);

	(void)state;
	memset(text, 'x', len);
	text[len] = '\0';
	fixture_set("max_message=16MiB");
	start_worker();
	encode_send(session->id, text);
	for (at = 0; at < frame.len; at += part) {
		part = frame.len - at < 50000 ? frame.len - at : 50000;
		put(frame.data + at, part, at == 0 ? fd : -1);
		fixture_turn();
	}
	close(fd);
	assert_answer(&web, 201, "\r\n\r\n");
	assert_int_equal(peer.sent.len, len + 3);
	free(text);
}

/* Whatever breaks the protocol ends the worker's connection, and no more. */

static void
a_message_before_the_greeting_is_refused(void **state)
{
	(void)state;
	connect_worker();
	encode_check("x");
	hand_over(&web);
	assert_true(is_refused());
	web_server_read(&web);
	assert_true(web.eof);
}

static void
a_second_greeting_is_refused(void **state)
{
	(void)state;
	start_worker();
	greet(PS_IPC_VERSION);
	assert_true(is_refused());
}

static void
a_message_without_a_connection_is_refused(void **state)
{
	(void)state;
	start_worker();
	encode_check("x");
	put(frame.data, frame.len, -1);
	assert_true(is_refused());
}

static void
a_type_that_does_not_exist_is_refused(void **state)
{
	static const uint8_t types[] = { 0, PS_IPC__COUNT, 0xff };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(types); i++) {
		start_worker();
		encode_check("x");
		frame.data[PS_IPC_LENGTH_BYTES] = (char)types[i];
		hand_over(&web);
		assert_row(i, is_refused());
		web_server_read(&web);
		assert_row(i, web.eof);
		close(worker);
	}
	worker = -1;
}

static void
a_malformed_body_is_refused(void **state)
{
	static void (*const encode[])(const char *id) = { encode_check,
		encode_receive, encode_close };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(encode); i++) {
		start_worker();
		encode[i]("x");
		ps_writer_u8(&frame, 0); /* one byte more */
		ps_writer_patch_u32(&frame, 0,
		    (uint32_t)(frame.len - PS_IPC_LENGTH_BYTES));
		hand_over(&web);
		assert_row(i, is_refused());
		web_server_read(&web);
		assert_row(i, web.eof);
		close(worker);
	}
	worker = -1;
}

static void
a_frame_that_is_too_large_is_refused_by_its_length(void **state)
{
	(void)state;
	start_worker();
	ps_writer_reset(&frame);
	ps_writer_u32(&frame, PS_IPC_FRAME_MAX + 1);
	put(frame.data, frame.len, -1);
	assert_true(is_refused());
}

static void
a_worker_that_dies_amid_a_frame_leaves_nothing(void **state)
{
	int fd = web_server_open(&web);

	(void)state;
	start_worker();
	encode_check("x");
	put(frame.data, frame.len - 1, fd);
	close(fd);
	fixture_turn();
	close(worker);
	worker = -1;
	fixture_turn();
	web_server_read(&web);
	assert_true(web.eof);
}

/* A turn in which there are no descriptors left. */
static void
turn_without_descriptors(void)
{
	struct rlimit limit, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	fixture_turn();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void
workers_are_accepted_when_there_are_descriptors_again(void **state)
{
	char c;

	(void)state;
	worker = ps_socket_connect(path);
	assert_true(worker >= 0);
	turn_without_descriptors();
	fixture_turn();
	greet(PS_IPC_VERSION);
	assert_int_equal(recv(worker, &c, 1, MSG_DONTWAIT), -1);
	fixture_advance(1000);
	assert_greeted();
}

/* Else the next one of that worker would be answered in its place. */
static void
a_connection_that_is_lost_on_the_way_is_the_end_of_its_worker(void **state)
{
	int fd = web_server_open(&web);

	(void)state;
	start_worker();
	encode_check("x");
	put(frame.data, 1, fd);
	close(fd);
	turn_without_descriptors();
	fd = web_server_open(&other_web);
	(void)(try_to_put(frame.data + 1, frame.len - 1, -1) &&
	    try_to_put(frame.data, frame.len, fd));
	close(fd);
	assert_true(is_refused());
	web_server_read(&web);
	web_server_read(&other_web);
	assert_true(web.eof && other_web.eof);
	assert_int_equal(web.out.len + other_web.out.len, 0);
}

static void
ignore_drained(struct bridge *of)
{
	(void)of;
}

static bool
can_send(const void *data, size_t len)
{
	return send(worker, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void
workers_who_come_back_hear_that_the_bridge_drains(void **state)
{
	struct session *session = fixture_open();

	(void)state;
	start_worker();
	drain_start(&bridge, ignore_drained);
	assert_false(can_send("x", 1));
	assert_int_equal(errno, EPIPE);
	assert_true(is_refused());
	close(worker);
	connect_worker();
	greet(PS_IPC_VERSION);
	assert_greeted_by(true);
	encode_check(session->id); /* its sessions are served on */
	hand_over(&web);
	assert_answer(&web, 200, "{}");
}

static void
what_was_sent_before_a_drain_is_served(void **state)
{
	struct session *session = fixture_open();
	int fds[] = { web_server_open(&web), web_server_open(&other_web) };
	size_t i;

	(void)state;
	start_worker();
	for (i = 0; i < 2; i++) {
		encode_check(session->id);
		put(frame.data, frame.len, fds[i]);
		close(fds[i]);
	}
	drain_start(&bridge, ignore_drained);
	fixture_turn();
	assert_answer(&web, 200, "{}");
	assert_answer(&other_web, 200, "{}");
}

static void
a_frame_that_a_drain_cuts_off_is_not_taken(void **state)
{
	struct session *session = fixture_open();
	int fd = web_server_open(&web);

	(void)state;
	start_worker();
	encode_check(session->id);
	put(frame.data, frame.len - 1, fd);
	drain_start(&bridge, ignore_drained);
	assert_false(can_send(frame.data + frame.len - 1, 1));
	fixture_turn();
	assert_true(is_refused());
	/* The worker still has the request, and sends all of it again. */
	close(worker);
	connect_worker();
	greet(PS_IPC_VERSION);
	assert_greeted_by(true);
	encode_check(session->id);
	put(frame.data, frame.len, fd);
	close(fd);
	fixture_turn();
	assert_answer(&web, 200, "{}");
}

#define with_intake(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		with_intake(workers_and_the_bridge_greet_each_other),
		with_intake(another_version_is_answered_and_refused),
		with_intake(messages_reach_the_session_and_are_answered),
		with_intake(a_socket_that_is_not_known_is_403),
		with_intake(a_socket_that_is_connecting_is_not_known_yet),
		with_intake(a_send_that_cannot_be_done_says_why),
		with_intake(a_frame_may_come_byte_by_byte),
		with_intake(two_frames_may_come_at_once),
		with_intake(a_large_frame_is_put_together),
		with_intake(a_message_before_the_greeting_is_refused),
		with_intake(a_second_greeting_is_refused),
		with_intake(a_message_without_a_connection_is_refused),
		with_intake(a_type_that_does_not_exist_is_refused),
		with_intake(a_malformed_body_is_refused),
		with_intake(a_frame_that_is_too_large_is_refused_by_its_length),
		with_intake(a_worker_that_dies_amid_a_frame_leaves_nothing),
		with_intake(
		    workers_are_accepted_when_there_are_descriptors_again),
		with_intake(
		    a_connection_that_is_lost_on_the_way_is_the_end_of_its_worker),
		with_intake(workers_who_come_back_hear_that_the_bridge_drains),
		with_intake(what_was_sent_before_a_drain_is_served),
		with_intake(a_frame_that_a_drain_cuts_off_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
