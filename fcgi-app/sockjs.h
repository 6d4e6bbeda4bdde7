/*
 * SockJS: what is below the socket id of a client of an application. Its paths
 * are found by their shape, and its answers are plain text.
 */
#ifndef SOCKJS_H
#define SOCKJS_H

#include "ps_ipc.h"
#include "request.h"

enum sockjs_action {
	SOCKJS_PAGE,
	SOCKJS_RECEIVE,
	SOCKJS_SEND,
};

/* What a path below a socket id is for. */
struct sockjs_place {
	const char *name; /* of a transport */
	enum sockjs_action action;
	enum method method; /* GET or POST; HEAD and OPTIONS are implied */
	enum ps_sockjs_page page;
	enum ps_sockjs_framing framing;
	bool jsonp; /* of SEND: a form, and answered with 200 */
};

/* By the segments behind the socket id; NULL: there is nothing. */
const struct sockjs_place *sockjs_find(const struct ps_slice *segments,
    size_t count);

/* Answers an accepted request or hands it over; false, having done nothing,
 * when its path does not begin with what may be a socket id. */
bool sockjs_route(struct request *request);

#endif
