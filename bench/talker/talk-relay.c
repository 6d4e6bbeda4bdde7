/*
 * The relay's tongue, dialect `polysocket`, in its four transports. Sends
 * carry the number of their first event, receivers what has arrived, so a
 * request that failed is just made again.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/relay.h"
#include "talk.h"

enum transport { POLL, JSONP, STREAM, EVENTSOURCE, N_TRANSPORTS };

enum { HEARTBEAT_MS = 2000 };

static void
open_session(struct talker *talker)
{
	relay_create(&talker->out, "/", talker->index);
}

static bool
opened(struct talker *talker)
{
	const char *text = talker->out_text.data ? talker->out_text.data : "";
	const char *value = strstr(text, "\"socket\":\"");
	size_t len = value ? strcspn(value += 10, "\"") : 0;

	if (len == 0 || len >= sizeof(talker->session))
		return false; /* no connection to the target, for one */
	memcpy(talker->session, value, len);
	talker->session[len] = '\0';
	talker_opened(talker, true);
	return true;
}

/* What a browser's EventSource says when it comes again, and a new one not. */
static void
eventsource_get(struct talker *talker, const char *path)
{
	char own[64] = "";

	if (talker->ack % 2 == 1)
		snprintf(own, sizeof(own), "Last-Event-ID: %llu\r\n",
			 (unsigned long long)talker->ack);
	http_get_with(&talker->in, path, own);
}

static void
receive(struct talker *talker)
{
	static const char *const routes[N_TRANSPORTS] = {
		[POLL] = "xhr",
		[JSONP] = "jsonp",
		[STREAM] = "xhr-streaming",
		[EVENTSOURCE] = "eventsource",
	};
	char path[384];
	int len =
	    snprintf(path, sizeof(path),
		     "%s/polysocket/%s?socket=%s&timeout=%d&ack=%llu%s",
		     load.prefix, routes[talker->transport], talker->session,
		     HEARTBEAT_MS, (unsigned long long)talker->ack,
		     talker->transport == JSONP ? "&callback=talk" : "");

	if (len >= (int)sizeof(path))
		die("path too long");
	if (talker->transport == EVENTSOURCE)
		eventsource_get(talker, path);
	else
		http_get(&talker->in, path);
}

static void
send_items(struct talker *talker, unsigned n)
{
	static struct text body;
	char path[256];
	unsigned i;

	body.len = 0;
	text_print(&body, "{\"socket\":\"%s\",\"n\":%llu,\"events\":[",
		   talker->session, (unsigned long long)talker->n_taken + 1);
	for (i = 0; i < n; i++) {
		text_print(&body, "%s{\"type\":\"string\",\"data\":\"",
			   i > 0 ? "," : "");
		queue_put(talker, &body, i);
		text_print(&body, "\"}");
	}
	text_print(&body, "]}");
	snprintf(path, sizeof(path), "%s/polysocket/send", load.prefix);
	http_post(&talker->out, path, "application/json", body.data, body.len);
}

static void
close_session(struct talker *talker)
{
	relay_close(&talker->out, talker->session);
}

/* By the target, as it was asked to, or by whatever else. */
static void
closed(struct talker *talker, const char *event)
{
	talker->is_over = true;
	talker->is_closed = strstr(event, "\"code\":3000") != NULL;
}

/* Returns what follows the event. */
static char *
event_read(struct talker *talker, char *event)
{
	static const char heartbeat[] = "{\"type\":\"heartbeat\"}";
	static const char message[] = "{\"type\":\"string\",\"data\":\"";
	char *end = strchr(event, '}');

	if (end == NULL)
		die("client %u: received %.200s", talker->index, event);
	if (strncmp(event, message, sizeof(message) - 1) == 0)
		talker_message(talker, event + sizeof(message) - 1);
	else if (strncmp(event, "{\"type\":\"close\"", 15) == 0)
		closed(talker, event);
	else if (strncmp(event, heartbeat, sizeof(heartbeat) - 1) != 0)
		die("client %u: received %.200s", talker->index, event);
	return end + 1;
}

/*
 * Events count when the number that acknowledges them is here too: in a line
 * that is complete.
 */
static void
line(struct talker *talker, char *line)
{
	static const char begin[] = "{\"ok\":true,\"events\":[";
	char *event = line + strspn(line, " "), *seq;

	if (strncmp(event, "data: ", 6) == 0)
		event += 6;
	else if (strncmp(event, "/**/talk(", 9) == 0)
		event += 9;
	if (*event == '\0' || *event == '\r' ||
	    strncmp(event, "id: ", 4) == 0 || strncmp(event, "retry: ", 7) == 0)
		return;
	if (strncmp(event, begin, sizeof(begin) - 1) != 0)
		die("client %u: received %.200s", talker->index, line);
	for (event += sizeof(begin) - 1; *event != ']'; event += *event == ',')
		event = event_read(talker, event);
	seq = strstr(event, "\"seq\":");
	if (seq)
		talker->ack = strtoull(seq + 6, NULL, 10);
}

const struct tongue relay_tongue = {
	.name = "relay",
	.n_transports = N_TRANSPORTS,
	.is_resumed = true,
	.sent_status = 201,
	.back_off_ms = 10,
	.max_back_off_ms = 200,
	.open = open_session,
	.opened = opened,
	.receive = receive,
	.send = send_items,
	.close = close_session,
	.line = line,
	.line_end = '\n',
};
