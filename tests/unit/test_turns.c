#include "config.h"

#include "unit.h"

#include "ps_container.h"
#include "wsbridge/base/turns.h"

#define N 5

struct reader {
	struct turn turn;
	unsigned n_changes;
	bool may_read;
};

static uv_loop_t loop;
static struct turns turns;
static struct reader readers[N];

static void
note_change(struct turn *turn)
{
	struct reader *reader = PS_CONTAINER(turn, struct reader, turn);

	reader->n_changes++;
	reader->may_read = !turn_is_waiting(turn);
}

static int
setup(void **state)
{
	size_t i;

	(void)state;
	uv_loop_init(&loop);
	turns_init(&turns, &loop);
	for (i = 0; i < N; i++)
		readers[i] = (struct reader){ .turn.changed = note_change,
			.may_read = true };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	turns_close(&turns);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static void
note_all(void)
{
	size_t i;

	for (i = 0; i < N; i++)
		turns_note(&turns, &readers[i].turn);
}

static unsigned
count_readable(void)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < N; i++)
		n += readers[i].may_read;
	return n;
}

static void
few_never_wait(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 10; i++) {
		turns_note(&turns, &readers[0].turn);
		turns_note(&turns, &readers[0].turn);
		turns_pass(&turns);
		assert_false(turn_is_waiting(&readers[0].turn));
	}
	assert_int_equal(readers[0].n_changes, 0);
	assert_false(uv_is_active((uv_handle_t *)&turns.idle));
}

static void
many_are_read_from_one_after_the_other(void **state)
{
	unsigned n_reads[N] = { 0 }, round;
	size_t i;

	(void)state;
	note_all();
	for (round = 0; round < 4 * N; round++) {
		turns_pass(&turns);
		assert_int_equal(count_readable(), TURNS_AT_ONCE);
		assert_true(uv_is_active((uv_handle_t *)&turns.idle));
		for (i = 0; i < N; i++) {
			if (!readers[i].may_read)
				continue;
			n_reads[i]++;
			turns_note(&turns, &readers[i].turn);
		}
	}
	for (i = 0; i < N; i++)
		assert_int_equal(n_reads[i], 4 * TURNS_AT_ONCE);
}

static void
line_ends_when_nobody_sends_more_than_its_share(void **state)
{
	unsigned i;

	(void)state;
	note_all();
	for (i = 0; i < N; i++)
		turns_pass(&turns);
	assert_int_equal(count_readable(), N);
	assert_false(uv_is_active((uv_handle_t *)&turns.idle));
}

static void
who_leaves_is_not_called_again(void **state)
{
	unsigned i, n_changes;

	(void)state;
	note_all();
	turns_leave(&turns, &readers[1].turn);
	turns_pass(&turns);
	assert_int_equal(readers[1].n_changes, 0);
	assert_true(turn_is_waiting(&readers[2].turn));
	turns_leave(&turns, &readers[2].turn);
	n_changes = readers[2].n_changes;
	for (i = 0; i < N; i++)
		turns_pass(&turns);
	assert_int_equal(readers[1].n_changes, 0);
	assert_int_equal(readers[2].n_changes, n_changes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(few_never_wait, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    many_are_read_from_one_after_the_other, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    line_ends_when_nobody_sends_more_than_its_share, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(who_leaves_is_not_called_again,
		    setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
