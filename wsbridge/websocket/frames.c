#include "config.h"

#include "frames.h"

#include <assert.h>

#include "ps_utf8.h"

#define FINAL 0x80
#define COMPRESSED 0x40 /* RSV1, RFC 7692, section 6 */
#define RESERVED 0x70
#define MASKED 0x80

static bool
is_control(unsigned opcode)
{
	return (opcode & 0x08) != 0;
}

/* The first byte of a header; NULL, or the rule that it breaks. */
static const char *
take_first_byte(struct frame_reader *reader, unsigned char byte)
{
	unsigned opcode = byte & 0x0f;
	bool compressed = (byte & COMPRESSED) != 0;

	reader->opcode = (uint8_t)opcode;
	reader->final = (byte & FINAL) != 0;
	/* Only the first frame of a message tells that it is compressed. */
	if ((byte & RESERVED & ~COMPRESSED) != 0 ||
	    (compressed &&
		(!reader->allows_compressed || is_control(opcode) ||
		    opcode == FRAME_CONTINUATION)))
		return "reserved bits";
	if ((opcode > FRAME_BINARY && !is_control(opcode)) ||
	    opcode > FRAME_PONG)
		return "reserved opcode";
	if (is_control(opcode))
		return reader->final ? NULL : "fragmented control frame";
	if ((opcode == FRAME_CONTINUATION) != reader->in_message)
		return reader->in_message ? "unfinished message" :
					    "nothing to continue";
	reader->first = opcode != FRAME_CONTINUATION;
	if (reader->first) {
		reader->message = (uint8_t)opcode;
		reader->compressed = compressed;
	}
	return NULL;
}

static const char *
take_second_byte(const struct frame_reader *reader, unsigned char byte)
{
	if ((byte & MASKED) == 0)
		return "unmasked frame";
	if (is_control(reader->opcode) &&
	    (byte & ~MASKED & 0xff) > FRAME_CONTROL_MAX)
		return "control frame too long";
	return NULL;
}

/* Bytes that the length takes behind the second byte. */
static size_t
length_bytes(const struct frame_reader *reader)
{
	switch (reader->head[1] & ~MASKED & 0xff) {
	case 126:
		return 2;
	case 127:
		return 8;
	default:
		return 0;
	}
}

/* A complete header. */
static const char *
take_head(struct frame_reader *reader)
{
	size_t bytes = length_bytes(reader), i;
	uint64_t length = bytes == 0 ? reader->head[1] & ~MASKED & 0xff : 0;

	for (i = 0; i < bytes; i++)
		length = length << 8 | reader->head[2 + i];
	if ((bytes == 2 && length < 126) || (bytes == 8 && length < 65536))
		return "length not minimal";
	if (length > INT64_MAX)
		return "length too large";
	memcpy(reader->mask, reader->head + 2 + bytes, sizeof(reader->mask));
	reader->left = length;
	reader->mask_at = 0;
	reader->control_len = 0;
	reader->head_len = 0;
	reader->in_payload = true;
	if (!is_control(reader->opcode))
		reader->in_message = !reader->final;
	return NULL;
}

static const char *
take_head_byte(struct frame_reader *reader, unsigned char byte)
{
	const char *rule = NULL;

	reader->head[reader->head_len++] = byte;
	if (reader->head_len == 1)
		rule = take_first_byte(reader, byte);
	else if (reader->head_len == 2)
		rule = take_second_byte(reader, byte);
	else if (reader->head_len ==
	    2 + length_bytes(reader) + sizeof(reader->mask))
		rule = take_head(reader);
	return rule;
}

/* The key repeats every four bytes; eight of them at a time are quicker. */
static void
unmask(struct frame_reader *reader, unsigned char *data, size_t len)
{
	unsigned char key[8];
	uint64_t word, mask;
	size_t i;

	for (i = 0; i < sizeof(key); i++)
		key[i] = reader->mask[(reader->mask_at + i) % 4];
	memcpy(&mask, key, sizeof(mask));
	for (i = 0; len - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, data + i, sizeof(word));
		word ^= mask;
		memcpy(data + i, &word, sizeof(word));
	}
	for (; i < len; i++)
		data[i] ^= key[i % 8];
	reader->mask_at = (uint8_t)((reader->mask_at + len) % 4);
}

/* What there is of the payload; true when that is to be given out. */
static bool
take_payload(struct frame_reader *reader, unsigned char *data, size_t len,
    struct frame_piece *piece)
{
	unmask(reader, data, len);
	reader->left -= len;
	reader->in_payload = reader->left > 0;
	if (!is_control(reader->opcode)) {
		*piece = (struct frame_piece){
			.opcode = (enum frame_opcode)reader->message,
			.first = reader->first,
			.last = reader->final && reader->left == 0,
			.compressed = reader->compressed,
			.left = reader->left,
			.data = ps_slice((char *)data, len),
		};
		reader->first = false;
		return true;
	}
	if (len > 0)
		memcpy(reader->control + reader->control_len, data, len);
	reader->control_len = (uint8_t)(reader->control_len + len);
	*piece = (struct frame_piece){
		.opcode = (enum frame_opcode)reader->opcode,
		.data = ps_slice((char *)reader->control, reader->control_len),
	};
	return reader->left == 0;
}

int
frame_read(struct frame_reader *reader, unsigned char **data, size_t *len,
    struct frame_piece *piece_r, const char **rule_r)
{
	while (*len > 0 && !reader->in_payload) {
		*rule_r = take_head_byte(reader, **data);
		if (*rule_r != NULL)
			return PS_ERR_MALFORMED;
		++*data;
		--*len;
	}
	/* A frame without payload is there as soon as its header is. */
	while (reader->in_payload && (*len > 0 || reader->left == 0)) {
		size_t n = *len < reader->left ? *len : (size_t)reader->left;
		bool complete = take_payload(reader, *data, n, piece_r);

		*data += n;
		*len -= n;
		if (complete)
			return 1;
	}
	return 0;
}

size_t
frame_head_len(uint64_t payload)
{
	if (payload < 126)
		return 2;
	return payload < 65536 ? 4 : 10;
}

void
frame_put_head(unsigned char *head, enum frame_opcode opcode, bool compressed,
    uint64_t payload)
{
	size_t bytes = frame_head_len(payload) - 2, i;

	head[0] = (unsigned char)(FINAL | (compressed ? COMPRESSED : 0) |
	    (unsigned)opcode);
	head[1] = (unsigned char)(bytes == 0 ? payload :
				      bytes == 2 ? 126 :
						   127);
	for (i = 0; i < bytes; i++)
		head[2 + i] = (unsigned char)(payload >> 8 * (bytes - 1 - i));
}

void
frame_write(struct ps_writer *w, enum frame_opcode opcode,
    struct ps_slice payload)
{
	unsigned char head[FRAME_HEAD_MAX];

	assert(!is_control(opcode) || payload.len <= FRAME_CONTROL_MAX);
	frame_put_head(head, opcode, false, payload.len);
	ps_writer_bytes(w, head, frame_head_len(payload.len));
	ps_writer_bytes(w, payload.data, payload.len);
}

void
frame_write_close(struct ps_writer *w, uint16_t code, struct ps_slice reason)
{
	char payload[FRAME_CONTROL_MAX] = { (char)(code >> 8),
		(char)(code & 0xff) };

	if (code == 1005) {
		frame_write(w, FRAME_CLOSE, ps_slice(NULL, 0));
		return;
	}
	if (reason.len > sizeof(payload) - 2)
		reason.len = 0;
	if (reason.len > 0)
		memcpy(payload + 2, reason.data, reason.len);
	frame_write(w, FRAME_CLOSE, ps_slice(payload, 2 + reason.len));
}

/* Those that may be sent (7.4, and what IANA has registered since then). */
static bool
code_is_valid(uint16_t code)
{
	return (code >= 1000 && code <= 1003) ||
	    (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

int
frame_parse_close(struct ps_slice payload, uint16_t *code_r,
    struct ps_slice *reason_r, const char **rule_r)
{
	const unsigned char *p = (const unsigned char *)payload.data;

	*code_r = 1005;
	*reason_r = ps_slice(NULL, 0);
	if (payload.len == 0)
		return PS_OK;
	if (payload.len > 1)
		*code_r = (uint16_t)(p[0] << 8 | p[1]);
	if (payload.len == 1 || !code_is_valid(*code_r)) {
		*code_r = 1002;
		*rule_r = "invalid close code";
		return PS_ERR_MALFORMED;
	}
	*reason_r = ps_slice(payload.data + 2, payload.len - 2);
	if (ps_utf8_is_valid(reason_r->data, reason_r->len))
		return PS_OK;
	*code_r = 1007;
	*rule_r = "invalid UTF-8";
	return PS_ERR_MALFORMED;
}
