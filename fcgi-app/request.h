/*
 * One HTTP request as a worker sees it, and the answers a worker gives itself.
 *
 * One object serves one accept loop for ever: request_begin() after each
 * accept makes everything below `fcgx` new. Path segments and parameters are
 * borrowed from its buffers until the next request_begin().
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <fcgiapp.h>
#include <pthread.h>

#include "params.h"
#include "ps_code.h"
#include "ps_config.h"
#include "ps_ipc.h"
#include "ps_reply.h"

enum method {
	METHOD_OTHER = 0,
	METHOD_GET = 1u << 0,
	METHOD_HEAD = 1u << 1,
	METHOD_POST = 1u << 2,
	METHOD_OPTIONS = 1u << 3,
	METHOD_DELETE = 1u << 4,
};

struct handoff;
struct rights;

struct request {
	FCGX_Request fcgx;
	const struct ps_config *config; /* borrowed */
	struct rights *rights;		/* borrowed */
	struct handoff *handoff;	/* borrowed */

	enum method method;
	struct ps_slice segments[PS_SEGMENTS_MAX]; /* decoded */
	size_t n_segments;
	char *query; /* undecoded, in `uri`; or NULL */
	struct params *params;
	struct ps_style style;

	struct ps_writer uri, body, out; /* buffers, reused */

	/* The reading of a body, which another thread may cut short. */
	pthread_mutex_t reading_mutex;
	int reading_fd; /* -1: none is read */
	uint64_t reading_since_ms;
};

PS_MUST_CHECK int request_init(struct request *request, int listen_fd,
    const struct ps_config *config, struct rights *rights,
    struct handoff *handoff);
void request_deinit(struct request *request);

/*
 * Ends the reading of a body that takes longer than REQUEST_READ_MS, since a
 * web server may pass an upload on as slowly as it comes; the request is then
 * answered as truncated. To be called from another thread now and then.
 */
void request_limit_reading(struct request *request, uint64_t now_ms);

#define REQUEST_READ_MS 20000

/* Value of a FastCGI parameter, empty when it is not there. */
struct ps_slice request_env(const struct request *request, const char *name);

/*
 * Reads the head of an accepted request: method, origin, path. Returns false
 * when it has answered because the path is malformed.
 */
bool request_begin(struct request *request);

/* Reads the query. Returns false when it has answered. */
bool request_read_query(struct request *request);

/*
 * Reads the body. Returns false when it has answered. Call it before a request
 * is handed over: its whole body must have been read by then.
 */
bool request_read_body(struct request *request);

enum body_type { BODY_FORM, BODY_JSON, BODY_LINES, BODY_UNKNOWN };

/* By its Content-Type; JSON where there is none. */
enum body_type request_body_type(const struct request *request);
/* Take parameters from the body, but for a member `aside` of JSON (NULL: none;
 * see params.h). Return false when they have answered. */
bool request_parse_body(struct request *request, const char *aside);
bool request_parse_form(struct request *request); /* it is one */

/* Answer and finish; the sentence may be NULL, members are JSON text. */
void request_refuse(struct request *request, enum ps_code code,
    const char *sentence, const char *members);
/* The same, naming the limit that refuses: see limit.h. */
void request_refuse_limit(struct request *request, enum ps_code code,
    const char *sentence, const char *limit);
void request_refuse_method(struct request *request, const char *allow);
/* The 204 to a preflight (Fetch standard, 3.2.2). */
void request_answer_preflight(struct request *request, const char *methods);
/* A 200 whose body is `json`. */
void request_answer_json(struct request *request, struct ps_slice json);
/* See ps_reply_text(); `extra` may be NULL. */
void request_answer_text(struct request *request, int status, const char *type,
    const char *text, const struct ps_head_extra *extra);
/* The head of a 200 without effect, for HEAD. */
void request_answer_head(struct request *request, const char *type);

/* True, having answered, when a parameter that was looked up is malformed. */
bool request_refused_params(struct request *request);
/* The parameter `from`. True, having answered, when it is none. */
bool request_refused_agent(struct request *request, struct ps_slice *agent_r);
/* How long a receiver wants to be held, within what is allowed. */
uint32_t request_hold_ms(struct request *request, const char *name);
/* True, having answered, when any of the `count` parameters is missing. */
bool request_refused_missing(struct request *request, const char *const *names,
    size_t count);
void request_refuse_missing(struct request *request, const char *const *names,
    size_t count);

#define REQUEST_REQUIRED_MAX 2

/* What each message to the bridge starts with. */
struct ps_ipc_request request_ipc(const struct request *request);
/*
 * Hands the request over with the message in `handoff->frame`; false when the
 * bridge is away, and the request still to be answered.
 */
PS_MUST_CHECK bool request_was_taken(struct request *request);
/* The same, waiting for a bridge that is just restarting, and answering when
 * it is away. */
void request_hand_over(struct request *request);
/* To the bridge that owns a session; answers with `gone` where it is no more. */
void request_hand_over_to_owner(struct request *request,
    struct ps_slice socket, enum ps_code gone);
/* To the bridge that has the member of a channel, or else the node's. */
void request_hand_over_to_member(struct request *request, struct ps_slice key);

#endif
