#include "config.h"

#include "unit.h"

#include <errno.h>

#include "ps_log.h"

/* Standard error as a file, for the duration of a test. */
struct capture {
	int saved;
	FILE *file;
	char text[8192];
};

static struct capture capture;

static int
start(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	capture.file = tmpfile();
	capture.saved = dup(STDERR_FILENO);
	return capture.file == NULL ||
	    dup2(fileno(capture.file), STDERR_FILENO) < 0;
}

static int
stop(void **state)
{
	(void)state;
	dup2(capture.saved, STDERR_FILENO);
	close(capture.saved);
	fclose(capture.file);
	return 0;
}

/* What was logged since the last call. */
static char *
logged(void)
{
	size_t len;

	rewind(capture.file);
	len = fread(capture.text, 1, sizeof(capture.text) - 1, capture.file);
	capture.text[len] = '\0';
	rewind(capture.file);
	assert_int_equal(ftruncate(fileno(capture.file), 0), 0);
	assert_int_equal(lseek(fileno(capture.file), 0, SEEK_SET), 0);
	return capture.text;
}

static void
a_line_has_time_name_process_and_level(void **state)
{
	char rest[64], expected[64];
	int date[6], ms;

	(void)state;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_DEBUG);
	ps_warning("part %d: what happened (cause)", 7);
	assert_int_equal(sscanf(logged(),
			     "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %63[^\n]",
			     &date[0], &date[1], &date[2], &date[3], &date[4],
			     &date[5], &ms, rest),
	    8);
	snprintf(expected, sizeof(expected),
	    "unit[%d] warning: part 7: what happened (cause)", (int)getpid());
	assert_string_equal(rest, expected);
	assert_int_equal(capture.text[strlen(capture.text) - 1], '\n');
}

static void
the_journal_gets_no_second_time(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "8:9", 1);
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_INFO);
	ps_info("hello");
	assert_int_equal(strncmp(logged(), "unit[", 5), 0);
}

static void
only_the_level_and_what_is_worse_is_logged(void **state)
{
	int level;

	(void)state;
	for (level = PS_LOG_ERROR; level <= PS_LOG_DEBUG; level++) {
		char *text;

		ps_log_open("unit", PS_LOG_STDERR, (enum ps_log_level)level);
		ps_error("one");
		ps_warning("two");
		ps_info("three");
		ps_debug("four");
		text = logged();
		assert_non_null(strstr(text, " error: one"));
		assert_row(level, (strstr(text, " warning: two") != NULL) ==
			(level >= PS_LOG_WARNING));
		assert_row(level, (strstr(text, " info: three") != NULL) ==
			(level >= PS_LOG_INFO));
		assert_row(level, (strstr(text, " debug: four") != NULL) ==
			(level >= PS_LOG_DEBUG));
		assert_row(level, (ps_log_is_debug() != 0) ==
			(level >= PS_LOG_DEBUG));
	}
}

static void
control_characters_are_escaped(void **state)
{
	char *text, *end;

	(void)state;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_INFO);
	ps_info("peer said %s",
	    "a\nb\r\x1b[31m\t\x7f\x01 \xc3\xa4 \xc2\xa0 \xc2\x9bx \\x "
	    "\xe2\x80\xaex \xe2\x80\xa6 \xe2");
	text = logged();
	assert_non_null(strstr(text,
	    "said a\\x0ab\\x0d\\x1b[31m\\x09\\x7f\\x01 \xc3\xa4 \xc2\xa0 "
	    "\\xc2\\x9bx \\x \\xe2\\x80\\xaex \xe2\x80\xa6 \xe2\n"));
	end = strchr(text, '\n');
	assert_int_equal(end[1], '\0');
}

static void
a_long_text_is_cut_and_stays_one_line(void **state)
{
	static char noise[5000];
	char *text;

	(void)state;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_INFO);
	memset(noise, 'x', sizeof(noise) - 1);
	ps_info("%s", noise);
	text = logged();
	assert_true(strlen(text) > 900 && strlen(text) < 2000);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	memset(noise, '\n', sizeof(noise) - 1);
	ps_info("%s", noise);
	text = logged();
	assert_true(strlen(text) > 900 && strlen(text) < 2000);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void
errno_survives_a_line(void **state)
{
	(void)state;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_INFO);
	errno = ENOTDIR;
	ps_info("hello");
	assert_int_equal(errno, ENOTDIR);
}

#define captured(test) cmocka_unit_test_setup_teardown(test, start, stop)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		captured(a_line_has_time_name_process_and_level),
		captured(the_journal_gets_no_second_time),
		captured(only_the_level_and_what_is_worse_is_logged),
		captured(control_characters_are_escaped),
		captured(a_long_text_is_cut_and_stays_one_line),
		captured(errno_survives_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
