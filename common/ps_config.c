#include "config.h"

#include "ps_config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ps_options.h"

static const struct unit {
	const char *name;
	uint64_t factor;
} byte_units[] = { { "B", 1 }, { "KiB", 1024 }, { "MiB", 1024 * 1024 },
	{ "GiB", 1024 * 1024 * 1024 }, { NULL, 0 } },
  time_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 },
	  { "h", 60 * 60 * 1000 }, { "d", 24 * 60 * 60 * 1000 },
	  { NULL, 0 } };

static void *
field(const struct ps_config *config, const struct ps_option *option)
{
	return (char *)(uintptr_t)config + option->offset;
}

static const struct ps_option *
option_find(const char *name)
{
	size_t i;

	for (i = 0; i < ps_options_count; i++) {
		if (strcmp(ps_options[i].name, name) == 0)
			return &ps_options[i];
	}
	return NULL;
}

/* Cuts white space off both ends, in place. */
static char *
trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

static void
list_free(struct ps_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct ps_list){ NULL, 0 };
}

/* Splits at commas into an empty list; empty items are skipped. */
static int
list_parse(struct ps_list *list_r, const char *value)
{
	struct ps_list list = { NULL, 0 };
	char *copy = strdup(value), *save = NULL, *item, **items;

	if (copy == NULL)
		return PS_ERR_NOMEM;
	for (item = strtok_r(copy, ",", &save); item != NULL;
	     item = strtok_r(NULL, ",", &save)) {
		item = trim(item);
		if (*item == '\0')
			continue;
		items = realloc(list.items, (list.count + 1) * sizeof(*items));
		if (items == NULL)
			goto fail;
		list.items = items;
		if ((items[list.count] = strdup(item)) == NULL)
			goto fail;
		list.count++;
	}
	free(copy);
	*list_r = list;
	return PS_OK;

fail:
	free(copy);
	list_free(&list);
	return PS_ERR_NOMEM;
}

/* Index of `word` in a list of words separated by spaces, or -1. */
static int
choice_find(const char *choices, const char *word)
{
	size_t len = strlen(word);
	int index = 0;

	for (; *choices != '\0'; index++) {
		size_t n = strcspn(choices, " ");

		if (n == len && memcmp(choices, word, n) == 0)
			return index;
		choices += n + (choices[n] == ' ');
	}
	return -1;
}

static int
set_parse(const char *choices, const char *value, unsigned *bits_r)
{
	struct ps_list list = { NULL, 0 };
	unsigned bits = 0;
	int ret, index;
	size_t i;

	if ((ret = list_parse(&list, value)) != PS_OK)
		return ret;
	for (i = 0; i < list.count; i++) {
		index = choice_find(choices, list.items[i]);
		if (index < 0)
			ret = PS_ERR_MALFORMED;
		else
			bits |= 1u << index;
	}
	list_free(&list);
	if (ret == PS_OK)
		*bits_r = bits;
	return ret;
}

int
ps_config_parse_services(const char *text, unsigned *services_r)
{
	return set_parse(option_find("services")->choices, text, services_r);
}

/* A number and, where `units` is given, one of its units right behind; 0 is 0
 * in all of them. */
static int
number_parse(const char *value, int base, const struct unit *units,
    uint64_t *number_r)
{
	uint64_t factor = 1;
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)*value))
		return PS_ERR_MALFORMED;
	errno = 0;
	number = strtoull(value, &end, base);
	if (errno != 0)
		return PS_ERR_MALFORMED;
	if (units != NULL && (number != 0 || *end != '\0')) {
		while (units->name != NULL && strcmp(units->name, end) != 0)
			units++;
		if (units->name == NULL)
			return PS_ERR_MALFORMED;
		factor = units->factor;
	} else if (*end != '\0') {
		return PS_ERR_MALFORMED;
	}
	if (number > UINT64_MAX / factor)
		return PS_ERR_MALFORMED;
	*number_r = number * factor;
	return PS_OK;
}

/* The largest unit that divides `number` without a rest. */
static void
number_print(char *out, size_t size, uint64_t number, const struct unit *units)
{
	const struct unit *best = units;

	for (; number != 0 && units->name != NULL; units++) {
		if (number % units->factor == 0)
			best = units;
	}
	snprintf(out, size, "%" PRIu64 "%s", number / best->factor, best->name);
}

/* How a value of this option is written, for messages and the sample. */
static void
describe(const struct ps_option *o, char *out, size_t size)
{
	const struct unit *units =
	    o->type == PS_OPTION_BYTES ? byte_units : time_units;
	char min[32], max[32];

	switch (o->type) {
	case PS_OPTION_STRING:
		snprintf(out, size, "text");
		break;
	case PS_OPTION_LIST:
		snprintf(out, size, "list, comma separated");
		break;
	case PS_OPTION_BOOL:
		snprintf(out, size, "yes or no");
		break;
	case PS_OPTION_COUNT:
		snprintf(out, size, "number, %" PRIu64 " to %" PRIu64, o->min,
		    o->max);
		break;
	case PS_OPTION_BYTES:
	case PS_OPTION_DURATION:
		number_print(min, sizeof(min), o->min, units);
		number_print(max, sizeof(max), o->max, units);
		snprintf(out, size, "%s, %s to %s",
		    o->type == PS_OPTION_BYTES ? "size (B KiB MiB GiB)" :
						 "duration (ms s m h d)",
		    min, max);
		break;
	case PS_OPTION_MODE:
		snprintf(out, size, "octal file mode");
		break;
	case PS_OPTION_CHOICE:
		snprintf(out, size, "one of: %s", o->choices);
		break;
	case PS_OPTION_SET:
		snprintf(out, size, "any of, comma separated: %s", o->choices);
		break;
	}
}

static int
string_parse(char **string, const char *value)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return PS_ERR_NOMEM;
	free(*string);
	*string = copy;
	return PS_OK;
}

static int
option_number(const struct ps_option *o, const char *value, uint64_t *out)
{
	const struct unit *units = o->type == PS_OPTION_BYTES ? byte_units :
	    o->type == PS_OPTION_DURATION			? time_units :
								  NULL;
	uint64_t number;
	int ret;

	ret = number_parse(value, o->type == PS_OPTION_MODE ? 8 : 10, units,
	    &number);
	if (ret == PS_OK && (number < o->min || number > o->max))
		ret = PS_ERR_MALFORMED;
	if (ret == PS_OK)
		*out = number;
	return ret;
}

static int
option_list(const struct ps_option *o, const char *value, struct ps_list *out)
{
	struct ps_list list = { NULL, 0 };
	int ret = PS_ERR_MALFORMED;
	size_t i;

	if (strlen(value) <= o->max)
		ret = list_parse(&list, value);
	for (i = 0; ret == PS_OK && o->is_valid != NULL && i < list.count;
	     i++) {
		if (!o->is_valid(list.items[i]))
			ret = PS_ERR_MALFORMED;
	}
	if (ret != PS_OK) {
		list_free(&list);
		return ret;
	}
	list_free(out);
	*out = list;
	return PS_OK;
}

static int
option_parse(struct ps_config *config, const struct ps_option *o,
    const char *value)
{
	void *at = field(config, o);
	int index;

	switch (o->type) {
	case PS_OPTION_STRING:
		if (strlen(value) < o->min || strlen(value) > o->max ||
		    (o->is_valid != NULL && !o->is_valid(value)))
			return PS_ERR_MALFORMED;
		return string_parse(at, value);
	case PS_OPTION_LIST:
		return option_list(o, value, at);
	case PS_OPTION_BOOL:
	case PS_OPTION_CHOICE:
		index = choice_find(
		    o->type == PS_OPTION_BOOL ? "no yes" : o->choices, value);
		if (index < 0)
			return PS_ERR_MALFORMED;
		if (o->type == PS_OPTION_BOOL)
			*(bool *)at = index == 1;
		else
			*(int *)at = index;
		return PS_OK;
	case PS_OPTION_SET:
		return set_parse(o->choices, value, at);
	case PS_OPTION_COUNT:
	case PS_OPTION_BYTES:
	case PS_OPTION_DURATION:
	case PS_OPTION_MODE:
		return option_number(o, value, at);
	}
	return PS_ERR_MALFORMED;
}

struct ps_config *
ps_config_create(void)
{
	struct ps_config *config = calloc(1, sizeof(*config));
	size_t i;

	if (config == NULL)
		return NULL;
	for (i = 0; i < ps_options_count; i++) {
		if (option_parse(config, &ps_options[i],
			ps_options[i].value) != PS_OK) {
			ps_config_destroy(config);
			return NULL;
		}
	}
	return config;
}

void
ps_config_destroy(struct ps_config *config)
{
	size_t i;

	if (config == NULL)
		return;
	for (i = 0; i < ps_options_count; i++) {
		void *at = field(config, &ps_options[i]);

		if (ps_options[i].type == PS_OPTION_STRING)
			free(*(char **)at);
		else if (ps_options[i].type == PS_OPTION_LIST)
			list_free(at);
	}
	free(config);
}

/* `line` is changed. `where` goes in front of the error's sentence. */
static int
assign(struct ps_config *config, char *line, const char *where, char *error)
{
	char *equals = strchr(line, '='), *name, *value, form[256];
	const struct ps_option *o;
	int ret;

	if (equals == NULL) {
		snprintf(error, PS_CONFIG_ERROR_MAX,
		    "%s: \"%.64s\" is not \"key = value\"", where, line);
		return PS_ERR_MALFORMED;
	}
	*equals = '\0';
	name = trim(line);
	value = trim(equals + 1);
	if ((o = option_find(name)) == NULL) {
		snprintf(error, PS_CONFIG_ERROR_MAX,
		    "%s: unknown option \"%.64s\"", where, name);
		return PS_ERR_MALFORMED;
	}
	if ((ret = option_parse(config, o, value)) == PS_OK)
		return PS_OK;
	describe(o, form, sizeof(form));
	snprintf(error, PS_CONFIG_ERROR_MAX,
	    "%s: \"%.64s\" is no value for %s (%s)", where, value, name, form);
	return ret;
}

int
ps_config_set(struct ps_config *config, const char *assignment, char *error)
{
	char *copy = strdup(assignment);
	int ret = PS_ERR_NOMEM;

	*error = '\0';
	if (copy != NULL)
		ret = assign(config, copy, "--set", error);
	free(copy);
	return ret;
}

int
ps_config_read(struct ps_config *config, const char *path, char *error)
{
	char *line = NULL, *text, where[300];
	size_t size = 0, number = 0;
	int ret = PS_OK;
	FILE *in = fopen(path, "re");

	*error = '\0';
	if (in == NULL) {
		snprintf(error, PS_CONFIG_ERROR_MAX, "cannot open %.256s (%s)",
		    path, strerror(errno));
		return PS_ERR_IO;
	}
	while (ret == PS_OK && getline(&line, &size, in) >= 0) {
		number++;
		text = trim(line);
		if (*text == '\0' || *text == '#')
			continue;
		snprintf(where, sizeof(where), "%.256s:%zu", path, number);
		ret = assign(config, text, where, error);
	}
	if (ret == PS_OK && ferror(in)) {
		snprintf(error, PS_CONFIG_ERROR_MAX, "cannot read %.256s (%s)",
		    path, strerror(errno));
		ret = PS_ERR_IO;
	}
	free(line);
	fclose(in);
	return ret;
}

static const char *
problem(const struct ps_config *c)
{
	if (c->wildcard_dns && *c->public_host == '\0')
		return "wildcard_dns: needs public_host";
	if (c->hold_min > c->hold_max)
		return "hold_min: larger than hold_max";
	if (c->hold_default < c->hold_min || c->hold_default > c->hold_max)
		return "hold_default: not between hold_min and hold_max";
	if (c->ping_timeout <= c->ping_interval)
		return "ping_timeout: not longer than ping_interval";
	if (c->queue_bytes < c->max_message)
		return "queue_bytes: smaller than max_message";
	if (strcmp(c->bridge_socket, c->ws_socket) == 0)
		return "ws_socket: the same as bridge_socket";
	return NULL;
}

int
ps_config_check(const struct ps_config *config, char *error)
{
	const char *text = problem(config);

	snprintf(error, PS_CONFIG_ERROR_MAX, "%s", text == NULL ? "" : text);
	return text == NULL ? PS_OK : PS_ERR_MALFORMED;
}

struct ps_config *
ps_config_load(const char *path, const char *const *assignments, size_t count)
{
	struct ps_config *config = ps_config_create();
	char error[PS_CONFIG_ERROR_MAX] = "out of memory";
	int ret = config == NULL ? PS_ERR_NOMEM : PS_OK;
	size_t i;

	if (ret == PS_OK)
		ret = ps_config_read(config, path, error);
	for (i = 0; ret == PS_OK && i < count; i++)
		ret = ps_config_set(config, assignments[i], error);
	if (ret == PS_OK)
		ret = ps_config_check(config, error);
	if (ret == PS_OK)
		return config;
	ps_error("config: %s", error);
	ps_config_destroy(config);
	return NULL;
}

static size_t
option_size(const struct ps_option *o)
{
	switch (o->type) {
	case PS_OPTION_STRING:
		return sizeof(char *);
	case PS_OPTION_LIST:
		return sizeof(struct ps_list);
	case PS_OPTION_BOOL:
		return sizeof(bool);
	case PS_OPTION_CHOICE:
		return sizeof(int);
	case PS_OPTION_SET:
		return sizeof(unsigned);
	case PS_OPTION_COUNT:
	case PS_OPTION_BYTES:
	case PS_OPTION_DURATION:
	case PS_OPTION_MODE:
		break;
	}
	return sizeof(uint64_t);
}

static bool
list_equal(const struct ps_list *a, const struct ps_list *b)
{
	size_t i;

	if (a->count != b->count)
		return false;
	for (i = 0; i < a->count; i++) {
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	}
	return true;
}

static bool
option_equal(const struct ps_option *o, const void *a, const void *b)
{
	if (o->type == PS_OPTION_STRING)
		return strcmp(*(char *const *)a, *(char *const *)b) == 0;
	if (o->type == PS_OPTION_LIST)
		return list_equal(a, b);
	return memcmp(a, b, option_size(o)) == 0;
}

void
ps_config_take(struct ps_config *config, struct ps_config *next)
{
	char swap[sizeof(struct ps_list)];
	size_t i, size;

	for (i = 0; i < ps_options_count; i++) {
		const struct ps_option *o = &ps_options[i];
		void *to = field(config, o), *from = field(next, o);

		if (option_equal(o, to, from))
			continue;
		if (!o->reloadable) {
			ps_warning("config: %s differs, it takes effect with "
				   "the next start",
			    o->name);
			continue;
		}
		size = option_size(o);
		memcpy(swap, to, size);
		memcpy(to, from, size);
		memcpy(from, swap, size);
	}
	ps_config_destroy(next);
}

static void
print_wrapped(FILE *out, const char *sentence)
{
	size_t column = 0;

	while (*sentence != '\0') {
		size_t len = strcspn(sentence, " ");

		if (column == 0 || column + 1 + len > 76) {
			fprintf(out, "%s#", column == 0 ? "" : "\n");
			column = 1;
		}
		fprintf(out, " %.*s", (int)len, sentence);
		column += 1 + len;
		sentence += len + (sentence[len] == ' ');
	}
	fputc('\n', out);
}

void
ps_config_print_sample(FILE *out)
{
	char form[256];
	size_t i;

	fputs("# Configuration of polysocket: wsbridge and polysocket.fcgi read"
	      " this file.\n"
	      "# Every option is shown with its default; remove the # in front"
	      " to change one.\n"
	      "# Options marked (reload) take effect on SIGHUP, the others with"
	      " the next start.\n",
	    out);
	for (i = 0; i < ps_options_count; i++) {
		const struct ps_option *o = &ps_options[i];

		describe(o, form, sizeof(form));
		fputc('\n', out);
		print_wrapped(out, o->sentence);
		fprintf(out, "# %s%s\n", form,
		    o->reloadable ? " (reload)" : "");
		fprintf(out, "#%s =%s%s\n", o->name,
		    *o->value == '\0' ? "" : " ", o->value);
	}
}
