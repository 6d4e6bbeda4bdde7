/*
 * A client's WebSocket from its first byte: the head of the request, then
 * frames and messages. The first byte of the input says how many bytes come at
 * once; whatever that is, the same comes out.
 */
#include "config.h"

#include "fuzz.h"

#include "wsbridge/websocket/assembly.h"
#include "wsbridge/websocket/frames.h"
#include "wsbridge/websocket/handshake.h"

#define MESSAGE_MAX 4096

static struct deflate codec;

/* What was heard of all frames, up to the first broken rule. */
static void
hear(struct ps_writer *heard, const uint8_t *data, size_t len, size_t step,
    bool compressed)
{
	struct frame_reader reader = { .allows_compressed = compressed };
	struct assembly assembly = { 0 };
	struct ps_slice message, text;
	struct frame_piece piece;
	const char *reason;
	uint16_t code;
	int ret = 0;

	for (size_t at = 0; at < len && ret >= 0; at += step) {
		size_t left = len - at < step ? len - at : step;
		unsigned char *copy = malloc(left), *p = copy;

		require(copy != NULL);
		memcpy(copy, data + at, left);
		while ((ret = frame_read(&reader, &p, &left, &piece,
			    &reason)) > 0) {
			if (piece.opcode >= FRAME_CLOSE) {
				require(piece.data.len <= FRAME_CONTROL_MAX);
				(void)!frame_parse_close(piece.data, &code,
				    &text, &reason);
				continue;
			}
			ret = assembly_add(&assembly, &codec,
			    &(struct assembly_part){ .data = piece.data,
				.left = piece.left,
				.last = piece.last,
				.compressed = piece.compressed,
				.text = piece.opcode == FRAME_TEXT },
			    MESSAGE_MAX, &message, &reason);
			if (ret == ASSEMBLY_COMPLETE) {
				require(message.len <= MESSAGE_MAX);
				ps_writer_slice(heard, message);
				assembly_release(&assembly, &codec);
			} else if (ret > 0) {
				ret = -1;
				break;
			}
		}
		free(copy);
	}
	assembly_deinit(&assembly);
}

static void
parse_head(const uint8_t *data, size_t len)
{
	static struct handshake handshake;
	struct ps_writer w = { 0 };
	enum handshake_fault fault;
	const char *sentence;
	enum ps_code code;
	bool bits;

	if (handshake_parse(&handshake, ps_slice((const char *)data, len)) !=
	    PS_OK)
		return;
	(void)handshake_offers_deflate(&handshake, &bits);
	fault = handshake_find_fault(&handshake, true);
	if (fault == HANDSHAKE_FINE)
		handshake_accept(&w, &handshake, true, bits);
	if (handshake_check(&handshake, &code, &sentence))
		require(fault == HANDSHAKE_FINE);
	else
		require(handshake_find_fault(&handshake, false) !=
		    HANDSHAKE_FINE);
	ps_writer_deinit(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ps_writer once = { 0 }, stepwise = { 0 };
	size_t end;

	if (len < 1)
		return 0;
	end = handshake_end((const char *)data + 1, len - 1);
	parse_head(data + 1, end == 0 ? len - 1 : end);
	hear(&once, data + 1 + end, len - 1 - end, len, (data[0] & 1) != 0);
	hear(&stepwise, data + 1 + end, len - 1 - end, 1 + data[0] / 8,
	    (data[0] & 1) != 0);
	require(once.len == stepwise.len &&
	    (once.len == 0 ||
		memcmp(once.data, stepwise.data, once.len) == 0));
	ps_writer_deinit(&once);
	ps_writer_deinit(&stepwise);
	return 0;
}
