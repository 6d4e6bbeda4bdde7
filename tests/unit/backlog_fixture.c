#include "config.h"

#include "backlog_fixture.h"

uint64_t clock_ms;
struct backlog backlog;

uint64_t __wrap_ps_clock_ms(void);

uint64_t
__wrap_ps_clock_ms(void)
{
	return clock_ms;
}

int
backlog_setup(void **state)
{
	(void)state;
	clock_ms = 1000000;
	return backlog_init(&backlog, BACKLOG_MAX) ? 0 : -1;
}

int
backlog_teardown(void **state)
{
	(void)state;
	backlog_deinit(&backlog);
	return 0;
}

void
put(int64_t from, int64_t to)
{
	for (; from <= to; from++)
		backlog_put_usage(&backlog,
		    &(struct ps_usage){ .token_id = from });
}

uint64_t
waiting(void)
{
	return backlog_status(&backlog).waiting;
}

uint64_t
lost(void)
{
	return backlog_status(&backlog).lost;
}

const struct session_record *
session_of(const struct record *record)
{
	assert_int_equal(record->kind, RECORD_SESSION);
	return (const struct session_record *)record;
}

void
put_name(struct ps_writer *w, const struct record *record)
{
	const struct usage_record *usage = (const struct usage_record *)record;

	ps_writer_printf(w, "%d ",
	    (int)(record->kind == RECORD_USAGE ?
		    usage->usage.token_id :
		    session_of(record)->row.token_id));
}

bool
batch_is(const struct record_list *batch, const char *numbers)
{
	const struct record *record;
	struct ps_writer w = { 0 };
	bool is;

	TAILQ_FOREACH(record, batch, next)
		put_name(&w, record);
	is = writer_had(&w, numbers);
	ps_writer_deinit(&w);
	return is;
}

bool
all_is(const char *numbers)
{
	struct record_list batch;
	bool is;

	backlog_take(&backlog, UINT64_MAX, &batch);
	is = batch_is(&batch, numbers);
	backlog_written(&backlog, &batch);
	return is;
}
