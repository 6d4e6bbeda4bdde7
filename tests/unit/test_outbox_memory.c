/* The outbox where each allocation in turn fails. */
#include "config.h"

#include "allocations.h"
#include "outbox_fixture.h"

#include "wsbridge/outbox/lane.h"

#define ROWS_SAID 12

static struct {
	struct commit_wait wait; /* first */
	bool is_said, is_told, is_accepted;
} said[2][ROWS_SAID + 1];

static void
on_committed(struct commit_wait *wait, bool ok)
{
	size_t i, j;

	for (i = 0; i < 2; i++) {
		for (j = 1; j <= ROWS_SAID; j++) {
			if (&said[i][j].wait != wait)
				continue;
			assert_false(said[i][j].is_told);
			said[i][j].is_told = true;
			said[i][j].is_accepted = ok;
		}
	}
}

static const char *const names[] = { "a-0", "a-1" };

static void
say_all(void)
{
	unsigned i, j;

	for (j = 1; j <= ROWS_SAID; j++) {
		for (i = 0; i < 2; i++) {
			if (!say(names[i], j, "{}"))
				continue;
			said[i][j].is_said = true;
			said[i][j].wait.done = on_committed;
			outbox_wait(&bridge, ps_slice_str(names[i]),
			    &said[i][j].wait);
		}
		if (j == 3)
			store_settle();
	}
	store_settle();
}

/* Everything that may be done with memory: a retry, a host that is down, death
 * and revival, 410, pages. */
static void
live(void)
{
	struct fake_row *row;
	size_t i;

	say_all();
	answer_all(500);
	fixture_advance(1000);
	answer_all(0);
	for (i = 0; i < 10; i++) {
		fixture_advance(60000);
		answer_all(i == 5 ? 204 : 0);
	}
	fixture_advance(7200000);
	answer_all(0);
	row = find_row(names[1], ROWS_SAID);
	if (row != NULL && row->is_dead)
		revive_row(row);
	store_settle();
}

static void
check_all(void)
{
	unsigned i, j, turns;

	for (turns = 0; !TAILQ_EMPTY(&bridge.outbox->lanes); turns++) {
		assert_true(turns < 1000);
		answer_all(204);
		fixture_advance(60000);
	}
	for (i = 0; i < 2; i++) {
		for (j = 1; j <= ROWS_SAID; j++) {
			const struct fake_row *row = find_row(names[i], j);

			assert_int_equal(said[i][j].is_told,
			    said[i][j].is_said);
			assert_true(row == NULL || row->is_dead);
			if (!said[i][j].is_accepted)
				assert_null(row);
		}
	}
	assert_int_equal(bridge.outbox->waiting, 0);
	assert_int_equal(bridge.outbox->kept_bytes, 0);
	assert_int_equal(bridge.outbox->unwritten_bytes, 0);
	assert_int_equal(bridge.outbox->n_slots, 0);
	assert_int_equal(bridge.outbox->hosts.count, 0);
	assert_int_equal(bridge.outbox->applications.count, 0);
}

static void
live_without_the(long nth)
{
	memset(said, 0, sizeof(said));
	n_fake_rows = n_fake_calls = 0;
	allocation_failed = false;
	allocations_left = nth;
	live();
	allocations_left = -1;
	check_all();
}

static void
nothing_is_lost_where_an_allocation_fails(void **state)
{
	(void)state;
	allocations_fail_in_turn(live_without_the, 20);
}

static void
nor_without_a_database(void **state)
{
	fixture_set("outbox=no");
	nothing_is_lost_where_an_allocation_fails(state);
}

static void
an_outbox_that_cannot_be_made_is_told(void **state)
{
	long i;

	(void)state;
	for (i = 0; i < 4; i++) {
		outbox_deinit(&bridge);
		allocations_left = i;
		assert_false(outbox_init(&bridge, 1));
		allocations_left = -1;
	}
	outbox_deinit(&bridge);
	assert_true(outbox_init(&bridge, 1));
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, outbox_setup, outbox_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(nothing_is_lost_where_an_allocation_fails),
		TEST(nor_without_a_database),
		TEST(an_outbox_that_cannot_be_made_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
