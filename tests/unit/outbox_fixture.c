#include "config.h"

#include "outbox_fixture.h"

#include "ps_db_outbox.h"
#include "ps_policy.h"
#include "wsbridge/outbox/callback.h"
#include "wsbridge/enforce.h"
#include "wsbridge/outbox/lane.h"
#include "wsbridge/store/store.h"

struct fake_row fake_rows[FAKE_ROWS_MAX];
size_t n_fake_rows;
char refused_session[24];
uint64_t refused_number;
unsigned n_notes;

struct fake_call fake_calls[FAKE_CALLS_MAX];
size_t n_fake_calls, n_active_calls, most_active_calls;
bool calls_fail;
void (*on_fake_call)(const struct fake_call *call);

static struct store_job_list jobs; /* oldest first */
static bool is_closed;
bool store_rests;
static struct fake_row saved_rows[FAKE_ROWS_MAX];
static size_t n_saved_rows;
static struct ps_policy *policy;
static uint64_t revision;

/* The store. */

bool __wrap_store_do(struct store *store, struct store_job *job);
bool __wrap_store_amend(struct store *store, struct store_job *job,
    void (*amend)(struct store_job *job));
int __wrap_ps_db_delete_authorization(struct ps_db *db, const char *socket_id);
int __wrap_ps_db_put_outbox(struct ps_db *db, const struct ps_outbox_row *row);
int __wrap_ps_db_delete_outbox(struct ps_db *db,
    const struct ps_outbox_key *keys, size_t count);
int __wrap_ps_db_fail_outbox(struct ps_db *db, const struct ps_outbox_key *key,
    const char *error, bool dead);
int __wrap_ps_db_fail_lane(struct ps_db *db, const char *session,
    const char *error);
int __wrap_ps_db_note_lane(struct ps_db *db, const char *session);
int __wrap_ps_db_read_outbox(struct ps_db *db, const char *session,
    uint64_t after, uint32_t limit, size_t max_bytes,
    int (*found)(void *arg, const struct ps_outbox_row *row), void *arg);

bool
__wrap_store_do(struct store *store, struct store_job *job)
{
	struct store_job *other;

	(void)store;
	if (is_closed)
		return false;
	TAILQ_FOREACH(other, &jobs, next)
		assert_ptr_not_equal(other->run, job->run); /* one of each */
	TAILQ_INSERT_TAIL(&jobs, job, next);
	return true;
}

bool
__wrap_store_amend(struct store *store, struct store_job *job,
    void (*amend)(struct store_job *job))
{
	(void)store;
	assert_ptr_equal(TAILQ_FIRST(&jobs), job);
	if (store_rests)
		amend(job);
	return store_rests;
}

int
__wrap_ps_db_delete_authorization(struct ps_db *db, const char *socket_id)
{
	(void)db;
	(void)socket_id;
	return PS_OK;
}

struct fake_row *
find_row(const char *session, uint64_t number)
{
	size_t i;

	for (i = 0; i < n_fake_rows; i++)
		if (fake_rows[i].number == number &&
		    strcmp(fake_rows[i].session, session) == 0)
			return &fake_rows[i];
	return NULL;
}

int
__wrap_ps_db_put_outbox(struct ps_db *db, const struct ps_outbox_row *put)
{
	struct fake_row *row = &fake_rows[n_fake_rows];

	(void)db;
	if (strcmp(put->session, refused_session) == 0 &&
	    (refused_number == 0 || put->number == refused_number))
		return PS_ERR_MALFORMED;
	assert_null(find_row(put->session, put->number));
	assert_true(n_fake_rows < FAKE_ROWS_MAX);
	*row = (struct fake_row){ .number = put->number,
		.token_id = put->token_id,
		.accepted_at_ms = put->accepted_at_ms,
		.since_ms = put->accepted_at_ms };
	snprintf(row->session, sizeof(row->session), "%s", put->session);
	snprintf(row->client, sizeof(row->client), "%s", put->client);
	snprintf(row->callback, sizeof(row->callback), "%s", put->callback);
	snprintf(row->body, sizeof(row->body), "%.*s", (int)put->body.len,
	    put->body.data);
	row->len = put->body.len;
	n_fake_rows++;
	return PS_OK;
}

int
__wrap_ps_db_delete_outbox(struct ps_db *db, const struct ps_outbox_key *keys,
    size_t count)
{
	struct fake_row *row;

	(void)db;
	for (; count > 0; count--, keys++) {
		row = find_row(keys->session, keys->number);
		if (row == NULL)
			continue;
		memmove(row, row + 1,
		    (size_t)(&fake_rows[--n_fake_rows] - row) * sizeof(*row));
	}
	return PS_OK;
}

int
__wrap_ps_db_fail_outbox(struct ps_db *db, const struct ps_outbox_key *key,
    const char *error, bool dead)
{
	struct fake_row *row = find_row(key->session, key->number);

	(void)db;
	assert_true(*error != '\0');
	if (row == NULL)
		return PS_OK;
	row->attempts++;
	row->is_dead = dead;
	snprintf(row->error, sizeof(row->error), "%s", error);
	return PS_OK;
}

int
__wrap_ps_db_fail_lane(struct ps_db *db, const char *session, const char *error)
{
	size_t i;

	(void)db;
	for (i = 0; i < n_fake_rows; i++) {
		struct fake_row *row = &fake_rows[i];

		if (row->is_dead || strcmp(row->session, session) != 0)
			continue;
		row->is_dead = true;
		snprintf(row->error, sizeof(row->error), "%s", error);
	}
	return PS_OK;
}

/* The ready row of the session with the lowest number above `after`. */
static struct fake_row *
find_next(const char *session, uint64_t after)
{
	struct fake_row *next = NULL;
	size_t i;

	for (i = 0; i < n_fake_rows; i++) {
		struct fake_row *row = &fake_rows[i];

		if (strcmp(row->session, session) == 0 && !row->is_dead &&
		    row->number > after &&
		    (next == NULL || row->number < next->number))
			next = row;
	}
	return next;
}

int
__wrap_ps_db_note_lane(struct ps_db *db, const char *session)
{
	(void)db;
	assert_non_null(find_next(session, 0));
	n_notes++;
	return PS_OK;
}

int
__wrap_ps_db_read_outbox(struct ps_db *db, const char *session, uint64_t after,
    uint32_t limit, size_t max_bytes,
    int (*found)(void *arg, const struct ps_outbox_row *row), void *arg)
{
	static char body[256 * 1024];
	struct fake_row *row;
	size_t bytes = 0;
	int ret = PS_OK;

	(void)db;
	for (; limit > 0 && bytes < max_bytes && ret == PS_OK &&
	     (row = find_next(session, after)) != NULL;
	     limit--) {
		const struct ps_outbox_row told = {
			.session = row->session,
			.number = row->number,
			.token_id = row->token_id,
			.client = row->client,
			.callback = row->callback,
			.body = ps_slice(body, row->len),
			.attempts = row->attempts,
			.accepted_at_ms = row->accepted_at_ms,
			.retry_since_ms = row->since_ms,
		};

		assert_true(row->len < sizeof(body));
		memset(body, 'x', row->len);
		memcpy(body, row->body, strlen(row->body));
		after = row->number;
		bytes += told.body.len;
		ret = found(arg, &told);
	}
	return ret;
}

bool
store_has_job(void)
{
	return !TAILQ_EMPTY(&jobs);
}

static void
save(void)
{
	memcpy(saved_rows, fake_rows, n_fake_rows * sizeof(fake_rows[0]));
	n_saved_rows = n_fake_rows;
}

static void
restore(void)
{
	memcpy(fake_rows, saved_rows, n_saved_rows * sizeof(fake_rows[0]));
	n_fake_rows = n_saved_rows;
}

void
store_roll_back(void)
{
	struct store_job *job = TAILQ_FIRST(&jobs);

	if (job == NULL)
		return;
	save();
	assert_int_equal(job->run(job, NULL), PS_OK);
	restore();
}

void
store_end(int ret)
{
	struct store_job *job = TAILQ_FIRST(&jobs);

	assert_non_null(job);
	if (ret == PS_OK)
		assert_int_equal(job->run(job, NULL), PS_OK);
	else if (ret == PS_ERR_IO)
		store_roll_back();
	TAILQ_REMOVE(&jobs, job, next);
	job->done(job, ret);
	fixture_turn();
}

/* Callbacks are started a few in each turn. */
static void
end_turns(void)
{
	do
		fixture_turn();
	while (bridge.outbox->job.is_due);
}

void
store_settle(void)
{
	end_turns();
	while (store_has_job()) {
		store_end(PS_OK);
		end_turns();
	}
}

/* The applications. */

struct callback *__wrap_callback_start(struct callbacks *callbacks,
    const struct callback_request *request, callback_done_fn done, void *owner);
void __wrap_callback_cancel(struct callback *callback);

static struct fake_call *
find_place(void)
{
	size_t i;

	if (n_fake_calls < FAKE_CALLS_MAX)
		return &fake_calls[n_fake_calls++];
	for (i = 0; i < FAKE_CALLS_MAX && fake_calls[i].is_active; i++)
		;
	assert_true(i < FAKE_CALLS_MAX);
	return &fake_calls[i];
}

struct callback *
__wrap_callback_start(struct callbacks *callbacks,
    const struct callback_request *request, callback_done_fn done, void *owner)
{
	struct fake_call *call;

	(void)callbacks;
	if (calls_fail)
		return NULL;
	call = find_place();
	*call = (struct fake_call){ .is_active = true,
		.len = request->body.len,
		.done = done,
		.owner = owner };
	snprintf(call->url, sizeof(call->url), "%s", request->url);
	snprintf(call->id, sizeof(call->id), "%s", request->id);
	snprintf(call->key, sizeof(call->key), "%.*s", (int)request->key.len,
	    request->key.data);
	snprintf(call->body, sizeof(call->body), "%.*s", (int)request->body.len,
	    request->body.data);
	if (++n_active_calls > most_active_calls)
		most_active_calls = n_active_calls;
	if (on_fake_call != NULL)
		on_fake_call(call);
	return (struct callback *)call;
}

void
__wrap_callback_cancel(struct callback *callback)
{
	struct fake_call *call = (struct fake_call *)callback;

	assert_true(call->is_active);
	call->is_active = false;
	n_active_calls--;
}

struct fake_call *
find_call(const char *session, uint64_t number)
{
	char id[80];
	size_t i;

	snprintf(id, sizeof(id), "msg_%s_%llu", session,
	    (unsigned long long)number);
	for (i = 0; i < n_fake_calls; i++)
		if (fake_calls[i].is_active &&
		    strcmp(fake_calls[i].id, id) == 0)
			return &fake_calls[i];
	return NULL;
}

void
answer(struct fake_call *call, int status, const char *body)
{
	const struct callback_result result = { .status = status,
		.body = ps_slice_str(body),
		.error = status == 0 ? "connection refused" : "" };

	assert_non_null(call);
	assert_true(call->is_active);
	call->is_active = false;
	n_active_calls--;
	call->done(call->owner, &result);
	fixture_turn();
}

void
answer_all(int status)
{
	size_t i;

	store_settle();
	for (i = 0; i < n_fake_calls; i++) {
		if (!fake_calls[i].is_active)
			continue;
		answer(&fake_calls[i], status, "");
		store_settle();
	}
}

/* What the tests do. */

bool
say_to(const char *session, uint64_t number, const char *url, const char *body)
{
	const struct outbox_entry entry = {
		.session = ps_slice_str(session),
		.number = number,
		.token_id = TOKEN,
		.client = ps_slice_str("client"),
		.callback = ps_slice_str(url),
		.body = ps_slice_str(body),
	};
	bool ok = outbox_put(&bridge, &entry);

	fixture_turn();
	return ok;
}

bool
say(const char *session, uint64_t number, const char *body)
{
	return say_to(session, number, "http://app/cb", body);
}

void
revive_row(struct fake_row *row)
{
	struct ps_outbox_lane lane = { .session = row->session,
		.token_id = row->token_id,
		.client = row->client,
		.first_number = row->number,
		.last_number = row->number };
	size_t i;

	row->is_dead = false;
	row->attempts = 0;
	row->since_ms = bridge.unix_s() * 1000;
	for (i = 0; i < n_fake_rows; i++)
		lane.count += !fake_rows[i].is_dead &&
		    strcmp(fake_rows[i].session, row->session) == 0;
	outbox_revived(&bridge, &lane);
	fixture_turn();
}

static bool
is_first_of_lane(size_t at)
{
	size_t i;

	for (i = 0; i < at; i++)
		if (!fake_rows[i].is_dead &&
		    strcmp(fake_rows[i].session, fake_rows[at].session) == 0)
			return false;
	return !fake_rows[at].is_dead;
}

static void
load(void)
{
	size_t i, j;

	for (i = 0; i < n_fake_rows; i++) {
		const struct fake_row *row = &fake_rows[i];
		struct ps_outbox_lane lane = { .session = row->session,
			.token_id = row->token_id,
			.client = row->client,
			.first_number = row->number };

		if (!is_first_of_lane(i))
			continue;
		for (j = 0; j < n_fake_rows; j++) {
			if (fake_rows[j].is_dead ||
			    strcmp(fake_rows[j].session, row->session) != 0)
				continue;
			lane.count++;
			if (fake_rows[j].number < lane.first_number)
				lane.first_number = fake_rows[j].number;
			if (fake_rows[j].number > lane.last_number)
				lane.last_number = fake_rows[j].number;
		}
		outbox_load(&bridge, &lane);
	}
	fixture_turn();
}

static void
stop(void)
{
	struct store_job *job;

	is_closed = true;
	outbox_stop(&bridge);
	while ((job = TAILQ_FIRST(&jobs)) != NULL) {
		TAILQ_REMOVE(&jobs, job, next);
		job->done(job, PS_ERR_CLOSED);
	}
	fixture_turn();
	assert_int_equal(n_active_calls, 0);
}

void
outbox_restart(void)
{
	stop();
	outbox_deinit(&bridge);
	assert_true(outbox_init(&bridge, 1));
	n_fake_calls = 0;
	is_closed = false;
	load();
}

void
allow_callbacks(int64_t token_id, const char *pattern)
{
	allow_callbacks_until(token_id, pattern, INT64_MAX);
}

void
allow_callbacks_until(int64_t token_id, const char *pattern,
    int64_t expires_at_s)
{
	struct ps_token token = { .id = token_id,
		.has_secret = true,
		.enabled = true,
		.expires_at_s = expires_at_s,
		.callback_key = "key",
		.callback_key_len = 3 };
	size_t i;

	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		token.limits.value[i] = PS_NO_LIMIT;
	token.name = strdup("application");
	policy = ps_policy_create(++revision);
	assert_non_null(policy);
	assert_int_equal(ps_policy_add_token(policy, &token), PS_OK);
	assert_int_equal(ps_policy_seal(policy), PS_OK);
	assert_int_equal(
	    ps_policy_add_pattern(policy, token_id, PS_RIGHT_CALLBACK, pattern),
	    PS_OK);
	enforce_policy(&bridge, policy);
}

static int
begin(int ret)
{
	if (ret != 0)
		return ret;
	n_fake_rows = n_fake_calls = n_active_calls = most_active_calls = 0;
	n_notes = 0;
	*refused_session = '\0';
	refused_number = 0;
	calls_fail = false;
	on_fake_call = NULL;
	TAILQ_INIT(&jobs);
	is_closed = store_rests = false;
	fixture_set("queue_bytes=1KiB");
	fixture_set("max_message=1KiB");
	allow_callbacks(TOKEN, "http://*:*");
	return 0;
}

int
outbox_setup(void **state)
{
	return begin(fixture_setup(state));
}

int
outbox_setup_loop(void **state)
{
	return begin(fixture_setup_loop(state));
}

int
outbox_teardown(void **state)
{
	struct session *session;

	while ((session = TAILQ_FIRST(&bridge.sessions)) != NULL)
		session_end(session, "test over");
	stop();
	return fixture_teardown(state);
}
