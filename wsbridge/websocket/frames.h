/*
 * Frames of WebSockets (RFC 6455, section 5): those of a client are read, those
 * of a server written. No input or output.
 *
 * libwebsockets has this too, but as a server it takes frames that are not
 * masked and lengths that are not minimal, answers the first of several PINGs
 * and not the last, and closes without a word where a close frame is due.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "ps_bytes.h"

enum frame_opcode {
	FRAME_CONTINUATION = 0,
	FRAME_TEXT = 1,
	FRAME_BINARY = 2,
	FRAME_CLOSE = 8,
	FRAME_PING = 9,
	FRAME_PONG = 10,
};

/* Payload of a control frame (5.5). */
#define FRAME_CONTROL_MAX 125
/* Header of a frame of ours, which is not masked; of a client's. */
#define FRAME_HEAD_MAX 10
#define FRAME_CLIENT_HEAD_MAX 14

/* All zero is one that has read nothing. */
struct frame_reader {
	bool allows_compressed; /* permessage-deflate was agreed on */
	bool in_payload;	/* else in a header */
	bool in_message;	/* the last data frame was not final */
	bool first;		/* nothing of this data frame was given out */
	bool compressed;	/* the message is */
	uint8_t message;	/* FRAME_TEXT or FRAME_BINARY */
	uint8_t opcode;		/* of the frame */
	bool final;
	uint8_t head_len, control_len;
	uint8_t mask_at;
	unsigned char head[FRAME_CLIENT_HEAD_MAX];
	unsigned char mask[4];
	unsigned char control[FRAME_CONTROL_MAX];
	uint64_t left; /* of the payload */
};

/* A whole control frame, or what there is of a data frame. */
struct frame_piece {
	enum frame_opcode opcode; /* a continuation has that of its message */
	bool first, last;	  /* of the message */
	bool compressed;	  /* the message is */
	uint64_t left;		  /* of the frame, behind this */
	struct ps_slice data;	  /* borrowed from the input, or the reader */
};

/*
 * Takes the next piece off `*len` bytes at `*data`, which are unmasked where
 * they are; both move on. 1 with a piece, 0 when all was taken;
 * PS_ERR_MALFORMED with the rule that was broken, which ends it (close code
 * 1002).
 */
PS_MUST_CHECK int frame_read(struct frame_reader *reader,
    unsigned char **data, size_t *len, struct frame_piece *piece_r,
    const char **rule_r);

/* Bytes of the header for a payload of that length. */
size_t frame_head_len(uint64_t payload);
/* Writes it, as that of a whole message or a control frame. */
void frame_put_head(unsigned char *head, enum frame_opcode opcode,
    bool compressed, uint64_t payload);
/* Appends a frame; of a control frame the payload must fit one. */
void frame_write(struct ps_writer *w, enum frame_opcode opcode,
    struct ps_slice payload);
/* Appends a close frame; code 1005 stands for one without a code. */
void frame_write_close(struct ps_writer *w, uint16_t code,
    struct ps_slice reason);

/*
 * What a client's close frame says; 1005 when it has no code. PS_ERR_MALFORMED
 * with the rule that was broken and, in `code_r`, the code to answer with.
 */
PS_MUST_CHECK int frame_parse_close(struct ps_slice payload, uint16_t *code_r,
    struct ps_slice *reason_r, const char **rule_r);

#endif
