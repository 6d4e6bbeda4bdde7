/*
 * An exchange: one HTTP request whose FastCGI connection a worker handed over,
 * and the answer to it (FastCGI specification, sections 3.3 and 5.3).
 *
 * Writing never waits: what the web server does not take at once stays in the
 * exchange, and its owner hears when it is gone (on_written). The owner bounds
 * that by writing nothing more until then.
 *
 * Ownership: an exchange frees itself, after the turn, once it is finished and
 * written, or aborted. With exchange_finish() its owner gives it up unless it
 * keeps `owner_ops`; the last call is then on_written() or on_gone().
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "ps_ipc.h"
#include "wsbridge/base/refusal.h"
#include "wsbridge/bridge.h"

struct exchange_ops {
	/* All that was written is with the web server. NULL: nobody asks. */
	void (*on_written)(void *owner);
	/* The client or the web server has gone, nothing can be written. */
	void (*on_gone)(void *owner);
	/* The request is one of those that max_held counts. */
	bool is_held;
};

struct exchange {
	struct garbage garbage; /* first: see destroy() */
	LIST_ENTRY(exchange) all;
	struct bridge *bridge;
	struct watch watch; /* holds the descriptor, -1 when it has ended */
	uint16_t request_id;
	bool finished, watching;
	struct ps_style style; /* slices point to `strings` */
	char *strings;
	char *pending; /* not taken yet by the web server */
	size_t pending_len, pending_at;
	const struct exchange_ops *ops;
	void *owner;
};

/*
 * Takes over `fd` whatever happens. The style is copied. NULL (fd closed) when
 * memory is out.
 */
struct exchange *exchange_create(struct bridge *bridge, int fd,
    const struct ps_ipc_request *request);

/* `ops` NULL: nobody cares any more. */
void exchange_set_owner(struct exchange *exchange,
    const struct exchange_ops *ops, void *owner);

/* From here on on_gone() tells as soon as the other end closes. */
void exchange_watch(struct exchange *exchange);

/*
 * Write bytes of the answer, CGI head first. True when all went out at once;
 * else on_written() or on_gone() will be called, never from inside. The last
 * part goes to exchange_finish() (len may be 0).
 */
bool exchange_write(struct exchange *exchange, const char *data, size_t len);
bool exchange_finish(struct exchange *exchange, const char *data, size_t len);

/* Closes without an answer or in the middle of one; calls nothing. */
void exchange_abort(struct exchange *exchange);

static inline bool
exchange_is_writing(const struct exchange *exchange)
{
	return exchange->pending_len > 0;
}

/* Whole answers, for requests nobody waits for. They finish the exchange. */
void exchange_reply_error(struct exchange *exchange, enum ps_code code,
    const char *members);
/* The same, naming the limit that refused; see doc/http-api.md, limits. */
void exchange_reply_limit(struct exchange *exchange, enum ps_code code,
    const char *limit);
void exchange_reply_refusal(struct exchange *exchange,
    const struct refusal *refusal);
void exchange_reply_json(struct exchange *exchange, int status,
    struct ps_slice json);
/* 200 with what was built, which is freed; without memory for it, no answer. */
void exchange_reply_built(struct exchange *exchange, struct ps_writer *json);
/* See ps_reply_text(). The text is not in the bridge's scratch buffer. */
void exchange_reply_text(struct exchange *exchange, int status,
    const char *type, struct ps_slice text, const struct ps_head_extra *extra);

#endif
