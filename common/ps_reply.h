/*
 * What every HTTP answer has in common, as a CGI head (RFC 3875, section 6)
 * and a body: status, JSON or JSONP, CORS, caching. Worker and bridge both
 * answer, so this is where the form of an answer is decided.
 */
#ifndef PS_REPLY_H
#define PS_REPLY_H

#include "ps_bytes.h"
#include "ps_code.h"

enum ps_style_flag {
	PS_STYLE_HEAD = 1u << 0,    /* HEAD: no body */
	PS_STYLE_SOFT = 1u << 1,    /* parameter status=200 */
	PS_STYLE_REFUSAL = 1u << 2, /* refusals are 200: create, JSONP dialect */
	PS_STYLE_NO_CORS = 1u << 3, /* the origin is refused */
	PS_STYLE_SUCCESS = 1u << 4, /* "success" in place of "ok": channels */
	/* Of SockJS: credentials, and "*" for an origin that is "null". */
	PS_STYLE_SOCKJS = 1u << 5,
	PS_STYLE_COOKIE = 1u << 6, /* tell JSESSIONID; the bridge decides */
	PS_STYLE__ALL = (1u << 7) - 1,
};

/* How a client wants its answer; the slices are borrowed. */
struct ps_style {
	unsigned flags;		  /* enum ps_style_flag */
	struct ps_slice callback; /* of JSONP, checked; empty: plain JSON */
	struct ps_slice origin;	  /* to allow; empty: any */
	/* Of SockJS, both checked: JSESSIONID as the client sent it, and the
	 * headers that it asked for; or empty. */
	struct ps_slice cookie, allow_headers;
};

#define PS_TYPE_JSON "application/json; charset=utf-8"
#define PS_TYPE_JSONP "application/javascript; charset=utf-8"
#define PS_TYPE_TEXT "text/plain; charset=utf-8"
#define PS_TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define PS_TYPE_EVENTSOURCE "text/event-stream; charset=utf-8"
/* Those of SockJS, as its protocol's tests spell them. */
#define PS_TYPE_SOCKJS_JSON "application/json; charset=UTF-8"
#define PS_TYPE_SOCKJS_SCRIPT "application/javascript; charset=UTF-8"
#define PS_TYPE_SOCKJS_TEXT "text/plain; charset=UTF-8"
#define PS_TYPE_SOCKJS_HTML "text/html; charset=UTF-8"
#define PS_TYPE_SOCKJS_EVENTSOURCE "text/event-stream; charset=UTF-8"

/* How long what may be cached may be, and preflights of SockJS. */
#define PS_CACHED_S 31536000

/* Lines that only some answers have; all zero for none. */
struct ps_head_extra {
	unsigned retry_after_s;
	const char *allow;    /* methods, for 405 */
	bool stream;	      /* X-Accel-Buffering: no */
	bool has_length;
	size_t content_length;
	/* It may be cached for PS_CACHED_S from that Unix time on; 0: may not. */
	int64_t cached_from_s;
	const char *etag;    /* quoted */
	const char *methods; /* allowed by a preflight of SockJS */
};

/* The lines that allow the origin, as part of a head. */
void ps_reply_cors(struct ps_writer *w, const struct ps_style *style);

/* The head with its closing empty line. `type` may be NULL for no body. */
void ps_reply_head(struct ps_writer *w, const struct ps_style *style,
    int status, const char *type, const struct ps_head_extra *extra);

/* A whole answer whose body is `json`, wrapped for JSONP where asked for. */
void ps_reply_json(struct ps_writer *w, const struct ps_style *style,
    int status, struct ps_slice json, const struct ps_head_extra *extra);

/* A whole answer of another type. `type` NULL, and an empty body: without. */
void ps_reply_text(struct ps_writer *w, const struct ps_style *style,
    int status, const char *type, struct ps_slice text,
    const struct ps_head_extra *extra);

/*
 * A whole refusal, of SockJS as plain text. `sentence` NULL takes that of the
 * code; `members` is NULL or further members of the object as JSON text, such
 * as "\"status\":404".
 */
void ps_reply_error(struct ps_writer *w, const struct ps_style *style,
    enum ps_code code, const char *sentence, const char *members);
/* The same with other lines in its head; NULL for those of the code. */
void ps_reply_error_with(struct ps_writer *w, const struct ps_style *style,
    enum ps_code code, const char *sentence, const char *members,
    const struct ps_head_extra *extra);

#endif
