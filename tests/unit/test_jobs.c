/* Jobs between the loop and the store's thread, without either. */
#include "config.h"

#include "unit.h"

#include "wsbridge/store/jobs.h"

#define COUNT 5

static struct jobs jobs;
static struct store_job job[COUNT];
static struct store_job_list batch;
static struct ps_writer told;

static void
on_done(struct store_job *done, int ret)
{
	ps_writer_printf(&told, "%d:%d ", (int)(done - job), ret);
}

static int
setup(void **state)
{
	size_t i;

	(void)state;
	jobs_init(&jobs);
	ps_writer_reset(&told);
	TAILQ_INIT(&batch);
	for (i = 0; i < COUNT; i++)
		job[i] = (struct store_job){ .done = on_done };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	jobs_deinit(&jobs);
	ps_writer_deinit(&told);
	return 0;
}

static void
put(int count)
{
	int i;

	for (i = 0; i < count; i++)
		assert_true(jobs_put(&jobs, &job[i]));
}

static void
assert_told(const char *expected)
{
	while (jobs_tell(&jobs))
		;
	assert_true(writer_had(&told, expected));
}

static void
are_told_in_their_order(void **state)
{
	(void)state;
	put(3);
	assert_true(jobs_take(&jobs, 2, &batch));
	jobs_finish(&jobs, &batch);
	assert_told("0:0 1:0 ");
	assert_true(jobs_take(&jobs, 2, &batch));
	job[2].ret = PS_ERR_MALFORMED;
	jobs_finish(&jobs, &batch);
	assert_false(jobs_take(&jobs, 2, &batch));
	assert_told("2:-2 ");
}

static void
amend(struct store_job *amended)
{
	amended->after_records = true;
}

static void
are_amended_until_they_are_taken(void **state)
{
	(void)state;
	put(3);
	assert_true(jobs_amend(&jobs, &job[1], amend));
	assert_true(job[1].after_records);
	assert_false(job[0].after_records);
	assert_true(jobs_amend(&jobs, &job[1], amend));
	assert_true(jobs_take(&jobs, 1, &batch));
	assert_false(jobs_amend(&jobs, &job[0], amend));
	assert_true(jobs_amend(&jobs, &job[2], amend));
	/* What was tried has had some of its time. */
	assert_false(jobs_put_back(&jobs, &batch, 0));
	assert_false(jobs_amend(&jobs, &job[0], amend));
	assert_false(job[0].after_records);
	assert_true(jobs_take(&jobs, COUNT, &batch));
	jobs_finish(&jobs, &batch);
	assert_false(jobs_amend(&jobs, &job[2], amend));
	assert_told("0:0 1:0 2:0 ");
	assert_true(jobs_put(&jobs, &job[0]));
	assert_true(jobs_amend(&jobs, &job[0], amend));
	jobs_close(&jobs);
	assert_false(jobs_amend(&jobs, &job[0], amend));
	assert_told("0:-5 ");
}

static void
wait_until_they_are_taken(void **state)
{
	(void)state;
	assert_false(jobs_are_waiting(&jobs));
	put(1);
	assert_true(jobs_are_waiting(&jobs));
	assert_true(jobs_take(&jobs, COUNT, &batch));
	assert_false(jobs_are_waiting(&jobs));
	assert_false(jobs_put_back(&jobs, &batch, 0));
	assert_true(jobs_are_waiting(&jobs));
	assert_true(jobs_take(&jobs, COUNT, &batch));
	jobs_finish(&jobs, &batch);
	assert_false(jobs_are_waiting(&jobs));
	assert_told("0:0 ");
}

static void
rest_the_longer_the_more_rows_were_changed(void **state)
{
	const int64_t most =
	    JOBS_REST_ROWS + JOBS_REST_MAX_NS / JOBS_REST_ROW_NS;

	(void)state;
	assert_int_equal(jobs_rest_ns(0), 0);
	assert_int_equal(jobs_rest_ns(JOBS_REST_ROWS), 0);
	assert_int_equal(jobs_rest_ns(JOBS_REST_ROWS + 1), JOBS_REST_ROW_NS);
	assert_int_equal(jobs_rest_ns(most - 1),
	    JOBS_REST_MAX_NS - JOBS_REST_ROW_NS);
	assert_int_equal(jobs_rest_ns(most), JOBS_REST_MAX_NS);
	assert_int_equal(jobs_rest_ns(most + 1), JOBS_REST_MAX_NS);
	assert_int_equal(jobs_rest_ns(INT64_MAX), JOBS_REST_MAX_NS);
}

static void
stay_in_front_when_they_are_put_back(void **state)
{
	(void)state;
	put(2);
	assert_true(jobs_take(&jobs, COUNT, &batch));
	assert_true(jobs_put(&jobs, &job[2]));
	assert_false(jobs_put_back(&jobs, &batch, 0));
	assert_true(jobs_take(&jobs, COUNT, &batch));
	jobs_finish(&jobs, &batch);
	assert_told("0:0 1:0 2:0 ");
}

static void
are_given_up_when_they_are_old(void **state)
{
	(void)state;
	put(3);
	job[0].lent_ms = 10;
	job[1].lent_ms = 11;
	assert_true(jobs_put_back(&jobs, &batch, 11));
	assert_told("0:-6 ");
	assert_false(jobs_put_back(&jobs, &batch, 11));
	assert_true(jobs_put_back(&jobs, &batch, 12));
	assert_told("1:-6 ");
	assert_true(jobs_take(&jobs, COUNT, &batch));
	assert_ptr_equal(TAILQ_FIRST(&batch), &job[2]);
}

static void
are_closed_at_the_end(void **state)
{
	(void)state;
	put(2);
	jobs_close(&jobs);
	assert_false(jobs_put(&jobs, &job[2]));
	assert_false(jobs_take(&jobs, COUNT, &batch));
	assert_told("0:-5 1:-5 ");
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(are_told_in_their_order),
		fresh(are_amended_until_they_are_taken),
		fresh(wait_until_they_are_taken),
		cmocka_unit_test(rest_the_longer_the_more_rows_were_changed),
		fresh(stay_in_front_when_they_are_put_back),
		fresh(are_given_up_when_they_are_old),
		fresh(are_closed_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
