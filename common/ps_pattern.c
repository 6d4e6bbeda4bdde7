#include "config.h"

#include "ps_pattern.h"

#include <stdlib.h>
#include <strings.h>

#include "ps_limits.h"

static const char *const schemes[PS_PATTERN__COUNT][2] = {
	[PS_PATTERN_TARGET] = { "ws", "wss" },
	[PS_PATTERN_CALLBACK] = { "http", "https" },
};

static bool
scheme_is_allowed(enum ps_pattern_kind kind, struct ps_slice scheme)
{
	return kind == PS_PATTERN_ORIGIN ||
	    ps_slice_is(scheme, schemes[kind][0]) ||
	    ps_slice_is(scheme, schemes[kind][1]);
}

static const char *
parse_scheme(struct ps_pattern *p, enum ps_pattern_kind kind, const char *text)
{
	const char *end = strstr(text, "://");

	if (end == NULL || end == text)
		return NULL;
	p->scheme = ps_slice(text, (size_t)(end - text));
	p->any_scheme = ps_slice_is(p->scheme, "*");
	if (!p->any_scheme && !scheme_is_allowed(kind, p->scheme))
		return NULL;
	return end + 3;
}

static const char *
parse_host(struct ps_pattern *p, const char *text)
{
	size_t len;

	if (*text == '[') {
		text++;
		len = strcspn(text, "]");
		if (text[len] != ']')
			return NULL;
		p->host = ps_slice(text, len);
		text += len + 1;
	} else {
		len = strcspn(text, ":/?#");
		p->host = ps_slice(text, len);
		text += len;
	}
	if (p->host.len == 0 || p->host.len > PS_HOST_MAX)
		return NULL;
	/* A star stands alone or for whole labels in front. */
	if (memchr(p->host.data + 1, '*', p->host.len - 1) != NULL ||
	    (p->host.data[0] == '*' && p->host.len > 1 &&
		(p->host.data[1] != '.' || p->host.len == 2)))
		return NULL;
	return text;
}

static const char *
parse_port(struct ps_pattern *p, const char *text)
{
	unsigned long port;
	char *end;

	if (*text != ':')
		return text;
	text++;
	if (*text == '*') {
		p->any_port = true;
		return text + 1;
	}
	if (*text < '0' || *text > '9')
		return NULL;
	port = strtoul(text, &end, 10);
	if (port < 1 || port > 65535)
		return NULL;
	p->port = (uint16_t)port;
	return end;
}

static int
parse(struct ps_pattern *p, enum ps_pattern_kind kind)
{
	const char *text = p->text, *star;

	if (kind == PS_PATTERN_ORIGIN) {
		p->any_origin = strcmp(text, "*") == 0;
		p->null_origin = strcmp(text, "null") == 0;
		if (p->any_origin || p->null_origin)
			return PS_OK;
	}
	if ((text = parse_scheme(p, kind, text)) == NULL ||
	    (text = parse_host(p, text)) == NULL ||
	    (text = parse_port(p, text)) == NULL)
		return PS_ERR_MALFORMED;
	p->path = ps_slice_str(text);
	p->any_path = p->path.len == 0;
	if (!p->any_path && (*text != '/' || kind == PS_PATTERN_ORIGIN))
		return PS_ERR_MALFORMED;
	star = strchr(text, '*');
	return star == NULL || star[1] == '\0' ? PS_OK : PS_ERR_MALFORMED;
}

int
ps_pattern_init(struct ps_pattern *p, enum ps_pattern_kind kind,
    const char *text)
{
	int ret;

	*p = (struct ps_pattern){ .text = strdup(text) };
	if (p->text == NULL)
		return PS_ERR_NOMEM;
	if ((ret = parse(p, kind)) != PS_OK)
		ps_pattern_deinit(p);
	return ret;
}

void
ps_pattern_deinit(struct ps_pattern *p)
{
	free(p->text);
	p->text = NULL;
}

static bool
host_matches(struct ps_slice pattern, const char *host, size_t len)
{
	if (len > 0 && host[len - 1] == '.')
		len--;
	if (pattern.len > 0 && pattern.data[pattern.len - 1] == '.')
		pattern.len--;
	if (pattern.data[0] == '*') {
		if (pattern.len == 1)
			return true;
		pattern.data++;
		pattern.len--;
		if (len <= pattern.len)
			return false;
		host += len - pattern.len;
		len = pattern.len;
	}
	return len == pattern.len &&
	    strncasecmp(host, pattern.data, len) == 0;
}

static bool
path_matches(struct ps_slice pattern, const char *path)
{
	size_t len = pattern.len;

	if (pattern.data[len - 1] == '*')
		return strncmp(path, pattern.data, len - 1) == 0;
	return ps_slice_is(pattern, path);
}

static uint16_t
default_port(struct ps_slice scheme)
{
	if (ps_slice_is(scheme, "ws") || ps_slice_is(scheme, "http"))
		return 80;
	return ps_slice_is(scheme, "wss") || ps_slice_is(scheme, "https") ? 443 :
									    0;
}

static bool
authority_matches(const struct ps_pattern *p, struct ps_slice scheme,
    struct ps_slice host, uint16_t port)
{
	if (!p->any_scheme &&
	    (p->scheme.len != scheme.len ||
		memcmp(p->scheme.data, scheme.data, scheme.len) != 0))
		return false;
	if (!p->any_port &&
	    port != (p->port == 0 ? default_port(scheme) : p->port))
		return false;
	return host_matches(p->host, host.data, host.len);
}

bool
ps_pattern_matches_target(const struct ps_pattern *p,
    const struct ps_target *target)
{
	return authority_matches(p, ps_slice_str(target->tls ? "wss" : "ws"),
		   ps_slice_str(target->host), target->port) &&
	    (p->any_path || path_matches(p->path, target->path));
}

/* Splits what ps_origin_from_header() gave; its port may be any text. */
bool
ps_pattern_matches_origin(const struct ps_pattern *p, struct ps_slice origin)
{
	char copy[PS_ORIGIN_MAX + 1], *host, *port, *end;
	struct ps_slice scheme;
	unsigned long number;

	if (p->any_origin || p->null_origin)
		return p->any_origin || ps_slice_is(origin, "null");
	if (origin.len > PS_ORIGIN_MAX)
		return false;
	memcpy(copy, origin.data, origin.len);
	copy[origin.len] = '\0';
	if ((host = strstr(copy, "://")) == NULL)
		return false;
	scheme = ps_slice(copy, (size_t)(host - copy));
	host += 3;
	number = default_port(scheme);
	end = host + strcspn(host, *host == '[' ? "]" : ":");
	if (*host == '[') {
		host++;
		port = *end == ']' ? end + 1 : end;
	} else {
		port = end;
	}
	if (*port == ':') {
		number = strtoul(port + 1, &port, 10);
		if (number < 1 || number > 65535)
			return false;
	}
	return *port == '\0' &&
	    authority_matches(p, scheme, ps_slice(host, (size_t)(end - host)),
		(uint16_t)number);
}
