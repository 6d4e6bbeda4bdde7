#include "config.h"

#include "ps_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <locale.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <curl/curl.h>

#define PARSE_FLAGS \
	(CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS | CURLU_URLENCODE)

#ifdef CURLU_PUNYCODE
#define HOST_FLAGS CURLU_PUNYCODE
#else
#define HOST_FLAGS 0
#endif

static int
parse_ipv6(char *host, struct ps_slice text)
{
	char copy[INET6_ADDRSTRLEN] = "";
	struct in6_addr address;
	size_t len = text.len < 2 ? 0 : text.len - 2;

	if (len >= sizeof(copy) || text.data[text.len - 1] != ']')
		return PS_ERR_MALFORMED;
	memcpy(copy, text.data + 1, len);
	if (strlen(copy) != len || inet_pton(AF_INET6, copy, &address) != 1)
		return PS_ERR_MALFORMED;
	inet_ntop(AF_INET6, &address, host, PS_HOST_MAX + 1);
	return PS_OK;
}

/*
 * A name that the system's resolver would read as an address is that address:
 * 127.1, 0177.0.0.1, 0x7f000001, 2130706433, and with a final dot.
 */
static void
fold_ipv4(char *host)
{
	char *end = host + strlen(host) - 1;
	bool has_dot = *end == '.';
	struct in_addr address;

	if (has_dot)
		*end = '\0';
	if (inet_aton(host, &address) != 0)
		inet_ntop(AF_INET, &address, host, PS_HOST_MAX + 1);
	else if (has_dot)
		*end = '.';
}

static int
parse_name(char *host, struct ps_slice text)
{
	static const char others[] = "-._";
	size_t i;
	int c;

	if (text.len == 0)
		return PS_ERR_MALFORMED;
	if (text.len > PS_HOST_MAX)
		return PS_ERR_TOO_LARGE;
	for (i = 0; i < text.len; i++) {
		c = tolower((unsigned char)text.data[i]);
		if (!isalnum(c) && (c == '\0' || strchr(others, c) == NULL))
			return PS_ERR_MALFORMED;
		if (c == '.' && (i == 0 || host[i - 1] == '.'))
			return PS_ERR_MALFORMED;
		host[i] = (char)c;
	}
	host[i] = '\0';
	fold_ipv4(host);
	return PS_OK;
}

static int
parse_ascii(char *host, struct ps_slice text)
{
	return text.len > 0 && text.data[0] == '[' ? parse_ipv6(host, text) :
						     parse_name(host, text);
}

/* libcurl takes a name to be in the charset of the thread's locale. */
static CURLUcode
get_punycode(CURLU *handle, char **ascii_r)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = uselocale(utf8);
	CURLUcode code =
	    curl_url_get(handle, CURLUPART_HOST, ascii_r, HOST_FLAGS);

	uselocale(before);
	if (utf8 != (locale_t)0)
		freelocale(utf8);
	return code;
}

/*
 * What comes out may be anything, such as an address of full-width digits. A
 * name that has no punycode is no other error to libcurl than lack of memory.
 */
static int
parse_international(char *host, struct ps_slice text)
{
	char *copy = strndup(text.data, text.len), *ascii = NULL;
	CURLU *handle = curl_url();
	int ret = PS_ERR_MALFORMED;

	if (copy == NULL || handle == NULL)
		ret = PS_ERR_NOMEM;
	else if (strlen(copy) == text.len &&
	    curl_url_set(handle, CURLUPART_HOST, copy, 0) == CURLUE_OK &&
	    get_punycode(handle, &ascii) == CURLUE_OK)
		ret = parse_ascii(host, ps_slice_str(ascii));
	curl_free(ascii);
	curl_url_cleanup(handle);
	free(copy);
	return ret;
}

int
ps_host_parse(char *host, struct ps_slice text)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		if ((unsigned char)text.data[i] >= 0x80)
			return parse_international(host, text);
	}
	return parse_ascii(host, text);
}

_Static_assert(PS_CALLBACK_URL_MAX < PS_TARGET_MAX,
    "a callback fits where a target does");

/* What URLs of a kind have in common, and what is said of those that do not. */
struct url_kind {
	const char *scheme, *tls_scheme;
	size_t max;
	const char *other_scheme, *not_a_url, *has_control, *has_space,
	    *too_long;
};

static const struct url_kind target_kind = { "ws", "wss", PS_TARGET_MAX - 1,
	"scheme component must be \"ws\" or \"wss\"",
	"target is not an absolute WebSocket URL",
	"target has a control character", "target has a space",
	"target is too long" };

static const struct url_kind callback_kind = { "http", "https",
	PS_CALLBACK_URL_MAX,
	"scheme component must be \"http\" or \"https\"",
	"callback is not an absolute URL of the web",
	"callback has a control character", "callback has a space",
	"callback is too long" };

static const char out_of_memory[] = "out of memory";

/* What libcurl would accept and such a URL may not have. */
static const char *
reject_early(const struct url_kind *kind, const char *url)
{
	const char *authority = url + strcspn(url, ":/?#");
	size_t i;

	for (i = 0; url[i] != '\0'; i++) {
		if ((unsigned char)url[i] < 0x20 || url[i] == 0x7f)
			return kind->has_control;
		if (url[i] == ' ')
			return kind->has_space;
	}
	if (strncmp(authority, "://", 3) != 0)
		return kind->not_a_url;
	authority += 3;
	if (strchr(url, '#') != NULL)
		return "expected null fragment component";
	if (strcspn(authority, "/?") == 0)
		return "expected a host component";
	if (memchr(authority, '@', strcspn(authority, "/?")) != NULL)
		return "expected null userinfo component";
	if (memchr(authority, '%', strcspn(authority, "/?")) != NULL)
		return *authority == '[' ?
		    "expected no zone in the host component" :
		    "expected no escapes in the host component";
	return NULL;
}

static const char *
take_scheme(struct ps_target *target, const struct url_kind *kind,
    CURLU *handle)
{
	const char *error = NULL;
	char *scheme = NULL;

	if (curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
		return kind->not_a_url;
	if (strcmp(scheme, kind->tls_scheme) == 0)
		target->tls = true;
	else if (strcmp(scheme, kind->scheme) != 0)
		error = kind->other_scheme;
	curl_free(scheme);
	return error;
}

static const char *
take_host(struct ps_target *target, CURLU *handle)
{
	char *host = NULL;
	int ret = PS_ERR_MALFORMED;

	if (curl_url_get(handle, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		ret = ps_host_parse(target->host, ps_slice_str(host));
	curl_free(host);
	if (ret == PS_ERR_NOMEM)
		return out_of_memory;
	if (ret == PS_ERR_TOO_LARGE)
		return "host component is too long";
	return ret == PS_OK ? NULL :
			      "host component is neither a name nor an address";
}

static const char *
take_port(struct ps_target *target, CURLU *handle)
{
	char *port = NULL;
	long number = target->tls ? 443 : 80;

	if (curl_url_get(handle, CURLUPART_PORT, &port, 0) == CURLUE_OK)
		number = strtol(port, NULL, 10);
	curl_free(port);
	if (number < 1 || number > 65535)
		return "port component is out of range";
	target->port = (uint16_t)number;
	return NULL;
}

static const char *
take_path(struct ps_target *target, const struct url_kind *kind,
    CURLU *handle)
{
	char *path = NULL, *query = NULL;
	int len;

	curl_url_get(handle, CURLUPART_PATH, &path, 0);
	curl_url_get(handle, CURLUPART_QUERY, &query, 0);
	len = snprintf(target->path, sizeof(target->path), "%s%s%s",
	    path == NULL ? "/" : path, query == NULL ? "" : "?",
	    query == NULL ? "" : query);
	curl_free(path);
	curl_free(query);
	if (len < 0 || (size_t)len >= sizeof(target->path))
		return kind->too_long;
	return NULL;
}

static const char *
parse_url(struct ps_target *target, const struct url_kind *kind,
    struct ps_slice url)
{
	char copy[PS_TARGET_MAX];
	const char *error;
	CURLU *handle;

	memset(target, 0, offsetof(struct ps_target, path));
	if (url.len > kind->max)
		return kind->too_long;
	if (url.len > 0)
		memcpy(copy, url.data, url.len);
	copy[url.len] = '\0';
	if (strlen(copy) != url.len)
		return kind->has_control;
	if ((error = reject_early(kind, copy)) != NULL)
		return error;
	if ((handle = curl_url()) == NULL)
		return out_of_memory;
	if (curl_url_set(handle, CURLUPART_URL, copy, PARSE_FLAGS) !=
	    CURLUE_OK)
		error = kind->not_a_url;
	if (error == NULL)
		error = take_scheme(target, kind, handle);
	if (error == NULL)
		error = take_host(target, handle);
	if (error == NULL)
		error = take_port(target, handle);
	if (error == NULL)
		error = take_path(target, kind, handle);
	curl_url_cleanup(handle);
	return error;
}

const char *
ps_target_parse(struct ps_target *target, struct ps_slice url)
{
	return parse_url(target, &target_kind, url);
}

const char *
ps_callback_parse(struct ps_target *target, struct ps_slice url)
{
	return parse_url(target, &callback_kind, url);
}

struct ps_slice
ps_origin_from_header(struct ps_slice header)
{
	const struct ps_slice none = { NULL, 0 };
	size_t i, host = 0;

	if (ps_slice_is(header, "null"))
		return header;
	for (i = 0; i < header.len; i++) {
		unsigned char c = (unsigned char)header.data[i];

		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\')
			return none;
		if (host == 0 && c == '/') {
			if (i < 2 || header.data[i - 1] != ':' ||
			    header.len - i < 3 || header.data[i + 1] != '/')
				return none;
			host = ++i + 1;
		} else if (host != 0 && (c == '/' || c == '?' || c == '#')) {
			break;
		}
	}
	if (host == 0 || i == host || i > PS_ORIGIN_MAX)
		return none;
	return ps_slice(header.data, i);
}
