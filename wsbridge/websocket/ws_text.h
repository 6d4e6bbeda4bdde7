/*
 * Text messages for clients with WebSockets, as frames: compressed where that
 * pays, and made once where many clients get the same.
 */
#ifndef WS_TEXT_H
#define WS_TEXT_H

#include "deflate.h"
#include "wsbridge/base/message.h"

/* What a frame is made of may be the same and the frame not. */
enum ws_kind {
	WS_SOCKJS,
	WS_RAW,
	WS_KIND__COUNT,
};

/* The last message that several clients get, and its frame. */
struct ws_shared {
	struct message *message;
	struct ps_writer frame;
};

/* One for all WebSockets; all zero is one that was not used yet. */
struct ws_tools {
	struct deflate deflate;
	struct ps_writer text; /* of a message to be compressed */
	struct ws_shared shared[WS_KIND__COUNT][2]; /* without, with deflate */
};

void ws_tools_deinit(struct ws_tools *tools);

/* Where the frames of one client go to. */
struct ws_output {
	struct ps_writer *out;
	struct ws_tools *tools;
	bool deflate; /* permessage-deflate was agreed on */
};

struct ws_text {
	struct ps_writer *w; /* gets the text, see ws_text_begin() */
	size_t begin, guess;
	bool compressed;
};

/* Begins a message of about `len` bytes; returns where its text goes to. */
struct ps_writer *ws_text_begin(struct ws_output *output,
    struct ws_text *text, size_t len);
void ws_text_end(struct ws_output *output, struct ws_text *text);

/*
 * For messages whose text is of `message` alone: true with the frame appended,
 * where it was made before. Otherwise what is appended from `begin` on is told
 * to ws_text_share() afterwards.
 */
bool ws_text_repeat(struct ws_output *output, enum ws_kind kind,
    const struct message *message);
void ws_text_share(struct ws_output *output, enum ws_kind kind,
    struct message *message, size_t begin);

#endif
