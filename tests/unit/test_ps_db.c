#include "config.h"

#include "database.h"

#include <signal.h>
#include <sys/resource.h>

#include "ps_clock.h"
#include "ps_log.h"
#include "ps_schema.h"

#define NOON_S 1591012800 /* 2020-06-01 12:00:00 UTC */
#define DAY (NOON_S / 86400)

static struct ps_db *db; /* writes */
static char error[PS_DB_ERROR_MAX];

static int
setup(void **state)
{
	if (database_setup(state) != 0)
		return -1;
	ps_log_open("unit", PS_LOG_STDERR, PS_LOG_ERROR);
	return ps_db_open(&db, database_path, PS_DB_WRITE, error);
}

static int
teardown(void **state)
{
	ps_db_close(db);
	db = NULL;
	return database_teardown(state);
}

/* Opening fails with that, and with a sentence that names no path. */
static void
assert_open_fails(int ret, const char *sentence)
{
	static const enum ps_db_mode modes[] = { PS_DB_READ, PS_DB_WRITE };
	struct ps_db *other;
	size_t i;

	for (i = 0; i < ROWS(modes); i++) {
		*error = '\0';
		other = NULL;
		assert_int_equal(ps_db_open(&other, database_path, modes[i],
				     error),
		    ret);
		assert_null(other);
		if (strstr(error, sentence) == NULL)
			fail_msg("'%s' is not '%s'", error, sentence);
		assert_null(strstr(error, "polysocket.db"));
	}
}

/* --- opening --- */

static const struct {
	const char *sql;
	int ret;
	const char *sentence;
} identities[] = {
	{ "PRAGMA user_version = 4", PS_OK, "" },
	{ "PRAGMA user_version = 3", PS_ERR_VERSION,
	    "has version 3, version 4 is needed; wsbridge --init-db" },
	{ "PRAGMA user_version = 0", PS_ERR_VERSION, "has version 0" },
	{ "PRAGMA user_version = 5", PS_ERR_VERSION,
	    "has version 5, of a later polysocket" },
	{ "PRAGMA application_id = 1", PS_ERR_MALFORMED,
	    "is no polysocket database" },
	{ "PRAGMA application_id = 0", PS_ERR_MALFORMED,
	    "is no polysocket database" },
};

static void
another_program_or_version_is_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(identities); i++) {
		admin_run("PRAGMA application_id = %d; PRAGMA user_version = "
			  "%d; %s",
		    PS_DB_APPLICATION_ID, PS_DB_VERSION, identities[i].sql);
		*error = '\0';
		assert_row(i, ps_db_check(database_path, error) ==
			identities[i].ret);
		assert_row(i, strstr(error, identities[i].sentence) != NULL);
		if (identities[i].ret != PS_OK)
			assert_open_fails(identities[i].ret,
			    identities[i].sentence);
	}
}

static void
write_file(const char *text, size_t times)
{
	FILE *out = fopen(database_path, "w");

	assert_non_null(out);
	while (times-- > 0)
		fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static void
what_is_no_database_is_an_error(void **state)
{
	(void)state;
	write_file("no database\n", 1000);
	assert_int_equal(ps_db_check(database_path, error), PS_ERR_IO);
	assert_non_null(strstr(error, "cannot be read (file is not a data"));
	assert_open_fails(PS_ERR_IO, "cannot be read (file is not a data");
	write_file("", 0);
	assert_open_fails(PS_ERR_MALFORMED, "is no polysocket database");
}

static void
looking_makes_no_database(void **state)
{
	(void)state;
	assert_int_equal(ps_db_check(database_path, error), PS_ERR_IO);
	assert_non_null(strstr(error, "is not there; wsbridge makes it"));
	assert_open_fails(PS_ERR_IO, "is not there");
	assert_int_equal(access(database_path, F_OK), -1);
	ps_db_close(NULL);
	ps_db_close_replaced(NULL);
}

/* So that it is found at the start and not by the first session. */
static void
tables_that_are_not_as_they_should_be_are_refused(void **state)
{
	(void)state;
	admin_run("ALTER TABLE tokens RENAME COLUMN note TO remark");
	assert_int_equal(ps_db_check(database_path, error), PS_OK);
	ps_db_close(db);
	assert_int_equal(ps_db_open(&db, database_path, PS_DB_WRITE, error),
	    PS_OK); /* nobody reads it */
	admin_run("ALTER TABLE tokens RENAME COLUMN admin TO root");
	assert_open_fails(PS_ERR_MALFORMED,
	    "cannot be used (no such column: admin)");
	admin_run("DROP TABLE token_targets");
	assert_open_fails(PS_ERR_MALFORMED, "cannot be used");
}

static void
a_copy_without_a_log_gets_one_again(void **state)
{
	(void)state;
	ps_db_close(db);
	db = NULL;
	admin_run("PRAGMA journal_mode = DELETE");
	assert_int_equal(ps_db_open(&db, database_path, PS_DB_WRITE, error),
	    PS_OK);
	assert_string_equal(admin_text("PRAGMA journal_mode"), "wal");
}

/* --- the policy --- */

/* Without the triggers that keep nonsense away. */
static void
drop_triggers(void)
{
	char drops[4096];

	snprintf(drops, sizeof(drops), "%s",
	    admin_text("SELECT group_concat('DROP TRIGGER ' || name, ';') "
		       "FROM sqlite_schema WHERE type = 'trigger'"));
	admin_run("%s", drops);
}

static struct ps_policy *
load(void)
{
	struct ps_policy *policy = NULL;

	assert_int_equal(ps_db_load_policy(db, &policy), PS_OK);
	return policy;
}

static int64_t
find(struct ps_policy *policy, const char *secret)
{
	const struct ps_token *token =
	    ps_policy_find(policy, ps_slice_str(secret), NOON_S);

	return token == NULL ? 0 : token->id;
}

/* The id that it finds in a policy that is read for it. */
static int64_t
load_and_find(const char *secret)
{
	struct ps_policy *policy = load();
	int64_t id = find(policy, secret);

	ps_policy_unref(policy);
	return id;
}

static void
a_new_database_has_no_tokens(void **state)
{
	struct ps_policy *policy = load();

	(void)state;
	assert_null(ps_policy_find_id(policy, 1));
	assert_int_equal(find(policy, ""), 0);
	assert_int_equal(ps_policy_revision(policy),
	    admin_number("SELECT revision FROM policy"));
	ps_policy_unref(policy);
}

static void
every_column_of_a_token_is_read(void **state)
{
	const struct ps_token *token;
	struct ps_policy *policy;
	size_t i;

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (3, 'plain', "
		  "'s')");
	admin_run("INSERT INTO tokens (id, name, secret, enabled, admin, "
		  "allow_no_origin, expires_at, max_sockets, "
		  "max_creates_per_minute, max_messages_per_day, "
		  "max_bytes_per_day, max_message_bytes, max_queue_bytes) "
		  "VALUES (7, 'all \xc3\xa4', 'abc', 0, 1, 0, "
		  "'2020-06-01 12:00:00', 0, 1, 2, 3, 4, "
		  "9223372036854775807)");
	policy = load();
	token = ps_policy_find_id(policy, 3);
	assert_string_equal(token->name, "plain");
	assert_true(token->has_secret && token->enabled);
	assert_true(token->allow_no_origin && !token->admin);
	assert_true(token->expires_at_s == INT64_MAX);
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT; i++)
		assert_row(i, token->limits.value[i] == PS_NO_LIMIT);
	token = ps_policy_find_id(policy, 7);
	assert_string_equal(token->name, "all \xc3\xa4");
	assert_true(!token->enabled && !token->allow_no_origin);
	assert_true(token->admin && token->has_secret);
	assert_int_equal(token->expires_at_s, NOON_S);
	for (i = 0; i < PS_TOKEN_LIMIT__COUNT - 1; i++)
		assert_row(i, token->limits.value[i] == i);
	assert_true(token->limits.value[i] == INT64_MAX);
	ps_policy_unref(policy);
}

static void
what_applications_have_is_read(void **state)
{
	static const unsigned char key[24] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
		10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 255 };
	const struct ps_token *token;
	struct ps_policy *policy;

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', 'a')");
	admin_run("INSERT INTO tokens (id, name, secret, callback_key, "
		  "publish_auth, sockjs_websocket, sockjs_cookie) VALUES "
		  "(2, 'b', 'b', 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRb/', "
		  "1, 0, 1), (3, 'c', 'c', 'whsec_' || "
		  /* Of 64 bytes; of 65; and one whose last bits are not zero. */
		  "replace(printf('%%85c', 'A'), ' ', 'A') || 'A==', 0, 1, 0), "
		  "(4, 'd', 'd', 'whsec_' || "
		  "replace(printf('%%87c', 'A'), ' ', 'A') || '=', 0, 1, 0), "
		  "(5, 'e', 'e', 'whsec_' || "
		  "replace(printf('%%85c', 'A'), ' ', 'A') || 'B==', 0, 1, 0)");
	policy = load();
	token = ps_policy_find_id(policy, 1);
	assert_int_equal(token->callback_key_len, 24);
	assert_true(!token->publish_auth && token->sockjs_websocket);
	assert_false(token->sockjs_cookie);
	token = ps_policy_find_id(policy, 2);
	assert_int_equal(token->callback_key_len, sizeof(key));
	assert_memory_equal(token->callback_key, key, sizeof(key));
	assert_true(token->publish_auth && token->sockjs_cookie);
	assert_false(token->sockjs_websocket);
	token = ps_policy_find_id(policy, 3);
	assert_int_equal(token->callback_key_len, PS_CALLBACK_KEY_MAX);
	token = ps_policy_find_id(policy, 4);
	assert_int_equal(token->callback_key_len, 0);
	token = ps_policy_find_id(policy, 5);
	assert_int_equal(token->callback_key_len, 0);
	ps_policy_unref(policy);
}

static void
a_secret_is_found_by_its_sha3(void **state)
{
	static const struct {
		const char *secret, *hash;
	} rows[] = {
		{ "abc", "3a985da74fe225b2045c172d6bd390bd"
			 "855f086e3e9d525b46bfe24511431532" },
		{ "correct-horse", "0de6b9e429d9e4a70b753383460b0d90"
				   "dd4a9c342dd39a2442a3a904fcc6b4f8" },
		{ "!~", "df806b85eaeda272ec5a183c9d7c8a97"
			"0e136e75c877db7d77103c87775f53e9" },
		{ "12", "1a9a118cb653759c3fcb3bd5060e6f99"
			"10c8c27008dd11fe4315f4635c9caa98" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++)
		admin_run("INSERT INTO tokens (id, name, secret_hash) VALUES "
			  "(%d, 'n%d', x'%s')",
		    (int)i + 1, (int)i, rows[i].hash);
	for (i = 0; i < ROWS(rows); i++)
		assert_row(i,
		    load_and_find(rows[i].secret) == (int64_t)i + 1);
	assert_int_equal(load_and_find("ab"), 0);
	assert_int_equal(load_and_find(""), 0);
}

/* A trigger shows the function that connections of the programs have. */
static void
sha3_is_that_of_the_sqlite3_program(void **state)
{
	static const struct {
		const char *call, *hash;
	} rows[] = {
		{ "sha3('abc')", "3A985DA74FE225B2045C172D6BD390BD"
				 "855F086E3E9D525B46BFE24511431532" },
		{ "sha3('abc', 256)", "3A985DA74FE225B2045C172D6BD390BD"
				      "855F086E3E9D525B46BFE24511431532" },
		{ "sha3('', 256)", "A7FFC6F8BF1ED76651C14756A061D662"
				   "F580FF4DE43B49FA82D80A4B80F8434A" },
		{ "sha3(x'', 256)", "A7FFC6F8BF1ED76651C14756A061D662"
				    "F580FF4DE43B49FA82D80A4B80F8434A" },
		{ "sha3(12, 256)", "1A9A118CB653759C3FCB3BD5060E6F99"
				   "10C8C27008DD11FE4315F4635C9CAA98" },
		{ "sha3(1.5)", "331A267242613D2E77C52CBCFA51CF06"
			       "A40B3A8F37ED2916D99253ACEDFFF747" },
		{ "sha3(x'610062', 256)", "B476FD9CC202C304856E5B838839A737"
					  "FBAAA96A2F44808F8C28C8CFF135DB22" },
		{ "sha3(NULL, 256)", "" },
	};
	struct ps_usage usage = { .token_id = 1, .day = DAY };
	size_t i;

	(void)state;
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous');"
		  "CREATE TABLE seen (hash)");
	for (i = 0; i < ROWS(rows); i++) {
		admin_run("CREATE TRIGGER look AFTER INSERT ON token_usage "
			  "BEGIN DELETE FROM seen; INSERT INTO seen "
			  "VALUES (hex(%s)); END",
		    rows[i].call);
		assert_row(i, ps_db_add_usage(db, &usage) == PS_OK);
		assert_string_equal(admin_text("SELECT hash FROM seen"),
		    rows[i].hash);
		admin_run("DROP TRIGGER look; DELETE FROM token_usage");
	}
	admin_run("CREATE TRIGGER look AFTER INSERT ON token_usage BEGIN "
		  "INSERT INTO seen VALUES (sha3('abc', 512)); END");
	assert_int_equal(ps_db_add_usage(db, &usage), PS_ERR_IO);
	assert_string_equal(ps_db_error(db), "sha3 has 256 bits here");
}

static void
patterns_are_those_of_their_token(void **state)
{
	const struct ps_token *token;
	struct ps_policy *policy;

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a'), (2, 'b', 'b'), (3, 'c', 'c')");
	admin_run("INSERT INTO token_origins VALUES (1, 'https://a'), "
		  "(1, '*'), (3, 'null')");
	admin_run("INSERT INTO token_targets VALUES (1, 'ws://t'), "
		  "(3, 'wss://u'), (3, 'ws://v:*/x*')");
	admin_run("INSERT INTO token_callbacks VALUES (1, 'https://c/*')");
	policy = load();
	token = ps_policy_find_id(policy, 1);
	assert_int_equal(token->rights[PS_RIGHT_ORIGIN].count, 2);
	assert_int_equal(token->rights[PS_RIGHT_TARGET].count, 1);
	assert_true(ps_token_has_callbacks(token));
	token = ps_policy_find_id(policy, 2);
	assert_int_equal(token->rights[PS_RIGHT_ORIGIN].count, 0);
	assert_int_equal(token->rights[PS_RIGHT_TARGET].count, 0);
	assert_false(ps_token_has_callbacks(token));
	token = ps_policy_find_id(policy, 3);
	assert_int_equal(token->rights[PS_RIGHT_ORIGIN].count, 1);
	assert_int_equal(token->rights[PS_RIGHT_TARGET].count, 2);
	assert_true(ps_token_allows_origin(token, ps_slice_str("null")));
	assert_false(ps_token_allows_origin(token, ps_slice_str("https://a")));
	ps_policy_unref(policy);
}

static bool
may(struct ps_policy *policy, int64_t id, const char *channel,
    enum ps_channel_right right)
{
	return ps_token_allows_channel(ps_policy_find_id(policy, id),
				       ps_slice_str(channel), right);
}

static void
channels_are_granted_for_each_use(void **state)
{
	struct ps_policy *policy;

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a'), (2, 'b', 'b')");
	admin_run("INSERT INTO token_channels VALUES (1, 'both', 1, 1), "
		  "(1, 'up', 1, 0), (1, 'none', 0, 0), (2, 'both', 1, 0)");
	admin_run("INSERT INTO token_channels (token_id, pattern) VALUES "
		  "(1, 'down-*')");
	policy = load();
	assert_true(may(policy, 1, "both", PS_MAY_EMIT));
	assert_true(may(policy, 1, "both", PS_MAY_LISTEN));
	assert_true(may(policy, 1, "up", PS_MAY_EMIT));
	assert_false(may(policy, 1, "up", PS_MAY_LISTEN));
	assert_false(may(policy, 1, "none", PS_MAY_EMIT));
	assert_false(may(policy, 1, "none", PS_MAY_LISTEN));
	assert_false(may(policy, 1, "down-1", PS_MAY_EMIT));
	assert_true(may(policy, 1, "down-1", PS_MAY_LISTEN));
	assert_true(may(policy, 2, "both", PS_MAY_EMIT));
	assert_false(may(policy, 2, "both", PS_MAY_LISTEN));
	ps_policy_unref(policy);
}

static void
anonymous_has_no_secret_and_the_others_have_one(void **state)
{
	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a')");
	assert_int_equal(load_and_find(""), 0);
	admin_run("INSERT INTO tokens (id, name) VALUES (2, 'anonymous')");
	assert_int_equal(load_and_find(""), 2);
	drop_triggers();
	admin_run("DELETE FROM tokens; INSERT INTO tokens (id, name) VALUES "
		  "(3, 'everybody'); INSERT INTO tokens (id, name, "
		  "secret_hash) VALUES (4, 'anonymous', randomblob(32))");
	assert_int_equal(load_and_find(""), 0);
}

/* Not even where the triggers that keep times in one form are gone. */
static void
a_time_that_is_none_is_over(void **state)
{
	struct ps_policy *policy;
	int64_t id;

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a'), (2, 'b', 'b'), (3, 'c', 'c'), (4, 'd', 'd')");
	drop_triggers();
	admin_run("UPDATE tokens SET expires_at = 'some day' WHERE id = 1;"
		  "UPDATE tokens SET expires_at = '' WHERE id = 2;"
		  "UPDATE tokens SET expires_at = '2020-13-01' WHERE id = 3;"
		  "UPDATE tokens SET expires_at = NULL WHERE id = 4");
	policy = load();
	for (id = 1; id <= 3; id++)
		assert_row(id, !ps_token_is_valid(ps_policy_find_id(policy,
						      id),
				   NOON_S));
	assert_true(ps_token_is_valid(ps_policy_find_id(policy, 4), NOON_S));
	ps_policy_unref(policy);
}

static void
what_is_no_pattern_is_left_out(void **state)
{
	const struct ps_token *token;
	struct ps_policy *policy;

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a')");
	drop_triggers();
	admin_run("PRAGMA foreign_keys = OFF;"
		  "INSERT INTO token_targets VALUES (1, 'http://a'), (1, ''), "
		  "(1, 'ws://good'), (1, 'ws://a*b'), (99, 'ws://gone')");
	policy = load();
	token = ps_policy_find_id(policy, 1);
	assert_int_equal(token->rights[PS_RIGHT_TARGET].count, 1);
	ps_policy_unref(policy);
}

static void
many_tokens_are_read(void **state)
{
	struct ps_policy *policy;
	char secret[16];
	int i;

	(void)state;
	admin_run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 "
		  "FROM n WHERE i < 10000) INSERT INTO tokens (id, name, "
		  "secret_hash) SELECT i, 'n' || i, sha3('s' || i, 256) "
		  "FROM n");
	policy = load();
	for (i = 1; i <= 10000; i++) {
		snprintf(secret, sizeof(secret), "s%d", i);
		assert_row(i, find(policy, secret) == i);
	}
	assert_int_equal(find(policy, "s10001"), 0);
	ps_policy_unref(policy);
}

/* --- noticing --- */

static bool
has_changed(struct ps_db *of)
{
	bool changed;

	assert_int_equal(ps_db_has_changed(of, &changed), PS_OK);
	return changed;
}

static uint64_t
revision(void)
{
	uint64_t r;

	assert_int_equal(ps_db_revision(db, &r), PS_OK);
	return r;
}

static void
what_others_write_is_noticed_once(void **state)
{
	struct ps_usage usage = { .token_id = 1, .day = DAY };
	struct ps_db *reader = NULL;

	(void)state;
	assert_int_equal(ps_db_open(&reader, database_path, PS_DB_READ,
			     error),
	    PS_OK);
	assert_true(has_changed(db) && has_changed(reader));
	assert_false(has_changed(db) || has_changed(reader));
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')");
	assert_true(has_changed(db) && has_changed(reader));
	assert_false(has_changed(db) || has_changed(reader));
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	assert_true(has_changed(reader));
	assert_false(has_changed(db)); /* by itself */
	admin_run("BEGIN; UPDATE tokens SET note = 'x'; ROLLBACK");
	assert_false(has_changed(db) || has_changed(reader));
	ps_db_close(reader);
}

static void
the_revision_rises_with_the_policy_alone(void **state)
{
	struct ps_session_row row = { .id = "a-1", .node = "a",
		.subject = "", .origin = "", .remote_addr = "", .agent = "" };
	uint64_t before = revision();

	(void)state;
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')");
	assert_true(revision() > before);
	before = revision();
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	admin_run("UPDATE sessions SET close_requested = 1");
	assert_true(revision() == before);
}

static void
another_file_at_the_path_is_noticed(void **state)
{
	struct ps_db *other = NULL;

	(void)state;
	assert_false(ps_db_was_replaced(db));
	rename(database_path, database_beside("moved"));
	assert_true(ps_db_was_replaced(db));
	rename(database_beside("moved"), database_path);
	assert_false(ps_db_was_replaced(db));
	assert_int_equal(ps_schema_prepare(database_beside("new"), error),
	    PS_OK);
	rename(database_beside("new"), database_path);
	assert_true(ps_db_was_replaced(db));
	ps_db_close_replaced(db);
	db = NULL;
	assert_int_equal(ps_db_open(&db, database_path, PS_DB_WRITE, error),
	    PS_OK);
	assert_false(ps_db_was_replaced(db));
	assert_int_equal(ps_db_open(&other, database_path, PS_DB_READ, error),
	    PS_OK);
	assert_int_equal(ps_db_file(other).inode, ps_db_file(db).inode);
	ps_db_close(other);
}

/* What was committed to the old file is not played into the new one. */
static void
the_log_of_a_replaced_file_stays_with_it(void **state)
{
	struct ps_usage usage = { .token_id = 1, .day = DAY, .creates = 1 };

	(void)state;
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')");
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	assert_int_equal(ps_schema_prepare(database_beside("new"), error),
	    PS_OK);
	rename(database_path, database_beside("old"));
	rename(database_beside("new"), database_path);
	ps_db_close_replaced(db);
	db = NULL;
	assert_int_equal(ps_db_open(&db, database_path, PS_DB_WRITE, error),
	    PS_OK);
	assert_int_equal(admin_number("SELECT count(*) FROM tokens"), 0);
	assert_string_equal(admin_text("PRAGMA integrity_check"), "ok");
	ps_db_close(db);
	db = NULL;
	rename(database_beside("old"), database_path);
	assert_int_equal(admin_number("SELECT creates FROM token_usage"), 1);
	assert_string_equal(admin_text("PRAGMA integrity_check"), "ok");
}

/* --- writing --- */

static struct ps_session_row
session_row(const char *id)
{
	return (struct ps_session_row){ .kind = PS_SESSION_RELAY,
		.token_id = 5, .id = id, .node = "a",
		.subject = "ws://t/x'y", .origin = "https://o",
		.remote_addr = "192.0.2.1", .agent = "a \"1\"",
		.opened_at_s = NOON_S };
}

static const char *
row_text(const char *id)
{
	return admin_text("SELECT quote(kind) || token_id || quote(node) || "
			  "quote(subject) || quote(origin) || "
			  "quote(remote_addr) || quote(agent) || "
			  "quote(opened_at) || quote(closed_at) || "
			  "quote(close_code) || quote(close_reason) || "
			  "messages_up || ',' || messages_down || ',' || "
			  "bytes_up || ',' || bytes_down || ',' || "
			  "close_requested FROM sessions WHERE id = '%s'",
	    id);
}

static void
a_session_is_inserted_and_updated(void **state)
{
	struct ps_session_row row = session_row("a-1");

	(void)state;
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	assert_string_equal(row_text("a-1"),
	    "'relay'5'a''ws://t/x''y''https://o''192.0.2.1''a \"1\"'"
	    "'2020-06-01 12:00:00'NULLNULLNULL0,0,0,0,0");
	admin_run("UPDATE sessions SET close_requested = 1");
	row.traffic = (struct ps_traffic){ 1, 2, 3, INT64_MAX };
	row.agent = "somebody else";
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	row.closed_at_s = NOON_S + 61;
	row.close_code = 4999;
	row.close_reason = "it's over";
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	assert_string_equal(row_text("a-1"),
	    "'relay'5'a''ws://t/x''y''https://o''192.0.2.1''a \"1\"'"
	    "'2020-06-01 12:00:00''2020-06-01 12:01:01'4999'it''s over'"
	    "1,2,3,9223372036854775807,1");
	assert_int_equal(admin_number("SELECT count(*) FROM sessions"), 1);
}

static void
every_kind_of_session_has_its_name(void **state)
{
	static const char *const names[] = { "relay", "channel",
		"application" };
	struct ps_session_row row;
	size_t i;

	(void)state;
	assert_int_equal(ROWS(names), PS_SESSION_KIND__COUNT);
	for (i = 0; i < ROWS(names); i++) {
		row = session_row(names[i]);
		row.kind = i;
		assert_string_equal(ps_session_kind_name(i), names[i]);
		assert_row(i, ps_db_put_session(db, &row) == PS_OK);
	}
}

static const char *
usage_text(void)
{
	return admin_text("SELECT group_concat(token_id || '|' || day || '|' "
			  "|| creates || '|' || refused || '|' || "
			  "messages_up || '|' || messages_down || '|' || "
			  "bytes_up || '|' || bytes_down, ' ') FROM "
			  "(SELECT * FROM token_usage ORDER BY 1, 2)");
}

static void
usage_is_added_up_by_token_and_day(void **state)
{
	struct ps_usage usage = { 1, DAY, 1, 2, { 3, 4, 5, 6 } };

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a'), (2, 'b', 'b')");
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	usage.day++;
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	usage.token_id = 2;
	usage.day = 0;
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	usage.token_id = 3; /* gone in the meantime */
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	assert_string_equal(usage_text(), "1|2020-06-01|2|4|6|8|10|12 "
					  "1|2020-06-02|1|2|3|4|5|6 "
					  "2|1970-01-01|1|2|3|4|5|6");
}

static void
a_transaction_is_kept_or_forgotten_as_a_whole(void **state)
{
	struct ps_session_row row = session_row("a-1");

	(void)state;
	assert_int_equal(ps_db_begin(db), PS_OK);
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	ps_db_rollback(db);
	ps_db_rollback(db); /* nothing is begun */
	assert_int_equal(admin_number("SELECT count(*) FROM sessions"), 0);
	assert_int_equal(ps_db_begin(db), PS_OK);
	assert_int_equal(ps_db_begin(db), PS_ERR_IO);
	assert_string_equal(ps_db_error(db),
	    "cannot start a transaction within a transaction");
	assert_false(ps_db_is_busy(db));
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	assert_int_equal(ps_db_commit(db), PS_OK);
	assert_int_equal(ps_db_commit(db), PS_ERR_IO);
	assert_int_equal(admin_number("SELECT count(*) FROM sessions"), 1);
}

static void
a_lock_is_waited_for_but_not_for_ever(void **state)
{
	struct ps_usage usage = { .token_id = 1, .day = DAY };
	uint64_t before_ms = ps_clock_ms();
	struct ps_policy *policy;

	(void)state;
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')");
	admin_lock();
	assert_int_equal(ps_db_begin(db), PS_ERR_IO);
	assert_true(ps_db_is_busy(db));
	assert_string_equal(ps_db_error(db), "database is locked");
	assert_true(ps_clock_ms() - before_ms >= PS_DB_BUSY_MS - 50);
	policy = load(); /* reading needs no lock */
	assert_false(ps_db_is_busy(db));
	ps_policy_unref(policy);
	admin_unlock();
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
}

static void
a_full_disk_is_no_lock_and_passes(void **state)
{
	struct rlimit little = { 0, RLIM_INFINITY }, before;
	struct ps_session_row row = session_row("a-1");
	char agent[65536];

	(void)state;
	memset(agent, 'a', sizeof(agent) - 1);
	agent[sizeof(agent) - 1] = '\0';
	row.agent = agent;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	little.rlim_cur = 8192; /* less than is there */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_int_equal(ps_db_begin(db), PS_OK);
	if (ps_db_put_session(db, &row) == PS_OK)
		assert_int_equal(ps_db_commit(db), PS_ERR_IO);
	assert_false(ps_db_is_busy(db));
	assert_true(*ps_db_error(db) != '\0');
	ps_db_rollback(db);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(ps_db_begin(db), PS_OK);
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	assert_int_equal(ps_db_commit(db), PS_OK);
	assert_int_equal(admin_number("SELECT count(*) FROM sessions"), 1);
}

static void
what_a_table_does_not_take_is_told(void **state)
{
	struct ps_session_row row = session_row("a-1");
	struct ps_usage usage = { .token_id = 1, .day = DAY,
		.traffic = { INT64_MAX, 0, 0, 0 } };

	(void)state;
	row.subject = NULL;
	assert_int_equal(ps_db_put_session(db, &row), PS_ERR_MALFORMED);
	assert_non_null(strstr(ps_db_error(db), "NOT NULL"));
	row = session_row("a-1");
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	/* A sum that no column can hold. */
	admin_run("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')");
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	assert_int_equal(ps_db_add_usage(db, &usage), PS_ERR_MALFORMED);
	usage.traffic.messages_up = 0;
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
}

/* --- sessions that nobody has --- */

static void
put_session(const char *id, const char *node, int64_t opened_at_s,
    int64_t closed_at_s)
{
	struct ps_session_row row = session_row(id);

	row.node = node;
	row.opened_at_s = opened_at_s;
	row.closed_at_s = closed_at_s;
	row.close_code = 1000;
	row.close_reason = "bye";
	assert_int_equal(ps_db_put_session(db, &row), PS_OK);
}

static const char *
ids(const char *where)
{
	return admin_text("SELECT coalesce(group_concat(id, ' '), '') FROM "
			  "(SELECT id FROM sessions WHERE %s ORDER BY id)",
	    where);
}

static const struct ps_bridge_row bridge_a = { "anewer", "a",
	"/run/bridge.sock", "1.0", 77, NOON_S, true };

static void
a_bridge_takes_the_place_of_its_predecessor(void **state)
{
	struct ps_bridge_row row = bridge_a;
	int64_t commits;

	(void)state;
	row.tag = "aolder";
	assert_int_equal(ps_db_enter(db, &row, NOON_S), PS_OK);
	row.tag = "bother";
	row.node = "b";
	row.socket = "/run/b.sock";
	assert_int_equal(ps_db_enter(db, &row, NOON_S), PS_OK);
	assert_int_equal(ps_db_enter(db, &bridge_a, NOON_S), PS_OK);
	assert_string_equal(admin_text("SELECT group_concat(tag) FROM bridges"),
	    "anewer,bother");
	/* A node that has another name now. */
	row.tag = "cthird";
	row.node = "c";
	assert_int_equal(ps_db_enter(db, &row, NOON_S), PS_OK);
	assert_string_equal(admin_text("SELECT group_concat(tag) FROM bridges"),
	    "anewer,cthird");
	assert_int_equal(ps_db_begin(db), PS_OK);
	assert_int_equal(ps_db_count_commit(db, "anewer"), PS_OK);
	assert_int_equal(ps_db_commit(db), PS_OK);
	assert_int_equal(ps_db_commits(db, "anewer", &commits), PS_OK);
	assert_int_equal(commits, 1);
	assert_int_equal(ps_db_commits(db, "aolder", &commits), PS_OK);
	assert_int_equal(commits, -1);
}

static void
rows_left_open_by_this_node_are_closed(void **state)
{
	(void)state;
	put_session("a-1", "a", NOON_S, 0);
	put_session("a-2", "a", NOON_S, NOON_S + 1);
	put_session("a-3", "a", NOON_S, 0);
	put_session("b-1", "b", NOON_S, 0);
	assert_int_equal(ps_db_enter(db, &bridge_a, NOON_S + 60), PS_OK);
	assert_string_equal(ids("closed_at IS NULL"), "b-1");
	assert_string_equal(ids("close_reason = 'bridge restarted' AND "
				"close_code = 1006 AND closed_at = "
				"'2020-06-01 12:01:00'"),
	    "a-1 a-3");
	assert_string_equal(ids("close_reason = 'bye'"), "a-2");
}

static void
rows_are_pruned_a_few_at_a_time(void **state)
{
	char id[16];
	int deleted, i;

	(void)state;
	for (i = 0; i < 10; i++) {
		snprintf(id, sizeof(id), "old-%d", i);
		put_session(id, "a", NOON_S - 100, NOON_S - 1);
	}
	put_session("live", "a", NOON_S - 100, 0);
	put_session("new", "a", NOON_S - 100, NOON_S);
	assert_int_equal(ps_db_prune(db, NOON_S, 7, &deleted), PS_OK);
	assert_int_equal(deleted, 7);
	assert_int_equal(ps_db_prune(db, NOON_S, 7, &deleted), PS_OK);
	assert_int_equal(deleted, 3);
	assert_int_equal(ps_db_prune(db, NOON_S, 7, &deleted), PS_OK);
	assert_int_equal(deleted, 0);
	assert_string_equal(ids("true"), "live new");
	assert_int_equal(ps_db_prune(db, NOON_S + 1, 7, &deleted), PS_OK);
	assert_string_equal(ids("true"), "live");
}

/* --- what is read at the start and later --- */

static struct ps_writer told;

static void
tell_close_request(void *arg, const char *id)
{
	assert_ptr_equal(arg, &told);
	ps_writer_printf(&told, "%s ", id);
}

static void
close_requests_are_those_of_live_sessions_here(void **state)
{
	(void)state;
	put_session("a-1", "a", NOON_S, 0);
	put_session("a-2", "a", NOON_S, 0);
	put_session("a-3", "a", NOON_S, NOON_S);
	put_session("b-1", "b", NOON_S, 0);
	put_session("a-4", "a", NOON_S, 0);
	admin_run("UPDATE sessions SET close_requested = 1 WHERE id <> "
		  "'a-2'");
	assert_int_equal(ps_db_each_close_request(db, "a", tell_close_request,
			     &told),
	    PS_OK);
	assert_true(writer_had(&told, "a-1 a-4 "));
	assert_int_equal(ps_db_each_close_request(db, "c", tell_close_request,
			     &told),
	    PS_OK);
	assert_true(writer_had(&told, ""));
	ps_writer_deinit(&told);
}

static void
tell_usage(void *arg, const struct ps_usage *usage)
{
	assert_ptr_equal(arg, &told);
	assert_int_equal(usage->day, DAY);
	ps_writer_printf(&told, "%d:%d,%d,%d,%d,%d,%d ",
	    (int)usage->token_id, (int)usage->creates, (int)usage->refused,
	    (int)usage->traffic.messages_up, (int)usage->traffic.messages_down,
	    (int)usage->traffic.bytes_up, (int)usage->traffic.bytes_down);
}

static void
usage_is_read_for_one_day(void **state)
{
	struct ps_usage usage = { 2, DAY, 1, 2, { 3, 4, 5, 6 } };

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (1, 'a', "
		  "'a'), (2, 'b', 'b')");
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	usage.day++;
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	usage.day -= 2;
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	usage = (struct ps_usage){ .token_id = 1, .day = DAY, .refused = 9 };
	assert_int_equal(ps_db_add_usage(db, &usage), PS_OK);
	assert_int_equal(ps_db_each_usage(db, DAY, tell_usage, &told), PS_OK);
	assert_true(writer_had(&told, "1:0,9,0,0,0,0 2:1,2,3,4,5,6 "));
	ps_writer_deinit(&told);
}

static void
tell_create(void *arg, int64_t token_id, int64_t second_s, uint64_t count)
{
	assert_ptr_equal(arg, &told);
	ps_writer_printf(&told, "%d@%d:%d ", (int)token_id,
	    (int)(second_s - NOON_S), (int)count);
}

static void
recent_creates_are_counted_by_second_in_their_order(void **state)
{
	static const struct {
		const char *id;
		int token_id, at;
	} rows[] = { { "a-1", 5, 3 }, { "a-2", 5, 1 }, { "a-3", 5, 0 },
		{ "a-4", 5, 1 }, { "a-5", 4, 2 }, { "a-6", 9, 2 },
		{ "a-7", 5, -1 } };
	size_t i;

	(void)state;
	admin_run("INSERT INTO tokens (id, name, secret) VALUES (4, 'a', "
		  "'a'), (5, 'b', 'b')");
	for (i = 0; i < ROWS(rows); i++) {
		struct ps_session_row row = session_row(rows[i].id);

		row.token_id = rows[i].token_id;
		row.opened_at_s = NOON_S + rows[i].at;
		row.closed_at_s = i % 2 == 0 ? NOON_S + 10 : 0;
		row.close_reason = "";
		assert_int_equal(ps_db_put_session(db, &row), PS_OK);
	}
	assert_int_equal(ps_db_each_recent_create(db, NOON_S, tell_create,
			     &told),
	    PS_OK);
	assert_true(writer_had(&told, "4@2:1 5@1:2 5@3:1 "));
	ps_writer_deinit(&told);
}

#define with_database(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)
#define in_folder(test) \
	cmocka_unit_test_setup_teardown(test, database_setup_folder, \
	    database_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		with_database(another_program_or_version_is_refused),
		in_folder(what_is_no_database_is_an_error),
		in_folder(looking_makes_no_database),
		with_database(
		    tables_that_are_not_as_they_should_be_are_refused),
		with_database(a_copy_without_a_log_gets_one_again),
		with_database(a_new_database_has_no_tokens),
		with_database(every_column_of_a_token_is_read),
		with_database(what_applications_have_is_read),
		with_database(a_secret_is_found_by_its_sha3),
		with_database(sha3_is_that_of_the_sqlite3_program),
		with_database(patterns_are_those_of_their_token),
		with_database(channels_are_granted_for_each_use),
		with_database(anonymous_has_no_secret_and_the_others_have_one),
		with_database(a_time_that_is_none_is_over),
		with_database(what_is_no_pattern_is_left_out),
		with_database(many_tokens_are_read),
		with_database(what_others_write_is_noticed_once),
		with_database(the_revision_rises_with_the_policy_alone),
		with_database(another_file_at_the_path_is_noticed),
		with_database(the_log_of_a_replaced_file_stays_with_it),
		with_database(a_session_is_inserted_and_updated),
		with_database(every_kind_of_session_has_its_name),
		with_database(usage_is_added_up_by_token_and_day),
		with_database(a_transaction_is_kept_or_forgotten_as_a_whole),
		with_database(a_lock_is_waited_for_but_not_for_ever),
		with_database(a_full_disk_is_no_lock_and_passes),
		with_database(what_a_table_does_not_take_is_told),
		with_database(a_bridge_takes_the_place_of_its_predecessor),
		with_database(rows_left_open_by_this_node_are_closed),
		with_database(rows_are_pruned_a_few_at_a_time),
		with_database(close_requests_are_those_of_live_sessions_here),
		with_database(usage_is_read_for_one_day),
		with_database(
		    recent_creates_are_counted_by_second_in_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
