/*
 * The first line of the input is a target, a callback and an origin, the rest a
 * pattern or a network.
 * What is accepted goes into a handshake or a request: nothing in it may end a
 * line or look like another part of a URL.
 */
#include "config.h"

#include "fuzz.h"

#include "ps_network.h"
#include "ps_pattern.h"
#include "ps_url.h"

/* Targets and callbacks. */
static const struct kind {
	const char *(*parse)(struct ps_target *target, struct ps_slice url);
	bool (*matches)(const struct ps_pattern *pattern,
	    const struct ps_target *target);
	enum ps_pattern_kind pattern;
	const char *schemes[2];
	size_t max;
} kinds[] = {
	{ ps_target_parse, ps_pattern_matches_target, PS_PATTERN_TARGET,
	    { "ws", "wss" }, PS_TARGET_MAX - 1 },
	{ ps_callback_parse, ps_pattern_matches_callback, PS_PATTERN_CALLBACK,
	    { "http", "https" }, PS_CALLBACK_URL_MAX },
};

static void
check_target(const struct ps_target *target)
{
	const char *p;

	require(target->port != 0);
	require(target->host[0] != '\0');
	require(target->path[0] == '/');
	for (p = target->host; *p != '\0'; p++)
		require((unsigned char)*p > 0x20 && *p != 0x7f &&
		    strchr("/?#@[]\\", *p) == NULL);
	for (p = target->path; *p != '\0'; p++)
		require((unsigned char)*p > 0x20 && *p != 0x7f && *p != '#');
}

/* What was taken apart and is put together again is the same target. */
static void
check_again(const struct kind *kind, const struct ps_target *target)
{
	static char url[PS_TARGET_MAX + 512];
	static struct ps_target again;
	bool v6 = strchr(target->host, ':') != NULL;

	snprintf(url, sizeof(url), "%s://%s%s%s:%u%s",
	    kind->schemes[target->tls], v6 ? "[" : "", target->host,
	    v6 ? "]" : "", target->port, target->path);
	if (strlen(url) > kind->max)
		return;
	require(kind->parse(&again, ps_slice_str(url)) == NULL);
	require(again.tls == target->tls && again.port == target->port);
	require(strcmp(again.host, target->host) == 0);
	require(strcmp(again.path, target->path) == 0);
}

/* A target is covered by the pattern that names it, and by that of all. */
static void
check_own_pattern(const struct kind *kind, const struct ps_target *target)
{
	bool v6 = strchr(target->host, ':') != NULL;
	struct ps_pattern pattern;
	char text[512];

	snprintf(text, sizeof(text), "%s://%s%s%s:%u",
	    kind->schemes[target->tls], v6 ? "[" : "", target->host,
	    v6 ? "]" : "", target->port);
	require(ps_pattern_init(&pattern, kind->pattern, text) == PS_OK);
	require(kind->matches(&pattern, target));
	ps_pattern_deinit(&pattern);
	require(ps_pattern_init(&pattern, kind->pattern, "*://*:*") == PS_OK);
	require(kind->matches(&pattern, target));
	ps_pattern_deinit(&pattern);
}

static void
check_origin(struct ps_slice origin)
{
	struct ps_pattern pattern;
	char text[PS_ORIGIN_MAX + 1];
	size_t i;

	for (i = 0; i < origin.len; i++)
		require((unsigned char)origin.data[i] > 0x20 &&
		    origin.data[i] != '"');
	memcpy(text, origin.data, origin.len);
	text[origin.len] = '\0';
	if (strchr(text, '*') != NULL ||
	    ps_pattern_init(&pattern, PS_PATTERN_ORIGIN, text) != PS_OK)
		return;
	require(ps_pattern_matches_origin(&pattern, origin));
	ps_pattern_deinit(&pattern);
}

static bool
is_of_host(const struct ps_pattern *pattern, const char *host)
{
	size_t len = strlen(host), own = strlen(pattern->host);

	len -= host[len - 1] == '.';
	return len >= own && (pattern->subdomains ? len > own : len == own) &&
	    memcmp(host + len - own, pattern->host, own) == 0;
}

static void
check_pattern(const struct kind *kind, const char *text,
    const struct ps_target *target)
{
	struct ps_pattern pattern;

	if (ps_pattern_init(&pattern, kind->pattern, text) != PS_OK)
		return;
	if (kind->matches(&pattern, target) && pattern.host != NULL)
		require(is_of_host(&pattern, target->host));
	ps_pattern_deinit(&pattern);
}

static void
check_origin_pattern(const char *text, struct ps_slice origin)
{
	struct ps_pattern pattern;

	if (ps_pattern_init(&pattern, PS_PATTERN_ORIGIN, text) != PS_OK)
		return;
	if (origin.len > 0)
		(void)ps_pattern_matches_origin(&pattern, origin);
	ps_pattern_deinit(&pattern);
}

/* A network has the address in front of its slash. */
static void
check_network(char *text)
{
	char *items[] = { text };
	const struct ps_list list = { items, 1 };
	struct ps_address address;

	if (!ps_network_is_valid(text))
		return;
	require(ps_address_parse(&address,
	    ps_slice(text, strcspn(text, "/"))));
	(void)ps_address_is_public(&address);
	if (strchr(text, ':') == NULL)
		require(ps_networks_have(&list, &address));
}

/* `text` is empty where there is no second line. */
static void
check_url(const struct kind *kind, struct ps_slice url, const char *text)
{
	static struct ps_target target;

	if (kind->parse(&target, url) != NULL)
		return;
	check_target(&target);
	check_again(kind, &target);
	check_own_pattern(kind, &target);
	check_pattern(kind, text, &target);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char text[PS_PATTERN_MAX + 2];
	const uint8_t *line_end = len == 0 ? NULL : memchr(data, '\n', len);
	size_t line = line_end == NULL ? len : (size_t)(line_end - data);
	size_t rest = line_end == NULL ? 0 : len - line - 1, i;
	struct ps_slice url = ps_slice((const char *)data, line), origin;

	if (rest >= sizeof(text))
		rest = 0;
	if (rest > 0)
		memcpy(text, line_end + 1, rest);
	text[rest] = '\0';
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		check_url(&kinds[i], url, text);
	origin = ps_origin_from_header(url);
	require(origin.len <= url.len && origin.len <= PS_ORIGIN_MAX);
	if (origin.len > 0)
		check_origin(origin);
	check_origin_pattern(text, origin);
	check_network(text);
	return 0;
}
