#include "config.h"

#include "resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "ps_log.h"
#include "ps_network.h"

struct resolution {
	LIST_ENTRY(resolution) all;
	uv_getaddrinfo_t request;
	const struct ps_list *allowed;
	resolver_fn done; /* NULL: cancelled */
	void *owner;
};

/* Those under way. */
static LIST_HEAD(, resolution) resolutions = LIST_HEAD_INITIALIZER(resolutions);

size_t
resolver_count(void)
{
	const struct resolution *resolution;
	size_t count = 0;

	LIST_FOREACH(resolution, &resolutions, all)
		count++;
	return count;
}

/* False when `text` is no address. */
static bool
add(struct resolver_result *result, const char *text,
    const struct ps_list *allowed)
{
	struct ps_address address;

	if (!ps_address_parse(&address, ps_slice_str(text)))
		return false;
	if (!ps_address_is_public(&address) &&
	    !ps_networks_have(allowed, &address)) {
		ps_debug("resolver: %s is refused (neither public nor in "
			 "allow_networks)",
		    text);
		result->refused = true;
	} else if (result->count < RESOLVER_ADDRESSES_MAX) {
		snprintf(result->addresses[result->count++], PS_ADDRESS_MAX,
		    "%s", text);
	}
	return true;
}

bool
resolver_take_address(struct resolver_result *result, const char *host,
    const struct ps_list *allowed)
{
	*result = (struct resolver_result){ 0 };
	return add(result, host, allowed);
}

static void
collect(struct resolver_result *result, const struct addrinfo *info,
    const struct ps_list *allowed)
{
	char text[PS_ADDRESS_MAX];

	for (; info != NULL; info = info->ai_next) {
		if ((info->ai_family == AF_INET &&
			uv_ip4_name((struct sockaddr_in *)info->ai_addr, text,
			    sizeof(text)) == 0) ||
		    (info->ai_family == AF_INET6 &&
			uv_ip6_name((struct sockaddr_in6 *)info->ai_addr, text,
			    sizeof(text)) == 0))
			add(result, text, allowed);
	}
}

static void
on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *info)
{
	struct resolution *resolution = request->data;
	struct resolver_result result = { 0 };

	LIST_REMOVE(resolution, all);
	if (resolution->done != NULL) {
		if (status == 0)
			collect(&result, info, resolution->allowed);
		resolution->done(resolution->owner, &result);
	}
	uv_freeaddrinfo(info);
	free(resolution);
}

struct resolution *
resolver_start(uv_loop_t *loop, const char *host,
    const struct ps_list *allowed, resolver_fn done, void *owner)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct resolution *resolution = calloc(1, sizeof(*resolution));

	if (resolution == NULL)
		return NULL;
	resolution->allowed = allowed;
	resolution->done = done;
	resolution->owner = owner;
	resolution->request.data = resolution;
	if (uv_getaddrinfo(loop, &resolution->request, on_resolved, host, NULL,
		&hints) != 0) {
		free(resolution);
		return NULL;
	}
	LIST_INSERT_HEAD(&resolutions, resolution, all);
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
