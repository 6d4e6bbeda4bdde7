#include "config.h"

#include "routes.h"

#include <stdio.h>

#include "limit.h"
#include "ps_channel.h"
#include "ps_limits.h"
#include "relay.h"
#include "service.h"

#define BOTH (METHOD_GET | METHOD_POST)
#define ALWAYS 0 /* whatever services are on */
#define RELAY PS_SERVICE_RELAY
#define FIRST PS_DIALECT_POLYSOCKET
#define SECOND PS_DIALECT_POLYSOCKETD

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
};
// clang-format on

/* What a path with exactly two segments ends in when it is a channel's. */
static const char *const channel_routes[] = { "emit", "listen", "history",
	"members" };

static bool
is_among(struct ps_slice s, const char *const *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (ps_slice_is(s, words[i]))
			return true;
	}
	return false;
}

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

static void
refuse_path(struct request *request)
{
	bool is_reserved =
	    request->n_segments == 2 &&
	    ps_name_is_reserved(request->segments[0]) &&
	    is_among(request->segments[1], channel_routes,
		     sizeof(channel_routes) / sizeof(channel_routes[0]));

	request_refuse(request,
	    is_reserved ? PS_CODE_NAME_RESERVED : PS_CODE_NOT_FOUND, NULL,
	    NULL);
}

static const char *
allow_text(unsigned methods)
{
	if (methods == BOTH)
		return "GET, HEAD, POST, OPTIONS";
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
		!params_text(params, "callback", &callback)))
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
	if (!request_read_query(request) || !take_callback(request, route))
		return false;
	if (!(request->method & route->methods) &&
	    !(request->method == METHOD_HEAD && route->methods & METHOD_GET)) {
		request_refuse_method(request, allow_text(route->methods));
		return false;
	}
	return request_read_body(request) && take_callback(request, route);
}

void
routes_serve(struct request *request)
{
	const struct route *route;

	if (!request_begin(request))
		return;
	if ((route = find(request)) == NULL ||
	    !service_is_on(request, route->service)) {
		refuse_path(request);
		return;
	}
	if (request->method == METHOD_OPTIONS) {
		request_answer_preflight(request, allow_text(route->methods));
		return;
	}
	if (read_request(request, route))
		route->handle(request, route);
}
