/*
 * Socket.IO 4 over Engine.IO 4, by polling alone, as socket.io-client does it:
 * a request that fails ends the connection, and what was on its way upwards
 * is lost. After its pause of about a second it connects anew and asks for
 * recovery with what it knows: its private id and the last offset.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "talk.h"

#define SEPARATOR "\x1e"

static void
path_make(const struct talker *talker, char *path, size_t size)
{
	bool has_session = talker->state != OPENING || talker->step > 0;

	snprintf(path, size, "%s/socket.io/?EIO=4&transport=polling%s%s",
		 load.prefix, has_session ? "&sid=" : "",
		 has_session ? talker->session : "");
}

static void
post(struct talker *talker, const char *body, size_t len)
{
	char path[256];

	path_make(talker, path, sizeof(path));
	http_post(&talker->out, path, "text/plain;charset=UTF-8", body, len);
}

/* Copies the string at a key of a JSON text; returns whether there is one. */
static bool
value_find(const char *text, const char *key, char *value, size_t size)
{
	const char *begin = strstr(text, key);
	size_t len;

	if (begin == NULL)
		return false;
	begin += strlen(key);
	len = strcspn(begin, "\"");
	if (len >= size)
		die("too long: %s", begin);
	memcpy(value, begin, len);
	value[len] = '\0';
	return true;
}

static void
open_step(struct talker *talker)
{
	static struct text body;
	char path[256];

	if (talker->step == 0) {
		path_make(talker, path, sizeof(path));
		http_get(&talker->out, path);
		return;
	}
	body.len = 0;
	text_print(&body, "40");
	if (talker->offset[0] != '\0')
		text_print(&body, "{\"pid\":\"%s\",\"offset\":\"%s\"}",
			   talker->pid, talker->offset);
	post(talker, body.data, body.len);
}

static bool
opened(struct talker *talker)
{
	const char *text = talker->out_text.data ? talker->out_text.data : "";

	if (talker->step == 0)
		return value_find(text, "\"sid\":\"", talker->session,
				  sizeof(talker->session));
	talker->is_heard = true; /* the answer comes with the first poll */
	return true;
}

static void
receive(struct talker *talker)
{
	char path[256];

	path_make(talker, path, sizeof(path));
	http_get(&talker->in, path);
}

static void
send_items(struct talker *talker, unsigned n)
{
	static struct text body;
	unsigned i;

	body.len = 0;
	for (i = 0; i < n; i++) {
		bool is_pong = queue_item(talker, i)->kind == 'p';

		text_print(&body, "%s%s", i > 0 ? SEPARATOR : "",
			   is_pong ? "3" : "42[\"m\",\"");
		if (is_pong)
			continue;
		queue_put(talker, &body, i);
		text_print(&body, "\"]");
	}
	post(talker, body.data, body.len);
}

/* 42["m","TEXT","OFFSET"] */
static void
event_read(struct talker *talker, char *event)
{
	static const char begin[] = "42[\"m\",\"";
	char *text = event + sizeof(begin) - 1, *end;

	if (strncmp(event, begin, sizeof(begin) - 1) != 0 ||
	    (end = strchr(text, '"')) == NULL)
		die("client %u: received %.200s", talker->index, event);
	talker_message(talker, text);
	value_find(end + 1, ",\"", talker->offset, sizeof(talker->offset));
}

/* The same private id as before tells that the session was recovered. */
static void
connected(struct talker *talker, const char *packet)
{
	char pid[sizeof(talker->pid)] = "";
	bool is_new;

	value_find(packet, "\"pid\":\"", pid, sizeof(pid));
	is_new = strcmp(pid, talker->pid) != 0;
	memcpy(talker->pid, pid, sizeof(pid));
	talker_opened(talker, is_new);
}

static void
line(struct talker *talker, char *packet)
{
	switch (packet[0]) {
	case '2':
		queue_add(talker, 'p', now_ns());
		return;
	case '6': /* noop */
		return;
	case '1':
		talker->is_over = true;
		return;
	case '4':
		break;
	default:
		die("client %u: received %.200s", talker->index, packet);
	}
	switch (packet[1]) {
	case '0':
		connected(talker, packet);
		break;
	case '2':
		event_read(talker, packet);
		break;
	default: /* disconnected, or not connected */
		talker->is_over = true;
	}
}

const struct tongue socketio_tongue = {
	.name = "socketio",
	.n_transports = 1,
	.sent_status = 200,
	.back_off_ms = 1000, /* reconnectionDelay, with its randomness */
	.max_back_off_ms = 5000,
	.open = open_step,
	.opened = opened,
	.receive = receive,
	.send = send_items,
	.line = line,
	.line_end = '\x1e',
};
