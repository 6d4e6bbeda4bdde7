/*
 * The first line of the input is a target and an origin, the rest a pattern.
 * What is accepted goes into a handshake: nothing in it may end a line or look
 * like another part of a URL.
 */
#include "config.h"

#include "fuzz.h"

#include "ps_pattern.h"
#include "ps_url.h"

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
check_again(const struct ps_target *target)
{
	static char url[PS_TARGET_MAX + 512];
	static struct ps_target again;
	bool v6 = strchr(target->host, ':') != NULL;

	snprintf(url, sizeof(url), "%s://%s%s%s:%u%s",
	    target->tls ? "wss" : "ws", v6 ? "[" : "", target->host,
	    v6 ? "]" : "", target->port, target->path);
	if (strlen(url) >= PS_TARGET_MAX)
		return;
	require(ps_target_parse(&again, ps_slice_str(url)) == NULL);
	require(again.tls == target->tls && again.port == target->port);
	require(strcmp(again.host, target->host) == 0);
	require(strcmp(again.path, target->path) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct ps_target target;
	static char text[1024];
	const uint8_t *line_end = len == 0 ? NULL : memchr(data, '\n', len);
	size_t line = line_end == NULL ? len : (size_t)(line_end - data);
	size_t rest = line_end == NULL ? 0 : len - line - 1, i;
	struct ps_slice url = ps_slice((const char *)data, line), origin;
	bool good = ps_target_parse(&target, url) == NULL;
	struct ps_pattern pattern;

	if (good) {
		check_target(&target);
		check_again(&target);
	}
	origin = ps_origin_from_header(url);
	require(origin.len <= url.len && origin.len <= PS_ORIGIN_MAX);
	for (i = 0; i < origin.len; i++)
		require((unsigned char)origin.data[i] > 0x20 &&
		    origin.data[i] != '"');
	if (rest > 0 && rest < sizeof(text)) {
		memcpy(text, line_end + 1, rest);
		text[rest] = '\0';
		if (ps_pattern_init(&pattern, PS_PATTERN_TARGET, text) ==
		    PS_OK) {
			if (good)
				(void)ps_pattern_matches_target(&pattern,
				    &target);
			ps_pattern_deinit(&pattern);
		}
	}
	return 0;
}
