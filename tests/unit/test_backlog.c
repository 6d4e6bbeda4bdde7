/* The clock is replaced by the linker; see tests/local.mk. */
#include "config.h"

#include "unit.h"

#include "wsbridge/store/backlog.h"

#define MAX 10
/* As in backlog.c: a disk that takes nothing for so long is failing. */
#define STUCK_MS 10000

uint64_t __wrap_ps_clock_ms(void);

static uint64_t clock_ms;
static struct backlog backlog;

uint64_t
__wrap_ps_clock_ms(void)
{
	return clock_ms;
}

static int
setup(void **state)
{
	(void)state;
	clock_ms = 1000000;
	return backlog_init(&backlog, MAX) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	backlog_deinit(&backlog);
	return 0;
}

static struct ps_session_row
session_row(const char *id)
{
	return (struct ps_session_row){ .kind = PS_SESSION_RELAY,
		.token_id = 7, .id = id, .node = "a", .subject = "ws://t",
		.origin = "http://o", .remote_addr = "192.0.2.1",
		.agent = "me", .opened_at_s = 100 };
}

/* Usage, since it is the smallest; numbered to know it again. */
static void
put(int64_t from, int64_t to)
{
	for (; from <= to; from++)
		backlog_put_usage(&backlog,
		    &(struct ps_usage){ .token_id = from });
}

static uint64_t
waiting(void)
{
	return backlog_status(&backlog).waiting;
}

static uint64_t
lost(void)
{
	return backlog_status(&backlog).lost;
}

static const struct session_record *
session_of(const struct record *record)
{
	assert_int_equal(record->kind, RECORD_SESSION);
	return (const struct session_record *)record;
}

/* The number of its token. */
static void
put_name(struct ps_writer *w, const struct record *record)
{
	const struct usage_record *usage = (const struct usage_record *)record;

	ps_writer_printf(w, "%d ",
	    (int)(record->kind == RECORD_USAGE ?
		    usage->usage.token_id :
		    session_of(record)->row.token_id));
}

/* The numbers of a batch, such as "1 2 3 ". */
static bool
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

/* Whether all that waits is that; it is written. */
static bool
all_is(const char *numbers)
{
	struct record_list batch;
	bool is;

	backlog_take(&backlog, UINT64_MAX, &batch);
	is = batch_is(&batch, numbers);
	backlog_written(&backlog, &batch);
	return is;
}

/* --- order --- */

static void
records_are_taken_oldest_first(void **state)
{
	struct record_list batch;

	(void)state;
	put(1, 5);
	backlog_take(&backlog, 3, &batch);
	assert_true(batch_is(&batch, "1 2 3 "));
	assert_int_equal(waiting(), 5); /* they are not written yet */
	backlog_written(&backlog, &batch);
	assert_int_equal(waiting(), 2);
	assert_int_equal(backlog_status(&backlog).written, 3);
	assert_true(all_is("4 5 "));
	assert_true(all_is(""));
	assert_int_equal(backlog_status(&backlog).written, 5);
	assert_int_equal(lost(), 0);
}

static void
what_is_given_back_is_in_front_again(void **state)
{
	struct record_list batch;

	(void)state;
	put(1, 5);
	backlog_take(&backlog, 3, &batch);
	put(6, 7);
	backlog_put_back(&backlog, &batch);
	assert_int_equal(waiting(), 7);
	backlog_take(&backlog, 2, &batch);
	assert_true(batch_is(&batch, "1 2 "));
	backlog_put_back(&backlog, &batch);
	backlog_take(&backlog, 0, &batch);
	assert_true(batch_is(&batch, ""));
	backlog_put_back(&backlog, &batch);
	assert_true(all_is("1 2 3 4 5 6 7 "));
}

/* --- the bound --- */

static void
a_database_that_is_well_may_be_behind(void **state)
{
	(void)state;
	put(1, 100);
	assert_int_equal(waiting(), 100);
	clock_ms += STUCK_MS;
	put(101, 101);
	assert_int_equal(waiting(), 101);
	assert_int_equal(lost(), 0);
}

static void
while_it_fails_the_oldest_are_lost(void **state)
{
	(void)state;
	backlog_set_failing(&backlog, true);
	put(1, MAX);
	assert_int_equal(lost(), 0);
	put(11, 11);
	assert_int_equal(lost(), 1);
	put(12, 14);
	assert_int_equal(waiting(), MAX);
	assert_int_equal(lost(), 4);
	assert_true(all_is("5 6 7 8 9 10 11 12 13 14 "));
	assert_int_equal(backlog_status(&backlog).written, MAX);
}

static void
what_is_too_many_is_lost_when_it_begins_to_fail(void **state)
{
	(void)state;
	put(1, 12);
	assert_int_equal(lost(), 0);
	backlog_set_failing(&backlog, true);
	assert_int_equal(lost(), 2);
	backlog_set_failing(&backlog, false);
	put(13, 30);
	assert_int_equal(waiting(), 28);
	assert_int_equal(lost(), 2);
}

static void
the_bound_may_be_changed(void **state)
{
	(void)state;
	put(1, 5);
	backlog_set_max(&backlog, 1);
	assert_int_equal(waiting(), 5); /* all is well */
	backlog_set_max(&backlog, MAX);
	backlog_set_failing(&backlog, true);
	backlog_set_max(&backlog, 4);
	assert_int_equal(lost(), 1);
	backlog_set_max(&backlog, 6);
	put(6, 8);
	assert_int_equal(lost(), 2);
	assert_true(all_is("3 4 5 6 7 8 "));
}

static void
a_disk_that_takes_nothing_is_failing(void **state)
{
	struct record_list batch;

	(void)state;
	put(1, 20);
	clock_ms += STUCK_MS + 1;
	put(21, 21);
	assert_int_equal(waiting(), MAX);
	assert_int_equal(lost(), 11);
	backlog_take(&backlog, 1, &batch);
	backlog_written(&backlog, &batch); /* it takes something */
	put(22, 40);
	assert_int_equal(lost(), 11);
}

static void
an_hour_without_records_is_no_failure(void **state)
{
	(void)state;
	put(1, 3);
	assert_true(all_is("1 2 3 "));
	clock_ms += 3600 * 1000;
	put(4, 30);
	assert_int_equal(lost(), 0);
}

/* They are in the hands of the thread, but they take memory. */
static void
what_was_taken_counts_but_cannot_be_lost(void **state)
{
	struct record_list batch;

	(void)state;
	backlog_set_failing(&backlog, true);
	put(1, MAX);
	backlog_take(&backlog, 6, &batch);
	put(11, 20);
	assert_int_equal(waiting(), MAX);
	assert_int_equal(lost(), 10);
	assert_true(batch_is(&batch, "1 2 3 4 5 6 "));
	backlog_put_back(&backlog, &batch);
	assert_true(all_is("1 2 3 4 5 6 17 18 19 20 "));
	put(1, MAX);
	backlog_take(&backlog, MAX, &batch);
	put(11, 13); /* no room at all */
	assert_int_equal(waiting(), MAX);
	backlog_set_max(&backlog, 3);
	backlog_put_back(&backlog, &batch);
	assert_true(all_is("8 9 10 "));
}

/* --- sessions --- */

static struct backlog_ticket ticket;

static void
put_session(struct ps_session_row *row)
{
	backlog_put_session(&backlog, row, &ticket);
}

/* The oldest that waits. */
static const struct session_record *
first(void)
{
	return session_of(TAILQ_FIRST(&backlog.records));
}

/* The only one. */
static const struct session_record *
only(void)
{
	assert_int_equal(waiting(), 1);
	return first();
}

static void
a_row_is_copied(void **state)
{
	char text[7][8] = { "id", "node", "subject", "origin", "addr",
		"agent", "reason" };
	struct ps_session_row row = { .token_id = 5, .id = text[0],
		.node = text[1], .subject = text[2], .origin = text[3],
		.remote_addr = text[4], .agent = text[5],
		.close_reason = text[6], .opened_at_s = 6, .closed_at_s = 7,
		.close_code = 8, .traffic = { 1, 2, 3, 4 } };
	const struct session_record *record;

	(void)state;
	ticket = (struct backlog_ticket){ 0 };
	put_session(&row);
	memset(text, 'x', sizeof(text));
	record = only();
	assert_string_equal(record->row.id, "id");
	assert_string_equal(record->row.node, "node");
	assert_string_equal(record->row.subject, "subject");
	assert_string_equal(record->row.origin, "origin");
	assert_string_equal(record->row.remote_addr, "addr");
	assert_string_equal(record->row.agent, "agent");
	assert_string_equal(record->row.close_reason, "reason");
	assert_int_equal(record->row.token_id, 5);
	assert_int_equal(record->row.opened_at_s, 6);
	assert_int_equal(record->row.closed_at_s, 7);
	assert_int_equal(record->row.close_code, 8);
	assert_int_equal(record->row.traffic.bytes_down, 4);
}

static void
a_session_that_still_waits_is_amended(void **state)
{
	struct ps_session_row row = session_row("a-1");
	char reason[PS_CLOSE_REASON_MAX + 1];
	const struct session_record *record;

	(void)state;
	ticket = (struct backlog_ticket){ 0 };
	put_session(&row);
	assert_string_equal(only()->row.close_reason, "");
	put(1, 3); /* what comes behind changes nothing */
	memset(reason, 'r', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	row.closed_at_s = 200;
	row.close_code = 4999;
	row.close_reason = reason;
	row.traffic.messages_up = 9;
	put_session(&row);
	memset(reason, 'x', sizeof(reason) - 1);
	assert_int_equal(waiting(), 4);
	record = first();
	assert_int_equal(record->row.closed_at_s, 200);
	assert_int_equal(record->row.close_code, 4999);
	assert_int_equal(record->row.traffic.messages_up, 9);
	assert_int_equal(strspn(record->row.close_reason, "r"),
	    PS_CLOSE_REASON_MAX);
	assert_int_equal(record->row.opened_at_s, 100);
	assert_string_equal(record->row.id, "a-1");
}

static void
one_that_was_taken_is_a_record_of_its_own(void **state)
{
	struct ps_session_row row = session_row("a-1");
	struct record_list batch;

	(void)state;
	ticket = (struct backlog_ticket){ 0 };
	put_session(&row);
	backlog_take(&backlog, 1, &batch);
	row.close_code = 1;
	put_session(&row); /* the first is being written */
	assert_int_equal(waiting(), 2);
	assert_int_equal(session_of(TAILQ_FIRST(&batch))->row.close_code, 0);
	backlog_put_back(&backlog, &batch);
	row.close_code = 2;
	put_session(&row); /* the latter still waits */
	assert_int_equal(waiting(), 2);
	assert_int_equal(first()->row.close_code, 0);
	backlog_take(&backlog, 2, &batch);
	backlog_written(&backlog, &batch);
	put_session(&row);
	assert_int_equal(waiting(), 1);
}

static void
one_that_was_lost_is_put_anew(void **state)
{
	struct ps_session_row row = session_row("a-1");

	(void)state;
	ticket = (struct backlog_ticket){ 0 };
	backlog_set_failing(&backlog, true);
	put_session(&row);
	put(1, MAX);
	assert_int_equal(lost(), 1);
	put_session(&row);
	assert_int_equal(lost(), 2);
	assert_int_equal(waiting(), MAX);
	put_session(&row);
	assert_int_equal(lost(), 2);
	assert_true(all_is("2 3 4 5 6 7 8 9 10 7 ")); /* 7: its token */
}

/* Where there is room for nothing, it goes at once. */
static void
one_that_is_lost_at_once_is_not_looked_at(void **state)
{
	struct ps_session_row row = session_row("a-1");
	struct record_list batch;
	int i;

	(void)state;
	ticket = (struct backlog_ticket){ 0 };
	backlog_set_max(&backlog, 1);
	backlog_set_failing(&backlog, true);
	put(1, 1);
	backlog_take(&backlog, 1, &batch);
	for (i = 1; i <= 3; i++) {
		put_session(&row);
		assert_int_equal(lost(), i);
	}
	backlog_written(&backlog, &batch);
	put_session(&row);
	put_session(&row);
	assert_int_equal(lost(), 3);
	assert_int_equal(waiting(), 1);
}

static void
each_session_has_a_ticket_of_its_own(void **state)
{
	struct backlog_ticket tickets[3] = { { 0 } };
	struct ps_session_row row = session_row("a");
	const struct record *record;
	int i;

	(void)state;
	for (i = 0; i < 9; i++) {
		row.close_code = i;
		row.token_id = i;
		backlog_put_session(&backlog, &row, &tickets[i % 3]);
	}
	assert_int_equal(waiting(), 3);
	i = 0;
	TAILQ_FOREACH(record, &backlog.records, next) {
		assert_int_equal(session_of(record)->row.token_id, i);
		assert_int_equal(session_of(record)->row.close_code, i + 6);
		i++;
	}
}

/* --- events of channels --- */

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
	put(1, MAX); /* all of them are lost */
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

/* --- readings --- */

static struct waiting_reading readings[3];

static void
a_reading_is_between_what_was_put_before_and_after_it(void **state)
{
	struct record_list batch;

	(void)state;
	put(1, 2);
	backlog_put_reading(&backlog, &readings[0]);
	backlog_put_reading(&backlog, &readings[1]);
	put(3, 3);
	backlog_put_reading(&backlog, &readings[2]);
	assert_int_equal(waiting(), 3); /* readings are none of them */
	assert_null(backlog_take_reading(&backlog));
	assert_int_equal(backlog_take(&backlog, 1, &batch), 1);
	backlog_put_back(&backlog, &batch);
	assert_null(backlog_take_reading(&backlog));
	assert_int_equal(backlog_take(&backlog, 10, &batch), 2);
	assert_true(batch_is(&batch, "1 2 "));
	backlog_written(&backlog, &batch);
	assert_int_equal(backlog_take(&backlog, 10, &batch), 0);
	backlog_written(&backlog, &batch);
	assert_ptr_equal(backlog_take_reading(&backlog), &readings[0]);
	assert_ptr_equal(backlog_take_reading(&backlog), &readings[1]);
	assert_null(backlog_take_reading(&backlog));
	assert_true(all_is("3 "));
	assert_ptr_equal(backlog_take_reading(&backlog), &readings[2]);
	assert_null(backlog_take_reading(&backlog));
}

static void
a_reading_does_not_wait_for_what_is_lost(void **state)
{
	(void)state;
	backlog_set_failing(&backlog, true);
	put(1, 1);
	backlog_put_reading(&backlog, &readings[0]);
	put(2, MAX + 1);
	assert_ptr_equal(backlog_take_reading(&backlog), &readings[0]);
}

static void
a_reading_can_be_withdrawn_while_it_waits(void **state)
{
	(void)state;
	put(1, 1);
	backlog_put_reading(&backlog, &readings[0]);
	backlog_put_reading(&backlog, &readings[1]);
	put(2, 2);
	assert_true(backlog_withdraw(&backlog, &readings[0]));
	assert_false(backlog_withdraw(&backlog, &readings[0]));
	assert_ptr_equal(backlog_drop_reading(&backlog), &readings[1]);
	assert_false(backlog_withdraw(&backlog, &readings[1]));
	assert_null(backlog_drop_reading(&backlog));
	assert_true(all_is("1 2 "));
}

#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		fresh(records_are_taken_oldest_first),
		fresh(what_is_given_back_is_in_front_again),
		fresh(a_database_that_is_well_may_be_behind),
		fresh(while_it_fails_the_oldest_are_lost),
		fresh(what_is_too_many_is_lost_when_it_begins_to_fail),
		fresh(the_bound_may_be_changed),
		fresh(a_disk_that_takes_nothing_is_failing),
		fresh(an_hour_without_records_is_no_failure),
		fresh(what_was_taken_counts_but_cannot_be_lost),
		fresh(a_row_is_copied),
		fresh(a_session_that_still_waits_is_amended),
		fresh(one_that_was_taken_is_a_record_of_its_own),
		fresh(one_that_was_lost_is_put_anew),
		fresh(one_that_is_lost_at_once_is_not_looked_at),
		fresh(each_session_has_a_ticket_of_its_own),
		fresh(an_event_is_copied),
		fresh(events_are_taken_in_order_with_the_others),
		fresh(of_a_channel_no_more_wait_than_are_kept),
		fresh(what_is_given_back_is_too_many_with_what_came_meanwhile),
		fresh(a_lost_event_is_told_by_the_next_of_its_channel),
		fresh(
		    one_that_is_lost_while_others_are_written_is_told_behind_them),
		fresh(events_that_wait_have_a_bound_of_bytes),
		fresh(the_last_of_each_channel_in_a_batch_is_known),
		fresh(a_reading_is_between_what_was_put_before_and_after_it),
		fresh(a_reading_does_not_wait_for_what_is_lost),
		fresh(a_reading_can_be_withdrawn_while_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
