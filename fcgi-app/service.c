#include "config.h"

#include "service.h"

#include "authorise.h"
#include "handoff.h"
#include "limit.h"
#include "ps_network.h"
#include "rights.h"

void
service_live(struct request *request, const struct route *route)
{
	(void)route;
	request_answer_json(request, ps_slice_str("{\"ok\":true}"));
}

/* A worker knows whether it can read the database, the bridge all else. */
void
service_ready(struct request *request, const struct route *route)
{
	const struct ps_ipc_ready m = { request_ipc(request) };

	(void)route;
	if (!rights_are_current(request->rights)) {
		request_refuse(request, PS_CODE_DATABASE_UNAVAILABLE, NULL,
		    "\"part\":\"database\"");
		return;
	}
	ps_ipc_encode_ready(&request->handoff->frame, &m);
	if (!request_was_taken(request))
		request_refuse(request, PS_CODE_BRIDGE_UNAVAILABLE, NULL,
		    "\"part\":\"bridge\"");
}

/* The token of a request that is none of a create; false: answered. */
static bool
authorise(struct request *request, struct authority *authority_r)
{
	if (!authorise_token(request, authority_r))
		return false;
	if (authorise_origin(request, authority_r->token, ps_slice(NULL, 0)))
		return true;
	authority_release(authority_r);
	request_refuse(request, PS_CODE_ORIGIN_REFUSED, NULL, NULL);
	return false;
}

void
service_limits(struct request *request, const struct route *route)
{
	struct ps_writer json = { 0 };
	struct authority authority;

	(void)route;
	if (!authorise(request, &authority))
		return;
	ps_writer_str(&json, "{\"ok\":true,\"limits\":");
	limit_put_all(&json, request->config, &authority.token->limits);
	ps_writer_str(&json, "}");
	authority_release(&authority);
	if (json.failed)
		request_refuse(request, PS_CODE_BRIDGE_FULL, NULL, NULL);
	else
		request_answer_json(request, ps_slice(json.data, json.len));
	ps_writer_deinit(&json);
}

void
service_probe(struct request *request, const struct route *route)
{
	const struct ps_ipc_probe m = { request_ipc(request) };
	struct ps_slice mode;

	(void)route;
	if (params_text(request->params, "mode", &mode) &&
	    !ps_slice_is(mode, "stream")) {
		request_refuse(request, PS_CODE_BAD_PARAMETER,
		    "mode is not stream", NULL);
		return;
	}
	if (request_refused_params(request))
		return;
	ps_ipc_encode_probe(&request->handoff->frame, &m);
	request_hand_over(request);
}

/*
 * Whether the client's address alone lets it see the figures. It vouches for
 * programs only: a browser there would ask on behalf of any page it shows.
 */
static bool
address_is_trusted(const struct request *request)
{
	struct ps_address address;

	return request->style.callback.len == 0 &&
	    request_env(request, "HTTP_ORIGIN").len == 0 &&
	    request_env(request, "HTTP_REFERER").len == 0 &&
	    ps_address_parse(&address, request_env(request, "REMOTE_ADDR")) &&
	    ps_networks_have(&request->config->metrics_from, &address);
}

/* True, having answered, when the figures are none of the client's business. */
static bool
refused_figures(struct request *request)
{
	struct authority authority;
	bool is_admin;

	if (address_is_trusted(request))
		return false;
	if (!authorise(request, &authority))
		return true;
	is_admin = authority.token->admin;
	authority_release(&authority);
	if (!is_admin)
		request_refuse(request, PS_CODE_ADMIN_REQUIRED, NULL, NULL);
	return !is_admin;
}

static void
answer_figures(struct request *request, enum ps_ipc_stats_format format)
{
	const struct ps_ipc_stats m = { request_ipc(request), format };

	if (refused_figures(request))
		return;
	ps_ipc_encode_stats(&request->handoff->frame, &m);
	request_hand_over(request);
}

void
service_metrics(struct request *request, const struct route *route)
{
	(void)route;
	answer_figures(request, PS_IPC_STATS_PROMETHEUS);
}

void
service_stats(struct request *request, const struct route *route)
{
	(void)route;
	answer_figures(request, PS_IPC_STATS_JSON);
}
