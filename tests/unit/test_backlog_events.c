/* Events of channels that wait. */
#include "config.h"

#include "backlog_fixture.h"

static void
put_event(const char *channel, const char *id)
{
	const struct ps_event event = { ps_slice_str(channel),
		ps_slice_str("{}"), id, 7, 0 };

	backlog_put_event(&backlog, &event);
}

/* Ids "a1" and so on of the channel "a". */
static void
put_events(const char *channel, int from, int to)
{
	char id[16];

	for (; from <= to; from++) {
		snprintf(id, sizeof(id), "%s%d", channel, from);
		put_event(channel, id);
	}
}

/* Such as "a1 a4+2 b1 ": two were lost before a4. Others are numbers. */
static bool
events_are(const struct record_list *batch, const char *expected)
{
	const struct event_record *event;
	const struct record *record;
	struct ps_writer w = { 0 };
	bool are;

	TAILQ_FOREACH(record, batch, next) {
		event = (const struct event_record *)record;
		if (record->kind != RECORD_EVENT)
			put_name(&w, record);
		else if (event->event.n_lost == 0)
			ps_writer_printf(&w, "%s ", event->event.id);
		else
			ps_writer_printf(&w, "%s+%u ", event->event.id,
			    (unsigned)event->event.n_lost);
	}
	if (!ps_slice_is(written(&w), expected))
		print_message("# %.*s\n", (int)w.len, w.data);
	are = writer_had(&w, expected);
	ps_writer_deinit(&w);
	return are;
}

static bool
all_events_are(const char *expected)
{
	struct record_list batch;
	bool are;

	backlog_take(&backlog, UINT64_MAX, &batch);
	are = events_are(&batch, expected);
	backlog_written(&backlog, &batch);
	return are;
}

static void
an_event_is_copied(void **state)
{
	char text[3][8] = { "channel", "id", "payload" };
	const struct ps_event event = { ps_slice_str(text[0]),
		ps_slice_str(text[2]), text[1], 7, 99 };
	const struct event_record *record;

	(void)state;
	backlog_put_event(&backlog, &event);
	memset(text, 'x', sizeof(text));
	record = (const struct event_record *)TAILQ_FIRST(&backlog.records);
	assert_int_equal(record->record.kind, RECORD_EVENT);
	assert_slice(record->event.channel, "channel");
	assert_slice(record->event.payload, "payload");
	assert_string_equal(record->event.id, "id");
	assert_int_equal(record->event.at_ms, 7);
	assert_int_equal(record->event.n_lost, 0);
}

static void
events_are_taken_in_order_with_the_others(void **state)
{
	(void)state;
	backlog_set_keep(&backlog, 5);
	put(1, 1);
	put_events("a", 1, 2);
	put(2, 2);
	put_events("b", 1, 1);
	assert_int_equal(waiting(), 5);
	assert_true(all_events_are("1 a1 a2 2 b1 "));
	assert_int_equal(backlog_status(&backlog).written, 5);
	assert_int_equal(backlog.events.channels.count, 0);
	assert_int_equal(backlog.events.bytes, 0);
}

static void
of_a_channel_no_more_wait_than_are_kept(void **state)
{
	(void)state;
	backlog_set_keep(&backlog, 3);
	put_events("a", 1, 2);
	put_events("b", 1, 1);
	put_events("a", 3, 7);
	assert_int_equal(waiting(), 4);
	assert_int_equal(lost(), 0); /* nobody misses them */
	assert_true(all_events_are("b1 a5+4 a6 a7 "));
	put_events("a", 8, 9);
	assert_true(all_events_are("a8 a9 "));
	backlog_set_keep(&backlog, 0); /* not at all, but this one came */
	put_events("a", 10, 11);
	assert_true(all_events_are("a11+1 "));
}

static void
what_is_given_back_is_too_many_with_what_came_meanwhile(void **state)
{
	struct record_list batch;

	(void)state;
	backlog_set_keep(&backlog, 3);
	put_events("a", 1, 3);
	put_events("b", 1, 1);
	backlog_take(&backlog, 3, &batch);
	put_events("a", 4, 5);
	assert_int_equal(waiting(), 6);
	backlog_put_back(&backlog, &batch);
	assert_int_equal(waiting(), 4);
	assert_true(all_events_are("a3+2 b1 a4 a5 "));
}

static void
a_lost_event_is_told_by_the_next_of_its_channel(void **state)
{
	(void)state;
	backlog_set_keep(&backlog, 100);
	backlog_set_failing(&backlog, true);
	put_events("a", 1, 2);
	put_events("b", 1, 1);
	put(1, BACKLOG_MAX); /* all of them are lost */
	assert_int_equal(lost(), 3);
	assert_int_equal(backlog_status(&backlog).lost_events, 3);
	put_events("b", 2, 3);
	put_events("c", 1, 1);
	put_events("a", 3, 3);
	assert_true(all_events_are("5 6 7 8 9 10 b2+1 b3 c1 a3+2 "));
	put_events("a", 4, 4);
	assert_true(all_events_are("a4 "));
	assert_int_equal(backlog.events.channels.count, 0);
}

static void
one_that_is_lost_while_others_are_written_is_told_behind_them(void **state)
{
	struct record_list batch;

	(void)state;
	backlog_set_keep(&backlog, 100);
	backlog_set_max(&backlog, 2);
	backlog_set_failing(&backlog, true);
	put_events("a", 1, 2);
	backlog_take(&backlog, 2, &batch);
	put_events("a", 3, 3);
	assert_int_equal(lost(), 1);
	backlog_put_back(&backlog, &batch);
	assert_true(all_events_are("a1 a2 "));
	put_events("a", 4, 4);
	assert_true(all_events_are("a4+1 "));
}

/* Of a megabyte each. */
static void
put_large(int from, int to)
{
	size_t size = 1024 * 1024;
	char *text = calloc(1, size);
	char id[16];

	for (; from <= to; from++) {
		const struct ps_event event = { ps_slice_str("l"),
			ps_slice(text, size), id, 7, 0 };

		snprintf(id, sizeof(id), "l%d", from);
		backlog_put_event(&backlog, &event);
	}
	free(text);
}

static void
events_that_wait_have_a_bound_of_bytes(void **state)
{
	enum { ROOM = BACKLOG_EVENT_BYTES / (1024 * 1024) - 1 };
	struct record_list batch;

	(void)state;
	backlog_set_keep(&backlog, 1000);
	put(1, 1);
	put_large(1, ROOM);
	assert_int_equal(lost(), 0);
	put_large(ROOM + 1, ROOM + 2);
	assert_int_equal(lost(), 2);
	backlog_take(&backlog, UINT64_MAX, &batch);
	put_events("s", 1, 1);
	put_large(1, 1); /* no room at all, and nothing can go but these */
	assert_int_equal(lost(), 4);
	assert_int_equal(waiting(), 1 + ROOM);
	backlog_written(&backlog, &batch);
	assert_int_equal(backlog.events.bytes, 0);
	put_events("s", 2, 2);
	assert_true(all_events_are("s2+1 "));
}

static void
the_last_of_each_channel_in_a_batch_is_known(void **state)
{
	const struct event_record *event;
	struct record_list batch;
	struct record *record;
	struct ps_writer w = { 0 };

	(void)state;
	backlog_set_keep(&backlog, 100);
	put_events("a", 1, 2);
	put_events("b", 1, 2);
	put_events("a", 3, 4);
	backlog_take(&backlog, 5, &batch);
	put_events("b", 3, 3);
	TAILQ_FOREACH(record, &batch, next) {
		event = (const struct event_record *)record;
		if (event_record_is_last(event))
			ps_writer_printf(&w, "%s ", event->event.id);
	}
	assert_true(writer_had(&w, "b2 a3 "));
	ps_writer_deinit(&w);
	backlog_written(&backlog, &batch);
}

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, backlog_setup, backlog_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(an_event_is_copied),
		fresh(events_are_taken_in_order_with_the_others),
		fresh(of_a_channel_no_more_wait_than_are_kept),
		fresh(what_is_given_back_is_too_many_with_what_came_meanwhile),
		fresh(a_lost_event_is_told_by_the_next_of_its_channel),
		fresh(
		    one_that_is_lost_while_others_are_written_is_told_behind_them),
		fresh(events_that_wait_have_a_bound_of_bytes),
		fresh(the_last_of_each_channel_in_a_batch_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
