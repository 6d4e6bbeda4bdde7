#include "config.h"

#include "routes.h"

#include <stdio.h>

#include "applications.h"
#include "channels.h"
#include "limit.h"
#include "ps_channel.h"
#include "ps_limits.h"
#include "relay.h"
#include "service.h"
#include "sockjs.h"

#define BOTH (METHOD_GET | METHOD_POST)
#define REMOVABLE (METHOD_POST | METHOD_DELETE)
#define ALWAYS 0 /* whatever services are on */
#define RELAY PS_SERVICE_RELAY
#define CHANNELS PS_SERVICE_CHANNELS
#define APPLICATIONS PS_SERVICE_APPLICATIONS
#define FIRST PS_DIALECT_POLYSOCKET
#define SECOND PS_DIALECT_POLYSOCKETD
#define CHANNEL PS_DIALECT_CHANNEL

// clang-format off
static const struct route routes[] = {
	{ "/polysocket/create", METHOD_POST, RELAY, ROUTE_JSONP_ALLOWED, FIRST, 0, relay_create },
	{ "/polysocket/send", METHOD_POST, RELAY, ROUTE_JSONP_ALLOWED, FIRST, 0, relay_send_events },
	{ "/polysocket/jsonp", BOTH, RELAY, ROUTE_JSONP_REQUIRED, FIRST, PS_IPC_FRAMING_JSONP, relay_receive },
	{ "/polysocket/xhr", BOTH, RELAY, ROUTE_JSONP_IGNORED, FIRST, PS_IPC_FRAMING_JSON, relay_receive },
	{ "/polysocket/xhr-streaming", BOTH, RELAY, ROUTE_JSONP_IGNORED, FIRST, PS_IPC_FRAMING_LINES, relay_receive },
	{ "/polysocket/eventsource", BOTH, RELAY, ROUTE_JSONP_IGNORED, FIRST, PS_IPC_FRAMING_EVENTSOURCE, relay_receive },
	{ "/polysocket/close", METHOD_POST, RELAY, ROUTE_JSONP_ALLOWED, FIRST, 0, relay_close },
	{ "/polysocket/health/live", METHOD_GET, ALWAYS, ROUTE_JSONP_ALLOWED, FIRST, 0, service_live },
	{ "/polysocket/health/ready", METHOD_GET, ALWAYS, ROUTE_JSONP_ALLOWED, FIRST, 0, service_ready },
	{ "/polysocket/limits", METHOD_GET, ALWAYS, ROUTE_JSONP_ALLOWED, FIRST, 0, service_limits },
	{ "/polysocket/probe", METHOD_GET, ALWAYS, ROUTE_JSONP_IGNORED, FIRST, 0, service_probe },
	{ "/polysocket/metrics", METHOD_GET, ALWAYS, ROUTE_JSONP_IGNORED, FIRST, 0, service_metrics },
	{ "/polysocket/stats", METHOD_GET, ALWAYS, ROUTE_JSONP_ALLOWED, FIRST, 0, service_stats },
	{ "/create", BOTH, RELAY, ROUTE_JSONP_ALLOWED, SECOND, 0, relay_create },
	{ "/s/*", BOTH, RELAY, ROUTE_JSONP_ALLOWED, SECOND, 0, relay_send_data },
	{ "/j/*", BOTH, RELAY, ROUTE_JSONP_REQUIRED, SECOND, PS_IPC_FRAMING_JSONP, relay_receive },
	{ "/p/*", BOTH, RELAY, ROUTE_JSONP_IGNORED, SECOND, PS_IPC_FRAMING_JSON, relay_receive },
	{ "/x/*", BOTH, RELAY, ROUTE_JSONP_IGNORED, SECOND, PS_IPC_FRAMING_LINES, relay_receive },
	{ "/e/*", BOTH, RELAY, ROUTE_JSONP_IGNORED, SECOND, PS_IPC_FRAMING_EVENTSOURCE, relay_receive },
	{ "/c/*", BOTH, RELAY, ROUTE_JSONP_ALLOWED, SECOND, 0, relay_close },
	{ "/authorize/*/*", REMOVABLE, APPLICATIONS, ROUTE_JSONP_CB, FIRST, 0, applications_authorize },
	{ "/publish/*", BOTH, APPLICATIONS, ROUTE_JSONP_ALLOWED, FIRST, 0, applications_publish },
	{ "/publish/*/*", METHOD_POST, APPLICATIONS, ROUTE_JSONP_ALLOWED, FIRST, 0, applications_publish },
	{ "/*/emit", BOTH, CHANNELS, ROUTE_JSONP_CB, CHANNEL, 0, channels_emit },
	{ "/*/listen", BOTH, CHANNELS, ROUTE_JSONP_ALLOWED, CHANNEL, 0, channels_listen },
	{ "/*/history", METHOD_GET, CHANNELS, ROUTE_JSONP_ALLOWED, CHANNEL, 0, channels_history },
	{ "/*/members", METHOD_GET, CHANNELS, ROUTE_JSONP_ALLOWED, CHANNEL, 0, channels_members },
};
// clang-format on

static bool
path_matches(const char *path, const struct request *request)
{
	size_t i, len;

	for (i = 0; i < request->n_segments; i++) {
		const struct ps_slice *segment = &request->segments[i];

		if (*path++ != '/')
			return false;
		len = strcspn(path, "/");
		if (len == 1 && *path == '*' ? segment->len == 0 :
					       segment->len != len ||
			    memcmp(segment->data, path, len) != 0)
			return false;
		path += len;
	}
	return *path == '\0';
}

static const struct route *
find(const struct request *request)
{
	size_t i;

	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (path_matches(routes[i].path, request))
			return &routes[i];
	}
	return NULL;
}

static bool
service_is_on(const struct request *request, unsigned service)
{
	const char *text = FCGX_GetParam("POLYSOCKET_SERVICES",
	    request->fcgx.envp);
	unsigned services = request->config->services, here;

	/* A virtual host can only switch off what the configuration offers. */
	if (text != NULL)
		services &= ps_config_parse_services(text, &here) == PS_OK ?
		    here :
		    0;
	return service == ALWAYS || (services & service) != 0;
}

/* Of a channel. True when it has answered. */
static bool
refused_name(struct request *request)
{
	struct ps_slice name = request->segments[0];
	enum ps_code code;

	if (ps_channel_check_name(name, &code))
		return false;
	if (name.len > PS_CHANNEL_MAX)
		request_refuse_limit(request, code, NULL, LIMIT_CHANNEL);
	else
		request_refuse(request, code, NULL, NULL);
	return true;
}

static const char *
allow_text(unsigned methods)
{
	if (methods == BOTH)
		return "GET, HEAD, POST, OPTIONS";
	if (methods & METHOD_DELETE)
		return "POST, DELETE, OPTIONS";
	return methods == METHOD_GET ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

static bool
callback_is_valid(struct ps_slice name)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$"
	    "0123456789.";
	size_t i;

	if (name.len == 0 || name.len > PS_CALLBACK_MAX ||
	    (name.data[0] >= '0' && name.data[0] <= '9') ||
	    name.data[0] == '.')
		return false;
	for (i = 0; i < name.len; i++) {
		if (name.data[i] == '\0' ||
		    strchr(letters, name.data[i]) == NULL)
			return false;
	}
	return true;
}

/*
 * Sets how the answer is wrapped, from the parameters read so far: those of
 * the query first, so that an error in the body is wrapped too. False when it
 * has answered.
 */
static bool
take_callback(struct request *request, const struct route *route)
{
	struct params *params = request->params;
	struct ps_slice callback;
	int64_t status;

	if (route->jsonp == ROUTE_JSONP_IGNORED ||
	    (!params_text(params, "cb", &callback) &&
		(route->jsonp == ROUTE_JSONP_CB ||
		    !params_text(params, "callback", &callback))))
		return true;
	if (!callback_is_valid(callback)) {
		request->style.callback = ps_slice(NULL, 0);
		if (callback.len > PS_CALLBACK_MAX)
			request_refuse_limit(request, PS_CODE_CALLBACK_INVALID,
			    "the callback is longer than 128 bytes",
			    LIMIT_CALLBACK);
		else
			request_refuse(request, PS_CODE_CALLBACK_INVALID,
			    NULL, NULL);
		return false;
	}
	request->style.callback = callback;
	if (params_has(params, "status") &&
	    params_number(params, "status", &status) && status == 200)
		request->style.flags |= PS_STYLE_SOFT;
	return true;
}

/* The parts of the request that every route needs. False: answered. */
static bool
read_request(struct request *request, const struct route *route)
{
	bool is_channel = route->dialect == PS_DIALECT_CHANNEL;

	if (!request_read_query(request) || !take_callback(request, route) ||
	    (is_channel && refused_name(request)))
		return false;
	if (!(request->method & route->methods) &&
	    !(request->method == METHOD_HEAD && route->methods & METHOD_GET)) {
		request_refuse_method(request, allow_text(route->methods));
		return false;
	}
	if (!request_read_body(request))
		return false;
	return is_channel ||
	    (request_parse_body(request,
		 route->service == APPLICATIONS ? "message" : NULL) &&
		take_callback(request, route));
}

void
routes_serve(struct request *request)
{
	const struct route *route;

	if (!request_begin(request))
		return;
	route = find(request);
	if (route == NULL && service_is_on(request, APPLICATIONS) &&
	    sockjs_route(request))
		return;
	if (route != NULL && route->dialect == PS_DIALECT_CHANNEL)
		request->style.flags |= PS_STYLE_SUCCESS;
	if (route == NULL || !service_is_on(request, route->service)) {
		request_refuse(request, PS_CODE_NOT_FOUND, NULL, NULL);
		return;
	}
	if (request->method == METHOD_OPTIONS) {
		request_answer_preflight(request, allow_text(route->methods));
		return;
	}
	if (read_request(request, route))
		route->handle(request, route);
}
