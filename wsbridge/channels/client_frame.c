#include "config.h"

#include "envelope.h"

#include <strings.h>

#include "ps_json.h"
#include "ps_json_parts.h"
#include "ps_limits.h"
#include "ps_utf8.h"

/* The members of a frame that mean something. */
enum member_name {
	MEMBER_TYPE,
	MEMBER_PAYLOAD,
	MEMBER_CLIENTS,
	MEMBER_REQUIRES_ACK,
	MEMBER_MIN_ACKS,
	MEMBER_ID,
	MEMBER__COUNT,
};

static const char *const member_names[MEMBER__COUNT] = {
	[MEMBER_TYPE] = "type",
	[MEMBER_PAYLOAD] = "payload",
	[MEMBER_CLIENTS] = "clients",
	[MEMBER_REQUIRES_ACK] = "requires_ack",
	[MEMBER_MIN_ACKS] = "min_acks",
	[MEMBER_ID] = "id",
};

static const char bad_clients[] =
    "clients is a number, ids with commas between, or an array of ids";

/* What a JSON string says, kept in `text`, which has room for it. */
static struct ps_slice
keep_text(struct ps_writer *text, struct ps_slice string)
{
	size_t begin = text->len;

	ps_json_unescape(text, string);
	return ps_slice(text->data + begin, text->len - begin);
}

static size_t
find_name(struct ps_writer *text, struct ps_slice string,
    const char *const *names, size_t n_names)
{
	size_t begin = text->len, i;
	struct ps_slice name = keep_text(text, string);

	text->len = begin;
	for (i = 0; i < n_names; i++) {
		if (ps_slice_is(name, names[i]))
			break;
	}
	return i;
}

/* The values of `names`, as JSON, empty where it has none; false when it has
 * one of them twice, so that nobody can read it in two ways. */
static bool
find_members(struct ps_writer *text, struct ps_slice object,
    const char *const *names, size_t n_names, struct ps_slice *values_r)
{
	struct ps_slice name, value;
	size_t i;

	for (i = 0; i < n_names; i++)
		values_r[i] = ps_slice(NULL, 0);
	while (ps_json_next_member(&object, &name, &value)) {
		i = find_name(text, name, names, n_names);
		if (i < n_names && values_r[i].len > 0)
			return false;
		if (i < n_names)
			values_r[i] = value;
	}
	return true;
}

static bool
is_absent(struct ps_slice value)
{
	return value.len == 0 || ps_slice_is(value, "null");
}

/* A whole number from 1 to PS_CLIENTS_NUMBER_MAX. */
static bool
read_number(struct ps_slice text, uint32_t *number_r)
{
	uint32_t number = 0;
	size_t i;

	for (i = 0; i < text.len && number <= PS_CLIENTS_NUMBER_MAX; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (uint32_t)(text.data[i] - '0');
	}
	*number_r = number;
	return number >= 1 && number <= PS_CLIENTS_NUMBER_MAX;
}

static bool
looks_like_number(struct ps_slice text)
{
	size_t i = text.len > 1 && text.data[0] == '-' ? 1 : 0;

	while (i < text.len && text.data[i] >= '0' && text.data[i] <= '9')
		i++;
	return i == text.len;
}

/* Ids with commas between. */
static bool
is_list(struct ps_slice list)
{
	size_t n_ids = 1, len = 0, i;

	for (i = 0; i < list.len; i++) {
		if (list.data[i] != ',') {
			len++;
			continue;
		}
		if (len == 0)
			return false;
		n_ids++;
		len = 0;
	}
	return len > 0 && n_ids <= PS_CLIENTS_MAX &&
	    list.len <= PS_CLIENTS_TEXT_MAX;
}

static bool
read_list(struct client_frame *frame, struct ps_slice array)
{
	struct ps_writer *text = &frame->text;
	size_t begin = text->len;
	struct ps_slice value, id;

	while (ps_json_next_element(&array, &value)) {
		if (!ps_json_is_string(value))
			return false;
		if (text->len > begin)
			ps_writer_str(text, ",");
		id = keep_text(text, value);
		if (id.len == 0 || memchr(id.data, ',', id.len) != NULL)
			return false;
	}
	frame->listed = ps_slice(text->data + begin, text->len - begin);
	return is_list(frame->listed);
}

static bool
read_clients(struct client_frame *frame, struct ps_slice value)
{
	if (is_absent(value))
		return true;
	frame->clients = PS_IPC_CLIENTS_LISTED;
	if (value.data[0] == '[')
		return read_list(frame, value);
	if (ps_json_is_string(value)) {
		frame->listed = keep_text(&frame->text, value);
		if (!looks_like_number(frame->listed))
			return is_list(frame->listed);
		value = frame->listed;
		frame->listed = ps_slice(NULL, 0);
	}
	frame->clients = PS_IPC_CLIENTS_NUMBER;
	return read_number(value, &frame->number);
}

static bool
read_flag(struct ps_slice value, bool *flag_r)
{
	*flag_r = false;
	if (is_absent(value))
		return true;
	if (ps_json_is_string(value))
		value = ps_slice(value.data + 1, value.len - 2);
	*flag_r = ps_slice_is(value, "true") || ps_slice_is(value, "1");
	return *flag_r || ps_slice_is(value, "false") ||
	    ps_slice_is(value, "0");
}

static bool
read_key(struct client_frame *frame, struct ps_slice value)
{
	if (is_absent(value))
		return true;
	if (!ps_json_is_string(value))
		return false;
	frame->key = keep_text(&frame->text, value);
	return frame->key.len >= 1 &&
	    ps_utf8_is_plain(frame->key.data, frame->key.len) &&
	    ps_utf8_count(frame->key.data, frame->key.len) <=
	    PS_EMIT_ID_CHARACTERS;
}

/* Each returns why the frame makes no sense; NULL: it does. */
static const char *
read_pong(struct client_frame *frame, const struct ps_slice *members)
{
	(void)frame;
	(void)members;
	return NULL;
}

static const char *
read_ack(struct client_frame *frame, const struct ps_slice *members)
{
	static const char *const names[] = { "eventID" };
	struct ps_slice payload = members[MEMBER_PAYLOAD], event_id;

	if (payload.len == 0 || payload.data[0] != '{' ||
	    !find_members(&frame->text, payload, names, 1, &event_id) ||
	    !ps_json_is_string(event_id))
		return "the payload of an ACK is an object with an eventID";
	frame->event_id = keep_text(&frame->text, event_id);
	return NULL;
}

static const char *
read_presence(struct client_frame *frame, const struct ps_slice *members)
{
	frame->payload = members[MEMBER_PAYLOAD];
	if (frame->payload.len == 0 || frame->payload.data[0] != '{')
		return "the payload of a PRESENCE is an object";
	if (frame->payload.len > PS_PRESENCE_MAX)
		return "a presence has at most 4096 bytes";
	return NULL;
}

static const char *
read_emit(struct client_frame *frame, const struct ps_slice *members)
{
	struct ps_slice min_acks = members[MEMBER_MIN_ACKS];

	frame->payload = members[MEMBER_PAYLOAD];
	if (is_absent(frame->payload) || ps_slice_is(frame->payload, "{}") ||
	    ps_slice_is(frame->payload, "[]"))
		return "No payload provided.";
	if (!read_clients(frame, members[MEMBER_CLIENTS]))
		return bad_clients;
	if (!read_flag(members[MEMBER_REQUIRES_ACK], &frame->requires_ack))
		return "requires_ack is true or false";
	if (!is_absent(min_acks)) {
		if (!read_number(min_acks, &frame->min_acks))
			return "min_acks is a number of clients";
		frame->requires_ack = true;
	}
	if (!read_key(frame, members[MEMBER_ID]))
		return "id is a text of 1 to 64 characters, none of control";
	return NULL;
}

static const struct {
	const char *name;
	const char *(*read)(struct client_frame *frame,
	    const struct ps_slice *members);
} types[] = {
	[CLIENT_PONG] = { "PONG", read_pong },
	[CLIENT_ACK] = { "ACK", read_ack },
	[CLIENT_PRESENCE] = { "PRESENCE", read_presence },
	[CLIENT_EMIT] = { "EMIT", read_emit },
};

_Static_assert(sizeof(types) / sizeof(types[0]) == CLIENT_TYPE__COUNT,
    "every type needs a row");

static bool
find_type(struct ps_slice name, enum client_type *type_r)
{
	int i;

	for (i = 0; i < CLIENT_TYPE__COUNT; i++) {
		if (name.len == strlen(types[i].name) &&
		    strncasecmp(name.data, types[i].name, name.len) == 0)
			break;
	}
	*type_r = (enum client_type)i;
	return i < CLIENT_TYPE__COUNT;
}

/* Makes `frame->text` the compact frame, with room for what its strings say:
 * less than they have bytes, so that slices of it stay where they are. */
static int
take_text(struct client_frame *frame, struct ps_slice text,
    const char **sentence_r)
{
	size_t n_names;
	int ret = ps_json_check(text, &n_names);

	*frame = (struct client_frame){ .type = CLIENT_TYPE__COUNT };
	*sentence_r = ret == PS_ERR_TOO_LARGE ?
	    "the message is nested too deeply" :
	    "the message is no JSON";
	if (ret != PS_OK)
		return PS_ERR_MALFORMED;
	if (ps_writer_reserve(&frame->text, 2 * text.len) == NULL)
		return PS_ERR_NOMEM;
	ps_json_compact(&frame->text, text);
	return PS_OK;
}

int
client_frame_parse(struct client_frame *frame, struct ps_slice text,
    const char **sentence_r)
{
	struct ps_slice members[MEMBER__COUNT], object;
	int ret = take_text(frame, text, sentence_r);

	if (ret != PS_OK)
		return ret;
	*sentence_r = "a message is an object with a type";
	object = ps_slice(frame->text.data, frame->text.len);
	if (object.data[0] != '{')
		return PS_ERR_MALFORMED;
	if (!find_members(&frame->text, object, member_names, MEMBER__COUNT,
		members)) {
		*sentence_r = "the message has a member twice";
		return PS_ERR_MALFORMED;
	}
	if (!ps_json_is_string(members[MEMBER_TYPE]))
		return PS_ERR_MALFORMED;
	if (!find_type(keep_text(&frame->text, members[MEMBER_TYPE]),
		&frame->type))
		return PS_ERR_UNKNOWN;
	*sentence_r = types[frame->type].read(frame, members);
	return *sentence_r == NULL ? PS_OK : PS_ERR_MALFORMED;
}

void
client_frame_deinit(struct client_frame *frame)
{
	ps_writer_deinit(&frame->text);
}
