#include "config.h"

#include "callback.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "callback_loop.h"
#include "ps_log.h"
#include "ps_network.h"
#include "ps_url.h"
#include "webhook.h"
#include "wsbridge/bridge.h"

/* Ended requests that are told of in one wake-up; the rest is in the next. */
#define COLLECT_BATCH 32
/* What the head of a reply may be, and what a request keeps for the next. */
#define REPLY_HEAD_MAX (64 * 1024)
#define KEPT_BUFFER 4096

/* A request, or one that stands by for the next, with its easy handle. */
struct callback {
	TAILQ_ENTRY(callback) entry;
	struct callbacks *callbacks;
	CURL *easy;
	char *url; /* of the easy handle */
	callback_done_fn done;
	void *owner;
	uint64_t timeout_ms;

	/* What is sent: webhook-id, -timestamp, -signature. */
	struct curl_slist headers[3];
	char id[sizeof("webhook-id: ") + CALLBACK_ID_MAX];
	char timestamp[sizeof("webhook-timestamp: ") + 20];
	char signature[sizeof("webhook-signature: ") + WEBHOOK_SIGNATURE_MAX];

	/* What comes back. */
	struct ps_writer body;
	size_t head_bytes;
	bool too_large;
	bool connected;               /* or tried to, with an address */
	char refused[PS_ADDRESS_MAX]; /* the first one, or empty */
	char curl_error[CURL_ERROR_SIZE];
	char error[CURL_ERROR_SIZE + 64];
};

TAILQ_HEAD(callback_list, callback);

struct callbacks {
	struct bridge *bridge;
	struct callback_loop loop;
	struct callback_list active, standby;
	size_t n_active;
	uint64_t per_host; /* as libcurl has been told */
	uint64_t used_ms;  /* the end of the last request */
	struct timer keep_timer;
	struct ps_writer scratch;
};

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

/* CURLOPT_HEADERFUNCTION. */
static size_t
on_head(char *data, size_t size, size_t n, void *arg)
{
	struct callback *callback = arg;

	(void)data;
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

static void
destroy(struct callback *callback)
{
	if (callback->easy != NULL)
		curl_easy_cleanup(callback->easy);
	ps_writer_deinit(&callback->body);
	free(callback->url);
	free(callback);
}

static struct callback *
create(struct callbacks *callbacks)
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
		destroy(callback);
		return NULL;
	}
	return callback;
}

/* It ends and stands by for the next. */
static void
put_back(struct callback *callback)
{
	ps_writer_reset(&callback->body);
	ps_writer_trim(&callback->body, KEPT_BUFFER);
	TAILQ_INSERT_HEAD(&callback->callbacks->standby, callback, entry);
}

static void
close_idle(struct callbacks *callbacks)
{
	struct callback *callback;

	callback_loop_close(&callbacks->loop);
	while ((callback = TAILQ_FIRST(&callbacks->standby)) != NULL) {
		TAILQ_REMOVE(&callbacks->standby, callback, entry);
		destroy(callback);
	}
	ps_writer_trim(&callbacks->scratch, 0);
}

static void
set_keep_timer(struct callbacks *callbacks, uint64_t from_ms)
{
	timers_set(&callbacks->bridge->timers, &callbacks->keep_timer,
	    from_ms + CALLBACK_KEEP_S * UINT64_C(1000));
}

/* Connections are closed by libcurl when another request has been made, and
 * with all else it keeps where none was for a while. */
static void
on_keep_timer(struct timer *timer)
{
	struct callbacks *callbacks =
	    PS_CONTAINER(timer, struct callbacks, keep_timer);
	uint64_t now_ms = callbacks->bridge->now_ms();

	if (callbacks->n_active > 0)
		set_keep_timer(callbacks, now_ms);
	else if (now_ms - callbacks->used_ms < CALLBACK_KEEP_S * 1000)
		set_keep_timer(callbacks, callbacks->used_ms);
	else
		close_idle(callbacks);
}

static void say(struct callback *callback, const char *format, ...)
    PS_PRINTF(2, 3);

/* Errors begin with a small letter, as in logs. */
static void
say(struct callback *callback, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(callback->error, sizeof(callback->error), format, args);
	va_end(args);
	callback->error[0] = (char)tolower((unsigned char)callback->error[0]);
}

static void
say_timeout(struct callback *callback)
{
	uint64_t ms = callback->timeout_ms;

	if (ms % 1000 == 0)
		say(callback, "timed out after %" PRIu64 " s", ms / 1000);
	else
		say(callback, "timed out after %" PRIu64 " ms", ms);
}

static void
say_not_connected(struct callback *callback)
{
	long number = 0;

	if (*callback->refused != '\0' && !callback->connected) {
		say(callback,
		    "address %s may not be reached (neither public "
		    "nor in allow_networks)",
		    callback->refused);
		return;
	}
	curl_easy_getinfo(callback->easy, CURLINFO_OS_ERRNO, &number);
	say(callback, "%s",
	    number == 0 ? "cannot connect" : strerror((int)number));
}

static void
say_certificate(struct callback *callback)
{
	static const char *const prefixes[] = { "SSL certificate problem: ",
		"SSL: " };
	const char *text = callback->curl_error;
	size_t i, len;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		len = strlen(prefixes[i]);
		if (strncmp(text, prefixes[i], len) == 0) {
			text += len;
			break;
		}
	}
	say(callback, "certificate refused (%s)", text);
}

/* Why there was no whole answer. */
static void
describe(struct callback *callback, CURLcode code)
{
	if (callback->too_large)
		say(callback, "%s",
		    callback->head_bytes > REPLY_HEAD_MAX ?
			"head of the reply larger than 64 KiB" :
			"reply larger than callback_reply_bytes");
	else if (callback->body.failed || code == CURLE_OUT_OF_MEMORY)
		say(callback, "%s", "out of memory");
	else if (code == CURLE_OPERATION_TIMEDOUT)
		say_timeout(callback);
	else if (code == CURLE_COULDNT_CONNECT)
		say_not_connected(callback);
	else if (code == CURLE_PEER_FAILED_VERIFICATION)
		say_certificate(callback);
	else if (code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE ||
		 code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR)
		say(callback, "%s", "connection lost before the reply's end");
	else if (*callback->curl_error != '\0')
		say(callback, "%s", callback->curl_error);
	else
		say(callback, "%s", curl_easy_strerror(code));
}

static void
leave(struct callback *callback)
{
	struct callbacks *callbacks = callback->callbacks;

	curl_multi_remove_handle(callbacks->loop.multi, callback->easy);
	TAILQ_REMOVE(&callbacks->active, callback, entry);
	callbacks->n_active--;
	callbacks->used_ms = callbacks->bridge->now_ms();
}

static void
finish(struct callback *callback, CURLcode code)
{
	struct callback_result result = { .error = "" };
	long status = 0;

	curl_easy_getinfo(callback->easy, CURLINFO_RESPONSE_CODE, &status);
	leave(callback);
	/* What an error says at length does not matter. */
	if (code == CURLE_OK || (callback->too_large && status >= 300)) {
		result.status = (int)status;
	} else {
		describe(callback, code);
		result.error = callback->error;
	}
	if (result.status / 100 == 2)
		result.body = ps_slice(callback->body.data, callback->body.len);
	callback->done(callback->owner, &result);
	put_back(callback);
}

/* Tells of the requests that have ended. */
static void
collect(struct callback_loop *loop)
{
	struct callback *callback;
	CURLMsg *msg;
	int n, left;
	void *data;

	for (n = 0; loop->multi != NULL; n++) {
		if (n == COLLECT_BATCH) {
			callback_loop_soon(loop);
			break;
		}
		if ((msg = curl_multi_info_read(loop->multi, &left)) == NULL)
			break;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &data);
		callback = data;
		finish(callback, msg->data.result);
	}
}

struct callbacks *
callbacks_create(struct bridge *bridge)
{
	struct callbacks *callbacks = calloc(1, sizeof(*callbacks));

	if (callbacks == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		ps_error("callback: libcurl does not start");
		free(callbacks);
		return NULL;
	}
	if ((curl_version_info(CURLVERSION_NOW)->features &
		CURL_VERSION_ASYNCHDNS) == 0)
		ps_warning("callback: while libcurl asks a name server all "
			   "else waits (it has no asynchronous resolver)");
	callbacks->bridge = bridge;
	TAILQ_INIT(&callbacks->active);
	TAILQ_INIT(&callbacks->standby);
	callbacks->keep_timer.fire = on_keep_timer;
	callback_loop_init(&callbacks->loop, bridge, collect);
	return callbacks;
}

static void
on_closed(uv_handle_t *handle)
{
	struct callback_loop *loop =
	    PS_CONTAINER((uv_idle_t *)handle, struct callback_loop, soon);
	struct callbacks *callbacks =
	    PS_CONTAINER(loop, struct callbacks, loop);

	ps_writer_deinit(&callbacks->scratch);
	free(callbacks);
	curl_global_cleanup();
}

void
callbacks_destroy(struct callbacks *callbacks)
{
	if (callbacks == NULL)
		return;
	while (!TAILQ_EMPTY(&callbacks->active))
		callback_cancel(TAILQ_FIRST(&callbacks->active));
	close_idle(callbacks);
	timers_cancel(&callbacks->bridge->timers, &callbacks->keep_timer);
	callback_loop_deinit(&callbacks->loop, on_closed);
}

size_t
callbacks_count(const struct callbacks *callbacks)
{
	return callbacks->n_active;
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

static bool
prepare(struct callback *callback, const struct callback_request *request)
{
	const struct ps_config *config = callback->callbacks->bridge->config;
	CURL *easy = callback->easy;

	callback->timeout_ms = config->callback_timeout;
	callback->head_bytes = 0;
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

static bool
open_loop(struct callbacks *callbacks)
{
	uint64_t per_host = callbacks->bridge->config->callback_connections;

	if (callbacks->loop.multi == NULL) {
		if (!callback_loop_open(&callbacks->loop))
			return false;
		curl_multi_setopt(callbacks->loop.multi, CURLMOPT_MAXCONNECTS,
		    (long)CALLBACKS_MAX);
		callbacks->per_host = 0;
		set_keep_timer(callbacks, callbacks->bridge->now_ms());
	}
	if (callbacks->per_host != per_host)
		curl_multi_setopt(callbacks->loop.multi,
		    CURLMOPT_MAX_HOST_CONNECTIONS, (long)per_host);
	callbacks->per_host = per_host;
	return true;
}

struct callback *
callback_start(struct callbacks *callbacks,
    const struct callback_request *request, callback_done_fn done, void *owner)
{
	struct callback *callback = TAILQ_FIRST(&callbacks->standby);

	if (!open_loop(callbacks))
		return NULL;
	if (callback != NULL)
		TAILQ_REMOVE(&callbacks->standby, callback, entry);
	else if ((callback = create(callbacks)) == NULL)
		return NULL;
	if (!prepare(callback, request) ||
	    curl_multi_add_handle(callbacks->loop.multi, callback->easy) !=
		CURLM_OK) {
		put_back(callback);
		return NULL;
	}
	callback->done = done;
	callback->owner = owner;
	TAILQ_INSERT_TAIL(&callbacks->active, callback, entry);
	callbacks->n_active++;
	return callback;
}

void
callback_cancel(struct callback *callback)
{
	if (callback == NULL)
		return;
	leave(callback);
	put_back(callback);
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
