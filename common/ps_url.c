#include "config.h"

#include "ps_url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>

#define PARSE_FLAGS (CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS | CURLU_URLENCODE)

#ifdef CURLU_PUNYCODE
#define HOST_FLAGS CURLU_PUNYCODE
#else
#define HOST_FLAGS 0
#endif

static const char not_a_url[] = "target is not an absolute WebSocket URL";

/* What libcurl would accept and a WebSocket URL may not have. */
static const char *
reject_early(const char *url)
{
	const char *authority = url + strcspn(url, ":/?#");
	size_t i;

	for (i = 0; url[i] != '\0'; i++) {
		if ((unsigned char)url[i] < 0x20 || url[i] == 0x7f)
			return "target has a control character";
		if (url[i] == ' ')
			return "target has a space";
	}
	if (strncmp(authority, "://", 3) != 0)
		return not_a_url;
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
take_scheme(struct ps_target *target, CURLU *handle)
{
	const char *error = NULL;
	char *scheme = NULL;

	if (curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
		return not_a_url;
	if (strcmp(scheme, "wss") == 0)
		target->tls = true;
	else if (strcmp(scheme, "ws") != 0)
		error = "scheme component must be \"ws\" or \"wss\"";
	curl_free(scheme);
	return error;
}

static const char *
take_host(struct ps_target *target, CURLU *handle)
{
	char *host = NULL, *zone = NULL, *port = NULL;
	const char *error = NULL;
	size_t len, i;
	long number;

	if (curl_url_get(handle, CURLUPART_HOST, &host, HOST_FLAGS) !=
		CURLUE_OK ||
	    *host == '\0') {
		curl_free(host);
		return "expected a host component";
	}
	len = strlen(host);
	if (curl_url_get(handle, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK) {
		error = "expected no zone in the host component";
	} else if (host[0] == '[') {
		if (len - 2 < sizeof(target->host))
			memcpy(target->host, host + 1, len - 2);
	} else if (len < sizeof(target->host)) {
		memcpy(target->host, host, len);
	} else {
		error = "host component is too long";
	}
	for (i = 0; target->host[i] != '\0'; i++)
		target->host[i] = (char)tolower((unsigned char)target->host[i]);
	target->port = target->tls ? 443 : 80;
	if (curl_url_get(handle, CURLUPART_PORT, &port, 0) == CURLUE_OK) {
		number = strtol(port, NULL, 10);
		if (number < 1 || number > 65535)
			error = "port component is out of range";
		target->port = (uint16_t)number;
	}
	curl_free(host);
	curl_free(zone);
	curl_free(port);
	return error;
}

static const char *
take_path(struct ps_target *target, CURLU *handle)
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
		return "target is too long";
	return NULL;
}

const char *
ps_target_parse(struct ps_target *target, struct ps_slice url)
{
	char copy[PS_TARGET_MAX];
	const char *error;
	CURLU *handle;

	memset(target, 0, offsetof(struct ps_target, path));
	if (url.len >= sizeof(copy))
		return "target is too long";
	if (url.len > 0)
		memcpy(copy, url.data, url.len);
	copy[url.len] = '\0';
	if (strlen(copy) != url.len)
		return "target has a control character";
	if ((error = reject_early(copy)) != NULL)
		return error;
	if ((handle = curl_url()) == NULL)
		return "out of memory";
	if (curl_url_set(handle, CURLUPART_URL, copy, PARSE_FLAGS) !=
	    CURLUE_OK)
		error = not_a_url;
	if (error == NULL)
		error = take_scheme(target, handle);
	if (error == NULL)
		error = take_host(target, handle);
	if (error == NULL)
		error = take_path(target, handle);
	curl_url_cleanup(handle);
	return error;
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
