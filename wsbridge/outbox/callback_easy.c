/* One callback and libcurl's easy handle for it: where it may connect to, what
 * is sent, what comes back. */
#include "config.h"

#include "callback_state.h"

#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "ps_network.h"
#include "ps_url.h"
#include "wsbridge/bridge.h"

/* For all requests; libcurl does not change them. `Expect:` keeps it from
 * asking whether a large body is wanted. */
static char no_expect[] = "Expect:", json[] = "Content-Type: application/json";
static struct curl_slist expect_header = { no_expect, NULL };
static struct curl_slist type_header = { json, &expect_header };

/* Of an IPv4 or IPv6 address. */
static bool
address_to_text(const struct sockaddr *from, char *text)
{
	if (from->sa_family == AF_INET)
		return uv_ip4_name((const struct sockaddr_in *)from, text,
			   PS_ADDRESS_MAX) == 0;
	return from->sa_family == AF_INET6 &&
	       uv_ip6_name((const struct sockaddr_in6 *)from, text,
		   PS_ADDRESS_MAX) == 0;
}

/* CURLOPT_OPENSOCKETFUNCTION: the one way to an address. */
static curl_socket_t
on_open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct callback *callback = data;
	struct callbacks *callbacks = callback->callbacks;
	struct ps_address address;
	char text[PS_ADDRESS_MAX];

	if (purpose != CURLSOCKTYPE_IPCXN ||
	    !address_to_text(&to->addr, text) ||
	    !ps_address_parse(&address, ps_slice_str(text)))
		return CURL_SOCKET_BAD;
	if (!ps_address_is_public(&address) &&
	    !ps_networks_have(
		&callbacks->bridge->config->allow_networks, &address)) {
		if (*callback->refused == '\0')
			memcpy(callback->refused, text, sizeof(text));
		return CURL_SOCKET_BAD;
	}
	callback->connected = true;
	return callback_loop_socket(&callbacks->loop, to);
}

/* CURLOPT_HEADERFUNCTION: a line with its end. */
static size_t
on_head(char *data, size_t size, size_t n, void *arg)
{
	struct callback *callback = arg;

	if (size * n >= 5 && memcmp(data, "HTTP/", 5) == 0)
		callback->has_head = false;
	else if (*data == '\r' || *data == '\n')
		callback->has_head = true;
	callback->head_bytes += size * n;
	if (callback->head_bytes <= REPLY_HEAD_MAX)
		return size * n;
	callback->too_large = true;
	return 0;
}

/* CURLOPT_WRITEFUNCTION. */
static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct callback *callback = arg;
	const struct ps_config *config = callback->callbacks->bridge->config;
	size_t len = size * n, had = callback->body.len;
	uint64_t most = config->callback_reply_bytes;

	if (had > most || len > most - had) {
		callback->too_large = true;
		return 0;
	}
	ps_writer_bytes(&callback->body, data, len);
	return callback->body.failed ? 0 : len;
}

/* What is the same for all requests. */
static bool
set_up(struct callback *callback)
{
	const struct ps_config *config = callback->callbacks->bridge->config;
	CURL *easy = callback->easy;
	CURLcode code = CURLE_OK;

#define SET(option, value)                                                     \
	do {                                                                   \
		if (code == CURLE_OK)                                          \
			code = curl_easy_setopt(easy, option, value);          \
	} while (0)

	SET(CURLOPT_PRIVATE, callback);
	SET(CURLOPT_ERRORBUFFER, callback->curl_error);
	SET(CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
	SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Else its end would wait for a name server that does not answer. */
	SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (*config->ca_file != '\0') {
		SET(CURLOPT_CAINFO, config->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_MAXAGE_CONN, (long)CALLBACK_KEEP_S);
#if LIBCURL_VERSION_NUM >= 0x075000
	SET(CURLOPT_MAXLIFETIME_CONN, (long)CALLBACK_LIFE_S);
#endif
	SET(CURLOPT_USERAGENT, "polysocket/" PACKAGE_VERSION);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_HTTPHEADER, callback->headers);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, callback);
	SET(CURLOPT_CLOSESOCKETFUNCTION, callback_loop_close_socket);
	SET(CURLOPT_CLOSESOCKETDATA, &callback->callbacks->loop);
	SET(CURLOPT_HEADERFUNCTION, on_head);
	SET(CURLOPT_HEADERDATA, callback);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, callback);
#undef SET
	return code == CURLE_OK;
}

void
callback_destroy(struct callback *callback)
{
	if (callback->easy != NULL)
		curl_easy_cleanup(callback->easy);
	ps_writer_deinit(&callback->body);
	free(callback->url);
	free(callback);
}

struct callback *
callback_create(struct callbacks *callbacks)
{
	struct callback *callback = calloc(1, sizeof(*callback));

	if (callback == NULL)
		return NULL;
	callback->callbacks = callbacks;
	callback->headers[0] =
	    (struct curl_slist){ callback->id, &callback->headers[1] };
	callback->headers[1] =
	    (struct curl_slist){ callback->timestamp, &callback->headers[2] };
	callback->headers[2] =
	    (struct curl_slist){ callback->signature, &type_header };
	callback->easy = curl_easy_init();
	if (callback->easy == NULL || !set_up(callback)) {
		callback_destroy(callback);
		return NULL;
	}
	return callback;
}

static void
write_host(const struct ps_target *target, char *host)
{
	snprintf(host, CALLBACK_HOST_MAX + 1,
	    strchr(target->host, ':') == NULL ? "%s://%s:%u" : "%s://[%s]:%u",
	    target->tls ? "https" : "http", target->host, target->port);
}

/*
 * The URL in the one form that its host has here, since libcurl would read an
 * international name in the charset of the locale. What is no URL of a
 * callback is left for libcurl to fail with.
 */
static CURLcode
tell_url(CURL *easy, const char *url)
{
	char text[CALLBACK_HOST_MAX + PS_TARGET_MAX + 1];
	struct ps_target target;
	size_t len;

	if (ps_callback_parse(&target, ps_slice_str(url)) != NULL)
		return curl_easy_setopt(easy, CURLOPT_URL, url);
	write_host(&target, text);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, "%s", target.path);
	return curl_easy_setopt(easy, CURLOPT_URL, text);
}

/* The easy handle keeps its last URL: an application has but one, mostly. */
static bool
set_url(struct callback *callback, const char *url)
{
	if (callback->url != NULL && strcmp(callback->url, url) == 0)
		return true;
	free(callback->url);
	if ((callback->url = strdup(url)) == NULL)
		return false;
	if (tell_url(callback->easy, url) == CURLE_OK)
		return true;
	free(callback->url);
	callback->url = NULL;
	return false;
}

static bool
sign(struct callback *callback, const struct callback_request *request)
{
	struct callbacks *callbacks = callback->callbacks;
	int64_t now_s = callbacks->bridge->unix_s();
	char signature[WEBHOOK_SIGNATURE_MAX];

	assert(strlen(request->id) <= CALLBACK_ID_MAX);
	if (webhook_sign(signature, &callbacks->scratch, request->key,
		request->id, now_s, request->body) != PS_OK)
		return false;
	snprintf(callback->id, sizeof(callback->id), "webhook-id: %s",
	    request->id);
	snprintf(callback->timestamp, sizeof(callback->timestamp),
	    "webhook-timestamp: %" PRId64, now_s);
	snprintf(callback->signature, sizeof(callback->signature),
	    "webhook-signature: %s", signature);
	return true;
}

bool
callback_prepare(struct callback *callback,
    const struct callback_request *request)
{
	const struct ps_config *config = callback->callbacks->bridge->config;
	CURL *easy = callback->easy;

	callback->timeout_ms = config->callback_timeout;
	callback->head_bytes = 0;
	callback->has_head = false;
	callback->too_large = callback->connected = false;
	*callback->refused = *callback->curl_error = '\0';
	return set_url(callback, request->url) && sign(callback, request) &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
		   (long)config->callback_timeout) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
		   (curl_off_t)request->body.len) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
		   request->body.len == 0 ? "" : request->body.data) ==
		   CURLE_OK;
}

bool
callback_host(const char *url, char *host_r)
{
	struct ps_target target;

	if (ps_callback_parse(&target, ps_slice_str(url)) != NULL)
		return false;
	write_host(&target, host_r);
	return true;
}
