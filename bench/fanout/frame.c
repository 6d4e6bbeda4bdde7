/*
 * Frames of polysocket's channels, compact JSON that begins with its type: a
 * member counts on that, as parsing them costs more than they do. And those of
 * SockJS.
 */
#include "config.h"

#include <string.h>

#include "bench/lib/link.h"
#include "fanout.h"

/* Finds a string of at most MAX_ID by what stands before it, from the end. */
static bool
string_find(char *out, const char *frame, size_t len, const char *before)
{
	size_t n = strlen(before), i, value_len;
	const char *end;

	for (i = len > n ? len - n : 0; i > 0; i--)
		if (memcmp(frame + i, before, n) == 0) {
			end = memchr(frame + i + n, '"', len - i - n);
			value_len = end ? end - (frame + i + n) : MAX_ID;
			if (value_len >= MAX_ID)
				return false;
			memcpy(out, frame + i + n, value_len);
			out[value_len] = '\0';
			return true;
		}
	return false;
}

/* The members that CONNECTED names, and its recipient. */
static unsigned
count_known(const char *frame, size_t len)
{
	static const char name[] = "\"clientID\":\"";
	const char *end = frame + len;
	unsigned n = 0;

	while ((frame = memmem(frame, end - frame, name, sizeof(name) - 1)) !=
	       NULL) {
		frame += sizeof(name) - 1;
		n++;
	}
	return n;
}

static bool
begins(const char *frame, size_t len, const char *type)
{
	size_t type_len = strlen(type);

	return len > 9 + type_len && memcmp(frame, "{\"type\":\"", 9) == 0 &&
	    memcmp(frame + 9, type, type_len) == 0;
}

void
member_frame(struct member *member, const char *frame, size_t len)
{
	static const char data[] = "DATA\",\"payload\":\"";
	size_t data_len = 9 + sizeof(data) - 1;

	if (begins(frame, len, data)) {
		const char *end =
		    memchr(frame + data_len, '"', len - data_len);

		member_event(member, frame + data_len,
			     end ? end - (frame + data_len) : 0);
	} else if (begins(frame, len, "PRESENCE:JOINED\"")) {
		member_heard(member);
	} else if (begins(frame, len, "CONNECTED\"")) {
		if (!string_find(member->client, frame, len,
				 "\"clientID\":\""))
			die("member %u: CONNECTED without clientID",
			    member->index);
		string_find(member->key, frame, len, "\"key\":\"");
		member_joined(member, count_known(frame, len));
	} else if (begins(frame, len, "PING\"") && member->pong != NULL) {
		member->pong(member);
	} else {
		die("member %u: received %.*s", member->index,
		    (int)(len < 200 ? len : 200), frame);
	}
}

void
member_sockjs(struct member *member, const char *frame, size_t len)
{
	const char *end = frame + len, *text = frame + 1;

	if (len == 1 && *frame == 'o') {
		member_joined(member, 1);
	} else if (len > 3 && *frame == 'a') {
		while (text < end && *text != ']') {
			const char *next = text + 2; /* [" or ," */

			text = memchr(next, '"', end - next);
			if (text == NULL)
				die("member %u: received %.*s", member->index,
				    (int)len, frame);
			member_event(member, next, text++ - next);
		}
	} else if (len == 0 || *frame != 'h') {
		die("member %u: received %.*s", member->index, (int)len,
		    frame);
	}
}
