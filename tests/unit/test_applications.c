/* What applications ask for, and what becomes of it without memory. */
#include "config.h"

#include "allocations.h"
#include "fixture.h"

#include "ps_db_authorizations.h"
#include "ps_policy.h"
#include "wsbridge/applications/applications.h"
#include "wsbridge/applications/authorization.h"
#include "wsbridge/enforce.h"
#include "wsbridge/store/store.h"

#define TOKEN 1

/* The store does what it was lent when the test says so. */
static struct store_job_list jobs = TAILQ_HEAD_INITIALIZER(jobs);
static bool has_row;

static struct ps_writer frames[4];
static const struct ps_ipc_request head = { .id = REQUEST_ID };

bool __wrap_store_do(struct store *store, struct store_job *job);
int __wrap_ps_db_put_authorization(struct ps_db *db,
    const struct ps_authorization_row *row);
int __wrap_ps_db_delete_authorization(struct ps_db *db, const char *socket_id);

bool
__wrap_store_do(struct store *store, struct store_job *job)
{
	(void)store;
	TAILQ_INSERT_TAIL(&jobs, job, next);
	return true;
}

int
__wrap_ps_db_put_authorization(struct ps_db *db,
    const struct ps_authorization_row *row)
{
	(void)db;
	(void)row;
	has_row = true;
	return PS_OK;
}

int
__wrap_ps_db_delete_authorization(struct ps_db *db, const char *socket_id)
{
	(void)db;
	(void)socket_id;
	has_row = false;
	return PS_OK;
}

static void
do_jobs(void)
{
	struct store_job *job;

	while ((job = TAILQ_FIRST(&jobs)) != NULL) {
		TAILQ_REMOVE(&jobs, job, next);
		job->done(job, job->run(job, NULL));
	}
}

static void
set_policy(void)
{
	struct ps_policy *policy = ps_policy_create(1);
	struct ps_token token = { .id = TOKEN,
		.enabled = true,
		.has_secret = true,
		.expires_at_s = INT64_MAX,
		.name = strdup("one") };
	size_t i;

	assert_non_null(policy);
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] = PS_NO_LIMIT;
	assert_int_equal(ps_policy_add_token(policy, &token), PS_OK);
	assert_int_equal(ps_policy_seal(policy), PS_OK);
	assert_int_equal(ps_policy_add_pattern(policy, TOKEN,
			     PS_RIGHT_CALLBACK, "http://app.example/*"),
	    PS_OK);
	enforce_policy(&bridge, policy);
}

static int
setup(void **state)
{
	struct timer timer = { 0 };

	if (fixture_setup_loop(state) != 0)
		return -1;
	has_row = false;
	set_policy();
	fixture_turn();
	/* The heap of timers does not go on without memory. */
	timers_set(&bridge.timers, &timer, UINT64_MAX);
	timers_cancel(&bridge.timers, &timer);
	return 0;
}

static int
teardown(void **state)
{
	size_t i;

	do_jobs();
	for (i = 0; i < ROWS(frames); i++)
		ps_writer_deinit(&frames[i]);
	return fixture_teardown(state);
}

typedef int (*handler_fn)(struct bridge *bridge, struct ps_reader *r, int fd);

/* Lets a handler have the frame; it ends with what it lends. */
static void
hand_over(handler_fn handler, const struct ps_writer *frame)
{
	long left = allocations_left;
	struct ps_reader body;
	uint8_t type;
	int fd;

	allocations_left = -1;
	fd = web_server_open(&web);
	assert_true(ps_ipc_split(frame->data, frame->len, &type, &body) > 0);
	allocations_left = left;
	if (handler(&bridge, &body, fd) != PS_OK)
		fail_msg("a frame that is well-formed was refused");
}

/* The status of the answer; 0 where the connection just ends. */
static int
status(void)
{
	long left = allocations_left;
	int number = 0;

	allocations_left = -1;
	fixture_turn();
	web_server_read_all(&web);
	ps_writer_u8(&web.out, 0);
	(void)sscanf(web.out.data, "Status: %d ", &number);
	allocations_left = left;
	return number;
}

static int
ask(handler_fn handler, const struct ps_writer *frame)
{
	hand_over(handler, frame);
	do_jobs();
	return status();
}

static void
encode_authorize(struct ps_writer *frame)
{
	struct ps_ipc_authorize m = { .request = head,
		.rights = { .token_id = TOKEN, .revision = 1 },
		.client = ps_slice_str("ann"),
		.callback = ps_slice_str("http://app.example/"),
		.ttl_s = 60 };
	size_t i;

	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		m.rights.limits.value[i] = PS_NO_LIMIT;
	ps_ipc_encode_authorize(frame, &m);
}

static void
encode_withdraw(struct ps_writer *frame)
{
	const struct ps_ipc_withdraw m = { .request = head,
		.token_id = TOKEN,
		.client = ps_slice_str("ann") };

	ps_ipc_encode_withdraw(frame, &m);
}

static struct authorization *
find_ann(void)
{
	return authorization_find_client(&bridge, TOKEN, ps_slice_str("ann"));
}

/* To her, if she may connect. */
static void
encode_publish(struct ps_writer *publish, struct ps_writer *list)
{
	static char nobody[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	const struct authorization *ann = find_ann();
	struct ps_slice id =
	    ps_slice_str(ann == NULL ? nobody : ann->socket_id);
	const struct ps_ipc_publish message = { .request = head,
		.socket_id = id,
		.store = true,
		.message = ps_slice_str("\"hello\"") };
	const struct ps_ipc_connections connections = { .request = head,
		.socket_id = id };

	ps_ipc_encode_publish(publish, &message);
	ps_ipc_encode_connections(list, &connections);
}

static void
encode_all(void)
{
	long left = allocations_left;

	allocations_left = -1;
	encode_authorize(&frames[0]);
	encode_publish(&frames[1], &frames[2]);
	encode_withdraw(&frames[3]);
	allocations_left = left;
}

static void
requests_are_answered_in_their_order(void **state)
{
	(void)state;
	encode_all();
	assert_int_equal(ask(applications_on_withdraw, &frames[3]), 404);
	assert_int_equal(ask(applications_on_authorize, &frames[0]), 200);
	assert_true(has_row);
	encode_all();
	assert_int_equal(ask(applications_on_publish, &frames[1]), 200);
	assert_int_equal(find_ann()->kept.count, 1);
	assert_int_equal(ask(applications_on_connections, &frames[2]), 200);
	assert_int_equal(ask(applications_on_withdraw, &frames[3]), 200);
	assert_false(has_row);
	assert_int_equal(ask(applications_on_publish, &frames[1]), 404);
}

/* Whoever asked has left before that is written. */
static void
what_was_begun_is_done_though_nobody_hears_of_it(void **state)
{
	(void)state;
	encode_all();
	hand_over(applications_on_authorize, &frames[0]);
	web_server_close(&web);
	fixture_turn();
	assert_int_equal(bridge.n_held, 0);
	do_jobs();
	assert_true(has_row);
	hand_over(applications_on_withdraw, &frames[3]);
	web_server_close(&web);
	do_jobs();
	fixture_turn();
	assert_false(has_row);
	assert_int_equal(bridge.n_held, 0);
}

/* What was answered with success is so, whatever else failed, and what was not
 * may be asked for again. */
static void
live_without_the(long nth)
{
	int made, withdrawn;

	allocation_failed = false;
	allocations_left = nth;
	encode_all();
	made = ask(applications_on_authorize, &frames[0]);
	assert_true(made != 200 || (has_row && find_ann() != NULL));
	encode_all();
	ask(applications_on_publish, &frames[1]);
	ask(applications_on_connections, &frames[2]);
	withdrawn = ask(applications_on_withdraw, &frames[3]);
	allocations_left = -1;
	assert_true(withdrawn != 200 || (!has_row && find_ann() == NULL));
	assert_true(allocation_failed || (made == 200 && withdrawn == 200));
	assert_int_equal(bridge.n_held, 0);
	if (find_ann() != NULL)
		assert_int_equal(ask(applications_on_withdraw, &frames[3]),
		    200);
	assert_null(find_ann());
	assert_false(has_row);
}

static void
nothing_is_half_done_where_an_allocation_fails(void **state)
{
	(void)state;
	allocations_fail_in_turn(live_without_the, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(requests_are_answered_in_their_order),
		TEST(what_was_begun_is_done_though_nobody_hears_of_it),
		TEST(nothing_is_half_done_where_an_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
