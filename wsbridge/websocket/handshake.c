#include "config.h"

#include "handshake.h"

#include <strings.h>

#include <openssl/sha.h>

#include "ps_base64.h"

/* Of RFC 6455, section 1.3. */
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_LEN 24

size_t
handshake_end(const char *data, size_t len)
{
	const char *end = memmem(data, len, "\r\n\r\n", 4);

	return end == NULL ? 0 : (size_t)(end - data) + 4;
}

static bool
is_named(struct ps_slice s, const char *name)
{
	return s.len == strlen(name) && strncasecmp(s.data, name, s.len) == 0;
}

/* What a method and the name of a header are made of (RFC 9110, 5.6.2). */
static bool
is_token(struct ps_slice s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (!((c >= '0' && c <= '9') ||
			((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
			(c != '\0' && strchr(others, c) != NULL)))
			return false;
	}
	return s.len > 0;
}

static bool
is_text(struct ps_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static struct ps_slice
trim(struct ps_slice s)
{
	for (; s.len > 0 && (*s.data == ' ' || *s.data == '\t'); s.len--)
		s.data++;
	while (s.len > 0 &&
	    (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static struct ps_slice
split_line(struct ps_slice *head)
{
	struct ps_slice line = ps_slice_cut(head, '\n');

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* A proxy may name the whole URL (RFC 9112, 3.2.2). */
static struct ps_slice
without_authority(struct ps_slice target)
{
	static const char *const schemes[] = { "http://", "https://" };
	size_t i, len;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		len = strlen(schemes[i]);
		if (target.len <= len ||
		    strncasecmp(target.data, schemes[i], len) != 0)
			continue;
		for (; len < target.len && target.data[len] != '/'; len++)
			;
		return ps_slice(target.data + len, target.len - len);
	}
	return target;
}

static int
parse_request_line(struct handshake *handshake, struct ps_slice line)
{
	struct ps_slice target;

	handshake->method = ps_slice_cut(&line, ' ');
	target = without_authority(ps_slice_cut(&line, ' '));
	handshake->path = ps_slice_cut(&target, '?');
	handshake->query = target;
	handshake->is_http_1_1 = ps_slice_is(line, "HTTP/1.1");
	if (!is_token(handshake->method) || handshake->path.len == 0 ||
	    handshake->path.data[0] != '/' ||
	    (!handshake->is_http_1_1 && !ps_slice_is(line, "HTTP/1.0")))
		return PS_ERR_MALFORMED;
	return PS_OK;
}

int
handshake_parse(struct handshake *handshake, struct ps_slice head)
{
	struct ps_slice line = split_line(&head), name;

	handshake->n_headers = 0;
	if (!is_text(line) || parse_request_line(handshake, line) != PS_OK)
		return PS_ERR_MALFORMED;
	while ((line = split_line(&head)).len > 0) {
		if (handshake->n_headers == HANDSHAKE_HEADERS_MAX ||
		    memchr(line.data, ':', line.len) == NULL)
			return PS_ERR_MALFORMED;
		name = ps_slice_cut(&line, ':');
		if (!is_token(name) || !is_text(line))
			return PS_ERR_MALFORMED;
		handshake->headers[handshake->n_headers].name = name;
		handshake->headers[handshake->n_headers++].value = trim(line);
	}
	return PS_OK;
}

/* The next of that name from `*i` on, which moves behind it. */
static bool
next_header(const struct handshake *handshake, const char *name, size_t *i,
    struct ps_slice *value_r)
{
	while (*i < handshake->n_headers) {
		size_t at = (*i)++;

		if (!is_named(handshake->headers[at].name, name))
			continue;
		*value_r = handshake->headers[at].value;
		return true;
	}
	return false;
}

struct ps_slice
handshake_header(const struct handshake *handshake, const char *name)
{
	struct ps_slice value;
	size_t i = 0;

	return next_header(handshake, name, &i, &value) ? value :
							  ps_slice(NULL, 0);
}

struct ps_slice
handshake_last_header(const struct handshake *handshake, const char *name)
{
	struct ps_slice value = ps_slice(NULL, 0);
	size_t i = 0;

	while (next_header(handshake, name, &i, &value))
		;
	return value;
}

static bool
is_there_once(const struct handshake *handshake, const char *name)
{
	struct ps_slice value;
	size_t i = 0, n = 0;

	while (next_header(handshake, name, &i, &value))
		n++;
	return n == 1;
}

/* Whether a list, in one header of the name or in several, has the token. */
static bool
list_has(const struct handshake *handshake, const char *name,
    const char *token)
{
	struct ps_slice list;
	size_t i = 0;

	while (next_header(handshake, name, &i, &list)) {
		while (list.len > 0) {
			if (is_named(trim(ps_slice_cut(&list, ',')), token))
				return true;
		}
	}
	return false;
}

/* 16 bytes in base64 (4.1, item 7). */
static bool
key_is_valid(struct ps_slice key)
{
	struct ps_writer bytes = { 0 };
	bool valid = key.len == KEY_LEN &&
	    ps_base64_decode(&bytes, key) == PS_OK && bytes.len == 16;

	ps_writer_deinit(&bytes);
	return valid;
}

static bool
version_is_known(const struct handshake *handshake, bool old)
{
	struct ps_slice version =
	    handshake_header(handshake, "Sec-WebSocket-Version");

	return is_there_once(handshake, "Sec-WebSocket-Version") &&
	    (ps_slice_is(version, "13") ||
		(old &&
		    (ps_slice_is(version, "7") || ps_slice_is(version, "8"))));
}

enum handshake_fault
handshake_find_fault(const struct handshake *handshake, bool old)
{
	if (!ps_slice_is(handshake->method, "GET"))
		return HANDSHAKE_NO_GET;
	if (!handshake->is_http_1_1 || !is_there_once(handshake, "Host"))
		return HANDSHAKE_NO_HTTP_1_1;
	if (!list_has(handshake, "Upgrade", "websocket"))
		return HANDSHAKE_NO_UPGRADE;
	if (!list_has(handshake, "Connection", "upgrade"))
		return HANDSHAKE_NO_CONNECTION;
	if (!version_is_known(handshake, old))
		return HANDSHAKE_NO_VERSION;
	if (!is_there_once(handshake, "Sec-WebSocket-Key") ||
	    !key_is_valid(handshake_header(handshake, "Sec-WebSocket-Key")))
		return HANDSHAKE_NO_KEY;
	return HANDSHAKE_FINE;
}

bool
handshake_check(const struct handshake *handshake, enum ps_code *code_r,
    const char **sentence_r)
{
	static const struct {
		enum ps_code code;
		const char *sentence;
	} refusals[] = {
		[HANDSHAKE_NO_GET] = { PS_CODE_METHOD_NOT_ALLOWED, NULL },
		[HANDSHAKE_NO_HTTP_1_1] = { PS_CODE_BAD_REQUEST,
		    "the request is not of HTTP/1.1 with one Host" },
		[HANDSHAKE_NO_UPGRADE] = { PS_CODE_UPGRADE_REQUIRED, NULL },
		[HANDSHAKE_NO_CONNECTION] = { PS_CODE_UPGRADE_REQUIRED, NULL },
		[HANDSHAKE_NO_VERSION] = { PS_CODE_UPGRADE_REQUIRED,
		    "the version of the WebSocket protocol is not 13" },
		[HANDSHAKE_NO_KEY] = { PS_CODE_BAD_REQUEST,
		    "Sec-WebSocket-Key is not 16 bytes in base64" },
	};
	enum handshake_fault fault = handshake_find_fault(handshake, false);

	if (fault == HANDSHAKE_FINE)
		return true;
	*code_r = refusals[fault].code;
	*sentence_r = refusals[fault].sentence;
	return false;
}

static struct ps_slice
unquote(struct ps_slice s)
{
	if (s.len >= 2 && s.data[0] == '"' && s.data[s.len - 1] == '"')
		return ps_slice(s.data + 1, s.len - 2);
	return s;
}

/* 8 to 15 without leading zeros (RFC 7692, 7.1.2), 0 for anything else. */
static unsigned
window_bits(struct ps_slice s)
{
	if (s.len == 1 && (s.data[0] == '8' || s.data[0] == '9'))
		return (unsigned)(s.data[0] - '0');
	if (s.len == 2 && s.data[0] == '1' && s.data[1] >= '0' &&
	    s.data[1] <= '5')
		return 10 + (unsigned)(s.data[1] - '0');
	return 0;
}

/* Whether a parameter of an offer is one, for the first time, that we can meet:
 * our window has 15 bits, since all connections share one codec. */
static bool
takes_parameter(struct ps_slice parameter, unsigned *seen, bool *bits_r)
{
	static const char *const names[] = { "server_no_context_takeover",
		"client_no_context_takeover", "server_max_window_bits",
		"client_max_window_bits" };
	bool has_value = parameter.len > 0 &&
	    memchr(parameter.data, '=', parameter.len) != NULL;
	struct ps_slice name = trim(ps_slice_cut(&parameter, '='));
	unsigned bits = window_bits(unquote(trim(parameter))), i;

	for (i = 0; i < 4 && !is_named(name, names[i]); i++)
		;
	if (i == 4 || (*seen & 1u << i) != 0)
		return false;
	*seen |= 1u << i;
	if (i == 2)
		*bits_r = true;
	switch (i) {
	case 2:
		return bits == 15;
	case 3:
		return !has_value || bits > 0;
	default:
		return !has_value;
	}
}

static bool
takes_offer(struct ps_slice offer, bool *bits_r)
{
	unsigned seen = 0;

	*bits_r = false; /* of an earlier offer */
	if (!is_named(trim(ps_slice_cut(&offer, ';')), "permessage-deflate"))
		return false;
	while (offer.len > 0) {
		if (!takes_parameter(trim(ps_slice_cut(&offer, ';')), &seen,
			bits_r))
			return false;
	}
	return true;
}

bool
handshake_offers_deflate(const struct handshake *handshake, bool *bits_r)
{
	struct ps_slice offers;
	size_t i = 0;

	*bits_r = false;
	while (next_header(handshake, "Sec-WebSocket-Extensions", &i,
	    &offers)) {
		while (offers.len > 0) {
			if (takes_offer(ps_slice_cut(&offers, ','), bits_r))
				return true;
		}
	}
	return false;
}

void
handshake_accept(struct ps_writer *w, const struct handshake *handshake,
    bool deflate, bool bits)
{
	struct ps_slice key = handshake_header(handshake,
	    "Sec-WebSocket-Key");
	unsigned char hash[SHA_DIGEST_LENGTH];
	char text[KEY_LEN + sizeof(GUID)];

	memcpy(text, key.data, KEY_LEN);
	memcpy(text + KEY_LEN, GUID, sizeof(GUID));
	SHA1((unsigned char *)text, sizeof(text) - 1, hash);
	ps_writer_str(w,
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: ");
	ps_base64_encode(w, hash, sizeof(hash));
	if (deflate)
		ps_writer_str(w,
		    "\r\nSec-WebSocket-Extensions: permessage-deflate; "
		    "server_no_context_takeover; client_no_context_takeover");
	if (deflate && bits)
		ps_writer_str(w, "; server_max_window_bits=15");
	ps_writer_str(w, "\r\n\r\n");
}

/* "Status: 403 Forbidden" of CGI is the status line here. */
void
handshake_refuse(struct ps_writer *w, const struct ps_style *style,
    enum ps_code code, const char *sentence, const char *members,
    const struct ps_head_extra *extra)
{
	struct ps_writer reply = { 0 };
	struct ps_slice rest, status;

	ps_reply_error_with(&reply, style, code, sentence, members, extra);
	if (reply.failed) {
		w->failed = true;
		goto out;
	}
	rest = ps_slice(reply.data, reply.len);
	ps_slice_cut(&rest, ' ');
	status = split_line(&rest);
	ps_writer_str(w, "HTTP/1.1 ");
	ps_writer_bytes(w, status.data, status.len);
	ps_writer_str(w, "\r\nConnection: close\r\n");
	if (ps_code_info(code)->status == 426)
		ps_writer_str(w,
		    style->flags & PS_STYLE_SOCKJS ?
			"Sec-WebSocket-Version: 13, 8, 7\r\n" :
			"Sec-WebSocket-Version: 13\r\n");
	ps_writer_bytes(w, rest.data, rest.len);
out:
	ps_writer_deinit(&reply);
}
