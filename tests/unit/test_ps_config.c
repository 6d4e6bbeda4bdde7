#include "config.h"

#include "unit.h"

#include <inttypes.h>

#include "ps_config.h"
#include "ps_options.h"

static char error[PS_CONFIG_ERROR_MAX];

static int
setup(void **state)
{
	*state = ps_config_create();
	return *state == NULL;
}

static int
teardown(void **state)
{
	ps_config_destroy(*state);
	return 0;
}

static const struct ps_option *
option(const char *name)
{
	size_t i;

	for (i = 0; i < ps_options_count; i++) {
		if (strcmp(ps_options[i].name, name) == 0)
			return &ps_options[i];
	}
	fail_msg("no option %s", name);
	return NULL;
}

static uint64_t
number(const struct ps_config *config, const struct ps_option *o)
{
	uint64_t value;

	memcpy(&value, (const char *)config + o->offset, sizeof(value));
	return value;
}

static bool
is_number(const struct ps_option *o)
{
	return o->type == PS_OPTION_COUNT || o->type == PS_OPTION_BYTES ||
	    o->type == PS_OPTION_DURATION || o->type == PS_OPTION_MODE;
}

static const char *
base_unit(const struct ps_option *o)
{
	return o->type == PS_OPTION_BYTES  ? "B" :
	    o->type == PS_OPTION_DURATION  ? "ms" :
					     "";
}

/* Sets a number in its base unit. */
static int
set_number(struct ps_config *config, const struct ps_option *o, uint64_t value)
{
	char text[128];

	snprintf(text, sizeof(text),
	    o->type == PS_OPTION_MODE ? "%s=%" PRIo64 "%s" :
					"%s=%" PRIu64 "%s",
	    o->name, value, base_unit(o));
	return ps_config_set(config, text, error);
}

/* Sets a string of `len` times the same letter. */
static int
set_letters(struct ps_config *config, const struct ps_option *o, size_t len)
{
	char *text = malloc(strlen(o->name) + len + 2);
	size_t at;
	int ret;

	assert_non_null(text);
	at = (size_t)sprintf(text, "%s=", o->name);
	memset(text + at, 'a', len);
	if (len > 0 && (strcmp(o->name, "mount_prefix") == 0 ||
			   strcmp(o->name, "sockjs_url") == 0))
		text[at] = '/';
	text[at + len] = '\0';
	ret = ps_config_set(config, text, error);
	free(text);
	return ret;
}

static char *
make_file(char *path, const char *text)
{
	int fd;

	strcpy(path, "/tmp/ps-config-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static void
every_row_of_the_table_is_complete(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < ps_options_count; i++) {
		const struct ps_option *o = &ps_options[i];
		bool chooses = o->type == PS_OPTION_CHOICE ||
		    o->type == PS_OPTION_SET;

		assert_row(i, o->min <= o->max);
		assert_row(i, chooses == (o->choices != NULL));
		assert_row(i, strlen(o->sentence) > 10);
		assert_row(i, o->sentence[strlen(o->sentence) - 1] == '.');
		for (j = 0; j < i; j++)
			assert_row(i, ps_options[j].offset != o->offset &&
				strcmp(ps_options[j].name, o->name) != 0);
	}
}

static void
every_default_is_a_value_of_its_option(void **state)
{
	struct ps_config *config = *state;
	char text[512];
	size_t i;

	for (i = 0; i < ps_options_count; i++) {
		const struct ps_option *o = &ps_options[i];

		snprintf(text, sizeof(text), "%s = %s", o->name, o->value);
		assert_row(i, ps_config_set(config, text, error) == PS_OK);
		assert_row(i, *error == '\0');
		if (is_number(o))
			assert_row(i, number(config, o) >= o->min &&
				number(config, o) <= o->max);
	}
	assert_int_equal(ps_config_check(config, error), PS_OK);
	assert_string_equal(error, "");
}

static void
numbers_end_at_their_bounds(void **state)
{
	struct ps_config *config = *state;
	size_t i;

	for (i = 0; i < ps_options_count; i++) {
		const struct ps_option *o = &ps_options[i];
		uint64_t before;

		if (!is_number(o))
			continue;
		assert_row(i, set_number(config, o, o->min) == PS_OK);
		assert_row(i, number(config, o) == o->min);
		assert_row(i, set_number(config, o, o->max) == PS_OK);
		assert_row(i, number(config, o) == o->max);
		before = number(config, o);
		if (o->min > 0)
			assert_row(i, set_number(config, o, o->min - 1) ==
				PS_ERR_MALFORMED);
		assert_row(i,
		    set_number(config, o, o->max + 1) == PS_ERR_MALFORMED);
		assert_row(i, strstr(error, o->name) != NULL);
		assert_row(i, number(config, o) == before);
	}
}

static void
strings_end_at_their_bounds(void **state)
{
	struct ps_config *config = *state;
	size_t i;

	for (i = 0; i < ps_options_count; i++) {
		const struct ps_option *o = &ps_options[i];

		/* An address and a port are no matter of their length. */
		if (o->type != PS_OPTION_STRING ||
		    strcmp(o->name, "ws_listen") == 0)
			continue;
		assert_row(i, set_letters(config, o, o->max) == PS_OK);
		assert_row(i,
		    set_letters(config, o, o->max + 1) == PS_ERR_MALFORMED);
		assert_row(i, (set_letters(config, o, 0) == PS_OK) ==
			(o->min == 0));
		if (o->min > 0)
			assert_row(i, set_letters(config, o, o->min) == PS_OK);
	}
}

static void
the_script_of_sockjs_is_a_path_or_a_url_of_the_web(void **state)
{
	static const struct {
		const char *assignment;
		int ret;
	} cases[] = {
		{ "sockjs_url=/", PS_OK },
		{ "sockjs_url=/js/sockjs.min.js?v=1", PS_OK },
		{ "sockjs_url=http://a/b", PS_OK },
		{ "sockjs_url=https://a/b", PS_OK },
		{ "sockjs_url=sockjs.js", PS_ERR_MALFORMED },
		{ "sockjs_url=javascript:a", PS_ERR_MALFORMED },
		{ "sockjs_url=/a\"b", PS_ERR_MALFORMED },
		{ "sockjs_url=/a<b", PS_ERR_MALFORMED },
		{ "sockjs_url=/a>b", PS_ERR_MALFORMED },
		{ "sockjs_url=/a b", PS_ERR_MALFORMED },
	};
	size_t i;

	for (i = 0; i < ROWS(cases); i++)
		assert_row(i, ps_config_set(*state, cases[i].assignment,
				  error) == cases[i].ret);
}

static void
every_choice_is_taken_and_no_other(void **state)
{
	struct ps_config *config = *state;
	char text[128];
	size_t i;

	for (i = 0; i < ps_options_count; i++) {
		const struct ps_option *o = &ps_options[i];
		const char *choice = o->type == PS_OPTION_BOOL ? "no yes" :
								 o->choices;

		for (; choice != NULL && *choice != '\0';
		     choice += strspn(choice, " ")) {
			size_t len = strcspn(choice, " ");

			snprintf(text, sizeof(text), "%s=%.*s", o->name,
			    (int)len, choice);
			assert_row(i, ps_config_set(config, text, error) ==
				PS_OK);
			snprintf(text, sizeof(text), "%s=%.*s", o->name,
			    (int)len - 1, choice);
			assert_row(i, ps_config_set(config, text, error) ==
				PS_ERR_MALFORMED);
			choice += len;
		}
	}
}

static const struct {
	const char *text;
	uint64_t value;
} good_numbers[] = {
	{ "max_message=1B", 1 },
	{ "max_message=16777216B", 16 * 1024 * 1024 },
	{ "max_message=3KiB", 3 * 1024 },
	{ "max_message=16384KiB", 16 * 1024 * 1024 },
	{ "max_message=16MiB", 16 * 1024 * 1024 },
	{ "max_message = \t 2MiB \t ", 2 * 1024 * 1024 },
	{ "stream_bytes=1GiB", 1024 * 1024 * 1024 },
	{ "hold_max=10ms", 10 },
	{ "hold_max=7s", 7000 },
	{ "hold_max=60m", 3600 * 1000 },
	{ "hold_max=1h", 3600 * 1000 },
	{ "stall_timeout=1d", 24 * 3600 * 1000 },
	{ "max_sessions=0007", 7 },
	{ "keep_sessions=1s", 1000 },
	{ "keep_sessions=36500d", (uint64_t)36500 * 24 * 3600 * 1000 },
	{ "max_unwritten=1", 1 },
	{ "max_unwritten=10000000", 10000000 },
	{ "history_age=0", 0 },
	{ "history_age=0h", 0 },
	{ "socket_mode=777", 0777 },
	{ "socket_mode=0600", 0600 },
	{ "socket_mode=0", 0 },
};

static const char *const bad_assignments[] = {
	"max_message=1", "max_message=", "max_message=KiB", "max_message=1K",
	"max_message=1kib", "max_message=1 KiB", "max_message=1KiB2",
	"max_message=-1B", "max_message=+1B", "max_message=1.5KiB",
	"max_message=0x10B", "max_message=1ms", "max_message=0B",
	"max_message=17MiB", "max_message=18446744073709551616B",
	"max_message=18014398509481984KiB", "max_message=99999999999GiB",
	"hold_max=1", "hold_max=1sec", "hold_max=9ms", "hold_max=61m",
	"hold_max=1w", "hold_max=1B", "hold_max=-1s",
	"history_age=0x", "history_age=0B",
	"max_sessions=0", "max_sessions=7x", "max_sessions=1KiB",
	"max_sessions=", "max_sessions=1000001",
	"socket_mode=1000", "socket_mode=8", "socket_mode=rw",
	"wildcard_dns=true", "wildcard_dns=1", "wildcard_dns=Yes",
	"log_level=warn", "log_level=", "log_level=info debug",
	"services=relay,chat", "services=relay channels",
	"node=", "node=abcdefghi", "node=A", "node=a-b", "node=a.b",
	"mount_prefix=live", "mount_prefix=/", "mount_prefix=/live/",
	"keep_sessions=999ms", "keep_sessions=36501d", "keep_sessions=0",
	"max_unwritten=0", "max_unwritten=10000001",
	"allow_networks=localhost", "allow_networks=10.0.0.1/8",
	"allow_networks=10.0.0.0/8 ::1", "allow_networks=::1, 10.0.0.0/33",
	"metrics_from=*", "metrics_from=[::1]",
	"ws_listen=8443", "ws_listen=:8443", "ws_listen=0.0.0.0",
	"ws_listen=0.0.0.0:", "ws_listen=0.0.0.0:0", "ws_listen=0.0.0.0:65536",
	"ws_listen=0.0.0.0:+1", "ws_listen=0.0.0.0:8443x",
	"ws_listen=::1:8443", "ws_listen=[::1]", "ws_listen=[::1]8443",
	"ws_listen=[127.0.0.1]:1", "ws_listen=[]:1", "ws_listen=example.com:1",
	"ws_listen=10.0.0.0/8:1", "ws_listen=[::/0]:1",
	"no equals sign", "=1", "unknown=1", "max_Sessions=1", "",
};

static void
a_place_to_listen_is_an_address_and_a_port(void **state)
{
	static const char *const places[] = { "ws_listen=0.0.0.0:1",
					      "ws_listen=127.0.0.1:65535",
					      "ws_listen=[::]:8443",
					      "ws_listen=[2001:db8::1]:9000",
					      "ws_listen=" };
	size_t i;

	for (i = 0; i < ROWS(places); i++)
		assert_row(i, ps_config_set(*state, places[i], error) == PS_OK);
}

static void
numbers_carry_their_units(void **state)
{
	struct ps_config *config = *state;
	size_t i;

	for (i = 0; i < ROWS(good_numbers); i++) {
		char name[64];

		sscanf(good_numbers[i].text, "%63[a-z_]", name);
		assert_row(i, ps_config_set(config, good_numbers[i].text,
				  error) == PS_OK);
		assert_row(i, number(config, option(name)) ==
			good_numbers[i].value);
	}
}

static void
what_is_no_value_is_refused_with_a_sentence(void **state)
{
	size_t i;

	for (i = 0; i < ROWS(bad_assignments); i++) {
		assert_row(i, ps_config_set(*state, bad_assignments[i],
				  error) == PS_ERR_MALFORMED);
		assert_row(i, strncmp(error, "--set: ", 7) == 0);
	}
}

static void
lists_are_split_at_commas(void **state)
{
	struct ps_config *config = *state;
	const struct ps_list *users = &config->worker_users;

	assert_int_equal(ps_config_set(config,
			     "worker_users= www-data , ,lighttpd,", error),
	    PS_OK);
	assert_int_equal(users->count, 2);
	assert_string_equal(users->items[0], "www-data");
	assert_string_equal(users->items[1], "lighttpd");
	assert_int_equal(ps_config_set(config, "worker_users=", error),
	    PS_OK);
	assert_int_equal(users->count, 0);
	assert_int_equal(set_letters(config, option("worker_users"), 4095),
	    PS_OK);
	assert_int_equal(users->count, 1);
	assert_int_equal(set_letters(config, option("worker_users"), 4096),
	    PS_ERR_MALFORMED);
	assert_int_equal(users->count, 1);
}

static void
networks_are_told_from_other_text(void **state)
{
	struct ps_config *config = *state;
	const struct ps_list *networks = &config->allow_networks;

	assert_int_equal(ps_config_set(config,
			     "allow_networks=10.0.0.0/8, fc00::/7, ::1",
			     error),
	    PS_OK);
	assert_int_equal(networks->count, 3);
	assert_string_equal(networks->items[1], "fc00::/7");
	/* One that is wrong leaves all as it was. */
	assert_int_equal(ps_config_set(config,
			     "allow_networks=10.0.0.0/8, fc00::/5", error),
	    PS_ERR_MALFORMED);
	assert_int_equal(networks->count, 3);
	assert_int_equal(ps_config_set(config, "metrics_from=192.0.2.0/24",
			     error),
	    PS_OK);
	assert_int_equal(config->metrics_from.count, 1);
}

static void
services_are_a_set(void **state)
{
	unsigned services = 99;

	(void)state;
	assert_int_equal(ps_config_parse_services("", &services), PS_OK);
	assert_int_equal(services, 0);
	assert_int_equal(
	    ps_config_parse_services("applications, relay,relay", &services),
	    PS_OK);
	assert_int_equal(services, PS_SERVICE_RELAY | PS_SERVICE_APPLICATIONS);
	assert_int_equal(ps_config_parse_services("channels", &services),
	    PS_OK);
	assert_int_equal(services, PS_SERVICE_CHANNELS);
	assert_int_equal(ps_config_parse_services("channels,nothing",
			     &services),
	    PS_ERR_MALFORMED);
	assert_int_equal(services, PS_SERVICE_CHANNELS);
}

static void
a_file_is_read_line_by_line(void **state)
{
	struct ps_config *config = *state;
	char path[64];

	make_file(path,
	    "# a comment = with a sign\n"
	    "\n"
	    "   \t  \n"
	    "  node =  b7  \n"
	    "public_host=relay.example.com:8443\r\n"
	    "  # max_sessions = 1\n"
	    "max_sessions = 3\n"
	    "max_sessions = 4"); /* the last one counts, without line end */
	assert_int_equal(ps_config_read(config, path, error), PS_OK);
	unlink(path);
	assert_string_equal(config->node, "b7");
	assert_string_equal(config->public_host, "relay.example.com:8443");
	assert_int_equal(config->max_sessions, 4);
}

static void
an_error_in_a_file_names_its_line(void **state)
{
	char path[64], where[96];

	make_file(path, "node = b\n\n# fine\nthreads = many\n");
	assert_int_equal(ps_config_read(*state, path, error),
	    PS_ERR_MALFORMED);
	snprintf(where, sizeof(where), "%s:4: ", path);
	assert_int_equal(strncmp(error, where, strlen(where)), 0);
	assert_non_null(strstr(error, "threads"));
	assert_non_null(strstr(error, "1 to 256"));
	unlink(path);
	assert_int_equal(ps_config_read(*state, path, error), PS_ERR_IO);
	assert_non_null(strstr(error, path));
}

static void
a_configuration_is_loaded_whole_or_not_at_all(void **state)
{
	static const char *const sets[] = { "max_sessions=5", "node=b" };
	static const char *const bad[] = { "max_sessions=5", "node=B" };
	static const char *const odd[] = { "hold_min=61s" };
	struct ps_config *config;
	char path[64];

	(void)state;
	ps_log_open("test", PS_LOG_STDERR, PS_LOG_ERROR);
	make_file(path, "max_sessions = 4\nthreads = 3\n");
	config = ps_config_load(path, sets, ROWS(sets));
	assert_non_null(config);
	assert_int_equal(config->max_sessions, 5);
	assert_int_equal(config->threads, 3);
	assert_string_equal(config->node, "b");
	ps_config_destroy(config);
	config = ps_config_load(path, NULL, 0);
	assert_non_null(config);
	assert_int_equal(config->max_sessions, 4);
	ps_config_destroy(config);
	assert_null(ps_config_load(path, bad, ROWS(bad)));
	assert_null(ps_config_load(path, odd, ROWS(odd)));
	unlink(path);
	assert_null(ps_config_load(path, NULL, 0));
}

static void
a_long_line_is_no_danger_to_the_error(void **state)
{
	char text[2000] = "max_sessions=";

	memset(text + 13, 'x', sizeof(text) - 14);
	assert_int_equal(ps_config_set(*state, text, error),
	    PS_ERR_MALFORMED);
	assert_true(strlen(error) < PS_CONFIG_ERROR_MAX);
	memset(text, 'y', sizeof(text) - 1);
	assert_int_equal(ps_config_set(*state, text, error),
	    PS_ERR_MALFORMED);
	text[1000] = '=';
	assert_int_equal(ps_config_set(*state, text, error),
	    PS_ERR_MALFORMED);
}

static const struct {
	const char *assignments[3];
	const char *error; /* its beginning; NULL: none */
} checks[] = {
	{ { "wildcard_dns=yes" }, "wildcard_dns" },
	{ { "wildcard_dns=yes", "public_host=example.com" }, NULL },
	{ { "hold_min=61s" }, "hold_min" },
	{ { "hold_min=60s", "hold_default=60s" }, NULL },
	{ { "hold_default=999ms" }, "hold_default" },
	{ { "hold_default=1s" }, NULL },
	{ { "hold_default=60s" }, NULL },
	{ { "hold_default=60001ms" }, "hold_default" },
	{ { "ping_interval=60s" }, "ping_timeout" },
	{ { "ping_timeout=25s" }, "ping_timeout" },
	{ { "ping_timeout=25001ms" }, NULL },
	{ { "queue_bytes=1MiB" }, NULL },
	{ { "queue_bytes=1048575B" }, "queue_bytes" },
	{ { "ws_socket=/tmp/s", "bridge_socket=/tmp/s" }, "ws_socket" },
};

static void
options_are_checked_together(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < ROWS(checks); i++) {
		struct ps_config *config = ps_config_create();
		int ret;

		for (j = 0; j < 3 && checks[i].assignments[j] != NULL; j++)
			assert_row(i, ps_config_set(config,
					  checks[i].assignments[j], error) ==
				PS_OK);
		ret = ps_config_check(config, error);
		ps_config_destroy(config);
		if (checks[i].error == NULL) {
			assert_row(i, ret == PS_OK && *error == '\0');
			continue;
		}
		assert_row(i, ret == PS_ERR_MALFORMED);
		assert_row(i, strstr(error, checks[i].error) != NULL);
	}
}

/* A value of this option that is not its default. */
static void
set_other(struct ps_config *config, const struct ps_option *o)
{
	char text[128] = "";

	switch (o->type) {
	case PS_OPTION_STRING:
		if (strcmp(o->name, "ws_listen") != 0) {
			assert_int_equal(set_letters(config, o, 3), PS_OK);
			return;
		}
		strcpy(text, "ws_listen=[::1]:9000");
		break;
	case PS_OPTION_LIST:
		snprintf(text, sizeof(text), "%s=192.0.2.1", o->name);
		break;
	case PS_OPTION_BOOL:
		snprintf(text, sizeof(text), "%s=%s", o->name,
		    strcmp(o->value, "yes") == 0 ? "no" : "yes");
		break;
	case PS_OPTION_CHOICE:
	case PS_OPTION_SET:
		snprintf(text, sizeof(text), "%s=%s", o->name,
		    strrchr(o->choices, ' ') + 1);
		break;
	default:
		assert_int_equal(set_number(config, o, o->max), PS_OK);
		return;
	}
	assert_int_equal(ps_config_set(config, text, error), PS_OK);
}

/* Whether the option has the same value in both. */
static bool
same(const struct ps_option *o, const struct ps_config *a,
    const struct ps_config *b)
{
	const void *at_a = (const char *)a + o->offset;
	const void *at_b = (const char *)b + o->offset;
	const struct ps_list *list_a = at_a, *list_b = at_b;

	switch (o->type) {
	case PS_OPTION_STRING:
		return strcmp(*(char *const *)at_a, *(char *const *)at_b) == 0;
	case PS_OPTION_LIST:
		return list_a->count == list_b->count &&
		    (list_a->count == 0 ||
			strcmp(list_a->items[0], list_b->items[0]) == 0);
	case PS_OPTION_BOOL:
		return *(const bool *)at_a == *(const bool *)at_b;
	case PS_OPTION_CHOICE:
	case PS_OPTION_SET:
		return *(const unsigned *)at_a == *(const unsigned *)at_b;
	default:
		return number(a, o) == number(b, o);
	}
}

static void
a_reload_takes_what_is_reloadable_alone(void **state)
{
	const struct ps_config *config = *state;
	struct ps_config *next = ps_config_create();
	struct ps_config *defaults = ps_config_create();
	struct ps_config *others = ps_config_create();
	size_t i;

	ps_log_open("test", PS_LOG_STDERR, PS_LOG_ERROR);
	for (i = 0; i < ps_options_count; i++) {
		set_other(next, &ps_options[i]);
		set_other(others, &ps_options[i]);
	}
	ps_config_take(*state, next);
	for (i = 0; i < ps_options_count; i++) {
		const struct ps_option *o = &ps_options[i];

		assert_row(i, same(o, config, defaults) == !o->reloadable);
		assert_row(i, same(o, config, others) == o->reloadable);
	}
	ps_config_destroy(defaults);
	ps_config_destroy(others);
}

/* The sample with its options switched on is the defaults. */
static void
the_sample_is_a_configuration_of_defaults(void **state)
{
	const struct ps_config *config = *state;
	struct ps_config *defaults = ps_config_create();
	char path[64], *text = NULL, *line;
	size_t size, i, options = 0;
	FILE *out = open_memstream(&text, &size);

	ps_config_print_sample(out);
	fclose(out);
	for (i = 0; i < ps_options_count; i++)
		set_other(*state, &ps_options[i]);
	for (line = strtok(text, "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		assert_true(strlen(line) < 100);
		assert_int_equal(line[0], '#');
		if (line[1] == ' ')
			continue;
		assert_int_equal(ps_config_set(*state, line + 1, error),
		    PS_OK);
		options++;
	}
	assert_int_equal(options, ps_options_count);
	for (i = 0; i < ps_options_count; i++)
		assert_row(i, same(&ps_options[i], config, defaults));
	free(text);

	/* As it is, all of it is comment. */
	out = open_memstream(&text, &size);
	ps_config_print_sample(out);
	fclose(out);
	make_file(path, text);
	assert_int_equal(ps_config_read(*state, path, error), PS_OK);
	unlink(path);
	free(text);
	ps_config_destroy(defaults);
}

#define with_config(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_of_the_table_is_complete),
		with_config(every_default_is_a_value_of_its_option),
		with_config(numbers_end_at_their_bounds),
		with_config(strings_end_at_their_bounds),
		with_config(the_script_of_sockjs_is_a_path_or_a_url_of_the_web),
		with_config(every_choice_is_taken_and_no_other),
		with_config(a_place_to_listen_is_an_address_and_a_port),
		with_config(numbers_carry_their_units),
		with_config(what_is_no_value_is_refused_with_a_sentence),
		with_config(lists_are_split_at_commas),
		with_config(networks_are_told_from_other_text),
		cmocka_unit_test(services_are_a_set),
		with_config(a_file_is_read_line_by_line),
		with_config(an_error_in_a_file_names_its_line),
		cmocka_unit_test(a_configuration_is_loaded_whole_or_not_at_all),
		with_config(a_long_line_is_no_danger_to_the_error),
		cmocka_unit_test(options_are_checked_together),
		with_config(a_reload_takes_what_is_reloadable_alone),
		with_config(the_sample_is_a_configuration_of_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
