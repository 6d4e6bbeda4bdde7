/* What an application is answered that asks for something. */
#include "config.h"

#include "outbox_fixture.h"

#include "ps_db_authorizations.h"
#include "wsbridge/applications/applications.h"
#include "wsbridge/applications/authorization.h"

#define CALLBACK "http://app/cb"

typedef int (*handler_fn)(struct bridge *bridge, struct ps_reader *r, int fd);

static struct ps_writer frame;
static unsigned n_put;

int __wrap_ps_db_put_authorization(struct ps_db *db,
    const struct ps_authorization_row *row);

int
__wrap_ps_db_put_authorization(struct ps_db *db,
    const struct ps_authorization_row *row)
{
	(void)db;
	assert_string_equal(row->client, "ann");
	assert_string_equal(row->callback, CALLBACK);
	n_put++;
	return PS_OK;
}

static int
setup(void **state)
{
	n_put = 0;
	return outbox_setup_loop(state);
}

static int
teardown(void **state)
{
	ps_writer_deinit(&frame);
	return outbox_teardown(state);
}

static void
hand_over(handler_fn handle)
{
	struct ps_reader body;
	uint8_t type;

	assert_int_equal(ps_ipc_split(frame.data, frame.len, &type, &body),
	    frame.len);
	assert_int_equal(handle(&bridge, &body, web_server_open(&web)), PS_OK);
}

static void
authorize_for(int64_t token_id, bool plain)
{
	const struct ps_ipc_authorize m = { .request = { .id = REQUEST_ID },
		.rights = { .token_id = token_id },
		.client = ps_slice_str("ann"),
		.callback = ps_slice_str(CALLBACK),
		.ttl_s = 60,
		.plain = plain };

	ps_ipc_encode_authorize(&frame, &m);
	hand_over(applications_on_authorize);
}

static void
authorize(void)
{
	authorize_for(TOKEN, false);
}

static void
withdraw(void)
{
	const struct ps_ipc_withdraw m = { .request = { .id = REQUEST_ID },
		.token_id = TOKEN,
		.client = ps_slice_str("ann") };

	ps_ipc_encode_withdraw(&frame, &m);
	hand_over(applications_on_withdraw);
}

static void
publish(const char *socket_id)
{
	const struct ps_ipc_publish m = { .request = { .id = REQUEST_ID },
		.socket_id = ps_slice_str(socket_id),
		.store = true,
		.message = ps_slice_str("\"hello\"") };

	ps_ipc_encode_publish(&frame, &m);
	hand_over(applications_on_publish);
}

static void
list(const char *socket_id)
{
	const struct ps_ipc_connections m = { .request = { .id = REQUEST_ID },
		.socket_id = ps_slice_str(socket_id) };

	ps_ipc_encode_connections(&frame, &m);
	hand_over(applications_on_connections);
}

static struct authorization *
find(void)
{
	return authorization_find_client(&bridge, TOKEN, ps_slice_str("ann"));
}

/* What the web server has got by now; it may be nothing. */
static const char *
answer_of(void)
{
	web_server_read(&web);
	ps_writer_u8(&web.out, 0);
	web.out.len--;
	return web.out.data;
}

static void
answer_is(const char *status, const char *text)
{
	const char *answer = answer_of();

	assert_int_equal(strncmp(answer, "Status: ", 8), 0);
	assert_int_equal(strncmp(answer + 8, status, strlen(status)), 0);
	assert_non_null(strstr(answer, text));
	assert_int_equal(bridge.n_held, 0);
}

static void
end_turn(int ret)
{
	fixture_turn();
	store_end(ret);
}

static void
what_is_authorized_is_told_when_it_is_committed(void **state)
{
	char expected[80];

	(void)state;
	authorize();
	fixture_turn();
	assert_string_equal(answer_of(), "");
	assert_int_equal(bridge.n_held, 1);
	store_end(PS_OK);
	assert_int_equal(n_put, 1);
	snprintf(expected, sizeof(expected),
	    "\r\n\r\n{\"ok\":true,\"socket_id\":\"%s\"}", find()->socket_id);
	answer_is("200", expected);
	authorize_for(TOKEN, true);
	end_turn(PS_OK);
	snprintf(expected, sizeof(expected), "\r\n\r\n%s", find()->socket_id);
	answer_is("200", expected);
	withdraw();
	assert_null(find());
	assert_string_equal(answer_of(), "");
	end_turn(PS_OK);
	answer_is("200", "\r\n\r\n{\"ok\":true}");
	withdraw();
	answer_is("404", "\"authorization_unknown\"");
}

static void
what_cannot_be_written_is_told(void **state)
{
	(void)state;
	authorize();
	end_turn(PS_ERR_IO);
	answer_is("503", "\"database_unavailable\"");
	assert_non_null(strstr(web.out.data, "Retry-After: 1\r\n"));
	authorize();
	end_turn(PS_OK);
	answer_is("200", "\"ok\":true");
	withdraw();
	end_turn(PS_ERR_IO);
	answer_is("503", "\"database_unavailable\"");
}

static void
who_does_not_wait_is_authorized_all_the_same(void **state)
{
	(void)state;
	authorize();
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(bridge.n_held, 0);
	end_turn(PS_OK);
	assert_int_equal(bridge.n_held, 0);
	assert_int_equal(n_put, 1);
	assert_non_null(find());
	assert_true(LIST_EMPTY(&bridge.exchanges));
}

static void
what_the_bridge_knows_better_than_a_worker_holds(void **state)
{
	(void)state;
	authorize_for(TOKEN + 1, false);
	answer_is("403", "\"application_unknown\"");
	assert_int_equal(n_put, 0);
}

static void
ignore_drained(struct bridge *of)
{
	(void)of;
}

static void
a_bridge_that_drains_leaves_all_to_its_successor(void **state)
{
	char socket_id[PS_SOCKET_ID_LEN + 1];

	(void)state;
	authorize();
	end_turn(PS_OK);
	strcpy(socket_id, find()->socket_id);
	answer_is("200", socket_id);
	bridge.draining = true;
	bridge.on_drained = ignore_drained;
	authorize();
	answer_is("503", "\"draining\"");
	withdraw();
	answer_is("503", "\"draining\"");
	assert_non_null(find());
	publish(socket_id);
	answer_is("503", "\"draining\"");
	list(socket_id);
	answer_is("503", "\"draining\"");
	bridge.draining = false;
	publish(socket_id);
	answer_is("200", "{\"ok\":true,\"sessions\":0,\"queued\":true}");
	list(socket_id);
	answer_is("200", "{\"ok\":true,\"sessions\":[]}");
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(what_is_authorized_is_told_when_it_is_committed),
		fresh(what_cannot_be_written_is_told),
		fresh(who_does_not_wait_is_authorized_all_the_same),
		fresh(what_the_bridge_knows_better_than_a_worker_holds),
		fresh(a_bridge_that_drains_leaves_all_to_its_successor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
