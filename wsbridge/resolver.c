#include "config.h"

#include "resolver.h"

#include <stdlib.h>
#include <string.h>

struct resolution {
	uv_getaddrinfo_t request;
	resolver_fn done; /* NULL: cancelled */
	void *owner;
};

static size_t n_resolutions;

size_t
resolver_count(void)
{
	return n_resolutions;
}

bool
resolver_is_address(const char *host)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return uv_inet_pton(AF_INET, host, bytes) == 0 ||
	    uv_inet_pton(AF_INET6, host, bytes) == 0;
}

static void
collect(struct resolver_result *result, const struct addrinfo *info)
{
	char *text;

	for (; info != NULL && result->count < RESOLVER_ADDRESSES_MAX;
	     info = info->ai_next) {
		text = result->addresses[result->count];
		if ((info->ai_family == AF_INET &&
			uv_ip4_name((struct sockaddr_in *)info->ai_addr, text,
			    PS_ADDRESS_MAX) == 0) ||
		    (info->ai_family == AF_INET6 &&
			uv_ip6_name((struct sockaddr_in6 *)info->ai_addr,
			    text, PS_ADDRESS_MAX) == 0))
			result->count++;
	}
}

static void
on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *info)
{
	struct resolution *resolution = request->data;
	struct resolver_result result = { 0 };

	n_resolutions--;
	if (status == 0)
		collect(&result, info);
	uv_freeaddrinfo(info);
	if (resolution->done != NULL)
		resolution->done(resolution->owner, &result);
	free(resolution);
}

struct resolution *
resolver_start(uv_loop_t *loop, const char *host, resolver_fn done,
    void *owner)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct resolution *resolution = calloc(1, sizeof(*resolution));

	if (resolution == NULL)
		return NULL;
	resolution->done = done;
	resolution->owner = owner;
	resolution->request.data = resolution;
	if (uv_getaddrinfo(loop, &resolution->request, on_resolved, host, NULL,
		&hints) != 0) {
		free(resolution);
		return NULL;
	}
	n_resolutions++;
	return resolution;
}

void
resolver_cancel(struct resolution *resolution)
{
	if (resolution == NULL)
		return;
	/* A look-up under way cannot be stopped; its end then frees it. */
	resolution->done = NULL;
	uv_cancel((uv_req_t *)&resolution->request);
}
