/* Records that wait: their order, their bound, sessions, and readings. */
#include "config.h"

#include "backlog_fixture.h"

/* As in backlog.c: a disk that takes nothing for so long is failing. */
#define STUCK_MS 10000

static struct ps_session_row
session_row(const char *id)
{
	return (struct ps_session_row){ .kind = PS_SESSION_RELAY,
		.token_id = 7, .id = id, .node = "a", .subject = "ws://t",
		.origin = "http://o", .remote_addr = "192.0.2.1",
		.agent = "me", .opened_at_s = 100 };
}

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
	put(1, BACKLOG_MAX);
	assert_int_equal(lost(), 0);
	put(11, 11);
	assert_int_equal(lost(), 1);
	put(12, 14);
	assert_int_equal(waiting(), BACKLOG_MAX);
	assert_int_equal(lost(), 4);
	assert_true(all_is("5 6 7 8 9 10 11 12 13 14 "));
	assert_int_equal(backlog_status(&backlog).written, BACKLOG_MAX);
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
	backlog_set_max(&backlog, BACKLOG_MAX);
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
	assert_int_equal(waiting(), BACKLOG_MAX);
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
	put(1, BACKLOG_MAX);
	backlog_take(&backlog, 6, &batch);
	put(11, 20);
	assert_int_equal(waiting(), BACKLOG_MAX);
	assert_int_equal(lost(), 10);
	assert_true(batch_is(&batch, "1 2 3 4 5 6 "));
	backlog_put_back(&backlog, &batch);
	assert_true(all_is("1 2 3 4 5 6 17 18 19 20 "));
	put(1, BACKLOG_MAX);
	backlog_take(&backlog, BACKLOG_MAX, &batch);
	put(11, 13); /* no room at all */
	assert_int_equal(waiting(), BACKLOG_MAX);
	backlog_set_max(&backlog, 3);
	backlog_put_back(&backlog, &batch);
	assert_true(all_is("8 9 10 "));
}

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
	put(1, BACKLOG_MAX);
	assert_int_equal(lost(), 1);
	put_session(&row);
	assert_int_equal(lost(), 2);
	assert_int_equal(waiting(), BACKLOG_MAX);
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
	put(2, BACKLOG_MAX + 1);
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

#define fresh(test) \
	cmocka_unit_test_setup_teardown(test, backlog_setup, backlog_teardown)

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
		fresh(a_reading_is_between_what_was_put_before_and_after_it),
		fresh(a_reading_does_not_wait_for_what_is_lost),
		fresh(a_reading_can_be_withdrawn_while_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
