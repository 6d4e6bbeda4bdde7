#include "config.h"

#include "ps_pattern.h"

#include <ctype.h>
#include <stdlib.h>

#include "ps_limits.h"

static const char *const schemes[PS_PATTERN__COUNT][2] = {
	[PS_PATTERN_TARGET] = { "ws", "wss" },
	[PS_PATTERN_CALLBACK] = { "http", "https" },
};

/* Of an origin: RFC 3986, section 3.1, but in lower case. */
static bool
is_scheme(struct ps_slice text)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz";
	static const char others[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-";

	return strspn(text.data, others) == text.len &&
	    strspn(text.data, first) > 0;
}

static bool
scheme_is_allowed(enum ps_pattern_kind kind, struct ps_slice scheme)
{
	if (kind == PS_PATTERN_ORIGIN)
		return is_scheme(scheme);
	return ps_slice_is(scheme, schemes[kind][0]) ||
	    ps_slice_is(scheme, schemes[kind][1]);
}

static int
take_scheme(struct ps_pattern *p, enum ps_pattern_kind kind, const char **text)
{
	const char *end = strstr(*text, "://");

	if (end == NULL)
		return PS_ERR_MALFORMED;
	p->scheme = ps_slice(*text, (size_t)(end - *text));
	p->any_scheme = ps_slice_is(p->scheme, "*");
	if (!p->any_scheme && !scheme_is_allowed(kind, p->scheme))
		return PS_ERR_MALFORMED;
	*text = end + 3;
	return PS_OK;
}

/* Up to the port or the path. */
static struct ps_slice
take_host_text(const char **text)
{
	const char *start = *text;

	if (*start == '[') {
		*text += strcspn(start, "]");
		*text += **text == ']';
	} else {
		*text += strcspn(start, ":/");
	}
	return ps_slice(start, (size_t)(*text - start));
}

static int
take_host(struct ps_pattern *p, const char **text)
{
	struct ps_slice name = take_host_text(text);
	char host[PS_HOST_MAX + 1];
	size_t len;
	int ret;

	if (ps_slice_is(name, "*"))
		return PS_OK;
	if (name.len > 2 && name.data[0] == '*' && name.data[1] == '.') {
		p->subdomains = true;
		name = ps_slice(name.data + 2, name.len - 2);
		/* An address has no labels. */
		if (*name.data == '[' ||
		    strspn(name.data, "0123456789.") >= name.len)
			return PS_ERR_MALFORMED;
	}
	if ((ret = ps_host_parse(host, name)) != PS_OK)
		return ret == PS_ERR_NOMEM ? ret : PS_ERR_MALFORMED;
	len = strlen(host);
	if (host[len - 1] == '.')
		host[len - 1] = '\0';
	p->host = strdup(host);
	return p->host == NULL ? PS_ERR_NOMEM : PS_OK;
}

/* Digits up to 65535, which are at least one. */
static int
take_port_number(uint16_t *port_r, const char **text)
{
	unsigned long number;
	char *end;

	if (!isdigit((unsigned char)**text))
		return PS_ERR_MALFORMED;
	number = strtoul(*text, &end, 10);
	if (number < 1 || number > 65535)
		return PS_ERR_MALFORMED;
	*port_r = (uint16_t)number;
	*text = end;
	return PS_OK;
}

static int
take_port(struct ps_pattern *p, const char **text)
{
	if (**text != ':')
		return PS_OK;
	p->any_port = (*text)[1] == '*';
	*text += 1 + p->any_port;
	return p->any_port ? PS_OK : take_port_number(&p->port, text);
}

static int
take_path(struct ps_pattern *p, enum ps_pattern_kind kind, const char *text)
{
	size_t star = strcspn(text, "*");

	p->path = ps_slice_str(text);
	p->any_path = p->path.len == 0 || ps_slice_is(p->path, "/*");
	if (p->path.len == 0)
		return PS_OK;
	if (kind == PS_PATTERN_ORIGIN || *text != '/' ||
	    strchr(text, '#') != NULL)
		return PS_ERR_MALFORMED;
	return star + 1 >= p->path.len ? PS_OK : PS_ERR_MALFORMED;
}

static bool
is_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text <= 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

static int
parse(struct ps_pattern *p, enum ps_pattern_kind kind)
{
	const char *text = p->text;
	int ret;

	if (strlen(text) > PS_PATTERN_MAX || !is_printable(text))
		return PS_ERR_MALFORMED;
	if (kind == PS_PATTERN_ORIGIN) {
		p->any_origin = strcmp(text, "*") == 0;
		p->null_origin = strcmp(text, "null") == 0;
		if (p->any_origin || p->null_origin)
			return PS_OK;
	}
	if ((ret = take_scheme(p, kind, &text)) != PS_OK ||
	    (ret = take_host(p, &text)) != PS_OK ||
	    (ret = take_port(p, &text)) != PS_OK)
		return ret;
	return take_path(p, kind, text);
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
	free(p->host);
	*p = (struct ps_pattern){ 0 };
}

static bool
host_matches(const struct ps_pattern *p, const char *host)
{
	size_t len = strlen(host), own;

	if (p->host == NULL)
		return true;
	own = strlen(p->host);
	if (host[len - 1] == '.')
		len--;
	if (p->subdomains ? len < own + 2 || host[len - own - 1] != '.' :
			    len != own)
		return false;
	return memcmp(host + len - own, p->host, own) == 0;
}

/*
 * The next octet of a path; those that are escaped, and those that a URL can
 * only have escaped, are others than the same ones as they are (RFC 3986,
 * section 2.2).
 */
static unsigned
take_octet(struct ps_slice *path)
{
	unsigned octet = (unsigned char)path->data[0];
	char hex[3] = "";
	size_t len = 1;

	if (octet == '%' && path->len >= 3 &&
	    isxdigit((unsigned char)path->data[1]) &&
	    isxdigit((unsigned char)path->data[2])) {
		memcpy(hex, path->data + 1, 2);
		octet = 0x100 | (unsigned)strtoul(hex, NULL, 16);
		len = 3;
	} else if (octet >= 0x80) {
		octet |= 0x100;
	}
	*path = ps_slice(path->data + len, path->len - len);
	return octet;
}

/* Where some server ends a segment: NUL is one of them. */
static bool
ends_segment(unsigned octet)
{
	return strchr("/\\;", (int)octet) != NULL;
}

/* Whether some server may take a segment of the path for "..". */
static bool
path_climbs(const char *text)
{
	struct ps_slice path = ps_slice(text, strcspn(text, "?"));
	size_t n_dots = 0, len = 0;
	unsigned octet;

	while (path.len > 0) {
		octet = take_octet(&path) & 0xff;
		if (ends_segment(octet)) {
			if (n_dots == 2 && len == 2)
				return true;
			n_dots = len = 0;
			continue;
		}
		n_dots += octet == '.';
		len++;
	}
	return n_dots == 2 && len == 2;
}

static bool
path_matches(struct ps_slice pattern, const char *text)
{
	struct ps_slice path = ps_slice_str(text);
	bool is_prefix = pattern.data[pattern.len - 1] == '*';

	if (is_prefix && path_climbs(text))
		return false;
	pattern.len -= is_prefix;
	while (pattern.len > 0 && path.len > 0) {
		if (take_octet(&pattern) != take_octet(&path))
			return false;
	}
	return pattern.len == 0 && (is_prefix || path.len == 0);
}

static uint16_t
default_port(struct ps_slice scheme)
{
	if (ps_slice_is(scheme, "ws") || ps_slice_is(scheme, "http"))
		return 80;
	if (ps_slice_is(scheme, "wss") || ps_slice_is(scheme, "https"))
		return 443;
	return 0;
}

static bool
authority_matches(const struct ps_pattern *p, struct ps_slice scheme,
    const char *host, uint16_t port)
{
	if (!p->any_scheme &&
	    (p->scheme.len != scheme.len ||
		memcmp(p->scheme.data, scheme.data, scheme.len) != 0))
		return false;
	if (!p->any_port &&
	    port != (p->port == 0 ? default_port(scheme) : p->port))
		return false;
	return host_matches(p, host);
}

static bool
url_matches(const struct ps_pattern *p, const struct ps_target *target,
    enum ps_pattern_kind kind)
{
	return authority_matches(p, ps_slice_str(schemes[kind][target->tls]),
		   target->host, target->port) &&
	    (p->any_path || path_matches(p->path, target->path));
}

bool
ps_pattern_matches_target(const struct ps_pattern *p,
    const struct ps_target *target)
{
	return url_matches(p, target, PS_PATTERN_TARGET);
}

bool
ps_pattern_matches_callback(const struct ps_pattern *p,
    const struct ps_target *target)
{
	return url_matches(p, target, PS_PATTERN_CALLBACK);
}

static bool
split_origin(const char *text, struct ps_slice *scheme, char *host,
    uint16_t *port)
{
	const char *end = strstr(text, "://");

	if (end == NULL)
		return false;
	*scheme = ps_slice(text, (size_t)(end - text));
	*port = default_port(*scheme);
	text = end + 3;
	if (ps_host_parse(host, take_host_text(&text)) != PS_OK)
		return false;
	if (*text == ':') {
		text++;
		if (take_port_number(port, &text) != PS_OK)
			return false;
	}
	return *text == '\0';
}

/* Browsers send an origin in the one form it has; others may not. */
bool
ps_pattern_matches_origin(const struct ps_pattern *p, struct ps_slice origin)
{
	char copy[PS_ORIGIN_MAX + 1], host[PS_HOST_MAX + 1];
	struct ps_slice scheme;
	uint16_t port;
	size_t i;

	if (p->any_origin || p->null_origin)
		return p->any_origin || ps_slice_is(origin, "null");
	if (origin.len > PS_ORIGIN_MAX)
		return false;
	for (i = 0; i < origin.len; i++)
		copy[i] = (char)tolower((unsigned char)origin.data[i]);
	copy[i] = '\0';
	return split_origin(copy, &scheme, host, &port) &&
	    authority_matches(p, scheme, host, port);
}

int
ps_channel_pattern_init(struct ps_channel_pattern *p, const char *text,
			unsigned rights)
{
	size_t len = strlen(text), star = strcspn(text, "*"), i;

	*p = (struct ps_channel_pattern){ .len = star, .rights = rights };
	p->is_prefix = star < len;
	if (len == 0 || len > PS_CHANNEL_MAX || star + p->is_prefix < len)
		return PS_ERR_MALFORMED;
	for (i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return PS_ERR_MALFORMED;
	}
	p->text = strdup(text);
	return p->text == NULL ? PS_ERR_NOMEM : PS_OK;
}

void
ps_channel_pattern_deinit(struct ps_channel_pattern *p)
{
	free(p->text);
	*p = (struct ps_channel_pattern){ 0 };
}

bool
ps_channel_pattern_matches(const struct ps_channel_pattern *p,
			   struct ps_slice name)
{
	return (p->is_prefix ? name.len >= p->len : name.len == p->len) &&
	       memcmp(name.data, p->text, p->len) == 0;
}
