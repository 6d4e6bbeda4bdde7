#include "config.h"

#include "envelope.h"

#include <assert.h>
#include <stdlib.h>

#include <openssl/rand.h>

#include "ps_base64.h"
#include "ps_limits.h"

#define EVENT_ID_NAME ",\"eventID\":\""
#define REQUIRES_ACK ",\"requires_ack\":true"
#define REPLAYED ",\"replayed\":true"

/* Characters behind the prefix of an id: 48 bits. */
#define RANDOM_LEN 8

/* The parts of a frame, of which `split` is where the recipient's own go. */
static struct message *
join(const struct ps_slice *parts, size_t n_parts, size_t split)
{
	struct message *message;
	size_t len = 0, i;
	unsigned char *end;

	for (i = 0; i < n_parts; i++)
		len += parts[i].len;
	if (len > UINT32_MAX ||
	    (message = message_create_empty(PS_EVENT_TEXT, len)) == NULL)
		return NULL;
	end = message_data(message);
	for (i = 0; i < n_parts; i++) {
		if (i == split)
			message->split =
			    (uint32_t)(end - message_data(message));
		if (parts[i].len > 0)
			memcpy(end, parts[i].data, parts[i].len);
		end += parts[i].len;
	}
	return message;
}

struct message *
envelope_create(const char *type, struct ps_slice payload)
{
	const struct ps_slice parts[] = {
		ps_slice_str("{\"type\":\""),
		ps_slice_str(type),
		ps_slice_str("\",\"payload\":"),
		payload,
		ps_slice_str("}"),
	};
	struct message *message = join(parts, 5, 4);

	if (message != NULL)
		message->is_free = true;
	return message;
}

struct message *
envelope_data(struct ps_slice payload, const char *event_id,
    bool requires_ack, bool replayed)
{
	const struct ps_slice parts[] = {
		ps_slice_str("{\"type\":\"DATA\",\"payload\":"),
		payload,
		ps_slice_str(requires_ack ? REQUIRES_ACK : NULL),
		ps_slice_str(EVENT_ID_NAME),
		ps_slice_str(event_id),
		ps_slice_str(replayed ? "\"" REPLAYED "}" : "\"}"),
	};

	return join(parts, 6, 2);
}

/* Moves past `text` where `s` begins with it. */
static bool
skip(struct ps_slice *s, const char *text)
{
	size_t len = strlen(text);

	if (s->len < len || memcmp(s->data, text, len) != 0)
		return false;
	*s = ps_slice(s->data + len, s->len - len);
	return true;
}

struct ps_slice
envelope_event_id(const struct message *message)
{
	struct ps_slice rest = message_slice(message);
	struct ps_slice none = { NULL, 0 };

	if (message->split == 0)
		return none;
	rest = ps_slice(rest.data + message->split,
	    rest.len - message->split);
	skip(&rest, REQUIRES_ACK);
	if (!skip(&rest, EVENT_ID_NAME) || rest.len < PS_EVENT_ID_LEN)
		return none;
	return ps_slice(rest.data, PS_EVENT_ID_LEN);
}

bool
envelope_make_id(char *id_r, const char *prefix)
{
	unsigned char random[16];
	size_t len = strlen(prefix);
	char text[23];

	assert(len + RANDOM_LEN <= PS_CLIENT_ID_LEN);
	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	ps_base64_id(text, random);
	memcpy(id_r, prefix, len);
	memcpy(id_r + len, text, RANDOM_LEN);
	id_r[len + RANDOM_LEN] = '\0';
	return true;
}
