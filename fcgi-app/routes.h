/*
 * The route table: every path polysocket.fcgi answers, with its methods, its
 * service and the function that turns its parameters into a message. Those of
 * SockJS, which have their shape in common, are in sockjs.c.
 */
#ifndef ROUTES_H
#define ROUTES_H

#include "ps_ipc.h"
#include "request.h"

enum route_jsonp {
	ROUTE_JSONP_IGNORED,  /* a callback has no meaning here */
	ROUTE_JSONP_ALLOWED,
	ROUTE_JSONP_REQUIRED,
	ROUTE_JSONP_CB, /* by `cb` alone: a `callback` is payload */
};

struct route {
	const char *path; /* segments; `*` is any one that is not empty */
	unsigned methods; /* enum method; HEAD and OPTIONS are implied */
	unsigned service; /* enum ps_service; 0: there whatever is on */
	enum route_jsonp jsonp;
	enum ps_dialect dialect;
	enum ps_ipc_framing framing; /* of receivers */
	/* Of a channel's route the name has been checked, and the body is still
	 * to be parsed. */
	void (*handle)(struct request *request, const struct route *route);
};

/* Answers an accepted request, or hands it over. */
void routes_serve(struct request *request);

#endif
