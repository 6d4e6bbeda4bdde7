/*
 * Where an upstream connects to, and the handshake it sends there: what is
 * needed of a create until the connection is open, and no longer.
 */
#ifndef TARGET_H
#define TARGET_H

#include "ps_code.h"
#include "ps_ipc.h"
#include "wsbridge/base/resolver.h"

struct target {
	bool tls;
	uint16_t port;
	char *host, *path, *origin, *protocols; /* owned; "" for none */
	char protocol[PS_PROTOCOLS_MAX + 1];	/* that the target chose */
	struct resolver_result addresses;
	size_t next; /* address to be tried */
	struct resolution *resolution;
	bool handshake_sent;  /* in the last attempt */
	enum ps_code failure; /* of the attempt that came furthest */
	int http_status;      /* the target's answer to it, or 0 */
};

/* NULL when memory is out. */
struct target *target_create(const struct ps_ipc_create *m);
void target_free(struct target *target); /* NULL is fine */

/* "[" IPv6 "]:65535" or name and port. */
#define TARGET_HOST_HEADER_MAX (PS_HOST_MAX + 9)
/*
 * The Host header: without the port where it is the scheme's default, and with
 * TLS without a final dot of the name.
 */
void target_host_header(const struct target *target, char *out);

/*
 * Appends the request's headers that libwebsockets does not make itself to
 * `*p`, where `len` bytes are free. Nonzero when they do not fit.
 */
int target_append_headers(struct target *target, char **p, size_t len);

#endif
