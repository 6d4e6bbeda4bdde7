/*
 * The outbox in random circumstances: sessions say something, the database
 * takes it or does not, applications answer, fail or do not answer, time goes
 * by, the administrator revives and deletes rows, and the bridge is killed and
 * starts again. Whatever happens,
 *
 * - what was told to be committed is delivered at least once, unless it is dead
 *   in the database or was deleted by hand; what was told not to be is never
 *   called back;
 * - each callback is the first ready row of its session, the only one under way
 *   of it, and no more than callback_connections are at one host;
 * - nothing that was delivered is delivered again while the bridge lives;
 * - what is counted is what there is, and in the end nothing is left.
 *
 * "# seed N" is said first; POLYSOCKET_SEED=N repeats a run, POLYSOCKET_STEPS
 * makes it longer.
 */
#include "config.h"

#include "outbox_fixture.h"

#include <inttypes.h>
#include <time.h>

#include "wsbridge/outbox/circuit.h"
#include "wsbridge/outbox/lane.h"

#define SLOTS 8
#define HOSTS 3
#define NUMBERS 40 /* of one session; then another takes its slot */
#define NAMES 2000
#define STEPS 30000
#define ROUND 15000 /* then all is delivered, and it begins anew */
#define CONNECTIONS 2

enum fate { NONE, PENDING, COMMITTED, REFUSED };

struct model_row {
	struct commit_wait wait; /* first */
	enum fate fate;
	bool is_delivered;  /* since the bridge has begun, or for ever */
	bool was_delivered; /* ever */
	bool is_deleted;    /* by hand */
	unsigned name, number;
};

static uint64_t seed, step;
static struct model_row rows[NAMES][NUMBERS + 1];
static unsigned n_names;
static struct {
	unsigned name, said;
} slots[SLOTS];
static struct {
	unsigned refused, delivered, again, dead, revived, restarts;
} seen;

static unsigned
draw(unsigned below)
{
	return (unsigned)(next_random(&seed) % below);
}

#define check(condition)                                                       \
	do {                                                                   \
		if (!(condition))                                              \
			fail_msg("%s:%d: %s, step %" PRIu64, __FILE__,         \
			    __LINE__, #condition, step);                       \
	} while (0)

static const char *
name_of(unsigned name)
{
	static char text[16];

	snprintf(text, sizeof(text), "s-%u", name);
	return text;
}

static const char *
url_of(unsigned name)
{
	static char text[24];

	snprintf(text, sizeof(text), "http://h%u/cb", name % HOSTS);
	return text;
}

static void
parse(const struct fake_call *call, unsigned *name_r, unsigned *number_r)
{
	check(sscanf(call->id, "msg_s-%u_%u", name_r, number_r) == 2);
}

/* --- what has to hold --- */

/* It is dead as soon as that is to be written. */
static bool
is_buried(const struct fake_row *row)
{
	const struct batch *batches = bridge.outbox->batches;
	const struct outbox_row *change;
	int i;

	for (i = 0; i < 2; i++)
		TAILQ_FOREACH(change, &batches[i].changes, of_batch)
			if (change->change == ROW_DEAD &&
			    change->number == row->number &&
			    strcmp(lane_name(change->lane), row->session) == 0)
				return true;
	return row->is_dead;
}

/* Nothing in front of it may wait. */
static void
check_order(const struct fake_call *call, unsigned name, unsigned number)
{
	unsigned i;

	for (i = 1; i < number; i++) {
		const struct fake_row *row = find_row(name_of(name), i);

		check(rows[name][i].fate != PENDING);
		check(row == NULL || rows[name][i].is_delivered ||
		    is_buried(row));
	}
	for (i = 0; i < n_fake_calls; i++) {
		const struct fake_call *other = &fake_calls[i];
		unsigned other_name, other_number;

		if (!other->is_active || other == call)
			continue;
		parse(other, &other_name, &other_number);
		check(other_name != name);
	}
}

static void
check_hosts(void)
{
	unsigned n_active[HOSTS] = { 0 }, name, number;
	size_t i;

	for (i = 0; i < n_fake_calls; i++) {
		if (!fake_calls[i].is_active)
			continue;
		parse(&fake_calls[i], &name, &number);
		check(++n_active[name % HOSTS] <= CONNECTIONS);
	}
}

static void
on_call(const struct fake_call *call)
{
	const struct model_row *row;
	const struct fake_row *stored;
	unsigned name, number;
	char body[32];

	parse(call, &name, &number);
	row = &rows[name][number];
	stored = find_row(name_of(name), number);
	check(row->fate == COMMITTED);
	check(!row->is_delivered);
	check(row->is_deleted || (stored != NULL && !is_buried(stored)));
	snprintf(body, sizeof(body), "{%u.%u}", name, number);
	check(strcmp(call->body, body) == 0);
	check(strcmp(call->url, url_of(name)) == 0);
	check_order(call, name, number);
	check_hosts();
}

/* What is counted is what the lanes have. */
static void
check_counts(void)
{
	const struct outbox *outbox = bridge.outbox;
	const struct application_use *use = application_use_find(outbox, TOKEN);
	size_t waiting = 0, kept = 0, unwritten = 0, n_slots = 0;
	const struct lane *lane;

	TAILQ_FOREACH(lane, &outbox->lanes, all) {
		waiting += lane->n_rows + lane->n_stored + lane->n_unwritten;
		kept += lane->bytes;
		unwritten += lane->unwritten_bytes;
		n_slots += lane->has_slot;
		check(lane->n_rows <= LANE_ROWS);
		check(lane->n_changes <= LANE_ROWS);
		check(lane->state != LANE_IDLE || lane->n_unwritten > 0 ||
		    lane->n_changes > 0);
	}
	check(outbox->waiting == waiting);
	check(outbox->kept_bytes == kept);
	check(outbox->unwritten_bytes == unwritten);
	check(outbox->n_slots == n_slots);
	check((use == NULL ? 0 : use->count) == waiting);
}

/* --- what happens --- */

static void
on_committed(struct commit_wait *wait, bool ok)
{
	struct model_row *row = (struct model_row *)wait;
	const char *name = name_of(row->name);

	check(row->fate == PENDING);
	row->fate = ok ? COMMITTED : REFUSED;
	seen.refused += !ok;
	check(ok == (find_row(name, row->number) != NULL));
}

static void
say_something(void)
{
	unsigned slot = draw(SLOTS), name;
	struct model_row *row;
	char body[32];

	if (slots[slot].said >= NUMBERS) {
		check(n_names < NAMES);
		slots[slot].name = n_names++;
		slots[slot].said = 0;
	}
	name = slots[slot].name;
	row = &rows[name][++slots[slot].said];
	row->name = name;
	row->number = slots[slot].said;
	row->fate = PENDING;
	snprintf(body, sizeof(body), "{%u.%u}", name, row->number);
	check(say_to(name_of(name), row->number, url_of(name), body));
	row->wait.done = on_committed;
	outbox_wait(&bridge, ps_slice_str(name_of(name)), &row->wait);
}

static void
commit(void)
{
	unsigned chance = draw(20);

	/* Until then what is said goes with the job that there is, or waits. */
	store_rests = draw(2) == 0;
	if (!store_has_job())
		return;
	if (chance == 0)
		snprintf(refused_session, sizeof(refused_session), "%s",
		    name_of(slots[draw(SLOTS)].name));
	if (chance == 1)
		store_end(PS_ERR_IO);
	else if (chance == 2)
		store_roll_back();
	else
		store_end(PS_OK);
	*refused_session = '\0';
}

static void
answer_one(int status)
{
	struct fake_call *call = NULL;
	unsigned name, number, i;

	for (i = 0; i < n_fake_calls; i++)
		if (fake_calls[i].is_active && (call == NULL || draw(2) == 0))
			call = &fake_calls[i];
	if (call == NULL)
		return;
	parse(call, &name, &number);
	if (status == 204) {
		seen.delivered++;
		seen.again += rows[name][number].was_delivered;
		rows[name][number].is_delivered = true;
		rows[name][number].was_delivered = true;
	}
	answer(call, status, "");
}

static void
answer_somehow(void)
{
	static const int statuses[] = { 204, 204, 204, 204, 204, 204, 500, 404,
		503, 0, 0 };

	answer_one(draw(300) == 0 ? 410 : statuses[draw(ROWS(statuses))]);
}

static void
revive(void)
{
	struct fake_row *row;
	unsigned i, number, name;

	if (n_fake_rows == 0)
		return;
	row = &fake_rows[draw((unsigned)n_fake_rows)];
	if (!row->is_dead)
		return;
	seen.revived++;
	number = (unsigned)row->number;
	check(sscanf(row->session, "s-%u", &name) == 1);
	rows[name][number].is_delivered = false;
	revive_row(row);
	for (i = 0; i < 2 && store_has_job(); i++)
		commit();
}

/* By hand; the bridge may have it in memory. */
static void delete (void)
{
	struct fake_row *row;
	unsigned name;

	if (n_fake_rows == 0)
		return;
	row = &fake_rows[draw((unsigned)n_fake_rows)];
	check(sscanf(row->session, "s-%u", &name) == 1);
	rows[name][row->number].is_deleted = true;
	*row = fake_rows[--n_fake_rows];
}

/* What was not told to be committed is not accepted; what was delivered and is
 * still there comes again. */
static void
kill_and_restart(void)
{
	unsigned i, number;

	seen.restarts++;
	for (i = 0; i < n_names; i++) {
		for (number = 1; number <= NUMBERS; number++) {
			outbox_unwait(&rows[i][number].wait);
			if (rows[i][number].fate == PENDING)
				rows[i][number].fate = REFUSED;
		}
	}
	for (i = 0; i < SLOTS; i++) {
		slots[i].name = n_names++;
		slots[i].said = 0;
	}
	for (i = 0; i < n_fake_rows; i++) {
		unsigned name;

		check(sscanf(fake_rows[i].session, "s-%u", &name) == 1);
		rows[name][fake_rows[i].number].is_delivered = false;
	}
	outbox_restart();
}

static void
pass_time(void)
{
	static const unsigned times_ms[] = { 10, 100, 1000, 1000, 3000, 20000,
		70000, 400000 };

	fixture_advance(draw(times_ms[draw(ROWS(times_ms))]) + 1);
}

static void
take_step(void)
{
	unsigned chance = draw(1000);

	if (chance < 300)
		say_something();
	else if (chance < 600)
		commit();
	else if (chance < 880)
		answer_somehow();
	else if (chance < 970)
		pass_time();
	else if (chance < 985)
		revive();
	else if (chance < 990)
		delete ();
	else if (chance < 992)
		kill_and_restart();
	check_counts();
}

/* Now all applications are well. */
static void
finish(void)
{
	unsigned i, number, turns = 0;

	while (bridge.outbox->waiting > 0 || store_has_job() ||
	    n_active_calls > 0) {
		store_settle();
		answer_one(204);
		if (n_active_calls == 0)
			fixture_advance(60000);
		check(++turns < 1000000);
	}
	for (i = 0; i < n_names; i++) {
		for (number = 1; number <= NUMBERS; number++) {
			const struct model_row *row = &rows[i][number];
			const struct fake_row *stored =
			    find_row(name_of(i), number);

			if (row->fate == NONE)
				continue;
			check(row->fate != PENDING);
			check(stored == NULL || stored->is_dead);
			check(row->fate == REFUSED || row->was_delivered ||
			    row->is_deleted || stored != NULL);
		}
	}
	seen.dead += (unsigned)n_fake_rows;
	check(TAILQ_EMPTY(&bridge.outbox->lanes));
	check(bridge.outbox->hosts.count == 0);
	check(bridge.outbox->applications.count == 0);
	check(bridge.outbox->hosts_down == 0);
}

static void
begin(void)
{
	unsigned i;

	n_fake_rows = n_fake_calls = 0;
	memset(rows, 0, sizeof(rows));
	n_names = 0;
	for (i = 0; i < SLOTS; i++) {
		slots[i].name = n_names++;
		slots[i].said = 0;
	}
}

static uint64_t
environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void
nothing_that_was_accepted_is_lost_or_out_of_order(void **state)
{
	uint64_t n_steps = environment("POLYSOCKET_STEPS", STEPS);

	(void)state;
	seed = environment("POLYSOCKET_SEED",
	    (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid());
	printf("# seed %" PRIu64 "\n", seed);
	fixture_set("callback_connections=2");
	fixture_set("callback_retry=5m");
	on_fake_call = on_call;
	begin();
	for (step = 1; step <= n_steps; step++) {
		take_step();
		if (step % ROUND == 0) {
			finish();
			begin();
		}
	}
	finish();
	printf("# %u delivered, %u of them again, %u refused, %u dead, "
	       "%u revived, %u restarts\n",
	    seen.delivered, seen.again, seen.refused, seen.dead, seen.revived,
	    seen.restarts);
	assert_true(seen.delivered > 0 && seen.refused > 0 &&
	    seen.revived > 0 && seen.restarts > 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    nothing_that_was_accepted_is_lost_or_out_of_order,
		    outbox_setup, outbox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
