#include "config.h"

#include "member_frames.h"

#include <stdio.h>

#include "channel.h"
#include "envelope.h"
#include "ps_json.h"

void
member_frame_put(const struct member *member, struct ps_writer *json)
{
	ps_writer_str(json, "{\"clientID\":\"");
	ps_writer_bytes(json, member->node.key.data, member->node.key.len);
	ps_writer_str(json, "\",\"presence\":");
	ps_writer_str(json,
	    member->presence == NULL ? "{}" : member->presence);
}

struct message *
member_frame_presence(const struct member *member, const char *type)
{
	struct ps_writer json = { 0 };
	struct message *message = NULL;

	member_frame_put(member, &json);
	ps_writer_str(&json, "}");
	if (!json.failed)
		message = envelope_create(type, ps_slice(json.data, json.len));
	ps_writer_deinit(&json);
	return message;
}

struct message *
member_frame_left(const struct member *member)
{
	char json[48];
	int len = snprintf(json, sizeof(json), "{\"clientID\":\"%s\"}",
	    member->node.key.data);

	return envelope_create("PRESENCE:LEFT", ps_slice(json, (size_t)len));
}

struct message *
member_frame_connected(const struct member *newcomer)
{
	const struct session *session = newcomer->session;
	struct ps_writer *json = &session->bridge->scratch;
	const struct member *member;
	const char *separator = "";

	ps_writer_reset(json);
	ps_writer_str(json, "{\"members\":[");
	TAILQ_FOREACH(member, &newcomer->channel->by_age, by_age) {
		if (member == newcomer)
			continue;
		ps_writer_str(json, separator);
		member_frame_put(member, json);
		ps_writer_str(json, "}");
		separator = ",";
	}
	ps_writer_str(json, "]");
	if (newcomer->tells_key)
		ps_writer_printf(json, ",\"key\":\"%s\"", session->id);
	ps_writer_str(json, "}");
	return json->failed ?
	    NULL :
	    envelope_create("CONNECTED", ps_slice(json->data, json->len));
}

struct message *
member_frame_error(const char *code, const char *text)
{
	struct ps_writer json = { 0 };
	struct message *message = NULL;

	ps_writer_str(&json, "{\"message\":");
	ps_json_string(&json, ps_slice_str(text));
	ps_writer_printf(&json, ",\"code\":\"%s\"}", code);
	if (!json.failed)
		message =
		    envelope_create("ERROR", ps_slice(json.data, json.len));
	ps_writer_deinit(&json);
	return message;
}
