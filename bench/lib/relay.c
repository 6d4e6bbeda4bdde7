#include "config.h"

#include "relay.h"

#include <stdio.h>
#include <string.h>

#include "bench/load/load.h"

static void
post(struct http *http, const char *route, const char *body, int len)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/polysocket/%s", load.prefix, route);
	http_post(http, path, "application/json", body, len);
}

static void
get(struct http *http, const char *route, const char *session)
{
	char path[256];

	/* longer than a run is, so that a parked poll costs nothing beside */
	snprintf(path, sizeof(path), "%s/polysocket/%s?socket=%s&timeout=%d",
		 load.prefix, route, session, 600000);
	http_get(http, path);
}

void
answer_add(struct answer *answer, const char *data, size_t len)
{
	if (len >= sizeof(answer->text) - answer->len)
		die("answer too long: %s", answer->text);
	memcpy(answer->text + answer->len, data, len);
	answer->len += len;
	answer->text[answer->len] = '\0';
}

void
relay_create(struct http *http, const char *path, uint64_t n)
{
	char token[96] = "", body[512];

	if (load.n_tokens > 0)
		snprintf(token, sizeof(token), ",\"token\":\"%064llx\"",
			 (unsigned long long)n % load.n_tokens + 1);
	post(http, "create", body,
	     snprintf(body, sizeof(body), "{\"target\":\"%s%s\"%s}",
		      load.target, path, token));
}

void
relay_session(char *session, size_t size, unsigned client, int status,
	      const char *answer)
{
	const char *value = strstr(answer, "\"socket\":\"");
	size_t len = value ? strcspn(value += 10, "\"") : size;

	if (status != 200 || strstr(answer, "\"ok\":true") == NULL ||
	    len >= size)
		die("client %u: create: %d %s", client, status, answer);
	memcpy(session, value, len);
	session[len] = '\0';
}

void
relay_poll(struct http *http, const char *session)
{
	get(http, "xhr", session);
}

void
relay_stream(struct http *http, const char *session)
{
	get(http, "xhr-streaming", session);
}

void
relay_send(struct http *http, const char *session, const char *data)
{
	char body[MAX_PAYLOAD + 256];

	post(http, "send", body,
	     snprintf(body, sizeof(body),
		      "{\"socket\":\"%s\",\"events\":"
		      "[{\"type\":\"string\",\"data\":\"%s\"}]}",
		      session, data));
}

void
relay_close(struct http *http, const char *session)
{
	char body[256];

	post(http, "close", body,
	     snprintf(body, sizeof(body), "{\"socket\":\"%s\",\"code\":1000}",
		      session));
}
