#include "config.h"

#include "target.h"

#include <stdio.h>
#include <stdlib.h>

static char *
copy_text(struct ps_slice text)
{
	return strndup(text.data == NULL ? "" : text.data, text.len);
}

struct target *
target_create(const struct ps_ipc_create *m)
{
	struct target *target = calloc(1, sizeof(*target));

	if (target == NULL)
		return NULL;
	target->tls = m->tls;
	target->port = m->port;
	target->failure = PS_CODE_CONNECT_REFUSED;
	target->host = copy_text(m->host);
	target->path = copy_text(m->path);
	target->origin = copy_text(m->origin);
	target->protocols = copy_text(m->protocols);
	if (target->host == NULL || target->path == NULL ||
	    target->origin == NULL || target->protocols == NULL) {
		target_free(target);
		return NULL;
	}
	return target;
}

void
target_free(struct target *target)
{
	if (target == NULL)
		return;
	resolver_cancel(target->resolution);
	free(target->host);
	free(target->path);
	free(target->origin);
	free(target->protocols);
	free(target);
}

void
target_host_header(const struct target *target, char *out)
{
	bool is_ipv6 = strchr(target->host, ':') != NULL;
	int name = (int)strlen(target->host), len;

	/* What libwebsockets compares with the certificate and sends as SNI,
	 * which has no final dot (RFC 6066, section 3). */
	if (target->tls && name > 0 && target->host[name - 1] == '.')
		name--;
	len = snprintf(out, TARGET_HOST_HEADER_MAX, is_ipv6 ? "[%.*s]" : "%.*s",
	    name, target->host);

	if (target->port != (target->tls ? 443 : 80))
		snprintf(out + len, TARGET_HOST_HEADER_MAX - (size_t)len,
		    ":%u", target->port);
}

static int
append_header(const char *name, const char *value, char **p, const char *end)
{
	int room = (int)(end - *p);
	int len = snprintf(*p, (size_t)room, "%s: %s\r\n", name, value);

	if (len >= room)
		return -1;
	*p += len;
	return 0;
}

int
target_append_headers(struct target *target, char **p, size_t len)
{
	const char *end = *p + len;

	target->handshake_sent = true;
	if (append_header("User-Agent", "polysocket/" PACKAGE_VERSION, p, end))
		return -1;
	if (*target->origin == '\0')
		return 0;
	return append_header("Origin", target->origin, p, end);
}
