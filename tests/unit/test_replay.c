/*
 * What a member that comes back is given: all that it has missed and all that
 * comes, each once and in order, whenever the history answers.
 */
#include "config.h"

#include "channel_fixture.h"

#include <stdlib.h>

#define GAP \
	"ERROR {\"message\":\"Events that came after this one are not kept " \
	"any more\",\"code\":\"HISTORY_GAP\"};"

/* One member, who was there when events 1 to `newest` were sent. */
static void
begin(unsigned newest)
{
	unsigned i;

	listener_join(a, "room");
	for (i = 1; i <= newest; i++) {
		channel_emit("room", i);
		channel_settle();
	}
	listener_got(a);
}

static void
come_back(struct listener *l, const char *since)
{
	listener_create(l, "room", since);
	listener_attach(l);
	assert_true(strncmp(listener_got(l), "CONNECTED ", 10) == 0);
}

/* From `first` to `last`, those before `live` replayed. */
static const char *
numbers(unsigned first, unsigned live, unsigned last)
{
	static char text[4096];
	size_t len = 0;

	text[0] = '\0';
	for (; first <= last; first++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "DATA %u%s;", first, first < live ? "*" : "");
	return text;
}

static void
what_was_missed_is_replayed(void **state)
{
	(void)state;
	begin(5);
	come_back(b, "evt_00000002");
	history_answer();
	assert_string_equal(listener_got(b), numbers(3, 6, 5));
	channel_emit("room", 6);
	channel_settle();
	assert_string_equal(listener_got(b), "DATA 6;");
	assert_int_equal(history.n_reads, 1);
}

static void
one_who_missed_nothing_hears_nothing(void **state)
{
	(void)state;
	begin(5);
	come_back(b, "evt_00000005");
	history_answer();
	assert_string_equal(listener_got(b), "");
}

static void
what_is_not_kept_is_told_first(void **state)
{
	(void)state;
	begin(5);
	history.oldest = 4;
	come_back(b, "evt_00000002");
	history_answer();
	assert_string_equal(listener_got(b), GAP "DATA 4*;DATA 5*;");
	channel_emit("room", 6);
	channel_settle();
	assert_string_equal(listener_got(b), "DATA 6;");
}

static void
what_cannot_be_read_is_missing(void **state)
{
	(void)state;
	begin(5);
	come_back(b, "evt_00000002");
	channel_emit("room", 6);
	history_fail();
	assert_string_equal(listener_got(b), GAP "DATA 6;");
}

static void
without_memory_for_a_read_all_is_missing(void **state)
{
	(void)state;
	begin(5);
	history.is_full = true;
	listener_create(b, "room", "evt_00000002");
	listener_attach(b);
	assert_non_null(strstr(listener_got(b), "};" GAP));
	channel_emit("room", 6);
	channel_settle();
	assert_string_equal(listener_got(b), "DATA 6;");
}

/* The numbers in what it got, which are next each; the last one. */
static unsigned
check_order(const char *got, unsigned next)
{
	const char *at = got;
	unsigned number;

	while ((at = strstr(at, "DATA ")) != NULL) {
		number = (unsigned)strtoul(at + 5, NULL, 10);
		if (number != next)
			fail_msg("%u is not %u: %s", number, next, got);
		next++;
		at++;
	}
	return next;
}

static void
emit_some(unsigned *sent, unsigned count, bool in_turns)
{
	while (count-- > 0) {
		channel_emit("room", ++*sent);
		if (in_turns)
			channel_settle();
	}
}

/* `during` events come while each of the first answers is on its way. */
static void
try(unsigned before, unsigned during, unsigned page, bool in_turns)
{
	unsigned sent = before, next = 2, answers;

	begin(before);
	history.page = page;
	come_back(b, "evt_00000001");
	for (answers = 0; history.n_waiting > 0; answers++) {
		assert_true(answers < 100);
		emit_some(&sent, answers < 3 ? during : 0, in_turns);
		channel_settle();
		history_answer();
		next = check_order(listener_got(b), next);
	}
	emit_some(&sent, 1, false);
	channel_settle();
	next = check_order(listener_got(b), next);
	assert_int_equal(next, sent + 1);
	assert_int_equal(check_order(listener_got(a), before + 1), sent + 1);
	session_end(a->session, "test");
	session_end(b->session, "test");
	channel_settle();
	history.newest = 0;
}

static void
nothing_is_missed_and_nothing_comes_twice(void **state)
{
	unsigned before, during, page;

	(void)state;
	for (before = 1; before <= 4; before++) {
		for (during = 0; during <= 7; during++) {
			for (page = 1; page <= 4; page++) {
				try(before, during, page, false);
				try(before, during, page, true);
			}
		}
	}
}

/* Far more than may be held for one member comes while it waits. */
static void
what_is_too_much_to_hold_is_read_again(void **state)
{
	struct channel *room;
	unsigned sent = 3;

	(void)state;
	begin(3);
	room = channel_find(&bridge, ps_slice_str("room"));
	come_back(b, "evt_00000001");
	emit_some(&sent, 50, true);
	assert_true(room->log.end - room->log.begin <= 4);
	assert_false(channel_is_busy(room));
	assert_int_equal(check_order(listener_got(a), 4), 54);
	history_answer();
	assert_string_equal(listener_got(b), numbers(2, 4, 3));
	assert_int_equal(history.n_waiting, 1);
	history_answer();
	assert_string_equal(listener_got(b), numbers(4, 54, 53));
	assert_int_equal(history.n_waiting, 0);
	emit_some(&sent, 1, true);
	assert_string_equal(listener_got(b), "DATA 54;");
}

static void
presence_is_not_missed_meanwhile(void **state)
{
	unsigned sent = 3;

	(void)state;
	begin(3);
	come_back(b, "evt_00000001");
	emit_some(&sent, 1, true);
	assert_int_equal(listener_say(a,
			     "{\"type\":\"PRESENCE\",\"payload\":{}}"),
	    PS_OK);
	emit_some(&sent, 20, true);
	assert_string_equal(listener_got(b),
	    "PRESENCE:UPDATED {\"clientID\":\"#0\",\"presence\":{}};");
	history_answer();
	history_answer();
	assert_string_equal(listener_got(b), numbers(2, 25, 24));
}

/* A page is read when its client has taken what was in the one before. */
static void
one_who_takes_slowly_is_given_no_more_than_it_takes(void **state)
{
	unsigned next = 2, i;

	(void)state;
	begin(40);
	history.page = 10;
	listener_create(b, "room", "evt_00000001");
	assert_true(fixture_attach(b->session, &b->receiver, UINT32_MAX));
	assert_int_equal(history.n_waiting, 1);
	history_answer();
	channel_settle();
	for (i = 0; i < 10 && history.n_waiting == 0; i++) {
		assert_true(b->session->queue.count <= 8 + 10);
		fixture_take(b->session, &b->receiver);
		session_confirm(b->session);
		channel_settle();
		if (history.n_waiting > 0)
			history_answer();
	}
	fixture_take(b->session, &b->receiver);
	session_confirm(b->session);
	channel_settle();
	next = check_order(listener_got(b), next);
	assert_int_equal(next, 41);
}

static void
one_who_takes_nothing_is_too_slow(void **state)
{
	unsigned sent = 40;

	(void)state;
	begin(40);
	listener_create(b, "room", "evt_00000001");
	assert_true(fixture_attach(b->session, &b->receiver, UINT32_MAX));
	history_answer();
	emit_some(&sent, 20, true);
	assert_int_equal(b->session->state, SESSION_CLOSING);
	assert_int_equal(b->session->close->code, 1013);
	assert_int_equal(check_order(listener_got(a), 41), 61);
}

/* Nobody has to emit for that. */
static void
one_who_takes_nothing_for_long_is_too_slow(void **state)
{
	(void)state;
	begin(40);
	fixture_set("stall_timeout=1s");
	listener_create(b, "room", "evt_00000001");
	assert_true(fixture_attach(b->session, &b->receiver, UINT32_MAX));
	history_answer();
	assert_true(b->session->paused);
	fixture_advance(1000);
	assert_int_equal(b->session->state, SESSION_CLOSING);
	assert_int_equal(b->session->close->code, 1013);
	fixture_take(b->session, &b->receiver);
	assert_non_null(strstr(listener_got(b), "SLOW_CLIENT"));
}

static void
one_who_leaves_is_given_nothing(void **state)
{
	(void)state;
	begin(5);
	come_back(b, "evt_00000001");
	session_end(b->session, "test");
	assert_int_equal(history.n_waiting, 0);
	channel_settle();
	assert_string_equal(listener_got(b), "");
}

static void
its_client_is_known_to_have_what_it_asked_from(void **state)
{
	(void)state;
	begin(5);
	come_back(b, "evt_00000002");
	assert_string_equal(b->session->recipient->event, "evt_00000002");
	history_answer();
	assert_string_equal(b->session->recipient->event, "evt_00000005");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, channel_setup, channel_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_missed_is_replayed),
		TEST(one_who_missed_nothing_hears_nothing),
		TEST(what_is_not_kept_is_told_first),
		TEST(what_cannot_be_read_is_missing),
		TEST(without_memory_for_a_read_all_is_missing),
		TEST(nothing_is_missed_and_nothing_comes_twice),
		TEST(what_is_too_much_to_hold_is_read_again),
		TEST(presence_is_not_missed_meanwhile),
		TEST(one_who_takes_slowly_is_given_no_more_than_it_takes),
		TEST(one_who_takes_nothing_is_too_slow),
		TEST(one_who_takes_nothing_for_long_is_too_slow),
		TEST(one_who_leaves_is_given_nothing),
		TEST(its_client_is_known_to_have_what_it_asked_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
