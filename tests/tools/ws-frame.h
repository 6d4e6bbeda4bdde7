/*
 * The server's side of RFC 6455: handshake and frames, for the programs that
 * stand in for targets. It does no I/O; bytes are borrowed for the call.
 */
#ifndef WS_FRAME_H
#define WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WS_MAX_HEADER = 10 }; /* of a frame from a server */

enum ws_opcode {
	WS_CONTINUATION,
	WS_TEXT,
	WS_BINARY,
	WS_CLOSE = 8,
	WS_PING,
	WS_PONG
};

struct ws_frame {
	enum ws_opcode opcode;
	bool is_final;
	size_t header_len;
	uint64_t payload_len;
	uint8_t mask[4];
};

/* Copies to a place at or before `from`, taking the mask off on the way. */
void ws_unmask(uint8_t *to, const uint8_t *from, size_t len,
	       const uint8_t mask[4]);

/* Writes a server's header, at most WS_MAX_HEADER bytes; returns its length. */
size_t ws_header_write(uint8_t *out, bool is_final, enum ws_opcode opcode,
		       size_t len);

/*
 * Reads a client's header. Returns 1 when it is there, 0 when bytes are
 * missing, and the negative close code when the client broke the protocol.
 */
int ws_header_read(struct ws_frame *frame, const uint8_t *data, size_t len);

/*
 * Writes the answer to a head that ends in a blank line, and whether the
 * WebSocket is open now; a refusal ends the connection.
 */
size_t ws_handshake_answer(const char *head, char *out, size_t size,
			   bool *is_open_r);

#endif
