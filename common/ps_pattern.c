#include "config.h"

#include "ps_pattern.h"

#include <stdlib.h>
#include <strings.h>

static const char *
parse_scheme(struct ps_pattern *p, const char *text)
{
	if (strncmp(text, "*://", 4) == 0) {
		p->any_scheme = true;
		return text + 4;
	}
	if (strncmp(text, "ws://", 5) == 0)
		return text + 5;
	if (strncmp(text, "wss://", 6) == 0) {
		p->tls = true;
		return text + 6;
	}
	return NULL;
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

int
ps_pattern_parse(struct ps_pattern *p, const char *text)
{
	const char *star;

	*p = (struct ps_pattern){ 0 };
	if ((text = parse_scheme(p, text)) == NULL ||
	    (text = parse_host(p, text)) == NULL ||
	    (text = parse_port(p, text)) == NULL)
		return PS_ERR_MALFORMED;
	p->path = ps_slice_str(text);
	p->any_path = p->path.len == 0;
	if (!p->any_path && *text != '/')
		return PS_ERR_MALFORMED;
	star = strchr(text, '*');
	if (star != NULL && star[1] != '\0')
		return PS_ERR_MALFORMED;
	return PS_OK;
}

static bool
host_matches(struct ps_slice pattern, const char *host)
{
	size_t len = strlen(host);

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

bool
ps_pattern_matches(const struct ps_pattern *p, const struct ps_target *target)
{
	uint16_t port = p->port;

	if (!p->any_scheme && p->tls != target->tls)
		return false;
	if (port == 0)
		port = target->tls ? 443 : 80;
	if (!p->any_port && port != target->port)
		return false;
	return host_matches(p->host, target->host) &&
	    (p->any_path || path_matches(p->path, target->path));
}
