#include "config.h"

#include "database.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ps_schema.h"

#define NOBODY 65534

static char error[PS_DB_ERROR_MAX];

/* PS_OK, or a failure with a sentence that names no path. */
static int
prepare_at(const char *path)
{
	int ret;

	*error = '\0';
	ret = ps_schema_prepare(path, error);
	if (ret != PS_OK) {
		assert_true(*error != '\0');
		assert_null(strstr(error, "polysocket.db"));
	}
	return ret;
}

static int
prepare(void)
{
	return prepare_at(database_path);
}

static void
assert_failure(int ret, int expected, const char *sentence)
{
	assert_int_equal(ret, expected);
	if (strstr(error, sentence) == NULL)
		fail_msg("'%s' is not '%s'", error, sentence);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static bool
exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Nothing may have the database open. */
static void
write_file(const char *path, const void *data, size_t len)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(data, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

static size_t
read_file(const char *path, char *data, size_t size)
{
	FILE *in = fopen(path, "r");
	size_t len;

	assert_non_null(in);
	len = fread(data, 1, size, in);
	assert_int_equal(fclose(in), 0);
	return len;
}

/* Fails like that, and leaves the file as it was. */
static void
assert_left_alone(int ret, const char *sentence)
{
	static char before[1 << 20], after[1 << 20];
	size_t len = read_file(database_path, before, sizeof(before));

	assert_true(len < sizeof(before));
	assert_failure(prepare(), ret, sentence);
	assert_int_equal(read_file(database_path, after, sizeof(after)), len);
	assert_memory_equal(before, after, len);
}

/* All that makes up the schema, as one text. */
static const char *
schema(void)
{
	return admin_text("SELECT hex(sha3(group_concat(type || name || "
			  "tbl_name || coalesce(sql, ''), ';'), 256)) FROM "
			  "(SELECT * FROM sqlite_schema ORDER BY type, name)");
}

/* --- made --- */

static void
a_database_is_made_where_there_is_none(void **state)
{
	mode_t mask = umask(0);

	(void)state;
	assert_int_equal(prepare(), PS_OK);
	umask(mask);
	assert_int_equal(mode_of(database_path), 0640);
	assert_int_equal(ps_db_check(database_path, error), PS_OK);
	assert_string_equal(admin_text("PRAGMA journal_mode"), "wal");
	assert_int_equal(admin_number("PRAGMA user_version"), PS_DB_VERSION);
	assert_int_equal(admin_number("PRAGMA application_id"),
	    PS_DB_APPLICATION_ID);
	assert_int_equal(admin_number("SELECT count(*) FROM tokens"), 0);
	assert_true(admin_number("SELECT revision FROM policy") > 0);
}

static void
an_empty_file_becomes_a_database(void **state)
{
	(void)state;
	write_file(database_path, "", 0);
	assert_int_equal(chmod(database_path, 0600), 0);
	assert_int_equal(prepare(), PS_OK);
	assert_int_equal(mode_of(database_path), 0600);
	assert_int_equal(ps_db_check(database_path, error), PS_OK);
}

static void
a_good_database_stays_as_it_is(void **state)
{
	int64_t revision;
	int i;

	(void)state;
	assert_int_equal(prepare(), PS_OK);
	admin_run("INSERT INTO tokens (name, secret) VALUES ('a', 's')");
	revision = admin_number("SELECT revision FROM policy");
	for (i = 0; i < 3; i++)
		assert_int_equal(prepare(), PS_OK);
	assert_int_equal(admin_number("SELECT revision FROM policy"),
	    revision);
	assert_string_equal(admin_text("SELECT name FROM tokens"), "a");
}

static void
the_first_version_is_upgraded(void **state)
{
	char made[4096];

	(void)state;
	assert_int_equal(prepare(), PS_OK);
	snprintf(made, sizeof(made), "%s", schema());
	assert_int_equal(unlink(database_path), 0);
	write_file(database_path, "", 0);
	admin_run("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;"
		  "PRAGMA application_id = 0x506f6c79;"
		  "PRAGMA user_version = 1; COMMIT");
	assert_int_equal(ps_db_check(database_path, error), PS_ERR_VERSION);
	assert_int_equal(prepare(), PS_OK);
	assert_int_equal(ps_db_check(database_path, error), PS_OK);
	assert_string_equal(schema(), made);
	assert_int_equal(prepare(), PS_OK);
}

/* Two programs that start at once, each of which makes it. */
static void
a_database_is_made_once_however_many_make_it(void **state)
{
	enum { PROGRAMS = 4, ROUNDS = 10 };
	pid_t pids[PROGRAMS];
	int round, i, status;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < PROGRAMS; i++) {
			pids[i] = fork();
			assert_true(pids[i] >= 0);
			if (pids[i] == 0) {
				status = ps_schema_prepare(database_path,
				    error);
				if (status != PS_OK)
					fprintf(stderr, "# %s\n", error);
				_exit(status == PS_OK ? 0 : 1);
			}
		}
		for (i = 0; i < PROGRAMS; i++) {
			assert_int_equal(waitpid(pids[i], &status, 0),
			    pids[i]);
			assert_row(round, status == 0);
		}
		assert_int_equal(admin_number("SELECT count(*) FROM policy"),
		    1);
		assert_int_equal(unlink(database_path), 0);
	}
}

/* --- refused --- */

static void
a_later_version_is_left_alone(void **state)
{
	(void)state;
	assert_int_equal(prepare(), PS_OK);
	admin_run("PRAGMA user_version = %d", PS_DB_VERSION + 1);
	assert_left_alone(PS_ERR_VERSION, "has version 5, of a later "
					  "polysocket");
}

static void
the_database_of_another_program_is_left_alone(void **state)
{
	static const char *const others[] = {
		"CREATE TABLE t (a)",
		"PRAGMA application_id = 1; CREATE TABLE t (a)",
		"PRAGMA application_id = 1",
		"PRAGMA user_version = 1",
		"PRAGMA user_version = 2; CREATE TABLE tokens (id)",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(others); i++) {
		write_file(database_path, "", 0);
		admin_run("%s", others[i]);
		assert_left_alone(PS_ERR_MALFORMED,
		    "is no polysocket database");
		assert_int_equal(unlink(database_path), 0);
	}
}

static void
what_is_no_database_is_left_alone(void **state)
{
	static const char text[] = "worker_users = www-data\n";
	static char lines[8192];
	size_t i;

	(void)state;
	write_file(database_path, text, strlen(text));
	assert_left_alone(PS_ERR_IO, "file is not a database");
	for (i = 0; i + sizeof(text) < sizeof(lines); i += strlen(text))
		strcpy(lines + i, text);
	write_file(database_path, lines, i);
	assert_left_alone(PS_ERR_IO, "file is not a database");
}

/* Overwrites what is in the file from `at` on, but for its first page. */
static void
damage(long at, size_t len)
{
	FILE *file = fopen(database_path, "r+");

	assert_non_null(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	while (len-- > 0)
		fputc(0xa5, file);
	assert_int_equal(fclose(file), 0);
}

static void
make_many_tokens(void)
{
	assert_int_equal(prepare(), PS_OK);
	admin_run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 "
		  "FROM n WHERE i < 1000) INSERT INTO tokens (name, "
		  "secret_hash, note) SELECT 'n' || i, randomblob(32), "
		  "hex(randomblob(100)) FROM n");
}

static void
a_damaged_page_is_found_at_the_start(void **state)
{
	(void)state;
	make_many_tokens();
	damage(100L * 4096, 4096);
	assert_left_alone(PS_ERR_MALFORMED, "is damaged");
}

static void
a_file_cut_short_is_found_at_the_start(void **state)
{
	(void)state;
	make_many_tokens();
	assert_int_equal(truncate(database_path, 20L * 4096), 0);
	assert_left_alone(PS_ERR_IO, "database disk image is malformed");
}

static void
a_damaged_schema_is_found_at_the_start(void **state)
{
	(void)state;
	make_many_tokens();
	damage(100, 3996); /* behind the header */
	assert_int_not_equal(prepare(), PS_OK);
}

static void
a_folder_that_is_not_there_is_not_made(void **state)
{
	(void)state;
	assert_int_equal(prepare_at(database_beside("nowhere/polysocket.db")),
	    PS_ERR_IO);
	assert_non_null(strstr(error, "cannot be made (No such file"));
	assert_false(exists(database_beside("nowhere")));
}

static void
a_folder_is_no_database(void **state)
{
	(void)state;
	assert_int_equal(mkdir(database_path, 0700), 0);
	assert_failure(prepare(), PS_ERR_IO, "cannot be opened");
}

static void
a_link_to_nothing_is_no_database(void **state)
{
	(void)state;
	assert_int_equal(symlink("nothing", database_path), 0);
	assert_failure(prepare(), PS_ERR_IO, "cannot be opened");
	assert_false(exists(database_beside("nothing")));
}

/* A file that could not be filled is not left for the next start to find. */
static void
what_cannot_be_made_leaves_no_file(void **state)
{
	const struct rlimit little = { 4096, RLIM_INFINITY };
	struct rlimit before;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_failure(prepare(), PS_ERR_IO, "cannot be made");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(exists(database_path));
	assert_int_equal(prepare(), PS_OK);
}

/* --- without permission --- */

/* Root may everything, so root becomes somebody else for a while. */
static int
prepare_without_rights(void)
{
	int ret;

	if (geteuid() == 0)
		assert_int_equal(seteuid(NOBODY), 0);
	ret = prepare();
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	return ret;
}

static void
without_rights_a_database_is_not_usable(void **state)
{
	static const struct {
		mode_t file, folder;
		const char *sentence;
	} rows[] = {
		{ 0444, 0755, "(attempt to write a readonly" },
		{ 0444, 0777, "(attempt to write a readonly" },
		{ 0666, 0555, "(attempt to write a readonly" },
		{ 0000, 0777, "cannot be opened (unable to open" },
	};
	char folder[256];
	size_t i;

	(void)state;
	snprintf(folder, sizeof(folder), "%s", database_beside("."));
	assert_int_equal(prepare(), PS_OK);
	for (i = 0; i < ROWS(rows); i++) {
		assert_int_equal(chmod(database_path, rows[i].file), 0);
		assert_int_equal(chmod(folder, rows[i].folder), 0);
		assert_failure(prepare_without_rights(), PS_ERR_IO,
		    rows[i].sentence);
		unlink(database_beside("polysocket.db-wal"));
		unlink(database_beside("polysocket.db-shm"));
	}
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_equal(chmod(database_path, 0600), 0);
	assert_int_equal(prepare(), PS_OK);
}

static void
without_rights_a_database_is_not_made(void **state)
{
	const char *folder = database_beside(".");

	(void)state;
	assert_int_equal(chmod(folder, 0555), 0);
	assert_failure(prepare_without_rights(), PS_ERR_IO,
	    "cannot be made (Permission denied)");
	assert_false(exists(database_path));
}

#define in_folder(test) \
	cmocka_unit_test_setup_teardown(test, database_setup_folder, \
	    database_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		in_folder(a_database_is_made_where_there_is_none),
		in_folder(an_empty_file_becomes_a_database),
		in_folder(a_good_database_stays_as_it_is),
		in_folder(the_first_version_is_upgraded),
		in_folder(a_database_is_made_once_however_many_make_it),
		in_folder(a_later_version_is_left_alone),
		in_folder(the_database_of_another_program_is_left_alone),
		in_folder(what_is_no_database_is_left_alone),
		in_folder(a_damaged_page_is_found_at_the_start),
		in_folder(a_file_cut_short_is_found_at_the_start),
		in_folder(a_damaged_schema_is_found_at_the_start),
		in_folder(a_folder_that_is_not_there_is_not_made),
		in_folder(a_folder_is_no_database),
		in_folder(a_link_to_nothing_is_no_database),
		in_folder(what_cannot_be_made_leaves_no_file),
		in_folder(without_rights_a_database_is_not_usable),
		in_folder(without_rights_a_database_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
