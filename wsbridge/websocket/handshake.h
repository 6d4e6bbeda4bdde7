/*
 * The HTTP/1.1 request that asks for a WebSocket (RFC 6455, section 4), read
 * and answered. No input or output.
 *
 * Ownership: everything in a handshake is borrowed from the head it was read
 * from.
 */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include <stdbool.h>

#include "ps_bytes.h"
#include "ps_reply.h"

/* A longer head, or one with more lines, is refused. */
#define HANDSHAKE_MAX (32 * 1024)
#define HANDSHAKE_HEADERS_MAX 64

struct handshake {
	struct ps_slice method, path, query; /* undecoded */
	bool is_http_1_1;
	size_t n_headers;
	struct {
		struct ps_slice name, value;
	} headers[HANDSHAKE_HEADERS_MAX];
};

/* Bytes of the head with its empty line; 0 while it is not all there. */
size_t handshake_end(const char *data, size_t len);
/* PS_ERR_MALFORMED when it is no HTTP request. */
PS_MUST_CHECK int handshake_parse(struct handshake *handshake,
    struct ps_slice head);
/* The first of that name, or empty; the last. */
struct ps_slice handshake_header(const struct handshake *handshake,
    const char *name);
struct ps_slice handshake_last_header(const struct handshake *handshake,
    const char *name);

/* The first thing that keeps a request from being an opening handshake. */
enum handshake_fault {
	HANDSHAKE_FINE,
	HANDSHAKE_NO_GET,
	HANDSHAKE_NO_HTTP_1_1, /* or not one Host */
	HANDSHAKE_NO_UPGRADE,
	HANDSHAKE_NO_CONNECTION,
	HANDSHAKE_NO_VERSION, /* that we speak */
	HANDSHAKE_NO_KEY,
};

/*
 * Whatever the path. `old`: a draft of the protocol that is the same but for
 * its number will do, that is 7 (draft 07) or 8 (drafts 08 to 12).
 */
enum handshake_fault handshake_find_fault(const struct handshake *handshake,
    bool old);
/*
 * Whether it is an opening handshake of RFC 6455. Otherwise false with the code
 * and, perhaps, a sentence of the refusal.
 */
PS_MUST_CHECK bool handshake_check(const struct handshake *handshake,
    enum ps_code *code_r, const char **sentence_r);
/* Whether an offer of permessage-deflate can be taken; `bits_r` tells whether
 * the answer has to name server_max_window_bits (RFC 7692, 7.1.2.1). */
bool handshake_offers_deflate(const struct handshake *handshake, bool *bits_r);

/* The 101; `deflate` and `bits` as above. */
void handshake_accept(struct ps_writer *w, const struct handshake *handshake,
    bool deflate, bool bits);
/* A refusal as a worker makes it, as HTTP/1.1, after which the connection is
 * closed. */
void handshake_refuse(struct ps_writer *w, const struct ps_style *style,
    enum ps_code code, const char *sentence, const char *members,
    const struct ps_head_extra *extra);

#endif
