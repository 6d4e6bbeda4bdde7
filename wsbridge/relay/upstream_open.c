/* The way to a target: its name, its addresses one after the other, and what it
 * answers to the handshake. */
#include "config.h"

#include "upstream_state.h"

#include <stdlib.h>

#include "ps_log.h"
#include "target.h"
#include "wsbridge/websocket/websocket.h"

static void
fail(struct upstream *upstream, enum ps_code code, int http_status)
{
	struct session *session = upstream->session;

	upstream->session = NULL;
	if (session != NULL) {
		session_set_peer(session, NULL, NULL);
		session_open_failed(session, code, http_status);
	}
	upstream_free_when_alone(upstream);
}

static bool
start_attempt(struct upstream *upstream, const char *address)
{
	struct target *target = upstream->target;
	struct websocket *websocket = upstream->bridge->websocket;
	char host[TARGET_HOST_HEADER_MAX];
	struct lws_client_connect_info info = {
		.context = websocket->context,
		.vhost = websocket->targets,
		.address = address,
		.port = target->port,
		.path = target->path,
		.host = host,
		.protocol = *target->protocols == '\0' ? NULL :
							 target->protocols,
		.local_protocol_name = UPSTREAM_PROTOCOL,
		.ietf_version_or_minus_one = -1,
		.alpn = "http/1.1",
		.userdata = upstream,
		.opaque_user_data = &upstream->terms,
		.pwsi = &upstream->wsi,
		.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT |
		    (target->tls ? LCCSCF_USE_SSL : 0),
	};

	target_host_header(target, host);
	target->handshake_sent = false;
	upstream->attempting = true;
	if (lws_client_connect_via_info(&info) == NULL)
		upstream->wsi = NULL;
	upstream->attempting = false;
	return upstream->wsi != NULL;
}

void
upstream_connect_next(struct upstream *upstream)
{
	struct target *target = upstream->target;

	upstream->phase = PHASE_CONNECTING;
	upstream_set_timer(upstream,
	    upstream->bridge->config->connect_timeout /
		target->addresses.count);
	while (upstream->session != NULL &&
	    target->next < target->addresses.count) {
		if (start_attempt(upstream,
			target->addresses.addresses[target->next++]))
			return;
	}
	fail(upstream, target->failure, target->http_status);
}

static void
connect_first(struct upstream *upstream)
{
	const struct resolver_result *result = &upstream->target->addresses;

	if (result->count > 0)
		upstream_connect_next(upstream);
	else
		fail(upstream,
		    result->refused ? PS_CODE_ADDRESS_REFUSED :
				      PS_CODE_DNS_FAILURE,
		    0);
}

static void
on_resolved(void *owner, const struct resolver_result *result)
{
	struct upstream *upstream = owner;

	upstream->target->resolution = NULL;
	upstream->target->addresses = *result;
	connect_first(upstream);
}

void
upstream_resolve(struct upstream *upstream)
{
	struct target *target = upstream->target;
	const struct ps_list *allowed =
	    &upstream->bridge->config->allow_networks;

	if (resolver_take_address(&target->addresses, target->host, allowed)) {
		connect_first(upstream);
		return;
	}
	target->resolution = resolver_start(upstream->bridge->loop,
	    target->host, allowed, on_resolved, upstream);
	if (target->resolution == NULL)
		fail(upstream, PS_CODE_DNS_FAILURE, 0);
}

void
upstream_on_connection_error(struct upstream *upstream, struct lws *wsi,
    const char *text)
{
	struct target *target = upstream->target;

	if (target == NULL)
		return;
	if (target->handshake_sent)
		target->http_status = (int)lws_http_client_http_response(wsi);
	ps_debug("upstream: %s:%u: attempt failed (%s)", target->host,
	    target->port, text);
	if (target->handshake_sent)
		target->failure = PS_CODE_HANDSHAKE_REJECTED;
	else if (target->tls && strstr(text, "SSL") != NULL)
		target->failure = PS_CODE_TLS_ERROR;
}

int
upstream_on_answer(struct upstream *upstream, struct lws *wsi)
{
	lws_hdr_copy(wsi, upstream->target->protocol,
	    sizeof(upstream->target->protocol), WSI_TOKEN_PROTOCOL);
	if (!upstream->terms.accepted || upstream->terms.no_context_takeover)
		return 0;
	upstream->inflate = calloc(1, sizeof(*upstream->inflate));
	if (upstream->inflate == NULL)
		return -1;
	upstream->inflate->keep_context = true;
	return 0;
}

void
upstream_on_established(struct upstream *upstream, struct lws *wsi)
{
	struct target *target = upstream->target;
	struct session *session = upstream->session;

	upstream->wsi = wsi;
	if (session == NULL) {
		upstream_kill_later(upstream);
		return;
	}
	timers_cancel(&upstream->bridge->timers, &upstream->timer);
	upstream->phase = PHASE_OPEN;
	upstream->target = NULL;
	session_opened(session, ps_slice_str(target->protocol));
	target_free(target);
}
