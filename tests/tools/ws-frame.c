#include "config.h"

#include "ws-frame.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

void
ws_unmask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t mask[4])
{
	uint64_t key, eight;
	size_t i;

	memcpy(&key, mask, 4);
	memcpy((uint8_t *)&key + 4, mask, 4);
	for (i = 0; len - i >= sizeof(eight); i += sizeof(eight)) {
		memcpy(&eight, from + i, sizeof(eight));
		eight ^= key;
		memcpy(to + i, &eight, sizeof(eight));
	}
	for (; i < len; i++)
		to[i] = from[i] ^ mask[i % 4];
}

size_t
ws_header_write(uint8_t *out, bool is_final, enum ws_opcode opcode, size_t len)
{
	size_t pos = 0;
	int shift;

	out[pos++] = (is_final ? 0x80 : 0) | opcode;
	if (len < 126) {
		out[pos++] = len;
		return pos;
	}
	out[pos++] = len < 65536 ? 126 : 127;
	for (shift = len < 65536 ? 8 : 56; shift >= 0; shift -= 8)
		out[pos++] = (uint64_t)len >> shift;
	return pos;
}

int
ws_header_read(struct ws_frame *frame, const uint8_t *data, size_t len)
{
	size_t n_length, i;

	if (len < 2)
		return 0;
	frame->is_final = data[0] & 0x80;
	frame->opcode = data[0] & 0x0f;
	if ((data[0] & 0x70) || !(data[1] & 0x80))
		return -1002; /* no extension is in use; clients mask */
	frame->payload_len = data[1] & 0x7f;
	n_length = frame->payload_len == 126   ? 2
		   : frame->payload_len == 127 ? 8
					       : 0;
	if (frame->opcode >= WS_CLOSE && (!frame->is_final || n_length > 0))
		return -1002;
	frame->header_len = 2 + n_length + 4;
	if (len < frame->header_len)
		return 0;
	if (n_length > 0)
		frame->payload_len = 0;
	for (i = 0; i < n_length; i++)
		frame->payload_len = frame->payload_len << 8 | data[2 + i];
	if ((n_length == 2 && frame->payload_len < 126) ||
	    (n_length == 8 &&
	     (frame->payload_len < 65536 || frame->payload_len >> 63)))
		return -1002; /* the shortest form is the only one */
	memcpy(frame->mask, data + 2 + n_length, 4);
	return 1;
}

/*
 * Finds a header field of a head that ends in a blank line. Returns false
 * when it is not there; the value is cut off at `size`.
 */
static bool
field_find(const char *head, const char *name, char *value, size_t size)
{
	size_t name_len = strlen(name), len;
	const char *line = strstr(head, "\r\n");

	for (; line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, name_len) != 0 ||
		    line[name_len] != ':')
			continue;
		line += name_len + 1;
		line += strspn(line, " \t");
		len = strcspn(line, "\r\n");
		while (len > 0 && strchr(" \t", line[len - 1]))
			len--;
		if (len >= size)
			len = size - 1;
		memcpy(value, line, len);
		value[len] = '\0';
		return true;
	}
	return false;
}

/* Cuts the first element off a comma list; NULL at its end. */
static char *
list_next(char **list)
{
	char *element = *list + strspn(*list, ", \t");
	size_t len = strcspn(element, ", \t");

	if (len == 0)
		return NULL;
	*list = element + len + (element[len] != '\0');
	element[len] = '\0';
	return element;
}

static bool
field_has(const char *head, const char *name, const char *word)
{
	char value[256];
	char *list = value, *element;

	if (!field_find(head, name, value, sizeof(value)))
		return false;
	while ((element = list_next(&list)) != NULL)
		if (strcasecmp(element, word) == 0)
			return true;
	return false;
}

/* RFC 6455, 4.2.2: the proof that the handshake was understood. */
static void
accept_key(const char *key, char accept[32])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char text[128];
	int len = snprintf(text, sizeof(text), "%s%s", key,
			   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");

	EVP_Digest(text, len, digest, NULL, EVP_sha1(), NULL);
	EVP_EncodeBlock((uint8_t *)accept, digest, 20);
}

size_t
ws_handshake_answer(const char *head, char *out, size_t size, bool *is_open_r)
{
	char key[32], accept[32], version[8], protocols[256];
	char *list = protocols, *protocol = NULL;
	bool has_version =
	    field_find(head, "Sec-WebSocket-Version", version, sizeof(version));

	*is_open_r = strncmp(head, "GET /", 5) == 0 &&
		     strstr(head, " HTTP/1.1\r\n") != NULL &&
		     field_has(head, "Upgrade", "websocket") &&
		     field_has(head, "Connection", "upgrade") &&
		     field_find(head, "Sec-WebSocket-Key", key, sizeof(key)) &&
		     strlen(key) == 24 && has_version &&
		     strcmp(version, "13") == 0;
	if (!*is_open_r)
		return snprintf(out, size,
				"HTTP/1.1 %s\r\n"
				"Sec-WebSocket-Version: 13\r\n"
				"Connection: close\r\n"
				"Content-Length: 0\r\n\r\n",
				has_version && strcmp(version, "13") != 0
				    ? "426 Upgrade Required"
				    : "400 Bad Request");
	if (field_find(head, "Sec-WebSocket-Protocol", protocols,
		       sizeof(protocols)))
		protocol = list_next(&list);
	accept_key(key, accept);
	return snprintf(out, size,
			"HTTP/1.1 101 Switching Protocols\r\n"
			"Upgrade: websocket\r\n"
			"Connection: Upgrade\r\n"
			"Sec-WebSocket-Accept: %s\r\n"
			"%s%s%s\r\n",
			accept, protocol ? "Sec-WebSocket-Protocol: " : "",
			protocol ? protocol : "", protocol ? "\r\n" : "");
}
