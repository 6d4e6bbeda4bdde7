/*
 * An HTTP/1.1 client connection that is kept alive: one request at a time,
 * answers by Content-Length, chunked or up to the end of the connection. It
 * connects when it has to, and asks once more when the server ended an idle
 * connection as the request was on its way, both as a browser does (RFC 9112,
 * 9.3.1).
 *
 * Ownership: the caller owns the struct, zeroed but for handler and owner.
 */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include "link.h"

struct http;

struct http_handler {
	void (*on_head)(struct http *http); /* may be NULL */
	void (*on_body)(struct http *http, const char *data, size_t len);
	void (*on_end)(struct http *http); /* may start the next request */
	/*
	 * There will be no answer, or no more of it: the connection could not
	 * be made or ended, also from within http_get() and http_post(). NULL:
	 * that ends the program.
	 */
	void (*on_failed)(struct http *http);
};

struct http {
	struct link link; /* first: the link's callbacks find us by it */
	const struct http_handler *handler;
	void *owner;
	enum {
		HTTP_HEAD,
		HTTP_LENGTH, /* `left` bytes of body, then the end */
		HTTP_UNTIL_END,
		HTTP_CHUNK_SIZE,
		HTTP_CHUNK, /* `left` bytes, then its line end */
		HTTP_TRAILER
	} state;
	uint64_t left;
	int status;
	bool is_busy; /* a request waits for its answer's end */
	bool is_last; /* the server closes after this answer */
	bool is_reused; /* the connection carried a request before */
	char *request;	/* for being sent once more */
	size_t request_len;
	size_t request_size;
};

/* Port, Host and Origin header of every request; NULL: no Origin. */
void http_init(uint16_t port, const char *origin);

void http_get(struct http *http, const char *path);

/* With header fields of the request's own, each ended by a CRLF. */
void http_get_with(struct http *http, const char *path, const char *own);
void http_post(struct http *http, const char *path, const char *type,
	       const char *body, size_t len);
void http_close(struct http *http);

/* As link_reset() and link_abandon(): the answer is not waited for. */
void http_reset(struct http *http);
void http_abandon(struct http *http);

#endif
