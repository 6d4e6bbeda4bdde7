/* What SockJS says without a session. */
#include "config.h"

#include "sockjs.h"

#include <inttypes.h>
#include <stdio.h>

#include <openssl/rand.h>
#include <openssl/sha.h>

#include "ps_policy.h"

/* Quoted, in hexadecimal digits. */
#define ETAG_BYTES 16
#define ETAG_SIZE (2 * ETAG_BYTES + 3)

const struct ps_token *
sockjs_admit(struct exchange *exchange,
    const struct authorization *authorization)
{
	struct ps_slice origin = exchange->style.origin;
	const struct ps_token *token = authorization == NULL ?
	    NULL :
	    authorization_token(exchange->bridge, authorization);

	if (token == NULL) {
		exchange_reply_error(exchange, PS_CODE_NOT_FOUND, NULL);
		return NULL;
	}
	if (origin.len == 0 ? token->allow_no_origin :
			      ps_token_allows_origin(token, origin))
		return token;
	exchange->style.flags |= PS_STYLE_NO_CORS;
	exchange_reply_error(exchange, PS_CODE_ORIGIN_REFUSED, NULL);
	return NULL;
}

static void
reply_greeting(struct exchange *exchange)
{
	exchange_reply_text(exchange, 200, PS_TYPE_SOCKJS_TEXT,
	    ps_slice_str("Welcome to SockJS!\n"), NULL);
}

/* Browsers have no good entropy of their own, or had none. */
static void
reply_info(struct exchange *exchange, const struct ps_token *token)
{
	uint32_t entropy;
	char json[128];

	if (RAND_bytes((unsigned char *)&entropy, sizeof(entropy)) != 1) {
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
		return;
	}
	snprintf(json, sizeof(json),
	    "{\"websocket\":%s,\"origins\":[\"*:*\"],\"cookie_needed\":%s,"
	    "\"entropy\":%" PRIu32 "}",
	    token->sockjs_websocket ? "true" : "false",
	    token->sockjs_cookie ? "true" : "false", entropy);
	exchange_reply_text(exchange, 200, PS_TYPE_SOCKJS_JSON,
	    ps_slice_str(json), NULL);
}

/* The text is that of the protocol, which its tests compare. */
static void
put_iframe(struct ps_writer *w, const char *sockjs_url)
{
	ps_writer_printf(w,
	    "<!DOCTYPE html>\n"
	    "<html>\n"
	    "<head>\n"
	    "  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
	    "  <meta http-equiv=\"Content-Type\" "
	    "content=\"text/html; charset=UTF-8\" />\n"
	    "  <script>\n"
	    "    document.domain = document.domain;\n"
	    "    _sockjs_onload = function(){SockJS.bootstrap_iframe();};\n"
	    "  </script>\n"
	    "  <script src=\"%s\"></script>\n"
	    "</head>\n"
	    "<body>\n"
	    "  <h2>Don't panic!</h2>\n"
	    "  <p>This is a SockJS hidden iframe. It's used for cross domain "
	    "magic.</p>\n"
	    "</body>\n"
	    "</html>\n",
	    sockjs_url);
}

static void
make_etag(char *etag, const struct ps_writer *page)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	size_t i;

	SHA256((const unsigned char *)page->data, page->len, hash);
	*etag++ = '"';
	for (i = 0; i < ETAG_BYTES; i++)
		etag += sprintf(etag, "%02x", hash[i]);
	*etag++ = '"';
	*etag = '\0';
}

/* If-None-Match: a list, weak or not (RFC 9110, section 13.1.2). */
static bool
has_etag(struct ps_slice list, const char *etag)
{
	return ps_slice_is(list, "*") ||
	    (list.len > 0 &&
		memmem(list.data, list.len, etag, strlen(etag)) != NULL);
}

static void
reply_iframe(struct exchange *exchange, struct ps_slice if_none_match)
{
	const struct bridge *bridge = exchange->bridge;
	struct ps_head_extra extra = { .cached_from_s = bridge->unix_s() };
	struct ps_writer page = { 0 };
	char etag[ETAG_SIZE];

	put_iframe(&page, bridge->config->sockjs_url);
	if (page.failed) {
		exchange_reply_error(exchange, PS_CODE_BRIDGE_FULL, NULL);
		goto out;
	}
	make_etag(etag, &page);
	extra.etag = etag;
	if (has_etag(if_none_match, etag))
		exchange_reply_text(exchange, 304, NULL, ps_slice(NULL, 0),
		    &extra);
	else
		exchange_reply_text(exchange, 200, PS_TYPE_SOCKJS_HTML,
		    ps_slice(page.data, page.len), &extra);
out:
	ps_writer_deinit(&page);
}

static void
reply_no_upgrade(struct exchange *exchange, const struct ps_token *token)
{
	if (token->sockjs_websocket)
		exchange_reply_text(exchange, 400, PS_TYPE_SOCKJS_TEXT,
		    ps_slice_str("Can \"Upgrade\" only to \"WebSocket\".\n"),
		    NULL);
	else
		exchange_reply_error(exchange, PS_CODE_NOT_FOUND, NULL);
}

int
sockjs_on_page(struct bridge *bridge, struct ps_reader *r, int fd)
{
	struct ps_ipc_sockjs_page m;
	const struct ps_token *token;
	struct exchange *exchange;

	if (ps_ipc_decode_sockjs_page(r, &m) != PS_OK)
		return PS_ERR_MALFORMED;
	exchange = exchange_create(bridge, fd, &m.request);
	if (exchange == NULL)
		return PS_OK;
	token = sockjs_admit(exchange,
	    authorization_find(bridge, m.socket_id));
	if (token == NULL)
		return PS_OK;
	switch (m.page) {
	case PS_SOCKJS_GREETING:
		reply_greeting(exchange);
		break;
	case PS_SOCKJS_INFO:
		reply_info(exchange, token);
		break;
	case PS_SOCKJS_IFRAME:
		reply_iframe(exchange, m.etag);
		break;
	case PS_SOCKJS_NO_UPGRADE:
		reply_no_upgrade(exchange, token);
		break;
	case PS_SOCKJS_PAGE__COUNT:
		break;
	}
	return PS_OK;
}
